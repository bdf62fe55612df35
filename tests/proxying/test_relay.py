"""Readings on their way from a device to clients, of many sensors; proxies in a circle."""

# ruff: noqa: SIM117, ASYNC110  # what is waited for is a matter of turns of the loop

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tornado.gen import TimeoutError as TornadoTimeoutError

from katcp.errors import KatcpClientDisconnected
from katcp.inspecting_client import RelayedSensor
from katcp.protocol import Message, escape
from katcp.sensors import Sensor
from tests.helpers.scripted import V51, Device
from tests.helpers.serving import serving, talking, until
from tests.proxying.plant import Dish, Proxy, of, proxying


class Observer:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.readings: list[Any] = []

    def update(self, sensor: Any, reading: Any) -> None:
        self.readings.append(reading)


async def test_a_sensor_of_the_client_may_be_looked_at() -> None:
    async with Device(V51, sensors={"a": "A. V float", "b": "B. V float"}) as device:
        device.values = {"a": "1600000000 1 {} nominal 3.00", "b": "1600000000 1 {} nominal 3.00"}
        async with proxying(of(device, "d")) as proxy, talking(proxy) as client:
            assert type(proxy.sensors["d.a"]) is RelayedSensor
            inner = proxy.devices["d"].client
            assert inner is not None
            observer = Observer()
            inner.sensor_object("a").attach(observer)  # which makes it a sensor like any other
            await client.ask(b"?sensor-sampling d.a,d.b event")
            for value in (b"4.50", b"5.50"):
                lines = [b"#sensor-status 1600000001 1 %c nominal %b" % (n, value) for n in b"ab"]
                device.say(*lines)
                assert await client.lines(2) == [
                    b"#sensor-status 1600000001.000000 1 d.a nominal " + value[:3],
                    b"#sensor-status 1600000001 1 d.b nominal " + value,
                ]
            assert [reading.value for reading in observer.readings] == [4.5, 5.5]


async def test_observers_of_the_proxy_s_sensors_are_told() -> None:
    async with serving(Dish("127.0.0.1", 0)) as dish, proxying(of(dish)) as proxy:
        observer, broken = Observer(), Observer()
        broken.readings = None  # type: ignore[assignment]
        proxy.sensors["dish.azimuth"].attach(broken)
        proxy.sensors["dish.azimuth"].attach(observer)
        dish.sensors["azimuth"].set_value(1.5, Sensor.WARN, 1000.0)
        await until(lambda: observer.readings)
        assert observer.readings == [(1000.0, Sensor.WARN, 1.5)]


@pytest.mark.parametrize("strategy", [b"auto", b"event", b"event-rate 0 10", b"period 0.01"])
async def test_every_strategy_sends_what_the_device_has_sent(strategy: bytes) -> None:
    async with Device(V51, sensors={"a": "A. V float"}) as device:
        async with proxying(of(device, "d")) as proxy, talking(proxy) as client:
            await client.ask(b"?sensor-sampling d.a " + strategy)
            device.say(b"#sensor-status 1600000001.5 1 a nominal 7.250")
            line = b"#sensor-status 1600000001.5 1 d.a nominal 7.250"
            while await client.line() != line:
                pass


class Large(Dish):
    """A device with many sensors."""

    def setup_sensors(self) -> None:
        super().setup_sensors()
        self.sensors.update(Sensor.integer(f"many.{i}", default=i) for i in range(3000))


async def test_many_sensors_come_in_pieces_and_are_announced_together() -> None:
    async with serving(Large("127.0.0.1", 0)) as large:
        proxy = Proxy("127.0.0.1", 0)
        async with serving(proxy), talking(proxy) as client:
            link = proxy.add_device(of(large))
            turns = 0
            while not link.sensors:
                await asyncio.sleep(0)
            while len(link.sensors) < 3004:
                turns += 1
                await asyncio.sleep(0)
            assert turns > 3
            await link.until_synced(10)
            assert proxy.sensors["dish.many.2999"].value() == 2999
            # The proxy's own about the device, then all of the device.
            assert await client.line() == b"#interface-changed sensor-list"
            assert await client.line() == b"#interface-changed"
            assert await client.ask(b"?watchdog[1]") == [b"!watchdog[1] ok"]
        # The device is lost for the proxy, with all sensors at once.
        times = {sensor.read()[:2] for sensor in link.sensors.values()}
        assert len(times) == 1
        assert times.pop()[1] == Sensor.UNREACHABLE


