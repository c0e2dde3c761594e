"""Owners, teams, members, keys, wallets and tokens on the command line, straight on Redis and through the admin API."""

import pytest

from tests.cli.commands import Tollgate


def test_an_owner_is_set_and_shown(either: Tollgate) -> None:
    """What is not named stays; a second `set` of the same changes nothing, not even the revision."""
    either("owners", "set", "acme", "--tier", "pro")
    said = either("owners", "set", "acme", "--discount", "0.9")
    assert said.out == "acme has the tier pro, pays 90 % of every price and is active.\n"
    record = {"owner": "acme", "tier": "pro", "discount_ppm": 900_000, "status": "active", "revision": 2}
    assert either.json("owners", "set", "acme", "--discount", "0.9") == record
    assert either.json("owners", "show", "acme") == record
    assert either.json("owners", "list") == [record]


def test_a_team_has_members_with_quotas(either: Tollgate) -> None:
    """Made, filled, changed and emptied again; what is not named stays."""
    either.key("acme")
    made = either.json("teams", "create", "acme", "red", "--title", "Red team", "--quota", "100")
    assert (made["title"], made["quota_nano"], made["members"]) == ("Red team", 100_000_000_000, [])
    either("teams", "members", "set", "acme", "red", "bob", "--quota", "5")
    said = either("teams", "members", "set", "acme", "red", "bob", "--role", "admin")
    assert said.out == "bob is admin of the team acme/red; their quota: 5.00 USD.\n"
    assert either.json("teams", "edit", "acme", "red", "--quota", "none")["quota_nano"] == -1
    shown = either.json("teams", "show", "acme", "red")
    (bob,) = shown["members"]
    assert bob == {"member": "bob", "role": "admin", "quota_nano": 5_000_000_000, "held_nano": 0, "used_nano": 0}
    assert shown["title"] == "Red team"
    assert either("teams", "members", "remove", "acme", "red", "bob", "--yes").out.startswith("bob is not in")
    assert either.json("teams", "list", "acme")[0]["members"] == []
    assert either("teams", "delete", "acme", "red", "--yes").code == 0
    assert either.json("teams", "list", "acme") == []


def test_a_new_key_is_shown_once(either: Tollgate) -> None:
    """`keys create` and `keys rotate` print a plaintext on a line of its own; nothing else ever does."""
    made = either("keys", "create", "--owner", "acme", "--name", "ci")
    first, key_id = made.out.splitlines()[0], made.out.splitlines()[1].split()[1]
    second = either("keys", "rotate", key_id, "--overlap", "24h").out.splitlines()[0]
    assert first != second
    assert first.startswith("sk-")
    assert second.startswith("sk-")
    others = [("keys", "list"), ("keys", "show", key_id), ("keys", "disable", key_id), ("keys", "edit", key_id)]
    for command in others:
        for said in (either(*command), either(*command, "--json")):
            assert said.code == 0, said.err
            assert first not in said.out
            assert second not in said.out
            assert second[:10] in said.out


def test_all_terms_of_a_key_can_be_said_and_taken_back(either: Tollgate) -> None:
    """By `create`, and by `edit`, which leaves alone what it does not name."""
    key_id = either.key(
        *("acme", "--name", "ci", "--cap", "12.50", "--monthly-limit", "3", "--fallback", "claude-code"),
        *("--concurrency", "7", "--requests-per-minute", "60", "--tokens-per-minute", "0"),
        *("--expires", "2100-01-01T00:00Z", "--allow-ip", "10.0.0.0/8", "--allow-ip", "::1", "--allow-model", "gpt-5*"),
    )
    record = either.json("keys", "show", key_id)
    terms = {
        "name": "ci",
        "group": "default",
        "fallback_groups": ["claude-code"],
        "cap_nano": 12_500_000_000,
        "month_limit_nano": 3_000_000_000,
        "concurrency": 7,
        "requests_per_minute": 60,
        "tokens_per_minute": 0,
        "expires_ms": 4_102_444_800_000,
        "allowed_ips": ["10.0.0.0/8", "::1/128"],
        "allowed_models": ["gpt-5*"],
        "status": "active",
    }
    assert {name: record[name] for name in terms} == terms
    renamed = either.json("keys", "edit", key_id, "--name", "laptop")
    assert {name: renamed[name] for name in terms} == {**terms, "name": "laptop"}
    plain = either.json(
        *("keys", "edit", key_id, "--cap", "none", "--monthly-limit", "none", "--no-fallback", "--any-ip"),
        *("--any-model", "--expires", "never", "--requests-per-minute", "group", "--tokens-per-minute", "group"),
    )
    assert [plain[name] for name in ("cap_nano", "month_limit_nano", "expires_ms")] == [0, 0, 0]
    assert [plain[name] for name in ("fallback_groups", "allowed_ips", "allowed_models")] == [[], [], []]
    assert (plain["requests_per_minute"], plain["tokens_per_minute"]) == (None, None)
    assert plain["concurrency"] == 7


