"""The command line against a running gateway: what it prints, what it exits with, what it says when it cannot."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from extproc.core.money import MAX_ACCOUNT_NANO
from tests.cli.commands import Tollgate
from tests.e2e.bills import NANO_PER_USD
from tests.e2e.harness import HTTP, Gateway, eventually

CONFIG = Path(__file__).parents[2] / "config"
LARGEST = f"{MAX_ACCOUNT_NANO // NANO_PER_USD}.{MAX_ACCOUNT_NANO % NANO_PER_USD:09d}"


@pytest.fixture
def tollgate(demo: Gateway, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Tollgate:
    """The command line, with the gateway's data folder."""
    monkeypatch.setenv("TOLLGATE_DATA", str(demo.settings.data))
    return Tollgate(capsys, monkeypatch)


@pytest.fixture
def owner(request: pytest.FixtureRequest) -> str:
    """An owner that no other test has."""
    return f"cli-{abs(hash(request.node.nodeid)):x}"


@pytest.fixture
def known(tollgate: "Tollgate", owner: str) -> str:
    """The same, with a key: only then there is a wallet."""
    assert tollgate("keys", "create", "--owner", owner).code == 0
    return owner


def status_of(demo: Gateway, key: str) -> int:
    """What a call with this key is answered with."""
    body = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "Hello"}]}
    headers = {"authorization": f"Bearer {key}"}
    return HTTP.post(f"{demo.url}/v1/chat/completions", json=body, headers=headers).status_code


# --- The whole way ----------------------------------------------------------------------------------------------------


def test_a_key_is_made_paid_for_used_and_disabled(demo: Gateway, tollgate: Tollgate, owner: str) -> None:
    """keys create → 402; wallet top-up → 200; wallet show has the charge to the nano; keys disable → 401."""
    made = tollgate("keys", "create", "--owner", owner, "--name", "laptop", "--json").json
    assert status_of(demo, made["plaintext"]) == 402
    assert tollgate("wallet", "top-up", owner, "1", "--json").json["entry"]["limit_nano"] == NANO_PER_USD
    assert status_of(demo, made["plaintext"]) == 200
    charge = 250 + 5 * 2000

    def wallet() -> Any:
        shown = tollgate("wallet", "show", owner, "--json").json
        return shown if shown["used_nano"] and not shown["held_nano"] else None

    wallet_shown = eventually(wallet, "the charge")
    assert wallet_shown == {
        "owner": owner,
        "available_nano": NANO_PER_USD - charge,
        "held_nano": 0,
        "used_nano": charge,
        "limit_nano": NANO_PER_USD,
    }
    assert "0.99998975 USD" in tollgate("wallet", "show", owner).out
    assert tollgate("keys", "disable", made["key"]["key_id"], "--json").json["status"] == "disabled"
    assert status_of(demo, made["plaintext"]) == 401


# --- keys -------------------------------------------------------------------------------------------------------------


def test_a_new_key_is_shown_once(tollgate: Tollgate, owner: str) -> None:
    """`keys create` prints the key on a line of its own; `keys list` and `keys show` never print it again."""
    made = tollgate(
        *("keys", "create", "--owner", owner, "--cap", "2.5", "--expires", "3d"),
        *("--fallback", "claude-code"),
    )
    key = made.out.splitlines()[0]

    listed = tollgate("keys", "list", "--owner", owner)
    as_json = tollgate("keys", "list", "--owner", owner, "--json")
    shown = tollgate("keys", "show", made.out.splitlines()[1].split()[1])

    assert made.code == listed.code == as_json.code == shown.code == 0
    assert key.startswith("sk-")
    assert len(key) > 40
    for later in (listed, as_json, shown):
        assert key not in later.out
        assert key[:10] in later.out or later is as_json
    (record,) = as_json.json
    assert record["prefix"] == key[:10]
    assert (record["group"], record["fallback_groups"]) == ("default", ["claude-code"])
    assert (record["cap_nano"], record["status"]) == (2_500_000_000, "active")
    assert "2.50 USD" in listed.out
    assert record["month_limit_nano"] == 0
    assert tollgate("wallet", "show", owner, "--json").json["limit_nano"] == 0


def test_the_table_has_what_disable_takes(tollgate: Tollgate, owner: str) -> None:
    """The id in the table is whole, however narrow the output: `keys disable` takes it as `keys list` shows it."""
    made = tollgate("keys", "create", "--owner", f"{owner}-with-quite-a-long-name", "--name", "a laptop in Berlin").out
    key_id = made.splitlines()[1].split()[1]

    listed = tollgate("keys", "list", "--owner", f"{owner}-with-quite-a-long-name").out

    assert key_id in listed


