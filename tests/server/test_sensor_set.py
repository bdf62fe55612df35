"""The sensors of a server as a set."""

from __future__ import annotations

from typing import Any

import pytest

from katcp.sensors import AggregateSensor, Sensor, SensorSet
from katcp.server import AsyncDeviceServer
from tests.helpers.serving import Bare, BareThreaded, serving, talking


def news_of(server: Any) -> list[str]:
    news: list[str] = []
    server.sensors.add_add_callback(lambda sensor: news.append(f"+{sensor.name}"))
    server.sensors.add_remove_callback(lambda sensor: news.append(f"-{sensor.name}"))
    return news


def test_adding_to_either_is_adding_to_both() -> None:
    server = BareThreaded("127.0.0.1", 0)
    news = news_of(server)
    a, b, other = Sensor.integer("a"), Sensor.integer("b"), Sensor.float("b")
    server.sensors.add(a)
    server.add_sensor(b)
    assert isinstance(server.sensors, SensorSet)
    assert server.get_sensors() == list(server.sensors.values()) == [a, b]
    assert server._sensors == {"a": a, "b": b}
    assert type(server._sensors) is dict
    server.add_sensor(other)
    server.add_sensor(other)
    server.remove_sensor("a")
    server.sensors.remove(other)
    assert len(server.sensors) == len(server.get_sensors()) == 0
    assert news == ["+a", "+b", "-b", "+b", "-a", "-b"]


def test_errors_are_those_of_each() -> None:
    server = BareThreaded("127.0.0.1", 0)
    with pytest.raises(ValueError, match="must not"):
        server.sensors.add(Sensor.integer("a b"))
    with pytest.raises(KeyError):
        server.sensors.remove("a")
    with pytest.raises(ValueError, match="Unknown sensor"):
        server.remove_sensor("a")
    assert server.sensors.pop("a", None) is None


def test_overridden_methods_are_used() -> None:
    seen: list[str] = []

    class Device(BareThreaded):
        def add_sensor(self, sensor: Sensor) -> None:
            seen.append(sensor.name)
            super().add_sensor(sensor)

    server = Device("127.0.0.1", 0)
    server.sensors.update([Sensor.integer("a"), Sensor.integer("b")])
    assert seen == ["a", "b"]


def test_dict_that_programs_change_themselves() -> None:
    server = BareThreaded("127.0.0.1", 0)
    a = Sensor.integer("a")
    server._sensors["a"] = a
    assert server.sensors["a"] is a
    server._sensors = {}
    assert "a" not in server.sensors


def test_programs_may_have_an_attribute_of_that_name() -> None:
    class Device(BareThreaded):
        def setup_sensors(self) -> None:
            self.sensors = {"mine": Sensor.integer("a")}  # type: ignore[assignment]
            for sensor in self.sensors.values():
                self.add_sensor(sensor)

    server = Device("127.0.0.1", 0)
    assert server.sensors.keys() == {"mine"}
    assert [sensor.name for sensor in server.get_sensors()] == ["a"]
    server.remove_sensor("a")
    assert server.get_sensors() == []


async def test_clients_are_told_once_of_a_batch() -> None:
    async with serving(Bare("127.0.0.1", 0)) as server, talking(server) as client:
        await client.ask(b"?watchdog")
        server.sensors.update([Sensor.integer(f"s{i}") for i in range(100)])
        assert await client.line() == b"#interface-changed sensor-list"
        assert (await client.ask(b"?sensor-list"))[-1] == b"!sensor-list ok 100"
        server.sensors.discard("s7")
        assert await client.line() == b"#interface-changed sensor s7 removed"


async def test_aggregate_of_a_server_is_sampled() -> None:
    class Device(AsyncDeviceServer):
        def setup_sensors(self) -> None:
            self.sensors.update([Sensor.float(name) for name in ("a.power", "b.power")])
            self.sensors.add(
                AggregateSensor(
                    self.sensors,
                    Sensor.FLOAT,
                    "total",
                    function=lambda sensors: sum(sensor.value() for sensor in sensors),
                )
            )

    async with serving(Device("127.0.0.1", 0)) as server, talking(server) as client:
        await client.ask(b"?sensor-sampling total event")
        server.sensors["a.power"].set_value(1.5)
        assert (await client.line()).endswith(b" 1 total nominal 1.5")
        server.sensors.remove("a.power")
        assert (await client.line()).endswith(b" 1 total nominal 0.0")
