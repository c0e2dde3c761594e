"""A worker's access log: what its own trailers have told is passed over, and nothing is lost by it."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest
import structlog

from extproc.core.learned import Learned
from extproc.core.ledger import End, EndResult
from extproc.core.memory_ledger import MemoryLedger
from extproc.core.pricing import FREE, Terms, UnitKind, UnitRate, Usage
from extproc.errors import LedgerUnavailable
from extproc.wire import codec
from extproc.wire.pb.access_log_entry_pb2 import HTTPAccessLogEntry
from extproc.wire.pb.access_log_service_pb2 import StreamAccessLogsMessage
from extproc.wire.pb.token_usage_pb2 import TokenUsage
from extproc.wire.reports import Reports
from extproc.wire.service import Service
from extproc.wire.spool import Spool
from tests.wire.test_codec import CALLER_GONE, ENTRIES, NOW_MS, OWNER, SEARCHES, Entry, carried, counted, trailers


class Listening(MemoryLedger):
    """Remembers what it was told, while it is there."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[End] = []
        self.away = False

    async def end(self, end: End) -> EndResult:
        if self.away:
            raise LedgerUnavailable("gone")
        self.told.append(end)
        return await super().end(end)


class Forgetful(Reports):
    """Looks at every entry."""

    def has_settled(self, request_id: str, evidence: int) -> bool:
        del request_id, evidence
        return False


@dataclass
class Stream:
    """A gRPC stream as a worker sees it."""

    later: list[Any]

    async def read(self) -> Any:
        return self.later.pop(0) if self.later else None


@dataclass
class Worker:
    """A worker on a ledger of its own, and what it logs."""

    folder: Path
    kind: type[Reports] = Reports
    ledger: Listening = field(default_factory=Listening)

    def __post_init__(self) -> None:
        self.reports = self.kind(self.ledger, Learned(), Spool(self.folder, 0), lambda: NOW_MS)
        self.service = Service(cast("Any", None), cast("Any", None), self.reports, lambda: NOW_MS)

    async def settle(self, of: Entry) -> None:
        """The trailers of the same answer."""
        told = trailers(of.metadata, response_code=of.status or 0, xds_cluster_name=of.cluster)
        await self.service.process(None, cast("Any", Stream([told])))

    async def log(self, *entries: Entry) -> None:
        """A batch of the access log."""
        batch = StreamAccessLogsMessage()
        batch.http_logs.log_entry.extend(entry.message() for entry in entries)
        await self.service.access_log(None, cast("Any", Stream([batch])))


CLEAN = Entry()
GUESSED = replace(SEARCHES, terms=Terms(replace(FREE, unit=UnitRate(UnitKind.SECOND, 2_000))), units=9, guessed=True)
SECONDS = Entry(carried(GUESSED, OWNER, counted(TokenUsage.COMPLETE, Usage.of(7))))
"""Its usage is whole, but has not what the price is by: only the access log knows whether the caller had it all."""

ALL = {name: entry for name, (entry, _) in ENTRIES.items()}
ALL |= {"guessed": SECONDS, "guessed, cut": replace(SECONDS, flags=CALLER_GONE)}


@pytest.mark.parametrize("first", ALL.values(), ids=ALL)
async def test_what_is_passed_over_would_have_said_nothing(first: Entry, tmp_path: Path) -> None:
    """Whatever the trailers told, and whatever the access log tells then: the ledger hears, and is logged, the same as
    if every entry were looked at."""
    for second in ALL.values():
        heard = []
        for kind in (Reports, Forgetful):
            worker = Worker(tmp_path, kind)
            with structlog.testing.capture_logs() as logs:
                await worker.settle(first)
                await worker.log(second)
                await worker.settle(second)
                await worker.log(second)
            heard.append((worker.ledger.told, logs))
        assert heard[0] == heard[1]


async def test_an_entry_that_says_the_same_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an end that this worker was told in full nothing but the evidence is looked at; of any other, all."""
    read: list[str] = []
    inner = codec.read_entry

    def noted(entry: HTTPAccessLogEntry) -> codec.Ended | None:
        read.append(codec.entry_id(entry))
        return inner(entry)

    monkeypatch.setattr(codec, "read_entry", noted)
    worker = Worker(tmp_path)
    await worker.settle(CLEAN)
    await worker.log(CLEAN, Entry(request_id="id-2"), CLEAN)
    assert read == ["id-2"]
    await worker.log(Entry(status=500))
    assert read == ["id-2", "id-1"]


async def test_an_outage_makes_it_look_again(tmp_path: Path) -> None:
    """A Redis that was away may have lost what it last answered: whoever tells of it afterwards is heard."""
    worker = Worker(tmp_path)
    await worker.settle(CLEAN)
    worker.ledger.away = True
    await worker.log(Entry(request_id="id-2"))
    await worker.log(CLEAN)
    assert worker.reports.drain() == 2


async def test_one_entry_that_cannot_be_read_costs_the_others_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is logged, and those beside it are reported."""
    inner = codec.read_entry

    def read(entry: Any) -> Any:
        return inner(entry) if entry.request.request_id != "bad" else 1 // 0

    monkeypatch.setattr(codec, "read_entry", read)
    worker = Worker(tmp_path)
    with structlog.testing.capture_logs() as logs:
        await worker.log(Entry(request_id="bad"), Entry(request_id="good"))
    assert [end.hold_id for end in worker.ledger.told] == ["good"]
    assert [entry["event"] for entry in logs] == ["access_log_entry_failed"]
