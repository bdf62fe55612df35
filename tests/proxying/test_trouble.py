"""Devices that go, come back as others, hang, or lie; what is good goes on all the same."""

# ruff: noqa: SIM117  # device, proxy and client are easier to read one in the other

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import pytest

from katcp.protocol import Message, escape
from katcp.proxying import ProxiedDevice
from katcp.sensors import Sensor
from tests.helpers.scripted import V51, Device, Session
from tests.helpers.serving import serving, talking, until
from tests.proxying.plant import Dish, Proxy, of, proxying


class OtherDish(Dish):
    """What the device is after a restart."""

    VERSION_INFO = ("dish-api", 3, 0)

    def setup_sensors(self) -> None:
        super().setup_sensors()
        self.sensors.remove("note")
        self.sensors.add(Sensor.string("mode", "Mode, a text now"))
        self.sensors.add(Sensor.integer("gear", "Gear", default=2))

    def request_shift(self, req: Any, gear: int) -> int:
        """Shift to GEAR."""
        self.sensors["gear"].set_value(gear)
        return gear


async def test_a_device_that_is_lost_and_comes_back() -> None:
    dish = Dish("127.0.0.1", 0)
    dish.start()
    async with proxying(of(dish)) as proxy, talking(proxy) as client:
        dish.sensors["azimuth"].set_value(3.5, timestamp=1000.0)
        azimuth = proxy.sensors["dish.azimuth"]
        await until(lambda: azimuth.value() == 3.5)
        await client.ask(b"?sensor-sampling dish.azimuth event")
        before = time.time()
        await dish.stop()
        line = await client.line()
        assert line.endswith(b" 1 dish.azimuth unreachable 3.5")
        assert before <= float(line.split()[1]) <= time.time()
        lost_at = azimuth.read().timestamp
        lines = await client.ask(b"?sensor-value /^dish/")
        assert [line.split()[4] for line in lines[:-1]] == [b"unreachable"] * 4
        reply = (await client.ask(b"?dish-slew[1] 2"))[-1]
        address = b"127.0.0.1:%d" % dish.bind_address[1]
        assert reply.startswith(
            b"!dish-slew[1] fail Device\\_dish\\_at\\_"
            + address
            + b"\\_is\\_not\\_connected:\\_Device"
        )
        assert proxy.sensors["proxy.dish.connected"].read()[1:] == (Sensor.ERROR, False)
        again = Dish(*dish.bind_address)
        again.sensors["azimuth"].set_value(4.0, timestamp=2000.0)
        async with serving(again):
            await proxy.until_synced(10)
            assert azimuth is proxy.sensors["dish.azimuth"]
            assert azimuth.read() == (2000.0, Sensor.NOMINAL, 4.0)
            assert lost_at > 2000.0
            assert await client.line() == b"#sensor-status 2000.000000 1 dish.azimuth nominal 4.0"
            assert (
                await client.ask(b"?dish-slew[2] 2")
                == [
                    b"#sensor-status " + azimuth.wire_reading()[1:-1],
                    b"!dish-slew[2] ok 2.0",
                ]
                or azimuth.value() == 2.0
            )
            assert proxy.sensors["proxy.dish.connections"].value() == 2


async def test_a_device_that_comes_back_as_another_version() -> None:
    dish = Dish("127.0.0.1", 0)
    dish.start()
    async with proxying(of(dish)) as proxy, talking(proxy) as client:
        note = proxy.sensors["dish.note"]
        await dish.stop()
        async with serving(OtherDish(*dish.bind_address)):
            await proxy.until_synced(10)
            await until(
                lambda: proxy.sensors["proxy.dish.version"].value().startswith("dish-api-3")
            )
            assert "dish.note" not in proxy.sensors
            assert note.status() == Sensor.UNREACHABLE
            assert proxy.sensors["dish.mode"].type == "string"
            assert proxy.sensors["dish.gear"].value() == 2
            await client.send(b"?dish-shift[1] 5")
            while not (line := await client.line()).startswith(b"!"):
                pass
            assert line == b"!dish-shift[1] ok 5"
            versions = await client.ask(b"?version-list")
            assert b"#version-list dish.katcp-device dish-api-3.0 dish-build-3.4rc1" in versions


