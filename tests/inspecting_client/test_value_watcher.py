"""Sensor watchers: all sensors of a device, with live readings."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import weakref
from collections.abc import AsyncIterator
from typing import Any

import pytest

from katcp.aio import WaitTimeout
from katcp.inspecting_client import InspectingClientAsync, SensorWatcher
from katcp.protocol import ProtocolFlags
from katcp.sensors import Sensor, SensorSet
from katcp.server import AsyncDeviceServer
from tests.helpers import scripted
from tests.helpers.serving import serving, until


class Pump(AsyncDeviceServer):
    def setup_sensors(self) -> None:
        self.sensors.update(
            [
                Sensor.float("speed", "Speed", "Hz", [0.0, 100.0]),
                Sensor.discrete("mode", "Mode", params=["on", "off"]),
                Sensor.boolean("ok", "All is well"),
                Sensor.string("note", "A note"),
                Sensor.timestamp("since", "Time of start"),
                Sensor.address("peer", "Who drives it"),
            ]
        )
        self.sampled: list[bytes] = []

    def on_sampling(self, line: bytes) -> None:
        self.sampled.append(line)

    async def request_sensor_sampling(self, req: Any, msg: Any) -> Any:
        """Sample, and write down what was asked."""
        self.sampled.append(b" ".join(msg.arguments))
        result = super().request_sensor_sampling(req, msg)
        return await result if hasattr(result, "__await__") else result


class PumpV4(Pump):
    PROTOCOL_INFO = ProtocolFlags(4, 0, "")


def client_of(server: Any) -> InspectingClientAsync:
    client = InspectingClientAsync("127.0.0.1", server.bind_address[1], timeout=10)
    client.katcp_client.auto_reconnect_delay = 0.005
    client.initial_resync_timeout = 0.005
    client.max_resync_timeout = 0.02
    return client


@contextlib.asynccontextmanager
async def watching(
    server: Any, cls: type[SensorWatcher] = SensorWatcher, *args: Any, **kwargs: Any
) -> AsyncIterator[Any]:
    async with cls(client_of(server), *args, **kwargs) as watcher:
        yield watcher


@pytest.mark.parametrize("cls", [Pump, PumpV4])
async def test_sensors_are_copies_with_live_readings(cls: type[Pump]) -> None:
    async with serving(cls("127.0.0.1", 0)) as server, watching(server) as watcher:
        assert set(watcher.sensors) == set(server.sensors)
        for name, sensor in watcher.sensors.items():
            source = server.sensors[name]
            assert sensor is not source
            assert (sensor.type, sensor.units, sensor.description) == (
                source.type,
                source.units,
                source.description,
            )
            assert sensor.params == source.params
        server.sensors["speed"].set_value(5.5, Sensor.WARN, 1000.25)
        server.sensors["mode"].set_value("off")
        server.sensors["peer"].set_value(("10.0.0.1", 7))
        await until(lambda: watcher.sensors["peer"].value() == ("10.0.0.1", 7))
        assert watcher.sensors["speed"].read() == (1000.25, Sensor.WARN, 5.5)
        assert watcher.sensors["mode"].value() == "off"
        assert watcher.synced


async def test_many_sensors_are_set_by_few_requests_once() -> None:
    class Big(Pump):
        def setup_sensors(self) -> None:
            super().setup_sensors()
            self.sensors.update([Sensor.integer(f"s.{i}", default=i) for i in range(3000)])

    async with serving(Big("127.0.0.1", 0)) as server, watching(server) as watcher:
        assert len(watcher.sensors) == 3006
        assert watcher.sensors["s.2999"].value() == 2999
        assert len(server.sampled) == 4


async def test_sensors_that_come_and_go() -> None:
    async with serving(Pump("127.0.0.1", 0)) as server, watching(server) as watcher:
        news: list[str] = []
        watcher.sensors.add_add_callback(lambda sensor: news.append(f"+{sensor.name}"))
        watcher.sensors.add_remove_callback(lambda sensor: news.append(f"-{sensor.name}"))
        server.sensors.add(Sensor.integer("new", default=3))
        server.sensors.remove("ok")
        await until(lambda: len(news) == 2)
        await watcher.until_synced(10)
        assert sorted(news) == ["+new", "-ok"]
        server.sensors["new"].set_value(4)
        await until(lambda: watcher.sensors["new"].value() == 4)
        assert "ok" not in watcher.client.sampling
        assert watcher.client.sampling["new"] == ("event",)


async def test_sensor_that_becomes_another_is_replaced() -> None:
    async with serving(Pump("127.0.0.1", 0)) as server, watching(server) as watcher:
        old = watcher.sensors["note"]
        server.sensors.add(Sensor.integer("note", "A number now", default=8))
        await until(lambda: watcher.sensors["note"] is not old)
        await watcher.until_synced(10)
        assert watcher.sensors["note"].read()[1:] == (Sensor.UNKNOWN, 8)
        server.sensors["note"].set_value(9)
        await until(lambda: watcher.sensors["note"].value() == 9)
        assert old.value() == ""


async def test_lost_sensors_are_unreachable_and_come_back() -> None:
    server = Pump("127.0.0.1", 0)
    server.start()
    async with watching(server) as watcher:
        speed = watcher.sensors["speed"]
        server.sensors["speed"].set_value(7.0)
        await until(lambda: speed.value() == 7.0)
        await server.stop()
        await until(lambda: speed.status() == Sensor.UNREACHABLE)
        assert speed.value() == 7.0
        assert not watcher.synced
        assert {s.status() for s in watcher.sensors.values()} == {Sensor.UNREACHABLE}
        again = Pump(*server.bind_address)
        again.sensors["speed"].set_value(8.0)
        async with serving(again):
            await watcher.until_synced(10)
            assert watcher.sensors["speed"] is speed
            assert speed.read()[1:] == (Sensor.NOMINAL, 8.0)
            again.sensors["speed"].set_value(9.0)
            await until(lambda: speed.value() == 9.0)
            assert len(again.sampled) == 1


async def test_filter_name_and_strategy_as_arguments() -> None:
    updates: list[tuple[str, Any]] = []
    async with (
        serving(Pump("127.0.0.1", 0)) as server,
        watching(
            server,
            SensorWatcher,
            lambda name, *_: "period 1000" if name == "mode" else None,
            filter=lambda name, description, units, kind, *params: kind in ("float", "discrete"),
            rewrite_name=lambda name: f"pump.{name}",
            updated=lambda sensor, reading: updates.append((sensor.name, reading.value)),
        ) as watcher,
    ):
        assert set(watcher.sensors) == {"pump.speed", "pump.mode"}
        assert watcher.client.sampling == {"mode": ("period", "1000")}
        assert updates == [("pump.mode", "on")]


async def test_filter_name_and_strategy_as_methods() -> None:
    class Mine(SensorWatcher):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self.news: list[str] = []
            super().__init__(*args, **kwargs)

        def filter(self, name: str, *description: Any) -> bool:
            return name in ("speed", "ok")

        def rewrite_name(self, name: str) -> Any:
            return (f"a.{name}", f"b.{name}")

        def strategy_of(self, name: str, *description: Any) -> Any:
            return ("event-rate", 0.001, 60) if name == "speed" else "event"

        def sensor_added(self, sensor: Sensor) -> None:
            self.news.append(f"+{sensor.name}")

        def sensor_removed(self, sensor: Sensor) -> None:
            self.news.append(f"-{sensor.name}")

        def sensor_updated(self, sensor: Sensor, reading: Any) -> None:
            self.news.append(f"{sensor.name}={reading.value}")

    async with serving(Pump("127.0.0.1", 0)) as server, watching(server, Mine) as watcher:
        assert watcher.client.sampling == {"speed": ("event-rate", 0.001, 60), "ok": ("event",)}
        assert set(watcher.sensors) == {"a.speed", "b.speed", "a.ok", "b.ok"}
        watcher.news.clear()
        server.sensors["ok"].set_value(True)
        await until(lambda: len(watcher.news) == 2)
        server.sensors.remove("ok")
        await until(lambda: len(watcher.news) == 4)
        assert watcher.news == ["a.ok=True", "b.ok=True", "-a.ok", "-b.ok"]


async def test_watcher_of_a_client_that_is_synced_already() -> None:
    async with serving(Pump("127.0.0.1", 0)) as server, client_of(server) as client:
        watcher = SensorWatcher(client)
        assert len(watcher.sensors) == 6
        assert not watcher.synced
        await watcher.until_synced(10)
        server.sensors["speed"].set_value(1.0)
        await until(lambda: watcher.sensors["speed"].value() == 1.0)


async def test_close_ends_sampling_and_says_so() -> None:
    async with serving(Pump("127.0.0.1", 0)) as server, client_of(server) as client:
        watcher = SensorWatcher(client)
        await watcher.until_synced(10)
        watcher.close()
        watcher.close()
        assert client.sampling == {}
        assert {s.status() for s in watcher.sensors.values()} == {Sensor.UNREACHABLE}
        await until(lambda: len(server.sampled) == 2)
        assert server.sampled[1].endswith(b" none")
        server.sensors.add(Sensor.integer("new"))
        await until(lambda: "new" in client.sensors)
        assert "new" not in watcher.sensors
        gone = weakref.ref(watcher)
        del watcher
        gc.collect()
        assert gone() is None


async def test_set_of_others() -> None:
    mine = Sensor.integer("speed")
    sensors = SensorSet([mine])
    async with (
        serving(Pump("127.0.0.1", 0)) as server,
        watching(server, sensors=sensors) as watcher,
    ):
        assert sensors["speed"] is mine  # and the device's is left out
        assert len(sensors) == 6
        watcher.remove_all()
        assert list(sensors) == ["speed"]


async def test_user_errors_cost_one_sensor(caplog: pytest.LogCaptureFixture) -> None:
    def bad_filter(name: str, *_: Any) -> bool:
        if name == "ok":
            raise RuntimeError("bad filter")
        return True

    async with serving(Pump("127.0.0.1", 0)) as server, watching(server, filter=bad_filter) as it:
        assert set(server.sensors) - set(it.sensors) == {"ok"}
    assert "bad filter" in caplog.text


@pytest.mark.parametrize("strategy", ["", "sometimes", "period", ("period", 0.0)])
async def test_strategy_that_no_device_would_take(strategy: Any) -> None:
    client = InspectingClientAsync("127.0.0.1", 1)
    with pytest.raises(ValueError):
        SensorWatcher(client, strategy)


async def test_readings_that_cannot_be_read(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    sensors = {"a": "A \\@ integer", "b": "B \\@ integer"}
    async with scripted.Device(sensors=sensors) as device:
        client = InspectingClientAsync(device.host, device.port, timeout=10)
        async with SensorWatcher(client) as watcher:
            watcher.sensors["a"].set(1.0, Sensor.NOMINAL, 5)
            watcher.sensors["b"].set(1.0, Sensor.NOMINAL, 6)
            device.sessions[-1].say(
                b"#sensor-status 2.0 1 a nominal rubbish", b"#sensor-status 3.0 1 b unknown -"
            )
            await until(lambda: watcher.sensors["b"].status() == Sensor.UNKNOWN)
            assert watcher.sensors["a"].read() == (2.0, Sensor.FAILURE, 5)
            assert watcher.sensors["b"].read() == (3.0, Sensor.UNKNOWN, 6)


async def test_until_synced_runs_out_of_time() -> None:
    client = InspectingClientAsync("127.0.0.1", 1)
    watcher = SensorWatcher(client)
    with pytest.raises(WaitTimeout):
        await watcher.until_synced(0.01)


async def test_until_synced_runs_out_of_time_while_sampling_is_set() -> None:
    async with scripted.Device(sensors={"a": "A \\@ integer"}) as device:
        client = InspectingClientAsync(device.host, device.port, timeout=10)
        async with client:
            device.answers["sensor-sampling"] = lambda session, message: []
            watcher = SensorWatcher(client)
            with pytest.raises(WaitTimeout, match="sampling"):
                await watcher.until_synced(0.02)
            assert not watcher.synced


async def test_device_that_is_not_there() -> None:
    client = InspectingClientAsync("127.0.0.1", 1, timeout=0.01)
    with pytest.raises(WaitTimeout):
        async with SensorWatcher(client):
            raise AssertionError("not reached")
    assert not client.running()
    await asyncio.sleep(0)
