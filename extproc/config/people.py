"""What `tollgate apply` reads: owners, their teams and their keys. What is left out is as if nobody had ever said it.

Money is USD, and `none` where there is no limit. A key is known by its name, which an owner has once.
"""

import ipaddress
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, model_validator

from extproc.config.problems import there_is_no
from extproc.config.schema import EntrySpec, Spec, number, scaled
from extproc.core.catalog import DEFAULT_TIER
from extproc.core.identity import KeyStatus, OwnerStatus
from extproc.core.ledger import DEFAULT_MAX_LIVE, UNLIMITED
from extproc.core.money import MAX_ACCOUNT_NANO, NANO_PER_USD
from extproc.core.people import Role
from extproc.core.pricing import ONE

NONE = "none"
MAX_NAME = 200
MOST_WORDS = 100

E = TypeVar("E", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Known:
    """What the configuration has, for files that name it; None where it is not at hand: then any name will do."""

    tiers: Collection[str] | None = None
    groups: Collection[str] | None = None


def _word(kinds: type[E], *but: E) -> BeforeValidator:
    known = {kind.value: kind for kind in kinds if kind not in but}

    def read(value: object) -> E:
        if isinstance(value, str) and value in known:
            return known[value]
        raise ValueError("must be one of " + ", ".join(known))

    return BeforeValidator(read)


def _discount(value: object) -> int:
    ppm = scaled(number(value), ONE, 1, "a millionth")
    if ppm == 0:
        raise ValueError("must be above 0")
    return ppm


def _limit(none: int, least: int) -> BeforeValidator:
    """USD → nano-USD, or what stands for no limit."""

    def read(value: object) -> int:
        if value == NONE:
            return none
        if not isinstance(value, int | Decimal) or isinstance(value, bool):
            raise ValueError("must be a number of USD, or none")
        nano = scaled(Decimal(value), NANO_PER_USD, MAX_ACCOUNT_NANO // NANO_PER_USD, "a billionth of a dollar")
        if nano < least:
            raise ValueError("must be above 0, or none")
        return nano

    return BeforeValidator(read)


def _expiry(value: object) -> int:
    """A day in UTC, or a time with its zone → Unix milliseconds; `never` → 0."""
    if value == "never":
        return 0
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        moment = datetime.min
    if re.fullmatch(r"\d{4}-\d\d-\d\d", str(value)):
        moment = moment.replace(tzinfo=UTC)
    if moment.tzinfo is None or moment.year < 1971:
        raise ValueError("must be a day, such as 2026-12-31, a time with its zone, or never")
    return int(moment.timestamp() * 1000)


def _network(value: str) -> str:
    try:
        if "%" in value:
            raise ValueError
        return str(ipaddress.ip_network(value))
    except ValueError:
        raise ValueError("must be a network, such as 10.0.0.0/8 or 2001:db8::/32") from None


def _model(name: str) -> str:
    if "*" in name[:-1]:
        raise ValueError("may have a * at its end only")
    return _name(name)


def _once(values: list[str]) -> list[str]:
    twice = next((value for value in values if values.count(value) > 1), None)
    if twice is not None:
        raise ValueError(f"{twice!r} is there twice")
    if len(values) > MOST_WORDS:
        raise ValueError(f"must have {MOST_WORDS} entries at most")
    return values


def _text(value: str) -> str:
    if len(value) > MAX_NAME or not value.isprintable():
        raise ValueError(f"must have at most {MAX_NAME} characters, all of them printable")
    return value


def _name(value: str) -> str:
    if not value or value != value.strip():
        raise ValueError("must not be empty, nor have blanks at its ends")
    return _text(value)


def _part(value: str) -> str:
    if "/" in value or ":" in value:
        raise ValueError("must have neither / nor : in it")
    return _name(value)


def _tier(name: str, info: ValidationInfo) -> str:
    return _one_of("tier", name, _known(info).tiers)


def _group(name: str, info: ValidationInfo) -> str:
    return _one_of("group", name, _known(info).groups)


def _one_of(kind: str, name: str, known: Collection[str] | None) -> str:
    if known is not None and name not in known:
        raise ValueError(there_is_no(kind, name, known))
    return name


def _known(info: ValidationInfo) -> Known:
    assert isinstance(info.context, Known)
    return info.context


Group = Annotated[str, AfterValidator(_group)]
Part = Annotated[str, AfterValidator(_part)]
Quota = Annotated[int, _limit(UNLIMITED, least=0)]
Cap = Annotated[int, _limit(0, least=1)]


class _Entry(Spec):
    """Nothing said at all is what is said by default."""

    @model_validator(mode="before")
    @classmethod
    def _nothing_is_nothing_special(cls, value: Any) -> Any:
        return {} if value is None else value


class MemberSpec(_Entry):
    """Somebody in a team."""

    role: Annotated[Role, _word(Role)] = Role.MEMBER
    """What they are: `owner`, `admin`, `member` or `viewer`."""
    quota: Quota = UNLIMITED
    """What they may spend of the team's money in all, in USD. Default: `none`."""


class TeamSpec(_Entry):
    """A team, whose money is the owner's."""

    title: Annotated[str, AfterValidator(_text)] = ""
    """What it is called."""
    quota: Quota = UNLIMITED
    """What it may spend in all, in USD. Default: `none`."""
    members: dict[Part, MemberSpec] = Field(default_factory=dict)
    """Who is in it, by name."""


class KeySpec(_Entry):
    """A key. It cannot move: another team or member is another key."""

    team: str = ""
    """The team it belongs to. Default: the owner's own key."""
    member: str = ""
    """The member of the team whose quota counts. Default: nobody's."""
    group: Group = "default"
    """The group that decides models, channels and multiplier."""
    fallback_groups: Annotated[list[Group], AfterValidator(_once)] = Field(default_factory=list)
    """Where its requests go when the group cannot serve them."""
    cap: Cap = 0
    """What it may spend in all, in USD. Default: `none`."""
    monthly_limit: Cap = 0
    """What it may spend in a calendar month, in USD. Default: `none`."""
    concurrency: int = Field(default=DEFAULT_MAX_LIVE, ge=1, le=2**31 - 1)
    """Requests under way at once."""
    requests_per_minute: int | None = Field(default=None, ge=0, le=10**12)
    """0 for no limit. Default: as the group says."""
    tokens_per_minute: int | None = Field(default=None, ge=0, le=10**12)
    """0 for no limit. Default: as the group says."""
    expires: Annotated[int, BeforeValidator(_expiry)] = 0
    """A day (UTC), or a time with its zone. Default: `never`."""
    allowed_ips: Annotated[list[Annotated[str, AfterValidator(_network)]], AfterValidator(_once)] = Field(
        default_factory=list
    )
    """The networks that may use it. Default: all."""
    allowed_models: Annotated[list[Annotated[str, AfterValidator(_model)]], AfterValidator(_once)] = Field(
        default_factory=list
    )
    """What it may call, such as `gpt-5*`. Default: all of its group."""
    status: Annotated[KeyStatus, _word(KeyStatus, KeyStatus.DELETED)] = KeyStatus.ACTIVE
    """`active` or `disabled`."""


class OwnerSpec(_Entry, EntrySpec):
    """An owner, with all teams and keys that are declared."""

    kind = "owner"
    names = re.compile(r"\S(?:.{0,198}\S)?")
    naming = f"at most {MAX_NAME} printable characters, no blanks at its ends"

    tier: Annotated[str, AfterValidator(_tier)] = DEFAULT_TIER
    """The class that decides which groups the keys may have."""
    discount: Annotated[int, BeforeValidator(_discount)] = ONE
    """What the owner pays of every price: 0.9 is ten percent off."""
    status: Annotated[OwnerStatus, _word(OwnerStatus)] = OwnerStatus.ACTIVE
    """`active` or `suspended`."""
    teams: dict[Part, TeamSpec] = Field(default_factory=dict)
    """The owner's teams, by name."""
    keys: dict[Annotated[str, AfterValidator(_name)], KeySpec] = Field(default_factory=dict)
    """The owner's keys, by name."""

    def misplaced(self) -> Iterator[tuple[str, str, str]]:
        """The keys whose team or member is not declared: the key, its field, and what is wrong with that."""
        for name, key in self.keys.items():
            team = self.teams.get(key.team)
            if key.team and team is None:
                yield name, "team", there_is_no("team", key.team, self.teams)
            elif key.member and team is None:
                yield name, "member", "needs a team: a member's quota is a part of a team's"
            elif key.member and team and key.member not in team.members:
                yield name, "member", there_is_no("member", key.member, team.members)
