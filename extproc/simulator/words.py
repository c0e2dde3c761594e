"""The text of every answer: `w0 w1 w2 …`; and the counting of a prompt's words."""

from collections.abc import Iterable

_READY = (b"w0", *(b" w%d" % index for index in range(1, 4096)))
_SPACES_AND_INK = bytes(ord(" ") if bytes([code]).isspace() else ord("x") for code in range(256))


def deltas(start: int, stop: int, word_bytes: int = 0) -> Iterable[bytes]:
    """What the chunks from `start` to before `stop` add to the text, each word padded to `word_bytes`."""
    if not word_bytes and stop <= len(_READY):
        return _READY[start:stop]
    return [(b" " if index else b"") + (b"w%d" % index).ljust(word_bytes, b"x") for index in range(start, stop)]


def text(count: int, word_bytes: int = 0) -> str:
    """The whole text of `count` chunks."""
    return b"".join(deltas(0, count, word_bytes)).decode()


def count(texts: Iterable[str]) -> int:
    """Words separated by ASCII whitespace, of all texts together. Three times as fast as `split`."""
    return (" " + " ".join(texts)).encode("utf-8", "replace").translate(_SPACES_AND_INK).count(b" x")
