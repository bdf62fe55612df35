"""Sensors that something computes with, followed while they come and go."""

from __future__ import annotations

import asyncio

from katcp.endpoints._following import Following, Part, part_of
from katcp.sensors import Sensor, SensorSet


def a_sensor(name: str) -> Sensor:
    return Sensor.integer(name, "", "", default=0)


class Followed:
    """Follows the sensors "a" and "b" of a set; counts."""

    def __init__(self) -> None:
        self.sensors = SensorSet([a_sensor("a")])
        self.changes = self.looks = 0
        self.following = Following(self.sensors, self.resolve, self.changed)

    def resolve(self) -> dict[str, Sensor | None]:
        self.looks += 1
        return {name: self.sensors.get(name) for name in ("a", "b")}

    def changed(self) -> None:
        self.changes += 1


async def test_it_follows_from_its_beginning_to_its_end() -> None:
    one = Followed()
    sensor = one.sensors["a"]
    sensor.set_value(1)
    one.following.begin(asyncio.get_running_loop())
    one.following.begin(asyncio.get_running_loop())
    assert (one.looks, one.changes) == (1, 1)
    sensor.set_value(2)
    assert one.changes == 2
    one.following.end()
    one.following.end()
    sensor.set_value(3)
    one.sensors.add(a_sensor("b"))
    await asyncio.sleep(0.01)
    assert (one.looks, one.changes) == (1, 2)
    assert not sensor._observers
    assert not one.following.sensors


async def test_many_that_come_at_once_are_looked_at_once() -> None:
    one = Followed()
    one.following.begin(asyncio.get_running_loop())
    for number in range(100):
        one.sensors.add(a_sensor(f"other{number}"))
    await asyncio.sleep(0.01)
    assert (one.looks, one.changes) == (2, 1)
    one.sensors.add(a_sensor("b"))
    one.sensors.remove("a")
    await asyncio.sleep(0.01)
    assert (one.looks, one.changes) == (3, 2)
    assert list(one.following.sensors.values()) == [None, one.sensors["b"]]
    one.following.end()


async def test_what_comes_before_the_end_is_not_looked_at_after_it() -> None:
    one = Followed()
    one.following.begin(asyncio.get_running_loop())
    one.sensors.add(a_sensor("b"))
    one.following.end()
    await asyncio.sleep(0.01)
    assert one.looks == 1


def test_what_a_sensor_says() -> None:
    sensor = a_sensor("a")
    assert part_of(None) == Part(None, 0.0, "there is no such sensor")
    for status in (Sensor.NOMINAL, Sensor.WARN, Sensor.ERROR):
        sensor.set(5.0, status, 7)
        assert part_of(sensor) == Part(7, 5.0)
    for status in (Sensor.UNKNOWN, Sensor.INACTIVE):
        sensor.set(5.0, status, 7)
        assert part_of(sensor) == Part(None, 5.0)
    for status, word in ((Sensor.FAILURE, "failure"), (Sensor.UNREACHABLE, "unreachable")):
        sensor.set(5.0, status, 7)
        assert part_of(sensor) == Part(None, 5.0, f"its status is {word}")
