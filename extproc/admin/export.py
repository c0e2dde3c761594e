"""Requests as a file: CSV, a JSON object on each line, or Parquet. Costs are in nano-USD and, as text, in USD."""

import csv
import io
from collections.abc import AsyncIterator, Callable, Iterable
from enum import StrEnum
from operator import attrgetter
from typing import Any, Final, Protocol

import msgspec

from extproc.admin.refused import invalid
from extproc.core.money import decimal_usd
from extproc.index.rows import NAMES, Row

_known = attrgetter(*NAMES)
COLUMNS: Final = (*NAMES, "cost_usd")

CHUNK_BYTES: Final = 1 << 20
"""A message of gRPC has at most four times as many."""

ROWS_IN_GROUP: Final = 50_000
"""Of Parquet, which reads and compresses a group as a whole."""


class Format(StrEnum):
    """What a file of requests may be."""

    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"

    @property
    def content_type(self) -> str:
        """As HTTP says it."""
        return {"csv": "text/csv; charset=utf-8", "jsonl": "application/x-ndjson"}.get(
            self.value, "application/vnd.apache.parquet"
        )


class Writer(Protocol):
    """Makes a file of rows, a piece at a time."""

    def add(self, rows: Iterable[Row]) -> bytes:
        """Some more rows; what is to be written now, perhaps nothing."""
        ...

    def end(self) -> bytes:
        """What is to be written at the end."""
        ...


def writer(kind: Format) -> Writer:
    """The writer of a format. Raises `Refused` for Parquet where pyarrow is not installed."""
    writers: dict[Format, Callable[[], Writer]] = {Format.CSV: _Csv, Format.JSONL: _JsonLines, Format.PARQUET: _Parquet}
    return writers[kind]()


async def chunks(written: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same bytes in pieces that fit into a message, none empty."""
    async for each in written:
        for first in range(0, len(each), CHUNK_BYTES):
            yield each[first : first + CHUNK_BYTES]


class _Csv:
    def __init__(self) -> None:
        self._text = io.StringIO()
        self._csv = csv.writer(self._text, lineterminator="\n")
        self._csv.writerow(COLUMNS)

    def add(self, rows: Iterable[Row]) -> bytes:
        self._csv.writerows(map(_plain, rows))
        return self.end()

    def end(self) -> bytes:
        written = self._text.getvalue().encode()
        self._text.seek(0)
        self._text.truncate()
        return written


class _JsonLines:
    def __init__(self) -> None:
        self._encode = msgspec.json.Encoder().encode_lines

    def add(self, rows: Iterable[Row]) -> bytes:
        return self._encode([dict(zip(COLUMNS, values(row), strict=True)) for row in rows])

    def end(self) -> bytes:
        return b""


class _Parquet:
    """Groups of `ROWS_IN_GROUP` rows, each written when it is whole."""

    def __init__(self) -> None:
        try:
            import pyarrow  # type: ignore[import-untyped]
            from pyarrow import parquet
        except ImportError:
            raise invalid(
                "Parquet needs pyarrow beside the admin service: pip install 'tollgate[parquet]'. csv and jsonl do not"
            ) from None
        types = {str: pyarrow.string(), int: pyarrow.int64(), bool: pyarrow.bool_()}
        empty = values(Row("", 0, ""))
        self._schema = pyarrow.schema([(name, types[type(value)]) for name, value in zip(COLUMNS, empty, strict=True)])
        self._arrow = pyarrow
        self._sink = _Sink()
        self._parquet = parquet.ParquetWriter(self._sink, self._schema, compression="zstd")
        self._rows: list[tuple[Any, ...]] = []

    def add(self, rows: Iterable[Row]) -> bytes:
        self._rows += map(values, rows)
        if len(self._rows) >= ROWS_IN_GROUP:
            self._write()
        return self._sink.taken()

    def end(self) -> bytes:
        if self._rows:
            self._write()
        self._parquet.close()
        return self._sink.taken()

    def _write(self) -> None:
        columns = [list(column) for column in zip(*self._rows, strict=True)]
        arrays = [self._arrow.array(column, field.type) for column, field in zip(columns, self._schema, strict=True)]
        self._parquet.write_table(self._arrow.table(arrays, schema=self._schema))
        self._rows = []


class _Sink(io.RawIOBase):
    """A file that remembers only what was not taken from it yet."""

    def __init__(self) -> None:
        super().__init__()
        self._left = bytearray()
        self._at = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def write(self, data: Any) -> int:
        written = bytes(data)
        self._left += written
        self._at += len(written)
        return len(written)

    def taken(self) -> bytes:
        taken = bytes(self._left)
        self._left.clear()
        return taken


def values(row: Row) -> tuple[Any, ...]:
    """By column."""
    return (*_known(row), decimal_usd(row.cost_nano))


def _plain(row: Row) -> Iterable[Any]:
    """The same for CSV, where `true` is written as in JSON."""
    return (str(value).lower() if isinstance(value, bool) else value for value in values(row))
