"""The admin service over gRPC: what a caller is told, and what the log is."""

import io
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import structlog
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from extproc import process
from extproc.admin.authenticate import Authentication
from extproc.admin.pb import admin_pb2 as pb
from extproc.admin.server import OPEN, VERBS, Server
from extproc.core.ledger import bucket_of
from extproc.names import ADMIN_SERVICE
from extproc.store import keys
from tests.admin.world import OPERATOR, OWNER, PEPPER, World, request
from tests.store.redis_server import RedisServer

CANARY = "canary-7d41"


class Client:
    """Who calls over the socket."""

    def __init__(self, channel: grpc.aio.Channel, token: str) -> None:
        self._channel = channel
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()

    async def call(self, verb: str, asked: Message) -> Any:
        """What a verb answers; of many answers the first."""
        described, path = VERBS[verb], f"/{ADMIN_SERVICE}/{verb}"
        read = GetMessageClass(described.output_type).FromString
        if not described.server_streaming:
            return await self._channel.unary_unary(path, _write, read)(asked, metadata=self._metadata)
        return await self._channel.unary_stream(path, _write, read)(asked, metadata=self._metadata).read()

    async def told(self, verb: str, asked: Message) -> tuple[str, str]:
        """The status and the sentence with which it is refused."""
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await self.call(verb, asked)
        return error.value.code().name, error.value.details() or ""


def _write(message: Message) -> bytes:
    return message.SerializeToString()


@pytest.fixture
async def channel(world: World, tmp_path: Path) -> AsyncIterator[grpc.aio.Channel]:
    """To the service at a socket."""
    server = grpc.aio.server()
    Server(world.admin, Authentication(world.parts.tokens, PEPPER, world.parts.now_ms, jwt=False)).register(server)
    server.add_insecure_port(f"unix:{tmp_path}/s")
    await server.start()
    async with grpc.aio.insecure_channel(f"unix:{tmp_path}/s") as channel:
        yield channel
    await server.stop(None)


@pytest.fixture
async def client(world: World, channel: grpc.aio.Channel) -> Client:
    """An operator."""
    return Client(channel, (await world.does(OPERATOR, "CreateToken", scopes=["operator"])).plaintext)


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What the process logs, as it is configured to."""
    said = io.StringIO()
    monkeypatch.setattr("sys.stderr", said)
    before = structlog.get_config()
    process.configure_logging()
    structlog.configure(cache_logger_on_first_use=False)
    monkeypatch.setattr("extproc.admin.refused.log", structlog.get_logger())
    yield said
    structlog.configure(**before)


@pytest.mark.parametrize("verb", sorted(VERBS.keys() - OPEN))
async def test_every_verb_needs_a_token(channel: grpc.aio.Channel, verb: str) -> None:
    """Without one nothing is done, whatever is asked."""
    code, message = await Client(channel, "").told(verb, request(verb))
    assert (code, "no admin token was given" in message) == ("UNAUTHENTICATED", True)


@pytest.mark.parametrize("verb", sorted(OPEN))
async def test_what_anybody_may_ask(channel: grpc.aio.Channel, verb: str) -> None:
    """It needs none."""
    assert await Client(channel, "").call(verb, request(verb))


async def test_a_call_and_a_stream(client: Client) -> None:
    """Both are carried out as whom the token says."""
    assert (await client.call("WhoAmI", pb.WhoAmIRequest())).scopes == ["operator"]
    assert b"request_id" in (await client.call("ExportRequests", pb.ExportRequestsRequest(format="csv"))).data


async def test_what_is_refused(client: Client) -> None:
    """Status and sentence come as they were raised, of a stream too."""
    asked = pb.GetOwnerRequest(owner="ünknown\n")
    assert await client.told("GetOwner", asked) == ("NOT_FOUND", "there is no owner 'ünknown\\n'")
    export = pb.ExportRequestsRequest(format="pdf")
    assert await client.told("ExportRequests", export) == ("INVALID_ARGUMENT", "format is one of csv, jsonl, parquet")


async def test_what_nobody_foresaw(world: World, client: Client, logged: io.StringIO) -> None:
    """The caller is told nothing of it; the log says where it was, without what was in the variables."""
    key_id = world.keys["mia"]
    await world.connection.execute("HSET", keys.key(bucket_of(OWNER), key_id), "record", json.dumps({"x": CANARY}))
    code, message = await client.told("GetKey", pb.GetKeyRequest(key_id=key_id))
    assert (code, message) == ("INTERNAL", "The admin service made an error; its log says which.")
    (line,) = [json.loads(one) for one in logged.getvalue().splitlines() if "admin_failed" in one]
    assert (line["verb"], line["level"]) == ("GetKey", "error")
    assert "keyring.py" in logged.getvalue()
    assert CANARY not in logged.getvalue()


async def test_without_redis(client: Client, server: RedisServer, logged: io.StringIO) -> None:
    """It is UNAVAILABLE, and the same again once there is one."""
    server.kill()
    try:
        code, message = await client.told("ListOwners", pb.ListOwnersRequest())
    finally:
        server.start()
    assert (code, message) == ("UNAVAILABLE", "Redis does not answer; whether a change was made is not known.")
    assert "admin_without_redis" in logged.getvalue()


async def test_a_person_s_token(world: World, channel: grpc.aio.Channel) -> None:
    """It may what their role says, and is revoked from the next call on."""
    made = await world.does(OPERATOR, "CreateToken", scopes=["person"], person="mia")
    mia = Client(channel, made.plaintext)
    assert [key.name for key in (await mia.call("ListKeys", pb.ListKeysRequest())).keys] == ["mia"]
    assert (await mia.told("EditOwner", pb.EditOwnerRequest(owner=OWNER)))[0] == "PERMISSION_DENIED"
    await world.does(OPERATOR, "RevokeToken", token_id=made.token.token_id)
    assert (await mia.told("ListKeys", pb.ListKeysRequest()))[0] == "UNAUTHENTICATED"
