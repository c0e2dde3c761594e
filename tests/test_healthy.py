"""What a container engine is told: whether every worker that Envoy is told of serves."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import grpc
import pytest

from extproc.compiler.bootstrap import render_sidecar
from extproc.healthy import unhealthy
from extproc.names import worker_socket

SERVING, NOT_SERVING = b"\x08\x01", b"\x08\x02"


@contextmanager
def worker(run: Path, index: int, says: bytes) -> Iterator[None]:
    """Answers for a worker."""
    check = grpc.unary_unary_rpc_method_handler(lambda _asked, _context: says, bytes, bytes)
    server = grpc.server(ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": check})])
    server.add_insecure_port(f"unix:{run / worker_socket(index)}")
    server.start()
    try:
        yield
    finally:
        server.stop(0).wait()


@pytest.mark.parametrize(
    ("says", "told"),
    [
        ([SERVING, SERVING], []),
        ([SERVING, NOT_SERVING], ["worker-1.sock does not serve"]),
        ([SERVING, None], ["worker-1.sock: UNAVAILABLE"]),
        ([None, NOT_SERVING], ["worker-0.sock: UNAVAILABLE", "worker-1.sock does not serve"]),
    ],
)
def test_each_worker_that_does_not_serve_is_named(tmp_path: Path, says: list[bytes | None], told: list[str]) -> None:
    """One that is away or drains makes the container unhealthy, and is told by its socket."""
    (tmp_path / "sidecar").mkdir()
    (tmp_path / "sidecar/sidecar.json").write_text(render_sidecar(len(says)))
    with ExitStack() as workers:
        for index, said in enumerate(says):
            if said is not None:
                workers.enter_context(worker(tmp_path, index, said))
        assert list(unhealthy(tmp_path)) == told


def test_a_folder_that_is_not_written_yet_is_not_healthy(tmp_path: Path) -> None:
    """Before Envoy has anything to start from, nothing is well."""
    with pytest.raises(FileNotFoundError):
        list(unhealthy(tmp_path))
