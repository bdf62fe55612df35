"""A connection to a server of the same process: bytes handed over, no socket between.

To the server it is a transport as any other: it can be slow (`hold`), it pauses the writer when
much waits, and it ends once.
"""

from __future__ import annotations

import asyncio
import collections
from collections.abc import Callable, Iterable
from typing import Any

#: So much is delivered in one turn of the loop [bytes]; about 5 ms of reading.
_AT_ONCE = 256 * 1024


class MemoryTransport(asyncio.Transport):
    """What a server writes to in place of a socket.

    Parameters
    ----------
    loop : asyncio.AbstractEventLoop
    extra : dict
        What `get_extra_info` returns: ``peername`` and, over TLS, ``peercert``.
    deliver : callable
        Called with what the server has written, in the loop, and never from within the server.
    ended : callable
        Called once, when the connection is no more.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        extra: dict[str, Any],
        deliver: Callable[[bytes], object],
        ended: Callable[[], object],
    ) -> None:
        super().__init__(extra)
        self._loop = loop
        self._deliver = deliver
        self._ended = ended
        self._protocol: Any = None
        self._pieces: collections.deque[bytes] = collections.deque()
        self._size = 0
        self._high = 64 * 1024
        self._scheduled = False
        self._held = False
        self._writer_paused = False
        self._reading = True
        self._input: list[bytes] = []
        self._closing = False
        self._over = False

    # -- for the server -----------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Hand something over, in the next turn of the loop."""
        if self._closing or not data:
            return
        self._pieces.append(bytes(data))
        self._size += len(data)
        self._schedule()
        if self._size > self._high and not self._writer_paused:
            self._writer_paused = True
            self._protocol.pause_writing()

    def writelines(self, list_of_data: Iterable[Any]) -> None:
        """Hand several things over."""
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        """Return False: a connection ends on both sides at once."""
        return False

    def get_write_buffer_size(self) -> int:
        """Return how much has not been delivered [bytes]."""
        return self._size

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set how much may wait before the server is told to pause [bytes]."""
        self._high = 64 * 1024 if high is None else high

    def pause_reading(self) -> None:
        """Have what comes wait."""
        self._reading = False

    def resume_reading(self) -> None:
        """Go on with what has waited."""
        if not self._reading:
            self._reading = True
            self._loop.call_soon(self._give)

    def is_reading(self) -> bool:
        """Tell whether what comes is taken."""
        return self._reading and not self._closing

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Set the server's end."""
        self._protocol = protocol

    def get_protocol(self) -> Any:
        """Return the server's end."""
        return self._protocol

    def is_closing(self) -> bool:
        """Tell whether it is ended, or about to be."""
        return self._closing

    def close(self) -> None:
        """End when everything is delivered."""
        if not self._closing:
            self._closing = True
            self._schedule()

    def abort(self) -> None:
        """End at once."""
        self._closing = True
        self._drop()
        self._schedule()

    # -- for the client -----------------------------------------------------------------

    def say(self, data: bytes) -> None:
        """Hand something to the server, or keep it until the server reads."""
        if not self._closing:
            self._input.append(data)
            self._give()

    def hold(self) -> None:
        """Take nothing of what the server writes, until `release`."""
        self._held = True

    def release(self) -> None:
        """Take it again."""
        if self._held:
            self._held = False
            self._schedule()

    def hang_up(self) -> None:
        """End, as a client does that closes its socket."""
        self._held = False
        self.abort()

    # -- turns of the loop --------------------------------------------------------------

    def _give(self) -> None:
        while self._input and self._reading and not self._closing:
            data = self._input.pop(0)
            start = 0
            while start < len(data) and not self._closing:
                buffer = self._protocol.get_buffer(-1)
                size = min(len(buffer), len(data) - start)
                buffer[:size] = data[start : start + size]
                start += size
                self._protocol.buffer_updated(size)
                if start < len(data) and not self.is_reading():
                    self._input.insert(0, data[start:])
                    return

    def _schedule(self) -> None:
        if not self._scheduled and not self._over and not (self._held and self._size):
            self._scheduled = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._scheduled = False
        if self._held and self._size:
            return
        taken: list[bytes] = []
        size = 0
        while self._pieces and size < _AT_ONCE:
            taken.append(self._pieces.popleft())
            size += len(taken[-1])
        self._size -= size
        if taken:
            self._deliver(b"".join(taken))
        if self._writer_paused and self._size <= self._high // 4 and not self._over:
            self._writer_paused = False
            self._protocol.resume_writing()
        if self._pieces:
            self._schedule()
        elif self._closing and not self._over:
            self._over = True
            self._input.clear()
            self._protocol.connection_lost(None)
            self._ended()

    def _drop(self) -> None:
        self._pieces.clear()
        self._size = 0
