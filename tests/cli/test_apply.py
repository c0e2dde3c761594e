"""`tollgate apply`: whatever was there, what is declared is there afterwards, and a second time nothing changes."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from extproc.admin.pb import admin_pb2 as pb
from extproc.cli.local import local
from extproc.cli.place import Place
from extproc.cli.plan import Action, Kind
from extproc.cli.told import NotFound
from tests.cli.commands import CONFIG, Tollgate, at_a_terminal
from tests.store.redis_server import RedisServer

Owners = dict[str, Any]

ACME: Owners = {
    "acme": {
        "tier": "pro",
        "discount": 0.9,
        "teams": {"red": {"title": "Red", "quota": 500, "members": {"alice": {"role": "admin"}, "bob": {"quota": 5}}}},
        "keys": {
            "ci": {"team": "red", "monthly_limit": 20, "allowed_ips": ["10.0.0.0/8"]},
            "laptop": {"team": "red", "member": "bob", "cap": 5, "expires": "2100-01-01", "status": "disabled"},
        },
    }
}


class Apply:
    """Applies declared owners with the command line."""

    def __init__(self, tollgate: Tollgate, folder: Path) -> None:
        self.tollgate, self._folder = tollgate, folder
        self.keys = folder / "keys.jsonl"

    def __call__(self, owners: Owners, *options: str | Path) -> Any:
        """How `tollgate apply` ends, with these options."""
        file = self._folder / "people.yaml"
        file.write_text(yaml.safe_dump({"owners": owners}))
        return self.tollgate("apply", file, *options)

    def made(self, owners: Owners, *options: str) -> Any:
        """What it did without asking, as JSON."""
        said = self(owners, "--yes", "--keys-out", self.keys, "--json", *options)
        assert said.code == 0, said.err
        return said.json["plan"]

    def plan(self, owners: Owners, *options: str) -> list[tuple[str, str, str]]:
        """What would be done to what."""
        said = self(owners, "--plan", "--json", *options)
        plan = [(step["action"], step["kind"], step["name"]) for step in said.json["plan"]]
        assert said.code == (3 if plan else 0)
        return plan


@pytest.fixture
def apply(either: Tollgate, tmp_path: Path) -> Apply:
    """Straight on Redis, and through the admin API."""
    return Apply(either, tmp_path)


def test_the_first_time_makes_everything(apply: Apply) -> None:
    """In the order in which it can be made; the second time there is nothing to change, however it is asked."""
    assert apply.plan(ACME) == [
        (Action.EDIT, Kind.OWNER, "acme"),
        (Action.CREATE, Kind.TEAM, "acme/red"),
        (Action.CREATE, Kind.MEMBER, "acme/red/alice"),
        (Action.CREATE, Kind.MEMBER, "acme/red/bob"),
        (Action.CREATE, Kind.KEY, "acme/ci"),
        (Action.CREATE, Kind.KEY, "acme/laptop"),
    ]
    apply.made(ACME)
    assert apply.plan(ACME, "--prune") == []
    for options in ([], ["--yes"], ["--prune"], ["--plan"]):
        said = apply(ACME, *options)
        assert (said.code, said.out) == (0, "Nothing to change.\n")
    (laptop,) = [key for key in apply.tollgate.json("keys", "list", "--owner", "acme") if key["name"] == "laptop"]
    assert (laptop["status"], laptop["cap_nano"], laptop["member"]) == ("disabled", 5_000_000_000, "bob")


def test_the_plan_tells_each_field_as_it_is_and_as_it_is_to_be(apply: Apply) -> None:
    """In words, and in nothing but what changes."""
    apply.made(ACME)
    changed = json.loads(json.dumps(ACME))
    changed["acme"]["discount"] = 1
    changed["acme"]["teams"]["red"]["members"]["bob"] = {"quota": "none"}
    changed["acme"]["keys"]["ci"] = {"team": "red", "cap": 7, "requests_per_minute": 60}
    said = apply(changed, "--plan")
    (ci,) = [key["key_id"] for key in apply.tollgate.json("keys", "list") if key["name"] == "ci"]
    assert (said.code, said.err) == (3, "")
    assert said.out == (
        "~ owner acme\n"
        "    pays: 90 % → 100 %\n"
        "~ member acme/red/bob\n"
        "    quota: 5.00 USD → none\n"
        f"~ key acme/ci ({ci})\n"
        "    cap: none → 7.00 USD\n"
        "    monthly limit: 20.00 USD → none\n"
        "    requests per minute: as the group says → 60\n"
        "    allowed ips: 10.0.0.0/8 → none\n"
        "To make: 3 changes.\n"
    )


def test_one_team_may_change_in_several_steps(apply: Apply) -> None:
    """Each names the revision that the one before it left."""
    apply.made(ACME)
    changed = json.loads(json.dumps(ACME))
    changed["acme"]["keys"] = {}
    changed["acme"]["teams"]["red"] = {"title": "Blue", "members": {"bob": {"role": "viewer"}, "eve": {}}}
    assert len(apply.made(changed, "--prune")) == 6
    assert apply.plan(changed, "--prune") == []


def test_what_is_not_declared_is_left_or_deleted(apply: Apply) -> None:
    """Only `--prune` deletes, only of owners that are declared, and never money."""
    apply.made(ACME)
    apply.tollgate("wallet", "top-up", "acme", "5")
    other, stray = apply.tollgate.key("umbrella"), apply.tollgate.key("acme", "--name", "stray")
    less = {"acme": {**ACME["acme"], "keys": {"ci": ACME["acme"]["keys"]["ci"]}, "teams": {"red": {"title": "Red"}}}}
    less["acme"]["teams"]["red"] |= {"quota": 500}
    left = apply(less)
    assert (left.code, left.out) == (0, "Nothing to change.\n")
    assert "left as they are: 4 keys, members or teams. --prune deletes them." in left.err
    assert [(action, name) for action, _, name in apply.plan(less, "--prune")] == [
        *[(Action.DELETE, f"acme/{name}") for _, name in sorted((k["key_id"], k["name"]) for k in strays(apply))],
        (Action.DELETE, "acme/red/alice"),
        (Action.DELETE, "acme/red/bob"),
    ]
    apply.made(less, "--prune")
    assert apply.tollgate.json("keys", "show", stray)["status"] == "deleted"
    assert apply.tollgate.json("keys", "show", other)["status"] == "active"
    assert apply.tollgate.json("wallet", "show", "acme")["available_nano"] == 5_000_000_000


def strays(apply: Apply) -> list[Any]:
    """The keys of acme that are not `ci`."""
    return [key for key in apply.tollgate.json("keys", "list", "--owner", "acme") if key["name"] != "ci"]


def test_new_plaintexts_go_where_only_the_caller_reads(apply: Apply) -> None:
    """One line each, appended; in no plan and on no standard output, and not at all without a place for them."""
    refused = apply(ACME, "--yes")
    assert (refused.code, apply.tollgate.json("keys", "list")) == (2, [])
    assert "name a file for them with --keys-out" in refused.err
    apply.keys.write_text('{"before": true}\n')
    said = apply(ACME, "--yes", "--keys-out", apply.keys)
    _, *lines = [json.loads(line) for line in apply.keys.read_text().splitlines()]
    assert [(line["owner"], line["name"]) for line in lines] == [("acme", "ci"), ("acme", "laptop")]
    assert stat.S_IMODE(apply.keys.stat().st_mode) == 0o600
    assert all(line["plaintext"].startswith("sk-") for line in lines)
    assert "sk-" not in said.out + said.err


@pytest.mark.parametrize("answer", ["y\n", "n\n"])
def test_at_a_terminal_the_plan_is_asked_about(apply: Apply, answer: str) -> None:
    """A yes makes it and shows each new plaintext this once; a no changes nothing."""
    file = apply.keys.with_name("people.yaml")
    file.write_text("owners: {acme: {keys: {ci: }}}")
    code, shown = at_a_terminal("apply", str(file), answer=answer)
    assert shown.index("+ key acme/ci") < shown.index("Make 1 change? [y/N]")
    assert (code, shown.count("sk-")) == ((0, 1) if answer == "y\n" else (1, 0))
    assert len(apply.tollgate.json("keys", "list")) == shown.count("sk-")


def test_without_a_terminal_it_needs_yes(apply: Apply) -> None:
    """It exits 2, the plan shown, and nothing is changed; `--json` shows none, so it needs one or the other."""
    said = apply({"acme": {"tier": "pro"}})
    assert (said.code, said.out.splitlines()[0]) == (2, "~ owner acme")
    assert "say --yes if that is meant" in said.err
    assert apply({"acme": {"tier": "pro"}}, "--json").code == 2
    assert apply.tollgate.json("owners", "list") == []


def test_a_key_that_would_move_is_replaced_only_with_prune(apply: Apply) -> None:
    """Another team is another key: without `--prune` that is refused, with it the old one is deleted first."""
    apply.made(ACME)
    moved = json.loads(json.dumps(ACME))
    moved["acme"]["keys"]["ci"].pop("team")
    said = apply(moved, "--yes")
    assert said.code == 1
    assert "acme has the key 'ci' in red" in said.err
    assert apply.plan(moved, "--prune") == [(Action.DELETE, Kind.KEY, "acme/ci"), (Action.CREATE, Kind.KEY, "acme/ci")]
    apply.made(moved, "--prune")
    assert apply.plan(moved, "--prune") == []


def test_two_keys_of_one_name_are_not_told_apart(apply: Apply) -> None:
    """Which of them is declared nobody can say."""
    ids = {apply.tollgate.key("acme", "--name", "ci"), apply.tollgate.key("acme", "--name", "ci")}
    said = apply({"acme": {"keys": {"ci": {}}}}, "--plan", "--prune")
    assert said.code == 1
    assert all(key_id in said.err for key_id in ids)


def test_what_the_gateway_refuses_is_told_with_how_far_it_came(apply: Apply) -> None:
    """What was made stays; applied again, it goes on from there."""
    past = {"acme": {"tier": "pro", "keys": {"a": {}, "b": {"expires": "2020-01-01"}}}}
    said = apply(past, "--yes", "--keys-out", apply.keys)
    assert said.code == 1
    assert said.err.startswith("tollgate: key acme/b: ")
    assert said.err.endswith("2 of 3 changes were made; apply it again to go on.\n")
    past["acme"]["keys"].pop("b")  # type: ignore[attr-defined]
    assert apply.plan(past) == []


MEANWHILE = {
    "owner": ("owners", "set", "acme", "--suspend"),
    "team": ("teams", "edit", "acme", "red", "--quota", "1"),
    "member": ("teams", "members", "set", "acme", "red", "eve"),
    "key": ("keys", "edit", "CI", "--cap", "1"),
}


@pytest.mark.parametrize("what", MEANWHILE)
def test_a_change_made_meanwhile_is_refused_and_not_overwritten(
    what: str, tollgate: Tollgate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the plan and its steps somebody else changes the owner, the team, a member or the key."""
    apply = Apply(tollgate, tmp_path)
    apply.made(ACME)
    wanted = {"acme": {"discount": 0.5, "teams": {"red": {"quota": 7}}, "keys": {"ci": {"team": "red", "cap": 7}}}}
    (ci,) = [key["key_id"] for key in tollgate.json("keys", "list") if key["name"] == "ci"]
    command = [ci if word == "CI" else word for word in MEANWHILE[what]]

    def asked(_what: str, _yes: bool) -> None:
        seen.append(Tollgate(tollgate._capture, monkeypatch).json(*command))

    seen: list[Any] = []
    monkeypatch.setattr("extproc.cli.apply.confirm", asked)
    said = apply(wanted, "--prune")
    assert said.code == 1, said
    assert "Look at it as it is now, and try again." in said.err
    show = {"owner": ("owners", "show", "acme"), "key": ("keys", "show", ci)}
    assert tollgate.json(*show.get(what, ("teams", "show", "acme", "red")))["revision"] == seen[0]["revision"]


