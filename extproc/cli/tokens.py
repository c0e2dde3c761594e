"""`tollgate tokens`: who may use the admin API."""

from typing import Annotated

import typer

from extproc.admin.pb import admin_pb2 as pb
from extproc.cli import options, values
from extproc.cli.asking import Yes, confirm
from extproc.cli.client import Client, examples, operating
from extproc.cli.printing import plain, print_json, print_list, print_table, say
from extproc.cli.values import shown_time
from extproc.clock import now_ms
from extproc.core.people import Scope

app = typer.Typer(help="Tokens for the admin API.", no_args_is_help=True)


@app.command(
    "create",
    epilog=examples(
        "tollgate tokens create --name ci --scope operator --expires 90d",
        "tollgate tokens create --name grafana --scope read",
        "tollgate tokens create --name alice --scope person --person alice",
    ),
)
@operating
def create(
    client: Client,
    name: Annotated[str, typer.Option(help="What the token is for.")],
    scope: Annotated[
        list[Scope], typer.Option(help="operator: everything; read: seeing everything; person: by roles in teams.")
    ],
    person: Annotated[str, typer.Option(help="Whom it speaks for: the name that owners and members have.")] = "",
    expires: Annotated[str, typer.Option(help="A date or time, '30d' from now, or 'never'.")] = "never",
    json: options.Json = False,
) -> None:
    """Make a token and print it: this once, and never again."""
    request = pb.CreateTokenRequest(name=name, scopes=scope, person=person, expires_ms=values.expiry(expires, now_ms()))
    made = client.call(request, pb.NewToken)
    if json:
        print_json(plain(made))
        return
    say(made.plaintext)
    say(f"Token {made.token.token_id} ({', '.join(made.token.scopes)}). It is shown only now: keep it.", "dim")


@app.command("list", epilog=examples("tollgate tokens list"))
@operating
def list_tokens(client: Client, json: options.Json = False) -> None:
    """List tokens: their prefix, never more."""
    found = client.call(pb.ListTokensRequest(), pb.ListTokensResponse).tokens
    if json:
        print_list(found)
    else:
        print_table([_row(token) for token in found], "There are no tokens.")


@app.command("revoke", epilog=examples("tollgate tokens revoke tok_0123456789abcdef"))
@operating
def revoke(
    client: Client,
    token_id: Annotated[str, typer.Argument(help="The token's id, as `tokens list` shows it.")],
    yes: Yes = False,
    json: options.Json = False,
) -> None:
    """Revoke a token: dead at once, and for good."""
    confirm(f"Revoke {token_id} for good", yes)
    token = client.call(pb.RevokeTokenRequest(token_id=token_id), pb.Token)
    if json:
        print_json(plain(token))
    else:
        say(f"Token {token.token_id} ({token.prefix}…) is revoked.")


def _row(token: pb.Token) -> dict[str, str]:
    return {
        "id": token.token_id,
        "prefix": token.prefix + "…",
        "name": token.name,
        "scopes": ", ".join(token.scopes),
        "person": token.person,
        "created": shown_time(token.created_ms),
        "expires": shown_time(token.expires_ms) if token.expires_ms else "never",
    }
