"""Whose key is this? Keys are known by an HMAC of their plaintext; the plaintext is never kept."""

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from enum import StrEnum
from typing import Protocol
from urllib.parse import parse_qsl, unquote_plus

from extproc.core.catalog import DEFAULT_TIER, Catalog, Group
from extproc.core.ledger import DEFAULT_MAX_LIVE, Account, AccountKind
from extproc.core.pricing import ONE
from extproc.errors import GROUP_NOT_ALLOWED, INVALID_KEY, KEY_DISABLED, KEY_EXPIRED, OWNER_SUSPENDED, Refusal
from extproc.names import CREDENTIAL_QUERY

KEY_START = "sk-"
PREFIX_LENGTH = 10
"""How much of a key may be shown and logged: `sk-` and seven characters of more than forty."""


class KeyStatus(StrEnum):
    """Whether a key may be used. What is deleted stays deleted, and is kept for the accounts it drew on."""

    ACTIVE = "active"
    DISABLED = "disabled"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """All that is kept of an API key. `revision` grows with every change; a hold refuses a stale one.

    The `owner` pays. A key of a team names the `team`, and the `member` whose quota counts if it is somebody's own.
    `cap_nano` is the key's lifetime cap, `month_limit_nano` its limit for each calendar month, 0 for none; `max_live`
    how many requests it may have under way at once. Its limits per minute are 0 for none, None for its group's.
    `expires_ms` is Unix time, 0 for never. `allowed_ips` are networks, `allowed_models` names or the like of `gpt-5*`;
    none allows all. `digest` is that of its plaintext, `old_digest` that of the one before, which counts until
    `overlap_until_ms`: no other plaintext opens it, whatever the look-up says.
    """

    key_id: str
    owner: str
    prefix: str
    name: str
    group: str
    fallback_groups: tuple[str, ...] = ()
    team: str = ""
    member: str = ""
    cap_nano: int = 0
    month_limit_nano: int = 0
    max_live: int = DEFAULT_MAX_LIVE
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    expires_ms: int = 0
    allowed_ips: tuple[str, ...] = ()
    allowed_models: tuple[str, ...] = ()
    digest: str = ""
    old_digest: str = ""
    overlap_until_ms: int = 0
    status: KeyStatus = KeyStatus.ACTIVE
    revision: int = 1

    @property
    def groups(self) -> tuple[str, ...]:
        """The key's group first, then its fallback groups."""
        return (self.group, *self.fallback_groups)

    def per_minute(self, group: Group) -> tuple[int, int]:
        """How many requests and tokens it may ask for in a minute: its own limits, else its group's; 0 for none."""
        requests, tokens = self.requests_per_minute, self.tokens_per_minute
        return (
            group.requests_per_minute if requests is None else requests,
            group.tokens_per_minute if tokens is None else tokens,
        )

    @property
    def quotas(self) -> tuple[Account, ...]:
        """The accounts of its team, which have no limit until somebody sets one."""
        team = f"{self.owner}/{self.team}"
        member = (Account(AccountKind.MEMBER, f"{team}/{self.member}"),) if self.member else ()
        return (*member, Account(AccountKind.TEAM, team)) if self.team else ()

    def accounts(self, month: str) -> tuple[Account, ...]:
        """Every account that a request of this key draws on in this month, in the order in which they may refuse."""
        return (
            Account(AccountKind.KEY, self.key_id),
            Account(AccountKind.KEY_MONTH, f"{self.key_id}/{month}"),
            *self.quotas,
            Account(AccountKind.WALLET, self.owner),
        )


class OwnerStatus(StrEnum):
    """Whether an owner's keys may be used."""

    ACTIVE = "active"
    SUSPENDED = "suspended"


@dataclass(frozen=True, slots=True)
class OwnerRecord:
    """What all keys of an owner share. One that nobody set has revision 0; a hold refuses a stale one.

    The `tier` decides which groups the keys may have, never which of them a request goes to. `discount_ppm` is what
    the owner pays of every price, in millionths.
    """

    owner: str
    tier: str = DEFAULT_TIER
    discount_ppm: int = ONE
    status: OwnerStatus = OwnerStatus.ACTIVE
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Caller:
    """A key, and whose it is."""

    key: KeyRecord
    owner: OwnerRecord

    def groups(self, catalog: Catalog) -> tuple[str, ...]:
        """The key's group, then those of its fallback groups that the owner's tier may use."""
        fallback = (group for group in self.key.fallback_groups if catalog.allows(self.owner.tier, group))
        return (self.key.group, *fallback)


class Keyring(Protocol):
    """Where keys are looked up. Raises `LedgerUnavailable` when it cannot be asked."""

    async def find(self, digest: str) -> Caller | None:
        """Who has the key with this digest, perhaps from a cache; a hold tells whether that was stale."""
        ...

    async def find_fresh(self, digest: str) -> Caller | None:
        """The same as it is now."""
        ...


def new_plaintext() -> str:
    """A new key: 256 random bits."""
    return KEY_START + secrets.token_urlsafe(32)


def digest(pepper: bytes, plaintext: str) -> str:
    """The HMAC-SHA256 of a key, in hex: what is stored and looked up."""
    return hmac.digest(pepper, plaintext.encode(), "sha256").hex()


def opens(record: KeyRecord, of: str, now_ms: int) -> bool:
    """Whether the plaintext with this digest is the key's, or the one before, while that still counts."""
    if record.status is KeyStatus.DELETED:
        return False
    return of == record.digest or (of == record.old_digest and now_ms < record.overlap_until_ms)


def find_credential(headers: Mapping[str, str], path: str) -> str | None:
    """The caller's key: `Authorization: Bearer`, `x-api-key`, `x-goog-api-key`, else `?key=`."""
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and bearer.strip():
        return bearer.strip()
    for header in ("x-api-key", "x-goog-api-key"):
        if headers.get(header):
            return headers[header]
    return dict(parse_qsl(path.partition("?")[2])).get(CREDENTIAL_QUERY)


def without_credential(path: str) -> str:
    """The path with no `key=` in its query, so that a caller's key reaches neither a vendor nor a log."""
    plain, _, query = path.partition("?")
    kept = [pair for pair in query.split("&") if unquote_plus(pair.partition("=")[0]) != CREDENTIAL_QUERY]
    return f"{plain}?{'&'.join(kept)}" if any(kept) else plain


def looks_like_a_key(plaintext: str) -> bool:
    """Whether it is worth a look-up at all."""
    return plaintext.startswith(KEY_START) and 20 <= len(plaintext) <= 200 and plaintext.isascii()


def month_of(now_ms: int, zone: tzinfo) -> str:
    """The calendar month there, such as `2026-11`."""
    return datetime.fromtimestamp(now_ms / 1000, zone).strftime("%Y-%m")


def refusal_for(caller: Caller | None, catalog: Catalog, now_ms: int) -> Refusal | None:
    """Why this key may not be used at all, or None when it may."""
    if caller is None:
        return INVALID_KEY
    key, owner = caller.key, caller.owner
    if key.status is not KeyStatus.ACTIVE:
        return KEY_DISABLED
    if key.expires_ms and now_ms >= key.expires_ms:
        return KEY_EXPIRED
    if owner.status is not OwnerStatus.ACTIVE:
        return OWNER_SUSPENDED
    if not catalog.allows(owner.tier, key.group):
        return GROUP_NOT_ALLOWED
    return None
