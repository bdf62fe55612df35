"""Several devices as one resource."""

from __future__ import annotations

import gc
import logging
import weakref
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
import tornado.gen
from tornado.ioloop import IOLoop

from katcp.errors import KatcpClientError
from katcp.resource import KATCPResource, KATCPResourceInactive, SensorResultTuple
from katcp.resource_client import ClientGroup, KATCPClientResource, KATCPClientResourceContainer
from katcp.sensors import Sensor
from tests.helpers.resources import PATIENCE, running
from tests.helpers.serving import serving
from tests.resource_client.pump import Pump


class Aggregating(Pump):
    def setup_sensors(self) -> None:
        super().setup_sensors()
        self.add_sensor(Sensor.boolean("agg-all.well", "Whether all is well."))


def container_of(
    pumps: dict[str, Any], groups: dict[str, list[str]] | None = None
) -> KATCPClientResourceContainer:
    clients = {
        name: {"address": pump.bind_address[:2], "controlled": True, "auto_reconnect_delay": 0.005}
        for name, pump in pumps.items()
    }
    spec = {"name": "plant", "description": "Pumps.", "clients": clients}
    return KATCPClientResourceContainer({**spec, "groups": groups} if groups else spec)


@asynccontextmanager
async def plant(
    *names: str, groups: dict[str, list[str]] | None = None, synced: bool = True, kind: Any = Pump
) -> AsyncIterator[tuple[KATCPClientResourceContainer, dict[str, Any]]]:
    """Serve a pump of each name; give a container of them, and the pumps."""
    async with AsyncExitStack() as stack:
        pumps = {name: await stack.enter_async_context(serving(kind())) for name in names}
        container = container_of(pumps, groups)
        await stack.enter_async_context(_ended(container, synced))
        yield container, pumps


@asynccontextmanager
async def _ended(container: Any, synced: bool) -> AsyncIterator[None]:
    if synced:
        container.start()
        await container.until_synced(timeout=PATIENCE)
    try:
        yield
    finally:
        container.stop()
        await container.until_stopped(timeout=PATIENCE)


# -- what it is ---------------------------------------------------------------------------


def test_it_can_be_made_anywhere() -> None:
    pump = {"address": ("127.0.0.1", 1), "controlled": True}
    container = KATCPClientResourceContainer(
        {"name": "plant", "clients": {"a.b-c": pump}, "groups": {"all-pumps": ["a.b-c"]}}
    )
    assert isinstance(container, KATCPResource)
    assert (container.name, container.description) == ("plant", "")
    assert (container.address, container.parent) == (None, None)
    assert "(name=plant)" in repr(container)
    assert list(container.children) == ["a_b_c"]
    child = container.children.a_b_c
    assert isinstance(child, KATCPClientResource)
    assert (child.name, child.parent, child.parent_name) == ("a.b-c", container, "plant")
    assert isinstance(container.groups.all_pumps, ClientGroup)
    assert (container.req, container.sensor, container.sensors) == ({}, {}, {})
    assert not container.is_connected()
    assert container.is_active()
    assert not hasattr(container, "state")
    assert not hasattr(container, "synced")
    container.stop()  # does nothing


def test_what_is_missing_is_told() -> None:
    for spec, missing in [
        ({"name": "plant"}, "clients"),
        ({"clients": {}}, "name"),
        ({"name": "plant", "clients": {}, "groups": {"g": ["nobody"]}}, "nobody"),
    ]:
        with pytest.raises(KeyError, match=missing):
            KATCPClientResourceContainer(spec)


async def test_sensors_and_requests_have_the_child_in_front() -> None:
    async with plant("a", "b", kind=Aggregating) as (container, _):
        assert container.is_connected()
        assert set(container.sensor) == {
            "a_pump_speed", "a_pump_flow_rate", "a_last_start",
            "b_pump_speed", "b_pump_flow_rate", "b_last_start",
            "agg_all_well",
        }  # fmt: skip
        assert container.sensors is container.sensor
        assert container.sensor.a_pump_speed is container.children.a.sensor.pump_speed
        assert container.sensor.b_pump_speed.parent_name == "b"
        assert {"a_add", "b_add"} <= set(container.req)
        assert (await container.req.b_add(1, 2)).reply.arguments[1] == b"3.0"


async def test_activity_is_that_of_the_children() -> None:
    async with plant("a") as (container, _):
        container.set_active(False)
        with pytest.raises(KATCPResourceInactive):
            await container.req.a_add(1, 2)


