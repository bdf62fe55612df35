"""``?sensor-list`` and ``?sensor-value``."""

from __future__ import annotations

from typing import Any

from katcp.errors import FailReply
from katcp.protocol import Message
from katcp.sensors import Sensor
from katcp.server._filters import construct_name_filter
from katcp.server._requests._lists import send_list
from katcp.server._requests._types import DeviceProtocol


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
        sensors = self._matching_sensors(msg)
        tails = self._description_tails
        try:
            return send_list(req, [tails[sensor] for sensor in sensors])
        except KeyError:
            for sensor in sensors:
                if sensor not in tails:
                    tails[sensor] = sensor.wire_description()
            return send_list(req, [tails[sensor] for sensor in sensors])

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
        major = self.major
        return send_list(
            req, [sensor.wire_reading(major) for sensor in self._matching_sensors(msg)]
        )

    def _matching_sensors(self, msg: Message) -> list[Sensor]:
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
        return [sensor for sensor in self.sorted_sensors() if matches(sensor.name)]
