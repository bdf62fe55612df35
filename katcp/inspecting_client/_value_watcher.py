"""All sensors of a device, with live readings, as a set of one's own."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from katcp.aio import AttrDict, future_timeout_manager, under_way, with_timeout
from katcp.inspecting_client._client import InspectingClientAsync
from katcp.inspecting_client._sampling import Parameter, Wish, make_wish
from katcp.inspecting_client._unseen import reading_so_far, unwatch, watch
from katcp.sensors import VALID_STATUSES, Sensor, SensorSet

#: A strategy with its parameters, as text or in a tuple; None for none.
Strategy = str | tuple[Parameter, ...] | None

_NO_SAMPLING = make_wish("none", ())
#: So many new sensors are taken at a time (10 ms); then others have their turns.
_AT_ONCE = 500
_log = logging.getLogger("katcp.inspect_client")


class SensorWatcher:
    """Keeps a set of sensors in step with a device: which there are, and their readings.

    It has the sensors sampled (many in one request, where the device can), again after each
    reconnection, and copies what comes. While the device is gone its sensors are `unreachable`.
    To be used in the client's loop; it may be made before the client is connected.

    Parameters
    ----------
    client : InspectingClientAsync
        Of the device. It is not started by the watcher, except by ``async with``.
    strategy : str, tuple or callable
        Sampling strategy of all sensors: ``"event"``, ``"period 10"``, ``("event-rate", 1, 60)``;
        see `InspectingClientAsync.set_sampling`. Or a function, called as `filter` is, that
        returns one for each sensor, or None for a sensor that is not to be sampled. A sensor
        has one strategy with one client, so two watchers of a client should want the same.
    filter : callable, optional
        Takes the place of the method of that name.
    rewrite_name : callable, optional
        Takes the place of the method of that name.
    updated : callable, optional
        Takes the place of the method `sensor_updated`.
    sensors : SensorSet, optional
        To put the sensors into, besides others that may be there; ``server.sensors``, say.

    Attributes
    ----------
    client : InspectingClientAsync
    sensors : SensorSet
        The sensors, which are copies: of their own name, and nobody else's to set. Those who
        want to know what comes and goes add their callbacks to it, or define `sensor_added` and
        `sensor_removed` in a subclass.

    Examples
    --------
    ::

        client = InspectingClientAsync("localhost", 7147, timeout=5)
        async with SensorWatcher(client, "event-rate 0.1 60") as watcher:
            print(watcher.sensors["pump.speed"].value())
    """

    def __init__(
        self,
        client: InspectingClientAsync,
        strategy: Strategy | Callable[..., Strategy] = "event",
        *,
        filter: Callable[..., bool] | None = None,
        rewrite_name: Callable[[str], str | Iterable[str]] | None = None,
        updated: Callable[[Any, Any], object] | None = None,
        sensors: SensorSet | None = None,
        logger: logging.Logger | None = None,
    ) -> None:
        self.client = client
        self.sensors: SensorSet = SensorSet() if sensors is None else sensors
        self._logger = logging.getLogger("katcp.inspect_client") if logger is None else logger
        self._strategy = strategy
        # One that no device would take raises now.
        self._wish = None if callable(strategy) else _wish(strategy)
        self._filter = filter
        self._rewrite_name = rewrite_name
        self._updated = updated
        # Whether anybody wants to know what a sensor is before it is taken.
        mine = type(self)
        self._looks = (
            filter is not None
            or callable(strategy)
            or mine.filter is not SensorWatcher.filter
            or mine.strategy_of is not SensorWatcher.strategy_of
        )
        self._tells = updated is not None or (
            type(self).sensor_updated is not SensorWatcher.sensor_updated
        )
        # Name on the device -> what carries its readings over.
        self._links: dict[str, _Link] = {}
        self._asked: set[asyncio.Future[Any]] = set()
        # Names of sensors that are to be taken.
        self._waiting: dict[str, None] = {}
        self._closed = False
        self._started_client = False
        self._teller = _Teller(self)
        client.add_follower(self)
        self._take(client.sensors)

    # -- for subclasses -----------------------------------------------------------------

    def filter(
        self, name: str, description: str, units: str, type_name: str, *params: bytes
    ) -> bool:
        """Tell whether a sensor is wanted; by default all are.

        Parameters
        ----------
        name, description, units, type_name : str
            As the device says.
        *params : bytes
            As the device says.
        """
        if self._filter is not None:
            return bool(self._filter(name, description, units, type_name, *params))
        return True

    def rewrite_name(self, name: str) -> str | Iterable[str]:
        """Return the name that a sensor gets here, or several for several copies of it."""
        return name if self._rewrite_name is None else self._rewrite_name(name)

    def strategy_of(
        self, name: str, description: str, units: str, type_name: str, *params: bytes
    ) -> Strategy:
        """Return the sampling strategy for a sensor; None for none."""
        if callable(self._strategy):
            return self._strategy(name, description, units, type_name, *params)
        return self._strategy

    def make_sensor(self, name: str, source: Any) -> Sensor:
        """Make the copy of a sensor of the client, under another name."""
        kind = Sensor.SENSOR_TYPE_LOOKUP[source.type]
        return RelayedSensor(kind, name, source.description, source.units, list(source.params))

    def left_out(self, name: str, reason: str) -> None:
        """Take note that a sensor of the device is not in the set; by default, log it."""
        self._logger.warning("Sensor %r of the device is left out: %s", name, reason)

    def sensor_added(self, sensor: Sensor) -> None:
        """Act on a new sensor, which is in the set."""

    def sensor_removed(self, sensor: Sensor) -> None:
        """Act on the loss of a sensor, which is in the set no more."""

    def sensor_updated(self, sensor: Sensor, reading: Any) -> None:
        """Act on a new reading of a sensor."""
        if self._updated is not None:
            self._updated(sensor, reading)

    # -- life ---------------------------------------------------------------------------

    @property
    def synced(self) -> bool:
        """Whether the set is in step with the device, and sampling has been set."""
        return self.client.synced and not self._asked and not self._waiting

    def until_synced(self, timeout: float | None = None) -> asyncio.Future[None]:
        """Return a future that is done when the set is in step with the device.

        Every sensor has a reading of the device's then, unless it refused to have it sampled.

        Parameters
        ----------
        timeout : float, optional
            Longest wait [s]; `tornado.gen.TimeoutError` after that. None: for ever.

        Raises
        ------
        KatcpClientError
            From the future, if the client is stopped.
        """
        return under_way(self._until_synced(timeout), self.client.ioloop)

    async def _until_synced(self, timeout: float | None) -> None:
        limit = future_timeout_manager(timeout)
        while True:
            await self.client.until_synced(limit.remaining())
            if self.synced:
                return
            if not self._asked:
                await asyncio.sleep(0.001)
                continue
            asked = asyncio.wait(list(self._asked))
            await with_timeout(asked, limit.remaining(), "sampling to be set")

    def close(self) -> None:
        """Watch no more: sampling ends, and the sensors, which stay, become `unreachable`."""
        if self._closed:
            return
        self._closed = True
        self.client.remove_follower(self)
        self.client.adopt_sampling(dict.fromkeys(self._links, _NO_SAMPLING))
        now = time.time()
        with self.batch():
            for link in self._links.values():
                link.cut()
                for sensor in link.targets:
                    if sensor.status() != Sensor.UNREACHABLE:
                        sensor.set(now, Sensor.UNREACHABLE, sensor.value())
                    if self._tells:
                        sensor.detach(self._teller)
        self._links.clear()

    def remove_all(self) -> None:
        """Take the sensors of this watcher out of the set."""
        with self.batch():
            self._drop(list(self._links))

    async def __aenter__(self) -> SensorWatcher:
        """Connect the client if it does not run, and wait until all is in step."""
        self._started_client = not self.client.running()
        try:
            await self.client.__aenter__()
            await self._until_synced(None)
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._started_client:
            await self.client.stop()
        self.close()

    # -- following (called by the client) -----------------------------------------------

    def batch(self) -> AbstractContextManager[None]:
        """Return a context in which many sensors change together."""
        return self.sensors.batch()

    def model_changed(self, changes: AttrDict) -> None:
        """Take note of a change of the client's model."""
        sensors = changes.get("sensors")
        if sensors is not None and not self._closed:
            with self.batch():
                self._drop(sensors.removed)
                if len(sensors.added) > _AT_ONCE or self._waiting:
                    self._waiting.update(dict.fromkeys(sorted(sensors.added)))
                else:
                    self._take(sensors.added)

    @property
    def behind(self) -> bool:
        """Whether there are sensors that have not been taken yet."""
        return bool(self._waiting) and not self._closed

    async def catch_up(self) -> None:
        """Take them, and let others have their turns."""
        with self.batch():
            while self.behind and self.client.running():
                some = list(itertools.islice(self._waiting, _AT_ONCE))
                for name in some:
                    del self._waiting[name]
                self._take(some)
                await asyncio.sleep(0)

    def _drop(self, names: Iterable[str]) -> None:
        gone = {}
        for name in names:
            self._waiting.pop(name, None)
            link = self._links.pop(name, None)
            if link is None:
                continue
            gone[name] = _NO_SAMPLING
            link.cut()
            for sensor in link.targets:
                self.sensors.discard(sensor)
                if self._tells:
                    sensor.detach(self._teller)
                self._call(self.sensor_removed, sensor)
        self.client.adopt_sampling(gone, send=False)

    def _take(self, names: Iterable[str]) -> None:
        wishes = {}
        with self.batch():
            for name in sorted(names):
                try:
                    wish = self._take_one(name)
                except Exception:
                    self._logger.exception("Cannot watch sensor %r", name)
                    continue
                if wish is not None:
                    wishes[name] = wish
        asked = self.client.adopt_sampling(wishes)
        if asked is not None:
            self._asked.add(asked)
            asked.add_done_callback(self._asked.discard)

    def _take_one(self, name: str) -> Wish | None:
        """Put a sensor into the set; return how to have it sampled."""
        if name in self._links:
            return None
        wish = self._wish
        if self._looks:
            info = self.client.sensor_description(name)
            if not self.filter(*info):
                return None
            strategy = self.strategy_of(*info)
            wish = _NO_SAMPLING if strategy is None else _wish(strategy)
        assert wish is not None
        new_names = self.rewrite_name(name)
        source = self.client.sensor_object(name)
        targets = []
        for new_name in [new_names] if isinstance(new_names, str) else new_names:
            if new_name in self.sensors:
                self.left_out(name, f"there is one called {new_name!r}")
                continue
            targets.append(self.make_sensor(new_name, source))
        link = _Link(source, targets)
        known = reading_so_far(source)
        if known is not None:
            link.update(source, known)
        for sensor in list(targets):
            try:
                self.sensors.add(sensor)
            except ValueError as error:
                self.left_out(name, str(error))
                targets.remove(sensor)
        if not targets:
            return None
        self._links[name] = link
        link.join()
        for sensor in targets:
            if self._tells:
                sensor.attach(self._teller)
            self._call(self.sensor_added, sensor)
        return None if wish.strategy == "none" else wish

    def _call(self, function: Callable[[Any], object], sensor: Any) -> None:
        try:
            function(sensor)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:
            self._logger.exception("%r of sensor %r failed", function, sensor.name)


