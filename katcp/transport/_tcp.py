"""One end of a TCP connection: lines in, lines out, both bounded."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from typing import Any, ClassVar

from katcp.errors import KatcpSyntaxError
from katcp.protocol import DEFAULT_MAX_ARGUMENTS, StreamParser, WireMessage
from katcp.transport._held import Held
from katcp.transport._pump import READ_SIZE, Chunk, Pump

if sys.platform == "linux":
    import fcntl
    import termios

_log = logging.getLogger("katcp.transport")

# States of a connection's entry in the pump's schedule, by urgency. Shared is later, with a chunk
# behind the lines that wait; every other state has none.
_IDLE, _SHARED, _LATER, _SOON = range(4)

#: A line may grow to this many times the limit before the connection is given up.
OVERRUN_FACTOR = 4

#: So much is read at once at first, and after bad lines [bytes]; twice as much each time that all
#: of it was there, up to `READ_SIZE`. A bad line takes several times as long as a good one: 64 kB
#: of them would keep the loop for 60 ms.
_LITTLE = READ_SIZE // 32
#: A connection is wary of its input until so many pieces in a row were free of bad lines.
_WARY = 16

# Why a connection does not read: its owner wants nothing, or it waits for its turn. Both may be.
_HELD, _TURN = 1, 2

#: What the reason begins with for which a peer is dropped that does not take what it is sent.
TOO_SLOW = "Client too slow"

#: Above this many unsent bytes the writer counts as blocked [bytes].
HIGH_WATER = 256 * 1024

#: With more than this share of its backlog unsent, a peer is behind, and is spared what is out of
#: date by the time it gets there. Below it, a peer that pauses for a moment misses nothing.
_BEHIND = 1 / 4


class LineConnection(asyncio.BufferedProtocol):
    """A connection that speaks KATCP lines.

    Subclasses take what comes: `opened`, `received`, `lost`, and `writable` after the writer was
    blocked.

    Parameters
    ----------
    pump : Pump
        Shared with the other connections of this end.
    max_line : int
        Longest line taken [bytes].
    max_backlog : int
        With more than this unsent, the peer is too slow and is dropped [bytes].
    stall_timeout : float
        A peer that takes nothing for this long while output waits is dropped [s].
    max_arguments : int
        Most arguments of a message taken.
    """

    __slots__ = (
        "_buffer",
        "_end",
        "_held",
        "_kept",
        "_lines",
        "_pauses",
        "_room",
        "_schedule",
        "_shared",
        "_stall_timer",
        "_wary",
        "_written",
        "closed",
        "max_backlog",
        "parser",
        "pump",
        "spared",
        "stall_timeout",
        "transport",
        "write_blocked",
    )

    def __init__(
        self,
        pump: Pump,
        max_line: int,
        max_backlog: int,
        stall_timeout: float,
        max_arguments: int = DEFAULT_MAX_ARGUMENTS,
    ) -> None:
        self.pump = pump
        self.parser = StreamParser(max_line, max_arguments=max_arguments)
        self.max_backlog = max_backlog
        self.stall_timeout = stall_timeout
        self.transport: Any = None
        self.closed = True
        self.write_blocked = False
        self._buffer: memoryview | None = None
        self._room = _LITTLE
        self._wary = 0  # so many pieces more
        self._kept = b""  # a piece of input that waits for its turn
        self._pauses = 0
        self._lines: list[bytes] = []
        self._schedule = _IDLE
        self._shared: Chunk | None = None
        self._stall_timer: asyncio.TimerHandle | None = None
        self._written = 0
        self._end: str | None = None  # why this side dropped the connection
        self._held: Held | None = None  # what waits here because the peer is behind
        #: Lines that were not sent since newer ones on the same subject followed.
        self.spared = 0

    # -- for subclasses -----------------------------------------------------------------

    def opened(self) -> None:
        """Begin, now that the connection is there."""

    def received(self, events: list[WireMessage | KatcpSyntaxError]) -> None:
        """Messages and errors, in the order of the stream."""

    def lost(self, reason: str) -> None:
        """End: the connection is gone, and nothing can be sent any more."""

    def writable(self) -> None:
        """Go on: the writer takes bytes again after having been blocked."""

    def overrun(self) -> None:
        """Give the connection up: a line has grown to several times the limit."""
        self.abort("Line too long")

    def keep_alive(self, sock: socket.socket) -> None:
        """Have the system notice a peer that vanished without a word."""
        keep_alive(sock)

    def subject_of(self, line: bytes) -> bytes | None:
        """Return what a line tells the present state of; None if it tells something else.

        Of the lines on one subject, a peer that is behind is sent the last only.
        """
        return None

    # -- sending ------------------------------------------------------------------------

    def send(self, line: bytes) -> None:
        """Write `line` (ended by LF; or several) by the end of this turn of the loop."""
        if self._schedule != _SOON:
            if self._schedule == _SHARED:
                self._take_in()
            self._schedule = _SOON
            self.pump.flush_soon(self)
        self._lines.append(line)

    def send_later(self, line: bytes) -> None:
        """Write `line`, letting it wait for company."""
        if self._schedule < _LATER:
            if self._schedule == _SHARED:
                self._take_in()
            else:
                self.pump.flush_later(self)
            self._schedule = _LATER
        self._lines.append(line)

    def share_later(self, chunk: Chunk) -> None:
        """Write what `chunk` holds, letting it wait for company and grow meanwhile."""
        schedule = self._schedule
        if schedule == _SOON:
            self._lines.append(chunk.close())
            return
        if schedule == _SHARED:
            self._take_in()
        elif schedule == _IDLE:
            self.pump.flush_later(self)
        self._schedule = _SHARED
        self._shared = chunk

    #: Whether `share_later` may be used in place of `send_later`.
    takes_chunks: ClassVar[bool] = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.takes_chunks = cls.send_later is LineConnection.send_later

    def _take_in(self) -> None:
        """Close the chunk behind the lines that wait, and put it with them."""
        chunk, self._shared = self._shared, None
        if chunk is not None:
            self._lines.append(chunk.close())

    def begin_output(self) -> None:
        """Let what is sent wait for `end_output`."""
        if self._schedule == _SHARED:
            self._take_in()
        self._schedule = _SOON

    def end_output(self, *, at_once: bool) -> None:
        """Write what was sent since `begin_output`, or let it wait a moment for company."""
        if at_once or not self._lines:
            self.flush()
        elif self._schedule != _SHARED:  # as it is if all was written and updates came meanwhile
            self._schedule = _LATER
            self.pump.flush_later(self)

    def flush(self) -> None:
        """Hand everything that waits to the operating system, or to its queue."""
        if self._schedule == _SHARED:
            self._take_in()
        self._schedule = _IDLE
        lines = self._lines
        if not lines:
            return
        data = lines[0] if len(lines) == 1 else b"".join(lines)
        lines.clear()
        if self.closed:
            return
        # What is written cannot be taken back, so a share of the backlog is left to what is held.
        if (self.write_blocked and self._is_behind()) or (
            len(data) > self.max_backlog * _BEHIND
            and len(data) + self._queued > self.max_backlog * (1 - _BEHIND)
        ):
            self._hold(data)
        else:
            self._write(data)
        if self.write_blocked and self.unsent > self.max_backlog:
            self.abort(f"{TOO_SLOW}: more than {self.max_backlog} bytes wait to be sent")

    def _write(self, data: bytes) -> None:
        self._written += len(data)
        self.transport.write(data)

    def _is_behind(self) -> bool:
        """Tell whether what is sent has to be held back, while the writer is blocked."""
        return self._held is not None or self._queued > self.max_backlog * _BEHIND

    def _hold(self, data: bytes) -> None:
        """Hold lines back; if that is for their number alone, write what the writer takes."""
        if self._held is None:
            self._held = Held(self.subject_of)
        self._held.put(data)
        self._release()

    def _release(self) -> None:
        """Write what was held back, as long as the writer takes it."""
        held = self._held
        if held is None:
            return
        while held and not self.write_blocked:
            self._write(held.take())
        if not held:
            self._forget_held()

    def _forget_held(self) -> None:
        if self._held is not None:
            self.spared += self._held.replaced
            self._held = None

    @property
    def _queued(self) -> int:
        """Bytes that the transport has not got rid of."""
        return 0 if self.transport is None else int(self.transport.get_write_buffer_size())

    @property
    def unsent(self) -> int:
        """Bytes that the peer has not taken yet."""
        return self._queued + (0 if self._held is None else self._held.size)

    def close(self) -> None:
        """Write what waits, then close; the peer is given `stall_timeout` to take it."""
        if self.transport is not None and not self.closed:
            self.flush()
            while self._held:
                self._write(self._held.take())
            self._forget_held()
            self.closed = True
            self.transport.close()
            self._limit_ending()

    def abort(self, reason: str) -> None:
        """Drop the connection at once; what waits is lost."""
        if self.transport is not None and not self.closed:
            _log.warning("Dropping connection to %s: %s", self.peer, reason)
            self.closed = True
            self._end = reason
            self._lines.clear()
            self._shared = None
            self._forget_held()
            self.transport.abort()

    def pause_reading(self) -> None:
        """Take nothing from the peer for now; TCP makes it wait."""
        self._pause(_HELD)

    def resume_reading(self) -> None:
        """Take input again."""
        self._resume(_HELD)

    def _pause(self, why: int) -> None:
        if not self.closed:
            if not self._pauses:
                self.transport.pause_reading()
            self._pauses |= why

    def _resume(self, why: int) -> None:
        if not self.closed and self._pauses:
            self._pauses &= ~why
            if not self._pauses:
                self.transport.resume_reading()

    def was_heard(self) -> bool:
        """Tell whether anything has come from the peer since this was last asked."""
        # The buffer is set whenever something is read, and of no use until the next time.
        heard, self._buffer = self._buffer is not None, None
        return heard

    @property
    def spared_so_far(self) -> int:
        """`spared`, and what is held back now."""
        return self.spared + (0 if self._held is None else self._held.replaced)

    @property
    def peer(self) -> str:
        """Address of the other end: ``host:port``, IPv6 hosts in brackets."""
        name = self.transport and self.transport.get_extra_info("peername")
        return format_address(name)

    @property
    def peer_certificate(self) -> dict[str, Any] | None:
        """What the certificate of the other end says, as `ssl.SSLSocket.getpeercert` has it.

        It has been verified. None: the other end has shown none, or this is not TLS.
        """
        found: dict[str, Any] | None = self.transport and self.transport.get_extra_info("peercert")
        return found

    # -- called by the loop -------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin (called by the loop)."""
        self.transport = transport
        self.closed = False
        self.transport.set_write_buffer_limits(high=min(HIGH_WATER, self.max_backlog // 2))
        sock = transport.get_extra_info("socket")
        if sock is not None:
            self.keep_alive(sock)
        self._schedule = _SOON  # what `opened` sends is written right below
        self.opened()
        self.flush()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where to read into (called by the loop)."""
        buffer = self.pump.read_buffer()
        if self._room < READ_SIZE:
            buffer = buffer[: self._room]
        self._buffer = buffer
        return buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take what was read (called by the loop)."""
        data = bytes(self._buffer[:nbytes])  # type: ignore[index]
        if self._wary and not self.pump.turns.claim():
            if not self._kept:
                self._pause(_TURN)
                self.pump.turns.wait(self)
            self._kept += data
            return
        events = self.parser.feed(data)
        if self.parser.troubled:
            self.parser.troubled = False
            self._room = _LITTLE
            self._wary = _WARY
        elif self._wary:
            self._wary -= 1
        elif nbytes == self._room < READ_SIZE:
            self._room *= 2
        # Whatever is sent from here on is written below, so no flush need be scheduled.
        if self._schedule == _SHARED:
            self._take_in()
        self._schedule = _SOON
        if events:
            self.received(events)
        if self.parser.overrun > OVERRUN_FACTOR * self.parser.max_line:
            self.overrun()
        self.flush()

    def take_turn(self) -> bool:
        """Take what was read and had to wait (called by the pump); tell whether it was taken."""
        kept, self._kept = self._kept, b""
        if self.closed or not kept:
            return False
        self._buffer = memoryview(kept)
        try:
            self.buffer_updated(len(kept))
        finally:
            self._resume(_TURN)
        return True

    def eof_received(self) -> bool:
        """Close when the peer does, even half (called by the loop)."""
        if self._kept:  # as where the end comes with the last of the input
            self._wary = 0
            self.take_turn()
        self._limit_ending()
        return False

    def pause_writing(self) -> None:
        """Take note that the peer is slower than we are (called by the loop)."""
        self.write_blocked = True
        self._watch_stall(-1)

    def resume_writing(self) -> None:
        """Take note that the peer has caught up (called by the loop)."""
        self.write_blocked = False
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None
        self._release()
        if not self.write_blocked:
            self.writable()

    def connection_lost(self, exc: Exception | None) -> None:
        """End (called by the loop)."""
        self.closed = True
        self._lines.clear()
        self._shared = None
        self._forget_held()
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None
        self.lost(self._end or ("Socket EOF" if exc is None else str(exc) or type(exc).__name__))

    def _limit_ending(self) -> None:
        """Do not wait for ever to write the rest: a transport that is closed does."""
        if self.unsent and self._stall_timer is None:
            self._watch_stall(-1)

    def _watch_stall(self, taken_before: int) -> None:
        """Drop a peer that has taken nothing since the last look."""
        self._stall_timer = None
        if not self._queued:
            return
        # What the system holds may be megabytes, of which a slow peer takes some all the time.
        held = queued_bytes(self.transport.get_extra_info("socket"))
        written = self.transport.get_extra_info("bytes_written")  # if it is more than it was given
        taken = (self._written if written is None else written) - self._queued - held
        if taken == taken_before:
            self.closed = False  # it may be closing, which `abort` would take for closed
            self.abort(f"{TOO_SLOW}: took nothing for {self.stall_timeout:g} s")
            return
        self._stall_timer = self.pump.loop.call_later(self.stall_timeout, self._watch_stall, taken)


def queued_bytes(sock: Any) -> int:
    """Return how much the system holds for a peer that has not acknowledged it [bytes].

    Where it does not tell, that is 0.
    """
    if sys.platform == "linux" and sock is not None:
        try:
            answer: bytes = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4))
            return int.from_bytes(answer, sys.byteorder)
        except (OSError, ValueError):  # not a TCP socket, or one that is gone already
            pass
    return 0


def keep_alive(sock: socket.socket, idle: int = 30, interval: int = 10, count: int = 3) -> None:
    """Have the operating system notice a peer that vanished without a word.

    Parameters
    ----------
    sock : socket.socket
    idle, interval : int
        Silence before the first probe, and between probes [s].
    count : int
        Probes without an answer before the connection counts as broken.
    """
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in (
            ("TCP_KEEPIDLE", idle),
            ("TCP_KEEPINTVL", interval),
            ("TCP_KEEPCNT", count),
        ):
            if hasattr(socket, name):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    except OSError:  # not a TCP socket, or one that is gone already
        pass


def format_address(name: Any) -> str:
    """Return a socket name as ``host:port``, with an IPv6 host in brackets."""
    if isinstance(name, tuple) and len(name) >= 2:
        host, port = name[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return str(name) if name else "unknown"
