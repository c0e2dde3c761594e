"""The quote: what a request may cost, frozen at admission. It travels with the request, through Envoy and back.

The hold is the dearest way the chain could answer. The rates of every channel go along, so that the charge is at the
rates of the one that answered, and neither a price change nor a reload touches a request that is under way.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from extproc.core.catalog import Model, Operation
from extproc.core.chain import Attempt
from extproc.core.identity import KeyRecord
from extproc.core.learned import Kind, Learned, Part
from extproc.core.ledger import HOLD_MS, Account
from extproc.core.pricing import FREE, Rates, ceiling_nano
from extproc.core.rate import NO_LIMIT, Draw
from extproc.core.scale import Scale

BYTES_PER_INPUT_TOKEN = 3
"""Text runs at about 4 bytes a token in English and 3 in Chinese: a hold rather takes too much than too little."""

TOKENS_PER_ATTACHMENT = 2_000
"""What an embedded image or document is held at; its base64 says nothing about its tokens."""

LEAST_TOKENS_PER_ATTACHMENT = 70
"""What it is charged at where the vendor did not count it: a small image at OpenAI, and nothing costs less."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What a request body asks for, whatever its dialect.

    `text_bytes` is the size of the prompt without its `attachments`; `output_cap` the caller's own limit on output
    tokens; `answers` how many answers are wanted.
    """

    model: str
    stream: bool = False
    output_cap: int | None = None
    answers: int = 1
    text_bytes: int = 0
    attachments: int = 0

    @property
    def input_tokens(self) -> int:
        """The estimate of the input, rounded up."""
        return -(-self.text_bytes // BYTES_PER_INPUT_TOKEN) + self.attachments * TOKENS_PER_ATTACHMENT


@dataclass(frozen=True, slots=True)
class Line:
    """What one channel would cost."""

    group: str
    multiplier_ppm: int
    rates: Rates
    vendor_model: str


@dataclass(frozen=True, slots=True)
class Quote:
    """The terms of one request. `lines` is by channel name, in the order of the chain.

    `tokens` is what the estimate draws of the key's minute. What the vendor does not count is charged by `input_tokens`
    and, for the bytes of the answer, by `output`; both lean to the caller, where the hold leans to the operator.
    `text_bytes` is what the input's size teaches by, 0 if nothing.
    """

    owner: str
    key_id: str
    key_prefix: str
    accounts: tuple[Account, ...]
    group: str
    model: str
    operation: str
    generates: bool
    stream: bool
    revision: str
    text_bytes: int
    input_tokens: int
    output: Scale
    hold_nano: int
    held_ms: int
    deadline_ms: int
    lines: dict[str, Line]
    tokens: Draw = NO_LIMIT


def line_of(attempt: Attempt, operation: Operation) -> Line:
    """What an attempt would cost for this operation."""
    rates = attempt.rates if operation.priced else FREE
    return Line(attempt.group, attempt.multiplier_ppm, rates, attempt.vendor_model)


def make_quote(
    key: KeyRecord,
    accounts: tuple[Account, ...],
    ask: Ask,
    operation: Operation,
    model: Model,
    chain: Sequence[Attempt],
    revision: str,
    now_ms: int,
    learned: Learned,
    tokens_per_minute: int = 0,
) -> Quote:
    """The quote for a request on these accounts of the key, with the estimate at the dearest rates of its chain."""
    output_tokens = (ask.output_cap or model.max_output_tokens) * ask.answers if operation.output else 0
    lines = {attempt.channel.name: line_of(attempt, operation) for attempt in chain}
    estimates = (ceiling_nano(ask.input_tokens, output_tokens, ln.rates, ln.multiplier_ppm) for ln in lines.values())
    return Quote(
        owner=key.owner,
        key_id=key.key_id,
        key_prefix=key.prefix,
        accounts=accounts,
        group=key.group,
        model=model.name,
        operation=operation.name,
        generates=operation.output,
        stream=ask.stream,
        revision=revision,
        text_bytes=0 if ask.attachments else ask.text_bytes,
        input_tokens=_least_input_tokens(ask, learned.scale(Kind(operation.name, Part.PROMPT, model.name))),
        output=learned.scale(Kind(operation.name, answer_part(ask.stream), model.name)),
        hold_nano=max(estimates),
        held_ms=now_ms,
        deadline_ms=now_ms + HOLD_MS,
        lines=lines,
        tokens=Draw(tokens_per_minute, ask.input_tokens + output_tokens if operation.priced else 0),
    )


def answer_part(stream: bool) -> Part:
    """What kind of answer is asked for."""
    return Part.STREAM if stream else Part.PIECE


def _least_input_tokens(ask: Ask, scale: Scale) -> int:
    return min(ask.input_tokens, scale.tokens(ask.text_bytes) + ask.attachments * LEAST_TOKENS_PER_ATTACHMENT)