def _wish(strategy: Strategy) -> Wish:
    """Return a strategy in the form that the client keeps.

    Raises
    ------
    ValueError
        For one that no device would take.
    """
    words: Sequence[Any] = strategy.split() if isinstance(strategy, str) else strategy or ("none",)
    if not words:
        raise ValueError("A sampling strategy cannot be empty.")
    return make_wish(str(words[0]), tuple(words[1:]))


def check_strategy(strategy: Strategy) -> None:
    """Look whether a sampling strategy, as for `SensorWatcher`, is one.

    Raises
    ------
    ValueError
        If no device would take it.
    """
    _wish(strategy)


class RelayedSensor(Sensor):
    """A copy of a sensor of a device, which is sent on as it came.

    It is a `Sensor` as any other. Only that what a server sends of a reading, timestamp and value,
    are the bytes that the device has sent, though they may be written in another way than this
    package would, and need not be written anew.
    """

    # What sampling would write of a plain sensor is there already.
    _is_plain = False
    _keeps_text = True

    def relay(self, reading: Any, timestamp: bytes, status: bytes, value: bytes) -> None:
        """Replace the reading, and tell the observers.

        Parameters
        ----------
        reading : Reading
        timestamp, status, value : bytes
            The same as it stands on the wire of protocol version 5; the value is escaped.
        """
        name = self._escaped_name or self._wire_name
        self._encoded = (reading, b" %b 1 %b %b %b\n" % (timestamp, name, status, value))
        self._reading = reading
        for observer in self._notified:
            try:
                observer.update(self, reading)
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException:
                _log.exception("Observer %r of sensor %r failed", observer, self.name)


