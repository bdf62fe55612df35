"""What clients see of devices behind a proxy."""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref
from pathlib import Path
from typing import Any

import pytest

from katcp.inspecting_client import InspectingClientAsync
from katcp.proxying import ProxiedDevice, ProxyError
from katcp.sensors import Sensor
from tests.helpers.scripted import V4, V51, Device
from tests.helpers.serving import serving, talking, until
from tests.proxying.plant import Dish, Proxy, of, proxying


async def ask(proxy: Any, request: bytes) -> list[bytes]:
    async with talking(proxy) as client:
        return await client.ask(request)


async def test_sensors_are_shown_under_the_device_s_name() -> None:
    async with serving(Dish("127.0.0.1", 0)) as dish, proxying(of(dish)) as proxy:
        dish.sensors["azimuth"].set_value(12.5, Sensor.WARN, 1000.25)
        await until(lambda: proxy.sensors["dish.azimuth"].value() == 12.5)
        assert await ask(proxy, b"?sensor-value dish.azimuth") == [
            b"#sensor-value 1000.250000 1 dish.azimuth warn 12.5",
            b"!sensor-value ok 1",
        ]
        assert await ask(proxy, b"?sensor-list /^dish/") == [
            b"#sensor-list dish.azimuth Azimuth deg float -180.0 540.0",
            b"#sensor-list dish.debug.count A\\_count \\@ integer",
            b"#sensor-list dish.mode Mode \\@ discrete stow track",
            b"#sensor-list dish.note A\\_note \\@ string",
            b"!sensor-list ok 4",
        ]


async def test_requests_are_forwarded_under_the_device_s_name() -> None:
    async with (
        serving(Dish("127.0.0.1", 0)) as dish,
        proxying(of(dish, "south.dish_1")) as proxy,
        talking(proxy) as client,
    ):
        assert await client.ask(b"?south-dish-1-slew[3] 45.5") == [b"!south-dish-1-slew[3] ok 45.5"]
        assert await client.ask(b"?south-dish-1-echo[4] \\@ caf\xc3\xa9 \xff\\0") == [
            b"!south-dish-1-echo[4] ok \\@ caf\xc3\xa9 \xff\\0"
        ]
        assert await client.ask(b"?south-dish-1-refuse") == [
            b"!south-dish-1-refuse fail not\\_today"
        ]
        # Informs come before the reply does, and other requests overtake it.
        await client.send(b"?south-dish-1-wait[5]")
        assert await client.line() == b"#south-dish-1-wait[5] waiting"
        assert await client.ask(b"?south-dish-1-slew[6] 1") == [b"!south-dish-1-slew[6] ok 1.0"]
        dish.forever.set()
        assert await client.until_reply() == [
            b"#south-dish-1-wait[5] done",
            b"!south-dish-1-wait[5] ok",
        ]
        # Whoever asks the proxy has to wait a little longer than the proxy does.
        assert await client.ask(b"?request-timeout-hint south-dish-1-wait") == [
            b"#request-timeout-hint south-dish-1-wait 31.0",
            b"!request-timeout-hint ok 1",
        ]
        assert (await client.ask(b"?help south-dish-1-slew"))[0].startswith(
            b"#help south-dish-1-slew Slew\\_to\\_AZIMUTH."
        )


async def test_requests_that_end_a_device_are_left_out_unless_asked_for() -> None:
    async with serving(Dish("127.0.0.1", 0)) as dish:
        async with proxying(of(dish)) as proxy:
            assert proxy.has_request("dish-log-level")
            assert proxy.has_request("dish-watchdog")
            for name in ("halt", "restart", "help", "sensor-list", "sensor-sampling"):
                assert not proxy.has_request(f"dish-{name}")
            assert await ask(proxy, b"?dish-log-level debug") == [b"!dish-log-level ok debug"]
            assert dish.log.level_name() == "debug"
            assert proxy.log.level_name() == "warn"
        async with proxying(of(dish, requests=("*", "halt"), without_requests=("s*",))) as proxy:
            assert not proxy.has_request("dish-slew")
            assert await ask(proxy, b"?dish-halt") == [b"!dish-halt ok"]
            await until(lambda: not dish.running())
            assert proxy.running()


