"""What handlers of fake requests are given, and what stands where a server's parts would."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from katcp.ioloop_manager import ThreadsafeFuture
from katcp.protocol import Message
from katcp.server import ClientConnection, ClientRequestConnection

#: What stands for the address of a fake client.
CLIENT_NAME = "fake-async-client"


class FakeKATCPServerError(Exception):
    """Something was sent by way of a connection that leads nowhere."""


class FakeKATCPServer:
    """Stands for the socket side of a server where there is none: nothing can be sent by it."""

    def send_message(self, conn_id: Any, msg: Message) -> Any:
        """Refuse to send.

        Raises
        ------
        FakeKATCPServerError
            Always.
        """
        raise FakeKATCPServerError("A fake connection or request leads nowhere: nothing is sent.")

    def mass_send_message(self, msg: Message) -> Any:
        """Refuse to send; see `send_message`."""
        return self.send_message(None, msg)

    def flush_on_close(self) -> Any:
        """Return a future that is done: there is nothing to flush."""
        return _done()

    def get_address(self, conn_id: Any) -> str:
        """Return what stands for an address."""
        return f"<fake-client-connection: {str(conn_id)!r}>"


class FakeClientConnection(ClientConnection):
    """A connection that leads nowhere, for requests that are made up without any.

    Parameters
    ----------
    server : FakeKATCPServer
    conn_id : object
        Part of its `address`.
    """

    def __init__(self, server: Any, conn_id: Any) -> None:
        # Nothing of the real one's is begun: it has no transport, and never will have.
        self._fake_server = server
        self._conn_id = conn_id

    @property
    def address(self) -> str:  # type: ignore[override]  # read-only here
        """What stands for an address."""
        return str(self._fake_server.get_address(self._conn_id))

    def inform(self, msg: Message) -> Any:
        """Refuse to send: `FakeKATCPServerError`."""
        return self._fake_server.send_message(self._conn_id, msg)

    def reply(self, reply: Message, orig_req: Message) -> Any:
        """Refuse to send: `FakeKATCPServerError`."""
        return self._fake_server.send_message(self._conn_id, reply)

    def reply_inform(self, inform: Message, orig_req: Message) -> Any:
        """Refuse to send: `FakeKATCPServerError`."""
        return self._fake_server.send_message(self._conn_id, inform)

    def mass_inform(self, msg: Message) -> Any:
        """Refuse to send: `FakeKATCPServerError`."""
        return self._fake_server.mass_send_message(msg)

    def disconnect(self, reason: str) -> Any:
        """Do nothing: there is no connection to close."""
        return _done()

    def flush_on_close(self) -> Any:
        """Return a future that is done."""
        return self._fake_server.flush_on_close()

    def __repr__(self) -> str:
        return f"<FakeClientConnection {self.address}>"


class FakeClientRequestConnection(ClientRequestConnection):
    """A request to a fake device. It remembers the informs that were sent for it.

    Handlers that a fake client calls are given one that is wired to that client. One that a test
    makes itself, ``FakeClientRequestConnection(client_connection, req_msg)``, keeps its informs,
    and sends replies by way of `client_connection`.

    Attributes
    ----------
    client_connection : ClientConnection
    msg : Message
        The request.
    informs_sent : list of Message
        What `inform` made, in order.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.informs_sent: list[Message] = []
        # The request of a live connection, which does the work if there is one.
        self._live: ClientRequestConnection | None = None

    @classmethod
    def wired_to(cls, live: ClientRequestConnection) -> FakeClientRequestConnection:
        """Return a fake by which a request of a live connection is answered."""
        fake = cls(live.client_connection, live.msg)
        fake._live = live
        return fake

    def inform(self, *args: object) -> Any:
        """Send an inform that belongs to the reply, and remember it.

        Raises
        ------
        RuntimeError
            After the reply.
        """
        if self._live is not None:
            sent = self._live.inform(*args)
        elif self.answered:
            return self.inform_after_reply(*args)
        else:
            sent = _done()
        self.informs_sent.append(Message.reply_inform(self.msg, *args))
        return sent

    def send_reply(self, arguments: Sequence[bytes]) -> Any:
        """Send the reply, of arguments that are bytes already.

        Raises
        ------
        RuntimeError
            If it has been sent.
        FakeKATCPServerError
            If the connection leads nowhere.
        """
        return (
            super().send_reply(arguments)
            if self._live is None
            else self._live.send_reply(arguments)
        )


def _done() -> ThreadsafeFuture:
    """Return a future of None that is done, whatever loop there is or is not."""
    future = ThreadsafeFuture()
    future.set_result(None)
    return future
