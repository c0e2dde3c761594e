"""References to secrets: `env:NAME` or `file:/PATH`. No message here shows any part of what it was given.

The forms are narrow on purpose (capital letters for a variable, an absolute path for a file), so that a secret that
was pasted behind `env:` or `file:` is refused, and not printed as a name that is not set.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from extproc.core.catalog import SecretRef

VARIABLE_NAME = r"[A-Z_][A-Z0-9_]*"

REFERENCE = re.compile(rf"^(?:(env):({VARIABLE_NAME})|(file):(/.+))$")


class SecretMissing(Exception):
    """The secret is not where its reference says: what is wrong there, and what to do about it."""

    def __init__(self, reference: SecretRef, wrong: str) -> None:
        super().__init__(f"{reference.name} {wrong}")
        self.remedy = ("export " if reference.scheme == "env" else "write the secret to ") + reference.name


def parse_reference(text: str) -> SecretRef:
    """The reference this text is; ValueError when it is none."""
    if match := REFERENCE.fullmatch(text):
        scheme, name = (part for part in match.groups() if part)
        return SecretRef(scheme, name)
    scheme, colon, _ = text.partition(":")
    if not colon:
        raise ValueError("must say where the secret is (env:NAME or file:/PATH), never the secret itself")
    if scheme == "env":
        raise ValueError("env: takes the name of a variable, in capital letters, digits and _")
    if scheme == "file":
        raise ValueError("file: takes an absolute path")
    raise ValueError("must begin with env: or file:, there is no other place for a secret")


def read_secret(reference: SecretRef, env: Mapping[str, str]) -> str:
    """The secret, without blanks around it; SecretMissing when there is none."""
    secret = env.get(reference.name) if reference.scheme == "env" else _from_file(reference)
    if secret is None:
        raise SecretMissing(reference, "is not set")
    if not secret.strip():
        raise SecretMissing(reference, "is empty")
    return secret.strip()


def _from_file(reference: SecretRef) -> str:
    try:
        return Path(reference.name).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SecretMissing(reference, "does not exist") from None
    except (OSError, UnicodeDecodeError):
        raise SecretMissing(reference, "cannot be read") from None
