"""What a key may still spend: the least that any of its accounts leaves, without a look into somebody else's wallet."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.core.identity import KeyRecord
from extproc.core.ledger import UNLIMITED, AccountKind, Balance
from extproc.core.spendable import Spendable
from tests.core.samples import KEY

OWN, TEAM = KEY, replace(KEY, team="red", member="ann")
MONTH = "2026-11"
NONE = Balance(UNLIMITED)
KEY_, MONTH_, MEMBER, RED, WALLET = AccountKind


def spendable(month_limit_nano: int = 0, of: KeyRecord = OWN, **balances: Balance) -> Spendable:
    """Of a key with these balances; its other accounts have no limit, the wallet 100."""
    key = replace(of, month_limit_nano=month_limit_nano)
    known = dict.fromkeys(key.accounts(MONTH), NONE)
    for account in known:
        known[account] = balances.get(account.kind.value, Balance(100) if account.kind is WALLET else NONE)
    return Spendable.of(key, known)


@pytest.mark.parametrize(
    ("found", "available", "limited_by", "own_used"),
    [
        (spendable(), 100, WALLET, 0),
        (spendable(wallet=Balance(100, 10, 20)), 70, WALLET, 0),
        (spendable(key=Balance(50, 1, 2)), 47, KEY_, 2),
        (spendable(key=Balance(100)), 100, KEY_, 0),
        (spendable(key=Balance(UNLIMITED, 3, 30), wallet=Balance(100, 3, 90)), 7, WALLET, 30),
        (spendable(40, key_month=Balance(0, 1, 9), key=Balance(UNLIMITED, 1, 500)), 30, MONTH_, 9),
        (spendable(40), 40, MONTH_, 0),
        (spendable(key_month=Balance(0, 1, 9)), 100, WALLET, 0),
        (spendable(wallet=Balance(100, 0, 130)), -30, WALLET, 0),
        (spendable(key=Balance(5, 0, 9)), -4, KEY_, 9),
        (spendable(wallet=Balance()), 0, WALLET, 0),
        (spendable(wallet=NONE), None, None, 0),
    ],
)
def test_the_tightest_account(
    found: Spendable, available: int | None, limited_by: AccountKind | None, own_used: int
) -> None:
    """It decides, and of two that leave as much the one that refuses first; after an overrun less than nothing."""
    assert (found.available_nano, found.tightest and found.tightest[0]) == (available, limited_by)
    assert (found.own_used_nano, found.hides_wallet) == (own_used, False)


@pytest.mark.parametrize(
    ("found", "available", "limited_by"),
    [
        (spendable(of=TEAM), None, None),
        (spendable(of=TEAM, wallet=Balance(100, 0, 99)), None, None),
        (spendable(of=TEAM, member=Balance(500), team=Balance(300, 10, 20)), 270, RED),
        (spendable(of=TEAM, member=Balance(500, 10, 20), team=Balance(600)), 470, MEMBER),
        (spendable(of=TEAM, wallet=Balance(100, 40, 60)), 0, WALLET),
        (spendable(of=TEAM, wallet=Balance(100, 0, 160)), 0, WALLET),
        (spendable(of=TEAM, wallet=Balance(100, 0, 160), member=Balance(5, 0, 9)), -4, MEMBER),
    ],
)
def test_the_wallet_behind_a_team(found: Spendable, available: int | None, limited_by: AccountKind | None) -> None:
    """It counts only when it is exhausted: what is in it is not the holder's to know."""
    assert (found.available_nano, found.tightest and found.tightest[0]) == (available, limited_by)
    assert found.hides_wallet


SUMS = st.builds(Balance, st.integers(-1, 1_000), st.integers(0, 500), st.integers(0, 1_500))


@given(SUMS, SUMS, SUMS, SUMS, st.booleans())
def test_nothing_tells_what_is_in_a_teams_wallet(
    key: Balance, member: Balance, team: Balance, wallet: Balance, richer: bool
) -> None:
    """Two wallets that are both exhausted, or both not, leave a key of a team the same."""
    other = replace(wallet, used_nano=0, held_nano=0, limit_nano=10**9) if richer else wallet
    left, right = (spendable(of=TEAM, key=key, member=member, team=team, wallet=each) for each in (wallet, other))
    if left.exhausted == right.exhausted:
        assert (left.available_nano, left.tightest) == (right.available_nano, right.tightest)
