"""One client, as the server sees it: sending, order, back-pressure, its end."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from typing import Any

import pytest

from katcp.errors import AsyncReply
from katcp.protocol import Message
from katcp.server import AsyncDeviceServer, DeviceServer, Sensor
from katcp.server._request import SENT, format_line
from katcp.server._turns import MAX_WAITING, MAX_WAITING_BYTES
from tests.helpers.serving import (
    Bare,
    BareThreaded,
    serving,
    small_client,
    still_serves,
    talking,
    until,
)
from tests.helpers.wire import WireClient


def only(server: Any) -> Any:
    """Return the one connection that a server has."""
    (connection,) = server._server.connections
    return connection


# -- what sending returns -----------------------------------------------------------------


async def test_what_sending_returns_is_done() -> None:
    called = []
    SENT.add_done_callback(called.append)
    assert called == [SENT]
    assert SENT.done()
    assert SENT.result() is None
    assert SENT.result(timeout=1) is None
    assert SENT.exception() is None
    assert await SENT is None


def test_format_line_escapes() -> None:
    assert format_line(b"!x[1]", [b"ok", b"a b", b""]) == b"!x[1] ok a\\_b \\@\n"
    assert format_line(b"#x", []) == b"#x\n"


# -- what devices call --------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Bare, BareThreaded])
async def test_a_device_speaks_to_a_client(kind: Any) -> None:
    async with serving(kind("127.0.0.1", 0)) as server, talking(server) as client:
        connection = only(server)
        host, port = client.writer.get_extra_info("sockname")
        assert connection.address == f"{host}:{port}"
        assert repr(connection) == f"<ClientConnection {host}:{port}>"
        asked = Message.request("ask", "x", mid=5)
        connection.inform(Message.inform("hello", "a b"))
        connection.reply_inform(Message.inform("ask", 1), asked)
        connection.reply(Message.reply("ask", "ok"), asked)
        connection.mass_inform(Message.inform("to-all"))
        assert await client.lines(4) == [
            b"#hello a\\_b",
            b"#ask[5] 1",
            b"!ask[5] ok",
            b"#to-all",
        ]


async def test_a_message_of_the_wrong_kind_is_refused_where_it_is_made() -> None:
    async with serving(Bare("127.0.0.1", 0)) as server, talking(server) as client:
        connection = only(server)
        asked = Message.request("ask")
        for send, message in (
            (connection.inform, Message.reply("x", "ok")),
            (lambda m: connection.reply(m, asked), Message.inform("ask")),
            (lambda m: connection.reply(m, asked), Message.reply("other", "ok")),
            (lambda m: connection.reply_inform(m, asked), Message.reply("ask", "ok")),
            (lambda m: connection.reply_inform(m, asked), Message.inform("other")),
        ):
            with pytest.raises(AssertionError):
                send(message)
        assert await client.ask(b"?watchdog") == [b"!watchdog ok"]


@pytest.mark.parametrize("kind", [Bare, BareThreaded])
async def test_disconnect_says_why_and_closes(kind: Any) -> None:
    async with serving(kind("127.0.0.1", 0)) as server, talking(server) as client:
        connection = only(server)
        done = connection.disconnect("Enough of you.")
        await asyncio.wait_for(done, 10)
        assert await client.rest() == b"#disconnect Enough\\_of\\_you.\n"
        assert not server._server.connections
        # Nothing that is sent now does any harm.
        connection.inform(Message.inform("too-late"))
        await connection.disconnect("Again.")
        await still_serves(server)


@pytest.mark.parametrize("kind", [Bare, BareThreaded])
async def test_flush_on_close_sends_what_waits(kind: Any) -> None:
    async with serving(kind("127.0.0.1", 0)) as server, talking(server) as client:
        connection = only(server)
        connection.inform(Message.inform("last", "words"))
        await connection.flush_on_close()
        connection.inform(Message.inform("too-late"))
        assert await client.rest() == b"#last words\n"
        await until(lambda: not server._server.connections)


class Busy(AsyncDeviceServer):
    """Has a handler that takes as long as the test wants."""

    announces_clients = False

    def setup_sensors(self) -> None:
        self.gate = asyncio.Event()
        self.begun = 0
        self.ended: list[str] = []

    async def request_wait(self, req: Any, *text: str) -> str:
        """Wait."""
        self.begun += 1
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.ended.append("cancelled")
            raise
        self.ended.append("done")
        req.inform("done")
        return "done"

    def request_big(self, req: Any, size: int) -> bytes:
        """Return so many bytes."""
        return b"x" * size

    def request_count(self, req: Any) -> int:
        """Count calls."""
        self.begun += 1
        return self.begun


# -- the client's end ---------------------------------------------------------------------


async def test_a_handler_goes_on_when_its_client_is_gone() -> None:
    async with serving(Busy("127.0.0.1", 0)) as server:
        async with talking(server) as client:
            await client.send(b"?wait[1]", b"?count[2]")
            await until(lambda: server.begun == 1)
        await until(lambda: not server._server.connections)
        assert server.ended == []
        server.gate.set()
        await until(lambda: server.ended == ["done"])
        assert server.begun == 1, "what waited behind it is not begun for nobody"
        assert not server.katcp_under_way
        await still_serves(server)


async def test_a_client_that_hangs_up_half_gets_what_was_ready() -> None:
    async with serving(Busy("127.0.0.1", 0)) as server, talking(server) as client:
        await client.send(b"?watchdog[1]", b"?wait[2]", b"?watchdog[3]")
        client.writer.write_eof()
        assert await client.rest() == b"!watchdog[1] ok\n"
        await until(lambda: not server._server.connections)
        server.gate.set()
        await still_serves(server)


async def test_half_a_line_and_a_hang_up() -> None:
    async with serving(Busy("127.0.0.1", 0)) as server:
        async with talking(server) as client:
            await client.raw(b"?count")
            client.writer.write_eof()
            assert await client.rest() == b""
        await until(lambda: not server._server.connections)
        assert server.begun == 0
        await still_serves(server)


async def test_a_reset_is_like_any_other_end() -> None:
    class Device(Busy):
        reasons: list[str]

        def setup_sensors(self) -> None:
            super().setup_sensors()
            self.reasons = []

        def on_client_disconnect(self, conn: Any, msg: str, connection_valid: bool) -> Any:
            self.reasons.append(msg)
            assert not connection_valid
            return super().on_client_disconnect(conn, msg, connection_valid)

    async with serving(Device("127.0.0.1", 0)) as server:
        client = await WireClient.connect(server.bind_address)
        sock = client.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.writer.transport.abort()
        await until(lambda: server.reasons)
        assert not server._server.connections
        async with talking(server):
            pass
        await until(lambda: len(server.reasons) == 2)
        assert server.reasons[1] == "Socket EOF"
        await still_serves(server)


async def test_requests_under_way_are_cancelled_at_a_disconnect() -> None:
    async with serving(Busy("127.0.0.1", 0)) as server, talking(server) as client:
        await client.send(b"?wait[1]", b"?count[2]")
        await until(lambda: server.begun)
        await only(server).disconnect("Go.")
        assert await client.rest() == b"!wait[1] fail request_cancelled\n#disconnect Go.\n"
        assert server.ended == ["cancelled"]
        assert not server.katcp_under_way
        assert server.begun == 1


# -- back-pressure ------------------------------------------------------------------------


async def test_a_client_is_read_no_further_than_it_can_be_served() -> None:
    async with serving(Busy("127.0.0.1", 0)) as server, talking(server) as client:
        await client.send(b"?wait[1]")
        await until(lambda: server.begun)
        connection = only(server)
        for i in range(MAX_WAITING):
            await client.send(b"?watchdog[%d]" % (i + 2))
        await until(lambda: len(connection._waiting) == MAX_WAITING)
        assert not connection._waiting_paused
        await client.send(b"?watchdog[900]")
        await until(lambda: connection._waiting_paused)
        await client.send(b"?watchdog[901]")
        await asyncio.sleep(0.02)
        assert len(connection._waiting) == MAX_WAITING + 1, "nothing is read any more"
        server.gate.set()
        assert (await client.lines(2))[1] == b"!wait[1] ok done"
        replies = await client.lines(MAX_WAITING + 2)
        assert replies[-2:] == [b"!watchdog[900] ok", b"!watchdog[901] ok"]
        assert not connection._waiting_paused
        assert await client.ask(b"?watchdog") == [b"!watchdog ok"]


async def test_long_messages_that_wait_are_bounded_by_their_length() -> None:
    async with serving(Busy("127.0.0.1", 0)) as server, talking(server) as client:
        await client.send(b"?wait[1]")
        await until(lambda: server.begun)
        connection = only(server)
        line = b"?count " + b"x" * (MAX_WAITING_BYTES // 4)
        sending = asyncio.ensure_future(client.send(*[line] * 40))
        await until(lambda: connection._waiting_paused)
        waiting = sum(len(event.arguments[0]) for event in connection._waiting)
        assert waiting <= 2 * MAX_WAITING_BYTES
        server.gate.set()
        assert (await client.lines(2))[1] == b"!wait[1] ok done"
        await sending
        for _ in range(40):
            assert await client.line() == b"!count fail Too\\_many\\_parameters\\_given."
        assert connection._waiting_bytes == 0
        assert not connection._waiting_paused


@pytest.mark.slow
async def test_a_slow_client_is_not_served_ahead_of_its_reading() -> None:
    async with serving(Busy("127.0.0.1", 0)) as server:
        client = await small_client(server)
        connection = only(server)
        await client.send(*[b"?big 100000"] * 200, b"?count")
        await until(lambda: connection.write_blocked)
        await asyncio.sleep(0.05)
        assert server.begun == 0
        assert connection.unsent < 2 * 1024 * 1024
        for _ in range(200):
            assert len(await client.line()) > 100000
        assert await client.line() == b"!count ok 1"
        await client.close()


class Talkative(AsyncDeviceServer):
    """Sends what nobody asked for."""

    announces_clients = False

    def setup_sensors(self) -> None:
        self.add_sensor(Sensor.string("text", "A text."))
        self.reasons: list[str] = []

    def on_client_disconnect(self, conn: Any, msg: str, connection_valid: bool) -> Any:
        self.reasons.append(msg)
        return super().on_client_disconnect(conn, msg, connection_valid)


async def test_a_subscriber_that_never_reads_is_bounded_and_dropped_at_last(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = Talkative("127.0.0.1", 0, max_backlog=200_000, stall_timeout=0.2)
    async with serving(server), talking(server) as other:
        client = await small_client(server)
        await client.send(b"?sensor-sampling text event")
        await until(lambda: any(server._sampling._clients))
        sensor = server.get_sensor("text")
        connection = list(server._server.connections)[-1]
        i = 0
        while not connection.closed:
            i += 1
            sensor.set_value(f"{i} " + "x" * 5000)
            assert connection.unsent <= 200_000
            await asyncio.sleep(0)
        await until(lambda: server.reasons)
        assert server.reasons == ["Client too slow: took nothing for 0.2 s"]
        assert connection.spared > 0
        assert not sensor._notified, "nobody samples any more"
        assert await other.ask(b"?watchdog") == [b"!watchdog ok"]
        await client.close()
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert any("Client too slow" in text for text in warnings)


async def test_the_backlog_may_be_just_full() -> None:
    server = Talkative("127.0.0.1", 0, max_backlog=1_000_000)
    async with serving(server):
        client = await small_client(server)
        connection = only(server)
        # What the kernel takes cannot be foreseen, so fill up to the edge by looking.
        inform = Message.inform("x", b"x" * 9990)
        while connection.unsent <= 900_000:
            connection.inform(inform)
            connection.flush()
        room = 1_000_000 - connection.unsent
        connection.send(b"#" + b"y" * (room - 2) + b"\n")
        connection.flush()
        assert connection.unsent == 1_000_000
        assert not connection.closed
        connection.send(b"#\n")
        connection.flush()
        assert connection.closed
        await until(lambda: server.reasons)
        await client.close()


async def test_a_client_that_takes_nothing_is_dropped_after_a_while() -> None:
    server = Talkative("127.0.0.1", 0, stall_timeout=0.1)
    async with serving(server):
        client = await small_client(server)
        connection = only(server)
        connection.inform(Message.inform("x", b"x" * 6_000_000))
        await until(lambda: server.reasons)
        assert server.reasons == ["Client too slow: took nothing for 0.1 s"]
        await client.close()
        await still_serves(server)


@pytest.mark.slow
async def test_a_client_that_takes_a_little_now_and_then_stays() -> None:
    server = Talkative("127.0.0.1", 0, stall_timeout=0.25)
    async with serving(server):
        client = await small_client(server)
        connection = only(server)
        connection.inform(Message.inform("x", b"x" * 4_000_000))
        for _ in range(12):
            await asyncio.sleep(0.05)
            await client.reader.read(100_000)
        assert server.reasons == []
        await client.send(b"?watchdog")
        data = b""
        while not data.endswith(b"!watchdog ok\n"):
            data = data[-100:] + await client.reader.read(1_000_000)
        await client.close()


async def test_one_that_hangs_up_half_and_never_reads_does_not_stay_for_ever() -> None:
    server = Talkative("127.0.0.1", 0, stall_timeout=0.1)
    async with serving(server):
        client = await small_client(server)
        connection = only(server)
        # Less than what counts as blocked, so that nobody watches for a stall yet.
        while connection.unsent < 100_000:
            connection.send(b"#" + b"x" * 50_000 + b"\n")
            connection.flush()
        assert not connection.write_blocked
        client.writer.write_eof()
        await until(lambda: not server._server.connections)
        assert server.reasons == ["Client too slow: took nothing for 0.1 s"]
        await client.close()


# -- threads ------------------------------------------------------------------------------


async def test_lines_of_one_thread_keep_their_order() -> None:
    async with serving(BareThreaded("127.0.0.1", 0)) as server, talking(server) as client:
        connection = only(server)

        def work(who: int) -> None:
            for i in range(200):
                connection.inform(Message.inform("count", who, i))

        threads = [threading.Thread(target=work, args=(who,)) for who in range(4)]
        for thread in threads:
            thread.start()
        seen: dict[bytes, list[int]] = {}
        for line in await client.lines(800):
            _, who, number = line.split(b" ")
            seen.setdefault(who, []).append(int(number))
        for thread in threads:
            thread.join()
        assert len(seen) == 4
        assert all(numbers == list(range(200)) for numbers in seen.values())


async def test_a_thread_may_answer_after_the_server_has_ended() -> None:
    class Device(DeviceServer):
        def setup_sensors(self) -> None:
            self.asked: list[Any] = []

        def request_job(self, req: Any, msg: Message) -> Any:
            """Answer later."""
            self.asked.append(req)
            raise AsyncReply

    server = Device("127.0.0.1", 0)
    async with serving(server), talking(server) as client:
        await client.send(b"?job[1]", b"?watchdog[2]")
        assert await client.line() == b"!watchdog[2] ok"
        await server.stop()
        server.join(10)
        assert await client.rest() == (
            b"!job[1] fail request_cancelled\n#disconnect Device\\_server\\_shutting\\_down.\n"
        )
    (req,) = server.asked
    req.inform("still there?")
    req.reply("ok")
    req.client_connection.inform(Message.inform("hello"))
    assert req.answered


# -- what else a request's connection does ------------------------------------------------


async def test_a_handler_speaks_to_all_and_shows_itself() -> None:
    class Device(Bare):
        def request_shout(self, req: Any, msg: Message) -> Any:
            """Tell everybody."""
            self.shown = repr(req)
            req.mass_inform(Message.inform("shout", *msg.arguments))
            return req.make_reply("ok")

    async with (
        serving(Device("127.0.0.1", 0)) as server,
        talking(server) as client,
        talking(server) as other,
    ):
        assert await client.ask(b"?shout[3] x") == [b"#shout x", b"!shout[3] ok"]
        assert await other.line() == b"#shout x"
        assert server.shown.startswith("<ClientRequestConnection <Message request shout")
        assert "<ClientConnection 127.0.0.1:" in server.shown


async def test_a_line_without_an_end_is_answered_by_a_disconnect() -> None:
    async with serving(Bare("127.0.0.1", 0, max_line=100)) as server, talking(server) as client:
        await client.raw(b"?" + b"x" * 200)
        assert (await client.line()).startswith(b"#log error ")
        await client.raw(b"x" * 200)
        assert await client.rest() == b"#disconnect Line\\_too\\_long\n"


async def test_what_an_abandoned_handler_still_says_is_dropped() -> None:
    class Device(Bare):
        async def request_stubborn(self, req: Any) -> str:
            """Do not mind being cancelled."""
            self.begun = True
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                req.inform("not yet")
                req.reply("ok", "but I am ready")
                self.said = True
            return "twice"

    server = Device("127.0.0.1", 0)
    server.start()
    async with talking(server) as client:
        await client.send(b"?stubborn[1]")
        await until(lambda: server.katcp_under_way)
        await server.stop()
        assert await client.rest() == (
            b"!stubborn[1] fail request_cancelled\n#disconnect Device\\_server\\_shutting\\_down.\n"
        )
    assert server.said
