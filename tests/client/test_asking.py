"""Requests on their way out: ids, holding back, time limits, devices without ids."""

from __future__ import annotations

import asyncio

import pytest

from katcp.client import AsyncClient, Message
from katcp.errors import KatcpClientDisconnected
from katcp.protocol import MAX_MID
from tests.client.test_device import Speaker, connected
from tests.helpers.scripted import V4, V50, V50_NO_IDS, Device, Session, until

request = Message.request


async def ready(client: AsyncClient) -> None:
    await client.until_protocol(timeout=5)


# -- asking ------------------------------------------------------------------------------


async def test_a_reply_and_its_informs() -> None:
    async with Device(greeting=V50) as device, connected(device, AsyncClient) as client:
        await ready(client)
        message = request("help")
        reply, informs = await client.future_request(message)
        assert message.mid == b"1"
        assert reply == Message.reply("help", "ok", 2, mid=1)
        assert informs == [
            Message.inform("help", "help", "Help.", mid=1),
            Message.inform("help", "watchdog", "Pong.", mid=1),
        ]
        assert reply.reply_ok()


async def test_ids() -> None:
    async with Device(greeting=V50) as device, connected(device, AsyncClient) as client:
        await ready(client)
        ask = client.future_request
        replies = [
            (await ask(request("watchdog")))[0],
            (await ask(request("watchdog", mid=500)))[0],
            (await ask(request("watchdog"), use_mid=False))[0],
            (await ask(request("watchdog", mid=9), use_mid=False))[0],
            (await ask(request("watchdog"), use_mid=True))[0],
            (await ask(request("watchdog", mid="007")))[0],
        ]
        assert [reply.mid for reply in replies] == [b"1", b"500", None, None, b"2", b"007"]
        assert all(reply.reply_ok() for reply in replies)


async def test_ids_go_on_over_reconnections_and_wrap() -> None:
    async with Device(greeting=V50) as device, connected(device, AsyncClient) as client:
        await ready(client)
        await client.future_request(request("watchdog"))
        device.cut()
        await until(lambda: device.count == 2)
        await ready(client)
        await client.future_request(request("watchdog"))
        client._table.last_mid = MAX_MID
        await client.future_request(request("watchdog"))
        assert device.heard == [b"?watchdog[1]", b"?watchdog[2]", b"?watchdog[1]"]
        assert client._next_id() == b"2"


async def test_an_id_in_use_is_misuse() -> None:
    async with Device(greeting=V50) as device, connected(device, AsyncClient) as client:
        device.answers["wait"] = lambda session, message: None
        await ready(client)
        first = client.future_request(request("wait", mid=5))
        second = client.future_request(request("wait", mid=5))
        with pytest.raises(ValueError, match="Message id 5 is in use"):
            await second
        with pytest.raises(ValueError, match="in use"):
            client.callback_request(request("wait", mid=5))
        assert not first.done()


async def test_an_id_for_a_device_without() -> None:
    async with Device(greeting=V4) as device, connected(device, AsyncClient) as client:
        await ready(client)
        for kwargs in ({"mid": 5}, {}):
            reply, informs = await client.future_request(
                request("watchdog", **kwargs), use_mid=True if not kwargs else None
            )
            assert reply.mtype == Message.REPLY
            assert reply.arguments == [b"fail", b"Message IDs not supported by server"]
            assert informs == []
        assert device.heard == []


async def test_w47_not_connected_is_a_reply() -> None:
    client = AsyncClient("somewhere", 7147)
    reply, informs = await client.future_request(request("watchdog"))
    assert reply == Message.reply("watchdog", "fail", "Not connected to device somewhere:7147")
    assert informs == []
    told: list[Message] = []
    client.callback_request(request("watchdog"), told.append)
    assert told == []  # not before the call has returned
    await until(lambda: told == [reply])
    with pytest.raises(KatcpClientDisconnected, match="Not connected"):
        await client.wire_request(request("watchdog"))


async def test_requests_wait_until_it_is_known_what_the_device_speaks() -> None:
    async with Speaker() as server, connected(server, AsyncClient) as client:
        await until(lambda: server.sessions)
        asked = [
            client.future_request(request("one")),
            client.future_request(request("two"), use_mid=False),
            client.future_request(request("three", mid=7)),
            client.future_request(request("four", mid=7)),
        ]
        await asyncio.sleep(0.01)
        assert server.heard == []
        server.say(*V50)
        await until(lambda: len(server.heard) == 3)
        assert server.heard == [b"?one[1]", b"?two", b"?three[7]"]
        reply, _ = await asked[3]
        assert b"in use" in reply.arguments[1]
        server.say(b"!one[1] ok", b"!two ok", b"!three[7] ok")
        for future in asked[:3]:
            assert (await future)[0].reply_ok()


async def test_a_request_may_run_out_of_time_before_it_is_sent() -> None:
    async with Speaker() as server, connected(server, AsyncClient) as client:
        reply, _ = await client.future_request(request("one"), timeout=0.01)
        assert b"timed out" in reply.arguments[1]
        assert server.heard == []


# -- time --------------------------------------------------------------------------------


