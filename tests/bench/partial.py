"""How close the charge for a stream that was cut comes to what the vendor had produced, on the simulator's mix.

No gateway runs: the simulator's bytes go straight into the rules. What was produced is what the events tell that were
written in full before the cut, and the whole prompt.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import exp, log
from random import Random
from statistics import median, quantiles
from typing import Final

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table

from extproc.core.catalog import Channel, Model
from extproc.core.chain import Attempt
from extproc.core.ending import Lesson, Report, conclude, lessons
from extproc.core.identity import Caller, KeyRecord, OwnerRecord
from extproc.core.learned import Learned
from extproc.core.pricing import ONE, Price, Rates, Terms, Usage, cost_nano
from extproc.core.quote import Quote, make_quote
from extproc.dialects.bodies import Body, read_body
from extproc.dialects.routes import MESSAGES, Route, find_route
from extproc.simulator import play, routes

LEARNED_FROM: Final = 200
CUT: Final = 400
LENGTHS: Final = (10, 2_000)
"""Events of an answer and words of a prompt: as many between 10 and 100 as between 100 and 1,000."""

WORD_BYTES: Final = (0, 4, 8)
"""A word as it comes, of 2 to 5 bytes, or padded to so many."""

PRICE: Final = Rates.of(1_000 * ONE, 5_000 * ONE)
_KEY: Final = KeyRecord("key_1", "alice", "sk-abcdefg", "", "default")
_CALLER: Final = Caller(_KEY, OwnerRecord(_KEY.owner))


@dataclass(frozen=True)
class Api:
    """One API that streams, and how many tokens the simulator is to say for each event."""

    path: str
    body: str
    tokens_per_event: int


APIS: Final = {
    "OpenAI chat": Api(
        "/v1/chat/completions",
        '{"model": "m", "stream": true, "messages": [{"role": "user", "content": PROMPT}]}',
        1,
    ),
    "OpenAI Responses": Api("/v1/responses", '{"model": "m", "stream": true, "input": PROMPT}', 1),
    "Anthropic": Api(
        "/v1/messages",
        '{"model": "m", "stream": true, "max_tokens": 9999, "messages": [{"role": "user", "content": PROMPT}]}',
        3,
    ),
    "Gemini": Api(
        "/v1beta/models/m:streamGenerateContent?alt=sse",
        '{"contents": [{"parts": [{"text": PROMPT}]}]}',
        12,
    ),
}


@dataclass(frozen=True)
class Figure:
    """One cut stream: what was charged, and what the tokens cost that were produced, in nano-USD."""

    charged_nano: int
    produced_nano: int

    @property
    def error(self) -> float:
        """How far the charge is off, as a part of what it should have been."""
        return abs(self.charged_nano - self.produced_nano) / self.produced_nano

    @property
    def overcharge_nano(self) -> int:
        """What was charged too much."""
        return max(0, self.charged_nano - self.produced_nano)


@dataclass(frozen=True)
class Answered:
    """One request and its whole answer, event by event."""

    quote: Quote
    usage: Usage
    opening: bytes
    events: list[bytes]
    closing: bytes


def measure(api: Api, draw: Random) -> list[Figure]:
    """Let some streams end and learn from them, then cut others."""
    learned = Learned()
    for _ in range(LEARNED_FROM):
        for lesson in _lessons(_answer(api, learned, draw)):
            learned.add(*lesson)
    learned.know(learned.take())
    return [_cut(_answer(api, learned, draw), api.tokens_per_event, draw) for _ in range(CUT)]


def _answer(api: Api, learned: Learned, draw: Random) -> Answered:
    chunks, words = (round(exp(draw.uniform(*map(log, LENGTHS)))) for _ in range(2))
    prompt = " ".join("x" * draw.randint(1, 9) for _ in range(words))
    script = f"sim-chunks={chunks},word_bytes={draw.choice(WORD_BYTES)},usage.output={chunks * api.tokens_per_event}"
    route = find_route("POST", api.path, {})
    assert isinstance(route, Route)
    body = read_body(route, api.body.replace("PROMPT", msgspec.json.encode(prompt).decode()).encode())
    assert isinstance(body, Body)
    told = play.play(1, routes.find("POST", f"/{script}{api.path}"), body.forward)
    assert told.usage
    usage = Usage.of(told.usage.input, output_tokens=told.usage.output)
    events = [told.answer.frames(place, place + 1) for place in range(chunks)]
    return Answered(_quote(route, body, learned), usage, told.answer.opening, events, told.answer.closing)


def _quote(route: Route, body: Body, learned: Learned) -> Quote:
    channel = Channel("c", route.operation.dialect, "http://vendor.test", None, {"m": "m"})
    chain = [Attempt(channel, "default", ONE, "m")]
    model = Model("m", (Price(Terms(PRICE)),), generates=True, max_output_tokens=100_000)
    return make_quote(
        _CALLER, _KEY.accounts("2026-11"), body.ask, route.operation, model, Terms(PRICE), chain, "r", 0, learned
    )


def _lessons(answered: Answered) -> Iterator[Lesson]:
    size = len(answered.opening) + sum(map(len, answered.events)) + len(answered.closing)
    return lessons(answered.quote, Report("r", 200, True, "c", answered.usage, True, size))


def _cut(answered: Answered, tokens_per_event: int, draw: Random) -> Figure:
    """Cut it anywhere, or, one in ten, in the first ten events; Anthropic has told the input by then."""
    first = len(answered.events) if draw.random() < 0.9 else min(10, len(answered.events))
    whole, torn = divmod(draw.uniform(0, first), 1)
    last = answered.events[min(int(whole), len(answered.events) - 1)]
    sent = [*answered.events[: int(whole)], last[: int(torn * len(last))]]
    size = len(answered.opening) + sum(map(len, sent))
    told = Usage.of(answered.usage.input_tokens) if answered.quote.operation == MESSAGES.name else None
    verdict = conclude(answered.quote, Report("r", 200, False, "c", told, False, size))
    produced = replace(answered.usage, output_tokens=int(whole) * tokens_per_event)
    return Figure(verdict.cost_nano, cost_nano(produced, PRICE, ONE))


def run(console: Console) -> dict[str, dict[str, float]]:
    """Measure every API and print the errors."""
    table = Table(title="charge of a cut stream against what was produced", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("API")
    for column in ("cut", "median error", "90th percentile", "overcharged", "by at most"):
        table.add_column(column, justify="right")
    results, everything = {}, list[Figure]()
    for name, api in APIS.items():
        figures = measure(api, Random(name))
        everything += figures
        results[name] = _row(table, name, figures)
    results["all"] = _row(table, "all", everything)
    console.print(table)
    return results


def _row(table: Table, name: str, figures: list[Figure]) -> dict[str, float]:
    errors = [figure.error for figure in figures]
    over = [figure.overcharge_nano for figure in figures if figure.overcharge_nano]
    found = {
        "median": median(errors),
        "p90": quantiles(errors, n=10)[-1],
        "overcharged": len(over),
        "most_nano": max(over, default=0),
    }
    table.add_row(
        name,
        f"{len(figures):,}",
        f"{found['median']:.1%}",
        f"{found['p90']:.1%}",
        f"{found['overcharged']:,}",
        f"{found['most_nano']:,} nano-USD",
    )
    return found
