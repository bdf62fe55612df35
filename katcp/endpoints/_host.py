"""What serves endpoints: their addresses, sensors and requests, on any device server."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import os
from collections.abc import Callable
from typing import Any, TypeVar

from katcp.endpoints._addressed import AddressedEndpoints
from katcp.endpoints._alerts import AlertHub
from katcp.endpoints._blocking import running_loop
from katcp.endpoints._codes import coded
from katcp.endpoints._derived import DerivedEndpoint
from katcp.endpoints._endpoint import Endpoint
from katcp.endpoints._keys import Persistence
from katcp.endpoints._locks import Locks
from katcp.endpoints._logging import LoggedEndpoint
from katcp.endpoints._placed import check_unplaced
from katcp.endpoints._requests import AlertRequests, EndpointRequests, LockRequests, LoggingRequests
from katcp.endpoints._sensors import EndpointSensors
from katcp.kattypes import concurrent_reply
from katcp.server import DeviceServer
from katcp.storage import Database

log = logging.getLogger("katcp.endpoints")

_T = TypeVar("_T")
_R = TypeVar("_R")

#: How long another thread waits for the loop to add or remove an endpoint [s].
_PATIENCE = 10.0

#: What has the requests that come with the first endpoint.
_REQUESTS: tuple[Callable[[Any], Any], ...] = (
    EndpointRequests,
    LockRequests,
    LoggingRequests,
    AlertRequests,
)


class EndpointHost(AddressedEndpoints):
    """Serves endpoints on a device server.

    It adds the sensors of the endpoints to the device, the requests when the first endpoint comes,
    and does in the background what endpoints do by themselves for as long as the device runs. Use
    it in the loop of the device, or before that runs; endpoints can be added and removed from other
    threads, too, which wait until that is done. `EndpointServer` has one; a device of
    another class has to pass on `client_gone`.

    Parameters
    ----------
    device : DeviceServer
        Whose sensors and requests they become.
    node : str
        First name of all addresses; sensors do not have it. Empty: none.
    may_force : callable, optional
        Decides who may open what somebody else has locked; see `Locks`.
    database : path, katcp.storage.Database or Persistence, optional
        Where the values of keys, and locks, are kept, so that a device that is started again has
        them. None: nowhere.

    Raises
    ------
    katcp.storage.StorageError
        If the database cannot be opened; the text says which it is and why.

    Attributes
    ----------
    locks : Locks
        The locks of all endpoints.
    alerts : AlertHub
        Where endpoints send their alerts, and clients subscribe to them.
    persistence : Persistence or None
        What keeps values and locks.
    """

    def __init__(
        self,
        device: DeviceServer,
        *,
        node: str = "",
        may_force: Callable[[Any], Any] | None = None,
        database: str | os.PathLike[str] | Database | Persistence | None = None,
    ) -> None:
        super().__init__(node)
        self.device = device
        #: What clients take for a sensor's name -> the path of whose it is.
        self._mapped: dict[str, str] = {}
        self._mounted = False
        self._loop: asyncio.AbstractEventLoop | None = None
        #: Whether the device is about to stop, so that nothing that is set now would be kept.
        self.stopping = False
        self.alerts = AlertHub(device.katcp_major)
        self._mapped.update({_as_attribute(one.name): one.name for one in self.alerts.sensors()})
        self._parts: list[Any] = []
        if database is not None and not isinstance(database, Persistence):
            database = Persistence(database)
        self.persistence = database
        self.locks = Locks(may_force=may_force, on_change=self._lock_changed)
        if database is not None:
            self.locks.keep_in(database)
            device.add_service_task(database.live, name="values of endpoints")

    # -- endpoints ----------------------------------------------------------------------

    def add(self, endpoint: Endpoint) -> None:
        """Serve an endpoint, with all that belongs to it; clients are told.

        Raises
        ------
        ValueError
            If its name, or one inside it, is taken, cannot be told from another, or is that of a
            sensor of the device; or it belongs elsewhere.
        """
        check_unplaced(endpoint)
        self._in_loop(self._add, endpoint)

    def _add(self, endpoint: Endpoint) -> None:
        if endpoint.name in self._top:
            raise ValueError(f"there are two endpoints named {endpoint.name!r}")
        self._take_in(endpoint)
        endpoint._host = self  # noqa: SLF001  # of this package
        self._top[endpoint.name] = endpoint
        self._began(endpoint)

    def remove(self, endpoint: Endpoint | str) -> Endpoint:
        """Serve an outermost endpoint no longer, given itself or by name; clients are told.

        Raises
        ------
        KeyError
            If there is none.
        """
        return self._in_loop(self._remove, endpoint)

    def _remove(self, endpoint: Endpoint | str) -> Endpoint:
        name = endpoint if isinstance(endpoint, str) else endpoint.name
        gone = self._top[name]
        self._abandon(gone)
        del self._top[name]
        gone._host = None  # noqa: SLF001
        return gone

    def _in_loop(self, function: Callable[[_T], _R], argument: _T) -> _R:
        """Call a function in the loop of the device, if that runs, and wait for it."""
        loop = self._loop
        if loop is None or loop is running_loop():
            return function(argument)
        called: concurrent.futures.Future[_R] = concurrent.futures.Future()

        def call() -> None:
            if called.set_running_or_notify_cancel():
                try:
                    called.set_result(function(argument))
                except BaseException as error:
                    called.set_exception(error)

        loop.call_soon_threadsafe(call)
        try:
            return called.result(_PATIENCE)
        finally:
            called.cancel()

    def adopt(self, endpoint: Endpoint) -> None:
        """Serve what has been added to a provider; called by that.

        Raises
        ------
        ValueError
            As for `add`.
        """
        self._in_loop(self._adopt, endpoint)

    def _adopt(self, endpoint: Endpoint) -> None:
        self._take_in(endpoint)
        self.locks.cover(endpoint)
        self._began(endpoint)

    def abandon(self, endpoint: Endpoint) -> None:
        """Serve what is about to be removed from a provider no longer; called by that."""
        self._in_loop(self._abandon, endpoint)

    def _abandon(self, endpoint: Endpoint) -> None:
        with self.device.holding_announcements():
            for one in reversed(endpoint.walk()):
                self._ended(one)
                self._book.remove(one)
                if self.persistence is not None:
                    self.persistence.abandon(one)
                sensors = one._sensors  # noqa: SLF001
                one._sensors = None  # noqa: SLF001
                self.locks.abandon(one)
                for sensor in [] if sensors is None else sensors.all():
                    del self._mapped[_as_attribute(sensor.name)]
                    self.device.remove_sensor(sensor)

    def _take_in(self, endpoint: Endpoint) -> None:
        """Take an endpoint and all below it into the book, with their sensors; all or none."""
        everyone = endpoint.walk()
        made = [EndpointSensors(one, isinstance(one, LoggedEndpoint)) for one in everyone]
        fresh: dict[str, str] = {}
        for one, sensors in zip(everyone, made, strict=True):
            if one.path in self._book:
                raise ValueError(f"there are two endpoints named {one.path!r}")
            for sensor in sensors.all():
                mapped = _as_attribute(sensor.name)
                taken = self._mapped.get(mapped) or fresh.get(mapped)
                if taken is not None and taken != sensor.name:
                    raise ValueError(
                        f"the names {taken!r} and {sensor.name!r} are one to clients, which take "
                        "'-' and '.' for '_'"
                    )
                if taken is not None or self.device.has_sensor(sensor.name):
                    raise ValueError(f"the device has a sensor named {sensor.name!r} already")
                fresh[mapped] = sensor.name
        with self.device.holding_announcements():
            self._mount()
            self._mapped.update(fresh)
            for one, sensors in zip(everyone, made, strict=True):
                self._book.add(one)
                for sensor in sensors.all():
                    self.device.add_sensor(sensor)
                one._sensors = sensors  # noqa: SLF001
                if self.persistence is not None:
                    self.persistence.adopt(one)
                sensors.show(one.reading)
                self.locks.adopt(one)
                self._lock_changed(one)

    def _lock_changed(self, endpoint: Endpoint) -> None:
        sensors = endpoint.sensors
        if sensors is not None:
            sensors.locked.set_value(endpoint.lockout.is_locked)

    def _began(self, endpoint: Endpoint) -> None:
        """Begin what an endpoint, and those below it, do by themselves, if the device runs."""
        loop = self._loop
        if loop is None or endpoint.host is not self:
            return
        if running_loop() is not loop:  # which began to run while this was added
            loop.call_soon_threadsafe(self._began, endpoint)
            return
        for one in endpoint.walk():
            if isinstance(one, LoggedEndpoint):
                one.logging.begin(self.alerts)
            if isinstance(one, DerivedEndpoint):
                one.follow(loop)

    def _ended(self, endpoint: Endpoint) -> None:
        """End what one endpoint does by itself."""
        if isinstance(endpoint, LoggedEndpoint):
            endpoint.logging.end()
        if isinstance(endpoint, DerivedEndpoint):
            endpoint.unfollow()

    # -- requests -----------------------------------------------------------------------

    def _mount(self) -> None:
        if not self._mounted:
            parts = [make(self) for make in _REQUESTS]
            for part in parts:
                self._check_free(part)
            for sensor in self.alerts.sensors():
                if self.device.has_sensor(sensor.name):
                    raise ValueError(f"the device has a sensor named {sensor.name!r} already")
            self._mounted = True
            for part in parts:
                self.mount(part)
            for sensor in self.alerts.sensors():
                self.device.add_sensor(sensor)
            self.device.add_service_task(self._live, name="endpoints")

    @staticmethod
    def request_names() -> frozenset[str]:
        """Return the names of the requests that come with the first endpoint."""
        return frozenset(name for part in _REQUESTS for name in _requests_of(part))

    def mount(self, part: Any) -> None:
        """Make requests of the methods ``request_*`` of an object, coroutines with docstrings.

        What they raise is answered with its code. Later messages of a client do not wait for them:
        endpoints have turns of their own.

        Raises
        ------
        ValueError
            If the device has one of them already.
        """
        self._check_free(part)
        self._parts.append(part)
        for name, method in _requests_of(part).items():
            self.device.add_request(name, concurrent_reply(coded(method)))

    def _check_free(self, part: Any) -> None:
        for name in _requests_of(part):
            if self.device.has_request(name):
                raise ValueError(f"the device has a request {name!r} already, which endpoints need")

    # -- life ---------------------------------------------------------------------------

    async def _live(self) -> None:
        """Do what endpoints do by themselves, for as long as the device runs."""
        self._loop = loop = asyncio.get_running_loop()
        self.stopping = False
        self.locks.start(loop)
        try:
            for endpoint in self.endpoints:
                self._began(endpoint)
            await loop.create_future()  # until it is cancelled
        finally:
            self.stopping = True
            for endpoint in self.all_endpoints():
                self._ended(endpoint)
            self.alerts.clear()
            self.locks.stop()
            self._loop = None

    def client_gone(self, connection: Any) -> None:
        """Forget a client that has gone: its leases and subscriptions."""
        self.alerts.client_gone(connection)
        for part in self._parts:
            forget = getattr(part, "client_gone", None)
            if forget is not None:
                forget(connection)


def _requests_of(part: Any) -> dict[str, Callable[..., Any]]:
    return {
        name.removeprefix("request_").replace("_", "-"): getattr(part, name)
        for name in dir(part)
        if name.startswith("request_")
    }


def _as_attribute(name: str) -> str:
    return name.replace("-", "_").replace(".", "_")
