"""The other gateways as processes, each until the end of its block."""

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import httpx

from tests.bench.peers.install import HERE, Installed
from tests.bench.peers.measure import Peer
from tests.e2e.harness import HTTP, eventually, free_port

PATH: Final = "/v1/chat/completions"
JSON: Final = {"content-type": "application/json"}
VENDOR_KEY: Final = "sk-of-the-vendor"
READY_SECONDS: Final = 120
"""LiteLLM alone takes 10 s to start on an idle machine."""


@contextlib.contextmanager
def litellm(installed: Installed, folder: Path, vendor: str, workers: int) -> Iterator[Peer]:
    """LiteLLM's proxy, with the settings its documentation names for production; callers have its master key.

    Other keys need a Postgres.
    """
    name, key, port = f"litellm-{workers}", "sk-master", free_port()
    config = folder / f"{name}.yaml"
    config.write_text(json.dumps(_litellm_config(name, key, f"{vendor}/openai/v1")))
    command = [installed.litellm, "--config", config, "--host", "127.0.0.1", "--port", port, "--num_workers", workers]
    command += ["--timeout_worker_healthcheck", READY_SECONDS]  # after 5 s a worker that still starts is killed
    command += ["--keepalive_timeout", 75]  # after 5 s the load would lose connections that are done early
    environment = {"LITELLM_MODE": "PRODUCTION", "LITELLM_LOG": "ERROR", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    with running(command, folder / name, environment) as process:
        _wait_for(f"http://127.0.0.1:{port}/health/liveliness", process, folder / name)
        headers = {**JSON, "authorization": f"Bearer {key}"}
        label = f"LiteLLM, {workers} worker{'s' if workers > 1 else ''}"
        yield Peer(
            label, f"http://127.0.0.1:{port}{PATH}", name, headers, lambda: {"LiteLLM": family(process.pid)}, True
        )


@contextlib.contextmanager
def portkey(installed: Installed, folder: Path, vendor: str) -> Iterator[Peer]:
    """Portkey's gateway, one process, as its package starts it; the request names the vendor and its key."""
    port = free_port()
    preload = (HERE / "loopback.mjs").as_uri()
    command = [installed.node, "--import", preload, installed.portkey, f"--port={port}", "--headless"]
    with running(command, folder / "portkey", {"NODE_ENV": "production"}) as process:
        _wait_for(f"http://127.0.0.1:{port}/", process, folder / "portkey")
        headers = {
            **JSON,
            "authorization": f"Bearer {VENDOR_KEY}",
            "x-portkey-provider": "openai",
            "x-portkey-custom-host": f"{vendor}/openai/v1",
        }
        yield Peer(
            "Portkey", f"http://127.0.0.1:{port}{PATH}", "portkey", headers, lambda: {"Portkey": family(process.pid)}
        )


@contextlib.contextmanager
def running(
    command: Sequence[object], folder: Path, environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a folder and a process group of its own, which is ended with all it started."""
    folder.mkdir()
    clean = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    with (folder / "log").open("wb") as said:
        process = subprocess.Popen(
            list(map(str, command)),
            cwd=folder,
            env={**clean, **environment},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def family(pid: int) -> list[int]:
    """A process and all that descend from it."""
    children = Path(f"/proc/{pid}/task").glob("*/children")
    return [pid, *(one for each in children for child in each.read_text().split() for one in family(int(child)))]


def _wait_for(url: str, process: subprocess.Popen[bytes], folder: Path) -> None:
    def answers() -> bool:
        assert process.poll() is None, (folder / "log").read_text(errors="replace")
        with contextlib.suppress(httpx.TransportError):
            return HTTP.get(url).is_success
        return False

    eventually(answers, url, READY_SECONDS)


def _litellm_config(model: str, key: str, base_url: str) -> dict[str, object]:
    """One model at the price of Tollgate's `gpt-5-mini`, and a vendor's budget: all it counts without Postgres."""
    price = {"input_cost_per_token": 0.25e-6, "output_cost_per_token": 2e-6}
    channel = {"model": f"openai/{model}", "api_base": base_url, "api_key": VENDOR_KEY, **price}
    return {
        "model_list": [{"model_name": model, "litellm_params": channel}],
        "litellm_settings": {"telemetry": False, "request_timeout": 60},
        "general_settings": {"master_key": key},
        "router_settings": {"provider_budget_config": {"openai": {"budget_limit": 1_000_000, "time_period": "30d"}}},
    }
