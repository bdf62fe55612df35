"""A connection without sockets: two transports, each of which hands the other what is written."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

#: Above this many bytes on the way a writer is asked to pause, unless it sets another limit.
_HIGH_WATER = 64 * 1024


class MemoryTransport(asyncio.Transport):
    """One end of a connection within this process.

    Bytes arrive in a later turn of the loop, as they would from a socket.

    Parameters
    ----------
    loop : asyncio.AbstractEventLoop
    protocol : asyncio.BufferedProtocol
        Gets what the other end writes.
    extra : dict
        What `get_extra_info` knows: ``peername``, ``sockname``.
    before_lost : callable, optional
        Awaited before the protocol is told that the connection is gone.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        protocol: asyncio.BufferedProtocol,
        extra: dict[str, Any],
        before_lost: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        super().__init__(extra)
        self._loop = loop
        self._protocol = protocol
        self._before_lost = before_lost
        self.peer: MemoryTransport = self  # until `join`
        self._arrived = bytearray()
        self._scheduled = False
        self._delivering = False
        self._reading = True
        self._end_of_input = False
        self._closing = False
        self._ending: asyncio.Task[None] | None = None
        self._high = _HIGH_WATER
        self._told_to_pause = False

    # -- writing ------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Hand bytes to the other end."""
        if not self._closing:
            self.peer.take(bytes(data))
            if self.peer.waiting > self._high and not self._told_to_pause:
                self._told_to_pause = True
                self._protocol.pause_writing()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set above how many bytes on the way the protocol is to pause."""
        self._high = _HIGH_WATER if high is None else high

    def get_write_buffer_size(self) -> int:
        """Return how many bytes the other end has not taken yet."""
        return self.peer.waiting

    def other_end_has_read(self) -> None:
        """Take note that the other end has taken what there was."""
        if self._told_to_pause and not self._closing:
            self._told_to_pause = False
            self._protocol.resume_writing()

    # -- reading ------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """Bytes that have arrived and that the protocol has not been given."""
        return len(self._arrived)

    def take(self, data: bytes) -> None:
        """Take bytes from the other end, for the protocol to be given soon."""
        self._arrived += data
        self._schedule()

    def take_end(self) -> None:
        """Take note that the other end has closed; what it wrote before comes first."""
        self._end_of_input = True
        self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled and self._reading:
            self._scheduled = True
            self._loop.call_soon(self._deliver_soon)

    def _deliver_soon(self) -> None:
        self._scheduled = False
        self.deliver()

    def deliver(self) -> None:
        """Give the protocol now what has arrived."""
        if self._delivering:
            return  # called by what it was given; the rest follows
        self._delivering = True
        try:
            while self._arrived and self._reading and not self._closing:
                buffer = memoryview(self._protocol.get_buffer(-1))
                count = min(len(buffer), len(self._arrived))
                buffer[:count] = self._arrived[:count]
                del self._arrived[:count]
                self._protocol.buffer_updated(count)
        finally:
            self._delivering = False
        if not self._arrived:
            self.peer.other_end_has_read()
            if self._end_of_input and self._reading and not self._closing:
                self._protocol.eof_received()
                self.close()

    def pause_reading(self) -> None:
        """Give the protocol nothing for now."""
        self._reading = False

    def resume_reading(self) -> None:
        """Go on giving it what arrives."""
        self._reading = True
        if self._arrived or self._end_of_input:
            self._schedule()

    # -- the end ------------------------------------------------------------------------

    def is_closing(self) -> bool:
        """Tell whether the connection is closed, or about to be."""
        return self._closing

    def close(self) -> None:
        """Close; the other end is given what was written before."""
        if not self._closing:
            self._closing = True
            self.peer.take_end()
            self._ending = self._loop.create_task(self._end())

    def abort(self) -> None:
        """Close, and lose what is on the way."""
        self.peer.forget()
        self.close()

    def forget(self) -> None:
        """Lose what has arrived."""
        self._arrived.clear()

    async def _end(self) -> None:
        try:
            if self._before_lost is not None:
                await self._before_lost()
        finally:
            self._protocol.connection_lost(None)


def join(one: MemoryTransport, other: MemoryTransport) -> None:
    """Make two transports the ends of one connection."""
    one.peer, other.peer = other, one
