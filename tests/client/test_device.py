from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tornado.gen import coroutine

from katcp.client import AsyncClient, DeviceClient, Message
from katcp.errors import (
    AsyncReply,
    FailReply,
    KatcpClientDisconnected,
    KatcpVersionError,
)
from katcp.protocol import ProtocolFlags
from tests.helpers.scripted import V4, V50, V50_NO_IDS, V51, Device, Server, Session, until


@asynccontextmanager
async def connected(
    server: Server, cls: type[Any] = DeviceClient, **kwargs: Any
) -> AsyncIterator[Any]:
    client = cls(server.host, server.port, **kwargs)
    client.set_ioloop()
    client.auto_reconnect_delay = 0.005
    client.start()
    try:
        await client.until_connected(timeout=5)
        yield client
    finally:
        client.stop()
        await client.until_stopped(timeout=5)


class Speaker(Server):
    """Says its greeting, collects what it hears; the test says the rest."""

    def __init__(self, *greeting: bytes) -> None:
        super().__init__(self._hear)
        self.greeting = greeting
        self.heard: list[bytes] = []

    async def _hear(self, session: Session) -> None:
        session.say(*self.greeting)
        while True:
            self.heard.append(await session.hear(60))


# -- protocol version --------------------------------------------------------------------


async def test_versions() -> None:
    async with Speaker(*V50) as server, connected(server) as client:
        await client.until_protocol(timeout=5)
        server.say(
            b"#version-connect",
            b"#version-connect something",
            b"#version-connect my-part 1.2 serial-7",
            b"#version-connect odd \xff",
        )
        await until(lambda: "odd" in client.versions)
        assert client.versions == {
            "katcp-protocol": ("5.0-IM",),
            "katcp-library": ("scripted-1.0",),
            "katcp-device": ("demo-api-2.1", "demo-build-3.4"),
            "my-part": ("1.2", "serial-7"),
            "odd": ("\\xff",),
        }
        assert client.versions.odd == ("\\xff",)


async def test_w45_the_protocol_is_forgotten_with_the_connection() -> None:
    async with Speaker(*V51) as server, connected(server) as client:
        await client.until_protocol(timeout=5)
        assert str(client.protocol_flags) == "5.1-BIMT"
        server.greeting = ()
        server.cut()
        await until(lambda: server.count == 2)
        await client.until_connected(timeout=5)
        assert client.protocol_flags is None
        assert client.versions == {}
        assert not client.until_protocol().done()
        server.say(*V4)
        await client.until_protocol(timeout=5)
        assert str(client.protocol_flags) == "4.0"


async def test_w46_both_greetings_in_one_connection(caplog: pytest.LogCaptureFixture) -> None:
    async with Speaker(*V50) as server, connected(server) as client:
        await client.until_protocol(timeout=5)
        server.say(b"#build-state old-1.0", b"#version-connect katcp-protocol 4.0")
        await until(lambda: "ignored in favour of 5.0-IM as announced" in caplog.text)
        assert "sends a version 4 greeting, ignored" in caplog.text
        assert client.is_connected()
        assert str(client.protocol_flags) == "5.0-IM"


