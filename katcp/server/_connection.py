"""A client, as the server sees it: who it is, what is sent to it, and when it has gone."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

from katcp.protocol import Message
from katcp.server._admission import host_of
from katcp.server._complaints import Complaints
from katcp.server._request import SENT, ClientRequestConnection, Sent
from katcp.server._under_way import UnderWay
from katcp.transport import keep_alive

if TYPE_CHECKING:
    from katcp.server._listener import KATCPServer

log = logging.getLogger("katcp.server")

#: How a client begins that speaks TLS: a handshake record of version 3.
_TLS_HELLO = b"\x16\x03"


class ClientConnection(UnderWay):
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
        "_disconnect_called",
        "_drained",
        "_gone",
        "address",
        "conn_id",
        "host",
        "since",
    )

    _complaints: Complaints

    def __init__(self, server: KATCPServer, conn_id: Any) -> None:
        super().__init__(server)
        self.conn_id = conn_id
        self.address = "unknown"
        self.host: str | None = None
        self.since = 0.0
        self._disconnect_called = False
        self._drained: asyncio.Future[None] | None = None
        self._gone: asyncio.Future[None] | None = None

    def __getattr__(self, name: str) -> Any:
        if name == "_complaints":
            server = self._server
            self._complaints = complaints = Complaints(
                self.pump.loop, server.max_complaints, lambda n: server.left_out(self, n)
            )
            return complaints
        return super().__getattr__(name)

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

    def may_complain(self) -> bool:
        """Take note of a bad line of this client; tell whether to complain of it."""
        return not self.closed and self._complaints.allow()


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