# --- Any two states ---------------------------------------------------------------------------------------------------

MONEY = st.sampled_from(["none", 1, 2.5])
MEMBERS = st.dictionaries(
    st.sampled_from(["alice", "bob"]),
    st.fixed_dictionaries({}, optional={"role": st.sampled_from(["owner", "admin", "viewer"]), "quota": MONEY}),
)
TEAMS = st.dictionaries(
    st.sampled_from(["red", "blue"]),
    st.fixed_dictionaries({"members": MEMBERS}, optional={"title": st.sampled_from(["", "A title"]), "quota": MONEY}),
)
TERMS = st.fixed_dictionaries(
    {},
    optional={
        "group": st.sampled_from(["default", "claude-code"]),
        "fallback_groups": st.sampled_from([[], ["claude-code"], ["default", "claude-code"]]),
        "cap": MONEY,
        "monthly_limit": MONEY,
        "concurrency": st.sampled_from([1, 100]),
        "requests_per_minute": st.sampled_from([0, 60]),
        "tokens_per_minute": st.sampled_from([0, 60]),
        "expires": st.sampled_from(["never", "2100-01-01"]),
        "allowed_ips": st.sampled_from([[], ["10.0.0.0/8", "::1"]]),
        "allowed_models": st.sampled_from([[], ["gpt-5*"]]),
        "status": st.sampled_from(["active", "disabled"]),
    },
)


