from __future__ import annotations

import asyncio
from typing import Any

import pytest

from katcp.protocol import Message
from katcp.resource import KATCPReply
from katcp.resource_client import (
    KATCPClientResourceRequest,
    ReplyWrappedInspectingClientAsync,
    transform_future,
)
from tests.helpers.resources import PATIENCE
from tests.helpers.scripted import Device


def future() -> asyncio.Future[Any]:
    return asyncio.get_running_loop().create_future()


async def test_what_is_done_already_is_transformed_at_once() -> None:
    source = future()
    source.set_result(3)
    transformed = transform_future(lambda x: x + 1, source)
    assert transformed.done()
    assert transformed.result() == 4


async def test_what_is_done_later() -> None:
    source = future()
    transformed = transform_future(lambda x: x + 1, source)
    assert not transformed.done()
    source.set_result(3)
    assert await transformed == 4


async def test_exceptions() -> None:
    source = future()
    transformed = transform_future(lambda x: x + 1, source)
    source.set_exception(KeyError("x"))
    with pytest.raises(KeyError):
        await transformed
    source = future()
    source.set_result(0)
    with pytest.raises(ZeroDivisionError):
        await transform_future(lambda x: 1 / x, source)


async def test_cancelling() -> None:
    source = future()
    transformed = transform_future(str, source)
    source.cancel()
    with pytest.raises(asyncio.CancelledError):
        await transformed
    source = future()
    transform_future(str, source).cancel()
    await asyncio.sleep(0)
    assert not source.done()
    source.set_result(1)
    await asyncio.sleep(0)


async def test_a_client_wraps_its_answers() -> None:
    async with Device() as device:
        client = ReplyWrappedInspectingClientAsync(device.host, device.port)
        await client.connect(timeout=PATIENCE)
        await client.until_synced(timeout=PATIENCE)
        answer = await client.wrapped_request("watchdog", mid=9)
        assert answer == KATCPReply(Message.reply("watchdog", "ok", mid=9), [])
        client.reply_wrapper = lambda answer: len(answer)  # type: ignore[method-assign]
        assert await client.wrapped_request("help") == 2
        client.stop()
        await client.until_stopped(timeout=PATIENCE)


@pytest.mark.parametrize(
    ("hint", "given", "used"),
    [(None, {}, None), (7, {}, 7), (7, {"timeout": None}, 7), (7, {"timeout": 1}, 1)],
)
def test_the_time_limit_of_a_request(hint: Any, given: dict[str, Any], used: Any) -> None:
    calls: list[Any] = []

    class Client:
        def wrapped_request(self, *args: Any, **kwargs: Any) -> Any:
            calls.append((args, kwargs))
            return "future"

    description = {"name": "a-b", "description": "D.", "timeout_hint": hint}
    request = KATCPClientResourceRequest(description, Client())
    assert request(1, "x", mid=3, **given) == "future"
    assert calls == [(("a-b", 1, "x"), {"mid": 3, "timeout": used})]
