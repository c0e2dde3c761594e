"""How vendors word their usage: each line is a vendor's own numbers, and what they cost at the same prices."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.core.catalog import Dialect
from extproc.core.pricing import ONE, Rates, Terms, Tier, UnitKind, UnitRate, Usage, cost_nano
from extproc.dialects.usage import Told, agree, read_inclusive, read_words
from tests.core.samples import steady

RATES = Rates.of(
    2_000_000_000,
    8_000_000_000,
    cache_read=500_000_000,
    cache_write=2_500_000_000,
    cache_write_1h=4_000_000_000,
    input_audio=32_000_000_000,
    input_image=10_000_000_000,
    reasoning=9_000_000_000,
    output_audio=64_000_000_000,
    output_image=30_000_000_000,
)
"""Nano-USD per million tokens: 2,000 nano a token of input, 500 read from a cache, and so on."""

OPENAI, ANTHROPIC, GEMINI = Dialect.OPENAI, Dialect.ANTHROPIC, Dialect.GEMINI

GOLDEN = [
    pytest.param(OPENAI, {"input": 1000, "output": 100, "total": 1100}, 2_800_000, id="OpenAI, plain"),
    pytest.param(
        OPENAI,
        {"input": 1000, "cache_read": 400, "output": 100, "reasoning": 60, "total": 1100},
        600 * 2_000 + 400 * 500 + 40 * 8_000 + 60 * 9_000,
        id="OpenAI: cached in the prompt, reasoning in the completion",
    ),
    pytest.param(
        OPENAI,
        {"input": 1000, "input_audio": 300, "output": 100, "output_audio": 70, "total": 1100},
        700 * 2_000 + 300 * 32_000 + 30 * 8_000 + 70 * 64_000,
        id="OpenAI: audio in both",
    ),
    pytest.param(
        OPENAI,
        {"input": 1000, "cache_hit": 400, "cache_miss": 600, "output": 100, "total": 1100},
        600 * 2_000 + 400 * 500 + 100 * 8_000,
        id="DeepSeek: hit and miss",
    ),
    pytest.param(
        OPENAI,
        {"input": 1000, "cache_read": 400, "cache_hit": 400, "cache_miss": 600, "output": 100},
        600 * 2_000 + 400 * 500 + 100 * 8_000,
        id="DeepSeek: the same said twice",
    ),
    pytest.param(
        OPENAI,
        {"input": 32, "output": 9, "reasoning": 94, "total": 135},
        32 * 2_000 + 9 * 8_000 + 94 * 9_000,
        id="xAI: reasoning beside the completion",
    ),
    pytest.param(
        ANTHROPIC,
        {"input": 350, "cache_read": 100, "cache_write": 50, "output": 90},
        350 * 2_000 + 100 * 500 + 50 * 2_500 + 90 * 8_000,
        id="Anthropic: cached beside the input",
    ),
    pytest.param(
        ANTHROPIC,
        {"input": 10, "cache_write": 456, "cache_write_5m": 156, "cache_write_1h": 300, "output": 5},
        10 * 2_000 + 156 * 2_500 + 300 * 4_000 + 5 * 8_000,
        id="Anthropic: writes of 5 minutes and of an hour",
    ),
    pytest.param(
        GEMINI,
        {"input": 500, "cache_read": 100, "output": 50, "reasoning": 40, "total": 590},
        400 * 2_000 + 100 * 500 + 50 * 8_000 + 40 * 9_000,
        id="Gemini: thoughts beside the candidates",
    ),
    pytest.param(
        GEMINI,
        {"input": 500, "output": 50, "tool_use": 30, "total": 580},
        530 * 2_000 + 50 * 8_000,
        id="Gemini: what tools were given beside the prompt",
    ),
    pytest.param(
        GEMINI,
        {"input": 1000, "input_audio": 300, "input_image": 200, "output": 150, "output_image": 60, "total": 1150},
        500 * 2_000 + 300 * 32_000 + 200 * 10_000 + 90 * 8_000 + 60 * 30_000,
        id="Gemini: audio and images in the prompt, images in the candidates",
    ),
    pytest.param(
        GEMINI,
        {"input": 1000, "cache_read": 400, "input_audio": 300, "cache_audio": 100, "output": 0, "total": 1000},
        400 * 500 + 200 * 32_000 + 400 * 2_000,
        id="Gemini: audio that was cached is charged as cached, the rest as audio",
    ),
    pytest.param(
        GEMINI,
        {"input": 10, "output": 50, "output_audio": 50, "reasoning": 40, "total": 100},
        10 * 2_000 + 50 * 64_000 + 40 * 9_000,
        id="Gemini: speech, and thoughts beside it",
    ),
    pytest.param(
        OPENAI,
        {"input": 100, "input_audio": 300, "output": 50, "total": 450},
        100 * 2_000 + 300 * 32_000 + 50 * 8_000,
        id="audio beside the prompt, as the total tells",
    ),
    pytest.param(
        OPENAI,
        {"input": 100, "output": 50, "output_audio": 30, "total": 180},
        100 * 2_000 + 50 * 8_000 + 30 * 64_000,
        id="audio beside the completion",
    ),
    pytest.param(
        ANTHROPIC,
        {"input_first": 350, "input": 900, "cache_read": 100, "output": 90},
        900 * 2_000 + 100 * 500 + 90 * 8_000,
        id="Anthropic: an input that grew with what its tools found",
    ),
    pytest.param(
        ANTHROPIC,
        {"input": 10, "output": 90, "reasoning": 60},
        10 * 2_000 + 30 * 8_000 + 60 * 9_000,
        id="Anthropic: thinking in the output",
    ),
    pytest.param(
        OPENAI,
        {"input": 1000, "cache_read": 100, "cache_write": 200, "output": 1, "total": 1001},
        700 * 2_000 + 100 * 500 + 200 * 2_500 + 8_000,
        id="OpenRouter: what was cached in the prompt",
    ),
    pytest.param(OPENAI, {"total": 815}, 815 * 2_000, id="Jina: a total alone"),
    pytest.param(
        OPENAI,
        {"input": 1000, "input_image": 900, "output": 4160, "total": 5160},
        100 * 2_000 + 900 * 10_000 + 4160 * 8_000,
        id="OpenAI images: an image to edit",
    ),
]


@pytest.mark.parametrize(("dialect", "numbers", "nano"), GOLDEN)
def test_what_a_vendors_numbers_cost(dialect: Dialect, numbers: dict[str, float], nano: int) -> None:
    """Each token is charged once, in the class that the vendor meant, and nothing about it is in doubt."""
    told = read_words(numbers, dialect)
    assert told.doubts == ()
    assert cost_nano(told.usage, RATES, ONE) == nano


def test_a_tier_is_reached_by_the_whole_input() -> None:
    """Anthropic's input is above a tier when what its cache read and wrote is counted in."""
    terms = Terms(RATES, (Tier(200_000, Rates.of(4_000_000_000)),))
    usage = read_words({"input": 10, "cache_read": 200_000, "output": 0}, Dialect.ANTHROPIC).usage
    assert terms.rates_for(usage.input_tokens) == Rates.of(4_000_000_000)


