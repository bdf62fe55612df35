"""A client, as the server sees it: its messages in order, and what is sent to it."""

from __future__ import annotations

import asyncio
import collections
import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from katcp.errors import KatcpSyntaxError
from katcp.protocol import Message, WireMessage
from katcp.server._request import SENT, ClientRequestConnection, Sent
from katcp.transport import LineConnection

if TYPE_CHECKING:
    from katcp.server._listener import KATCPServer

log = logging.getLogger("katcp.server")

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


class ClientConnection(LineConnection):
    """One client of a server.

    Handlers and other code of a device use it to send to that client. What is sent to a client
    that has gone is dropped without an error.

    Parameters
    ----------
    server : KATCPServer
        Whose client it is.
    conn_id : object
        Tells it from the server's others, for people.

    Attributes
    ----------
    address : str
        ``host:port`` of the client, an IPv6 host in brackets.
    """

    __slots__ = (
        "__dict__",
        "__weakref__",
        "_busy",
        "_closing",
        "_disconnect_called",
        "_drained",
        "_gone",
        "_lost",
        "_server",
        "_waiting",
        "_waiting_bytes",
        "_waiting_paused",
        "address",
        "conn_id",
        "deferred",
        "midless",
        "requests",
    )

    #: Requests whose handlers are under way.
    requests: set[ClientRequestConnection]
    #: Requests whose handlers have ended and left the answer for later (`AsyncReply`).
    deferred: set[ClientRequestConnection]

    def __init__(self, server: KATCPServer, conn_id: Any) -> None:
        super().__init__(
            server.pump,
            server.max_line or server.MAX_MSG_SIZE,
            server.max_backlog or server.MAX_WRITE_BUFFER_SIZE,
            server.stall_timeout,
            server.max_arguments or server.MAX_ARGUMENTS,
        )
        self._server = server
        self.conn_id = conn_id
        self.address = "unknown"
        self._busy = False
        self._waiting: Any = ()
        self._waiting_bytes = 0
        self._waiting_paused = False
        self._disconnect_called = False
        self._closing = False
        self._drained: asyncio.Future[None] | None = None
        self._gone: asyncio.Future[None] | None = None
        self._lost = False
        #: Those of both that have no message id, by name.
        self.midless: dict[bytes, ClientRequestConnection] = {}

    # What most clients never need is made when it is first asked for: an idle connection takes
    # 2.5 kB so, sockets and all, and 4.5 kB otherwise.

    def __getattr__(self, name: str) -> Any:
        if name in ("requests", "deferred"):
            made: set[ClientRequestConnection] = set()
            setattr(self, name, made)
            return made
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _queue(self) -> collections.deque[Any]:
        """Return the messages that wait, to add to them."""
        if type(self._waiting) is tuple:
            self._waiting = collections.deque()
        queue: collections.deque[Any] = self._waiting
        return queue

    # -- what devices call --------------------------------------------------------------

    def inform(self, msg: Message) -> Sent:
        """Send an inform to this client."""
        self._expect(msg, Message.INFORM)
        self.send(bytes(msg) + b"\n")
        return SENT

    def reply_inform(self, inform: Message, orig_req: Message) -> Sent:
        """Send an inform that belongs to the reply to `orig_req`, with that one's id."""
        self._expect(inform, Message.INFORM, orig_req)
        return self._send_for(inform, orig_req)

    def reply(self, reply: Message, orig_req: Message) -> Sent:
        """Send a reply to `orig_req`, with that one's id."""
        self._expect(reply, Message.REPLY, orig_req)
        return self._send_for(reply, orig_req)

    def _send_for(self, msg: Message, orig_req: Message) -> Sent:
        msg.mid = orig_req.mid
        self.send(bytes(msg) + b"\n")
        return SENT

    @staticmethod
    def _expect(msg: Message, mtype: int, orig_req: Message | None = None) -> None:
        if msg.mtype != mtype:
            raise AssertionError(f"{msg!r} is not of type {Message.TYPE_NAMES[mtype].lower()}.")
        if orig_req is not None and msg.name != orig_req.name:
            raise AssertionError(f"{msg!r} does not belong to {orig_req!r}.")

    def mass_inform(self, msg: Message) -> Sent:
        """Send an inform to all clients of the server."""
        return self._server.mass_send_message(msg)

    def disconnect(self, reason: str) -> Any:
        """Tell the client why (``#disconnect``), then close the connection."""
        return self._server.disconnect(self, reason)

    def flush_on_close(self) -> Any:
        """Close once all that waits is written; nothing more can be sent. Returns a future."""
        self.close()
        return SENT

    @property
    def client_disconnect_called(self) -> bool:
        """Whether `on_client_disconnect` has been called for this client."""
        return self._disconnect_called

    def on_client_disconnect_was_called(self) -> None:
        """Take note that `on_client_disconnect` has been called."""
        self._disconnect_called = True

    def __repr__(self) -> str:
        return f"<ClientConnection {self.address}>"

    # -- events of the transport --------------------------------------------------------

    def opened(self) -> None:
        """Greet the client."""
        self.address = self.peer
        self._server.connected(self)

    def lost(self, reason: str) -> None:
        """Forget the client."""
        self._drop_waiting()
        self._wake_writer()
        self._lost = True
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(None)
        self._server.disconnected(self, reason)

    def subject_of(self, line: bytes) -> bytes | None:
        """Return the sensor that a line is a reading of; None if it is none."""
        words = line.split(b" ", 4)
        # With an id it would belong to a reply; more than one reading is none of ours.
        if len(words) == 5 and words[0] == b"#sensor-status" and words[2] == b"1":
            return words[3]
        return None

    def overrun(self) -> None:
        """Close: the client sends a line without an end."""
        self.disconnect("Line too long")

    def writable(self) -> None:
        """Go on with what had to wait for the writer."""
        self._wake_writer()
        if not self._busy and self._waiting:
            self._go_on()

    def _wake_writer(self) -> None:
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        self._drained = None

    async def until_lost(self, timeout: float) -> bool:
        """Wait until the connection is gone [s]; tell whether it is."""
        if not self._lost:
            if self._gone is None:
                self._gone = self.pump.loop.create_future()
            await asyncio.wait([self._gone], timeout=timeout)
        return self._lost

    async def until_writable(self) -> None:
        """Wait until the client has taken most of what it was sent, or is gone."""
        while self.write_blocked and not self.closed:
            if self._drained is None:
                self._drained = self.pump.loop.create_future()
            await asyncio.shield(self._drained)

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

    # -- one message after the other ----------------------------------------------------

    def hold(self) -> None:
        """Let the messages of this client wait until `proceed`."""
        self._busy = True

    def put_back(self, event: WireMessage | KatcpSyntaxError) -> None:
        """Have a message handled again, before those that wait."""
        self._queue().appendleft(event)

    def proceed(self) -> None:
        """Go on with messages that wait."""
        self._busy = False
        if self._waiting:
            self._go_on()
        elif self._waiting_paused:
            self._bound()

    def finish(self, req: ClientRequestConnection, answer: Callable[[], bool]) -> None:
        """Send the answer to a request that took its time, and go on if there is one.

        While further requests of this client wait, the answer waits for theirs, for as long as a
        sensor update may; otherwise it is written at once.
        """
        on_done, req.on_done = req.on_done, None
        self.begin_output()
        try:
            if not answer():
                req.on_done = on_done
            elif on_done is not None:
                on_done()
        finally:
            self.end_output(at_once=not self._waiting)

    def answered(self, req: ClientRequestConnection) -> None:
        """Take note that a deferred request has its answer."""
        if req in self.deferred:
            self.deferred.discard(req)
            if self.midless.get(req.name) is req:
                del self.midless[req.name]
            if req.on_done is not None:
                req.on_done()

    def _handle(self, events: list[WireMessage | KatcpSyntaxError]) -> None:
        """Handle messages, of which none waited."""
        start = self._server.start_message  # of the device, once for the batch
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
        start = self._server.start_message
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
        if self.write_blocked or (deadline and time.monotonic() > deadline):
            return 0
        return 1 if heavy else min(2 * step, _SLICE_STEP)

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


class ThreadsafeClientConnection(ClientConnection):
    """A client that handlers in other threads may send to."""

    def send(self, line: bytes) -> None:
        """Send from any thread; lines of one thread keep their order."""
        server = self._server
        if threading.get_ident() == server.ioloop_thread_id:
            super().send(line)
        else:
            server.in_loop(super().send, line)

    def answered(self, req: ClientRequestConnection) -> None:
        """Take note that a deferred request has its answer; from any thread."""
        self._server.in_loop(super().answered, req)

    def flush_on_close(self) -> Any:
        """Close once all that waits is written; from any thread."""
        self._server.in_loop(super().flush_on_close)
        return SENT
