"""`tollgate check` and `tollgate render`.

The compiler takes longer to import than most commands to run, so only `render` does.
"""

import os
from pathlib import Path
from typing import Annotated

import typer

from extproc.cli import options
from extproc.cli.printing import console, print_json
from extproc.config.load import load
from extproc.errors import ConfigError


def check(
    folder: Annotated[Path, typer.Argument(help="Folder of the YAML.")] = options.CONFIG,
    json: options.Json = False,
) -> None:
    """Check the configuration: every fault at once, with file, line and path. Exits 1 if there is any.

    Credentials need not be set, so it runs in CI.
    """
    try:
        loaded = load(folder, os.environ, require_credentials=False)
    except ConfigError as error:
        if json:
            print_json({"ok": False, "errors": str(error).splitlines()})
        else:
            console.print(str(error), markup=False, style="red")
        raise typer.Exit(1) from None
    catalog = loaded.catalog
    counts = {name: len(getattr(catalog, name)) for name in ("channels", "models", "groups")}
    if json:
        print_json({"ok": True, "revision": catalog.revision, **counts, "notes": loaded.notes})
        return
    for note in loaded.notes:
        console.print(f"note: {note}", markup=False)
    said = ", ".join(f"{count} {name}" for name, count in counts.items())
    console.print(f"{folder}: {said}; revision {catalog.revision}")


def render(
    folder: Annotated[Path, typer.Argument(help="Folder of the YAML.")] = options.CONFIG,
    json: options.Json = False,
) -> None:
    """Print the Envoy clusters that the channels compile to."""
    from extproc.compiler.clusters import compile_clusters

    loaded = load(folder, os.environ, require_credentials=False)
    text = compile_clusters(loaded.catalog)
    if json:
        print_json({"revision": loaded.catalog.revision, "clusters": text})
    else:
        print(text)
