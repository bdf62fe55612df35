"""Temperatures, fans and batteries, which the computer of the tests may not have."""

from collections import namedtuple
from types import SimpleNamespace

import pytest

from katcp.apps.server._host_hardware import HardwareProbe
from katcp.apps.server._items import Item
from katcp.sensors import Sensor

Temperature = namedtuple("Temperature", "label current high critical")
Fan = namedtuple("Fan", "label current")
Battery = namedtuple("Battery", "percent secsleft power_plugged")


def read(**functions: object) -> dict[str, Item]:
    source = SimpleNamespace(**{name: lambda v=value: v for name, value in functions.items()})
    return {item.name: item for item in HardwareProbe(source).read(0.0)}


def test_real_hardware_or_none() -> None:
    for item in HardwareProbe().read(0.0):
        assert item.name.split(".")[0] in ("temperature", "fan", "battery")


def test_computer_without_any() -> None:
    assert read() == {}
    assert read(sensors_temperatures={}, sensors_fans={}, sensors_battery=None) == {}


def test_system_that_refuses() -> None:
    def refuse() -> None:
        raise OSError("not for you")

    source = SimpleNamespace(sensors_temperatures=refuse, sensors_fans=refuse)
    assert HardwareProbe(source).read(0.0) == []


def test_temperatures_by_their_own_limits_or_ours() -> None:
    items = read(
        sensors_temperatures={
            "k10temp": [Temperature("Tctl", 91.0, 85.0, 105.0), Temperature("", 91.0, None, None)],
        }
    )
    own, ours = items["temperature.k10temp.tctl"], items["temperature.k10temp.1"]
    assert own.limits == (-50.0, 85.0, -50.0, 105.0)
    assert own.judged() == Sensor.WARN
    assert ours.limits == (-50.0, 80.0, -50.0, 95.0)
    assert (own.value, own.units) == (91.0, "degC")


def test_fans_of_the_same_label() -> None:
    items = read(sensors_fans={"nct": [Fan("cpu", 900), Fan("CPU", 0)]})
    assert items["fan.nct.cpu"].value == 900
    assert items["fan.nct.cpu-2"].value == 0


@pytest.mark.parametrize(
    ("percent", "plugged", "status"),
    [
        (50, False, Sensor.NOMINAL),
        (19, False, Sensor.WARN),
        (4, False, Sensor.ERROR),
        (4, True, Sensor.NOMINAL),
    ],
)
def test_low_battery_matters_while_it_is_not_charged(
    percent: float, plugged: bool, status: int
) -> None:
    items = read(sensors_battery=Battery(percent, 600, plugged))
    assert items["battery.percent"].judged() == status
    assert items["battery.plugged"].value is plugged
    left = items["battery.time-left"]
    assert left.judged() == (Sensor.INACTIVE if plugged else Sensor.NOMINAL)
