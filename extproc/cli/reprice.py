"""`tollgate reprice`: what was charged, recomputed from git."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from extproc.cli import options
from extproc.cli.cost_lines import lines_table, shown_lines, times_of
from extproc.cli.printing import console, money, print_json, print_table
from extproc.cli.store import with_redis
from extproc.config.history import History
from extproc.core.audit import Prices
from extproc.core.explain import CostLine, explain
from extproc.core.ledger import BUCKETS, State, UsageEntry, bucket_of
from extproc.core.record import UsageRecord
from extproc.core.reprice import Repriced, reprice
from extproc.dialects.routes import OPERATIONS
from extproc.errors import TollgateError
from extproc.store import trace
from extproc.store.connection import Connection
from extproc.store.usage import usage_of_bucket

Charged = list[tuple[UsageEntry, UsageRecord | None]]


def reprice_command(
    request_id: Annotated[str | None, typer.Argument(help="The x-tollgate-request-id of one request.")] = None,
    owner: Annotated[str | None, typer.Option(help="All requests of this owner.")] = None,
    since: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="All since that day (UTC).")] = None,
    config: options.Config = options.CONFIG,
    data: options.Data = options.DATA,
    redis: options.Redis = None,
    json: options.Json = False,
) -> None:
    """Recompute what requests were charged: recorded usage × the rates that git has for the record's revision.

    Prints each request whose charge is another, or that cannot be recomputed. Exits 1 on any difference.
    """
    if request_id is None and owner is None and since is None:
        raise TollgateError("name a request, or an --owner, or a day with --since")
    prices = Prices(History(config).catalog, OPERATIONS)

    async def work(connection: Connection, _settings: object) -> list[Charged]:
        if request_id is not None:
            return [await _one(connection, request_id, owner)]
        return await _many(connection, owner, since)

    found = [repriced for each in with_redis(data, redis, work) if (repriced := reprice(prices, each))]
    if json:
        print_json([_shown(each) for each in found])
    elif request_id is not None:
        _explain(found[0], config) if found else console.print(f"{request_id} has no record: nothing was charged.")
    else:
        _summarise(found, config)
    if any(each.differs for each in found):
        raise typer.Exit(1)


async def _one(connection: Connection, request_id: str, owner: str | None) -> Charged:
    found = await trace.find(connection, request_id, owner)
    if found is None:
        raise TollgateError(f"there is no request {request_id}; one that ended more than a day ago needs --owner")
    if found.state is State.HELD:
        raise TollgateError(f"request {request_id} is under way: nothing is charged yet")
    return [(entry, trace.usage_record(entry)) for entry in found.entries]


async def _many(connection: Connection, owner: str | None, since: datetime | None) -> list[Charged]:
    since_ms = int(since.replace(tzinfo=UTC).timestamp() * 1000) if since else 0
    charged: dict[str, Charged] = {}
    async for entry in _entries(connection, owner):
        charged.setdefault(entry.hold_id, []).append((entry, trace.usage_record(entry)))
    return [each for each in charged.values() if any(record and record.time_ms >= since_ms for _, record in each)]


async def _entries(connection: Connection, owner: str | None) -> AsyncIterator[UsageEntry]:
    for bucket in range(BUCKETS) if owner is None else [bucket_of(owner)]:
        async for entry in usage_of_bucket(connection, bucket):
            if owner in (None, entry.owner):
                yield entry


def _explain(found: Repriced, config: Path) -> None:
    of = found.record
    heading = f"{of.request_id}: {of.model} in group {of.group} over {of.channel or 'no channel'}"
    console.print(f"{heading}, usage {of.usage_source}; revision {of.revision}", markup=False)
    if found.priced is not None:
        lines_table(_lines(found), times_of(found.priced.multiplier_ppm, of.discount_ppm))
    console.print(_verdict(found, config), style="red" if found.differs else None, markup=False)


def _summarise(found: Sequence[Repriced], config: Path) -> None:
    told = [each for each in found if each.differs or each.recomputed_nano is None]
    rows = [
        {
            "request": each.record.request_id,
            "owner": each.record.owner,
            "model": each.record.model,
            "revision": each.record.revision,
            "charged": money(each.charged_nano),
            "recomputed": "unknown" if each.recomputed_nano is None else money(each.recomputed_nano),
        }
        for each in told
    ]
    if rows:
        print_table(rows, "")
    differing = sum(each.differs for each in found)
    unknown = sum(not each.known for each in found)
    console.print(
        f"{len(found)} requests, {differing} charged otherwise than recomputed, {unknown} of unknown revisions."
    )
    if unknown:
        console.print(f"Unknown: neither in {config} nor in its git history.", markup=False)


def _verdict(found: Repriced, config: Path) -> str:
    charged = f"charged {found.charged_nano} nano, {money(found.charged_nano)}"
    if not found.known:
        return f"{charged}; it cannot be recomputed: its revision is neither in {config} nor in its git history"
    if found.recomputed_nano is None:
        return f"{charged}; its revision serves no such request"
    bounded = " (at most its hold)" if found.state in (State.PARTIAL, State.ESTIMATED) else ""
    recomputed = f"recomputed {found.recomputed_nano} nano{bounded}"
    return f"{charged}; {recomputed}: {'a difference' if found.differs else 'the same'}"


def _lines(found: Repriced) -> list[CostLine]:
    if found.priced is None:
        return []
    return explain(found.record.usage, found.priced.rates, found.priced.multiplier_ppm, found.record.discount_ppm)


def _shown(found: Repriced) -> dict[str, object]:
    return {
        "request_id": found.record.request_id,
        "owner": found.record.owner,
        "revision": found.record.revision,
        "revision_known": found.known,
        "state": found.state.name.lower(),
        "charged_nano": found.charged_nano,
        "recomputed_nano": found.recomputed_nano,
        "differs": found.differs,
        "lines": shown_lines(_lines(found)),
    }
