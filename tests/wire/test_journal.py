"""Envoy's journal: its lines say what the access log says, each is read once, and reported when nobody else has."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from extproc import names
from extproc.core.learned import Learned
from extproc.core.ledger import Account, AccountKind, End, Hold, State, bucket_of
from extproc.core.memory_ledger import MemoryLedger
from extproc.wire import codec
from extproc.wire.journal import LAG_MS, Journal, _read_on
from extproc.wire.pb.token_usage_pb2 import TokenUsage
from extproc.wire.reports import Reports
from extproc.wire.spool import Spool
from tests.core.samples import KEY
from tests.wire.test_codec import CHAT, ENTRIES, OWNER, Entry

NOW_MS = 1_800_000_000_000


def line(request_id: str, ended_ms: int = NOW_MS - LAG_MS - 1, **changed: Any) -> dict[str, Any]:
    """What Envoy writes of a chat request that used 100 tokens in and 10 out."""
    usage = {"status": "1", "input": "100", "cache_read": "0", "cache_write": "0", "output": "10", "reasoning": "0"}
    told = {
        "id": request_id,
        "meta": {"owner": OWNER, "quote": codec.encode_record(CHAT), "paths": {"a": "/v1/chat/completions"}},
        "lifted": None,
        "usage": usage,
        "cluster": "channel_a",
        "attempts": 1,
        "flags": "-",
        "details": "via_upstream",
        "code": 200,
        "bytes": 4_000,
        "start_ms": str(ended_ms - 900),
        "duration_ms": 900,
        "first_byte_ms": 80,
    }
    return told | changed


def encode(*lines: dict[str, Any]) -> bytes:
    """The lines as they stand in the file."""
    return b"".join(json.dumps(each).encode() + b"\n" for each in lines)


class Files:
    """A folder with a journal in it, as Envoy and a worker see it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.current = folder / "journal.jsonl"
        self.reopened = 0

    def append(self, *lines: dict[str, Any]) -> None:
        """Envoy writes."""
        self.append_raw(encode(*lines))

    def append_raw(self, raw: bytes) -> None:
        """The same, whatever it is."""
        with self.current.open("ab") as file:
            file.write(raw)

    def reopen(self) -> None:
        """Envoy begins a new file."""
        self.reopened += 1
        self.current.touch()

    def journal(self) -> Journal:
        """A worker's view, whose turn it is."""
        journal = Journal(self.folder, self.reopen)
        assert journal.take()
        return journal


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """An empty folder."""
    return Files(tmp_path)


def read(journal: Journal, limit: int = 100, before_ms: int = NOW_MS - LAG_MS) -> list[str]:
    """The ids of the next lines, which are then done."""
    ids = [each.request_id for each in journal.read(before_ms, limit)]
    journal.done()
    return ids


def as_line(entry: Entry) -> bytes | None:
    """What Envoy writes into the journal where it sends this to the access log; None for what a line cannot tell."""
    message = entry.message()
    common, response = message.common_properties, message.response
    told = TokenUsage.FromString(common.metadata.typed_filter_metadata[names.USAGE_NAMESPACE].value)
    meta = {k: v.string_value for k, v in common.metadata.filter_metadata["tollgate"].fields.items() if v.string_value}
    lifted = {k: v.number_value for k, v in common.metadata.filter_metadata["tollgate.usage"].fields.items()}
    flags = common.response_flags
    if not message.request.request_id or not common.upstream_request_attempt_count:
        return None
    return encode(
        {
            "id": message.request.request_id,
            "meta": meta,
            "lifted": lifted or None,
            "usage": {
                "status": str(told.extraction_status) if told.extraction_status else None,
                "input": str(told.input_tokens.value),
                "cache_read": str(told.input_token_details.cached_tokens.value),
                "cache_write": str(told.input_token_details.cache_creation_tokens.value),
                "output": str(told.output_tokens.value),
                "reasoning": str(told.output_token_details.reasoning_tokens.value),
                "total": str(told.provider_total_tokens.value) if told.HasField("provider_total_tokens") else None,
            },
            "cluster": common.upstream_cluster or None,
            "attempts": common.upstream_request_attempt_count,
            "flags": "DC"
            if flags.downstream_connection_termination
            else "DR"
            if flags.downstream_remote_reset
            else "-",
            "details": response.response_code_details or None,
            "code": response.response_code.value,
            "bytes": response.response_body_bytes,
            "start_ms": str(common.start_time.ToMilliseconds()),
            "duration_ms": common.duration.ToMilliseconds(),
            "first_byte_ms": common.time_to_first_downstream_tx_byte.ToMilliseconds()
            if common.HasField("time_to_first_downstream_tx_byte")
            else None,
        }
    )


