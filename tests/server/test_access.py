"""Policies that decide on clients, requests and informs."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import gc
import logging
import threading
import weakref
from collections.abc import Sequence
from typing import Any

import pytest
from tornado import gen

from katcp.errors import AsyncReply, FailReply, InvalidReply
from katcp.kattypes import concurrent_reply
from katcp.protocol import Message, ProtocolFlags
from katcp.sensors import Sensor
from katcp.server import (
    AccessPolicy,
    AsyncDeviceServer,
    ClientConnection,
    ClientRequestConnection,
    DeviceServer,
    blocking,
)
from katcp.server._dispatch import Entry
from katcp.server._guarded import GuardedEntry
from tests.helpers.serving import Bare, serving, serving_in_thread, talking, until
from tests.helpers.wire import WireClient

DENIED = b"fail Access\\_denied."


class Asked(AccessPolicy):
    """Answers as it is told to, and remembers what it was asked."""

    def __init__(self, answer: Any = True) -> None:
        self.answer = answer
        self.asked: list[tuple[str, tuple[bytes, ...]]] = []
        self.clients: list[Any] = []

    def may_request(self, client: Any, name: str, arguments: Sequence[bytes]) -> Any:
        """Say what is said here."""
        self.asked.append((name, tuple(arguments)))
        self.clients.append(client)
        answer = self.answer(name) if callable(self.answer) else self.answer
        if isinstance(answer, BaseException):
            raise answer
        return answer


class Device(AsyncDeviceServer):
    """A handler of each kind; `called` says which were called."""

    announces_clients = False

    def setup_sensors(self) -> None:
        self.called: list[str] = []
        self.add_sensor(Sensor.integer("a", "A number.", default=1))

    def request_raw(self, req: Any, msg: Message) -> Any:
        """Be plain."""
        self.called.append("raw")
        return req.make_reply("ok", *msg.arguments)

    def request_typed(self, req: Any, number: int) -> int:
        """Be typed."""
        self.called.append("typed")
        return number + 1

    async def request_coroutine(self, req: Any, number: int) -> int:
        """Be a coroutine."""
        await asyncio.sleep(0)
        self.called.append("coroutine")
        return number + 1

    @gen.coroutine
    def request_tornado(self, req: Any, msg: Message) -> Any:
        """Be an old coroutine."""
        yield gen.moment
        self.called.append("tornado")
        raise gen.Return(req.make_reply("ok", *msg.arguments))

    @blocking
    def request_blocking(self, req: Any, msg: Message) -> Any:
        """Be in a thread."""
        assert threading.current_thread() is not threading.main_thread()
        self.called.append("blocking")
        return req.make_reply("ok", *msg.arguments)

    @concurrent_reply
    async def request_concurrent(self, req: Any, msg: Message) -> Any:
        """Be one of many."""
        await asyncio.sleep(0)
        self.called.append("concurrent")
        return req.make_reply("ok", *msg.arguments)

    def request_later(self, req: Any, msg: Message) -> Any:
        """Be answered later."""
        self.called.append("later")
        asyncio.get_running_loop().call_soon(req.reply, "ok", *msg.arguments)
        raise AsyncReply

    def request_broken(self, req: Any, msg: Message) -> Any:
        """Fail."""
        self.called.append("broken")
        raise FailReply("out of order")


KINDS = ["raw", "typed", "coroutine", "tornado", "blocking", "concurrent", "later"]


class ViaOnMessage(Device):
    """Takes messages over."""

    def on_message(self, client_conn: Any, msg: Message) -> Any:
        """Hand it on."""
        return super().on_message(client_conn, msg)


class ViaHandleRequest(Device):
    """Takes requests over, in a coroutine."""

    async def handle_request(self, connection: Any, msg: Message) -> Any:
        """Hand it on, later."""
        await asyncio.sleep(0)
        done = super().handle_request(connection, msg)
        await done


WAYS = [Device, ViaOnMessage, ViaHandleRequest]


async def _slowly(value: Any) -> Any:
    await asyncio.sleep(0.001)
    if isinstance(value, BaseException):
        raise value
    return value


async def _without_waiting(value: Any) -> Any:
    return value


def _in_thread(value: Any) -> concurrent.futures.Future[Any]:
    done: concurrent.futures.Future[Any] = concurrent.futures.Future()
    threading.Timer(0.001, done.set_result, [value]).start()
    return done


def _future(value: Any) -> asyncio.Future[Any]:
    done = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(0.001, done.set_result, value)
    return done


FORMS = {
    "at once": lambda value: value,
    "coroutine": _slowly,
    "eager": _without_waiting,
    "future": _future,
    "thread": _in_thread,
}


# -- requests ---------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("way", WAYS)
async def test_what_may_pass_passes(way: type[Device], form: str) -> None:
    policy = Asked(lambda name: FORMS[form](True))
    server = way("127.0.0.1", 0, access=policy)
    async with serving(server), talking(server) as client:
        for number, kind in enumerate(KINDS):
            expected = (
                b"5" if kind in ("raw", "tornado", "blocking", "concurrent", "later") else b"6"
            )
            assert await client.ask(b"?%s[%d] 5" % (kind.encode(), number + 1)) == [
                b"!%s[%d] ok %s" % (kind.encode(), number + 1, expected)
            ]
        assert await client.ask(b"?broken[20]") == [b"!broken[20] fail out\\_of\\_order"]
        assert server.called == [*KINDS, "broken"]
        assert policy.asked == [*[(kind, (b"5",)) for kind in KINDS], ("broken", ())]
        assert server.statistics.requests_under_way == 0
        assert server.statistics.requests_refused_access == 0


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("way", WAYS)
async def test_what_is_refused_is_not_called(way: type[Device], form: str) -> None:
    server = way("127.0.0.1", 0, access=Asked(lambda name: FORMS[form](False)))
    async with serving(server), talking(server) as client:
        for number, kind in enumerate([*KINDS, "watchdog", "halt", "help"]):
            assert await client.ask(b"?%s[%d] 5" % (kind.encode(), number + 1)) == [
                b"!%s[%d] %s" % (kind.encode(), number + 1, DENIED)
            ]
        assert server.called == []
        assert server.running()
        assert server.statistics.requests_refused_access == len(KINDS) + 3


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("answer", "reply"),
    [
        (FailReply("Ask Fred."), b"fail Ask\\_Fred."),
        (InvalidReply("No such role."), b"invalid No\\_such\\_role."),
        (None, DENIED),
        (1, DENIED),  # nothing but True
        ("yes", DENIED),
        (ValueError("lost"), DENIED),
        (SystemExit("lost"), DENIED),
        (asyncio.CancelledError(), DENIED),
    ],
    ids=repr,
)
@pytest.mark.parametrize("slowly", [False, True])
async def test_answers_of_policies(
    way: type[Device],
    answer: Any,
    reply: bytes,
    slowly: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    policy = Asked((lambda name: _slowly(answer)) if slowly else answer)
    server = way("127.0.0.1", 0, access=policy)
    async with serving(server), talking(server) as client:
        assert await client.ask(b"?raw[1]") == [b"!raw[1] " + reply]
        assert server.called == []
        policy.answer = True
        assert await client.ask(b"?raw[2]") == [b"!raw[2] ok"]
    failures = [r for r in caplog.records if "access policy failed" in r.getMessage()]
    is_failure = isinstance(answer, BaseException) and not isinstance(answer, FailReply)
    assert len(failures) == is_failure
    if is_failure:
        assert failures[0].exc_info is not None
        assert "?raw of 127.0.0.1:" in failures[0].getMessage()


async def test_a_policy_that_fails_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    server = Device("127.0.0.1", 0, access=Asked(ValueError("lost")))
    async with serving(server), talking(server) as client:
        for mid in range(1, 100):
            assert await client.ask(b"?raw[%d]" % mid) == [b"!raw[%d] %s" % (mid, DENIED)]
    assert len([r for r in caplog.records if r.levelno >= logging.ERROR]) == 1


async def test_requests_without_ids_stay_in_order() -> None:
    class Old(Device):
        PROTOCOL_INFO = ProtocolFlags(4, 0, "M")

    server = Old("127.0.0.1", 0, access=Asked(lambda name: _slowly(name != "typed")))
    async with serving(server), talking(server) as client:
        await client.send(b"?raw 1", b"?raw 2", b"?typed 1", b"?raw 3", b"?watchdog")
        assert await client.lines(5) == [
            b"!raw ok 1",
            b"!raw ok 2",
            b"!typed " + DENIED,
            b"!raw ok 3",
            b"!watchdog ok",
        ]


@pytest.mark.parametrize("base", [DeviceServer])
async def test_handler_thread(base: type[DeviceServer]) -> None:
    """A policy is asked in the loop of the server, whatever thread handlers run in."""

    class Policy(AccessPolicy):
        def __init__(self) -> None:
            self.threads: set[int] = set()

        def may_request(self, client: Any, name: str, arguments: Sequence[bytes]) -> Any:
            self.threads.add(threading.get_ident())
            return _slowly(True) if arguments == (b"slow",) else arguments != (b"no",)

    class Threaded(base):  # type: ignore[misc,valid-type]
        announces_clients = False

        def setup_sensors(self) -> None:
            self.threads: set[int] = set()

        def request_work(self, req: Any, msg: Message) -> Any:
            """Work."""
            self.threads.add(threading.get_ident())
            return req.make_reply("ok")

    policy = Policy()
    server = Threaded("127.0.0.1", 0, access=policy)
    server.start(timeout=10)
    try:
        async with talking(server) as client:
            assert await client.ask(b"?work[1]") == [b"!work[1] ok"]
            assert await client.ask(b"?work[2] slow") == [b"!work[2] ok"]
            assert await client.ask(b"?work[3] no") == [b"!work[3] " + DENIED]
        assert len(policy.threads) == len(server.threads) == 1
        assert policy.threads == {server._server.ioloop_thread_id}
        assert not policy.threads & server.threads
    finally:
        await asyncio.to_thread(lambda: server.stop().result(10))
        server.join(10)


async def test_device_that_answers_by_itself_is_not_asked_before_the_policy() -> None:
    class Own(Device):
        seen: list[str]

        def on_message(self, client_conn: ClientConnection, msg: Message) -> Any:
            """Answer whatever comes."""
            self.called.append(msg.name)
            if msg.name == "alias":
                return self.handle_request(client_conn, Message.request("raw", mid=msg.mid))
            if msg.name == "anything":
                return client_conn.reply(Message.reply("anything", "ok"), msg)
            return super().on_message(client_conn, msg)

    policy = Asked(lambda name: name != "raw")
    server = Own("127.0.0.1", 0, access=policy)
    async with serving(server), talking(server) as client:
        assert await client.ask(b"?anything[1]") == [b"!anything[1] ok"]
        assert await client.ask(b"?raw[2]") == [b"!raw[2] " + DENIED]
        # What it makes of one request is another, and is asked about too.
        assert await client.ask(b"?alias[3]") == [b"!raw[3] " + DENIED]
        policy.answer = False
        assert await client.ask(b"?anything[4]") == [b"!anything[4] " + DENIED]
        assert await client.ask(b"?no-such-request[5]") == [b"!no-such-request[5] " + DENIED]
        assert server.called == ["anything", "alias"]
        # Informs are no requests.
        await client.send(b"#hello")
        await until(lambda: server.called[-1] == "hello")
    names = [name for name, _ in policy.asked]
    assert names == ["anything", "raw", "alias", "raw", "anything", "no-such-request"]


async def test_unknown_requests_are_unknown_to_everybody() -> None:
    policy = Asked(False)
    server = Device("127.0.0.1", 0, access=policy)
    async with serving(server), talking(server) as client:
        assert await client.ask(b"?nonsense[1]") == [b"!nonsense[1] invalid Unknown\\_request."]
    assert policy.asked == []


async def test_requests_that_come_at_run_time_are_asked_about() -> None:
    def handler(req: Any, msg: Message) -> Any:
        """Be new."""
        return req.make_reply("ok")

    server = Device("127.0.0.1", 0, access=Asked(lambda name: name != "new"))
    async with serving(server), talking(server) as client:
        server.add_request("new", handler)
        lines = await client.ask(b"?new[1]")
        assert lines[-1] == b"!new[1] " + DENIED


async def test_clients_are_told_apart() -> None:
    class Rooms(AccessPolicy):
        """Lets those pass who have said the word."""

        def __init__(self) -> None:
            self.known: weakref.WeakKeyDictionary[Any, bool] = weakref.WeakKeyDictionary()

        def may_connect(self, client: ClientConnection) -> Any:
            self.known[client] = False
            return True

        def may_request(self, client: Any, name: str, arguments: Sequence[bytes]) -> Any:
            if name == "raw" and arguments == (b"sesame",):
                self.known[client] = True
            return self.known[client]

    policy = Rooms()
    server = Device("127.0.0.1", 0, access=policy)
    async with serving(server):
        async with talking(server) as one, talking(server) as other:
            assert await one.ask(b"?raw[1] sesame") == [b"!raw[1] ok sesame"]
            assert await one.ask(b"?watchdog[2]") == [b"!watchdog[2] ok"]
            assert await other.ask(b"?watchdog[1]") == [b"!watchdog[1] " + DENIED]
            assert len(policy.known) == 2
        await until(lambda: not server.statistics.clients)
        gc.collect()
        assert len(policy.known) == 0


async def test_sampling_is_decided_by_its_request() -> None:
    server = Device(
        "127.0.0.1", 0, access=Asked(lambda name: name not in ("sensor-sampling", "halt"))
    )
    async with serving(server), talking(server) as client:
        assert await client.ask(b"?sensor-sampling[1] a event") == [
            b"!sensor-sampling[1] " + DENIED
        ]
        server.sensors["a"].set_value(3)
        assert await client.ask(b"?watchdog[2]") == [b"!watchdog[2] ok"]


async def test_request_while_it_is_decided_counts_and_is_cancelled() -> None:
    decisions: list[asyncio.Future[bool]] = []

    def decide(name: str) -> Any:
        decisions.append(asyncio.get_running_loop().create_future())
        return decisions[-1]

    server = Device("127.0.0.1", 0, access=Asked(decide), max_requests_per_client=2)
    async with serving(server):
        async with talking(server) as client:
            await client.raw(b"".join(b"?concurrent[%d]\n" % mid for mid in range(1, 5)))
            await until(lambda: len(decisions) == 2)
            assert server.statistics.requests_under_way == 2
            decisions[0].set_result(True)
            assert await client.line() == b"!concurrent[1] ok"
            await until(lambda: len(decisions) == 3)
            (connection,) = server._server.connections
            server._server.disconnect(connection, "Bye.")
            assert (await client.rest()).count(b" fail request_cancelled\n") == 2
        await until(lambda: not server.katcp_under_way)
        assert [d.cancelled() for d in decisions] == [False, True, True]


async def test_decision_that_is_never_made() -> None:
    policy = Asked(lambda name: asyncio.get_running_loop().create_future())
    policy.timeout = 0.05
    server = Device("127.0.0.1", 0, access=policy)
    async with serving(server), talking(server) as client:
        assert await client.ask(b"?raw[1]") == [b"!raw[1] " + DENIED]
        assert server.called == []


# -- requests that come another way -----------------------------------------------------


class Heard:
    """A connection of somebody's tests."""

    def __init__(self) -> None:
        self.replies: list[str] = []

    def reply(self, msg: Message, orig: Message) -> None:
        self.replies.append(str(msg))


