"""`tollgate accounts`: put money into a wallet, and see what is in it."""

import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from extproc.cli import options
from extproc.cli.printing import console, print_json, print_table
from extproc.cli.store import with_redis
from extproc.clock import now_ms
from extproc.core import identity
from extproc.core.identity import KeyRecord
from extproc.core.ledger import UNLIMITED, Account, AccountKind, Balance, Outcome, TopUpResult
from extproc.core.money import MAX_ACCOUNT_NANO, format_usd, parse_usd
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
        raise TollgateError(f"{text} is not between {format_usd(least)} and {format_usd(MAX_ACCOUNT_NANO)}")
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
    nano, paid_by = amount(usd, least=1), reference or f"cli-{uuid.uuid4()}"

    async def work(connection: Connection, _settings: Settings) -> TopUpResult:
        if not await RedisKeyring(connection).list(owner):
            raise TollgateError(
                f"there is no owner {owner!r}: an owner begins with its first key (`tollgate keys create`)"
            )
        return await RedisLedger(connection).top_up(owner, nano, paid_by, now_ms())

    result = with_redis(data, redis, work)
    if result.outcome is Outcome.OVER_MAXIMUM:
        raise TollgateError(f"a wallet takes {format_usd(MAX_ACCOUNT_NANO)} at most; nothing was changed")
    if json:
        print_json({"owner": owner, "outcome": result.outcome, "reference": paid_by, "limit_nano": result.limit_nano})
    elif result.outcome is Outcome.REPEATED:
        console.print(f"The reference {paid_by} was used before; nothing was changed.", markup=False)
    else:
        console.print(f"{format_usd(nano)} for {owner} (reference {paid_by}).", markup=False)


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
            "held": format_usd(balance.held_nano),
            "used": format_usd(balance.used_nano),
            "limit": _money(balance.limit_nano if balance.available_nano is not None else None),
        }
        for account, label, balance in found
    ]
    print_table(rows, "There are no accounts.")


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
    return "no limit" if nano is None else format_usd(nano)


def _shown(account: Account, balance: Balance) -> dict[str, object]:
    return {
        "kind": account.kind,
        "name": account.name,
        "available_nano": balance.available_nano,
        "held_nano": balance.held_nano,
        "used_nano": balance.used_nano,
        "limit_nano": balance.limit_nano if balance.available_nano is not None else None,
    }