@pytest.mark.parametrize("entry", [entry for entry, _ in ENTRIES.values()], ids=ENTRIES)
def test_a_line_tells_what_the_access_log_tells(entry: Entry) -> None:
    """Whatever the access log reports, the journal reports the same."""
    raw = as_line(entry)
    if raw is None:
        return
    parsed = codec.read_journal_line(raw)
    assert parsed is not None
    assert codec.read_entry(parsed.entry()) == codec.read_entry(entry.message())


@pytest.mark.parametrize("raw", [b"", b"{", b'{"id": "x"}', b"\xff\n", b'{"id": 1}\n', b"[]\n"])
def test_what_is_no_line(raw: bytes) -> None:
    """Half a line, or something else, is none, and no exception."""
    assert codec.read_journal_line(raw) is None


def test_each_line_is_read_once(files: Files) -> None:
    """Reading goes on behind the last line that was done, also by the next worker."""
    files.append(line("a"), line("b"), line("c"))
    first = files.journal()
    assert read(first, limit=2) == ["a", "b"]
    first.leave()
    second = files.journal()
    assert read(second) == ["c"]
    files.append(line("d"))
    assert read(second) == ["d"]


def test_what_is_not_done_is_read_again(files: Files) -> None:
    """A worker that dies while it reports leaves the lines to the next."""
    files.append(line("a"))
    first = files.journal()
    assert len(first.read(NOW_MS, 10)) == 1
    first.leave()
    assert read(files.journal()) == ["a"]


def test_one_worker_reads_at_a_time(files: Files) -> None:
    """A second one has to wait until the first leaves, which a kill does for it."""
    first, second = files.journal(), Journal(files.folder, files.reopen)
    assert not second.take()
    first.leave()
    assert second.take()


def test_half_a_line_waits_for_its_rest(files: Files) -> None:
    """Envoy may be about to write it."""
    journal, raw = files.journal(), encode(line("a"))
    files.append_raw(raw[:40])
    assert read(journal) == []
    files.append_raw(raw[40:])
    assert read(journal) == ["a"]


def test_a_line_that_a_kill_cut_off_costs_its_neighbour_nothing(files: Files) -> None:
    """The next Envoy writes on behind it: what stands on that line is lost, what follows is read."""
    files.append_raw(encode(line("a"))[:40])
    files.append(line("b"), line("c"))
    assert read(files.journal()) == ["c"]


def test_the_other_reporters_go_first(files: Files) -> None:
    """A line that is too young ends the reading; it is read when it is old enough."""
    journal = files.journal()
    files.append(line("old"), line("young", NOW_MS - LAG_MS), line("old, but behind it"))
    assert read(journal) == ["old"]
    assert read(journal, before_ms=NOW_MS) == ["young", "old, but behind it"]


def test_no_journal_yet(files: Files) -> None:
    """Before Envoy has ended a request there is nothing to read."""
    assert read(files.journal()) == []


def test_a_file_that_begins_anew_is_read_from_its_start(files: Files) -> None:
    """Somebody emptied it: what Envoy writes then is not skipped."""
    journal = files.journal()
    files.append(line("a"), line("b"))
    assert read(journal) == ["a", "b"]
    files.current.write_bytes(encode(line("c")))
    assert read(journal) == ["c"]


