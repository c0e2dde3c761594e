"""Lets the requests of an Envoy end. Told to stop, Envoy itself would cut them."""

import asyncio
import contextlib
import time
from pathlib import Path

from extproc import envoy_admin

LOOK_SECONDS = 0.1

_ACTIVE = "http.edge.downstream_rq_active"


async def drain(admin_socket: Path, at_least: float = 0.0, at_most: float = 10.0) -> bool:
    """Wait until this Envoy has no request left: seconds, in which it also tells its callers to connect elsewhere.

    `at_least` is how long callers may still be sent here by a load balancer that has yet to notice. Whether all
    requests have ended, which they have too when Envoy has gone.
    """
    began = time.monotonic()
    with contextlib.suppress(OSError):
        await asyncio.to_thread(envoy_admin.ask, admin_socket, "/drain_listeners?graceful&skip_exit", "POST")
        while (waited := time.monotonic() - began) < at_least or await _active(admin_socket):
            if waited > at_most:
                return False
            await asyncio.sleep(LOOK_SECONDS)
    return True


async def _active(admin_socket: Path) -> bool:
    seen = await asyncio.to_thread(envoy_admin.stats, admin_socket, _ACTIVE)
    return seen.get(_ACTIVE) != "0"
