"""Fake resources and containers: what their sensors read, and what more can be managed."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import weakref
from collections.abc import AsyncIterator
from typing import Any

import pytest

from katcp.fake_clients import (
    FakeKATCPClientResourceContainerManager,
    FakeKATCPClientResourceManager,
    fake_KATCP_client_resource_container_factory,
    fake_KATCP_client_resource_factory,
)
from katcp.protocol import Message
from katcp.resource_client import (
    KATCPClientResource,
    KATCPClientResourceContainer,
    ReplyWrappedInspectingClientAsync,
)
from katcp.sensors import Sensor

SPEC = {"name": "pump", "address": ("fake", 1), "controlled": True}


@contextlib.asynccontextmanager
async def faked() -> AsyncIterator[tuple[Any, FakeKATCPClientResourceManager]]:
    resource, manager = fake_KATCP_client_resource_factory(KATCPClientResource, {}, SPEC)
    resource.start()
    try:
        manager.add_sensors(
            {"speed.actual": ("", "m/s", "float"), "mode": ("", "", "discrete", "idle", "busy")},
            values={"speed.actual": 2.5},
        )
        await resource.until_synced(timeout=5)
        yield resource, manager
    finally:
        resource.stop()
        await resource.until_stopped(timeout=5)


async def ping(resource: Any) -> None:
    """Wait until what the device has sent is there."""
    await resource.req.sensor_list("/^$/")


async def test_w92_a_resource_can_read_its_sensors() -> None:
    async with faked() as (resource, manager):
        reading = await resource.sensor.speed_actual.get_reading()
        assert (reading.value, reading.status) == (2.5, "nominal")
        manager.set_sensor_value("mode", "busy", Sensor.WARN, 1234.5)
        assert await resource.sensor.mode.get_value() == "busy"
        assert resource.sensor.mode.reading.timestamp == 1234.5
        assert resource.sensor.mode.status == "warn"


async def test_w92_strategies_of_a_resource_bring_what_is_set() -> None:
    async with faked() as (resource, manager):
        heard: list[float] = []
        resource.sensor.speed_actual.register_listener(
            lambda sensor, reading: heard.append(reading.value), reading=True
        )
        assert (await resource.sensor.speed_actual.set_strategy("event"))[0]
        for value in (3.5, 3.5, 4.5):
            manager.set_sensor_value("speed.actual", value)
        manager.sensors["speed.actual"].set_value(5.5)
        await ping(resource)
        assert heard == [2.5, 3.5, 4.5, 5.5]
        reached = resource.wait("speed_actual", 6.5, timeout=5)
        manager.set_sensor_value("speed.actual", 6.5)
        assert await reached
        ok, text = await resource.sensor.speed_actual.set_strategy("nonsense")
        assert not ok
        assert "nonsense" in text


async def test_a_resource_loses_what_its_device_loses() -> None:
    def act(req: Any, msg: Message) -> Any:
        """Act."""
        return req.make_reply("ok")

    async with faked() as (resource, manager):
        manager.add_request_handlers_dict({"act": act})
        await resource.until_not_synced(timeout=5)
        await resource.until_synced(timeout=5)
        assert await resource.req.act()
        manager.remove_sensors("mode")
        manager.remove_requests("act")
        await resource.until_not_synced(timeout=5)
        await resource.until_synced(timeout=5)
        assert list(resource.sensor) == ["speed_actual"]
        assert sorted(resource.req) == ["help", "sensor_list"]


async def test_the_device_is_the_same_after_a_restart() -> None:
    async with faked() as (resource, manager):
        manager.set_sensor_value("speed.actual", 9.5)
        resource.stop()
        await resource.until_stopped(timeout=5)
        resource.start()
        await resource.until_synced(timeout=5)
        assert sorted(resource.sensor) == ["mode", "speed_actual"]
        assert await resource.sensor.speed_actual.get_value() == 9.5
        assert sorted(resource.req) == ["help", "sensor_list"]
        manager.add_sensors({"more": ("", "", "boolean")})
        await resource.until_not_synced(timeout=5)
        await resource.until_synced(timeout=5)
        assert "more" in resource.sensor


async def test_the_resource_and_its_client_are_of_the_classes_that_were_asked_for() -> None:
    class Client(ReplyWrappedInspectingClientAsync):
        pass

    class Resource(KATCPClientResource):
        def inspecting_client_factory(self, host: str, port: int, ioloop_set_to: Any) -> Any:
            return Client(host, port, ioloop=ioloop_set_to)

    resource, manager = fake_KATCP_client_resource_factory(
        Resource, {}, SPEC, logger=logging.getLogger("test.pump")
    )
    assert isinstance(resource, Resource)
    resource.start()
    await resource.until_synced(timeout=5)
    assert isinstance(resource._inspecting_client, Client)
    assert manager.fake_sensor_infos == {}
    resource.stop()
    await resource.until_stopped(timeout=5)


async def test_nothing_holds_a_resource_that_has_stopped() -> None:
    resource, manager = fake_KATCP_client_resource_factory(KATCPClientResource, {}, SPEC)
    resource.start()
    manager.add_sensors({"a": ("", "", "integer")}, values={"a": 1})
    await resource.until_synced(timeout=5)
    await resource.set_sampling_strategy("a", "period 0.01")
    resource.stop()
    await resource.until_stopped(timeout=5)
    assert len(asyncio.all_tasks()) == 1  # that of this test
    parts = [weakref.ref(resource), weakref.ref(manager)]
    del resource, manager
    await asyncio.sleep(0)
    gc.collect()
    assert [part() for part in parts] == [None, None]


PLANT = {
    "name": "plant",
    "clients": {
        "pump-1": {"address": ("one", 1), "controlled": True},
        "pump2": {"address": ("two", 2), "controlled": True},
    },
    "groups": {"pumps": ["pump-1", "pump2"]},
}


@contextlib.asynccontextmanager
async def faked_container() -> AsyncIterator[tuple[Any, FakeKATCPClientResourceContainerManager]]:
    container, manager = fake_KATCP_client_resource_container_factory(
        KATCPClientResourceContainer, {}, PLANT
    )
    container.start()
    try:
        await container.until_synced(timeout=5)
        yield container, manager
    finally:
        container.stop()
        for stopped in container.until_stopped(timeout=5).values():
            await stopped


async def test_children_of_a_container_are_managed_one_by_one() -> None:
    def act(req: Any, msg: Message) -> Any:
        """Act."""
        return req.make_reply("ok", "acted")

    async with faked_container() as (container, manager):
        children = container.children
        manager.add_sensors("pump_1", {"a.b": ("", "", "integer")}, values={"a.b": 5})
        manager.add_sensors("pump-1", {"c": ("", "", "integer")})
        manager.add_request_handlers_dict("pump_1", {"act": act})
        manager.add_request_handlers_dict("pump2", {"act": act})
        for child in children.values():
            await child.until_not_synced(timeout=5)
        await container.until_synced(timeout=5)
        assert sorted(container.sensor) == ["pump_1_a_b", "pump_1_c"]
        assert await container.sensor.pump_1_a_b.get_value() == 5
        manager.set_sensor_value("pump_1", "a.b", 7, Sensor.WARN)
        assert await children.pump_1.sensor.a_b.get_value() == 7
        assert manager.child_managers.pump_1.sensors["a.b"].value() == 7
        assert (await container.req.pump2_act()).reply.arguments == [b"ok", b"acted"]
        assert await container.groups["pumps"].req.act()
        manager.remove_sensors("pump_1", "c")
        manager.remove_requests("pump2", "act")
        for child in children.values():
            await child.until_not_synced(timeout=5)
        await container.until_synced(timeout=5)
        assert sorted(container.sensor) == ["pump_1_a_b"]
        assert "pump2_act" not in container.req
        with pytest.raises(KeyError):
            manager.add_sensors("pump3", {})


async def test_children_that_are_added_later_are_fake_too() -> None:
    async with faked_container() as (container, manager):
        child = container.add_child_resource_client("late", {"address": ("three", 3)})
        assert sorted(manager.child_managers) == ["late", "pump2", "pump_1"]
        manager.add_sensors("late", {"a": ("", "", "integer")})
        await child.until_synced(timeout=5)
        await container.until_synced(timeout=5)
        assert list(container.sensor) == ["late_a"]


async def test_nothing_of_a_container_runs_when_it_has_stopped() -> None:
    async with faked_container() as (container, _):
        assert container.is_connected()
    assert len(asyncio.all_tasks()) == 1  # that of this test
    assert not container.is_connected()
