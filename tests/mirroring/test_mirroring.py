"""Mirrors: the sensors and requests of another device in a server."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import aiokatcp
import pytest

from katcp.errors import FailReply
from katcp.inspecting_client import InspectingClientAsync, SensorWatcher
from katcp.kattypes import concurrent_reply, request_timeout_hint
from katcp.mirroring import SensorMirror
from katcp.protocol import Message
from katcp.sensors import AggregateSensor, Sensor
from katcp.server import AsyncDeviceServer
from tests.helpers.serving import Bare, BareThreaded, serving, serving_in_thread, talking, until


class Dish(AsyncDeviceServer):
    """The other device."""

    def setup_sensors(self) -> None:
        self.sensors.update(
            [
                Sensor.float("azimuth", "Azimuth", "deg", [-180.0, 540.0]),
                Sensor.discrete("mode", "Mode", params=["stow", "track"]),
                Sensor.string("note", "A note"),
            ]
        )
        self.forever = asyncio.Event()

    async def request_slew(self, req: Any, azimuth: float) -> float:
        """Slew to AZIMUTH."""
        req.inform("begun")
        await asyncio.sleep(0)
        req.inform("almost", "there")
        self.sensors["azimuth"].set_value(azimuth)
        return azimuth

    def request_refuse(self, req: Any) -> Any:
        """Refuse."""
        raise FailReply("not today")

    @concurrent_reply
    @request_timeout_hint(30)
    async def request_wait(self, req: Any) -> None:
        """Wait for ever."""
        req.inform("waiting")
        await self.forever.wait()

    def request_echo(self, req: Any, msg: Message) -> Message:
        """Echo bytes."""
        reply: Message = req.make_reply("ok", *msg.arguments)
        return reply


def quick(client: InspectingClientAsync) -> InspectingClientAsync:
    client.katcp_client.auto_reconnect_delay = 0.005
    client.initial_resync_timeout = 0.005
    client.max_resync_timeout = 0.02
    return client


class Mirror(SensorMirror):
    """One that is quick to try again."""

    def make_client(self) -> InspectingClientAsync:
        return quick(super().make_client())


def mirror_of(device: Any, server: Any, prefix: str = "dish-", **options: Any) -> SensorMirror:
    return Mirror(server, "127.0.0.1", device.bind_address[1], prefix, **options)


async def test_sensors_appear_with_live_readings() -> None:
    async with serving(Dish("127.0.0.1", 0)) as dish:
        server = Bare("127.0.0.1", 0)
        mirror = mirror_of(dish, server)
        async with serving(server), talking(server) as client:
            await mirror.until_synced(10)
            assert mirror.synced
            assert set(server.sensors) == {"dish-azimuth", "dish-mode", "dish-note"}
            assert set(mirror.sensors) == set(server.sensors)
            assert await client.line() == b"#interface-changed sensor-list"
            await client.ask(b"?sensor-sampling dish-azimuth event")
            dish.sensors["azimuth"].set_value(12.5, Sensor.WARN, 1000.5)
            assert await client.line() == (b"#sensor-status 1000.500000 1 dish-azimuth warn 12.5")
            assert await client.ask(b"?sensor-list dish-azimuth") == [
                b"#sensor-list dish-azimuth Azimuth deg float -180.0 540.0",
                b"!sensor-list ok 1",
            ]


async def test_sensors_go_and_change_as_they_do_there() -> None:
    async with serving(Dish("127.0.0.1", 0)) as dish:
        server = Bare("127.0.0.1", 0)
        mirror = mirror_of(dish, server)
        async with serving(server), talking(server) as client:
            await mirror.until_synced(10)
            assert await client.line() == b"#interface-changed sensor-list"
            dish.sensors.remove("mode")
            assert await client.line() == b"#interface-changed sensor dish-mode removed"
            dish.sensors.update([Sensor.integer(f"n.{i}") for i in range(50)])
            assert await client.line() == b"#interface-changed sensor-list"
            dish.sensors.add(Sensor.integer("note", "A number now"))
            assert await client.line() == b"#interface-changed sensor dish-note modified"
            await mirror.until_synced(10)
            assert server.sensors["dish-note"].type == "integer"
            assert len(server.sensors) == len(mirror.sensors) == 52


async def test_unreachable_while_the_device_is_gone() -> None:
    dish = Dish("127.0.0.1", 0)
    dish.start()
    server = Bare("127.0.0.1", 0)
    mirror = mirror_of(dish, server)
    async with serving(server):
        await mirror.until_synced(10)
        azimuth = server.sensors["dish-azimuth"]
        dish.sensors["azimuth"].set_value(3.0)
        await until(lambda: azimuth.value() == 3.0)
        await dish.stop()
        await until(lambda: azimuth.status() == Sensor.UNREACHABLE)
        assert azimuth.value() == 3.0
        again = Dish(*dish.bind_address)
        again.sensors["azimuth"].set_value(4.0)
        async with serving(again):
            await mirror.until_synced(10)
            assert azimuth.read()[1:] == (Sensor.NOMINAL, 4.0)


async def test_requests_are_forwarded() -> None:
    async with serving(Dish("127.0.0.1", 0)) as dish:
        server = Bare("127.0.0.1", 0)
        mirror = mirror_of(dish, server, "dish.one.", requests=True)
        async with serving(server), talking(server) as client:
            await mirror.until_synced(10)
            assert await client.line() == b"#interface-changed"
            assert await client.ask(b"?dish-one-slew[3] 45.5") == [
                b"#dish-one-slew[3] begun",
                b"#dish-one-slew[3] almost there",
                b"!dish-one-slew[3] ok 45.5",
            ]
            assert await client.ask(b"?dish-one-refuse") == [b"!dish-one-refuse fail not\\_today"]
            assert await client.ask(b"?dish-one-echo \\@ caf\xc3\xa9 \xff") == [
                b"!dish-one-echo ok \\@ caf\xc3\xa9 \xff"
            ]
            slew = (await client.ask(b"?dish-one-slew x"))[0]
            assert slew.startswith(b"!dish-one-slew fail")
            assert (await client.ask(b"?help dish-one-slew"))[0].startswith(
                b"#help dish-one-slew Slew\\_to\\_AZIMUTH."
            )
            assert (await client.ask(b"?request-timeout-hint dish-one-wait"))[0].endswith(b" 31.0")
            assert (await client.ask(b"?dish-one-halt"))[0].endswith(b"invalid Unknown\\_request.")


async def test_requests_are_chosen_and_come_and_go() -> None:
    async with serving(Dish("127.0.0.1", 0)) as dish:
        server = Bare("127.0.0.1", 0)
        mirror = mirror_of(
            dish,
            server,
            requests=lambda name: name in ("slew", "watchdog", "new"),
            request_prefix="d-",
        )
        async with serving(server):
            await mirror.until_synced(10)
            assert server.has_request("d-slew")
            assert server.has_request("d-watchdog")
            assert not server.has_request("d-refuse")

            def new(req: Any) -> None:
                """Come late."""

            dish.add_request("new", new)
            dish.remove_request("slew")
            await until(lambda: server.has_request("d-new"))
            await until(lambda: not server.has_request("d-slew"))


async def test_requests_that_wait_and_a_device_that_goes() -> None:
    dish = Dish("127.0.0.1", 0)
    dish.start()
    server = Bare("127.0.0.1", 0)
    mirror = mirror_of(dish, server, requests=True)
    async with serving(server), talking(server) as client:
        await mirror.until_synced(10)
        await client.line()
        await client.send(b"?dish-wait[1]")
        assert await client.line() == b"#dish-wait[1] waiting"
        # Others may overtake it.
        assert (await client.ask(b"?dish-slew[2] 1"))[-1] == b"!dish-slew[2] ok 1.0"
        await dish.stop()
        assert (await client.line()).startswith(b"!dish-wait[1] fail")
        await until(lambda: not mirror.synced)
        answer = await client.ask(b"?dish-slew[3] 1")
        assert answer[-1].startswith(b"!dish-slew[3] fail")


async def test_request_that_takes_too_long() -> None:
    class Slow(Dish):
        async def request_wait(self, req: Any) -> None:
            """Wait for ever, without saying so."""
            await self.forever.wait()

    async with serving(Slow("127.0.0.1", 0)) as dish:
        server = Bare("127.0.0.1", 0)
        mirror = mirror_of(dish, server, requests=True, request_timeout=0.02)
        async with serving(server), talking(server) as client:
            await mirror.until_synced(10)
            await client.line()
            reply = (await client.ask(b"?dish-wait"))[-1]
            assert reply.startswith(b"!dish-wait fail")
            assert b"timed\\_out" in reply.lower()
        dish.forever.set()


async def test_names_that_are_taken_stay_the_server_s(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(Dish("127.0.0.1", 0)) as dish:
        server = Bare("127.0.0.1", 0)
        mine = Sensor.integer("dish-mode")
        server.sensors.add(mine)
        mirror = mirror_of(dish, server, requests=lambda name: name == "help", request_prefix="")
        async with serving(server), talking(server) as client:
            await mirror.until_synced(10)
            assert server.sensors["dish-mode"] is mine
            assert (await client.ask(b"?help watchdog"))[-1] == b"!help ok 1"
        assert server.sensors["dish-mode"] is mine
    assert "request 'help' is left out: there is one called 'help'" in caplog.text


async def test_many_mirrors_and_an_aggregate() -> None:
    dishes = [Dish("127.0.0.1", 0) for _ in range(8)]
    for dish in dishes:
        dish.start()
    server = Bare("127.0.0.1", 0)
    mirrors = [mirror_of(dish, server, f"d{i}.") for i, dish in enumerate(dishes)]
    server.sensors.add(
        AggregateSensor(
            server.sensors,
            Sensor.FLOAT,
            "azimuths",
            function=lambda sensors: sum(sensor.value() for sensor in sensors),
            filter=lambda sensor: sensor.name.endswith(".azimuth"),
        )
    )
    async with serving(server):
        for mirror in mirrors:
            await mirror.until_synced(10)
        assert len(server.sensors) == 8 * 3 + 1
        for dish in dishes:
            dish.sensors["azimuth"].set_value(2.0)
        await until(lambda: server.sensors["azimuths"].value() == 16.0)
        mirrors[0].stop()
        await until(lambda: len(server.sensors) == 7 * 3 + 1)
        assert server.sensors["azimuths"].value() == 14.0
        assert len(server.service_tasks) == 7
    for dish in dishes:
        await dish.stop()


async def test_stop_removes_what_was_shown() -> None:
    async with serving(Dish("127.0.0.1", 0)) as dish:
        server = Bare("127.0.0.1", 0)
        mirror = mirror_of(dish, server, requests=True)
        async with serving(server):
            await mirror.until_synced(10)
            mirror.stop()
            await until(lambda: not server.sensors)
            assert not server.has_request("dish-slew")
            await until(lambda: not dish._server.connections)
            assert server.service_tasks == ()


async def test_server_may_be_started_again() -> None:
    async with serving(Dish("127.0.0.1", 0)) as dish:
        server = Bare("127.0.0.1", 0)
        mirror = mirror_of(dish, server, requests=True)
        async with serving(server):
            await mirror.until_synced(10)
        assert {s.status() for s in server.sensors.values()} == {Sensor.UNREACHABLE}
        assert not dish._server.connections or await _gone(dish)
        dish.sensors.remove("mode")
        async with serving(server), talking(server) as client:
            await mirror.until_synced(10)
            assert set(server.sensors) == {"dish-azimuth", "dish-note"}
            assert (await client.ask(b"?dish-slew[1] 1"))[-1] == b"!dish-slew[1] ok 1.0"
        mirror.stop()
        assert len(server.sensors) == 0


async def _gone(dish: Dish) -> bool:
    await until(lambda: not dish._server.connections)
    return True


async def test_server_with_a_thread_of_its_own() -> None:
    async with serving(Dish("127.0.0.1", 0)) as dish:
        server = BareThreaded("127.0.0.1", 0)
        mirror = mirror_of(dish, server, requests=True)  # needs no loop
        server.start(10)
        try:
            await until(lambda: mirror.synced)
            dish.sensors["azimuth"].set_value(9.0)
            await until(lambda: server.sensors["dish-azimuth"].value() == 9.0)
            async with talking(server) as client:
                assert (await client.ask(b"?dish-slew 2"))[-1] == b"!dish-slew ok 2.0"
            mirror.stop()  # from another thread
            await until(lambda: not server.sensors)
        finally:
            await server.stop()
            server.join(10)


def test_mirror_that_is_never_started() -> None:
    server = BareThreaded("127.0.0.1", 0)
    mirror = SensorMirror(server, "127.0.0.1", 1, "x-")
    assert not mirror.synced
    mirror.stop()
    with serving_in_thread(server):
        assert server.service_tasks == ()


async def test_chain_of_mirrors() -> None:
    async with serving(Dish("127.0.0.1", 0)) as dish:
        middle, top = Bare("127.0.0.1", 0), Bare("127.0.0.1", 0)
        mirror_of(dish, middle, "dish-", requests=True)
        async with serving(middle):
            mirror = mirror_of(middle, top, "site-", requests=True)
            async with serving(top), talking(top) as client:
                await mirror.until_synced(10)
                await until(lambda: top.has_request("site-dish-slew"))
                await until(lambda: "site-dish-azimuth" in top.sensors)
                await mirror.until_synced(10)
                dish.sensors["azimuth"].set_value(1.0, timestamp=1234.5)
                azimuth = top.sensors["site-dish-azimuth"]
                await until(lambda: azimuth.read() == (1234.5, Sensor.NOMINAL, 1.0))
                await client.send(b"?site-dish-echo[1] hello")
                lines = await client.until_reply()
                assert lines[-1] == b"!site-dish-echo[1] ok hello"


async def test_aiokatcp_reads_a_mirror_and_is_mirrored() -> None:
    class Foreign(aiokatcp.DeviceServer):
        VERSION = "foreign-1.0"
        BUILD_STATE = "foreign-1.0"

    device = Foreign("127.0.0.1", 0)
    device.sensors.add(aiokatcp.Sensor(int, "count", "A count"))
    await device.start()
    server = Bare("127.0.0.1", 0)
    port = device.server.sockets[0].getsockname()[1]
    mirror = Mirror(server, "127.0.0.1", port, "foreign-")
    try:
        async with serving(server):
            await mirror.until_synced(10)
            client = aiokatcp.Client("127.0.0.1", server.bind_address[1])
            watcher = aiokatcp.SensorWatcher(client)
            client.add_sensor_watcher(watcher)
            try:
                await asyncio.wait_for(watcher.synced.wait(), 10)
                device.sensors["count"].set_value(5, timestamp=1000.25)
                shown = watcher.sensors["foreign-count"]
                await until(lambda: shown.value == 5)
                assert shown.timestamp == 1000.25
                device.sensors.add(aiokatcp.Sensor(float, "new", default=0.5))
                device.mass_inform("interface-changed")
                await until(lambda: "foreign-new" in watcher.sensors)
                await device.stop()
                unreachable = aiokatcp.Sensor.Status.UNREACHABLE
                await until(lambda: shown.status == unreachable)
            finally:
                client.close()
                await client.wait_closed()
    finally:
        await device.stop()


async def test_many_sensors() -> None:
    class Array(Dish):
        def setup_sensors(self) -> None:
            self.sensors.update([Sensor.integer(f"s.{i}", default=i) for i in range(5000)])

    async with serving(Array("127.0.0.1", 0)) as array:
        server = Bare("127.0.0.1", 0)
        mirror = mirror_of(array, server, "a.")
        async with serving(server):
            reader = InspectingClientAsync("127.0.0.1", server.bind_address[1], timeout=20)
            await mirror.until_synced(20)
            async with SensorWatcher(reader) as watcher:
                assert len(watcher.sensors) == 5000
                for sensor in array.sensors.values():
                    sensor.set_value(7)
                await until(lambda: {s.value() for s in watcher.sensors.values()} == {7})


async def test_nothing_holds_what_has_stopped() -> None:
    async with serving(Dish("127.0.0.1", 0)) as dish:
        server = Bare("127.0.0.1", 0)
        mirror = mirror_of(dish, server, requests=True)
        async with serving(server):
            await mirror.until_synced(10)
        gone = weakref.ref(server), weakref.ref(mirror)
        del server, mirror
        await asyncio.sleep(0)
        gc.collect()
        assert [reference() for reference in gone] == [None, None]
