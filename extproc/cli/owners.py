"""`tollgate owners`: an owner's tier, discount and standing, which all of the owner's keys share."""

from typing import Annotated

import typer

from extproc.admin.pb import admin_pb2 as pb
from extproc.cli import options
from extproc.cli.client import Client, examples, operating
from extproc.cli.paging import every, keys_of
from extproc.cli.printing import plain, print_fields, print_json, print_list, print_table, say
from extproc.cli.values import share
from extproc.config.problems import there_is_no
from extproc.core.catalog import Catalog
from extproc.core.identity import OwnerStatus
from extproc.core.pricing import ONE
from extproc.errors import TollgateError

app = typer.Typer(help="Owners: whose money it is.", no_args_is_help=True)

Owner = Annotated[str, typer.Argument(help="Whose money it is.")]


@app.command("list", epilog=examples("tollgate owners list", "tollgate owners list --json | jq -r '.[].owner'"))
@operating
def list_owners(client: Client, json: options.Json = False) -> None:
    """List everyone who ever had a key, a team or a tier."""
    found = every(
        lambda size, cursor: client.call(pb.ListOwnersRequest(page_size=size, cursor=cursor), pb.ListOwnersResponse),
        lambda page: iter(page.owners),
    )
    if json:
        print_list(found)
    else:
        print_table([_row(owner) for owner in found], "There are no owners: an owner begins with their first key.")


@app.command("show", epilog=examples("tollgate owners show acme"))
@operating
def show(client: Client, owner: Owner, json: options.Json = False) -> None:
    """Show tier, discount and standing of an owner."""
    found = client.call(pb.GetOwnerRequest(owner=owner), pb.Owner)
    if json:
        print_json(plain(found))
    else:
        print_fields(_row(found))


@app.command(
    "set",
    epilog=examples(
        "tollgate owners set acme --tier pro --discount 0.9",
        "tollgate owners set acme --suspend",
    ),
)
@operating
def set_owner(
    client: Client,
    owner: Annotated[str, typer.Argument(help="Whose keys it is for; they need not be there yet.")],
    tier: Annotated[str | None, typer.Option(help="The class that decides which groups the keys may have.")] = None,
    discount: Annotated[
        str | None, typer.Option(help="What the owner pays of every price: 0.9 is ten percent off.")
    ] = None,
    suspended: Annotated[
        bool | None, typer.Option("--suspend/--activate", help="Refuse every request of theirs, or none.")
    ] = None,
    revision: options.Revision = None,
    json: options.Json = False,
) -> None:
    """Change what is said of an owner, and keep what is not named. It holds from the next request on."""
    standing = {None: None, True: OwnerStatus.SUSPENDED, False: OwnerStatus.ACTIVE}[suspended]
    request = pb.EditOwnerRequest(
        owner=owner,
        tier=tier,
        discount_ppm=None if discount is None else options.factor(discount),
        status=standing,
        revision=revision,
    )
    catalog = client.catalog() if tier is not None else None
    if catalog and tier is not None and tier not in catalog.tiers:
        raise TollgateError(there_is_no("tier", tier, catalog.tiers))
    record = client.call(request, pb.Owner)
    if json:
        print_json(plain(record))
        return
    say(_said(record))
    if catalog:
        _tell_lost_groups(client, record, catalog)


def _tell_lost_groups(client: Client, record: pb.Owner, catalog: Catalog) -> None:
    """The keys that have a group which the owner's tier does not have."""
    for key in keys_of(client, record.owner):
        lost = [group for group in (key.group, *key.fallback_groups) if not catalog.allows(record.tier, group)]
        if lost:
            what = "is refused" if key.group in lost else f"no longer falls back to {', '.join(lost)}"
            say(f"Key {key.key_id} ({key.prefix}…) of group {key.group} {what}.")


def _said(record: pb.Owner) -> str:
    pays = "every price in full" if record.discount_ppm == ONE else f"{share(record.discount_ppm)} of every price"
    return f"{record.owner} has the tier {record.tier}, pays {pays} and is {record.status}."


def _row(record: pb.Owner) -> dict[str, str]:
    return {
        "owner": record.owner,
        "tier": record.tier,
        "pays": share(record.discount_ppm),
        "status": record.status,
        "revision": str(record.revision),
    }
