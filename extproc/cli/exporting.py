"""Requests as a file, which is there whole or not at all."""

import os
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from google.api.httpbody_pb2 import HttpBody
from rich.progress import DownloadColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TransferSpeedColumn

from extproc.admin.pb import admin_pb2 as pb
from extproc.cli.client import Client
from extproc.cli.printing import errors, print_json, say
from extproc.cli.values import usage_error
from extproc.errors import TollgateError

FORMATS = ("csv", "jsonl", "parquet")


def export(client: Client, which: pb.Filter, to: Path, json: bool) -> None:
    """Write all requests that match, in the format that the file's name ends in. Raises `TollgateError`."""
    kind = to.suffix.removeprefix(".").lower()
    if kind not in FORMATS:
        raise usage_error(f"{to} must end in .csv, .jsonl or .parquet")
    part = to.with_name(to.name + ".part")
    try:
        with part.open("wb") as file:
            written = _write(client, pb.ExportRequestsRequest(filter=which, format=kind), file, to)
            os.fsync(file.fileno())
        part.replace(to)
    except OSError as error:
        raise TollgateError(f"{to} cannot be written: {error.strerror}") from None
    finally:
        with suppress(OSError):
            part.unlink()
    if json:
        print_json({"file": str(to), "format": kind, "bytes": written})
    else:
        say(f"{to}: {written:,} bytes.")


def _write(client: Client, request: pb.ExportRequestsRequest, file: BinaryIO, to: Path) -> int:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeElapsedColumn(), console=errors, transient=True, disable=not errors.is_terminal) as bar:
        task = bar.add_task(to.name, total=None)
        for body in client.stream(request, HttpBody):
            file.write(body.data)
            bar.advance(task, len(body.data))
    return file.tell()
