"""`tollgate accounts`: put money into a wallet, correct it, and see what is in it."""

import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from extproc.cli import options
from extproc.cli.printing import console, money, print_json, print_table
from extproc.cli.store import with_redis
from extproc.clock import now_ms
from extproc.core import identity
from extproc.core.identity import KeyRecord
from extproc.core.ledger import UNLIMITED, Account, AccountKind, Balance, EntryResult, Outcome
from extproc.core.money import MAX_ACCOUNT_NANO, parse_usd
from extproc.errors import TollgateError
from extproc.settings import Settings
from extproc.store.connection import Connection
from extproc.store.keyring import RedisKeyring
from extproc.store.redis_ledger import RedisLedger

app = typer.Typer(help="Wallets and limits.", no_args_is_help=True)


def amount(text: str, least: int) -> int:
    """An amount on the command line, in nano-USD. Raises `TollgateError` with the bounds."""
    try:
        nano = parse_usd(text)
    except ValueError as error:
        raise TollgateError(str(error)) from None
    if not least <= nano <= MAX_ACCOUNT_NANO:
        raise TollgateError(f"{text} is not between {money(least)} and {money(MAX_ACCOUNT_NANO)}")
    return nano


@app.command("top-up")
def top_up(
    owner: Annotated[str, typer.Argument(help="Whose wallet.")],
    usd: Annotated[str, typer.Argument(help="How much, in USD, such as 12.50.")],
    reference: Annotated[
        str | None, typer.Option(help="The payment's own id: a second top-up with it changes nothing.")
    ] = None,
    data: options.Data = options.DATA,
    redis: options.Redis = None,
    json: options.Json = False,
) -> None:
    """Put money into a wallet, once per reference."""
    nano, paid_by = amount(usd, least=1), reference or _new_reference()
    result = _enter(owner, data, redis, lambda ledger: ledger.top_up(owner, nano, paid_by, now_ms()))
    _print_entry(owner, f"{money(nano)} for {owner}", paid_by, result, json)


@app.command("refund")
def refund(
    owner: Annotated[str, typer.Argument(help="Whose wallet.")],
    usd: Annotated[str, typer.Argument(help="How much goes back, in USD, such as 0.50.")],
    reason: Annotated[str, typer.Option(help="Why; it is kept.")],
    request: Annotated[str, typer.Option(help="The request that was charged; it is refunded once.")] = "",
    reference: Annotated[
        str | None, typer.Option(help="The refund's own id: a second entry with it changes nothing.")
    ] = None,
    data: options.Data = options.DATA,
    redis: options.Redis = None,
    json: options.Json = False,
) -> None:
    """Put money back into a wallet because of an earlier charge, which stays as it is."""
    nano, reason = amount(usd, least=1), _said(reason)
    known_as = reference or (f"refund-{request}" if request else _new_reference())
    result = _enter(owner, data, redis, lambda ledger: ledger.refund(owner, nano, reason, known_as, now_ms(), request))
    _print_entry(owner, f"{money(nano)} back to {owner}", known_as, result, json)


@app.command("adjust", context_settings={"ignore_unknown_options": True})
def adjust(
    owner: Annotated[str, typer.Argument(help="Whose wallet.")],
    usd: Annotated[str, typer.Argument(help="How much more, or with a minus less, in USD, such as -0.50.")],
    reason: Annotated[str, typer.Option(help="Why; it is kept.")],
    reference: Annotated[
        str | None, typer.Option(help="The adjustment's own id: a second entry with it changes nothing.")
    ] = None,
    data: options.Data = options.DATA,
    redis: options.Redis = None,
    json: options.Json = False,
) -> None:
    """Correct a wallet by hand, up or down."""
    nano, reason, known_as = amount(usd, least=-MAX_ACCOUNT_NANO), _said(reason), reference or _new_reference()
    if nano == 0:
        raise TollgateError("an adjustment of 0 would change nothing")
    result = _enter(owner, data, redis, lambda ledger: ledger.adjust(owner, nano, reason, known_as, now_ms()))
    _print_entry(owner, f"{money(nano)} for {owner}", known_as, result, json)