async def test_one_connection_however_many_clients() -> None:
    async with serving(Dish("127.0.0.1", 0)) as dish, proxying(of(dish)) as proxy:
        clients = [talking(proxy) for _ in range(20)]
        talks = [await client.__aenter__() for client in clients]
        for talk in talks:
            await talk.ask(b"?sensor-sampling dish.azimuth event")
        assert len(dish._server.connections) == 1
        dish.sensors["azimuth"].set_value(3.0, timestamp=5.0)
        for talk in talks:
            line = await talk.line()
            assert line == b"#sensor-status 5.000000 1 dish.azimuth nominal 3.0"
        for client in clients:
            await client.__aexit__(None, None, None)
        assert len(dish._server.connections) == 1


async def test_readings_are_passed_on_byte_for_byte() -> None:
    sensors = {
        "f": "F. \\@ float",
        "i": "I. \\@ integer",
        "b": "B. \\@ boolean",
        "d": "D. \\@ discrete on off\\_or\\_so",
        "s": "S. \\@ string",
        "t": "T. \\@ timestamp",
        "a": "A. \\@ address",
        "l": "L. \\@ lru",
    }
    readings = [
        b"1600000001 1 f nominal 1.50",
        b"1600000001.5 1 f warn 1e3",
        b"1.6e9 1 i error +7",
        b"1600000003.1234567 1 b nominal 1",
        b"1600000004.25 1 d nominal off\\_or\\_so",
        b"1600000005.000001 1 s nominal \\@",
        b"1600000006 1 s nominal caf\xc3\xa9\\_\\n\\\\",
        b"1600000007 1 t failure 1234.5",
        b"1600000008 1 a inactive [::1]:80",
        b"1600000009 1 l nominal error",
    ]
    async with (
        Device(sensors=sensors) as device,
        proxying(of(device, "d")) as proxy,
        talking(proxy) as client,
    ):
        await client.ask(
            b"?sensor-sampling " + b",".join(b"d.%c" % c for c in b"fibdstal") + b" auto"
        )
        for together in (False, True):  # a run of lines goes another way than single ones
            lines = [b"#sensor-status " + reading for reading in readings]
            expected = [
                b"#sensor-status " + reading.replace(b" 1 ", b" 1 d.", 1) for reading in readings
            ]
            if together:
                device.say(*lines)
                assert await client.lines(len(lines)) == expected
            else:
                for line, wanted in zip(lines, expected, strict=True):
                    device.say(line)
                    assert await client.line() == wanted
        assert (await client.ask(b"?sensor-value d.f"))[0] == (
            b"#sensor-value 1600000001.5 1 d.f warn 1e3"
        )
        assert proxy.sensors["d.f"].read() == (1600000001.5, Sensor.WARN, 1000.0)
        assert proxy.sensors["d.d"].value() == "off or so"
        assert proxy.sensors["d.a"].read() == (1600000008.0, Sensor.INACTIVE, ("::1", 80))


async def test_version_4_devices_speak_of_milliseconds() -> None:
    sensors = {"a.t": "T. \\@ timestamp", "n": "N. \\@ integer -10 10"}
    async with Device(V4, sensors=sensors) as device:
        device.values["a.t"] = "1600000000250 1 {} nominal 1500"
        device.values["n"] = "1600000001001 1 {} error 11"
        async with proxying(of(device, "old")) as proxy, talking(proxy) as client:
            assert await client.ask(b"?sensor-value /^old/") == [
                b"#sensor-value 1600000000.250000 1 old.a.t nominal 1.500000",
                b"#sensor-value 1600000001.001000 1 old.n error 11",
                b"!sensor-value ok 2",
            ]
            await client.ask(b"?sensor-sampling old.n event")
            device.say(*[b"#sensor-status 1600000002500 1 n nominal %d" % n for n in range(3)])
            assert await client.lines(3) == [
                b"#sensor-status 1600000002.500000 1 old.n nominal %d" % n for n in range(3)
            ]
            device.say(b"#log error 1600000002500 root It\\_is\\_old")
            assert await client.line() == b"#log error 1600000002.500000 old.root It\\_is\\_old"
            versions = await client.ask(b"?version-list")
            assert b"#version-list old.katcp-device demo-api-2.1 demo-build-3.4" in versions


