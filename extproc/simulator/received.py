"""What the simulator received and did, in memory, bounded in number and in bytes."""

import os
from collections import deque
from typing import IO, Any, Literal

import msgspec
from msgspec import Struct, structs

from extproc.simulator.usage import Usage

Ended = Literal["clean", "error", "reset", "closed", "client_gone"]

LARGEST_BODY_KEPT_BYTES = 64 * 1024
_MOST_KEPT = 10_000
_MOST_BODY_BYTES_KEPT = 32 * 1024 * 1024


class Received(Struct):
    """One request, in the order of arrival by `seq`.

    `path` has the query; `body` is None above 64 KiB. `usage` is what the answer costs in inclusive numbers, None
    for errors and for what is free; it counts in the totals only if the answer said it (`said_usage`).
    `chunks` were written before the end: text events of a stream, 1 for an answer in one piece, 2 if it paused
    half-way. `produced` is the part of `usage` that was sent so far, None as long as no 2xx was. `ended` is None while
    the answer is being written. `request_id` is the caller's `x-request-id`.
    """

    seq: int
    vendor: str
    method: str
    path: str
    headers: dict[str, str]
    body: bytes | None
    body_bytes: int
    model: str
    status: int
    usage: Usage | None
    said_usage: bool = False
    chunks: int = 0
    ended: Ended | None = None
    produced: Usage | None = None
    request_id: str = ""

    def as_json(self) -> dict[str, Any]:
        """Everything, the body as text."""
        body = None if self.body is None else self.body.decode("utf-8", "replace")
        return structs.asdict(self) | {"body": body}

    def as_log_line(self) -> bytes:
        """One line of JSON, without the body and the headers: prompts and credentials are in no log."""
        fields = structs.asdict(self) | {"process": os.getpid()}
        del fields["body"], fields["headers"]
        return msgspec.json.encode(fields) + b"\n"


class Journal:
    """All that was received, the oldest dropped first, and sums over all of it, dropped or not."""

    def __init__(self, log: IO[bytes] | None = None) -> None:
        self.received: deque[Received] = deque()
        self.totals: dict[str, tuple[int, Usage]] = {}
        self._body_bytes = 0
        self._log = log

    def add(self, record: Received) -> None:
        """Remember a request that has come in."""
        self.received.append(record)
        self._body_bytes += len(record.body or b"")
        while len(self.received) > _MOST_KEPT or self._body_bytes > _MOST_BODY_BYTES_KEPT:
            self._body_bytes -= len(self.received.popleft().body or b"")

    def wrote(self, record: Received, chunks: int, of: int) -> None:
        """Note how much of an answer is out."""
        record.chunks = chunks
        if record.usage is not None:
            record.produced = record.usage.after(chunks, of)
        if self._log:
            self._log.write(record.as_log_line())

    def close(self, record: Received, ended: Ended, chunks: int, says_usage: bool) -> None:
        """Note how the answer ended; its usage counts if it was said to the end."""
        record.ended, record.chunks = ended, chunks
        record.said_usage = says_usage and ended == "clean"
        if record.said_usage and record.usage is not None:
            requests, usage = self.totals.get(record.model, (0, Usage()))
            self.totals[record.model] = (requests + 1, usage + record.usage)
        if self._log:
            self._log.write(record.as_log_line())

    def select(self, vendor: str | None, since: int) -> list[dict[str, Any]]:
        """Those with a `seq` above `since`, of one vendor or of all."""
        chosen = (record for record in self.received if record.seq > since)
        return [record.as_json() for record in chosen if vendor is None or record.vendor == vendor]

    def totals_as_json(self) -> dict[str, dict[str, int]]:
        """`{model: {requests, input, output, cached, cache_write, reasoning}}`."""
        return {model: {"requests": count} | structs.asdict(usage) for model, (count, usage) in self.totals.items()}

    def clear(self) -> None:
        """Forget all, sums too."""
        self.received.clear()
        self.totals.clear()
        self._body_bytes = 0
