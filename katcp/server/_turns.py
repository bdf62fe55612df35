"""The messages of one client in order, each in its turn.

A message is handled at once unless something is in its way: a request before it that has to be
answered first, too many requests under way, or a writer that is behind. What cannot be handled
yet waits here, up to a few hundred messages; then the socket is no longer read, and the rest waits
in the network. A client with much to handle lets the others have their turn every few milliseconds.
"""

from __future__ import annotations

import collections
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from katcp.errors import KatcpSyntaxError
from katcp.protocol import WireMessage
from katcp.transport import LineConnection

if TYPE_CHECKING:
    from katcp.server._listener import KATCPServer

#: Messages of one client that wait their turn before its socket is no longer read, and the
#: length of their arguments [bytes].
MAX_WAITING = 256
MAX_WAITING_BYTES = 1024 * 1024
#: How long the messages of one client may keep the loop before others get a turn [s].
TIME_SLICE = 0.01
#: Most messages between two looks at the clock, and bytes of output that are written on the way.
_SLICE_STEP = 64
_SLICE_BYTES = 64 * 1024
_SLICE_LINES = 500


class Turns(LineConnection):
    """The part of `ClientConnection` that has its messages handled.

    Parameters
    ----------
    server : KATCPServer
        Whose client it is; has the limits of the connection, and the device that handles messages.
    """

    __slots__ = (
        "_busy",
        "_closing",
        "_ordered",
        "_server",
        "_waiting",
        "_waiting_bytes",
        "_waiting_paused",
        "full",
    )

    def __init__(self, server: KATCPServer) -> None:
        super().__init__(
            server.pump,
            server.max_line or server.MAX_MSG_SIZE,
            server.max_backlog or server.MAX_WRITE_BUFFER_SIZE,
            server.stall_timeout,
            server.max_arguments or server.MAX_ARGUMENTS,
        )
        self._server = server
        # Why the next message waits: for the answer to one before it, or for there being too many
        # requests under way (`Load`). `_busy` is whether there is any reason.
        self._ordered = False
        self.full = False
        self._busy = False
        self._waiting: Any = ()
        self._waiting_bytes = 0
        self._waiting_paused = False
        self._closing = False

    def received(self, events: list[WireMessage | KatcpSyntaxError]) -> None:
        """Handle what came, in order; what cannot be handled yet waits."""
        if self._closing:
            return
        if self._busy or self._waiting or self.write_blocked:
            self._queue().extend(events)
            for event in events:
                if not isinstance(event, KatcpSyntaxError):
                    self._waiting_bytes += sum(map(len, event.arguments))
            self._bound()
            return
        self._handle(events)

    def hold(self) -> None:
        """Let the messages of this client wait until `proceed`."""
        self._ordered = True
        self._busy = True

    def put_back(self, event: WireMessage | KatcpSyntaxError) -> None:
        """Have a message handled again, before those that wait."""
        self._queue().appendleft(event)

    def proceed(self) -> None:
        """Go on with messages that wait."""
        self._ordered = False
        self._busy = self.full
        if self._waiting:
            self._go_on()
        elif self._waiting_paused:
            self._bound()

    def hold_back(self) -> None:
        """Let the messages of this client wait: too many of its requests are under way."""
        self.full = True
        self._busy = True

    def let_go(self) -> None:
        """Go on with them in the next turn of the loop."""
        self.full = False
        self.pump.loop.call_soon(self._go_on_again)

    def _go_on_again(self) -> None:
        if not self.full and not self._ordered:
            self.proceed()

    def _handle(self, events: list[WireMessage | KatcpSyntaxError]) -> None:
        """Handle messages, of which none waited."""
        # Of the device, once for the batch.
        start: Callable[[Any, WireMessage | KatcpSyntaxError], bool] = self._server.start_message
        count = 0
        step, look = 1, 2
        deadline = 0.0
        for event in events:
            count += 1
            if start(self, event):
                break
            if count == look:
                step = self._next_look(step, deadline)
                if not step:
                    self.pump.loop.call_soon(self._go_on)
                    break
                look += step
                deadline = deadline or time.monotonic() + TIME_SLICE
        if count < len(events) and not self._closing:
            self._queue().extend(events[count:])
            self._bound()

    def _go_on(self) -> None:
        """Handle messages that waited."""
        start: Callable[[Any, WireMessage | KatcpSyntaxError], bool] = self._server.start_message
        waiting = self._waiting
        count = 0
        step, look = 1, 2
        deadline = 0.0
        while waiting and not (self._busy or self._closing or self.write_blocked):
            count += 1
            if start(self, waiting.popleft()):
                break
            if count == look:
                step = self._next_look(step, deadline)
                if not step:
                    self.pump.loop.call_soon(self._go_on)
                    break
                look += step
                deadline = deadline or time.monotonic() + TIME_SLICE
        self._bound()

    def _next_look(self, step: int, deadline: float) -> int:
        """Return after how many messages to call this again.

        0 means that others should have a turn, or that the writer has to catch up first. Messages
        with much output are looked at one by one, so that it is not all made before the first of
        it is written.
        """
        heavy = sum(map(len, self._lines)) > _SLICE_BYTES
        if heavy or len(self._lines) > _SLICE_LINES:  # or counting them would take long
            self.flush()
        if self.write_blocked or self.full or (deadline and time.monotonic() > deadline):
            return 0
        return 1 if heavy else min(2 * step, _SLICE_STEP)

    def _queue(self) -> collections.deque[Any]:
        """Return the messages that wait, to add to them."""
        if type(self._waiting) is tuple:
            self._waiting = collections.deque()
        queue: collections.deque[Any] = self._waiting
        return queue

    def _bound(self) -> None:
        """Read from the client only while it does not have too much waiting here."""
        if not self._waiting:
            self._waiting_bytes = 0
            if self._waiting_paused:
                self._waiting_paused = False
                self.resume_reading()
        elif not self._waiting_paused and (
            len(self._waiting) > MAX_WAITING or self._waiting_bytes > MAX_WAITING_BYTES
        ):
            self._waiting_paused = True
            self.pause_reading()

    def stop_handling(self) -> None:
        """Handle nothing more of this client."""
        self._closing = True
        self._drop_waiting()

    def _drop_waiting(self) -> None:
        if self._waiting:
            self._waiting.clear()
