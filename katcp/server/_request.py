"""One request of a client, and the ways to answer it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any

from katcp.protocol import Message, escape, format_arguments, make_message

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


def format_line(head: bytes, arguments: Sequence[bytes]) -> bytes:
    """Return a whole line from its beginning and its arguments."""
    line = head
    for argument in arguments:
        line += b" " + escape(argument)
    return line + b"\n"


class RequestName:
    """The name of a request, made ready for the lines about it.

    Attributes
    ----------
    text : str
    wire : bytes
        As it stands in a line.
    """

    __slots__ = ("_before_mid", "text", "wire")

    def __init__(self, name: str) -> None:
        self.text = name
        self.wire = name.encode("ascii")
        self._before_mid = b"!" + self.wire + b"["

    def reply_head(self, mid: bytes | None) -> bytes:
        """Return how the line of a reply begins."""
        return b"!" + self.wire if mid is None else self._before_mid + mid + b"]"

    def reply_line(self, mid: bytes | None, arguments: Sequence[bytes]) -> bytes:
        """Return the line of a reply."""
        head = self.reply_head(mid)
        if not arguments or arguments[0] != b"ok":
            return format_line(head, arguments)
        if len(arguments) == 1:  # most replies
            return head + b" ok\n"
        return format_line(head + b" ok", arguments[1:])

    def head(self, mid: bytes | None) -> bytes:
        """Return name and message id, as lines about a request have them behind their type."""
        return self.wire if mid is None else self.wire + b"[" + mid + b"]"


class ClientRequestConnection:
    """A request that came from a client, and the way to answer it.

    Parameters
    ----------
    client_connection : ClientConnection
        Who asked: anything that has `inform`, `reply` and `mass_inform`.
    req_msg : Message
        The request.

    Attributes
    ----------
    client_connection : ClientConnection
        Who asked.
    msg : Message
        The request.
    """

    __slots__ = ("__dict__", "__weakref__", "_msg", "answered", "client_connection", "on_done")

    _msg: Message | None

    def __init__(self, client_connection: Any, req_msg: Message) -> None:
        self.client_connection = client_connection
        #: Whether the reply has been sent; `ABANDONED` if the server sent one in its place.
        self.answered: bool | str = False
        #: Called when a handler that took its time has ended, or a deferred answer is there.
        self.on_done: Callable[[], None] | None = None
        self._msg = req_msg

    @property
    def msg(self) -> Message:
        """The request."""
        assert self._msg is not None
        return self._msg

    @property
    def has_mid(self) -> bool:
        """Whether the request has a message id."""
        return self.msg.mid is not None

    @property
    def name(self) -> bytes:
        """Name of the request."""
        return self.msg.name.encode("ascii")

    @property
    def books(self) -> Any:
        """Where a request that takes its time is entered."""
        return _NoBooks(self)

    def inform(self, *args: object) -> Any:
        """Send an inform that belongs to the reply.

        Raises
        ------
        RuntimeError
            After the reply.
        """
        if self.answered:
            return self.inform_after_reply(*args)
        return self._send_inform(format_arguments(args))

    def reply(self, *args: object) -> Any:
        """Send the reply.

        Raises
        ------
        RuntimeError
            If it has been sent.
        """
        return self.send_reply(format_arguments(args))

    def reply_with_message(self, rep_msg: Message) -> Any:
        """Send a ready reply.

        Raises
        ------
        AssertionError
            If it is no reply, or to another request.
        RuntimeError
            If a reply has been sent.
        """
        if rep_msg.mtype != Message.REPLY or rep_msg.name != self.msg.name:
            raise AssertionError(f"{rep_msg!r} is no reply to {self.msg!r}.")
        return self.send_reply(rep_msg.arguments)

    def make_reply(self, *args: object) -> Message:
        """Return, and do not send, a reply."""
        return Message.reply_to_request(self.msg, *args)

    def mass_inform(self, msg: Message) -> Any:
        """Send an inform to all clients."""
        return self.client_connection.mass_inform(msg)

    def reply_again(self, *args: object) -> Any:
        """Refuse to send a second reply; drop it, if the server has sent the first.

        Raises
        ------
        RuntimeError
            If it has been sent by the handler.
        """
        if self.answered == ABANDONED:
            return SENT
        raise RuntimeError(f"Reply to request {self.msg!r} already sent.")

    def inform_after_reply(self, *args: object) -> Any:
        """Refuse to send an inform after the reply; drop it, if the server has sent that.

        Raises
        ------
        RuntimeError
            If it has been sent by the handler.
        """
        if self.answered == ABANDONED:
            return SENT
        raise RuntimeError(f"Cannot send inform for request {self.msg!r} after sending reply.")

    def send_reply(self, arguments: Sequence[bytes]) -> Any:
        """Send the reply, of arguments that are bytes already."""
        if self.answered:
            return self.reply_again(*arguments)
        self.answered = True
        sent = self._send_reply(arguments)
        if self.on_done is not None:
            self.books.answered(self)
        return sent

    def abandon(self) -> None:
        """Answer in place of the handler, which does not go on; what it still sends is dropped."""
        if not self.answered:
            self.answered = ABANDONED
            self._send_reply([b"fail", b"request_cancelled"])

    def _send_inform(self, arguments: list[bytes]) -> Any:
        return self.client_connection.inform(Message.reply_inform(self.msg, *arguments))

    def _send_reply(self, arguments: Sequence[bytes]) -> Any:
        return self.client_connection.reply(self.make_reply(*arguments), self.msg)

    def __repr__(self) -> str:
        return f"<ClientRequestConnection {self.msg!r} from {self.client_connection!r}>"


class _NoBooks:
    """Stands for a connection that keeps no account of its requests: those of tests, mostly."""

    requests: set[Any]
    deferred: set[Any]
    midless: dict[bytes, Any]

    def __init__(self, req: ClientRequestConnection) -> None:
        self.requests = set()
        self.deferred = set()
        self.midless = {}

    full = False

    def begin(self, req: ClientRequestConnection) -> None:
        """Take no note of a request whose handler is under way."""

    def defer(self, req: ClientRequestConnection) -> None:
        """Take no note of a request that is answered later."""

    def finish(self, req: ClientRequestConnection, answer: Callable[[], bool]) -> None:
        """Send the answer to a request that took its time."""
        on_done, req.on_done = req.on_done, None
        if not answer():
            req.on_done = on_done
        elif on_done is not None:
            on_done()

    def answered(self, req: ClientRequestConnection) -> None:
        """Take no note of the answer to a deferred request."""


class WireRequest(ClientRequestConnection):
    """A request that came over a connection of this server: what is sent for it is lines.

    Parameters
    ----------
    client_connection : ClientConnection
    name : RequestName
    mid : bytes or None
        Message id.
    arguments : list of bytes
    """

    __slots__ = ("_arguments", "_mid", "_name")

    def __init__(
        self, client_connection: Any, name: RequestName, mid: bytes | None, arguments: list[bytes]
    ) -> None:
        self.client_connection = client_connection
        self.answered = False
        self.on_done = None
        self._mid = mid
        self._name = name
        self._arguments = arguments
        self._msg = None

    @property
    def has_mid(self) -> bool:
        """Whether the request has a message id."""
        return self._mid is not None

    @property
    def name(self) -> bytes:
        """Name of the request."""
        return self._name.wire

    @property
    def msg(self) -> Message:
        """The request."""
        return self._msg or self.make_msg()

    def make_msg(self) -> Message:
        """Return the request for the first time."""
        msg = make_message(Message.REQUEST, self._name.text, self._arguments, self._mid)
        self._msg = msg
        return msg

    @property
    def books(self) -> Any:
        """Where a request that takes its time is entered: with its connection."""
        return self.client_connection

    def make_reply(self, *args: object) -> Message:
        """Return, and do not send, a reply."""
        return make_message(Message.REPLY, self._name.text, format_arguments(args), self._mid)

    def lines_of_informs(self, tails: Sequence[bytes]) -> bytes:
        r"""Return informs that belong to the reply, each given as ``b" ARGUMENT...\n"``."""
        head = b"#" + self._name.head(self._mid)
        return head + head.join(tails)

    def send_reply(self, arguments: Sequence[bytes]) -> Any:
        """Send the reply, of arguments that are bytes already."""
        if self.answered:
            return self.reply_again(*arguments)
        self.answered = True
        self.client_connection.send(self._name.reply_line(self._mid, arguments))
        if self.on_done is not None:
            self.client_connection.answered(self)
        return SENT

    def send_line_end(self, line_end: bytes) -> None:
        """Send the reply, of which all behind the message id is there; nothing has been sent."""
        self.answered = True
        self.client_connection.send(self._name.reply_head(self._mid) + line_end)
        if self.on_done is not None:
            self.client_connection.answered(self)

    def _send_inform(self, arguments: list[bytes]) -> Any:
        self.client_connection.send(format_line(b"#" + self._name.head(self._mid), arguments))
        return SENT

    def _send_reply(self, arguments: Sequence[bytes]) -> Any:
        self.client_connection.send(self._name.reply_line(self._mid, arguments))
        return SENT
