"""Who may do what: operators everything, people what their role in a team says.

    right            owner   admin   member   viewer
    ─────────────────────────────────────────────────────────────────────────────────────────
    SEE_TEAM         yes     yes     yes      yes      the team, its members and quotas
    SEE_OWN          yes     yes     yes      yes      one's own keys in the team, and their usage
    SEE_USAGE        yes     yes              yes      everybody's keys and usage in the team
    OWN_KEYS         yes     yes     yes               make, edit, rotate and delete one's own keys
    ALL_KEYS         yes     yes                       those of every member
    MEMBERS          yes     yes                       add and remove members, change their roles and quotas
    TEAM_QUOTA       yes                               what the team may spend in all, and its title
    DELETE_TEAM      yes
    SEE_WALLET       yes                               balance and statement of whoever pays

The person an owner is named after has the role `owner` in every team of theirs, and all rights to what is theirs alone.
Nobody changes a member who stands above them, or gives a role above their own. Tier, discount, standing, the entries of
a wallet and tokens are operators' alone.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from extproc.core.ledger import UNLIMITED, Account, AccountKind


class Scope(StrEnum):
    """What a token is for.

    OPERATOR  everything
    READ      seeing everything
    PERSON    what the roles of one person say
    """

    OPERATOR = "operator"
    READ = "read"
    PERSON = "person"


class Role(StrEnum):
    """What somebody is in a team, highest first."""

    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"
    VIEWER = "viewer"

    @property
    def rank(self) -> int:
        """0 for the highest."""
        return list(Role).index(self)


class Right(StrEnum):
    """What a role may allow."""

    SEE_TEAM = "see_team"
    SEE_OWN = "see_own"
    SEE_USAGE = "see_usage"
    OWN_KEYS = "own_keys"
    ALL_KEYS = "all_keys"
    MEMBERS = "members"
    TEAM_QUOTA = "team_quota"
    DELETE_TEAM = "delete_team"
    SEE_WALLET = "see_wallet"


_SEEING = frozenset({Right.SEE_TEAM, Right.SEE_OWN, Right.SEE_USAGE, Right.SEE_WALLET})

RIGHTS = {
    Role.OWNER: frozenset(Right),
    Role.ADMIN: frozenset(Right) - {Right.TEAM_QUOTA, Right.DELETE_TEAM, Right.SEE_WALLET},
    Role.MEMBER: frozenset({Right.SEE_TEAM, Right.SEE_OWN, Right.OWN_KEYS}),
    Role.VIEWER: frozenset({Right.SEE_TEAM, Right.SEE_OWN, Right.SEE_USAGE}),
}
"""The table above."""


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody in a team. `quota_nano` is what they may spend of its money in all."""

    role: Role = Role.MEMBER
    quota_nano: int = UNLIMITED


@dataclass(frozen=True, slots=True)
class TeamRecord:
    """All that is kept of a team of an `owner`, who pays. `members` by name; `revision` grows with every change."""

    owner: str
    team: str
    title: str = ""
    quota_nano: int = UNLIMITED
    members: dict[str, Member] = field(default_factory=dict)
    deleted: bool = False
    revision: int = 1

    @property
    def quotas(self) -> dict[Account, int]:
        """What each of its accounts may spend in all: the team's, and one for each member."""
        team = f"{self.owner}/{self.team}"
        members = {Account(AccountKind.MEMBER, f"{team}/{name}"): one.quota_nano for name, one in self.members.items()}
        return {Account(AccountKind.TEAM, team): self.quota_nano, **members}


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. `name` is what the record of changes says; `person` whom a PERSON speaks for."""

    name: str
    scopes: frozenset[Scope]
    person: str = ""

    @property
    def is_operator(self) -> bool:
        """Whether everything is allowed."""
        return Scope.OPERATOR in self.scopes

    @property
    def sees_all(self) -> bool:
        """Whether everything may be seen."""
        return self.is_operator or Scope.READ in self.scopes

    def role(self, owner: str, team: TeamRecord | None) -> Role | None:
        """What the person is in a team of this owner, or in what is the owner's alone; None for nothing."""
        if Scope.PERSON not in self.scopes:
            return None
        if self.person == owner:
            return Role.OWNER
        member = team.members.get(self.person) if team else None
        return member.role if member else None

    def may(self, right: Right, owner: str, team: TeamRecord | None = None) -> bool:
        """Whether this right is theirs in a team, or without one in what is the owner's alone."""
        role = self.role(owner, team)
        allowed = role is not None and right in RIGHTS[role]
        return self.is_operator or (self.sees_all and right in _SEEING) or allowed

    def may_give(self, role: Role, before: Role | None, owner: str, team: TeamRecord) -> bool:
        """Whether they may make somebody this who was that before: neither may stand above themselves."""
        own = Role.OWNER if self.is_operator else self.role(owner, team)
        highest = min(one.rank for one in (role, before) if one)
        return self.may(Right.MEMBERS, owner, team) and own is not None and highest >= own.rank
