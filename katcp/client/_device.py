"""Talking to a device: sending, and handing what comes to the methods that handle it."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Iterator
from typing import Any

from katcp.aio import AttrDict, ExponentialRandomBackoff
from katcp.client._life import ClientLife, log
from katcp.client._link import Link
from katcp.client._negotiation import Negotiation
from katcp.errors import (
    AsyncReply,
    FailReply,
    KatcpClientDisconnected,
    KatcpSyntaxError,
    KatcpVersionError,
)
from katcp.handlers import DeviceMetaclass, Handler
from katcp.protocol import (
    FLOAT_TS_KATCP_MAJOR,
    MAX_MID,
    SEC_TO_MS_FAC,
    SEC_TS_KATCP_MAJOR,
    Message,
    ProtocolFlags,
    WireMessage,
    to_message,
)

#: So many messages are taken while a handler is waited for. Then reading pauses, and with it
#: goes the notice of a lost connection, so it is not done lightly.
_BACKLOG = 10_000
#: A katcp-python device hangs up on lines longer than this [bytes].
LONG_LINE = 2 * 1024 * 1024

Event = WireMessage | KatcpSyntaxError


class DeviceClient(ClientLife, metaclass=DeviceMetaclass):
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

    Attributes
    ----------
    versions : AttrDict
        What ``#version-connect`` said on this connection: ``versions["katcp-device"] ==
        ("demo-api-2.1", "demo-build-3.4")``.
    auto_reconnect_delay : float
        Wait before another attempt to connect [s].
    last_connect_time : float or None
        Loop time of the last success in connecting [s].
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
    ) -> None:
        super().__init__(host, port, logger, auto_reconnect, reconnect_backoff)
        self._tb_limit = tb_limit
        self.greeting_timeout = greeting_timeout
        self.versions: AttrDict = AttrDict()
        #: Why the device closed the last connection, if it said so.
        self.disconnect_reason: str | None = None
        self._preset_flags: ProtocolFlags | None = None
        self._negotiation: Negotiation | None = None
        self._negotiation_timer: asyncio.TimerHandle | None = None
        self._flags: ProtocolFlags | None = None
        self._server_supports_ids = False
        self._last_msg_id = 0
        # Events that wait for a handler's future; None if no handler is being waited for.
        self._backlog: list[Event] | None = None
        self._handling: asyncio.Future[Any] | None = None

    @property
    def _stream(self) -> Link | None:
        """The connection; code that needs large messages sets the limits on it."""
        return self._link

    # -- protocol version ---------------------------------------------------------------

    @property
    def protocol_flags(self) -> ProtocolFlags | None:
        """What the device speaks; None as long as that is not known."""
        return self._flags if self._flags is not None else self._preset_flags

    @protocol_flags.setter
    def protocol_flags(self, flags: ProtocolFlags) -> None:
        self._flags = flags
        self._server_supports_ids = flags.message_ids

    def preset_protocol_flags(self, protocol_flags: ProtocolFlags) -> None:
        """Say what the device speaks, whatever it says itself.

        A contradicting greeting is then only logged.
        """
        self._preset_flags = protocol_flags
        self._server_supports_ids = protocol_flags.message_ids
        if self._link is not None:
            self._negotiate_afresh(self._link)

    def _negotiate_afresh(self, link: Link) -> None:
        now = link.pump.loop.time()
        self._flags = None
        self._negotiation = Negotiation(now, self._preset_flags, self.greeting_timeout)
        self._negotiated("")

    def _negotiated(self, remark: str) -> None:
        """Act on what the negotiation has come to."""
        negotiation, link = self._negotiation, self._link
        if negotiation is None or link is None:
            return
        if remark:
            self._logger.warning("Device %s %s", self.bind_address_string, remark)
        if self._negotiation_timer is not None:
            self._negotiation_timer.cancel()
            self._negotiation_timer = None
        if negotiation.wake_at is not None:
            self._negotiation_timer = link.pump.loop.call_at(
                negotiation.wake_at, self._negotiation_time
            )
        flags = negotiation.flags
        if flags is None or flags is self._flags:
            return
        revised = self._flags is not None
        self._flags = flags
        self._server_supports_ids = flags.message_ids
        if self.reconnect_backoff is not None:
            self.reconnect_backoff.success()
        self._received_protocol_info.set()
        self.protocol_known(revised)

    def _negotiation_time(self) -> None:
        negotiation, link = self._negotiation, self._link
        if negotiation is not None and link is not None:
            # A timer may be a clock's resolution early.
            now = max(link.pump.loop.time(), negotiation.wake_at or 0.0)
            self._negotiated(negotiation.tick(now))

    def protocol_known(self, revised: bool) -> None:
        """Take note that it is known what the device speaks (for subclasses).

        Parameters
        ----------
        revised : bool
            Whether something else was believed before on this connection.
        """

    def inform_version_connect(self, msg: Message) -> None:
        """Take the version of the protocol, or of another part of the device."""
        if len(msg.arguments) < 2:
            self._logger.debug("Ignoring %r: it has too few arguments", msg)
            return
        name, *rest = (argument.decode("utf-8", "backslashreplace") for argument in msg.arguments)
        self.versions[name] = tuple(rest)
        if name == "katcp-protocol" and self._negotiation is not None:
            self._negotiated(self._negotiation.greeting(msg.arguments[1]))

    def inform_version(self, msg: Message) -> None:
        """Take the greeting of a version 4 device."""
        if self._negotiation is not None and self._link is not None:
            now = self._link.pump.loop.time()
            self._negotiated(self._negotiation.old_greeting(now))

    def inform_build_state(self, msg: Message) -> None:
        """Take the other greeting of a version 4 device."""
        DeviceClient.inform_version(self, msg)

    def convert_seconds(self, time_seconds: float) -> float:
        """Convert seconds to the device's unit of time: milliseconds below version 5."""
        flags = self.protocol_flags
        if flags is None or flags.major >= SEC_TS_KATCP_MAJOR:
            return time_seconds
        milliseconds = SEC_TO_MS_FAC * time_seconds
        return milliseconds if flags.major >= FLOAT_TS_KATCP_MAJOR else int(milliseconds)

    # -- sending ------------------------------------------------------------------------

    def _next_id(self) -> bytes:
        self._last_msg_id = self._last_msg_id + 1 if self._last_msg_id < MAX_MID else 1
        return b"%d" % self._last_msg_id

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

    def send_message(self, msg: Message) -> None:
        """Send any message. In the client's own loop only.

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
        self._check_thread()
        line = bytes(msg) + b"\n"
        if len(line) > LONG_LINE:
            self.warn_of_long_line(line)
        link.send(line)

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
        self.versions = AttrDict()
        self.disconnect_reason = None
        self._negotiate_afresh(link)

    def connection_closed(self, reason: str) -> None:
        """Forget what belonged to the connection."""
        if self._negotiation_timer is not None:
            self._negotiation_timer.cancel()
            self._negotiation_timer = None
        self._negotiation = None
        self._flags = None
        self._server_supports_ids = (
            self._preset_flags is not None and self._preset_flags.message_ids
        )
        self._backlog = None
        if self._handling is not None:
            self._handling = None  # it may end; nothing will follow it

    def connection_received(self, events: list[Event]) -> None:
        """Handle what came, unless a handler has to be waited for."""
        if self._backlog is None:
            self.handle_events(iter(events))
            return
        self._backlog.extend(events)
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
        except Exception:
            self._logger.exception("Error while handling %r", message)
            result = None
        if message.name == "disconnect" and message.mtype == Message.INFORM:
            self._told_to_go(message)
        return result if inspect.isawaitable(result) else None

    def _told_to_go(self, message: Message) -> None:
        """Note why the device is about to close the connection, and be first."""
        text = b" ".join(message.arguments).decode("utf-8", "backslashreplace")
        self.disconnect_reason = text
        self._logger.info("Device %s closes the connection: %s", self.bind_address_string, text)
        if self._link is not None:
            self._link.close()

    def hold_events(self, awaitable: Awaitable[Any], rest: Iterator[Event]) -> None:
        """Handle the rest, and what else comes, when `awaitable` is done."""
        link = self._link
        self._backlog = list(rest)
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
        except Exception as error:
            return self._answer(msg, self._failure(msg, error))
        if inspect.isawaitable(result):
            return self._answer_later(msg, result)
        return self._answer(msg, result)

    async def _answer_later(self, request: Message, awaitable: Awaitable[Any]) -> None:
        try:
            result = await awaitable
        except Exception as error:
            result = self._failure(request, error)
        self._answer(request, result)

    def _failure(self, request: Message, error: Exception) -> Message | None:
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
