"""Requests under way: how many there may be of one client and of all, and subscriptions."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from typing import Any

import pytest

from katcp.errors import AsyncReply
from katcp.kattypes import concurrent_reply
from katcp.protocol import Message, ProtocolFlags
from katcp.sensors import Sensor
from katcp.server import AsyncDeviceServer, DeviceServer, blocking
from katcp.server._load import MAX_REQUESTS, MAX_REQUESTS_PER_CLIENT, Load
from tests.helpers.serving import BareThreaded, serving, serving_in_thread, talking, until
from tests.helpers.wire import WireClient

logger = logging.getLogger("tests.limits")


# -- whose turn it is -------------------------------------------------------------------


class Client:
    """What `Load` sees of a client."""

    def __init__(self, load: Load, name: str = "somebody") -> None:
        self.load = load
        self.address = name
        self.under_way = 0
        self.full = False

    def hold_back(self) -> None:
        assert not self.full
        self.full = True

    def let_go(self) -> None:
        assert self.full
        self.full = False

    def begin(self) -> None:
        assert not self.full
        self.under_way += 1
        self.load.total += 1
        self.load.check(self)

    def end(self) -> None:
        self.under_way -= 1
        self.load.total -= 1
        self.load.release(self)


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_client_is_full_at_its_limit(limit: int) -> None:
    load = Load(None, limit, logger)
    client, other = Client(load), Client(load)
    for count in range(limit):
        assert not client.full, count
        client.begin()
    assert client.full
    assert not other.full
    client.end()
    assert not client.full
    assert load.total == limit - 1
    assert load.holds == 1


def test_server_is_full_and_takes_turns() -> None:
    load = Load(4, None, logger)
    greedy, modest, late = (Client(load, name) for name in ("greedy", "modest", "late"))
    for _ in range(4):
        greedy.begin()
    assert greedy.full
    modest.begin()  # one is always to be had
    late.begin()
    assert load.total == 6
    assert modest.full
    assert late.full
    modest.end()
    assert not modest.full  # it has none under way
    modest.begin()
    greedy.end()
    greedy.end()
    assert greedy.full
    greedy.end()  # 3 in all: everybody may try
    assert not any(client.full for client in (greedy, modest, late))
    greedy.begin()
    assert greedy.full
    assert not modest.full
    modest.begin()
    assert modest.full
    late.begin()
    assert late.full


def test_client_that_is_full_itself_is_not_woken_for_others() -> None:
    load = Load(3, 2, logger)
    one, other = Client(load), Client(load)
    one.begin()
    one.begin()
    other.begin()
    assert one.full
    assert other.full
    other.end()
    assert not other.full
    assert one.full
    other.begin()
    one.end()  # below its own limit, and 2 in all
    assert not one.full


def test_client_waits_for_others_when_it_waits_no_more_for_itself() -> None:
    load = Load(2, 2, logger)
    one, other = Client(load), Client(load)
    one.begin()
    one.begin()
    other.begin()
    one.end()
    assert one.full  # 2 in all
    other.end()
    assert not one.full


def test_client_that_has_gone_is_forgotten() -> None:
    load = Load(1, None, logger)
    one, other = Client(load), Client(load)
    one.begin()
    other.begin()
    load.forget(one)
    one.under_way = 0
    load.release(other)
    other.end()
    assert not other.full
    assert one.full


@pytest.mark.parametrize("limits", [(0, 1), (1, 0), (-1, None)])
def test_limits_that_make_no_sense(limits: tuple[Any, Any]) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        Load(*limits, logger)


# -- over sockets -----------------------------------------------------------------------


class Waiting(AsyncDeviceServer):
    """Answers when it is told to."""

    announces_clients = False

    def setup_sensors(self) -> None:
        self.held: list[Any] = []
        self.started = 0
        self.order: list[Any] = []

    @concurrent_reply
    async def request_wait(self, req: Any, msg: Message) -> Any:
        """Wait, while others of the same client may begin."""
        self.started += 1
        self.order.append(req.client_connection.address)
        done = asyncio.get_running_loop().create_future()
        self.held.append(done)
        await done
        return req.make_reply("ok")

    def request_later(self, req: Any, msg: Message) -> Any:
        """Be answered later."""
        self.started += 1
        self.held.append(req)
        raise AsyncReply

    async def request_later_at_once(self, req: Any, msg: Message) -> Any:
        """Be answered later, by a coroutine that never waits."""
        return self.request_later(req, msg)

    def request_by_hand(self, req: Any, msg: Message) -> Any:
        """Be answered later, and not by what stands for the request."""
        self.started += 1
        connection = req.client_connection
        self.held.append(lambda: connection.reply(Message.reply("by-hand", "ok"), msg))
        raise AsyncReply

    def request_before(self, req: Any, msg: Message) -> Any:
        """Be answered before it is said that it will be."""
        self.started += 1
        self.reply(req.client_connection, Message.reply("before", "ok"), msg)
        raise AsyncReply

    async def request_serial(self, req: Any, msg: Message) -> Any:
        """Wait, and let the next message wait too."""
        return await self.request_wait(req, msg)

    def request_number(self, req: Any, msg: Message) -> Any:
        """Be answered at once."""
        return req.make_reply("ok", self.started)

    def release(self, count: int = 1) -> None:
        """Answer so many of those that wait."""
        for _ in range(count):
            held = self.held.pop(0)
            if isinstance(held, asyncio.Future):
                held.set_result(None)
            elif callable(held):
                held()
            else:
                held.reply("ok")


KINDS = ["wait", "later", "later-at-once", "by-hand"]


async def replies(client: WireClient, count: int) -> list[bytes]:
    return sorted(await client.lines(count))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("limit", [1, 2, 7])
async def test_client_at_its_limit_is_held_back(kind: str, limit: int) -> None:
    """One less than the limit, the limit, and one more."""
    name = kind.encode()
    server = Waiting("127.0.0.1", 0, max_requests_per_client=limit)
    async with serving(server), talking(server) as client, talking(server) as other:
        for mid in range(1, limit):
            await client.send(b"?%s[%d]" % (name, mid))
        assert await client.ask(b"?number[100]") == [b"!number[100] ok %d" % (limit - 1)]
        await client.send(b"?%s[%d]" % (name, limit))
        await until(lambda: server.started == limit)
        await client.send(b"?%s[%d]" % (name, limit + 1), b"?number[101]")
        assert await other.ask(b"?watchdog[1]") == [b"!watchdog[1] ok"]
        assert server.started == limit
        assert server.statistics.requests_under_way == limit
        assert server.statistics.requests_held_back == 1
        server.release()
        assert await client.line() == b"!%s[1] ok" % name
        await until(lambda: server.started == limit + 1)
        server.release(limit)
        assert await replies(client, limit + 1) == sorted(
            [b"!number[101] ok %d" % (limit + 1)]
            + [b"!%s[%d] ok" % (name, mid) for mid in range(2, limit + 2)]
        )
        assert server.statistics.requests_under_way == 0
        assert server._server.load is not None
        assert server._server.load.total == 0


@pytest.mark.parametrize("kind", KINDS)
async def test_one_batch_of_many(kind: str) -> None:
    """All come in one read, and are answered in turn; nothing is lost."""
    name = kind.encode()
    server = Waiting("127.0.0.1", 0, max_requests_per_client=3)
    async with serving(server), talking(server) as client:
        total = 300
        await client.raw(b"".join(b"?%s[%d]\n" % (name, mid + 1) for mid in range(total)))
        most = 0
        answered = 0
        while answered < total:
            await until(lambda: server.held)
            most = max(most, len(server.held))
            count = len(server.held)
            server.release(count)
            answered += count
        mids = {line.split(b"[")[1].split(b"]")[0] for line in await client.lines(total)}
        assert len(mids) == total
        # A coroutine that is deferred without having waited is noticed a few messages later.
        assert most <= (3 if kind != "later-at-once" else 3 + 64)


async def test_answered_before_it_was_deferred() -> None:
    server = Waiting("127.0.0.1", 0, max_requests_per_client=2)
    async with serving(server), talking(server) as client:
        for mid in range(1, 10):
            assert await client.ask(b"?before[%d]" % mid) == [b"!before[%d] ok" % mid]
        assert server.statistics.requests_under_way == 0


@pytest.mark.parametrize("name", [b"by-hand", b"before"])
async def test_next_of_the_same_name_goes_on_after_an_answer_by_hand(name: bytes) -> None:
    """Where requests have no ids, they wait for each other by name."""

    class Old(Waiting):
        PROTOCOL_INFO = ProtocolFlags(4, 0, "M")

    server = Old("127.0.0.1", 0)
    async with serving(server), talking(server) as client:
        for number in range(1, 4):
            await client.send(b"?" + name)
            await until(lambda number=number: server.started == number)  # type: ignore[misc]
            if server.held:
                server.release()
            assert await client.line() == b"!" + name + b" ok"


async def test_no_limits() -> None:
    server = Waiting("127.0.0.1", 0, max_requests=None, max_requests_per_client=None)
    async with serving(server), talking(server) as client:
        count = MAX_REQUESTS_PER_CLIENT + 50
        await client.raw(b"".join(b"?wait[%d]\n" % (mid + 1) for mid in range(count)))
        await until(lambda: server.started == count)
        assert server.statistics.requests_under_way == count
        assert server.statistics.requests_held_back == 0
        server.release(count)
        await client.lines(count)


def test_defaults() -> None:
    load = Waiting("127.0.0.1", 0)._server.load
    assert load is not None
    assert (load.most, load.most_each) == (MAX_REQUESTS, MAX_REQUESTS_PER_CLIENT) == (5000, 100)


async def test_serial_and_limit_together() -> None:
    """A client held back for two reasons goes on when neither is left."""
    server = Waiting("127.0.0.1", 0, max_requests_per_client=2)
    async with serving(server), talking(server) as client, talking(server) as other:
        await client.send(b"?wait[1]", b"?serial[2]", b"?number[3]")
        await until(lambda: server.started == 2)
        server.release()  # the first; the second still has to be waited for
        assert await client.line() == b"!wait[1] ok"
        assert await other.ask(b"?watchdog[1]") == [b"!watchdog[1] ok"]
        assert await other.ask(b"?watchdog[2]") == [b"!watchdog[2] ok"]
        server.release()
        assert await client.lines(2) == [b"!serial[2] ok", b"!number[3] ok 2"]
        # And the other way round.
        await client.send(b"?wait[4]", b"?serial[5]", b"?number[6]")
        await until(lambda: server.started == 4)
        first = server.held.pop(0)
        server.release()
        assert await client.lines(2) == [b"!serial[5] ok", b"!number[6] ok 4"]
        first.set_result(None)
        assert await client.line() == b"!wait[4] ok"


@pytest.mark.parametrize("limit", [4, 5, 6])
async def test_server_at_its_limit_lets_everybody_have_one(limit: int) -> None:
    server = Waiting("127.0.0.1", 0, max_requests=limit, max_requests_per_client=None)
    async with (
        serving(server),
        talking(server) as greedy,
        talking(server) as modest,
        talking(server) as third,
    ):
        await greedy.raw(b"".join(b"?wait[%d]\n" % (mid + 1) for mid in range(3 * limit)))
        await until(lambda: server.started == limit)
        for client in (modest, third):
            assert await client.ask(b"?watchdog[1]") == [b"!watchdog[1] ok"]
            await client.send(b"?wait[1]", b"?wait[2]", b"?watchdog[3]")
        await until(lambda: server.started == limit + 2)
        assert await asyncio.wait_for(greedy_is_silent(server), 5)
        assert server.statistics.requests_under_way == limit + 2
        # Everybody is served to the end.
        clients = {greedy: 3 * limit, modest: 3, third: 3}
        reading = [asyncio.ensure_future(c.lines(n)) for c, n in clients.items()]
        while not all(task.done() for task in reading):
            if server.held:
                server.release()
            await asyncio.sleep(0)
        assert server.started == 3 * limit + 4
        assert server._server.load is not None
        assert server._server.load.total == 0


async def greedy_is_silent(server: Waiting) -> bool:
    """Tell whether nothing more is started in a few turns of the loop."""
    before = server.started
    for _ in range(20):
        await asyncio.sleep(0)
    return server.started == before


async def test_turns_are_taken() -> None:
    """While one client has many requests waiting, another gets at least every third turn."""
    server = Waiting("127.0.0.1", 0, max_requests=2, max_requests_per_client=None)
    async with serving(server), talking(server) as greedy, talking(server) as modest:
        await greedy.raw(b"".join(b"?wait[%d]\n" % (mid + 1) for mid in range(200)))
        await until(lambda: server.started == 2)
        await modest.raw(b"".join(b"?wait[%d]\n" % (mid + 1) for mid in range(20)))
        reading = asyncio.ensure_future(modest.lines(20))
        while not reading.done():
            server.release(len(server.held))
            for _ in range(5):
                await asyncio.sleep(0)
        name = ":".join(map(str, modest.writer.get_extra_info("sockname")))
        turns = [index for index, who in enumerate(server.order) if who == name]
        assert len(turns) == 20
        assert turns[-1] - turns[0] <= 3 * 19
        rest = asyncio.ensure_future(greedy.lines(200))
        while not rest.done():
            server.release(len(server.held))
            await asyncio.sleep(0)


async def test_clients_that_go_leave_no_count_behind() -> None:
    server = Waiting("127.0.0.1", 0, max_requests=10, max_requests_per_client=5)
    async with serving(server), talking(server) as stays:
        load = server._server.load
        assert load is not None
        for kind in KINDS:
            async with talking(server) as client:
                await client.raw(b"".join(b"?%s[%d]\n" % (kind.encode(), i + 1) for i in range(9)))
                await until(lambda: load.total == 5)
                client.writer.transport.abort()
            await until(lambda: server.statistics.clients == 1)
            with contextlib.suppress(asyncio.InvalidStateError):
                server.release(len(server.held))
            await until(lambda: load.total == 0)
        assert await stays.ask(b"?watchdog[1]") == [b"!watchdog[1] ok"]
        assert not load.waiting


async def test_clients_that_are_disconnected_leave_no_count_behind() -> None:
    server = Waiting("127.0.0.1", 0, max_requests_per_client=3)
    async with serving(server):
        load = server._server.load
        assert load is not None
        async with talking(server) as client:
            await client.send(b"?wait[1]", b"?later[2]", b"?by-hand[3]", b"?wait[4]")
            await until(lambda: load.total == 3)
            (connection,) = server._server.connections
            server._server.disconnect(connection, "Bye.")
            rest = await client.rest()
            assert rest.count(b" fail request_cancelled\n") == 3
            assert rest.endswith(b"#disconnect Bye.\n")
        await until(lambda: load.total == 0)
    assert load.total == 0


async def test_stopping_while_clients_are_held_back() -> None:
    server = Waiting("127.0.0.1", 0, max_requests=2, max_requests_per_client=1)
    async with contextlib.AsyncExitStack() as stack:
        async with serving(server):
            clients = [await stack.enter_async_context(talking(server)) for _ in range(3)]
            for client in clients:
                await client.send(b"?wait[1]", b"?later[2]", b"?wait[3]")
            await until(lambda: server.started == 3)
        for client in clients:
            assert b"#disconnect " in await client.rest()
    assert server._server.load is not None
    assert server._server.load.total == 0


class Threads(BareThreaded):
    """Handlers in threads."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.go = threading.Event()
        self.later: list[Any] = []

    @concurrent_reply
    @blocking
    def request_block(self, req: Any, msg: Message) -> Any:
        """Wait in a thread."""
        assert self.go.wait(10)
        return req.make_reply("ok")

    def request_defer(self, req: Any, msg: Message) -> Any:
        """Be answered by another thread."""
        self.later.append(req)
        raise AsyncReply


