"""Requests and connections for tests of handlers, without sockets."""

from __future__ import annotations

import asyncio
from typing import Any

from katcp.ioloop_manager import ThreadsafeFuture
from katcp.protocol import Message
from katcp.server import ClientConnection, ClientRequestConnection
from katcp.testutils._mocks import WaitingMock


class ClientConnectionTest:
    """Stands for the connection of a client, and keeps what is sent to it.

    Attributes
    ----------
    messages : list of Message
        Informs and replies.
    mass_informs : list of Message
        Informs to all clients.
    """

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.mass_informs: list[Message] = []

    def inform(self, msg: Message) -> None:
        """Keep an inform."""
        self.messages.append(msg)

    def reply(self, msg: Message, req_msg: Message) -> None:
        """Keep a reply."""
        self.messages.append(msg)

    def reply_inform(self, msg: Message, req_msg: Message) -> None:
        """Keep an inform that belongs to a reply."""
        self.messages.append(msg)

    def mass_inform(self, msg: Message) -> None:
        """Keep an inform to all clients."""
        self.mass_informs.append(msg)

    @property
    def informs(self) -> list[Message]:
        """Informs among the messages."""
        return [msg for msg in self.messages if msg.mtype == Message.INFORM]

    @property
    def replies(self) -> list[Message]:
        """Replies among the messages."""
        return [msg for msg in self.messages if msg.mtype == Message.REPLY]


class _MockRequest(WaitingMock):
    """What `mock_req` returns: a mock of a request that a handler can be called with.

    A real request stands behind it, so that a server can follow what becomes of it.
    """

    msg: Message
    reply_msg: Message | None
    inform_msgs: list[Message]
    reply_and_inform_msgs_future: ThreadsafeFuture
    real: ClientRequestConnection

    def _get_child_mock(self, /, **kwargs: Any) -> WaitingMock:
        return WaitingMock(**kwargs)

    def begin(self) -> None:
        """Begin afresh: no informs, no reply."""
        own = self.__dict__
        own["real"] = ClientRequestConnection(_Answers(self), own["msg"])
        self.reply_msg = None
        self.inform_msgs = []
        self.reply_and_inform_msgs_future = ThreadsafeFuture()

    def take_inform(self, msg: Message) -> None:
        """Take note of an inform that belongs to the reply."""
        self.inform_msgs.append(msg)

    def take_reply(self, msg: Message) -> None:
        """Take note of the reply."""
        self.reply_msg = msg
        future = self.reply_and_inform_msgs_future
        if not future.done():
            future.set_result((msg, self.inform_msgs))

    # What a server looks at and does in following a request.

    @property
    def answered(self) -> Any:
        return self.real.answered

    @property
    def on_done(self) -> Any:
        return self.real.on_done

    @on_done.setter
    def on_done(self, callback: Any) -> None:
        self.real.on_done = callback

    @property
    def has_mid(self) -> bool:
        return self.real.has_mid

    @property
    def name(self) -> bytes:
        return self.real.name

    @property
    def books(self) -> Any:
        return self.real.books

    def send_reply(self, arguments: Any) -> Any:
        return self.reply(*arguments)

    def abandon(self) -> None:
        self.real.abandon()


class _Answers:
    """The connection that a mock request is taken to have come by: gives it the answers."""

    def __init__(self, req: _MockRequest) -> None:
        self._req = req

    def katcp_request(self, msg: Message) -> _MockRequest:
        """Return the request that the handler gets (called by the server)."""
        return self._req

    def inform(self, msg: Message) -> None:
        self._req.take_inform(msg)

    def reply_inform(self, msg: Message, orig_req: Message) -> None:
        self._req.take_inform(msg)

    def reply(self, msg: Message, orig_req: Message) -> None:
        self._req.take_reply(msg)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._req.client_connection, name)


def mock_req(req_name: str, *args: Any, **kwargs: Any) -> Any:
    """Make a mock of a request, to call a handler with.

    Parameters
    ----------
    req_name : str
    *args : object
        Arguments of the request.
    server : DeviceServer, optional
        The request gets a `ClientConnection` of this server, that leads nowhere.
    client_conn : object, optional
        The request is taken to have come by this connection. By default by a mock.
    sock : socket.socket, optional
        Whose peer is the address of that `ClientConnection`.

    Returns
    -------
    WaitingMock
        With `msg`, `client_connection`, and what a request has: `inform`, `reply`,
        `reply_with_message`, `make_reply`, `mass_inform`; each call is recorded. `reply_msg` and
        `inform_msgs` are what the handler has sent, and `reply_and_inform_msgs_future` is a
        thread-safe future of both.

    Raises
    ------
    TypeError
        For both `server` and `client_conn`.
    """
    server = kwargs.get("server")
    client_conn = kwargs.get("client_conn")
    sock = kwargs.get("sock")
    if server is not None and client_conn is not None:
        raise TypeError("Specify either server or client_conn, not both")
    req = _MockRequest()
    req.msg = Message.request(req_name, *args)
    req.begin()
    if server is not None:
        client_conn = ClientConnection(server._server, sock)  # noqa: SLF001  # its socket side
        client_conn.begin_output()  # nothing is ever written: what is sent to it stays there
        peer = getattr(sock, "getpeername", lambda: None)()
        if isinstance(peer, tuple):
            client_conn.address = f"{peer[0]}:{peer[1]}"
    if client_conn is not None:
        req.client_connection = client_conn
    else:
        # A server that is handed this connection itself finds the request by it.
        req.client_connection.reply.side_effect = lambda reply, orig: req.take_reply(reply)
    req.inform.side_effect = lambda *words: req.real.inform(*words)
    req.reply.side_effect = lambda *words: req.real.reply(*words)
    req.reply_with_message.side_effect = lambda msg: req.real.reply_with_message(msg)
    req.make_reply.side_effect = lambda *words: req.real.make_reply(*words)
    return req


def handle_mock_req(dev: Any, req: Any) -> Any:
    """Have a device handle a mock request, as if it came from a client.

    Parameters
    ----------
    dev : DeviceServer
        Started or not.
    req : WaitingMock
        From `mock_req`.

    Returns
    -------
    future
        Thread-safe, of ``(reply, [informs])``.
    """
    if req.answered:
        req.begin()
    outcome: ThreadsafeFuture = req.reply_and_inform_msgs_future

    def handle() -> None:
        try:
            dev.handle_request(_Answers(req), req.msg)
        except Exception as error:
            if outcome.done():
                raise
            outcome.set_exception(error)

    # Any object that handles requests will do.
    running = getattr(dev, "running", None)
    loop = dev.ioloop if running is not None and running() else None
    if loop is None or _is_running_here(loop.asyncio_loop):
        handle()
    else:
        loop.add_callback(handle)
    return outcome


def _is_running_here(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False