def test_the_list_has_every_owners_keys(tollgate: Tollgate, owner: str) -> None:
    """Without an owner all keys are listed, disabled ones too; with one, only theirs."""
    first = tollgate("keys", "create", "--owner", owner, "--json").json
    tollgate("keys", "create", "--owner", f"{owner}-other")
    tollgate("keys", "disable", first["key"]["key_id"])

    everyone = {record["owner"]: record["status"] for record in tollgate("keys", "list", "--json").json}

    assert everyone[owner] == "disabled"
    assert everyone[f"{owner}-other"] == "active"
    assert [record["key_id"] for record in tollgate("keys", "list", "--owner", owner, "--json").json] == [
        first["key"]["key_id"]
    ]


def test_a_key_may_be_disabled_twice(tollgate: Tollgate, owner: str) -> None:
    """Disabling a disabled key says the same once more."""
    made = tollgate("keys", "create", "--owner", owner, "--json").json

    said = [tollgate("keys", "disable", made["key"]["key_id"]) for _ in range(2)]

    assert [s.code for s in said] == [0, 0]
    assert said[0].out == said[1].out
    assert f"of {owner} is disabled" in said[0].out


def test_an_owners_tier_decides_which_groups_the_keys_may_have(demo: Gateway, tollgate: Tollgate, known: str) -> None:
    """A group outside of the tier is refused to a new key, and from a key that has it, from the next request on."""
    create = ("keys", "create", "--owner", known, "--group", "last-resort", "--json")
    refused = tollgate(*create)
    assert refused.code == 1
    assert f"{known} has the tier default, whose keys may not have the group last-resort" in refused.err
    assert tollgate("owners", "set", known, "--tier", "pro").out == (
        f"{known} has the tier pro, pays every price in full and is active.\n"
    )
    made = tollgate(*create).json
    assert status_of(demo, made["plaintext"]) == 402
    record = made["key"]
    lowered = tollgate("owners", "set", known, "--tier", "default")
    assert (
        lowered.out.splitlines()[1] == f"Key {record['key_id']} ({record['prefix']}…) of group last-resort is refused."
    )
    assert status_of(demo, made["plaintext"]) == 403


def test_a_suspended_owners_keys_are_refused_until_the_owner_is_active_again(
    demo: Gateway, tollgate: Tollgate, known: str
) -> None:
    """Every key of theirs, from the next request on; what else is said of the owner stays."""
    key = tollgate("keys", "create", "--owner", known, "--json").json["plaintext"]
    assert status_of(demo, key) == 402
    tollgate("owners", "set", known, "--discount", "0.9")
    suspended = tollgate("owners", "set", known, "--suspend", "--json").json
    assert status_of(demo, key) == 403
    active = tollgate("owners", "set", known, "--activate", "--json").json
    assert status_of(demo, key) == 402
    assert (suspended["status"], active["status"]) == ("suspended", "active")
    assert tollgate("owners", "show", known, "--json").json == active
    assert active == {"owner": known, "tier": "default", "discount_ppm": 900_000, "status": "active", "revision": 3}


def test_a_tier_that_is_not_there_is_refused(tollgate: Tollgate, known: str) -> None:
    """With the nearest that is."""
    refused = tollgate("owners", "set", known, "--tier", "prp")
    assert (refused.code, "there is no tier 'prp' (did you mean 'pro'?)" in refused.err) == (1, True)


def test_there_may_be_nothing_to_list(tollgate: Tollgate, owner: str) -> None:
    """An owner nobody knows: no keys, exit 0, and JSON all the same; nor is there a wallet."""
    assert tollgate("keys", "list", "--owner", owner).out == "There are no keys.\n"
    assert tollgate("keys", "list", "--owner", owner, "--json").json == []
    assert f"there is no owner '{owner}'" in tollgate("wallet", "show", owner, "--json").err


# --- wallet -----------------------------------------------------------------------------------------------------------


def test_a_top_up_counts_once_per_reference(tollgate: Tollgate, known: str) -> None:
    """The same reference twice, even with another amount, changes nothing the second time; another one adds."""
    first = tollgate("wallet", "top-up", known, "12.50", "--reference", "inv-1", "--json").json
    again = tollgate("wallet", "top-up", known, "99", "--reference", "inv-1", "--json").json
    in_words = tollgate("wallet", "top-up", known, "12.50", "--reference", "inv-1")
    other = tollgate("wallet", "top-up", known, "$0.000000001", "--json").json
    other_again = tollgate("wallet", "top-up", known, "0.000000001", "--json").json

    assert [(each["entry"]["kind"], each["repeated"]) for each in (first, again)] == [
        ("top_up", False),
        ("top_up", True),
    ]
    assert first["entry"]["limit_nano"] == again["entry"]["limit_nano"] == 12_500_000_000
    assert (in_words.code, "used before; nothing was changed" in in_words.out) == (0, True)
    assert other["entry"]["limit_nano"] == 12_500_000_001
    assert other_again["entry"]["limit_nano"] == 12_500_000_002
    assert other["entry"]["reference"] != other_again["entry"]["reference"]


