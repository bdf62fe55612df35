"""Alerts of another device, over connections that come and go."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import weakref
from collections.abc import AsyncIterator
from typing import Any

import pytest

from katcp.client import AsyncClient
from katcp.endpoints import (
    AlertClient,
    AlertFeed,
    AsyncEndpointServer,
    BrokerConnectionError,
    ClientTimeoutError,
    InvalidMethodError,
    InvalidRequestError,
    InvalidValueError,
    KeyValueStore,
    StoreKey,
)
from katcp.inspecting_client import InspectingClientAsync
from katcp.kattypes import concurrent_reply
from katcp.protocol import ProtocolFlags
from tests.helpers.serving import Bare, serving, until


def store() -> KeyValueStore:
    """Return a store of which two keys broadcast what they are set to."""
    keys = [StoreKey(name, log_on_set=True) for name in ("foo", "bar")]
    return KeyValueStore("kv", endpoints=keys)


def device(port: int = 0) -> AsyncEndpointServer:
    """Return a device with a store."""
    return AsyncEndpointServer("127.0.0.1", port, endpoints=[store()], node="node")


@contextlib.asynccontextmanager
async def connected(server: Any) -> AsyncIterator[InspectingClientAsync]:
    """Connect to a device."""
    client = InspectingClientAsync(*server.bind_address)
    client.katcp_client.auto_reconnect_delay = 0.01
    try:
        await client.connect(timeout=5)
        await client.until_connected(timeout=5)
        yield client
    finally:
        client.stop()
        await client.until_stopped(timeout=5)


@contextlib.asynccontextmanager
async def listening(server: Any, **options: Any) -> AsyncIterator[AlertClient]:
    """Connect to a device, to listen to its alerts."""
    async with connected(server) as client, AlertClient(client, **options) as alerts:
        yield alerts


async def some(feed: AlertFeed, count: int) -> list[Any]:
    """Return the raw values of the next alerts."""
    return [(await asyncio.wait_for(anext(feed), 10)).values["value_raw"] for _ in range(count)]


async def put(server: AsyncEndpointServer, name: str, *values: Any) -> None:
    """Set a key."""
    for value in values:
        await server.endpoint_host.set(name, value)


async def test_alerts_come_as_they_were_sent() -> None:
    async with serving(device()) as server, listening(server) as alerts:
        feed = await alerts.subscribe("sensor_value.#")
        await put(server, "foo", "1 \n=\0", b"\xff")
        alert = await anext(feed)
        assert alert.routing_key == "sensor_value.foo"
        assert alert.values == {"value_raw": "1 \n=\0", "path": "node.kv.foo"}
        assert alert.timestamp > 1e9
        assert (await anext(feed)).values["value_raw"] == b"\xff"


async def test_each_feed_has_what_it_asked_for_and_no_more() -> None:
    async with serving(device()) as server, connected(server) as client:
        hub = server.endpoint_host.alerts
        async with AlertClient(client) as alerts:
            foos = await alerts.subscribe("*.foo")
            both = await alerts.subscribe("sensor_value.foo", "*.bar")
            again = await alerts.subscribe("*.foo")
            await put(server, "foo", 1, 2)
            await put(server, "bar", 3)
            assert await some(both, 3) == ["1", "2", "3"]
            assert await some(foos, 2) == ["1", "2"]
            assert await some(again, 2) == ["1", "2"]
            foos.close()
            await put(server, "foo", 4)
            assert await some(again, 1) == ["4"]
            async with again:
                pass
            both.close()
            await until(lambda: hub.subscribers == 0)
            last = await alerts.subscribe("#")
        # What had come can still be read, and then it ends.
        assert [alert async for alert in foos] == []
        assert [alert async for alert in last] == []
        assert hub.subscribers == 0


async def test_it_subscribes_again_when_the_device_comes_back() -> None:
    async with contextlib.AsyncExitStack() as stack:
        first = device()
        first.start()
        _, port = first.bind_address
        client = await stack.enter_async_context(connected(first))
        alerts = await stack.enter_async_context(AlertClient(client))
        feed = await alerts.subscribe("#")
        other = await alerts.subscribe("*.foo")
        await put(first, "foo", 1)
        assert await some(feed, 1) == ["1"]
        await first.stop()
        for pattern in ("#", "more"):
            with pytest.raises(BrokerConnectionError):
                await alerts.subscribe(pattern)
        second = await stack.enter_async_context(serving(device(port)))
        hub = second.endpoint_host.alerts
        await until(lambda: hub.subscribers == 1)
        await until(lambda: alerts._subscribed == {"#", "*.foo"})
        await put(second, "foo", 2)
        assert await some(feed, 1) == ["2"]
        assert await some(other, 2) == ["1", "2"]


async def test_a_feed_that_nobody_reads_keeps_the_newest() -> None:
    async with serving(device()) as server, listening(server) as alerts:
        feed = await alerts.subscribe("#", most=3)
        all_of_them = await alerts.subscribe("#")
        await put(server, "foo", *range(10))
        await some(all_of_them, 10)
        assert feed.missed == 7
        assert await some(feed, 3) == ["7", "8", "9"]


async def test_what_the_device_did_not_send_is_counted() -> None:
    async with serving(device()) as server, listening(server) as alerts:
        await alerts.subscribe("#")
        server.endpoint_host.alerts.publish("a", {"x": "y" * 9_000_000})
        await until(lambda: alerts.dropped == 1)


async def test_what_cannot_be_is_refused() -> None:
    async with serving(device()) as server, connected(server) as client:
        async with AlertClient(client) as alerts:
            with pytest.raises(InvalidValueError):
                await alerts.subscribe("")
            with pytest.raises(InvalidRequestError):
                await alerts.subscribe()
            with pytest.raises(InvalidRequestError):
                await alerts.subscribe("#", most=0)
            feed = await alerts.subscribe("#")
        with pytest.raises(InvalidRequestError, match="closed"):
            await alerts.subscribe("#")
        await alerts.close()
        feed.close()
        with pytest.raises(TypeError, match="InspectingClientAsync"):
            AlertClient(AsyncClient("127.0.0.1", 1))


async def test_a_device_without_alerts() -> None:
    async with serving(Bare("127.0.0.1", 0)) as server, listening(server) as alerts:
        with pytest.raises(InvalidMethodError):
            await alerts.subscribe("#")
        assert alerts._feeds == {}


async def test_a_device_that_does_not_answer() -> None:
    class Mute(Bare):
        async def request_alert_subscribe(self, req: Any, msg: Any) -> Any:
            """Take a while."""
            await asyncio.sleep(100)

    async with serving(Mute("127.0.0.1", 0)) as server, listening(server, timeout=0.05) as alerts:
        with pytest.raises(ClientTimeoutError):
            await alerts.subscribe("#")


async def test_below_version_5_times_come_in_milliseconds() -> None:
    class Old(AsyncEndpointServer):
        PROTOCOL_INFO = ProtocolFlags(4, 0, "M")

    old = Old("127.0.0.1", 0, endpoints=[store()])
    async with serving(old) as server, listening(server) as alerts:
        feed = await alerts.subscribe("#")
        server.endpoint_host.alerts.publish("a", {}, timestamp=1234567890.5)
        assert (await anext(feed)).timestamp == 1234567890.5


async def test_nothing_keeps_one_that_was_let_go() -> None:
    async with serving(device()) as server, connected(server) as client:
        alerts = AlertClient(client)
        feed = await alerts.subscribe("#")
        await alerts.close()
        ref = weakref.ref(alerts)
        del alerts, feed
        gc.collect()
        assert ref() is None
        await put(server, "foo", 1)


async def test_odd_alerts_are_passed_over() -> None:
    async with serving(device()) as server, listening(server) as alerts:
        feed = await alerts.subscribe("#")
        (connection,) = server.endpoint_host.alerts._clients
        for line in (b"#alert", b"#alert x a", b"#alert 5", b"#alerts-dropped x"):
            connection.send(line + b"\n")
        connection.send(b"#alert 5 a odd\n#alert 6 b x 1 x 2\n")
        assert tuple(await anext(feed)) == (5, "a", {})
        assert tuple(await anext(feed)) == (6, "b", {"x": "2"})
        assert alerts.dropped == 0


async def test_a_device_that_comes_back_without_alerts(caplog: pytest.LogCaptureFixture) -> None:
    async with contextlib.AsyncExitStack() as stack:
        first = device()
        first.start()
        alerts = await stack.enter_async_context(listening(first))
        await alerts.subscribe("#")
        await first.stop()
        await stack.enter_async_context(serving(Bare(*first.bind_address)))
        await until(lambda: "refuses alerts" in caplog.text)


async def test_a_device_that_comes_back_and_does_not_answer_at_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("katcp.endpoints._client._alerts._PAUSE", 0.01)
    calls = []

    class Slow(Bare):
        @concurrent_reply
        async def request_alert_subscribe(self, req: Any, msg: Any) -> Any:
            """Take a while, the first time."""
            calls.append(msg)
            if len(calls) == 1:
                await asyncio.sleep(100)
            return ("ok",)

    async with contextlib.AsyncExitStack() as stack:
        first = device()
        first.start()
        alerts = await stack.enter_async_context(listening(first, timeout=0.2))
        feed = await alerts.subscribe("#")
        await first.stop()
        await stack.enter_async_context(serving(Slow(*first.bind_address)))
        await until(lambda: len(calls) == 2 and alerts._subscribed == {"#"})
        assert not feed._closed


async def test_a_client_that_has_stopped() -> None:
    async with serving(device()) as server:
        async with connected(server) as client:
            alerts = AlertClient(client)
            feed = await alerts.subscribe("#")
            await alerts.subscribe("a")
        feed.close()
        await asyncio.sleep(0.01)
        assert alerts._keeper is not None
        assert alerts._keeper.done()
        await alerts.close()
