from __future__ import annotations

from typing import Any

import pytest

from katcp.aio import AsyncEvent
from katcp.resource_client import monitor_resource_sync_state
from tests.helpers.resources import PATIENCE, make, resource_of
from tests.helpers.scripted import Device, until


async def test_each_change_is_told_until_the_event_is_set() -> None:
    told: list[bool] = []
    leave = AsyncEvent()
    async with Device() as device, resource_of(device, synced=False) as resource:
        monitoring = monitor_resource_sync_state(resource, told.append, leave)
        assert told == [False]
        await until(lambda: told == [False, True])
        device.say(b"#interface-changed")
        await until(lambda: told == [False, True, False, True])
        device.refuse()
        device.cut()
        await until(lambda: told == [False, True, False, True, False])
        assert not monitoring.done()
        leave.set()
        assert await monitoring is None
        await device.listen()
        await resource.until_synced(timeout=PATIENCE)
        assert told == [False, True, False, True, False]


async def test_false_comes_first_also_when_synced_already() -> None:
    told: list[bool] = []
    async with Device() as device, resource_of(device) as resource:
        monitoring = monitor_resource_sync_state(resource, told.append)
        await until(lambda: told == [False, True])
        resource.stop()
        await monitoring
    assert told == [False, True, False]


async def test_it_ends_with_the_resource() -> None:
    told: list[bool] = []
    async with Device() as device:
        device.refuse()
        async with resource_of(device, synced=False) as resource:
            monitoring = monitor_resource_sync_state(resource, told.append, AsyncEvent())
        await monitoring
    assert told == [False]


@pytest.mark.parametrize("when", [1, 2])
async def test_a_callback_that_raises_ends_it(when: int) -> None:
    told: list[bool] = []

    def callback(synced: bool) -> None:
        told.append(synced)
        if len(told) == when:
            raise ValueError("enough")

    async with Device() as device, resource_of(device) as resource:
        with pytest.raises(ValueError, match="enough"):
            await monitor_resource_sync_state(resource, callback)
    assert len(told) == when


async def test_waiting_leaves_nothing_behind() -> None:
    leave: Any = AsyncEvent()
    told: list[bool] = []
    async with Device() as device:
        resource = make(device.host, device.port)
        resource.start()
        monitoring = monitor_resource_sync_state(resource, told.append, leave)
        for count in range(1, 6):
            await until(lambda count=count: told.count(True) == count)
            device.say(b"#interface-changed")
        assert len(leave._waiters) <= 1
        assert len(resource._state._waiting) <= 1
        leave.set()
        await monitoring
        resource.stop()
        await resource.until_stopped(timeout=PATIENCE)