async def test_a_timeout_is_a_reply_that_keeps_the_informs() -> None:
    def nap(session: Session, message: Message) -> list[bytes]:
        return [b"# napping"]

    late: list[Message] = []

    class Client(AsyncClient):
        def unhandled_reply(self, msg: Message) -> None:
            late.append(msg)

    async with Device(greeting=V50) as device, connected(device, Client) as client:
        device.answers["nap"] = nap
        await ready(client)
        reply, informs = await client.future_request(request("nap", 0.4), timeout=0.05)
        assert reply.mtype == Message.REPLY
        assert reply.mid == b"1"
        status, text = reply.arguments
        assert status == b"fail"
        assert text.startswith(b"Request nap timed out after 0.0")
        assert text.endswith(b" seconds.")
        assert informs == [Message.inform("nap", "napping", mid=1)]
        device.say(b"!nap[1] ok rested")
        await until(lambda: late == [Message.reply("nap", "ok", "rested", mid=1)])


async def test_a_timeout_of_zero_and_the_default() -> None:
    async with (
        Device(greeting=V50) as device,
        connected(device, AsyncClient, timeout=0.02) as client,
    ):
        device.answers["nap"] = lambda session, message: None
        await ready(client)
        assert client.request_timeout == 0.02
        at_once, default, long = (
            client.future_request(request("nap"), timeout=0),
            client.future_request(request("nap")),
            client.future_request(request("nap"), timeout=60),
        )
        assert b"timed out" in (await at_once)[0].arguments[1]
        assert not default.done()
        assert b"timed out" in (await default)[0].arguments[1]
        assert not long.done()


async def test_no_time_limit_at_all() -> None:
    async with (
        Device(greeting=V50) as device,
        connected(device, AsyncClient, timeout=None) as client,
    ):
        device.answers["nap"] = lambda session, message: None
        await ready(client)
        client.future_request(request("nap"))
        assert client._timer is None
        client.future_request(request("nap"), timeout=5)
        assert client._timer is not None


async def test_one_timer_for_all_requests_fires_in_order_of_deadlines() -> None:
    over: list[int] = []
    async with Device(greeting=V50) as device, connected(device, AsyncClient) as client:
        device.answers["nap"] = lambda session, message: None
        await ready(client)
        timeouts = [0.05, 0.01, 0.03, 0.02, 0.04]
        futures = []
        for number, timeout in enumerate(timeouts):
            future = client.future_request(request("nap"), timeout=timeout)
            future.add_done_callback(lambda _, number=number: over.append(number))
            futures.append(future)
        await asyncio.gather(*futures)
        assert over == [1, 3, 2, 4, 0]
        assert client._timer is None


# -- without ids -------------------------------------------------------------------------


@pytest.mark.parametrize("greeting", [V4, V50_NO_IDS])
async def test_without_ids_one_of_a_name_is_on_the_wire(greeting: tuple[bytes, ...]) -> None:
    async with Speaker(*greeting) as server, connected(server, AsyncClient) as client:
        await ready(client)
        first = client.future_request(request("ask", 1))
        second = client.future_request(request("ask", 2))
        other = client.future_request(request("other"))
        await until(lambda: len(server.heard) == 2)
        assert server.heard == [b"?ask 1", b"?other"]
        server.say(b"#ask a", b"#other x", b"!other ok", b"!ask ok 1")
        await until(lambda: server.heard[2:] == [b"?ask 2"])
        server.say(b"#ask b", b"!ask ok 2")
        assert await first == (Message.reply("ask", "ok", 1), [Message.inform("ask", "a")])
        assert await second == (Message.reply("ask", "ok", 2), [Message.inform("ask", "b")])
        assert await other == (Message.reply("other", "ok"), [Message.inform("other", "x")])


async def test_w48_a_device_that_has_lost_a_request_is_understood_again() -> None:
    async with Speaker(*V50_NO_IDS) as server, connected(server, AsyncClient) as client:
        await ready(client)
        answers = []
        for number in range(4):
            asked = client.future_request(request("ask", number), timeout=0.05 if number < 2 else 5)
            await until(lambda number=number: len(server.heard) == number + 1)
            if number:
                server.say(b"#ask %d" % number, b"!ask ok %d" % number)
            reply, informs = await asked
            answers.append((reply.arguments[0], [bytes(inform) for inform in informs]))
        assert answers[0] == (b"fail", [])
        assert answers[1:] == [(b"ok", [b"#ask %d" % number]) for number in (1, 2, 3)]
        assert server.count == 1


async def test_w48_callbacks_get_what_was_in_doubt_once() -> None:
    async with Speaker(*V50_NO_IDS) as server, connected(server, AsyncClient) as client:
        await ready(client)
        await client.future_request(request("ask"), timeout=0.02)
        told: list[bytes] = []
        client.callback_request(
            request("ask"),
            lambda msg: told.append(bytes(msg)),
            lambda msg: told.append(bytes(msg)),
            timeout=0.1,
        )
        await until(lambda: len(server.heard) == 2)
        server.say(b"#ask late", b"!ask ok late", b"#ask right", b"!ask ok right")
        await until(lambda: len(told) == 2)
        assert told == [b"#ask right", b"!ask ok right"]


async def test_long_lines_are_warned_of_and_sent(caplog: pytest.LogCaptureFixture) -> None:
    async with Speaker(*V50) as server, connected(server, AsyncClient) as client:
        await ready(client)
        client.future_request(request("write", b"x" * 3 * 2**20))
        client.future_request(request("write", b"x" * 3 * 2**20), use_mid=False)
        await until(lambda: len(server.heard) == 2)
        assert caplog.text.count("hang up on lines above 2 MiB") == 2
