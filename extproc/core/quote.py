"""The quote: what a request may cost, frozen at admission. It travels with the request, through Envoy and back.

The hold is the dearest way the chain could answer. The rates of every channel go along, so that the charge is at the
rates of the one that answered, and neither a price change nor a reload touches a request that is under way.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from extproc.core.catalog import Model, Operation
from extproc.core.chain import Attempt
from extproc.core.identity import Caller
from extproc.core.learned import Kind, Learned, Part
from extproc.core.ledger import HOLD_MS, TASK_MS, Account
from extproc.core.pricing import FREE, ONE, Estimate, Terms, ceiling_nano
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
    tokens; `answers` how many answers are wanted. `units` is how many images, seconds or characters are asked for, in
    the smallest measure they are priced in, and `said` what their price depends on, such as `size` and `quality`.
    Where they can only be guessed from the size of a file, `units` is the least that they may be, and `most_units` the
    most. `media` tells whether the answer may have audio or images.
    """

    model: str
    stream: bool = False
    output_cap: int | None = None
    answers: int = 1
    text_bytes: int = 0
    attachments: int = 0
    units: int = 0
    most_units: int = 0
    said: Mapping[str, str] = field(default_factory=dict)
    media: bool = False

    @property
    def input_tokens(self) -> int:
        """The estimate of the input, rounded up."""
        return -(-self.text_bytes // BYTES_PER_INPUT_TOKEN) + self.attachments * TOKENS_PER_ATTACHMENT


@dataclass(frozen=True, slots=True)
class Line:
    """What one channel would cost: the terms of the quote, times the multiplier of the group that put it there."""

    group: str
    multiplier_ppm: int
    vendor_model: str


@dataclass(frozen=True, slots=True)
class Quote:
    """The terms of one request. `lines` is by channel name, in the order of the chain.

    `tokens` is what the estimate draws of the key's minute. What the vendor does not count is charged by `input_tokens`
    and, for the bytes of the answer, by `output`; both lean to the caller, where the hold leans to the operator.
    `text_bytes` is what the input's size teaches by, 0 if nothing. `units` is what was asked for beside tokens, and
    what is charged unless the vendor counts them; `guessed` if only the vendor can know. `discount_ppm` is the owner's.
    That of a `task` holds for what is made after the answer.
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
    terms: Terms
    lines: dict[str, Line]
    said: Mapping[str, str] = field(default_factory=dict)
    units: int = 0
    guessed: bool = False
    discount_ppm: int = ONE
    tokens: Draw = NO_LIMIT
    task: bool = False


def terms_of(model: Model, operation: Operation, said: Mapping[str, str], time_ms: int) -> Terms | None:
    """What this operation of a model is priced by; None where no price fits what was said.

    A price by something that the operation does not count is none, unless tokens or the call cost something too. One
    by tokens is none for a task, whose tokens nobody tells.
    """
    if not operation.priced:
        return Terms(FREE)
    terms = model.price_at(time_ms).terms_for(said)
    if terms is not None and operation.task and terms.rates.by_tokens:
        return None
    if terms is None or terms.rates.unit is None or terms.rates.unit.kind in operation.units:
        return terms
    return terms if terms.rates.by_tokens or terms.rates.call else None


def make_quote(
    caller: Caller,
    accounts: tuple[Account, ...],
    ask: Ask,
    operation: Operation,
    model: Model,
    terms: Terms,
    chain: Sequence[Attempt],
    revision: str,
    now_ms: int,
    learned: Learned,
    tokens_per_minute: int = 0,
) -> Quote:
    """The quote for a request on these accounts of the key, with the estimate at its chain's dearest multiplier."""
    key, discount_ppm = caller.key, caller.owner.discount_ppm
    produces = operation.output or bool(operation.units)
    output_tokens = (ask.output_cap or model.max_output_tokens) * ask.answers if produces else 0
    most_units = max(ask.units, ask.most_units)
    estimate = Estimate(ask.input_tokens, output_tokens, most_units, ask.attachments > 0, ask.media)
    dearest_ppm = max(attempt.multiplier_ppm for attempt in chain)
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
        hold_nano=ceiling_nano(estimate, terms, dearest_ppm, discount_ppm),
        held_ms=now_ms,
        deadline_ms=now_ms + (TASK_MS if operation.task else HOLD_MS),
        terms=terms,
        lines={each.channel.name: Line(each.group, each.multiplier_ppm, each.vendor_model) for each in chain},
        said=ask.said,
        units=ask.units,
        guessed=ask.most_units > 0,
        discount_ppm=discount_ppm,
        tokens=Draw(tokens_per_minute, ask.input_tokens + output_tokens if operation.priced else 0),
        task=operation.task,
    )


def answer_part(stream: bool) -> Part:
    """What kind of answer is asked for."""
    return Part.STREAM if stream else Part.PIECE


def _least_input_tokens(ask: Ask, scale: Scale) -> int:
    return min(ask.input_tokens, scale.tokens(ask.text_bytes) + ask.attachments * LEAST_TOKENS_PER_ATTACHMENT)
