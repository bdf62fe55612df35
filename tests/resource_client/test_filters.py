"""Lists of sensors."""

from __future__ import annotations

import re
from typing import Any

import pytest

from katcp.resource import KATCPSensorError, SensorResultTuple
from katcp.resource_client import list_sensors
from katcp.sensors import Sensor
from tests.helpers.resources import resource_of
from tests.helpers.serving import serving
from tests.resource.managing import Manager
from tests.resource_client.pump import Pump

PLAIN = {
    "filter": "",
    "strategy": False,
    "status": "",
    "use_python_identifiers": True,
    "tuple": False,
    "refresh": False,
}


@pytest.fixture
def manager() -> Manager:
    manager = Manager()
    manager.strategies["b.x"] = ("event",)
    for name in ("b.x", "a.y", "c-z", "a.b"):
        manager.sensor(name)
    manager.polled["b.x"].set(1, Sensor.NOMINAL, 5)
    manager.polled["a.y"].set(1, Sensor.WARN, 6)
    return manager


def items(manager: Manager) -> Any:
    return [(sensor.normalised_name, sensor) for sensor in manager.polled.values()]


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ({}, ["a.b", "a.y", "b.x", "c-z"]),
        ({"filter": "a_"}, ["a.b", "a.y"]),
        ({"filter": "^a.*y$"}, ["a.y"]),
        ({"filter": r"a\."}, []),
        ({"filter": r"a\.", "use_python_identifiers": False}, ["a.b", "a.y"]),
        ({"filter": re.compile("x|z")}, ["b.x", "c-z"]),
        ({"strategy": True}, ["b.x"]),
        ({"status": "nominal"}, ["b.x"]),
        ({"status": "unknown", "filter": "a"}, ["a.b"]),
    ],
)
async def test_what_is_listed(manager: Manager, wanted: Any, names: list[str]) -> None:
    found = await list_sensors(None, items(manager), **{**PLAIN, **wanted})
    assert [result.name for result in found] == names


@pytest.mark.parametrize(
    ("status", "names"),
    [
        ("nominal|warn", ["a.y", "b.x"]),
        ("xnominalx", ["b.x"]),
        ("unknown warn", ["a.b", "a.y", "c-z"]),
        ("nom", ["b.x"]),
        ("^(?!unknown)", ["a.y", "b.x"]),
        (["nominal", "warn"], ["a.y", "b.x"]),
        ("warn[", ["a.y"]),
    ],
)
async def test_w79_statuses_by_containment_and_by_regular_expression(
    manager: Manager, status: Any, names: list[str]
) -> None:
    found = await list_sensors(None, items(manager), **{**PLAIN, "status": status})
    assert [result.name for result in found] == names


async def test_a_bad_filter(manager: Manager) -> None:
    with pytest.raises(re.error):
        await list_sensors(None, items(manager), **{**PLAIN, "filter": "["})


async def test_what_is_told_of_each(manager: Manager) -> None:
    sensor = manager.polled["b.x"]
    found = await list_sensors(None, {"b_x": sensor}, **PLAIN)
    assert found == [SensorResultTuple(sensor, "b.x", "b_x", "D.", "integer", "u", sensor.reading)]
    found = await list_sensors(None, {"b_x": sensor}, **{**PLAIN, "tuple": True})
    assert found == [("b.x", 5, 1, "integer", "u", 123.5, "nominal", ("event",))]


async def test_those_of_a_container_have_their_parent_in_front(manager: Manager) -> None:
    class Container:
        groups = ()

    sensor = manager.polled["b.x"]
    for parent, name in ((Container(), "dev.b.x"), (Container, "b.x")):
        found = await list_sensors(parent, {"dev_b_x": sensor}, **PLAIN)
        assert [(result.name, result.python_identifier) for result in found] == [(name, "dev_b_x")]
        found = await list_sensors(parent, {"dev_b_x": sensor}, **{**PLAIN, "tuple": True})
        assert found[0][0] == name


async def test_a_refresh_comes_before_the_statuses_are_looked_at(manager: Manager) -> None:
    wanted = {"refresh": True, "filter": "a_", "status": "warn"}
    found = await list_sensors(None, items(manager), **{**PLAIN, **wanted})
    assert [(result.name, result.reading.value) for result in found] == [("a.b", 17), ("a.y", 17)]
    assert manager.calls == [("poll", "a.b"), ("poll", "a.y")]


async def test_a_refresh_that_fails(manager: Manager) -> None:
    async def refuse(name: str) -> None:
        raise KATCPSensorError("no")

    manager.poll_sensor = refuse  # type: ignore[method-assign,assignment]
    with pytest.raises(KATCPSensorError):
        await list_sensors(None, items(manager), **{**PLAIN, "refresh": True})


async def test_those_of_a_resource() -> None:
    async with serving(Pump()) as pump, resource_of(pump) as resource:
        found = await resource.list_sensors()
        assert [result.python_identifier for result in found] == [
            "last_start",
            "pump_flow_rate",
            "pump_speed",
        ]
        assert [result.object for result in found][2] is resource.sensor.pump_speed
        await resource.sensor.pump_speed.set_strategy("event")
        pump.get_sensor("pump.flow-rate").set_value(0.5, Sensor.ERROR, 7.5)
        (flow,) = await resource.list_sensors("pump", status="error", tuple=True, refresh=True)
        assert flow[:5] == ("pump.flow-rate", 0.5, 7.5, "float", "l/s")
        assert flow[6:] == ("error", ("none",))
        (sampled,) = await resource.list_sensors(strategy=True)
        assert sampled.name == "pump.speed"
