"""Names and amounts: what may be, and what is said of what may not."""

from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.core.checks import check_name, check_nano, check_owner, check_quota, check_text
from extproc.core.ledger import EntryKind, NewEntry
from extproc.core.money import MAX_ACCOUNT_NANO
from extproc.errors import BadValue
from tests.core.samples import steady

BOUND = "9007199254740991 nano-USD (9007199.254740991 USD)"
REFUSED: list[tuple[Callable[[], object], str]] = [
    (partial(check_owner, ""), "the owner '' has no name: 1 to 200 characters, without blanks around them"),
    (partial(check_owner, "a\tb"), "the owner 'a\\tb' may have 200 characters at most, and all must be printable"),
    (
        partial(check_name, "team", "a/b"),
        "the team 'a/b' needs 1 to 200 characters, none of them / or :, and no blanks around",
    ),
    (
        partial(check_text, "title", "\u202e"),
        "the title '\\u202e' may have 200 characters at most, and all must be printable",
    ),
    (partial(check_nano, "cap", -1), f"the cap must be from 0 to {BOUND}, and not -1"),
    (partial(check_nano, "cap", 2**53), f"the cap must be from 0 to {BOUND}, and not 9007199254740992"),
    (partial(check_quota, "quota", -2), f"the quota must be from -1 to {BOUND}, and not -2"),
    (partial(NewEntry, EntryKind.TOP_UP, 0, "r", 0), f"a top-up must be more than 0, and at most {BOUND}"),
    (partial(NewEntry, EntryKind.BONUS, 1, "r", 0), "the bonus needs a reason"),
    (
        partial(NewEntry, EntryKind.TOP_UP, 1, "", 0),
        "the top-up needs a reference: one that is made twice is then made once",
    ),
]


@pytest.mark.parametrize(("act", "said"), REFUSED)
def test_what_may_not_be_is_told_with_its_bound(act: Callable[[], object], said: str) -> None:
    """The message says what is allowed."""
    with pytest.raises(BadValue) as refused:
        act()
    assert str(refused.value) == said


@steady
@given(owner=st.text(), team=st.text(), member=st.text())
def test_names_of_accounts_can_be_told_apart(owner: str, team: str, member: str) -> None:
    """Whatever the names are, if they may be, owner, team and member can be read from the name of the account."""
    try:
        check_owner(owner)
        check_name("team", team)
        check_name("member", member)
    except BadValue:
        return
    assert f"{owner}/{team}/{member}".rsplit("/", 2) == [owner, team, member]


@pytest.mark.parametrize("nano", [0, 1, MAX_ACCOUNT_NANO])
def test_what_an_account_can_count_may_be(nano: int) -> None:
    """From nothing to the most; of a quota also no limit."""
    check_nano("cap", nano)
    check_quota("quota", nano)
    check_quota("quota", -1)
