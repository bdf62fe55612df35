from __future__ import annotations

import asyncio
import logging
import socket
import threading
from typing import Any

import pytest
from tornado.gen import TimeoutError as TornadoTimeout
from tornado.ioloop import IOLoop

from katcp.aio import ExponentialRandomBackoff
from katcp.client import AsyncClient, DeviceClient, Message, address_to_string
from katcp.errors import KatcpClientError
from tests.helpers.scripted import V51, Device, Server, Session, until


def make(server: Server, cls: type[Any] = DeviceClient, **kwargs: Any) -> Any:
    client = cls(server.host, server.port, **kwargs)
    client.set_ioloop()
    return client


async def stop(client: DeviceClient) -> None:
    client.stop()
    await client.until_stopped(timeout=10)


async def test_from_start_to_stop() -> None:
    async with Device() as device:
        client = make(device)
        assert not client.running()
        assert not client.is_connected()
        assert client.ioloop is None
        client.start()
        assert client.running()
        assert client.ioloop is IOLoop.current()
        await client.until_running(timeout=1)
        await client.until_connected(timeout=5)
        assert client.is_connected()
        assert 0 <= client.ioloop.time() - client.last_connect_time < 60
        assert client.sockname[0] == "127.0.0.1"
        assert client.sockname_string == f"127.0.0.1:{client.sockname[1]}"
        assert client.bind_address == ("127.0.0.1", device.port)
        assert client.bind_address_string == f"127.0.0.1:{device.port}"
        await stop(client)
        assert not client.running()
        assert not client.is_connected()
        assert client.sockname == ("127.0.0.1", -1)


def test_an_empty_host_and_addresses() -> None:
    assert DeviceClient("", 7147).bind_address == ("0.0.0.0", 7147)
    assert address_to_string(("host", 1)) == "host:1"
    assert address_to_string(("::1", 1)) == "[::1]:1"


def test_making_one_needs_no_loop_and_makes_none() -> None:
    found: list[object] = []

    def run() -> None:
        AsyncClient("127.0.0.1", 1).set_ioloop()
        try:
            found.append(asyncio.get_event_loop_policy().get_event_loop())
        except RuntimeError:
            found.append(None)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [None]


async def test_misuse() -> None:
    async with Device() as device:
        client = make(device)
        with pytest.raises(RuntimeError, match="before stop"):
            client.stop()
        with pytest.raises(RuntimeError, match="already set"):
            client.set_ioloop()
        with pytest.raises(RuntimeError, match="start"):
            client.wait_connected(1)
        client.start()
        with pytest.raises(RuntimeError, match="started already"):
            client.start()
        with pytest.raises(RuntimeError, match="already set"):
            client.set_ioloop()
        await client.until_connected(5)
        with pytest.raises(RuntimeError, match="block"):
            client.wait_connected(1)
        client.stop()
        with pytest.raises(RuntimeError, match="not stopped yet"):
            client.start()
        await client.until_stopped()


async def test_it_can_be_started_again() -> None:
    async with Device() as device:
        client = make(device)
        for _ in range(3):
            client.start()
            await client.until_protocol(timeout=5)
            await stop(client)
        client.set_ioloop(IOLoop.current())
        client.start()
        await client.until_protocol(timeout=5)
        await stop(client)
        assert device.count == 4


async def test_stopping_twice_is_harmless() -> None:
    async with Device() as device:
        client = make(device)
        client.start()
        client.stop()
        client.stop()
        await client.until_stopped(timeout=5)
        client.stop()


async def test_w51_stopping_wakes_those_who_wait() -> None:
    async def mute(session: Session) -> None:
        await session.until_closed()

    async with Server(mute) as server:
        server.refuse()
        client = make(server)
        client.start()
        waiting = [client.until_connected(), client.until_protocol(timeout=60)]
        client.stop()
        for future in waiting:
            with pytest.raises(KatcpClientError, match="was stopped"):
                await future
        with pytest.raises(KatcpClientError, match="was stopped"):
            await client.until_connected()
        await client.until_stopped()
        with pytest.raises(KatcpClientError, match="was stopped"):
            await client.until_running()


async def test_waiting_may_begin_before_the_start() -> None:
    async with Device() as device:
        client = make(device)
        waiting = client.until_protocol(timeout=10)
        client.start()
        await waiting
        await stop(client)


