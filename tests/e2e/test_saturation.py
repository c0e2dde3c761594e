"""What a chain ends in, as the caller is told it; and the limits that a channel and a group set to an attempt."""

from typing import Any

import httpx
import pytest

from extproc.core.catalog import Dialect
from extproc.dialects.errors import error_body
from extproc.errors import NO_CHANNEL, UPSTREAM_SATURATED, Refusal
from extproc.names import PUBLIC_CHANNEL_HEADER, RATE_HEADERS
from tests.e2e.calls import FORMS, call, headers, streams_running
from tests.e2e.harness import HTTP, Customer, Gateway

ANTHROPIC, GEMINI, OPENAI = Dialect.ANTHROPIC, Dialect.GEMINI, Dialect.OPENAI
PAUSED = {"chunks": 9, "pause_at": 1}
"""A stream that has begun, and goes on when it is told to."""


def _go_on(gateway: Gateway) -> None:
    HTTP.post(f"{gateway.simulator_url}/_sim/resume")


# --- The words --------------------------------------------------------------------------------------------------------

ENDS = {
    "429": ("ends-busy", "chat", OPENAI, UPSTREAM_SATURATED, "9"),
    "429, for a stream": ("ends-busy", "chat stream", OPENAI, UPSTREAM_SATURATED, "9"),
    "429 without retry-after": ("busy-everywhere", "messages", ANTHROPIC, UPSTREAM_SATURATED, "2"),
    "429 without retry-after, for a stream": ("busy-everywhere", "generate stream", GEMINI, UPSTREAM_SATURATED, "2"),
    "503": ("ends-503", "chat", OPENAI, NO_CHANNEL, "2"),
    "nobody there": ("only-refuses", "chat", OPENAI, NO_CHANNEL, "2"),
    "nobody there, behind the gate": ("only-limited-dead", "chat", OPENAI, NO_CHANNEL, "2"),
    "nobody there, for Claude": ("claude-refuses", "messages stream", ANTHROPIC, NO_CHANNEL, "2"),
    "nobody there, for Gemini": ("gem-refuses", "generate", GEMINI, NO_CHANNEL, "2"),
}


@pytest.mark.parametrize(("group", "form", "dialect", "refusal", "retry_after"), ENDS.values(), ids=ENDS)
def test_the_end_of_a_chain_is_told_in_our_words(
    chains: Gateway, group: str, form: str, dialect: Dialect, refusal: Refusal, retry_after: str
) -> None:
    """Envoy words it as the table of errors does, in the caller's dialect; of the vendor only Retry-After is left."""
    customer = chains.customer(group=group)

    answer = call(chains, customer, form)

    request_id = answer.headers["x-tollgate-request-id"]
    assert answer.status_code == refusal.status
    assert answer.json() == httpx.Response(200, content=error_body(dialect, refusal, request_id)).json()
    assert answer.headers.get_list("retry-after") == [retry_after]
    assert answer.headers["content-type"] == "application/json"
    assert not {"x-request-id", *RATE_HEADERS} & answer.headers.keys()
    (record,) = chains.settled(customer, records=1)
    assert (record["status"], record["state"], record["charged_nano"]) == (refusal.status, "RELEASED", 0)


def test_the_caller_can_tell_by_the_code(chains: Gateway) -> None:
    """Their own limit, saturated upstreams and none that is there have a code each; of their own it says which."""
    limited = chains.customer(group="limited")
    own = [call(chains, limited, "chat") for _ in range(3)][-1]
    others = [call(chains, chains.customer(group=group), "chat") for group in ("ends-busy", "only-refuses")]
    assert [(answer.status_code, answer.json()["error"]["code"]) for answer in (own, *others)] == [
        (429, "rate_limit_exceeded"),
        (429, "upstream_saturated"),
        (503, "service_unavailable"),
    ]
    assert own.json()["error"]["reason"] == "requests_per_minute_exceeded"


def test_saturation_leaves_the_keys_own_limits_visible(chains: Gateway) -> None:
    """An answer that Envoy words tells what is left of the key's minute, as every other does."""
    answer = call(chains, chains.customer(group="busy-limited"), "chat")
    assert answer.json()["error"]["code"] == "upstream_saturated"
    assert answer.headers["x-ratelimit-limit-requests"] == "5"
    assert answer.headers["x-ratelimit-remaining-requests"] == "4"


@pytest.mark.parametrize("status", [400, 401, 404, 422, 500])
def test_every_other_answer_is_the_vendors(chains: Gateway, status: int) -> None:
    """What is wrong with a request the vendor knows best."""
    group = "ends-500" if status == 500 else "default"
    answer = call(chains, chains.customer(group=group), "chat", {"status": status})
    assert answer.status_code == status
    assert answer.json()["error"]["message"] == "simulator: scripted by the request"


# --- How many at once -------------------------------------------------------------------------------------------------


def test_a_full_channel_is_passed_over(chains: Gateway) -> None:
    """While it has as many requests as it may, the next channel answers; then it is asked again. Nobody pays twice."""
    customer = chains.customer(group="limited-then-b")
    with streams_running(chains, customer, 1, PAUSED) as (reading,):
        assert call(chains, customer, "chat").status_code == 200
        _go_on(chains)
    assert (reading.status, reading.cut, len(reading.words)) == (200, False, 9)
    assert call(chains, customer, "chat").status_code == 200
    ended = [(each["channel"], each["attempts"], each["state"]) for each in chains.settled(customer, records=3)]
    assert sorted(ended) == [("b", 2, "REPORTED"), ("limited", 1, "REPORTED"), ("limited", 1, "REPORTED")]


