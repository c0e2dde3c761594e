"""admit: the headers say who, the body says what; the hold is taken, and the chain handed to Envoy.

The stream ends with the last answer: the sidecar keeps nothing of a request under way, so its death breaks none.
"""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import tzinfo
from functools import lru_cache
from typing import TypeVar
from urllib.parse import urlsplit

import grpc
import msgspec
import structlog

from extproc.core import identity
from extproc.core.allowed import may_ask_for, may_come_from
from extproc.core.catalog import Catalog
from extproc.core.chain import Attempt, build_chain, visible_models
from extproc.core.ending import known_costs
from extproc.core.identity import Caller, KeyRecord, Keyring
from extproc.core.learned import Learned
from extproc.core.ledger import UNLIMITED, Hold, HoldResult, Ledger, Outcome
from extproc.core.money import Currency, decimal_usd, format_usd
from extproc.core.pricing import ONE
from extproc.core.quote import Ask, Quote, make_quote, terms_of
from extproc.core.rate import Draw
from extproc.core.task import Task, Tasks, attempt_for, question_quote
from extproc.dialects.bodies import Body, read_body
from extproc.dialects.model_lists import Reader
from extproc.dialects.routes import ModelList, OwnKey, Route, dialect_of, find_route, operations_of
from extproc.errors import (
    CONCURRENCY,
    INTERNAL,
    INVALID_KEY,
    INVALID_REQUEST,
    IP_NOT_ALLOWED,
    KEY_DISABLED,
    KEY_MONTH,
    KEY_QUOTA,
    LEDGER_AWAY,
    MEMBER_QUOTA,
    MODEL_NOT_FOUND,
    NO_KEY,
    REQUESTS_PER_MINUTE,
    TASK_CHANNEL_GONE,
    TASK_NOT_FOUND,
    TEAM_QUOTA,
    TOKENS_PER_MINUTE,
    UNKNOWN_PATH,
    WALLET,
    LedgerUnavailable,
    Refusal,
)
from extproc.wire import codec, replies
from extproc.wire.counts import count_hold, count_refusal
from extproc.wire.pb.ext_proc_pb2 import ProcessingRequest, ProcessingResponse
from extproc.wire.seen import Seen, see
from extproc.wire.self_service import SelfService

log = structlog.get_logger()

T = TypeVar("T")

_REFUSALS = {
    Outcome.KEY_DISABLED: KEY_DISABLED,
    Outcome.CONCURRENCY: CONCURRENCY,
    Outcome.REQUESTS_PER_MINUTE: REQUESTS_PER_MINUTE,
    Outcome.TOKENS_PER_MINUTE: TOKENS_PER_MINUTE,
    Outcome.KEY_QUOTA: KEY_QUOTA,
    Outcome.KEY_MONTH: KEY_MONTH,
    Outcome.MEMBER_QUOTA: MEMBER_QUOTA,
    Outcome.TEAM_QUOTA: TEAM_QUOTA,
    Outcome.WALLET: WALLET,
}
"""What is left can only be a second request with the same id, which Envoy does not make."""

_NOT_HELD = {MODEL_NOT_FOUND.code, TASK_NOT_FOUND.code}
"""What is refused by the key's own terms, before a hold could tell that these are no longer as they were read."""

Stream = grpc.aio.ServicerContext[ProcessingRequest, ProcessingResponse]


@dataclass(frozen=True, slots=True)
class Known:
    """A request whose key and path are known; its body is yet to come."""

    head: codec.RequestHead
    digest: str
    caller: Caller
    route: Route
    catalog: Catalog