async def test_listing_sensors() -> None:
    async with plant("a", "b") as (container, pumps):
        pumps["a"].get_sensor("pump.speed").set_value(7)
        listed = await container.list_sensors("speed", refresh=True)
        assert [(s.name, s.python_identifier) for s in listed] == [
            ("a.pump.speed", "a_pump_speed"),
            ("b.pump.speed", "b_pump_speed"),
        ]
        assert isinstance(listed[0], SensorResultTuple)
        assert listed[0].reading.value == 7
        assert await container.list_sensors("speed", strategy=True) == []
        listed = await container.list_sensors("^a_pump_s", tuple=True)
        assert [values[:2] for values in listed] == [("a.pump.speed", 7)]
        listed = await container.list_sensors(r"pump\.s", use_python_identifiers=False)
        assert len(listed) == 2


async def test_waiting_is_for_children_and_groups() -> None:
    async with plant("a") as (container, _):
        with pytest.raises(NotImplementedError):
            container.wait("a_pump_speed", 7)


# -- changes ------------------------------------------------------------------------------


async def test_w72_requests_and_sensors_are_each_read_after_a_change() -> None:
    async with plant("a", synced=False) as (container, pumps):
        # None was ever read before; whichever comes first, the other is right as well.
        assert (container.req, container.sensor) == ({}, {})
        container.start()
        await container.until_synced(timeout=PATIENCE)
        assert "a_add" in container.req
        assert "a_pump_speed" in container.sensor
        before = container.sensor, container.req
        assert (container.sensor, container.req) == before
        assert container.sensor is before[0]
        pumps["a"].add_sensor(Sensor.integer("extra", "More.", "", [0, 1]))
        pumps["a"].changed()
        await container.children.a.until_not_synced(timeout=PATIENCE)
        await container.until_synced(timeout=PATIENCE)
        assert "a_add" in container.req
        assert "a_extra" in container.sensor
        assert "a_extra" not in before[0]
        pumps["a"].remove_sensor("extra")
        pumps["a"].changed()
        await container.children.a.until_not_synced(timeout=PATIENCE)
        await container.until_synced(timeout=PATIENCE)
        assert "a_extra" not in container.sensor
        assert "a_add" in container.req


async def test_a_child_tells_of_requests_that_come_and_go() -> None:
    async with plant("a", "b", groups={"g": ["a"]}) as (container, _):
        child = container.children.a
        request = child.req.add
        assert "add" in container.groups.g.req
        await child._remove_requests(["add"])
        assert "a_add" not in container.req
        assert "b_add" in container.req
        assert "add" not in container.groups.g.req
        child.req["add"] = request
        container._child_add_requests(child, ["add"])
        assert container.req.a_add is request
        assert "add" in container.groups.g.req
        sensor = child.sensor.pump_speed
        await child._remove_sensors(["pump.speed"])
        assert "a_pump_speed" not in container.sensor
        child.sensor["pump_speed"] = sensor
        container._child_add_sensors(child, ["pump_speed"])
        assert container.sensor.a_pump_speed is sensor


@pytest.mark.parametrize("group", ["all-pumps", "all.pumps", "all_pumps"])
async def test_w73_a_group_may_have_any_name(group: str, caplog: pytest.LogCaptureFixture) -> None:
    async with plant("a-1", "a.2", groups={group: ["a-1", "a.2"]}) as (container, pumps):
        assert list(container.groups) == ["all_pumps"]
        results = await container.groups.all_pumps.req.add(1, 2)
        assert results.succeeded
        assert set(results) == {"a-1", "a.2"}
        pumps["a-1"].changed()
        await container.children.a_1.until_not_synced(timeout=PATIENCE)
        await container.until_synced(timeout=PATIENCE)
        assert (await container.groups.all_pumps.req.add(1, 2)).succeeded
    assert not [r for r in caplog.records if r.levelno >= logging.ERROR]


# -- strategies and listeners -------------------------------------------------------------


