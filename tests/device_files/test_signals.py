"""Simulated signals: functions of time, and of chance that can be repeated."""

from __future__ import annotations

from typing import Any

import pytest

from katcp.device_files._signals import make_signal
from katcp.device_files._spec import Signal
from katcp.device_files._values import Kind

FLOAT, INTEGER = Kind("float"), Kind("integer")


def values(name: str, times: list[float], kind: Kind = FLOAT, **options: Any) -> list[Any]:
    signal = Signal(name, tuple(sorted({"seed": "x", **options}.items())))
    step = make_signal(signal, kind, lambda name: {"goal": 10.0}[name])
    return [step(time) for time in times]


def test_sine() -> None:
    found = values("sine", [0, 15, 30, 45, 60], mean=5, amplitude=2, period=60)
    assert found == pytest.approx([5, 7, 5, 3, 5])
    assert values("sine", [0], phase=0.25) == [1.0]


def test_ramp() -> None:
    found = values("ramp", [0, 5, 9.5, 10, 25], to=10, period=10, **{"from": 0})
    assert found == pytest.approx([0, 5, 9.5, 0, 5])


def test_square_and_steps_of_any_type() -> None:
    kind = Kind("boolean")
    square = {"low": False, "high": True, "period": 10, "duty": 0.2}
    assert values("square", [0, 1.9, 2, 9, 10], kind, **square) == [True, True, False, False, True]
    words = Kind("discrete", ("a", "b", "c"))
    steps = values("steps", [0, 1, 2, 3, 4], words, values=words.words, period=1)
    assert steps == ["a", "b", "c", "a", "b"]


def test_random_steps_stay_for_their_time() -> None:
    options = {"values": (1, 2, 3), "period": 10, "order": "random"}
    found = values("steps", [t / 2 for t in range(400)], INTEGER, **options)
    assert {len(set(found[n : n + 20])) for n in range(0, 400, 20)} == {1}
    assert set(found) == {1, 2, 3}


def test_random_walk_stays_within_its_bounds() -> None:
    times = [float(t) for t in range(500)]
    found = values("random-walk", times, start=5, step=3, min=0, max=10)
    assert found[0] == 5
    assert all(0 <= value <= 10 for value in found)
    assert len(set(found)) > 100


def test_chance_can_be_repeated_and_differs_between_seeds() -> None:
    times = [0.0, 1.0, 2.0]
    assert values("noise", times) == values("noise", times)
    assert values("noise", times) != values("noise", times, seed="y")


def test_follow_goes_most_of_the_way_in_its_time() -> None:
    goal = [0.0]
    signal = Signal("follow", (("seed", "x"), ("sensor", "goal"), ("time", 10.0)))
    step = make_signal(signal, FLOAT, lambda name: goal[0])
    assert step(0) == 0
    goal[0] = 100.0
    assert step(10) == pytest.approx(63.2, abs=0.1)
    assert step(100) == pytest.approx(100, abs=0.1)


def test_rounding() -> None:
    assert values("noise", [0.0], INTEGER, mean=41.6, sigma=0) == [42]
    assert values("noise", [0.0], mean=1.23456789, sigma=0) == [1.23457]
    assert values("noise", [0.0], mean=1.23456789, sigma=0, decimals=2) == [1.23]
