"""`tollgate keys`: make API keys, change what they may do, and end them."""

from typing import Annotated

import typer

from extproc.admin.pb import admin_pb2 as pb
from extproc.cli import options, values
from extproc.cli.asking import Yes, confirm
from extproc.cli.client import Client, examples, operating
from extproc.cli.key_words import fields, row
from extproc.cli.paging import keys_of
from extproc.cli.printing import hint, plain, print_fields, print_json, print_list, print_table, say
from extproc.clock import now_ms
from extproc.core.identity import KeyStatus
from extproc.core.ledger import DEFAULT_MAX_LIVE
from extproc.errors import TollgateError

_PER_MINUTE = "0 for no limit, 'group' for as the group says."
_EXPIRES = "A date or time, '30d' from now, or 'never'."

app = typer.Typer(help="API keys.", no_args_is_help=True)

KeyId = Annotated[str, typer.Argument(help="The key's id, as `keys list` shows it.")]


@app.command(
    "create",
    epilog=examples(
        "tollgate keys create --owner acme --name ci",
        "tollgate keys create --owner acme --team red --member bob --cap 20 --expires 90d",
        "tollgate keys create --owner acme --allow-ip 10.0.0.0/8 --allow-model 'gpt-5*' --json",
    ),
)
@operating
def create(
    client: Client,
    owner: Annotated[str, typer.Option(help="Whose money it is.")],
    group: Annotated[str, typer.Option(help="The group that decides models, channels and multiplier.")] = "default",
    fallback: Annotated[list[str] | None, typer.Option(help="A group to move to when the first cannot serve.")] = None,
    name: Annotated[str, typer.Option(help="What the key is for.")] = "",
    team: Annotated[str, typer.Option(help="The team it belongs to, whose owner pays.")] = "",
    member: Annotated[str, typer.Option(help="The member of the team whose quota counts.")] = "",
    cap: Annotated[str, typer.Option(help="Lifetime cap in USD, 0 for none.")] = "0",
    monthly_limit: Annotated[str, typer.Option(help="Limit for each calendar month in USD, 0 for none.")] = "0",
    concurrency: Annotated[int, typer.Option(min=1, help="Requests under way at once.")] = DEFAULT_MAX_LIVE,
    requests_per_minute: Annotated[str, typer.Option(help=_PER_MINUTE)] = "group",
    tokens_per_minute: Annotated[str, typer.Option(help=_PER_MINUTE)] = "group",
    expires: Annotated[str, typer.Option(help=_EXPIRES)] = "never",
    allow_ip: Annotated[
        list[str] | None, typer.Option(help="A network that may use it, such as 10.0.0.0/8; default: any.")
    ] = None,
    allow_model: Annotated[
        list[str] | None, typer.Option(help="A model it may call, or 'gpt-5*'; default: all of its group.")
    ] = None,
    json: options.Json = False,
) -> None:
    """Make a key and print it: this once, and never again."""
    if member and not team:
        raise TollgateError("--member needs --team: a member's quota is a part of a team's")
    request = pb.CreateKeyRequest(
        owner=owner,
        team=team,
        member=member,
        name=name,
        group=group,
        fallback_groups=fallback,
        cap_nano=values.cap(cap),
        month_limit_nano=values.cap(monthly_limit),
        concurrency=concurrency,
        requests_per_minute=_own_rate(requests_per_minute),
        tokens_per_minute=_own_rate(tokens_per_minute),
        expires_ms=values.expiry(expires, now_ms()),
        allowed_ips=allow_ip,
        allowed_models=allow_model,
    )
    _tell_new(client.call(request, pb.NewKey), json)


@app.command("list", epilog=examples("tollgate keys list --owner acme", "tollgate keys list --owner acme --team red"))
@operating
def list_keys(
    client: Client,
    owner: Annotated[str, typer.Option(help="Only this owner's.")] = "",
    team: Annotated[str, typer.Option(help="Only this team's.")] = "",
    member: Annotated[str, typer.Option(help="Only this member's.")] = "",
    json: options.Json = False,
) -> None:
    """List keys: their prefix, never more."""
    found = keys_of(client, owner, team, member)
    if json:
        print_list(found)
    else:
        print_table([row(key) for key in found], "There are no keys.")


@app.command("show", epilog=examples("tollgate keys show key_0123456789abcdef"))
@operating
def show(client: Client, key_id: KeyId, json: options.Json = False) -> None:
    """Show all that is known of a key, and what it has spent."""
    found = client.call(pb.GetKeyRequest(key_id=key_id), pb.Key)
    if json:
        print_json(plain(found))
    else:
        print_fields(fields(found))


