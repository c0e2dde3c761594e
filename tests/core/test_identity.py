"""A key is found wherever a client may put it, checked, and taken out before anyone else can see it."""

from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, quote, unquote_plus, urlsplit
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from extproc.core.catalog import Catalog
from extproc.core.identity import (
    KEY_START,
    PREFIX_LENGTH,
    KeyRecord,
    KeyStatus,
    OwnerStatus,
    digest,
    find_credential,
    looks_like_a_key,
    month_of,
    opens,
    refusal_for,
    without_credential,
)
from extproc.core.ledger import AccountKind
from extproc.errors import GROUP_NOT_ALLOWED, INVALID_KEY, KEY_DISABLED, KEY_EXPIRED, OWNER_SUSPENDED, Refusal
from tests.core.samples import KEY, caller_of, steady

NOW_MS = 1_700_000_000_000
NO_TIERS = Catalog.of("r", {}, {}, {})
TIERS = replace(
    NO_TIERS,
    tiers={"default": frozenset(["spare"]), "pro": frozenset(["main"]), "staff": frozenset(["spare", "main"])},
)
PATH = "/v1beta/models/m:generateContent"


@pytest.mark.parametrize(
    ("headers", "path", "found"),
    [
        pytest.param({"authorization": "Bearer sk-1"}, PATH, "sk-1", id="bearer"),
        pytest.param({"authorization": "bearer sk-1"}, PATH, "sk-1", id="the scheme in any case"),
        pytest.param({"authorization": "Bearer   sk-1 "}, PATH, "sk-1", id="blanks around it"),
        pytest.param({"x-api-key": "sk-1"}, PATH, "sk-1", id="x-api-key"),
        pytest.param({"x-goog-api-key": "sk-1"}, PATH, "sk-1", id="x-goog-api-key"),
        pytest.param({}, PATH + "?key=sk-1", "sk-1", id="query"),
        pytest.param({}, PATH + "?alt=sse&key=sk-1&x=", "sk-1", id="query among others"),
        pytest.param({}, PATH + "?key=sk%2D1", "sk-1", id="query, percent-encoded"),
        pytest.param({}, PATH, None, id="nowhere"),
        pytest.param({}, PATH + "?monkey=sk-1", None, id="another parameter"),
        pytest.param({}, "/v1/key=sk-1", None, id="in the path, not the query"),
        pytest.param({}, PATH + "?key=", None, id="an empty parameter"),
        pytest.param({"authorization": "Basic c2s="}, PATH, None, id="another scheme"),
        pytest.param({"authorization": "sk-1"}, PATH, None, id="no scheme"),
        pytest.param({"authorization": "Bearer "}, PATH, None, id="an empty bearer"),
        pytest.param({"x-api-key": ""}, PATH, None, id="an empty header"),
        pytest.param({"cookie": "key=sk-1"}, PATH, None, id="another header"),
        pytest.param({"authorization": "Basic c2s=", "x-api-key": "sk-1"}, PATH, "sk-1", id="Basic is passed over"),
        pytest.param({"x-api-key": "", "x-goog-api-key": "sk-1"}, PATH, "sk-1", id="an empty header is passed over"),
    ],
)
def test_a_credential_is_found(headers: dict[str, str], path: str, found: str | None) -> None:
    """The caller's key is read from each place where a client may put it, and from nowhere else."""
    assert find_credential(headers, path) == found


@pytest.mark.parametrize("missing", range(4))
def test_the_places_have_an_order(missing: int) -> None:
    """With several keys the first of Authorization, x-api-key, x-goog-api-key and the query counts."""
    places = {"authorization": "Bearer sk-0", "x-api-key": "sk-1", "x-goog-api-key": "sk-2"}
    headers = dict(list(places.items())[missing:])
    assert find_credential(headers, PATH + "?key=sk-3") == f"sk-{missing}"


parameter = st.tuples(st.text(st.characters(codec="ascii")), st.text(st.characters(codec="ascii")))
raw_query = st.lists(st.from_regex(r"[A-Za-z0-9._~%+=-]{0,8}", fullmatch=True), max_size=5)


@steady
@given(st.lists(parameter, max_size=4), st.text(st.characters(codec="ascii"), min_size=1))
def test_a_path_without_its_credential_keeps_everything_else(pairs: list[tuple[str, str]], key: str) -> None:
    """Whatever parameters stand around the key, they keep their order and their values."""
    others = [(name, value) for name, value in pairs if name != "key"]
    sent = [*others[:1], ("key", key), *others[1:]]
    query = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in sent)
    left = without_credential(f"{PATH}?{query}")
    assert urlsplit(left).path == PATH
    assert parse_qsl(urlsplit(left).query, keep_blank_values=True) == others