async def test_a_device_that_is_lost_while_its_sensors_are_taken() -> None:
    large = Large("127.0.0.1", 0)
    large.start()
    proxy = Proxy("127.0.0.1", 0)
    async with serving(proxy):
        link = proxy.add_device(of(large))
        while not link.sensors:
            await asyncio.sleep(0)
        await large.stop()
        await until(lambda: len(link.sensors) == 3004 and link.state == "disconnected")
        await until(lambda: {s.status() for s in link.sensors.values()} == {Sensor.UNREACHABLE})
        async with serving(Large(*large.bind_address)):
            await link.until_synced(10)
            assert proxy.sensors["dish.many.2999"].read()[1:] == (Sensor.UNKNOWN, 2999)


async def test_a_proxy_that_would_show_itself() -> None:
    async with serving(Proxy("127.0.0.1", 0)) as proxy, talking(proxy) as client:
        link = proxy.add_device(of(proxy, "me"))
        await until(lambda: link.refusal)
        await until(lambda: link.state == "disconnected")
        await until(lambda: {name.split(".")[0] for name in proxy.sensors} == {"proxy"})
        lines = await client.ask(b"?proxy-left-out[1]")
        address = b"127.0.0.1:%d" % proxy.bind_address[1]
        assert lines[-2:] == [
            b"#proxy-left-out[1] me device " + address + b" " + escape(link.refusal.encode()),
            b"!proxy-left-out[1] ok 1",
        ]
        assert (await client.ask(b"?me-watchdog[2]"))[-1].startswith(
            b"!me-watchdog[2] fail Device\\_me\\_at\\_" + address + b"\\_is\\_not\\_shown:"
        )
        assert proxy.sensors["proxy.me.left-out"].read()[1:] == (Sensor.WARN, 1)


async def test_two_proxies_that_would_show_each_other() -> None:
    async with serving(Proxy("127.0.0.1", 0)) as one, serving(Proxy("127.0.0.1", 0)) as two:
        links = one.add_device(of(two, "two")), two.add_device(of(one, "one"))
        await until(lambda: any(link.refusal for link in links))
        # One of them is enough, and then there is an end to it.
        await until(lambda: all(link.refusal or link.synced for link in links))
        await asyncio.sleep(0.3)
        assert len(one.sensors) + len(two.sensors) < 100


async def test_stream_request() -> None:
    async with Device(V51, requests={"work": "Work."}) as device:
        device.answers["work"] = lambda session, message: [
            b"# 1 \\@",
            b"# 2 \xff",
            b"! " + (message.arguments or [b"ok"])[0] + b" done",
        ]
        device.answers["sleep"] = lambda session, message: ()
        device.answers["die"] = lambda session, message: session.abort()
        async with proxying(of(device, "d")) as proxy:
            link = proxy.devices["d"].client
            assert link is not None
            ask = link.katcp_client.stream_request
            informs: list[list[bytes]] = []
            assert await ask(Message.request("work"), informs.append) == [b"ok", b"done"]
            assert informs == [[b"1", b""], [b"2", b"\xff"]]
            assert await ask(Message.request("work", "fail"), informs.append) == [b"fail", b"done"]
            with pytest.raises(TornadoTimeoutError):
                await ask(Message.request("sleep"), informs.append, 0.01)
            # What a callback raises is logged, and harms nobody.
            assert await ask(Message.request("work"), lambda arguments: 1 / 0) == [b"ok", b"done"]
            with pytest.raises(KatcpClientDisconnected):
                await ask(Message.request("die"), informs.append)
