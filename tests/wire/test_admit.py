"""admit on a `MemoryLedger`: what a stream of two messages is answered, and what is held afterwards."""

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC
from itertools import product
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict

from extproc.core import identity
from extproc.core.catalog import Catalog, Member
from extproc.core.identity import Caller, KeyRecord, KeyStatus, OwnerRecord, OwnerStatus
from extproc.core.learned import Learned
from extproc.core.ledger import ENTERED, Account, AccountKind, Hold, HoldResult, Outcome, State
from extproc.core.memory_ledger import MemoryLedger
from extproc.core.money import Currency
from extproc.core.task import Task
from extproc.dialects import routes
from extproc.dialects.self_service import Totals
from extproc.errors import LedgerUnavailable
from extproc.wire import admit as module
from extproc.wire.admit import _REFUSALS, Admission
from extproc.wire.pb.core_pb2 import HeaderMap, HeaderValue
from extproc.wire.pb.ext_proc_pb2 import HttpBody, HttpHeaders, ProcessingRequest, ProcessingResponse
from extproc.wire.self_service import SelfService
from tests.core.samples import KEY, MODEL, caller_of, channel, group, quote

PLAINTEXT = "sk-0123456789abcdefghij"
PEPPER = b"pepper"
BODY = b'{"model":"gpt","messages":[],"max_tokens":10}'
CATALOG = Catalog.of(
    "r1", {"a": channel("a", "gpt")}, {"gpt": MODEL}, {"main": group("main", Member(channel("a", "gpt"), 0, 1))}
)
WALLET = Account(AccountKind.WALLET, KEY.owner)


@dataclass
class Keys:
    """A keyring whose cache may lag behind: `cached` is what it remembers, `fresh` what there is."""

    cached: KeyRecord | None
    fresh: KeyRecord | None
    said: Mapping[str, Any] = field(default_factory=dict)
    said_now: Mapping[str, Any] | None = None

    async def find(self, digest: str) -> Caller | None:
        return self._caller(self.cached, self.said, digest)

    async def find_fresh(self, digest: str) -> Caller | None:
        return self._caller(self.fresh, self.said if self.said_now is None else self.said_now, digest)

    def _caller(self, key: KeyRecord | None, said: Mapping[str, Any], digest: str) -> Caller | None:
        return caller_of(key, **said) if key and digest == identity.digest(PEPPER, PLAINTEXT) else None


class LedgerAway(MemoryLedger):
    """A ledger that cannot be reached."""

    async def hold(self, hold: Hold) -> HoldResult:
        raise LedgerUnavailable(f"no answer for {hold.hold_id}")


class LedgerBroken(MemoryLedger):
    """A ledger with a fault of ours in it, behind a hold that was taken."""

    async def hold(self, hold: Hold) -> HoldResult:
        await super().hold(hold)
        raise RuntimeError(f"something about {hold.record}")


@dataclass
class Tasks:
    """Those that there are."""

    known: list[Task] = field(default_factory=list)

    async def add(self, task: Task) -> bool:
        raise NotImplementedError(task)

    async def find(self, owner: str, task_id: str) -> Task | None:
        return next((task for task in self.known if (task.owner, task.task_id) == (owner, task_id)), None)


class NoUsage:
    """The usage of keys that were never used."""

    async def totals(self, key: KeyRecord, from_ms: int, until_ms: int) -> Totals:
        raise NotImplementedError(key, from_ms, until_ms)


@dataclass
class Stream:
    """A gRPC stream as admit sees it."""

    later: list[ProcessingRequest]
    written: list[ProcessingResponse] = field(default_factory=list)

    async def read(self) -> Any:
        return self.later.pop(0) if self.later else None

    async def write(self, response: ProcessingResponse) -> None:
        self.written.append(response)


