"""Lines of readings that are written in one step, beside the plain way to write them."""

from __future__ import annotations

import decimal
import enum
import fractions
import logging
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from katcp.sensors import Reading, Sensor, wire_readings, wire_updates


class Whole(enum.IntEnum):
    ONE = 1


class Odd(float):
    def __repr__(self) -> str:
        return "odd"


anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.binary(max_size=5),
    st.sampled_from(
        [Whole.ONE, Odd(1.5), decimal.Decimal("1.5"), fractions.Fraction(1, 3), 10**5000]
    ),
    st.tuples(st.text("abc:.[]", max_size=5), st.one_of(st.none(), st.integers(0, 70000))),
)
names = st.text("ab.-_% \\é", min_size=1, max_size=8)
times = st.one_of(
    st.floats(0, 5e9),
    st.floats(),
    st.integers(0, 2**40),
    st.sampled_from([1795185704.9999999, 0.0000005, None, "soon"]),
)
statuses = st.one_of(st.integers(0, 6), st.sampled_from([True, 1.0, 7, None]))
kinds = st.sampled_from(range(8))


def sensor_of(kind: int, name: str) -> Sensor:
    return Sensor(kind, name, params=["a", "b"] if kind == Sensor.DISCRETE else None)


def plainly(sensor: Sensor, reading: Reading) -> bytes | None:
    """Return the line of a reading without any short cut; None: it cannot be written."""
    try:
        return sensor._line(sensor.format_reading(reading))
    except Exception:
        return None


@given(kinds, names, st.lists(st.tuples(times, statuses, anything), min_size=1, max_size=6))
@example(Sensor.FLOAT, "100%s", [(1.0, 1, 1.5), (2.0, 1, 2.5), (2.0, 2, 1), (3.0, 2, Odd(2.5))])
@example(Sensor.INTEGER, "i", [(1.0, 1, 1), (2.0, 1, 10**5000), (3.0, 1, 3)])
@example(Sensor.BOOLEAN, "b", [(1.0, 1, True), (2.0, 1, 5), (3.0, 1, False)])
def test_lines_are_those_of_the_plain_way(
    kind: int, name: str, readings: list[tuple[Any, Any, Any]]
) -> None:
    logging.getLogger("katcp.core").setLevel(logging.CRITICAL)
    try:
        one_by_one, at_once, other, later = (sensor_of(kind, name) for _ in range(4))
        for parts in readings:
            for sensor in (one_by_one, at_once, later):
                sensor.set(*parts)
            expected = plainly(one_by_one, one_by_one.read())
            lines = [one_by_one.wire_reading(), *wire_readings([at_once])]
            lines.append(other.wire_text(at_once.read()))
            lines += wire_updates([(later, later.read())])
            if expected is None:
                # The stand-in bears the time at which it was made.
                assert [line.split(b" ")[4] for line in lines] == [b"failure"] * 4
            else:
                assert lines == [expected] * 4
            assert wire_readings([one_by_one, at_once]) == lines[:2]
    finally:
        logging.getLogger("katcp.core").setLevel(logging.NOTSET)


def test_version_4_has_lines_of_its_own() -> None:
    sensor = Sensor.timestamp("t")
    sensor.set(1.5, Sensor.NOMINAL, 2.5)
    assert wire_readings([sensor], 4) == [b" 1500 1 t nominal 2500\n"]
    assert wire_readings([sensor]) == [b" 1.500000 1 t nominal 2.500000\n"]


def test_what_is_kept_is_taken_from_there() -> None:
    sensors = [Sensor.float("f"), Sensor.string("s"), Sensor.integer("i")]
    lines = [sensor.wire_reading() for sensor in sensors]
    assert all(a is b for a, b in zip(wire_readings(sensors), lines, strict=True))
    sensors[1].set_value("new")
    assert wire_readings(sensors)[0] is lines[0]
    assert wire_readings(sensors)[1].endswith(b" 1 s nominal new\n")


@pytest.mark.parametrize("major", [5, 4])
def test_a_subclass_that_writes_or_reads_itself_takes_no_short_cut(major: int) -> None:
    class Formats(Sensor):
        def format_reading(self, reading: Any, major: int = 5) -> tuple[bytes, bytes, bytes]:
            return b"T", b"S", b"%d" % (2 * reading.value)

    class Reads(Sensor):
        def read(self) -> Reading:
            return Reading(0.0, Sensor.WARN, 7)

    class Lines(Sensor):
        calls = 0

        def wire_reading(self, major: int = 5) -> bytes:
            self.calls += 1
            return super().wire_reading(major).replace(b"nominal", b"%d" % self.calls)

    sensors = [cls(Sensor.INTEGER, "x") for cls in (Formats, Reads, Lines)]
    for count in (1, 2, 3):
        for sensor in sensors:
            sensor.set_value(5, timestamp=0.0)
        first, second, third = wire_readings(sensors, major)
        zero = b"0.000000" if major == 5 else b"0"
        assert first == b" T 1 x S 10\n"
        assert second == b" " + zero + b" 1 x warn 7\n"
        assert third == b" " + zero + b" 1 x %d 5\n" % count


def test_updates_are_written_as_they_were() -> None:
    sensor = Sensor.integer("i")
    readings = []
    for value in (1, 2):
        sensor.set(1.5, Sensor.NOMINAL, value)
        readings.append(sensor.read())
    updates: list[Any] = [(sensor, readings[0]), (None, b" a text\n"), (sensor, readings[1])]
    lines = [b" 1.500000 1 i nominal 1\n", b" a text\n", b" 1.500000 1 i nominal 2\n"]
    assert wire_updates(updates) == lines
    assert sensor.wire_reading() == lines[2]
    assert wire_updates(updates, 4)[0] == b" 1500 1 i nominal 1\n"
