from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from typing import Any

import pytest

from katcp import AsyncClient, Message
from katcp.testutils import (
    AsyncDeviceTestServer,
    BlockingTestClient,
    DeviceTestServer,
    DeviceTestServerWithTimeoutHints,
)


async def connected(server: Any) -> AsyncClient:
    client = AsyncClient(*server.bind_address)
    client.set_ioloop()
    client.start()
    await client.until_protocol(timeout=5)
    return client


async def end(client: AsyncClient, server: Any) -> None:
    client.stop()
    await client.until_stopped(timeout=5)
    await server.stop()


def test_w41_stop_returns_the_future() -> None:
    server = DeviceTestServer("127.0.0.1", 0)
    assert server.stop().result(timeout=5) is None  # never started
    server.start(timeout=5)
    assert server.stop(timeout=5).result(timeout=5) is None
    server.join(timeout=5)
    assert not server.running()


@pytest.mark.parametrize(
    "kind", [DeviceTestServer, AsyncDeviceTestServer, DeviceTestServerWithTimeoutHints]
)
async def test_in_the_loop_of_the_test(kind: Any) -> None:
    server = kind("127.0.0.1", 0)
    server.set_concurrency_options(thread_safe=False, handler_thread=False)
    server.set_ioloop()
    server.start()
    client = await connected(server)
    slow = client.future_request(Message.request("slow-command", 30))
    await server.until_messages(1)
    reply, _ = await client.future_request(Message.request("cancel-slow-command"))
    assert reply.reply_ok()
    reply, _ = await slow
    assert reply.reply_ok()
    reply, _ = await client.future_request(Message.request("slow-command", 0.001))
    assert reply.reply_ok()
    reply, _ = await client.future_request(Message.request("slow-command", "long"))
    assert not reply.reply_ok()
    reply, _ = await client.future_request(Message.request("cancel-slow-command"))
    assert reply.reply_ok()  # there is none
    client.future_request(Message.request("slow-command", 30))
    await server.until_messages(len(server.messages) + 1)
    await end(client, server)
    await asyncio.sleep(0)
    assert not server._slow_commands


def test_a_stopped_server_is_not_kept() -> None:
    server = DeviceTestServer("127.0.0.1", 0)
    server.start(timeout=5)
    server.until_messages(5)
    server.stop().result(timeout=5)
    server.join(timeout=5)
    gone = weakref.ref(server)
    del server
    gc.collect()
    assert gone() is None


def test_the_gate_may_be_opened_from_any_thread() -> None:
    server = DeviceTestServer("127.0.0.1", 0)
    server.proceed_on_client_connect.clear()
    server.start(timeout=5)
    client = BlockingTestClient(None, *server.bind_address)
    client.start(timeout=5)
    try:
        assert client.wait_connected(timeout=5)
        assert not client.wait_protocol(timeout=0.02)
        server.proceed_on_client_connect.set()
        assert client.wait_protocol(timeout=5)
    finally:
        client.stop()
        client.join(timeout=5)
        server.stop()
        server.join(timeout=5)


def test_stopping_while_a_client_is_held_back() -> None:
    server = DeviceTestServer("127.0.0.1", 0)
    server.proceed_on_client_connect.clear()
    server.start(timeout=5)
    client = BlockingTestClient(None, *server.bind_address, auto_reconnect=False)
    client.start(timeout=5)
    assert client.wait_connected(timeout=5)
    server.stop().result(timeout=5)
    server.join(timeout=5)
    assert client.wait_disconnected(timeout=5)
    client.stop()
    client.join(timeout=5)


def test_until_messages_may_be_cancelled() -> None:
    server = DeviceTestServer("127.0.0.1", 0)
    assert server.until_messages(1).cancel()
    other = server.until_messages(1)

    class Connection:
        def reply(self, msg: Message, req_msg: Message) -> None:
            self.got = msg

    connection = Connection()
    server.handle_message(connection, Message.request("new-command"))
    assert other.result(timeout=0) is server.messages
    assert connection.got.reply_ok()


def test_it_may_be_made_where_there_is_no_loop() -> None:
    made: list[Any] = []
    thread = threading.Thread(target=lambda: made.append(AsyncDeviceTestServer("127.0.0.1", 0)))
    thread.start()
    thread.join()
    assert made[0].proceed_on_client_connect.is_set()


async def test_others_are_told_nothing_of_a_new_client() -> None:
    server = AsyncDeviceTestServer("127.0.0.1", 0)
    server.set_ioloop()
    server.start()
    client = await connected(server)
    seen: list[str] = []
    client.unhandled_inform = lambda msg: seen.append(str(msg))  # type: ignore[method-assign]
    other = await connected(server)
    await asyncio.sleep(0.1)
    await other.future_request(Message.request("watchdog"))
    await client.future_request(Message.request("watchdog"))
    assert seen == []
    other.stop()
    await other.until_stopped(timeout=5)
    await end(client, server)
