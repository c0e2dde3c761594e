"""`tollgate teams members`: who is in a team, as what, and what each may spend."""

from typing import Annotated

import typer

from extproc.admin.pb import admin_pb2 as pb
from extproc.cli import options, values
from extproc.cli.asking import Yes, confirm
from extproc.cli.client import Client, examples, operating
from extproc.cli.owners import Owner
from extproc.cli.printing import money, plain, print_json, say
from extproc.core.people import Role

app = typer.Typer(help="The people of a team.", no_args_is_help=True)

Team = Annotated[str, typer.Argument(help="The team's name.")]
Member = Annotated[str, typer.Argument(help="The person's name.")]


@app.command(
    "set",
    epilog=examples(
        "tollgate teams members set acme red alice --role admin",
        "tollgate teams members set acme red bob --quota 50",
    ),
)
@operating
def set_member(
    client: Client,
    owner: Owner,
    team: Team,
    member: Member,
    role: Annotated[Role | None, typer.Option(help="What they are in the team; 'member' for somebody new.")] = None,
    quota: Annotated[
        str | None, typer.Option(help="What they may spend of the team's money in all, in USD, or 'none'.")
    ] = None,
    revision: options.Revision = None,
    json: options.Json = False,
) -> None:
    """Add somebody to a team, or change their role or quota."""
    request = pb.PutMemberRequest(
        owner=owner,
        team=team,
        member=member,
        role=role,
        quota_nano=None if quota is None else values.quota(quota),
        revision=revision,
    )
    found = client.call(request, pb.Team)
    if json:
        print_json(plain(found))
        return
    for each in found.members:
        if each.member == member:
            spends = values.shown_quota(each.quota_nano)
            say(f"{member} is {each.role} of the team {owner}/{team}; their quota: {spends}.")


@app.command("remove", epilog=examples("tollgate teams members remove acme red bob"))
@operating
def remove(
    client: Client,
    owner: Owner,
    team: Team,
    member: Member,
    revision: options.Revision = None,
    yes: Yes = False,
    json: options.Json = False,
) -> None:
    """Remove somebody from a team. Their keys in it are disabled first."""
    confirm(f"Remove {member} from the team {owner}/{team} and disable their keys in it", yes)
    request = pb.RemoveMemberRequest(owner=owner, team=team, member=member, revision=revision)
    found = client.call(request, pb.Team)
    if json:
        print_json(plain(found))
    else:
        say(f"{member} is not in the team {owner}/{team} any more.")


def row(member: pb.Member) -> dict[str, str]:
    """A member in a table."""
    return {
        "member": member.member,
        "role": member.role,
        "quota": values.shown_quota(member.quota_nano),
        "held": money(member.held_nano),
        "used": money(member.used_nano),
    }