async def test_handlers_in_threads_count() -> None:
    server = Threads("127.0.0.1", 0, max_requests_per_client=2)
    server.start(timeout=10)
    try:
        async with talking(server) as client, talking(server) as other:
            await client.send(b"?block[1]", b"?block[2]", b"?block[3]", b"?watchdog[4]")
            await until(lambda: server.statistics.requests_held_back == 1)
            assert await other.ask(b"?watchdog[1]") == [b"!watchdog[1] ok"]
            server.go.set()
            lines = sorted(await client.lines(4))
            assert lines[:3] == [b"!block[%d] ok" % mid for mid in (1, 2, 3)]
            await client.send(*[b"?defer[%d]" % mid for mid in range(1, 6)])
            answered = 0
            while answered < 5:
                await until(lambda: server.later)
                req = server.later.pop(0)
                thread = threading.Thread(target=req.reply, args=("ok",))
                thread.start()
                thread.join()
                answered += 1
                assert await client.line() == b"!defer[%d] ok" % answered
    finally:
        await asyncio.to_thread(lambda: server.stop().result(10))
        server.join(10)


class TakesOver(Waiting):
    """Handles messages in its own way."""

    def on_message(self, client_conn: Any, msg: Message) -> Any:
        """Hand it on."""
        return super().on_message(client_conn, msg)


