"""Taking a snapshot of devices that are real, old, odd, slow or gone."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from katcp import AsyncClient, AsyncDeviceServer, Sensor
from katcp.errors import KatcpClientDisconnected
from katcp.snapshots import (
    RequestSnapshot,
    SensorSnapshot,
    SnapshotRefusedError,
    SnapshotTimeoutError,
    take_snapshot,
)
from tests.helpers.scripted import V4, Device
from tests.helpers.serving import serving


class Pump(AsyncDeviceServer):
    VERSION_INFO = ("pump", 1, 2)
    BUILD_INFO = ("pump", 0, 7, "")

    def setup_sensors(self) -> None:
        self.add_sensor(Sensor.float("speed", "Of the wheel", "rpm", [0, 90], default=30.5))
        self.add_sensor(Sensor.discrete("mode", "What it does", "", ["idle", "on it"]))
        self.add_sensor(Sensor.timestamp("since", "Start"))
        self.get_sensor("speed").set_value(31.0, timestamp=1234.5)
        self.get_sensor("since").set_value(99.25, timestamp=1234.5)


@contextlib.asynccontextmanager
async def client_of(port: int) -> AsyncIterator[AsyncClient]:
    client = AsyncClient("127.0.0.1", port, timeout=5, auto_reconnect=False)
    client.set_ioloop()
    client.start()
    try:
        await client.until_protocol(5)
        yield client
    finally:
        client.stop()
        await client.until_stopped(5)


async def test_a_real_device() -> None:
    async with serving(Pump("127.0.0.1", 0)) as server:
        host, port = server.bind_address
        async with client_of(port) as client:
            taken = await take_snapshot(client)
    sensors = {sensor.name: sensor for sensor in taken.sensors}
    assert list(sensors) == ["mode", "since", "speed"]
    assert sensors["speed"] == SensorSnapshot(
        "speed", "Of the wheel", "rpm", "float", (b"0.0", b"90.0"), 1234.5, "nominal", b"31.0"
    )
    assert sensors["mode"].params == (b"idle", b"on it")
    assert sensors["since"].value == b"99.250000"
    assert taken.device.address == f"{host}:{port}"
    assert taken.device.protocol == "5.1-BIMT"
    assert taken.device.versions["katcp-device"][0] == "pump-1.2"
    helps = {request.name: request.description for request in taken.requests}
    assert list(helps) == sorted(helps)
    assert "watchdog" in helps
    assert "\n" in helps["sensor-list"]
    assert taken.taken.endswith("Z")


async def test_a_device_of_version_4() -> None:
    sensors = {"at": "Since\\_when \\@ timestamp 500", "x": "X \\@ integer"}
    async with Device(V4, sensors) as device:
        device.answers["sensor-value"] = lambda session, message: [
            b"# 1500 1 at nominal 2500",
            b"# 1500 1 x nominal 7",
            b"! ok 2",
        ]
        async with client_of(device.port) as client:
            taken = await take_snapshot(client)
    at, x = taken.sensors
    assert (at.params, at.timestamp, at.value) == ((b"0.5",), 1.5, b"2.5")
    assert (x.timestamp, x.value) == (1.5, b"7")
    assert taken.device.protocol.startswith("4")


async def test_a_device_that_tells_readings_one_by_one_only() -> None:
    def answer(session: Any, message: Any) -> list[bytes]:
        if not message.arguments:
            return [b"! fail Too\\_many."]
        name = message.arguments[0]
        if name == b"broken":
            return [b"! fail Cannot\\_read."]
        return [b"# 1.5 1 " + name + b" nominal 3", b"! ok 1"]

    sensors = {f"s{number:03}": "S \\@ integer" for number in range(100)}
    seen: list[tuple[str, int, int | None]] = []
    async with Device(sensors={**sensors, "broken": "B \\@ integer"}) as device:
        device.answers["sensor-value"] = answer
        async with client_of(device.port) as client:
            taken = await take_snapshot(client, on_progress=lambda *args: seen.append(args))
    broken, *others = taken.sensors
    assert broken == SensorSnapshot("broken", "B", "", "integer")
    assert {(sensor.status, sensor.value) for sensor in others} == {("nominal", b"3")}
    assert seen[100] == ("sensors", 101, None)
    assert ("readings", 101, 101) in seen
    assert seen[-1][0] == "requests"


async def test_any_bytes_are_kept() -> None:
    async with Device(sensors={"odd": "D\\_d u string"}, requests={"x": "X\n"}) as device:
        device.answers["sensor-value"] = lambda session, message: [
            b"# 1.5 1 odd nominal \xff\\_\\\\x\\n",
            b"! ok 1",
        ]
        async with client_of(device.port) as client:
            taken = await take_snapshot(client)
    assert taken.sensors[0].value == b"\xff \\x\n"
    assert taken.requests == (RequestSnapshot("x", "X\n"),)


@pytest.mark.parametrize(
    "lines",
    [
        [b"# ", b"# 1.5", b"# x 1 odd nominal", b"! ok 3"],
        [b"# nonsense 1 odd nominal 3", b"# 1.5 1 other nominal 3", b"! ok 1"],
    ],
)
async def test_answers_that_are_none(lines: Sequence[bytes]) -> None:
    async with Device(sensors={"odd": ""}) as device:
        device.answers["sensor-list"] = lambda session, message: [b"#", b"# odd", b"! ok 2"]
        device.answers["sensor-value"] = lambda session, message: lines
        async with client_of(device.port) as client:
            taken = await take_snapshot(client)
    assert [sensor.name for sensor in taken.sensors] == ["odd"]
    assert taken.sensors[0].timestamp is None


async def test_a_device_that_refuses() -> None:
    async with Device() as device:
        device.answers["sensor-list"] = lambda session, message: [b"! fail Not\\_now."]
        async with client_of(device.port) as client:
            with pytest.raises(SnapshotRefusedError, match=r"\?sensor-list was refused: .*Not now"):
                await take_snapshot(client)


async def test_a_device_that_says_nothing() -> None:
    async with Device() as device:
        device.answers["help"] = lambda session, message: None
        async with client_of(device.port) as client:
            with pytest.raises(SnapshotTimeoutError, match=r"No reply to \?help within 0.1 s"):
                await take_snapshot(client, timeout=0.1)


async def test_a_device_that_goes_away() -> None:
    async with Device() as device:
        device.answers["help"] = lambda session, message: session.close()
        async with client_of(device.port) as client:
            with pytest.raises(KatcpClientDisconnected, match="lost"):
                await take_snapshot(client)
            await asyncio.sleep(0)
            with pytest.raises(KatcpClientDisconnected, match="Not connected"):
                await take_snapshot(client)
