"""admit: the headers say who, the body says what; the hold is taken, and the chain handed to Envoy.

The stream ends with the last answer: the sidecar keeps nothing of a request under way, so its death breaks none.
"""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import tzinfo
from typing import TypeVar
from urllib.parse import urlsplit

import grpc
import msgspec
import structlog

from extproc.core import identity
from extproc.core.catalog import Catalog
from extproc.core.chain import Attempt, build_chain, visible_models
from extproc.core.ending import known_costs
from extproc.core.identity import KeyRecord, Keyring
from extproc.core.learned import Learned
from extproc.core.ledger import UNLIMITED, Hold, HoldResult, Ledger, Outcome
from extproc.core.money import Currency, decimal_usd, format_usd
from extproc.core.pricing import ONE
from extproc.core.quote import Quote, make_quote, terms_of
from extproc.core.rate import Draw
from extproc.dialects.bodies import Body, read_body
from extproc.dialects.model_lists import Reader
from extproc.dialects.routes import ModelList, Route, dialect_of, find_route
from extproc.errors import (
    CONCURRENCY,
    INTERNAL,
    INVALID_KEY,
    INVALID_REQUEST,
    KEY_DISABLED,
    KEY_MONTH,
    KEY_QUOTA,
    LEDGER_AWAY,
    MEMBER_QUOTA,
    MODEL_NOT_FOUND,
    NO_KEY,
    REQUESTS_PER_MINUTE,
    TEAM_QUOTA,
    TOKENS_PER_MINUTE,
    UNKNOWN_PATH,
    WALLET,
    LedgerUnavailable,
    Refusal,
)
from extproc.wire import codec, replies
from extproc.wire.pb.ext_proc_pb2 import ProcessingRequest, ProcessingResponse

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

Stream = grpc.aio.ServicerContext[ProcessingRequest, ProcessingResponse]


@dataclass(frozen=True, slots=True)
class Known:
    """A request whose key and path are known; its body is yet to come."""

    head: codec.RequestHead
    digest: str
    key: KeyRecord
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
    currency: Currency | None = None

    async def serve(self, first: ProcessingRequest, stream: Stream) -> None:
        """Answer one request's headers, then its body."""
        head = codec.read_head(first)
        known = await _guarded(self._on_headers(head), head)
        if isinstance(known, ProcessingResponse):
            await stream.write(known)
            return
        target = identity.without_credential(head.target)
        dialect = known.route.operation.dialect
        await stream.write(codec.continue_headers(target, dialect, known.key.owner))
        second = await stream.read()
        if isinstance(second, ProcessingRequest):
            await stream.write(await _guarded(self._on_body(known, second.request_body.body), head))

    async def _on_headers(self, head: codec.RequestHead) -> Known | ProcessingResponse | Refusal:
        plaintext = identity.find_credential(head.headers, head.target)
        if plaintext is None:
            return NO_KEY
        if not identity.looks_like_a_key(plaintext):
            return INVALID_KEY
        digest = identity.digest(self.pepper, plaintext)
        route = find_route(head.method, identity.without_credential(head.target), head.headers)
        key = await self._find_key(digest, fresh=isinstance(route, ModelList))
        refusal = identity.refusal_for(key, self.now_ms())
        if refusal or key is None:
            return refusal or INVALID_KEY
        if route is None:
            return UNKNOWN_PATH
        catalog = self.catalog()
        if isinstance(route, ModelList):
            return self._list_models(route, catalog, key)
        if head.ends:
            return INVALID_REQUEST.saying("The request has no body; this path needs a JSON object.")
        return Known(head, digest, key, route, catalog)

    def _list_models(self, asked: ModelList, catalog: Catalog, key: KeyRecord) -> ProcessingResponse | Refusal:
        models = visible_models(catalog, key.group, asked.dialect)
        group = catalog.groups.get(key.group)
        reader = Reader(group.multiplier_ppm if group else ONE, key.discount_ppm, self.now_ms())
        if asked.model is None:
            return replies.list_models(asked.dialect, models, reader)
        found = next((model for model in models if model.name == asked.model), None)
        return replies.show_model(asked.dialect, found, reader) if found else _no_model(asked.model)

    async def _find_key(self, digest: str, fresh: bool) -> KeyRecord | None:
        """The key; from the cache only where a hold will check it again, and only if it may be used."""
        key = None if fresh else await self.keyring.find(digest)
        if fresh or (key and identity.refusal_for(key, self.now_ms())):
            return await self.keyring.find_fresh(digest)
        return key

    async def _on_body(self, known: Known, raw: bytes) -> ProcessingResponse | Refusal:
        body = read_body(known.route, raw, known.head.headers.get("content-type", ""))
        if isinstance(body, Refusal):
            return body
        held = await self._hold(known, known.key, body)
        if held is None:
            key = await self.keyring.find_fresh(known.digest)
            refusal = identity.refusal_for(key, self.now_ms())
            if refusal or key is None:
                return refusal or INVALID_KEY
            held = await self._hold(known, key, body)
        if held is None:
            return INTERNAL
        return held if isinstance(held, Refusal) else codec.forward(_forward(held, known.route, body, raw))

    async def _hold(self, known: Known, key: KeyRecord, body: Body) -> "Admitted | Refusal | None":
        """Quote and hold; None when the key is no longer as it was read."""
        ask, operation = body.ask, known.route.operation
        chain = build_chain(known.catalog, key.groups, ask.model, operation, self.draw)
        if not chain:
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
            key, accounts, ask, operation, model, terms, chain, revision, now, learned, tokens_per_minute
        )
        draw = Draw(requests_per_minute, 1)
        result = await self.ledger.hold(_hold_of(known.head.request_id, key, quote, draw))
        if result.outcome in (Outcome.HELD, Outcome.EXISTS):
            return Admitted(quote, chain, group.try_seconds(ask.stream), replies.rate_headers(result))
        if result.outcome is Outcome.KEY_STALE:
            return None
        return _refusal_of(result, quote, self.currency)


