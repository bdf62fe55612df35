"""The eight sensor types: what they take, and their text in both versions of the protocol."""

from __future__ import annotations

import decimal
import fractions
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from katcp.errors import KatcpSyntaxError
from katcp.sensors import SENSOR_TYPES, TYPE_NUMBERS, Sensor, parse_params, parse_type
from katcp.sensors._types import type_number

MAKE = {
    "integer": Sensor.integer,
    "float": Sensor.float,
    "boolean": Sensor.boolean,
    "lru": Sensor.lru,
    "discrete": lambda name: Sensor.discrete(name, params=["idle", "busy now", "off"]),
    "string": Sensor.string,
    "timestamp": Sensor.timestamp,
    "address": Sensor.address,
}


def sensor_of(kind: str) -> Sensor:
    sensor: Sensor = MAKE[kind]("a.sensor")  # type: ignore[operator]
    return sensor


def test_types_have_their_numbers_and_names() -> None:
    assert TYPE_NUMBERS == {
        "integer": 0,
        "float": 1,
        "boolean": 2,
        "lru": 3,
        "discrete": 4,
        "string": 5,
        "timestamp": 6,
        "address": 7,
    }
    assert {kind.name: number for number, kind in SENSOR_TYPES.items()} == TYPE_NUMBERS


@pytest.mark.parametrize("name", TYPE_NUMBERS)
def test_parse_type(name: str) -> None:
    assert parse_type(name) == parse_type(name.encode()) == TYPE_NUMBERS[name]
    assert Sensor.parse_type(name) == TYPE_NUMBERS[name]


@pytest.mark.parametrize("name", ["", "int", "Integer", "INTEGER", "integer ", b"\xff", "quux"])
def test_an_unknown_type_is_a_syntax_error(name: Any) -> None:
    with pytest.raises(KatcpSyntaxError, match="Invalid sensor type string"):
        parse_type(name)


def test_python_types_stand_for_sensor_types() -> None:
    assert [type_number(t) for t in (int, float, str, bool)] == [0, 1, 5, 2]
    assert [type_number(n) for n in range(8)] == list(range(8))


@pytest.mark.parametrize("sensor_type", [8, -1, "integer", None, complex])
def test_an_unknown_type_cannot_be_given(sensor_type: Any) -> None:
    with pytest.raises(ValueError, match="Unknown sensor type"):
        type_number(sensor_type)


# -- values on the wire --------------------------------------------------------------------

V6 = ("fe80::1", 80)

VALUES = [
    # type, value, version 5, version 4 (None: the same)
    ("integer", -546, b"-546", None),
    ("integer", 0, b"0", None),
    ("integer", 10**12, b"1000000000000", None),
    ("integer", True, b"1", None),
    ("float", 1.7, b"1.7", None),
    ("float", 5.0, b"5.0", None),
    ("float", 5, b"5.0", None),
    ("float", 1e-07, b"1e-07", None),
    ("float", -0.0, b"-0.0", None),
    ("float", math.inf, b"inf", None),
    ("float", fractions.Fraction(1, 4), b"0.25", None),
    ("float", decimal.Decimal("0.125"), b"0.125", None),
    ("boolean", True, b"1", None),
    ("boolean", False, b"0", None),
    ("boolean", 0, b"0", None),
    ("lru", Sensor.LRU_NOMINAL, b"nominal", None),
    ("lru", Sensor.LRU_ERROR, b"error", None),
    ("discrete", "busy now", b"busy now", None),
    ("string", "", b"", None),
    ("string", "café", "café".encode(), None),
    ("string", b"\xff\x00", b"\xff\x00", None),
    ("timestamp", 1767225600.25, b"1767225600.250000", b"1767225600250"),
    ("timestamp", 1.001, b"1.001000", b"1001"),
    ("timestamp", 0, b"0.000000", b"0"),
    ("timestamp", 1767225600.0006, b"1767225600.000600", b"1767225600001"),
    ("address", ("10.1.2.3", 7147), b"10.1.2.3:7147", None),
    ("address", ("10.1.2.3", None), b"10.1.2.3", None),
    ("address", ("::1", None), b"[::1]", None),
    ("address", V6, b"[fe80::1]:80", None),
    ("address", ("board.example", 7147), b"board.example:7147", None),
]


@pytest.mark.parametrize(("kind", "value", "v5", "v4"), VALUES)
def test_values_in_both_versions(kind: str, value: Any, v5: bytes, v4: bytes | None) -> None:
    sensor = sensor_of(kind)
    sensor.set_value(value, timestamp=1600000000.25)
    assert sensor.read_formatted() == (b"1600000000.250000", b"nominal", v5)
    expected = v5 if v4 is None else v4
    assert sensor.read_formatted(major=4) == (b"1600000000250", b"nominal", expected)


@pytest.mark.parametrize(("kind", "value", "v5", "v4"), VALUES)
def test_values_read_back(kind: str, value: Any, v5: bytes, v4: bytes | None) -> None:
    if kind == "string" and isinstance(value, bytes):
        return  # text is what a string reads back as
    sensor = sensor_of(kind)
    assert sensor.parse_value(v5) == value
    if v4 is not None:
        assert sensor.parse_value(v4, 4) == pytest.approx(value, abs=0.001)


