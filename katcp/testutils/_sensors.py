"""Sensors with a reading, and their comparison."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from katcp.sensors import Sensor

if TYPE_CHECKING:
    import unittest

    _Mixin = unittest.TestCase
else:
    _Mixin = object


class DeviceTestSensor(Sensor):
    """A sensor that is given its reading when it is made.

    Parameters
    ----------
    sensor_type : int
    name, description, units : str
    params : sequence
    timestamp : float
        Time of the reading [seconds since 1970].
    status : int
    value : object
    """

    def __init__(
        self,
        sensor_type: int | type,
        name: str,
        description: str,
        units: str,
        params: Sequence[Any] | None,
        timestamp: float,
        status: int,
        value: Any,
    ) -> None:
        super().__init__(sensor_type, name, description, units, params)
        self.set(timestamp, status, value)


def _type_constant(sensor: Any) -> Any:
    return Sensor.SENSOR_TYPE_LOOKUP.get(sensor.type, sensor.type)


class SensorComparisonMixin(_Mixin):
    """Assertions about sensors, to be mixed into a `unittest.TestCase`."""

    #: How what a description may hold is got from a sensor. The type is a constant of `Sensor`.
    key_fns: ClassVar[dict[str, Callable[[Any], Any]]] = {
        "name": lambda s: s.name,
        "status": lambda s: s.read().status,
        "type": _type_constant,
        "value": lambda s: s.read().value,
        "timestamp": lambda s: s.read().timestamp,
        "description": lambda s: s.description,
        "units": lambda s: s.units,
        "params": lambda s: s.params,
    }

    def _get_sensor_description(
        self,
        sensor: Any,
        desired_keys: Iterable[str] | None = None,
        ignore_keys: Container[str] = (),
    ) -> dict[str, Any]:
        """Describe a sensor by the keys of `key_fns`, or some of them.

        Raises
        ------
        KeyError
            For a key that is none of these.
        """
        description = {}
        for key in self.key_fns if desired_keys is None else desired_keys:
            if key in ignore_keys:
                continue
            if key not in self.key_fns:
                raise KeyError(
                    f"{key!r} is nothing that sensors are compared by; known are "
                    f"{sorted(self.key_fns)}"
                )
            description[key] = self.key_fns[key](sensor)
        return description

    def assert_sensor_equal(
        self, actual_sensor: Any, desired_sensor: Any, ignore_attributes: Container[str] = ()
    ) -> None:
        """Check that two sensors agree in all but `ignore_attributes`."""
        self.assertEqual(
            self._get_sensor_description(actual_sensor, ignore_keys=ignore_attributes),
            self._get_sensor_description(desired_sensor, ignore_keys=ignore_attributes),
        )

    def assert_sensor_equal_description(
        self, actual_sensor: Any, desired_description: Mapping[str, Any]
    ) -> None:
        """Check a sensor against what a description says of it; the rest may be anything.

        Parameters
        ----------
        actual_sensor : Sensor
        desired_description : dict
            Any of the keys of `key_fns`.
        """
        description = {"name": actual_sensor.name, **desired_description}
        self.assert_sensors_equal_description([actual_sensor], [description])

    def assert_sensors_equal_description(
        self, actual_sensors: Iterable[Any], desired_description: Iterable[Mapping[str, Any]]
    ) -> None:
        """Check sensors, in any order, against descriptions, which all hold a name."""
        self.maxDiff = None
        sensors = {sensor.name: sensor for sensor in actual_sensors}
        wanted = {description["name"]: dict(description) for description in desired_description}
        self.assertEqual(sorted(sensors), sorted(wanted))
        actual = {
            name: self._get_sensor_description(sensors[name], description)
            for name, description in wanted.items()
        }
        self.assertEqual(actual, wanted)

    def assert_sensors_value_conditions(
        self, actual_sensors: Iterable[Any], value_tests: Mapping[str, Callable[[Any], object]]
    ) -> None:
        """Call a function with the value of each sensor that there is one for.

        Parameters
        ----------
        actual_sensors : iterable of Sensor
        value_tests : dict
            Name of a sensor -> function of its value, which raises if that is wrong.
        """
        sensors = {sensor.name: sensor for sensor in actual_sensors}
        missing = sorted(set(value_tests.keys()) - set(sensors))
        self.assertTrue(not missing, f"There are no sensors {missing}")
        for name, check in value_tests.items():
            check(sensors[name].value())