async def test_own_sensors_and_requests_tell_how_the_proxy_stands() -> None:
    dish = Dish("127.0.0.1", 0)
    async with (
        serving(dish),
        proxying(of(dish), ProxiedDevice("127.0.0.1", 1, "away"), synced=False) as proxy,
    ):
        await proxy.devices["dish"].until_synced(10)
        sensors = proxy.sensors
        for name, expected in (
            ("proxy.devices", (Sensor.NOMINAL, 2)),
            ("proxy.devices-connected", (Sensor.WARN, 1)),
            ("proxy.devices-synced", (Sensor.WARN, 1)),
            ("proxy.dish.connected", (Sensor.NOMINAL, True)),
            ("proxy.dish.synced", (Sensor.NOMINAL, True)),
            ("proxy.dish.connections", (Sensor.NOMINAL, 1)),
            ("proxy.dish.sensors", (Sensor.NOMINAL, 4)),
            ("proxy.dish.requests", (Sensor.NOMINAL, 7)),
            ("proxy.dish.left-out", (Sensor.NOMINAL, 0)),
            ("proxy.away.connected", (Sensor.ERROR, False)),
            ("proxy.away.synced", (Sensor.ERROR, False)),
            ("proxy.away.version", (Sensor.UNKNOWN, "")),
        ):
            assert sensors[name].read()[1:] == expected, name
        version = sensors["proxy.dish.version"]
        await until(lambda: version.value() == "dish-api-2.1 dish-build-3.4rc1")
        first, second, reply = await ask(proxy, b"?proxy-devices")
        assert first.startswith(b"#proxy-devices away 127.0.0.1:1 disconnected ")
        assert first.endswith(b" 0 0 0 \\@")
        address = b"127.0.0.1:%d" % dish.bind_address[1]
        assert second.startswith(b"#proxy-devices dish " + address + b" synced ")
        assert second.endswith(b" 4 7 0 dish-api-2.1")
        assert reply == b"!proxy-devices ok 2"
        assert (await ask(proxy, b"?proxy-devices away"))[-1] == b"!proxy-devices ok 1"
        assert await ask(proxy, b"?proxy-devices other") == [
            b"!proxy-devices fail Unknown\\_device\\_name."
        ]
        versions = await ask(proxy, b"?version-list")
        assert b"#version-list dish.katcp-device dish-api-2.1 dish-build-3.4rc1" in versions
        assert b"#version-list katcp-device katcp-proxy-1.0 katcp-proxy-0.10" in versions


async def test_changes_are_announced_by_name() -> None:
    async with (
        serving(Dish("127.0.0.1", 0)) as dish,
        proxying(of(dish)) as proxy,
        talking(proxy) as client,
    ):
        await asyncio.sleep(0.12)  # what the start has changed is announced in this time
        await client.ask(b"?watchdog")
        client.reader._buffer.clear()  # type: ignore[attr-defined]
        dish.sensors.add(Sensor.integer("new"))
        assert await client.line() == b"#interface-changed sensor dish.new added"
        dish.sensors.remove("new")
        assert await client.line() == b"#interface-changed sensor dish.new removed"

        def new(req: Any) -> None:
            """Come late."""

        dish.add_request("new", new)
        assert await client.line() == b"#interface-changed request dish-new added"
        assert (await client.ask(b"?dish-new"))[-1] == b"!dish-new ok"
        dish.remove_request("new")
        assert await client.line() == b"#interface-changed request dish-new removed"
        assert await client.ask(b"?dish-new") == [b"!dish-new invalid Unknown\\_request."]


async def test_thousand_sensors_come_and_go() -> None:
    async with serving(Dish("127.0.0.1", 0)) as dish, proxying(of(dish)) as proxy:
        count = len(proxy.sensors)
        many = [Sensor.integer(f"many.{i}", default=i) for i in range(1000)]
        dish.sensors.update(many)
        await until(lambda: len(proxy.sensors) == count + 1000)
        link = proxy.devices["dish"]
        await link.until_synced(10)
        assert proxy.sensors["dish.many.999"].value() == 999
        assert proxy.sensors["proxy.dish.sensors"].value() == 1004
        with dish.sensors.batch():
            for sensor in many:
                dish.sensors.remove(sensor)
        await until(lambda: len(proxy.sensors) == count)
        assert len(link.sensors) == 4