@pytest.mark.parametrize("child", ["a-1", "a.1", "a_1"])
@pytest.mark.parametrize("sensor", ["a_1_pump_speed", "a-1_pump.speed", "a.1.pump.speed"])
async def test_w74_children_may_have_any_name(child: str, sensor: str, no_log_errors: None) -> None:
    async with plant(child, "a") as (container, pumps):
        speed = container.sensor.a_1_pump_speed
        heard: list[Any] = []

        def listen(sensor: Any, reading: Any) -> None:
            heard.append((sensor, reading.value))

        result = await container.set_sensor_listener(sensor, listen)
        assert result == {child: {"pump_speed": listen}}
        result = await container.set_sampling_strategy(sensor, "event")
        assert result == {child: {"pump_speed": "event"}}
        assert speed.sampling_strategy == ("event",)
        pumps[child].get_sensor("pump.speed").set_value(7)
        await container.children.a_1.wait("pump.speed", 7)
        assert heard[-1] == (speed, 7)
        result = await container.set_sampling_strategies("^a_1_pump", "period 10")
        assert result == {child: {"pump_speed": "period 10", "pump_flow_rate": "period 10"}}
        assert (await container.children.a_1.req.add(1, 2)).succeeded


async def test_strategies_of_several_children() -> None:
    async with plant("a", "b", kind=Aggregating) as (container, _):
        assert await container.set_sampling_strategies("speed", ("event",)) == {
            "a": {"pump_speed": ("event",)},
            "b": {"pump_speed": ("event",)},
        }
        assert await container.set_sampling_strategies("nope", "event") == {}
        assert await container.set_sampling_strategy("nope", "event") == {}
        assert await container.set_sampling_strategy("agg_all_well", "event") == {
            "a": {"agg_all_well": "event"}
        }
        assert await container.set_sampling_strategy("b_agg_all_well", "event") == {
            "b": {"agg_all_well": "event"}
        }
        refused = await container.set_sampling_strategy("a_pump_speed", "differential -1")
        assert "Cannot set" in refused["a"]["pump_speed"]


async def test_one_strategy_for_everything() -> None:
    async with plant("a-1", "b") as (container, _):
        names = ("pump_speed", "pump_flow_rate", "last_start")
        assert await container.set_sampling_strategies("", "period 10") == {
            "a-1": dict.fromkeys(names, "period 10"),
            "b": dict.fromkeys(names, "period 10"),
        }
        strategies = {sensor.sampling_strategy for sensor in container.sensor.values()}
        assert strategies == {("period", "10")}


async def test_strategies_and_listeners_may_come_before_the_sensors() -> None:
    async with plant("a", "a-1", synced=False) as (container, _):
        heard: list[Any] = []
        assert await container.set_sampling_strategy("a_1_pump_speed", "event") == {}
        assert (
            await container.set_sensor_listener("a_1_pump_speed", lambda *a: heard.append(a)) == {}
        )
        container.start()
        await container.until_synced(timeout=PATIENCE)
        assert container.sensor.a_1_pump_speed.sampling_strategy == ("event",)
        assert container.sensor.a_pump_speed.sampling_strategy == ("none",)
        await container.children.a_1.wait("pump_speed", 0)
        assert heard


class SensorStandIn:
    name, parent_name, description, type, units, reading = "x", "a", "", "integer", "", None


async def test_a_child_that_fails_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(KATCPClientResource):
        def set_sampling_strategy(self, sensor_name: str, strategy_and_parms: Any) -> Any:
            raise RuntimeError("no power")

        set_sampling_strategies = set_sampling_strategy

    class Container(KATCPClientResourceContainer):
        def client_resource_factory(self, res_spec: Any, parent: Any, logger: Any) -> Any:
            return Broken(res_spec, parent, logger)

    container = Container({"name": "c", "clients": {"a": {"address": ("127.0.0.1", 1)}}})
    assert await container.set_sampling_strategy("a_x", "event") == {"a": {"x": None}}
    sensor = SensorStandIn()
    container.children.a.sensor.update(x=sensor, y=sensor)
    assert await container.set_sampling_strategies("", "event") == {"a": {"x": None, "y": None}}
    assert "no power" in caplog.text


# -- children and groups ------------------------------------------------------------------


async def test_a_child_is_added() -> None:
    async with plant("a") as (container, pumps):
        assert "b_add" not in container.req
        assert set(container.sensor)
        pump = pumps["a"]
        child = container.add_child_resource_client(
            "b-1", {"name": "other", "address": pump.bind_address[:2], "controlled": True}
        )
        assert (child.name, child.parent) == ("b-1", container)
        assert container.children.b_1 is child
        await container.until_synced(timeout=PATIENCE)
        assert "b_1_add" in container.req
        assert "b_1_pump_speed" in container.sensor
        container.add_group("both", ["a", "b-1"])
        assert (await container.groups.both.req.add(1, 2)).succeeded