def test_a_full_channel_at_the_end_of_the_chain_is_saturation(chains: Gateway) -> None:
    """To the caller the operator's limit of a channel is the same as the vendor's."""
    customer = chains.customer(group="only-limited")
    with streams_running(chains, customer, 1, PAUSED):
        answer = call(chains, customer, "chat")
        _go_on(chains)
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "upstream_saturated")
    assert answer.headers["retry-after"] == "2"


def test_the_gate_changes_nothing(chains: Gateway) -> None:
    """Through the gate vendor and caller get the headers that any get, and the Host is right; a cut stream is cut."""
    customer = chains.customer(group="only-limited")
    chains.forget_received()
    through, past = call(chains, customer, "chat"), call(chains, chains.customer(group="half"), "chat")
    assert through.headers.keys() == past.headers.keys()
    (gated,), (plain,) = chains.received("limited"), chains.received("b")
    assert gated["headers"].keys() == plain["headers"].keys()
    assert gated["headers"]["host"] == plain["headers"]["host"] == f"localhost:{chains.settings.demo_port}"

    with streams_running(chains, customer, 1, {"chunks": 9, "reset_after": 3}) as (reading,):
        pass

    assert (reading.cut, len(reading.words)) == (True, 3)
    assert [record["state"] for record in chains.settled(customer, records=2)] == ["REPORTED", "PARTIAL"]


def test_a_sick_vendor_is_left_alone_behind_the_gate_too(chains: Gateway) -> None:
    """After three failures it is asked no more; every request is answered by the next."""
    customer = chains.customer(group="limited-sick-then-b")
    chains.forget_received()
    assert [call(chains, customer, "chat").status_code for _ in range(6)] == [200] * 6
    assert len(chains.received("limited-sick")) == 3


# --- How long, and who ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("group", "form"), [("impatient", "chat"), ("impatient", "chat stream"), ("impatient-for-streams", "chat stream")]
)
def test_a_silent_channel_is_given_up(chains: Gateway, group: str, form: str) -> None:
    """When the group's time is over before an answer begins, the next channel is asked, and is the one that is paid."""
    customer = chains.customer(group=group)
    assert call(chains, customer, form).status_code == 200
    (record,) = chains.settled(customer, records=1)
    assert (record["channel"], record["attempts"], record["state"]) == ("b", 2, "REPORTED")


def test_a_stream_that_has_begun_is_left_alone(chains: Gateway) -> None:
    """The time is for the beginning: a stream may take longer than it."""
    customer = chains.customer(group="impatient-for-streams")
    with streams_running(chains, customer, 1, {"chunks": 5, "delay_ms": 400}) as (reading,):
        pass
    assert (reading.cut, len(reading.words)) == (False, 5)


def _models(gateway: Gateway, customer: Customer) -> list[Any]:
    answer = httpx.get(f"{gateway.url}/v1/models", headers=headers(FORMS["chat"], customer.key))
    return [model["id"] for model in answer.json()["data"]]


def test_channels_off_duty_are_asked_nothing(chains: Gateway) -> None:
    """Neither a drained nor a disabled channel is tried; a model that nobody else serves is not there at all."""
    chains.forget_received()
    customer, nobodys = chains.customer(group="off-duty-then-b"), chains.customer(group="off-duty")
    assert call(chains, customer, "chat").status_code == 200
    assert [each["vendor"] for each in chains.received()] == ["b"]
    assert "chat" in _models(chains, customer)
    assert _models(chains, nobodys) == []
    assert call(chains, nobodys, "chat").json()["error"]["code"] == "model_not_found"


def test_a_bound_group_serves_one_dialect(chains: Gateway) -> None:
    """A key of a group for Anthropic's clients can be used with these alone."""
    customer = chains.customer(group="bound")
    assert call(chains, customer, "messages").status_code == 200
    assert [call(chains, customer, form).status_code for form in ("chat", "generate")] == [404, 404]


CHANNELS_TOLD: dict[str, tuple[str, tuple[str, ...], dict[str, Any], str | None]] = {
    "the one that answered": ("shows", (), {}, "a"),
    "with an error too": ("shows", (), {"status": 400}, "a"),
    "not by default": ("busy-then-b", (), {}, None),
    "not of a fallback group that does not show it": ("shows-busy", ("half",), {}, None),
    "of a fallback group that does": ("ends-busy", ("shows",), {}, "a"),
    "the last one asked, when none answered": ("shows-busy", (), {}, "busy"),
}


@pytest.mark.parametrize(("group", "fallback", "script", "channel"), CHANNELS_TOLD.values(), ids=CHANNELS_TOLD)
def test_the_channel_is_told_only_where_its_group_shows_it(
    chains: Gateway, group: str, fallback: tuple[str, ...], script: dict[str, Any], channel: str | None
) -> None:
    """Channels are the operator's secret; a group may lift it for those that it lends."""
    answer = call(chains, chains.customer(group=group, fallback_groups=fallback), "chat", script)
    assert answer.headers.get(PUBLIC_CHANNEL_HEADER) == channel