@st.composite
def owner(draw: st.DrawFn) -> Any:
    """An owner whose keys are in teams that are there."""
    teams: dict[str, Any] = draw(TEAMS)
    places: list[dict[str, str]] = [{}, *({"team": team} for team in teams)]
    places += [{"team": team, "member": member} for team, spec in teams.items() for member in spec["members"]]
    keys: dict[str, Any] = draw(
        st.dictionaries(st.sampled_from(["ci", "laptop"]), st.tuples(st.sampled_from(places), TERMS))
    )
    said = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "tier": st.sampled_from(["default", "pro"]),
                "discount": st.sampled_from([1, 0.5]),
                "status": st.sampled_from(["active", "suspended"]),
            },
        )
    )
    return {**said, "teams": teams, "keys": {name: {**place, **terms} for name, (place, terms) in keys.items()}}


STATES = st.dictionaries(st.sampled_from(["acme", "umbrella"]), owner(), min_size=1)


@pytest.fixture
def place(server: RedisServer, data: Path) -> Place:
    """Where the command line looks."""
    return Place(config=CONFIG, data=data, redis=server.url)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=STATES, second=STATES)
def test_whatever_was_there_what_is_declared_is_there(
    tollgate: Tollgate, tmp_path: Path, place: Place, first: Owners, second: Owners
) -> None:
    """A, then B with `--prune`: what B declares is all that its owners have, and another time changes nothing."""
    for name in ("acme", "umbrella"):
        Apply(tollgate, tmp_path).made({name: {}}, "--prune")
    apply = Apply(tollgate, tmp_path)
    apply.made(first)
    apply.made(second, "--prune")
    assert apply.plan(second, "--prune") == []
    assert {name: live(place, name) for name in second} == {name: as_live(spec) for name, spec in second.items()}