BAD_AMOUNTS = {
    "0": "is not between 0.000000001 USD",
    "0.0000000001": "finer than 0.000000001 USD",
    "1e-10": "finer than 0.000000001 USD",
    "1e400": "is not between",
    "1e999999": "is not an amount in USD",
    "NaN": "not a number",
    "Infinity": "not a number",
    "ten": "is not an amount in USD",
    "": "is not an amount in USD",
    "1,50": "is not an amount in USD",
    "9007199.254740992": "is not between",
}


@pytest.mark.parametrize(("usd", "complaint"), BAD_AMOUNTS.items())
def test_a_bad_amount_is_refused(tollgate: Tollgate, known: str, usd: str, complaint: str) -> None:
    """Zero, too precise, too large or no number: one line that says why, exit 1, and the wallet is as it was."""
    said = tollgate("wallet", "top-up", known, usd)

    assert said.code == 1
    assert said.out == ""
    assert said.err.startswith("tollgate: ")
    assert complaint in said.err
    assert len(said.err.splitlines()) == 1
    assert tollgate("wallet", "show", known, "--json").json["limit_nano"] == 0


@pytest.mark.parametrize(("arguments", "code"), [(("OWNER", "-5"), 2), (("--", "OWNER", "-5"), 1)])
def test_a_negative_amount_is_refused(tollgate: Tollgate, known: str, arguments: tuple[str, ...], code: int) -> None:
    """A minus reads as an unknown option, and behind `--` as an amount below the least: refused, nothing changed."""
    said = tollgate("wallet", "top-up", *(known if word == "OWNER" else word for word in arguments))

    assert (said.code, said.out) == (code, "")
    assert said.err
    assert tollgate("wallet", "show", known, "--json").json["limit_nano"] == 0


def test_a_wallet_has_a_maximum(tollgate: Tollgate, known: str) -> None:
    """The largest amount fits exactly; one nano more is refused, and nothing has changed."""
    assert tollgate("wallet", "top-up", known, LARGEST, "--json").json["entry"]["limit_nano"] == MAX_ACCOUNT_NANO

    more = tollgate("wallet", "top-up", known, "0.000000001")

    assert more.code == 1
    assert f"a wallet takes {LARGEST} USD in all" in more.err
    assert tollgate("wallet", "show", known, "--json").json["limit_nano"] == MAX_ACCOUNT_NANO


# --- check and render -------------------------------------------------------------------------------------------------


def test_the_example_configuration_is_checked(tollgate: Tollgate) -> None:
    """`check config` exits 0 and counts what is there."""
    in_words, as_json = tollgate("check", str(CONFIG)), tollgate("check", str(CONFIG), "--json").json

    assert in_words.code == 0
    assert "5 groups" in in_words.out
    assert (as_json["ok"], as_json["groups"]) == (True, 5)
    assert as_json["revision"] in in_words.out


def test_every_fault_of_a_configuration_is_told(tollgate: Tollgate, tmp_path: Path) -> None:
    """A folder with three faults: exit 1, each with its file and line; the same as JSON."""
    for path in CONFIG.glob("*.yaml"):
        text = path.read_text().replace("multiplier: 0.95", "multiplier: lots\n    colour: red")
        (tmp_path / path.name).write_text(text.replace("price: {input: 0.02}", "price: {}"))

    in_words, as_json = tollgate("check", str(tmp_path)), tollgate("check", str(tmp_path), "--json")

    assert in_words.code == as_json.code == 1
    assert as_json.json["ok"] is False
    told = "\n".join(as_json.json["errors"])
    for fault in ("multiplier", "colour", "price"):
        assert fault in told
        assert fault in in_words.out
    assert "groups.yaml:" in told
    assert "models.yaml:" in told


def test_render_prints_the_clusters(tollgate: Tollgate) -> None:
    """`render` prints the file that Envoy reads, as text or inside JSON."""
    text, as_json = tollgate("render", str(CONFIG)), tollgate("render", str(CONFIG), "--json").json

    assert text.code == 0
    assert "channel_demo-openai" in text.out
    assert as_json["clusters"].strip() == text.out.strip()
    assert as_json["revision"]


# --- status -----------------------------------------------------------------------------------------------------------


