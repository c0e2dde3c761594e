"""What must change so that owners are as they are declared: steps, each a request to the admin service.

Nothing is decided here but the difference. Every step names the revision that was seen, so that a change which somebody
made meanwhile is refused and not overwritten.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import groupby
from typing import Any

from google.protobuf.message import Message

from extproc.admin.pb import admin_pb2 as pb
from extproc.cli.printing import plain
from extproc.cli.values import AS_THE_GROUP_SAYS
from extproc.config.people import KeySpec, MemberSpec, OwnerSpec, TeamSpec
from extproc.core.identity import KeyStatus
from extproc.errors import TollgateError

Fields = Mapping[str, Any]
Change = tuple[Any, Any]
"""A field as it is, None where there is nothing yet, and as it is to be."""


class Action(StrEnum):
    """What a step does."""

    CREATE = "create"
    EDIT = "edit"
    DELETE = "delete"


class Kind(StrEnum):
    """What it does that to."""

    OWNER = "owner"
    TEAM = "team"
    MEMBER = "member"
    KEY = "key"


@dataclass(frozen=True, slots=True)
class Step:
    """One change. `name` is `acme`, `acme/red`, `acme/red/bob`, or of a key `acme/ci`; `key_id` of one there is."""

    action: Action
    kind: Kind
    name: str
    request: Message
    changes: Mapping[str, Change] = field(default_factory=dict)
    key_id: str = ""
    disable: bool = False
    """Whether a new key is to be disabled at once."""


@dataclass(frozen=True, slots=True)
class Live:
    """One owner as they are."""

    owner: pb.Owner
    teams: Sequence[pb.Team]
    keys: Sequence[pb.Key]


def steps(declared: OwnerSpec, live: Live, *, prune: bool) -> list[Step]:
    """All of them, in an order in which they can be made. Raises `TollgateError` where a name is no single key's."""
    _require_told_apart(declared, live, prune=prune)
    removed = [step for step in removals(declared, live) if prune]
    of = {kind: [step for step in removed if step.kind is kind] for kind in Kind}
    owner = live.owner.owner
    return [
        *_owner(declared, live.owner),
        *of[Kind.KEY],
        *_teams(owner, declared.teams, live.teams),
        *of[Kind.MEMBER],
        *of[Kind.TEAM],
        *_keys(owner, declared.keys, [key for key in live.keys if _is_declared(declared, key)]),
    ]


def removals(declared: OwnerSpec, live: Live) -> Iterator[Step]:
    """What is there and not declared: keys, members of declared teams, teams."""
    owner = live.owner.owner
    for key in live.keys:
        if not _is_declared(declared, key):
            request = pb.DeleteKeyRequest(key_id=key.key_id, revision=key.revision)
            yield Step(Action.DELETE, Kind.KEY, f"{owner}/{key.name}", request, key_id=key.key_id)
    for team in live.teams:
        spec = declared.teams.get(team.team)
        at: dict[str, Any] = {"owner": owner, "team": team.team, "revision": team.revision}
        if spec is None:
            yield Step(Action.DELETE, Kind.TEAM, f"{owner}/{team.team}", pb.DeleteTeamRequest(**at))
            continue
        for each in team.members:
            if each.member not in spec.members:
                leaves = pb.RemoveMemberRequest(**at, member=each.member)
                yield Step(Action.DELETE, Kind.MEMBER, f"{owner}/{team.team}/{each.member}", leaves)


def _owner(spec: OwnerSpec, live: pb.Owner) -> Iterator[Step]:
    wanted = {"tier": spec.tier, "discount_ppm": spec.discount, "status": spec.status.value}
    if changes := _changes(wanted, live):
        request = pb.EditOwnerRequest(owner=live.owner, revision=live.revision, **_new(changes))
        yield Step(Action.EDIT, Kind.OWNER, live.owner, request, changes)


def _teams(owner: str, declared: Mapping[str, TeamSpec], live: Sequence[pb.Team]) -> Iterator[Step]:
    known = {team.team: team for team in live}
    for name, spec in declared.items():
        team = known.get(name)
        changes = _changes({"title": spec.title, "quota_nano": spec.quota}, team)
        at: dict[str, Any] = {"owner": owner, "team": name}
        if team is None:
            yield Step(
                Action.CREATE, Kind.TEAM, f"{owner}/{name}", pb.CreateTeamRequest(**at, **_new(changes)), changes
            )
        elif changes:
            request = pb.EditTeamRequest(**at, revision=team.revision, **_new(changes))
            yield Step(Action.EDIT, Kind.TEAM, f"{owner}/{name}", request, changes)
        yield from _members(owner, name, spec.members, team)


