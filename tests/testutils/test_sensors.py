from __future__ import annotations

import unittest
import warnings

import pytest

from katcp import Sensor
from katcp.testutils import DeviceTestSensor, SensorComparisonMixin


class Case(unittest.TestCase, SensorComparisonMixin):
    def runTest(self) -> None:  # noqa: N802
        pass


def test_w93_sensors_are_compared_by_public_methods() -> None:
    sensor = DeviceTestSensor(Sensor.INTEGER, "a", "A.", "", None, 1, Sensor.NOMINAL, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Case().assert_sensor_equal(sensor, sensor)
        Case().assert_sensor_equal_description(sensor, {"value": 3, "type": Sensor.INTEGER})


def test_w93_an_unknown_key_is_named() -> None:
    with pytest.raises(KeyError, match="'colour' is nothing that sensors are compared by"):
        Case().assert_sensor_equal_description(Sensor.integer("a"), {"colour": "red"})


def test_sensors_without_a_number_for_their_type() -> None:
    class Foreign:
        type = "spectrum"

    assert SensorComparisonMixin.key_fns["type"](Foreign()) == "spectrum"


def test_a_missing_sensor_is_named() -> None:
    with pytest.raises(AssertionError, match=r"\['b'\]"):
        Case().assert_sensors_value_conditions([Sensor.integer("a")], {"b": lambda value: None})
