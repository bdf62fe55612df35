"""Talking to a device: sending, and handing what comes to the methods that handle it."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import ssl
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from katcp.aio import ExponentialRandomBackoff
from katcp.client._greeting import GreetedClient
from katcp.client._life import log
from katcp.client._link import Link
from katcp.client._runs import one_by_one
from katcp.client._threads import blocking_call, make_threadsafe_blocking
from katcp.errors import (
    AsyncReply,
    FailReply,
    KatcpClientDisconnected,
    KatcpSyntaxError,
    KatcpVersionError,
)
from katcp.handlers import DeviceMetaclass, Handler
from katcp.protocol import (
    MAX_MID,
    Message,
    MessageParser,
    WireMessage,
    to_message,
)

#: So many messages are taken while a handler is waited for. Then reading pauses, and with it
#: goes the notice of a lost connection, so it is not done lightly.
_BACKLOG = 10_000
#: A katcp-python device hangs up on lines longer than this [bytes].
LONG_LINE = 2 * 1024 * 1024

Event = WireMessage | KatcpSyntaxError


class DeviceClient(GreetedClient, metaclass=DeviceMetaclass):
    """A client of one device.

    Subclasses handle messages by methods ``inform_NAME``, ``reply_NAME`` and ``request_NAME``
    that take the message; each needs a docstring. If one returns a future, that is waited for
    before the next message. What they raise is logged.

    Parameters
    ----------
    host : str
        Name or address; empty for this host.
    port : int
    tb_limit : int
        Kept for callers that pass it; tracebacks go to the log, whole.
    logger : logging.Logger
    auto_reconnect : bool
        Whether to go on connecting when the connection is lost or cannot be made.
    reconnect_backoff : ExponentialRandomBackoff, optional
        Wait before each new attempt to connect, in place of `auto_reconnect_delay`. It is
        reset when the device has said what it speaks.
    greeting_timeout : float
        A device that has not greeted for this long is taken for version 4 [s].
    ssl_context : ssl.SSLContext, optional
        Talk to the device over TLS, as this says; None: without.
    server_hostname : str, optional
        Name or address that the certificate of the device must be for; by default `host`.

    Attributes
    ----------
    versions : AttrDict
        What ``#version-connect`` said on this connection: ``versions["katcp-device"] ==
        ("demo-api-2.1", "demo-build-3.4")``.
    auto_reconnect_delay : float
        Wait before another attempt to connect [s]; at least a quarter of it, the rest is drawn at
        random. After 20 attempts that came to nothing it is 30 times as long.
    disconnect_reason : str or None
        Why the device closed the last connection, if it said so, or why there is no TLS with it.
    last_connect_time : float or None
        Time of the last success in connecting, by the clock of `ioloop` [s].
    """

    _request_handlers: dict[str, Handler]
    _inform_handlers: dict[str, Handler]
    _reply_handlers: dict[str, Handler]

    #: Longest time that the reader keeps the loop, roughly [s].
    MAX_LOOP_LATENCY = 0.03

    def __init__(
        self,
        host: str,
        port: int,
        tb_limit: int = 20,
        logger: logging.Logger = log,
        auto_reconnect: bool = True,
        *,
        reconnect_backoff: ExponentialRandomBackoff | None = None,
        greeting_timeout: float = 2.0,
        ssl_context: ssl.SSLContext | None = None,
        server_hostname: str | None = None,
    ) -> None:
        super().__init__(
            host,
            port,
            logger,
            auto_reconnect,
            reconnect_backoff,
            greeting_timeout,
            ssl_context,
            server_hostname,
        )
        self._tb_limit = tb_limit
        self._parser = MessageParser()
        self._last_msg_id = 0
        # Events that wait for a handler's future; None if no handler is being waited for.
        self._backlog: list[Event] | None = None
        self._handling: asyncio.Future[Any] | None = None

    @property
    def _stream(self) -> Link | None:
        """The connection; code that needs large messages sets the limits on it."""
        return self._link

    # -- sending ------------------------------------------------------------------------

    def _next_id(self) -> bytes:
        self._last_msg_id = self._last_msg_id + 1 if self._last_msg_id < MAX_MID else 1
        return b"%d" % self._last_msg_id

    @make_threadsafe_blocking
    def request(self, msg: Message, use_mid: bool | None = None) -> bytes | None:
        """Send a request.

        Parameters
        ----------
        msg : Message
            Gets an id if it has none and the device, or `use_mid`, wants one.
        use_mid : bool, optional
            Whether to use an id; by default if the device supports them.

        Returns
        -------
        bytes or None
            The id.
        """
        if not self._here():
            return self._from_elsewhere(DeviceClient.request, msg, use_mid)  # type: ignore[no-any-return]
        if msg.mid is None:
            if self._server_supports_ids if use_mid is None else use_mid:
                msg.mid = self._next_id()
        elif use_mid is False:
            msg.mid = None
        self.send_request(msg)
        return msg.mid

    def send_request(self, msg: Message) -> None:
        """Send a request as it is.

        Raises
        ------
        KatcpVersionError
            If it has an id and the device does not support ids.
        """
        if msg.mtype != Message.REQUEST:
            raise ValueError(f"{msg!r} is not a request.")
        if msg.mid is not None and not self._server_supports_ids:
            raise KatcpVersionError("Message IDs not supported by server")
        self.send_message(msg)

    @make_threadsafe_blocking
    def send_message(self, msg: Message) -> asyncio.Future[None]:
        """Send any message.

        Returns
        -------
        Future
            Done already: what cannot be sent raises right here.

        Raises
        ------
        KatcpClientDisconnected
            If there is no connection.
        KatcpClientError
            If too much waits to be sent already.
        """
        link = self._link
        if link is None or link.closed:
            raise self._not_connected()
        if not self._here():
            return self._from_elsewhere(DeviceClient.send_message, msg)  # type: ignore[no-any-return]
        line = bytes(msg) + b"\n"
        if len(line) > LONG_LINE:
            self.warn_of_long_line(line)
        link.send(line)
        sent = link.pump.loop.create_future()
        sent.set_result(None)
        return sent

    def _from_elsewhere(self, method: Callable[..., Any], *args: Any) -> Any:
        """Call a method of this class in the loop, for a thread that has come to it past its mark.

        That is by a method of a subclass which overrides it and has no mark.
        """
        if self._link is None:
            raise self._not_connected()
        if not self._threadsafe:
            raise self._not_threadsafe()
        return blocking_call(self, functools.partial(method, self), *args)

    def warn_of_long_line(self, line: bytes) -> None:
        """Log that a line may be too long for the device."""
        self._logger.warning(
            "Sending %r... of %d bytes to %s; many devices hang up on lines above 2 MiB",
            line[:30],
            len(line),
            self.bind_address_string,
        )

    def _not_connected(self) -> KatcpClientDisconnected:
        return KatcpClientDisconnected(f"Not connected to device {self.bind_address_string}")

    # -- receiving ----------------------------------------------------------------------

    def connection_opened(self, link: Link) -> None:
        """Wait for the device to say what it speaks."""
        self.disconnect_reason = None
        super().connection_opened(link)

    def connection_closed(self, reason: str) -> None:
        """Forget what belonged to the connection."""
        super().connection_closed(reason)
        self._backlog = None
        if self._handling is not None:
            self._handling = None  # it may end; nothing will follow it

    def connection_received(self, events: list[Event]) -> None:
        """Handle what came, unless a handler has to be waited for."""
        if self._backlog is None:
            self.handle_events(iter(events))
            return
        self._backlog.extend(one_by_one(events))
        if len(self._backlog) > _BACKLOG and self._link is not None:
            self._link.pause_reading()

    def handle_events(self, events: Iterator[Event]) -> None:
        """Handle messages and errors in order; stop at a handler that wants to be waited for."""
        for event in events:
            awaitable = self.handle_event(event)
            if awaitable is not None:
                self.hold_events(awaitable, events)
                return

    def handle_event(self, event: Event) -> Awaitable[Any] | None:
        """Handle one message or error; return what has to be waited for before the next."""
        if isinstance(event, KatcpSyntaxError):
            self._logger.warning(
                "Malformed line from device %s: %s", self.bind_address_string, event
            )
            return None
        return self._guard(self.handle_message, to_message(event))

    def _guard(self, handle: Handler, message: Message) -> Awaitable[Any] | None:
        """Call what handles a message; log what it raises; see to a farewell."""
        try:
            result = handle(message)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:
            self._logger.exception("Error while handling %r", message)
            result = None
        if message.name == "disconnect" and message.mtype == Message.INFORM:
            self._told_to_go(message)
        return result if inspect.isawaitable(result) else None

    def _told_to_go(self, message: Message) -> None:
        """Note why the device is about to close the connection, and be first."""
        text = b" ".join(message.arguments).decode("utf-8", "backslashreplace")
        self.disconnect_reason = text
        self._logger.info("Device %s closes the connection: %r", self.bind_address_string, text)
        if self._link is not None:
            self._link.close()

    def hold_events(self, awaitable: Awaitable[Any], rest: Iterator[Event]) -> None:
        """Handle the rest, and what else comes, when `awaitable` is done."""
        link = self._link
        self._backlog = list(one_by_one(rest))
        self._handling = handling = asyncio.ensure_future(awaitable)

        def go_on(future: asyncio.Future[Any]) -> None:
            error = None if future.cancelled() else future.exception()
            if error is not None:
                self._logger.error("Error in a handler", exc_info=error)
            if self._handling is not handling:
                return  # the connection is another one
            self._handling = None
            events, self._backlog = self._backlog or [], None
            self.handle_events(iter(events))
            if link is not None and self._backlog is None:
                link.resume_reading()

        handling.add_done_callback(go_on)

    def handle_message(self, msg: Message) -> Any:
        """Handle a message of any type; may return a future."""
        if msg.mtype == Message.INFORM:
            return self.handle_inform(msg)
        if msg.mtype == Message.REPLY:
            return self.handle_reply(msg)
        return self.handle_request(msg)

    def handle_inform(self, msg: Message) -> Any:
        """Hand an inform to ``inform_NAME``, or else to `unhandled_inform`."""
        handler = self._inform_handlers.get(msg.name)
        return self.unhandled_inform(msg) if handler is None else handler(self, msg)

    def handle_reply(self, msg: Message) -> Any:
        """Hand a reply that nobody waits for to ``reply_NAME``, or else to `unhandled_reply`."""
        handler = self._reply_handlers.get(msg.name)
        return self.unhandled_reply(msg) if handler is None else handler(self, msg)

    def handle_request(self, msg: Message) -> Any:
        """Hand a request to ``request_NAME``, or else to `unhandled_request`.

        A `Message` that these return, or a future of one, is sent as the reply, with the id of
        the request.
        """
        handler = self._request_handlers.get(msg.name)
        try:
            result = self.unhandled_request(msg) if handler is None else handler(self, msg)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            return self._answer(msg, self._failure(msg, error))
        if inspect.isawaitable(result):
            return self._answer_later(msg, result)
        return self._answer(msg, result)

    async def _answer_later(self, request: Message, awaitable: Awaitable[Any]) -> None:
        try:
            result = await awaitable
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            result = self._failure(request, error)
        self._answer(request, result)

    def _failure(self, request: Message, error: BaseException) -> Message | None:
        if isinstance(error, AsyncReply):
            return None
        if not isinstance(error, FailReply):
            self._logger.error("Error while handling %r", request, exc_info=error)
        return Message.reply_to_request(request, Message.FAIL, str(error) or type(error).__name__)

    def _answer(self, request: Message, reply: object) -> None:
        if not isinstance(reply, Message):
            return
        reply.mid = request.mid
        try:
            self.send_message(reply)
        except KatcpClientDisconnected:
            pass  # nobody is there to get it

    def unhandled_inform(self, msg: Message) -> Any:
        """Handle an inform that there is no method for; does nothing."""

    def unhandled_reply(self, msg: Message) -> Any:
        """Handle a reply that nobody waits for and there is no method for; does nothing."""

    def unhandled_request(self, msg: Message) -> Any:
        """Handle a request that there is no method for: ``!name invalid Unknown request.``."""
        return Message.reply_to_request(msg, Message.INVALID, "Unknown request.")