async def test_a_preset_protocol_needs_no_greeting_and_is_kept(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with Speaker() as server:
        client = DeviceClient(server.host, server.port)
        client.set_ioloop()
        client.auto_reconnect_delay = 0.005
        client.preset_protocol_flags(ProtocolFlags(5, 0, "M"))
        assert str(client.protocol_flags) == "5.0-M"
        assert not client.until_protocol().done()
        client.start()
        await client.until_protocol(timeout=5)
        await until(lambda: server.sessions)
        server.say(*V51)
        await until(lambda: "as preset" in caplog.text)
        assert str(client.protocol_flags) == "5.0-M"
        server.cut()
        await until(lambda: server.count == 2)
        await client.until_protocol(timeout=5)
        assert str(client.protocol_flags) == "5.0-M"
        client.preset_protocol_flags(ProtocolFlags(5, 0, "I"))
        assert str(client.protocol_flags) == "5.0-I"
        client.stop()
        await client.until_stopped()


async def test_silence_is_version_4_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    async with Speaker() as server, connected(server, greeting_timeout=0.01) as client:
        await client.until_protocol(timeout=5)
        assert str(client.protocol_flags) == "4.0"
        assert "has not said which protocol it speaks" in caplog.text
        server.say(*V51)
        await until(lambda: "late" in caplog.text)
        assert str(client.protocol_flags) == "5.1-BIMT"


async def test_seconds_in_the_units_of_the_device() -> None:
    client = DeviceClient("h", 1)
    assert client.convert_seconds(1.5) == 1.5
    for flags, expected in [
        (ProtocolFlags(5, 1, ""), 1.0015),
        (ProtocolFlags(4, 0, ""), 1001.5),
        (ProtocolFlags(3, 0, ""), 1001),
    ]:
        client.protocol_flags = flags
        assert client.convert_seconds(1.0015) == pytest.approx(expected)
        assert type(client.convert_seconds(1.0015)) is type(expected)


# -- sending -----------------------------------------------------------------------------


async def test_requests_get_ids_if_the_device_has_them() -> None:
    async with Speaker(*V50) as server, connected(server) as client:
        await client.until_protocol(timeout=5)
        message = Message.request("a")
        assert client.request(message) == b"1"
        assert message.mid == b"1"
        assert client.request(Message.request("b"), use_mid=False) is None  # W44: no id is lost
        assert client.request(Message.request("c", mid=77)) == b"77"
        assert client.request(Message.request("d", mid=5), use_mid=False) is None
        assert client.request(Message.request("e")) == b"2"
        await until(lambda: len(server.heard) == 5)
        assert server.heard == [b"?a[1]", b"?b", b"?c[77]", b"?d", b"?e[2]"]


async def test_requests_get_no_ids_otherwise() -> None:
    async with Speaker(*V50_NO_IDS) as server, connected(server) as client:
        await client.until_protocol(timeout=5)
        assert client.request(Message.request("a")) is None
        with pytest.raises(KatcpVersionError, match="not supported by server"):
            client.request(Message.request("b"), use_mid=True)
        with pytest.raises(KatcpVersionError):
            client.send_request(Message.request("b", mid=3))
        with pytest.raises(ValueError, match="not a request"):
            client.send_request(Message.inform("b"))
        await until(lambda: server.heard == [b"?a"])


async def test_sending_without_a_connection() -> None:
    client = DeviceClient("somewhere", 7147)
    with pytest.raises(KatcpClientDisconnected, match="Not connected to device somewhere:7147"):
        client.send_message(Message.request("a"))


async def test_any_message_can_be_sent_and_long_ones_are_warned_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with Speaker(*V50) as server, connected(server) as client:
        client.send_message(Message.inform("note", "x y"))
        client.send_message(Message.request("write", b"x" * 3 * 2**20))
        await until(lambda: len(server.heard) == 2)
        assert server.heard[0] == b"#note x\\_y"
        assert len(server.heard[1]) == 3 * 2**20 + 7
        assert "hang up on lines above 2 MiB" in caplog.text


async def test_limits_on_the_connection_can_be_changed() -> None:
    client = DeviceClient("h", 1)
    assert client._stream is None
    async with Speaker(*V50) as server, connected(server) as client:
        assert client._stream.max_write_buffer_size == DeviceClient.MAX_WRITE_BUFFER_SIZE
        assert client._stream.max_buffer_size == DeviceClient.MAX_MSG_SIZE == 16 * 2**20


# -- receiving ---------------------------------------------------------------------------


class Recorder(DeviceClient):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.calls: list[str] = []

    def _note(self, kind: str, msg: Message) -> None:
        self.calls.append(f"{kind} {bytes(msg).decode('latin-1')}")

    def inform_news(self, msg: Message) -> None:
        """Take the news."""
        self._note("inform_news", msg)

    def inform_broken(self, msg: Message) -> None:
        """Fail to take it."""
        raise ValueError("broken handler")

    def reply_late(self, msg: Message) -> None:
        """Take what is late."""
        self._note("reply_late", msg)

    def unhandled_inform(self, msg: Message) -> None:
        self._note("unhandled_inform", msg)

    def unhandled_reply(self, msg: Message) -> None:
        self._note("unhandled_reply", msg)


async def test_messages_go_to_the_methods_that_handle_them(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with Speaker(*V50) as server, connected(server, Recorder) as client:
        await client.until_protocol(timeout=5)
        server.say(
            b"#news today",
            b"#other thing",
            b"!late ok",
            b"!stray[4] ok",
            b"garbage line",
            b"#news \\z",
            b"#news caf\xe9",
            b"#broken",
            b"",
            b"   ",
            b"#news again",
        )
        await until(lambda: client.calls[-1:] == ["inform_news #news again"])
        assert client.calls == [
            "inform_news #news today",
            "unhandled_inform #other thing",
            "reply_late !late ok",
            "unhandled_reply !stray[4] ok",
            "inform_news #news caf\xe9",
            "inform_news #news again",
        ]
        assert caplog.text.count("Malformed line") == 2
        assert "broken handler" in caplog.text
        assert server.heard == []  # nothing is ever sent back
        assert client.is_connected()


async def test_handlers_can_be_added_to_one_client() -> None:
    async with Speaker(*V50) as server, connected(server, Recorder) as client:
        await client.until_protocol(timeout=5)
        client._inform_handlers = dict(client._inform_handlers)
        client._inform_handlers["other"] = lambda self, msg: self.calls.append("added")
        server.say(b"#other")
        await until(lambda: client.calls == ["added"])


def test_handlers_need_a_docstring() -> None:
    with pytest.raises(AssertionError, match="'bare' has no docstring"):

        class Bare(DeviceClient):
            def inform_bare(self, msg: Message) -> None:
                pass


class Answering(DeviceClient):
    def request_hello(self, msg: Message) -> Message:
        """Answer at once."""
        return Message.reply_to_request(msg, "ok", *msg.arguments)

    async def request_later(self, msg: Message) -> Message:
        """Answer later."""
        await asyncio.sleep(0.001)
        return Message.reply("later", "ok")

    @coroutine
    def request_old_way(self, msg: Message) -> Any:
        """Answer later, in an old-fashioned way."""
        yield asyncio.sleep(0.001)
        return Message.reply("old-way", "ok")

    def request_silent(self, msg: Message) -> None:
        """Answer by other means, or not at all."""

    def request_never(self, msg: Message) -> None:
        """Answer later, by other means."""
        raise AsyncReply

    def request_refuse(self, msg: Message) -> None:
        """Refuse."""
        raise FailReply("Not today.")

    async def request_break(self, msg: Message) -> None:
        """Break."""
        raise ValueError("broken")


async def test_requests_of_the_device_are_answered(caplog: pytest.LogCaptureFixture) -> None:
    async with Speaker(*V50) as server, connected(server, Answering) as client:
        await client.until_protocol(timeout=5)
        server.say(
            b"?hello[4] you",
            b"?what[5]",
            b"?what",
            b"?later[6]",
            b"?old-way",
            b"?silent[7]",
            b"?never[8]",
            b"?refuse[9]",
            b"?break[10]",
            b"?hello",
        )
        await until(lambda: server.heard[-1:] == [b"!hello ok"])
        assert server.heard == [
            b"!hello[4] ok you",
            b"!what[5] invalid Unknown\\_request.",
            b"!what invalid Unknown\\_request.",
            b"!later[6] ok",
            b"!old-way ok",
            b"!refuse[9] fail Not\\_today.",
            b"!break[10] fail broken",
            b"!hello ok",
        ]
        assert "ValueError: broken" in caplog.text


async def test_a_future_is_waited_for_before_the_next_message() -> None:
    gates: list[asyncio.Future[None]] = []
    seen: list[bytes] = []

    class Slow(DeviceClient):
        def inform_slow(self, msg: Message) -> asyncio.Future[None]:
            """Take a while."""
            gates.append(asyncio.get_running_loop().create_future())
            seen.append(msg.arguments[0])
            return gates[-1]

        def inform_quick(self, msg: Message) -> None:
            """Take no time."""
            seen.append(msg.arguments[0])

    async with Speaker(*V50) as server, connected(server, Slow) as client:
        await client.until_protocol(timeout=5)
        server.say(b"#quick 1", b"#slow 2", b"#quick 3", b"#slow 4", b"#quick 5")
        await until(lambda: len(seen) == 2)
        server.say(b"#quick 6")
        await asyncio.sleep(0.01)
        assert seen == [b"1", b"2"]
        gates[0].set_exception(ValueError("does not matter"))
        await until(lambda: len(seen) == 4)
        gates[1].set_result(None)
        await until(lambda: len(seen) == 6)
        assert seen == [b"1", b"2", b"3", b"4", b"5", b"6"]


async def test_a_device_cannot_flood_a_client_that_waits_for_a_handler(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("katcp.client._device._BACKLOG", 10)
    gates: list[asyncio.Future[None]] = []
    seen: list[bytes] = []

    class Slow(DeviceClient):
        def inform_slow(self, msg: Message) -> asyncio.Future[None]:
            """Take a while."""
            gates.append(asyncio.get_running_loop().create_future())
            return gates[-1]

        def inform_quick(self, msg: Message) -> None:
            """Take no time."""
            seen.append(msg.arguments[0])

    async with Speaker(*V50) as server, connected(server, Slow) as client:
        await client.until_protocol(timeout=5)
        server.say(b"#slow")
        await until(lambda: gates)
        for number in range(100):
            server.say(b"#quick %d" % number)
            await asyncio.sleep(0)
        await until(lambda: not client._link.transport.is_reading())
        assert 10 < len(client._backlog) <= 100
        gates[0].set_result(None)
        await until(lambda: len(seen) == 100)
        assert seen == [b"%d" % number for number in range(100)]
        assert client._link.transport.is_reading()


async def test_what_waits_for_a_handler_dies_with_its_connection() -> None:
    gates: list[asyncio.Future[None]] = []
    seen: list[bytes] = []

    class Slow(DeviceClient):
        def inform_slow(self, msg: Message) -> asyncio.Future[None]:
            """Take for ever."""
            gates.append(asyncio.get_running_loop().create_future())
            return gates[-1]

        def inform_quick(self, msg: Message) -> None:
            """Take no time."""
            seen.append(msg.arguments[0])

    async with Speaker(*V50) as server, connected(server, Slow) as client:
        await client.until_protocol(timeout=5)
        server.say(b"#slow", b"#quick old")
        await until(lambda: gates)
        client.disconnect()
        await until(lambda: server.count == 2 and client.is_connected())
        server.say(b"#quick new")
        await until(lambda: seen)
        gates[0].set_result(None)
        await asyncio.sleep(0.01)
        assert seen == [b"new"]


async def test_a_farewell_is_noted_and_the_connection_closed() -> None:
    async with Speaker(*V50) as server, connected(server, Recorder) as client:
        await client.until_protocol(timeout=5)
        assert client.disconnect_reason is None
        server.greeting = ()
        server.say(b"#disconnect New\\_client\\_connected.")
        await until(lambda: client.disconnect_reason is not None)
        assert client.disconnect_reason == "New client connected."
        assert client.calls == ["unhandled_inform #disconnect New\\_client\\_connected."]
        await until(lambda: server.count == 2)  # without the device having closed anything


async def test_a_line_that_is_too_long_is_discarded(caplog: pytest.LogCaptureFixture) -> None:
    class Short(Recorder):
        MAX_MSG_SIZE = 1000

    async with Speaker(*V50) as server, connected(server, Short) as client:
        await client.until_protocol(timeout=5)
        server.say(b"#news " + b"x" * 2000, b"#news short")
        await until(lambda: client.calls)
        assert client.calls == ["inform_news #news short"]
        assert "Line longer than 1000 bytes" in caplog.text


async def test_a_line_without_end_ends_the_connection() -> None:
    class Short(Recorder):
        MAX_MSG_SIZE = 1000

    async with Speaker(*V50) as server, connected(server, Short):
        await until(lambda: server.sessions)
        server.session.writer.write(b"#news " + b"x" * 10000)
        await until(lambda: server.count == 2)


async def test_overriding_the_inner_methods() -> None:
    seen: list[str] = []

    class Own(AsyncClient):
        def handle_message(self, msg: Message) -> Any:
            seen.append(f"{msg.mtype} {msg.name}")
            return super().handle_message(msg)

    async with Device(greeting=V50) as device, connected(device, Own) as client:
        await client.until_protocol(timeout=5)
        reply, informs = await client.future_request(Message.request("help"))
        assert reply.reply_ok()
        assert len(informs) == 2
        assert seen[-3:] == ["2 help", "2 help", "1 help"]


async def test_logging_of_a_bad_version_connect(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        async with Speaker(*V50) as server, connected(server) as client:
            server.say(b"#version-connect katcp-protocol")
            await client.until_protocol(timeout=5)
            await until(lambda: "too few arguments" in caplog.text)


async def test_an_answer_that_comes_too_late_for_its_connection_is_dropped() -> None:
    gates: list[asyncio.Future[None]] = []

    class Slow(DeviceClient):
        async def request_slow(self, msg: Message) -> Message:
            """Answer when the connection is gone."""
            gates.append(asyncio.get_running_loop().create_future())
            await gates[0]
            return Message.reply("slow", "ok")

    async with Speaker(*V50) as server, connected(server, Slow) as client:
        await client.until_protocol(timeout=5)
        server.say(b"?slow[1]")
        await until(lambda: gates)
        server.refuse()
        server.cut()
        await until(lambda: client._disconnected.is_set())
        gates[0].set_result(None)
        await asyncio.sleep(0.005)
        assert server.heard == []