def _members(owner: str, team: str, declared: Mapping[str, MemberSpec], live: pb.Team | None) -> Iterator[Step]:
    known = {each.member: each for each in live.members} if live else {}
    for name, spec in declared.items():
        changes = _changes({"role": spec.role.value, "quota_nano": spec.quota}, known.get(name))
        if changes:
            revision = live.revision if live else None
            request = pb.PutMemberRequest(owner=owner, team=team, member=name, revision=revision, **_new(changes))
            action = Action.EDIT if name in known else Action.CREATE
            yield Step(action, Kind.MEMBER, f"{owner}/{team}/{name}", request, changes)


def _keys(owner: str, declared: Mapping[str, KeySpec], live: Iterable[pb.Key]) -> Iterator[Step]:
    known = {key.name: key for key in live}
    for name, spec in declared.items():
        key, wanted = known.get(name), _wanted(spec)
        changes = _changes(wanted, key)
        if key is None:
            del wanted["status"]
            request: Message = pb.CreateKeyRequest(owner=owner, team=spec.team, member=spec.member, name=name, **wanted)
            disable = spec.status is KeyStatus.DISABLED
            yield Step(Action.CREATE, Kind.KEY, f"{owner}/{name}", request, changes, disable=disable)
        elif changes:
            request = pb.EditKeyRequest(key_id=key.key_id, revision=key.revision, **_edit(_new(changes)))
            yield Step(Action.EDIT, Kind.KEY, f"{owner}/{name}", request, changes, key.key_id)


def _wanted(spec: KeySpec) -> dict[str, Any]:
    return {
        "group": spec.group,
        "fallback_groups": spec.fallback_groups,
        "cap_nano": spec.cap,
        "month_limit_nano": spec.monthly_limit,
        "concurrency": spec.concurrency,
        "requests_per_minute": spec.requests_per_minute,
        "tokens_per_minute": spec.tokens_per_minute,
        "expires_ms": spec.expires,
        "allowed_ips": spec.allowed_ips,
        "allowed_models": spec.allowed_models,
        "status": spec.status.value,
    }


def _edit(fields: Fields) -> dict[str, Any]:
    """Fields as an edit has them: a list in a message of its own, and a number for what is the group's to say."""
    found: dict[str, Any] = {}
    for name, value in fields.items():
        found[name] = (
            pb.Names(names=value) if isinstance(value, list) else AS_THE_GROUP_SAYS if value is None else value
        )
    return found


def _changes(wanted: Fields, live: Message | None) -> dict[str, Change]:
    if live is None:
        return {name: (None, value) for name, value in wanted.items()}
    there = plain(live)
    return {name: (there[name], value) for name, value in wanted.items() if there[name] != value}


def _new(changes: Mapping[str, Change]) -> dict[str, Any]:
    return {name: new for name, (_, new) in changes.items()}


def _is_declared(declared: OwnerSpec, key: pb.Key) -> bool:
    spec = declared.keys.get(key.name)
    return spec is not None and (spec.team, spec.member) == (key.team, key.member)


def _require_told_apart(declared: OwnerSpec, live: Live, *, prune: bool) -> None:
    named = sorted((key for key in live.keys if key.name in declared.keys), key=lambda key: key.name)
    for name, found in groupby(named, lambda key: key.name):
        keys = list(found)
        ids = ", ".join(key.key_id for key in keys)
        here = sum(_is_declared(declared, key) for key in keys)
        if here > 1 or (not prune and here and len(keys) > 1):
            raise TollgateError(
                f"{live.owner.owner} has {len(keys)} keys of the name {name!r} ({ids}): "
                "give all but one another name with `tollgate keys edit`"
            )
        if not here and not prune:
            where = "/".join(filter(None, (keys[0].team, keys[0].member))) or "no team"
            raise TollgateError(
                f"{live.owner.owner} has the key {name!r} in {where} ({ids}), and a key cannot move: "
                "declare another name, or replace it with --prune"
            )
