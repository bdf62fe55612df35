"""When bytes are written: once a turn of the loop for each connection, however many lines.

Operations wanted: any number of small lines to any number of connections in one turn of the
loop, with one system call each; sensor updates that may wait a moment for company; replies that
may not.

Plan: a connection collects lines in a list. Lines that came about while its own input was being
handled are written when that is done; others at the end of the turn (one callback for all
connections); sensor updates after `coalesce` seconds at the latest (one timer for all). Whatever
is written first takes along all that waits, so the order of lines is that of their making.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from katcp.transport._turns import Turns

#: Size of the read buffer [bytes]. It bounds how many lines one turn of the loop can bring.
READ_SIZE = 64 * 1024

#: How many connections are written to in one turn of the loop. A write takes 10 to 40 µs: 2,000 of
#: them would keep everybody waiting for as much as 80 ms.
FLUSH_AT_ONCE = 256


class Flushable(Protocol):
    """A connection with lines to write."""

    def flush(self) -> None:
        """Write what waits."""


class Chunk:
    """Items that go to several connections, and are written once for all of them.

    It may grow while it is the last that each of its connections has waiting; whoever has to put
    something behind it, or to write it, closes it.

    Parameters
    ----------
    item : object
        The first of `items`, to which more may be appended while it is `open`.
    write : callable
        Makes lines of the items, each ended by LF: many at once take less time than one by one.
    """

    __slots__ = ("_data", "_write", "items", "open")

    def __init__(self, item: Any, write: Callable[[list[Any]], bytes]) -> None:
        self.open = True
        self.items = [item]
        self._write = write
        self._data = b""

    def close(self) -> bytes:
        """Let it grow no more, and return the lines."""
        if self.open:
            self.open = False
            self._data = self._write(self.items)
        return self._data


class Pump:
    """The write schedule and the read buffer that all connections of one end share.

    Parameters
    ----------
    loop : asyncio.AbstractEventLoop
    coalesce : float
        How long a sensor update may wait for company [s]; 0: only to the end of the turn.

    Attributes
    ----------
    turns : Turns
        Of those connections that have sent bad lines lately.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, coalesce: float = 0.0) -> None:
        self.loop = loop
        self.coalesce = coalesce
        self.turns = Turns(loop)
        # A buffer for each connection would cost 64 kB for each idle one. On a selector loop the
        # bytes are taken out of it before any other connection is read; a proactor loop reads
        # into the buffers of all connections at once.
        self._shared = None if _reads_ahead(loop) else memoryview(bytearray(READ_SIZE))
        self._soon: list[Flushable] = []
        self._later: list[Flushable] = []

    def read_buffer(self) -> memoryview:
        """Return a buffer to read into."""
        return memoryview(bytearray(READ_SIZE)) if self._shared is None else self._shared

    def flush_soon(self, connection: Flushable) -> None:
        """Write what `connection` has at the end of this turn of the loop."""
        if not self._soon:
            self.loop.call_soon(self._flush_soon)
        self._soon.append(connection)

    def flush_later(self, connection: Flushable) -> None:
        """Write what `connection` has within `coalesce` seconds."""
        if not self._later:
            if self.coalesce > 0:
                self.loop.call_later(self.coalesce, self._flush_later)
            else:
                self.loop.call_soon(self._flush_later)
        self._later.append(connection)

    def _flush_soon(self) -> None:
        connections, self._soon = self._soon, []
        self._flush(connections)

    def _flush_later(self) -> None:
        connections, self._later = self._later, []
        self._flush(connections)

    def _flush(self, connections: list[Flushable]) -> None:
        if len(connections) > FLUSH_AT_ONCE:
            self.loop.call_soon(self._flush, connections[FLUSH_AT_ONCE:])
            connections = connections[:FLUSH_AT_ONCE]
        for connection in connections:
            connection.flush()


def _reads_ahead(loop: asyncio.AbstractEventLoop) -> bool:
    proactor = getattr(asyncio, "ProactorEventLoop", None)
    return proactor is not None and isinstance(loop, proactor)
