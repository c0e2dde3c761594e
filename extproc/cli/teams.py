"""`tollgate teams`: the teams of an owner, who pays for them, and the people in them."""

from typing import Annotated

import typer

from extproc.admin.pb import admin_pb2 as pb
from extproc.cli import members, options
from extproc.cli.asking import Yes, confirm
from extproc.cli.client import Client, examples, operating
from extproc.cli.owners import Owner
from extproc.cli.printing import money, plain, print_fields, print_json, print_list, print_table, say
from extproc.cli.values import quota, shown_quota

app = typer.Typer(help="Teams: people who spend one owner's money.", no_args_is_help=True)
app.add_typer(members.app, name="members")

Team = members.Team
Title = Annotated[str | None, typer.Option(help="What the team is called.")]
Quota = Annotated[str | None, typer.Option(help="What the team may spend in all, in USD, or 'none'.")]


@app.command("list", epilog=examples("tollgate teams list acme"))
@operating
def list_teams(client: Client, owner: Owner, json: options.Json = False) -> None:
    """List the teams of an owner."""
    found = client.call(pb.ListTeamsRequest(owner=owner), pb.ListTeamsResponse).teams
    if json:
        print_list(found)
    else:
        rows = [{**_fields(team), "members": str(len(team.members))} for team in found]
        print_table(rows, f"{owner} has no teams.")


@app.command("show", epilog=examples("tollgate teams show acme red"))
@operating
def show(client: Client, owner: Owner, team: Team, json: options.Json = False) -> None:
    """Show a team: what it may spend, what it has spent, and who is in it."""
    found = client.call(pb.GetTeamRequest(owner=owner, team=team), pb.Team)
    if json:
        print_json(plain(found))
        return
    print_fields(_fields(found))
    print_table([members.row(member) for member in found.members], "Nobody is in it.")


@app.command("create", epilog=examples('tollgate teams create acme red --title "Red team" --quota 500'))
@operating
def create(
    client: Client, owner: Owner, team: Team, title: Title = None, quota: Quota = None, json: options.Json = False
) -> None:
    """Make a team, whose money is the owner's."""
    request = pb.CreateTeamRequest(owner=owner, team=team, title=title, quota_nano=_quota(quota))
    _tell(client.call(request, pb.Team), "is there", json)


@app.command(
    "edit", epilog=examples("tollgate teams edit acme red --quota 1000", "tollgate teams edit acme red --quota none")
)
@operating
def edit(
    client: Client,
    owner: Owner,
    team: Team,
    title: Title = None,
    quota: Quota = None,
    revision: options.Revision = None,
    json: options.Json = False,
) -> None:
    """Change a team's title or quota, and keep what is not named."""
    request = pb.EditTeamRequest(owner=owner, team=team, title=title, quota_nano=_quota(quota), revision=revision)
    _tell(client.call(request, pb.Team), "is changed", json)


@app.command("delete", epilog=examples("tollgate teams delete acme red", "tollgate teams delete acme red --yes"))
@operating
def delete(
    client: Client,
    owner: Owner,
    team: Team,
    revision: options.Revision = None,
    yes: Yes = False,
    json: options.Json = False,
) -> None:
    """Delete a team. Its keys are disabled first; what it spent stays in the owner's usage."""
    confirm(f"Delete the team {owner}/{team} and disable its keys", yes)
    request = pb.DeleteTeamRequest(owner=owner, team=team, revision=revision)
    _tell(client.call(request, pb.Team), "is deleted", json)


def _quota(text: str | None) -> int | None:
    return None if text is None else quota(text)


def _tell(team: pb.Team, what: str, json: bool) -> None:
    if json:
        print_json(plain(team))
    else:
        say(f"The team {team.owner}/{team.team} {what}; its quota: {shown_quota(team.quota_nano)}.")


def _fields(team: pb.Team) -> dict[str, str]:
    return {
        "owner": team.owner,
        "team": team.team,
        "title": team.title,
        "quota": shown_quota(team.quota_nano),
        "held": money(team.held_nano),
        "used": money(team.used_nano),
        "revision": str(team.revision),
    }