@dataclass(frozen=True, slots=True)
class Admitted:
    """A quote that is held, the chain it is for, how long each attempt has, and what the answer says of the limits."""

    quote: Quote
    chain: tuple[Attempt, ...]
    try_seconds: int
    limits: dict[str, str]


async def _guarded(
    decision: Awaitable[T | ProcessingResponse | Refusal], head: codec.RequestHead
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
        dialect = dialect_of(head.target, head.headers)
        return replies.refuse(decided, dialect, head.request_id)
    return decided


def _no_model(name: str) -> Refusal:
    return MODEL_NOT_FOUND.saying(f"The model '{name}' does not exist, or this key may not call it here.", "model")


def _hold_of(request_id: str, key: KeyRecord, quote: Quote, requests: Draw) -> Hold:
    return Hold(
        hold_id=request_id,
        owner=key.owner,
        key_id=key.key_id,
        key_revision=key.revision,
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


def _forward(admitted: Admitted, route: Route, body: Body, raw: bytes) -> codec.Forward:
    paths, models = {}, {}
    for attempt in admitted.chain:
        base_path = urlsplit(attempt.channel.base_url).path.rstrip("/")
        paths[attempt.channel.name] = route.path_at(base_path, attempt.vendor_model)
        if attempt.vendor_model != body.ask.model:
            models[attempt.channel.name] = msgspec.json.encode(attempt.vendor_model).decode()
    changed = None if body.forward == raw else body.forward
    clusters = {attempt.channel.name: attempt.channel.cluster for attempt in admitted.chain}
    return codec.Forward(
        quote=admitted.quote,
        paths=paths,
        models=models,
        model_start=body.model_start,
        model_end=body.model_end,
        body=changed,
        limits=admitted.limits,
        clusters=clusters,
        shown=[attempt.channel.name for attempt in admitted.chain if attempt.shown],
        try_seconds=admitted.try_seconds,
        costs={channel: decimal_usd(nano) for channel, nano in known_costs(admitted.quote).items()},
    )
