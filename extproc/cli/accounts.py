"""`tollgate accounts`: put money into a wallet, and see what is in it."""

import uuid
from typing import Annotated

import typer

from extproc.cli import options
from extproc.cli.printing import console, print_json, print_table
from extproc.cli.store import with_redis
from extproc.clock import now_ms
from extproc.core.ledger import Account, AccountKind, Balance, Outcome, TopUpResult
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


@app.command("show")
def show(
    owner: Annotated[str, typer.Argument(help="Whose accounts.")],
    data: options.Data = options.DATA,
    redis: options.Redis = None,
    json: options.Json = False,
) -> None:
    """Show an owner's wallet and the limits of their keys, to the nano-dollar."""

    async def work(connection: Connection, _settings: Settings) -> list[tuple[Account, str, Balance]]:
        ledger = RedisLedger(connection)
        records = await RedisKeyring(connection).list(owner)
        named = [(Account(AccountKind.WALLET, owner), owner)]
        named += [(Account(AccountKind.KEY, record.key_id), f"{record.prefix}… {record.name}") for record in records]
        return [(account, label, await ledger.balance(owner, account)) for account, label in named]

    found = with_redis(data, redis, work)
    if json:
        print_json([_shown(account, balance) for account, _, balance in found])
        return
    rows = [
        {
            "account": account.kind.value,
            "name": label,
            "balance": _money(balance.available_nano),
            "held": format_usd(balance.held_nano),
            "used": format_usd(balance.used_nano),
            "limit": _money(balance.limit_nano if balance.available_nano is not None else None),
        }
        for account, label, balance in found
    ]
    print_table(rows, "There are no accounts.")


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