def headers(pairs: Mapping[str, str], ends: bool = False, address: str = "") -> ProcessingRequest:
    """The first message of a stream, of a request from this address and port."""
    listed = [HeaderValue(key=name, raw_value=value.encode()) for name, value in pairs.items()]
    request = ProcessingRequest(request_headers=HttpHeaders(headers=HeaderMap(headers=listed), end_of_stream=ends))
    if address:
        request.attributes["envoy.filters.http.ext_proc"].update({"source.address": address})
    return request


POST = {
    ":method": "POST",
    ":path": "/v1/chat/completions",
    "authorization": f"Bearer {PLAINTEXT}",
    "x-request-id": "r-1",
}


async def funded(ledger: MemoryLedger, key: KeyRecord = KEY) -> MemoryLedger:
    """The ledger, with this key and a dollar in its owner's wallet."""
    ledger.put_key(key)
    await ledger.top_up(key.owner, 10**9, "test", 0)
    return ledger


async def admit(
    ledger: MemoryLedger,
    keys: Keys,
    head: Mapping[str, str] = POST,
    body: bytes | None = BODY,
    catalog: Catalog = CATALOG,
    currency: Currency | None = None,
    tasks: Tasks | None = None,
    address: str = "",
) -> list[ProcessingResponse]:
    """What admit answers to these headers and this body."""
    draw = random.Random(1)
    known = tasks or Tasks()
    own = SelfService(ledger, NoUsage(), UTC)
    admission = Admission(
        lambda: catalog, keys, ledger, PEPPER, lambda: 1_000, draw, UTC, Learned(), known, own, currency
    )
    stream = Stream([] if body is None else [ProcessingRequest(request_body=HttpBody(body=body, end_of_stream=True))])
    first = headers(head, body is None and head[":method"] != "POST", address)
    await admission.serve(first, stream)  # type: ignore[arg-type]
    return stream.written


def refusal(responses: list[ProcessingResponse]) -> tuple[int, str, str]:
    """Status, code and response code details of the last answer, which must be a refusal."""
    last = responses[-1]
    assert last.WhichOneof("response") == "immediate_response"
    immediate = last.immediate_response
    return immediate.status.code, json.loads(immediate.body)["error"]["code"], immediate.details


def limits_in(response: ProcessingResponse) -> dict[str, str]:
    """What the caller will be told of the key's minute."""
    limits: dict[str, str] = MessageToDict(response.dynamic_metadata)["tollgate"].get("limits", {})
    return limits


async def test_two_answers_and_one_hold() -> None:
    """The headers are continued, the body is forwarded with its chain, and the estimate is held under Envoy's id."""
    ledger = await funded(MemoryLedger())
    first, second = await admit(ledger, Keys(KEY, KEY))
    assert first.WhichOneof("response") == "request_headers"
    assert second.WhichOneof("response") == "request_body"
    assert "tollgate.chain" in second.typed_dynamic_metadata
    input_tokens = -(-len(BODY) // 3)
    held = (await ledger.balance(KEY.owner, WALLET)).held_nano
    assert held == input_tokens * 2_500 + 10 * 8_000


@pytest.mark.parametrize(
    ("cached", "fresh", "status"),
    [
        (replace(KEY, revision=1), replace(KEY, revision=2), None),
        (replace(KEY, status=KeyStatus.DISABLED), KEY, None),
        (KEY, replace(KEY, status=KeyStatus.DISABLED, revision=2), 401),
        (replace(KEY, revision=1), replace(KEY, revision=2, group="nowhere"), 404),
        (replace(KEY, revision=1), replace(KEY, revision=2, expires_ms=1), 401),
    ],
    ids=["edited since", "enabled since", "disabled since", "moved to another group since", "expired since"],
)
async def test_a_stale_cache_decides_nothing(cached: KeyRecord, fresh: KeyRecord, status: int | None) -> None:
    """What the key is now decides, whatever the worker remembered; a refusal holds nothing."""
    ledger = await funded(MemoryLedger(), fresh)
    responses = await admit(ledger, Keys(cached, fresh))
    if status is None:
        assert responses[-1].WhichOneof("response") == "request_body"
        return
    assert refusal(responses)[0] == status
    assert (await ledger.balance(KEY.owner, WALLET)).held_nano == 0


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"status": OwnerStatus.SUSPENDED}, "owner_suspended"),
        ({"tier": "default"}, "group_not_allowed"),
        ({"tier": "lowered"}, None),
    ],
    ids=["suspended", "a tier without the key's group", "a tier without its fallback group"],
)
async def test_what_is_said_of_an_owner_decides(said: dict[str, Any], reason: str | None) -> None:
    """403 at the headers, before a body is read; a fallback group that the tier does not have is in no chain."""
    ledger = await funded(MemoryLedger())
    ledger.put_owner(OwnerRecord(KEY.owner, **said, revision=3))
    spare = group("spare", Member(channel("b", "gpt"), 0, 1))
    tiers = {"default": frozenset(["spare"]), "lowered": frozenset(["main"])}
    catalog = Catalog.of("r1", CATALOG.channels, CATALOG.models, {**CATALOG.groups, "spare": spare}, tiers)
    responses = await admit(ledger, Keys(KEY, KEY, {**said, "revision": 3}), catalog=catalog)
    if reason:
        assert (len(responses), refusal(responses)) == (1, (403, "permission_denied", f"tollgate_{reason}"))
        return
    quote = MessageToDict(responses[-1].dynamic_metadata)["tollgate"]["quote"]
    assert ('"a"' in str(quote), '"b"' in str(quote)) == (True, False)