async def test_log_is_forwarded_and_farewells_are_not() -> None:
    async with Device(V51) as device, proxying(of(device, "d")) as proxy, talking(proxy) as client:
        device.say(
            b"#log info 1600000000.5 root Not\\_of\\_interest",
            b"#log warn 1600000000.5 a.b Some\xff\\_text",
            b"#version-connect katcp-device other-1.0",
            b"#client-connected 1.2.3.4:5",
            b"#log error soon root Odd",
            b"#log loud 1600000000.5",
            b"#interface-changed",
            b"#disconnect Good\\_bye",
        )
        assert await client.line() == b"#log warn 1600000000.5 d.a.b Some\xff\\_text"
        odd = await client.line()
        assert odd.startswith(b"#log error 1")
        assert odd.endswith(b" d.root Odd")
        assert await client.line() == b"#log warn 1600000000.5 d \\@"
        await until(lambda: device.count > 1)  # it did hang up
        proxy.log.set_log_level_by_name("info")
        await proxy.until_synced(10)
        device.say(b"#log info 1600000000.5 root Of\\_interest", b"#log debug 1 root Not")
        assert await client.line() == b"#log info 1600000000.5 d.root Of\\_interest"
        assert await client.ask(b"?watchdog") == [b"!watchdog ok"]


async def test_filters_and_renames() -> None:
    settings: dict[str, Any] = {
        "sensors": ("a*", "note"),
        "without_sensors": ("/^azim.*x/",),
        "requests": ("slew", "echo"),
        "rename_sensors": {"azimuth": ("az", "pointing.az"), "note": "remark"},
        "rename_requests": {"slew": ("go", "point"), "echo": "say"},
    }
    async with serving(Dish("127.0.0.1", 0)) as dish, proxying(of(dish, **settings)) as proxy:
        shown = {name for name in proxy.sensors if name.startswith("dish")}
        assert shown == {"dish.az", "dish.pointing.az", "dish.remark"}
        assert {name for name in proxy._request_handlers if name.startswith("dish")} == {
            "dish-go",
            "dish-point",
            "dish-say",
        }
        assert (await ask(proxy, b"?dish-point 7"))[-1] == b"!dish-point ok 7.0"
        await until(lambda: proxy.sensors["dish.pointing.az"].value() == 7.0)
        assert proxy.sensors["dish.az"].value() == 7.0
        lines = await ask(proxy, b"?sensor-value /az$/")
        assert [line.split(b" ", 2)[2] for line in lines[:2]] == [
            b"1 dish.az nominal 7.0",
            b"1 dish.pointing.az nominal 7.0",
        ]
        dish.sensors.remove("azimuth")
        await until(lambda: "dish.az" not in proxy.sensors)
        assert "dish.pointing.az" not in proxy.sensors
        dish.remove_request("slew")
        await until(lambda: not proxy.has_request("dish-go"))
        assert not proxy.has_request("dish-point")


async def test_without_a_prefix_the_proxy_s_own_come_first() -> None:
    async with serving(Dish("127.0.0.1", 0)) as dish, proxying(of(dish, prefix="")) as proxy:
        assert (await ask(proxy, b"?slew 3"))[-1] == b"!slew ok 3.0"
        await until(lambda: proxy.sensors["azimuth"].value() == 3.0)
        assert proxy.devices["dish"].left_out == {}
        await ask(proxy, b"?log-level debug")
        assert proxy.log.level_name() == "debug"
        assert dish.log.level_name() == "warn"


async def test_names_that_are_taken_are_reported() -> None:
    async with serving(Dish("127.0.0.1", 0)) as one, serving(Dish("127.0.0.1", 0)) as two:
        devices = of(one, "one", prefix=""), of(two, "two", prefix="")
        async with proxying(*devices) as proxy:
            links = proxy.devices
            left_out = [link for link in links.values() if link.left_out]
            assert len(left_out) == 1
            (link,) = left_out
            await until(lambda: proxy.sensors[f"proxy.{link.name}.left-out"].value() == 8)
            lines = await ask(proxy, b"?proxy-left-out")
            assert lines[-1] == b"!proxy-left-out ok 8"
            name = link.name.encode()
            assert lines[0] == (
                b"#proxy-left-out " + name + b" request echo there\\_is\\_one\\_called\\_'echo'"
            )
            assert (
                b"#proxy-left-out "
                + name
                + b" sensor azimuth there\\_is\\_one\\_called\\_'azimuth'"
                in lines
            )


