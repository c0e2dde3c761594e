"""Questions before what cannot be undone."""

import sys
from typing import Annotated

import typer

from extproc.cli.printing import clean, errors
from extproc.cli.values import usage_error

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def confirm(what: str, yes: bool) -> None:
    """Go on where `yes` says so, or the person at the terminal. Else it exits: 1 for a no, 2 with nobody to ask."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise usage_error(f"{what}? There is no terminal to ask at: say --yes if that is meant")
    errors.print(clean(f"{what}? [y/N] "), end="")
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        errors.print("Nothing was changed.")
        raise typer.Exit(1)
