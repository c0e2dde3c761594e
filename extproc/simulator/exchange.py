"""Writes one answer to one connection, at the pace of its script. Timers of the loop, no task per stream."""

import asyncio
import socket
import struct
from collections.abc import Callable

from msgspec import Struct

from extproc.simulator.answer import Answer
from extproc.simulator.gate import Gate
from extproc.simulator.received import Ended
from extproc.simulator.script import Script

_LARGEST_WRITE_BYTES = 64 * 1024
# A reset drops what its receiver has not read yet: what was written before it gets this long to be read.
_BEFORE_RESET_S = 0.02


def _nobody(_chunks: int) -> None:
    """Nobody wants to know."""


class Reply(Struct, frozen=True):
    """An answer and its complete response head.

    `finish(ended, chunks)` is called once, when it has ended; `wrote(chunks)` after each write, the head being out.
    `gate` is where it waits if its script says so.
    """

    head: bytes
    answer: Answer
    script: Script
    finish: Callable[[Ended, int], None]
    wrote: Callable[[int], None] = _nobody
    gate: Gate = Gate()


class Exchange:
    """One answer being written. `on_written` is called when it is out and the connection can go on.

    Never writes while the transport asks for a pause, and at most one batch of frames per turn of the loop, so
    that neither a slow client fills the memory nor a long stream holds up the others.
    """

    def __init__(self, transport: asyncio.Transport, reply: Reply, on_written: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._reply = reply
        self._answer = reply.answer
        self._delay_ms = reply.script.delay_ms
        self._on_written = on_written
        cut = reply.script.cut_after
        most = self._answer.count if self._answer.length is None else 1
        self._stop = self._answer.count if cut is None else min(cut, most)
        pause = reply.script.pause_at
        self._pause_at = None if pause is None else min(pause, self._answer.count + 1)
        self._next: Callable[[], None] | None = None
        self._written = 0
        self._frames_per_write = 0
        self._pending: list[bytes] = []
        self._timer: asyncio.Handle | None = None
        self._is_paused = False
        self._is_due = False
        self._has_ended = False

    def start(self) -> None:
        """Begin; may end before it returns."""
        self._after(self._reply.script.first_delay_ms, lambda: self._pause(-1, self._send_head))

    def pause(self) -> None:
        """The transport's buffer is full."""
        self._is_paused = True

    def resume(self) -> None:
        """The transport takes more."""
        self._is_paused = False
        if self._is_due:
            self._is_due = False
            self._send_frames()

    def client_gone(self) -> None:
        """The connection is lost: stop, if it has not ended yet."""
        if self._timer:
            self._timer.cancel()
        if self._next:
            self._reply.gate.leave(self._next)
        self._end("client_gone")

    def _after(self, delay_ms: float, step: Callable[[], None]) -> None:
        if delay_ms:
            self._flush()
            self._timer = self._loop.call_later(delay_ms / 1000, step)
        else:
            step()

    def _pause(self, place: int, step: Callable[[], None]) -> None:
        """Go on with `step`; if the script says to wait here, when the gate opens."""
        if self._pause_at != place:
            step()
            return
        self._flush()
        self._next = step
        self._reply.gate.wait(step)

    def _flush(self) -> None:
        if self._pending:
            self._transport.write(b"".join(self._pending))
            self._pending.clear()
            self._reply.wrote(self._written)

    def _push(self, data: bytes) -> None:
        if self._answer.length is not None:
            self._pending.append(data)
        elif data:
            self._pending.append(b"%x\r\n%b\r\n" % (len(data), data))

    def _send_head(self) -> None:
        if self._reply.script.reset_after == -1:
            self._break_off()
            return
        self._pending.append(self._reply.head)
        self._after(self._reply.script.header_then_delay_ms, lambda: self._pause(0, self._send_opening))

    def _send_opening(self) -> None:
        if self._reply.script.cut_after == 0:
            self._break_off()
            return
        self._push(self._answer.opening)
        self._after(self._delay_ms, self._send_frames)

    def _send_frames(self) -> None:
        if self._is_paused:
            self._is_due = True
            return
        stop = min(self._stop, self._written + (1 if self._delay_ms else self._batch()))
        if self._pause_at is not None and self._written < self._pause_at:
            stop = min(stop, self._pause_at)
        if stop > self._written:
            self._push(self._answer.frames(self._written, stop))
            self._written = stop
            self._pause(stop, self._go_on)
        else:
            self._go_on()

    def _go_on(self) -> None:
        if self._written == self._stop:
            self._send_closing()
        else:
            self._flush()
            self._timer = self._loop.call_later(self._delay_ms / 1000, self._send_frames)

    def _batch(self) -> int:
        """How many frames fill one write, judged by the first one."""
        if not self._frames_per_write:
            size = len(self._answer.frames(0, 1)) if self._answer.count > 1 else 1
            self._frames_per_write = max(1, _LARGEST_WRITE_BYTES // size)
        return self._frames_per_write

    def _send_closing(self) -> None:
        if self._reply.script.cut_after is not None:
            self._break_off()
            return
        self._push(self._answer.closing)
        if self._answer.length is None:
            self._pause(self._answer.count + 1, self._send_end)
        else:
            self._finish()

    def _send_end(self) -> None:
        self._pending.append(b"0\r\n\r\n")
        self._finish()

    def _finish(self) -> None:
        self._flush()
        self._end("clean" if self._answer.status == 200 else "error")
        self._on_written()

    def _break_off(self) -> None:
        self._flush()
        if self._reply.script.reset_after is None:
            self._end("closed")
            self._transport.close()
        else:
            self._end("reset")
            self._reset_when_flushed()

    def _reset_when_flushed(self) -> None:
        is_flushed = self._transport.get_write_buffer_size() == 0
        then = self._reset if is_flushed else self._reset_when_flushed
        self._timer = self._loop.call_later(_BEFORE_RESET_S, then)

    def _reset(self) -> None:
        at_once = struct.pack("ii", 1, 0)
        self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
        self._transport.abort()

    def _end(self, ended: Ended) -> None:
        if not self._has_ended:
            self._has_ended = True
            self._reply.finish(ended, self._written)