async def test_devices_come_and_go_while_the_proxy_runs() -> None:
    async with serving(Dish("127.0.0.1", 0)) as one, serving(Dish("127.0.0.1", 0)) as two:  # noqa: SIM117
        async with proxying(of(one, "one")) as proxy:
            link = proxy.add_device(of(two, "two"))
            await link.until_synced(10)
            assert (await ask(proxy, b"?two-slew 1"))[-1] == b"!two-slew ok 1.0"
            with pytest.raises(ProxyError, match="both are called 'two'"):
                proxy.add_device(of(one, "two"))
            with pytest.raises(ProxyError, match="no device 'three'"):
                proxy.remove_device("three")
            kept = proxy.devices["two"]
            proxy.set_devices([of(two, "two"), of(one, "uno")])
            assert set(proxy.devices) == {"two", "uno"}
            assert proxy.devices["two"] is kept
            await proxy.until_synced(10)
            assert {name.split(".")[0] for name in proxy.sensors} == {"two", "uno", "proxy"}
            assert not proxy.has_request("one-slew")
            assert proxy.sensors["proxy.devices-synced"].value() == 2
            assert not any(name.startswith("one.") for name in proxy.extra_versions)
            assert "proxy.one.connected" not in proxy.sensors
            proxy.remove_device("two")
            await until(lambda: not two._server.connections)
            await until(lambda: not [name for name in proxy.sensors if name.startswith("two")])


async def test_a_proxy_of_a_proxy_prefixes_again() -> None:
    async with (
        serving(Dish("127.0.0.1", 0)) as dish,
        proxying(of(dish)) as inner,
        proxying(of(inner, "south")) as outer,
        talking(outer) as client,
    ):
        await until(lambda: "south.dish.azimuth" in outer.sensors)
        await until(lambda: outer.has_request("south-dish-slew"))
        await outer.until_synced(10)
        await client.ask(b"?sensor-sampling south.dish.azimuth event")
        dish.sensors["azimuth"].set_value(1.25, Sensor.ERROR, 1234.5)
        line = await client.line()
        while not line.startswith(b"#sensor-status"):
            line = await client.line()
        assert line == b"#sensor-status 1234.500000 1 south.dish.azimuth error 1.25"
        assert (await client.ask(b"?south-dish-slew[1] 2"))[-1] == b"!south-dish-slew[1] ok 2.0"
        hints = await client.ask(b"?request-timeout-hint south-dish-wait")
        assert next(line for line in hints if line.startswith(b"#req")).endswith(b" 32.0")
        assert outer.sensors["south.proxy.dish.connected"].value() is True
        assert outer.sensors["proxy.south.connected"].value() is True
        await until(lambda: inner.sensors["proxy.dish.version"].value())
        versions = await client.ask(b"?version-list")
        assert any(line.startswith(b"#version-list south.katcp-device") for line in versions)


async def test_a_client_that_inspects_follows_devices() -> None:
    async with serving(Dish("127.0.0.1", 0)) as dish, proxying(of(dish)) as proxy:
        client = InspectingClientAsync("127.0.0.1", proxy.bind_address[1], timeout=10)
        async with client:
            await client.set_sampling("dish.azimuth", "event")
            sensor = client.sensor_object("dish.azimuth")
            dish.sensors["azimuth"].set_value(4.0)
            await until(lambda: sensor.value() == 4.0)
            assert client.request_description("dish-wait")[2] == 31.0
            dish.sensors.add(Sensor.integer("late"))
            await until(lambda: "dish.late" in client.sensors)


async def test_nothing_holds_a_proxy_that_has_stopped(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(Dish("127.0.0.1", 0)) as dish:
        async with proxying(of(dish)) as proxy:
            link = proxy.devices["dish"]
        assert link.state == "disconnected"
        gone = weakref.ref(proxy), weakref.ref(link)
        del proxy, link
        await asyncio.sleep(0)
        gc.collect()
        assert [reference() for reference in gone] == [None, None]
    assert not [r for r in caplog.records if r.levelno >= logging.ERROR]


async def test_a_proxy_may_be_started_again() -> None:
    async with serving(Dish("127.0.0.1", 0)) as dish:
        proxy = Proxy("127.0.0.1", 0, [of(dish)])
        for _ in range(2):
            async with serving(proxy):
                await proxy.until_synced(10)
                assert (await ask(proxy, b"?dish-slew 1"))[-1] == b"!dish-slew ok 1.0"
                assert proxy.sensors["proxy.dish.connected"].value() is True
            assert proxy.sensors["proxy.dish.connected"].value() is False


def test_text_of_the_page(tmp_path: Path) -> None:
    """The name of each own sensor stands under `proxy`, which no device can be called."""
    proxy = Proxy("127.0.0.1", 0, ["dome=h:1"])
    assert {name.split(".")[0] for name in proxy.sensors} == {"proxy"}
    assert all(
        name.startswith("proxy-") or name in proxy._own_requests for name in proxy._request_handlers
    )
