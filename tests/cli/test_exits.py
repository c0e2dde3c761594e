"""What the command line exits with: 0 done, 1 refused, 2 not understood; and that it asks before it ends something."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from extproc.cli.main import app
from tests.cli.commands import Tollgate, at_a_terminal

NOT_DONE = [
    (("owners", "show", "nobody"), 1, "tollgate: there is no owner 'nobody'"),
    (("owners", "set", "acme", "--discount", "2"), 1, "tollgate: 2 is not above 0 and at most 1"),
    (("owners", "set", "acme", "--tier", "nope"), 1, "there is no tier 'nope'"),
    (("owners", "set", "acme", "--tier", "pro", "--suspended"), 2, "No such option"),
    (("teams", "show", "acme", "nope"), 1, "there is no team 'nope'"),
    (("teams", "create", "acme", "red"), 1, "red"),
    (("teams", "create", "acme", "a/b"), 1, "a/b"),
    (("teams", "edit", "acme", "red", "--quota", "-1"), 1, "tollgate: -1 is not between 0.00 USD and 9007199.25"),
    (("teams", "members", "set", "acme", "red", "bob", "--role", "king"), 2, "king"),
    (("teams", "members", "remove", "acme", "red", "nobody", "--yes"), 1, "there is no member 'nobody'"),
    (("keys", "show", "key_nope"), 1, "there is no key 'key_nope'"),
    (("keys", "create", "--owner", "acme", "--group", "nope"), 1, "there is no group 'nope'"),
    (("keys", "create", "--owner", "acme", "--group", "last-resort"), 1, "may not have the group last-resort"),
    (("keys", "create", "--owner", "acme", "--member", "bob"), 1, "tollgate: --member needs --team"),
    (("keys", "create", "--owner", "acme", "--team", "red", "--member", "nobody"), 1, "nobody"),
    (("keys", "create", "--owner", "acme", "--cap", "0.0000000001"), 1, "finer than 0.000000001 USD"),
    (("keys", "create", "--owner", "acme", "--expires", "2020-01-01"), 1, "tollgate: 2020-01-01 is over already"),
    (("keys", "create", "--owner", "acme", "--expires", "soon"), 1, "'soon' is no moment"),
    (("keys", "create", "--owner", "acme", "--requests-per-minute", "-3"), 1, "'-3' is neither a whole number"),
    (("keys", "create", "--owner", "acme", "--allow-ip", "10.0.0.1/8"), 1, "is no network"),
    (("keys", "create"), 2, "--owner"),
    (("keys", "edit", "KEY", "--any-ip", "--allow-ip", "::1"), 2, "--allow-ip and --any-ip say the opposite"),
    (("keys", "rotate", "KEY", "--overlap", "soon"), 1, "'soon' is no length of time"),
    (("keys", "rotate", "KEY", "--overlap", "31d"), 1, "2592000"),
    (("wallet", "top-up", "nobody", "5"), 1, "there is no owner 'nobody'"),
    (("wallet", "top-up", "acme", "ten"), 1, "tollgate: 'ten' is not an amount in USD"),
    (("wallet", "top-up", "acme", "-5"), 2, "No such option"),
    (("wallet", "adjust", "acme", "-13", "--reason", "x", "--yes"), 1, "12.50 USD were put in in all"),
    (("wallet", "adjust", "acme", "0", "--reason", "x"), 1, "would change nothing"),
    (("wallet", "bonus", "acme", "1", "--reason", " "), 1, "a reason is needed"),
    (("wallet", "bonus", "acme", "1"), 2, "--reason"),
    (("tokens", "create", "--name", "x"), 2, "--scope"),
    (("tokens", "create", "--name", "x", "--scope", "person"), 1, "person"),
    (("tokens", "revoke", "tok_nope", "--yes"), 1, "there is no token 'tok_nope'"),
    (("usage", "--since", "yesterday"), 1, "'yesterday' is no moment"),
    (("usage", "--by", "colour"), 2, "colour"),
    (("logs", "r-1", "--follow"), 2, "one thing each"),
    (("logs", "--export", "november.xlsx"), 2, "must end in .csv, .jsonl or .parquet"),
    (("apply", "/nowhere.yaml", "--plan"), 1, "tollgate: /nowhere.yaml: there is no such file"),
    (("nonsense",), 2, "nonsense"),
]


@pytest.fixture
def acme(tollgate: Tollgate) -> str:
    """An owner with a team and 12.50 USD; the id of the owner's key."""
    key_id = tollgate.key("acme", "--name", "ci")
    tollgate("teams", "create", "acme", "red")
    tollgate("wallet", "top-up", "acme", "12.50")
    return key_id


def everything(tollgate: Tollgate) -> object:
    """All that is there."""
    listed = [tollgate.json(kind, "list") for kind in ("owners", "keys", "tokens")]
    return listed, tollgate.json("teams", "list", "acme"), tollgate.json("wallet", "statement", "acme")


@pytest.mark.parametrize(
    ("command", "code", "complaint"),
    NOT_DONE,
    ids=lambda value: " ".join(value)[:60] if isinstance(value, tuple) else "",
)
def test_what_is_not_done_is_said_and_changes_nothing(
    tollgate: Tollgate, acme: str, command: tuple[str, ...], code: int, complaint: str
) -> None:
    """Nothing on standard output, why on standard error, and everything is as it was."""
    before = everything(tollgate)
    said = tollgate(*(acme if word == "KEY" else word for word in command))
    assert (said.code, said.out) == (code, "")
    assert complaint in said.err
    assert everything(tollgate) == before


