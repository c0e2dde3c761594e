"""What was used, and what was changed: questions to the index.

Operators, and tokens that see everything, see everything. A person sees what is theirs as an owner, with all teams they
pay for; all of the teams in which their role says so; and of others only their own. What somebody may not see is
not there for them: lists are empty, and an id is NOT_FOUND. Every answer has what was settled before the question.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Final

from google.api.httpbody_pb2 import HttpBody

from extproc.admin import check
from extproc.admin.export import Format, chunks, writer
from extproc.admin.parts import Parts
from extproc.admin.pb import admin_pb2 as pb
from extproc.admin.refused import invalid, not_found
from extproc.core.change import Change
from extproc.core.people import Principal, Right, Scope, TeamRecord
from extproc.index.index import Index
from extproc.index.rows import Row
from extproc.index.totals import Total
from extproc.index.where import By, Visible, Where

FOLLOW_SECONDS: Final = 0.5
"""How often the logs are looked at for those who follow."""


class Usage:
    """The verbs on usage and changes, over one index.

    `list`, `get`, `totals` and `changes` answer once; `follow` and `export` are streams. Raise `Refused` for what is
    asked wrongly, `LedgerUnavailable` when Redis does not answer.
    """

    def __init__(self, parts: Parts, index: Index) -> None:
        self._parts = parts
        self._index = index

    async def list(self, principal: Principal, request: pb.ListRequestsRequest) -> pb.ListRequestsResponse:
        """Requests that match, newest first."""
        size = check.page_size(request.page_size)
        where = await self._filled(principal, request.filter)
        with _refusing():
            found = await self._index.page(where, size, request.cursor)
        return pb.ListRequestsResponse(requests=map(request_message, found.rows), next_cursor=found.next_cursor)

    async def get(self, principal: Principal, request: pb.GetRequestRequest) -> pb.Request:
        """One request."""
        where = await self._filled(principal, pb.Filter())
        row = await self._index.get(request.request_id, where.visible)
        if row is None:
            raise not_found(f"there is no request {request.request_id!r}")
        return request_message(row)

    async def totals(self, principal: Principal, request: pb.GetTotalsRequest) -> pb.GetTotalsResponse:
        """Sums of what matches."""
        by = check.one_of(By, request.by, "by")
        where = await self._filled(principal, request.filter)
        with _refusing():
            found, everything = await self._index.totals(where, by)
        return pb.GetTotalsResponse(totals=map(total_message, found), all=total_message(everything))

    async def follow(self, principal: Principal, request: pb.FollowRequestsRequest) -> AsyncIterator[pb.Request]:
        """Requests that match as they end, each once, until the caller leaves; what they may see is asked anew."""
        await self._filled(principal, request.filter)
        mark = await self._index.last()
        while True:
            where = await self._filled(principal, request.filter)
            rows, reached = await self._index.after(mark, where)
            for row in rows:
                yield request_message(row)
            if reached == mark:
                await asyncio.sleep(FOLLOW_SECONDS)
            mark = reached

    async def export(self, principal: Principal, request: pb.ExportRequestsRequest) -> AsyncIterator[HttpBody]:
        """All requests that match as a file, oldest first."""
        kind = check.one_of(Format, request.format, "format")
        where = await self._filled(principal, request.filter)
        async for each in chunks(self._written(where, kind)):
            yield HttpBody(content_type=kind.content_type, data=each)

    async def changes(self, principal: Principal, request: pb.ListChangesRequest) -> pb.ListChangesResponse:
        """Who changed what, newest first; to a person, only of what is theirs as an owner."""
        size = check.page_size(request.page_size)
        owner = request.owner if principal.sees_all else _person(principal)
        if not principal.sees_all and (not owner or request.owner not in ("", owner)):
            return pb.ListChangesResponse()
        await self._index.fill_changes(self._parts.redis, owner)
        with _refusing():
            found = await self._index.changes(owner, request.of, size, request.cursor)
        return pb.ListChangesResponse(changes=map(change_message, found.changes), next_cursor=found.next_cursor)

    async def _filled(self, principal: Principal, asked: pb.Filter) -> Where:
        """What is asked for, of what they may see, with all that was settled of it in the index."""
        with _refusing():
            where = Where(
                **{field.name: getattr(asked, field.name) for field in pb.Filter.DESCRIPTOR.fields},
                visible=await self._visible(principal),
            )
        await self._index.fill_for(self._parts.redis, where)
        return where

    async def _visible(self, principal: Principal) -> tuple[Visible, ...] | None:
        if principal.sees_all:
            return None
        person = _person(principal)
        if not person:
            return ()
        teams = await self._parts.teams.of_person(person)
        return (Visible(person), *(seen for team in teams for seen in _seen(principal, team)))

    async def _written(self, where: Where, kind: Format) -> AsyncIterator[bytes]:
        file = writer(kind)
        async for rows in self._index.export(where):
            yield await asyncio.to_thread(file.add, rows)
        yield await asyncio.to_thread(file.end)


def request_message(row: Row) -> pb.Request:
    """A row of the index."""
    return pb.Request(**asdict(row))


def total_message(total: Total) -> pb.Total:
    """A sum."""
    return pb.Total(**asdict(total))


def change_message(change: Change) -> pb.Change:
    """An entry of the record of changes."""
    return pb.Change(**asdict(change))


def _person(principal: Principal) -> str:
    return principal.person if Scope.PERSON in principal.scopes else ""


def _seen(principal: Principal, team: TeamRecord) -> Iterator[Visible]:
    if principal.may(Right.SEE_USAGE, team.owner, team):
        yield Visible(team.owner, team.team)
    elif principal.may(Right.SEE_OWN, team.owner, team):
        yield Visible(team.owner, team.team, principal.person)


@contextmanager
def _refusing() -> Iterator[None]:
    """A filter or a cursor that cannot be is the caller's to mend."""
    try:
        yield
    except ValueError as error:
        raise invalid(str(error)) from error