@app.command("limit")
def limit(
    owner: Annotated[str, typer.Argument(help="Who pays for the team.")],
    team: Annotated[str, typer.Argument(help="The team.")],
    usd: Annotated[str, typer.Argument(help="What may be spent in all, in USD, or 'none'.")],
    member: Annotated[str, typer.Option(help="Only this member of the team.")] = "",
    data: options.Data = options.DATA,
    redis: options.Redis = None,
    json: options.Json = False,
) -> None:
    """Set the quota of a team, or of one member in it."""
    nano = UNLIMITED if usd == "none" else amount(usd, least=0)
    name = "/".join(filter(None, (owner, team, member)))
    account = Account(AccountKind.MEMBER if member else AccountKind.TEAM, name)

    async def work(connection: Connection, _settings: Settings) -> None:
        records = await RedisKeyring(connection).list(owner)
        if not any(account in record.quotas for record in records):
            raise TollgateError(f"there is no {account.kind} {name}: it begins with its first key")
        await RedisLedger(connection).set_limit(owner, account, nano)

    with_redis(data, redis, work)
    if json:
        print_json({"kind": account.kind, "name": name, "limit_nano": None if nano == UNLIMITED else nano})
    else:
        console.print(
            f"The {account.kind} {name} may spend {_money(None if nano == UNLIMITED else nano)}.", markup=False
        )


@app.command("show")
def show(
    owner: Annotated[str, typer.Argument(help="Whose accounts.")],
    data: options.Data = options.DATA,
    redis: options.Redis = None,
    json: options.Json = False,
) -> None:
    """Show an owner's wallet, their teams' quotas and the limits of their keys, to the nano-dollar."""

    async def work(connection: Connection, settings: Settings) -> list[tuple[Account, str, Balance]]:
        ledger = RedisLedger(connection)
        records = await RedisKeyring(connection).list(owner)
        month = identity.month_of(now_ms(), ZoneInfo(settings.time_zone))
        found = []
        for account, (label, month_limit_nano) in _accounts_of(owner, records, month).items():
            balance = await ledger.balance(owner, account)
            if month_limit_nano is not None:
                balance = replace(balance, limit_nano=month_limit_nano)
            found.append((account, label, balance))
        return found

    found = with_redis(data, redis, work)
    if json:
        print_json([_shown(account, balance) for account, _, balance in found])
        return
    rows = [
        {
            "account": account.kind.value.replace("_", " "),
            "name": label,
            "balance": _money(balance.available_nano),
            "held": money(balance.held_nano),
            "used": money(balance.used_nano),
            "limit": _money(balance.limit_nano if balance.available_nano is not None else None),
        }
        for account, label, balance in found
    ]
    print_table(rows, "There are no accounts.")


def _enter(
    owner: str, data: Path, redis: str | None, make: Callable[[RedisLedger], Awaitable[EntryResult]]
) -> EntryResult:
    async def work(connection: Connection, _settings: Settings) -> EntryResult:
        if not await RedisKeyring(connection).list(owner):
            raise TollgateError(
                f"there is no owner {owner!r}: an owner begins with its first key (`tollgate keys create`)"
            )
        return await make(RedisLedger(connection))

    result = with_redis(data, redis, work)
    if result.outcome is Outcome.OVER_MAXIMUM:
        raise TollgateError(f"a wallet takes {money(MAX_ACCOUNT_NANO)} at most; nothing was changed")
    if result.outcome is Outcome.BELOW_ZERO:
        put_in = money(result.limit_nano)
        raise TollgateError(f"only {put_in} were ever put in, and no more can be taken out; nothing was changed")
    return result


def _print_entry(owner: str, what: str, reference: str, result: EntryResult, json: bool) -> None:
    if json:
        print_json({"owner": owner, "outcome": result.outcome, "reference": reference, "limit_nano": result.limit_nano})
    elif result.outcome is Outcome.REPEATED:
        console.print(f"The reference {reference} was used before; nothing was changed.", markup=False)
    else:
        console.print(f"{what} (reference {reference}).", markup=False)


def _new_reference() -> str:
    return f"cli-{uuid.uuid4()}"


def _said(reason: str) -> str:
    if not reason.strip():
        raise TollgateError("a reason is needed: it is kept with the entry")
    return reason.strip()


def _accounts_of(owner: str, records: Sequence[KeyRecord], month: str) -> dict[Account, tuple[str, int | None]]:
    """Every account of an owner with its label, the wallet first; and of a key's month its limit, which the key has."""
    found: dict[Account, tuple[str, int | None]] = {Account(AccountKind.WALLET, owner): (owner, None)}
    for record in records:
        found |= {quota: (quota.name.partition("/")[2], None) for quota in reversed(record.quotas)}
    for record in records:
        key = f"{record.prefix}… {record.name}".strip()
        cap, this_month = record.accounts(month)[:2]
        found |= {cap: (key, None), this_month: (f"{key} {month}", record.month_limit_nano or UNLIMITED)}
    return found


def _money(nano: int | None) -> str:
    return "no limit" if nano is None else money(nano)


def _shown(account: Account, balance: Balance) -> dict[str, object]:
    return {
        "kind": account.kind,
        "name": account.name,
        "available_nano": balance.available_nano,
        "held_nano": balance.held_nano,
        "used_nano": balance.used_nano,
        "limit_nano": balance.limit_nano if balance.available_nano is not None else None,
    }
