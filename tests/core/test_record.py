"""A usage record names all it takes to compute its cost again, and nothing that anyone said."""

from dataclasses import fields

import pytest

from extproc.core.ending import Report, conclude
from extproc.core.pricing import ONE, Usage, cost_nano
from extproc.core.record import UsageRecord, make_record
from extproc.dialects import routes
from tests.core.samples import KEY, RATES, quote

USAGE = Usage.of(500, 100, 0, 50, 20)
QUOTE = quote(routes.CHAT, True)


def record_of(report: Report) -> UsageRecord:
    """The record of a request that ended like this."""
    return make_record(QUOTE, report, conclude(QUOTE, report), "trailers")


def test_a_record_of_a_settled_request() -> None:
    """Everything that is kept of a request whose second channel answered, on the terms of the fallback group."""
    report = Report("id-1", 200, True, "b", USAGE, True, 12_000, attempts=2, first_byte_ms=80, duration_ms=900)
    assert record_of(report) == UsageRecord(
        request_id="id-1",
        time_ms=QUOTE.held_ms,
        owner="alice",
        key_id="key_1",
        key_prefix="sk-abcdefg",
        accounts=KEY.accounts("2026-11"),
        group="spare",
        model="gpt",
        vendor_model="gpt-b",
        channel="b",
        operation="openai.chat",
        stream=True,
        status=200,
        attempts=2,
        usage=USAGE,
        usage_source="reported",
        cost_nano=625_000,
        hold_nano=QUOTE.hold_nano,
        rates=RATES,
        multiplier_ppm=ONE // 2,
        revision="rev1",
        reporter="trailers",
        first_byte_ms=80,
        duration_ms=900,
    )


def test_a_record_of_a_request_that_no_channel_answered() -> None:
    """What nobody knows is None, the group is the key's own, and the cost is nothing."""
    record = record_of(Report("id-1", 503, True, "", None, False, 0))
    assert (record.group, record.channel, record.vendor_model) == ("main", None, None)
    assert (record.rates, record.multiplier_ppm) == (None, None)
    assert (record.usage, record.usage_source, record.cost_nano) == (Usage(), "none", 0)


@pytest.mark.parametrize(
    ("report", "source"),
    [
        (Report("id-1", 200, True, "a", USAGE, True, 0), "reported"),
        (Report("id-1", 200, False, "a", None, False, 2_400), "partial"),
        (Report("id-1", 200, True, "a", None, False, 2_400), "estimated"),
        (Report("id-1", 500, True, "a", None, False, 0), "none"),
    ],
)
def test_a_record_says_how_its_usage_is_known(report: Report, source: str) -> None:
    """`usage_source` is the state of the hold in words, `none` where nothing was charged."""
    assert record_of(report).usage_source == source


@pytest.mark.parametrize("sent_bytes", [0, 2_400, 10**9])
def test_a_cost_can_be_computed_again_from_its_record(sent_bytes: int) -> None:
    """Usage, rates and multiplier of the record give its cost, cut at its hold where it was estimated."""
    record = record_of(Report("id-1", 200, False, "b", None, False, sent_bytes))
    assert record.rates is not None
    assert record.multiplier_ppm is not None
    cost = cost_nano(record.usage, record.rates, record.multiplier_ppm)
    assert record.cost_nano == min(cost, record.hold_nano)


def test_a_record_is_metadata_only() -> None:
    """The fields of a record are these: no prompt, no answer, no more of the key than its prefix."""
    names = {field.name for field in fields(UsageRecord)}
    assert names == {
        *(
            "request_id",
            "time_ms",
            "owner",
            "key_id",
            "key_prefix",
            "accounts",
            "group",
            "model",
            "vendor_model",
            "channel",
        ),
        *("operation", "stream", "status", "attempts", "usage", "usage_source", "cost_nano", "hold_nano", "rates"),
        *("multiplier_ppm", "discount_ppm", "said", "doubts", "revision", "reporter", "first_byte_ms", "duration_ms"),
    }
    assert record_of(Report("id-1", 200, True, "a", USAGE, True, 0)).key_prefix == KEY.prefix
