"""The teams in Redis: each in its owner's slot, with the accounts that have its quotas.

    tg:person:<name> → every team that the person is in or was in → the record, which says whether they still are

That look-up is written first, and nothing is ever taken out of it: who leaves and comes back at once cannot be lost.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from extproc.core.change import By
from extproc.core.checks import check_name, check_owner, check_quota, check_text
from extproc.core.ledger import Account, AccountKind, bucket_of
from extproc.core.people import TeamRecord
from extproc.errors import AlreadyThere
from extproc.store import keys, records
from extproc.store.connection import Connection


class RedisTeams:
    """The teams over one connection. Every method raises `LedgerUnavailable`."""

    def __init__(self, redis: Connection) -> None:
        self._redis = redis

    async def get(self, owner: str, team: str) -> TeamRecord | None:
        """A team as it is now; None where there is none, or none any more."""
        record = await self._read(owner, team)
        return None if record is None or record.deleted else record

    async def list(self, owner: str) -> Sequence[TeamRecord]:
        """The teams of an owner, by name."""
        return [record for record in await self.all_of(owner) if not record.deleted]

    async def all_of(self, owner: str) -> Sequence[TeamRecord]:
        """The same with those that were deleted."""
        names = sorted(await self._redis.execute("SMEMBERS", keys.teams(bucket_of(owner), owner)))
        return [record for record in await asyncio.gather(*(self._read(owner, name) for name in names)) if record]

    async def of_person(self, person: str) -> Sequence[TeamRecord]:
        """The teams that somebody is a member of, by owner and name; what is theirs as its owner is not among them."""
        places = sorted(await self._redis.execute("SMEMBERS", keys.teams_of(person)))
        pairs = (place.rpartition("/") for place in places)
        found = await asyncio.gather(*(self.get(owner, team) for owner, _, team in pairs))
        return [record for record in found if record and person in record.members]

    async def create(self, record: TeamRecord, by: By = records.UNNAMED) -> TeamRecord:
        """Make a team and set its quotas. One of the name of a deleted team goes on with what that one had used.

        Raises `AlreadyThere`, and `BadValue` for a name or a quota that cannot be.
        """
        before = await self._read(record.owner, record.team)
        if before and not before.deleted:
            raise _already_there(record)
        before = before or TeamRecord(record.owner, record.team, revision=0)
        check_owner(record.owner)
        check_name("team", record.team)
        record = replace(record, revision=before.revision + 1)
        await self._redis.execute("SADD", keys.OWNERS, record.owner)
        if not await self._put(before, record, "team.create", by):
            raise _already_there(record)
        return record

    async def edit(
        self,
        owner: str,
        team: str,
        change: Callable[[TeamRecord], TeamRecord],
        what: str,
        by: By = records.UNNAMED,
        revision: int | None = None,
    ) -> TeamRecord | None:
        """Change a team as it is now, and its accounts with it; None when there is none.

        Who is no longer in it, and all who are in a deleted one, may spend nothing more; what they used stays. Raises
        `Stale` when `revision` is given and not there, and `BadValue` for a name or a quota that cannot be.
        """
        return await records.edit(
            lambda: self.get(owner, team), change, lambda before, after: self._put(before, after, what, by), revision
        )

    async def _read(self, owner: str, team: str) -> TeamRecord | None:
        return await records.read(self._redis, keys.team(bucket_of(owner), owner, team), TeamRecord)

    async def _put(self, before: TeamRecord, record: TeamRecord, what: str, by: By) -> bool:
        new = record.members.keys() - before.members.keys()
        _check(record, new)
        of = f"{record.owner}/{record.team}"
        await asyncio.gather(*(self._redis.execute("SADD", keys.teams_of(name), of) for name in new))
        bucket = bucket_of(record.owner)
        place = records.Place(
            keys.team(bucket, record.owner, record.team),
            keys.teams(bucket, record.owner),
            keys.changes(bucket),
            record.owner,
            record.team,
        )
        status = "deleted" if record.deleted else "active"
        return await records.put(
            self._redis, place, record, before.revision, what, by, status, _limits(bucket, before, record)
        )


def _limits(bucket: int, before: TeamRecord, record: TeamRecord) -> list[records.Limit]:
    """Of the team, of everyone in it now or before; and the wallet that pays, which may be new."""
    quotas = dict.fromkeys((*before.quotas, *record.quotas), 0)
    quotas |= {} if record.deleted else record.quotas
    wallet = keys.account(bucket, Account(AccountKind.WALLET, record.owner))
    return [
        records.Limit(wallet, 0, set=False),
        *(records.Limit(keys.account(bucket, account), nano) for account, nano in quotas.items()),
    ]


def _check(record: TeamRecord, new_members: set[str]) -> None:
    for name in new_members:
        check_name("member", name)
    check_text("title of the team", record.title)
    check_quota("quota of the team", record.quota_nano)
    for name, member in record.members.items():
        check_quota(f"quota of {name}", member.quota_nano)


def _already_there(record: TeamRecord) -> AlreadyThere:
    return AlreadyThere(f"{record.owner} has a team {record.team} already; nothing was changed")
