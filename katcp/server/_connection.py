"""A client, as the server sees it: its messages in order, and what is sent to it."""

from __future__ import annotations

import asyncio
import collections
import logging
import socket
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from katcp.errors import KatcpSyntaxError
from katcp.protocol import Message, WireMessage
from katcp.server._admission import host_of
from katcp.server._complaints import Complaints
from katcp.server._request import SENT, ClientRequestConnection, Sent
from katcp.transport import LineConnection, keep_alive

if TYPE_CHECKING:
    from katcp.server._listener import KATCPServer

log = logging.getLogger("katcp.server")

#: How a client begins that speaks TLS: a handshake record of version 3.
_TLS_HELLO = b"\x16\x03"
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
    host : str or None
        Address of its computer; empty for a Unix socket, None if it cannot be told.
    since : float
        When it came [s since 1970].
    """

    __slots__ = (
        "__dict__",
        "__weakref__",
        "_busy",
        "_closing",
        "_disconnect_called",
        "_drained",
        "_gone",
        "_load",
        "_lost",
        "_ordered",
        "_server",
        "_waiting",
        "_waiting_bytes",
        "_waiting_paused",
        "address",
        "conn_id",
        "deferred",
        "full",
        "host",
        "midless",
        "requests",
        "since",
        "under_way",
    )

    #: Requests whose handlers are under way.
    requests: set[ClientRequestConnection]
    #: Requests whose handlers have ended and left the answer for later (`AsyncReply`).
    deferred: set[ClientRequestConnection]
    _complaints: Complaints

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
        self.host: str | None = None
        self.since = 0.0
        # Why the next message waits: for the answer to one before it, or for there being too many
        # requests under way (`Load`). `_busy` is whether there is any reason.
        self._ordered = False
        self.full = False
        self._busy = False
        self.under_way = 0
        self._load = server.load
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
        if name == "_complaints":
            server = self._server
            self._complaints = complaints = Complaints(
                self.pump.loop, server.max_complaints, lambda n: server.left_out(self, n)
            )
            return complaints
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
        sent = self._send_for(reply, orig_req)
        self._replied(orig_req)
        return sent

    #: The request that was last answered by hand, and not by what stands for it.
    _answered_by_hand: Message | None = None

    def _replied(self, orig_req: Message) -> None:
        """Take note of a reply that was sent by hand: a deferred request may wait for it."""
        self._answered_by_hand = orig_req
        for req in self.deferred if self.under_way else ():
            if req.msg is orig_req:
                req.answered = True
                self.answered(req)
                break

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
        self.host = host_of(self.transport)
        self.since = time.time()
        self._server.connected(self)

    def keep_alive(self, sock: socket.socket) -> None:
        """Have the system look whether the client is still there, as the server wants it."""
        if self._server.keepalive is not None:
            keep_alive(sock, *self._server.keepalive)

    def lost(self, reason: str) -> None:
        """Forget the client."""
        self._drop_waiting()
        self._wake_writer()
        if self.parser.beginning.startswith(_TLS_HELLO):
            log.warning("%s speaks TLS, but this server does not", self.address)
        complaints = self.__dict__.pop("_complaints", None)
        if complaints is not None:
            complaints.stop()
        self._lost = True
        # Whoever is to answer them may do so much later, or never.
        self._leave(len(self.deferred) if self.under_way else 0)
        if self._load is not None:
            self._load.forget(self)
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

    def may_complain(self) -> bool:
        """Take note of a bad line of this client; tell whether to complain of it."""
        return not self.closed and self._complaints.allow()

    # -- one message after the other ----------------------------------------------------

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

    def begin(self, req: ClientRequestConnection) -> None:
        """Take note of a request whose handler is under way."""
        self.requests.add(req)
        self._enter()

    def defer(self, req: ClientRequestConnection) -> None:
        """Take note of a request whose handler has left the answer for later."""
        if self._answered_by_hand is not None and self._answered_by_hand is req.msg:
            req.answered = True
        self.deferred.add(req)
        self._enter()

    def _enter(self) -> None:
        """Take note of one more request that is under way."""
        self.under_way += 1
        load = self._load
        if load is not None:
            load.total += 1
            # As `Load.check` does, which takes 0.2 µs to call.
            if load.total >= load.most or self.under_way >= load.most_each:
                load.check(self)

    def _leave(self, count: int = 1) -> None:
        """Take note of requests that are under way no more."""
        self.under_way -= count
        load = self._load
        if load is not None:
            load.total -= count
            if self.full or load.waiting:
                load.release(self)

    def drop_deferred(self) -> None:
        """Forget the requests that are to be answered later."""
        count = len(self.deferred)
        self.deferred.clear()
        if not self._lost:
            self._leave(count)

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
            self._leave()
            self.end_output(at_once=not self._waiting)

    def answered(self, req: ClientRequestConnection) -> None:
        """Take note that a deferred request has its answer."""
        if req in self.deferred:
            self.deferred.discard(req)
            if self.midless.get(req.name) is req:
                del self.midless[req.name]
            if req.on_done is not None:
                req.on_done()
            if not self._lost:
                self._leave()

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
        if self.write_blocked or self.full or (deadline and time.monotonic() > deadline):
            return 0
        return 1 if heavy else min(2 * step, _SLICE_STEP)

    @property
    def occupied(self) -> bool:
        """Whether the client may be silent because it waits for something."""
        return bool(self.under_way or self._waiting or self._waiting_paused or self.unsent)

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

    def _replied(self, orig_req: Message) -> None:
        self._server.in_loop(super()._replied, orig_req)

    def flush_on_close(self) -> Any:
        """Close once all that waits is written; from any thread."""
        self._server.in_loop(super().flush_on_close)
        return SENT
