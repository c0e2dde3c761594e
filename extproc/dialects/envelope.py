"""A JSON request body, opened only at its top level.

The members' values stay the bytes the caller sent; those Tollgate must understand are decoded one by one. Encoded
again, the envelope has one meaning for every parser (of a repeated member the last one counts), so that what was priced
is what the vendor reads. A body that is compact already, as the SDKs send it, comes out byte for byte the same.
"""

from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Malformed(Exception):
    """A body that cannot be served; `field` is the member at fault, if it is one."""

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


def required(name: str, value: str | None) -> str:
    """The text of something that must be there and not empty."""
    if not value:
        raise Malformed(f"'{name}' is missing." if value is None else f"'{name}' is empty.", name)
    return value


def counting(name: str, value: int | None, most: int) -> int | None:
    """The number of something that counts, if it is there: from 1 to `most`."""
    if value is not None and not 1 <= value <= most:
        raise Malformed(f"'{name}' must be between 1 and {most}.", name)
    return value


class Envelope:
    """The members of a JSON object. Raises `Malformed` for a body that is none."""

    def __init__(self, body: bytes) -> None:
        try:
            body.decode()  # the decoder looks at the values it opens alone
            self._fields: dict[str, Any] = dict(_members.decode(body))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise Malformed("The body is not a JSON object.") from None

    def get(self, name: str, kind: type[T]) -> T | None:
        """A member as `kind`, None when absent or null. Raises `Malformed` naming it when it is something else."""
        raw = self._fields.get(name)
        if raw is None:
            return None
        try:
            return msgspec.json.decode(raw, type=kind | None)
        except (msgspec.DecodeError, RecursionError) as error:
            raise Malformed(f"'{name}' is not valid: {_plain(error)}", name) from None

    def require_string(self, name: str) -> str:
        """A member that must be there, a string and not empty."""
        return required(name, self.get(name, str))

    def count(self, name: str, most: int = 2**31) -> int | None:
        """A member that counts something: an integer from 1 to `most`."""
        return counting(name, self.get(name, int), most)

    def items(self, name: str) -> list[bytes]:
        """The JSON of each item of a member that is a list; none for what is no list."""
        raw = bytes(self._fields.get(name) or b"")
        if not raw.startswith(b"["):
            return []
        return [bytes(item) for item in self.get(name, list[msgspec.Raw]) or ()]

    def set(self, name: str, value: object) -> None:
        """Put a member in place of what the caller sent."""
        self._fields[name] = msgspec.json.encode(value)

    def encode(self, locate: str) -> tuple[bytes, int, int]:
        """The body, and where in it the value of the member `locate` starts and ends (0, 0 when it has none)."""
        parts: list[bytes] = []
        start = end = 0
        length = 1
        for name, raw in self._fields.items():
            label = msgspec.json.encode(name) + b":"
            value = bytes(raw)
            if name == locate:
                start = length + len(label)
                end = start + len(value)
            parts.append(label + value)
            length += len(parts[-1]) + 1
        return b"{" + b",".join(parts) + b"}", start, end


def _plain(error: Exception) -> str:
    return str(error).split(" - at ")[0].replace("`", "").replace(" | null", "").lower()