def test_status_of_a_gateway_that_is_well(tollgate: Tollgate) -> None:
    """Revision, folder, workers, Envoy and Redis on one screen, exit code 0; the same as JSON."""
    text, as_json = tollgate("status"), tollgate("status", "--json").json
    revision = as_json["live"]["revision"]
    assert (text.code, as_json["ok"], as_json["wrong"]) == (0, True, [])
    assert revision == tollgate("check", str(CONFIG), "--json").json["revision"]
    for said in (f"revision {revision} since ", f"{CONFIG} is as accepted", "worker-1", "serves", "All is well."):
        assert said in text.out
    assert [(worker["name"], worker["healthy"], worker["current"]) for worker in as_json["workers"]] == [
        ("worker-0", True, True),
        ("worker-1", True, True),
    ]
    assert as_json["envoy"]["clusters"] == as_json["live"]["clusters"]


# --- When it cannot ---------------------------------------------------------------------------------------------------

COMPLAINTS = [
    (("keys", "disable", "key_nobody"), "there is no key 'key_nobody'\n`tollgate keys list`"),
    (("wallet", "top-up", "nobody-yet", "5"), "there is no owner 'nobody-yet'"),
    (("wallet", "refund", "nobody-yet", "5", "--reason", "x"), "there is no owner 'nobody-yet'"),
    (("wallet", "adjust", "nobody-yet", "-5", "--reason", "x", "--yes"), "there is no owner 'nobody-yet'"),
    (("trace", "nobody"), "there is no request nobody"),
    (("keys", "create", "--owner", "x", "--group", "nope"), "there is no group 'nope'"),
    (("keys", "create", "--owner", "x", "--fallback", "nope"), "there is no group 'nope'"),
    (("keys", "create", "--owner", "x", "--cap", "-1"), "is not between 0.00 USD"),
    (("keys", "create", "--owner", "x", "--cap", "lots"), "is not an amount in USD"),
    (("keys", "create", "--owner", "x", "--config", "/nowhere"), "/nowhere"),
    (("render", "/nowhere"), "/nowhere"),
    (("keys", "list", "--redis", "nonsense"), "nonsense"),
    (("keys", "list", "--redis", "redis://127.0.0.1:1"), "no answer at redis://127.0.0.1:1"),
    (("keys", "list", "--redis", "redis://me:secret@127.0.0.1:1/?db=1"), "no answer at redis://127.0.0.1:1/ ("),
]


@pytest.mark.parametrize(
    ("arguments", "complaint"), COMPLAINTS, ids=lambda value: value if isinstance(value, str) else " ".join(value)[:40]
)
def test_what_cannot_be_done_is_said_in_words(tollgate: Tollgate, arguments: tuple[str, ...], complaint: str) -> None:
    """An unknown key, group or folder, a bad cap, no Redis: exit 1, and a line that says which."""
    said = tollgate(*arguments)

    assert said.code == 1
    assert said.out == ""
    assert said.err.startswith("tollgate: ")
    assert complaint in said.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("keys", "create", "--owner", "x"),
        ("keys", "list"),
        ("keys", "disable", "key_x"),
        ("wallet", "top-up", "x", "1"),
        ("wallet", "show", "x"),
        ("wallet", "refund", "x", "1", "--reason", "y"),
        ("wallet", "adjust", "x", "-1", "--reason", "y", "--yes"),
        ("audit",),
        ("trace", "x"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("more", [(), ("--json",)], ids=["", "json"])
def test_without_a_gateway_each_command_says_so(
    tollgate: Tollgate,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    arguments: tuple[str, ...],
    more: tuple[str, ...],
) -> None:
    """No Redis in the data folder: exit 1, where it was looked for, and what to do."""
    monkeypatch.setenv("TOLLGATE_DATA", str(tmp_path))
    said = tollgate(*arguments, *more)

    assert (said.code, said.out) == (1, "")
    assert f"no answer at unix://{tmp_path}/run/redis.sock" in said.err
    assert "Is `tollgate up` running?" in said.err


@pytest.mark.parametrize("arguments", [(), ("keys",), ("nonsense",), ("keys", "create"), ("up", "--port", "-1")])
def test_wrong_usage_exits_2_and_helps(tollgate: Tollgate, arguments: tuple[str, ...]) -> None:
    """No command, an unknown one, a missing or impossible option: exit 2 and the usage."""
    said = tollgate(*arguments)

    assert said.code == 2
    assert "Usage:" in said.out + said.err


def test_the_command_itself_exits_1_with_one_line(tmp_path: Path) -> None:
    """As a process of its own: the error on standard error, exit 1, no stack trace."""
    said = subprocess.run(
        [sys.executable, "-m", "extproc", "keys", "list", "--data", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (said.returncode, said.stdout) == (1, "")
    assert said.stderr.startswith("tollgate: no answer at")
    assert "Traceback" not in said.stderr
