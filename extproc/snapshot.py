"""The accepted catalog, on its way from the parent to its workers: a file that is renamed into the run folder.

    accepted            what a worker may decide by: Envoy has every cluster of it
    worker-<n>.accepted what worker n decides by, which it looks up anew all the time

A worker never reads the folder of the YAML, so it comes up with what is accepted while somebody edits that. Catalogs
are pickled: one that thousands of channels and models make is read in milliseconds, while others wait for the worker.
Reading a pickle is trusting who wrote it; that is the same program, in a folder that nobody else may enter.
"""

import asyncio
import gc
import io
import os
import pickle
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
import structlog

from extproc.core.catalog import Catalog
from extproc.errors import ConfigError

log = structlog.get_logger()

LOOK_SECONDS = 0.25
"""How often a worker looks whether there is another catalog."""

_ACCEPTED = "accepted"


@dataclass(frozen=True, slots=True)
class Accepted:
    """A catalog, and since when it may be decided by (Unix milliseconds), which tells it from every one before it."""

    catalog: Catalog
    since_ms: int


class Adopted(msgspec.Struct, frozen=True):
    """What a worker decides by."""

    pid: int
    revision: str
    since_ms: int


class Current:
    """The catalog that one worker decides by, or whoever else follows. Raises `ConfigError` where there is none."""

    def __init__(self, run: Path, index: int | None = None) -> None:
        self._run = run
        self._index = index
        self._adopt()

    @property
    def catalog(self) -> Catalog:
        """What a request that begins now should hold until its end."""
        return self._accepted.catalog

    async def follow(self) -> None:
        """Change over to every catalog that is accepted, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                if await asyncio.to_thread(self.look):
                    log.info("catalog_adopted", worker=self._index, revision=self.catalog.revision)
            except Exception:
                log.exception("catalog_not_adopted", worker=self._index)

    def look(self) -> bool:
        """Whether another catalog was accepted; it is then what this worker decides by."""
        if self._file_now() == self._file:
            return False
        self._adopt()
        return True

    def _adopt(self) -> None:
        file = self._file_now()
        self._accepted = read_accepted(self._run)
        self._file = file
        if self._index is None:
            return
        adopted = Adopted(os.getpid(), self.catalog.revision, self._accepted.since_ms)
        replace_file(_adopted_file(self._run, self._index), msgspec.json.encode(adopted))
        _keep_what_is_there()

    def _file_now(self) -> tuple[int, int]:
        try:
            known = (self._run / _ACCEPTED).stat()
        except FileNotFoundError as error:
            raise ConfigError(f"{error.filename}: no catalog is accepted yet") from None
        return known.st_ino, known.st_mtime_ns


def _keep_what_is_there() -> None:
    """Look for cycles of what is alive now, modules and catalog, this once and never again.

    A full collection walks through all there is while every request of the worker waits: 60 ms in each 1,600 requests,
    and 2.5 ms without this. A catalog that is replaced goes by itself, for there is no cycle in one.
    """
    gc.collect()
    gc.freeze()


def publish(run: Path, accepted: Accepted) -> None:
    """Let every worker change over to this catalog, those too that are yet to start."""
    pickled = io.BytesIO()
    _Pickler(pickled, pickle.HIGHEST_PROTOCOL).dump(accepted)
    replace_file(run / _ACCEPTED, pickled.getvalue())


def read_accepted(run: Path) -> Accepted:
    """What was published last. Raises `FileNotFoundError`."""
    accepted: Accepted = pickle.loads((run / _ACCEPTED).read_bytes())  # noqa: S301 - our own, see above
    return accepted


def read_adopted(run: Path, index: int) -> Adopted | None:
    """What worker `index` decides by; None before it has said so."""
    try:
        return msgspec.json.decode(_adopted_file(run, index).read_bytes(), type=Adopted)
    except FileNotFoundError:
        return None


class _Pickler(pickle.Pickler):
    """Knows what to do with a frozen mapping, which pickle does not."""

    def reducer_override(self, value: object) -> Any:
        """The call that makes it again."""
        return (_frozen, (dict(value),)) if isinstance(value, MappingProxyType) else NotImplemented


def _frozen(mapping: dict[Any, Any]) -> MappingProxyType[Any, Any]:
    return MappingProxyType(mapping)


def _adopted_file(run: Path, index: int) -> Path:
    return run / f"worker-{index}.{_ACCEPTED}"


def replace_file(path: Path, content: bytes) -> None:
    """Put this in place of the file at once: who reads it finds the old or the new, and nothing between."""
    aside = path.with_name(path.name + ".new")
    aside.write_bytes(content)
    aside.replace(path)