async def test_a_device_that_dies_midway_through_a_request() -> None:
    async with Device(V51, requests={"help": "Help.", "work": "Work."}) as device:

        async def work(session: Session, message: Message) -> None:
            device.answer(session, message, b"# 1 begun")
            await asyncio.sleep(0.01)
            session.abort()

        device.answers["work"] = work
        async with proxying(of(device, "d")) as proxy, talking(proxy) as client:
            assert await client.ask(b"?d-work[7]") == [
                b"#d-work[7] 1 begun",
                b"!d-work[7] fail "
                + escape(b"Lost the connection to d before it answered request work."),
            ]


async def test_a_device_that_hangs_holds_nobody_up() -> None:
    async with (
        Device(V51, sensors={"a": "A. \\@ integer"}, requests={"work": "Work."}) as hung,
        serving(Dish("127.0.0.1", 0)) as dish,
    ):
        hung.answers["work"] = lambda session, message: ()
        devices = of(hung, "hung", request_timeout=0.05), of(dish)
        async with proxying(*devices) as proxy, talking(proxy) as client:
            await client.send(b"?hung-work[1]")
            assert await client.ask(b"?dish-slew[2] 1") == [b"!dish-slew[2] ok 1.0"]
            reply = (await client.until_reply())[-1]
            assert reply == b"!hung-work[1] fail " + escape(
                b"Request work timed out: hung has not answered it in 0.05 s."
            )
            # A late answer is nobody's.
            hung.say(b"!work[99] ok", b"#work[99] late")
            assert await client.ask(b"?watchdog") == [b"!watchdog ok"]


async def test_a_device_that_never_tells_what_it_has() -> None:
    async with Device(V51) as mute, serving(Dish("127.0.0.1", 0)) as dish:
        mute.answers["help"] = lambda session, message: ()
        async with proxying(of(mute, "mute"), of(dish), synced=False) as proxy:
            await proxy.devices["dish"].until_synced(10)
            await until(lambda: proxy.devices["mute"].state == "connected")
            async with talking(proxy) as client:
                reply = (await client.ask(b"?mute-anything[1]"))[-1]
                assert b"mute" in reply
                assert reply.endswith(b"has\\_not\\_told\\_yet\\_which\\_requests\\_it\\_has.")
                assert (await client.ask(b"?dish-slew 1"))[-1] == b"!dish-slew ok 1.0"
                assert proxy.sensors["proxy.mute.synced"].read()[1:] == (Sensor.WARN, False)


async def test_a_device_that_is_not_there_at_the_start() -> None:
    away = ProxiedDevice("127.0.0.1", 1, "away")
    async with proxying(away, synced=False) as proxy, talking(proxy) as client:
        assert await client.ask(b"?away-slew[3] 1") == [
            b"!away-slew[3] fail Device\\_away\\_at\\_127.0.0.1:1\\_is\\_not\\_connected."
        ]
        assert await client.ask(b"?awaywards") == [b"!awaywards invalid Unknown\\_request."]
        assert (await client.ask(b"?sensor-value /^away/"))[-1] == b"!sensor-value ok 0"


async def test_a_device_that_lies(caplog: pytest.LogCaptureFixture) -> None:
    sensors = [
        b"# good A. V integer 0 9",
        b"#",
        b"# \\@ An. V integer",
        b"# \xff\xfe An. V integer",
        b"# no.type An. V",
        b"# bad.type An. V quaternion",
        b"# bad.limits An. V integer low high",
        b"# bad.words An. \\@ discrete",
        b"# with\\_space An. V integer",
        b"# with,comma An. V integer",
        b"# control\\e[2J An. V integer",
        b"# good Another. V float",
    ]
    requests = [
        b"# work Work.",
        b"# 9lives Nine.",
        b"# bad_name Bad.",
        b"# \\e[2J Evil.",
        b"# \xff Odd.",
        b"# silent",
    ]
    async with Device(V51) as device:
        device.answers["sensor-list"] = lambda session, message: [*sensors, b"! ok 12"]
        device.answers["help"] = lambda session, message: [*requests, b"! ok 6"]
        async with proxying(of(device, "d")) as proxy, talking(proxy) as client:
            shown = sorted(name for name in proxy.sensors if name.startswith("d."))
            assert "d.good" in shown
            assert {"d.bad.type", "d.bad.limits", "d.bad.words"} <= set(shown)
            assert not [name for name in shown if " " in name or "," in name or "\x1b" in name]
            lines = await client.ask(b"?proxy-left-out d")
            text = b"\n".join(lines)
            assert b"d sensor with\\_space " in text
            assert b"d sensor with,comma " in text
            assert b"d sensor control\\e[2J " in text
            assert b"d request bad_name " in text
            assert b"d request \\e[2J " in text
            assert proxy.has_request("d-work")
            assert proxy.has_request("d-silent")
            device.say(
                b"#sensor-status",
                b"#sensor-status soon 1 d.good nominal 5",
                b"#sensor-status 1600000001 1 good nominal five",
                b"#sensor-status 1600000002 1 unknown.sensor nominal 5",
                b"#sensor-status 1600000003 1 good splendid 6",
                b"#sensor-status 1600000004 1 good unknown \\@",
                b"#sensor-status 1600000005 9 good nominal 7",
            )
            good = proxy.sensors["d.good"]
            await until(lambda: good.value() == 7)
            assert good.read() == (1600000005.0, Sensor.NOMINAL, 7)
            assert await client.ask(b"?sensor-value d.good") == [
                b"#sensor-value 1600000005 1 d.good nominal 7",
                b"!sensor-value ok 1",
            ]
    assert "left out" in caplog.text
    assert not [r for r in caplog.records if r.exc_info]