async def test_timeouts_of_waiting() -> None:
    async with Device(greeting=[]) as device:
        client = make(device)
        client.start()
        with pytest.raises(TornadoTimeout):
            await client.until_connected(timeout=0)
        await client.until_connected(timeout=5)
        with pytest.raises(TornadoTimeout):
            await client.until_protocol(timeout=0.01)
        with pytest.raises(TornadoTimeout):
            await client.until_stopped(timeout=0.01)
        await stop(client)


async def test_it_connects_again_and_again() -> None:
    async with Device() as device:
        client = make(device)
        client.auto_reconnect_delay = 0.01
        told: list[bool] = []
        client.notify_connected = told.append
        client.start()
        for number in range(1, 4):
            await client.until_connected(timeout=5)
            await until(lambda number=number: device.count == number)
            device.cut()
            await until(lambda number=number: len(told) == 2 * number)
            assert not client.is_connected()
        await client.until_connected(timeout=5)
        await stop(client)
        assert told == [True, False] * 4


async def test_a_device_that_is_not_there_yet(caplog: pytest.LogCaptureFixture) -> None:
    async with Device() as device:
        device.refuse()
        client = make(device)
        client.auto_reconnect_delay = 0.001
        client.start()
        with caplog.at_level(logging.DEBUG, "katcp.client"):
            await until(lambda: caplog.text.count("Cannot connect") >= 3)
        levels = [r.levelno for r in caplog.records if "Cannot connect" in r.getMessage()]
        assert levels[0] == logging.WARNING
        assert set(levels[1:]) == {logging.DEBUG}  # told once, not for days
        await device.listen()
        await client.until_connected(timeout=5)
        await stop(client)


async def test_w42_a_backoff_between_attempts_that_success_resets() -> None:
    backoff = ExponentialRandomBackoff(0.001, 0.02, 2, 0)
    async with Device() as device:
        device.refuse()
        client = make(device, reconnect_backoff=backoff)
        client.auto_reconnect_delay = 1000
        client.start()
        await until(lambda: backoff.delay == 0.02)
        await device.listen()
        await client.until_protocol(timeout=5)
        assert backoff.delay == 0.001
        await stop(client)


async def test_w43_without_reconnecting_it_gives_up_and_says_so() -> None:
    async with Device() as device:
        device.refuse()
        client = make(device, auto_reconnect=False)
        client.start()
        with pytest.raises(KatcpClientError, match="given up"):
            await client.until_connected(timeout=5)
        assert not client.running()
        await client.until_stopped(timeout=5)

        await device.listen()
        client.start()
        await client.until_connected(timeout=5)
        await until(lambda: device.count == 1)
        device.cut()
        await client.until_stopped(timeout=5)
        with pytest.raises(KatcpClientError, match="given up"):
            await client.until_protocol()
        client.stop()


async def test_disconnecting_makes_the_connection_anew() -> None:
    async with Device() as device:
        client = make(device)
        client.auto_reconnect_delay = 0.001
        client.disconnect()
        client.start()
        await client.until_connected(timeout=5)
        client.disconnect()
        await until(lambda: device.count == 2)
        await stop(client)


async def test_an_exception_on_connecting_disconnects(caplog: pytest.LogCaptureFixture) -> None:
    async with Device() as device:
        client = make(device)
        client.auto_reconnect_delay = 0.001
        attempts: list[bool] = []

        def notify(connected: bool) -> None:
            attempts.append(connected)
            if len(attempts) < 3:
                raise ValueError("not yet")

        client.notify_connected = notify
        client.start()
        await until(lambda: device.count == 2 and client.is_connected())
        assert attempts == [True, False, True]
        assert caplog.text.count("notify_connected(True) raised") == 1
        assert "notify_connected(False) raised" in caplog.text
        await stop(client)


async def test_being_told_may_take_a_coroutine(caplog: pytest.LogCaptureFixture) -> None:
    told: list[bool] = []

    class Client(DeviceClient):
        async def notify_connected(self, connected: bool) -> None:
            await asyncio.sleep(0)
            told.append(connected)
            if not connected:
                raise ValueError("told too late")

    async with Device() as device:
        client = make(device, Client)
        client.start()
        await client.until_connected(timeout=5)
        await stop(client)
        await until(lambda: told == [True, False])
        await until(lambda: "told too late" in caplog.text)


