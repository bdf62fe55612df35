"""Subclasses of Sensor that read, write or tell in their own way."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from katcp.sensors import Reading, Sensor
from katcp.server import AsyncDeviceServer
from tests.helpers.serving import serving, talking


class Clock(Sensor):
    """Counts how often it is read."""

    ticks = 0

    def read(self) -> Reading:
        self.ticks += 1
        return Reading(1.0, Sensor.NOMINAL, self.ticks)


class Loud(Sensor):
    def read_formatted(self, major: int = 5) -> tuple[bytes, bytes, bytes]:
        timestamp, status, value = super().read_formatted(major)
        return timestamp, status, value.upper()


class Hex(Sensor):
    def format_reading(self, reading: Any, major: int = 5) -> tuple[bytes, bytes, bytes]:
        timestamp, status, _ = super().format_reading(reading, major)
        return timestamp, status, b"%x" % reading[2]


class Teller(Sensor):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.told: list[Any] = []
        super().__init__(*args, **kwargs)

    def notify(self, reading: Reading) -> None:
        self.told.append(reading.value)
        super().notify(reading)


class Ears:
    def __init__(self) -> None:
        self.heard: list[Any] = []

    def update(self, sensor: Sensor, reading: Reading) -> None:
        self.heard.append(reading.value)


class Device(AsyncDeviceServer):
    announces_clients = False

    def setup_sensors(self) -> None:
        self.add_sensor(Clock.integer("clock"))
        self.add_sensor(Loud.string("loud", default="quiet"))
        self.add_sensor(Hex.integer("hex", default=255))
        self.add_sensor(Teller.integer("teller"))
        for sensor in self.get_sensors():
            if sensor.name != "clock":
                sensor.set(1.0, Sensor.NOMINAL, sensor.value())


def test_values_come_from_read() -> None:
    clock = Clock.integer("clock")
    assert clock.value() == 1
    assert clock.status() == Sensor.NOMINAL
    assert clock.reading.value == 3
    assert clock.read_formatted() == (b"1.000000", b"nominal", b"4")
    assert clock.wire_reading() == b" 1.000000 1 clock nominal 5\n"


def test_what_such_a_subclass_is_derived_from_makes_no_difference() -> None:
    class Derived(Clock):
        def value(self) -> Any:
            return -1

    assert Derived.integer("x").value() == -1
    assert Derived.integer("x").wire_reading() == b" 1.000000 1 x nominal 1\n"


def test_notify_tells_the_observers() -> None:
    ears = Ears()
    teller = Teller.integer("teller")
    teller.set_value(1)
    teller.attach(ears)
    teller.set_value(2)
    teller.set_formatted(b"1", b"nominal", b"3")
    teller.detach(ears)
    teller.set_value(4)
    assert teller.told == [1, 2, 3, 4]
    assert ears.heard == [2, 3]


def test_a_notify_that_keeps_to_itself() -> None:
    class Mute(Sensor):
        def notify(self, reading: Reading) -> None:
            pass

    ears = Ears()
    mute = Mute.integer("mute")
    mute.attach(ears)
    mute.set_value(1)
    assert ears.heard == []
    assert mute.value() == 1


def test_a_read_that_fails_is_a_failure_on_the_wire(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Sensor):
        def read(self) -> Reading:
            raise RuntimeError("out of order")

    with caplog.at_level(logging.ERROR, "katcp.core"):
        line = Broken.integer("broken").wire_reading()
    assert line.split()[1:] == [b"1", b"broken", b"failure", b"0"]
    assert "out of order" in caplog.text


async def test_the_server_asks_them() -> None:
    async with serving(Device("127.0.0.1", 0)) as server, talking(server) as client:
        assert (await client.ask(b"?sensor-value hex"))[0].endswith(b" 1 hex nominal ff")
        assert (await client.ask(b"?sensor-value loud"))[0].endswith(b" 1 loud nominal QUIET")
        first, second = [
            (await client.ask(b"?sensor-value clock"))[0].split()[-1] for _ in range(2)
        ]
        assert int(second) > int(first)
        teller = server.get_sensor("teller")
        await client.ask(b"?sensor-sampling teller event")
        teller.set(2.0, Sensor.NOMINAL, 7)
        assert await client.line() == b"#sensor-status 2.000000 1 teller nominal 7"
        assert teller.told == [0, 7]
        await client.ask(b"?sensor-sampling hex event")
        server.get_sensor("hex").set(2.0, Sensor.NOMINAL, 16)
        assert await client.line() == b"#sensor-status 2.000000 1 hex nominal 10"
