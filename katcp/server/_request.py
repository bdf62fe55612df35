"""One request of a client, and the ways to answer it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any

from katcp.protocol import Message, WireMessage, escape, format_argument, wire_mid

#: State of a request that was answered by the server because its handler cannot end in time.
ABANDONED = "abandoned"


class Sent:
    """What sending returns: a future that is done already.

    Users may await it, yield it or ask it for its result; lines are written by the end of the
    loop's turn, and a client that does not take them is the server's business.
    """

    def __await__(self) -> Generator[Any, None, None]:
        return
        yield

    def result(self, timeout: float | None = None) -> None:
        """Return None."""

    def exception(self, timeout: float | None = None) -> None:
        """Return None."""

    def done(self) -> bool:
        """Return True."""
        return True

    def add_done_callback(self, callback: Any) -> None:
        """Call `callback` at once."""
        callback(self)


SENT = Sent()


_OK = [b"ok"]


def format_line(head: bytes, arguments: Sequence[bytes]) -> bytes:
    """Return a whole line from its beginning and its arguments."""
    if arguments == _OK:  # most replies
        return head + b" ok\n"
    line = head
    for argument in arguments:
        line += b" " + escape(argument)
    return line + b"\n"


class ClientRequestConnection:
    """A request that came from a client, and the way to answer it.

    Attributes
    ----------
    client_connection : ClientConnection
        Who asked.
    msg : Message
        The request.
    """

    __slots__ = ("_head", "_msg", "_name", "_wire", "answered", "client_connection", "on_done")

    def __init__(self, client_connection: Any, name: str, head: bytes, wire: WireMessage) -> None:
        self.client_connection = client_connection
        #: Whether the reply has been sent; `ABANDONED` if the server sent one in its place.
        self.answered: bool | str = False
        #: Called when a handler that took its time has ended, or a deferred answer is there.
        self.on_done: Callable[[], None] | None = None
        self._name = name
        self._head = head  # name and id, as all lines about this request begin
        self._wire = wire
        self._msg: Message | None = None

    @property
    def has_mid(self) -> bool:
        """Whether the request has a message id."""
        return self._wire.mid is not None

    @property
    def name(self) -> bytes:
        """Name of the request."""
        return self._wire.name

    @property
    def msg(self) -> Message:
        """The request."""
        if self._msg is None:
            wire = self._wire
            self._msg = Message.from_wire(
                Message.REQUEST, self._name, wire.arguments, wire_mid(wire.mid)
            )
        return self._msg

    def inform(self, *args: object) -> Sent:
        """Send an inform that belongs to the reply.

        Raises
        ------
        RuntimeError
            After the reply.
        """
        if self.answered:
            if self.answered == ABANDONED:
                return SENT
            raise RuntimeError(f"Cannot send inform for request {self.msg!r} after sending reply.")
        arguments = [format_argument(arg) for arg in args]
        self.client_connection.send(format_line(b"#" + self._head, arguments))
        return SENT

    def reply(self, *args: object) -> Sent:
        """Send the reply.

        Raises
        ------
        RuntimeError
            If it has been sent.
        """
        return self.send_reply([format_argument(arg) for arg in args])

    def reply_with_message(self, rep_msg: Message) -> Sent:
        """Send a ready reply.

        Raises
        ------
        AssertionError
            If it is no reply, or to another request.
        RuntimeError
            If a reply has been sent.
        """
        if rep_msg.mtype != Message.REPLY or rep_msg.name != self._name:
            raise AssertionError(f"{rep_msg!r} is no reply to {self.msg!r}.")
        return self.send_reply(rep_msg.arguments)

    def lines_of_informs(self, tails: Sequence[bytes]) -> bytes:
        r"""Return informs that belong to the reply, each given as ``b" ARGUMENT...\n"``."""
        head = b"#" + self._head
        return head + head.join(tails)

    def make_reply(self, *args: object) -> Message:
        """Return, and do not send, a reply."""
        return Message.from_wire(
            Message.REPLY,
            self._name,
            [format_argument(arg) for arg in args],
            wire_mid(self._wire.mid),
        )

    def mass_inform(self, msg: Message) -> Sent:
        """Send an inform to all clients."""
        sent: Sent = self.client_connection.mass_inform(msg)
        return sent

    def send_reply(self, arguments: Sequence[bytes]) -> Sent:
        """Send the reply, of arguments that are bytes already."""
        if self.answered:
            if self.answered == ABANDONED:
                return SENT
            raise RuntimeError(f"Reply to request {self.msg!r} already sent.")
        self.answered = True
        self.client_connection.send(format_line(b"!" + self._head, arguments))
        if self.on_done is not None:
            self.client_connection.answered(self)
        return SENT

    def abandon(self) -> None:
        """Answer in place of the handler, which does not go on; what it still sends is dropped."""
        if not self.answered:
            self.answered = ABANDONED
            self.client_connection.send(b"!" + self._head + b" fail request_cancelled\n")

    def __repr__(self) -> str:
        return f"<ClientRequestConnection {self.msg!r} from {self.client_connection!r}>"
