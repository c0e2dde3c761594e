"""`tollgate status`: one screen on how the deployment is."""

import asyncio
from datetime import UTC, datetime

import msgspec
import typer
from rich.markup import escape

from extproc.cli import options
from extproc.cli.printing import console, print_json
from extproc.settings import make_settings
from extproc.status import Backlog, Live, Status, Worker, read_status


def status(
    data: options.Data = options.DATA,
    redis: options.Redis = None,
    json: options.Json = False,
) -> None:
    """Show what is live since when, whether the YAML is as accepted, how workers, Envoy and Redis are, and what waits.

    Exits 1 if anything is wrong.
    """
    found = asyncio.run(read_status(make_settings(options.CONFIG, data, redis)))
    if json:
        print_json({"ok": not found.wrong, **msgspec.to_builtins(found)})
    else:
        _show(found)
    if found.wrong:
        raise typer.Exit(1)


def _show(found: Status) -> None:
    if found.live:
        _line("live", f"revision {found.live.revision} since {_time(found.live.since_ms)}")
        _line("folder", _folder(found.live))
        for said in [*found.live.problems, *(f"note: {note}" for note in found.live.notes)]:
            _line("", said)
    for worker in found.workers:
        _line(worker.name, _worker(worker))
    _line("admin", "serves" if found.admin else "does not answer")
    _line("Envoy", f"serves, clusters {found.envoy.clusters}" if found.envoy.serving else "does not serve")
    holds = f"answers; requests under way: {found.redis.holds}"
    _line("Redis", holds if found.redis.answers else "does not answer")
    _line("waiting", _waiting(found.backlog))
    for sentence in found.wrong:
        console.print(f"[red]{escape(sentence)}[/red]")
    if not found.wrong:
        console.print("[green]All is well.[/green]")


def _waiting(backlog: Backlog) -> str:
    return f"reports in the spool: {backlog.reports}; bytes of the journal: {backlog.journal_bytes}"


def _line(name: str, said: str) -> None:
    console.print(f"[bold]{name:10}[/bold] {escape(said)}")


def _folder(live: Live) -> str:
    if live.problems:
        return f"{live.folder} is broken"
    if live.waiting_revision:
        return f"{live.folder}, revision {live.waiting_revision} waits for Envoy"
    return f"{live.folder} is as accepted"


def _worker(worker: Worker) -> str:
    health = ("serves" if worker.serving else "does not answer") + ("" if worker.healthy else ", not healthy for Envoy")
    return f"process {worker.pid}, {health}, revision {worker.revision}" if worker.running else "does not run"


def _time(unix_ms: int) -> str:
    return datetime.fromtimestamp(unix_ms / 1000, UTC).isoformat(sep=" ", timespec="seconds")
