"""What the workers learn of the bytes of tokens, shared: one hash for each day, of which two are used.

So a vendor's change is followed within two days, and nobody has to clear up. A repetition counts some answers twice,
which is of no consequence; but the sums of one answer are added together or not at all.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import astuple, fields

import structlog

from extproc.core.learned import Kind, Learned, Part
from extproc.core.scale import Sums
from extproc.errors import LedgerUnavailable
from extproc.store import keys, scripts
from extproc.store.connection import Connection

log = structlog.get_logger()

SHARE_SECONDS = 5.0
DAY_MS = 86_400_000
KEEP_SECONDS = 3 * 86_400
"""Yesterday's sums are needed until today ends, and a day more for clocks that differ."""

_NAMES = [field.name for field in fields(Sums)]


async def share(redis: Connection, learned: Learned, now_ms: int) -> None:
    """Tell what is new, and know what all have told today and yesterday (UTC). Raises `LedgerUnavailable`."""
    new, day = learned.take(), now_ms // DAY_MS
    try:
        today, yesterday = await asyncio.gather(_tell(redis, day, new), _tell(redis, day - 1, {}))
    except LedgerUnavailable:
        learned.put_back(new)
        raise
    learned.know({kind: today.get(kind, Sums()) + yesterday.get(kind, Sums()) for kind in {*today, *yesterday}})


async def run_sharing(redis: Connection, learned: Learned, now_ms: Callable[[], int]) -> None:
    """Share every few seconds, until cancelled. While Redis is away each worker learns by itself."""
    while True:
        try:
            await share(redis, learned, now_ms())
        except LedgerUnavailable as error:
            log.warning("not_shared", error=str(error))
        except Exception:
            log.exception("sharing_failed")
        await asyncio.sleep(SHARE_SECONDS)


async def _tell(redis: Connection, day: int, new: Mapping[Kind, Sums]) -> dict[Kind, Sums]:
    told = await redis.script(scripts.LEARN, [keys.learned(day)], [KEEP_SECONDS, *_flat(new)])
    return dict(_read(dict(zip(told[::2], told[1::2], strict=True))))


def _flat(new: Mapping[Kind, Sums]) -> Iterator[str | int]:
    for kind, sums in new.items():
        for name, number in zip(_NAMES, astuple(sums), strict=True):
            yield f"{kind.operation}:{kind.part}:{kind.model}:{name}"
            yield number


def _read(stored: Mapping[str, str]) -> Iterator[tuple[Kind, Sums]]:
    for kind in {field.rpartition(":")[0] for field in stored}:
        operation, part, model = kind.split(":", 2)
        numbers = {name: int(stored.get(f"{kind}:{name}", 0)) for name in _NAMES}
        yield Kind(operation, Part(part), model), Sums(**numbers)