@pytest.mark.parametrize("kind", KINDS)
async def test_devices_that_handle_messages_themselves(kind: str) -> None:
    name = kind.encode()
    server = TakesOver("127.0.0.1", 0, max_requests_per_client=2)
    async with serving(server), talking(server) as client, talking(server) as other:
        await client.raw(b"".join(b"?%s[%d]\n" % (name, mid) for mid in (1, 2, 3)))
        await until(lambda: server.started == 2)
        assert await other.ask(b"?watchdog[1]") == [b"!watchdog[1] ok"]
        assert server.started == 2
        server.release()
        await until(lambda: server.started == 3)
        server.release(2)
        assert len(await client.lines(3)) == 3


# -- subscriptions ----------------------------------------------------------------------


class Sampled(AsyncDeviceServer):
    """Has sensors."""

    announces_clients = False

    def setup_sensors(self) -> None:
        for number in range(2500):
            self.add_sensor(Sensor.integer(f"s{number}", "A number.", default=0))


async def test_subscriptions_one_by_one() -> None:
    server = Sampled("127.0.0.1", 0, max_subscriptions=2)
    async with serving(server), talking(server) as client, talking(server) as other:
        for mid in (0, 1):
            answer = await client.ask(b"?sensor-sampling[%d] s%d event" % (mid + 1, mid))
            assert answer[-1] == b"!sensor-sampling[%d] ok s%d event" % (mid + 1, mid)
        assert await client.ask(b"?sensor-sampling[3] s2 event") == [
            b"!sensor-sampling[3] fail Too\\_many\\_subscriptions:"
            b"\\_a\\_client\\_may\\_have\\_2,\\_and\\_this\\_would\\_be\\_3."
        ]
        # Another strategy for one of them is no more; asking and ending are always possible.
        assert (await client.ask(b"?sensor-sampling[4] s1 period 10"))[-1].endswith(b"period 10")
        assert await client.ask(b"?sensor-sampling[5] s2") == [b"!sensor-sampling[5] ok s2 none"]
        assert await client.ask(b"?sensor-sampling[6] s2 none") == [
            b"!sensor-sampling[6] ok s2 none"
        ]
        assert (await other.ask(b"?sensor-sampling[1] s2 event"))[-1].endswith(b"ok s2 event")
        await client.ask(b"?sensor-sampling[7] s0 none")
        assert (await client.ask(b"?sensor-sampling[8] s2 auto"))[-1].endswith(b"ok s2 auto")
        await client.ask(b"?sensor-sampling-clear[9]")
        assert (await client.ask(b"?sensor-sampling[10] s5 auto"))[-1].endswith(b"ok s5 auto")
        assert server.statistics.subscriptions_refused == 1


