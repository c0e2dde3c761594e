"""The record of changes: who changed what and when, and what it was. The script that makes a change writes it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class By:
    """Who makes a change, and when. `who` is `token:tok_…`, `jwt:<subject>` or `local:<user>`."""

    who: str
    now_ms: int


@dataclass(frozen=True, slots=True)
class Change:
    """One change. `what` is `key.create`, `team.put_member`, `wallet.top_up` …; `of` the id of what was changed.

    `before` and `after` are JSON, empty where there was nothing. Neither has a digest or a plaintext.
    """

    at_ms: int
    who: str
    what: str
    owner: str
    of: str
    before: str
    after: str