def test_a_key_is_disabled_enabled_and_deleted(either: Tollgate) -> None:
    """Off and on as often as one likes; deleted it is, once and for all."""
    key_id = either.key("acme")
    standing = [either.json("keys", verb, key_id)["status"] for verb in ("disable", "disable", "enable")]
    assert standing == ["disabled", "disabled", "active"]
    assert either.json("keys", "delete", key_id, "--yes")["status"] == "deleted"
    assert either("keys", "enable", key_id).code == 1
    assert either.json("keys", "list") == []


@pytest.mark.parametrize("page", [1, 2, 500])
def test_keys_are_listed_by_owner_team_and_member(either: Tollgate, monkeypatch: pytest.MonkeyPatch, page: int) -> None:
    """All of them, however many to a page, or only those asked for."""
    monkeypatch.setattr("extproc.cli.paging.PAGE", page)
    either("teams", "create", "acme", "red")
    either("teams", "members", "set", "acme", "red", "bob")
    own, of_team = either.key("acme"), either.key("acme", "--team", "red")
    of_bob, other = either.key("acme", "--team", "red", "--member", "bob"), either.key("umbrella")

    def listed(*which: str) -> set[str]:
        return {key["key_id"] for key in either.json("keys", "list", *which)}

    assert listed() == {own, of_team, of_bob, other}
    assert listed("--owner", "acme") == {own, of_team, of_bob}
    assert listed("--owner", "acme", "--team", "red") == {of_team, of_bob}
    assert listed("--owner", "acme", "--team", "red", "--member", "bob") == {of_bob}


def test_a_wallet_is_filled_corrected_and_told(either: Tollgate) -> None:
    """Four kinds of entry, each once per reference; the statement has them, the newest first."""
    either.key("acme")
    first = either.json("wallet", "top-up", "acme", "12.50", "--reference", "inv-1")
    again = either.json("wallet", "top-up", "acme", "99", "--reference", "inv-1")
    assert (first["repeated"], again["repeated"], again["entry"]) == (False, True, first["entry"])
    either("wallet", "bonus", "acme", "1", "--reason", "welcome")
    either("wallet", "refund", "acme", "0.5", "--reason", "cut short", "--request", "r-1")
    either("wallet", "adjust", "acme", "-2", "--reason", "twice", "--yes")
    assert either.json("wallet", "show", "acme") == {
        "owner": "acme",
        "limit_nano": 12_000_000_000,
        "held_nano": 0,
        "used_nano": 0,
        "available_nano": 12_000_000_000,
    }
    entries = either.json("wallet", "statement", "acme")
    assert [(entry["kind"], entry["amount_nano"], entry["limit_nano"]) for entry in entries] == [
        ("adjustment", -2_000_000_000, 12_000_000_000),
        ("refund", 500_000_000, 14_000_000_000),
        ("bonus", 1_000_000_000, 13_500_000_000),
        ("top_up", 12_500_000_000, 12_500_000_000),
    ]
    assert entries[1]["reference"] == "refund-r-1"
    assert len(either.json("wallet", "statement", "acme", "--limit", "2")) == 2
    assert "12.50 USD" in either("wallet", "statement", "acme").out


def test_a_token_is_made_listed_and_revoked(either: Tollgate) -> None:
    """Its plaintext is shown once."""
    made = either.json("tokens", "create", "--name", "ci", "--scope", "read", "--expires", "30d")
    token_id = made["token"]["token_id"]
    listed = either("tokens", "list")
    assert token_id in listed.out
    assert made["plaintext"] not in listed.out
    assert either("tokens", "revoke", token_id, "--yes").code == 0
    assert token_id not in [token["token_id"] for token in either.json("tokens", "list")]


STALE = [
    ("owners", "set", "acme", "--suspend"),
    ("teams", "edit", "acme", "red", "--quota", "1"),
    ("teams", "members", "set", "acme", "red", "bob"),
    ("teams", "members", "remove", "acme", "red", "eve", "--yes"),
    ("teams", "delete", "acme", "red", "--yes"),
    ("keys", "edit", "KEY", "--cap", "1"),
    ("keys", "rotate", "KEY", "--yes"),
    ("keys", "delete", "KEY", "--yes"),
]


@pytest.mark.parametrize("command", STALE, ids=" ".join)
def test_a_stale_edit_is_refused(either: Tollgate, command: tuple[str, ...]) -> None:
    """With a revision that is not there any more nothing changes; with the one that is there it does."""
    key_id = either.key("acme")
    either("owners", "set", "acme", "--discount", "0.5")
    either("teams", "create", "acme", "red")
    either("teams", "members", "set", "acme", "red", "eve")
    named = [key_id if word == "KEY" else word for word in command]
    show = {"owners": ("owners", "show", "acme"), "teams": ("teams", "show", "acme", "red")}
    before = either.json(*show.get(command[0], ("keys", "show", key_id)))
    said = either(*named, "--revision", "77")
    assert (said.code, said.out) == (1, "")
    assert "Look at it as it is now, and try again." in said.err
    assert either.json(*show.get(command[0], ("keys", "show", key_id))) == before
    assert either(*named, "--revision", str(before["revision"])).code == 0