def nano(usd: Any, none: int) -> int:
    """An amount of a declaration."""
    return none if usd == "none" else int(usd * 10**9)


def as_live(spec: Any) -> Any:
    """What a declaration says, worked out by no line of the command's own."""
    teams = {
        name: (
            team.get("title", ""),
            nano(team.get("quota", "none"), -1),
            {who: (m.get("role", "member"), nano(m.get("quota", "none"), -1)) for who, m in team["members"].items()},
        )
        for name, team in spec["teams"].items()
    }
    networks = {"::1": "::1/128"}
    keys = {
        name: (
            *(key.get("team", ""), key.get("member", ""), key.get("group", "default")),
            key.get("fallback_groups", []),
            *(nano(key.get("cap", "none"), 0), nano(key.get("monthly_limit", "none"), 0)),
            *(key.get("concurrency", 100), key.get("requests_per_minute"), key.get("tokens_per_minute")),
            4_102_444_800_000 if key.get("expires") == "2100-01-01" else 0,
            [networks.get(each, each) for each in key.get("allowed_ips", [])],
            *(key.get("allowed_models", []), key.get("status", "active")),
        )
        for name, key in spec["keys"].items()
    }
    said = (spec.get("tier", "default"), int(spec.get("discount", 1) * 10**6), spec.get("status", "active"))
    return said, teams, keys


def live(place: Place, owner: str) -> Any:
    """The same of what is there, as the admin service tells it."""
    with local(place) as client:
        try:
            said = client.call(pb.GetOwnerRequest(owner=owner), pb.Owner)
        except NotFound:
            said = pb.Owner(tier="default", discount_ppm=10**6, status="active")
        teams = client.call(pb.ListTeamsRequest(owner=owner), pb.ListTeamsResponse).teams
        keys = client.call(pb.ListKeysRequest(owner=owner), pb.ListKeysResponse).keys
    return (
        (said.tier, said.discount_ppm, said.status),
        {t.team: (t.title, t.quota_nano, {m.member: (m.role, m.quota_nano) for m in t.members}) for t in teams},
        {
            key.name: (
                *(key.team, key.member, key.group, list(key.fallback_groups), key.cap_nano, key.month_limit_nano),
                key.concurrency,
                key.requests_per_minute if key.HasField("requests_per_minute") else None,
                key.tokens_per_minute if key.HasField("tokens_per_minute") else None,
                *(key.expires_ms, list(key.allowed_ips), list(key.allowed_models), key.status),
            )
            for key in keys
        },
    )
