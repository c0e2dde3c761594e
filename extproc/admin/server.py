"""The admin service over gRPC: finds out who calls, has the verb carried out, and words what is not done."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from extproc.admin.authenticate import Authentication
from extproc.admin.pb import admin_pb2 as pb
from extproc.admin.refused import refused_by
from extproc.admin.service import Admin
from extproc.core.people import Principal
from extproc.names import ADMIN_SERVICE

VERBS: dict[str, MethodDescriptor] = dict(pb.DESCRIPTOR.services_by_name["Admin"].methods_by_name)
"""What the contract has."""

NOBODY = Principal("nobody", frozenset())
OPEN = {"GetOpenApi"}
"""What anybody may ask: it is the same for all, and in the source."""


BEGUN_SECONDS = 1.0
"""After which a stream has begun, though it has no answer yet: an error can be no status of HTTP any more."""


class Server:
    """What Envoy calls."""

    def __init__(self, admin: Admin, authentication: Authentication) -> None:
        self._admin = admin
        self._authentication = authentication

    def register(self, server: grpc.aio.Server) -> None:
        """Add the service to a server, under the name that the contract gives it."""
        handlers = {name: self._handler(verb) for name, verb in VERBS.items()}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(ADMIN_SERVICE, handlers),))

    def _handler(self, verb: MethodDescriptor) -> Any:
        read = GetMessageClass(verb.input_type).FromString
        if verb.server_streaming:
            return grpc.unary_stream_rpc_method_handler(self._streamed(verb.name), read, _write)
        return grpc.unary_unary_rpc_method_handler(self._called(verb.name), read, _write)

    def _called(self, verb: str) -> "Callable[[Message, Context], Awaitable[Message]]":
        async def call(request: Message, context: Context) -> Message:
            try:
                answer: Message = await self._admin.call(verb, request, await self._principal(verb, context))
            except Exception as error:
                await _refuse(context, error, verb)
            return answer

        return call

    def _streamed(self, verb: str) -> "Callable[[Message, Context], AsyncIterator[Message]]":
        async def stream(request: Message, context: Context) -> AsyncIterator[Message]:
            try:
                answers = self._admin.stream(verb, request, await self._principal(verb, context))
                async with _first(answers) as first:
                    if not await _done(first):
                        await context.send_initial_metadata(())
                    if (answer := await first) is not None:
                        yield answer
                async for answer in answers:
                    yield answer
            except Exception as error:
                await _refuse(context, error, verb)

        return stream

    async def _principal(self, verb: str, context: "Context") -> Principal:
        if verb in OPEN:
            return NOBODY
        return await self._authentication.principal(context.invocation_metadata() or ())


Context = grpc.aio.ServicerContext[Message, Message]


@contextlib.asynccontextmanager
async def _first(answers: AsyncIterator[Message]) -> "AsyncIterator[asyncio.Task[Message | None]]":
    """The first of the answers, which is waited for no longer than this is."""

    async def first() -> Message | None:
        return await anext(answers, None)

    task = asyncio.create_task(first())
    try:
        yield task
    finally:
        task.cancel()


async def _done(task: "asyncio.Task[Message | None]") -> bool:
    """Whether it was done soon: who follows is told that it has begun, and who asks wrongly that it has not."""
    done, _ = await asyncio.wait({task}, timeout=BEGUN_SECONDS)
    return bool(done)


async def _refuse(context: Context, error: Exception, verb: str) -> None:
    refused = refused_by(error, verb)
    await context.abort(refused.code, refused.message)


def _write(message: Message) -> bytes:
    return message.SerializeToString()
