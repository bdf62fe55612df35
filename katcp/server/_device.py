"""A device: requests, sensors, versions, a log."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import re
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from typing import Any, ClassVar, TypeVar

from katcp._version import __version__
from katcp.protocol import INTERFACE_CHANGED_KATCP_MAJOR, Message, escape
from katcp.sampling import SampleStrategy, SamplingTable
from katcp.sensors import PERIOD_FLOOR, Sensor
from katcp.server._announcer import PATIENCE, InterfaceAnnouncer
from katcp.server._connection import ClientConnection
from katcp.server._log import DeviceLogger
from katcp.server._order import SensorOrder
from katcp.server._request import SENT, Sent
from katcp.server._requests import (
    BasicRequests,
    LifecycleRequests,
    LoggingRequests,
    SamplingRequests,
    SensorRequests,
)
from katcp.server._sensor_set import DeviceSensors
from katcp.server._statistics_sensors import add_statistics_sensors
from katcp.server._strategies import MessageSubscriber, Strategies, StrategiesOfClient

_Server = TypeVar("_Server", bound="AsyncDeviceServer")

_REQUEST_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9\-]*", re.ASCII)
_GOOD_SENSOR_NAME = re.compile(r"[A-Za-z0-9._\-]+", re.ASCII)
_USABLE_SENSOR_NAME = re.compile(r"[^\s,\x00-\x20\x7f]+")


class DeviceServer(
    BasicRequests, LifecycleRequests, LoggingRequests, SensorRequests, SamplingRequests
):
    """A device that clients connect to.

    Subclasses say what they are (`VERSION_INFO`, `BUILD_INFO`), make their sensors in
    `setup_sensors`, and answer requests in methods ``request_*``. It runs in a thread of its own
    unless `set_ioloop` is called before `start`.

    Parameters are those of `DeviceServerBase`, and

    Parameters
    ----------
    period_floor : float
        Shortest sampling period that clients may ask for [s].
    max_subscriptions : int, optional
        Sensors that a client may have strategies on at a time, other than ``none``; a
        ``?sensor-sampling`` that would lead to more fails and changes nothing. None: no limit.
    remote_halt : bool
        Whether clients may end and restart the device. If not, it has no requests ``?halt`` and
        ``?restart``.
    statistics_period : float, optional
        Makes sensors ``server.clients``, ``server.bad-lines`` and so on of the `statistics`,
        renewed so often [s]; None: none.

    Examples
    --------
    A request that is typed by annotations::

        class Adder(DeviceServer):
            def setup_sensors(self):
                self.add_sensor(Sensor.integer("last-sum", "The last sum.", default=0))

            def request_add(self, req, x: int, y: int) -> int:
                '''Add two integers.'''
                self.get_sensor("last-sum").set_value(x + y)
                return x + y

    ::

        ?add[1] 2 3
        !add[1] ok 5
    """

    #: Name, major and minor version of the device's interface.
    VERSION_INFO: ClassVar[tuple[Any, ...]] = ("device_stub", 0, 1)
    #: Name, major and minor version of the software, and a suffix that may be left out.
    BUILD_INFO: ClassVar[tuple[Any, ...]] = ("name", 0, 1, "")

    SUPPORTED_PROTOCOL_MAJOR_VERSIONS: ClassVar[tuple[int, ...]] = (4, 5)
    #: Major version -> names of requests that servers of that version do not have.
    UNSUPPORTED_REQUESTS_BY_MAJOR_VERSION: ClassVar[dict[int, AbstractSet[str]]] = {
        4: {"version-list"}
    }

    announces_clients = True

    def __init__(
        self,
        *args: Any,
        period_floor: float = PERIOD_FLOOR,
        max_subscriptions: int | None = None,
        remote_halt: bool = True,
        statistics_period: float | None = None,
        **kwargs: Any,
    ) -> None:
        if self.PROTOCOL_INFO.major not in self.SUPPORTED_PROTOCOL_MAJOR_VERSIONS:
            raise ValueError(
                f"Protocol version {self.PROTOCOL_INFO.major} is not supported, only "
                f"{self.SUPPORTED_PROTOCOL_MAJOR_VERSIONS}."
            )
        super().__init__(*args, **kwargs)
        if max_subscriptions is not None and max_subscriptions < 1:
            raise ValueError(f"max_subscriptions must be positive, not {max_subscriptions}.")
        unsupported = self.UNSUPPORTED_REQUESTS_BY_MAJOR_VERSION.get(self.katcp_major, ())
        self.katcp_withdraw(unsupported)
        if not remote_halt:
            self.katcp_withdraw_halt()
        self.period_floor = period_floor
        self.max_subscriptions = max_subscriptions
        self.log = DeviceLogger(self, python_logger=self._logger)
        #: Name -> (version, build or None) of further parts, for ``?version-list``.
        self.extra_versions: dict[str, tuple[str, str | None]] = {}
        self._restart_queue: Any = None
        self._sensors: dict[str, Sensor] = {}
        self._order = SensorOrder()
        self._description_tails: dict[Sensor, bytes] = {}
        self._help_tails: dict[str, tuple[Any, bytes]] = {}
        #: Strategies that the device itself has added to those that clients have set.
        self._added_strategies: dict[Any, dict[Sensor, SampleStrategy]] = {}
        self._sampling: SamplingTable | None = None  # made with the loop
        self._announcer: InterfaceAnnouncer | None = None
        self.setup_sensors()
        if statistics_period is not None:
            add_statistics_sensors(self, statistics_period)

    # -- what it is ---------------------------------------------------------------------

    def version(self) -> str:
        """Return the version of the interface: ``name-major.minor``."""
        name, major, minor = self.VERSION_INFO[:3]
        return f"{name}-{major}.{minor}"

    def build_state(self) -> str:
        """Return the version of the software: ``name-major.minor`` and suffix."""
        name, major, minor, *suffix = self.BUILD_INFO
        return f"{name}-{major}.{minor}{suffix[0] if suffix else ''}"

    def katcp_versions(self) -> Iterable[tuple[str, ...]]:
        """Return name, version and, maybe, build of all that has a version."""
        yield "katcp-protocol", str(self.PROTOCOL_INFO)
        yield "katcp-library", f"katcp-python-{__version__}", __version__
        yield "katcp-device", self.version(), self.build_state()
        for name, (version, build) in sorted(self.extra_versions.items()):
            yield (name, version) if build is None else (name, version, build)

    def setup_sensors(self) -> None:
        """Make the device's sensors; to be defined by subclasses, called by the constructor."""
        raise NotImplementedError("Device server subclasses must implement setup_sensors.")

    def set_restart_queue(self, restart_queue: Any) -> None:
        """Have ``?restart`` put this server into a queue that the application reads."""
        self._restart_queue = restart_queue

    # -- sensors ------------------------------------------------------------------------

    # Programs for katcp-python may have an attribute of that name, so it can be replaced.
    @functools.cached_property
    def sensors(self) -> DeviceSensors:
        """The sensors as a set: adding one to it, or removing it, is `add_sensor` and so on."""
        return self._sensor_set

    @functools.cached_property
    def _sensor_set(self) -> DeviceSensors:
        return DeviceSensors(self)

    def add_sensor(self, sensor: Sensor) -> None:
        """Add a sensor; one of the same name is replaced.

        While the server runs, clients are told by ``#interface-changed``. Strategies that clients
        had on a sensor that is replaced end.

        Raises
        ------
        ValueError
            If its name cannot be used in requests.
        """
        self._check_name(sensor.name)
        old = self._sensors.get(sensor.name)
        if old is not None and old is not sensor:
            self._forget_sensor(old)
        self._sensors[sensor.name] = sensor
        self._order.changed(sensor.name)
        if old is not sensor:
            self._changed("sensor", sensor.name, "added" if old is None else "modified")
            self._sensor_set.changed(old, sensor)

    def _check_name(self, name: str) -> None:
        if _GOOD_SENSOR_NAME.fullmatch(name) is not None:
            return
        if _USABLE_SENSOR_NAME.fullmatch(name) is None:
            raise ValueError(
                f"Sensor name {name!r} must not be empty or hold spaces, commas or control "
                "characters."
            )
        self._logger.warning(
            "Sensor name %r has characters other than letters, digits, '.', '-' and '_'", name
        )

    def remove_sensor(self, sensor: Sensor | str) -> None:
        """Remove a sensor, given itself or by name, and end all sampling of it.

        Raises
        ------
        ValueError
            If there is none.
        """
        name = sensor if isinstance(sensor, str) else sensor.name
        known = self._sensors.pop(name, None)
        if known is None:
            raise ValueError(f"Unknown sensor '{name}'.")
        self._order.changed(name)
        self._forget_sensor(known)
        self._changed("sensor", name, "removed")
        self._sensor_set.changed(known, None)

    def _forget_sensor(self, sensor: Sensor) -> None:
        self._description_tails.pop(sensor, None)
        for added in list(self._added_strategies.values()):
            if sensor in added:
                added.pop(sensor).cancel()
        if self._sampling is not None:
            self.in_loop(self._sampling.drop_sensor, sensor)

    def has_sensor(self, sensor_name: str) -> bool:
        """Tell whether there is a sensor of that name."""
        return sensor_name in self._sensors

    def get_sensor(self, sensor_name: str) -> Sensor:
        """Return a sensor by name.

        Raises
        ------
        ValueError
            If there is none.
        """
        sensor = self._sensors.get(sensor_name)
        if sensor is None:
            raise ValueError(f"Unknown sensor '{sensor_name}'.")
        return sensor

    def get_sensors(self) -> list[Sensor]:
        """Return all sensors."""
        # A copy is taken in one step; another thread may change the sensors meanwhile.
        return list(self._sensors.copy().values())

    def sorted_sensors(self) -> list[Sensor]:
        """Return the sensors by name."""
        return self._order.take(self._sensors)

    # -- requests that come and go ------------------------------------------------------

    def add_request(self, name: str, handler: Callable[..., Any]) -> None:
        """Add a request while the device runs, or replace one; clients are told.

        Parameters
        ----------
        name : str
            On the wire.
        handler : function
            As a method ``request_*`` would be, but already bound: called with (req, msg), or
            (req, ...) if it is typed by annotations. It needs a docstring.

        Raises
        ------
        ValueError
            For a bad name, or a handler without a docstring.
        """
        if _REQUEST_NAME.fullmatch(name) is None:
            raise ValueError(f"{name!r} cannot be the name of a request.")
        if not handler.__doc__:
            raise ValueError(f"The handler of request {name!r} has no docstring.")
        handlers = dict(self._request_handlers)
        known = name in handlers
        handlers[name] = _unbound(handler)
        self._request_handlers = handlers
        self._changed("request", name, "modified" if known else "added")

    def has_request(self, name: str) -> bool:
        """Tell whether there is a request of that name."""
        return name in self._request_handlers

    def remove_request(self, name: str) -> None:
        """Remove a request; clients are told.

        Raises
        ------
        ValueError
            If there is none.
        """
        if name not in self._request_handlers:
            raise ValueError(f"Unknown request '{name}'.")
        self._request_handlers = {
            other: handler for other, handler in self._request_handlers.items() if other != name
        }
        self._changed("request", name, "removed")

    @contextlib.contextmanager
    def holding_announcements(self) -> Iterator[None]:
        """Announce what changes in the block by one ``#interface-changed`` after it; in the loop.

        In other threads it does nothing.
        """
        announcer = self._announcer
        if announcer is None or not self._server.in_ioloop_thread():
            yield
            return
        announcer.hold()
        try:
            yield
        finally:
            announcer.release()

    def _changed(self, kind: str, name: str, how: str) -> None:
        if self._announcer is not None:
            patience = 0.0 if self._server.in_ioloop_thread() else PATIENCE
            self.in_loop(self._announcer.changed, kind, name, how, patience)

    # -- clients ------------------------------------------------------------------------

    @property
    def _client_conns(self) -> AbstractSet[ClientConnection]:
        """The clients that are connected."""
        return self._server.connections.keys()

    @property
    def _strategies(self) -> Strategies:
        """Client -> sensor -> strategy; those that a device puts in end with the client's own."""
        return Strategies(self)

    def katcp_sampling_clients(self) -> list[Any]:
        """Return the clients that are connected, and others that have strategies."""
        return list(dict.fromkeys([*self._server.connections, *self._added_strategies]))

    def katcp_strategies_of(self, client_conn: Any) -> StrategiesOfClient:
        """Return the strategies of a client, by sensor."""
        added = self._added_strategies.setdefault(client_conn, {})
        return StrategiesOfClient(self._sampling, self._subscriber(client_conn), added)

    @staticmethod
    def _subscriber(connection: Any) -> Any:
        """Return what takes the reports for a connection, which may be one of somebody's tests."""
        is_real = issubclass(type(connection), ClientConnection)
        return connection if is_real else MessageSubscriber(connection)

    def on_client_connect(self, client_conn: ClientConnection) -> Any:
        """Greet a client."""
        if self.katcp_major >= 5:
            lines = list(self.katcp_versions())[:3]
            lines[1] = lines[1][:2]
            head = b"#version-connect"
        else:
            lines = [("#version", self.version()), ("#build-state", self.build_state())]
            head = b""
        send = self._subscriber(client_conn).send
        for line in lines:
            words = b" ".join([escape(word.encode("utf-8", "replace")) for word in line])
            send(head + b" " + words + b"\n" if head else words + b"\n")
        return SENT

    def on_client_disconnect(
        self, client_conn: ClientConnection, msg: str, connection_valid: bool
    ) -> Any:
        """End a client's strategies, and tell it why it is disconnected if that is possible."""
        self.clear_strategies(client_conn, remove_client=True)
        if connection_valid:
            client_conn.inform(Message.inform("disconnect", msg))
        return SENT

    def client_gone(self, connection: ClientConnection) -> None:
        """Forget a client, whatever `on_client_disconnect` did (called by the socket side)."""
        self.clear_strategies(connection)

    def clear_strategies(self, client_conn: Any, remove_client: bool = False) -> None:
        """End all sampling strategies of a client; in the loop."""
        if self._sampling is not None:
            self._sampling.clear(self._subscriber(client_conn))
        for strategy in self._added_strategies.pop(client_conn, {}).values():
            strategy.cancel()

    def mass_inform(self, msg: Message) -> Sent:
        """Send an inform to all clients; from any thread."""
        if msg.name == "interface-changed" and self._announcer is not None:
            # What the device announces itself need not be announced once more.
            self.in_loop(self._announcer.announced_by_hand, msg.arguments)
        return super().mass_inform(msg)

    # -- the loop -----------------------------------------------------------------------

    def in_loop(self, function: Callable[..., object], *args: Any) -> None:
        """Call `function` now, if this is the loop's thread, or else soon in the loop."""
        self._server.in_loop(function, *args)

    def loop_started(self, loop: asyncio.AbstractEventLoop) -> None:
        """Make what belongs to the loop (called by the socket side)."""
        super().loop_started(loop)
        self.sorted_sensors()  # 100,000 take 70 ms, for which nobody has to wait yet
        self._sampling = SamplingTable(loop, self.katcp_major)
        if self.katcp_major >= INTERFACE_CHANGED_KATCP_MAJOR:
            self._announcer = InterfaceAnnouncer(loop, self._server.mass_send)

    def loop_stopping(self) -> None:
        """End what belongs to the loop (called by the socket side)."""
        super().loop_stopping()
        if self._announcer is not None:
            self._announcer.stop()
            self._announcer = None
        if self._sampling is not None:
            self._sampling.close()
        for client in list(self._added_strategies):
            self.clear_strategies(client)


def _unbound(handler: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that takes the server first, for one that does not."""

    @functools.wraps(handler)
    def with_server(server: Any, *args: Any) -> Any:
        return handler(*args)

    with_server.katcp_bound = handler  # type: ignore[attr-defined]  # read by signature_of
    return with_server


class AsyncDeviceServer(DeviceServer):
    """A device that runs, handlers and all, in the loop that is current when it is made.

    If none is running then, it is the one that is current at `start`. Nothing but `stop` may be
    called from other threads.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.set_concurrency_options(thread_safe=False, handler_thread=False)
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return
        self.set_ioloop()

    def start(self, timeout: float | None = None) -> None:
        """Listen, at once, and begin to serve."""
        if self.ioloop is None:
            self.set_ioloop()
        super().start(timeout)

    async def __aenter__(self: _Server) -> _Server:
        """Start, and serve until the end of the block."""
        self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Stop."""
        await self.stop()
