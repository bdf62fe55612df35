"""A server of requests, without sensors: handlers, their order, their threads, their errors."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
from collections.abc import Collection
from typing import Any, ClassVar

from katcp.errors import AsyncReply, FailReply, KatcpSyntaxError
from katcp.handlers import Handler
from katcp.protocol import (
    INFORM,
    REQUEST,
    Message,
    WireMessage,
    to_message,
    wire_mid,
)
from katcp.server._connection import ClientConnection
from katcp.server._dispatch import (
    Entry,
    error_of,
    exception_text,
    failure,
    is_coroutine_handler,
    run_elsewhere,
    signature_of,
)
from katcp.server._guarded import GuardedEntry
from katcp.server._lag import LagWatch
from katcp.server._log import log_inform
from katcp.server._request import SENT, ClientRequestConnection, RequestName, Sent
from katcp.server._running import RunningServer, log

#: Longest complaint about a bad line [characters], and what it begins with if the line is no
#: message: the last line of the traceback that katcp-python sends, which clients look at.
_COMPLAINT = 200
_SYNTAX_ERROR = "katcp.core.KatcpSyntaxError: "


class DeviceServerBase(RunningServer):
    """Serves requests: methods ``request_*`` of a subclass answer those of the same name.

    Parameters
    ----------
    host : str
        Address to listen on; empty: all interfaces, IPv4 and IPv6.
    port : int
        TCP port; 0: any free one.
    tb_limit : int
        Most frames of a handler's traceback that the client is sent; 0: only the error's own line.
    logger : logging.Logger
    max_line : int, optional
        Longest line taken; a longer one is discarded with a complaint to its sender [bytes].
    max_backlog : int, optional
        A client with more than this unsent is dropped [bytes].
    stall_timeout : float
        A client that takes nothing for this long while output waits for it is dropped [s].
    max_clients : int, optional
        Further ones are turned away with ``#disconnect``; None: no limit.
    coalesce : float
        How long a sensor update may wait for company [s]; 0: to the end of the loop's turn.
    handler_threads : int
        Threads for handlers marked `blocking`.
    max_arguments : int, optional
        Most arguments of a message taken; one with more is discarded with a complaint.
    max_name : int, optional
        Longest name of an unknown request that is answered; longer ones are complained of [bytes].
    max_complaints : int
        So many bad lines in a second are complained of to a client; how many more there were is
        told in one line when the second is over.
    lag_warning : float, optional
        The log is told of a handler that keeps the loop for longer than this [s]; None: never.
    allow : iterable of str or of networks and addresses of `ipaddress`, optional
        Addresses (``10.1.2.3``, ``2001:db8::5``) and networks (``10.1.0.0/16``) that clients may
        come from; others are turned away with ``#disconnect``. None: from anywhere.
    max_clients_per_address : int, optional
        Further ones of the same address are turned away with ``#disconnect``; None: no limit.
    reserved_clients : int
        The last so many of `max_clients` are for clients of this computer (the loopback
        interface), so that whoever looks after the device can get at it when it is full.
    max_requests_per_client : int, optional
        A client with so many requests under way, which are those that are not answered at once, is
        held back until one of them is answered; None: no limit.
    max_requests : int, optional
        The same for all clients together: they take turns. One that has none under way is never
        held back, so there may be one more for each client. None: no limit.
    keepalive : (int, int, int), optional
        When the system looks whether a silent client is still there: after how long, how often [s],
        and how often in vain until the connection counts as broken. None: it does not.
    idle_timeout : float, optional
        A client that has sent nothing for so long, and waits for nothing, is disconnected, within
        half as long again [s]; None: never. Those that only listen have to send ``?watchdog``.
    access : AccessPolicy, optional
        Decides on each client and each request; None: everybody may do everything.
    ssl_context : ssl.SSLContext, optional
        All clients have to speak TLS, as this says; None: none does. A client whose handshake is
        not done within 10 s is dropped; so is, of more than 1,000 at it, the most silent.
    """

    #: Whether other clients are told of a new one (`#client-connected`).
    announces_clients: ClassVar[bool] = False

    _request_handlers: dict[str, Handler]
    _inform_handlers: dict[str, Handler]
    _reply_handlers: dict[str, Handler]

    def __init__(
        self,
        host: str,
        port: int,
        tb_limit: int = 20,
        logger: logging.Logger = log,
        **kwargs: Any,
    ) -> None:
        super().__init__(host, port, tb_limit, logger, **kwargs)
        self._entries: dict[bytes, Entry] = {}
        #: Requests whose handlers are under way, with the futures of these.
        self.katcp_under_way: dict[ClientRequestConnection, asyncio.Future[Any]] = {}
        self._background: set[asyncio.Future[Any]] = set()
        #: Messages that overridden methods have got and not passed on, by identity.
        self._taken_over: dict[int, Message] = {}
        for handler in self._request_handlers.values():
            # One that is ill-typed raises now, and not at the first request.
            signature_of(handler, type(self))
        # Subclasses may take over the handling of messages; only then are messages made for it.
        self._handles_wire = not any(
            getattr(type(self), name) is not getattr(DeviceServerBase, name)
            for name in (
                "on_message",
                "handle_message",
                "handle_request",
                "handle_inform",
                "handle_reply",
            )
        )

    def katcp_withdraw(self, names: Collection[str]) -> None:
        """Do without some requests, before the server is started."""
        if any(name in self._request_handlers for name in names):
            self._request_handlers = {
                name: handler
                for name, handler in self._request_handlers.items()
                if name not in names
            }

    def katcp_withdraw_halt(self) -> None:
        """Do what ``remote_halt=False`` does, for devices that do not have it; before `start`."""
        self.katcp_withdraw(("halt", "restart"))

    def loop_started(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin, in the loop (called by the socket side)."""
        super().loop_started(loop)
        self._entries.clear()  # the concurrency options may have changed since they were made
        LagWatch.begin(self, self.lag_warning)

    def loop_stopping(self) -> None:
        """End what is under way (called by the socket side, in the loop)."""
        LagWatch.end(self)
        for future in [*self.katcp_under_way.values(), *self._background]:
            future.cancel()  # those of clients that are gone; the others have been already
        super().loop_stopping()

    # -- messages -----------------------------------------------------------------------

    def start_message(
        self, connection: ClientConnection, event: WireMessage | KatcpSyntaxError
    ) -> bool:
        """Begin to handle what came from a client (called by the socket side).

        Returns
        -------
        bool
            Whether the client's next message is held back; the connection goes on by itself.
        """
        try:
            kind = event.mtype  # type: ignore[union-attr]  # see below
        except AttributeError:  # it is an error; asking for its class first takes 0.03 µs
            self._complain(connection, event)  # type: ignore[arg-type]
            return False
        wire: WireMessage = event  # type: ignore[assignment]
        if kind is not REQUEST or not self._handles_wire:
            return self._start_other(connection, wire, kind)
        name = wire.name
        mid = wire_mid(wire.mid)
        # As in `_entry`, which takes 0.06 µs to call.
        entry = self._entries.get(name)
        if entry is None or self._request_handlers.get(entry.name.text) is not entry.handler:
            entry = self._entry(name)
            if entry is None:
                self._unknown(connection, name, mid)
                return False
        if mid is None and name in connection.midless:
            # Their informs could not be told apart, so this one waits for that one.
            connection.put_back(wire)
            req = connection.midless[name]
        else:
            started = entry.start(self, connection, mid, wire.arguments)
            if started is None:
                return False
            if not entry.serial or (connection.full and started in connection.deferred):
                return connection.full
            req = started
        connection.hold()
        req.on_done = connection.proceed
        return True

    def _unknown(self, connection: ClientConnection, name: bytes, mid: bytes | None) -> None:
        """Answer a request that there is none of; its name is repeated if it is not too long."""
        longest = self._server.max_name or self._server.MAX_NAME
        if len(name) > longest:
            text = f"Message name of {len(name)} bytes; names have {longest} at most."
            self._complain(connection, KatcpSyntaxError(text))
            return
        head = RequestName(name.decode("ascii")).reply_head(mid)
        connection.send(head + b" invalid Unknown\\_request.\n")

    def _start_other(self, connection: ClientConnection, wire: WireMessage, kind: Any) -> bool:
        """Begin to handle a message that is no request, or that a subclass handles in its way."""
        message = to_message(wire)
        if not self._handles_wire:
            return self._start_taken_over(connection, message)
        handle = self.handle_inform if kind is INFORM else self.handle_reply
        return self._hold_for(connection, handle(connection, message))

    def _hold_for(
        self, connection: ClientConnection, pending: Any, message: Message | None = None
    ) -> bool:
        """Hold the connection's next message back until `pending` is done.

        `message` is given if `pending` comes from an overridden method.
        """
        if pending is None or isinstance(pending, Sent) or not inspect.isawaitable(pending):
            return False
        future = self.katcp_follow(pending)
        self._background.add(future)

        def proceed(future: asyncio.Future[Any]) -> None:
            self._background.discard(future)
            error = error_of(future)
            if error is not None:
                self._not_handled(connection, message, error)
            elif message is not None:
                self._taken_over.pop(id(message), None)
            connection.proceed()

        connection.hold()
        future.add_done_callback(proceed)
        return True

    def _start_taken_over(self, connection: ClientConnection, message: Message) -> bool:
        """Hand a message to the methods that a subclass has overridden, if it may have it."""
        gate = self._server.gate
        if gate is None or message.mtype != Message.REQUEST:
            return self._take_over(connection, message)
        verdict = gate.request(connection, message.name, message.arguments)
        if verdict is None:
            return self._take_over(connection, message)
        self._taken_over[id(message)] = message
        if isinstance(verdict, FailReply):
            self._not_handled(connection, message, verdict)
            return False
        return self._hold_for(
            connection, self._take_over_later(connection, message, verdict), message
        )

    async def _take_over_later(
        self, connection: ClientConnection, message: Message, verdict: Any
    ) -> None:
        """Do the same when it is decided."""
        refusal = await verdict
        if refusal is not None:
            raise refusal
        pending = self.on_message(connection, message)
        if inspect.isawaitable(pending) and not isinstance(pending, Sent):
            await self.katcp_follow(pending)

    def _take_over(self, connection: ClientConnection, message: Message) -> bool:
        self._taken_over[id(message)] = message
        try:
            pending = self.on_message(connection, message)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self._not_handled(connection, message, error)
            return False
        if self._hold_for(connection, pending, message):
            return True
        self._taken_over.pop(id(message), None)
        return connection.full

    def _not_handled(
        self, connection: ClientConnection, message: Message | None, error: BaseException
    ) -> None:
        """See to it that a request is answered that an overridden method has failed on."""
        if not isinstance(error, (FailReply, AsyncReply)):
            self._logger.error("Handling %r failed", message, exc_info=error)
        if message is None or self._taken_over.pop(id(message), None) is None:
            return  # it had been passed on to `handle_request`, which sees to the reply
        if message.mtype == Message.REQUEST and not isinstance(error, AsyncReply):
            arguments = failure(error, self._tb_limit)
            connection.reply(Message.reply_to_request(message, *arguments), message)

    def _entry(self, name: bytes) -> Entry | None:
        """Return the handler of a request, ready to be called.

        The table of handlers is looked at each time, since devices change it while they run.
        """
        entry = self._entries.get(name)
        if entry is not None and self._request_handlers.get(entry.name.text) is entry.handler:
            return entry
        text = name.decode("ascii")
        handler = self._request_handlers.get(text)
        if handler is None:
            self._entries.pop(name, None)
            return None
        gate = self._server.gate
        if gate is None:
            entry = Entry(self, text, handler)
        else:
            entry = GuardedEntry(self, text, handler, gate)
        self._entries[name] = entry
        return entry

    def _complain(self, connection: ClientConnection, error: KatcpSyntaxError | str) -> None:
        """Tell a client, and only it, of a bad line; whatever the log level is."""
        self.katcp_counters.bad_lines += 1
        if not connection.may_complain():
            return
        text = str(error)
        if isinstance(error, KatcpSyntaxError):
            text = _SYNTAX_ERROR + text
        if len(text) >= _COMPLAINT:
            text = text[: _COMPLAINT - 4] + "..."
        if isinstance(error, KatcpSyntaxError):
            text += "\n"
        connection.inform(self.create_log_inform("error", text, "root"))
        self._logger.info("Bad line from %s: %s", connection.address, text.rstrip("\n"))

    # -- the same, as users override and call it ----------------------------------------

    def on_message(self, client_conn: Any, msg: Message) -> Any:
        """Handle a message; the future returned tells when the next may be handled."""
        return self.handle_message(client_conn, msg)

    def handle_message(self, client_conn: Any, msg: Message) -> Any:
        """Handle a message, by its type."""
        if msg.mtype == Message.REQUEST:
            return self.handle_request(client_conn, msg)
        if msg.mtype == Message.INFORM:
            return self.handle_inform(client_conn, msg)
        return self.handle_reply(client_conn, msg)

    def handle_request(self, connection: Any, msg: Message) -> Any:
        """Call the handler of a request and see to its reply.

        Returns
        -------
        future
            Done when the next message may be handled.
        """
        let_pass = self._taken_over.pop(id(msg), None) is not None
        entry = self._entry(msg.name.encode("ascii"))
        if let_pass and isinstance(entry, GuardedEntry):
            entry = entry.passed  # asked about when it came
        if entry is None:
            self._logger.error("%s INVALID: Unknown request", msg.name)
            connection.reply(Message.reply_to_request(msg, "invalid", "Unknown request."), msg)
            return SENT
        if not self.running():  # tests call handlers of servers that were never started
            try:
                self.asyncio_loop = asyncio.get_running_loop()
            except RuntimeError:
                pass  # plain handlers need none
        # Not by `isinstance`, which a mock with a specification would pass.
        if issubclass(type(connection), ClientConnection):
            if msg.mid is None and (other := connection.midless.get(entry.name.wire)) is not None:
                return self._in_background(self._after(other, connection, msg, let_pass))
            req = entry.start(self, connection, msg.mid, msg.arguments)
            if connection.full and req in connection.deferred:
                return SENT
        elif self._belongs_to_loop(entry):
            handle = functools.partial(self.handle_request, connection, msg)
            return self._server.call_from_thread(handle)
        else:
            # Connections of tests may have a request of their own: looked for in the class, since
            # mocks have every attribute.
            make = getattr(type(connection), "katcp_request", ClientRequestConnection)
            given = make(connection, msg)
            req = entry.start_given(self, given)
        if req is None or not entry.serial:
            return SENT
        done: asyncio.Future[None] = self.asyncio_loop.create_future()
        req.on_done = functools.partial(_resolve, done)
        return done

    def _belongs_to_loop(self, entry: Entry) -> bool:
        """Tell whether a handler cannot be called here, because it is a coroutine of the loop."""
        handler = getattr(entry.handler, "katcp_bound", entry.handler)
        if not self.running() or self._server.in_ioloop_thread():
            return False
        return is_coroutine_handler(handler)

    def _in_background(self, coroutine: Any) -> asyncio.Future[Any]:
        """Begin with `coroutine`, whether anybody waits for it or not."""
        future = self.katcp_follow(coroutine)
        self._background.add(future)
        future.add_done_callback(self._background.discard)
        return future

    async def _after(
        self, other: ClientRequestConnection, connection: Any, msg: Message, let_pass: bool
    ) -> None:
        """Handle a request when one of the same name, of which neither has an id, is answered."""
        done: asyncio.Future[None] = self.asyncio_loop.create_future()
        on_done = other.on_done

        def go_on() -> None:
            if on_done is not None:
                on_done()  # of those that have waited longer
            _resolve(done)

        other.on_done = go_on
        await done
        if let_pass:
            self._taken_over[id(msg)] = msg
        pending = DeviceServerBase.handle_request(self, connection, msg)
        if not isinstance(pending, Sent):
            await pending

    def handle_inform(self, connection: Any, msg: Message) -> Any:
        """Call the handler of an inform that a client sent; unknown ones are ignored."""
        return self._call_handler(self._inform_handlers.get(msg.name), connection, msg)

    def handle_reply(self, connection: Any, msg: Message) -> Any:
        """Call the handler of a reply that a client sent; there is a complaint of unknown ones."""
        handler = self._reply_handlers.get(msg.name)
        if handler is None and isinstance(connection, ClientConnection):
            self._complain(connection, f"Unexpected reply {msg.name!r}.")
        return self._call_handler(handler, connection, msg)

    def _call_handler(self, handler: Handler | None, connection: Any, msg: Message) -> Any:
        if handler is None:
            self._logger.info("Nobody handles %r from a client", msg)
            return SENT
        try:
            if (
                self.katcp_has_handler_thread
                and isinstance(connection, ClientConnection)
                and not is_coroutine_handler(handler)
            ):
                call = functools.partial(handler, self, connection, msg)
                outcome = run_elsewhere(self, self.katcp_handler_thread(), call)
                return self._in_background(self._log_outcome(outcome, msg))
            return handler(self, connection, msg)
        except KeyboardInterrupt:
            raise
        except BaseException:
            self._logger.exception("The handler of %r failed", msg)
            return SENT

    async def _log_outcome(self, future: asyncio.Future[Any], msg: Message) -> None:
        result = await future
        if inspect.isawaitable(result) and not isinstance(result, Sent):
            result = await self.katcp_follow(result)
        if isinstance(result, BaseException):
            self._logger.error("The handler of %r failed", msg, exc_info=result)

    # -- informs ------------------------------------------------------------------------

    def create_log_inform(
        self, level_name: str, msg: str, name: str, timestamp: float | None = None
    ) -> Message:
        """Make a ``#log`` inform; the time is now unless given [seconds since 1970]."""
        return log_inform(level_name, msg, name, timestamp, self.katcp_major)

    def create_exception_reply_and_log(self, req_msg: Message, exc_info: Any) -> Message:
        """Make the failing reply to a request whose handler raised, and log the traceback."""
        self._logger.error("The handler of %r failed", req_msg, exc_info=exc_info)
        return Message.reply_to_request(
            req_msg, "fail", exception_text(exc_info[1], self._tb_limit)
        )

    def mass_inform(self, msg: Message) -> Sent:
        """Send an inform to all clients; from any thread."""
        if msg.mtype != Message.INFORM:
            raise AssertionError(f"{msg!r} is no inform.")
        return self._server.mass_send_message(msg)

    def inform(self, connection: Any, msg: Message) -> Any:
        """Send an inform to a client."""
        return self._connection_of(connection).inform(msg)

    def reply_inform(self, connection: Any, inform: Message, orig_req: Message) -> Any:
        """Send an inform that belongs to the reply to a request."""
        return self._connection_of(connection).reply_inform(inform, orig_req)

    def reply(self, connection: Any, reply: Message, orig_req: Message) -> Any:
        """Send the reply to a request."""
        return self._connection_of(connection).reply(reply, orig_req)

    def _connection_of(self, connection: Any) -> Any:
        if isinstance(connection, ClientRequestConnection):
            self._logger.warning("A client connection is expected here, not a request's")
            return connection.client_connection
        return connection

    # -- clients come and go ------------------------------------------------------------

    def on_client_connect(self, conn: ClientConnection) -> Any:
        """Do what a new client needs, before any message of it is handled; may return a future."""

    def on_client_disconnect(self, conn: ClientConnection, msg: str, connection_valid: bool) -> Any:
        """Do what is needed when a client goes; may return a future.

        Parameters
        ----------
        conn : ClientConnection
        msg : str
            Why.
        connection_valid : bool
            Whether something can still be sent to it.
        """

    def abandon_requests(self, connection: ClientConnection) -> None:
        """Answer the requests of a client that are under way, since nobody will wait for them."""
        for req in [*connection.requests, *connection.deferred]:
            req.abandon()
            future = self.katcp_under_way.get(req)
            if future is not None:
                future.cancel()
        connection.drop_deferred()

    def client_gone(self, connection: ClientConnection) -> None:
        """Forget a client, whatever `on_client_disconnect` did (called by the socket side)."""


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


__all__ = ["AsyncReply", "DeviceServerBase"]
