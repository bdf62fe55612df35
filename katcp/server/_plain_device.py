"""A device that is no `DeviceServerBase`: any object with the few methods a server needs."""

from __future__ import annotations

import asyncio
import inspect
import logging
from typing import Any

from katcp.errors import KatcpSyntaxError
from katcp.protocol import Message, WireMessage, to_message
from katcp.server._connection import ClientConnection
from katcp.server._dispatch import error_of, follow
from katcp.server._request import Sent

log = logging.getLogger("katcp.server")


class PlainDevice:
    """Makes of such an object what `KATCPServer` carries the messages of.

    Parameters
    ----------
    device : object
        Has ``on_client_connect(conn)``, ``on_client_disconnect(conn, reason, connection_valid)``,
        ``on_message(conn, msg)`` and ``create_log_inform(level_name, msg, name)``. The first
        three may return futures; that of ``on_message`` tells when it can take the next.
    """

    announces_clients = False

    def __init__(self, device: Any) -> None:
        self._device = device
        self._loop: asyncio.AbstractEventLoop
        self.on_client_connect = device.on_client_connect
        self.on_client_disconnect = device.on_client_disconnect
        self.create_log_inform = device.create_log_inform

    def loop_started(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take note of the loop, in it."""
        self._loop = loop

    async def loop_ending(self) -> None:
        """Do nothing: it has no services."""

    def loop_stopping(self) -> None:
        """End nothing: whatever the device has begun is its own."""

    def katcp_follow(self, pending: Any) -> asyncio.Future[Any]:
        """Return a future of the loop for whatever a hook returned."""
        return follow(self._loop, pending)

    def start_message(
        self, connection: ClientConnection, event: WireMessage | KatcpSyntaxError
    ) -> bool:
        """Hand a message to the device; tell whether the client's next one has to wait."""
        if isinstance(event, KatcpSyntaxError):
            if connection.may_complain():
                connection.inform(self.create_log_inform("error", str(event), "root"))
            return False
        message = to_message(event)
        try:
            pending = self._device.on_message(connection, message)
        except Exception as error:
            self._failed(connection, message, error)
            return False
        if not inspect.isawaitable(pending) or isinstance(pending, Sent):
            return False
        connection.hold()

        def proceed(future: asyncio.Future[Any]) -> None:
            error = error_of(future)
            if error is not None:
                self._failed(connection, message, error)
            connection.proceed()

        self.katcp_follow(pending).add_done_callback(proceed)
        return True

    def _failed(self, connection: ClientConnection, message: Message, error: BaseException) -> None:
        log.error("Handling %r failed", message, exc_info=error)
        text = f"Handling {message.name!r} failed: {error}"
        connection.inform(self.create_log_inform("error", text, "root"))

    def client_gone(self, connection: ClientConnection) -> None:
        """Forget nothing: nothing is known of it."""

    def abandon_requests(self, connection: ClientConnection) -> None:
        """Answer nothing: requests are the device's."""