@dataclass(frozen=True, slots=True)
class Admission:
    """Decides on requests. Collaborators only; nothing of a request is kept here.

    Months begin by `zone`, amounts are told in `currency` too.
    """

    catalog: Callable[[], Catalog]
    keyring: Keyring
    ledger: Ledger
    pepper: bytes
    now_ms: Callable[[], int]
    draw: random.Random
    zone: tzinfo
    learned: Learned
    tasks: Tasks
    self_service: SelfService
    currency: Currency | None = None

    async def serve(self, first: ProcessingRequest, stream: Stream) -> None:
        """Answer one request's headers, then its body."""
        head = codec.read_head(first)
        known = await _guarded(self._on_headers(head), head)
        if isinstance(known, ProcessingResponse):
            await stream.write(known)
            return
        await stream.write(_go_on(identity.without_credential(head.target), known))
        second = await stream.read()
        if isinstance(second, ProcessingRequest):
            await stream.write(await _guarded(self._on_body(known, second.request_body.body), head, known))

    async def _on_headers(self, head: codec.RequestHead) -> Known | ProcessingResponse | Refusal:
        plaintext = identity.find_credential(head.headers, head.target)
        if plaintext is None:
            return NO_KEY
        if not identity.looks_like_a_key(plaintext):
            return INVALID_KEY
        digest = identity.digest(self.pepper, plaintext)
        route = find_route(head.method, identity.without_credential(head.target), head.headers)
        catalog = self.catalog()
        caller = await self._find_caller(digest, catalog, head, fresh=isinstance(route, ModelList | OwnKey))
        refusal = self._refusal_for(caller, catalog, head)
        if refusal or caller is None:
            return refusal or INVALID_KEY
        if route is None:
            return UNKNOWN_PATH
        if isinstance(route, ModelList):
            return self._list_models(route, catalog, caller)
        if isinstance(route, OwnKey):
            told = await self.self_service.answer(route, caller.key, self.now_ms())
            return told if isinstance(told, Refusal) else replies.tell_of_key(told)
        known = Known(head, digest, caller, route, catalog)
        if route.task is not None:
            return await self._ask_about(known, route.task)
        if head.ends:
            return INVALID_REQUEST.saying("The request has no body; this path needs one.")
        return known

    def _list_models(self, asked: ModelList, catalog: Catalog, caller: Caller) -> ProcessingResponse | Refusal:
        visible = visible_models(catalog, caller.key.group, operations_of(asked.dialect), self.now_ms())
        models = [model for model in visible if may_ask_for(caller.key, model)]
        group = catalog.groups.get(caller.key.group)
        reader = Reader(group.multiplier_ppm if group else ONE, caller.owner.discount_ppm, self.now_ms())
        if asked.model is None:
            return replies.list_models(asked.dialect, models, reader)
        found = next((model for model in models if model.name == asked.model), None)
        return replies.show_model(asked.dialect, found, reader) if found else _no_model(asked.model)

    def _refusal_for(self, caller: Caller | None, catalog: Catalog, head: codec.RequestHead) -> Refusal | None:
        """Why this key may not be used, or not from there; None when it may."""
        refusal = identity.refusal_for(caller, catalog, self.now_ms())
        if refusal or caller is None or not caller.key.allowed_ips:
            return refusal
        return None if may_come_from(caller.key, head.address) else IP_NOT_ALLOWED

    async def _find_caller(self, digest: str, catalog: Catalog, head: codec.RequestHead, fresh: bool) -> Caller | None:
        """Whose key it is; from the cache only where a hold will check it again, and only if it may be used."""
        caller = None if fresh else await self.keyring.find(digest)
        if fresh or (caller and self._refusal_for(caller, catalog, head)):
            return await self.keyring.find_fresh(digest)
        return caller

    async def _on_body(self, known: Known, raw: bytes) -> ProcessingResponse | Refusal:
        body = read_body(known.route, raw, known.head.headers.get("content-type", ""))
        if isinstance(body, Refusal):
            return body
        held = await self._held(known, lambda caller: self._hold(known, caller, body))
        return held if isinstance(held, Refusal) else codec.forward(_forward(held, known.route, body, raw))

    async def _ask_about(self, known: Known, task_id: str) -> ProcessingResponse | Refusal:
        """A question about a task, to the channel that made it; there is no other that could answer."""
        if not known.head.ends:
            return INVALID_REQUEST.saying("This path takes no body.")
        task = await self.tasks.find(known.caller.key.owner, task_id)
        if task is None:
            return TASK_NOT_FOUND
        held = await self._held(known, lambda caller: self._hold_question(known, caller, task))
        if isinstance(held, Refusal):
            return held
        ask = Body(Ask(task.quote.model), b"")
        target, dialect = identity.without_credential(known.head.target), held.chain[0].channel.dialect
        return codec.forward_headers(target, dialect, _forward(held, known.route, ask, b""), task)

    async def _held(
        self, known: Known, hold: "Callable[[Caller], Awaitable[Admitted | Refusal | None]]"
    ) -> "Admitted | Refusal":
        """What `hold` answers; asked again with the caller as they are now, when they may no longer be as they were."""
        held = await hold(known.caller)
        if held is None or (isinstance(held, Refusal) and held.code in _NOT_HELD):
            caller = await self.keyring.find_fresh(known.digest)
            refusal = self._refusal_for(caller, known.catalog, known.head)
            if refusal or caller is None:
                return refusal or INVALID_KEY
            held = await hold(caller)
        return held or INTERNAL

    async def _hold(self, known: Known, caller: Caller, body: Body) -> "Admitted | Refusal | None":
        """Quote and hold; None when the key or its owner is no longer as it was read."""
        ask, operation, key = body.ask, known.route.operation, caller.key
        chain = build_chain(known.catalog, caller.groups(known.catalog), ask.model, operation, self.draw)
        if not chain or not may_ask_for(key, known.catalog.models[ask.model]):
            return _no_model(ask.model)
        model, group, now = known.catalog.models[ask.model], known.catalog.groups[key.group], self.now_ms()
        requests_per_minute, tokens_per_minute = key.per_minute(group)
        accounts = key.accounts(identity.month_of(now, self.zone))
        revision, learned = known.catalog.revision, self.learned
        terms = terms_of(model, operation, ask.said, now)
        if terms is None:
            said = ", ".join(f"{name} {value}" for name, value in ask.said.items()) or "what was asked for"
            return INVALID_REQUEST.saying(f"The model '{ask.model}' has no price for {said}.")
        quote = make_quote(
            caller, accounts, ask, operation, model, terms, chain, revision, now, learned, tokens_per_minute
        )
        asked = _hold_of(known.head.request_id, caller, quote, Draw(requests_per_minute, 1))
        return await self._take(asked, quote, chain, group.try_seconds(ask.stream))

    async def _hold_question(self, known: Known, caller: Caller, task: Task) -> "Admitted | Refusal | None":
        """Hold nothing, as for all that is free. Tasks count as requests under way; questions may be as many again."""
        key, catalog, now = caller.key, known.catalog, self.now_ms()
        if not _may_ask_about(key, task, catalog):
            return TASK_NOT_FOUND
        attempt = attempt_for(task, catalog)
        if attempt is None:
            return TASK_CHANNEL_GONE
        group = catalog.groups.get(key.group)
        requests_per_minute = key.per_minute(group)[0] if group else key.requests_per_minute or 0
        accounts = key.accounts(identity.month_of(now, self.zone))
        quote = question_quote(task, caller, accounts, known.route.operation, catalog.revision, now)
        asked = _hold_of(known.head.request_id, caller, quote, Draw(requests_per_minute, 1))
        return await self._take(replace(asked, max_live=2 * key.max_live), quote, (attempt,), 0)

    async def _take(
        self, asked: Hold, quote: Quote, chain: tuple[Attempt, ...], try_seconds: int
    ) -> "Admitted | Refusal | None":
        result = await self.ledger.hold(asked)
        count_hold(result.outcome, quote.hold_nano)
        if result.outcome in (Outcome.HELD, Outcome.EXISTS):
            return Admitted(quote, asked.record, chain, try_seconds, replies.rate_headers(result))
        if result.outcome is Outcome.KEY_STALE:
            return None
        return _refusal_of(result, quote, self.currency)


