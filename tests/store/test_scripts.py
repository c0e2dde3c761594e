"""The words and numbers in the Lua are those of the contract."""

import re

import pytest

from extproc.core.ledger import ENTERED, SHORTFALL, Outcome, State
from extproc.store import scripts

VERBS = {"hold": scripts.HOLD, "end": scripts.END, "expire_due": scripts.EXPIRE_DUE, "enter": scripts.ENTER}
VERBS |= {"put": scripts.PUT}
READERS = {"snapshot": scripts.SNAPSHOT}
TRIMMERS = {"trim": scripts.TRIM}
"""What has nothing to check but whether an entry is there, and says how many were."""
LEARNERS = {"learn": scripts.LEARN}
"""What adds up without a condition: there is nothing to check, and no money in it."""
READING = {"EXISTS", "HGET", "HMGET", "ZRANGEBYSCORE"}
LAST_WORD = {"held", "ended", "below_zero"}
"""What a verb answers last: that it has done what it was asked to, unless its caller has the word for that."""


def header_and_code(verb: str) -> tuple[str, str]:
    """The opening comment of a script, and the rest."""
    header, found, code = VERBS[verb].source.partition("--]]")
    assert found
    return header, code


def answers(verb: str) -> list[str]:
    """The outcomes a script can answer, in the order in which it does."""
    return re.findall(r"answer\('(\w+)'", header_and_code(verb)[1])


def test_every_script_is_loaded() -> None:
    """No script is written and then forgotten when Redis is told of them."""
    assert {*VERBS.values(), *READERS.values(), *LEARNERS.values(), *TRIMMERS.values()} == set(scripts.ALL)


def test_outcomes_are_those_of_the_enum() -> None:
    """The scripts answer every outcome there is and no other."""
    words = [word for verb in VERBS for word in answers(verb)] + [*SHORTFALL.values(), *ENTERED.values()]
    assert sorted(set(words)) == sorted(Outcome)


@pytest.mark.parametrize("verb", VERBS)
def test_states_are_those_of_the_enum(verb: str) -> None:
    """Every state a script names has the number it has in Python."""
    named = re.findall(r"^local ([A-Z]+) = (\d+)$", header_and_code(verb)[1], re.MULTILINE)
    assert {name: int(number) for name, number in named} == {name: State[name] for name, _ in named}


@pytest.mark.parametrize("verb", ["hold", "end", "enter"])
def test_refusals_come_in_order_of_precedence(verb: str) -> None:
    """A script checks in the order of the enum, and does what it was asked to only when all checks have passed."""
    *refusals, done = answers(verb)
    assert done in LAST_WORD
    in_end = ["too_late", "unchanged", "disagrees", "over_maximum"]
    expected = in_end if verb == "end" else [word for word in Outcome if word in refusals]
    assert refusals == expected


@pytest.mark.parametrize("verb", ["hold", "end", "enter"])
def test_header_names_every_answer(verb: str) -> None:
    """The header of a script lists the outcomes in the order in which the code answers them."""
    header, _ = header_and_code(verb)
    listed = re.findall(r"\w+", header.partition("order of precedence:\n")[2].partition("\n")[0])
    assert [word for word in listed if word in set(Outcome)] == answers(verb)


@pytest.mark.parametrize("verb", VERBS)
def test_nothing_is_checked_after_the_first_write(verb: str) -> None:
    """Redis does not roll back: all writes stand after the line that says so, and no refusal does."""
    header, code = header_and_code(verb)
    before, found, after = code.partition("-- After this point")
    assert found
    assert all(word in header for word in ("KEYS", "ARGV", "Output"))
    calls = re.compile(r"redis\.call\('(\w+)'")
    assert set(calls.findall(before)) <= READING
    assert not set(calls.findall(after)) & READING
    assert after.count("return") == 1


@pytest.mark.parametrize("name", READERS)
def test_a_reader_writes_nothing(name: str) -> None:
    """An audit may run at any time, on any system."""
    called = set(re.findall(r"redis\.call\('(\w+)'", READERS[name].source))
    assert called <= READING | {"ZRANGE", "XREVRANGE", "HGETALL"}