@pytest.mark.parametrize(
    ("unit", "numbers", "units"),
    [
        (UnitKind.MINUTE, {"seconds": 90.5}, 90_500),
        (UnitKind.SECOND, {"seconds": 7}, 7_000),
        (UnitKind.SEARCH, {"searches": 3}, 3),
        (UnitKind.IMAGE, {"seconds": 3, "searches": 3}, 0),
        (UnitKind.IMAGE, {"images": 2}, 2),
        (None, {"seconds": 3}, 0),
        (UnitKind.MINUTE, {"seconds": -1}, 0),
        (UnitKind.MINUTE, {}, 0),
    ],
)
def test_units_are_what_the_price_is_for(unit: UnitKind | None, numbers: dict[str, float], units: int) -> None:
    """Seconds are counted in milliseconds; what the price is not for is no unit."""
    assert read_words(numbers, Dialect.OPENAI, unit).usage.units == units
    minute = UnitRate(UnitKind.MINUTE, 6_000_000, 60_000)
    assert cost_nano(Usage(units=90_500), Rates.of(unit=minute), ONE) == 9_050_000


@pytest.mark.parametrize(
    ("numbers", "doubt"),
    [
        ({"input": 10, "cache_read": 11, "output": 1}, "cache_read + cache_write above input"),
        ({"input": 10, "output": 1, "reasoning": 2}, "reasoning above output"),
        ({"input": 10, "output": 5, "total": 99}, "input + output is not total"),
        ({"input": 10, "cache_hit": 3, "cache_miss": 3}, "cache_hit + cache_miss is not input"),
        ({"input": 10, "cache_hit": 3, "cache_read": 4}, "cache_read is not cache_hit"),
        (
            {"input": 10, "cache_write": 5, "cache_write_5m": 1, "cache_write_1h": 3},
            "cache_write_1h is not cache_write",
        ),
        ({"input": 10, "input_audio": 6, "input_image": 5}, "input_audio + input_image above input"),
        ({"input": 10, "output": 3, "output_audio": 2, "output_image": 2}, "output_audio + output_image above output"),
        ({"input": 10, "input_audio": 1, "cache_audio": 2}, "cache_audio above input_audio"),
        ({"input": 10, "cache_read": 1, "cache_image": 2}, "cache_audio + cache_image above cache_read"),
        ({"input_first": 10, "input": 0, "output": 1}, "input fell"),
        ({"input_first": 10, "input": 12, "cache_read": 4, "output": 1}, "input fell"),
        ({"input": -5, "output": 1}, "input is negative"),
        ({"input": float("inf"), "output": 1}, "input is no count"),
        ({"input": 1, "output": float("nan")}, "output is no count"),
    ],
)
def test_what_does_not_add_up_is_said(numbers: dict[str, float], doubt: str) -> None:
    """It is flagged, in words that name the numbers."""
    assert any(doubt in each for each in read_inclusive(numbers).doubts)