def test_not_a_number_goes_through() -> None:
    sensor = Sensor.float("f")
    sensor.set_value(math.nan)
    assert sensor.read_formatted()[2] == b"nan"
    assert math.isnan(sensor.parse_value(b"nan"))


@given(st.floats(allow_nan=False))
def test_floats_read_back_exactly(value: float) -> None:
    sensor = Sensor.float("f")
    sensor.set_value(value)
    assert sensor.parse_value(sensor.read_formatted()[2]) == value


@given(st.integers())
def test_integers_read_back_exactly(value: int) -> None:
    sensor = Sensor.integer("i")
    sensor.set_value(value)
    assert sensor.parse_value(sensor.read_formatted()[2]) == value


@given(st.floats(0, 4e9))
def test_times_read_back_to_the_microsecond_or_millisecond(value: float) -> None:
    sensor = Sensor.timestamp("t")
    sensor.set_value(value, timestamp=value)
    time_5, _, value_5 = sensor.read_formatted()
    time_4, _, value_4 = sensor.read_formatted(major=4)
    assert time_5 == value_5
    assert time_4 == value_4
    assert sensor.parse_value(value_5) == pytest.approx(value, abs=1e-6)
    assert sensor.parse_value(value_4, 4) == pytest.approx(value, abs=5.1e-4)


UNREADABLE = [
    ("integer", b"x"),
    ("integer", b"1.0"),
    ("integer", b"1_000"),
    ("integer", b" 1"),
    ("integer", b""),
    ("float", b"x"),
    ("float", b"0x10"),
    ("float", b"1_0.0"),
    ("boolean", b"true"),
    ("boolean", b"2"),
    ("lru", b"warn"),
    ("discrete", b"busy"),
    ("discrete", b"IDLE"),
    ("timestamp", b"now"),
    ("address", b"[::1]:x"),
    ("address", b"a:b:c"),
]


@pytest.mark.parametrize(("kind", "raw"), UNREADABLE)
def test_what_cannot_be_read_is_a_value_error(kind: str, raw: bytes) -> None:
    with pytest.raises(ValueError):
        sensor_of(kind).parse_value(raw)


# -- values from programs ------------------------------------------------------------------

REFUSED = [
    ("integer", "3"),
    ("integer", 3.5),
    ("integer", 3.0),
    ("integer", None),
    ("integer", b"3"),
    ("float", "3"),
    ("float", b"3"),
    ("float", None),
    ("float", [1.0]),
    ("float", 1j),
    ("boolean", "1"),
    ("boolean", b"1"),
    ("boolean", None),
    ("boolean", []),
    ("boolean", (1,)),
    ("boolean", {}),
    ("lru", 2),
    ("lru", "nominal"),
    ("lru", None),
    ("discrete", "busy"),
    ("discrete", "IDLE"),
    ("discrete", None),
    ("discrete", 1),
    ("timestamp", "now"),
    ("timestamp", None),
    ("address", 5),
    ("address", ("host", "port")),
    ("address", ("host", 1, 2)),
]


@pytest.mark.parametrize(("kind", "value"), REFUSED)
def test_w11_a_value_of_the_wrong_type_is_refused(kind: str, value: Any) -> None:
    sensor = sensor_of(kind)
    before = sensor.read()
    with pytest.raises((TypeError, ValueError)) as caught:
        sensor.set_value(value)
    assert sensor.read() is before
    if kind != "discrete":
        assert "'a.sensor'" in str(caught.value)


@pytest.mark.parametrize("value", [5, 2.5, None, ["x"]])
def test_a_string_takes_anything_that_has_a_text(value: Any) -> None:
    sensor = Sensor.string("s")
    sensor.set_value(value)
    assert sensor.read_formatted()[2] == str(value).encode()


class OneElement:
    """Converts to a float, as arrays without dimensions do."""

    def __float__(self) -> float:
        return 2.5


def test_a_float_takes_what_converts_to_one() -> None:
    sensor = Sensor.float("f")
    sensor.set_value(OneElement())  # type: ignore[arg-type]
    assert sensor.read_formatted()[2] == b"2.5"


def test_a_boolean_goes_by_truth() -> None:
    sensor = Sensor.boolean("b")
    sensor.set_value(2.5)
    assert sensor.read_formatted()[2] == b"1"


# -- parameters in #sensor-list ------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "raw", "expected"),
    [
        ("integer", [b"-10", b"10"], [-10, 10]),
        ("integer", [], []),
        ("integer", [b"1", b"2", b"0", b"3"], [1, 2, 0, 3]),
        ("float", [b"-1.5", b"2"], [-1.5, 2.0]),
        ("discrete", [b"idle", b"busy now"], ["idle", "busy now"]),
        ("boolean", [b"surplus"], ["surplus"]),
        ("string", [], []),
    ],
)
def test_parse_params(kind: str, raw: list[bytes], expected: list[Any]) -> None:
    assert parse_params(TYPE_NUMBERS[kind], raw, 5) == expected
    assert Sensor.parse_params(TYPE_NUMBERS[kind], raw) == expected
    assert Sensor.parse_params(TYPE_NUMBERS[kind], raw, major=4) == expected


@pytest.mark.parametrize("kind", ["integer", "float"])
def test_a_limit_that_is_no_number_is_a_value_error(kind: str) -> None:
    with pytest.raises(ValueError):
        parse_params(TYPE_NUMBERS[kind], [b"low", b"high"], 5)