@dataclass(frozen=True, slots=True)
class Admitted:
    """A quote that is held, also as JSON, the chain it is for, how long each attempt has, and what the answer says of
    the limits."""

    quote: Quote
    record: str
    chain: tuple[Attempt, ...]
    try_seconds: int
    limits: dict[str, str]


async def _guarded(
    decision: Awaitable[T | ProcessingResponse | Refusal], head: codec.RequestHead, known: Known | None = None
) -> T | ProcessingResponse:
    """The decision, with every refusal and every fault worded for the caller."""
    try:
        decided = await decision
    except LedgerUnavailable as error:
        log.warning("ledger_unavailable", request_id=head.request_id, error=str(error))
        decided = LEDGER_AWAY
    except Exception:
        log.exception("admission_failed", request_id=head.request_id)
        decided = INTERNAL
    if isinstance(decided, Refusal):
        count_refusal(decided)
        dialect = dialect_of(head.target, head.headers)
        return replies.refuse(decided, dialect, head.request_id, _seen(head, known))
    return decided


def _seen(head: codec.RequestHead, known: Known | None) -> Seen | None:
    """What is shown of a request that is refused."""
    if known:
        return see(known.route.operation.name, known.caller.key.group, known.caller.key.prefix)
    route = find_route(head.method, identity.without_credential(head.target), head.headers)
    return see(route.operation.name) if isinstance(route, Route) else None


