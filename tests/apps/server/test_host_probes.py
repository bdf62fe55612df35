"""Probes, on the computer that the tests run on."""

import re

import psutil
import pytest

from katcp.apps.server import _host_probes as probes
from katcp.apps.server._host_probes import Namer, Probe, share
from katcp.apps.server._items import Item
from katcp.sensors import Sensor


def by_name(items: list[Item]) -> dict[str, Item]:
    found = {item.name: item for item in items}
    assert len(found) == len(items), "two items have the same name"
    return found


@pytest.mark.parametrize(
    "probe",
    [
        probes.SystemProbe(),
        probes.ProcessorProbe(),
        probes.MemoryProbe(),
        probes.DiskProbe(),
        probes.NetworkProbe(),
    ],
    ids=lambda probe: str(probe.group),
)
def test_every_item_makes_a_good_sensor(probe: Probe) -> None:
    for moment in (100.0, 101.0):
        items = by_name(probe.read(moment))
        assert items
        for name, item in items.items():
            assert re.fullmatch(r"[a-z0-9._-]+", name), name
            assert item.description.isascii() or "/" in item.description
            sensor = item.sensor()
            if item.value is not None:
                sensor.set_value(item.value, item.judged())
            assert sensor.status() == item.judged() or item.value is None


def test_system() -> None:
    items = by_name(probes.SystemProbe().read(0.0))
    assert items["boot-time"].value == psutil.boot_time()
    assert items["uptime"].value > 0
    assert 0 < items["processes"].value < 10_000_000


def test_load_has_limits_by_the_number_of_processors() -> None:
    items = by_name(probes.ProcessorProbe().read(0.0))
    count = psutil.cpu_count()
    assert items["cpu.count"].value == count
    assert items["load.1min"].limits == (0.0, 1.0 * count, 0.0, 4.0 * count)


def test_use_of_processors_needs_two_looks() -> None:
    probe = probes.ProcessorProbe()
    first = by_name(probe.read(0.0))
    assert first["cpu.percent"].value is None
    assert first["cpu.percent"].judged() == Sensor.UNKNOWN
    sum(range(2_000_000))  # so that the counters, which tick, have moved
    second = by_name(probe.read(1.0))
    assert 0 <= second["cpu.percent"].value <= 100
    cores = [item for name, item in second.items() if re.fullmatch(r"cpu\.\d+\.percent", name)]
    assert len(cores) == psutil.cpu_count()


@pytest.mark.parametrize(
    ("now", "then", "expected"),
    [
        ((15.0, 110.0), (10.0, 100.0), 50.0),
        ((10.0, 110.0), (10.0, 100.0), 0.0),
        ((21.0, 110.0), (10.0, 100.0), 100.0),  # counters are not quite in step
        ((9.0, 110.0), (10.0, 100.0), 0.0),
        ((10.0, 100.0), (10.0, 100.0), None),
        ((10.0, 90.0), (10.0, 100.0), None),
    ],
)
def test_share(now: tuple[float, float], then: tuple[float, float], expected: float | None) -> None:
    assert share(now, then) == expected


def test_memory_adds_up() -> None:
    items = by_name(probes.MemoryProbe().read(0.0))
    assert 0 < items["memory.available"].value <= items["memory.total"].value
    assert 0 < items["memory.percent"].value <= 100
    if psutil.swap_memory().total == 0:
        assert items["swap.percent"].judged() == Sensor.INACTIVE
    else:
        assert items["swap.percent"].judged() != Sensor.INACTIVE


def test_root_is_among_the_disks() -> None:
    items = by_name(probes.DiskProbe().read(0.0))
    assert items["disk.root.total"].value == psutil.disk_usage("/").total
    assert items["disk.root.percent"].limits == (0.0, probes.DISK_WARN, 0.0, probes.DISK_ERROR)


def test_rates_of_interfaces_need_two_looks() -> None:
    probe = probes.NetworkProbe()
    first = by_name(probe.read(100.0))
    rates = [name for name in first if name.endswith("-rate")]
    assert rates
    assert all(first[name].value is None for name in rates)
    second = by_name(probe.read(102.0))
    for name in rates:
        count = name.removesuffix("-rate")
        expected = max(0, second[count].value - first[count].value) / 2
        assert second[name].value == pytest.approx(expected, abs=0.06)


def test_loopback_has_its_address() -> None:
    items = by_name(probes.NetworkProbe().read(0.0))
    addresses = [item.value for name, item in items.items() if name.endswith(".address")]
    assert ("127.0.0.1", None) in addresses


def test_names_differ() -> None:
    namer = Namer()
    assert namer.name("disk", "/home") == "disk.home"
    assert namer.name("disk", "/Home") == "disk.home-2"
    assert namer.name("disk", "/") == "disk.unnamed"
    assert namer.name("net", "eth0.100") == "net.eth0-100"