HERE, ELSEWHERE = replace(KEY, allowed_ips=("192.0.2.0/24",)), replace(KEY, allowed_ips=("198.51.100.0/24",))
NO_MODELS = replace(KEY, allowed_models=("other*",))


@pytest.mark.parametrize(
    ("address", "path", "allowed"),
    [
        ("192.0.2.7:4711", "/v1/chat/completions", True),
        ("[::ffff:192.0.2.7]:4711", "/v1/chat/completions", True),
        ("192.0.2.7:0", "/v1/models", True),
        ("192.0.3.7:4711", "/v1/chat/completions", False),
        ("192.0.3.7:4711", "/v1/models", False),
        ("192.0.3.7:4711", "/v1/models/gpt", False),
        ("192.0.3.7:4711", "/v1/videos/video_1", False),
        ("192.0.3.7:4711", "/v1/nothing", False),
        ("[2001:db8::7]:4711", "/v1/chat/completions", False),
        ("@/run/caller.sock", "/v1/chat/completions", False),
        ("", "/v1/chat/completions", False),
    ],
)
async def test_the_address_is_what_envoy_says(address: str, path: str, allowed: bool) -> None:
    """By its attribute and by no header; elsewhere 403 at the headers, whatever is asked for."""
    ledger = await funded(MemoryLedger(), HERE)
    head = {**POST, ":path": path, "x-forwarded-for": "192.0.2.7", "forwarded": "for=192.0.2.7"}
    get = "/v1/models" in path or "/v1/videos" in path
    head |= {":method": "GET"} if get else {}
    answers = await admit(ledger, Keys(HERE, HERE), head, None if get else BODY, address=address)
    if allowed:
        assert len(answers) == (1 if get else 2)
        assert answers[0].immediate_response.status.code in (0, 200)
        return
    assert (len(answers), refusal(answers)) == (1, (403, "permission_denied", "tollgate_ip_not_allowed"))
    assert (await ledger.balance(KEY.owner, WALLET)).held_nano == 0


