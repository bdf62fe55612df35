"""Fake inspecting clients: what they find, and what their devices answer."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
import weakref
from collections.abc import AsyncIterator, Callable
from typing import Any
from unittest import mock

import pytest
from tornado import gen

from katcp.errors import AsyncReply, FailReply, KatcpSyntaxError
from katcp.fake_clients import (
    FakeAsyncClient,
    FakeClientRequestConnection,
    FakeInspectingClientManager,
    fake_inspecting_client_factory,
)
from katcp.inspecting_client import InspectingClientAsync
from katcp.kattypes import Float, Int, Str, concurrent_reply, request, return_reply
from katcp.protocol import Message
from katcp.sensors import Sensor
from tests.helpers.inspecting import Told

Fake = tuple[InspectingClientAsync, FakeInspectingClientManager]


def make(told: Told | None = None, **kwargs: Any) -> Fake:
    client, manager = fake_inspecting_client_factory(
        InspectingClientAsync, {}, "fake-host", 111, **kwargs
    )
    client.katcp_client.auto_reconnect_delay = 0.005
    client.set_state_callback(told)
    return client, manager


@contextlib.asynccontextmanager
async def faked(told: Told | None = None) -> AsyncIterator[Fake]:
    client, manager = make(told)
    client.connect()
    try:
        await client.until_synced(timeout=5)
        yield client, manager
    finally:
        client.stop()
        await client.until_stopped(timeout=5)


async def ask(client: InspectingClientAsync, name: str, *args: Any) -> tuple[str, list[str]]:
    """Ask; return reply and informs as text, without ids."""
    reply, informs = await client.simple_request(name, *args)
    assert reply.mid is not None
    return (
        str(Message(reply.mtype, reply.name, reply.arguments)),
        [str(Message(inform.mtype, inform.name, inform.arguments)) for inform in informs],
    )


class Handlers:
    """Handlers of every kind that a server has."""

    def __init__(self) -> None:
        self.requests: list[Any] = []

    @request(Int(), Int())
    @return_reply(Int())
    def request_add_up(self, req: Any, x: int, y: int) -> Any:
        """Add X and Y."""
        self.requests.append(req)
        req.inform("adding", x, y)
        return ("ok", x + y)

    def request_raw(self, req: Any, msg: Message) -> Message:
        """Say it again."""
        reply: Message = req.make_reply("ok", *msg.arguments)
        return reply

    def request_refuse(self, req: Any, msg: Message) -> None:
        """Refuse."""
        raise FailReply("No can do.")

    def request_break(self, req: Any, msg: Message) -> None:
        """Break."""
        raise RuntimeError("broken")

    def request_later(self, req: Any, msg: Message) -> None:
        """Answer later."""
        asyncio.get_running_loop().call_later(0.001, req.reply, "ok", "late")
        raise AsyncReply

    def request_elsewhere(self, req: Any, msg: Message) -> None:
        """Answer in another thread."""
        threading.Thread(target=req.reply, args=("ok", "from afar")).start()
        raise AsyncReply

    @return_reply(Str())
    @gen.coroutine
    def request_old_coroutine(self, req: Any, msg: Message) -> Any:
        """Take a moment."""
        yield gen.sleep(0.001)
        raise gen.Return(("ok", "old"))

    @request(Float())
    @return_reply(Str())
    async def request_new_coroutine(self, req: Any, seconds: float) -> Any:
        """Take a moment."""
        await asyncio.sleep(seconds)
        return ("ok", "new")

    def request_future(self, req: Any, msg: Message) -> Any:
        """Return a future."""
        future: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.set_result, req.make_reply("ok", "future"))
        return future

    @return_reply()
    @concurrent_reply
    async def request_never(self, req: Any, msg: Message) -> Any:
        """Never end."""
        await asyncio.Event().wait()

    def request_typed(self, req: Any, x: int, y: int = 2) -> int:
        """Multiply."""
        return x * y

    def request_by_hand(self, req: Any, msg: Message) -> Any:
        """Reply by hand."""
        return req.reply("ok", "by hand")

    def request_nothing(self, req: Any, msg: Message) -> None:
        """Forget to reply."""


# -- what is there --------------------------------------------------------------------------


async def test_a_fake_is_of_the_class_that_was_asked_for() -> None:
    class Mine(InspectingClientAsync):
        pass

    client, manager = fake_inspecting_client_factory(
        Mine, {"allow_any_request": True}, "fake-host", 111, auto_reconnect=False
    )
    assert isinstance(client, Mine)
    assert isinstance(client.katcp_client, FakeAsyncClient)
    assert isinstance(manager, FakeInspectingClientManager)
    assert client.bind_address == ("fake-host", 111)


async def test_it_connects_and_finds_two_requests() -> None:
    told = Told()
    async with faked(told) as (client, _):
        assert client.connected
        assert sorted(client.requests) == ["help", "sensor-list"]
        assert client.sensors == []
        assert told.story == "DCMS"
        assert told.changes[0].requests.added == {"help", "sensor-list"}


async def test_what_is_added_before_it_connects_is_there_when_it_does() -> None:
    client, manager = make()
    manager.add_sensors({"a.b": ("Of a", "m", "float")})
    client.connect()
    await client.until_synced(timeout=5)
    assert client.sensors == ["a.b"]
    await client.stop()


async def test_w90_the_device_speaks_version_5_with_ids() -> None:
    async with faked() as (client, manager):
        flags = client.katcp_client.protocol_flags
        assert str(flags) == "5.0-IM"
        reply, _ = await client.simple_request("anything")
        assert reply.mid is not None
        assert client.katcp_client.versions["katcp-protocol"] == ("5.0-IM",)
        seen: list[Message] = []

        def look(req: Any, msg: Message) -> Any:
            """Look."""
            seen.append(msg)
            return req.make_reply("ok")

        manager.add_request_handlers_dict({"look": look})
        reply, _ = await client.simple_request("look", mid=77)
        assert (reply.mid, seen[0].mid) == (b"77", b"77")


# -- sensors --------------------------------------------------------------------------------


async def test_sensors_that_are_added_act_like_interface_changed() -> None:
    told = Told()
    async with faked(told) as (client, manager):
        del told.states[:], told.changes[:]
        manager.add_sensors(
            {
                "an.int": ("An integer", "count", "integer", -3, 5),
                "a.word": ("A word", "", "discrete", "yes", b"no"),
                "a.time": ("A time", "s", "timestamp"),
            }
        )
        assert not client.synced  # at once, so that this waits for the next time:
        await client.until_synced(timeout=5)
        assert told.story == "CMS"
        assert told.changes[0].sensors.added == {"an.int", "a.word", "a.time"}
        sensor = await client.future_get_sensor("an.int")
        assert (sensor.type, sensor.params) == ("integer", [-3, 5])
        assert (sensor.description, sensor.units) == ("An integer", "count")
        assert (await client.future_get_sensor("a.word")).params == ["yes", "no"]
        assert manager.fake_sensor_infos["an.int"] == ("An integer", "count", "integer", -3, 5)


@pytest.mark.virtual_time
async def test_additions_take_no_time() -> None:
    async with faked() as (client, manager):
        begin = asyncio.get_running_loop().time()
        for index in range(20):
            manager.add_sensors({f"sensor.{index}": ("", "", "integer")})
            await client.until_synced()
            assert len(client.sensors) == index + 1
        assert asyncio.get_running_loop().time() - begin < 1e-6


async def test_a_bad_type_is_refused_and_nothing_is_added() -> None:
    async with faked() as (client, manager):
        with pytest.raises(KatcpSyntaxError, match="bad"):
            manager.add_sensors({"good": ("", "", "integer"), "x": ("", "", "bad")})
        with pytest.raises(ValueError, match="type"):
            manager.add_sensors({"x": ("", "")})
        with pytest.raises(ValueError, match="y"):
            manager.add_sensors({"x": Sensor.integer("y")})
        assert manager.fake_sensor_infos == {}
        assert client.synced


async def test_w91_a_sensor_that_is_asked_for_by_name_stays() -> None:
    async with faked() as (client, manager):
        manager.add_sensors({"a.b": ("Of a", "m", "float"), "c": ("", "", "boolean")})
        await client.until_synced(timeout=5)
        assert await client.inspect_sensors("a.b") is None
        assert sorted(client.sensors) == ["a.b", "c"]
        assert await ask(client, "sensor-list", "a.b") == (
            "!sensor-list ok 1",
            ["#sensor-list a.b Of\\_a m float"],
        )
        assert (await ask(client, "sensor-list", "/^c/"))[0] == "!sensor-list ok 1"
        assert await ask(client, "sensor-list", "nope") == (
            "!sensor-list fail Unknown\\_sensor\\_name.",
            [],
        )
        assert not await client.future_check_sensor("nope")


async def test_w92_sensors_can_be_given_values() -> None:
    async with faked() as (client, manager):
        manager.add_sensors(
            {"speed": ("", "m/s", "float"), "mode": ("", "", "discrete", "idle", "busy")},
            values={"speed": 2.5},
        )
        manager.set_sensor_value("mode", "busy", Sensor.WARN, 1234.5)
        assert await ask(client, "sensor-value", "mode") == (
            "!sensor-value ok 1",
            ["#sensor-value 1234.500000 1 mode warn busy"],
        )
        reply, informs = await ask(client, "sensor-value")
        assert reply == "!sensor-value ok 2"
        assert informs[1].endswith(" 1 speed nominal 2.5")
        manager.sensors["speed"].set_value(3.5, Sensor.ERROR, 99.0)
        assert (await ask(client, "sensor-value", "speed"))[1] == [
            "#sensor-value 99.000000 1 speed error 3.5"
        ]
        with pytest.raises(ValueError, match="broken"):
            manager.set_sensor_value("mode", "broken")
        with pytest.raises(KeyError):
            manager.set_sensor_value("nope", 1)


async def test_values_that_do_not_fit_are_refused_and_nothing_is_added() -> None:
    _, manager = make()
    with pytest.raises(ValueError, match="broken"):
        manager.add_sensors(
            {"mode": ("", "", "discrete", "idle", "busy")}, values={"mode": "broken"}
        )
    with pytest.raises(KeyError):
        manager.add_sensors({"a": ("", "", "integer")}, values={"b": 1})
    assert manager.fake_sensor_infos == {}


async def test_w92_subscribers_are_sent_what_is_set() -> None:
    async with faked() as (client, manager):
        manager.add_sensors({"speed": ("", "m/s", "float")}, values={"speed": 1.0})
        await client.until_synced(timeout=5)
        sensor = await client.future_get_sensor("speed")
        reply, _ = await ask(client, "sensor-sampling", "speed", "event")
        assert reply == "!sensor-sampling ok speed event"
        assert (sensor.value(), sensor.status()) == (1.0, Sensor.NOMINAL)  # the first one
        manager.set_sensor_value("speed", 7.5, Sensor.WARN)
        await ask(client, "watchdog")
        assert (sensor.value(), sensor.status()) == (7.5, Sensor.WARN)
        # Also from other threads.
        thread = threading.Thread(target=manager.set_sensor_value, args=("speed", 8.5))
        thread.start()
        thread.join()
        await ask(client, "watchdog")
        assert sensor.value() == 8.5
        reply, _ = await ask(client, "sensor-sampling", "speed", "nonsense")
        assert reply.startswith("!sensor-sampling fail Unknown\\_strategy")
        reply, _ = await ask(client, "sensor-sampling", "nope", "event")
        assert reply == "!sensor-sampling fail Unknown\\_sensor\\_name:\\_nope."


async def test_strategies_and_values_outlive_other_additions() -> None:
    async with faked() as (client, manager):
        manager.add_sensors({"speed": ("", "m/s", "float")}, values={"speed": 1.0})
        await ask(client, "sensor-sampling", "speed", "auto")
        served = manager.sensors["speed"]
        manager.add_sensors({"other": ("", "", "integer"), "speed": ("", "m/s", "float")})
        assert manager.sensors["speed"] is served
        assert (await ask(client, "sensor-sampling", "speed"))[0].endswith(" ok speed auto")
        manager.add_sensors({"speed": ("Faster", "km/s", "float")})
        assert manager.sensors["speed"] is not served
        await client.until_synced(timeout=5)
        assert (await client.future_get_sensor("speed")).units == "km/s"


async def test_a_sensor_of_the_test_can_be_served_itself() -> None:
    async with faked() as (client, manager):
        sensor = Sensor.integer("mine", "My own", "m", default=4)
        manager.add_sensors({"mine": sensor})
        sensor.set_value(5, timestamp=3.0)
        assert await ask(client, "sensor-value", "mine") == (
            "!sensor-value ok 1",
            ["#sensor-value 3.000000 1 mine nominal 5"],
        )


async def test_sensors_and_requests_can_be_removed() -> None:
    async with faked() as (client, manager):
        manager.add_sensors({"a": ("", "", "integer"), "b": ("", "", "integer")})
        manager.add_request_handlers_object(Handlers())
        await client.until_synced(timeout=5)
        manager.remove_sensors("a")
        manager.remove_requests("raw", "refuse")
        assert not client.synced
        await client.until_synced(timeout=5)
        assert client.sensors == ["b"]
        assert "raw" not in client.requests
        assert "later" in client.requests
        with pytest.raises(KeyError):
            manager.remove_sensors("b", "nope")
        with pytest.raises(KeyError):
            manager.remove_requests("nope")
        assert list(manager.sensors) == ["b"]


async def test_the_tables_may_be_changed_by_hand() -> None:
    def look(req: Any, msg: Message) -> Any:
        """Look."""
        return req.make_reply("ok", "looked")

    async with faked() as (client, manager):
        fake: Any = client.katcp_client
        fake.request_handlers["look"] = look
        manager.fake_sensor_infos["a"] = ("", "", "integer")
        assert (await ask(client, "look"))[0] == "!look ok looked"
        assert (await ask(client, "sensor-list"))[0] == "!sensor-list ok 1"
        await client.inspect()
        assert client.sensors == ["a"]
        assert "look" in client.requests
        del manager.fake_sensor_infos["a"]
        assert (await ask(client, "sensor-list"))[0] == "!sensor-list ok 0"


# -- requests -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "args", "reply"),
    [
        ("add-up", (1, 2), "!add-up ok 3"),
        (
            "add-up",
            ("x", 2),
            "!add-up fail "
            "Error\\_in\\_parameter\\_1\\_(x):\\_Could\\_not\\_parse\\_value\\_'b'x''\\_as\\_integer.",
        ),
        ("raw", ("a b", 2), "!raw ok a\\_b 2"),
        ("refuse", (), "!refuse fail No\\_can\\_do."),
        ("later", (), "!later ok late"),
        ("elsewhere", (), "!elsewhere ok from\\_afar"),
        ("old-coroutine", (), "!old-coroutine ok old"),
        ("new-coroutine", (0.001,), "!new-coroutine ok new"),
        ("future", (), "!future ok future"),
        ("typed", (3,), "!typed ok 6"),
        ("by-hand", (), "!by-hand ok by\\_hand"),
    ],
)
async def test_w92_handlers_are_answered_for_as_on_a_server(
    name: str, args: tuple[Any, ...], reply: str
) -> None:
    async with faked() as (client, manager):
        manager.add_request_handlers_object(Handlers())
        assert (await ask(client, name, *args))[0] == reply


@pytest.mark.parametrize(("name", "text"), [("break", "broken"), ("nothing", "None")])
async def test_w92_bugs_of_handlers_become_replies(name: str, text: str) -> None:
    async with faked() as (client, manager):
        manager.add_request_handlers_object(Handlers())
        reply, _ = await client.simple_request(name)
        assert reply.arguments[0] == b"fail"
        assert reply.arguments[1].startswith(b"Traceback")
        assert text in reply.arguments[1].decode()
        assert (await ask(client, "watchdog"))[0] == "!watchdog ok"


async def test_handlers_are_given_fake_requests_that_remember_their_informs() -> None:
    async with faked() as (client, manager):
        handlers = Handlers()
        manager.add_request_handlers_object(handlers)
        assert await ask(client, "add-up", 1, 2) == ("!add-up ok 3", ["#add-up adding 1 2"])
        (req,) = handlers.requests
        assert isinstance(req, FakeClientRequestConnection)
        assert [inform.arguments for inform in req.informs_sent] == [[b"adding", b"1", b"2"]]
        assert req.msg.name == "add-up"
        assert "fake-async-client" in req.client_connection.address
        with pytest.raises(RuntimeError, match="already sent"):
            req.reply("ok")
        with pytest.raises(RuntimeError, match="after sending reply"):
            req.inform("too late")
        assert len(req.informs_sent) == 1


async def test_requests_that_nobody_knows_succeed() -> None:
    async with faked() as (client, _):
        for name in ("whatever", "halt", "restart", "request-timeout-hint"):
            assert await ask(client, name, 1, 2) == (f"!{name} ok", [])
        assert client.connected


async def test_what_every_device_does_is_done_but_not_listed() -> None:
    async with faked() as (client, manager):
        manager.add_sensors({"a": ("", "", "integer")})
        assert (await ask(client, "version-list"))[0] == "!version-list ok 3"
        assert (await ask(client, "client-list"))[0] == "!client-list ok 1"
        assert (await ask(client, "sensor-sampling", "a"))[0] == "!sensor-sampling ok a none"
        assert (await ask(client, "sensor-sampling-clear"))[0] == "!sensor-sampling-clear ok"
        assert (await ask(client, "log-level", "all"))[0] == "!log-level ok all"
        reply, informs = await ask(client, "help")
        assert reply == "!help ok 2"
        assert [inform.split()[1] for inform in informs] == ["help", "sensor-list"]
        assert (await ask(client, "help", "watchdog"))[0] == (
            "!help fail Unknown\\_request\\_method."
        )
        assert not await client.future_check_request("watchdog")


async def test_requests_that_are_added_act_like_interface_changed() -> None:
    told = Told()
    async with faked(told) as (client, manager):
        del told.states[:], told.changes[:]
        manager.add_request_handlers_object(Handlers())
        assert not client.synced
        await client.until_synced(timeout=5)
        assert told.story == "CMS"
        assert "add-up" in told.changes[0].requests.added
        assert (await client.future_get_request("add-up")).description == "Add X and Y."
        assert (await ask(client, "help", "refuse"))[1] == ["#help refuse Refuse."]


async def test_handlers_without_docstring_are_refused() -> None:
    def silent(req: Any, msg: Message) -> None:
        pass

    def loud(req: Any, msg: Message) -> None:
        """Have a docstring."""

    async with faked() as (_, manager):
        with pytest.raises(AssertionError):
            manager.add_request_handlers_dict({"loud": loud, "silent": silent})
        assert "loud" not in manager._request_handlers


async def test_standard_requests_can_be_replaced() -> None:
    def mine(req: Any, msg: Message) -> Any:
        """Say whose it is."""
        return req.make_reply("ok", "mine")

    async with faked() as (client, manager):
        manager.add_request_handlers_dict({"watchdog": mine, "sensor-value": mine})
        assert (await ask(client, "watchdog"))[0] == "!watchdog ok mine"
        assert (await ask(client, "sensor-value"))[0] == "!sensor-value ok mine"
        manager.add_request_handlers_dict({"help": mine})
        assert (await ask(client, "help"))[0] == "!help ok mine"


async def test_a_handler_that_is_there_before_the_manager_stays() -> None:
    def mine(req: Any, msg: Message) -> Any:
        """Say whose it is."""
        return req.make_reply("ok", "mine")

    client, _ = make()
    fake: Any = client.katcp_client
    fake.request_handlers["help"] = mine
    manager = FakeInspectingClientManager(client)
    assert manager._request_handlers["help"] is mine
    assert manager._request_handlers["sensor-list"] == manager.request_sensor_list


async def test_a_mock_can_be_a_handler() -> None:
    async with faked() as (client, manager):
        handler = mock.Mock(side_effect=lambda req, msg: req.make_reply("ok", 1))
        manager.add_request_handlers_dict({"mocked": handler})
        assert (await ask(client, "mocked", "x"))[0] == "!mocked ok 1"
        ((req, msg), _) = handler.call_args
        assert msg.arguments == [b"x"]
        assert req.msg == msg


async def test_plain_functions_may_be_decorated() -> None:
    @request(Int())
    @return_reply(Int())
    def request_double(req: Any, x: int) -> Any:
        """Double X."""
        return ("ok", 2 * x)

    async with faked() as (client, manager):
        manager.add_request_handlers_dict({"double": request_double})
        assert (await ask(client, "double", 4))[0] == "!double ok 8"


async def test_requests_are_handled_in_order_and_concurrent_ones_do_not_hold_others_up() -> None:
    async with faked() as (client, manager):
        manager.add_request_handlers_object(Handlers())
        slow = client.simple_request("new-coroutine", 0.01)
        quick = client.simple_request("raw")
        never = client.simple_request("never", timeout=30)
        await quick
        assert slow.done()
        assert (await ask(client, "raw"))[0] == "!raw ok"
        assert not never.done()
    reply, _ = await never
    assert not reply.reply_ok()


async def test_time_limits_hold() -> None:
    async with faked() as (client, manager):
        manager.add_request_handlers_object(Handlers())
        reply, _ = await client.simple_request("never", timeout=0.01)
        assert b"timed out" in reply.arguments[1]


# -- the connection -------------------------------------------------------------------------


async def test_the_device_may_be_lost_and_found() -> None:
    told = Told()
    async with faked(told) as (client, manager):
        manager.add_sensors({"a": ("", "", "integer")}, values={"a": 3})
        await client.until_synced(timeout=5)
        del told.states[:]
        client.katcp_client.disconnect()
        await client.until_not_synced(timeout=5)
        await client.until_synced(timeout=5)
        assert told.tidy_story == "DCNS"
        assert manager.sensors["a"].value() == 3
        fake: Any = client.katcp_client
        # The device, too, may hang up.
        fake.client_connection.disconnect("Enough.")
        await client.until_not_synced(timeout=5)
        assert fake.disconnect_reason == "Enough."
        await client.until_synced(timeout=5)


async def test_the_device_may_send_informs() -> None:
    async with faked() as (client, _):
        heard: list[Message] = []
        fake: Any = client.katcp_client
        fake.hook_inform("news", heard.append)
        fake.client_connection.inform(Message.inform("news", "good"))
        await ask(client, "watchdog")
        assert [str(message) for message in heard] == ["#news good"]


async def test_additions_may_come_from_another_thread() -> None:
    async with faked() as (client, manager):
        thread = threading.Thread(target=manager.add_sensors, args=({"a": ("", "", "integer")},))
        thread.start()
        thread.join()
        await client.until_not_synced(timeout=5)
        await client.until_synced(timeout=5)
        assert client.sensors == ["a"]


async def test_additions_may_be_made_by_a_handler_and_by_a_callback() -> None:
    async with faked() as (client, manager):

        def grow(req: Any, msg: Message) -> Any:
            """Grow."""
            manager.add_sensors({"grown": ("", "", "integer")})
            return req.make_reply("ok")

        def on_news(msg: Message) -> None:
            manager.add_sensors({"new": ("", "", "integer")})

        manager.add_request_handlers_dict({"grow": grow})
        await client.until_synced(timeout=5)
        await ask(client, "grow")
        assert not client.synced
        await client.until_synced(timeout=5)
        fake: Any = client.katcp_client
        fake.hook_inform("news", on_news)
        fake.client_connection.inform(Message.inform("news"))
        await client.until_not_synced(timeout=5)
        await client.until_synced(timeout=5)
        assert sorted(client.sensors) == ["grown", "new"]


async def test_it_may_be_stopped_and_started_again() -> None:
    client, manager = make()
    manager.add_sensors({"a": ("", "", "integer")})
    for _ in range(2):
        client.connect()
        await client.until_synced(timeout=5)
        assert client.sensors == ["a"]
        client.stop()
        await client.until_stopped(timeout=5)
        assert len(asyncio.all_tasks()) == 1  # that of this test
        assert not client.connected


async def test_nothing_holds_it_when_it_has_stopped() -> None:
    client, manager = make()
    manager.add_request_handlers_object(Handlers())
    client.connect()
    await client.until_synced(timeout=5)
    manager.add_sensors({"a": ("", "", "integer")}, values={"a": 3})
    await ask(client, "sensor-sampling", "a", "period", 0.01)
    client.stop()
    await client.until_stopped(timeout=5)
    parts: list[Callable[[], Any]] = [
        weakref.ref(part) for part in (client, manager, client.katcp_client, manager.sensors["a"])
    ]
    del client, manager
    await asyncio.sleep(0)
    gc.collect()
    assert [part() for part in parts] == [None] * 4


async def test_many_sensors_and_long_arguments_pass() -> None:
    async with faked() as (client, manager):
        manager.add_sensors(
            {f"sensor.{i}": (f"Number {i} of many", "m", "float", 0, i) for i in range(3000)}
        )
        await client.until_synced(timeout=20)
        assert len(client.sensors) == 3000
        manager.add_request_handlers_object(Handlers())
        long = b"x" * 1_000_000
        reply, _ = await client.simple_request("raw", long)
        assert reply.arguments == [b"ok", long]
