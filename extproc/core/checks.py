"""What the names and amounts that people give may be. Each check raises `BadValue`, which says what is allowed."""

from extproc.core.ledger import UNLIMITED
from extproc.core.money import MAX_ACCOUNT_NANO, format_usd
from extproc.errors import BadValue

MAX_NAME = 200
"""Characters of a name."""


def check_owner(owner: str) -> None:
    """An owner's name: any text that can be printed in one line."""
    if not owner or owner != owner.strip():
        raise BadValue(f"the owner {owner!r} has no name: 1 to {MAX_NAME} characters, without blanks around them")
    check_text("owner", owner)


def check_name(what: str, name: str) -> None:
    """The name of a team, or of a member: the names of accounts are made of them."""
    if not name or name != name.strip() or "/" in name or ":" in name:
        raise BadValue(
            f"the {what} {name!r} needs 1 to {MAX_NAME} characters, none of them / or :, and no blanks around"
        )
    check_text(what, name)


def check_text(what: str, text: str) -> None:
    """What is only shown, such as the name of a key; it may be empty."""
    if len(text) > MAX_NAME or not text.isprintable():
        raise BadValue(f"the {what} {text[:20]!r} may have {MAX_NAME} characters at most, and all must be printable")


def check_nano(what: str, nano: int, least: int = 0) -> None:
    """An amount of money, from `least` up to what an account can count."""
    if not least <= nano <= MAX_ACCOUNT_NANO:
        most = f"{MAX_ACCOUNT_NANO} nano-USD ({format_usd(MAX_ACCOUNT_NANO)})"
        raise BadValue(f"the {what} must be from {least} to {most}, and not {nano}")


def check_quota(what: str, nano: int) -> None:
    """The same, or `UNLIMITED`."""
    check_nano(what, nano, least=UNLIMITED)
