"""gRPC health: saying it, and asking a process whether it serves, as Envoy does."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc

from extproc.wire.pb.health_pb2 import HealthCheckRequest, HealthCheckResponse

ANSWER_SECONDS = 2.0


def health_handler(serving: Callable[[], bool]) -> "grpc.GenericRpcHandler[Any, Any]":
    """The health service of a process that serves while this says so."""

    async def check(_request: HealthCheckRequest, _context: object) -> HealthCheckResponse:
        return HealthCheckResponse(status=HealthCheckResponse.SERVING if serving() else HealthCheckResponse.NOT_SERVING)

    handler = grpc.unary_unary_rpc_method_handler(
        check, HealthCheckRequest.FromString, HealthCheckResponse.SerializeToString
    )
    return grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": handler})


def serves(socket: Path) -> bool:
    """Whether the process at this socket says so, and does not drain. Blocks for `ANSWER_SECONDS` at most."""
    with grpc.insecure_channel(f"unix:{socket}") as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check", HealthCheckRequest.SerializeToString, HealthCheckResponse.FromString
        )
        try:
            answer = check(HealthCheckRequest(), timeout=ANSWER_SECONDS)
        except grpc.RpcError:
            return False
    return bool(answer.status == HealthCheckResponse.SERVING)
