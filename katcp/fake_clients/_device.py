"""The other end of a fake client: a real server, which has no socket and takes any request."""

from __future__ import annotations

import asyncio
import functools
import socket
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Protocol

from tornado.ioloop import IOLoop

from katcp.fake_clients._requests import CLIENT_NAME, FakeClientRequestConnection
from katcp.fake_clients._wire import MemoryTransport, join
from katcp.protocol import Message, ProtocolFlags
from katcp.sensors import Sensor
from katcp.server import DeviceServer

Handler = Callable[..., Any]

#: What a fake device does as every device does, unless a test has a handler for it. It is not in
#: its ``?help``. (``?halt`` and ``?restart`` only succeed: there is nothing to stop.)
STANDARD_REQUESTS = (
    "client-list",
    "help",
    "log-level",
    "sensor-list",
    "sensor-sampling",
    "sensor-sampling-clear",
    "sensor-value",
    "version-list",
    "watchdog",
)


class Fakes(Protocol):
    """What a fake device offers; may change at any time."""

    request_handlers: dict[str, Handler]

    @property
    def fake_sensors(self) -> dict[str, Sensor]:
        """Its sensors by name."""


class RequestTable(dict[str, Handler]):
    """Requests by name: those of the fakes to be seen, and any other to be looked up."""

    def get(self, name: str, default: Any = None) -> Any:
        """Return the handler of any request."""
        known = super().get(name)
        if known is None:
            known = _STANDARD.get(name, _succeed)
        return known


def _succeed(server: Any, req: Any, msg: Message) -> Any:
    """Succeed, as any request to a fake device does that nobody has given a handler for."""
    return req.make_reply("ok")


def wired(handler: Handler) -> Handler:
    """Return what a server calls, as ``(server, req, ...)``, for a handler that takes a fake `req`.

    Parameters
    ----------
    handler : callable
        Called as ``(req, msg)``, or with values if it is typed by annotations.
    """

    @functools.wraps(handler)
    def call(server: Any, req: Any, *args: Any) -> Any:
        return handler(FakeClientRequestConnection.wired_to(req), *args)

    call.katcp_bound = handler  # type: ignore[attr-defined]  # its signature begins with `req`
    return call


class FakeDevice(DeviceServer):
    """A device in this process, for one client.

    Parameters
    ----------
    fakes : Fakes
        Its requests and sensors.
    """

    PROTOCOL_INFO = ProtocolFlags(5, 0, "MI")
    VERSION_INFO = ("fake-device", 1, 0)
    BUILD_INFO = ("fake-device", 1, 0, "")

    announces_clients: ClassVar[bool] = False

    def __init__(self, fakes: Fakes) -> None:
        super().__init__("fake-device", 0, coalesce=0.0)
        # Handlers are quick, and a test may answer from any thread.
        self.set_concurrency_options(thread_safe=True, handler_thread=False)
        self._server.open_sockets = _no_sockets  # type: ignore[method-assign]
        self._fakes = fakes
        self._handlers_seen: dict[str, Handler] = {}
        self._request_handlers = RequestTable()
        self.follow_fakes()

    def setup_sensors(self) -> None:
        """Make none: they come from the fakes."""

    def follow_fakes(self) -> None:
        """Have the requests and the sensors that the fakes have now."""
        handlers = self._fakes.request_handlers
        if handlers != self._handlers_seen:
            known = self._request_handlers
            self._request_handlers = RequestTable(
                (
                    name,
                    known[name]
                    if name in known and self._handlers_seen.get(name) is handler
                    else wired(handler),
                )
                for name, handler in handlers.items()
            )
            self._handlers_seen = dict(handlers)
        wanted = self._fakes.fake_sensors
        if wanted != self._sensors:
            for name in [name for name in self._sensors if name not in wanted]:
                self.remove_sensor(name)
            for name, sensor in wanted.items():
                if self._sensors.get(name) is not sensor:
                    self.add_sensor(sensor)

    def start_message(self, connection: Any, event: Any) -> bool:
        """Begin to handle what came, as the fakes are at that moment."""
        self.follow_fakes()
        return super().start_message(connection, event)

    def announce(self) -> None:
        """Tell the client now that requests or sensors have changed."""
        self.follow_fakes()
        self.mass_inform(Message.inform("interface-changed"))
        for connection in self.connections():
            connection.flush()
            # The client is out of step from this moment on, not a turn of the loop later.
            connection.transport.peer.deliver()

    def connections(self) -> Iterator[Any]:
        """Yield the connections there are."""
        yield from list(self._server.connections)

    def connect(
        self, client: asyncio.BufferedProtocol, address: tuple[str, int], client_name: str
    ) -> None:
        """Start, and connect a client; stop when it disconnects.

        Parameters
        ----------
        client : asyncio.BufferedProtocol
            The client's end.
        address : tuple
            (host, port) that the client believes to be connected to.
        client_name : str
            What the device takes for the client's address.
        """
        loop = asyncio.get_running_loop()
        self.set_ioloop(IOLoop.current())
        self.start()
        server = self._server.make_connection()
        names: Mapping[str, Any] = {"peername": address, "sockname": (CLIENT_NAME, 0)}
        # The client's connection is not gone until the device has stopped, so that whoever waits
        # for the client to stop finds that nothing is left.
        near = MemoryTransport(loop, client, dict(names), self.stop)
        far = MemoryTransport(loop, server, {"peername": client_name, "sockname": address})
        join(near, far)
        client.connection_made(near)
        server.connection_made(far)


def _no_sockets() -> list[socket.socket]:
    return []


_STANDARD = {
    name: handler
    for name, handler in FakeDevice._request_handlers.items()  # noqa: SLF001  # of this room
    if name in STANDARD_REQUESTS
}
