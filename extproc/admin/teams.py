"""Teams: who is in them, and what they may spend."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from extproc.admin import check
from extproc.admin.messages import team_message
from extproc.admin.parts import Parts
from extproc.admin.pb import admin_pb2 as pb
from extproc.admin.refused import forbidden, invalid, not_found
from extproc.admin.rights import require, require_may_give, seen_team
from extproc.core.identity import KeyStatus
from extproc.core.ledger import UNLIMITED
from extproc.core.people import Member, Principal, Right, Role, TeamRecord
from extproc.store.records import require as require_revision

MOST_MEMBERS = 1000
"""Their accounts are written together with the team."""


class Teams:
    """The verbs on teams."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def list(self, principal: Principal, request: pb.ListTeamsRequest) -> pb.ListTeamsResponse:
        """The teams of an owner that one may see; without an owner, those that a person is in."""
        if not request.owner:
            found = await self._parts.teams.of_person(principal.person) if principal.person else []
        else:
            found = await self._parts.teams.list(request.owner)
        seen = [team for team in found if principal.may(Right.SEE_TEAM, team.owner, team)]
        if request.owner and not seen and not principal.may(Right.SEE_TEAM, request.owner):
            raise forbidden(f"you may not see any team of the owner {request.owner!r}, if there is one")
        return pb.ListTeamsResponse(teams=await asyncio.gather(*(team_message(self._parts, team) for team in seen)))

    async def create(self, principal: Principal, request: pb.CreateTeamRequest) -> pb.Team:
        """By operators, and whoever pays."""
        require(principal, Right.TEAM_QUOTA, request.owner)
        record = TeamRecord(
            check.owner(request.owner),
            check.name(request.team, "team"),
            check.text(request.title, "title"),
            check.quota(request.quota_nano, "quota_nano") if request.HasField("quota_nano") else UNLIMITED,
        )
        return await team_message(self._parts, await self._parts.teams.create(record, self._parts.by(principal)))

    async def get(self, principal: Principal, request: pb.GetTeamRequest) -> pb.Team:
        """One team."""
        team = await seen_team(self._parts, principal, request.owner, request.team)
        return await team_message(self._parts, team)

    async def edit(self, principal: Principal, request: pb.EditTeamRequest) -> pb.Team:
        """Title and quota. Without a change nothing is written."""
        team = await seen_team(self._parts, principal, request.owner, request.team)
        require(principal, Right.TEAM_QUOTA, request.owner, team)
        said: dict[str, Any] = {}
        if request.HasField("title"):
            said["title"] = check.text(request.title, "title")
        if request.HasField("quota_nano"):
            said["quota_nano"] = check.quota(request.quota_nano, "quota_nano")

        def change(one: TeamRecord) -> TeamRecord:
            return replace(one, **said)

        return await self._edit(principal, team, change, "team.edit", check.revision(request))

    async def delete(self, principal: Principal, request: pb.DeleteTeamRequest) -> pb.Team:
        """Disable its keys, and delete it."""
        team = await seen_team(self._parts, principal, request.owner, request.team)
        require(principal, Right.DELETE_TEAM, request.owner, team)
        require_revision(team, check.revision(request))
        await self._disable_keys(principal, team)
        deleted = await self._edit(principal, team, lambda one: replace(one, deleted=True), "team.delete")
        await self._disable_keys(principal, team)
        return deleted

    async def put_member(self, principal: Principal, request: pb.PutMemberRequest) -> pb.Team:
        """Add somebody, or change what they are."""
        team = await seen_team(self._parts, principal, request.owner, request.team)
        member = check.name(request.member, "member")
        role = check.one_of(Role, request.role, "role") if request.HasField("role") else None
        quota = check.quota(request.quota_nano, "quota_nano") if request.HasField("quota_nano") else None

        def change(one: TeamRecord) -> TeamRecord:
            known = one.members.get(member, Member())
            put = Member(known.role if role is None else role, known.quota_nano if quota is None else quota)
            require_may_give(principal, put.role, member, one)
            if len(one.members) >= MOST_MEMBERS and member not in one.members:
                raise invalid(f"a team takes at most {MOST_MEMBERS} members")
            return replace(one, members={**one.members, member: put})

        return await self._edit(principal, team, change, "team.put_member", check.revision(request))

    async def remove_member(self, principal: Principal, request: pb.RemoveMemberRequest) -> pb.Team:
        """Disable their keys in the team, and take them out of it."""
        team = await seen_team(self._parts, principal, request.owner, request.team)
        require(principal, Right.MEMBERS, request.owner, team)
        require_revision(team, check.revision(request))

        def change(one: TeamRecord) -> TeamRecord:
            if request.member not in one.members:
                raise not_found(f"there is no member {request.member!r} in the team {one.team!r} of {one.owner!r}")
            require_may_give(principal, one.members[request.member].role, request.member, one)
            return replace(one, members={name: who for name, who in one.members.items() if name != request.member})

        change(team)
        await self._disable_keys(principal, team, request.member)
        removed = await self._edit(principal, team, change, "team.remove_member")
        await self._disable_keys(principal, team, request.member)
        return removed

    async def _disable_keys(self, principal: Principal, team: TeamRecord, member: str | None = None) -> None:
        """Those of the whole team, or of one member: before it goes, and after, should one have been made meanwhile."""
        for key in await self._parts.keyring.list(team.owner):
            theirs = key.team == team.team and member in (None, key.member)
            if theirs and key.status is KeyStatus.ACTIVE:
                await self._parts.keyring.disable(key.key_id, self._parts.by(principal))

    async def _edit(
        self,
        principal: Principal,
        team: TeamRecord,
        change: Callable[[TeamRecord], TeamRecord],
        what: str,
        revision: int | None = None,
    ) -> pb.Team:
        edited = await self._parts.teams.edit(
            team.owner, team.team, change, what, self._parts.by(principal), revision=revision
        )
        if edited is None:
            raise not_found(f"there is no team {team.team!r} of {team.owner!r}")
        return await team_message(self._parts, edited)
