"""The life of a server: starting, stopping, its loop and its threads."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import socket
import threading
import time
import weakref
from typing import Any

import pytest
from tornado import gen
from tornado.ioloop import IOLoop

from katcp.protocol import Message
from katcp.server import AsyncDeviceServer, DeviceServer, Sensor
from tests.helpers.serving import (
    Bare,
    BareThreaded,
    serving,
    serving_in_thread,
    still_serves,
    talking,
)

GOODBYE = b"#disconnect Device\\_server\\_shutting\\_down.\n"


def ask(address: tuple[str, int], request: bytes = b"?watchdog[9]") -> bytes:
    """Ask a server by a plain socket, without a loop."""
    with socket.create_connection(address, timeout=10) as sock:
        stream = sock.makefile("rwb")
        for _ in range(3):
            stream.readline()
        stream.write(request + b"\n")
        stream.flush()
        return stream.readline()


def is_free(port: int) -> bool:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


# -- life ---------------------------------------------------------------------------------


def test_the_life_of_a_server_with_a_thread_of_its_own() -> None:
    threads = threading.active_count()
    server = BareThreaded("127.0.0.1", 0)
    assert server.bind_address == ("127.0.0.1", 0)
    assert not server.running()
    assert server.ioloop is None
    server.start()
    host, port = server.bind_address
    assert port != 0
    assert server.wait_running(10)
    assert server.running()
    assert isinstance(server.ioloop, IOLoop)
    assert ask((host, port)) == b"!watchdog[9] ok\n"
    with pytest.raises(RuntimeError, match="already started"):
        server.start()
    stopped = server.stop()
    assert isinstance(stopped, concurrent.futures.Future)
    assert stopped.result(10) is None
    server.join(10)
    assert not server.running()
    assert is_free(port)
    assert threading.active_count() == threads


def test_it_may_be_started_again_and_has_the_same_port() -> None:
    server = BareThreaded("127.0.0.1", 0)
    ports = set()
    for join in (True, False, True):
        server.start(timeout=10)
        ports.add(server.bind_address[1])
        assert ask(server.bind_address) == b"!watchdog[9] ok\n"
        server.stop().result(10)
        if join:
            server.join(10)
    server.join(10)
    assert len(ports) == 1


def test_stopping_what_does_not_run_is_no_error() -> None:
    server = BareThreaded("127.0.0.1", 0)
    assert server.stop().result(0) is None
    server.join()
    with serving_in_thread(server):
        pass
    assert server.stop().result(0) is None
    server.join(1)


def test_stopping_at_once_after_starting() -> None:
    for _ in range(10):
        server = BareThreaded("127.0.0.1", 0)
        server.start()
        port = server.bind_address[1]
        server.stop().result(10)
        server.join(10)
        assert is_free(port)


def test_stopping_from_two_threads_at_a_time() -> None:
    server = BareThreaded("127.0.0.1", 0)
    server.start(timeout=10)
    with socket.create_connection(server.bind_address) as sock:
        stream = sock.makefile("rb")
        for _ in range(3):
            stream.readline()
        results = []
        threads = [
            threading.Thread(target=lambda: results.append(server.stop().result(10)))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == [None] * 4
        assert stream.read() == GOODBYE
    server.join(10)


def test_stop_called_in_the_loop() -> None:
    server = BareThreaded("127.0.0.1", 0)
    server.start(timeout=10)
    futures: list[Any] = []
    server.ioloop.add_callback(lambda: futures.append(server.stop()))
    server.join(10)
    assert futures[0].result(10) is None
    assert not server.running()


def test_the_thread_may_be_a_daemon() -> None:
    server = BareThreaded("127.0.0.1", 0)
    server.setDaemon(True)
    with serving_in_thread(server):
        (thread,) = [t for t in threading.enumerate() if t.name.startswith("ioloop-")]
        assert thread.daemon


def test_a_port_that_is_taken_is_an_error_at_the_start(caplog: pytest.LogCaptureFixture) -> None:
    with serving_in_thread(BareThreaded("127.0.0.1", 0)) as first:
        second = BareThreaded("127.0.0.1", first.bind_address[1])
        with pytest.raises(OSError, match="in use"):
            second.start()
        assert not second.running()
        assert second.ioloop is None
        assert ask(first.bind_address) == b"!watchdog[9] ok\n"
    assert "Cannot listen on 127.0.0.1:" in caplog.text
    with serving_in_thread(second):
        assert ask(second.bind_address) == b"!watchdog[9] ok\n"


def test_a_start_that_fails_later_gives_the_port_back() -> None:
    server = BareThreaded("127.0.0.1", 0)
    manager = server._server._ioloop_manager
    manager.get_ioloop()
    manager.start(timeout=10)  # so that the server's own start of it will fail
    with pytest.raises(RuntimeError, match="already running"):
        server.start()
    assert is_free(server.bind_address[1])
    manager.stop().result(10)
    manager.join(10)


def test_no_thread_and_no_object_is_left_behind() -> None:
    class Device(DeviceServer):
        def setup_sensors(self) -> None:
            self.add_sensor(Sensor.integer("a.b", "A number."))

        def request_x(self, req: Any, msg: Message) -> Any:
            """Have the handler thread made."""
            return ("ok",)

    threads = threading.active_count()
    server = Device("127.0.0.1", 0)
    sensor = server.get_sensor("a.b")
    server.start(timeout=10)
    with socket.create_connection(server.bind_address) as sock:
        stream = sock.makefile("rwb")
        stream.write(
            b"?x\n?sensor-sampling a.b event\n?sensor-sampling a.b period 5\n"
            b"?sensor-sampling a.b event-rate 1 1000000\n?watchdog[9]\n"
        )
        stream.flush()
        while stream.readline() != b"!watchdog[9] ok\n":
            pass
        server.stop().result(10)
        server.join(10)
    remains = weakref.ref(server)
    del server
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        gc.collect()
        # A thread that has ended its work may need a moment to end itself.
        if remains() is None and threading.active_count() <= threads:
            break
        time.sleep(0.005)
    assert remains() is None
    assert threading.active_count() <= threads
    assert not sensor._notified


async def test_no_object_is_left_behind_in_a_loop_that_goes_on() -> None:
    class Device(AsyncDeviceServer):
        def setup_sensors(self) -> None:
            self.add_sensor(Sensor.integer("a.b", "A number."))

    server = Device("127.0.0.1", 0)
    server.start()
    async with talking(server) as client:
        await client.ask(b"?sensor-sampling a.b event-rate 1 1000000")
        await server.stop()
        await client.rest()
    remains = weakref.ref(server)
    del server
    await asyncio.sleep(0.06)  # newcomers may still be about to be announced
    gc.collect()
    assert remains() is None


async def test_the_life_of_a_server_in_the_present_loop() -> None:
    server = Bare("127.0.0.1", 0)
    assert server.ioloop is IOLoop.current()
    for _ in range(2):
        server.start()
        assert server.running()
        port = server.bind_address[1]
        await still_serves(server)
        await server.stop()
        assert not server.running()
        assert is_free(port)
        server.join()
        server.join(1)


async def test_stop_can_be_yielded() -> None:
    server = Bare("127.0.0.1", 0)
    server.start()

    @gen.coroutine
    def old_style() -> Any:
        yield server.stop()
        raise gen.Return(server.running())

    assert await old_style() is False


async def test_two_stops_at_a_time_wait_for_the_same_end() -> None:
    server = Bare("127.0.0.1", 0)
    server.start()
    async with talking(server) as client:
        first, second = server.stop(), server.stop()
        await second
        assert not server.running()
        assert not server._server.connections
        await first
        assert await client.rest() == GOODBYE


async def test_a_loop_may_be_set() -> None:
    server = BareThreaded("127.0.0.1", 0)
    server.set_ioloop(IOLoop.current())
    assert server.ioloop is IOLoop.current()
    with pytest.raises(RuntimeError, match="already set"):
        server.set_ioloop()
    async with serving(server):
        await still_serves(server)


async def test_a_loop_set_by_default_is_the_current_one() -> None:
    server = BareThreaded("127.0.0.1", 0)
    server.set_ioloop()
    assert server.ioloop is IOLoop.current()
    async with serving(server):
        await still_serves(server)


def test_a_server_made_without_a_loop_runs_in_that_of_its_start() -> None:
    server = Bare("127.0.0.1", 0)
    assert server.ioloop is None

    async def run() -> None:
        async with serving(server):
            assert server.ioloop is IOLoop.current()
            await still_serves(server)

    asyncio.run(run())


def test_a_server_in_a_loop_of_another_thread() -> None:
    loop = IOLoop(make_current=False)
    thread = threading.Thread(target=loop.start)
    thread.start()
    server = BareThreaded("127.0.0.1", 0)
    server.set_ioloop(loop)
    server.start(timeout=10)
    assert ask(server.bind_address) == b"!watchdog[9] ok\n"
    server.stop()
    server.join(timeout=10)
    assert is_free(server.bind_address[1])
    loop.add_callback(loop.stop)
    thread.join(10)
    loop.close()


def test_sync_with_ioloop() -> None:
    server = BareThreaded("127.0.0.1", 0)
    with pytest.raises(RuntimeError, match="no loop"):
        server.sync_with_ioloop()
    with serving_in_thread(server):
        called: list[int] = []
        server.ioloop.add_callback(called.append, 1)
        assert server.sync_with_ioloop(timeout=10) is None
        assert called == [1]
        server.ioloop.add_callback(time.sleep, 0.2)
        with pytest.raises(concurrent.futures.TimeoutError):
            server.sync_with_ioloop(timeout=0.01)


async def test_sync_with_ioloop_in_the_loop_is_a_future() -> None:
    async with serving(Bare("127.0.0.1", 0)) as server:
        assert await server.sync_with_ioloop() is None


def test_a_server_whose_loop_has_ended_can_be_stopped_and_started() -> None:
    server = BareThreaded("127.0.0.1", 0)
    server.start(timeout=10)
    assert server.ioloop is not None
    server.ioloop.add_callback(server.ioloop.stop)
    server.join(10)
    assert server.stop().result(10) is None
    assert not server.running()
    assert is_free(server.bind_address[1])
    with serving_in_thread(server):
        assert ask(server.bind_address) == b"!watchdog[9] ok\n"


# -- options ------------------------------------------------------------------------------


def test_the_handler_thread_needs_a_threadsafe_server() -> None:
    server = BareThreaded("127.0.0.1", 0)
    assert server.katcp_has_handler_thread
    with pytest.raises(AssertionError, match="thread_safe"):
        server.set_concurrency_options(thread_safe=False, handler_thread=True)
    server.set_concurrency_options(thread_safe=False, handler_thread=False)
    assert not server.katcp_has_handler_thread


def test_tb_limit() -> None:
    assert BareThreaded("127.0.0.1", 0).tb_limit == 20
    server = BareThreaded("127.0.0.1", 0, 3)
    assert server.tb_limit == 3
    server.tb_limit = 0
    assert server.tb_limit == 0
