"""Owners: tier, discount and standing."""

import asyncio
from dataclasses import replace
from itertools import islice
from typing import Any

from extproc.admin import check
from extproc.admin.messages import owner_message
from extproc.admin.parts import Parts
from extproc.admin.pb import admin_pb2 as pb
from extproc.admin.refused import invalid, not_found
from extproc.admin.rights import require_operator, require_owner_seen
from extproc.core.identity import OwnerRecord, OwnerStatus
from extproc.core.people import Principal
from extproc.core.pricing import ONE


class Owners:
    """The verbs on owners."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def list(self, principal: Principal, request: pb.ListOwnersRequest) -> pb.ListOwnersResponse:
        """Those one may see: a person themselves."""
        size = check.page_size(request.page_size)
        after = check.position(request.cursor, 1)
        known = [one for one in await self._parts.keyring.owners() if principal.sees_all or one == principal.person]
        page = list(islice((one for one in known if after is None or one > after[0]), size))
        more = bool(page) and page[-1] != known[-1]
        records = await asyncio.gather(*(self._parts.keyring.owner(one) for one in page))
        return pb.ListOwnersResponse(
            owners=map(owner_message, records),
            next_cursor=check.cursor(page[-1]) if more else "",
        )

    async def get(self, principal: Principal, request: pb.GetOwnerRequest) -> pb.Owner:
        """One owner."""
        require_owner_seen(principal, request.owner)
        return owner_message(await known_owner(self._parts, request.owner))

    async def edit(self, principal: Principal, request: pb.EditOwnerRequest) -> pb.Owner:
        """What is named changes, the rest stays. Without a change nothing is written."""
        require_operator(principal)
        said = self._said(request)

        def change(record: OwnerRecord) -> OwnerRecord:
            return replace(record, **said)

        by, revision = self._parts.by(principal), check.revision(request)
        return owner_message(await self._parts.keyring.edit_owner(request.owner, change, by, revision))

    def _said(self, request: pb.EditOwnerRequest) -> dict[str, Any]:
        said: dict[str, Any] = {}
        if request.HasField("tier"):
            tiers = self._parts.catalog().tiers
            if request.tier not in tiers:
                raise invalid(f"there is no tier {request.tier!r}; there are: {', '.join(sorted(tiers)) or 'none'}")
            said["tier"] = request.tier
        if request.HasField("discount_ppm"):
            said["discount_ppm"] = check.number(request.discount_ppm, "discount_ppm", 1, ONE)
        if request.HasField("status"):
            said["status"] = check.one_of(OwnerStatus, request.status, "status")
        return said


async def known_owner(parts: Parts, owner: str) -> OwnerRecord:
    """What is said of somebody who ever had a key, a team or a tier. Raises `Refused` (NOT_FOUND) for anybody else."""
    record = await parts.keyring.owner(owner)
    if not record.revision and owner not in await parts.keyring.owners():
        raise not_found(f"there is no owner {owner!r}")
    return record
