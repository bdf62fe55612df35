"""Values that a sensor might have, around one that it had."""

from __future__ import annotations

import random
from typing import Any

import pytest

from katcp.apps.server._plausible import Motion
from katcp.sensors import Sensor

TAKEN = 1_000_000.0


def motion(sensor: Sensor, value: Any, text: str, status: int = Sensor.NOMINAL) -> Motion:
    sensor.set(TAKEN, status, value)
    return Motion(sensor, text, TAKEN, random.Random(1))


def run(made: Motion, steps: int = 2000) -> list[tuple[int, Any]]:
    return [made.step(TAKEN + n)[1:] for n in range(steps)]


def test_numbers_stay_in_their_range_with_their_decimals() -> None:
    made = motion(Sensor.float("a", params=[0.0, 10.0, -5.0, 15.0]), 9.9, "9.90")
    found = run(made)
    assert {status for status, _ in found} == {Sensor.NOMINAL}
    values = [value for _, value in found]
    assert all(0 <= value <= 10 and value == round(value, 2) for value in values)
    assert len(set(values)) > 50


def test_numbers_out_of_range_stay_about_where_they_are() -> None:
    made = motion(Sensor.integer("a", params=[0, 100, 0, 200]), 150, "150", Sensor.WARN)
    found = run(made)
    assert {status for status, _ in found} == {Sensor.WARN}
    assert all(120 < value < 180 and type(value) is int for _, value in found)


def test_words_change_seldom_and_never_to_trouble() -> None:
    made = motion(Sensor.discrete("a", params=["on", "off", "fail"]), "on", "on")
    values = [value for _, value in run(made, 20_000)]
    assert set(values) == {"on", "off"}
    assert values.count("on") > 18_000


@pytest.mark.parametrize(
    ("sensor", "value", "status"),
    [
        (Sensor.string("a"), "x", Sensor.NOMINAL),
        (Sensor.float("a"), 0.0, Sensor.NOMINAL),
        (Sensor.float("a"), float("nan"), Sensor.NOMINAL),
        (Sensor.float("a"), 5.0, Sensor.UNREACHABLE),
        (Sensor.integer("a"), 3, Sensor.NOMINAL),
        (Sensor.discrete("a", params=["ok", "fail"]), "fail", Sensor.ERROR),
        (Sensor.discrete("a", params=["ok", "fail"]), "ok", Sensor.NOMINAL),
        (Sensor.timestamp("a"), TAKEN - 1e6, Sensor.NOMINAL),
    ],
)
def test_what_does_not_move(sensor: Sensor, value: Any, status: int) -> None:
    assert not motion(sensor, value, str(value), status).moves


def test_recent_times_go_with_the_clock() -> None:
    made = motion(Sensor.timestamp("a"), TAKEN - 2, "")
    assert made.moves
    assert made.step(TAKEN + 100).value == TAKEN + 98
