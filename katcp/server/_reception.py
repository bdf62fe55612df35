"""What a gateway in the same process needs of a server: to bring in clients, and to look on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from katcp.kattypes import decorated_usage
from katcp.protocol import ProtocolFlags
from katcp.server._base import DeviceServerBase
from katcp.server._connection import ClientConnection
from katcp.server._dispatch import signature_of


@dataclass(frozen=True)
class ClientFacts:
    """What is known of a client that is connected.

    Attributes
    ----------
    address : str
        ``host:port``.
    since : float
        When it came [s since 1970].
    subscriptions : int
        Sensors that it has strategies on.
    """

    address: str
    since: float
    subscriptions: int


class Reception:
    """The door of a server for gateways, such as the one for browsers. To be used in its loop.

    Whoever comes in here is a client as any other: it counts for the limits, stands in
    ``?client-list``, may do what the access policy allows, and is disconnected as others are.

    Parameters
    ----------
    device : DeviceServerBase
    """

    def __init__(self, device: DeviceServerBase) -> None:
        self._device = device
        self._server = device._server  # noqa: SLF001  # of this package

    @property
    def running(self) -> bool:
        """Whether clients are served."""
        return self._server.running() and self._server.in_ioloop_thread()

    @property
    def protocol(self) -> ProtocolFlags:
        """What the device speaks."""
        return self._device.PROTOCOL_INFO

    @property
    def address(self) -> tuple[str, int]:
        """(host, port) that the device listens on."""
        return self._device.bind_address

    @property
    def statistics(self) -> Mapping[str, int]:
        """The numbers of the server."""
        return self._server.statistics

    def refusal(self, host: str) -> str | None:
        """Return why a client of that address would be turned away now; None if it would not."""
        return self._server.admission.refusal(host)

    def adopt(self, transport: asyncio.Transport) -> ClientConnection:
        """Serve a client over `transport`, which is connected.

        The connection is a `asyncio.BufferedProtocol`, which the transport is to give its input.
        What ``get_extra_info("peername")`` of the transport returns is the address of the client.

        Raises
        ------
        RuntimeError
            If the server does not run in this thread.
        """
        if not self.running:
            raise RuntimeError("The server does not run here.")
        connection = self._server.make_connection()
        transport.set_protocol(connection)
        connection.connection_made(transport)
        return connection

    def clients(self) -> Iterator[ClientFacts]:
        """Tell of all clients."""
        strategies = getattr(self._device, "katcp_strategies_of", None)
        for connection in list(self._server.connections):
            count = 0 if strategies is None else len(strategies(connection))
            yield ClientFacts(connection.address, connection.since, count)

    def hears(self, client: ClientConnection, name: str) -> bool:
        """Tell whether a client may have the informs of that name that go to all."""
        gate = self._server.gate
        return gate is None or client in gate.audience([client], name)

    def listen(self, listener: Callable[[bytes], object]) -> Callable[[], None]:
        """Have `listener` called with each line that goes to all; return what ends that."""
        listeners = self._server.listeners
        listeners.append(listener)

        def end() -> None:
            if listener in listeners:
                listeners.remove(listener)

        return end

    def usage(self, name: str) -> str | None:
        """Return the parameters of a request as help texts have them: ``x: integer, y: integer``.

        None if nothing is known about them.
        """
        handlers: dict[str, Any] = self._device._request_handlers  # noqa: SLF001  # as above
        handler = handlers.get(name)
        if handler is None:
            return None
        try:
            usage = decorated_usage(handler)
            if usage is None:
                signature = signature_of(handler, type(self._device))
                usage = None if signature is None else signature.usage
        except Exception:  # an ill-typed handler, or a type of a user that fails
            return None
        return usage