def test_cached_audio_is_both() -> None:
    """Tokens that are cached and audio are charged once, as cached, and that is no contradiction."""
    told = read_inclusive({"input": 100, "cache_read": 100, "input_audio": 100})
    assert told == Told(Usage.of(100, 100))


PLAIN = Usage.of(100, output_tokens=10)


@pytest.mark.parametrize(
    ("counted", "lifted", "chosen", "doubts"),
    [
        pytest.param(PLAIN, PLAIN, PLAIN, (), id="the same"),
        pytest.param(
            PLAIN,
            Usage.of(90, output_tokens=10),
            Usage.of(90, output_tokens=10),
            ("input_tokens: 100 counted, 90 lifted",),
        ),
        pytest.param(PLAIN, Usage.of(110, output_tokens=10), PLAIN, ("input_tokens: 100 counted, 110 lifted",)),
        pytest.param(
            PLAIN,
            Usage.of(100, 40, output_tokens=10),
            Usage.of(100, 40, output_tokens=10),
            ("cache_read_tokens: 0 counted, 40 lifted",),
        ),
        pytest.param(
            PLAIN,
            Usage.of(10, output_tokens=100),
            PLAIN,
            ("input_tokens: 100 counted, 10 lifted", "output_tokens: 10 counted, 100 lifted"),
        ),
    ],
)
def test_of_two_meters_the_cheaper_is_charged(
    counted: Usage, lifted: Usage, chosen: Usage, doubts: tuple[str, ...]
) -> None:
    """Where they differ in anything it is said in what, and neither is trusted to charge more."""
    assert agree(Told(counted, ("one",)), Told(lifted, ("one",)), Terms(RATES)) == Told(chosen, ("one", *doubts))


def test_the_cheaper_one_is_so_at_the_rates_of_its_tier() -> None:
    """More input can cost less, where a tier makes it so; what counts is the money."""
    terms = Terms(Rates.of(2_000_000), (Tier(1_000, Rates.of(1_000_000)),))
    counted, lifted = Usage.of(1_000), Usage.of(1_001)
    assert agree(Told(counted), Told(lifted), terms).usage == lifted


NAMES = [
    *("input", "cache_read", "cache_hit", "cache_miss", "cache_write", "cache_write_1h", "cache_write_5m", "output"),
    *("input_audio", "input_image", "tool_use", "reasoning", "output_audio", "total", "seconds", "searches"),
    *("images", "input_first", "cache_audio", "cache_image", "output_image"),
]


@steady
@given(
    st.dictionaries(st.sampled_from(NAMES), st.integers(-5, 10**7) | st.floats(-1e6, 1e6, allow_nan=False)),
    st.sampled_from(Dialect),
    st.sampled_from([None, *UnitKind]),
)
def test_whatever_a_vendor_says_the_parts_are_the_whole(
    numbers: dict[str, float], dialect: Dialect, unit: UnitKind | None
) -> None:
    """No class is negative, and the classes of the input and of the output add up to them."""
    usage = read_words(numbers, dialect, unit).usage
    assert min(usage.plain_input_tokens, usage.plain_output_tokens, usage.units) >= 0
    assert cost_nano(usage, Rates.of(1_000_000, 1_000_000), ONE) == usage.total_tokens
