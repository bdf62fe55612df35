from __future__ import annotations

import logging
import time
from typing import Any

import pytest

from katcp.inspecting_client._sensors import SensorBook, reading_of, readings_in
from katcp.sensors import Reading, Sensor

logger = logging.getLogger("test.sensors")


class Book(SensorBook):
    """A book that remembers what it told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Any]] = []
        super().__init__(logger, self._tell)

    def _tell(self, name: str, sensor: Any) -> None:
        self.told.append((name, reading_of(sensor)))

    def sensor(self, *info: bytes, name: str = "a", major: int = 5) -> Any:
        self.major = major
        return self.make(name, (name.encode(), *info), Sensor)

    def set(self, sensor: Any, *reading: bytes) -> None:
        self.set_reading(getattr(sensor, "name", "a"), sensor, *reading)


def test_readings_in_an_inform() -> None:
    assert list(readings_in([b"1.5", b"1", b"a", b"nominal", b"3"])) == [
        (b"a", b"1.5", b"nominal", b"3")
    ]
    several = [b"1.5", b"2", b"a", b"nominal", b"3", b"b", b"warn", b"4"]
    assert [name for name, *_ in readings_in(several)] == [b"a", b"b"]
    assert [name for name, *_ in readings_in([*several, b"c", b"error"])] == [b"a", b"b"]
    assert list(readings_in([b"1.5", b"0"])) == []
    assert list(readings_in([b"1.5"])) == []


@pytest.mark.parametrize(
    ("info", "stype", "params"),
    [
        ((b"D", b"V", b"integer"), "integer", []),
        ((b"D", b"V", b"integer", b"-1", b"5"), "integer", [-1, 5]),
        ((b"D", b"V", b"float", b"-1.5", b"5", b"-1", b"4"), "float", [-1.5, 5.0, -1.0, 4.0]),
        ((b"D", b"V", b"boolean"), "boolean", []),
        ((b"D", b"V", b"boolean", b"surplus"), "boolean", []),
        ((b"D", b"V", b"lru"), "lru", []),
        ((b"D", b"V", b"discrete", b"on", b"off now"), "discrete", ["on", "off now"]),
        ((b"D", b"V", b"string"), "string", []),
        ((b"D", b"V", b"address"), "address", []),
    ],
)
def test_objects_of_every_type(info: tuple[bytes, ...], stype: str, params: list[Any]) -> None:
    sensor = Book().sensor(*info)
    assert (sensor.name, sensor.description, sensor.units) == ("a", "D", "V")
    assert sensor.stype == stype
    assert sensor.params == params


def test_a_timestamp_sensor_has_no_units_whatever_the_device_says() -> None:
    sensor = Book().sensor(b"D", b"s", b"timestamp")
    assert (sensor.stype, sensor.units) == ("timestamp", "")


@pytest.mark.parametrize(
    ("info", "text"),
    [
        ((b"D", b"V", b"quaternion", b"1", b"2"), "unknown type b'quaternion'"),
        ((b"D", b"V", b"\xff"), "unknown type"),
        ((b"D", b"V", b"discrete"), "discrete without values"),
    ],
)
def test_w66_what_cannot_be_is_kept_as_a_string(
    info: tuple[bytes, ...], text: str, caplog: pytest.LogCaptureFixture
) -> None:
    book = Book()
    sensor = book.sensor(*info)
    assert sensor.stype == "string"
    assert text in caplog.text
    book.set(sensor, b"1.5", b"nominal", b"1 2 3 4")
    assert sensor.reading == (1.5, Sensor.NOMINAL, "1 2 3 4")


def test_limits_that_are_no_numbers_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    sensor = Book().sensor(b"D", b"V", b"integer", b"low", b"high")
    assert (sensor.stype, sensor.params) == ("integer", [])
    assert "Sensor 'a': parameters left out" in caplog.text


def test_text_that_is_not_utf8() -> None:
    sensor = Book().sensor(b"\xe9", b"\xb5V", b"float")
    assert (sensor.description, sensor.units) == ("\\xe9", "\\xb5V")


def test_objects_are_made_once_until_they_are_dropped() -> None:
    book = Book()
    sensor = book.sensor(b"D", b"V", b"integer")
    assert book.get("a") is sensor
    book.drop(["a", "never"])
    assert book.get("a") is None
    assert book.sensor(b"D", b"mV", b"integer") is not sensor


def test_the_factory_gets_the_documented_keywords_and_no_others() -> None:
    given: list[dict[str, Any]] = []

    def factory(**kwargs: Any) -> object:
        given.append(kwargs)
        return object()

    Book().make("a", (b"a", b"D", b"V", b"float", b"0", b"1"), factory)
    assert given == [
        {
            "name": "a",
            "sensor_type": Sensor.FLOAT,
            "description": "D",
            "units": "V",
            "params": [0.0, 1.0],
        }
    ]


# -- readings ----------------------------------------------------------------------------


def test_a_reading() -> None:
    book = Book()
    sensor = book.sensor(b"D", b"V", b"float")
    book.set(sensor, b"1600000000.25", b"warn", b"2.5")
    assert sensor.reading == Reading(1600000000.25, Sensor.WARN, 2.5)
    assert book.told == [("a", sensor.reading)]


def test_w13_times_of_version_4_are_milliseconds() -> None:
    book = Book()
    sensor = book.sensor(b"D", b"", b"timestamp", major=4)
    book.set(sensor, b"1600000000250", b"nominal", b"1500000000125")
    assert sensor.reading == Reading(1600000000.25, Sensor.NOMINAL, 1500000000.125)


@pytest.mark.parametrize("status", [b"unknown", b"failure", b"unreachable", b"inactive", b"odd"])
def test_b_client_5_a_value_that_does_not_count_need_not_be_readable(
    status: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    book = Book()
    sensor = book.sensor(b"D", b"V", b"integer")
    book.set(sensor, b"1.5", status, b"none")
    expected = Sensor.STATUS_NAMES_RAW.get(status, Sensor.UNKNOWN)
    assert sensor.reading == Reading(1.5, expected, None)
    assert caplog.text == ""


def test_b_client_5_a_value_that_counts_and_cannot_be_read_is_kept_raw_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    book = Book()
    sensor = book.sensor(b"D", b"V", b"integer", name="some.sensor")
    book.set(sensor, b"1.5", b"nominal", b"many")
    assert sensor.reading == Reading(1.5, Sensor.NOMINAL, b"many")
    assert "'some.sensor'" in caplog.text
    assert "many" in caplog.text


def test_w65_a_bad_timestamp_is_logged_with_the_name(caplog: pytest.LogCaptureFixture) -> None:
    book = Book()
    sensor = book.sensor(b"D", b"V", b"integer", name="some.sensor")
    before = sensor.reading
    book.set(sensor, b"today", b"nominal", b"3")
    assert sensor.reading is before
    assert "Cannot set sensor 'some.sensor'" in caplog.text
    assert book.told == []


class Foreign:
    """An object that a user's factory made."""

    def __init__(self) -> None:
        self.name = "a"
        self.reading = Reading(0.0, Sensor.UNKNOWN, None)
        self.formatted: list[tuple[Any, ...]] = []

    def set_formatted(self, *args: Any) -> None:
        self.formatted.append(args)
        self.reading = Reading(1.5, Sensor.NOMINAL, 3)

    def set(self, timestamp: float, status: int, value: Any) -> None:
        self.reading = Reading(timestamp, status, value)