@pytest.mark.parametrize("limit", [2299, 2300, 2301])
async def test_bulk_is_all_or_nothing(limit: int) -> None:
    """One more than the limit, the limit, and one less; more than are set in one piece."""
    server = Sampled("127.0.0.1", 0, max_subscriptions=limit)
    async with serving(server), talking(server) as client:
        names = b",".join(b"s%d" % number for number in range(100))
        lines = await client.ask(b"?sensor-sampling[1] %s event" % names)
        assert lines[-1].endswith(b" event")
        names = b",".join(b"s%d" % number for number in range(50, 2300))  # 50 of them again
        lines = await client.ask(b"?sensor-sampling[2] %s auto" % names)
        (connection,) = server._server.connections
        assert server._sampling is not None
        count = len(server._sampling.sensors_of(connection))
        if limit < 2300:
            assert lines == [
                b"!sensor-sampling[2] fail Too\\_many\\_subscriptions:\\_a\\_client\\_may\\_have"
                b"\\_2299,\\_and\\_this\\_would\\_be\\_2300."
            ]
            assert count == 100
            assert await client.ask(b"?sensor-sampling[3] s60") == [
                b"!sensor-sampling[3] ok s60 event"
            ]
        else:
            assert lines[-1].startswith(b"!sensor-sampling[2] ok ")
            assert count == 2300