ENDING = [
    ("teams", "delete", "acme", "red"),
    ("teams", "members", "remove", "acme", "red", "bob"),
    ("keys", "delete", "KEY"),
    ("keys", "rotate", "KEY"),
    ("wallet", "adjust", "acme", "-1", "--reason", "x"),
    ("tokens", "revoke", "TOKEN"),
]


@pytest.fixture
def ended(tollgate: Tollgate, acme: str) -> dict[str, str]:
    """What each of those commands ends: ids by their words."""
    tollgate("teams", "members", "set", "acme", "red", "bob")
    token = tollgate.json("tokens", "create", "--name", "ci", "--scope", "read")["token"]["token_id"]
    return {"KEY": acme, "TOKEN": token}


@pytest.mark.parametrize("command", ENDING, ids=" ".join)
def test_with_nobody_to_ask_what_ends_something_needs_yes(
    tollgate: Tollgate, ended: dict[str, str], command: tuple[str, ...]
) -> None:
    """Without a terminal it exits 2 and says so; with `--yes` it is done."""
    before, named = everything(tollgate), [ended.get(word, word) for word in command]
    said = tollgate(*named)
    assert (said.code, said.out) == (2, "")
    assert "There is no terminal to ask at: say --yes if that is meant" in said.err
    assert everything(tollgate) == before
    assert tollgate(*named, "--yes").code == 0
    assert everything(tollgate) != before


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("yes\n", 0), ("n\n", 1), ("\n", 1), ("\x04", 1)])
def test_a_person_is_asked(tollgate: Tollgate, acme: str, answer: str, code: int) -> None:
    """Only a yes is one: anything else, also the end of what is typed, changes nothing and exits 1."""
    ended_with, shown = at_a_terminal("keys", "delete", acme, answer=answer)
    assert f"Delete {acme} for good? [y/N]" in shown
    assert (ended_with, "Nothing was changed." in shown) == (code, code == 1)
    assert tollgate.json("keys", "show", acme)["status"] == ("active" if code else "deleted")


def test_an_addition_and_a_rotation_with_an_overlap_ask_nothing(tollgate: Tollgate, acme: str) -> None:
    """They end nothing."""
    assert tollgate("wallet", "adjust", "acme", "1", "--reason", "x").code == 0
    assert tollgate("keys", "rotate", acme, "--overlap", "1h").code == 0


GONE = [("https://127.0.0.1:1", "no answer at https://127.0.0.1:1"), ("http://127.0.0.1:1", "no answer at http://")]


@pytest.mark.parametrize(("url", "complaint"), [*GONE, ("localhost:8090", "'localhost:8090' is no address")])
def test_a_gateway_that_does_not_answer_is_said(
    tollgate: Tollgate, monkeypatch: pytest.MonkeyPatch, url: str, complaint: str
) -> None:
    """In one line that names it, and one that says what to look at."""
    monkeypatch.setenv("TOLLGATE_ADMIN_TOKEN", "tga-secret")
    said = tollgate("keys", "list", "--admin", url)
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith(f"tollgate: {complaint}")
    assert "secret" not in said.err


def test_a_gateway_elsewhere_needs_a_token(tollgate: Tollgate) -> None:
    """It is said before anything is sent; it is never an argument."""
    said = tollgate("keys", "list", "--admin", "http://127.0.0.1:1")
    assert (said.code, "TOLLGATE_ADMIN_TOKEN is not set" in said.err) == (1, True)
    assert "--admin-token" not in tollgate("keys", "list", "--help").out


def test_a_token_does_what_its_scope_says(
    tollgate: Tollgate, acme: str, socket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that only sees is told so when it would change something; one that nobody made is told what to look at."""
    tollgate.remotely(socket, "read")
    assert tollgate("keys", "show", acme).code == 0
    said = tollgate("keys", "disable", acme)
    assert (said.code, len(said.err.splitlines())) == (1, 1)
    monkeypatch.setenv("TOLLGATE_ADMIN_TOKEN", "tga-nobody-ever-made-this-one")
    said = tollgate("keys", "show", acme)
    assert said.code == 1
    assert said.err.splitlines()[0] == "tollgate: the admin token is not valid"
    assert "TOLLGATE_ADMIN_TOKEN" in said.err


def test_what_others_have_named_does_not_steer_the_terminal(tollgate: Tollgate) -> None:
    """Markup in a name is shown as it is written."""
    tollgate.key("acme", "--name", "[red]x[/red]")
    assert "[red]x[/red]" in tollgate("keys", "list").out


def test_a_shell_completes_commands(tollgate: Tollgate) -> None:
    """`--install-completion` is offered, and what it installs asks this."""
    assert "--install-completion" in tollgate("--help").out
    asked = {"_TOLLGATE_COMPLETE": "complete_bash", "COMP_WORDS": "tollgate wallet st", "COMP_CWORD": "2"}
    command = [sys.executable, "-m", "extproc"]
    said = subprocess.run(command, env={**os.environ, **asked}, capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["statement"]
    assert app.info.name == "tollgate"
