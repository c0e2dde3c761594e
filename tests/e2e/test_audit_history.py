"""`tollgate audit` holds every charge against the commit that priced it: real git, real Redis, the real command."""

import asyncio
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from extproc.clock import now_ms
from extproc.config.load import load
from extproc.core.catalog import Catalog
from extproc.core.chain import build_chain
from extproc.core.ending import Report, conclude
from extproc.core.identity import KeyRecord
from extproc.core.learned import Learned
from extproc.core.ledger import End, Outcome
from extproc.core.pricing import Price, Terms, Usage
from extproc.core.quote import Ask, make_quote
from extproc.core.record import make_record
from extproc.dialects.routes import CHAT
from extproc.store.connection import Connection
from extproc.store.redis_ledger import RedisLedger
from tests.config.repository import commit, new_repository
from tests.core.samples import caller_of
from tests.store.redis_server import RedisServer

KEY = KeyRecord("key_1", "ada", "sk-abcdefg", "", "default")
PRICES = (("0.25,", "0.25,"), ("0.25,", "0.50,"), ("0.50,", "1.00,"))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of its own."""
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.kill()


def charge(server: RedisServer, catalog: Catalog, request_id: str) -> None:
    """One request of 1,000 tokens in and 10 out, from its quote to its charge, by a worker with this catalog."""
    chain = build_chain(catalog, KEY.groups, "gpt-5-mini", CHAT, random.Random(0))
    accounts, model = KEY.accounts("2026-11"), catalog.models["gpt-5-mini"]
    ask, terms = Ask("gpt-5-mini"), model.price_at(now_ms()).terms
    quote = make_quote(caller_of(KEY), accounts, ask, CHAT, model, terms, chain, catalog.revision, now_ms(), Learned())
    report = Report(request_id, 200, True, chain[0].channel.name, Usage.of(1_000, output_tokens=10), True, 0)
    verdict = conclude(quote, report)
    record = msgspec.json.encode(make_record(quote, report, verdict, "trailers")).decode()
    end = End(
        request_id, "ada", accounts, verdict.state, verdict.cost_nano, now_ms(), quote.deadline_ms, "trailers", record
    )

    async def told() -> Outcome:
        async with aclosing(Connection(server.url)) as connection:
            return (await RedisLedger(connection).end(end)).outcome

    assert asyncio.run(told()) is Outcome.ENDED


def audit(server: RedisServer, config: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command as an operator would, who has no credential of any channel."""
    command = [sys.executable, "-m", "extproc", "audit", "--config", str(config), "--redis", server.url, *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_every_charge_is_recomputed_from_the_commit_that_priced_it(server: RedisServer, tmp_path: Path) -> None:
    """A price changes twice: what each of the three charged is right, and a charge at another price is found.

    Its rates, its cost, the log and every balance agree with one another: only git can tell. Without the repository
    nobody can, and that is said.
    """
    config = new_repository(tmp_path / "repository")
    for number, (old, new) in enumerate(PRICES):
        commit(config, old, new)
        catalog = load(config, {"OPENAI_API_KEY": "sk"}).catalog
        charge(server, catalog, f"r{number}")
    clean = audit(server, config, "--json")
    assert clean.returncode == 0, clean.stdout + clean.stderr
    assert {"records": 3, "unknown_revisions": {}, "differences": []}.items() <= json.loads(clean.stdout).items()

    model = catalog.models["gpt-5-mini"]
    rates = model.price_at(0).terms.rates
    dearer = replace(model, prices=(Price(Terms(replace(rates, input=3_000_000_000))),))
    charge(server, replace(catalog, models={**catalog.models, "gpt-5-mini": dearer}), "dear")
    found = audit(server, config)
    assert found.returncode == 1
    (line,) = [line for line in found.stdout.splitlines() if line.startswith("ada: ")]
    assert line.startswith("ada: request dear terms: expected gpt-5-mini at input 1000000000, ")
    assert ", found gpt-5-mini at input 3000000000, " in line

    nowhere = audit(server, tmp_path)
    said = f"4 records were priced by revisions that are neither in {tmp_path} nor in its git history: "
    (line,) = [line for line in nowhere.stdout.splitlines() if line.startswith(said)]
    assert line.removeprefix(said).startswith(f"{catalog.revision} (2), ")
    assert nowhere.returncode == 0