@pytest.mark.parametrize(
    ("cached", "fresh", "status"),
    [
        (ELSEWHERE, replace(HERE, revision=2), None),
        (HERE, replace(ELSEWHERE, revision=2), 403),
        (NO_MODELS, replace(KEY, revision=2), None),
        (KEY, replace(NO_MODELS, revision=2), 404),
        (replace(KEY, group="nowhere"), replace(KEY, revision=2), None),
    ],
    ids=["allowed since", "kept out since", "model allowed since", "model taken since", "group given since"],
)
async def test_lists_as_they_were_decide_nothing(cached: KeyRecord, fresh: KeyRecord, status: int | None) -> None:
    """Whatever the worker remembered of them, the next request is decided by what they are now."""
    ledger = await funded(MemoryLedger(), fresh)
    answers = await admit(ledger, Keys(cached, fresh), address="192.0.2.7:1")
    if status is None:
        assert answers[-1].WhichOneof("response") == "request_body"
    else:
        assert refusal(answers)[0] == status


async def test_a_model_that_a_key_may_not_ask_for() -> None:
    """It is not there, as one that another group has: not to be called, listed or looked up, and nothing is held."""
    ledger = await funded(MemoryLedger(), NO_MODELS)
    moved = replace(KEY, group="nowhere")
    told = [await admit(ledger, Keys(key, key)) for key in (NO_MODELS, moved)]
    assert refusal(told[0]) == refusal(told[1]) == (404, "model_not_found", "tollgate_model_not_found")
    assert told[0][-1].immediate_response.body == told[1][-1].immediate_response.body
    get = {**POST, ":method": "GET", ":path": "/v1/models"}
    (listed,) = await admit(ledger, Keys(NO_MODELS, NO_MODELS), get, None)
    assert json.loads(listed.immediate_response.body)["data"] == []
    assert refusal(await admit(ledger, Keys(NO_MODELS, NO_MODELS), {**get, ":path": "/v1/models/gpt"}, None))[0] == 404
    assert (await ledger.balance(KEY.owner, WALLET)).held_nano == 0


