"""Several clients asked as one."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
import tornado.gen

from katcp.resource import KATCPReply, KATCPResourceInactive, KATCPSensorError
from katcp.resource_client import (
    ClientGroup,
    GroupRequest,
    GroupResults,
    KATCPClientResource,
)
from tests.helpers.resources import PATIENCE, resource_of
from tests.helpers.serving import serving
from tests.resource_client.pump import Pump


@asynccontextmanager
async def group_of(number: int, *, strategy: str = "event") -> AsyncIterator[tuple[Any, list[Any]]]:
    """Serve so many pumps; give a group of resources of them, and the pumps."""
    async with AsyncExitStack() as stack:
        pumps = [await stack.enter_async_context(serving(Pump())) for _ in range(number)]
        clients = [
            await stack.enter_async_context(resource_of(pump, name=f"pump-{i}"))
            for i, pump in enumerate(pumps)
        ]
        group = ClientGroup("pumps", clients)
        if strategy:
            await group.set_sampling_strategy("pump.speed", strategy)
        yield group, pumps


def speed(pump: Any, value: int) -> None:
    pump.get_sensor("pump.speed").set_value(value)


async def test_it_is_a_sequence_of_its_clients() -> None:
    async with group_of(2) as (group, _):
        assert group.name == "pumps"
        assert isinstance(group.clients, tuple)
        assert (len(group), list(group)) == (2, list(group.clients))
        assert group[0] is group.clients[0]
        assert group[-1:] == group.clients[-1:]
        assert group.is_connected()
        group[0].stop()
        await group[0].until_stopped(timeout=PATIENCE)
        assert not group.is_connected()


async def test_a_request_is_made_of_all() -> None:
    async with group_of(2) as (group, _):
        request = group.req.add
        assert isinstance(request, GroupRequest)
        assert (request.group, request.name, request.description) == (
            group, "add", "Add two numbers."
        )  # fmt: skip
        assert request.__doc__ is not None
        assert "Add two numbers." in request.__doc__
        assert group.req["add"] is request
        results = await request(1, 2, timeout=5)
        assert isinstance(results, GroupResults)
        assert list(results) == ["pump-0", "pump-1"]
        assert all(isinstance(reply, KATCPReply) for reply in results.values())
        assert results["pump-0"].reply.arguments[1] == b"3.0"
        assert results.succeeded
        results = await group.req.add("x", 2)
        assert not results
        assert not results.succeeded
        with pytest.raises(AttributeError, match="nope"):
            group.req.nope(1)


async def test_all_are_asked_at_once() -> None:
    async with group_of(2) as (group, pumps):
        future = group.req.block()
        while not all("block" in pump.heard for pump in pumps):  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        assert not future.done()
        future.cancel()


async def test_a_client_without_the_request_answers_none() -> None:
    async with group_of(2) as (group, _):
        group[0].req.pop("add")
        results = await group.req.add(1, 2)
        assert results["pump-0"] is None
        assert results["pump-1"].succeeded
        assert not results.succeeded
        group[1].req.pop("add")
        assert "add" in group.req
        group.client_updated(group[1])
        assert "add" not in group.req
        group.client_updated("nobody")


async def test_a_client_without_a_device_lets_everything_succeed() -> None:
    async with group_of(1) as (group, _):
        spec = {"name": "none", "address": ("127.0.0.1", 1), "dummy_unknown_requests": True}
        dummy = KATCPClientResource(spec)
        both = ClientGroup("both", [group[0], dummy])
        assert (await both.req.add(1, 2)).succeeded
        assert (await both.req.whatever(1)).succeeded
        assert "whatever" not in group.req


async def test_an_inactive_client_raises() -> None:
    async with group_of(2) as (group, _):
        group[1].set_active(False)
        with pytest.raises(KATCPResourceInactive, match="add"):
            await group.req.add(1, 2)


def test_results_are_true_if_all_are() -> None:
    assert GroupResults()
    assert GroupResults(a=True)
    assert not GroupResults(a=True, b=None)
    assert GroupResults({"a": 1}) == {"a": 1}


async def test_strategies_are_set_in_all() -> None:
    async with group_of(2, strategy="") as (group, _):
        assert await group.set_sampling_strategy("pump.speed", "event") == {
            "pump-0": {"pump_speed": "event"},
            "pump-1": {"pump_speed": "event"},
        }
        results = await group.set_sampling_strategies("pump", "period 10")
        assert set(results["pump-1"]) == {"pump_speed", "pump_flow_rate"}
        assert await group.set_sampling_strategy("nope", "event") == {"pump-0": {}, "pump-1": {}}
        assert group[0].sensor.pump_speed.sampling_strategy == ("period", "10")


async def test_waiting_for_all() -> None:
    async with group_of(2) as (group, pumps):
        future = group.wait("pump_speed", 7)
        speed(pumps[0], 7)
        await group[0].wait("pump_speed", 7)
        assert not future.done()
        speed(pumps[1], 7)
        results = await future
        assert results == {"pump-0": True, "pump-1": True}
        assert results
        results = await group.wait("pump.speed", lambda reading: reading.value > 7, timeout=0.02)
        assert results == {"pump-0": False, "pump-1": False}
        assert not results


@pytest.mark.parametrize("quorum", [1, 0.5, 0.4])
async def test_enough_are_enough(quorum: float) -> None:
    async with group_of(2) as (group, pumps):
        speed(pumps[0], 7)
        results = await group.wait("pump_speed", 7, 10, quorum, max_grace_period=0.01)
        assert results == {"pump-0": True, "pump-1": False}
        assert results
        # Nobody listens any more to a sensor that was waited for in vain.
        assert group[1].sensor.pump_speed.listeners() == []


async def test_the_others_get_some_time() -> None:
    async with group_of(2) as (group, pumps):
        future = group.wait("pump_speed", 7, timeout=None, quorum=1, max_grace_period=PATIENCE)
        speed(pumps[0], 7)
        await group[0].wait("pump_speed", 7)
        speed(pumps[1], 7)
        assert await future == {"pump-0": True, "pump-1": True}


@pytest.mark.parametrize("quorum", [None, 2, 1.0, 0.6, 3])
async def test_too_few(quorum: float | None) -> None:
    async with group_of(2) as (group, pumps):
        speed(pumps[0], 7)
        await group[0].wait("pump_speed", 7)
        results = await group.wait("pump_speed", 7, timeout=0.02, quorum=quorum)
        assert results == {"pump-0": True, "pump-1": False}
        assert not results


async def test_a_quorum_that_is_none() -> None:
    async with group_of(1) as (group, _):
        for quorum, text in [(1.5, "must be an integer"), (-0.5, "outside"), ("x", "number")]:
            with pytest.raises(TypeError, match=text):
                await group.wait("pump_speed", 7, quorum=quorum)
        speed_now = {"pump-0": True}
        for quorum in (0, 0.0, True):
            assert await group.wait("pump_speed", 0, quorum=quorum) == speed_now


async def test_waiting_where_there_is_nothing_to_wait_for() -> None:
    async with group_of(2, strategy="") as (group, _):
        with pytest.raises(KATCPSensorError, match="strategy"):
            await group.wait("pump_speed", 7)
        with pytest.raises(KeyError, match="nope"):
            await group.wait("nope", 7)
        await group[0].set_sampling_strategy("pump.speed", "event")
        with pytest.raises(KATCPSensorError, match="strategy"):
            await group.wait("pump_speed", 7, timeout=None)


async def test_w9_no_time_is_no_time_in_a_group() -> None:
    async with group_of(1) as (group, _):
        await group[0].wait("pump_speed", 0)
        assert await group.wait("pump_speed", 0, timeout=0)
        assert await group.wait("pump_speed", 7, timeout=0) == {"pump-0": False}


async def test_an_empty_group() -> None:
    group = ClientGroup("nobody", [])
    assert (group.clients, group.req, group.is_connected()) == ((), {}, True)
    results = await group.wait("pump_speed", 7)
    assert results == {}
    assert results
    assert await group.set_sampling_strategy("x", "event") == {}


async def test_a_stopped_group_is_let_go() -> None:
    async with group_of(1) as (group, _):
        await group.req.add(1, 2)
        future = group.wait("pump_speed", 7, timeout=None)
        future.cancel()
        await asyncio.wait([future])
        gone = weakref.ref(group)
        del group, future
    gc.collect()
    await asyncio.sleep(0)
    gc.collect()
    assert gone() is None


async def test_in_generator_coroutines() -> None:
    @tornado.gen.coroutine
    def script(group: ClientGroup) -> Any:
        results = yield group.req.add(1, 2)
        reached = yield group.wait("pump_speed", 0, timeout=PATIENCE, quorum=1)
        raise tornado.gen.Return((bool(results), bool(reached)))

    async with group_of(2) as (group, _):
        assert await script(group) == (True, True)
