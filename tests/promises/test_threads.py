"""F11: threads that do what they should not, or all at once: made safe, or plainly refused."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tornado.ioloop import IOLoop

from katcp.client import AsyncClient, BlockingClient, Message
from katcp.errors import KatcpClientError
from katcp.inspecting_client import InspectingClientAsync
from katcp.server import AsyncDeviceServer, DeviceServer, Sensor
from tests.helpers.scripted import V51, Device
from tests.helpers.serving import serving, serving_in_thread, talking, until
from tests.helpers.sizes import sizes

THREADS = 16


class Device16(DeviceServer):
    """Has a sensor for each thread, and one for all."""

    def setup_sensors(self) -> None:
        for i in range(THREADS):
            self.add_sensor(Sensor.integer(f"own.{i:02d}"))
        self.add_sensor(Sensor.integer("shared"))

    def request_echo(self, req: Any, number: int) -> int:
        """Say the same."""
        req.inform(number)
        return number


class Async16(AsyncDeviceServer):
    """The same, which expects no threads."""

    setup_sensors = Device16.setup_sensors
    request_echo = Device16.request_echo


def in_threads(count: int, function: Callable[[int], Any]) -> list[Any]:
    """Call a function in so many threads that begin at the same moment; return the results."""
    barrier = threading.Barrier(count)

    def run(number: int) -> Any:
        barrier.wait(30)
        return function(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


@pytest.mark.slow
@sizes("updates_of_each_thread", 500, 100_000)
@pytest.mark.parametrize("place", [Device16, Async16])
async def test_f11_sensors_set_from_sixteen_threads(
    place: Any, updates_of_each_thread: int
) -> None:
    async with (
        serving(place("127.0.0.1", 0)) as server,
        talking(server) as client,
        talking(server) as other,
    ):
        names = b",".join(b"own.%02d" % i for i in range(THREADS)) + b",shared"
        for subscriber in (client, other):
            heard = await subscriber.ask(b"?sensor-sampling[1] " + names + b" event")
            assert heard[-1].startswith(b"!sensor-sampling[1] ok ")

        def work(number: int) -> None:
            own, shared = server.get_sensor(f"own.{number:02d}"), server.get_sensor("shared")
            for value in range(1, updates_of_each_thread + 1):
                own.set_value(value)
                shared.set_value(number * updates_of_each_thread + value)

        working = asyncio.get_running_loop().run_in_executor(None, in_threads, THREADS, work)
        last = [{}, {}]  # type: list[dict[bytes, int]]

        async def listen(index: int, subscriber: Any) -> None:
            final = {b"own.%02d" % i: updates_of_each_thread for i in range(THREADS)}
            while True:
                line = await subscriber.line(60)
                words = line.split(b" ")
                if words[0] == b"#sensor-status":
                    name, value = words[3], int(words[5])
                    if name != b"shared":
                        assert value >= last[index].get(name, 0), "out of order"
                    last[index][name] = value
                elif words[0] == b"!sensor-value[2]":
                    assert {n: v for n, v in last[index].items() if n != b"shared"} == final
                    assert last[index][b"shared"] == server.get_sensor("shared").value()
                    return
                elif words[0] == b"#sensor-value[2]":
                    name, value = words[3], int(words[5])
                    assert last[index][name] == value

        async def ask_at_the_end(subscriber: Any) -> None:
            await working
            await asyncio.sleep(0.05)
            await subscriber.send(b"?sensor-value[2]")

        await asyncio.gather(
            listen(0, client), listen(1, other), ask_at_the_end(client), ask_at_the_end(other)
        )


@pytest.mark.slow
@sizes("requests_of_each_thread", 40, 2_000)
def test_f11_fifty_threads_on_one_blocking_client(requests_of_each_thread: int) -> None:
    with serving_in_thread(Device16("127.0.0.1", 0)) as server:
        client = BlockingClient(*server.bind_address, timeout=60)
        client.start(timeout=10)
        try:
            assert client.wait_protocol(10)

            def work(number: int) -> int:
                for i in range(requests_of_each_thread):
                    value = number * requests_of_each_thread + i
                    reply, informs = client.blocking_request(Message.request("echo", value))
                    assert reply.arguments == [b"ok", b"%d" % value]
                    assert [inform.arguments for inform in informs] == [[b"%d" % value]]
                return requests_of_each_thread

            assert sum(in_threads(50, work)) == 50 * requests_of_each_thread
            assert not len(client._table)
        finally:
            client.stop()
            client.join(10)


def test_f11_callback_requests_from_sixteen_threads() -> None:
    with serving_in_thread(Device16("127.0.0.1", 0)) as server:
        client = AsyncClient(*server.bind_address, timeout=60)
        client.enable_thread_safety()
        client.start(timeout=10)
        try:
            assert client.wait_protocol(10)
            answered: list[tuple[int, bytes]] = []
            everything = threading.Semaphore(0)

            def take(reply: Message, number: int) -> None:
                answered.append((number, reply.arguments[1]))
                everything.release()

            def work(number: int) -> None:
                for i in range(50):
                    value = number * 50 + i
                    client.callback_request(
                        Message.request("echo", value), take, user_data=(value,)
                    )

            in_threads(THREADS, work)
            for _ in range(THREADS * 50):
                assert everything.acquire(timeout=30)
            assert sorted(answered) == [(i, b"%d" % i) for i in range(THREADS * 50)]
            # Those of one thread were sent in its order.
            for number in range(THREADS):
                own = [value for value, _ in answered if value // 50 == number]
                assert own == sorted(own)
        finally:
            client.stop()
            client.join(10)


def test_f11_sensors_added_and_removed_from_threads_while_they_are_listed() -> None:
    with serving_in_thread(Device16("127.0.0.1", 0)) as server:
        client = BlockingClient(*server.bind_address, timeout=60)
        client.start(timeout=10)
        try:
            assert client.wait_protocol(10)

            def work(number: int) -> None:
                if number < 8:
                    for i in range(50):
                        server.add_sensor(Sensor.integer(f"new.{number}.{i}"))
                        if i % 2:
                            server.remove_sensor(f"new.{number}.{i}")
                        server.mass_inform(Message.inform("noise", number, i))
                else:
                    for _ in range(10):
                        for name in ("sensor-list", "sensor-value", "help"):
                            reply, informs = client.blocking_request(Message.request(name))
                            assert reply.reply_ok(), reply
                            assert int(reply.arguments[1]) == len(informs)

            in_threads(THREADS, work)
            reply, _ = client.blocking_request(Message.request("sensor-list"))
            assert int(reply.arguments[1]) == THREADS + 1 + 8 * 25
        finally:
            client.stop()
            client.join(10)


# -- the wrong loop -------------------------------------------------------------------------


@pytest.fixture
def elsewhere() -> Callable[[Callable[[], Any]], BaseException | None]:
    """A thread without a loop of this test; returns what a call there raised."""

    def run(call: Callable[[], Any]) -> BaseException | None:
        raised: list[BaseException | None] = [None]

        def target() -> None:
            async def main() -> None:
                result = call()
                if asyncio.isfuture(result) or asyncio.iscoroutine(result):
                    await asyncio.wait_for(result, 3)

            try:
                asyncio.run(main())
            except BaseException as error:
                raised[0] = error

        thread = threading.Thread(target=target)
        thread.start()
        thread.join(20)
        assert not thread.is_alive(), "it hangs"
        return raised[0]

    return run


async def test_f11_a_client_used_in_the_wrong_loop_says_so(elsewhere: Any) -> None:
    async with Device(V51, {"a": "A. V integer"}) as device:
        client = AsyncClient(device.host, device.port)
        client.set_ioloop()
        client.start()
        try:
            await client.until_protocol(timeout=5)
            for call in (
                lambda: client.future_request(Message.request("watchdog")),
                lambda: client.wire_request(Message.request("watchdog")),
                lambda: client.raw_request(Message.request("watchdog")),
                lambda: client.callback_request(Message.request("watchdog")),
                lambda: client.send_message(Message.request("watchdog")),
                lambda: client.request(Message.request("watchdog")),
            ):
                error = await asyncio.to_thread(elsewhere, call)
                assert isinstance(error, RuntimeError), (call, error)
                assert "loop" in str(error)
                assert "\n" not in str(error)
            # Nothing of it was sent or is left, and its own loop goes on.
            assert not len(client._table)
            assert device.heard == []
            reply, _ = await client.future_request(Message.request("watchdog"))
            assert reply.reply_ok()
        finally:
            client.stop()
            await client.until_stopped(timeout=5)


async def test_f11_an_inspecting_client_used_in_the_wrong_loop_says_so(elsewhere: Any) -> None:
    async with Device(V51, {"a": "A. V integer"}) as device:
        client = InspectingClientAsync(device.host, device.port)
        client.connect()
        try:
            await client.until_synced(timeout=5)
            for call in (
                lambda: client.simple_request("watchdog"),
                lambda: client.inspect_sensors(),
                lambda: client.inspect(),
                lambda: client.future_get_sensor("unknown", update=True),
            ):
                error = await asyncio.to_thread(elsewhere, call)
                assert isinstance(error, (RuntimeError, KatcpClientError)), (call, error)
                assert "\n" not in str(error)
            await client.until_synced(timeout=5)
            reply, _ = await client.simple_request("watchdog")
            assert reply.reply_ok()
        finally:
            client.stop()
            await client.until_stopped(timeout=5)


async def test_f11_a_client_that_blocks_refuses_to_block_its_own_loop() -> None:
    async with Device(V51) as device:
        client = BlockingClient(device.host, device.port)
        client.set_ioloop(IOLoop.current())
        client.start()
        try:
            await client.until_protocol(timeout=5)
            with pytest.raises(AssertionError) as caught:
                client.blocking_request(Message.request("watchdog"))
            assert "loop" in str(caught.value)
            await until(lambda: device.count == 1)
        finally:
            client.stop()
            await client.until_stopped(timeout=5)
