"""What admission can tell of a cost before there is an answer."""

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from extproc.core.ending import Report, conclude, known_costs
from extproc.core.pricing import FREE, ONE, Rates, Terms, Tier, UnitKind, UnitRate, Usage
from extproc.core.quote import Line, Quote
from extproc.dialects import routes
from tests.core import samples

units = st.builds(UnitRate, st.sampled_from(UnitKind), st.integers(0, 10**12), st.sampled_from([1, 60_000]))
without_tokens = st.builds(
    lambda call, unit: Terms(Rates.of(call=call, unit=unit)), st.integers(0, 10**12), st.none() | units
)
many = st.builds(
    replace,
    samples.quotes,
    terms=without_tokens | samples.terms,
    units=st.integers(0, 100),
    discount_ppm=st.integers(1, ONE),
    hold_nano=st.just(2**63),
)


@samples.steady
@given(many, samples.usages, st.booleans(), st.booleans(), st.integers(0, 10**6), st.data())
def test_what_is_known_is_what_is_charged(
    terms: Quote, usage: Usage, whole: bool, clean: bool, sent_bytes: int, data: st.DataObject
) -> None:
    """Whatever tokens the vendor counts, and however the answer ends: a 2xx costs what was told beforehand."""
    known = known_costs(terms)
    assume(known)
    assert known.keys() == terms.lines.keys()
    channel = data.draw(st.sampled_from(list(known)))
    told = data.draw(st.sampled_from([None, replace(usage, units=0)]))
    assert conclude(terms, Report("r", 200, clean, channel, told, whole, sent_bytes)).cost_nano == known[channel]


CALL = Rates.of(call=40)
CASES = {
    "by the call": (Terms(CALL), {"a": 40, "b": 20}),
    "free": (Terms(FREE), {"a": 0, "b": 0}),
    "by the image": (Terms(Rates.of(unit=UnitRate(UnitKind.IMAGE, 7))), {"a": 21, "b": 11}),
    "by the character": (Terms(Rates.of(call=1, unit=UnitRate(UnitKind.CHARACTER, 2))), {"a": 7, "b": 4}),
    "by the minute, which vendors count": (Terms(Rates.of(unit=UnitRate(UnitKind.MINUTE, 7))), {}),
    "by the second, which vendors count": (Terms(Rates.of(unit=UnitRate(UnitKind.SECOND, 7))), {}),
    "by the token": (Terms(Rates.of(input=1)), {}),
    "by the token that was cached": (Terms(Rates.of(cache_read=1)), {}),
    "by the call, and more for large ones": (Terms(CALL, (Tier(100, Rates.of(call=50)),)), {}),
}


@pytest.mark.parametrize(("terms", "known"), CASES.values(), ids=CASES)
def test_known(terms: Terms, known: dict[str, int]) -> None:
    """The price of a call and of what was asked for, at each channel's multiplier, rounded half up."""
    lines = {"a": Line("main", ONE, "gpt"), "b": Line("spare", ONE // 2, "gpt")}
    assert known_costs(replace(samples.quote(routes.CHAT, stream=False), terms=terms, lines=lines, units=3)) == known


def test_a_guess_is_not_known() -> None:
    """Units that only the vendor can know are not told beforehand."""
    terms = Terms(Rates.of(unit=UnitRate(UnitKind.CHARACTER, 2)))
    assert known_costs(replace(samples.quote(routes.CHAT, stream=False), terms=terms, units=3, guessed=True)) == {}
