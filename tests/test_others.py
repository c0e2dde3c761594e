"""Workers of other machines, found by name."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from extproc import others
from extproc.compiler.bootstrap import render_sidecar
from extproc.errors import ConfigError


def localities(text: str) -> list[tuple[int, list[str]]]:
    """The priority of each group of endpoints, and their addresses."""
    (assignment,) = json.loads(text)["resources"]
    return [
        (each.get("priority", 0), [address(one) for one in each["lb_endpoints"]]) for each in assignment["endpoints"]
    ]


def address(endpoint: dict[str, Any]) -> str:
    """A socket's path, or host:port."""
    found = endpoint["endpoint"]["address"]
    if pipe := found.get("pipe"):
        return str(pipe["path"])
    return f"{found['socket_address']['address']}:{found['socket_address']['port_value']}"


def test_others_come_first() -> None:
    """Envoy moves to the workers beside it when too few of the others are healthy; alone, they are all there is."""
    assert localities(render_sidecar(1)) == [(0, ["worker-0.sock"])]
    assert localities(render_sidecar(1, [("10.0.0.1", 50051), ("10.0.0.2", 50051)])) == [
        (1, ["worker-0.sock"]),
        (0, ["10.0.0.1:50051", "10.0.0.2:50051"]),
    ]


def test_another_address_is_another_version() -> None:
    """Envoy takes the file for new whenever an address in it is."""
    versions = {json.loads(render_sidecar(1, [(host, 1)]))["version_info"] for host in ("10.0.0.1", "10.0.0.2")}
    assert len(versions) == 2


async def test_follows_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every address is an endpoint from the next look on; a name that does not resolve leaves those that are known."""
    told = [[("10.0.0.1", 7)], [("10.0.0.1", 7), ("10.0.0.2", 7)], [], [("10.0.0.2", 7)]]
    written: list[object] = []

    async def resolve(_host: str, _port: int) -> list[tuple[str, int]]:
        if file.exists():
            written.append(localities(file.read_text())[1:])
        if not told:
            raise asyncio.CancelledError
        return told.pop(0)

    (tmp_path / "sidecar").mkdir()
    file = tmp_path / "sidecar" / "sidecar.json"
    monkeypatch.setattr(others, "resolve", resolve)
    monkeypatch.setattr(others, "LOOK_SECONDS", 0)
    with pytest.raises(asyncio.CancelledError):
        await others.follow(tmp_path, 1, "workers", 7)
    one, both, two = ["10.0.0.1:7"], ["10.0.0.1:7", "10.0.0.2:7"], ["10.0.0.2:7"]
    assert written == [[(0, one)], [(0, both)], [(0, both)], [(0, two)]]


@pytest.mark.parametrize("text", ["workers", "workers:", ":50051", "workers:grpc"])
def test_what_is_no_place_is_refused(text: str) -> None:
    """A setting that could never be followed ends the start, with what to say instead."""
    with pytest.raises(ConfigError, match="NAME:PORT"):
        others.parse(text)


async def test_resolves_addresses() -> None:
    """An address is itself; a name that nobody has is no address."""
    assert await others.resolve("127.0.0.1", 7) == [("127.0.0.1", 7)]
    assert await others.resolve("nobody.invalid", 7) == []
