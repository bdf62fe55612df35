from __future__ import annotations

from typing import Any
from unittest import mock

import pytest
from tornado import gen

from katcp.aio import AttrDict, done
from katcp.resource import KATCPResource, KATCPSensorError, SensorResultTuple
from katcp.resource import KATCPUnknownSensorError as Unknown
from tests.resource.managing import Manager


class Plain(KATCPResource):
    """A resource of a user's own: plain attributes instead of properties."""

    name = "plain"
    description = address = parent = req = None
    sensor: Any = None
    children: Any = None

    def __init__(self, *sensors: Any) -> None:
        super().__init__()
        self.sensor = AttrDict({sensor.normalised_name: sensor for sensor in sensors})
        self.children = AttrDict()

    def is_connected(self) -> bool:  # type: ignore[override]
        return True

    def list_sensors(self, filter: str = "", *args: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        return done(
            [
                SensorResultTuple(s, s.name, key, s.description, s.type, s.units, s.reading)
                for key, s in self.sensor.items()
                if filter in key
            ]
        )


def test_it_is_abstract() -> None:
    with pytest.raises(TypeError, match="list_sensors"):
        KATCPResource()  # type: ignore[abstract]


async def test_waiting() -> None:
    manager = Manager()
    sensor = manager.sensor("a.b")
    resource = Plain(sensor)
    with pytest.raises(KATCPSensorError):
        await resource.wait("a.b", 3)
    manager.strategies["a.b"] = ("event",)
    assert await resource.wait("a.b", 3, timeout=0.01) is False
    future = resource.wait("a_b", lambda reading: reading.value > 2)
    sensor.set_value(3)
    assert await future is True


async def test_w80_waiting_for_an_unknown_sensor() -> None:
    with pytest.raises(KATCPSensorError) as raised:
        await Plain().wait("nope.x", 3)
    assert isinstance(raised.value, KeyError)
    assert str(raised.value) == "Resource 'plain' has no sensor 'nope.x'"


async def test_setting_strategies() -> None:
    manager = Manager()
    resource = Plain(manager.sensor("a.b"), manager.sensor("a.c"), manager.sensor("d"))
    assert await resource.set_sampling_strategy("a.b", "event") == {"a_b": (True, ("event",))}
    assert await resource.set_sampling_strategies("a_", "period 2") == {
        "a_b": (True, ("period", "2")),
        "a_c": (True, ("period", "2")),
    }
    assert await resource.set_sampling_strategies("z", "period 2") == {}


async def test_a_strategy_that_cannot_be_set() -> None:
    manager = Manager()
    manager.set_sampling_strategy = mock.Mock(side_effect=RuntimeError("no"))  # type: ignore[method-assign]
    resource = Plain(manager.sensor("a"))
    assert await resource.set_sampling_strategy("a", "event") == {"a": (False, "no")}
    assert await resource.set_sampling_strategies("a", "event") == {"a": (False, "no")}


async def test_w77_the_strategy_of_an_unknown_sensor() -> None:
    with pytest.raises(Unknown, match="nope"):
        await Plain().set_sampling_strategy("nope", "event")


def test_being_active_is_handed_down() -> None:
    resource, child = Plain(), Plain()
    resource.children["values"] = child
    assert resource.is_active()
    resource.set_active(False)
    assert not resource.is_active()
    assert not child.is_active()
    resource.set_active(True)
    assert child.is_active()


async def test_its_coroutines_can_be_yielded() -> None:
    @gen.coroutine
    def ask() -> Any:
        result = yield Plain(Manager().sensor("a.b")).set_sampling_strategy("a_b", "event")
        raise gen.Return(result)

    assert await ask() == {"a_b": (True, ("event",))}
