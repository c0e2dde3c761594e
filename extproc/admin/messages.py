"""Records as messages of the contract."""

import asyncio

from extproc.admin.parts import Parts
from extproc.admin.pb import admin_pb2 as pb
from extproc.core.identity import KeyRecord, OwnerRecord, month_of
from extproc.core.ledger import Account, AccountKind, Balance, WalletEntry
from extproc.core.people import Member, Principal, TeamRecord
from extproc.store.tokens import TokenRecord


def principal_message(principal: Principal) -> pb.Principal:
    """Who one is."""
    return pb.Principal(name=principal.name, scopes=sorted(principal.scopes), person=principal.person)


def owner_message(record: OwnerRecord) -> pb.Owner:
    """What is said of an owner."""
    return pb.Owner(
        owner=record.owner,
        tier=record.tier,
        discount_ppm=record.discount_ppm,
        status=record.status.value,
        revision=record.revision,
    )


async def team_message(parts: Parts, record: TeamRecord) -> pb.Team:
    """A team, with what it and each member has spent."""
    names = list(record.members)
    account = f"{record.owner}/{record.team}"
    asked = [Account(AccountKind.TEAM, account)]
    asked += [Account(AccountKind.MEMBER, f"{account}/{name}") for name in names]
    balance, *each = await asyncio.gather(*(parts.ledger.balance(record.owner, one) for one in asked))
    return pb.Team(
        owner=record.owner,
        team=record.team,
        title=record.title,
        quota_nano=record.quota_nano,
        held_nano=balance.held_nano,
        used_nano=balance.used_nano,
        members=[_member(name, record.members[name], of) for name, of in zip(names, each, strict=True)],
        revision=record.revision,
    )


def _member(name: str, member: Member, balance: Balance) -> pb.Member:
    return pb.Member(
        member=name,
        role=member.role.value,
        quota_nano=member.quota_nano,
        held_nano=balance.held_nano,
        used_nano=balance.used_nano,
    )


async def key_message(parts: Parts, record: KeyRecord) -> pb.Key:
    """A key, with what it has spent; neither a digest nor more of the plaintext than its prefix."""
    month = f"{record.key_id}/{month_of(parts.now_ms(), parts.zone)}"
    balance, this_month = await asyncio.gather(
        parts.ledger.balance(record.owner, Account(AccountKind.KEY, record.key_id)),
        parts.ledger.balance(record.owner, Account(AccountKind.KEY_MONTH, month)),
    )
    return pb.Key(
        key_id=record.key_id,
        prefix=record.prefix,
        owner=record.owner,
        team=record.team,
        member=record.member,
        name=record.name,
        group=record.group,
        fallback_groups=record.fallback_groups,
        cap_nano=record.cap_nano,
        month_limit_nano=record.month_limit_nano,
        held_nano=balance.held_nano,
        used_nano=balance.used_nano,
        concurrency=record.max_live,
        requests_per_minute=record.requests_per_minute,
        tokens_per_minute=record.tokens_per_minute,
        expires_ms=record.expires_ms,
        allowed_ips=record.allowed_ips,
        allowed_models=record.allowed_models,
        status=record.status.value,
        overlap_until_ms=_overlap(record, parts.now_ms()),
        revision=record.revision,
        month_used_nano=this_month.used_nano,
    )


def _overlap(record: KeyRecord, now_ms: int) -> int:
    return record.overlap_until_ms if record.overlap_until_ms > now_ms else 0


def wallet_message(owner: str, balance: Balance) -> pb.Wallet:
    """What is in a wallet."""
    return pb.Wallet(
        owner=owner,
        limit_nano=balance.limit_nano,
        held_nano=balance.held_nano,
        used_nano=balance.used_nano,
        available_nano=balance.available_nano or 0,
    )


def entry_message(entry: WalletEntry) -> pb.Entry:
    """One line of a statement."""
    return pb.Entry(
        kind=entry.kind.value,
        amount_nano=entry.amount_nano,
        reference=entry.reference,
        reason=entry.reason,
        request_id=entry.request_id,
        at_ms=entry.at_ms,
        limit_nano=entry.limit_nano,
    )


def token_message(record: TokenRecord) -> pb.Token:
    """A token by its prefix."""
    return pb.Token(
        token_id=record.token_id,
        prefix=record.prefix,
        name=record.name,
        scopes=[str(scope) for scope in record.scopes],
        person=record.person,
        created_ms=record.created_ms,
        expires_ms=record.expires_ms,
    )
