"""The terms in a record, held against the configuration that its revision names."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.core.audit import Difference, Prices
from extproc.core.catalog import Catalog, Dialect, Member, Model, Operation
from extproc.core.chain import MAX_ATTEMPTS, build_chain
from extproc.core.ending import Report, conclude
from extproc.core.learned import Learned
from extproc.core.ledger import State, UsageEntry
from extproc.core.pricing import FREE, ONE, Price, Rates, Terms, Usage
from extproc.core.quote import Ask, make_quote, terms_of
from extproc.core.record import UsageRecord, make_record
from tests.core import samples

CHAT = Operation("chat", Dialect.OPENAI)
EMBED = Operation("embed", Dialect.OPENAI, output=False)
COUNT = Operation("count", Dialect.OPENAI, priced=False, output=False)
MESSAGES = Operation("messages", Dialect.ANTHROPIC)
OPERATIONS = {each.name: each for each in (CHAT, EMBED, COUNT, MESSAGES)}

SILENT = Model("silent", (Price(Terms(Rates(7, 7, 7, 0, 0))),), generates=False, max_output_tokens=0)
CHANNELS = [samples.channel(f"c{number}", "gpt", "silent", vendor=f"v{number}-") for number in range(8)]
CLAUDE = samples.channel("claude", "gpt", dialect=Dialect.ANTHROPIC)


def catalog(revision: str, own: int, input_rate: int, multiplier_ppm: int) -> Catalog:
    """A group of so many channels and one of another dialect, and a fallback group at half price that shares one."""
    main = [*(Member(each, 0, 1) for each in CHANNELS[:own]), Member(CLAUDE, 0, 1)]
    spare = [Member(each, 0, 1) for each in CHANNELS[own - 1 :]]
    groups = (
        samples.group("main", *main, models="gpt silent", multiplier_ppm=multiplier_ppm),
        samples.group("spare", *spare, multiplier_ppm=multiplier_ppm // 2),
    )
    model = replace(samples.MODEL, prices=(Price(Terms(replace(samples.RATES, input=input_rate))),))
    return replace(samples.catalog(*groups, models=(model, SILENT)), revision=revision)


CATALOGS = {
    "old": catalog("old", 3, samples.RATES.input, ONE),
    "new": catalog("new", MAX_ATTEMPTS + 2, 5, 3 * ONE),
}


def settled(catalog: Catalog, operation: Operation, model: str, draw: Any, place: int) -> UsageRecord | None:
    """The record of a request that one channel of its chain answered; None where it has no chain."""
    chain = build_chain(catalog, ["main", "spare"], model, operation, draw)
    if not chain:
        return None
    ask = Ask(model, output_cap=5, text_bytes=9)
    accounts = samples.KEY.accounts("2026-11")
    priced = terms_of(catalog.models[model], operation, ask.said, 0)
    assert priced is not None
    quote = make_quote(
        samples.caller_of(samples.KEY),
        accounts,
        ask,
        operation,
        catalog.models[model],
        priced,
        chain,
        catalog.revision,
        0,
        Learned(),
    )
    channel = chain[place % len(chain)].channel.name
    report = Report("r", 200, clean=True, channel=channel, usage=Usage.of(9), usage_whole=True, sent_bytes=0)
    return make_record(quote, report, conclude(quote, report), "test")


RECORD = UsageRecord(
    request_id="r",
    time_ms=0,
    owner="alice",
    key_id="key_1",
    key_prefix="sk-abcdefg",
    accounts=(),
    group="main",
    model="gpt",
    vendor_model="v1-gpt",
    channel="c1",
    operation="chat",
    stream=False,
    status=200,
    attempts=1,
    usage=Usage(),
    usage_source="reported",
    cost_nano=0,
    hold_nano=0,
    rates=samples.RATES,
    multiplier_ppm=ONE,
    revision="old",
    reporter="test",
    first_byte_ms=None,
    duration_ms=None,
)


def terms(input_rate: int, multiplier_ppm: int) -> str:
    """Those of the record, in words, but at this price."""
    others = "cache_read 500000000, cache_write 2500000000, output 8000000000, reasoning 8000000000"
    return f"v1-gpt at input {input_rate}, {others} × {multiplier_ppm}"


TERMS = terms(2_000_000_000, 1_000_000)


def differences(record: UsageRecord) -> list[Difference]:
    """What is wrong with the terms of this record."""
    entry = UsageEntry("r", "alice", State.REPORTED, "test", record.cost_nano, False, 0, "")
    return list(Prices(CATALOGS.get, OPERATIONS).differences(entry, record))


answers = (
    st.sampled_from([*CATALOGS.values()]),
    st.sampled_from([*OPERATIONS.values()]),
    st.sampled_from(["gpt", "silent"]),
    st.randoms(use_true_random=False),
    st.integers(0, 9),
)
"""What `settled` takes: any request, and whoever answers it."""


@samples.steady
@given(*answers)
def test_what_was_quoted_is_what_the_audit_expects(
    priced_by: Catalog, operation: Operation, model: str, draw: Any, place: int
) -> None:
    """Whatever channel of whatever chain answers, at either price, also free and by a fallback group: no difference."""
    record = settled(priced_by, operation, model, draw, place)
    assert record is None or differences(record) == []


CHANGES: dict[str, tuple[dict[str, Any], str]] = {
    "another rate": ({"rates": replace(samples.RATES, input=1)}, TERMS),
    "no rates": ({"rates": None}, TERMS),
    "another multiplier": ({"multiplier_ppm": 2 * ONE}, TERMS),
    "another vendor's model": ({"vendor_model": "v2-gpt"}, TERMS),
    "the price of another revision": ({"revision": "new"}, terms(5, 3_000_000)),
    "free, as another operation is": ({"rates": FREE}, TERMS),
    "a group that has not this channel": ({"group": "spare"}, "none in old"),
    "a group that is not there": ({"group": "gone"}, "none in old"),
    "a model that is not there": ({"model": "gone"}, "none in old"),
    "a model that does not generate": ({"model": "silent"}, "none in old"),
    "a model that the group has not": (
        {"group": "spare", "channel": "c6", "model": "silent", "operation": "embed"},
        "none in old",
    ),
    "a channel that is not there": ({"channel": "gone"}, "none in old"),
    "no channel": ({"channel": None}, "none in old"),
    "a channel of another dialect": ({"channel": "claude"}, "none in old"),
    "an operation that is not there": ({"operation": "gone"}, "none in old"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_other_terms_are_a_difference(what: str) -> None:
    """One field of a good record is changed: the request is named, with what its revision says and what it says."""
    changed, expected = CHANGES[what]
    assert differences(RECORD) == []
    (difference,) = differences(replace(RECORD, **changed))
    assert (difference.owner, difference.what) == ("alice", "request r terms")
    assert difference.expected == expected != difference.found


def test_a_free_operation_costs_nothing() -> None:
    """Its terms are zero rates, whatever the model costs otherwise."""
    assert differences(replace(RECORD, operation="count", rates=FREE)) == []
    assert len(differences(replace(RECORD, operation="count"))) == 1


def test_an_unknown_revision_is_counted_and_no_difference() -> None:
    """By revision: what cannot be checked is not passed over in silence."""
    prices = Prices(CATALOGS.get, OPERATIONS)
    entry = UsageEntry("r", "alice", State.REPORTED, "test", 0, False, 0, "")
    for revision in ("gone", "lost", "gone", "old"):
        assert list(prices.differences(entry, replace(RECORD, revision=revision))) == []
    assert prices.unknown == {"gone": 2, "lost": 1}
