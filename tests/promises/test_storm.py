"""Many clients at once (F1, L2, L4, N3): all are greeted, each request has its one answer."""

from __future__ import annotations

import asyncio
import collections
from typing import Any

import pytest

from katcp.client import AsyncClient
from katcp.inspecting_client import InspectingClientAsync
from katcp.protocol import Message
from katcp.server import AsyncDeviceServer, Sensor
from tests.helpers import figures
from tests.helpers.guard import memory
from tests.helpers.plant import plant
from tests.helpers.serving import serving, talking, until
from tests.helpers.sizes import sizes
from tests.helpers.wire import WireClient
from tests.promises.test_network import Plain

pytestmark = pytest.mark.slow


@sizes("connections", 300, 2000)
async def test_f1_all_who_come_at_once_are_greeted(connections: int) -> None:
    with plant(20) as factory:
        async with talking(factory) as other:  # type: ignore[arg-type]
            answers, all_of_it = figures.Times(), figures.Times()
            coming = [
                asyncio.ensure_future(WireClient.connect(factory.bind_address))
                for _ in range(connections)
            ]
            # Who is there already is served all the while.
            with all_of_it:
                while not all(task.done() for task in coming):
                    with answers:
                        assert await other.ask(b"?watchdog[9]") == [b"!watchdog[9] ok"]
            figures.note("all greeted after", all_of_it.seconds[0], "s")
            answers.note("others' answers meanwhile")
            clients = [task.result() for task in coming]
            assert (await other.ask(b"?clients[1]"))[-1] == b"!clients[1] ok %d" % (connections + 1)
            for client in clients:
                client.writer.write(b"?watchdog[7]\n")
            for client in clients:
                assert await client.line(60) == b"!watchdog[7] ok"
            # All leave at once, too.
            for client in clients:
                client.writer.transport.abort()
            while (await other.ask(b"?clients[1]"))[-1] != b"!clients[1] ok 1":
                pass
        await asyncio.gather(*(client.close() for client in clients))


@sizes("requests_of_each", 20, 3000)
async def test_l2_each_of_many_gets_the_answers_to_what_it_asked(requests_of_each: int) -> None:
    # 200 clients; with 3,000 requests each that is an hour of 50 per second, as fast as it goes.
    count = 200 if requests_of_each > 20 else 40
    async with serving(Plain("127.0.0.1", 0)) as server:
        clients = []
        for _ in range(count):
            client = AsyncClient(*server.bind_address)
            client.set_ioloop()
            client.start()
            clients.append(client)

        async def ask(client: AsyncClient, number: int) -> int:
            right = 0
            for start in range(0, requests_of_each, 10):
                futures = [
                    client.future_request(Message.request("add", 1000 * number, start + i))
                    for i in range(min(10, requests_of_each - start))
                ]
                for i, (reply, informs) in enumerate(await asyncio.gather(*futures)):
                    assert reply.arguments == [b"ok", b"%d" % (1000 * number + start + i)]
                    assert informs == []
                    right += 1
            return right

        for client in clients:
            await client.until_protocol(timeout=30)
        with (taken := figures.Times()):
            answered = await asyncio.gather(*(ask(c, i) for i, c in enumerate(clients)))
        figures.note("requests answered", sum(answered))
        figures.note("both ends in one process:", sum(answered) / taken.seconds[0], "requests/s")
        assert sum(answered) == count * requests_of_each == server.accepted
        for client in clients:
            client.stop()
        await asyncio.gather(*(client.until_stopped(timeout=30) for client in clients))


class Counting(Plain):
    """Counts what it has accepted, and has handlers of several kinds of speed."""

    def setup_sensors(self) -> None:
        super().setup_sensors()
        self.counts: collections.Counter[str] = collections.Counter()

    async def request_slow(self, req: Any, seconds: float) -> None:
        """Answer later."""
        self.counts["slow"] += 1
        await asyncio.sleep(seconds)

    def request_bad(self, req: Any) -> None:
        """Fail."""
        self.counts["bad"] += 1
        raise ValueError("bad")


@sizes("requests", 200, 20_000)
async def test_n3_every_accepted_request_has_one_answer(requests: int) -> None:
    answers: collections.Counter[str] = collections.Counter()
    seen: collections.Counter[bytes] = collections.Counter()
    async with serving(Counting("127.0.0.1", 0)) as server:
        for start in range(0, requests, 200):
            async with talking(server) as client:
                sent = []
                for i in range(start, min(start + 200, requests)):
                    name = (b"add", b"slow", b"bad", b"nothing")[i % 4]
                    rest = {b"add": b" 1 2", b"slow": b" 0.001"}.get(name, b"")
                    sent.append(b"?%b[%d]%b" % (name, i + 1, rest))
                await client.send(*sent)
                while sum(seen.values()) < start + len(sent):
                    line = await client.line()
                    if line.startswith(b"!"):
                        seen[line.partition(b"[")[2].partition(b"]")[0]] += 1
                        answers[line.split()[1].decode()] += 1
                # Nothing more comes of its own.
                assert await client.ask(b"?watchdog[0]") == [b"!watchdog[0] ok"]
        accepted = server.accepted + server.counts["slow"] + server.counts["bad"]
    assert set(seen.values()) == {1}
    assert answers["ok"] + answers["fail"] == accepted
    assert sum(answers.values()) == requests == accepted + answers["invalid"]
    assert answers["invalid"] == requests // 4


class Large(AsyncDeviceServer):
    """Ten thousand sensors."""

    announces_clients = False

    def setup_sensors(self) -> None:
        for i in range(10_000):
            self.add_sensor(Sensor.float(f"rack{i // 100:02d}.slot{i % 100:02d}", "A slot.", "V"))


async def test_l4_ten_thousand_sensors() -> None:
    async with serving(Large("127.0.0.1", 0)) as server:
        before = memory()
        client = InspectingClientAsync(*server.bind_address)
        taken = figures.Times()
        with taken:
            await client.connect()
            await client.until_synced(timeout=60)
        names = sorted(client.sensors)
        assert names == sorted(sensor.name for sensor in server.get_sensors())
        with taken:
            sensors = [await client.future_get_sensor(name) for name in names]
            replies = await client.set_sampling(names, "event")
        figures.note("in step after", taken.seconds[0], "s")
        figures.note("with an object of each, and subscribed, after", sum(taken.seconds), "s")
        assert all(reply.reply_ok() for reply in replies.values())
        for number, sensor in enumerate(server.get_sensors()):
            sensor.set_value(float(number + 1))
        assert len(sensors) == 10_000
        await until(lambda: all(sensor.reading.value for sensor in sensors), timeout=60)
        # Of the server's end, too, which is in this process.
        grown = memory() - before
        assert grown < 80 << 20
        figures.note("memory of both ends:", grown / (1 << 20), "MB")
        client.stop()
        await client.until_stopped(timeout=10)
