"""`tollgate trace`: the whole life of one request."""

from datetime import UTC, datetime
from typing import Annotated

import msgspec
import typer
from rich.text import Text
from rich.tree import Tree

from extproc.cli import options
from extproc.cli.printing import money, print_json, print_whole
from extproc.cli.store import with_redis
from extproc.clock import now_ms
from extproc.core.ledger import Account, UsageEntry
from extproc.core.pricing import ONE, Rates
from extproc.core.quote import Quote
from extproc.core.record import UsageRecord
from extproc.errors import TollgateError
from extproc.store import trace as store
from extproc.store.trace import Trace


def trace(
    request_id: Annotated[str, typer.Argument(help="The x-tollgate-request-id of the answer.")],
    owner: Annotated[str | None, typer.Option(help="Whose request, for one that ended more than a day ago.")] = None,
    data: options.Data = options.DATA,
    redis: options.Redis = None,
    json: options.Json = False,
) -> None:
    """Show the life of one request: its quote and hold, who reported what and when, what it cost and why."""
    found = with_redis(data, redis, lambda connection, _settings: store.find(connection, request_id, owner))
    if found is None:
        raise TollgateError(
            f"there is no request {request_id}; one that ended more than a day ago is found with --owner"
        )
    if json:
        print_json(_shown(found))
    else:
        print_whole(_tree(found))


def _tree(found: Trace) -> Tree:
    root = Tree(_line("request", found.request_id, found.state.name.lower(), "of", found.owner))
    if found.quote is not None:
        _add_hold(root, found, found.quote)
    for entry in found.entries:
        root.add(_line(_time(entry.at_ms), _reported(entry)))
    if found.record is not None:
        _add_record(root, found.record)
    for refund in found.refunds:
        root.add(_line(_time(refund.at_ms), "refunded", money(refund.amount_nano), f"({refund.reason})"))
    return root


def _add_hold(root: Tree, found: Trace, quote: Quote) -> None:
    age = (now_ms() - quote.held_ms) / 1000
    hold = root.add(_line(_time(quote.held_ms), "held", money(found.held_nano), f"{age:.1f} s ago"))
    hold.add(_line("deadline", _time(found.deadline_ms or quote.deadline_ms)))
    hold.add(_line("key", quote.key_prefix + "…", quote.key_id))
    hold.add(_line("group", quote.group, "model", quote.model, quote.operation, "revision", quote.revision))
    chain = hold.add(_line("chain"))
    for channel, line in quote.lines.items():
        times = f"× {line.multiplier_ppm / ONE:g}"
        chain.add(_line(channel, "as", line.vendor_model, "group", line.group, _rates(quote.terms.rates), times))
    _add_accounts(hold, found.accounts)


def _add_record(root: Tree, record: UsageRecord) -> None:
    final = root.add(_line("record", str(record.status), record.usage_source, money(record.cost_nano)))
    final.add(_line("key", record.key_prefix + "…", record.key_id))
    final.add(_line("group", record.group, "model", record.model, record.operation, "revision", record.revision))
    final.add(
        _line("channel", record.channel or "none", "as", record.vendor_model or "none", f"attempts {record.attempts}")
    )
    usage = msgspec.to_builtins(record.usage)
    used = ", ".join(f"{name.removesuffix('_tokens')} {count}" for name, count in usage.items() if count)
    final.add(_line("usage", used or "nothing"))
    if record.rates is not None and record.multiplier_ppm is not None:
        times = (
            f"× {record.multiplier_ppm / ONE:g}",
            *([f"× {record.discount_ppm / ONE:g}"] * (record.discount_ppm != ONE)),
        )
        final.add(_line("rates", _rates(record.rates), *times))
    final.add(_line("held", money(record.hold_nano), "at", _time(record.time_ms)))
    final.add(_line(f"first byte {_duration(record.first_byte_ms)}, in all {_duration(record.duration_ms)}"))
    _add_accounts(final, record.accounts)


def _add_accounts(tree: Tree, accounts: tuple[Account, ...]) -> None:
    tree.add(_line("accounts", ", ".join(f"{account.kind} {account.name}" for account in accounts)))


def _reported(entry: UsageEntry) -> str:
    late = " late" if entry.late else ""
    return f"{entry.reporter} reported {entry.state.name.lower()}{late}, {money(entry.cost_nano)}"


def _rates(rates: Rates) -> str:
    """Rates are in nano-USD per million tokens, which is printed as USD per million; what costs nothing is left out."""
    special = ("call", "unit")
    by_tokens = [(name, rate) for name, rate in msgspec.to_builtins(rates).items() if rate and name not in special]
    told = [f"{name} {money(rate)} per million" for name, rate in by_tokens]
    told += [f"call {money(rates.call)}"] * bool(rates.call)
    told += [f"{rates.unit.kind} {money(rates.unit.nano)}"] if rates.unit else []
    return ", ".join(told) or "free"


def _line(*words: str) -> Text:
    return Text(" ".join(words))


def _time(unix_ms: int) -> str:
    return datetime.fromtimestamp(unix_ms / 1000, UTC).isoformat(sep=" ", timespec="milliseconds")


def _duration(milliseconds: int | None) -> str:
    return "unknown" if milliseconds is None else f"{milliseconds} ms"


def _shown(found: Trace) -> object:
    entries = [
        {**msgspec.to_builtins(entry), "state": entry.state.name.lower(), "record": store.read_record(entry.record)}
        for entry in found.entries
    ]
    return msgspec.to_builtins(
        {
            "request_id": found.request_id,
            "owner": found.owner,
            "state": found.state.name.lower(),
            "held_nano": found.held_nano,
            "deadline_ms": found.deadline_ms,
            "age_ms": now_ms() - found.quote.held_ms if found.quote else None,
            "quote": found.quote,
            "accounts": found.accounts,
            "entries": entries,
            "record": found.record,
            "refunds": found.refunds,
        }
    )
