"""What the device speaks: as it says itself, connection by connection, or as the user says."""

from __future__ import annotations

import asyncio
import logging
import ssl

from katcp.aio import AttrDict, ExponentialRandomBackoff
from katcp.client._life import ClientLife
from katcp.client._link import Link
from katcp.client._negotiation import Negotiation
from katcp.protocol import (
    FLOAT_TS_KATCP_MAJOR,
    SEC_TO_MS_FAC,
    SEC_TS_KATCP_MAJOR,
    Message,
    ProtocolFlags,
)


class GreetedClient(ClientLife):
    """A client that gets to know which protocol its device speaks; see `DeviceClient`."""

    def __init__(
        self,
        host: str,
        port: int,
        logger: logging.Logger,
        auto_reconnect: bool,
        backoff: ExponentialRandomBackoff | None,
        greeting_timeout: float,
        ssl_context: ssl.SSLContext | None = None,
        server_hostname: str | None = None,
    ) -> None:
        super().__init__(host, port, logger, auto_reconnect, backoff, ssl_context, server_hostname)
        self.greeting_timeout = greeting_timeout
        self.versions: AttrDict = AttrDict()
        self._preset_flags: ProtocolFlags | None = None
        self._static_protocol_configuration = False
        self._negotiation: Negotiation | None = None
        self._negotiation_timer: asyncio.TimerHandle | None = None
        self._flags: ProtocolFlags | None = None
        self._server_supports_ids = False

    def connection_opened(self, link: Link) -> None:
        """Wait for the device to say what it speaks."""
        self.versions = AttrDict()
        self._negotiate_afresh(link)

    def connection_closed(self, reason: str) -> None:
        """Forget what the device speaks: it may come back as another version."""
        if self._negotiation_timer is not None:
            self._negotiation_timer.cancel()
            self._negotiation_timer = None
        self._negotiation = None
        self._flags = None
        self._server_supports_ids = (
            self._preset_flags is not None and self._preset_flags.message_ids
        )

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
        self._static_protocol_configuration = True
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
        self._attempts = 0
        self._complained = False
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
        GreetedClient.inform_version(self, msg)

    def convert_seconds(self, time_seconds: float) -> float:
        """Convert seconds to the device's unit of time: milliseconds below version 5."""
        flags = self.protocol_flags
        if flags is None or flags.major >= SEC_TS_KATCP_MAJOR:
            return time_seconds
        milliseconds = SEC_TO_MS_FAC * time_seconds
        return milliseconds if flags.major >= FLOAT_TS_KATCP_MAJOR else int(milliseconds)
