"""A server that has been stopped, or was never started, leaves nothing behind."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import sys
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from tornado import gen

from katcp.protocol import Message
from katcp.sampling import SampleStrategy, update_in_ioloop
from katcp.sensors import Reading, Sensor
from katcp.server import AsyncDeviceServer, AsyncReply, ClientRequestConnection, DeviceServer


class Above(SampleStrategy):
    """Reports what is above a limit."""

    OBSERVE_UPDATES = True

    def get_sampling(self) -> int:
        return SampleStrategy.EVENT

    @update_in_ioloop
    def update(self, sensor: Sensor, reading: Reading) -> None:
        if reading.value > 5:
            self.inform(reading)


class Requests:
    """What keeps a server busy."""

    announces_clients = False
    held: Any
    add_sensor: Any
    get_sensor: Any
    _strategies: Any
    ioloop: Any

    def setup_sensors(self) -> None:
        self.held = []
        for name in ("a", "b", "c"):
            self.add_sensor(Sensor.integer(name, default=0))

    @gen.coroutine
    def request_generator(self, req: Any, msg: Message) -> Any:
        """Wait for ever as a generator."""
        req.inform("waiting")
        yield gen.sleep(1000)

    async def request_native(self, req: Any, msg: Message) -> Any:
        """Wait for ever as a coroutine."""
        req.inform("waiting")
        await asyncio.sleep(1000)

    def request_later(self, req: Any, msg: Message) -> Any:
        """Answer later, or never."""
        self.held.append(req)
        req.inform("waiting")
        raise AsyncReply

    def request_block(self, req: Any, msg: Message) -> Any:
        """Block for a moment that is longer than the client waits."""
        req.inform("waiting")
        time.sleep(0.1)
        return req.make_reply("ok")

    def request_fail(self, req: Any, msg: Message) -> Any:
        """Fail."""
        req.inform("waiting")
        raise ValueError("no")

    async def request_mine(self, req: Any, msg: Message) -> Any:
        """Sample by a strategy of the device's own."""
        conn = req.client_connection
        sensor = self.get_sensor("a")

        def report(sensor: Sensor, reading: Reading) -> None:
            conn.inform(Message.inform("above", sensor.name, reading.value))

        strategy = Above(report, sensor, ioloop=self.ioloop)
        self._strategies[conn][sensor] = strategy
        strategy.start()
        req.inform("waiting")
        return req.make_reply("ok")


class Managed(Requests, DeviceServer):
    pass


class InLoop(Requests, AsyncDeviceServer):
    pass


class Client:
    """A socket, used from a thread that may wait."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, timeout=10)
        self.stream = self.socket.makefile("rwb")
        for _ in range(3):
            self.stream.readline()

    def say(self, line: bytes) -> bytes:
        self.stream.write(line + b"\n")
        self.stream.flush()
        answer: bytes = self.stream.readline()
        return answer

    def close(self) -> None:
        self.stream.close()
        self.socket.close()


def nothing(address: tuple[str, int]) -> None:
    pass


def idle_client(address: tuple[str, int]) -> Client:
    return Client(address)


def sampling_client(address: tuple[str, int]) -> Client:
    client = Client(address)
    for line in (b"a event", b"b period 0.05", b"c event-rate 0.01 0.02"):
        assert client.say(b"?sensor-sampling " + line).startswith(b"#sensor-status ")
        while not client.stream.readline().startswith(b"!sensor-sampling ok "):
            pass
    return client


def asking_client(request: bytes) -> Callable[[tuple[str, int]], Client]:
    def ask(address: tuple[str, int]) -> Client:
        client = Client(address)
        assert client.say(b"?" + request + b"[5]") == b"#" + request + b"[5] waiting\n"
        return client

    ask.__name__ = request.decode()
    return ask


USES = [
    nothing,
    idle_client,
    sampling_client,
    *map(asking_client, [b"generator", b"native", b"later", b"block", b"fail", b"mine"]),
]


@pytest.fixture(params=USES, ids=lambda use: use.__name__)
def use(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def gone(monkeypatch: pytest.MonkeyPatch) -> Callable[[weakref.ref[Any]], bool]:
    """Tell whether nobody holds an object any more."""
    # Log records that pytest keeps hold a traceback, and thereby the server.
    monkeypatch.setattr(logging.getLogger("katcp.server"), "disabled", True)

    def gone(reference: weakref.ref[Any]) -> bool:
        for _ in range(3):
            gc.collect()
        return reference() is None

    return gone


@pytest.mark.parametrize("hangs_up", [True, False], ids=["client-gone", "client-stays"])
def test_a_managed_server_is_collected(use: Any, hangs_up: bool, gone: Any) -> None:
    threads = set(threading.enumerate())
    server: Any = Managed("127.0.0.1", 0)
    reference = weakref.ref(server)
    server.start(timeout=10)
    address = server.bind_address
    client = use(address)
    if client is not None and hangs_up:
        client.close()
    server.stop()
    server.join(10)
    assert set(threading.enumerate()) == threads
    if client is not None and not hangs_up:
        assert b"#disconnect Device\\_server\\_shutting\\_down." in client.stream.read()
        client.close()
    with pytest.raises(OSError):
        socket.create_connection(address, timeout=1)
    del server
    assert gone(reference)


async def test_a_server_in_a_loop_is_collected(use: Any, gone: Any) -> None:
    if use.__name__ == "generator":
        pytest.skip("what a generator waits for is not told that nobody waits any more")
    if use.__name__ == "native" and sys.version_info < (3, 11):
        pytest.skip("a cancelled coroutine was seen to stay, held by nothing that gc knows of")
    server: Any = InLoop("127.0.0.1", 0)
    reference = weakref.ref(server)
    server.start()
    loop = asyncio.get_running_loop()
    client = await loop.run_in_executor(None, use, server.bind_address)
    tasks = asyncio.all_tasks()
    await server.stop()
    assert not server.running()
    assert asyncio.all_tasks() <= tasks
    if client is not None:
        client.close()
    del server
    await asyncio.sleep(0.02)
    assert gone(reference)


@pytest.mark.parametrize("kind", [Managed, InLoop])
def test_a_server_that_was_never_started_is_collected(kind: Any, gone: Any) -> None:
    server = kind("127.0.0.1", 0)
    reference = weakref.ref(server)

    class Conn:
        def inform(self, msg: Message) -> None:
            assert msg.name == "later"

        def reply(self, msg: Message, orig: Message) -> None:
            raise AssertionError

    server.handle_message(Conn(), Message.request("later"))
    (req,) = server.held
    assert isinstance(req, ClientRequestConnection)
    del server, req
    assert gone(reference)


def test_a_server_is_collected_though_its_answer_is_still_to_come(gone: Any) -> None:
    server: Any = Managed("127.0.0.1", 0)
    reference = weakref.ref(server)
    server.start(timeout=10)
    client = asking_client(b"later")(server.bind_address)
    (req,) = server.held
    server.stop()
    server.join(10)
    client.close()
    sent = req.reply("ok")  # the server has answered in its place
    assert sent.done()
    del server, req
    assert gone(reference)


def test_it_can_be_started_and_stopped_many_times(gone: Any) -> None:
    threads = set(threading.enumerate())
    server: Any = Managed("127.0.0.1", 0)
    reference = weakref.ref(server)
    for _ in range(5):
        server.start(timeout=10)
        client = asking_client(b"block")(server.bind_address)
        server.stop().result(10)
        server.join(10)
        client.close()
        assert set(threading.enumerate()) == threads
    del server
    assert gone(reference)
