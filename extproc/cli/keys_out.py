"""Where the plaintexts of new keys go: to the terminal, or into a file that nobody else may read."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from extproc.admin.pb import admin_pb2 as pb
from extproc.cli.printing import say
from extproc.errors import TollgateError

Keep = Callable[[pb.NewKey], None]


def can_be_kept(out: Path | None, json: bool) -> bool:
    """Whether there is somewhere for a plaintext to go."""
    return out is not None or (sys.stdout.isatty() and not json)


@contextmanager
def kept(out: Path | None) -> Iterator[Keep]:
    """What to do with each new key as soon as it is made. Raises `TollgateError` before there is any."""
    if out is None:
        yield _show
        return
    try:
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.fchmod(descriptor, 0o600)
    except OSError as error:
        raise TollgateError(f"{out} cannot be written: {error.strerror}") from None
    with os.fdopen(descriptor, "w") as file:

        def write(made: pb.NewKey) -> None:
            key = made.key
            line = {"owner": key.owner, "name": key.name, "key_id": key.key_id, "plaintext": made.plaintext}
            try:
                print(json.dumps(line, ensure_ascii=False), file=file, flush=True)
                os.fsync(file.fileno())
            except OSError as error:
                raise TollgateError(
                    f"{out} cannot be written: {error.strerror}; {key.key_id} is made, and `tollgate keys rotate` "
                    "gives it another plaintext"
                ) from None

        yield write


def _show(made: pb.NewKey) -> None:
    say(f"{made.key.owner}/{made.key.name}  {made.plaintext}")
