"""History: the last readings of sensors, kept for those who come later."""

from __future__ import annotations

import asyncio
import collections
import itertools
import time
from collections.abc import Callable, Iterable
from typing import Any

from katcp.endpoints._codes import BadPayloadError, InvalidValueError, RoutingKeyError, coded
from katcp.kattypes import concurrent_reply
from katcp.protocol import Message
from katcp.sensors import Reading, Sensor
from katcp.server import DeviceServer

#: Informs in one go; others have their turn between these.
_IN_ONE_GO = 200


class _Ring:
    """The last readings of one sensor."""

    __slots__ = ("readings", "sensor")

    def __init__(self, sensor: Sensor, length: int) -> None:
        self.sensor = sensor
        self.readings: collections.deque[Reading] = collections.deque(maxlen=length)
        self._keep(sensor.read())
        sensor.attach(self)

    def update(self, sensor: Any, reading: Reading) -> None:
        """Take note of a reading."""
        self._keep(reading)

    def _keep(self, reading: Reading) -> None:
        if reading.status != Sensor.UNKNOWN:
            self.readings.append(reading)

    def close(self) -> None:
        """Take note of nothing more."""
        self.sensor.detach(self)


class SensorHistory:
    """Keeps the last readings of sensors, and tells them to clients (``?sensor-history``).

    Readings of all statuses are kept, failures too, but for "unknown". What is kept of a sensor
    goes with it. It costs the sensors that are kept a step for each reading, and the others
    nothing.

    Parameters
    ----------
    device : DeviceServer
        Gets the request.
    length : int
        The most readings to keep of each sensor; about 100 bytes each.
    wanted : callable, iterable of str, or None
        Which sensors: a function of the sensor, or names. None: all of the device.

    Raises
    ------
    ValueError
        For a length that is not positive.

    Examples
    --------
    ::

        history = SensorHistory(server, length=3600, wanted=["tank.level"])

    ::

        ?sensor-history[1] tank.level -60
        #sensor-history[1] 1767225541.000000 nominal 1.25
        #sensor-history[1] 1767225571.000000 failure 1.25
        !sensor-history[1] ok 2
    """

    def __init__(
        self,
        device: DeviceServer,
        *,
        length: int = 1000,
        wanted: Callable[[Sensor], object] | Iterable[str] | None = None,
    ) -> None:
        if length < 1:
            raise ValueError(f"length must be positive, not {length}")
        self._device = device
        self._length = length
        self._rings: dict[str, _Ring] = {}
        if wanted is None:
            self._wanted: Callable[[Sensor], object] = lambda sensor: True
        elif callable(wanted):
            self._wanted = wanted
        else:
            names = frozenset([wanted] if isinstance(wanted, str) else wanted)
            self._wanted = lambda sensor: sensor.name in names
        sensors = device.sensors
        sensors.add_add_callback(self._added)
        sensors.add_remove_callback(self._removed)
        for sensor in sensors.values():
            self._added(sensor)
        device.add_request("sensor-history", concurrent_reply(coded(self.request_sensor_history)))

    def close(self) -> None:
        """Keep nothing any more, and take the request away."""
        sensors = self._device.sensors
        sensors.remove_add_callback(self._added)
        sensors.remove_remove_callback(self._removed)
        for ring in self._rings.values():
            ring.close()
        self._rings.clear()
        self._device.remove_request("sensor-history")

    def _added(self, sensor: Any) -> None:
        if self._wanted(sensor):
            self._removed(sensor)
            self._rings[sensor.name] = _Ring(sensor, self._length)

    def _removed(self, sensor: Any) -> None:
        ring = self._rings.pop(sensor.name, None)
        if ring is not None:
            ring.close()

    def names(self) -> list[str]:
        """Return the names of the sensors of which readings are kept."""
        return sorted(self._rings)

    def readings(
        self,
        name: str,
        start: float | None = None,
        stop: float | None = None,
        most: int | None = None,
    ) -> list[Reading]:
        """Return kept readings of a sensor in the order of their time stamps.

        Parameters
        ----------
        name : str
        start : float, optional
            Time of the first [seconds since 1970], inclusive.
        stop : float, optional
            Time behind the last, exclusive.
        most : int, optional
            The most readings; of more, the newest.

        Raises
        ------
        KeyError
            If readings of that sensor are not kept.
        """
        readings = list(self._rings[name].readings)
        # A reading may be set that is older than the last.
        readings.sort(key=lambda reading: reading.timestamp)
        if start is not None:
            readings = list(itertools.dropwhile(lambda one: one.timestamp < start, readings))
        if stop is not None:
            readings = list(itertools.takewhile(lambda one: one.timestamp < stop, readings))
        return readings if most is None else readings[-most:] if most > 0 else []

    async def request_sensor_history(self, req: Any, msg: Message) -> Any:
        r"""Tell what a sensor has said.

        Parameters
        ----------
        name : str
            Of a sensor.
        start : timestamp, optional
            Time of the first reading, inclusive [seconds since 1970; below zero, from now]. Empty:
            the oldest that is kept.
        stop : timestamp, optional
            Time behind the last reading, exclusive, in the same way. Empty: up to now.
        max : int, optional
            The most readings; of more, the newest.

        Informs
        -------
        timestamp : timestamp
            When it was taken; in this order.
        status : str
            Of the sensor.
        value : str
            Of the sensor; only meaningful if the status is nominal, warn or error.

        Returns
        -------
        success : {'ok', 'fail', 'invalid'}
        informs : int
            How many readings there were.

        Examples
        --------
        ::

            ?sensor-history[1] tank.level -3600 \@ 2
            #sensor-history[1] 1767225541.000000 nominal 1.25
            #sensor-history[1] 1767225571.000000 nominal 1.3
            !sensor-history[1] ok 2
        """
        arguments = [argument.decode("utf-8", "backslashreplace") for argument in msg.arguments]
        if not 1 <= len(arguments) <= 4:
            raise BadPayloadError("usage: sensor-history name [start] [stop] [max]")
        name, start, stop, most = [*arguments, "", "", ""][:4]
        now = time.time()
        bounds = _time(start, now), _time(stop, now), _number(most)
        try:
            readings = self.readings(name, *bounds)
        except KeyError:
            known = self._device.has_sensor(name)
            why = "no readings are kept of" if known else "there is no sensor"
            raise RoutingKeyError(f"{why} {name[:100]}") from None
        sensor = self._rings[name].sensor
        major = self._device.katcp_major
        for count, reading in enumerate(readings, 1):
            req.inform(*sensor.format_reading(reading, major))
            if count % _IN_ONE_GO == 0:
                await asyncio.sleep(0)
        return "ok", len(readings)


def _time(text: str, now: float) -> float | None:
    """Return a bound of time; None for nothing."""
    if not text:
        return None
    try:
        when = float(text)
    except ValueError:
        when = float("nan")
    if when != when:
        raise InvalidValueError(f"{text[:100]!r} is no time", invalid=True)
    return now + when if when < 0 else when


def _number(text: str) -> int | None:
    if not text:
        return None
    try:
        number = int(text)
    except ValueError:
        number = -1
    if number < 0:
        raise InvalidValueError(f"{text[:100]!r} is no number of readings", invalid=True)
    return number
