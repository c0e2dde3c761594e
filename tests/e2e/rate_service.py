"""Stands in for envoyproxy/ratelimit: the same gRPC call, with what it was told and what it says in the test's hand."""

from concurrent.futures import ThreadPoolExecutor

import grpc
from envoy_data_plane.envoy.service.ratelimit.v3 import (
    RateLimitRequest,
    RateLimitResponse,
    RateLimitResponseCode,
)

Descriptor = tuple[tuple[str, str], ...]
"""Keys and values, such as `(("credential", "sk-abcdefg"),)`."""


class RateService:
    """Listens on loopback at `port`. `limited` is the values whose descriptors are over their limit."""

    def __init__(self) -> None:
        self.told: list[tuple[str, set[Descriptor]]] = []
        self.limited: set[str] = set()
        self._server = grpc.server(ThreadPoolExecutor(2))
        method = grpc.unary_unary_rpc_method_handler(self._should_rate_limit, RateLimitRequest.parse, bytes)
        service = "envoy.service.ratelimit.v3.RateLimitService"
        handler = grpc.method_handlers_generic_handler(service, {"ShouldRateLimit": method})
        self._server.add_generic_rpc_handlers((handler,))
        self.port = self._server.add_insecure_port("127.0.0.1:0")

    def start(self) -> None:
        """Answer from now on."""
        self._server.start()

    def stop(self) -> None:
        """Refuse connections from now on."""
        self._server.stop(None).wait()

    def _should_rate_limit(self, request: RateLimitRequest, _: grpc.ServicerContext) -> RateLimitResponse:
        told = {tuple((entry.key, entry.value) for entry in each.entries) for each in request.descriptors}
        self.told.append((request.domain, told))
        over = {value for descriptor in told for _, value in descriptor} & self.limited
        return RateLimitResponse(overall_code=RateLimitResponseCode.OVER_LIMIT if over else RateLimitResponseCode.OK)
