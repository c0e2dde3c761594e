"""Who may see and do what, by `extproc.core.people`.

What somebody may not see at all is refused in the same words whether or not it is there; what they may see and not
change, in others. What is not there is NOT_FOUND for those who would see it.
"""

from extproc.admin.parts import Parts
from extproc.admin.refused import Refused, forbidden, not_found
from extproc.core.identity import KeyRecord
from extproc.core.people import Principal, Right, Role, TeamRecord


def require_operator(principal: Principal) -> None:
    """Only an operator goes on."""
    if not principal.is_operator:
        raise forbidden("only an operator may do this")


def require_all_seeing(principal: Principal) -> None:
    """Only who sees everything goes on."""
    if not principal.sees_all:
        raise forbidden("only an operator, or a token with the scope read, may see this")


def require(principal: Principal, right: Right, owner: str, team: TeamRecord | None = None) -> None:
    """Only who has this right in what they see goes on."""
    if not principal.may(right, owner, team):
        raise forbidden(f"your role does not include {right.value}")


def require_owner_seen(principal: Principal, owner: str) -> None:
    """Only who may see what is this owner's alone goes on."""
    if not principal.may(Right.SEE_TEAM, owner):
        raise _unseen("owner", owner)


async def seen_team(parts: Parts, principal: Principal, owner: str, team: str) -> TeamRecord:
    """The team, if it is there and they may see it."""
    record = await parts.teams.get(owner, team)
    if not principal.may(Right.SEE_TEAM, owner, record):
        raise _unseen("team", f"{owner}/{team}")
    if record is None:
        raise not_found(f"there is no team {team!r} of {owner!r}")
    return record


async def require_wallet_seen(parts: Parts, principal: Principal, owner: str) -> None:
    """Only who may see the money goes on: whoever has the right alone, or in a team that the owner pays for."""
    if principal.may(Right.SEE_WALLET, owner):
        return
    teams = await parts.teams.of_person(principal.person) if principal.person else []
    if not any(team.owner == owner and principal.may(Right.SEE_WALLET, owner, team) for team in teams):
        raise _unseen("wallet", owner)


async def seen_key(parts: Parts, principal: Principal, key_id: str) -> tuple[KeyRecord, TeamRecord | None]:
    """The key and its team, if it is there and they may see it."""
    key = await parts.keyring.get(key_id)
    team = await parts.teams.get(key.owner, key.team) if key and key.team else None
    if not (principal.sees_all or (key and sees_key(principal, key, team))):
        raise _unseen("key", key_id)
    if key is None:
        raise not_found(f"there is no key {key_id!r}")
    return key, team


def sees_key(principal: Principal, key: KeyRecord, team: TeamRecord | None) -> bool:
    """Whether they may see this key of this team."""
    own = key.member == principal.person and principal.may(Right.SEE_OWN, key.owner, team)
    return own or principal.may(Right.SEE_USAGE, key.owner, team)


def require_key_right(principal: Principal, owner: str, member: str, team: TeamRecord | None) -> None:
    """Only who may make, edit, rotate and delete such a key goes on."""
    own = member == principal.person and principal.may(Right.OWN_KEYS, owner, team)
    if not own and not principal.may(Right.ALL_KEYS, owner, team):
        raise forbidden("your role allows no keys but your own" if team else "your role does not allow this")


def require_may_give(principal: Principal, role: Role, member: str, team: TeamRecord) -> None:
    """Only who may make this member of a team that goes on. Whoever pays for the team stands above all in it."""
    known = team.members.get(member)
    before = Role.OWNER if member == team.owner else known.role if known else None
    if not principal.may_give(role, before, team.owner, team):
        raise forbidden("your role does not allow giving this role, or changing this member")


def _unseen(kind: str, name: str) -> Refused:
    return forbidden(f"you may not see the {kind} {name!r}, if there is one")
