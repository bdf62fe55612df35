from __future__ import annotations

from typing import Any
from unittest import mock

from katcp import AsyncClient, BlockingClient, Message
from katcp.client._asking import AskingClient
from katcp.errors import KatcpClientError
from tests.client.test_device import connected
from tests.helpers.scripted import V50, Device
from tests.helpers.threaded import Threaded, started

request = Message.request


def test_what_is_plain() -> None:
    class Own(AsyncClient):
        def send_message(self, msg: Message) -> Any:
            return super().send_message(msg)

    for client, plain in [
        (AsyncClient("127.0.0.1", 1), True),
        (BlockingClient("127.0.0.1", 1), True),  # its wrappers are our own
        (Own("127.0.0.1", 1), False),
    ]:
        assert client.is_plain(AskingClient, "send_request", "send_message") is plain
        assert client.is_plain(AskingClient, "send_request")
        client.send_request = print  # type: ignore[assignment, method-assign]
        assert not client.is_plain(AskingClient, "send_request")


async def test_short_cuts_are_taken_where_there_are_no_overrides() -> None:
    class Own(AsyncClient):
        def handle_reply(self, msg: Message) -> Any:
            return super().handle_reply(msg)

    async with Device(greeting=V50) as device:
        for cls, fast in ((AsyncClient, True), (Own, False)):
            async with connected(device, cls) as client:
                await client.until_protocol(timeout=5)
                assert client._fast is fast
                assert client._quick_link is client._link
                client.handle_inform = lambda msg: None
                assert not client._fast
                del client.handle_inform
                assert client._fast is fast


def test_methods_that_are_replaced_while_connected_are_called() -> None:
    with (
        Threaded(Device(greeting=V50)) as device,
        started(BlockingClient(device.host, device.port)) as client,
    ):
        assert client.wait_protocol(5)
        with mock.patch.object(client, "send_message", wraps=client.send_message) as send:
            reply, _ = client.blocking_request(request("watchdog"))
            assert reply.reply_ok()
        send.assert_called_once_with(request("watchdog", mid=1))
        with mock.patch.object(client, "send_message", side_effect=KatcpClientError("full")):
            reply, _ = client.blocking_request(request("watchdog"))
            assert reply.arguments == [b"fail", b"full"]
        with mock.patch.object(client, "handle_message", wraps=client.handle_message) as handle:
            reply, _ = client.blocking_request(request("watchdog"))
            assert reply.reply_ok()
        handle.assert_called_once_with(Message.reply("watchdog", "ok", mid=3))
        client._next_id = lambda: b"77"  # type: ignore[method-assign]
        assert client.blocking_request(request("watchdog"))[0].mid == b"77"
        del client._next_id
        assert client.blocking_request(request("watchdog"))[0].mid == b"4"


async def test_they_are_called_for_requests_of_the_loop_too() -> None:
    async with Device(greeting=V50) as device:
        client = AsyncClient(device.host, device.port)
        client.set_ioloop()
        client.start()
        await client.until_protocol(timeout=5)
        assert client._quick_link is not None
        with mock.patch.object(client, "send_request", wraps=client.send_request) as send:
            reply, _ = await client.future_request(request("watchdog"))
            assert reply.reply_ok()
        send.assert_called_once()
        assert client._quick_link is not None
        client.stop()
        await client.until_stopped(timeout=5)
