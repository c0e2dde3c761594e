"""Keys: made, edited, rotated and deleted. What is changed holds from the next request on."""

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import replace

from extproc.admin import check
from extproc.admin.key_terms import said_of_a_new_key, said_of_an_edit
from extproc.admin.messages import key_message
from extproc.admin.parts import Parts
from extproc.admin.pb import admin_pb2 as pb
from extproc.admin.refused import forbidden, invalid, not_found
from extproc.admin.rights import require_key_right, seen_key, seen_team, sees_key
from extproc.core import identity
from extproc.core.identity import KeyRecord, KeyStatus
from extproc.core.people import Principal, TeamRecord

LONGEST_OVERLAP_SECONDS = 30 * 86_400


class Keys:
    """The verbs on keys."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def list(self, principal: Principal, request: pb.ListKeysRequest) -> pb.ListKeysResponse:
        """The keys that one may see, by owner and id."""
        size = check.page_size(request.page_size)
        after = check.position(request.cursor, 2) or ["", ""]
        found: Sequence[KeyRecord] = ()
        for owner in await self._owners(principal, request.owner):
            if owner >= after[0] and len(found) <= size:
                keys = await self._seen(principal, owner, request)
                found = [*found, *(key for key in keys if [key.owner, key.key_id] > after)]
        page = found[:size]
        return pb.ListKeysResponse(
            keys=await asyncio.gather(*(key_message(self._parts, key) for key in page)),
            next_cursor=check.cursor(page[-1].owner, page[-1].key_id) if len(found) > size else "",
        )

    async def create(self, principal: Principal, request: pb.CreateKeyRequest) -> pb.NewKey:
        """The key, and its plaintext this once."""
        team = await seen_team(self._parts, principal, request.owner, request.team) if request.team else None
        require_key_right(principal, request.owner, request.member, team)
        owner = check.owner(request.owner)
        terms = said_of_a_new_key(request, self._parts.catalog(), await self._parts.keyring.owner(owner), self._now())
        plaintext = identity.new_plaintext()
        record = KeyRecord(
            key_id="key_" + secrets.token_hex(8),
            owner=owner,
            prefix=plaintext[: identity.PREFIX_LENGTH],
            team=request.team,
            member=request.member,
            **terms,
        )
        _require_place(record, team)
        digest = identity.digest(self._parts.pepper, plaintext)
        record = await self._parts.keyring.create(record, digest, self._parts.by(principal))
        return pb.NewKey(key=await key_message(self._parts, record), plaintext=plaintext)

    async def get(self, principal: Principal, request: pb.GetKeyRequest) -> pb.Key:
        """One key; a deleted one too."""
        key, _ = await seen_key(self._parts, principal, request.key_id)
        return await key_message(self._parts, key)

    async def edit(self, principal: Principal, request: pb.EditKeyRequest) -> pb.Key:
        """What is named changes, the rest stays. Without a change nothing is written."""
        key, team = await self._own(principal, request.key_id)
        owner = await self._parts.keyring.owner(key.owner)
        said = said_of_an_edit(request, self._parts.catalog(), owner)
        if said.get("status") is KeyStatus.ACTIVE:
            _require_place(key, team)

        def change(record: KeyRecord) -> KeyRecord:
            return replace(record, **said)

        by, revision = self._parts.by(principal), check.revision(request)
        edited = await self._parts.keyring.edit(key.key_id, change, "key.edit", by, revision)
        return await key_message(self._parts, _there(edited, key.key_id))

    async def rotate(self, principal: Principal, request: pb.RotateKeyRequest) -> pb.NewKey:
        """Another plaintext; the one before it counts until the overlap ends."""
        key, _ = await self._own(principal, request.key_id)
        overlap = check.number(request.overlap_seconds, "overlap_seconds", 0, LONGEST_OVERLAP_SECONDS)
        plaintext = identity.new_plaintext()
        rotated = await self._parts.keyring.rotate(
            key.key_id,
            identity.digest(self._parts.pepper, plaintext),
            plaintext[: identity.PREFIX_LENGTH],
            self._now() + overlap * 1000 if overlap else 0,
            self._parts.by(principal),
            check.revision(request),
        )
        shown = await key_message(self._parts, _there(rotated, key.key_id))
        return pb.NewKey(key=shown, plaintext=plaintext)

    async def delete(self, principal: Principal, request: pb.DeleteKeyRequest) -> pb.Key:
        """For good."""
        key, _ = await self._own(principal, request.key_id)
        deleted = await self._parts.keyring.delete(key.key_id, self._parts.by(principal), check.revision(request))
        return await key_message(self._parts, deleted or key)

    async def _own(self, principal: Principal, key_id: str) -> tuple[KeyRecord, TeamRecord | None]:
        """A key that one may change."""
        key, team = await seen_key(self._parts, principal, key_id)
        require_key_right(principal, key.owner, key.member, team)
        return _there(key, key_id), team

    async def _owners(self, principal: Principal, owner: str) -> Sequence[str]:
        """Whose keys one may look through, by name."""
        if principal.sees_all:
            return [owner] if owner else await self._parts.keyring.owners()
        teams = await self._parts.teams.of_person(principal.person) if principal.person else []
        seen = {principal.person, *(team.owner for team in teams)} - {""}
        if owner and owner not in seen:
            raise forbidden(f"you may not see any key of the owner {owner!r}, if there is one")
        return [owner] if owner else sorted(seen)

    async def _seen(self, principal: Principal, owner: str, request: pb.ListKeysRequest) -> Sequence[KeyRecord]:
        teams = {} if principal.sees_all else {team.team: team for team in await self._parts.teams.list(owner)}
        return [
            key
            for key in await self._parts.keyring.list(owner)
            if request.team in ("", key.team)
            and request.member in ("", key.member)
            and sees_key(principal, key, teams.get(key.team))
        ]

    def _now(self) -> int:
        return self._parts.now_ms()


def _require_place(key: KeyRecord, team: TeamRecord | None) -> None:
    """Raises `Refused` where a key of a team has no place in it, or no more."""
    if key.member and not key.team:
        raise invalid("member needs a team: a member's quota is a part of a team's")
    if key.team and team is None:
        raise invalid(f"there is no team {key.team!r} of {key.owner!r}")
    if team and key.member and key.member not in team.members:
        raise invalid(f"there is no member {key.member!r} in the team {team.team!r} of {team.owner!r}")


def _there(key: KeyRecord | None, key_id: str) -> KeyRecord:
    if key is None or key.status is KeyStatus.DELETED:
        raise not_found(f"there is no key {key_id!r}, or it is deleted")
    return key
