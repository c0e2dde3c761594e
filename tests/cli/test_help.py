"""The help of every command: what it can be told, and examples that are right."""

import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

from extproc.cli.main import app
from tests.cli.commands import Tollgate

ROOT: Any = typer.main.get_command(app)
AS_BEFORE = {"up", "serve", "drain", "status", "check", "render", "schema", "price", "reprice", "audit", "trace"}
"""The commands about the gateway as a process or a folder of YAML."""


def commands(group: Any = ROOT, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Each command with the words that name it."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


OPERATING = {path: command for path, command in commands() if path[0] not in AS_BEFORE}
EXAMPLES = [
    (path, line.strip().removeprefix("[cyan]").removesuffix("[/cyan]"))
    for path, command in OPERATING.items()
    for line in (command.epilog or "").splitlines()[1:]
]


def test_these_are_the_commands() -> None:
    """By group."""
    found: dict[str, list[str]] = {}
    for path in OPERATING:
        found.setdefault(path[0], []).append(" ".join(path[1:]))
    assert found == {
        "apply": [""],
        "usage": [""],
        "logs": [""],
        "changes": [""],
        "owners": ["list", "show", "set"],
        "teams": ["list", "show", "create", "edit", "delete", "members set", "members remove"],
        "keys": ["create", "list", "show", "edit", "disable", "enable", "rotate", "delete"],
        "wallet": ["show", "statement", "top-up", "bonus", "refund", "adjust"],
        "tokens": ["create", "list", "revoke"],
    }


@pytest.mark.parametrize("path", OPERATING, ids=" ".join)
def test_a_command_says_what_it_does(path: tuple[str, ...], tollgate: Tollgate) -> None:
    """Every option is explained, there is `--json` for scripts and `--admin` for elsewhere, and an example."""
    assert all(option.help for option in OPERATING[path].params)
    said = tollgate(*path, "--help")
    assert said.code == 0
    for word in ("--json", "--admin", "Examples", f"tollgate {' '.join(path)}"):
        assert word in said.out


@pytest.mark.parametrize(("path", "line"), EXAMPLES, ids=lambda value: value if isinstance(value, str) else "")
def test_an_example_is_understood(path: tuple[str, ...], line: str) -> None:
    """It names the command it stands under, and only what that command can be told."""
    words = shlex.split(line.partition(" | ")[0])
    assert words[: 1 + len(path)] == ["tollgate", *path]
    with OPERATING[path].make_context("tollgate", words[1 + len(path) :]):
        pass
