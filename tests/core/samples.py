"""Small catalogs, keys and quotes that several tests share, and Hypothesis strategies for them."""

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from extproc.core.catalog import Catalog, Channel, Dialect, Group, Member, Model, Operation
from extproc.core.identity import Caller, KeyRecord, OwnerRecord
from extproc.core.ledger import Account, AccountKind
from extproc.core.pricing import ONE, Price, Rates, Terms, Tier, UnitKind, UnitRate, Usage
from extproc.core.quote import Line, Quote
from extproc.core.scale import Scale

steady = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""For property tests: how long an example takes proves nothing on a busy machine."""

RATES = Rates(
    input=2_000_000_000,
    cache_read=500_000_000,
    cache_write=2_500_000_000,
    output=8_000_000_000,
    reasoning=8_000_000_000,
)
"""2000 nano per input token, 500 per cached, 2500 per cache-written, 8000 per output token."""

PRICE = Price(Terms(RATES))
MODEL = Model("gpt", (PRICE,), generates=True, max_output_tokens=1_000)
SCALE = Scale(head_bytes=1_000, token_millibytes=40_000, tail_bytes=500, tail_token_millibytes=10_000)
"""An answer of 10 tokens has 1,400 bytes without its end, and 2,000 with it."""

KEY = KeyRecord("key_1", "alice", "sk-abcdefg", "laptop", "main", ("spare",))


def caller_of(key: KeyRecord, **said: Any) -> Caller:
    """Who calls with this key, with what is said of its owner."""
    return Caller(key, OwnerRecord(key.owner, **said))


tokens = st.integers(0, 10**9)
units = st.builds(UnitRate, st.sampled_from(UnitKind), st.integers(0, 10**15), st.sampled_from([1, 1_000, 60_000]))
rates = st.builds(Rates, *[st.integers(0, 10**15)] * 11, st.none() | units)
terms = st.builds(Terms, rates, st.lists(st.builds(Tier, tokens, rates), max_size=2).map(tuple))
multipliers = st.integers(1, 10**9)
PARTS = ("cache_write_1h", "input_audio", "input_image", "output_audio", "output_image", "units")
"""What a usage may have besides the classes that are named by position."""

usages = st.builds(Usage.of, tokens, tokens, tokens, tokens, tokens, **dict.fromkeys(PARTS, tokens))
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)

accounts = st.lists(st.builds(Account, st.sampled_from(AccountKind), words), max_size=3).map(tuple)
lines = st.builds(Line, words, multipliers, words)
quotes = st.builds(
    Quote,
    owner=words,
    key_id=words,
    key_prefix=words,
    accounts=accounts,
    group=words,
    model=words,
    operation=words,
    generates=st.booleans(),
    stream=st.booleans(),
    revision=words,
    text_bytes=tokens,
    input_tokens=tokens,
    output=st.builds(Scale, tokens, st.integers(1, 10**6), tokens, tokens),
    hold_nano=st.integers(0, 2**63 - 1),
    held_ms=st.integers(0, 2**43),
    deadline_ms=st.integers(0, 2**43),
    terms=terms,
    lines=st.dictionaries(words, lines, min_size=1, max_size=5),
)


def channel(name: str, *models: str, dialect: Dialect = Dialect.OPENAI, vendor: str = "") -> Channel:
    """A channel that serves these models, each under the vendor's name `<vendor><model>`."""
    return Channel(name, dialect, "http://vendor.test/v1", None, {model: vendor + model for model in models})


def group(name: str, *members: Member, models: str = "gpt", multiplier_ppm: int = ONE) -> Group:
    """A group with these members; `models` are its models, separated by spaces."""
    return Group(name, multiplier_ppm, frozenset(models.split()), members)


def catalog(*groups: Group, models: tuple[Model, ...] = (MODEL,)) -> Catalog:
    """A catalog of these groups, with the channels they name."""
    channels = {member.channel.name: member.channel for each in groups for member in each.members}
    return Catalog.of("rev1", channels, {m.name: m for m in models}, {g.name: g for g in groups})


def quote(operation: Operation, stream: bool, hold_nano: int = 10_000_000, rates: Rates = RATES) -> Quote:
    """A quote for 1,000 estimated input tokens on the channels `a` (as it is) and `b` (at half the price)."""
    return Quote(
        owner=KEY.owner,
        key_id=KEY.key_id,
        key_prefix=KEY.prefix,
        accounts=KEY.accounts("2026-11"),
        group="main",
        model="gpt",
        operation=operation.name,
        generates=operation.output,
        stream=stream,
        revision="rev1",
        text_bytes=5_000,
        input_tokens=1_000,
        output=SCALE,
        hold_nano=hold_nano,
        held_ms=1_700_000_000_000,
        deadline_ms=1_700_003_720_000,
        terms=Terms(rates),
        lines={"a": Line("main", ONE, "gpt-a"), "b": Line("spare", ONE // 2, "gpt-b")},
    )
