"""Which gateway a command is for: one elsewhere, by its admin API, or the one whose Redis is at hand."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from extproc.cli import options

_PANEL = "Which gateway"


@dataclass(frozen=True, slots=True)
class Place:
    """Each field is an option of every command that reads or changes what a gateway knows."""

    admin: Annotated[
        str | None,
        typer.Option(
            envvar="TOLLGATE_ADMIN_URL",
            metavar="URL",
            help="A gateway's admin API, https:// or http://, asked with the token in TOLLGATE_ADMIN_TOKEN; "
            "default: straight on Redis.",
            rich_help_panel=_PANEL,
        ),
    ] = None
    admin_ca: Annotated[
        Path | None,
        typer.Option(
            envvar="TOLLGATE_ADMIN_CA",
            metavar="FILE",
            help="Who vouches for its certificate, as PEM; default: whom the machine trusts.",
            rich_help_panel=_PANEL,
        ),
    ] = None
    config: Annotated[
        Path, typer.Option(envvar="TOLLGATE_CONFIG", help="Folder of the YAML.", rich_help_panel=_PANEL)
    ] = options.CONFIG
    data: Annotated[
        Path,
        typer.Option(envvar="TOLLGATE_DATA", help="Folder of balances, index and pepper.", rich_help_panel=_PANEL),
    ] = options.DATA
    redis: Annotated[
        str | None,
        typer.Option(
            envvar="TOLLGATE_REDIS",
            metavar="URL",
            help="redis://, unix://, redis+cluster:// or redis+sentinel://; default: the embedded Redis.",
            rich_help_panel=_PANEL,
        ),
    ] = None
