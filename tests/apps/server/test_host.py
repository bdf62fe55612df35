"""The host device, over loopback."""

import asyncio
import os
from collections.abc import Callable

import psutil
import pytest

from katcp.apps.server._host import HostDevice
from katcp.apps.server._items import Item
from katcp.sensors import Sensor
from tests.helpers.serving import serving, talking, until


def host(**options: float) -> HostDevice:
    return HostDevice("127.0.0.1", 0, tb_limit=0, **{"update_interval": 0.1, **options})


class Flaky:
    """A probe that does what it is told."""

    group = "flaky"

    def __init__(self) -> None:
        self.act: Callable[[], list[Item]] = lambda: [Item("it", Sensor.integer, 1, "It")]

    def read(self, now: float) -> list[Item]:
        return self.act()


async def test_sensors_are_there_from_the_first_moment() -> None:
    async with serving(host()) as device, talking(device) as client:
        lines = await client.ask(b"?sensor-list[1] /^(load|memory|cpu|device)/")
        names = [line.split()[1] for line in lines[:-1]]
        assert b"device-status" in names
        assert b"load.1min" in names
        assert b"memory.total" in names
        (line, _) = await client.ask(b"?sensor-value[2] memory.total")
        assert line.endswith(b" memory.total nominal %d" % psutil.virtual_memory().total)


async def test_readings_go_on_while_it_serves_and_end_with_it() -> None:
    device = host()
    updated = device.get_sensor("last-update")
    before = updated.value()
    async with serving(device):
        await until(lambda: updated.value() > before)
        await until(lambda: device.get_sensor("cpu.percent").status() != Sensor.UNKNOWN)
    after = updated.value()
    await asyncio.sleep(0.25)
    assert updated.value() == after


async def test_serves_again_after_it_was_stopped() -> None:
    device = host()
    updated = device.get_sensor("last-update")
    async with serving(device):
        pass
    before = updated.value()
    async with serving(device):
        await until(lambda: updated.value() > before)


async def test_interval_can_be_set() -> None:
    async with serving(host(update_interval=3600)) as device, talking(device) as client:
        assert await client.ask(b"?set-update-interval[1] 0.2") == [
            b"!set-update-interval[1] ok 0.2"
        ]
        assert device.get_sensor("update-interval").value() == 0.2
        before = device.get_sensor("last-update").value()
        await until(lambda: device.get_sensor("last-update").value() > before)
        for bad in (b"0.01", b"3601", b"nan", b"fast"):
            (reply,) = await client.ask(b"?set-update-interval[2] " + bad)
            assert reply.startswith(b"!set-update-interval[2] fail")
        assert device.get_sensor("update-interval").value() == 0.2


def test_interval_of_the_constructor_is_checked() -> None:
    with pytest.raises(ValueError, match="update interval"):
        host(update_interval=0.001)


async def test_process_list_has_the_biggest_first() -> None:
    async with serving(host()) as device, talking(device) as client:
        *informs, reply = await client.ask(b"?process-list[1] 10000")
        assert reply == b"!process-list[1] ok %d" % len(informs)
        memory = [int(line.split()[3]) for line in informs]
        assert memory == sorted(memory, reverse=True)
        assert os.getpid() in [int(line.split()[1]) for line in informs]
        *informs, reply = await client.ask(b"?process-list[2]")
        assert len(informs) == min(10, len(memory))
        (reply,) = await client.ask(b"?process-list[3] 0")
        assert reply.startswith(b"!process-list[3] fail")


async def test_disk_usage() -> None:
    async with serving(host()) as device, talking(device) as client:
        (reply,) = await client.ask(b"?disk-usage[1] /")
        status, total, used, free, percent = reply.split()[1:]
        assert status == b"ok"
        assert int(total) == psutil.disk_usage("/").total
        assert 0 < int(used) + int(free) <= int(total)
        assert 0 <= float(percent) <= 100
        assert await client.ask(b"?disk-usage[2] /no/such") == [
            b"!disk-usage[2] fail Cannot\\_look\\_at\\_'/no/such':\\_No\\_such\\_file\\_or"
            b"\\_directory."
        ]
        (reply,) = await client.ask(b"?disk-usage[3] a\\0b")
        assert reply.startswith(b"!disk-usage[3] fail Cannot\\_look")


async def test_sensors_that_come_and_go_are_announced() -> None:
    device, flaky = host(), Flaky()
    device._probes.append(flaky)
    async with serving(device), talking(device) as client:
        await until(lambda: device.has_sensor("it"))
        assert await client.line() == b"#interface-changed sensor it added"
        flaky.act = list
        assert await client.line() == b"#interface-changed sensor it removed"


async def test_probe_that_raises_harms_only_its_own_sensors(
    caplog: pytest.LogCaptureFixture,
) -> None:
    device, flaky = host(), Flaky()
    device._probes.append(flaky)
    async with serving(device):
        await until(lambda: device.has_sensor("it"))
        assert device.get_sensor("device-status").value() in ("ok", "degraded", "fail")
        working, flaky.act = flaky.act, lambda: [][1]
        await until(lambda: device.get_sensor("it").status() == Sensor.FAILURE)
        assert "it" in device.get_sensor("problems").value().split(", ")
        assert device.get_sensor("device-status").value() != "ok"
        before = device.get_sensor("last-update").value()
        await until(lambda: device.get_sensor("last-update").value() > before + 0.25)
        flaky.act = working
        await until(lambda: device.get_sensor("it").status() == Sensor.NOMINAL)
    said = [r for r in caplog.records if "Cannot read the flaky" in r.getMessage()]
    assert len(said) == 1  # not at every reading


async def test_client_is_told_in_one_line_of_a_bug() -> None:
    async with serving(host()) as device, talking(device) as client:
        (reply,) = await client.ask(b"?process-list[1] x")
        assert b"Traceback" not in reply
        assert reply.startswith(b"!process-list[1] fail Error\\_in\\_parameter\\_1\\_(count)")
