"""What code for katcp-python 0.9.3, and its tests, do with a server's insides."""

from __future__ import annotations

import asyncio
import concurrent.futures
import queue
import socket
import threading
import unittest
from typing import Any, ClassVar
from unittest import mock

import pytest
from tornado import gen
from tornado.ioloop import IOLoop

from katcp.errors import AsyncReply
from katcp.kattypes import Int, Str, concurrent_reply, request, return_reply
from katcp.protocol import Message, ProtocolFlags
from katcp.sampling import SampleEvent, SamplePeriod
from katcp.sensors import Sensor
from katcp.server import (
    AsyncDeviceServer,
    ClientConnection,
    ClientRequestConnection,
    DeviceServer,
    DeviceServerBase,
    KATCPServer,
    ThreadsafeClientConnection,
)
from tests.helpers.serving import serving, serving_in_thread, talking, until
from tests.helpers.wire import WireClient


class Device(DeviceServer):
    PROTOCOL_INFO = ProtocolFlags(5, 0, [ProtocolFlags.MULTI_CLIENT, ProtocolFlags.MESSAGE_IDS])
    announces_clients = False

    def setup_sensors(self) -> None:
        self.add_sensor(Sensor(Sensor.INTEGER, "an.int", "An Integer.", "count", [-5, 5], 3))
        self.add_sensor(Sensor(Sensor.FLOAT, "a.float", "A Float.", "", [-1.5, 1.5]))

    @request(Str(), Int(default=1))
    @return_reply(Str())
    def request_echo(self, req: Any, text: str, times: int) -> Any:
        """Echo."""
        req.inform("echoing", times)
        return ("ok", text * times)

    @request()
    @return_reply(Int())
    @concurrent_reply
    @gen.coroutine
    def request_soon(self, req: Any) -> Any:
        """Take a moment."""
        yield gen.moment
        raise gen.Return(("ok", 5))

    @gen.coroutine
    def request_generator(self, req: Any, msg: Message) -> Any:
        """Take a moment, in the loop."""
        yield gen.moment
        raise gen.Return(req.make_reply("ok", IOLoop.current() is self.ioloop))

    def request_later(self, req: Any, msg: Message) -> Any:
        """Answer later."""
        self.later = req
        raise AsyncReply

    def request_who(self, req: Any, msg: Message) -> Any:
        """Tell who asks."""
        self.asked_by = req.client_connection
        assert req.msg is msg
        return req.make_reply("ok")


class InLoop(Device, AsyncDeviceServer):
    pass


