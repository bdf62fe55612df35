"""A server of requests: its tables, what may be overridden, what runs where."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

import pytest
from tornado import gen

from katcp.errors import AsyncReply, FailReply
from katcp.kattypes import Int, concurrent_reply, request, return_reply
from katcp.protocol import Message, ProtocolFlags
from katcp.server import AsyncDeviceServer, DeviceServer, DeviceServerBase
from tests.helpers.serving import Bare, BareThreaded, serving, still_serves, talking, until


class Base(DeviceServerBase):
    """Has requests, and nothing else."""

    def request_echo(self, req: Any, msg: Message) -> Any:
        """Say it again."""
        return req.make_reply("ok", *msg.arguments)


# -- the simplest server ------------------------------------------------------------------


@pytest.mark.parametrize("managed", [True, False])
async def test_a_server_without_sensors_and_greeting(managed: bool) -> None:
    server = Base("127.0.0.1", 0)
    if not managed:
        server.set_ioloop()
    async with serving(server):
        assert server.katcp_major == 5
        async with talking(server, greeting=0) as client:
            assert await client.ask(b"?echo[1] a b") == [b"!echo[1] ok a b"]
            assert await client.ask(b"?help") == [b"!help invalid Unknown\\_request."]


async def test_tb_limit_zero_is_one_line() -> None:
    class Device(Bare):
        def request_boom(self, req: Any, msg: Message) -> Any:
            """Fail."""
            raise ValueError("two\nlines")

    async with serving(Device("127.0.0.1", 0, 0)) as server, talking(server) as client:
        assert await client.ask(b"?boom") == [b"!boom fail ValueError:\\_two\\nlines"]


# -- the table of handlers ----------------------------------------------------------------


async def test_a_table_of_the_instance_is_followed_at_once() -> None:
    class Device(Bare):
        def request_one(self, req: Any, msg: Message) -> Any:
            """Return one."""
            return ("ok", 1)

    def two(server: Any, req: Any, msg: Message) -> Any:
        """Return two."""
        return ("ok", 2)

    def three(server: Any, req: Any, x: int) -> int:
        """Return three, typed."""
        return x + 1

    async with (
        serving(Device("127.0.0.1", 0)) as server,
        serving(Device("127.0.0.1", 0)) as other,
        talking(server) as client,
        talking(other) as elsewhere,
    ):
        assert await client.ask(b"?one") == [b"!one ok 1"]
        server._request_handlers = dict(server._request_handlers, one=two)
        assert await client.ask(b"?one") == [b"!one ok 2"]
        server._request_handlers["one"] = three
        assert await client.ask(b"?one 2") == [b"!one ok 3"]
        del server._request_handlers["one"]
        assert await client.ask(b"?one[7]") == [b"!one[7] invalid Unknown\\_request."]
        assert await client.ask(b"?one") == [b"!one invalid Unknown\\_request."]
        assert await elsewhere.ask(b"?one") == [b"!one ok 1"]
        server._request_handlers = {}
        assert await client.ask(b"?watchdog") == [b"!watchdog invalid Unknown\\_request."]


async def test_informs_and_replies_from_a_client() -> None:
    class Device(Bare):
        def inform_hello(self, conn: Any, msg: Message) -> None:
            """Greet back."""
            conn.inform(Message.inform("hello-back", *msg.arguments))

        def reply_weird(self, conn: Any, msg: Message) -> None:
            """Take a reply to what was never asked."""
            conn.inform(Message.inform("weird-seen", *msg.arguments))

        @gen.coroutine
        def inform_slow(self, conn: Any, msg: Message) -> Any:
            """Take time, in the old style."""
            yield gen.sleep(0.01)
            conn.inform(Message.inform("slow-back"))

        async def inform_slower(self, conn: Any, msg: Message) -> Any:
            """Take time."""
            await asyncio.sleep(0.01)
            conn.inform(Message.inform("slower-back"))

        def inform_bad(self, conn: Any, msg: Message) -> Any:
            """Fail."""
            raise SystemExit(7) if msg.arguments else ValueError("bad inform")

        async def inform_bad_later(self, conn: Any, msg: Message) -> Any:
            """Fail, later."""
            await asyncio.sleep(0)
            raise SystemExit(7) if msg.arguments else ValueError("bad inform")

    class Threaded(Device, DeviceServer):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            self._server._ioloop_manager._ioloop = None
            self._server._ioloop_manager._managed = True
            self.set_concurrency_options(True, True)

    for kind in (Device, Threaded):
        async with serving(kind("127.0.0.1", 0)) as server, talking(server) as client:
            await client.send(
                b"#hello a\\_b",
                b"!weird[3] ok",
                b"#slow",
                b"#slower",
                b"#bad",
                b"#bad x",
                b"#bad-later",
                b"#bad-later x",
                b"#unknown",
                b"?watchdog",
            )
            assert await client.lines(5) == [
                b"#hello-back a\\_b",
                b"#weird-seen ok",
                b"#slow-back",
                b"#slower-back",
                b"!watchdog ok",
            ]


async def test_a_reply_that_nobody_asked_for_is_complained_of() -> None:
    async with serving(Bare("127.0.0.1", 0)) as server, talking(server) as client:
        await client.send(b"!strange[5] ok", b"?watchdog")
        complaint, reply = await client.lines(2)
        assert complaint.startswith(b"#log error ")
        assert complaint.endswith(b" root Unexpected\\_reply\\_'strange'.")
        assert reply == b"!watchdog ok"


# -- overriding ---------------------------------------------------------------------------


class Guarded(AsyncDeviceServer):
    """Looks at each message before it is handled."""

    announces_clients = False

    def setup_sensors(self) -> None:
        self.seen: list[str] = []
        self.gate = asyncio.Event()

    def request_add(self, req: Any, x: int, y: int) -> int:
        """Add."""
        return x + y

    async def request_wait(self, req: Any) -> None:
        """Wait."""
        req.inform("begun")
        await self.gate.wait()

    @concurrent_reply
    async def request_side(self, req: Any, name: str) -> str:
        """Wait, and let others pass."""
        req.inform("begun", name)
        await self.gate.wait()
        return name

    def request_boom(self, req: Any, msg: Message) -> Any:
        """Fail."""
        raise ValueError("boom")


class GuardedPlainly(Guarded):
    def handle_request(self, connection: Any, msg: Message) -> Any:
        self.seen.append(msg.name)
        if msg.name == "help":
            raise RuntimeError("no help today")
        result = super().handle_request(connection, msg)
        if msg.name == "watchdog" and msg.arguments:
            raise RuntimeError("after it was answered")
        return result


class GuardedAsync(Guarded):
    async def handle_request(self, connection: Any, msg: Message) -> Any:
        self.seen.append(msg.name)
        await asyncio.sleep(0)
        if msg.name == "help":
            raise RuntimeError("no help today")
        await super().handle_request(connection, msg)
        if msg.name == "watchdog" and msg.arguments:
            raise RuntimeError("after it was answered")


class GuardedInTheOldStyle(Guarded):
    @gen.coroutine
    def handle_message(self, client_conn: Any, msg: Message) -> Any:
        self.seen.append(msg.name)
        yield gen.sleep(0)
        if msg.name == "help":
            raise RuntimeError("no help today")
        yield super().handle_message(client_conn, msg)
        if msg.name == "watchdog" and msg.arguments:
            raise RuntimeError("after it was answered")


class GuardedAtTheDoor(Guarded):
    def on_message(self, client_conn: Any, msg: Message) -> Any:
        self.seen.append(msg.name)
        if msg.name == "help":
            raise RuntimeError("no help today")
        result = super().on_message(client_conn, msg)
        if msg.name == "watchdog" and msg.arguments:
            raise RuntimeError("after it was answered")
        return result


@pytest.mark.parametrize(
    "kind", [GuardedPlainly, GuardedAsync, GuardedInTheOldStyle, GuardedAtTheDoor]
)
async def test_the_handling_of_messages_may_be_overridden(kind: Any) -> None:
    async with serving(kind("127.0.0.1", 0, 0)) as server, talking(server) as client:
        assert await client.ask(b"?add[1] 1 2") == [b"!add[1] ok 3"]
        assert await client.ask(b"?boom[2]") == [b"!boom[2] fail ValueError:\\_boom"]
        assert await client.ask(b"?nope[3]") == [b"!nope[3] invalid Unknown\\_request."]
        assert await client.ask(b"?help[4]") == [b"!help[4] fail RuntimeError:\\_no\\_help\\_today"]
        # One that had been answered is not answered once more.
        await client.send(b"?watchdog[5] x", b"?watchdog[6]")
        assert await client.lines(2) == [b"!watchdog[5] ok", b"!watchdog[6] ok"]
        # The order is kept.
        await client.send(b"?wait[7]", b"?watchdog[8]")
        assert await client.line() == b"#wait[7] begun"
        await asyncio.sleep(0.01)
        server.gate.set()
        assert await client.lines(2) == [b"!wait[7] ok", b"!watchdog[8] ok"]
        await client.send(b"#inform", b"bad line", b"?watchdog")
        assert (await client.line()).startswith(b"#log error ")
        assert await client.line() == b"!watchdog ok"
        names = ["add", "boom", "nope", "help", "watchdog", "watchdog", "wait", "watchdog"]
        assert [name for name in server.seen if name != "inform"] == [*names, "watchdog"]
        assert not server._taken_over


async def test_ids_tell_requests_apart_also_where_handling_is_overridden() -> None:
    async with serving(GuardedPlainly("127.0.0.1", 0)) as server, talking(server) as client:
        await client.send(b"?side a", b"?side b", b"?side[1] c", b"?watchdog[2]")
        await until(lambda: server.katcp_under_way)
        await asyncio.sleep(0.02)
        assert len(server.katcp_under_way) == 1, (
            "the second waits, and what follows it waits with it"
        )
        server.gate.set()
        lines = await client.lines(7)
        assert lines[:3] == [b"#side begun a", b"!side ok a", b"#side begun b"]
        assert sorted(lines[3:]) == [
            b"!side ok b",
            b"!side[1] ok c",
            b"!watchdog[2] ok",
            b"#side[1] begun c",
        ]


@pytest.mark.parametrize("name", ["handle_inform", "handle_reply"])
async def test_informs_and_replies_may_be_taken_over(name: str) -> None:
    seen: list[Message] = []

    def take(self: Any, connection: Any, msg: Message) -> Any:
        seen.append(msg)
        raise RuntimeError("and fail")

    kind = type("Device", (Bare,), {name: take})
    async with serving(kind("127.0.0.1", 0)) as server, talking(server) as client:
        await client.send(b"#one", b"!two ok", b"?watchdog")
        lines = [await client.line()]
        if lines[0].startswith(b"#log"):
            lines.append(await client.line())
        assert lines[-1] == b"!watchdog ok"
        assert [msg.name for msg in seen] == ["one" if name == "handle_inform" else "two"]


# -- calls by hand, as in tests of devices ------------------------------------------------


class Listener:
    """Stands for a connection, as users' tests have them."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def inform(self, msg: Message) -> None:
        self.messages.append(str(msg))

    def reply(self, msg: Message, orig: Message) -> None:
        msg.mid = orig.mid
        self.messages.append(str(msg))

    reply_inform = reply


