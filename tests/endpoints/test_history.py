"""The history of sensors."""

from __future__ import annotations

import gc
import time
import weakref
from typing import Any

import pytest

from katcp.endpoints import KeyValueStore, SensorHistory, StoreKey
from katcp.sensors import Sensor
from tests.endpoints.served import informs, reply, served
from tests.helpers.serving import Bare, serving, talking


def a_device(**options: Any) -> tuple[Bare, Sensor, SensorHistory]:
    device = Bare("127.0.0.1", 0)
    sensor = Sensor.float("tank.level", "Level", "m")
    device.add_sensor(sensor)
    return device, sensor, SensorHistory(device, **options)


async def test_smok_hist_01_readings_in_order_with_failures() -> None:
    device, sensor, _ = a_device()
    async with serving(device), talking(device) as client:
        sensor.set(100.0, Sensor.NOMINAL, 1.0)
        sensor.set(101.5, Sensor.FAILURE, 1.0)
        sensor.set(103.0, Sensor.WARN, 2.5)
        assert await informs(client, b"?sensor-history tank.level") == [
            [b"100.000000", b"nominal", b"1.0"],
            [b"101.500000", b"failure", b"1.0"],
            [b"103.000000", b"warn", b"2.5"],
            [b"ok", b"3"],
        ]


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        (b"", [100, 101, 102, 103]),
        (b"101", [101, 102, 103]),
        (b"\\@ 102", [100, 101]),
        (b"101 103", [101, 102]),
        (b"101 101", []),
        (b"101 101.000001", [101]),
        (b"103.5", []),
        (b"\\@ \\@ 2", [102, 103]),
        (b"\\@ 103 2", [101, 102]),
        (b"\\@ \\@ 0", []),
        (b"\\@ \\@ 99", [100, 101, 102, 103]),
        (b"0 inf", [100, 101, 102, 103]),
        (b"-60", []),
    ],
)
async def test_smok_hist_01_start_inclusive_and_stop_exclusive(
    bounds: bytes, expected: list[int]
) -> None:
    device, sensor, _ = a_device()
    async with serving(device), talking(device) as client:
        for when in (100, 101, 103, 102):
            sensor.set(float(when), Sensor.NOMINAL, 0.0)
        *some, last = await informs(client, b"?sensor-history tank.level " + bounds)
        assert [float(each[0]) for each in some] == expected
        assert last == [b"ok", b"%d" % len(expected)]


async def test_times_below_zero_are_from_now() -> None:
    device, sensor, history = a_device()
    async with serving(device), talking(device) as client:
        for ago in (100, 50, 10):
            sensor.set(time.time() - ago, Sensor.NOMINAL, float(ago))
        *some, _ = await informs(client, b"?sensor-history tank.level -70 -30")
        assert [each[2] for each in some] == [b"50.0"]
        assert [reading.value for reading in history.readings("tank.level")] == [100, 50, 10]


async def test_only_the_last_are_kept() -> None:
    device, sensor, history = a_device(length=3)
    for number in range(10):
        sensor.set(float(number), Sensor.NOMINAL, float(number))
    assert [reading.value for reading in history.readings("tank.level")] == [7, 8, 9]
    assert [one.value for one in history.readings("tank.level", start=8, stop=9)] == [8]
    assert [one.value for one in history.readings("tank.level", most=1)] == [9]
    with pytest.raises(ValueError, match="positive"):
        SensorHistory(device, length=0)


async def test_sensors_that_come_and_go() -> None:
    device, sensor, history = a_device()
    other = Sensor.integer("other", "", "", default=5)
    device.add_sensor(other)
    assert history.names() == ["other", "tank.level"]
    assert history.readings("other") == []
    other.set_value(6)
    assert [reading.value for reading in history.readings("other")] == [6]
    device.add_sensor(Sensor.integer("other", "", ""))
    assert history.readings("other") == []
    device.remove_sensor("other")
    assert history.names() == ["tank.level"]
    assert len(sensor._observers) == 1
    history.close()
    assert history.names() == []
    assert not sensor._observers
    async with serving(device), talking(device) as client:
        assert (await client.ask(b"?sensor-history tank.level"))[-1].startswith(
            b"!sensor-history invalid"
        )


async def test_only_what_is_wanted() -> None:
    for wanted in (["tank.level", "later"], "tank.level", lambda sensor: "tank" in sensor.name):
        device, _, history = a_device(wanted=wanted)
        device.add_sensor(Sensor.integer("other", "", ""))
        assert history.names() == ["tank.level"]
        async with serving(device), talking(device) as client:
            assert (await reply(client, b"?sensor-history other"))[2] == b"102"


@pytest.mark.parametrize(
    ("request_line", "status", "code"),
    [
        (b"?sensor-history", b"invalid", b"303"),
        (b"?sensor-history a b c d e", b"invalid", b"303"),
        (b"?sensor-history none", b"fail", b"102"),
        (b"?sensor-history tank.level x", b"invalid", b"304"),
        (b"?sensor-history tank.level nan", b"invalid", b"304"),
        (b"?sensor-history tank.level 1 x", b"invalid", b"304"),
        (b"?sensor-history tank.level 1 2 -3", b"invalid", b"304"),
        (b"?sensor-history tank.level 1 2 x", b"invalid", b"304"),
        (b"?sensor-history \xff", b"fail", b"102"),
    ],
)
async def test_bad_requests(request_line: bytes, status: bytes, code: bytes) -> None:
    device, _, _ = a_device()
    async with serving(device), talking(device) as client:
        first, _, third, *_ = await reply(client, request_line)
        assert (first, third) == (status, code)


async def test_long_ones_let_others_have_their_turn() -> None:
    device, sensor, _ = a_device(length=5000)
    for number in range(5000):
        sensor.set(float(number), Sensor.NOMINAL, 0.0)
    async with serving(device), talking(device) as client:
        await client.send(b"?sensor-history[1] tank.level", b"?watchdog[2]")
        lines = [await client.line() for _ in range(5002)]
        assert b"!watchdog[2] ok" in lines[:-1]
        assert lines[-1] == b"!sensor-history[1] ok 5000"


async def test_of_endpoints() -> None:
    key = StoreKey("foo", initial_value=1, calibration="1/{}", type="float")
    async with served(KeyValueStore("kv", endpoints=[key])) as (server, client):
        SensorHistory(server, wanted=lambda sensor: sensor.name.startswith("kv."))
        for value in (b"2", b"0", b"4"):
            await reply(client, b"?set foo " + value)
        *some, _ = await informs(client, b"?sensor-history kv.foo")
        assert [(each[1], float(each[2])) for each in some] == [
            (b"nominal", 1.0),
            (b"nominal", 0.5),
            (b"error", 0.5),
            (b"nominal", 0.25),
        ]


async def test_it_goes_with_its_device() -> None:
    made = list(a_device())
    gone = weakref.ref(made[2])
    made.clear()
    gc.collect()
    assert gone() is None
