"""`tollgate apply`: owners, teams and keys as files say they are."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer
from google.protobuf.message import Message
from rich.progress import track

from extproc.admin.pb import admin_pb2 as pb
from extproc.cli import keys_out, options
from extproc.cli.asking import Yes, confirm
from extproc.cli.client import Client, examples, operating
from extproc.cli.keys_out import Keep
from extproc.cli.paging import keys_of
from extproc.cli.plan import Action, Kind, Live, Step, removals, steps
from extproc.cli.plan_words import plan_as_json, print_plan
from extproc.cli.printing import errors, hint, print_json, say
from extproc.cli.told import NotFound
from extproc.cli.values import usage_error
from extproc.config.load_people import load_people
from extproc.core.catalog import DEFAULT_TIER
from extproc.core.identity import KeyStatus, OwnerStatus
from extproc.core.pricing import ONE
from extproc.errors import TollgateError

SOMETHING_TO_CHANGE = 3
"""What `--plan` exits with where the files and the gateway differ."""

EPILOG = examples(
    "tollgate apply people/ --plan",
    "tollgate apply people/ --prune",
    "tollgate apply people.yaml --yes --keys-out new-keys.jsonl",
)


def _apply(
    client: Client,
    path: Annotated[Path, typer.Argument(help="A file of owners, or a folder of such files, *.yaml.")],
    prune: Annotated[
        bool,
        typer.Option("--prune", help="Delete what the owners that are declared have beside: keys, members, teams."),
    ] = False,
    plan_only: Annotated[
        bool, typer.Option("--plan", help="Only show what would change, and exit 3 if there is something.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option("--keys-out", metavar="FILE", help="Append new keys here as JSON lines; only you may read it."),
    ] = None,
    yes: Yes = False,
    json: options.Json = False,
) -> None:
    """Make owners, teams and keys as the files declare them. The plan is shown first; a second time changes nothing.

    What is left out of a declared owner is set back to its default. Money is never touched, nor an owner who is not
    declared. A change that somebody makes meanwhile is refused, not overwritten.
    """
    if json and not (yes or plan_only):
        raise usage_error("--json goes with --plan or --yes: there would be no plan to say yes to")
    declared = load_people(path, client.catalog())
    lives = {owner: _live(client, owner) for owner in declared}
    plan = [step for owner, spec in declared.items() for step in steps(spec, lives[owner], prune=prune)]
    if not json:
        print_plan(plan)
        if not prune:
            _tell_what_is_left(sum(len(list(removals(spec, lives[owner]))) for owner, spec in declared.items()))
    if plan_only or not plan:
        _end(plan, json, applied=False)
        raise typer.Exit(SOMETHING_TO_CHANGE if plan else 0)
    _require_place_for_keys(plan, out, json)
    confirm(f"Make {_counted(plan)}", yes)
    with keys_out.kept(out) as keep:
        _carry_out(client, plan, keep)
    _end(plan, json, applied=True)


apply = operating(_apply)


def _live(client: Client, owner: str) -> Live:
    try:
        found = client.call(pb.GetOwnerRequest(owner=owner), pb.Owner)
    except NotFound:
        found = pb.Owner(owner=owner, tier=DEFAULT_TIER, discount_ppm=ONE, status=OwnerStatus.ACTIVE)
    teams = client.call(pb.ListTeamsRequest(owner=owner), pb.ListTeamsResponse).teams
    return Live(found, list(teams), keys_of(client, owner))


def _require_place_for_keys(plan: Sequence[Step], out: Path | None, json: bool) -> None:
    new = sum((step.action, step.kind) == (Action.CREATE, Kind.KEY) for step in plan)
    if new and not keys_out.can_be_kept(out, json):
        raise usage_error(f"new keys: {new}, and no terminal to show them on: name a file for them with --keys-out")


def _carry_out(client: Client, plan: Sequence[Step], keep: Keep) -> None:
    """Every step. What a team's revision has become after one of them is what the next has seen."""
    revisions: dict[tuple[str, str], int] = {}
    for done, step in enumerate(_with_progress(plan)):
        try:
            _make(client, step, revisions, keep)
        except TollgateError as error:
            raise TollgateError(
                f"{step.kind} {step.name}: {error}\n{done} of {_counted(plan)} were made; apply it again to go on."
            ) from None


def _make(client: Client, step: Step, revisions: dict[tuple[str, str], int], keep: Keep) -> None:
    match step.request:
        case pb.CreateKeyRequest():
            made = client.call(step.request, pb.NewKey)
            keep(made)
            if step.disable:
                off = pb.EditKeyRequest(key_id=made.key.key_id, status=KeyStatus.DISABLED, revision=made.key.revision)
                client.call(off, pb.Key)
        case pb.EditKeyRequest() | pb.DeleteKeyRequest():
            client.call(step.request, pb.Key)
        case pb.EditOwnerRequest():
            client.call(step.request, pb.Owner)
        case _:
            _make_of_team(client, step.request, revisions)


def _make_of_team(client: Client, request: Message, revisions: dict[tuple[str, str], int]) -> None:
    of = str(request.owner), str(request.team)  # type: ignore[attr-defined]
    if of in revisions:
        request.revision = revisions[of]  # type: ignore[attr-defined]
    revisions[of] = client.call(request, pb.Team).revision


def _with_progress(plan: Sequence[Step]) -> Iterator[Step]:
    yield from track(plan, "Applying", console=errors, transient=True, disable=not errors.is_terminal)


def _counted(plan: Sequence[Step]) -> str:
    return "1 change" if len(plan) == 1 else f"{len(plan)} changes"


def _tell_what_is_left(count: int) -> None:
    if count:
        hint(f"Not declared, and left as they are: {count} keys, members or teams. --prune deletes them.")


def _end(plan: Sequence[Step], json: bool, *, applied: bool) -> None:
    if json:
        print_json({"plan": plan_as_json(plan), "applied": applied})
    elif not plan:
        say("Nothing to change.")
    else:
        say(f"Made {_counted(plan)}." if applied else f"To make: {_counted(plan)}.")