def _may_ask_about(key: KeyRecord, task: Task, catalog: Catalog) -> bool:
    """Whether the task is this key's to see, and made by it or of a model that it may ask for."""
    if not key.allowed_models or task.quote.key_id == key.key_id:
        return task.is_known_to(key)
    model = catalog.models.get(task.quote.model)
    return task.is_known_to(key) and model is not None and may_ask_for(key, model)


def _no_model(name: str) -> Refusal:
    return MODEL_NOT_FOUND.saying(f"The model '{name}' does not exist, or this key may not call it here.", "model")


def _hold_of(request_id: str, caller: Caller, quote: Quote, requests: Draw) -> Hold:
    key = caller.key
    return Hold(
        hold_id=request_id,
        owner=key.owner,
        key_id=key.key_id,
        key_revision=key.revision,
        owner_revision=caller.owner.revision,
        accounts=quote.accounts,
        amount_nano=quote.hold_nano,
        now_ms=quote.held_ms,
        deadline_ms=quote.deadline_ms,
        record=codec.encode_record(quote),
        month_limit_nano=key.month_limit_nano or UNLIMITED,
        max_live=key.max_live,
        requests=requests,
        tokens=quote.tokens,
    )


def _refusal_of(result: HoldResult, quote: Quote, currency: Currency | None) -> Refusal:
    """What the caller is told of a hold that was refused."""
    refusal = replace(_REFUSALS.get(result.outcome, INTERNAL), headers=tuple(replies.rate_headers(result).items()))
    if result.outcome in (Outcome.REQUESTS_PER_MINUTE, Outcome.TOKENS_PER_MINUTE):
        retry_ms = max(level.retry_ms for level in (result.requests, result.tokens) if level)
        return replace(refusal, retry_after_seconds=-(-retry_ms // 1000))
    if result.available_nano is None:
        return refusal
    show = currency.beside if currency else format_usd
    estimate, left = show(quote.hold_nano), show(result.available_nano)
    return refusal.saying(f"{refusal.message} This request may cost up to {estimate}, {left} is left.")


_REMEMBERED = 1_000
"""Answers and ways that need not be made again, as most requests are like some before: that saves 15 and 30 µs."""

_continue_headers = lru_cache(_REMEMBERED)(codec.continue_headers)


def _is_common(route: Route, target: str) -> bool:
    """Whether it may be remembered: a longer path or another query is one caller's own, and could hold anything."""
    return len(target) <= 200 and route.query in ("", "alt=sse")


def _go_on(target: str, known: Known) -> ProcessingResponse:
    make = _continue_headers if _is_common(known.route, target) else codec.continue_headers
    return make(target, known.route.operation.dialect, known.caller.key.owner)


def _forward(admitted: Admitted, route: Route, body: Body, raw: bytes) -> codec.Forward:
    find = _remembered_way if _is_common(route, route.template) else _way
    return codec.Forward(
        quote=admitted.quote,
        record=admitted.record,
        way=find(admitted.chain, route, body.ask.model, admitted.try_seconds),
        model_start=body.model_start,
        model_end=body.model_end,
        body=None if body.forward == raw else body.forward,
        limits=admitted.limits,
        costs={channel: decimal_usd(nano) for channel, nano in known_costs(admitted.quote).items()},
    )


def _way(chain: tuple[Attempt, ...], route: Route, model: str, try_seconds: int) -> codec.Way:
    paths, models = {}, {}
    for attempt in chain:
        base_path = urlsplit(attempt.channel.base_url).path.rstrip("/")
        paths[attempt.channel.name] = route.path_at(base_path, attempt.vendor_model)
        if attempt.vendor_model != model:
            models[attempt.channel.name] = msgspec.json.encode(attempt.vendor_model).decode()
    return codec.Way(
        paths=paths,
        models=models,
        clusters={attempt.channel.name: attempt.channel.cluster for attempt in chain},
        shown=[attempt.channel.name for attempt in chain if attempt.shown],
        try_seconds=try_seconds,
    )


_remembered_way = lru_cache(_REMEMBERED)(_way)
