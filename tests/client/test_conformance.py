"""What the protocol asks of a client, item by item, with the names it gives them."""

from __future__ import annotations

import asyncio

import pytest

from katcp.client import AsyncClient, Message
from tests.client.test_device import Recorder, Speaker, connected
from tests.helpers.scripted import V4, V50, V50_NO_IDS, V51, Device, Script, until

request = Message.request


def greeting(version: str) -> tuple[bytes, ...]:
    return (f"#version-connect katcp-protocol {version}".encode(), *V51[1:])


@pytest.mark.parametrize(
    ("lines", "flags", "first"),
    [
        (greeting("5.1-MIBT"), "5.1-BIMT", b"?watchdog[1]"),
        (greeting("5.0-M"), "5.0-M", b"?watchdog"),
        (greeting("5.0"), "5.0", b"?watchdog"),
        (greeting("5.0-"), "5.0", b"?watchdog"),
        (greeting("6.0-MIZ"), "6.0-IMZ", b"?watchdog[1]"),
        (V4, "4.0", b"?watchdog"),
        (V4[:1], "4.0", b"?watchdog"),
        (V4[1:], "4.0", b"?watchdog"),
        ((), "4.0", b"?watchdog"),
        (greeting("new"), "4.0", b"?watchdog"),
        ((b"\x16\x03\x01\x02", b"HTTP/1.1 400", b"version 5"), "4.0", b"?watchdog"),
        ((*V4, *greeting("5.0-IM")), "5.0-IM", b"?watchdog[1]"),
        ((*greeting("5.0-IM"), *V4), "5.0-IM", b"?watchdog[1]"),
        ((*V51[1:], V51[0]), "5.1-BIMT", b"?watchdog[1]"),
        (greeting("5.1-MI four five six"), "5.1-IM", b"?watchdog[1]"),
    ],
)
async def test_b_client_1_negotiates_every_form_of_greeting(
    lines: tuple[bytes, ...], flags: str, first: bytes
) -> None:
    async with (
        Device(greeting=lines) as device,
        connected(device, AsyncClient, greeting_timeout=0.05) as client,
    ):
        reply, _ = await client.future_request(request("watchdog"))
        assert reply.reply_ok()
        assert str(client.protocol_flags) == flags
        assert device.heard == [first]


async def test_b_client_2_replies_in_reverse_order_are_matched_by_id() -> None:
    async with Speaker(*V50) as server, connected(server, AsyncClient) as client:
        await client.until_protocol(timeout=5)
        asked = [client.future_request(request("ask", number)) for number in range(20)]
        await until(lambda: len(server.heard) == 20)
        for mid in range(20, 0, -1):
            server.say(b"#ask[%d] %d" % (mid, mid))
        for mid in range(20, 0, -1):
            server.say(b"!ask[%d] ok %d" % (mid, mid))
        for mid, future in enumerate(asked, 1):
            reply, informs = await future
            assert reply == Message.reply("ask", "ok", mid, mid=mid)
            assert informs == [Message.inform("ask", mid, mid=mid)]


@pytest.mark.parametrize("lines", [V4, V50_NO_IDS])
async def test_b_client_3_without_ids_serialised_and_late_replies_not_credited(
    lines: tuple[bytes, ...],
) -> None:
    async with Speaker(*lines) as server, connected(server, AsyncClient) as client:
        await client.until_protocol(timeout=5)
        slow = client.future_request(request("ask", "slow"), timeout=0.05)
        following = client.future_request(request("ask", "following"), timeout=10)
        await until(lambda: server.heard == [b"?ask slow"])
        reply, _ = await slow
        assert b"timed out" in reply.arguments[1]
        await until(lambda: server.heard == [b"?ask slow", b"?ask following"])
        server.say(b"#ask late", b"!ask ok slow")
        await asyncio.sleep(0.01)
        assert not following.done()
        server.say(b"#ask right", b"!ask ok following")
        reply, informs = await following
        assert reply.arguments == [b"ok", b"following"]
        assert [inform.arguments for inform in informs] == [[b"right"]]


async def test_b_client_4_reply_without_id(caplog: pytest.LogCaptureFixture) -> None:
    async with Speaker(*V50) as server, connected(server, AsyncClient) as client:
        await client.until_protocol(timeout=5)
        asked = client.future_request(request("ask"))
        await until(lambda: server.heard)
        server.say(b"#ask asynchronous", b"!ask ok")
        reply, informs = await asked
        assert reply.arguments == [b"ok"]
        assert informs == []  # an inform without id is not part of the reply
        assert "left the id out of its reply to ask" in caplog.text

        both = [client.future_request(request("ask"), timeout=0.05) for _ in range(2)]
        await until(lambda: len(server.heard) == 3)
        server.say(b"!ask ok")  # which one this belongs to nobody can tell
        for future in both:
            assert b"timed out" in (await future)[0].arguments[1]


