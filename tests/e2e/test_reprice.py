"""`tollgate reprice` recomputes charges from the commits that priced them: real git, real Redis, the real command."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from extproc.config.load import load
from extproc.core.pricing import Price, Terms
from tests.config.repository import commit, new_repository
from tests.e2e.test_audit_history import charge
from tests.store.redis_server import RedisServer

MODEL = "gpt-5-mini"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of its own."""
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.kill()


def reprice(server: RedisServer, config: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command as an operator would, who has no credential of any channel."""
    command = [sys.executable, "-m", "extproc", "reprice", "--config", str(config), "--redis", server.url, *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_a_charge_is_explained_by_the_commit_that_priced_it(server: RedisServer, tmp_path: Path) -> None:
    """After the price has doubled the old request is recomputed at the old one; a charge at a made-up one is found."""
    config = new_repository(tmp_path / "repository")
    old = load(config, {"OPENAI_API_KEY": "sk"}).catalog
    charge(server, old, "old")
    commit(config, "0.25,", "0.50,")
    charge(server, load(config, {"OPENAI_API_KEY": "sk"}).catalog, "new")

    one = reprice(server, config, "old")
    assert one.returncode == 0, one.stdout + one.stderr
    heading, _, first, second, verdict = one.stdout.splitlines()
    assert heading.startswith(f"old: {MODEL} in group default over openai, usage reported; revision {old.revision}")
    assert " ".join(first.split()) == "input 1,000 0.25 USD per million × 0.95 237500 0.0002375"
    assert second.startswith("output ")
    assert verdict == "charged 256500 nano, 0.0002565 USD; recomputed 256500 nano: the same"

    clean = reprice(server, config, "--owner", "ada", "--json")
    assert clean.returncode == 0
    assert [(each["request_id"], each["recomputed_nano"]) for each in json.loads(clean.stdout)] == [
        ("old", 256_500),
        ("new", 494_000),
    ]

    rates = replace(old.models[MODEL].price_at(0).terms.rates, input=3_000_000_000)
    dearer = replace(old.models[MODEL], prices=(Price(Terms(rates)),))
    charge(server, replace(old, models={**old.models, MODEL: dearer}), "dear")
    found = reprice(server, config, "--since", "2020-01-01")
    assert found.returncode == 1
    _, row, summary = found.stdout.splitlines()
    assert row.split() == ["dear", "ada", MODEL, old.revision, "0.002869", "USD", "0.0002565", "USD"]
    assert summary == "3 requests, 1 charged otherwise than recomputed, 0 of unknown revisions."
    assert reprice(server, config, "dear").returncode == 1
    assert reprice(server, config, "--since", "2999-01-01").stdout.startswith("0 requests, ")

    nowhere = reprice(server, tmp_path, "old")
    assert nowhere.returncode == 0
    assert "it cannot be recomputed: its revision is neither in " in nowhere.stdout

    for arguments, message in (((), "name a request, or an --owner"), (("gone",), "there is no request gone")):
        refused = reprice(server, config, *arguments)
        assert refused.returncode == 1
        assert message in refused.stderr