def test_objects_of_other_classes_get_what_came() -> None:
    book = Book()
    sensor = book.make("a", (b"a", b"D", b"V", b"integer"), lambda **kwargs: Foreign())
    book.major = 4
    book.set(sensor, b"1500", b"nominal", b"3")
    assert sensor.formatted == [(b"1500", b"nominal", b"3", 4)]
    assert book.told == [("a", Reading(1.5, Sensor.NOMINAL, 3))]
    list(book.marking_unreachable())
    assert sensor.reading.status == Sensor.UNREACHABLE


def test_an_object_that_cannot_be_set_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    book = Book()
    sensor = book.make("a", (b"a", b"D", b"V", b"integer"), lambda **kwargs: object())
    book.set(sensor, b"1500", b"nominal", b"3")
    assert "Cannot set sensor" in caplog.text
    list(book.marking_unreachable())
    assert "Cannot mark sensor 'a'" in caplog.text


# -- loss --------------------------------------------------------------------------------


def test_readings_of_a_device_that_is_gone_are_unreachable_as_of_the_loss() -> None:
    book = Book()
    read = book.sensor(b"D", b"V", b"integer")
    never = book.sensor(b"D", b"V", b"integer", name="never")
    book.set(read, b"1.5", b"nominal", b"3")
    before = time.time()
    list(book.marking_unreachable())
    timestamp, status, value = read.reading
    assert before <= timestamp <= time.time()
    assert (status, value) == (Sensor.UNREACHABLE, 3)
    assert never.reading.status == Sensor.UNREACHABLE
    assert book.told[1:] == [("a", read.reading), ("never", never.reading)]
    list(book.marking_unreachable())
    assert read.reading.timestamp == timestamp  # the first loss counts


def test_when_it_is_back_what_nobody_renews_is_unknown() -> None:
    book = Book()
    sensors = [book.sensor(b"D", b"V", b"integer", name=name) for name in "abc"]
    for sensor in sensors:
        book.set(sensor, b"1.5", b"nominal", b"3")
    list(book.marking_unreachable())
    book.set(sensors[0], b"2.5", b"nominal", b"4")
    book.mark_reachable(lambda name: name != "b")
    assert [sensor.reading.status for sensor in sensors] == [
        Sensor.NOMINAL,
        Sensor.UNREACHABLE,
        Sensor.UNKNOWN,
    ]
    assert sensors[2].reading.value == 3
    book.mark_reachable(lambda name: True)  # each loss is dealt with once
    assert sensors[1].reading.status == Sensor.UNREACHABLE
