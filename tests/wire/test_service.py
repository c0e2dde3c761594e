"""What a worker logs of a report that it cannot read: which request it is about, and nothing of what it says."""

import io
import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
import structlog
from google.protobuf.struct_pb2 import Struct

from extproc import names, process
from extproc.wire.pb.access_log_entry_pb2 import AccessLogType, HTTPAccessLogEntry
from extproc.wire.pb.access_log_service_pb2 import StreamAccessLogsMessage
from extproc.wire.pb.core_pb2 import Metadata
from extproc.wire.pb.ext_proc_pb2 import HttpTrailers, ProcessingRequest
from extproc.wire.service import Service

CANARY = "canary-51c7d0"


class Stream:
    """A stream of what Envoy sends, in order."""

    def __init__(self, *messages: object) -> None:
        self._messages = list(messages)

    async def read(self) -> object:
        """The next one, or None at the end, where gRPC has a mark of its own."""
        return self._messages.pop(0) if self._messages else None


def unreadable() -> Metadata:
    """Metadata whose quote is none."""
    metadata = Metadata()
    metadata.filter_metadata[names.METADATA_NAMESPACE].update({names.META_QUOTE: f'{{"model": "{CANARY}", '})
    return metadata


@pytest.fixture
def stderr(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What a worker writes there, with logging as a worker has it."""
    written = io.StringIO()
    monkeypatch.setattr("sys.stderr", written)
    before = structlog.get_config()
    process.configure_logging()
    structlog.configure(cache_logger_on_first_use=False)
    monkeypatch.setattr("extproc.wire.service.log", structlog.get_logger())
    yield written
    structlog.configure(**before)


async def test_trailers(stderr: io.StringIO) -> None:
    """One line of JSON with the id that Envoy gives in the attributes."""
    attributes = Struct()
    attributes.update({"request.id": "id-1"})
    trailers = ProcessingRequest(
        response_trailers=HttpTrailers(), metadata_context=unreadable(), attributes={"filter": attributes}
    )
    await service().process(None, cast("Any", Stream(trailers)))
    assert read(stderr) == ("settle_failed", "id-1")


async def test_an_entry_of_the_access_log(stderr: io.StringIO) -> None:
    """The same for the other way of being told."""
    entry = HTTPAccessLogEntry()
    entry.request.request_id = "id-2"
    entry.common_properties.access_log_type = AccessLogType.DownstreamEnd
    entry.common_properties.metadata.CopyFrom(unreadable())
    batch = StreamAccessLogsMessage()
    batch.http_logs.log_entry.append(entry)
    await service().access_log(None, cast("Any", Stream(batch)))
    assert read(stderr) == ("access_log_entry_failed", "id-2")


def service() -> Service:
    """One that has nobody to ask: it fails before."""
    reports = SimpleNamespace(has_settled=lambda *_: False)
    return Service(cast("Any", None), cast("Any", None), cast("Any", reports), lambda: 0)


def read(stderr: io.StringIO) -> tuple[str, str]:
    """The event and the request id of the one line there is, which has no word of the metadata."""
    (line,) = stderr.getvalue().splitlines()
    assert CANARY not in line
    told = json.loads(line)
    return told["event"], told["request_id"]