@app.command(
    "edit",
    epilog=examples(
        "tollgate keys edit key_0123456789abcdef --cap 50 --expires 2027-01-01",
        "tollgate keys edit key_0123456789abcdef --allow-model gpt-5-mini --allow-model 'claude-*'",
        "tollgate keys edit key_0123456789abcdef --any-ip --no-fallback",
    ),
)
@operating
def edit(
    client: Client,
    key_id: KeyId,
    name: Annotated[str | None, typer.Option(help="What the key is for.")] = None,
    group: Annotated[str | None, typer.Option(help="The group that decides models, channels, multiplier.")] = None,
    fallback: Annotated[list[str] | None, typer.Option(help="The groups to move to, in place of those before.")] = None,
    no_fallback: Annotated[bool, typer.Option("--no-fallback", help="No group to move to.")] = False,
    cap: Annotated[str | None, typer.Option(help="Lifetime cap in USD, or 'none'.")] = None,
    monthly_limit: Annotated[str | None, typer.Option(help="Limit for each month in USD, or 'none'.")] = None,
    concurrency: Annotated[int | None, typer.Option(min=1, help="Requests under way at once.")] = None,
    requests_per_minute: Annotated[str | None, typer.Option(help=_PER_MINUTE)] = None,
    tokens_per_minute: Annotated[str | None, typer.Option(help=_PER_MINUTE)] = None,
    expires: Annotated[str | None, typer.Option(help=_EXPIRES)] = None,
    allow_ip: Annotated[
        list[str] | None, typer.Option(help="The networks that may use it, in place of those before.")
    ] = None,
    any_ip: Annotated[bool, typer.Option("--any-ip", help="Every address may use it.")] = False,
    allow_model: Annotated[
        list[str] | None, typer.Option(help="The models it may call, in place of those before.")
    ] = None,
    any_model: Annotated[bool, typer.Option("--any-model", help="It may call all of its group.")] = False,
    revision: options.Revision = None,
    json: options.Json = False,
) -> None:
    """Change what a key may do, and keep what is not named. It holds from the next request on."""
    request = pb.EditKeyRequest(
        key_id=key_id,
        name=name,
        group=group,
        fallback_groups=_names("--fallback", fallback, "--no-fallback", no_fallback),
        cap_nano=None if cap is None else values.cap(cap),
        month_limit_nano=None if monthly_limit is None else values.cap(monthly_limit),
        concurrency=concurrency,
        requests_per_minute=None if requests_per_minute is None else values.rate(requests_per_minute),
        tokens_per_minute=None if tokens_per_minute is None else values.rate(tokens_per_minute),
        expires_ms=None if expires is None else values.expiry(expires, now_ms()),
        allowed_ips=_names("--allow-ip", allow_ip, "--any-ip", any_ip),
        allowed_models=_names("--allow-model", allow_model, "--any-model", any_model),
        revision=revision,
    )
    found = client.call(request, pb.Key)
    if json:
        print_json(plain(found))
    else:
        print_fields(fields(found))


@app.command("disable", epilog=examples("tollgate keys disable key_0123456789abcdef"))
@operating
def disable(client: Client, key_id: KeyId, json: options.Json = False) -> None:
    """Disable a key: dead from its next request on, until it is enabled again."""
    _turn(client, key_id, KeyStatus.DISABLED, json)


@app.command("enable", epilog=examples("tollgate keys enable key_0123456789abcdef"))
@operating
def enable(client: Client, key_id: KeyId, json: options.Json = False) -> None:
    """Enable a key that was disabled."""
    _turn(client, key_id, KeyStatus.ACTIVE, json)


@app.command(
    "rotate",
    epilog=examples(
        "tollgate keys rotate key_0123456789abcdef --overlap 24h", "tollgate keys rotate key_0123456789abcdef --yes"
    ),
)
@operating
def rotate(
    client: Client,
    key_id: KeyId,
    overlap: Annotated[
        str, typer.Option(help="How long the old plaintext still counts, such as 24h; 30d at most.")
    ] = "",
    revision: options.Revision = None,
    yes: Yes = False,
    json: options.Json = False,
) -> None:
    """Give a key another plaintext and print it: this once. The old one is dead at once, or after the overlap."""
    seconds = values.span(overlap) if overlap else 0
    if not seconds:
        confirm(f"Rotate {key_id} without an overlap, so that its plaintext until now is dead at once", yes)
    request = pb.RotateKeyRequest(key_id=key_id, overlap_seconds=seconds, revision=revision)
    _tell_new(client.call(request, pb.NewKey), json)


@app.command("delete", epilog=examples("tollgate keys delete key_0123456789abcdef"))
@operating
def delete(
    client: Client, key_id: KeyId, revision: options.Revision = None, yes: Yes = False, json: options.Json = False
) -> None:
    """Delete a key: dead from its next request on, and for good. What it spent stays."""
    confirm(f"Delete {key_id} for good", yes)
    _tell(client.call(pb.DeleteKeyRequest(key_id=key_id, revision=revision), pb.Key), json)


def _turn(client: Client, key_id: str, status: KeyStatus, json: bool) -> None:
    _tell(client.call(pb.EditKeyRequest(key_id=key_id, status=status), pb.Key), json)


def _tell(key: pb.Key, json: bool) -> None:
    if json:
        print_json(plain(key))
    else:
        say(f"Key {key.key_id} ({key.prefix}…) of {key.owner} is {key.status}.")


def _tell_new(made: pb.NewKey, json: bool) -> None:
    if json:
        print_json(plain(made))
        return
    say(made.plaintext)
    say(f"Key {made.key.key_id} of {made.key.owner}, group {made.key.group}. It is shown only now: keep it.", "dim")
    if made.key.overlap_until_ms:
        hint("The one before it still counts for the overlap.")


def _own_rate(text: str) -> int | None:
    per_minute = values.rate(text)
    return None if per_minute < 0 else per_minute


def _names(option: str, names: list[str] | None, none: str, is_none: bool) -> pb.Names | None:
    if names and is_none:
        raise values.usage_error(f"{option} and {none} say the opposite")
    return pb.Names(names=names) if names or is_none else None
