"""`tollgate wallet`: put money into a wallet, correct it, and see what is in it."""

import uuid
from typing import Annotated

import typer

from extproc.admin.pb import admin_pb2 as pb
from extproc.cli import options
from extproc.cli.asking import Yes, confirm
from extproc.cli.client import Client, examples, operating
from extproc.cli.paging import every
from extproc.cli.printing import money, plain, print_json, print_list, print_table, say
from extproc.cli.values import amount, shown_time
from extproc.core.money import MAX_ACCOUNT_NANO
from extproc.errors import TollgateError

app = typer.Typer(help="Wallets: an owner's money.", no_args_is_help=True)

Owner = Annotated[str, typer.Argument(help="Whose wallet.")]
Reason = Annotated[str, typer.Option(help="Why; it is kept.")]
Reference = Annotated[str | None, typer.Option(help="The entry's own id: a second one with it changes nothing.")]


@app.command("show", epilog=examples("tollgate wallet show acme", "tollgate wallet show acme --json"))
@operating
def show(client: Client, owner: Owner, json: options.Json = False) -> None:
    """Show what is in a wallet, held and used, to the nano-dollar."""
    found = client.call(pb.GetWalletRequest(owner=owner), pb.Wallet)
    if json:
        print_json(plain(found))
        return
    sums = {"balance": found.available_nano, "held": found.held_nano, "used": found.used_nano}
    limit = {"limit": found.limit_nano}
    print_table([{"owner": found.owner, **{name: money(nano) for name, nano in {**sums, **limit}.items()}}], "")


@app.command(
    "statement", epilog=examples("tollgate wallet statement acme", "tollgate wallet statement acme --limit 20")
)
@operating
def statement(client: Client, owner: Owner, limit: options.Limit = None, json: options.Json = False) -> None:
    """List what was put into a wallet and taken out of it by hand, newest first."""
    found = every(
        lambda size, cursor: client.call(
            pb.ListEntriesRequest(owner=owner, page_size=size, cursor=cursor), pb.ListEntriesResponse
        ),
        lambda page: iter(page.entries),
        limit,
    )
    if json:
        print_list(found)
    else:
        print_table([_row(entry) for entry in found], f"Nothing was ever put into the wallet of {owner}.")


@app.command("top-up", epilog=examples("tollgate wallet top-up acme 12.50 --reference invoice-2026-17"))
@operating
def top_up(
    client: Client,
    owner: Owner,
    usd: Annotated[str, typer.Argument(help="How much, in USD, such as 12.50.")],
    reference: Annotated[
        str | None, typer.Option(help="The payment's own id: a second top-up with it changes nothing.")
    ] = None,
    json: options.Json = False,
) -> None:
    """Put money into a wallet, once per reference."""
    nano = amount(usd, least=1)
    request = pb.MakeEntryRequest(owner=owner, kind="top_up", amount_nano=nano, reference=_reference(reference))
    _enter(client, request, f"{money(nano)} for {owner}", json)


@app.command("bonus", epilog=examples('tollgate wallet bonus acme 5 --reason "welcome"'))
@operating
def bonus(
    client: Client,
    owner: Owner,
    usd: Annotated[str, typer.Argument(help="How much, in USD, such as 5.")],
    reason: Reason,
    reference: Reference = None,
    json: options.Json = False,
) -> None:
    """Give money that nobody paid for."""
    nano = amount(usd, least=1)
    request = pb.MakeEntryRequest(
        owner=owner, kind="bonus", amount_nano=nano, reference=_reference(reference), reason=_said(reason)
    )
    _enter(client, request, f"{money(nano)} for {owner}", json)


@app.command("refund", epilog=examples('tollgate wallet refund acme 0.50 --reason "cut short" --request REQUEST_ID'))
@operating
def refund(
    client: Client,
    owner: Owner,
    usd: Annotated[str, typer.Argument(help="How much goes back, in USD, such as 0.50.")],
    reason: Reason,
    request: Annotated[str, typer.Option(help="The request that was charged; it is refunded once.")] = "",
    reference: Reference = None,
    json: options.Json = False,
) -> None:
    """Put money back into a wallet because of an earlier charge, which stays as it is."""
    nano = amount(usd, least=1)
    known_as = reference or (f"refund-{request}" if request else _reference(None))
    entry = pb.MakeEntryRequest(
        owner=owner, kind="refund", amount_nano=nano, reference=known_as, reason=_said(reason), request_id=request
    )
    _enter(client, entry, f"{money(nano)} back to {owner}", json)


@app.command(
    "adjust",
    context_settings={"ignore_unknown_options": True},
    epilog=examples('tollgate wallet adjust acme -0.50 --reason "counted twice" --yes'),
)
@operating
def adjust(
    client: Client,
    owner: Owner,
    usd: Annotated[str, typer.Argument(help="How much more, or with a minus less, in USD, such as -0.50.")],
    reason: Reason,
    reference: Reference = None,
    yes: Yes = False,
    json: options.Json = False,
) -> None:
    """Correct a wallet by hand, up or down."""
    nano, reason = amount(usd, least=-MAX_ACCOUNT_NANO), _said(reason)
    if nano == 0:
        raise TollgateError("an adjustment of 0 would change nothing")
    if nano < 0:
        confirm(f"Take {money(-nano)} out of the wallet of {owner}", yes)
    request = pb.MakeEntryRequest(
        owner=owner, kind="adjustment", amount_nano=nano, reference=_reference(reference), reason=reason
    )
    _enter(client, request, f"{money(nano)} for {owner}", json)


def _enter(client: Client, request: pb.MakeEntryRequest, what: str, json: bool) -> None:
    made = client.call(request, pb.MakeEntryResponse)
    if json:
        print_json(plain(made))
    elif made.repeated:
        say(f"The reference {request.reference} was used before; nothing was changed.")
    else:
        say(f"{what} (reference {request.reference}).")


def _reference(given: str | None) -> str:
    return given or f"cli-{uuid.uuid4()}"


def _said(reason: str) -> str:
    if not reason.strip():
        raise TollgateError("a reason is needed: it is kept with the entry")
    return reason.strip()


def _row(entry: pb.Entry) -> dict[str, str]:
    return {
        "when": shown_time(entry.at_ms),
        "kind": entry.kind.replace("_", " "),
        "amount": money(entry.amount_nano),
        "limit": money(entry.limit_nano),
        "reference": entry.reference,
        "reason": entry.reason,
        "request": entry.request_id,
    }
