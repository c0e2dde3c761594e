"""A company, its team, and somebody in every role; and the admin service that they call."""

import asyncio
import contextlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.message import Message

from extproc.admin.parts import Parts
from extproc.admin.pb import admin_pb2 as pb
from extproc.admin.refused import refused_by
from extproc.admin.server import VERBS
from extproc.admin.service import Admin
from extproc.core.catalog import Catalog, Group
from extproc.core.change import Change
from extproc.core.ledger import State, bucket_of
from extproc.core.money import NANO_PER_USD
from extproc.core.people import Principal, Scope
from extproc.index.index import Index
from extproc.store.changes import changes_of_bucket
from extproc.store.connection import Connection
from tests.index.samples import Told, write

AT_ONCE_SECONDS = 0.5
NOW_MS = 1_790_000_000_000
PEPPER = b"pepper"
OWNER, TEAM = "acme", "core"
REQUEST_ID = "request-of-mia"


def person(name: str) -> Principal:
    """Somebody who speaks for themselves."""
    return Principal(f"jwt:{name}", frozenset({Scope.PERSON}), name)


OPERATOR = Principal("token:tok_operator", frozenset({Scope.OPERATOR}))
READER = Principal("token:tok_read", frozenset({Scope.READ}))

EVERYONE = {
    "operator": OPERATOR,
    "read": READER,
    "payer": person(OWNER),
    "owner": person("olga"),
    "admin": person("adam"),
    "member": person("mia"),
    "viewer": person("vic"),
    "stranger": person("sam"),
    "nobody": Principal("token:tok_none", frozenset()),
}
"""By what they are to the team `core` of the owner `acme`, whose name the payer has."""

MEMBERS = {"owner": "olga", "admin": "adam", "member": "mia", "viewer": "vic"}


def group(name: str) -> Group:
    """A group that nobody calls."""
    return Group(name, 1_000_000, frozenset(), ())


CATALOG = Catalog.of(
    "r1",
    {},
    {},
    {name: group(name) for name in ("default", "premium", "spare")},
    {"default": frozenset({"default", "spare"}), "gold": frozenset({"default", "premium", "spare"})},
)


@dataclass
class Clock:
    """What time it is for the service, in Unix milliseconds."""

    now_ms: int = NOW_MS


@dataclass
class World:
    """The service, and the ids of what is in it: keys by whom they are for."""

    connection: Connection
    admin: Admin
    parts: Parts
    clock: Clock
    keys: dict[str, str] = field(default_factory=dict)
    token: str = ""

    async def does(self, principal: Principal, verb: str, **fields: Any) -> Any:
        """Carry out a verb with these fields of its request."""
        return await self.calls(principal, verb, request(verb, **fields))

    async def calls(self, principal: Principal, verb: str, asked: Message) -> Any:
        """Carry out a verb; of many answers the first, None where none comes at once."""
        if not VERBS[verb].server_streaming:
            return await self.admin.call(verb, asked, principal)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(AT_ONCE_SECONDS):
                return await anext(self.admin.stream(verb, asked, principal), None)
        return None

    async def refused(self, principal: Principal, verb: str, **fields: Any) -> tuple[str, str]:
        """The same, which must be refused: with this status and sentence."""
        try:
            answer = await self.does(principal, verb, **fields)
        except Exception as error:
            refused = refused_by(error, verb)
            return refused.code.name, refused.message
        raise AssertionError(f"{verb} {fields} was not refused: {answer}")

    async def changes(self) -> list[Change]:
        """What the record of changes has of the owner, oldest first."""
        return [change async for change in changes_of_bucket(self.connection, bucket_of(OWNER))]


def request(verb: str, **fields: Any) -> Any:
    """The request of a verb, with these fields."""
    return getattr(pb, VERBS[verb].input_type.name)(**fields)


async def status(world: World, principal: Principal, verb: str, asked: Message) -> str:
    """`OK`, or the status of what is told."""
    try:
        await world.calls(principal, verb, asked)
    except Exception as error:
        return refused_by(error, verb).code.name
    return grpc.StatusCode.OK.name


async def made(connection: Connection, folder: Path) -> World:
    """An owner with 10 USD, a team with somebody in every role, and a key for whoever may have one."""
    clock = Clock()
    parts = Parts.over(connection, lambda: CATALOG, PEPPER, lambda: clock.now_ms, UTC)
    index = Index(folder / f"{secrets.token_hex(8)}.sqlite", UTC)
    world = World(connection, Admin(parts, index), parts, clock)
    await world.does(OPERATOR, "CreateTeam", owner=OWNER, team=TEAM, title="The core", quota_nano=5 * NANO_PER_USD)
    for role, name in MEMBERS.items():
        await world.does(OPERATOR, "PutMember", owner=OWNER, team=TEAM, member=name, role=role)
    for name, place in _places():
        new = await world.does(OPERATOR, "CreateKey", owner=OWNER, name=name, **place)
        world.keys[name] = new.key.key_id
    entry = {"kind": "top_up", "amount_nano": 10 * NANO_PER_USD, "reference": "r1"}
    await world.does(OPERATOR, "MakeEntry", owner=OWNER, **entry)
    mia = await parts.keyring.get(world.keys["mia"])
    assert mia is not None
    await write(connection, Told(REQUEST_ID, mia, NOW_MS, State.REPORTED, 5))
    token = await world.does(OPERATOR, "CreateToken", name="ci", scopes=["read"])
    world.token = token.token.token_id
    return world


def _places() -> Iterable[tuple[str, dict[str, str]]]:
    yield "payer", {}
    yield "team", {"team": TEAM}
    yield from ((name, {"team": TEAM, "member": name}) for name in ("olga", "adam", "mia", "vic"))