def test_a_long_journal_is_set_aside_and_nothing_is_lost(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """Envoy is told to begin another; what it still writes into the old one is read, before the new one."""
    monkeypatch.setattr("extproc.wire.journal.ASIDE_BYTES", 100)
    journal, old = files.journal(), files.folder / "journal-old.jsonl"
    files.append(line("a"))
    assert read(journal) == ["a"]
    assert files.reopened == 1
    files.append(line("c"))
    with old.open("ab") as file:
        file.write(encode(line("b")))
    assert read(journal) == ["b"]
    assert old.exists()
    monkeypatch.setattr("extproc.wire.journal.QUIET_SECONDS", -60.0)
    assert read(journal) == []
    assert not old.exists()
    assert read(journal) == ["c"]


def test_an_envoy_that_is_away_goes_on_with_the_old_file(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """It cannot be told; it goes on writing into the file it has open, which is read on and not removed."""
    monkeypatch.setattr("extproc.wire.journal.ASIDE_BYTES", 100)
    monkeypatch.setattr("extproc.wire.journal.QUIET_SECONDS", -60.0)

    def away() -> None:
        raise OSError("no such socket")

    files.append(line("a"))
    journal = Journal(files.folder, away)
    assert journal.take()
    assert read(journal) == ["a"]
    with (files.folder / "journal-old.jsonl").open("ab") as file:
        file.write(encode(line("b")))
    assert read(journal) == ["b"]


class Counting(MemoryLedger):
    """Counts the reports it is told."""

    ends = 0

    async def end(self, end: End) -> Any:
        self.ends += 1
        return await super().end(end)


async def held(ledger: MemoryLedger, *ids: str) -> None:
    """These requests are under way."""
    ledger.put_key(KEY)
    await ledger.top_up(KEY.owner, 10**12, "test", NOW_MS)
    for hold_id in ids:
        accounts, deadline_ms = CHAT.accounts, CHAT.deadline_ms
        await ledger.hold(Hold(hold_id, KEY.owner, KEY.key_id, 1, accounts, 1_000, NOW_MS, deadline_ms))


@pytest.fixture
def reading(files: Files, tmp_path: Path) -> Callable[[MemoryLedger], Any]:
    """One round of a worker on this ledger."""
    journal = files.journal()

    async def once(ledger: MemoryLedger) -> bool:
        return await _read_on(journal, ledger, Reports(ledger, Learned(), Spool(tmp_path, 0), lambda: NOW_MS), NOW_MS)

    return once


async def test_only_what_nobody_reported_is_reported(files: Files, reading: Callable[[MemoryLedger], Any]) -> None:
    """Of two requests one was settled by its trailers: the journal settles the other, and asks nothing of the first."""
    ledger = Counting()
    await held(ledger, "told", "lost")
    end = End("told", KEY.owner, CHAT.accounts, State.REPORTED, 7, NOW_MS, CHAT.deadline_ms, "trailers")
    await ledger.end(end)
    files.append(line("told"), line("lost"))
    assert not await reading(ledger)
    assert ledger.ends == 2
    assert [(entry.hold_id, entry.reporter) for entry in ledger.usage_log] == [
        ("told", "trailers"),
        ("lost", "journal"),
    ]
    assert (await ledger.state(KEY.owner, "lost")) is State.REPORTED


async def test_a_hold_whose_admission_was_lost_is_released(
    files: Files, reading: Callable[[MemoryLedger], Any]
) -> None:
    """Where the answer of admit never reached Envoy there is an owner and no quote; without a hold nothing is to do."""
    ledger = Counting()
    await held(ledger, "lost")
    files.append(*(line(each, meta={"owner": OWNER}, code=503, details="x") for each in ("lost", "never held")))
    await reading(ledger)
    assert (await ledger.balance(KEY.owner, Account(AccountKind.WALLET, KEY.owner))).held_nano == 0
    assert ledger.ends == 1


async def test_an_expired_hold_is_settled_late(files: Files, reading: Callable[[MemoryLedger], Any]) -> None:
    """The sweeper came first: the work was done and is charged, marked as late."""
    ledger = MemoryLedger()
    await held(ledger, "slow")
    await ledger.expire_due(bucket_of(KEY.owner), CHAT.deadline_ms + 1, 10)
    files.append(line("slow"))
    await reading(ledger)
    assert [(entry.state, entry.late) for entry in ledger.usage_log] == [(State.EXPIRED, False), (State.REPORTED, True)]
