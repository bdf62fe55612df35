"""Aggregate sensors."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import Any

import pytest

from katcp.sensors import AggregateSensor, Reading, Sensor, SensorSet


def sensors(*names: str) -> list[Sensor]:
    return [Sensor.integer(name) for name in names]


def total(members: list[Any]) -> int:
    return sum(sensor.value() for sensor in members)


class Log(AggregateSensor):
    """Writes down what it is told."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.news: list[Any] = []
        super().__init__(*args, **kwargs)

    def update_aggregate(self, updated_sensor: Any, reading: Any, old_reading: Any) -> Any:
        name = updated_sensor and updated_sensor.name
        self.news.append((name, reading and reading.value, old_reading and old_reading.value))
        return None


def test_follows_what_is_set_added_and_removed() -> None:
    a, b, c = sensors("a", "b", "c")
    target = SensorSet([a, b])
    it = AggregateSensor(target, Sensor.INTEGER, "total", "A total.", "m", function=total)
    assert (it.name, it.type, it.description, it.units) == ("total", "integer", "A total.", "m")
    assert it.read()[1:] == (Sensor.NOMINAL, 0)
    a.set_value(3)
    b.set_value(4)
    assert it.value() == 7
    c.set_value(10)
    target.add(c)
    assert it.value() == 17
    target.remove(b)
    b.set_value(100)
    assert it.value() == 13
    assert it.aggregated == [a, c]


def test_member_of_its_own_set_does_not_observe_itself() -> None:
    target = SensorSet(sensors("a"))
    it = AggregateSensor(target, int, "t", function=total, filter=lambda sensor: True)
    target.add(it)
    target["a"].set_value(2)
    assert it.value() == 2
    assert it.aggregated == [target["a"]]


def test_aggregates_do_not_count_each_other() -> None:
    target = SensorSet(sensors("a"))
    for name in ("first", "second"):
        target.add(AggregateSensor(target, int, name, function=total))
    target["a"].set_value(2)
    assert (target["first"].value(), target["second"].value()) == (2, 2)


def test_filter_as_argument_and_as_method() -> None:
    class Named(AggregateSensor):
        def filter_aggregate(self, sensor: Any) -> bool:
            return bool(sensor.name.startswith("in."))

    target = SensorSet(sensors("in.a", "out.a"))
    its = [
        AggregateSensor(
            target, int, "t", function=total, filter=lambda sensor: sensor.name.startswith("in.")
        ),
        Named(target, int, "u", function=total),
    ]
    target.update(sensors("in.b", "out.b"))
    for sensor in target.values():
        sensor.set_value(5)
    assert [it.value() for it in its] == [10, 10]


def test_method_is_told_what_has_changed() -> None:
    a, b = sensors("a", "b")
    target = SensorSet([a])
    it = Log(target, int, "t")
    a.set_value(1)
    a.set_value(2)
    target.add(b)
    target.remove(a)
    assert it.news == [(None, None, None), ("a", 1, 0), ("a", 2, 1), ("b", 0, None), ("a", None, 2)]


@pytest.mark.parametrize(
    ("result", "reading"),
    [
        (Reading(5.0, Sensor.WARN, 3), (5.0, Sensor.WARN, 3)),
        (None, None),
    ],
)
def test_results(result: Any, reading: Any) -> None:
    it = AggregateSensor(SensorSet(), int, "t", default=9, function=lambda members: result)
    assert it.read() == reading if reading else it.read()[1:] == (Sensor.UNKNOWN, 9)


def test_function_that_fails_is_a_failure(caplog: pytest.LogCaptureFixture) -> None:
    (a,) = sensors("a")
    a.set_value(1)
    it = AggregateSensor(SensorSet([a]), float, "t", function=lambda m: 1 / m[0].value())
    assert it.value() == 1.0
    a.set_value(0)
    assert it.read()[1:] == (Sensor.FAILURE, 1.0)
    assert "ZeroDivisionError" in caplog.text
    a.set_value(2)
    assert it.read()[1:] == (Sensor.NOMINAL, 0.5)


def test_neither_function_nor_method(caplog: pytest.LogCaptureFixture) -> None:
    it = AggregateSensor(SensorSet(), int, "t")
    assert it.status() == Sensor.FAILURE
    assert "update_aggregate" in caplog.text


def test_batch_is_one_call_of_a_function_and_each_change_for_a_method() -> None:
    calls: list[int] = []
    target = SensorSet()
    it = AggregateSensor(target, int, "t", function=lambda members: calls.append(len(members)))
    log = Log(target, int, "u", filter=lambda sensor: sensor is not it)
    target.update(sensors("a", "b", "c"))
    assert calls == [0, 3]
    assert [name for name, *_ in log.news] == [None, "a", "b", "c"]


def test_close_ends_the_observing() -> None:
    (a,) = sensors("a")
    target = SensorSet([a])
    it = AggregateSensor(target, int, "t", function=total)
    a.set_value(1)
    it.close()
    it.close()
    a.set_value(2)
    target.update(sensors("b"))
    assert it.value() == 1
    assert not a._observers
    gone = weakref.ref(it)
    del it
    gc.collect()
    assert gone() is None


def test_sensor_set_by_the_aggregate_itself_is_dealt_with_afterwards() -> None:
    a, alarm = sensors("a", "alarm")
    seen = []

    class Alarmed(Log):
        def update_aggregate(self, updated_sensor: Any, reading: Any, old_reading: Any) -> Any:
            super().update_aggregate(updated_sensor, reading, old_reading)
            if updated_sensor is a:
                alarm.set_value(reading.value)
                seen.append(len(self.news))

    it = Alarmed(SensorSet([a, alarm]), int, "t")
    a.set_value(7)
    assert it.news == [(None, None, None), ("a", 7, 0), ("alarm", 7, 0)]
    assert seen == [2]


def test_nothing_is_lost_when_threads_set_sensors() -> None:
    class Count(AggregateSensor):
        """Adds the differences; a change that is lost, or counted twice, stays."""

        def update_aggregate(self, updated_sensor: Any, reading: Any, old_reading: Any) -> Any:
            before = old_reading.value if old_reading else 0
            return self.value() + (reading.value if reading else 0) - before

    members = sensors("a", "b", "c", "d")
    it = Count(SensorSet(members), int, "t", filter=lambda sensor: True)

    def work(sensor: Sensor) -> None:
        for value in range(1, 2001):
            sensor.set_value(value)

    threads = [threading.Thread(target=work, args=(sensor,)) for sensor in members]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert it.value() == 8000
