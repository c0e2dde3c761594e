"""Asking a worker whether it serves, as Envoy does."""

from pathlib import Path

import grpc

from extproc.wire.pb.health_pb2 import HealthCheckRequest, HealthCheckResponse

ANSWER_SECONDS = 2.0


def serves(socket: Path) -> bool:
    """Whether the worker at this socket says so, and does not drain. Blocks for `ANSWER_SECONDS` at most."""
    with grpc.insecure_channel(f"unix:{socket}") as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check", HealthCheckRequest.SerializeToString, HealthCheckResponse.FromString
        )
        try:
            answer = check(HealthCheckRequest(), timeout=ANSWER_SECONDS)
        except grpc.RpcError:
            return False
    return bool(answer.status == HealthCheckResponse.SERVING)
