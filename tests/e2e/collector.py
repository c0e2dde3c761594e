"""Stands in for an OpenTelemetry collector: it takes spans by OTLP over gRPC and keeps them."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest as Export
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse as Exported
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message

SERVICE = "opentelemetry.proto.collector.trace.v1.TraceService"

REQUEST = Message.SPAN_KIND_SERVER
CALL = Message.SPAN_KIND_CLIENT
"""Of an attempt, and of what Envoy asks the sidecar."""


@dataclass(frozen=True, slots=True)
class Span:
    """What a span says. `parent` is empty for one that nobody has begun before."""

    name: str
    kind: int
    trace: bytes
    id: bytes
    parent: bytes
    attributes: dict[str, str | int]


class Collector:
    """Listens on loopback at `port`. `raw` is all that it was sent, `spans` what that says."""

    def __init__(self) -> None:
        self.raw: list[bytes] = []
        self._server = grpc.server(ThreadPoolExecutor(2))
        method = grpc.unary_unary_rpc_method_handler(self._export, None, Exported.SerializeToString)
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"Export": method}),))
        self.port = self._server.add_insecure_port("127.0.0.1:0")

    def start(self) -> None:
        """Take spans from now on."""
        self._server.start()

    def stop(self) -> None:
        """Refuse connections from now on."""
        self._server.stop(None).wait()

    @property
    def spans(self) -> list[Span]:
        """All spans so far, as they came."""
        exports = [Export.FromString(raw) for raw in self.raw]
        scopes = [scope for each in exports for resource in each.resource_spans for scope in resource.scope_spans]
        return [_span(message) for scope in scopes for message in scope.spans]

    def _export(self, raw: bytes, _: grpc.ServicerContext) -> Exported:
        self.raw.append(raw)
        return Exported()


def _span(message: Message) -> Span:
    attributes = {each.key: _value(each.value) for each in message.attributes}
    return Span(message.name, message.kind, message.trace_id, message.span_id, message.parent_span_id, attributes)


def _value(value: AnyValue) -> str | int:
    return value.int_value if value.HasField("int_value") else value.string_value
