"""Types of values: read from the wire, checked, shown."""

from __future__ import annotations

from typing import Any

import pytest

from katcp.endpoints._values import VALUE_TYPES, ValueType, from_argument, to_argument

PARAMS: dict[str, Any] = {"discrete": ["on", "off", "1"]}


@pytest.mark.parametrize(
    ("kind", "value", "shown"),
    [
        ("string", "x", "x"),
        ("string", b"\xff", b"\xff"),
        ("string", 1.5, "1.5"),
        ("string", True, "1"),
        ("float", 2, 2.0),
        ("float", "1e3", 1000.0),
        ("float", b" 1.5 ", 1.5),
        ("float", True, 1.0),
        ("integer", 3.0, 3),
        ("integer", "-7", -7),
        ("integer", b"7", 7),
        ("boolean", 1, True),
        ("boolean", 0.0, False),
        ("boolean", "True", True),
        ("boolean", b"0", False),
        ("timestamp", "12.5", 12.5),
        ("discrete", "on", "on"),
        ("discrete", 1, "1"),
        ("discrete", b"off", "off"),
    ],
)
def test_what_a_sensor_shows(kind: str, value: Any, shown: Any) -> None:
    found = ValueType(kind, PARAMS.get(kind, ())).shown(value)
    assert (type(found), found) == (type(shown), shown)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("float", "x"),
        ("float", "1_0"),
        ("float", b"\xff"),
        ("float", [1]),
        ("float", 10**400),
        ("integer", 1.5),
        ("integer", float("inf")),
        ("integer", float("nan")),
        ("integer", "1_0"),
        ("integer", "1.0"),
        ("boolean", 2),
        ("boolean", "yes"),
        ("boolean", []),
        ("discrete", "On"),
        ("discrete", b"\xff"),
        ("timestamp", "now"),
    ],
)
def test_what_no_sensor_shows(kind: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f" is no {kind}$| is none of on, off, 1$"):
        ValueType(kind, PARAMS.get(kind, ())).shown(value)


@pytest.mark.parametrize("kind", VALUE_TYPES)
def test_a_sensor_of_each_type(kind: str) -> None:
    sensor = ValueType(kind, PARAMS.get(kind, ())).make_sensor("a", "About it", "K")
    assert (sensor.type, sensor.description) == (kind, "About it")
    assert sensor.units == ("" if kind == "timestamp" else "K")


def test_no_value_is_of_every_type() -> None:
    for kind in VALUE_TYPES:
        assert ValueType(kind, PARAMS.get(kind, ())).check(None) is None


@pytest.mark.parametrize("argument", [b"", b"x", "ü".encode(), b"\xff", b"\0 \n"])
def test_arguments_survive(argument: bytes) -> None:
    assert to_argument(from_argument(argument)) == argument


def test_nothing_is_an_empty_argument() -> None:
    assert to_argument(None) == b""
    assert to_argument("\udcff") == b"\xff"
