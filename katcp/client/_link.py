"""The client's end of a connection.

The first line of a turn of the loop goes out at once, since somebody may be waiting for the
answer to just that one; what follows in the same turn goes out together at its end.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from katcp.client._runs import RunParser
from katcp.errors import KatcpClientError, KatcpSyntaxError
from katcp.protocol import DEFAULT_MAX_ARGUMENTS, WireMessage
from katcp.transport import LineConnection, Pump

#: `LineConnection` drops a peer that is behind by more than its backlog; a client is told
#: instead, by an exception, so that limit is never reached.
_NEVER = 2**62
#: A device that takes nothing for this long while output waits is given up [s].
_STALL_TIMEOUT = 30.0


class LinkOwner(Protocol):
    """Who wants to know of what happens on a link."""

    def link_opened(self, link: Link) -> None:
        """Take a connection that is there now."""

    def link_received(self, events: list[WireMessage | KatcpSyntaxError]) -> None:
        """Take messages and errors."""

    def link_lost(self, link: Link, reason: str) -> None:
        """Take note that a connection is gone."""


class Link(LineConnection):
    """A connection to a device.

    Parameters
    ----------
    owner : LinkOwner
    pump : Pump
    max_line : int
        Longest line taken [bytes].
    max_write_buffer_size : int
        With more than this unsent, further lines are refused [bytes].
    max_arguments : int
        Most arguments of a message taken.
    """

    __slots__ = ("_first", "gone", "max_write_buffer_size", "more", "owner")

    #: It yields runs of informs as soon as it is told of which.
    parser: RunParser

    def __init__(
        self,
        owner: LinkOwner,
        pump: Pump,
        max_line: int,
        max_write_buffer_size: int,
        max_arguments: int = DEFAULT_MAX_ARGUMENTS,
    ) -> None:
        super().__init__(pump, max_line, _NEVER, _STALL_TIMEOUT)
        self.parser = RunParser(max_line, max_arguments)
        self.owner = owner
        self.max_write_buffer_size = max_write_buffer_size
        #: Done when the connection is gone.
        self.gone: asyncio.Future[None] = pump.loop.create_future()
        # Whether nothing has been written since the last turn that we know of.
        self._first = True
        #: Whether lines need only be put to those that wait: a flush is due, and nothing is in
        #: its way.
        self.more = False

    @property
    def max_buffer_size(self) -> int:
        """Longest line taken [bytes]."""
        return self.parser.max_line

    @max_buffer_size.setter
    def max_buffer_size(self, size: int) -> None:
        self.parser.max_line = size

    @property
    def to_itself(self) -> bool:
        """Whether the two ends are one.

        TCP makes such connections when a port on this host that nobody listens on is tried
        until it happens to be given to the trier itself.
        """
        ends = [self.transport.get_extra_info(key) for key in ("sockname", "peername")]
        return ends[0] is not None and ends[0] == ends[1]

    def send(self, line: bytes) -> None:
        """Write `line`: at once if it is the first of this turn, else at the end of it.

        Raises
        ------
        KatcpClientError
            If too much waits to be sent already: the device does not read.
        """
        if self.more:
            self._lines.append(line)
            return
        if self.closed:
            return  # its owner is about to be told
        if self.write_blocked and self.unsent > self.max_write_buffer_size:
            raise KatcpClientError(
                f"More than {self.max_write_buffer_size} bytes wait to be sent to {self.peer}"
            )
        if self._first and not self._lines:
            self._first = False
            self.transport.write(line)
        else:
            super().send(line)
            self.more = not self.write_blocked

    def flush(self) -> None:
        """Hand everything that waits to the operating system, or to its queue."""
        super().flush()
        self._first = True
        self.more = False

    def opened(self) -> None:
        """Tell the owner."""
        self.owner.link_opened(self)

    def received(self, events: list[WireMessage | KatcpSyntaxError]) -> None:
        """Tell the owner."""
        self.owner.link_received(events)

    def lost(self, reason: str) -> None:
        """Tell the owner."""
        if not self.gone.done():
            self.gone.set_result(None)
        self.owner.link_lost(self, reason)

    def drop(self) -> None:
        """Close without waiting for anything."""
        transport: Any = self.transport
        if transport is not None:
            self.closed = True
            transport.abort()