class Conn:
    """A connection of a test: it has only what tests of 0.9.3 give it."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def inform(self, msg: Message) -> None:
        self.messages.append(str(msg))

    def reply(self, msg: Message, req_msg: Message) -> None:
        assert msg.name == req_msg.name
        self.messages.append(str(msg))

    def mass_inform(self, msg: Message) -> None:
        self.messages.append(f"all {msg}")


# -- handlers called without sockets ------------------------------------------------------


@pytest.mark.parametrize("kind", [Device, InLoop])
def test_messages_handled_without_sockets_and_loop(kind: Any) -> None:
    device, conn = kind("", 0), Conn()
    for msg in [
        Message.request("echo", "x", 2, mid=7),
        Message.request("echo", "x"),
        Message.request("watchdog"),
        Message.request("nope", mid=3),
        Message.request("sensor-value", "an.int", mid=4),
        Message.request("sensor-list", "an.int"),
        Message.request("sensor-sampling", "an.int"),
        Message.request("sensor-sampling", "an.int", "event"),
        Message.request("sensor-sampling-clear"),
        Message.request("client-list"),
        Message.request("halt"),
        Message.inform("nobody-knows"),
        Message.reply("nobody-knows"),
    ]:
        device.handle_message(conn, msg)
    when = device.get_sensor("an.int").read().timestamp
    assert conn.messages == [
        "#echo[7] echoing 2",
        "!echo[7] ok xx",
        "#echo echoing 1",
        "!echo ok x",
        "!watchdog ok",
        "!nope[3] invalid Unknown\\_request.",
        f"#sensor-value[4] {when:.6f} 1 an.int unknown 3",
        "!sensor-value[4] ok 1",
        "#sensor-list an.int An\\_Integer. count integer -5 5",
        "!sensor-list ok 1",
        "!sensor-sampling ok an.int none",
        "!sensor-sampling fail "
        "Nothing\\_can\\_be\\_sampled\\_before\\_the\\_server\\_is\\_started.",
        "!sensor-sampling-clear ok",
        "!client-list ok 0",
        "!halt ok",
    ]


def test_the_connection_of_a_request_is_the_one_given() -> None:
    device, conn = Device("", 0), Conn()
    device.handle_request(conn, Message.request("who"))
    assert device.asked_by is conn


@pytest.mark.parametrize("connection", [mock.Mock(), mock.Mock(spec=ClientConnection)])
def test_a_mock_may_be_the_connection(connection: Any) -> None:
    device = Device("", 0)
    msg = Message.request("echo", "x", mid=7)
    device.handle_message(connection, msg)
    ((inform,), _) = connection.inform.call_args
    assert str(inform) == "#echo[7] echoing 1"
    ((reply, orig_req), _) = connection.reply.call_args
    assert str(reply) == "!echo[7] ok x"
    assert orig_req is msg


async def test_coroutines_handled_without_sockets() -> None:
    for device in (Device("", 0), InLoop("", 0)):
        conn = Conn()
        device.handle_message(conn, Message.request("soon", mid=1))
        await until(lambda conn=conn: conn.messages)
        assert conn.messages == ["!soon[1] ok 5"]


def test_coroutines_of_a_server_that_runs_handled_from_another_thread() -> None:
    with serving_in_thread(Device("127.0.0.1", 0)) as device:
        conn = Conn()
        device.handle_message(conn, Message.request("generator", mid=1)).result(10)
        device.handle_message(conn, Message.request("echo", "x"))
        assert conn.messages == ["!generator[1] ok 1", "#echo echoing 1", "!echo ok x"]


def test_a_connection_of_a_test_is_greeted_too() -> None:
    device, conn = Device("", 0), Conn()
    device.on_client_connect(conn)
    assert [line.split(" ")[:2] for line in conn.messages] == [
        ["#version-connect", "katcp-protocol"],
        ["#version-connect", "katcp-library"],
        ["#version-connect", "katcp-device"],
    ]
    conn.messages.clear()
    device.on_client_disconnect(conn, "Enough.", True)
    assert conn.messages == ["#disconnect Enough."]


def test_an_answer_that_comes_later_without_sockets() -> None:
    device, conn = Device("", 0), Conn()
    device.handle_message(conn, Message.request("later", mid=1))
    assert conn.messages == []
    device.later.inform("almost")
    device.later.mass_inform(Message.inform("everybody"))
    device.later.reply("ok", 3)
    assert conn.messages == ["#later[1] almost", "all #everybody", "!later[1] ok 3"]


async def test_sampling_for_a_connection_of_a_test() -> None:
    async with serving(InLoop("127.0.0.1", 0)) as device:
        conn = Conn()
        device.get_sensor("an.int").set(1, Sensor.NOMINAL, 4)
        device.handle_message(conn, Message.request("sensor-sampling", "an.int", "event"))
        device.get_sensor("an.int").set(2, Sensor.NOMINAL, 5)
        device.handle_message(conn, Message.request("sensor-sampling", "an.int"))
        device.clear_strategies(conn)
        device.get_sensor("an.int").set(3, Sensor.NOMINAL, 6)
        assert conn.messages == [
            "#sensor-status 1.000000 1 an.int nominal 4",
            "!sensor-sampling ok an.int event",
            "#sensor-status 2.000000 1 an.int nominal 5",
            "!sensor-sampling ok an.int event",
        ]


# -- requests -----------------------------------------------------------------------------


def test_a_request_made_by_hand() -> None:
    conn = Conn()
    req = ClientRequestConnection(conn, Message.request("foo", "a", mid=7))
    assert req.client_connection is conn
    assert str(req.msg) == "?foo[7] a"
    assert str(req.make_reply("ok", 1.5)) == "!foo[7] ok 1.5"
    req.inform("x", 1)
    req.mass_inform(Message.inform("all"))
    req.reply("ok", 2)
    assert conn.messages == ["#foo[7] x 1", "all #all", "!foo[7] ok 2"]
    with pytest.raises(RuntimeError, match=r"^Reply to request <Message request foo .*> already"):
        req.reply("ok")
    with pytest.raises(RuntimeError, match="already sent"):
        req.reply_with_message(Message.reply("foo", "ok"))
    with pytest.raises(RuntimeError, match=r"Cannot send inform for request .* after sending"):
        req.inform("late")
    req = ClientRequestConnection(conn, Message.request("foo"))
    with pytest.raises(AssertionError):
        req.reply_with_message(Message.reply("bar", "ok"))
    req.reply_with_message(Message.reply("foo", "ok"))
    assert conn.messages[-1] == "!foo ok"
    with pytest.raises(RuntimeError, match="already sent"):
        req.reply_again("ok")
    with pytest.raises(RuntimeError, match="after sending reply"):
        req.inform_after_reply("late")


def test_a_request_may_carry_what_a_user_puts_on_it() -> None:
    req = ClientRequestConnection(Conn(), Message.request("foo"))
    req.started = 5.0  # type: ignore[attr-defined]
    req.reply = mock.Mock()  # type: ignore[method-assign]
    req.reply("ok")
    req.reply.assert_called_once_with("ok")


# -- tables of a server -------------------------------------------------------------------


async def test_handlers_put_into_the_tables_of_one_server() -> None:
    def hello(self: Any, req: Any, msg: Message) -> Message:
        """Say hello."""
        reply: Message = req.make_reply("ok", "hello", *msg.arguments)
        return reply

    def greet(self: Any, conn: Any, msg: Message) -> None:
        conn.inform(Message.inform("greeted", *msg.arguments))

    for kind in (Device, InLoop):
        device, other = kind("127.0.0.1", 0), kind("127.0.0.1", 0)
        device._request_handlers = device._request_handlers.copy()
        device._request_handlers["hello"] = hello
        device._inform_handlers = dict(device._inform_handlers, greet=greet)
        device._reply_handlers = dict(device._reply_handlers, greet=greet)
        async with serving(device), serving(other), talking(device) as client:
            assert await client.ask(b"?hello[1] x") == [b"!hello[1] ok hello x"]
            assert await client.ask(b"?help hello") == [b"#help hello Say\\_hello.", b"!help ok 1"]
            await client.send(b"#greet 1", b"!greet 2")
            assert await client.lines(2) == [b"#greeted 1", b"#greeted 2"]
            device._request_handlers["hi"] = hello
            assert [b"!hi" in line for line in await client.ask(b"?help hi")] == [False, False]
            del device._request_handlers["hello"]
            assert await client.ask(b"?hello") == [b"!hello invalid Unknown\\_request."]
            async with talking(other) as plain:
                assert await plain.ask(b"?hi") == [b"!hi invalid Unknown\\_request."]


async def test_the_dictionary_of_sensors_may_be_changed() -> None:
    async with serving(InLoop("127.0.0.1", 0)) as device, talking(device) as client:
        assert type(device._sensors) is dict
        device._sensors["b.bool"] = Sensor.boolean("b.bool", "A Boolean.")
        del device._sensors["a.float"]
        *informs, _ = await client.ask(b"?sensor-list")
        assert [line.split(b" ")[1] for line in informs] == [b"an.int", b"b.bool"]


async def test_versions_may_be_added_while_it_runs() -> None:
    async with serving(Device("127.0.0.1", 0)) as device, talking(device) as client:
        assert device.extra_versions == {}
        device.extra_versions["part-a"] = ("1.0", None)
        device.extra_versions["part-b"] = ("2.0", "build-7")
        assert (await client.ask(b"?version-list"))[3:] == [
            b"#version-list part-a 1.0",
            b"#version-list part-b 2.0 build-7",
            b"!version-list ok 5",
        ]


def test_requests_that_a_version_does_not_have() -> None:
    class Old(Device):
        PROTOCOL_INFO = ProtocolFlags(4, 0, [ProtocolFlags.MULTI_CLIENT])
        UNSUPPORTED_REQUESTS_BY_MAJOR_VERSION: ClassVar[Any] = {4: {"version-list", "echo"}}

    assert {4: {"version-list"}} == DeviceServer.UNSUPPORTED_REQUESTS_BY_MAJOR_VERSION
    assert {"version-list", "echo"} & set(Old("", 0)._request_handlers) == set()
    assert "echo" in Old._request_handlers
    assert "echo" in Device("", 0)._request_handlers


async def test_clients_and_their_strategies() -> None:
    async with serving(InLoop("127.0.0.1", 0)) as device:
        assert device._client_conns == set()
        assert dict(device._strategies) == {}
        async with talking(device) as client:
            (conn,) = device._client_conns
            assert list(device._strategies) == [conn]
            assert len(device._strategies) == 1
            mine = device._strategies[conn]
            assert dict(mine) == {}
            await client.ask(b"?sensor-sampling an.int period 10")
            await client.ask(b"?sensor-sampling a.float event")
            (period, event) = mine.values()
            assert type(period) is SamplePeriod
            assert period.get_sampling_formatted() == (b"period", [b"10"])
            assert type(event) is SampleEvent
            sensor = device.get_sensor("an.int")
            assert sensor in mine
            mine[sensor].cancel()
            assert await client.ask(b"?sensor-sampling an.int") == [
                b"!sensor-sampling ok an.int none"
            ]
            assert mine.pop(device.get_sensor("a.float"), None) is not None
            assert len(mine) == 0
            with pytest.raises(KeyError):
                mine[sensor]
            with pytest.raises(KeyError):
                del mine[sensor]
            with pytest.raises(KeyError):
                device._strategies["nobody"]
        await until(lambda: not device._client_conns)
        assert len(device._strategies) == 0


async def test_a_strategy_of_the_devices_own_ends_with_its_client() -> None:
    async with serving(InLoop("127.0.0.1", 0)) as device:
        calls: list[Any] = []
        sensor, other = device.get_sensor("an.int"), device.get_sensor("a.float")

        def add(conn: Any, sensor: Sensor) -> SampleEvent:
            strategy = SampleEvent(lambda sensor, reading: calls.append(reading.value), sensor)
            device._strategies[conn][sensor] = strategy
            strategy.start()
            return strategy

        async with talking(device) as client:
            (conn,) = device._client_conns
            strategy = add(conn, sensor)
            assert device._strategies[conn][sensor] is strategy
            await client.ask(b"?watchdog")
            sensor.set_value(4)
            assert calls == [3, 4]
            add(conn, sensor)  # replaces it
            assert strategy not in sensor._observers
            await client.ask(b"?watchdog")
            add(conn, other)
            await client.ask(b"?watchdog")
            assert len(device._strategies[conn]) == 2
            device.remove_sensor(other)
            assert other._observers == set()
            device.clear_strategies(conn)
            assert sensor._observers == set()
            strategy = add(conn, sensor)
            await client.ask(b"?watchdog")
            assert strategy in sensor._observers
        await until(lambda: not device._client_conns)
        assert sensor._observers == set()


async def test_the_ways_to_sample_may_be_overridden() -> None:
    class Picky(InLoop):
        PROTOCOL_INFO = ProtocolFlags(5, 1, "IMB")
        asked: list[str]

        @gen.coroutine
        def _handle_sensor_sampling(self, req: Any, msg: Message) -> Any:
            self.asked.append("single")
            reply = yield super()._handle_sensor_sampling(req, msg)
            raise gen.Return(reply)

        @gen.coroutine
        def _handle_bulk_set_sensor_sampling(self, req: Any, msg: Message) -> Any:
            self.asked.append("bulk")
            reply = yield super()._handle_bulk_set_sensor_sampling(req, msg)
            raise gen.Return(reply)

    for kind in (Picky, type("Threaded", (Picky,), {})):
        device = kind("127.0.0.1", 0)
        device.asked = []
        async with serving(device), talking(device) as client:
            assert (await client.ask(b"?sensor-sampling an.int,a.float auto"))[-1] == (
                b"!sensor-sampling ok an.int,a.float auto"
            )
            assert await client.ask(b"?sensor-sampling an.int") == [
                b"!sensor-sampling ok an.int auto"
            ]
        assert device.asked == ["bulk", "single"]
    assert [
        device._is_bulk_sampling_required(args)
        for args in ([], [b"a"], [b"a", b"event"], [b"a,b"], [b"a,b", b"event"])
    ] == [False, False, True, True, True]
    assert not Device("", 0)._is_bulk_sampling_required([b"a,b", b"event"])


def test_readings_sent_by_hand() -> None:
    device, conn = Device("", 0), Conn()
    for sensor in device.get_sensors():
        sensor.set(1.5, Sensor.NOMINAL, 1)
    req = ClientRequestConnection(conn, Message.request("sensor-value", mid=2))
    device._send_sensor_value_informs(req, [(s.name, s) for s in device.get_sensors()])
    assert conn.messages == [
        "#sensor-value[2] 1.500000 1 an.int nominal 1",
        "#sensor-value[2] 1.500000 1 a.float nominal 1.0",
    ]


# -- the socket side ----------------------------------------------------------------------


def test_the_socket_side_used_from_another_thread() -> None:
    device = Device("127.0.0.1", 0)
    server = device._server
    assert server._connections == {}
    with pytest.raises(RuntimeError):
        server.call_from_thread(lambda: 5).result(10)
    device.start(timeout=10)
    try:
        address = device.bind_address
        with socket.create_connection(address, timeout=10) as sock, sock.makefile("rb") as stream:
            for _ in range(3):
                stream.readline()
            ((key, conn),) = server._connections.items()
            assert isinstance(conn, ThreadsafeClientConnection)
            host, port = sock.getsockname()
            assert server.get_address(key) == conn.address == f"{host}:{port}"
            assert server.call_from_thread(server.in_ioloop_thread).result(10) is True
            assert not server.in_ioloop_thread()
            for send in (server.send_message, server.send_message_from_thread):
                assert send(key, Message.inform("hi", 1)).result(10) is None
                assert stream.readline() == b"#hi 1\n"
            for send_all in (server.mass_send_message, server.mass_send_message_from_thread):
                assert send_all(Message.inform("all")).result(10) is None
                assert stream.readline() == b"#all\n"

            async def native() -> int:
                return 7

            @gen.coroutine
            def generator() -> Any:
                yield gen.moment
                raise gen.Return(8)

            async def fails() -> None:
                raise KeyError("inside")

            async def cancelled() -> None:
                raise asyncio.CancelledError

            assert server.call_from_thread(native).result(10) == 7
            assert server.call_from_thread(generator).result(10) == 8
            for function in (fails, lambda: {}["inside"]):
                with pytest.raises(KeyError):
                    server.call_from_thread(function).result(10)
            with pytest.raises(concurrent.futures.CancelledError):
                server.call_from_thread(cancelled).result(10)
            server.call_from_thread(lambda: server.flush_on_close(key)).result(10)
            assert stream.read() == b""
            conn.inform(Message.inform("late"))  # to nobody, without an error
    finally:
        device.stop().result(10)
        device.join(10)


async def test_calling_from_the_loop_itself() -> None:
    async with serving(InLoop("127.0.0.1", 0)) as device:
        assert await device._server.call_from_thread(lambda: 5) == 5


class Plain:
    """A device that has no base class."""

    def __init__(self, *, slow: bool) -> None:
        self.slow = slow
        self.gone: list[str] = []

    def on_client_connect(self, conn: Any) -> Any:
        conn.inform(Message.inform("welcome"))
        return gen.sleep(0.001) if self.slow else None

    def on_client_disconnect(self, conn: Any, reason: str, connection_valid: bool) -> Any:
        self.gone.append(reason)
        if connection_valid:
            conn.inform(Message.inform("bye", reason))

    def on_message(self, conn: Any, msg: Message) -> Any:
        if msg.name == "fail":
            raise RuntimeError("cannot")
        return self.answer(conn, msg) if self.slow else conn.reply(_ok(msg), msg)

    @gen.coroutine
    def answer(self, conn: Any, msg: Message) -> Any:
        yield gen.sleep(0.002 if msg.arguments else 0)
        if msg.name == "fail-later":
            raise RuntimeError("cannot either")
        conn.reply(_ok(msg), msg)

    def create_log_inform(
        self, level_name: str, msg: str, name: str, timestamp: float | None = None
    ) -> Message:
        return Message.inform("log", level_name, name, msg)


def _ok(msg: Message) -> Message:
    return Message.reply_to_request(msg, "ok")


@pytest.mark.parametrize("slow", [False, True])
async def test_any_object_may_be_the_device(slow: bool) -> None:
    device = Plain(slow=slow)
    server = KATCPServer(device, "127.0.0.1", 0)
    server.set_ioloop(IOLoop.current())
    server.start()
    async with await WireClient.connect(server.bind_address, greeting=0) as client:
        assert await client.line() == b"#welcome"
        await client.send(b"?x[1] wait", b"?y[2]", b"?fail[3]", b"!?", b"?z[4]")
        assert await client.lines(2) == [b"!x[1] ok", b"!y[2] ok"]
        assert (await client.line()).startswith(b"#log error root Handling\\_'fail'\\_failed")
        assert (await client.line()).startswith(b"#log error root ")
        assert await client.line() == b"!z[4] ok"
        if slow:
            await client.send(b"?fail-later[5]", b"?z[6]")
            assert (await client.line()).startswith(b"#log error root Handling")
            assert await client.line() == b"!z[6] ok"
        server.mass_send_message(Message.inform("all"))
        assert await client.line() == b"#all"
        await server.stop()
        assert await client.line() == b"#bye Device\\_server\\_shutting\\_down."
    assert device.gone == ["Device server shutting down."]


async def test_a_class_of_connections_with_the_two_parameters_of_old() -> None:
    class Named(ClientConnection):
        def __init__(self, server: Any, conn_id: Any) -> None:
            super().__init__(server, conn_id)
            self.nickname = f"client {conn_id}"

    device = InLoop("127.0.0.1", 0)
    device._server.client_connection_factory = Named
    async with serving(device), talking(device), talking(device):
        assert [conn.nickname for conn in device._client_conns] == ["client 1", "client 2"]


# -- threads ------------------------------------------------------------------------------


class RestartTest(unittest.TestCase):
    """As in the tutorial of 0.9.3."""

    def setUp(self) -> None:
        self.restart_queue: Any = queue.Queue()
        self.server = Device("127.0.0.1", 0)
        self.server.set_restart_queue(self.restart_queue)
        self.server.start(timeout=10)
        self.addCleanup(self.server.join)
        self.addCleanup(self.server.stop)

    def ask(self, line: bytes) -> bytes:
        address = self.server.bind_address
        with socket.create_connection(address, timeout=10) as sock, sock.makefile("rwb") as stream:
            for _ in range(3):
                stream.readline()
            stream.write(line + b"\n")
            stream.flush()
            return stream.readline()

    def test_restart(self) -> None:
        address = self.server.bind_address
        for _ in range(3):
            assert self.ask(b"?restart") == b"!restart ok\n"
            device = self.restart_queue.get(timeout=10)
            assert device is self.server
            device.stop()
            device.join()
            assert not device.running()
            device.start()
            assert device.bind_address == address
        assert self.ask(b"?watchdog[1]") == b"!watchdog[1] ok\n"

    def test_anything_with_put_is_a_queue(self) -> None:
        waiting: Any = mock.Mock(spec=["put"])
        self.server.set_restart_queue(waiting)
        assert self.ask(b"?restart") == b"!restart ok\n"
        waiting.put.assert_called_once_with(self.server)
        self.server.set_restart_queue(None)
        assert self.ask(b"?restart").startswith(b"!restart fail No\\_restart\\_queue")


def test_a_handler_in_a_thread_may_stop_the_server() -> None:
    class Stopping(Device):
        def request_stop(self, req: Any, msg: Message) -> Any:
            """Stop."""
            assert threading.current_thread().name.startswith("katcp-handlers")
            self.stop()
            return req.make_reply("ok")

    device = Stopping("127.0.0.1", 0)
    device.start(timeout=10)
    address = device.bind_address
    with socket.create_connection(address, timeout=10) as sock, sock.makefile("rwb") as stream:
        for _ in range(3):
            stream.readline()
        stream.write(b"?stop[1]\n")
        stream.flush()
        device.join(10)
        assert not device.running()
        reply = stream.readline()
        assert reply in (b"!stop[1] ok\n", b"!stop[1] fail request_cancelled\n")
        assert stream.read() == b"#disconnect Device\\_server\\_shutting\\_down.\n"


def test_join_waits_for_a_handler_that_is_under_way() -> None:
    go_on, done = threading.Event(), threading.Event()

    class Blocking(Device):
        def request_block(self, req: Any, msg: Message) -> Any:
            """Block."""
            req.inform("blocking")
            go_on.wait(10)
            done.set()
            return req.make_reply("ok")

    device = Blocking("127.0.0.1", 0)
    device.start(timeout=10)
    address = device.bind_address
    with socket.create_connection(address, timeout=10) as sock, sock.makefile("rwb") as stream:
        stream.write(b"?block\n")
        stream.flush()
        while stream.readline() != b"#block blocking\n":
            pass
        device.stop().result(10)
        device.join(0.01)
        assert not done.is_set()
        go_on.set()
        device.join()
        assert done.is_set()
        assert not any(t.name.startswith("katcp-handlers") for t in threading.enumerate())


def test_daemon() -> None:
    for device in (Device("127.0.0.1", 0), Device("127.0.0.1", 0)):
        assert device.daemon is False
        device.setDaemon(True)
        assert device.daemon is True
        device.daemon = False
        assert device._server.daemon is False
        device._server.setDaemon(True)
        assert device.daemon is True


def test_where_handlers_run_is_chosen_before_the_start() -> None:
    device = DeviceServerBase("127.0.0.1", 0)
    assert device._concurrency_options == {"thread_safe": True, "handler_thread": True}
    device.set_concurrency_options(thread_safe=True, handler_thread=False)
    assert device._concurrency_options == {"thread_safe": True, "handler_thread": False}
    with pytest.raises(AssertionError):
        device.set_concurrency_options(False, True)
