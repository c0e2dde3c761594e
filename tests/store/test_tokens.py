"""Tokens in Redis: found by digest, and dead once they are revoked."""

from dataclasses import replace

import pytest

from extproc.core.people import Scope
from extproc.errors import AlreadyThere, BadValue, LedgerUnavailable
from extproc.store.connection import Connection
from extproc.store.tokens import RedisTokens, TokenRecord
from tests.store.cluster import Cluster
from tests.store.faults import Dying
from tests.store.redis_server import RedisServer

TOKEN = TokenRecord("tok_1", "tga-abcdef", "ci", (Scope.PERSON, Scope.READ), "ada", 7, 9, digest="digest")


async def test_a_token_is_found_as_it_was_made(connection: Connection) -> None:
    """All that is kept of it comes back, however often it was made; an unknown one is none."""
    tokens = RedisTokens(connection)
    for _ in range(2):
        assert await tokens.create(TOKEN, "digest") == TOKEN
    assert await tokens.find("digest") == TOKEN
    assert await tokens.list() == [TOKEN]
    assert await tokens.find("other") is None


async def test_a_revoked_token_is_none(connection: Connection) -> None:
    """It is neither found nor listed, for good; revoking may be repeated, and an unknown one is none."""
    tokens = RedisTokens(connection)
    await tokens.create(TOKEN, "digest")
    await tokens.create(replace(TOKEN, token_id="tok_0"), "digest0")
    revoked = await tokens.revoke("tok_1")
    assert revoked == replace(TOKEN, revoked=True, revision=2)
    assert await tokens.revoke("tok_1") == revoked
    assert await tokens.revoke("tok_2") is None
    assert await tokens.find("digest") is None
    assert [token.token_id for token in await tokens.list()] == ["tok_0"]
    with pytest.raises(AlreadyThere):
        await tokens.create(TOKEN, "digest")
    assert await tokens.find("digest") is None


async def test_another_token_with_the_same_id_is_refused(connection: Connection) -> None:
    """The one there stays as it is, and the other's digest opens nothing."""
    tokens = RedisTokens(connection)
    await tokens.create(TOKEN, "digest")
    with pytest.raises(AlreadyThere, match="there is a token tok_1 already"):
        await tokens.create(replace(TOKEN, scopes=(Scope.OPERATOR,)), "other")
    assert await tokens.find("other") is None
    assert await tokens.find("digest") == TOKEN


async def test_a_token_has_a_name_that_can_be_shown(connection: Connection) -> None:
    """Not a line break, and not a book."""
    for name in ("a\nb", "x" * 201):
        with pytest.raises(BadValue, match="200 characters"):
            await RedisTokens(connection).create(replace(TOKEN, name=name), "digest")
    assert await RedisTokens(connection).list() == []


@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize("lives", range(4))
async def test_a_token_is_never_half_revoked(
    connection: Connection, server: RedisServer | Cluster, lives: int, done: bool
) -> None:
    """Wherever a revocation breaks off, the token is as it was, or dead; and repeating it finishes."""
    tokens, dying = RedisTokens(connection), Dying(server.url, lives, done)
    await tokens.create(TOKEN, "digest")
    try:
        await RedisTokens(dying).revoke("tok_1")
        survived = True
    except LedgerUnavailable:
        survived = False
    assert survived == (lives == 3)
    found = await tokens.find("digest")
    assert found in (TOKEN, None)
    assert bool(found) == bool(await tokens.list())
    assert await tokens.revoke("tok_1")
    assert await tokens.find("digest") is None
    await dying.aclose()
