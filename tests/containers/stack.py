"""The containers of `docker-compose.yml` for tests: a project of its own, on ports of its own, gone at the end."""

import contextlib
import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI
from testcontainers.compose import DockerCompose

from tests.e2e.harness import HTTP, eventually

REPOSITORY = Path(__file__).parents[2]
FILES = [str(REPOSITORY / "docker-compose.yml"), str(Path(__file__).parent / "compose.yaml")]
SERVICES = ["envoy", "vendor"]
"""And those that these depend on: the sidecar, Redis."""

UNSET = (
    "COMPOSE_PROFILES",
    "TOLLGATE_PEPPER",
    "OPENAI_API_KEY",
    "ANTHROPIC_API_KEY",
    "GEMINI_API_KEY",
    "OPENROUTER_API_KEY",
)
"""What may be in the shell of who runs the tests."""

BACK_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Customer:
    """An owner with a key."""

    owner: str
    key: str


@dataclass(frozen=True, slots=True)
class Stack:
    """The running project; `config` is the folder of its YAML on this machine."""

    compose: DockerCompose
    config: Path

    @property
    def url(self) -> str:
        """Where callers find the gateway, without `/v1`."""
        return f"http://{self.published('envoy', 8080)}"

    @property
    def tls_url(self) -> str:
        """The same with TLS."""
        return f"https://{self.published('envoy', 8443)}"

    def openai(self, customer: Customer) -> OpenAI:
        """OpenAI's SDK with this customer's key; it tries nothing twice."""
        return OpenAI(base_url=f"{self.url}/v1", api_key=customer.key, max_retries=0, timeout=60)

    def customer(self, usd: str = "10") -> Customer:
        """A new owner with so much in the wallet, and a key."""
        owner = f"owner-{secrets.token_hex(6)}"
        customer = Customer(owner, self.tollgate("keys", "create", "--owner", owner)["plaintext"])
        if usd != "0":
            self.tollgate("wallet", "top-up", owner, usd)
        return customer

    def wallet(self, customer: Customer) -> tuple[int, int]:
        """What is held and what is used of the wallet, in nano."""
        wallet = self.tollgate("wallet", "show", customer.owner)
        return wallet["held_nano"], wallet["used_nano"]

    def charged(self, customer: Customer) -> int:
        """What a customer was charged in all, once nothing is held any more, in nano."""

        def ended() -> tuple[int, ...]:
            held, used = self.wallet(customer)
            return () if held else (used,)

        (used,) = eventually(ended, f"the end of what {customer.owner} asked for", BACK_SECONDS)
        return used

    def ends(self, request_id: str) -> list[dict[str, Any]]:
        """Who reported the end of a request."""
        entries: list[dict[str, Any]] = self.tollgate("trace", request_id)["entries"]
        return entries

    def tollgate(self, *arguments: str) -> Any:
        """What a command says in the sidecar's container."""
        return json.loads(self.inside("sidecar", "tollgate", *arguments, "--json"))

    def vendor(self, method: str, path: str) -> Any:
        """What the simulator says about itself."""
        return HTTP.request(method, f"http://{self.published('vendor', 9100)}/_sim/{path}").json()

    def published(self, service: str, port: int) -> str:
        """Where a TCP port of a service is found at the moment: a restart moves it."""
        return docker("port", self.container(service), f"{port}/tcp").strip()

    def container(self, service: str) -> str:
        """The id of a service's container."""
        return str(self.compose.get_container(service, include_all=True).ID)

    def inside(self, service: str, *command: str) -> str:
        """What a command says in a service's container. Raises `CalledProcessError`."""
        said, _, _ = self.compose.exec_in_container([*command], service)
        return said

    def inspect(self, service: str) -> dict[str, Any]:
        """What the engine knows of it."""
        (found,) = json.loads(docker("inspect", self.container(service)))
        assert isinstance(found, dict)
        return found

    def healthy(self, service: str) -> None:
        """Wait until it is."""
        eventually(
            lambda: self.inspect(service)["State"]["Health"]["Status"] == "healthy", f"the {service}", BACK_SECONDS
        )


def docker(*arguments: str) -> str:
    """What the engine's command line says. Raises `CalledProcessError`."""
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True, timeout=120).stdout


def why_not() -> str:
    """Why no container can be run here; empty when they can."""
    if not shutil.which("docker"):
        return "there is no docker command"
    try:
        docker("version", "--format", "{{.Server.Version}}")
        docker("compose", "version")
    except subprocess.CalledProcessError as error:
        return f"no Docker engine with compose answers: {error.stderr.strip().splitlines()[0]}"
    return ""


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Stack]:
    """The project, all of it healthy. Its containers, networks, volumes and image go at the end, whatever the end."""
    project = f"tollgate-test-{os.getpid()}"
    config = folder / "config"
    shutil.copytree(REPOSITORY / "config", config)
    for path in (config, *config.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)  # for the container's user
    values = {
        "COMPOSE_PROJECT_NAME": project,
        "TOLLGATE_IMAGE": f"tollgate:{project}",
        "GATEWAY_PORT": "0",
        "GATEWAY_TLS_PORT": "0",
        "GATEWAY_ADMIN_PORT": "0",
        "GATEWAY_CONFIG": str(config),
        "REDIS_PASSWORD": secrets.token_hex(16),
        **dict.fromkeys(UNSET, ""),
    }
    compose = DockerCompose(REPOSITORY, FILES, build=True, env_file=os.devnull, services=SERVICES)
    with pytest.MonkeyPatch.context() as shell, _swept(project):
        for name, value in values.items():
            shell.setenv(name, value)
        compose.start()
        yield Stack(compose, config)


@contextlib.contextmanager
def _swept(project: str) -> Iterator[None]:
    """Clean up at the end, and when this process is killed too: another one waits for that, at the end of a pipe."""
    clean = f"docker compose -p {project} down --volumes --timeout 0; docker image rm tollgate:{project}"
    sweeper = subprocess.Popen(
        ["sh", "-c", f"cat >/dev/null; {clean}"],
        cwd="/",
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        assert sweeper.stdin is not None
        sweeper.stdin.close()
        sweeper.wait(120)