async def test_an_owner_as_they_were_is_asked_for_again() -> None:
    """A worker that knows the owner's discount as it was is told by the ledger, and holds at what it is now."""
    ledger = await funded(MemoryLedger())
    ledger.put_owner(OwnerRecord(KEY.owner, discount_ppm=500_000, revision=1))
    await admit(ledger, Keys(KEY, KEY), head={**POST, "x-request-id": "r-0"})
    assert (await ledger.balance(KEY.owner, WALLET)).held_nano == 0
    await admit(ledger, Keys(KEY, KEY, said_now={"discount_ppm": 500_000, "revision": 1}))
    held = (await ledger.balance(KEY.owner, WALLET)).held_nano
    assert held == (-(-len(BODY) // 3) * 2_500 + 10 * 8_000) // 2


@pytest.mark.parametrize(
    ("ledger", "expected"),
    [
        (LedgerAway(), (503, "service_unavailable", "tollgate_unsure_ledger_unavailable")),
        (LedgerBroken(), (500, "internal_error", "tollgate_unsure_internal_error")),
    ],
)
async def test_a_fault_fails_closed_and_says_that_a_hold_may_be_left(
    ledger: MemoryLedger, expected: tuple[int, str, str]
) -> None:
    """No fault lets a request through; its details tell the access log to release whatever was held."""
    assert refusal(await admit(await funded(ledger), Keys(KEY, KEY))) == expected


async def test_a_fault_is_not_told_to_the_caller() -> None:
    """The words of an exception stay inside."""
    responses = await admit(await funded(LedgerBroken()), Keys(KEY, KEY))
    assert b"something" not in responses[-1].immediate_response.body


async def test_a_refusal_for_money_says_how_much() -> None:
    """402 with what the request may cost and what is left."""
    ledger = MemoryLedger()
    ledger.put_key(KEY)
    responses = await admit(ledger, Keys(KEY, KEY))
    assert refusal(responses) == (402, "insufficient_quota", "tollgate_billing_shortfall")
    assert b"0.00 USD is left" in responses[-1].immediate_response.body
    told = await admit(ledger, Keys(KEY, KEY), currency=Currency.parse("EUR:0.92"))
    assert b"0.00 USD (0.00 EUR) is left" in told[-1].immediate_response.body


async def test_a_second_admission_of_one_request_holds_once() -> None:
    """Envoy asks another worker when one dies: the same id, key and amount go on with the hold there is."""
    ledger = await funded(MemoryLedger())
    await admit(ledger, Keys(KEY, KEY))
    once = await ledger.balance(KEY.owner, WALLET)
    responses = await admit(ledger, Keys(KEY, KEY))
    assert responses[-1].WhichOneof("response") == "request_body"
    assert await ledger.balance(KEY.owner, WALLET) == once


async def test_an_id_that_was_used_for_something_else_is_no_free_pass() -> None:
    """A hold of another amount under the same id is not taken for this request's."""
    ledger = await funded(MemoryLedger())
    await admit(ledger, Keys(KEY, KEY))
    responses = await admit(ledger, Keys(KEY, KEY), body=BODY.replace(b"10}", b"11}"))
    assert refusal(responses)[0] == 500


async def test_a_caller_that_leaves_before_the_body_holds_nothing() -> None:
    """When no body comes the stream just ends."""
    ledger = await funded(MemoryLedger())
    (only,) = await admit(ledger, Keys(KEY, KEY), body=None)
    assert only.WhichOneof("response") == "request_headers"
    assert (await ledger.balance(KEY.owner, WALLET)).held_nano == 0


async def test_the_credential_goes_no_further() -> None:
    """Every header that may hold a key is removed, and `key=` leaves the path."""
    head = {**POST, ":path": f"/v1/chat/completions?key={PLAINTEXT}&x=1"}
    del head["authorization"]
    first, _ = await admit(await funded(MemoryLedger()), Keys(KEY, KEY), head)
    mutation = first.request_headers.response.header_mutation
    assert {"authorization", "x-api-key", "x-goog-api-key"} <= set(mutation.remove_headers)
    (path,) = [option.header.raw_value for option in mutation.set_headers if option.header.key == ":path"]
    assert path == b"/v1/chat/completions?x=1"


@pytest.mark.parametrize(
    ("terms", "reason"),
    [
        ({"requests_per_minute": 1}, "requests_per_minute_exceeded"),
        ({"tokens_per_minute": 1}, "tokens_per_minute_exceeded"),
    ],
)
async def test_a_minute_that_is_used_up(terms: dict[str, Any], reason: str) -> None:
    """429 with when to come again and what is left; the first request was told as much in its metadata."""
    key = replace(KEY, **terms)
    ledger = await funded(MemoryLedger(), key)
    _, first = await admit(ledger, Keys(key, key))
    limits = limits_in(first)
    second = await admit(ledger, Keys(key, key), {**POST, "x-request-id": "r-2"})
    assert refusal(second) == (429, "rate_limit_exceeded", f"tollgate_{reason}")
    told = {h.header.key: h.header.raw_value.decode() for h in second[-1].immediate_response.headers.set_headers}
    (unit,) = {name.rpartition("-")[2] for name in limits}
    assert limits[f"x-ratelimit-remaining-{unit}"] == told[f"x-ratelimit-remaining-{unit}"] == "0"
    assert int(told["retry-after"]) >= 60


async def test_a_keys_own_limit_goes_before_its_groups() -> None:
    """The group's limit holds for a key that has none, and not for one that has, even if its own is none at all."""
    main = replace(CATALOG.groups["main"], requests_per_minute=1)
    limited = Catalog.of("r1", CATALOG.channels, CATALOG.models, {"main": main})
    for own, told in ((None, "1"), (5, "5"), (0, None)):
        key = replace(KEY, requests_per_minute=own)
        _, answer = await admit(await funded(MemoryLedger(), key), Keys(key, key), catalog=limited)
        assert limits_in(answer).get("x-ratelimit-limit-requests") == told


def test_every_outcome_of_a_hold_has_an_answer() -> None:
    """A refusal that the ledger can give is one that the caller is told in its own words."""
    answered = set(_REFUSALS) | {Outcome.HELD, Outcome.EXISTS, Outcome.KEY_STALE, Outcome.EXISTS_DIFFERENT}
    ends = {Outcome.ENDED, Outcome.UNCHANGED, Outcome.DISAGREES, Outcome.TOO_LATE}
    entries = {*ENTERED.values(), Outcome.REPEATED, Outcome.OVER_MAXIMUM, Outcome.BELOW_ZERO}
    assert answered | ends | entries == set(Outcome)


TASK = Task("video_1", "r-0", "a", replace(quote(routes.VIDEOS, stream=False), task=True), 8_000)
ASK = {**POST, ":method": "GET", ":path": "/v1/videos/video_1?key=sk-x&a=1"}


async def ask(
    keys: Keys, ledger: MemoryLedger, catalog: Catalog = CATALOG, request_id: str = "r-1", path: str = ASK[":path"]
) -> list[ProcessingResponse]:
    """What admit answers to a question about the task."""
    return await admit(
        ledger, keys, {**ASK, ":path": path, "x-request-id": request_id}, None, catalog, tasks=Tasks([TASK])
    )


async def test_a_question_about_a_task_is_answered_at_its_headers() -> None:
    """It goes to the one channel that made the task, and takes a hold of nothing from a key with an empty wallet."""
    ledger = MemoryLedger()
    ledger.put_key(KEY)
    (answer,) = await ask(Keys(KEY, KEY), ledger)
    assert answer.WhichOneof("response") == "request_headers"
    ours = MessageToDict(answer.dynamic_metadata)["tollgate"]
    assert ours["paths"] == {"a": "/v1/videos/video_1?a=1"}
    assert set(json.loads(ours["quote"])["lines"]) == {"a"}
    assert json.loads(ours["task"])["hold_id"] == "r-0"
    assert await ledger.state(KEY.owner, "r-1") is State.HELD
    assert (await ledger.balance(KEY.owner, WALLET)).held_nano == 0


GONE = (503, "service_unavailable", "tollgate_task_channel_gone")


@pytest.mark.parametrize(
    ("path", "catalog", "answer"),
    [
        ("/v1/videos/video_2", CATALOG, (404, "not_found", "tollgate_not_found")),
        ("/v1/videos", CATALOG, (404, "not_found", "tollgate_not_found")),
        (
            "/v1/videos/video_1",
            Catalog.of("r2", {}, {}, {}),
            (503, "service_unavailable", "tollgate_task_channel_gone"),
        ),
    ],
)
async def test_a_question_that_nobody_can_answer(path: str, catalog: Catalog, answer: tuple[int, str, str]) -> None:
    """There is no such task, no list of them, or no channel any more; nothing is held."""
    ledger = await funded(MemoryLedger())
    assert refusal(await ask(Keys(KEY, KEY), ledger, catalog, path=path)) == answer
    assert await ledger.state(KEY.owner, "r-1") is State.ABSENT


async def test_a_question_of_another_team() -> None:
    """To a key of the same owner that is not of the task's team, the task is not there."""
    key = replace(KEY, team="red")
    ledger = await funded(MemoryLedger(), key)
    assert refusal(await ask(Keys(key, key), ledger))[0] == 404


@pytest.mark.parametrize(
    ("names", "key_id", "answered"),
    [(("other",), "another", False), (("gp*",), "another", True), (("other",), KEY.key_id, True)],
    ids=["of no model of its own", "of a model of its own", "of what it has made itself"],
)
async def test_a_question_of_a_key_with_a_list(names: tuple[str, ...], key_id: str, answered: bool) -> None:
    """A task of a model that the key may not ask for is not there, unless the key made it before."""
    key = replace(KEY, key_id=key_id, allowed_models=names)
    (answer,) = await ask(Keys(key, key), await funded(MemoryLedger(), key))
    assert (answer.WhichOneof("response") == "request_headers") is answered


async def test_a_question_of_a_key_that_has_changed() -> None:
    """A cached key is checked by the hold, and read again: one that was disabled meanwhile is refused."""
    ledger = await funded(MemoryLedger(), replace(KEY, revision=2))
    (answer,) = await ask(Keys(KEY, replace(KEY, revision=2)), ledger)
    assert answer.HasField("request_headers")
    disabled = replace(KEY, status=KeyStatus.DISABLED, revision=3)
    ledger.put_key(disabled)
    assert refusal(await ask(Keys(KEY, disabled), ledger, request_id="r-2"))[0] == 401


async def test_questions_are_counted_beside_tasks() -> None:
    """As many again as a key may have requests under way, so that a key full of tasks can ask for them."""
    key = replace(KEY, max_live=1)
    ledger = await funded(MemoryLedger(), key)
    answers = [await ask(Keys(key, key), ledger, request_id=f"r-{number}") for number in range(3)]
    assert [answer[0].WhichOneof("response") for answer in answers[:2]] == ["request_headers"] * 2
    assert refusal(answers[2])[:2] == (429, "rate_limit_exceeded")


async def test_a_question_with_a_body_is_refused() -> None:
    """Nobody would look at it."""
    ledger = await funded(MemoryLedger())
    assert refusal(await admit(ledger, Keys(KEY, KEY), ASK, b"{}", tasks=Tasks([TASK])))[0] == 400


# --- What is remembered -----------------------------------------------------------------------------------------------

MOVED = replace(channel("a", "gpt", vendor="x-"), base_url="http://other.test/base/v1")
SHOWN = replace(group("main", Member(channel("a", "gpt"), 0, 1)), show_channel=True, per_try_seconds=7)
TWO = Member(channel("b", "gpt"), 1, 1)
CATALOGS = [
    CATALOG,
    replace(CATALOG, groups={"main": group("main", Member(MOVED, 0, 1))}),
    replace(CATALOG, groups={"main": SHOWN}),
    replace(CATALOG, groups={"main": group("main", Member(channel("a", "gpt"), 0, 1), TWO)}),
]
TARGETS = ["/v1/chat/completions", "/v1/responses", "/v1/chat/completions?a=1", "/v1/chat/completions?a=2"]
CALLS = list(product(CATALOGS, TARGETS, [KEY, replace(KEY, owner="bob")]))


def forget() -> None:
    """As in a worker that has just started."""
    for remembered in (module._continue_headers, module._remembered_way):
        remembered.cache_clear()


async def answers(catalog: Catalog, target: str, key: KeyRecord) -> list[ProcessingResponse]:
    """To one call of this key, at this path and query."""
    ledger = await funded(MemoryLedger(), key)
    return await admit(ledger, Keys(key, key), POST | {":path": target}, BODY, catalog)


async def test_what_was_said_before_is_said_again_to_the_same_call_alone() -> None:
    """In whatever order calls come that differ in one thing, each is answered as by a worker that has just started."""
    fresh = []
    for call in CALLS:
        forget()
        fresh.append(await answers(*call))
    assert [await answers(*call) for call in CALLS] == fresh
    assert [await answers(*call) for call in reversed(CALLS)] == fresh[::-1]
    assert len({answer.SerializeToString(deterministic=True) for _, answer in fresh}) == len(CALLS)


@pytest.mark.parametrize(
    "target", ["/v1/chat/completions?api_key=sk-secret", "/v1beta/models/" + 200 * "x" + ":predict"]
)
async def test_what_could_be_a_secret_is_not_remembered(target: str) -> None:
    """A query, or a long path, is one caller's own: once it is answered nothing keeps it."""
    forget()
    assert (await answers(CATALOG, target, KEY))[0].WhichOneof("response") == "request_headers"
    assert module._continue_headers.cache_info().currsize == module._remembered_way.cache_info().currsize == 0
    await answers(CATALOG, "/v1/chat/completions", KEY)
    assert module._continue_headers.cache_info().currsize == module._remembered_way.cache_info().currsize == 1
