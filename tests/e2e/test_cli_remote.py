"""The command line of an operator elsewhere: through Envoy's listener of the admin API, without TLS and with."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from extproc.core.people import Scope
from extproc.names import TLS_CERTIFICATE
from tests.e2e.admin import make_token
from tests.e2e.conftest import CONFIG
from tests.e2e.harness import HTTP, Gateway, eventually, gateway

PRICE_NANO = 250 + 5 * 2000
"""Of one request for a model."""

LISTENERS = {"http": {}, "https": {"TOLLGATE_ADMIN_LISTEN": "0.0.0.0"}}


class Elsewhere:
    """Runs `tollgate` as a process that knows of a gateway but its address, its authority and a token."""

    def __init__(self, running: Gateway, scheme: str, folder: Path) -> None:
        self._folder = folder
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("TOLLGATE_")},
            "TOLLGATE_ADMIN_URL": f"{scheme}://127.0.0.1:{running.settings.edge.admin_port}",
            "TOLLGATE_ADMIN_CA": str(running.settings.edge.certificates / TLS_CERTIFICATE),
            "TOLLGATE_ADMIN_TOKEN": make_token(running, Scope.OPERATOR),
        }

    def __call__(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run it in a folder where there is nothing."""
        command = [sys.executable, "-m", "extproc", *arguments]
        environment = {**self.environment, **environment}
        return subprocess.run(
            command,
            cwd=self._folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def json(self, *arguments: str) -> Any:
        """What it prints for scripts, when all is well."""
        said = self(*arguments, "--json")
        assert said.returncode == 0, said.stderr
        return json.loads(said.stdout)


@pytest.fixture(scope="module", params=LISTENERS)
def administered(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with an admin API, for this machine alone or for others too."""
    folder = tmp_path_factory.mktemp(request.param)
    with gateway(CONFIG, folder, workers=1, environment=LISTENERS[request.param], admin=True) as running:
        yield running


@pytest.fixture
def elsewhere(administered: Gateway, request: pytest.FixtureRequest, tmp_path: Path) -> Elsewhere:
    """An operator's command line, once the API answers."""
    elsewhere = Elsewhere(administered, request.node.callspec.params["administered"], tmp_path)
    eventually(lambda: elsewhere("owners", "list").returncode == 0, "the admin API")
    return elsewhere


def chat(running: Gateway, key: str) -> int:
    """What a call with this key is answered with."""
    body = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "Hello"}]}
    headers = {"authorization": f"Bearer {key}"}
    return HTTP.post(f"{running.url}/v1/chat/completions", json=body, headers=headers).status_code


def test_an_owner_is_operated_from_elsewhere(administered: Gateway, elsewhere: Elsewhere, tmp_path: Path) -> None:
    """Declared by a file, paid for, used, billed, exported and disabled; what was changed is told with who did it."""
    (tmp_path / "people.yaml").write_text("owners: {acme: {discount: 0.5, keys: {ci: {cap: 1}}}}")
    apply = ("apply", "people.yaml", "--yes", "--keys-out", "keys.jsonl")
    assert elsewhere.json(*apply)["applied"] is True
    assert elsewhere(*apply).stdout == "Nothing to change.\n"
    made = json.loads((tmp_path / "keys.jsonl").read_text())
    assert chat(administered, made["plaintext"]) == 402
    elsewhere.json("wallet", "top-up", "acme", "2")
    assert chat(administered, made["plaintext"]) == 200

    def billed() -> Any:
        return elsewhere.json("usage", "--owner", "acme", "--by", "key")["totals"]

    def paid() -> bool:
        return bool(billed()) and billed()[0]["cost_nano"] == PRICE_NANO // 2

    eventually(paid, "the charge")
    assert billed()[0]["of"] == made["key_id"]
    assert elsewhere.json("wallet", "show", "acme")["used_nano"] == PRICE_NANO // 2
    (request,) = elsewhere.json("logs", "--owner", "acme")
    assert elsewhere("logs", "--owner", "acme", "--export", "usage.csv").returncode == 0
    assert request["request_id"] in (tmp_path / "usage.csv").read_text()
    assert elsewhere.json("keys", "disable", made["key_id"])["status"] == "disabled"
    assert chat(administered, made["plaintext"]) == 401
    changes = elsewhere.json("changes", "--owner", "acme")
    assert {change["what"] for change in changes} >= {"owner.edit", "key.create", "wallet.top_up", "key.edit"}
    assert all(change["who"].startswith("token:tok_") for change in changes)


def test_what_is_refused_is_one_clear_sentence(administered: Gateway, elsewhere: Elsewhere) -> None:
    """No token that counts, one that may only look, an id that nobody has, and an address that is another's: exit 1."""
    said = elsewhere("keys", "list", TOLLGATE_ADMIN_TOKEN="tga-nobody-ever-made-this-one-at-all")
    assert (said.returncode, said.stderr.splitlines()[0]) == (1, "tollgate: the admin token is not valid")
    said = elsewhere("owners", "set", "acme", "--suspend", TOLLGATE_ADMIN_TOKEN=make_token(administered, Scope.READ))
    assert (said.returncode, said.stderr) == (1, "tollgate: only an operator may do this\n")
    assert "there is no key 'nope'" in elsewhere("keys", "show", "nope").stderr
    said = elsewhere("keys", "list", "--admin", administered.url)
    assert (said.returncode, said.stdout) == (1, "")
    assert said.stderr.startswith(
        f"tollgate: {administered.url} answers: The API key is not valid.\nIs that the address"
    )
    assert "Traceback" not in said.stderr