@pytest.mark.parametrize(
    ("allowed", "reply"), [(True, "!raw ok 1"), (False, "!raw " + DENIED.decode())]
)
@pytest.mark.parametrize("slowly", [False, True])
async def test_requests_that_are_handed_in(allowed: bool, reply: str, slowly: bool) -> None:
    policy = Asked((lambda name: _slowly(allowed)) if slowly else allowed)
    server = Device("127.0.0.1", 0, access=policy)
    heard = Heard()
    async with serving(server):
        server.handle_request(heard, Message.request("raw", 1))
        await until(lambda: heard.replies)
    assert heard.replies == [reply]
    assert policy.clients == [heard]


def test_costs_nothing_without_a_policy() -> None:
    server = Device("127.0.0.1", 0)
    assert type(server._entry(b"raw")) is Entry
    assert server._server.gate is None
    guarded = Device("127.0.0.1", 0, access=AccessPolicy())
    assert type(guarded._entry(b"raw")) is GuardedEntry


def test_something_that_is_no_policy() -> None:
    with pytest.raises(TypeError, match="is no AccessPolicy: it has no method may_connect"):
        Device("127.0.0.1", 0, access="everybody")


def test_anything_with_its_methods_is_one() -> None:
    class Strange:
        def may_connect(self, client: Any) -> bool:
            return True

        may_request = may_receive = may_connect

    Device("127.0.0.1", 0, access=Strange())


