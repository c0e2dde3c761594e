"""The Lua scripts, one per verb, as Redis knows them: by the SHA-1 of their source."""

from dataclasses import dataclass
from hashlib import sha1
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Script:
    """A script by its verb: its source and the name Redis gives it."""

    verb: str
    source: str
    sha: str

    @classmethod
    def read(cls, verb: str) -> "Script":
        """The script beside this module."""
        source = Path(__file__).with_name(f"{verb}.lua").read_text(encoding="utf-8")
        return cls(verb, source, sha1(source.encode(), usedforsecurity=False).hexdigest())


HOLD = Script.read("hold")
END = Script.read("end")
EXPIRE_DUE = Script.read("expire_due")
ENTER = Script.read("enter")
PUT = Script.read("put")
SNAPSHOT = Script.read("snapshot")
LEARN = Script.read("learn")
TRIM = Script.read("trim")

ALL = (HOLD, END, EXPIRE_DUE, ENTER, PUT, SNAPSHOT, LEARN, TRIM)