def test_subscriptions_that_make_no_sense() -> None:
    with pytest.raises(ValueError, match="max_subscriptions must be positive"):
        Sampled("127.0.0.1", 0, max_subscriptions=0)


# -- halting ----------------------------------------------------------------------------


@pytest.mark.parametrize("base", [AsyncDeviceServer, DeviceServer])
async def test_remote_halt_switched_off(base: type[DeviceServer]) -> None:
    class Device(base):  # type: ignore[misc,valid-type]
        announces_clients = False

        def setup_sensors(self) -> None:
            pass

        def request_halt(self, req: Any, msg: Message) -> Any:
            """Halt in a way of its own."""
            raise AssertionError

    server = Device("127.0.0.1", 0, remote_halt=False)
    other = Device("127.0.0.1", 0)
    assert {"halt", "restart"} <= set(other._request_handlers)
    if base is DeviceServer:
        server.set_ioloop()
    async with serving(server), talking(server) as client:
        for name in (b"halt", b"restart"):
            assert await client.ask(b"?%s[1]" % name) == [
                b"!%s[1] invalid Unknown\\_request." % name
            ]
        assert await client.ask(b"?help[2] halt") == [b"!help[2] fail Unknown\\_request\\_method."]
        assert not [
            line
            for line in await client.ask(b"?help[3]")
            if line.startswith((b"#help[3] halt ", b"#help[3] restart "))
        ]
        assert await client.ask(b"?watchdog[4]") == [b"!watchdog[4] ok"]
        assert server.running()


