"""The socket side of a server: addresses, limits, clients that come and go."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Any

import pytest

from katcp.protocol import Message
from katcp.server import (
    AsyncDeviceServer,
    ClientConnection,
    KATCPServer,
    Sensor,
    ThreadsafeClientConnection,
)
from katcp.server._accepting import _ACCEPT_AT_ONCE
from tests.helpers.serving import (
    Bare,
    BareThreaded,
    serving,
    serving_in_thread,
    still_serves,
    talking,
    until,
)
from tests.helpers.wire import WireClient

GOODBYE = b"#disconnect Device\\_server\\_shutting\\_down.\n"


# -- addresses ----------------------------------------------------------------------------


def has_ipv6() -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6) as sock:
        sock.bind(("::1", 0))
        return True
    return False


ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this system has no IPv6")


@ipv6
async def test_ipv6() -> None:
    async with serving(Bare("::1", 0)) as server, talking(server) as client:
        port = client.writer.get_extra_info("sockname")[1]
        assert await client.ask(b"?client-list") == [
            b"#client-list [::1]:%d" % port,
            b"!client-list ok 1",
        ]


@ipv6
async def test_no_host_means_all_interfaces_of_both_families() -> None:
    async with serving(Bare("", 0)) as server:
        host, port = server.bind_address
        assert host == ""
        for address in ("127.0.0.1", "::1"):
            async with await WireClient.connect((address, port)) as client:
                assert await client.ask(b"?watchdog") == [b"!watchdog ok"]


async def test_replies_are_not_held_back_by_the_system() -> None:
    async with serving(Bare("127.0.0.1", 0)) as server, talking(server):
        (connection,) = server._server.connections
        sock = connection.transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


# -- limits -------------------------------------------------------------------------------


async def test_no_more_clients_than_allowed() -> None:
    async with serving(Bare("127.0.0.1", 0, max_clients=2)) as server:
        async with talking(server) as first, talking(server) as second:
            third = await WireClient.connect(server.bind_address, greeting=0)
            assert await third.rest() == b"#disconnect Too\\_many\\_clients.\n"
            await third.close()
            for client in (first, second):
                assert await client.ask(b"?watchdog") == [b"!watchdog ok"]
            (*_, count) = await first.ask(b"?client-list")
            assert count == b"!client-list ok 2"
        await until(lambda: not server._server.connections)
        await still_serves(server)


async def test_limits_may_be_set_on_the_socket_side_until_the_start() -> None:
    server = Bare("127.0.0.1", 0)
    server._server.MAX_MSG_SIZE = 50  # type: ignore[misc]
    server._server.MAX_WRITE_BUFFER_SIZE = 12345  # type: ignore[misc]
    async with serving(server), talking(server) as client:
        (connection,) = server._server.connections
        assert connection.max_backlog == 12345
        await client.send(b"?watchdog " + b"x" * 50)
        assert (await client.line()).startswith(b"#log error ")


async def test_limits_of_the_constructor() -> None:
    server = Bare("127.0.0.1", 0, max_line=60, max_backlog=9999, stall_timeout=7, coalesce=0)
    async with serving(server), talking(server) as client:
        (connection,) = server._server.connections
        assert connection.parser.max_line == 60
        assert connection.max_backlog == 9999
        assert connection.stall_timeout == 7
        assert connection.pump.coalesce == 0
        await client.send(b"?watchdog " + b"x" * 50, b"?watchdog[2] " + b"x" * 48)
        assert await client.line() == b"!watchdog ok"
        assert b"#log error " in await client.line()
        assert await client.ask(b"?watchdog[3]") == [b"!watchdog[3] ok"]


async def test_the_defaults_are_those_that_are_documented() -> None:
    async with serving(Bare("127.0.0.1", 0)) as server, talking(server):
        (connection,) = server._server.connections
        assert connection.parser.max_line == 2 * 1024 * 1024
        assert connection.max_backlog == 8 * 1024 * 1024
        assert connection.stall_timeout == 30
        assert KATCPServer.BACKLOG == 1024


async def test_the_connection_class_may_be_chosen() -> None:
    class Mine(ClientConnection):
        pass

    server = Bare("127.0.0.1", 0)
    server._server.client_connection_factory = Mine
    async with serving(server), talking(server):
        (connection,) = server._server.connections
        assert type(connection) is Mine
    async with serving(BareThreaded("127.0.0.1", 0)) as threaded, talking(threaded):
        (connection,) = threaded._server.connections
        assert type(connection) is ThreadsafeClientConnection


# -- hooks --------------------------------------------------------------------------------


class Hooks(AsyncDeviceServer):
    """Takes note of clients that come and go, and fails where it is told to."""

    announces_clients = False

    def setup_sensors(self) -> None:
        self.add_sensor(Sensor.integer("a.b", "A number."))
        self.calls: list[Any] = []
        self.connect_fails: BaseException | None = None
        self.disconnect_fails: BaseException | None = None

    def on_client_connect(self, conn: Any) -> Any:
        self.calls.append("connect")
        if self.connect_fails is not None:
            raise self.connect_fails
        return super().on_client_connect(conn)

    def on_client_disconnect(self, conn: Any, msg: str, connection_valid: bool) -> Any:
        self.calls.append((msg, connection_valid))
        if self.disconnect_fails is not None:
            raise self.disconnect_fails
        return super().on_client_disconnect(conn, msg, connection_valid)


async def test_hooks_are_called_once_for_each_client() -> None:
    async with serving(Hooks("127.0.0.1", 0)) as server:
        async with talking(server):
            assert server.calls == ["connect"]
        await until(lambda: len(server.calls) == 2)
        async with talking(server) as client:
            (connection,) = server._server.connections
            assert not connection.client_disconnect_called
            await connection.disconnect("Why not.")
            assert connection.client_disconnect_called
            await client.rest()
        client = await WireClient.connect(server.bind_address)
        await server.stop()
        await client.rest()
        await client.close()
        assert server.calls == [
            "connect",
            ("Socket EOF", False),
            "connect",
            ("Why not.", True),
            "connect",
            ("Device server shutting down.", True),
        ]


@pytest.mark.parametrize("error", [RuntimeError("no room"), SystemExit(1), KeyError("lost")])
async def test_a_client_that_cannot_be_greeted_is_told_and_closed(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(Hooks("127.0.0.1", 0)) as server:
        server.connect_fails = error
        client = await WireClient.connect(server.bind_address, greeting=0)
        words = (await client.rest()).rstrip(b"\n").split(b" ")
        await client.close()
        assert words[:2] == [b"#log", b"error"]
        assert len(words) == 5
        assert words[3] == b"root"
        assert type(error).__name__.encode() in words[4]
        assert not server._server.connections
        server.connect_fails = None
        await still_serves(server)
    assert "on_client_connect" in caplog.text


@pytest.mark.parametrize("error", [RuntimeError("no way"), SystemExit(1)])
async def test_a_failing_goodbye_harms_nobody(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(Hooks("127.0.0.1", 0)) as server:
        async with talking(server) as client:
            await client.ask(b"?sensor-sampling a.b event")
            server.disconnect_fails = error
        await until(lambda: not server._server.connections)
        assert not server._sampling._clients, "its strategies have ended all the same"
        async with talking(server) as client:
            await client.ask(b"?sensor-sampling a.b event")
            (connection,) = server._server.connections
            await connection.disconnect("Bye.")
            assert await client.rest() == b""
        assert not server._sampling._clients
        await still_serves(server)
    assert "on_client_disconnect" in caplog.text


class SlowHooks(AsyncDeviceServer):
    """Has hooks that take their time."""

    announces_clients = False

    def setup_sensors(self) -> None:
        self.gate = asyncio.Event()
        self.fails = False
        self.left: list[str] = []

    async def on_client_connect(self, conn: Any) -> None:
        await self.gate.wait()
        if self.fails:
            raise RuntimeError("no room after all")
        super().on_client_connect(conn)

    async def on_client_disconnect(self, conn: Any, msg: str, connection_valid: bool) -> None:
        await asyncio.sleep(0.01)
        if connection_valid:
            conn.inform(Message.inform("by-the-way", "something"))
        super().on_client_disconnect(conn, msg, connection_valid)
        self.left.append(msg)
        if self.fails:
            raise RuntimeError("at the end")


async def test_messages_wait_for_a_greeting_that_takes_its_time() -> None:
    async with serving(SlowHooks("127.0.0.1", 0)) as server:
        client = await WireClient.connect(server.bind_address, greeting=0)
        await client.send(b"?watchdog[1]", b"?watchdog[2]")
        await until(lambda: server._server.connections)
        await asyncio.sleep(0.02)
        server.gate.set()
        lines = await client.lines(5)
        assert lines[0].startswith(b"#version-connect katcp-protocol ")
        assert lines[3:] == [b"!watchdog[1] ok", b"!watchdog[2] ok"]
        await client.close()
        await until(lambda: server.left == ["Socket EOF"])
        async with talking(server) as client:
            (connection,) = server._server.connections
            await connection.disconnect("Go.")
            assert await client.rest() == b"#by-the-way something\n#disconnect Go.\n"


async def test_hooks_that_fail_late(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(SlowHooks("127.0.0.1", 0)) as server:
        server.gate.set()
        async with talking(server):
            server.fails = True
            client = await WireClient.connect(server.bind_address, greeting=0)
            (line,) = (await client.rest()).splitlines()
            assert line.startswith(b"#log error ")
            assert b"no\\_room\\_after\\_all" in line
            await client.close()
        await until(lambda: server.left)
        await until(lambda: "on_client_disconnect failed" in caplog.text)
        server.fails = False
        await still_serves(server)


async def test_a_client_may_go_while_it_is_greeted() -> None:
    async with serving(SlowHooks("127.0.0.1", 0)) as server:
        client = await WireClient.connect(server.bind_address, greeting=0)
        await until(lambda: server._server.connections)
        await client.close()
        await until(lambda: not server._server.connections)
        client = await WireClient.connect(server.bind_address, greeting=0)
        await until(lambda: server._server.connections)
        # And the server while it greets: the test ends without a task left over.
        await server.stop()
        assert GOODBYE in await client.rest()
        await client.close()


async def test_a_goodbye_without_an_end_is_not_waited_for() -> None:
    class Device(Bare):
        async def on_client_disconnect(self, conn: Any, msg: str, connection_valid: bool) -> None:
            try:
                await asyncio.sleep(3600)
            finally:
                ended.append(msg)

    ended: list[str] = []
    server = Device("127.0.0.1", 0)
    server._server.DISCONNECT_TIMEOUT = 0.05  # type: ignore[misc]
    server.start()
    async with talking(server) as client:
        await server.stop()
        assert await client.rest() == b""
    await until(lambda: ended)


# -- all clients --------------------------------------------------------------------------


async def test_newcomers_are_announced_to_the_others() -> None:
    class Device(Bare):
        announces_clients = True

    async with serving(Device("127.0.0.1", 0)) as server, talking(server) as first:
        await asyncio.sleep(0.06)
        async with talking(server) as second, talking(server) as third:
            ports = [c.writer.get_extra_info("sockname")[1] for c in (second, third)]
            assert await first.lines(2) == [
                b"#client-connected 127.0.0.1:%d" % port for port in ports
            ]
            assert await second.line() == b"#client-connected 127.0.0.1:%d" % ports[1]
            assert await third.ask(b"?watchdog") == [b"!watchdog ok"]
        # They go without a word.
        await until(lambda: len(server._server.connections) == 1)
        assert await first.ask(b"?watchdog") == [b"!watchdog ok"]


@pytest.mark.parametrize("kind", [Bare, BareThreaded])
async def test_mass_inform_reaches_everybody(kind: Any) -> None:
    server = kind("127.0.0.1", 0)
    server.mass_inform(Message.inform("nobody-is-there"))
    async with serving(server), talking(server) as a, talking(server) as b:
        server.mass_inform(Message.inform("hello", "all of you"))
        for client in (a, b):
            assert await client.line() == b"#hello all\\_of\\_you"
        with pytest.raises(AssertionError):
            server.mass_inform(Message.reply("hello", "ok"))
    server.mass_inform(Message.inform("nobody-is-there"))
    await asyncio.sleep(0)


async def test_those_that_come_too_late_are_told_so() -> None:
    class Device(Bare):
        async def on_client_disconnect(self, conn: Any, msg: str, connection_valid: bool) -> None:
            await gate.wait()

    gate = asyncio.Event()
    server = Device("127.0.0.1", 0)
    server.start()
    async with talking(server):
        # A connection that the system has taken before the port was closed.
        stopping = server.stop()
        await until(lambda: not server.running())
        late = ClientConnection(server._server, None)
        one, other = socket.socketpair()
        await asyncio.get_running_loop().create_connection(lambda: late, sock=one)
        other.settimeout(0)
        assert await asyncio.get_running_loop().sock_recv(other, 1000) == GOODBYE
        other.close()
        gate.set()
        await stopping


# -- the end ------------------------------------------------------------------------------


async def test_the_order_of_the_end() -> None:
    class Device(Bare):
        async def request_wait(self, req: Any) -> None:
            """Wait for ever."""
            await asyncio.sleep(3600)

    server = Device("127.0.0.1", 0)
    server.start()
    async with talking(server) as client, talking(server) as other:
        await client.send(b"?wait[1]", b"?wait[2]")
        await until(lambda: server.katcp_under_way)
        await server.stop()
        assert await client.rest() == b"!wait[1] fail request_cancelled\n" + GOODBYE
        assert await other.rest() == GOODBYE
    assert not server.katcp_under_way


async def test_handlers_of_clients_that_are_gone_end_too() -> None:
    class Device(Bare):
        ended = 0

        async def request_wait(self, req: Any) -> None:
            """Wait for ever."""
            try:
                await asyncio.sleep(3600)
            finally:
                self.ended += 1

        async def inform_wait(self, conn: Any, msg: Message) -> None:
            """Wait for ever."""
            try:
                await asyncio.sleep(3600)
            finally:
                self.ended += 1

    server = Device("127.0.0.1", 0)
    server.start()
    for line in (b"?wait", b"#wait"):
        async with talking(server) as client:
            await client.send(line)
            await asyncio.sleep(0.02)
    await until(lambda: not server._server.connections)
    assert server.ended == 0
    await server.stop()
    await until(lambda: server.ended == 2)


async def test_a_client_that_does_not_read_does_not_hold_up_the_end() -> None:
    server = Bare("127.0.0.1", 0)
    server._server.DISCONNECT_TIMEOUT = 0.05  # type: ignore[misc]
    server.start()
    async with talking(server) as reader:
        sock = socket.create_connection(server.bind_address)
        await until(lambda: len(server._server.connections) == 2)
        connection = list(server._server.connections)[1]
        connection.inform(Message.inform("x", b"x" * 7_000_000))
        await asyncio.wait_for(server.stop(), 10)
        assert await reader.rest() == GOODBYE
        sock.close()
    assert not server._server.connections


async def test_a_thousand_connections_come_and_go() -> None:
    async with serving(Bare("127.0.0.1", 0)) as server:
        socks = [socket.create_connection(server.bind_address) for _ in range(300)]
        await until(lambda: len(server._server.connections) == 300)
        for sock in socks:
            sock.close()
        await until(lambda: not server._server.connections)
        await still_serves(server)


def test_an_interrupt_passes_through_hooks() -> None:
    class Device(Bare):
        def on_client_connect(self, conn: Any) -> Any:
            raise KeyboardInterrupt

        def on_client_disconnect(self, conn: Any, msg: str, connection_valid: bool) -> Any:
            raise KeyboardInterrupt

    async def run() -> None:
        server = Device("127.0.0.1", 0)
        async with serving(server):
            connection = ClientConnection(server._server, None)
            with pytest.raises(KeyboardInterrupt):
                server._server.connected(connection)
            with pytest.raises(KeyboardInterrupt):
                server._server.disconnected(connection, "gone")

    asyncio.run(run())


async def test_disconnecting_after_the_end_is_no_error() -> None:
    server = BareThreaded("127.0.0.1", 0)
    async with serving(server), talking(server) as client:
        (connection,) = server._server.connections
        await asyncio.wait_for(server.stop(), 10)
        await client.rest()
        assert connection.disconnect("Again.").result(10) is None


def test_what_is_for_a_loop_that_has_ended_is_dropped() -> None:
    server = BareThreaded("127.0.0.1", 0)
    with serving_in_thread(server):
        listener = server._server
    called: list[int] = []
    listener.in_loop(called.append, 1)
    assert called == []


async def test_many_clients_at_once_are_taken_a_few_a_turn() -> None:
    turns = [0]

    class Counted(Bare):
        announces_clients = True

        def on_client_connect(self, client_conn: Any) -> Any:
            turns[-1] += 1
            return super().on_client_connect(client_conn)

    def next_turn() -> None:
        turns.append(0)
        asyncio.get_running_loop().call_soon(next_turn)

    async with serving(Counted("127.0.0.1", 0)) as server:
        next_turn()
        clients = []
        for _ in range(5 * _ACCEPT_AT_ONCE):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(server.bind_address)
            clients.append(client)
        await until(lambda: len(server._server.connections) == len(clients))
        for client in clients:
            client.close()
        assert sum(turns) == len(clients)
        assert max(turns) <= _ACCEPT_AT_ONCE
        await until(lambda: not server._server.connections)


async def test_a_new_client_has_nothing_that_it_does_not_need() -> None:
    async with serving(Bare("127.0.0.1", 0)) as server, talking(server) as client:
        await until(lambda: server._server.connections)
        (connection,) = server._server.connections
        assert await client.ask(b"?watchdog") == [b"!watchdog ok"]
        for name in ("requests", "deferred"):
            assert name not in connection.__dict__
            with pytest.raises(AttributeError):
                object.__getattribute__(connection, name)
            made = getattr(connection, name)
            assert made == set()
            assert getattr(connection, name) is made
        with pytest.raises(AttributeError, match="'ClientConnection' object has no attribute 'x'"):
            connection.x  # noqa: B018  # reading it is the test


@pytest.mark.parametrize("turns", range(5))
def test_a_client_that_was_just_accepted_is_let_go(turns: int) -> None:
    # asyncio tells of a client some turns after it has accepted it; the server ends in between.
    class Slow(BareThreaded):
        async def on_client_connect(self, client_conn: Any) -> None:
            await asyncio.sleep(60)

    server = Slow("127.0.0.1", 0)
    server.start(timeout=5)
    client = socket.socket()

    async def knock_and_stop() -> None:
        client.connect(server.bind_address)
        for _ in range(turns):
            await asyncio.sleep(0)
        server.stop()

    with client:
        server.ioloop.add_callback(knock_and_stop)
        server.join(timeout=5)
        client.settimeout(5)
        with contextlib.suppress(ConnectionResetError):  # it was not accepted
            while client.recv(1000):
                pass