async def test_the_policy_as_it_stands_lets_everything_pass() -> None:
    server = Device("127.0.0.1", 0, access=AccessPolicy())
    async with serving(server), talking(server) as client:
        assert await client.ask(b"?raw[1]") == [b"!raw[1] ok"]
        server.log.error("trouble")
        assert b"trouble" in await client.line()


# -- coming in --------------------------------------------------------------------------


class Door(AccessPolicy):
    """Decides on clients as it is told to."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.clients: list[ClientConnection] = []

    def may_connect(self, client: ClientConnection) -> Any:
        self.clients.append(client)
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer() if callable(self.answer) else self.answer


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("allowed", [True, False])
async def test_coming_in(allowed: bool, form: str) -> None:
    policy = Door(lambda: FORMS[form](allowed))
    server = Device("127.0.0.1", 0, access=policy)
    async with serving(server), talking(server, greeting=0) as client:
        await client.send(b"?watchdog[1]")
        if allowed:
            lines = await client.lines(4)
            assert all(line.startswith(b"#version-connect ") for line in lines[:3])
            assert lines[3] == b"!watchdog[1] ok"
            assert policy.clients == list(server._server.connections)
            assert policy.clients[0].host == "127.0.0.1"
        else:
            with contextlib.suppress(ConnectionError):
                assert await client.rest() in (b"", b"#disconnect Access\\_denied.\n")
            await until(lambda: server.statistics.clients_refused_access == 1)
            assert server.statistics.clients_accepted == 0
            assert server._server.admission._clients == 0


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (FailReply("Come back tomorrow."), b"Come\\_back\\_tomorrow."),
        (OSError("no database"), b"Access\\_denied."),
        (None, b"Access\\_denied."),
    ],
)
async def test_refusals_at_the_door(answer: Any, text: bytes) -> None:
    server = Device("127.0.0.1", 0, access=Door(answer))
    async with serving(server), talking(server, greeting=0) as client:
        assert await client.rest() == b"#disconnect " + text + b"\n"


async def test_undecided_clients_count_and_are_told_nothing() -> None:
    waiting: list[asyncio.Future[bool]] = []

    def decide() -> asyncio.Future[bool]:
        waiting.append(asyncio.get_running_loop().create_future())
        return waiting[-1]

    server = Device("127.0.0.1", 0, access=Door(decide), max_clients=2)
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(serving(server))
        first = await stack.enter_async_context(talking(server, greeting=0))
        second = await stack.enter_async_context(talking(server, greeting=0))
        third = await stack.enter_async_context(talking(server, greeting=0))
        assert await third.rest() == b"#disconnect Too\\_many\\_clients.\n"
        server.log.error("trouble")
        waiting[0].set_result(True)
        assert (await first.line()).startswith(b"#version-connect ")
        await first.lines(2)
        server.log.error("more")
        assert b"more" in await first.line()
        await second.close()  # before it is decided
        await until(lambda: server._server.admission._clients == 1)
        assert waiting[1].cancelled()
        fourth = await stack.enter_async_context(talking(server, greeting=0))
        await until(lambda: len(waiting) == 3)
        stopping = server.stop()
        assert (await fourth.rest()).startswith(b"#disconnect Device\\_server\\_shutting")
        await stopping
        assert waiting[2].cancelled()
    assert server._server.admission._clients == 0


async def test_flood_of_an_undecided_client_is_bounded() -> None:
    decision: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    server = Device("127.0.0.1", 0, access=Door(lambda: decision))
    async with serving(server), talking(server, greeting=0) as client:
        await client.raw(b"".join(b"?raw[%d]\n" % (mid + 1) for mid in range(5000)))
        await until(lambda: server._server._undecided)
        connection = next(iter(server._server._undecided))
        await until(lambda: connection._waiting_paused)
        assert len(connection._waiting) < 5000
        assert server.called == []
        decision.set_result(True)
        lines = await client.lines(5003)
        assert lines[-1] == b"!raw[5000] ok"


# -- informs ----------------------------------------------------------------------------


class Ears(AccessPolicy):
    """Decides on informs."""

    def __init__(self) -> None:
        self.deaf: dict[ClientConnection, set[str]] = {}
        self.asked: list[str] = []
        self.error: BaseException | None = None

    def may_receive(self, client: ClientConnection, name: str) -> Any:
        self.asked.append(name)
        if self.error is not None:
            raise self.error
        return name not in self.deaf.get(client, ())


async def test_informs_to_all() -> None:
    class Announcing(Device):
        announces_clients = True

    policy = Ears()
    server = Announcing("127.0.0.1", 0, access=policy)
    async with serving(server), talking(server) as deaf:
        (connection,) = server._server.connections
        policy.deaf[connection] = {"log", "client-connected", "news"}
        async with talking(server) as other:
            await until(lambda: "client-connected" in policy.asked)
            server.log.error("trouble")
            server.mass_inform(Message.inform("news", "none"))
            server.mass_inform(Message.inform("bare"))
            server.add_sensor(Sensor.integer("b", "Another.", default=1))
            lines = await other.lines(4)
            assert b"trouble" in lines[0]
            assert lines[1:] == [b"#news none", b"#bare", b"#interface-changed sensor b added"]
            assert await deaf.lines(2) == [b"#bare", b"#interface-changed sensor b added"]
            await deaf.send(b"bad line")  # what it is told for itself
            assert (await deaf.line()).startswith(b"#log error ")
            policy.error = ValueError("lost")
            server.log.error("nobody hears this")
            assert await deaf.ask(b"?watchdog[1]") == [b"!watchdog[1] ok"]
            assert await other.ask(b"?watchdog[1]") == [b"!watchdog[1] ok"]


# -- life -------------------------------------------------------------------------------


def test_server_with_a_policy_is_collected() -> None:
    server = DeviceThreaded("127.0.0.1", 0, access=AccessPolicy())
    with serving_in_thread(server):
        pass
    gone = weakref.ref(server)
    del server
    gc.collect()
    assert gone() is None


class DeviceThreaded(DeviceServer):
    """With a loop of its own."""

    def setup_sensors(self) -> None:
        pass


def test_is_guarded() -> None:
    assert not Bare("127.0.0.1", 0).katcp_is_guarded
    assert Bare("127.0.0.1", 0, allow=["10.0.0.1"]).katcp_is_guarded
    assert Bare("127.0.0.1", 0, access=AccessPolicy()).katcp_is_guarded


@pytest.mark.parametrize(
    ("host", "is_exposed"), [("127.0.0.1", False), ("", True), ("0.0.0.0", True)]
)
async def test_open_door_is_said(
    host: str, is_exposed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        async with serving(Bare(host, 0)) as server:
            assert server.katcp_is_exposed is is_exposed
        said = [r for r in caplog.records if "may do everything" in r.getMessage()]
        assert len(said) == is_exposed
        caplog.clear()
        async with serving(Bare(host, 0, allow="127.0.0.1")):
            pass
        assert not [r for r in caplog.records if "may do everything" in r.getMessage()]


async def test_requests_stand_for_their_client() -> None:
    """The client of a policy is the connection that handlers get."""
    seen: list[Any] = []

    class Device2(Device):
        def request_who(self, req: ClientRequestConnection, msg: Message) -> Any:
            """Tell."""
            seen.append(req.client_connection)
            return req.make_reply("ok")

    policy = Asked()
    server = Device2("127.0.0.1", 0, access=policy)
    async with serving(server):
        client = await WireClient.connect(server.bind_address)
        await client.ask(b"?who[1]")
        await client.close()
    assert seen == policy.clients
