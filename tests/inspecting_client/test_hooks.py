from __future__ import annotations

import pytest

from katcp.client import Message
from katcp.inspecting_client import _InformHookDeviceClient
from tests.client.test_device import Speaker, connected
from tests.helpers.scripted import V50, Device, until


async def test_hooks_come_before_everything_else_and_once() -> None:
    told: list[str] = []

    class Client(_InformHookDeviceClient):
        def inform_news(self, msg: Message) -> None:
            """Take the news."""
            told.append("handler")

    async with Speaker(*V50) as server, connected(server, Client) as client:
        await client.until_protocol(timeout=5)

        def hook(msg: Message) -> None:
            told.append(f"hook {msg}")

        client.hook_inform("news", hook)
        client.hook_inform("news", hook)
        client.hook_inform("other", hook)
        server.say(b"#news a", b"#other b")
        await until(lambda: len(told) == 3)
        assert told == ["hook #news a", "handler", "hook #other b"]


async def test_informs_of_a_reply_are_hooked_too(caplog: pytest.LogCaptureFixture) -> None:
    told: list[Message] = []

    def fail(msg: Message) -> None:
        raise ValueError("hook failed")

    async with Device(greeting=V50) as device, connected(device, _InformHookDeviceClient) as client:
        await client.until_protocol(timeout=5)
        client.hook_inform("help", fail)
        client.hook_inform("help", told.append)
        reply, informs = await client.future_request(Message.request("help"))
        assert reply.reply_ok()
        assert told == informs
        assert len(told) == 2
        assert caplog.text.count("Error in hook of #help") == 2
        await client.wire_request(Message.request("help"))
        assert len(told) == 4


async def test_who_wants_to_know_the_protocol_is_told() -> None:
    told: list[str] = []
    async with Speaker() as server:
        client = _InformHookDeviceClient(server.host, server.port, greeting_timeout=0.01)
        client.set_ioloop()
        client.on_protocol = lambda revised: told.append(f"{client.protocol_flags} {revised}")
        client.start()
        await client.until_protocol(timeout=5)
        server.say(*V50)
        await until(lambda: len(told) == 2)
        assert told == ["4.0 False", "5.0-IM True"]
        client.stop()
        await client.until_stopped()
