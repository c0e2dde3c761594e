"""A multipart/form-data request body, of which only the small fields are looked at; files stay as they are.

Strict where parsers differ, so that what was priced is what the vendor reads: each part says `form-data` and a plain
name, a field that is read stands there once, and nothing is before the first boundary or after the last (RFC 7578).
"""

import re
from dataclasses import dataclass
from typing import TypeVar

from extproc.dialects.envelope import Malformed, counting, required

T = TypeVar("T", str, int, bool)

MAX_PARTS = 200
MAX_HEAD_BYTES = 4_096
MAX_FIELD_BYTES = 1_048_576

_BOUNDARY = re.compile(
    r"multipart/form-data *; *boundary=(?:\"(?P<quoted>[^\"\\]{1,70})\"|(?P<plain>[A-Za-z0-9'()+_,./:=?-]{1,70})) *",
    re.I,
)
_DISPOSITION = re.compile(
    rb"content-disposition: *form-data; *name=\"(?P<name>[^\"\\%\r\n]+)\"(?P<file>; *filename\*?=[^\r\n]*)?", re.I
)
_TELLING = (b"content-disposition", b"content-transfer-encoding", b" ", b"\t")
"""Of these lines there must be the first alone: no encoding, no line that goes on."""

_BOOLEANS = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Part:
    """Where the value of a part starts and ends in the body, and whether it is a file."""

    start: int
    end: int
    is_file: bool


class Form:
    """The parts of a form. Raises `Malformed` for a body that is none."""

    def __init__(self, body: bytes, content_type: str) -> None:
        boundary = _BOUNDARY.fullmatch(content_type)
        if boundary is None:
            raise Malformed("The body is not multipart/form-data with a boundary.")
        self._body = body
        self._parts: dict[str, list[Part]] = {}
        self._read(b"--" + (boundary["quoted"] or boundary["plain"]).encode())

    @property
    def file_bytes(self) -> list[int]:
        """The size of each file."""
        return [part.end - part.start for parts in self._parts.values() for part in parts if part.is_file]

    def get(self, name: str, kind: type[T]) -> T | None:
        """A field as `kind`, None when absent or empty. Raises `Malformed` naming it when it is something else."""
        text = self._text(name)
        if not text:
            return None
        if kind is bool and text in _BOOLEANS:
            return kind(_BOOLEANS[text])
        if kind is str or (kind is int and re.fullmatch(r"-?[0-9]{1,9}", text)):
            return kind(text)
        raise Malformed(f"'{name}' is not valid.", name)

    def require_string(self, name: str) -> str:
        """A field that must be there and not be empty."""
        return required(name, self.get(name, str))

    def count(self, name: str, most: int = 2**31) -> int | None:
        """A field that counts something: an integer from 1 to `most`."""
        return counting(name, self.get(name, int), most)

    def locate(self, name: str) -> tuple[int, int]:
        """Where the value of a field that was read starts and ends."""
        part = self._parts[name][0]
        return part.start, part.end

    def _text(self, name: str) -> str | None:
        parts = self._parts.get(name, [])
        if len(parts) > 1:
            raise Malformed(f"'{name}' is there more than once.", name)
        if not parts:
            return None
        part = parts[0]
        if part.is_file or part.end - part.start > MAX_FIELD_BYTES:
            raise Malformed(f"'{name}' must be a plain field.", name)
        try:
            return self._body[part.start : part.end].decode()
        except UnicodeDecodeError:
            raise Malformed(f"'{name}' is not valid UTF-8.", name) from None

    def _read(self, opening: bytes) -> None:
        delimiter, body = b"\r\n" + opening, self._body
        position = len(opening) if body.startswith(opening) else -1
        for _ in range(MAX_PARTS):
            if position < 0:
                break
            if body.startswith(b"--", position) and body[position + 2 :] in (b"", b"\r\n"):
                return
            position = self._read_part(position, delimiter)
        raise Malformed("The body is not a well-formed multipart/form-data body.")

    def _read_part(self, position: int, delimiter: bytes) -> int:
        """Read the part after a boundary; where the next one ends, -1 for none."""
        head_end = self._body.find(b"\r\n\r\n", position, position + MAX_HEAD_BYTES)
        end = self._body.find(delimiter, head_end + 2)
        if head_end < 0 or end < head_end + 4 or not self._body.startswith(b"\r\n", position):
            return -1
        lines = self._body[position + 2 : head_end].split(b"\r\n")
        named = [found for line in lines if (found := _DISPOSITION.fullmatch(line))]
        if len(named) != 1 or sum(line.lower().startswith(_TELLING) for line in lines) != 1:
            return -1
        name = named[0]["name"].decode("latin-1")
        self._parts.setdefault(name, []).append(Part(head_end + 4, end, named[0]["file"] is not None))
        return end + len(delimiter)
