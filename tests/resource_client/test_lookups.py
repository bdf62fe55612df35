"""Lookups of objects that the loss of the connection, or a mistake, cuts short."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from katcp.errors import SyncError
from tests.helpers.resources import PATIENCE, Told, make
from tests.helpers.scripted import Device, until

SENSORS = {"a": "A. \\@ integer", "b": "B. \\@ integer"}


async def meddled(device: Device, method: str, name: str, answer: Any) -> Told:
    """Start a resource whose client answers one lookup, the first of its kind, differently."""
    resource = make(device.host, device.port)
    resource.start()
    client = resource._inspecting_client
    proper = getattr(client, method)
    asked: list[str] = []

    def get(wanted: str) -> Any:
        if wanted == name and not asked:
            asked.append(wanted)
            return answer()
        return proper(wanted)

    setattr(client, method, get)
    await until(lambda: asked)
    return resource


async def ended(resource: Told) -> None:
    resource.stop()
    await resource.until_stopped(timeout=PATIENCE)


@pytest.mark.parametrize(
    ("method", "name"), [("future_get_sensor", "a"), ("future_get_request", "help")]
)
async def test_a_lookup_that_hangs_is_given_up_with_the_connection(method: str, name: str) -> None:
    hanging: list[asyncio.Future[Any]] = []

    def answer() -> asyncio.Future[Any]:
        hanging.append(asyncio.get_running_loop().create_future())
        return hanging[0]

    async with Device(sensors=SENSORS) as device:
        resource = await meddled(device, method, name, answer)
        await asyncio.sleep(0)
        assert resource.state == "syncing"
        device.cut()
        await resource.until_synced(timeout=PATIENCE)
        assert sorted(resource.sensor) == ["a", "b"]
        assert sorted(resource.req) == ["help", "watchdog"]
        assert not hanging[0].done()
        await ended(resource)


async def test_a_lookup_that_fails_with_the_connection_is_made_again() -> None:
    failing: list[asyncio.Future[Any]] = []

    def answer() -> asyncio.Future[Any]:
        failing.append(asyncio.get_running_loop().create_future())
        return failing[0]

    async with Device(sensors=SENSORS) as device:
        resource = await meddled(device, "future_get_sensor", "a", answer)
        resource._inspecting_client.on_state = lambda state: (
            failing[0].done() or failing[0].set_exception(SyncError("gone"))
        )
        device.cut()
        await until(lambda: failing[0].done())
        resource._inspecting_client.on_state = resource._on_client_state
        await resource.until_synced(timeout=PATIENCE)
        assert sorted(resource.sensor) == ["a", "b"]
        await ended(resource)


async def test_what_cannot_be_looked_up_is_left_out_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def answer() -> Any:
        raise ValueError("no such thing")

    async with Device(sensors=SENSORS) as device:
        with caplog.at_level(logging.ERROR, "katcp.resource_client"):
            resource = await meddled(device, "future_get_request", "help", answer)
            await resource.until_synced(timeout=PATIENCE)
        assert sorted(resource.req) == ["watchdog"]
        assert "'help'" in caplog.text
        await ended(resource)


async def test_what_has_gone_meanwhile_is_left_out() -> None:
    def answer() -> Any:
        future = asyncio.get_running_loop().create_future()
        future.set_result(None)
        return future

    async with Device(sensors=SENSORS) as device:
        resource = await meddled(device, "future_get_sensor", "a", answer)
        await resource.until_synced(timeout=PATIENCE)
        assert sorted(resource.sensor) == ["b"]
        await ended(resource)


@pytest.mark.parametrize("method", ["set_sampling_strategy", "set_sampling_strategies"])
async def test_a_request_that_cannot_be_made_is_a_failure(
    method: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with Device(sensors=SENSORS) as device:
        resource = make(device.host, device.port)
        resource.start()
        await resource.until_synced(timeout=PATIENCE)

        def refuse(*args: Any, **kwargs: Any) -> Any:
            future = asyncio.get_running_loop().create_future()
            future.set_exception(RuntimeError("out of paper"))
            return future

        resource._inspecting_client.wrapped_request = refuse
        with caplog.at_level(logging.ERROR, "katcp.resource_client"):
            result = await getattr(resource, method)("a", "event")
        assert result == {"a": "out of paper"}
        assert "out of paper" in caplog.text
        await ended(resource)
