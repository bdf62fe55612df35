"""Sensors and readings, however a device sends them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from katcp.apps.cli._model import (
    Reading,
    SensorInfo,
    parse_readings,
    parse_time,
    reading_record,
    sensor_record,
    value_of,
)


def test_sensor() -> None:
    info = SensorInfo.of([b"a.b", b"Text", b"V", b"float", b"0", b"5.5"])
    assert info == SensorInfo("a.b", "Text", "V", "float", (b"0", b"5.5"))
    assert info.words == []
    assert sensor_record(info, 5) == {
        "name": "a.b",
        "type": "float",
        "units": "V",
        "description": "Text",
        "params": [0.0, 5.5],
    }


def test_discrete_sensor_has_words() -> None:
    info = SensorInfo.of([b"m", b"", b"", b"discrete", b"off", b"on"])
    assert info.words == ["off", "on"]
    assert sensor_record(info, 5)["params"] == ["off", "on"]


@given(st.lists(st.binary(), max_size=8))
def test_sensor_of_any_arguments(arguments: list[bytes]) -> None:
    info = SensorInfo.of(arguments)
    assert len(info.params) == max(0, len(arguments) - 4)
    assert info.type


@pytest.mark.parametrize(
    ("arguments", "readings"),
    [
        ([], []),
        ([b"1.5"], []),
        ([b"1.5", b"1", b"a", b"nominal"], []),  # half a reading is none
        ([b"1.5", b"1", b"a", b"warn", b"7"], [Reading("a", 1.5, "warn", b"7")]),
        (
            [b"1.5", b"1", b"a", b"warn", b"7", b"b", b"odd", b"", b"c"],  # the count is wrong
            [Reading("a", 1.5, "warn", b"7"), Reading("b", 1.5, "odd", b"")],
        ),
        ([b"noon", b"1", b"a", b"warn", b"7"], [Reading("a", None, "warn", b"7")]),
    ],
)
def test_readings(arguments: list[bytes], readings: list[Reading]) -> None:
    assert parse_readings(arguments, 5) == readings


def test_times_of_version_4_are_milliseconds() -> None:
    assert parse_readings([b"1500", b"1", b"a", b"warn", b"7"], 4)[0].timestamp == 1.5
    assert parse_time(b"1500", 4) == 1.5
    assert value_of(b"1500", "timestamp", 4) == 1.5
    assert value_of(b"1500", "timestamp", 5) == 1500.0


@pytest.mark.parametrize(
    ("raw", "kind", "value"),
    [
        (b"12", "integer", 12),
        (b"-3", "integer", -3),
        (b"1.5", "integer", "1.5"),
        (b"1e3", "float", 1000.0),
        (b"0x1f", "float", "0x1f"),
        (b"1", "boolean", True),
        (b"0", "boolean", False),
        (b"yes", "boolean", "yes"),
        (b"noon", "timestamp", "noon"),
        (b"off", "discrete", "off"),
        (b"nominal", "lru", "nominal"),
        (b"1", "string", "1"),
        (b"\xff", "string", "\\xff"),
        (b"1", "tensor", "1"),  # a type that nobody knows
    ],
)
def test_value(raw: bytes, kind: str, value: object) -> None:
    found = value_of(raw, kind, 5)
    assert found == value
    assert type(found) is type(value)


@given(st.binary(), st.sampled_from(["integer", "float", "boolean", "timestamp", "lru", "x", ""]))
def test_value_of_any_bytes(raw: bytes, kind: str) -> None:
    assert isinstance(value_of(raw, kind, 5), (str, int, float))


@pytest.mark.parametrize(
    ("status", "valid"),
    [("nominal", True), ("warn", True), ("error", True), ("failure", False), ("odd", False)],
)
def test_validity(status: str, valid: bool) -> None:
    assert Reading("a", 1.0, status, b"").valid is valid


def test_record_of_a_reading() -> None:
    info = SensorInfo("a", "", "V", "float")
    assert reading_record(Reading("a", 1.5, "warn", b"2"), info, 5) == {
        "name": "a",
        "value": 2.0,
        "units": "V",
        "type": "float",
        "status": "warn",
        "timestamp": 1.5,
    }
