"""An Envoy with `lift_sse` and, where wanted, Envoy's own filter for the same: what each lifts out of a stream."""

import contextlib
import json
import re
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from extproc import envoy_admin, names
from extproc.binaries import envoy_binary
from tests.e2e.harness import HTTP, SETTLE_SECONDS, eventually, free_port

SCRIPT: Final = (Path(__file__).parents[2] / "extproc" / "compiler" / "lift_sse.lua").read_text()
PAUSE_SECONDS: Final = 0.002
"""Between two pieces, so that Envoy reads them one by one."""

_REFERENCE: Final = "reference"
_TYPE: Final = "type.googleapis.com/envoy.extensions."

Numbers = dict[str, float]


def rules() -> list[tuple[str, list[str]]]:
    """What the script lifts: a name and the keys that lead to it, in its order."""
    table = SCRIPT.partition("local RULES = {\n")[2].partition("\n}\n")[0]
    found = [re.findall(r'"(\w+)"', line) for line in table.splitlines() if line.strip().startswith("{")]
    return [(name, keys) for name, *keys in found]


@dataclass(frozen=True, slots=True)
class Lifting:
    """A running Envoy and the vendor behind it, whose answers are those that it is told."""

    url: str
    vendor: "_Vendor"
    log: Path

    def lifted(self, *pieces: bytes) -> tuple[Numbers, Numbers]:
        """What the script and what Envoy's own filter lift out of this stream; the caller gets it as it was."""
        number = len(self.vendor.answers)
        self.vendor.answers.append(pieces)
        answer = HTTP.get(f"{self.url}/{number}")
        assert answer.content == b"".join(pieces)
        deadline = time.monotonic() + SETTLE_SECONDS
        while len(lines := self.log.read_text().splitlines()) <= number:
            assert time.monotonic() < deadline, "no line in the access log"
            time.sleep(PAUSE_SECONDS)
        told: dict[str, Numbers | None] = json.loads(lines[number])
        return told["script"] or {}, told[_REFERENCE] or {}


class _Vendor(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: list[Sequence[bytes]] = []


class _Handler(BaseHTTPRequestHandler):
    server: _Vendor

    def do_GET(self) -> None:
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
        for piece in self.server.answers[int(self.path[1:])]:
            self.wfile.write(piece)
            time.sleep(PAUSE_SECONDS)

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing."""


@contextlib.contextmanager
def lifting(folder: Path, *, reference: bool) -> Iterator[Lifting]:
    """Run it in this folder until the end of the block, with Envoy's own filter as a reference."""
    port = free_port()
    with _Vendor() as vendor:
        threading.Thread(target=vendor.serve_forever, daemon=True).start()
        (folder / "envoy.json").write_text(json.dumps(_bootstrap(port, vendor.server_address[1], reference)))
        command = [str(envoy_binary()), "-c", "envoy.json", "--log-level", "warning", "--concurrency", "1"]
        command += ["--disable-hot-restart", "--file-flush-interval-msec", "5"]
        with (folder / "said").open("wb") as said, subprocess.Popen(command, cwd=folder, stderr=said) as process:
            try:
                eventually(lambda: _live(folder / "admin.sock"), "Envoy")
                yield Lifting(f"http://127.0.0.1:{port}", vendor, folder / "ends.jsonl")
            finally:
                process.terminate()
                vendor.shutdown()
        assert "script log" not in (folder / "said").read_text(), "the script failed"


def _live(admin: Path) -> bool:
    try:
        return envoy_admin.ask(admin, "/ready").strip() == "LIVE"
    except OSError:
        return False


def _bootstrap(port: int, vendor_port: int, reference: bool) -> dict[str, Any]:
    return {
        "admin": {"address": {"pipe": {"path": "admin.sock"}}},
        "static_resources": {
            "listeners": [
                {
                    "name": "edge",
                    "address": _address(port),
                    "filter_chains": [{"filters": [_connection_manager(reference)]}],
                }
            ],
            "clusters": [
                {
                    "name": "vendor",
                    "type": "STATIC",
                    "load_assignment": {
                        "cluster_name": "vendor",
                        "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(vendor_port)}}]}],
                    },
                }
            ],
        },
    }


def _connection_manager(reference: bool) -> dict[str, Any]:
    lua = _typed("filters.http.lua.v3.Lua", default_source_code={"inline_string": SCRIPT})
    router = _typed("filters.http.router.v3.Router")
    told = {"script": f"%DYNAMIC_METADATA({names.LIFTED_NAMESPACE})%", _REFERENCE: f"%DYNAMIC_METADATA({_REFERENCE})%"}
    log = _typed("access_loggers.file.v3.FileAccessLog", path="ends.jsonl", log_format={"json_format": told})
    route = {"match": {"prefix": "/"}, "route": {"cluster": "vendor", "timeout": "0s"}}
    return {
        "name": "http",
        "typed_config": _typed(
            "filters.network.http_connection_manager.v3.HttpConnectionManager",
            stat_prefix="edge",
            access_log=[{"name": "ends", "typed_config": log}],
            route_config={"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
            http_filters=[
                {"name": "lift_sse", "typed_config": lua},
                *([{"name": _REFERENCE, "typed_config": _envoys_own()}] if reference else []),
                {"name": "router", "typed_config": router},
            ],
        ),
    }


def _envoys_own() -> dict[str, Any]:
    found = [
        {
            "rule": {
                "selectors": [{"key": key} for key in keys],
                "on_present": {"metadata_namespace": _REFERENCE, "key": name, "type": "NUMBER"},
            }
        }
        for name, keys in rules()
    ]
    parser = {"name": "json", "typed_config": _typed("content_parsers.json.v3.JsonContentParser", rules=found)}
    response_rules = {"max_event_size": 10 * 1024**2, "content_parser": parser}
    return _typed("filters.http.sse_to_metadata.v3.SseToMetadata", response_rules=response_rules)


def _typed(name: str, **fields: Any) -> dict[str, Any]:
    return {"@type": _TYPE + name, **fields}


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