# -- statistics -------------------------------------------------------------------------


async def test_statistics() -> None:
    server = Waiting("127.0.0.1", 0, max_clients=2)
    numbers = server.statistics
    assert set(numbers) == set(dict(numbers))
    assert not any(numbers.values())
    async with serving(server), talking(server) as client:
        assert numbers.clients == numbers["clients"] == 1
        assert numbers.clients_accepted == 1
        async with talking(server) as other, talking(server, greeting=0) as third:
            assert (await third.rest()).startswith(b"#disconnect ")
            assert numbers.clients == 2
            await other.send(b"?wait[1]", b"?later[2]")
            await until(lambda: numbers.requests_under_way == 2)
        assert numbers.clients_refused_number == 1
        await until(lambda: numbers.clients == 1)
        assert numbers.requests_under_way == 0
        await client.send(b"bad line", b"?watchdog[1]")
        await client.until_reply()
        assert numbers.bad_lines == 1
        server.add_request("break", _break)
        await client.ask(b"?break[1]")
        assert numbers.handler_errors == 1
        server.release(2)
    with pytest.raises(AttributeError):
        numbers.clients = 5  # type: ignore[misc]
    with pytest.raises(AttributeError, match="There is no statistic 'nonsense'"):
        numbers.nonsense  # noqa: B018
    assert "clients" in dir(numbers)
    assert "'clients_accepted': 2" in repr(numbers)


def _break(req: Any, msg: Message) -> Any:
    """Break."""
    raise KeyError("lost")


def test_a_device_may_have_statistics_of_its_own() -> None:
    class Own(BareThreaded):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.statistics = {"seen": 3}  # type: ignore[assignment]

    server = Own("127.0.0.1", 0, statistics_period=0.05)
    with serving_in_thread(server):
        assert server.statistics == {"seen": 3}
        assert server.get_sensor("server.clients").value() == 0


async def test_sensors_of_the_statistics() -> None:
    server = Waiting("127.0.0.1", 0, statistics_period=0.02)
    async with serving(server), talking(server) as client:
        await client.ask(b"?sensor-sampling[1] server.bad-lines event")
        await client.send(b"bad line")
        lines = [await client.line() for _ in range(2)]
        assert lines[0].startswith(b"#log error ")
        assert lines[1].endswith(b" server.bad-lines nominal 1")
        listed = await client.ask(b"?sensor-list[2]")
        assert len(listed) == len(server.statistics) + 1
        assert any(line.startswith(b"#sensor-list[2] server.readings-spared ") for line in listed)
    with pytest.raises(ValueError, match="statistics_period must be positive"):
        Waiting("127.0.0.1", 0, statistics_period=0)
