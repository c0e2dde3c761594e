"""The gRPC services of one worker: external processing (admit, task and settle), access log, health.

admit's streams begin with request headers, task's with response headers, settle's with response trailers: the first
message tells which filter asks.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
import structlog

from extproc.wire import codec
from extproc.wire.admit import Admission, Stream
from extproc.wire.health import health_handler
from extproc.wire.pb.access_log_entry_pb2 import HTTPAccessLogEntry
from extproc.wire.pb.access_log_service_pb2 import StreamAccessLogsMessage, StreamAccessLogsResponse
from extproc.wire.pb.ext_proc_pb2 import ProcessingRequest, ProcessingResponse
from extproc.wire.reports import Reports
from extproc.wire.task import TaskAnswers

log = structlog.get_logger()

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
"""Above the edge's body limit of 32 MiB; gRPC's own limit is 4 MiB."""

OPTIONS = [
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
]

AccessLogStream = grpc.aio.ServicerContext[StreamAccessLogsMessage, StreamAccessLogsResponse]


class Service:
    """What Envoy calls."""

    def __init__(self, admission: Admission, answers: TaskAnswers, reports: Reports, now_ms: Callable[[], int]) -> None:
        self._admission = admission
        self._answers = answers
        self._reports = reports
        self._now_ms = now_ms
        self.draining = False

    def register(self, server: grpc.aio.Server) -> None:
        """Add the services to a server, under the names that Envoy and gRPC health checking give them."""
        health = health_handler(lambda: not self.draining)
        server.add_generic_rpc_handlers((self._external_processor(), self._access_log_service(), health))

    async def process(self, _requests: object, stream: Stream) -> None:
        """One HTTP request seen by one filter."""
        first = await stream.read()
        if not isinstance(first, ProcessingRequest):
            return
        if first.HasField("request_headers"):
            await self._admission.serve(first, stream)
        elif first.HasField("response_headers"):
            await self._answers.serve(first, stream)
        elif first.HasField("response_trailers"):
            await self._settle(first)

    async def _settle(self, trailers: ProcessingRequest) -> None:
        try:
            now_ms = self._now_ms()
            told = codec.read_trailers(trailers, now_ms)
            if told:
                await self._reports.conclude(*told, "trailers", now_ms)
        except Exception:
            log.exception("settle_failed", request_id=codec.trailers_id(trailers))

    async def access_log(self, _requests: object, stream: AccessLogStream) -> StreamAccessLogsResponse:
        """Batches of finished requests, for as long as Envoy lives."""
        while isinstance(message := await stream.read(), StreamAccessLogsMessage):
            news = [entry for entry in message.http_logs.log_entry if not self._is_told(entry)]
            await asyncio.gather(*map(self._end, news))
            if self.draining:  # just after a batch none is under way, and the next goes to another worker
                break
        return StreamAccessLogsResponse()

    def _is_told(self, entry: HTTPAccessLogEntry) -> bool:
        """Whether its trailers have said all this: so most entries cost 5 µs, where reading them whole costs 55."""
        return self._reports.has_settled(codec.entry_id(entry), codec.read_evidence(entry))

    async def _end(self, entry: HTTPAccessLogEntry) -> None:
        try:
            now_ms = self._now_ms()
            ended = codec.read_entry(entry)
            if ended is None:
                return
            if ended.quote:
                await self._reports.conclude(ended.quote, ended.report, "access_log", now_ms)
            elif ended.owner and not ended.never_held:
                await self._reports.release_lost(ended, ended.owner, "access_log", now_ms)
        except Exception:
            log.exception("access_log_entry_failed", request_id=codec.entry_id(entry))

    def _external_processor(self) -> "grpc.GenericRpcHandler[Any, Any]":
        process = grpc.stream_stream_rpc_method_handler(
            self.process, ProcessingRequest.FromString, ProcessingResponse.SerializeToString
        )
        return grpc.method_handlers_generic_handler("envoy.service.ext_proc.v3.ExternalProcessor", {"Process": process})

    def _access_log_service(self) -> "grpc.GenericRpcHandler[Any, Any]":
        stream = grpc.stream_unary_rpc_method_handler(
            self.access_log, StreamAccessLogsMessage.FromString, StreamAccessLogsResponse.SerializeToString
        )
        return grpc.method_handlers_generic_handler(
            "envoy.service.accesslog.v3.AccessLogService", {"StreamAccessLogs": stream}
        )
