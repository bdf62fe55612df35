"""What a socket server needs of the device whose clients it carries."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from katcp.errors import KatcpSyntaxError
from katcp.protocol import Message, WireMessage
from katcp.server._connection import ClientConnection


class Device(Protocol):
    """A device, as far as a socket server calls it."""

    @property
    def announces_clients(self) -> bool:
        """Whether other clients are told of a new one."""

    @property
    def start_message(self) -> Callable[[ClientConnection, WireMessage | KatcpSyntaxError], bool]:
        """What begins to handle a message or an error; true: hold back the next one."""

    def loop_started(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take note of the loop, in it."""

    async def loop_ending(self) -> None:
        """End what works in the background, before clients are told."""

    def loop_stopping(self) -> None:
        """End what belongs to the loop, in it."""

    def katcp_follow(self, pending: Any) -> asyncio.Future[Any]:
        """Return a future of the loop for whatever a hook returned."""

    def on_client_connect(self, conn: ClientConnection, /) -> Any:
        """Do what a new client needs."""

    def on_client_disconnect(
        self, conn: ClientConnection, msg: str, connection_valid: bool, /
    ) -> Any:
        """Do what is needed when a client goes."""

    def client_gone(self, connection: ClientConnection) -> None:
        """Forget a client."""

    def abandon_requests(self, connection: ClientConnection) -> None:
        """Answer the requests of a client that are under way."""

    def create_log_inform(
        self, level_name: str, msg: str, name: str, timestamp: float | None = None
    ) -> Message:
        """Make a ``#log`` inform."""
