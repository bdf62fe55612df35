from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from tornado.gen import TimeoutError as TornadoTimeout

from katcp.client import AsyncClient, Message
from katcp.errors import KatcpClientDisconnected, KatcpClientError
from katcp.protocol import ProtocolFlags
from tests.client.test_device import Speaker, connected
from tests.helpers.scripted import V4, V50, V51, Device, Session, until

request = Message.request


async def ready(client: AsyncClient) -> None:
    await client.until_protocol(timeout=5)


# -- callbacks ---------------------------------------------------------------------------


async def test_callbacks_get_informs_reply_and_user_data(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told: list[Any] = []

    def fail(*args: Any) -> None:
        raise ValueError("callback failed")

    async with Device(greeting=V50) as device, connected(device, AsyncClient) as client:
        await ready(client)
        client.callback_request(
            request("help"),
            lambda *args: told.append(("reply", *args)),
            lambda *args: told.append(("inform", *args)),
            user_data=("u", 1),
        )
        await until(lambda: len(told) == 3)
        assert [(what, bytes(msg), *rest) for what, msg, *rest in told] == [
            ("inform", b"#help[1] help Help.", "u", 1),
            ("inform", b"#help[1] watchdog Pong.", "u", 1),
            ("reply", b"!help[1] ok 2", "u", 1),
        ]
        client.callback_request(request("help"), fail, fail)
        client.callback_request(request("help"))
        await client.future_request(request("watchdog"))
        assert caplog.text.count("Error in callback") == 3


async def test_callbacks_are_told_of_timeouts() -> None:
    told: list[Message] = []
    async with Device(greeting=V50) as device, connected(device, AsyncClient) as client:
        device.answers["nap"] = lambda session, message: None
        await ready(client)
        client.callback_request(request("nap"), told.append, timeout=0.01)
        await until(lambda: told)
        assert b"timed out" in told[0].arguments[1]


async def test_wire_requests_make_no_messages_and_fail_by_exceptions() -> None:
    async with Device(greeting=V50) as device, connected(device, AsyncClient) as client:
        device.answers["nap"] = lambda session, message: None
        await ready(client)
        reply, informs = await client.wire_request(request("help"))
        assert reply == (b"ok", b"2")
        assert informs == [(b"help", b"Help."), (b"watchdog", b"Pong.")]
        with pytest.raises(TornadoTimeout, match="Request nap timed out"):
            await client.wire_request(request("nap"), timeout=0.01)
        lost = client.wire_request(request("nap"))
        device.cut()
        with pytest.raises(KatcpClientDisconnected, match="Connection closed"):
            await lost


# -- trouble -----------------------------------------------------------------------------


async def test_stopping_fails_what_is_pending() -> None:
    async with Device(greeting=V50) as device, connected(device, AsyncClient) as client:
        device.answers["nap"] = lambda session, message: None
        await ready(client)
        asked = client.future_request(request("nap"))
        wire = client.wire_request(request("nap"))
        client.stop()
        reply, _ = await asked
        assert reply.arguments == [b"fail", b"Client stopped before reply was received"]
        with pytest.raises(KatcpClientError, match="Client stopped"):
            await wire
        assert client._timer is None


async def test_a_future_that_was_cancelled_harms_nobody() -> None:
    async with Device(greeting=V50) as device, connected(device, AsyncClient) as client:
        gate = asyncio.Event()

        async def wait(session: Session, message: Message) -> list[bytes]:
            await gate.wait()
            return [b"! ok"]

        device.answers["wait"] = wait
        await ready(client)
        asked = client.future_request(request("wait"))
        asked.cancel()
        gate.set()
        reply, _ = await client.future_request(request("watchdog"))
        assert reply.reply_ok()


async def test_too_much_unsent_is_a_failure_of_the_request() -> None:
    async def deaf(session: Session) -> None:
        session.say(*V50)
        session.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.sleep(60)

    async with Speaker() as server:
        server._talk = deaf
        async with connected(server, AsyncClient) as client:
            await ready(client)
            client._stream.max_write_buffer_size = 10**6
            asked = []
            for _ in range(200):
                asked.append(client.future_request(request("write", b"x" * 10**5)))
                asked.append(client.future_request(request("write", b"x" * 10**5), use_mid=False))
                await asyncio.sleep(0)
            await until(lambda: any(future.done() for future in asked))
            reply, _ = next(future.result() for future in asked if future.done())
            assert b"wait to be sent" in reply.arguments[1]


async def test_heartbeat_drops_a_device_that_hangs(caplog: pytest.LogCaptureFixture) -> None:
    async with (
        Device(greeting=V50) as device,
        connected(device, AsyncClient, heartbeat=0.02) as client,
    ):
        await until(lambda: len(device.heard) >= 3)  # asked, and answered
        assert set(device.heard[0].split(b"[")[:1]) == {b"?watchdog"}
        assert device.count == 1
        device.answers["watchdog"] = lambda session, message: None
        await until(lambda: device.count == 2)
        assert "nothing heard from the device" in caplog.text
        assert client.running()


async def test_heartbeat_waits_for_a_request_that_takes_its_time() -> None:
    # A device that answers one request after the other has no time for the watchdog meanwhile.
    async with (
        Device(greeting=V50) as device,
        connected(device, AsyncClient, heartbeat=0.02) as client,
    ):
        device.answers["watchdog"] = device.answers["slow"] = lambda session, message: None
        pending = client.future_request(request("slow"), timeout=0.5)
        reply, _ = await pending
        assert b"timed out" in reply.arguments[1]
        assert device.count == 1
        await until(lambda: device.count == 2)  # it did not answer anything else either


async def test_it_belongs_to_its_own_loop() -> None:
    async with Device(greeting=V50) as device, connected(device, AsyncClient) as client:
        await ready(client)
        errors: list[Exception] = []

        async def misuse() -> None:
            for method in (client.future_request, client.wire_request, client.callback_request):
                try:
                    method(request("watchdog"))
                except RuntimeError as error:
                    errors.append(error)

        thread = threading.Thread(target=lambda: asyncio.run(misuse()))
        thread.start()
        await asyncio.get_running_loop().run_in_executor(None, thread.join)
        assert len(errors) == 3
        assert "not thread-safe" in str(errors[0])


async def test_hooks_on_the_wire(caplog: pytest.LogCaptureFixture) -> None:
    told: list[list[bytes]] = []

    def fail(arguments: list[bytes]) -> None:
        raise ValueError("hook failed")

    async with Device(greeting=V50) as device, connected(device, AsyncClient) as client:
        await ready(client)
        client.hook_wire_inform("help", told.append)
        client.hook_wire_inform("help", told.append)
        client.hook_wire_inform("help", fail)
        device.say(b"#help unasked")
        reply, informs = await client.future_request(request("help", "help"))
        assert reply.reply_ok()
        assert len(informs) == 1
        assert told == [[b"unasked"], [b"help", b"Help."]]
        assert caplog.text.count("Error in hook of #help") == 2


async def test_the_slow_way_is_the_same_as_the_quick_way() -> None:
    told: list[list[bytes]] = []

    class Slow(AsyncClient):
        def handle_reply(self, msg: Message) -> Any:
            return super().handle_reply(msg)

    stray: list[Message] = []
    for greeting in (V51, V4):
        async with Device(greeting=greeting) as device, connected(device, Slow) as client:
            client.unhandled_reply = stray.append
            await ready(client)
            client.hook_wire_inform("help", told.append)
            reply, informs = await client.future_request(request("help"))
            assert reply.reply_ok()
            assert len(informs) == 2
            stray.clear()
            device.say(b"!watchdog[99] ok", b"!watchdog ok")
            await until(lambda: len(stray) == 2)
            assert (await client.future_request(request("watchdog")))[0].reply_ok()
    assert len(told) == 4
    assert [bytes(msg) for msg in stray] == [b"!watchdog[99] ok", b"!watchdog ok"]


async def test_a_preset_device_is_asked_at_once() -> None:
    async with Speaker() as server:
        client = AsyncClient(server.host, server.port)
        client.set_ioloop()
        client.preset_protocol_flags(ProtocolFlags(5, 0, "I"))
        client.start()
        await client.until_connected(timeout=5)
        asked = client.future_request(request("one"))
        await until(lambda: server.heard == [b"?one[1]"])
        server.say(b"!one[1] ok")
        assert (await asked)[0].reply_ok()
        client.stop()
        await client.until_stopped()


async def test_informs_nobody_cares_for_cost_no_message() -> None:
    async with Speaker(*V51) as server, connected(server, AsyncClient) as client:
        await ready(client)
        assert client._nobody_cares(b"sensor-status")
        assert not client._nobody_cares(b"version-connect")
        assert not client._nobody_cares(b"disconnect")
        seen: list[Message] = []
        client.unhandled_inform = seen.append
        assert not client._nobody_cares(b"sensor-status")
        server.say(b"#sensor-status 1 1 a nominal 1")
        await until(lambda: seen)


async def test_a_handler_that_takes_its_time_holds_up_replies_too() -> None:
    gates: list[asyncio.Future[None]] = []

    class Slow(AsyncClient):
        def inform_slow(self, msg: Message) -> asyncio.Future[None]:
            """Take a while."""
            gates.append(asyncio.get_running_loop().create_future())
            return gates[-1]

    async with Speaker(*V50) as server, connected(server, Slow) as client:
        await ready(client)
        asked = client.future_request(request("ask"))
        await until(lambda: server.heard)
        server.say(b"#slow", b"!ask[1] ok")
        await until(lambda: gates)
        await asyncio.sleep(0.005)
        assert not asked.done()
        gates[0].set_result(None)
        assert (await asked)[0].reply_ok()