async def test_a_value_that_cannot_be_read_is_a_failure() -> None:
    sensors = {"a": "A. \\@ integer", "b": "B. \\@ integer"}
    async with Device(V51, sensors=sensors) as device:
        async with proxying(of(device, "d")) as proxy, talking(proxy) as client:
            await client.ask(b"?sensor-sampling d.a,d.b event")
            device.say(b"#sensor-status 1600000001 1 a nominal five")
            assert await client.line() == b"#sensor-status 1600000001.000000 1 d.a failure 3"
            device.say(
                b"#sensor-status 1600000002 1 a nominal 4",
                b"#sensor-status 1600000002 1 b nominal six",
                b"#sensor-status 1600000003 1 a nominal five",
            )
            assert await client.lines(3) == [
                b"#sensor-status 1600000002 1 d.a nominal 4",
                b"#sensor-status 1600000002.000000 1 d.b failure 3",
                b"#sensor-status 1600000003.000000 1 d.a failure 4",
            ]


async def test_many_that_are_left_out_are_not_logged_one_by_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with Device(V51, sensors={f"a,{i}": "A. \\@ integer" for i in range(200)}) as device:
        async with proxying(of(device, "d")) as proxy:
            assert proxy.sensors["proxy.d.left-out"].value() == 200
    assert len([r for r in caplog.records if r.levelno >= logging.WARNING]) < 20


async def test_a_client_that_goes_while_it_waits() -> None:
    async with serving(Dish("127.0.0.1", 0)) as dish, proxying(of(dish)) as proxy:
        async with talking(proxy) as client:
            await client.send(b"?dish-wait[1]")
            assert await client.line() == b"#dish-wait[1] waiting"
        dish.forever.set()  # what it waited for comes, and nobody is there to be told
        await until(lambda: not proxy.katcp_under_way)
        async with talking(proxy) as client:
            assert await client.ask(b"?dish-slew 1") == [b"!dish-slew ok 1.0"]


async def test_stopping_ends_what_is_under_way() -> None:
    async with serving(Dish("127.0.0.1", 0)) as dish:
        proxy = Proxy("127.0.0.1", 0, [of(dish)])
        async with serving(proxy):
            await proxy.until_synced(10)
            async with talking(proxy) as client:
                await client.send(b"?dish-wait[1]")
                assert await client.line() == b"#dish-wait[1] waiting"
                await proxy.stop()
                rest = await client.rest()
                assert b"!dish-wait[1] fail" in rest or b"#disconnect" in rest
        await until(lambda: not dish._server.connections)


async def test_a_device_whose_interface_changes_all_the_time() -> None:
    async with serving(Dish("127.0.0.1", 0)) as dish, proxying(of(dish)) as proxy:
        for i in range(60):
            dish.sensors.add(Sensor.integer(f"n.{i}", default=i))
            if i % 3 == 0:
                dish.sensors.remove(f"n.{i}")
            await asyncio.sleep(0)
        await until(lambda: "dish.n.59" in proxy.sensors and "dish.n.57" not in proxy.sensors)
        await proxy.until_synced(10)
        shown = {name for name in proxy.sensors if name.startswith("dish.n.")}
        assert shown == {f"dish.n.{i}" for i in range(60) if i % 3}
