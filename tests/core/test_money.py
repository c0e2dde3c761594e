"""Amounts are read and written exactly, or refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.core.money import MAX_ACCOUNT_NANO, NANO_PER_USD, Currency, decimal_usd, format_usd, parse_usd
from tests.core.samples import steady


@pytest.mark.parametrize(
    ("text", "nano"),
    [
        ("0", 0),
        ("12.50", 12_500_000_000),
        ("$12.50", 12_500_000_000),
        (" 12.50 ", 12_500_000_000),
        ("0.000000001", 1),
        (".5", 500_000_000),
        ("5.", 5_000_000_000),
        ("1e3", 1_000_000_000_000),
        ("-3", -3_000_000_000),
        ("0.1000000000000", 100_000_000),
        ("9007199.254740991", MAX_ACCOUNT_NANO),
    ],
)
def test_an_amount_is_read_exactly(text: str, nano: int) -> None:
    """What a person writes in USD becomes the integer count of nano-USD it stands for."""
    assert parse_usd(text) == nano


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "$", "abc", "1,50", "1 000", "12.50 USD", "€5", "0x10", "NaN", "sNaN", "Infinity", "-Infinity"),
        *("0.0000000001", "1e-10", "1.0000000000000000000000000000001", "1e999999"),
    ],
)
def test_what_is_no_amount_is_refused(text: str) -> None:
    """What is no number, not finite or finer than a nano is a ValueError with the text in it, and no other fault."""
    with pytest.raises(ValueError) as refused:  # noqa: PT011  (the message is compared below)
        parse_usd(text)
    assert repr(text) in str(refused.value)


@steady
@given(st.integers(0, 10**7), st.integers(0, NANO_PER_USD - 1), st.text("0123456789", min_size=1, max_size=40))
def test_nothing_finer_than_a_nano_is_rounded_away(whole: int, nano: int, finer: str) -> None:
    """However many decimals an amount has, those below a nano are zero or it is refused."""
    text = f"{whole}.{nano:09d}{finer}"
    if int(finer) == 0:
        assert parse_usd(text) == whole * NANO_PER_USD + nano
    else:
        with pytest.raises(ValueError, match="finer"):
            parse_usd(text)


@pytest.mark.parametrize(
    ("nano", "text"),
    [
        (0, "0.00 USD"),
        (1, "0.000000001 USD"),
        (-1, "-0.000000001 USD"),
        (12_500_000_000, "12.50 USD"),
        (-12_000_000_000, "-12.00 USD"),
        (1_234_000_000, "1.234 USD"),
    ],
)
def test_an_amount_is_written_exactly(nano: int, text: str) -> None:
    """Every nano is shown, with two decimals at least, and a debt has its sign in front."""
    assert format_usd(nano) == text


@steady
@given(st.integers(-(2**70), 2**70))
def test_what_is_written_reads_back_as_the_same(nano: int) -> None:
    """Parsing undoes formatting for every amount there can be."""
    assert parse_usd(format_usd(nano).removesuffix(" USD")) == nano


def test_the_greatest_account_is_the_greatest_exact_double() -> None:
    """Every integer up to the maximum is exact as a double, and the second above it is not."""
    assert int(float(MAX_ACCOUNT_NANO)) == MAX_ACCOUNT_NANO
    assert int(float(MAX_ACCOUNT_NANO + 2)) != MAX_ACCOUNT_NANO + 2


@pytest.mark.parametrize(
    ("currency", "nano", "shown"),
    [
        ("EUR:0.92", 12_500_000_000, "12.50 USD (11.50 EUR)"),
        ("EUR:0.92", -12_500_000_000, "-12.50 USD (-11.50 EUR)"),
        ("JPY:150", 1, "0.000000001 USD (0.00 JPY)"),
        ("CNY:7.2", 123_456, "0.000123456 USD (0.000889 CNY)"),
        ("XAU:0.000000001", MAX_ACCOUNT_NANO, "9007199.254740991 USD (0.009007 XAU)"),
    ],
)
def test_another_currency_stands_beside(currency: str, nano: int, shown: str) -> None:
    """USD exactly, and the other at the fixed rate, rounded to a millionth."""
    assert Currency.parse(currency).beside(nano) == shown


@pytest.mark.parametrize(
    "text", ["EUR", "EUR:", "eur:1", "EURO:1", "EUR:0", "EUR:-1", "EUR:1e3", "EUR:NaN", ":1", "EUR:1:2"]
)
def test_what_is_no_currency_is_refused(text: str) -> None:
    """A code of three capitals and a rate above 0, or a ValueError."""
    with pytest.raises(ValueError, match=r"such as EUR:0\.92"):
        Currency.parse(text)


@steady
@given(st.integers(-(10**18), 10**18))
def test_the_decimal_is_the_amount_without_its_unit(nano: int) -> None:
    """For headers, where the unit is known."""
    assert f"{decimal_usd(nano)} USD" == format_usd(nano)