@pytest.mark.parametrize(
    ("lines", "arguments"),
    [
        ([b"!ask[1]"], []),
        ([b"!ask[1] fail"], [b"fail"]),
        ([b"!ask[1] invalid \\@"], [b"invalid", b""]),
        ([b"!ask[1] partial 3"], [b"partial", b"3"]),
        ([b"#ask[1] a", b"!ask[1] ok 5"], [b"ok", b"5"]),
        ([b"!ask[1] ok many"], [b"ok", b"many"]),
    ],
)
async def test_b_client_4_odd_replies(lines: list[bytes], arguments: list[bytes]) -> None:
    async with Speaker(*V50) as server, connected(server, AsyncClient) as client:
        await client.until_protocol(timeout=5)
        asked = client.future_request(request("ask"))
        await until(lambda: server.heard)
        server.say(*lines)
        reply, informs = await asked
        assert reply.arguments == arguments
        assert reply.reply_ok() is (arguments[:1] == [b"ok"])
        assert len(informs) == len(lines) - 1


async def test_b_client_6_whatever_comes_the_connection_stays_up() -> None:
    async with Speaker(*V50) as server, connected(server, Recorder) as client:
        await client.until_protocol(timeout=5)
        server.say(
            b"",
            b"  \t ",
            b"junk",
            b" ?leading",
            b"?",
            b"!9 ok",
            b"#a\\q \\q",
            b"#\xff\xfe",
            b"#unknown \xff\xfe",
            b"#version-connect",
            b"#log",
            b"#log warn",
            b"#sensor-status",
            b"!nobody[12] ok",
            b"?request[3]",
            b"#news in\\_the\\_end",
        )
        await until(lambda: "inform_news #news in\\_the\\_end" in client.calls)
        await until(lambda: server.heard)
        assert server.heard == [b"!request[3] invalid Unknown\\_request."]
        assert server.count == 1
        assert client.is_connected()


async def test_b_client_7_a_disconnect_fails_all_that_is_pending() -> None:
    async with Device(greeting=V50) as device, connected(device, AsyncClient) as client:
        device.answers["nap"] = lambda session, message: None
        await client.until_protocol(timeout=5)
        asked = [client.future_request(request("nap")) for _ in range(5)]
        asked += [client.future_request(request("nap"), use_mid=False) for _ in range(2)]
        await until(lambda: len(device.heard) == 6)
        device.greeting = V4
        device.cut()
        for future in asked:
            reply, _ = await future
            assert reply.mtype == Message.REPLY
            assert reply.arguments == [b"fail", b"Connection closed before reply was received"]
        await until(lambda: device.count == 2)
        reply, _ = await client.future_request(request("watchdog"))
        assert reply.reply_ok()
        assert device.heard[-1] == b"?watchdog"  # negotiated anew
        assert b"?nap" not in b" ".join(device.heard[6:])  # nothing is sent again by itself


async def test_the_recorded_dialogue_of_a_blocking_client() -> None:
    """What a client of katcp-python said and heard, but for what is mended.

    A request that is not connected fails by a reply, not by something of the type of a request.
    """
    script = """
        < #version-connect katcp-protocol 5.0-IM
        < #version-connect katcp-library katcp-python-0.9.3
        < #version-connect katcp-device demo-api-2.1 demo-build-3.4rc1
        > ?watchdog[1]
        < !watchdog[1] ok
        > ?watchdog[2]
        < !watchdog[2] ok
        > ?watchdog[500]
        < !watchdog[500] ok
        > ?watchdog
        < !watchdog ok
        > ?with-informs[3]
        < #with-informs[3] step 0
        < #with-informs[3] step 1
        < !with-informs[3] ok 2
        > ?nap[4] 0.4
        < #nap[4] napping
        > ?end
        < #disconnect Device\\_server\\_shutting\\_down.
    """
    async with Script(script) as server, connected(server, AsyncClient) as client:
        ask = client.future_request
        for message, use_mid in [
            (request("watchdog"), None),
            (request("watchdog"), None),
            (request("watchdog", mid=500), None),
            (request("watchdog"), False),
        ]:
            assert (await ask(message, use_mid=use_mid))[0].reply_ok()
        reply, informs = await ask(request("with-informs"))
        assert (reply.arguments, len(informs)) == ([b"ok", b"2"], 2)
        reply, informs = await ask(request("nap", 0.4), timeout=0.05)
        assert (reply.arguments[0], len(informs)) == (b"fail", 1)
        ended = await ask(request("end"), use_mid=False)
        assert ended[0].arguments == [b"fail", b"Connection closed before reply was received"]
        assert client.disconnect_reason == "Device server shutting down."


async def test_the_recorded_dialogue_with_a_client_that_has_handlers() -> None:
    """As katcp-python's, but for two things.

    A request that there is no handler for is answered ``invalid``, as every request has to be.
    A reply without id to a request that had one is taken if it can belong to no other.
    """
    told: list[str] = []

    class Client(AsyncClient):
        def unhandled_inform(self, msg: Message) -> None:
            told.append(f"unhandled_inform {msg}")

        def unhandled_reply(self, msg: Message) -> None:
            told.append(f"unhandled_reply {msg}")

    script = """
        < #version-connect katcp-protocol 5.0-IM
        < ?what[5]
        > !what[5] invalid Unknown\\_request.
        > ?ask[1]
        < #ask no-id
        < #ask[1] one
        < !ask[1] ok
        < !ask[1] ok again
    """
    async with Script(script) as server, connected(server, Client) as client:
        await client.until_protocol(timeout=5)
        reply, informs = await client.future_request(request("ask"))
        assert [str(message) for message in (*informs, reply)] == ["#ask[1] one", "!ask[1] ok"]
        await until(lambda: len(told) == 2)
        assert told == ["unhandled_inform #ask no-id", "unhandled_reply !ask[1] ok again"]