@steady
@given(raw_query)
@example(["%6bey=sk-1"])
@example(["key", "key="])
@example(["alt=sse", "key=sk-1", "k%65y=sk-2"])
def test_no_spelling_of_the_parameter_is_left(parts: list[str]) -> None:
    """No parameter that a vendor would decode to `key` remains, however its name was written."""
    left = without_credential(f"{PATH}?{'&'.join(parts)}")
    names = [unquote_plus(part.partition("=")[0]) for part in urlsplit(left).query.split("&")]
    assert "key" not in names


@pytest.mark.parametrize(
    ("path", "left"),
    [
        (PATH, PATH),
        (PATH + "?alt=sse", PATH + "?alt=sse"),
        (PATH + "?key=sk-1", PATH),
        (PATH + "?alt=sse&key=sk-1", PATH + "?alt=sse"),
        (PATH + "?key=sk-1&alt=sse", PATH + "?alt=sse"),
        (PATH + "?key=sk-1&key=sk-2", PATH),
        (PATH + "?monkey=a%20b", PATH + "?monkey=a%20b"),
        (PATH + "?q=%ff&key=sk-1", PATH + "?q=%ff"),
        ("/v1/models/a%2Fb?key=sk-1", "/v1/models/a%2Fb"),
        ("/v1/key=sk-1", "/v1/key=sk-1"),
        ("//[/v1/messages?key=sk-1", "//[/v1/messages"),
    ],
)
def test_a_path_without_its_credential(path: str, left: str) -> None:
    """The key goes, the rest of the path stays as it was sent."""
    assert without_credential(path) == left


@steady
@given(st.lists(st.sampled_from([*"/[]?&#%=;:@é", "key="])).map("".join))
@example("/[?key=sk-1")
def test_any_target_can_be_read(target: str) -> None:
    """No target is a fault, however little it looks like a URL."""
    find_credential({}, f"/{target}")
    without_credential(f"/{target}")


@pytest.mark.parametrize(
    ("plaintext", "is_one"),
    [
        ("sk-" + "a" * 17, True),
        ("sk-" + "a" * 16, False),
        ("sk-" + "a" * 197, True),
        ("sk-" + "a" * 198, False),
        ("pk-" + "a" * 40, False),
        ("SK-" + "a" * 40, False),
        ("sk-" + "é" * 40, False),
        ("", False),
    ],
)
def test_what_looks_like_a_key(plaintext: str, is_one: bool) -> None:
    """Only what has the form of a key, between 20 and 200 ASCII characters, is looked up."""
    assert looks_like_a_key(plaintext) is is_one


def test_a_digest_is_hmac_sha256() -> None:
    """The digest of a known text under a known pepper is the published one."""
    known = "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8"
    assert digest(b"key", "The quick brown fox jumps over the lazy dog") == known


@steady
@given(st.binary(min_size=1), st.text(st.characters(codec="ascii")))
def test_a_digest_depends_on_the_pepper_and_the_key(pepper: bytes, plaintext: str) -> None:
    """Another pepper or another key has another digest, and the key is not in it."""
    known = digest(pepper, KEY_START + plaintext)
    assert known != digest(pepper + b"x", KEY_START + plaintext)
    assert known != digest(pepper, KEY_START + plaintext + "x")
    assert KEY_START not in known


@pytest.mark.parametrize(
    ("key", "refusal"),
    [
        pytest.param(None, INVALID_KEY, id="unknown"),
        pytest.param(KEY, None, id="active"),
        pytest.param(replace(KEY, status=KeyStatus.DISABLED), KEY_DISABLED, id="disabled"),
        pytest.param(replace(KEY, expires_ms=NOW_MS + 1), None, id="not yet expired"),
        pytest.param(replace(KEY, expires_ms=NOW_MS), KEY_EXPIRED, id="expires now"),
        pytest.param(replace(KEY, expires_ms=1), KEY_EXPIRED, id="expired"),
        pytest.param(
            replace(KEY, status=KeyStatus.DISABLED, expires_ms=1), KEY_DISABLED, id="disabled outweighs expired"
        ),
    ],
)
def test_why_a_key_is_refused(key: KeyRecord | None, refusal: Refusal | None) -> None:
    """Each state of a key has its own refusal, and an active one has none."""
    assert refusal_for(caller_of(key) if key else None, NO_TIERS, NOW_MS) is refusal


