"""What a container may do, as the engine has it and as the kernel sees it; and what the files ask for."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.containers.stack import REPOSITORY, Stack, docker

COMPOSE: dict[str, Any] = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())
RUNNING = ["envoy", "sidecar", "redis", "vendor"]


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_every_service_asks_for_as_little_as_it_can(name: str) -> None:
    """No root, no capabilities, nothing to write on but volumes; bounded memory, CPU and processes; a healthcheck."""
    service = COMPOSE["services"][name]
    assert service["read_only"]
    assert service["init"]
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert {"mem_limit", "cpus", "pids_limit"} <= service.keys()
    assert service["restart"] == "unless-stopped"
    assert "user" in service or "build" in service  # our own image says it itself
    assert "healthcheck" in service or name == "sidecar"
    assert "privileged" not in service


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_nothing_is_published_but_on_loopback(name: str) -> None:
    """Who wants to be reached from elsewhere has to write it down."""
    for port in COMPOSE["services"][name].get("ports", []):
        assert port.startswith("127.0.0.1:")


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_every_image_has_a_version(name: str) -> None:
    """What runs tomorrow is what runs today."""
    tag = COMPOSE["services"][name]["image"].rstrip("}").rpartition(":")[2]
    assert re.search(r"\d", tag)
    assert tag != "latest"


def test_only_the_edge_and_the_desk_reach_the_outside() -> None:
    """Redis, the sidecar and the rate limit service are in networks without a way out."""
    outside = {name for name, network in COMPOSE["networks"].items() if not network.get("internal")}
    there = {name for name, service in COMPOSE["services"].items() if outside & set(service["networks"])}
    assert there == {"envoy", "vendor", "prometheus", "grafana"}


@pytest.mark.parametrize("name", RUNNING)
def test_the_engine_has_it_so(stack: Stack, name: str) -> None:
    """What is asked for is what the container was made with."""
    host, config = stack.inspect(name)["HostConfig"], stack.inspect(name)["Config"]
    assert config["User"] not in ("", "root", "0")
    assert host["ReadonlyRootfs"]
    assert not host["Privileged"]
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert host["Memory"] > 0
    assert host["NanoCpus"] > 0
    assert host["PidsLimit"] > 0


@pytest.mark.parametrize("name", RUNNING)
def test_the_kernel_sees_it_so(stack: Stack, name: str) -> None:
    """The first process has no capability and can get none, is nobody's root, and its root cannot be written."""
    status = dict(
        line.split(":\t", 1) for line in stack.inside(name, "cat", "/proc/1/status").splitlines() if ":\t" in line
    )
    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[kind], 16) == 0
    assert status["NoNewPrivs"] == "1"
    assert 0 not in {int(uid) for uid in status["Uid"].split()}
    assert " / overlay ro," in stack.inside(name, "cat", "/proc/1/mounts")


@pytest.mark.parametrize(
    ("name", "target"), [("envoy", "redis/6379"), ("sidecar", "vendor/9100"), ("vendor", "redis/6379")]
)
def test_who_has_no_business_there_has_no_way_there(stack: Stack, name: str, target: str) -> None:
    """Envoy cannot reach the balances, and the sidecar, which knows the pepper, cannot reach the outside."""
    assert not stack.inside(
        name, "bash", "-c", f"timeout 3 bash -c 'exec 3<>/dev/tcp/{target}' 2>/dev/null && echo reached; true"
    )


def test_the_image_has_no_compiler_and_no_package_manager_of_its_own(stack: Stack) -> None:
    """Who gets in finds little to work with."""
    found = stack.inside("sidecar", "bash", "-c", "ls /opt/tollgate/bin; command -v gcc cc make git curl wget; true")
    assert not {"gcc", "cc", "make", "git", "curl", "wget", "pip"} & {Path(each).name for each in found.split()}


def test_no_secret_is_in_the_image_or_in_what_the_engine_shows(stack: Stack) -> None:
    """The pepper is made once, in the volume, for the sidecar's user alone; the image has no data at all."""
    assert stack.inside("sidecar", "stat", "-c", "%a %u", "/data/pepper", "/data").split() == [
        "600",
        "10001",
        "700",
        "10001",
    ]
    pepper = stack.inside("sidecar", "cat", "/data/pepper").strip()
    assert pepper not in docker("inspect", *(stack.container(name) for name in RUNNING))
