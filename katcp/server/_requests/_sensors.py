"""``?sensor-list`` and ``?sensor-value``."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable, Generator, Iterable, Sequence
from typing import Any

from katcp.errors import FailReply
from katcp.protocol import Message
from katcp.sensors import Sensor, wire_readings
from katcp.server._filters import construct_name_filter
from katcp.server._requests._lists import send_list
from katcp.server._requests._types import DeviceProtocol
from katcp.server._turns import TIME_SLICE

#: Slices of time (`TIME_SLICE`) that one request may take to look for a pattern in names; others
#: have their turns in between.
MAX_SLICES = 100


class SensorRequests(DeviceProtocol):
    """Requests about sensors and their readings."""

    def request_sensor_list(self, req: Any, msg: Message) -> Any:
        r"""List sensors.

        Parameters
        ----------
        name : str, optional
            Exact name of a sensor, or ``/regular expression/`` that is searched in the names; all
            sensors if not given.

        Informs
        -------
        name : str
        description : str
        units : str
        type : str
            ``integer``, ``float``, ``boolean``, ``lru``, ``discrete``, ``string``, ``timestamp``
            or ``address``.
        params : list, optional
            Lowest and highest value of a number, words of a discrete sensor.

        Returns
        -------
        success : {'ok', 'fail'}
        informs : int
            Number of informs sent.

        Examples
        --------
        ::

            ?sensor-list psu.voltage
            #sensor-list psu.voltage PSU\_voltage. V float 0.0 5.0
            !sensor-list ok 1
        """
        found = self._matching_sensors(msg)
        if isinstance(found, list):
            return self._list_descriptions(req, found)
        return _list_later(req, found, self._list_descriptions)

    def _list_descriptions(self, req: Any, sensors: list[Sensor]) -> Any:
        return send_list(req, sensors, self._wire_descriptions)

    def _wire_descriptions(self, sensors: Sequence[Sensor]) -> list[bytes]:
        tails = self._description_tails
        try:
            return [tails[sensor] for sensor in sensors]
        except KeyError:
            for sensor in sensors:
                # One that another thread has removed meanwhile is not kept.
                if sensor not in tails and self._sensors.get(sensor.name) is sensor:
                    tails[sensor] = sensor.wire_description()
            known = tails.get
            return [known(sensor) or sensor.wire_description() for sensor in sensors]

    _description_tails: dict[Sensor, bytes]

    def request_sensor_value(self, req: Any, msg: Message) -> Any:
        """Give the present readings of sensors.

        Parameters
        ----------
        name : str, optional
            Exact name of a sensor, or ``/regular expression/`` that is searched in the names; all
            sensors if not given.

        Informs
        -------
        timestamp : float
            When the reading was taken [seconds since 1970, UTC; milliseconds in version 4].
        count : {1}
            Number of sensors in this inform.
        name : str
        status : str
            ``unknown``, ``nominal``, ``warn``, ``error``, ``failure``, ``unreachable`` or
            ``inactive``.
        value : object
            Of the sensor's type.

        Returns
        -------
        success : {'ok', 'fail'}
        informs : int
            Number of informs sent.

        Examples
        --------
        ::

            ?sensor-value psu.voltage
            #sensor-value 1767225600.250000 1 psu.voltage nominal 4.5
            !sensor-value ok 1
        """
        found = self._matching_sensors(msg)
        if isinstance(found, list):
            return self._list_readings(req, found)
        return _list_later(req, found, self._list_readings)

    def _list_readings(self, req: Any, sensors: list[Sensor]) -> Any:
        major = self.katcp_major
        return send_list(req, sensors, lambda some: wire_readings(some, major))

    def _send_sensor_value_informs(self, req: Any, sensors: Iterable[tuple[str, Sensor]]) -> None:
        """Send the present readings of sensors, given as (name, sensor), as informs of `req`."""
        for name, sensor in sensors:
            timestamp, status, value = sensor.read_formatted(self.katcp_major)
            req.inform(timestamp, "1", name, status, value)

    def _matching_sensors(self, msg: Message) -> list[Sensor] | Awaitable[list[Sensor]]:
        """Return the sensors that a request means; with a future, if that takes long to find out.

        Raises
        ------
        FailReply
            If there is none of an exact name, or the filter is no filter.
        """
        if not msg.arguments:
            return self.sorted_sensors()
        pattern = msg.arguments[0].decode("utf-8", "backslashreplace")
        try:
            exact, matches = construct_name_filter(pattern)
        except ValueError as error:
            raise FailReply(str(error)) from None
        if exact:
            sensor = self._sensors.get(pattern)
            if sensor is None:
                raise FailReply("Unknown sensor name.")
            return [sensor]
        matching = self._search(self.sorted_sensors(), matches)
        try:
            next(matching)
        except StopIteration as end:
            found: list[Sensor] = end.value
            return found
        return self._go_on_searching(matching)

    @staticmethod
    def _search(
        sensors: list[Sensor], matches: Callable[[str], bool]
    ) -> Generator[None, None, list[Sensor]]:
        """Look for a pattern in the names of sensors; yield after each slice of time."""
        found = []
        begin = time.monotonic()
        slices = 0
        try:
            for sensor in sensors:
                if matches(sensor.name):
                    found.append(sensor)
                if time.monotonic() - begin > TIME_SLICE:
                    slices += 1
                    if slices >= MAX_SLICES:
                        raise ValueError("it takes too long.")
                    yield
                    begin = time.monotonic()
        except ValueError as error:
            raise FailReply(f"Invalid regular expression: {error}") from None
        return found

    async def _go_on_searching(self, matching: Generator[None, None, list[Sensor]]) -> list[Sensor]:
        while True:
            await asyncio.sleep(0)
            try:
                next(matching)
            except StopIteration as end:
                found: list[Sensor] = end.value
                break
        # Some may have gone while others had their turn.
        return [sensor for sensor in found if self._sensors.get(sensor.name) is sensor]


async def _list_later(
    req: Any, pending: Awaitable[list[Sensor]], answer: Callable[[Any, list[Sensor]], Any]
) -> Any:
    reply = answer(req, await pending)
    return await reply if inspect.isawaitable(reply) else reply