async def test_a_child_takes_the_place_of_another() -> None:
    async with plant("a", "b", groups={"both": ["a", "b"]}) as (container, pumps):
        former = container.children.a
        child = container.add_child_resource_client(
            "a", {"address": pumps["b"].bind_address[:2], "controlled": True}
        )
        await former.until_stopped(timeout=PATIENCE)
        await container.until_synced(timeout=PATIENCE)
        assert container.children.a is child
        assert container.groups.both.clients == (child, container.children.b)
        assert (await container.groups.both.req.add(1, 2)).succeeded


async def test_groups_are_added() -> None:
    async with plant("a", "b-1") as (container, _):
        assert container.groups == {}
        container.add_group("g-1", ["b-1", "a"])
        assert [client.name for client in container.groups.g_1] == ["b-1", "a"]
        with pytest.raises(KeyError, match="nobody"):
            container.add_group("g2", ["nobody"])
        assert list(container.groups) == ["g_1"]


# -- states -------------------------------------------------------------------------------


async def test_waiting_for_states() -> None:
    async with plant("a", "b", synced=False) as (container, _):
        assert await container.until_not_synced(timeout=PATIENCE)
        with pytest.raises(tornado.gen.TimeoutError):
            await container.until_synced(timeout=0.01)
        with pytest.raises(tornado.gen.TimeoutError):
            await container.until_any_child_in_state("synced", timeout=0.01)
        container.start()
        assert await container.until_any_child_in_state("synced", timeout=PATIENCE)
        await container.until_all_children_in_state("synced", timeout=PATIENCE)
        await container.until_synced()
        with pytest.raises(tornado.gen.TimeoutError):
            await container.until_not_synced(timeout=0.01)
        with pytest.raises(tornado.gen.TimeoutError):
            await container.until_any_child_in_state("disconnected", timeout=0)
        container.children.a.stop()
        assert await container.until_any_child_in_state("disconnected", timeout=PATIENCE)
        assert await container.until_not_synced(timeout=PATIENCE)
        assert not container.is_connected()
        with pytest.raises(KatcpClientError, match="stopped"):
            await container.until_synced(timeout=PATIENCE)
        for until in (
            container.until_all_children_in_state,
            container.until_any_child_in_state,
        ):
            with pytest.raises(ValueError, match="nope"):
                await until("nope")


async def test_until_stopped_is_a_dictionary_and_a_future() -> None:
    async with plant("a", "b-1") as (container, _):
        futures = container.until_stopped(timeout=PATIENCE)
        assert isinstance(futures, dict)
        assert not any(future.done() for future in futures.values())
        container.stop()
        assert await futures == {"a": True, "b_1": True}

        @tornado.gen.coroutine
        def old_style() -> Any:
            results = yield container.until_stopped()
            raise tornado.gen.Return(results)

        assert await old_style() == {"a": True, "b_1": True}


async def test_it_starts_again() -> None:
    async with plant("a") as (container, _):
        container.stop()
        await container.until_stopped(timeout=PATIENCE)
        container.start()
        await container.until_synced(timeout=PATIENCE)
        assert (await container.req.a_add(1, 2)).succeeded


async def test_an_empty_container() -> None:
    container = KATCPClientResourceContainer({"name": "nothing", "clients": {}})
    async with running(container):
        assert container.is_connected()
        assert await container.until_all_children_in_state("synced") is None
        with pytest.raises(tornado.gen.TimeoutError):
            await container.until_not_synced(timeout=0.001)


async def test_the_loop_is_handed_on() -> None:
    container = KATCPClientResourceContainer(
        {"name": "c", "clients": {"a": {"address": ("127.0.0.1", 1)}}}
    )
    container.set_ioloop(IOLoop.current())
    assert container.ioloop is IOLoop.current()
    container.start()
    assert container.children.a.ioloop is IOLoop.current()
    container.stop()
    await container.until_stopped(timeout=PATIENCE)


async def test_a_stopped_container_is_collected() -> None:
    async with plant("a", groups={"g": ["a"]}) as (container, _):
        await container.groups.g.req.add(1, 2)
        assert container.sensor
        container.stop()
        await container.until_stopped(timeout=PATIENCE)
        gone = weakref.ref(container)
        child = weakref.ref(container.children.a)
    del container
    await tornado.gen.sleep(0)
    gc.collect()
    assert gone() is None
    assert child() is None