class _Link:
    """Carries the readings of a sensor of the client over to its copies."""

    __slots__ = ("source", "targets")

    def __init__(self, source: Any, targets: list[Any]) -> None:
        self.source = source
        self.targets = targets

    def update(self, sensor: Any, reading: Any) -> None:
        """Take over a reading."""
        timestamp, status, value = reading
        if value is None or type(value) is bytes:
            # What the device sent cannot be read; its status may say that it does not matter.
            if status in VALID_STATUSES:
                status = Sensor.FAILURE
            for target in self.targets:
                target.set(timestamp, status, target.value())
            return
        for target in self.targets:
            target.set(timestamp, status, value)

    def relay(self, reading: Any, timestamp: bytes, status: bytes, value: bytes) -> None:
        """Take over a reading, given as it came, too; the value is escaped."""
        for target in self.targets:
            if type(target) is RelayedSensor:
                target.relay(reading, timestamp, status, value)
            else:
                target.set(*reading)

    def join(self) -> None:
        """Carry readings over from now on."""
        relay = self.relay
        if len(self.targets) == 1 and type(self.targets[0]) is RelayedSensor:
            relay = self.targets[0].relay  # a step less for each reading
        watch(self.source, self, relay)

    def cut(self) -> None:
        """Carry nothing over any more."""
        unwatch(self.source, self)


class _Teller:
    """Tells a watcher of the readings of its copies."""

    def __init__(self, watcher: SensorWatcher) -> None:
        self._watcher = watcher

    def update(self, sensor: Any, reading: Any) -> None:
        """Tell the watcher."""
        self._watcher.sensor_updated(sensor, reading)