async def test_stopping_while_connecting_leaves_nothing_behind() -> None:
    async with Device() as device:
        for turns in range(8):
            client = make(device)
            client.start()
            for _ in range(turns):
                await asyncio.sleep(0)
            await stop(client)
            assert not client.is_connected()


async def test_stopping_before_the_loop_has_come_to_it(io_loop: IOLoop) -> None:
    async with Device() as device:
        client = DeviceClient(device.host, device.port)
        client.set_ioloop(io_loop)
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, client.start)
        await loop.run_in_executor(None, client.stop)
        await client.until_stopped(timeout=5)
        assert not client.running()


def test_a_loop_of_its_own(io_loop: IOLoop) -> None:
    """Managed: the device is in the loop of the test, which another thread runs."""
    loop = io_loop.asyncio_loop
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def run(coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(10)

    device = Device()
    try:
        run(device.__aenter__())
        client = AsyncClient(device.host, device.port)
        for _ in range(2):
            client.start(timeout=5)
            assert client.wait_running(5)
            assert client.wait_connected(5)
            assert client.wait_protocol(5)
            assert client.ioloop is not io_loop
            assert client.ioloop_thread_id not in (thread.ident, threading.get_ident())
            with pytest.raises(RuntimeError, match="not thread-safe"):
                client.send_message(Message.request("watchdog"))
            run(_cut(device))
            assert client.wait_disconnected(5)
            client.stop()
            client.join(timeout=5)
            assert not client.wait_connected(0.1)
            assert not client.running()
    finally:
        run(device.__aexit__(None, None, None))
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


async def _cut(device: Device) -> None:
    device.refuse()
    device.cut()
    await until(lambda: not device.sessions)
    await device.listen()


async def test_a_host_that_does_not_answer_is_given_up() -> None:
    # A full listen queue: connecting hangs, as with a host behind a wall.
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    fillers = []
    for _ in range(3):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(listener.getsockname())
        fillers.append(filler)
    client = DeviceClient(*listener.getsockname())
    client.set_ioloop()
    client.CONNECT_TIMEOUT = 0.05
    client.auto_reconnect_delay = 0.001
    client.start()
    await client._waiting_to_retry.until_set(timeout=10)
    assert not client.is_connected()
    await stop(client)
    for sock in [listener, *fillers]:
        sock.close()


async def test_greetings_of_the_helper_are_what_they_should_be() -> None:
    async with Device() as device:
        client = make(device)
        client.start()
        await client.until_protocol(5)
        assert str(client.protocol_flags) == V51[0].split()[-1].decode()
        await stop(client)


async def test_an_address_that_cannot_be_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    client = AsyncClient("127.0.0.1", 99999)
    client.set_ioloop()
    client.start()
    with pytest.raises(KatcpClientError, match="given up"):
        await client.until_connected(timeout=5)
    assert "The client failed" in caplog.text
    await client.until_stopped(timeout=5)


async def test_a_loop_that_does_not_run_is_noticed() -> None:
    loop = IOLoop(make_current=False)
    client = DeviceClient("127.0.0.1", 1)
    client.set_ioloop(loop)
    started = asyncio.get_running_loop().run_in_executor(None, client.start, 0.01)
    with pytest.raises(RuntimeError, match="did not run within"):
        await started
    loop.close()


async def test_the_parts_of_a_life() -> None:
    async with Device() as device:
        client = make(device, AsyncClient)
        client.start()
        life = client._install()  # under way already, so this is what there is
        assert life is client._install()
        await client.until_protocol(timeout=5)
        link = client._stream
        await client._connect()  # another connection beside it is not kept
        assert client._stream is link
        assert not life.done()
        nap = client.future_request(Message.request("nap"), timeout=60)
        client._handle_timeout(b"99", 0.0)
        client._handle_timeout(b"1", client.ioloop.time() - 3.5)
        reply, _ = await nap
        assert reply.arguments[1].startswith(b"Request nap timed out after 3.5")
        client._disconnect()
        await client._disconnected.until_set(timeout=5)
        await client.until_connected(timeout=5)
        assert client._stream is not link
        await stop(client)
        assert life.done()
