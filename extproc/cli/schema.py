"""`tollgate schema`: JSON Schema, for editors."""

import json
from pathlib import Path
from typing import Annotated

import typer

from extproc.config.json_schema import SPECS, json_schema
from extproc.config.problems import there_is_no
from extproc.errors import TollgateError


def schema(
    file: Annotated[str | None, typer.Argument(help="channels, groups or models; default: all of them.")] = None,
    to: Annotated[Path | None, typer.Option(help="Write <file>.json into this folder, not to standard output.")] = None,
) -> None:
    """Print the JSON Schema of the YAML files, so that an editor completes and checks them.

    Begin each file with `# yaml-language-server: $schema=schema/channels.json`.
    """
    if file is not None and file not in SPECS:
        raise TollgateError(there_is_no("file", file, SPECS) + "; there are: " + ", ".join(SPECS))
    schemas = {key: json_schema(key) for key in ([file] if file else SPECS)}
    if to is None:
        print(_text(schemas[file] if file else schemas), end="")
        return
    to.mkdir(parents=True, exist_ok=True)
    for key, found in schemas.items():
        (to / f"{key}.json").write_text(_text(found))


def _text(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