@pytest.mark.parametrize(
    ("said", "catalog", "refusal"),
    [
        ({"status": OwnerStatus.SUSPENDED}, NO_TIERS, OWNER_SUSPENDED),
        ({"tier": "whatever"}, NO_TIERS, None),
        ({}, TIERS, GROUP_NOT_ALLOWED),
        ({"tier": "pro"}, TIERS, None),
        ({"tier": "gone"}, TIERS, GROUP_NOT_ALLOWED),
        ({"tier": "pro", "status": OwnerStatus.SUSPENDED}, TIERS, OWNER_SUSPENDED),
    ],
    ids=["suspended", "no tiers", "not in the default tier", "in the tier", "a tier that is gone", "both"],
)
def test_why_an_owner_is_refused(said: dict[str, Any], catalog: Catalog, refusal: Refusal | None) -> None:
    """A suspended owner's key is refused, and one whose group the owner's tier does not have; a lost tier has none."""
    assert refusal_for(caller_of(KEY, **said), catalog, NOW_MS) is refusal


@pytest.mark.parametrize(
    ("catalog", "tier", "groups"),
    [(NO_TIERS, "default", ("main", "spare")), (TIERS, "pro", ("main",)), (TIERS, "staff", ("main", "spare"))],
)
def test_a_tier_decides_only_which_groups_there_are(catalog: Catalog, tier: str, groups: tuple[str, ...]) -> None:
    """A fallback group that the tier does not have is left out, and the order stays that of the key."""
    assert caller_of(KEY, tier=tier).groups(catalog) == groups


def named(key: KeyRecord) -> list[str]:
    """The accounts of a key in November, as `kind name`."""
    return [f"{account.kind} {account.name}" for account in key.accounts("2026-11")]


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (KEY, ["key key_1", "key_month key_1/2026-11", "wallet alice"]),
        (
            replace(KEY, team="red", member="bob"),
            ["key key_1", "key_month key_1/2026-11", "member alice/red/bob", "team alice/red", "wallet alice"],
        ),
        (
            replace(KEY, team="red"),
            ["key key_1", "key_month key_1/2026-11", "team alice/red", "wallet alice"],
        ),
        (replace(KEY, member="bob"), ["key key_1", "key_month key_1/2026-11", "wallet alice"]),
    ],
)
def test_a_context_is_its_accounts_in_the_order_in_which_they_may_refuse(key: KeyRecord, expected: list[str]) -> None:
    """Personal: cap, month, wallet. In a team the member's and the team's quota stand before the wallet that pays."""
    assert named(key) == expected
    kinds = [account.kind for account in key.accounts("2026-11")]
    assert kinds == [kind for kind in AccountKind if kind in kinds]


@pytest.mark.parametrize(
    ("moment", "zone", "month"),
    [
        ("2026-11-30T23:59:59.999Z", "UTC", "2026-11"),
        ("2026-12-01T00:00:00Z", "UTC", "2026-12"),
        ("2026-11-30T23:00:00Z", "Europe/Berlin", "2026-12"),
        ("2026-12-01T00:00:00Z", "America/New_York", "2026-11"),
        ("2027-01-01T04:59:59Z", "America/New_York", "2026-12"),
    ],
)
def test_a_month_begins_by_the_deployments_clock(moment: str, zone: str, month: str) -> None:
    """The month of a moment is the calendar's in that zone."""
    now_ms = int(datetime.fromisoformat(moment).timestamp() * 1000)
    assert month_of(now_ms, ZoneInfo(zone)) == month


def test_the_keys_own_group_comes_first() -> None:
    """A key's groups are its own and then its fallback groups, in their order."""
    assert replace(KEY, group="g", fallback_groups=("f1", "f2")).groups == ("g", "f1", "f2")


def test_a_prefix_shows_little() -> None:
    """What may be printed of a key is shorter than the shortest key by far."""
    shortest = next(length for length in range(200) if looks_like_a_key("sk-".ljust(length, "a")))
    assert len(KEY_START) < PREFIX_LENGTH <= shortest // 2


@pytest.mark.parametrize(
    ("digest", "old_digest", "until_ms", "opened"),
    [
        ("new", "", 0, {"new"}),
        ("new", "old", 0, {"new"}),
        ("new", "old", NOW_MS, {"new"}),
        ("new", "old", NOW_MS + 1, {"new", "old"}),
        ("", "", NOW_MS + 1, set()),
    ],
)
def test_a_record_says_what_opens_it(digest: str, old_digest: str, until_ms: int, opened: set[str]) -> None:
    """The present plaintext, and the one before until the end of the overlap; no other, whatever a look-up says."""
    key = replace(KEY, digest=digest, old_digest=old_digest, overlap_until_ms=until_ms)
    assert {one for one in ("new", "old", "other") if opens(key, one, NOW_MS)} == opened
    assert not any(opens(replace(key, status=KeyStatus.DELETED), one, NOW_MS) for one in ("new", "old"))
