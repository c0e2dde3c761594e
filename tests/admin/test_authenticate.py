"""Who calls, by what stands in the metadata of the call."""

import base64
import json
from typing import Any

import pytest

from extproc.admin.authenticate import Authentication
from extproc.admin.refused import Refused
from extproc.core.people import Principal, Scope
from tests.admin.world import NOW_MS, OPERATOR, PEPPER, World

PAYLOAD = "x-tollgate-jwt-payload"


def asking(world: World, jwt: bool = True) -> Authentication:
    """As the process asks."""
    return Authentication(world.parts.tokens, PEPPER, lambda: world.clock.now_ms, jwt)


def payload(claims: Any) -> str:
    """As Envoy hands it on."""
    return base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")


async def refusal(of: Authentication, *metadata: tuple[str, str]) -> str:
    """Why such a caller is nobody."""
    with pytest.raises(Refused) as refused:
        await of.principal(metadata)
    assert refused.value.code.name == "UNAUTHENTICATED"
    return refused.value.message


async def token(world: World, **fields: Any) -> tuple[str, str]:
    """The header that has a new token."""
    made = await world.does(OPERATOR, "CreateToken", **fields)
    return "authorization", f"Bearer {made.plaintext}"


async def test_a_token(world: World) -> None:
    """It gives the scopes that it was made with, and the name of the change that it makes is its id's."""
    header = await token(world, scopes=["person", "read"], person="mia")
    principal = await asking(world).principal([header])
    assert principal.scopes == {Scope.PERSON, Scope.READ}
    assert principal.person == "mia"
    (record,) = [one for one in await world.parts.tokens.list() if one.person]
    assert principal.name == f"token:{record.token_id}"


async def test_a_token_ends(world: World) -> None:
    """At the moment that it was made for, and at once when it is revoked."""
    header = await token(world, scopes=["operator"], expires_ms=NOW_MS + 10)
    lasting = await token(world, scopes=["operator"])
    assert (await asking(world).principal([header])).is_operator
    world.clock.now_ms = NOW_MS + 10
    assert await refusal(asking(world), header) == "the admin token has expired"
    name = (await asking(world).principal([lasting])).name
    await world.does(OPERATOR, "RevokeToken", token_id=name.removeprefix("token:"))
    assert await refusal(asking(world), lasting) == "the admin token is not valid"


UNKNOWN = ["tga-", "tga-x", "tga-" + "x" * 43, "tga-é", "tga-" + "x" * 100_000, "tga-\0"]


@pytest.mark.parametrize("plaintext", UNKNOWN, ids=range(len(UNKNOWN)))
async def test_a_token_that_nobody_made(world: World, plaintext: str) -> None:
    """Whatever it looks like; the answer does not repeat it."""
    assert await refusal(asking(world), ("authorization", f"Bearer {plaintext}")) == "the admin token is not valid"


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic dGdhLXg=", "tga-x", "Bearer sk-x", "Bearer x.y.z"])
async def test_no_token(world: World, header: str) -> None:
    """Keys are no tokens, and no other scheme than Bearer is known."""
    assert "no admin token was given" in await refusal(asking(world), ("authorization", header))
    assert "no admin token was given" in await refusal(asking(world))


JWTS: list[tuple[dict[str, Any], set[str], str]] = [
    ({"sub": "mia"}, {"person"}, "mia"),
    ({"sub": "mia", "tollgate_scopes": "read"}, {"read"}, ""),
    ({"sub": "mia", "tollgate_scopes": "read operator"}, {"read", "operator"}, ""),
    ({"sub": "mia", "tollgate_scopes": ["person", "read"]}, {"person", "read"}, "mia"),
    ({"sub": "mia", "tollgate_scopes": ["others", "OPERATOR"]}, set(), ""),
    ({"sub": "mia", "tollgate_scopes": []}, set(), ""),
    ({"sub": "mia", "tollgate_scopes": ""}, set(), ""),
    ({"sub": "mia", "tollgate_scopes": None, "aud": ["x"], "exp": 1}, {"person"}, "mia"),
]


@pytest.mark.parametrize(("claims", "scopes", "person"), JWTS)
async def test_a_jwt(world: World, claims: dict[str, Any], scopes: set[str], person: str) -> None:
    """It gives the scopes it names of ours; one that says nothing of them speaks for its subject."""
    principal = await asking(world).principal([("authorization", "Bearer a.b.c"), (PAYLOAD, payload(claims))])
    assert principal == Principal("jwt:mia", frozenset(map(Scope, scopes)), person)


BAD_JWTS = ["!", "", payload([]), payload({}), payload({"sub": ""}), payload({"sub": 5}), payload({"sub": " "})]
BAD_JWTS += [payload({"sub": "a\0"}), payload({"sub": "x" * 201}), payload({"sub": "x", "tollgate_scopes": 5}), "w7/"]


@pytest.mark.parametrize("said", BAD_JWTS, ids=range(len(BAD_JWTS)))
async def test_a_jwt_of_nobody(world: World, said: str) -> None:
    """Without a subject that can be a name it is worth nothing."""
    await refusal(asking(world), (PAYLOAD, said))


async def test_the_payload_counts_only_where_jwts_are_on(world: World) -> None:
    """Else anybody who reaches the socket past Envoy's listener could write it."""
    assert "no admin token" in await refusal(asking(world, jwt=False), (PAYLOAD, payload({"sub": "mia"})))


async def test_a_token_goes_before_a_jwt(world: World) -> None:
    """And one that is not valid is not made good by a JWT; two of a header are none."""
    header, jwt = await token(world, scopes=["read"]), (PAYLOAD, payload({"sub": "mia"}))
    assert (await asking(world).principal([jwt, header])).name.startswith("token:")
    assert await refusal(asking(world), jwt, ("authorization", "Bearer tga-x")) == "the admin token is not valid"
    assert "more than one" in await refusal(asking(world), jwt, jwt)
    assert "more than one" in await refusal(asking(world), header, header)
