"""Edits of the YAML go live, in an order in which no request fails.

    edited ─▶ load ─▶ Envoy checks the new clusters ─▶ and has them, beside the old ─▶ the workers change over
                                                                                              │
                  the old clusters go ◀── as long as a request may live that knows them ◀─────┘

What is not accepted changes nothing: it is logged, `tollgate status` and the metrics tell it, and it is looked at
again. Each step is decided by what is the case and waits for nothing, so that while an edit waits for Envoy the next
one is noticed.
"""

import asyncio
import os
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import structlog

from extproc import envoy_admin, parent_metrics
from extproc.clock import now_ms
from extproc.compiler.install import Installed, write_clusters
from extproc.config.load import Loaded, load
from extproc.config.watch import Watch
from extproc.core.catalog import Catalog
from extproc.core.ledger import HOLD_MS
from extproc.errors import ConfigError
from extproc.settings import Settings
from extproc.snapshot import Accepted, publish, read_adopted
from extproc.status import Live, write_live

log = structlog.get_logger()

LOOK_SECONDS = 0.5
KEEP_SECONDS = HOLD_MS / 1000
"""How long a cluster stays that no worker hands out any more: no request lives longer."""

AGAIN_SECONDS = 5.0
"""How soon a broken edit is looked at again: what it lacks may be a credential's file, which nobody watches."""

_AGAIN_FACTOR = 20
"""And no sooner than this many times as long as the look took: a large folder must not keep a core busy."""


class Clusters(Protocol):
    """The clusters of an Envoy."""

    def put(self, catalog: Catalog, drop: Collection[str] = ()) -> Installed:
        """Hand over this catalog's clusters; the others stay, but those to drop. Raises `ConfigError`."""

    def taken_up(self, version: str) -> bool:
        """Whether Envoy has these, and all of them are warm."""


@dataclass(frozen=True, slots=True)
class EnvoyClusters:
    """Those of the Envoy that runs in the run folder."""

    run: Path

    def put(self, catalog: Catalog, drop: Collection[str] = ()) -> Installed:
        """As a file that Envoy watches."""
        return write_clusters(self.run, catalog, drop)

    def taken_up(self, version: str) -> bool:
        """As its admin interface tells."""
        return envoy_admin.is_ready(self.run / "admin.sock", version, workers=0)


@dataclass(frozen=True, slots=True)
class _Offer:
    loaded: Loaded
    since_ms: int


class Reload:
    """What is live, and what is on its way there. Publishes what it begins with."""

    def __init__(
        self,
        settings: Settings,
        loaded: Loaded,
        installed: Installed,
        clusters: Clusters,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._installed = installed
        self._clusters = clusters
        self._seconds = seconds
        self._watch = Watch(settings.config)
        self._offer: _Offer | None = None
        self._problems: list[str] = []
        self._again = 0.0
        self._idle: dict[str, float] = {}
        self._told: Live | None = None
        self._loaded, self._since_ms = loaded, 0
        self._publish(loaded)
        self._tell()

    async def run(self) -> None:
        """Follow the folder until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.step()
            except Exception:
                log.exception("reload_failed")

    async def step(self) -> None:
        """Do whatever can be done now."""
        if self._watch.edited() or (self._problems and self._seconds() >= self._again):
            await self._take_up()
        if (offer := self._offer) and await self._taken_up():
            self._publish(offer.loaded)
            parent_metrics.RELOADS.labels("live").inc()
            log.info("edit_live", revision=offer.loaded.catalog.revision, clusters=self._installed.version)
        if self._offer is None and self._all_adopted():
            await self._drop_idle()
        self._tell()

    async def _take_up(self) -> None:
        began = self._seconds()
        try:
            await asyncio.to_thread(self._offer_edit)
        except ConfigError as error:
            self._refuse(str(error).splitlines())
        except Exception as error:
            log.exception("edit_not_taken_up")
            self._refuse([f"this edit could not be taken up ({type(error).__name__}); the log tells more"])
        else:
            self._problems = []
        ended = self._seconds()
        self._again = ended + max(AGAIN_SECONDS, _AGAIN_FACTOR * (ended - began))

    def _offer_edit(self) -> None:
        """Hand the clusters of what the folder says to Envoy, if it says anything new."""
        loaded = load(self._settings.config, self._settings.environment(), require_credentials=True)
        newest = self._offer.loaded if self._offer else self._loaded
        if loaded.catalog != newest.catalog:
            self._installed = self._clusters.put(loaded.catalog)
            self._offer = _Offer(loaded, now_ms())
        elif self._offer is None:
            self._loaded = loaded

    async def _taken_up(self) -> bool:
        return await asyncio.to_thread(self._clusters.taken_up, self._installed.version)

    def _refuse(self, problems: list[str]) -> None:
        if problems != self._problems:
            log.warning("edit_refused", problems=problems, live=self._loaded.catalog.revision)
            parent_metrics.RELOADS.labels("refused").inc()
        self._problems = problems

    def _publish(self, loaded: Loaded) -> None:
        """Let the workers change over."""
        self._loaded, self._offer = loaded, None
        self._since_ms = now_ms()
        publish(self._settings.run, Accepted(loaded.catalog, self._since_ms))
        parent_metrics.CONFIG.info({"revision": loaded.catalog.revision})
        parent_metrics.RELOAD_SUCCESS.set(self._since_ms / 1000)

    def _all_adopted(self) -> bool:
        adopted = (read_adopted(self._settings.run, index) for index in range(self._settings.workers))
        return all(each is not None and each.since_ms == self._since_ms for each in adopted)

    async def _drop_idle(self) -> None:
        """Drop the clusters that no worker has handed out for longer than a request lives."""
        used = {name for channel in self._loaded.catalog.channels.values() for name in channel.clusters}
        now = self._seconds()
        self._idle = {name: self._idle.get(name, now) for name in self._installed.clusters - used}
        due = sorted(name for name, since in self._idle.items() if now - since > KEEP_SECONDS)
        if not due:
            return
        self._idle.update(dict.fromkeys(due, now))  # if they cannot be dropped now, they can wait
        self._installed = await asyncio.to_thread(self._clusters.put, self._loaded.catalog, due)
        log.info("clusters_dropped", clusters=due)

    def _tell(self) -> None:
        live = Live(
            pid=os.getpid(),
            folder=str(self._settings.config),
            workers=self._settings.workers,
            revision=self._loaded.catalog.revision,
            since_ms=self._since_ms,
            clusters=self._installed.version,
            problems=self._problems,
            notes=self._loaded.notes,
            waiting_revision=self._offer.loaded.catalog.revision if self._offer else None,
            waiting_since_ms=self._offer.since_ms if self._offer else None,
        )
        if live != self._told:
            write_live(self._settings.run, live)
            parent_metrics.RELOAD_FAILED.set(bool(live.problems))
            parent_metrics.RELOAD_WAITING.set(live.waiting_revision is not None)
            self._told = live