class ByHand(DeviceServer):
    def setup_sensors(self) -> None:
        self.threads: list[threading.Thread] = []

    def request_plain(self, req: Any, msg: Message) -> Any:
        """Answer at once."""
        self.threads.append(threading.current_thread())
        req.inform("a b", 1)
        return req.make_reply("ok", "done")

    @request(Int())
    @return_reply(Int())
    def request_decorated(self, req: Any, x: int) -> Any:
        """Answer at once."""
        return ("ok", x + 1)

    async def request_slow(self, req: Any) -> str:
        """Answer later."""
        await asyncio.sleep(0.01)
        return "slow"

    def request_job(self, req: Any, msg: Message) -> Any:
        """Answer much later."""
        self.req = req
        raise AsyncReply

    def inform_hello(self, conn: Any, msg: Message) -> None:
        """Answer an inform."""
        conn.inform(Message.inform("hello-back"))


def test_plain_handlers_may_be_called_without_any_loop() -> None:
    server = ByHand("127.0.0.1", 0)
    listener = Listener()
    server.handle_message(listener, Message.request("plain", mid=5))
    server.handle_message(listener, Message.request("decorated", 4))
    server.handle_message(listener, Message.request("decorated", "x"))
    server.handle_message(listener, Message.request("unknown", mid=6))
    server.handle_message(listener, Message.inform("hello"))
    server.handle_message(listener, Message.inform("unknown"))
    server.handle_message(listener, Message.reply("unknown", "ok"))
    server.handle_message(listener, Message.request("job"))
    server.req.reply("ok", "later")
    assert listener.messages[:3] == [
        "#plain[5] a\\_b 1",
        "!plain[5] ok done",
        "!decorated ok 5",
    ]
    assert listener.messages[3].startswith("!decorated fail ")
    assert listener.messages[4:] == [
        "!unknown[6] invalid Unknown\\_request.",
        "#hello-back",
        "!job ok later",
    ]
    assert server.threads == [threading.current_thread()]


