"""What those get wrong who write their first provider: it is refused, and the text says what."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import re
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from katcp.endpoints import (
    AsyncEndpointServer,
    DerivedEndpoint,
    Endpoint,
    EndpointServer,
    KeyValueStore,
    Provider,
    Spime,
    StoreKey,
    endpoint,
    remote_command,
    remote_property,
)
from katcp.sensors import Sensor
from katcp.server import blocking
from tests.endpoints.served import informs, reply, served, told
from tests.helpers.serving import serving_in_thread, until


class Fixed(Spime):
    """Gives what it is told, or what that returns."""

    def __init__(self, name: str, value: Any = 1, **options: Any) -> None:
        super().__init__(name, **options)
        self._fixed = value

    def on_get(self) -> Any:
        return self._fixed() if callable(self._fixed) else self._fixed


# -- what is refused when it is written -------------------------------------------------


class Forgetful(Spime):
    def __init__(self, name: str) -> None:
        self.mine = name


@pytest.mark.parametrize(
    ("endpoints", "text"),
    [
        ([Fixed], "not the class Fixed: call it"),
        (["foo"], "an endpoint is expected, not 'foo'"),
        ([Forgetful("a")], "Forgetful.__init__() did not call super().__init__() with the name"),
        ("foo", "endpoints is a list of endpoints, not 'foo'"),
        (Fixed("a"), "endpoints is a list of endpoints, not <Fixed a>"),
        (7, "endpoints is a list of endpoints, not 7"),
    ],
)
def test_what_is_no_endpoint_is_refused(endpoints: Any, text: str) -> None:
    with pytest.raises(TypeError, match=re.escape(text)):
        Provider("p", endpoints=endpoints)
    with pytest.raises(TypeError, match=re.escape(text)):
        AsyncEndpointServer("127.0.0.1", 0, endpoints=endpoints)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"timeout": "3"}, "a: timeout must be a positive number, not '3'"),
        ({"type": "double"}, "a: there is no type 'double'; there are string,"),
        ({"raw_type": "double"}, "a: there is no type 'double'"),
        ({"type": "float", "params": (5, 0)}, "a: [5, 0] is no range"),
        ({"type": "float", "params": ("0", "5")}, "a: ['0', '5'] is no range"),
        ({"type": "float", "params": (float("nan"), 5)}, "a: [nan, 5] is no range"),
        ({"type": "integer", "params": (True, 5)}, "is no range"),
        ({"conditions": [10]}, "a: conditions are values by number, not [10]"),
        ({"quantum": "x"}, "a: quantum must be a positive number, not 'x'"),
    ],
)
def test_bad_options_are_told_with_the_name(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        StoreKey("a", calibration="{}" if "raw_type" in options else None, **options)


async def test_nothing_for_text_that_people_read_is_no_text() -> None:
    key = StoreKey("a", units=None, raw_units=None, description=None)  # type: ignore[arg-type]
    async with served(KeyValueStore("s", endpoints=[key])) as (_, client):
        listed = (await informs(client, b"?sensor-list s.a"))[0]
        assert listed == [b"s.a", b"Value of s.a", b"", b"string"]


async def test_a_bad_node_is_refused_without_endpoints_too() -> None:
    with pytest.raises(ValueError, match="cannot be the name"):
        AsyncEndpointServer("127.0.0.1", 0, node="a.b")
    async with served() as (server, client):
        assert await client.ask(b"?watchdog[1]") == [b"!watchdog[1] ok"]
        assert not server.has_request("get")


def _in_an_endpoint() -> None:
    class Thing(Endpoint):
        @endpoint
        def x(self) -> int:
            return 1


def _without_self() -> None:
    class Thing(Provider):
        @endpoint
        def x() -> int:  # type: ignore[misc]
            return 1


def _setter_without_value() -> None:
    class Thing(Provider):
        @endpoint
        def x(self) -> int:
            return 1

        @x.setter
        def x(self) -> None:  # type: ignore[no-redef]
            pass


def _of_a_property() -> None:
    class Thing(Provider):
        @endpoint
        @property
        def x(self) -> int:
            return 1


def _units_by_place() -> None:
    class Thing(Provider):
        @endpoint("K")  # type: ignore[call-overload]
        def x(self) -> int:
            return 1


def _twice() -> None:
    class Thing(Provider):
        @endpoint
        def x(self) -> int:
            return 1

        @endpoint(name="x")
        def y(self) -> int:
            return 2


def _named_as_a_method() -> None:
    class Thing(Provider):
        @endpoint
        def name(self) -> str:  # type: ignore[override]
            return "x"


def _command_static() -> None:
    class Thing(Provider):
        @remote_command
        @staticmethod
        def x(a: int) -> int:
            return a


def _command_static_the_other_way() -> None:
    class Thing(Provider):
        @staticmethod
        @remote_command
        def x(a: int) -> int:
            return a


def _command_of_a_property() -> None:
    class Thing(Provider):
        @remote_command  # type: ignore[type-var]
        @property
        def x(self) -> int:
            return 1


@pytest.mark.parametrize(
    ("write", "text"),
    [
        (_in_an_endpoint, "Thing is no Provider, so its method 'x' cannot be an endpoint"),
        (_without_self, "Thing.x() cannot be called with (self)"),
        (_setter_without_value, "Thing.x() cannot be called with (self, value)"),
        (_of_a_property, "@endpoint is for methods"),
        (_units_by_place, "@endpoint is for methods, and options are given by name; not 'K'"),
        (_twice, "Thing declares two endpoints named 'x'"),
        (_named_as_a_method, "Thing: a method 'name', which all endpoints have, cannot be an"),
        (_command_static, "@remote_command is for methods"),
        (_command_static_the_other_way, "command x: "),
        (_command_of_a_property, "@remote_command is for methods"),
    ],
)
def test_bad_declarations_are_refused_with_the_class(write: Callable[[], None], text: str) -> None:
    with pytest.raises(TypeError, match=re.escape(text)):
        write()


async def test_an_endpoint_may_have_a_name_that_methods_have() -> None:
    class Thing(Provider):
        @endpoint(name="name")
        def the_name(self) -> str:
            return "x"

    class Other(Thing):
        @endpoint(name="name")
        def the_name(self) -> str:
            return "y"

    async with served(Thing("t"), Other("o")) as (_, client):
        assert (await reply(client, b"?get t.name"))[:2] == [b"ok", b"x"]
        assert (await reply(client, b"?get o.name"))[:2] == [b"ok", b"y"]


# -- hooks that do not behave -----------------------------------------------------------


async def cancelled_inside() -> None:
    task = asyncio.ensure_future(asyncio.sleep(60))
    asyncio.get_running_loop().call_soon(task.cancel)
    await task


def cancelled_at_once() -> None:
    raise asyncio.CancelledError


async def leaves() -> None:
    await asyncio.sleep(0)
    sys.exit(3)


@pytest.mark.parametrize("timeout", [None, 5.0])
@pytest.mark.parametrize("hook", [cancelled_inside, cancelled_at_once])
async def test_a_hook_that_is_cancelled_has_failed(
    hook: Callable[[], Any], timeout: float | None
) -> None:
    class Thing(Fixed):
        def on_set(self, value: Any) -> Any:
            return hook()

        @remote_command
        def act(self) -> Any:
            return hook()

        @remote_property
        def prop(self) -> Any:
            return hook()

    thing = Thing("x", hook, timeout=timeout)
    async with served(thing) as (server, client):
        for request in (b"?get x", b"?set x 1", b"?cmd x act", b"?get x prop"):
            answer = await reply(client, request)
            assert answer[0::2] == [b"fail", b"300"]
            assert answer[1] == b"x: what it waited for was cancelled"
        assert server.get_sensor("x").status() == Sensor.FAILURE


@pytest.mark.parametrize("timeout", [None, 5.0])
@pytest.mark.parametrize("hook", [leaves, lambda: sys.exit(3)])
async def test_a_hook_that_would_end_the_interpreter_fails_by_schedule_too(
    hook: Callable[[], Any], timeout: float | None
) -> None:
    thing = Fixed("x", hook, timeout=timeout, schedule_interval=0.001, schedule_status="on")
    async with served(thing) as (_, client):
        await until(lambda: thing.logging.errors >= 3)
        answer = await reply(client, b"?get x")
        assert answer[0::2] == [b"fail", b"999"]
        assert answer[1].startswith(b"RuntimeError: SystemExit: 3")


async def test_an_action_by_schedule_that_would_end_the_interpreter_does_not() -> None:
    class Thing(Fixed):
        acted = 0

        def scheduled_action(self) -> Any:
            self.acted += 1
            raise SystemExit

    thing = Thing("x", schedule_interval=0.001, schedule_status="on")
    async with served(thing) as (_, client):
        await until(lambda: thing.acted >= 3)
        assert (await reply(client, b"?get x"))[:2] == [b"ok", b"1"]


async def test_a_future_of_a_pool_of_threads_is_waited_for() -> None:
    with concurrent.futures.ThreadPoolExecutor(1) as pool:

        class Thing(Provider):
            @endpoint
            def x(self) -> Any:
                return pool.submit(lambda: 7)

            @remote_command
            def act(self) -> Any:
                return pool.submit(lambda: 8)

            @remote_property
            def prop(self) -> Any:
                return pool.submit(lambda: 9)

        async with served(Thing("t")) as (_, client):
            assert (await reply(client, b"?get x"))[:2] == [b"ok", b"7"]
            assert await reply(client, b"?cmd t act") == [b"ok", b"8"]
            assert await reply(client, b"?get t prop") == [b"ok", b"9"]


async def test_coroutines_of_a_property_are_waited_for_and_take_turns() -> None:
    class Thing(Provider):
        speed = 0.0
        busy = 0

        @remote_property
        async def top(self) -> float:
            self.busy += 1
            assert self.busy == 1
            await asyncio.sleep(0.001)
            self.busy -= 1
            return self.speed

        @top.setter
        async def top(self, value: float) -> None:
            self.busy += 1
            assert self.busy == 1
            await asyncio.sleep(0.001)
            self.busy -= 1
            if value < 0:
                raise ValueError("it cannot turn backwards")
            self.speed = value

    thing = Thing("t")
    async with served(thing) as (server, client):
        await client.send(*[b"?configure[%d] t top %d" % (n, n) for n in range(1, 5)])
        for n in range(1, 5):
            assert await client.until_reply() == [b"!configure[%d] ok %d.0" % (n, n)]
        assert thing.speed == 4.0
        answer = await reply(client, b"?set t -1 top")
        assert answer == [b"invalid", b"it cannot turn backwards", b"304"]
        assert await server.endpoint_host.set("t.top", 9.0) == 9.0
        assert await server.endpoint_host.get("t", "top") == 9.0


async def test_what_blocks_is_done_in_a_thread_wherever_the_mark_is() -> None:
    class Thing(Provider):
        @blocking
        @endpoint
        def x(self) -> str:
            return threading.current_thread().name

        @blocking
        @remote_property
        def above(self) -> str:
            return threading.current_thread().name

        @remote_property
        @blocking
        def below(self) -> str:
            return threading.current_thread().name

        @below.setter
        @blocking
        def below(self, value: str) -> None:
            self.set_in = threading.current_thread().name

    thing = Thing("t")
    here = threading.current_thread().name.encode()
    async with served(thing) as (_, client):
        for request in (b"?get x", b"?get t above", b"?get t below", b"?set t 1 below"):
            answer = await reply(client, request)
            assert answer[0] == b"ok"
            assert answer[1] != here
        assert thing.set_in.encode() != here


async def test_a_value_that_is_none_of_its_type_is_shown_as_an_error() -> None:
    value: list[Any] = ["ERR"]
    thing = Fixed("x", lambda: value[0], type="float")
    half = DerivedEndpoint("half", "{x} / 2")
    async with served(thing, half) as (server, client):
        answer = await reply(client, b"?get x")
        assert answer[:3] == [b"ok", b"ERR", b""]
        assert answer[4] == b"error"
        assert thing.reading.status == server.get_sensor("x").status() == Sensor.ERROR
        assert (await reply(client, b"?get half"))[0::2] == [b"fail", b"203"]
        value[0] = "2.5"
        assert (await reply(client, b"?get x"))[4] == b"nominal"
        assert (await reply(client, b"?get half"))[1] == b"1.25"


async def test_what_a_hook_raises_when_nobody_waits_for_it_any_more_is_no_matter() -> None:
    async def stubborn() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise RuntimeError("it would not be cancelled") from None

    async with served(Fixed("x", stubborn, timeout=0.01)) as (_, client):
        assert (await reply(client, b"?get x"))[0::2] == [b"fail", b"305"]
        await asyncio.sleep(0.01)


# -- the log ----------------------------------------------------------------------------


async def test_a_hook_that_fails_a_thousand_times_a_second_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    every: dict[str, Any] = {"schedule_interval": 0.001, "schedule_status": "on"}
    turn = [0]

    def now_and_then() -> int:
        turn[0] += 1
        if turn[0] % 2:
            raise RuntimeError(f"turn {turn[0]}")
        return turn[0]

    class Acts(Fixed):
        acted = 0

        def scheduled_action(self) -> Any:
            self.acted += 1
            raise RuntimeError

    acts = Acts("acts", **every)
    always = Fixed("always", lambda: [][0], **every)
    flapping = Fixed("flapping", now_and_then, **every)
    async with served(acts, always, flapping) as (_, client):
        first = await reply(client, b"?get always")
        await until(
            lambda: acts.acted > 20 and always.logging.errors > 20 and flapping.logging.errors > 20
        )
        later = await reply(client, b"?get always")
    assert first[2] == later[2] == b"999"
    assert first[1] == later[1], "the id is that of the one that was logged"
    messages = [
        record.getMessage() for record in caplog.records if record.name == "katcp.endpoints"
    ]
    mark = re.search(rb"error ([0-9a-f]{8})", first[1])
    assert mark is not None
    assert sum(f"Error {mark[1].decode()}: always failed" in one for one in messages) == 1
    assert len(messages) <= 8, messages
    assert any(record.exc_info for record in caplog.records if "always failed" in record.message)


async def test_a_listener_that_fails_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    async with served(StoreKey("k", log_on_set=True)) as (server, client):
        server.endpoint_host.alerts.listen("#", lambda alert: [][0])
        with caplog.at_level(logging.ERROR, "katcp.endpoints"):
            for number in range(20):
                assert (await reply(client, b"?set k %d" % number))[0] == b"ok"
    assert len(caplog.records) == 1


# -- those who ask ----------------------------------------------------------------------


async def test_a_text_is_one_argument_of_a_command() -> None:
    class Thing(Provider):
        @remote_command
        def echo(self, *words):  # type: ignore[no-untyped-def]
            return words

    async with served(Thing("t")) as (server, _):
        assert await server.endpoint_host.cmd("t", "echo", "ab") == ("ab",)
        assert await server.endpoint_host.cmd("t", "echo", ["ab", "c"]) == ("ab", "c")


async def test_what_never_ends_is_no_matter_of_others() -> None:
    started = time.monotonic()
    never = Fixed("never", lambda: asyncio.get_running_loop().create_future())
    stuck = Provider("stuck", endpoints=[never, StoreKey("beside")])
    async with served(stuck, StoreKey("other")) as (_, client):
        await client.send(b"?get[1] never", b"?get[2] beside", b"?set[3] beside 1")
        assert (await reply(client, b"?set[4] other 1"))[0] == b"ok"
        assert await client.ask(b"?ping[5] stuck") == [b"!ping[5] ok"]
        assert await client.ask(b"?is-locked[6] beside") == [b"!is-locked[6] ok 0"]
        assert (await client.ask(b"?sensor-value[7] stuck.beside"))[-1].startswith(
            b"!sensor-value[7] ok"
        )
    assert time.monotonic() - started < 8


async def test_a_thread_may_tell_of_what_it_has_seen() -> None:
    class Thing(Fixed):
        @blocking
        def on_get(self) -> float:
            self.store_value({"seen": 7})
            return 1

    async with served(Thing("x")) as (_, client):
        assert (await reply(client, b"?alert-subscribe #"))[0] == b"ok"
        await client.send(b"?get[1] x")
        [alert] = await told(client, b"alert")
        assert alert[1:] == [b"sensor_value.x", b"seen", b"7", b"path", b"x"]


def test_endpoints_come_and_go_from_the_thread_of_the_program() -> None:
    store = KeyValueStore("st", endpoints=[StoreKey("a", initial_value=1)])
    server = EndpointServer("127.0.0.1", 0, endpoints=[store])
    host = server.endpoint_host
    with serving_in_thread(server):
        every = StoreKey("b", schedule_interval=0.001, schedule_status="on")
        store.add_endpoint(every)
        host.add(DerivedEndpoint("twice", "{a} * 2"))
        deadline = time.monotonic() + 10
        while not (server.get_sensor("twice").value() == 2.0 and every.reading.timestamp):
            assert time.monotonic() < deadline
            time.sleep(0.005)
        store.lock(lease=0.02)
        while server.get_sensor("st.a.locked").value():
            assert time.monotonic() < deadline
            time.sleep(0.005)
        with pytest.raises(ValueError, match="two endpoints named 'a'"):
            store.add_endpoint(StoreKey("a"))
        with pytest.raises(ValueError, match="two endpoints named 'twice'"):
            host.add(StoreKey("twice"))
        assert store.remove_endpoint("b") is every
        host.remove("twice")
        assert not server.has_sensor("st.b")
        assert [one.path for one in host.all_endpoints()] == ["st", "st.a"]
    store.add_endpoint(every)
    assert store.endpoint_names == ["a", "b"]


async def test_what_is_added_while_the_device_starts_begins_in_its_loop() -> None:
    key = StoreKey("k", schedule_interval=0.001, schedule_status="on")
    async with served(key) as (server, _):
        host = server.endpoint_host
        host._ended(key)
        # As of another thread that found no loop when it began, and one when it had ended.
        await asyncio.get_running_loop().run_in_executor(None, host._began, key)
        await until(lambda: key.logging.schedule._loop is not None)
