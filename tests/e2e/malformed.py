"""Requests that no honest client sends, as bytes for a raw socket. `KEY` stands where a key that could pay would."""

from collections.abc import Iterator
from typing import Final

import hpack
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

KEY: Final = b"K" * 46
_BODY: Final = b'{"model":"gpt-5-mini","messages":[{"role":"user","content":"Hi"}]}'
_HOST: Final = b"host: gateway\r\nconnection: close\r\nauthorization: Bearer " + KEY + b"\r\n"
_HEAD: Final = b"POST /v1/chat/completions HTTP/1.1\r\n" + _HOST
_CHUNKED: Final = _HEAD + b"transfer-encoding: chunked\r\n\r\n"
_SMUGGLED: Final = b"GET /v1/models HTTP/1.1\r\n" + _HOST + b"\r\n"


def _sized(size: bytes) -> bytes:
    return _HEAD + b"content-length: " + size + b"\r\n\r\n" + _BODY


def _with(line: bytes) -> bytes:
    return _HEAD + line + b"\r\ncontent-length: %d\r\n\r\n" % len(_BODY) + _BODY


def _line(line: bytes) -> bytes:
    return line + b"\r\n" + _HOST + b"content-length: %d\r\n\r\n" % len(_BODY) + _BODY


HTTP1: Final = {
    "no request": b"\r\n\r\n\r\n\x00\x01\x02\r\n\r\n",
    "no words": b"GARBAGE\r\n\r\n",
    "no version": b"POST /v1/chat/completions\r\nhost: a\r\n\r\n",
    "a version to come": _line(b"POST /v1/chat/completions HTTP/9.9"),
    "a version of the past": _line(b"POST /v1/chat/completions HTTP/0.9"),
    "four words": _line(b"POST /v1/chat/completions /v1/models HTTP/1.1"),
    "a method that is none": _line(b"P\x00ST /v1/chat/completions HTTP/1.1"),
    "a method of 9,000 letters": _line(b"P" * 9000 + b" /v1/chat/completions HTTP/1.1"),
    "CONNECT": b"CONNECT 127.0.0.1:22 HTTP/1.1\r\nhost: 127.0.0.1:22\r\n\r\n",
    "TRACE": _line(b"TRACE /v1/chat/completions HTTP/1.1"),
    "no path": _line(b"POST  HTTP/1.1"),
    "a path without a slash": _line(b"POST v1/chat/completions HTTP/1.1"),
    "a null byte in the path": _line(b"POST /v1/chat/completions\x00/x HTTP/1.1"),
    "an escaped null byte in the path": _line(b"POST /v1/chat/completions%00 HTTP/1.1"),
    "half an escape in the path": _line(b"POST /v1/chat/completions%c HTTP/1.1"),
    "no UTF-8 in the path": _line(b"POST /v1/chat/\xff\xfe HTTP/1.1"),
    "a path out of the root": _line(b"POST /../../etc/passwd HTTP/1.1"),
    "a path of 40 KB": _line(b"POST /" + b"a" * 40_000 + b" HTTP/1.1"),
    "no host": b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}",
    "a host that is none": b"GET /v1/chat/completions HTTP/1.1\r\nhost: a b\x01\r\n\r\n",
    "a line without a colon": _with(b"nothing"),
    "a header without a name": _with(b": x"),
    "a blank before the colon": _with(b"transfer-encoding : chunked"),
    "a null byte in a header": _with(b"x-a: b\x00c"),
    "a control character in a name": _with(b"x-\x01a: b"),
    "a header of 40 KB": _with(b"x-a: " + b"b" * 40_000),
    "headers of 5 MB": _with(b"x-a: " + b"b" * 5_000_000),
    "101 headers": _with(b"\r\n".join(b"x-%d: y" % number for number in range(101))),
    "length and chunks": _HEAD + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n" + _SMUGGLED,
    "chunks and length": _HEAD + b"transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n" + _SMUGGLED,
    "two lengths": _HEAD + b"content-length: 3\r\ncontent-length: 300\r\n\r\n{} " + _SMUGGLED,
    "two lengths in one": _sized(b"3, 300"),
    "a length below zero": _sized(b"-1"),
    "a length with a sign": _sized(b"+66"),
    "a length in hexadecimal": _sized(b"0x42"),
    "a length with a point": _sized(b"66.0"),
    "a length that is no number": _sized(b"many"),
    "a length above 64 bits": _sized(b"99999999999999999999999"),
    "an encoding that is none": _HEAD + b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n" + _SMUGGLED,
    "chunks, then something else": _HEAD + b"transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n" + _SMUGGLED,
    "chunks twice": _HEAD + b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n" + _SMUGGLED,
    "chunks behind a tab": _HEAD + b"transfer-encoding:\x0bchunked\r\n\r\n0\r\n\r\n" + _SMUGGLED,
    "a chunk without a size": _CHUNKED + b"\r\n{}\r\n0\r\n\r\n",
    "a chunk of no number": _CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n",
    "a chunk below zero": _CHUNKED + b"-2\r\n{}\r\n0\r\n\r\n",
    "a chunk above 64 bits": _CHUNKED + b"fffffffffffffffff\r\n{}\r\n0\r\n\r\n",
    "a chunk longer than it says": _CHUNKED + b"1\r\n{}{}\r\n0\r\n\r\n",
    "bytes that are no HTTP": bytes(range(256)) * 16,
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(512),
    "the PROXY protocol": b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n" + _SMUGGLED,
    "an upgrade to a WebSocket": _with(b"connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13"),
    "an end before the body's": _HEAD + b"content-length: 1000\r\n\r\n" + _BODY,
    "an end before the chunk's": _CHUNKED + b"ff\r\n" + _BODY,
    "an end before the headers'": _HEAD,
}
LENIENT: Final = {
    "two hosts": _with(b"host: elsewhere"),
    "a folded header": _with(b"x-a: b\r\n c"),
    "a carriage return in a header": _with(b"x-a: b\rx-c: d"),
    "an upgrade to HTTP/2": _with(b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk"),
}
"""What Envoy puts right: one request each, and none of it two headers for whoever comes next."""

HALF: Final = {
    "the headers never end": _HEAD,
    "the first line never ends": b"POST /v1/chat",
    "the body never comes": _HEAD + b"content-length: 1000\r\n\r\n",
    "the body never ends": _HEAD + b"content-length: 1000\r\n\r\n" + _BODY,
    "the chunks never end": _CHUNKED + b"2\r\n{}\r\n",
    "a chunk's line never ends": _CHUNKED + b"2;" + b"a" * 100_000,
}
"""What keeps a connection busy: the caller goes silent behind it."""

# --- HTTP/2 -----------------------------------------------------------------------------------------------------------

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS: Final = SettingsFrame(0).serialize()

Field = tuple[str, str]
_PSEUDO: Final[list[Field]] = [
    (":method", "POST"),
    (":scheme", "http"),
    (":authority", "gateway"),
    (":path", "/v1/chat/completions"),
]
_AUTHORIZATION: Final[Field] = ("authorization", f"Bearer {KEY.decode()}")


def _headers(fields: list[Field], *flags: str, stream: int = 1) -> bytes:
    block = hpack.Encoder().encode(fields, huffman=False)
    return HeadersFrame(stream, block, flags=["END_HEADERS", *flags]).serialize()


def _data(body: bytes = _BODY, *flags: str, stream: int = 1) -> bytes:
    return DataFrame(stream, body, flags=list(flags)).serialize()


def _sent(*frames: bytes | Frame) -> bytes:
    parts = (frame if isinstance(frame, bytes) else frame.serialize() for frame in frames)
    return PREFACE + SETTINGS + b"".join(parts)


def _asking(*fields: Field, pseudo: list[Field] = _PSEUDO) -> bytes:
    return _sent(_headers([*pseudo, _AUTHORIZATION, *fields]), _data(_BODY, "END_STREAM"))


def _raw(kind: int, stream: int, body: bytes, flags: int = 0) -> bytes:
    return len(body).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + body


def _rapid_resets(count: int) -> Iterator[bytes]:
    encoder = hpack.Encoder()
    for number in range(count):
        stream = 2 * number + 1
        block = encoder.encode([*_PSEUDO, _AUTHORIZATION], huffman=False)
        yield HeadersFrame(stream, block, flags=["END_HEADERS"]).serialize()
        yield RstStreamFrame(stream, error_code=8).serialize()


HTTP2: Final = {
    "no settings": PREFACE + _headers(_PSEUDO),
    "settings of five bytes": PREFACE + _raw(4, 0, b"12345"),
    "settings of a stream": PREFACE + _raw(4, 1, b""),
    "a window of 4 GB": PREFACE + _raw(4, 0, b"\x00\x04\xff\xff\xff\xff"),
    "a frame above its size": _sent(_raw(0, 1, b"x" * 20_000)),
    "a frame of no known kind, above its size": _sent(_raw(99, 0, b"x" * 20_000)),
    "headers on stream 0": _sent(_raw(1, 0, b"\x82", 5)),
    "headers on an even stream": _sent(_headers([*_PSEUDO, _AUTHORIZATION], "END_STREAM", stream=2)),
    "data on stream 0": _sent(_raw(0, 0, b"x")),
    "data on an idle stream": _sent(_data()),
    "a continuation of nothing": _sent(_raw(9, 1, b"\x82", 4)),
    "headers that go on and on": _sent(
        HeadersFrame(1, hpack.Encoder().encode([*_PSEUDO, _AUTHORIZATION], huffman=False)),
        *[ContinuationFrame(1, hpack.Encoder().encode([("x-a", "b" * 1000)])) for _ in range(2000)],
    ),
    "headers that are no HPACK": _sent(_raw(1, 1, b"\xff" * 40, 5)),
    "an HPACK bomb": _sent(
        HeadersFrame(
            1, b"\x82\x86\x41\x01a\x44\x01/\x40\x01a\x7f\x81\x1f" + b"a" * 4000 + b"\xbe" * 8000, flags=["END_HEADERS"]
        )
    ),
    "a window update of nothing": _sent(_raw(8, 0, b"\0\0\0\0")),
    "a window above 31 bits": _sent(
        WindowUpdateFrame(0, window_increment=2**31 - 1), WindowUpdateFrame(0, window_increment=2**31 - 1)
    ),
    "a push from a caller": _sent(_raw(5, 1, b"\0\0\0\2\x82", 4)),
    "padding longer than the frame": _sent(_headers([*_PSEUDO, _AUTHORIZATION]), _raw(0, 1, b"\xff{}", 8)),
    "10,000 pings": _sent(*[PingFrame(0, b"12345678")] * 10_000),
    "10,000 settings": _sent(*[SettingsFrame(0)] * 10_000),
    "10,000 priorities": _sent(*[PriorityFrame(1, depends_on=0, stream_weight=1)] * 10_000),
    "10,000 empty frames": _sent(_headers([*_PSEUDO, _AUTHORIZATION]), *[_data(b"")] * 10_000),
    "2,000 streams that are taken back": _sent(*_rapid_resets(2000)),
    "a capital letter": _asking(("X-A", "b")),
    "a blank in a name": _asking(("x a", "b")),
    "a line break in a value": _asking(("x-a", "b\r\nx-c: d")),
    "a null byte in a value": _asking(("x-a", "b\0c")),
    "connection": _asking(("connection", "close")),
    "transfer-encoding": _asking(("transfer-encoding", "chunked")),
    "a length that is not the body's": _asking(("content-length", "3")),
    "two lengths": _asking(("content-length", "3"), ("content-length", str(len(_BODY)))),
    "no method": _asking(pseudo=_PSEUDO[1:]),
    "no path": _asking(pseudo=_PSEUDO[:3]),
    "an empty path": _asking(pseudo=[*_PSEUDO[:3], (":path", "")]),
    "a path without a slash": _asking(pseudo=[*_PSEUDO[:3], (":path", "v1/chat/completions")]),
    "a line break in the path": _asking(pseudo=[*_PSEUDO[:3], (":path", "/v1/models HTTP/1.1\r\nx: y")]),
    "two paths": _asking(pseudo=[*_PSEUDO, (":path", "/v1/models")]),
    "a pseudo header that is none": _asking(pseudo=[*_PSEUDO, (":status", "200")]),
    "a pseudo header behind the others": _sent(_headers([_AUTHORIZATION, *_PSEUDO]), _data(_BODY, "END_STREAM")),
    "a pseudo header in the trailers": _sent(
        _headers([*_PSEUDO, _AUTHORIZATION]), _data(), _headers([(":path", "/v1/models")], "END_STREAM")
    ),
    "101 headers": _asking(*[(f"x-{number}", "y") for number in range(101)]),
    "a header of 15 KB, three times": _asking(*[(f"x-{number}", "y" * 5000) for number in range(7)]),
    "an end before the body's": _sent(_headers([*_PSEUDO, _AUTHORIZATION]), _data()),
}