async def test_handlers_that_take_time_return_a_future() -> None:
    server = ByHand("127.0.0.1", 0)
    listener = Listener()
    await server.handle_message(listener, Message.request("slow", mid=7))
    assert listener.messages == ["!slow[7] ok slow"]
    await server.handle_message(listener, Message.request("plain"))
    assert len(listener.messages) == 3


async def test_the_old_ways_to_send() -> None:
    class Device(Bare):
        def request_old(self, req: Any, msg: Message) -> Any:
            """Send by the server's methods."""
            conn = req.client_connection
            self.reply_inform(conn, Message.inform("old", 1), msg)
            self.inform(conn, Message.inform("by-the-way"))
            self.reply_inform(req, Message.inform("old", 2), msg)
            self.reply(conn, Message.reply("old", "ok"), msg)
            raise AsyncReply

    async with serving(Device("127.0.0.1", 0)) as server, talking(server) as client:
        await client.send(b"?old[4]")
        assert await client.lines(4) == [
            b"#old[4] 1",
            b"#by-the-way",
            b"#old[4] 2",
            b"!old[4] ok",
        ]


def test_the_failing_reply_for_an_exception(caplog: pytest.LogCaptureFixture) -> None:
    import sys

    server = BareThreaded("127.0.0.1", 0, 0)
    try:
        raise KeyError("lost")
    except KeyError:
        reply = server.create_exception_reply_and_log(Message.request("x", mid=3), sys.exc_info())
    assert bytes(reply) == b"!x[3] fail KeyError:\\_'lost'"
    assert "lost" in caplog.text


# -- log informs --------------------------------------------------------------------------


def test_create_log_inform() -> None:
    server = BareThreaded("127.0.0.1", 0)
    inform = server.create_log_inform("info", "a text", "my.name", 1234.5)
    assert bytes(inform) == b"#log info 1234.500000 my.name a\\_text"

    class Old(BareThreaded):
        PROTOCOL_INFO = ProtocolFlags(4, 0, "")

    inform = Old("127.0.0.1", 0).create_log_inform("info", "a text", "my.name", 1234.5678)
    assert bytes(inform) == b"#log info 1234568 my.name a\\_text"


async def test_a_complaint_is_short_whatever_the_line(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(Bare("127.0.0.1", 0)) as server, talking(server) as client:
        await client.send(b"?" + b"bad_name_" * 1000, b"?watchdog")
        line = await client.line()
        assert line.startswith(b"#log error ")
        assert len(line) < 300
        assert await client.line() == b"!watchdog ok"
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]


async def test_an_operator_who_interrupts_is_not_stopped_by_a_handler() -> None:
    class Device(Bare):
        def request_interrupt(self, req: Any, msg: Message) -> Any:
            """Interrupt."""
            raise KeyboardInterrupt

    server = Device("127.0.0.1", 0)
    listener = Listener()
    with pytest.raises(KeyboardInterrupt):
        server.handle_message(listener, Message.request("interrupt"))


async def test_refusing_by_an_override_needs_no_traceback() -> None:
    class Device(Bare):
        def handle_request(self, connection: Any, msg: Message) -> Any:
            raise FailReply("Not for you.")

    async with serving(Device("127.0.0.1", 0)) as server, talking(server) as client:
        assert await client.ask(b"?watchdog[1]") == [b"!watchdog[1] fail Not\\_for\\_you."]
        await client.send(b"#inform")
        await asyncio.sleep(0)
    assert not server._server.connections


async def test_the_server_goes_on_after_all_that() -> None:
    async with serving(Guarded("127.0.0.1", 0)) as server:
        await still_serves(server)


async def test_an_inform_handler_that_is_no_coroutine_may_return_one() -> None:
    class Device(BareThreaded):
        def inform_plain(self, conn: Any, msg: Message) -> Any:
            """Return what is to be awaited."""

            async def later() -> None:
                await asyncio.sleep(0.01)
                conn.inform(Message.inform("later", threading.current_thread().name))
                if msg.arguments:
                    raise ValueError("in the end")

            return later()

    async with serving(Device("127.0.0.1", 0)) as server, talking(server) as client:
        await client.send(b"#plain", b"#plain fail", b"?watchdog")
        lines = await client.lines(3)
        assert lines[0].startswith(b"#later ioloop-")
        assert lines[2] == b"!watchdog ok"


async def test_three_of_a_name_wait_for_each_other_where_handling_is_overridden() -> None:
    class Careless(Guarded):
        def handle_request(self, connection: Any, msg: Message) -> Any:
            self.pending = [*getattr(self, "pending", []), super().handle_request(connection, msg)]

    async with serving(Careless("127.0.0.1", 0)) as server, talking(server) as client:
        # It does not return the future, so nothing holds the later ones back but their name.
        await client.send(b"?side a", b"?side b", b"?side c")
        await until(lambda: len(getattr(server, "pending", [])) == 3)
        await asyncio.sleep(0.02)
        assert len(server.katcp_under_way) == 1
        server.gate.set()
        lines = await client.lines(6)
        assert [line for line in lines if line.startswith(b"!")] == [
            b"!side ok a",
            b"!side ok b",
            b"!side ok c",
        ]


def test_an_interrupt_passes_through_hooks_and_overrides() -> None:
    class Device(Bare):
        def on_message(self, client_conn: Any, msg: Message) -> Any:
            raise KeyboardInterrupt

        def inform_x(self, conn: Any, msg: Message) -> Any:
            """Interrupt."""
            raise KeyboardInterrupt

    server = Device("127.0.0.1", 0)
    with pytest.raises(KeyboardInterrupt):
        server._start_taken_over(Listener(), Message.request("x"))  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        server.handle_inform(Listener(), Message.inform("x"))
