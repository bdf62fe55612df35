"""F9, F10: what is called raises, blocks, never finishes or calls back; nobody else is harmed."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from katcp.client import AsyncClient, Message
from katcp.errors import FailReply, InvalidReply
from katcp.inspecting_client import InspectingClientAsync
from katcp.kattypes import concurrent_reply
from katcp.resource_client import KATCPClientResource
from katcp.server import AsyncDeviceServer, AsyncReply, DeviceServer, Sensor, blocking
from tests.helpers.inspecting import inspecting
from tests.helpers.scripted import V51, Device
from tests.helpers.serving import serving, talking, until
from tests.helpers.sizes import sizes


class Odd(BaseException):
    """Of a kind that nobody expects."""


KINDS: list[type[BaseException]] = [
    RuntimeError,
    FailReply,
    InvalidReply,
    StopIteration,
    GeneratorExit,
    asyncio.CancelledError,
    Odd,
    RecursionError,
]
#: Those that may end a program, and only be passed on by what is no server.
EXITS = [SystemExit]


class Raising(AsyncDeviceServer):
    """Everything that may be overridden raises when told to."""

    what: type[BaseException] | None = None
    seen = 0

    def setup_sensors(self) -> None:
        self.add_sensor(Sensor.integer("count"))
        self.add_sensor(Unreadable(Sensor.INTEGER, "unreadable", "Cannot be read."))

    def request_raise(self, req: Any, kind: int) -> None:
        """Raise."""
        raise [*KINDS, *EXITS][kind]("no")

    async def request_raise_later(self, req: Any, kind: int) -> None:
        """Raise in a turn of its own."""
        await asyncio.sleep(0)
        raise [*KINDS, *EXITS][kind]("no")

    @blocking
    def request_raise_elsewhere(self, req: Any, kind: int) -> None:
        """Raise in a thread."""
        raise [*KINDS, *EXITS][kind]("no")

    @concurrent_reply
    async def request_raise_beside(self, req: Any, kind: int) -> None:
        """Raise while others go on."""
        await asyncio.sleep(0)
        raise [*KINDS, *EXITS][kind]("no")

    def request_set(self, req: Any, value: int) -> None:
        """Set the sensor."""
        self.get_sensor("count").set_value(value)

    def on_client_connect(self, conn: Any) -> Any:
        if self.what is not None and self.seen % 2:
            self.seen += 1
            raise self.what("not you")
        self.seen += 1
        return super().on_client_connect(conn)

    def on_client_disconnect(self, conn: Any, msg: str, connection_valid: bool) -> Any:
        super().on_client_disconnect(conn, msg, connection_valid)
        if self.what is not None:
            raise self.what("good bye")


class RaisingInThreads(DeviceServer):
    """The same, where handlers have a thread."""

    what = None
    seen = 0
    setup_sensors = Raising.setup_sensors
    request_raise = Raising.request_raise
    request_raise_later = Raising.request_raise_later
    request_raise_elsewhere = Raising.request_raise_elsewhere
    request_raise_beside = Raising.request_raise_beside
    request_set = Raising.request_set


class Unreadable(Sensor):
    """A sensor whose reading cannot be had."""

    kind: type[BaseException] = RuntimeError

    def read(self) -> Any:
        raise self.kind("no value")


@pytest.fixture
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Keep thousands of tracebacks out of the way."""
    logging.getLogger("katcp").setLevel(logging.CRITICAL)
    yield caplog
    logging.getLogger("katcp").setLevel(logging.NOTSET)


@pytest.mark.slow
@sizes("failures", 1_000, 10_000)
@pytest.mark.parametrize("place", [Raising, RaisingInThreads])
async def test_f9_each_request_has_one_failure_whatever_its_handler_raises(
    place: Any, failures: int, quiet: Any
) -> None:
    names = [b"raise", b"raise-later", b"raise-elsewhere", b"raise-beside"]
    kinds = len(KINDS) + len(EXITS)
    async with (
        serving(place("127.0.0.1", 0, tb_limit=0)) as server,
        talking(server) as client,
        talking(server) as other,
    ):
        asked = [(names[i % 4], i + 1) for i in range(failures)]
        lines = [b"?%b[%d] %d" % (name, i, i % kinds) for name, i in asked]
        sending = asyncio.ensure_future(client.send(*lines, b"?watchdog[999999]"))
        answered = {}
        while len(answered) < failures + 1:
            (reply,) = [line for line in await client.until_reply() if line[:1] == b"!"]
            head, status = reply.split(b" ")[:2]
            assert head not in answered, "a second reply"
            answered[head] = status
            if len(answered) % 100 == 0:
                assert (await other.ask(b"?watchdog[7]"))[-1] == b"!watchdog[7] ok"
        await sending
        assert answered.pop(b"!watchdog[999999]") == b"ok"
        assert set(answered) == {b"!%b[%d]" % (name, i) for name, i in asked}
        assert set(answered.values()) == {b"fail", b"invalid"}


@pytest.mark.parametrize("kind", [*KINDS, *EXITS])
async def test_f9_a_connection_callback_that_raises_harms_one_client_only(
    kind: type[BaseException], quiet: Any
) -> None:
    async with serving(Raising("127.0.0.1", 0, tb_limit=0)) as server:
        server.what = kind
        async with talking(server) as steady:
            for number in range(6):
                # Every second one is turned away; each that goes raises.
                async with talking(server, greeting=0) as client:
                    await client.send(b"?watchdog[5]")
                    heard = await client.rest() if number % 2 == 0 else await client.line()
                    assert (b"!watchdog[5] ok" in heard) is False
                assert (await steady.ask(b"?watchdog[6]"))[-1] == b"!watchdog[6] ok"
        await until(lambda: not server._server.connections)


@pytest.mark.parametrize("kind", KINDS)
async def test_f9_a_sensor_that_cannot_be_read_spoils_no_other(
    kind: type[BaseException], quiet: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Unreadable, "kind", kind)
    async with serving(Raising("127.0.0.1", 0)) as server, talking(server) as client:
        *informs, reply = await client.ask(b"?sensor-value[1]")
        assert reply == b"!sensor-value[1] ok 2"
        statuses = {line.split(b" ")[3]: line.split(b" ")[4] for line in informs}
        assert statuses == {b"count": b"unknown", b"unreadable": b"failure"}
        for strategy in (b"event", b"period 0.01"):
            heard = await client.ask(b"?sensor-sampling[2] unreadable " + strategy)
            assert sum(line.startswith(b"!sensor-sampling[2] ") for line in heard) == 1
            heard = await client.ask(b"?sensor-sampling[3] count event")
            assert heard[-1] == b"!sensor-sampling[3] ok count event"
            assert (await client.ask(b"?set[4] 5"))[-1] == b"!set[4] ok"


@pytest.mark.parametrize("kind", KINDS)
def test_f9_an_observer_that_raises_is_passed_over(kind: type[BaseException], quiet: Any) -> None:
    class Observer:
        def __init__(self, raises: bool) -> None:
            self.raises = raises
            self.values: list[int] = []

        def update(self, sensor: Sensor, reading: Any) -> None:
            self.values.append(reading.value)
            if self.raises:
                raise kind("no")

    sensor = Sensor.integer("i")
    observers = [Observer(True), Observer(False), Observer(True), Observer(False)]
    for observer in observers:
        sensor.attach(observer)
    for value in range(1000):
        sensor.set_value(value)
    for observer in observers:
        assert observer.values == list(range(1000))


@pytest.mark.parametrize("kind", KINDS)
async def test_f9_client_callbacks_that_raise_cost_neither_connection_nor_answers(
    kind: type[BaseException], quiet: Any
) -> None:
    class Client(AsyncClient):
        handled = 0

        def inform_noise(self, msg: Message) -> None:
            """Raise."""
            self.handled += 1
            raise kind("no")

        def reply_nobody_asked(self, msg: Message) -> None:
            """Raise."""
            self.handled += 1
            raise kind("no")

        def request_tell(self, msg: Message) -> Message:
            """Raise."""
            self.handled += 1
            raise kind("no")

        def notify_connected(self, connected: bool) -> None:
            if not connected:
                raise kind("no")

    called: list[bytes] = []

    def call_back(msg: Message) -> None:
        called.append(bytes(msg))
        raise kind("no")

    def hook(arguments: list[bytes]) -> None:
        called.append(b"hook")
        raise kind("no")

    async with Device(V51) as device:
        device.answers["noise"] = lambda session, message: [b"# 1", b"# 2", b"! ok 2"]
        client = Client(device.host, device.port)
        client.auto_reconnect_delay = 0.005
        client.hook_wire_inform("sensor-status", hook)
        client.set_ioloop()
        client.start()
        try:
            await client.until_protocol(timeout=5)
            client.callback_request(Message.request("noise"), call_back, call_back)
            device.say(
                b"#noise 1",
                b"#sensor-status 1 1 a nominal 2",
                b"!nobody-asked x",
                b"#noise 2",
            )
            for _ in range(3):
                reply, _ = await client.future_request(Message.request("watchdog"), timeout=5)
                assert reply.reply_ok()
            assert client.handled == 3
            assert called.count(b"hook") == 1
            assert [line for line in called if line != b"hook"] == [
                b"#noise[1] 1",
                b"#noise[1] 2",
                b"!noise[1] ok 2",
            ]
            assert device.count == 1, "the connection is the same"
            device.cut()
            await until(lambda: device.count == 2)
            await client.until_protocol(timeout=5)
            reply, _ = await client.future_request(Message.request("watchdog"), timeout=5)
            assert reply.reply_ok(), "connected again although the callback has raised"
        finally:
            client.stop()
            await client.until_stopped(timeout=5)


@pytest.mark.parametrize("kind", KINDS)
async def test_f9_state_callbacks_listeners_and_factories_that_raise(
    kind: type[BaseException], quiet: Any
) -> None:
    sensors = {"a": "A. V integer", "b": "B. V integer"}
    states = []

    def tell(state: Any, changes: Any) -> None:
        states.append(state)
        raise kind("no")

    async with Device(V51, sensors) as device:
        client = InspectingClientAsync(device.host, device.port)
        client.katcp_client.auto_reconnect_delay = 0.005
        client.set_state_callback(tell)
        client.connect()
        try:
            await client.until_synced(timeout=5)
            made = client.sensor_factory

            def make(*args: Any, **kwargs: Any) -> Any:
                if "a" in (kwargs.get("sensor_name"), kwargs.get("name"), *args):
                    raise kind("no")
                return made(*args, **kwargs)

            client.sensor_factory = make
            with pytest.raises((Exception, kind)):
                # Either None is what there is of it, or the caller is told.
                assert await client.future_get_sensor("a") is not None
            assert (await client.future_get_sensor("b")).name == "b"
            device.sensors["c"] = "C. V integer"
            device.say(b"#interface-changed")
            await until(lambda: "c" in client.sensors)
            await client.until_synced(timeout=5)
            device.cut()
            await until(lambda: device.count == 2)
            await client.until_synced(timeout=5)
            assert len(states) >= 8
        finally:
            client.stop()
            await client.until_stopped(timeout=5)


@pytest.mark.parametrize("kind", KINDS)
async def test_f9_a_listener_of_a_resource_that_raises(
    kind: type[BaseException], quiet: Any
) -> None:
    async with serving(Raising("127.0.0.1", 0)) as server:
        resource = KATCPClientResource(
            {"name": "thing", "address": server.bind_address, "controlled": True}
        )
        resource.start()
        try:
            await asyncio.wait_for(resource.until_synced(), 5)
            heard: dict[str, list[Any]] = {"bad": [], "good": []}

            def bad(sensor: Any, reading: Any) -> None:
                heard["bad"].append(reading.value)
                raise kind("no")

            def good(sensor: Any, reading: Any) -> None:
                heard["good"].append(reading.value)

            sensor = resource.sensor["count"]
            sensor.register_listener(bad, reading=True)
            sensor.register_listener(good, reading=True)
            await sensor.set_strategy("event")
            for value in range(1, 20):
                assert (await resource.req.set(value)).succeeded
            await until(lambda: heard["good"][-1:] == [19])
            assert heard["bad"] == heard["good"]
        finally:
            resource.stop()
            await asyncio.sleep(0.05)


# -- blocking, never finishing, calling back ------------------------------------------------


class Blocking(AsyncDeviceServer):
    """Its handlers are bad company."""

    def setup_sensors(self) -> None:
        self.add_sensor(Sensor.integer("count"))
        self.gate = threading.Event()

    def request_block(self, req: Any, seconds: float) -> None:
        """Keep the loop."""
        time.sleep(seconds)

    async def request_block_later(self, req: Any, seconds: float) -> None:
        """Keep the loop in a later turn."""
        await asyncio.sleep(0)
        time.sleep(seconds)  # noqa: ASYNC251

    async def request_never(self, req: Any) -> None:
        """Never answer."""
        await asyncio.Event().wait()

    def request_never_either(self, req: Any, msg: Message) -> None:
        """Leave the answer for a later that never comes."""
        raise AsyncReply

    def request_call_back(self, req: Any, times: int) -> int:
        """Add and remove sensors, set them, and ask the device itself."""
        for number in range(times):
            self.add_sensor(Sensor.integer(f"n{number}"))
            self.get_sensor("count").set_value(number)
            self.mass_inform(Message.inform("noise", number))
        for number in range(times):
            self.remove_sensor(f"n{number}")
        return len(self.get_sensors())

    async def request_ask_itself(self, req: Any) -> bool:
        """Be its own client."""
        async with talking(self) as client:
            return (await client.ask(b"?watchdog[3]"))[-1] == b"!watchdog[3] ok"

    def request_hang_up(self, req: Any) -> None:
        """Close the connection that asks, in its own handler."""
        req.client_connection.disconnect("as you like")


class BlockingInThreads(DeviceServer):
    """The same, where handlers have a thread."""

    setup_sensors = Blocking.setup_sensors
    request_block = Blocking.request_block
    request_never = Blocking.request_never
    request_never_either = Blocking.request_never_either
    request_call_back = Blocking.request_call_back
    request_hang_up = Blocking.request_hang_up

    def request_wait(self, req: Any) -> None:
        """Block until the test lets go."""
        assert self.gate.wait(30)


async def warned(caplog: pytest.LogCaptureFixture, text: str) -> str:
    await until(lambda: text in caplog.text)
    (message,) = {r.getMessage() for r in caplog.records if text in r.getMessage()}
    return message


@pytest.mark.slow
@pytest.mark.parametrize("name", ["block", "block-later"])
async def test_f10_a_handler_that_keeps_the_loop_is_named(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        serving(Blocking("127.0.0.1", 0, lag_warning=0.1)) as server,
        talking(server) as client,
    ):
        assert (await client.ask(f"?{name}[1] 0.01".encode())) == [f"!{name}[1] ok".encode()]
        assert "keeps the loop" not in caplog.text
        assert (await client.ask(f"?{name}[2] 0.4".encode())) == [f"!{name}[2] ok".encode()]
        message = await warned(caplog, "keeps the loop")
        assert message.startswith(f"The handler of ?{name} keeps the loop of Blocking 127.0.0.1:")
        assert "test_handlers.py:" in message
        await warned(caplog, "kept the loop")
    assert not [t for t in threading.enumerate() if t.name == "katcp-lag-watch"]


async def test_f10_the_warning_comes_by_default_and_can_be_switched_off() -> None:
    async with serving(Blocking("127.0.0.1", 0)) as server:
        assert server.lag_warning == 1.0
        assert [t for t in threading.enumerate() if t.name == "katcp-lag-watch"]
        # One thread, however many servers.
        async with serving(Blocking("127.0.0.1", 0)):
            assert len([t for t in threading.enumerate() if t.name == "katcp-lag-watch"]) == 1
    async with serving(Blocking("127.0.0.1", 0, lag_warning=None)):
        assert not [t for t in threading.enumerate() if t.name == "katcp-lag-watch"]


@pytest.mark.slow
async def test_f10_something_else_that_keeps_the_loop_is_noticed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving(Blocking("127.0.0.1", 0, lag_warning=0.1)):
        asyncio.get_running_loop().call_soon(time.sleep, 0.4)
        message = await warned(caplog, "keeps the loop")
        assert message.startswith("Something keeps the loop of Blocking 127.0.0.1:")


async def test_f10_a_handler_that_blocks_its_thread_holds_up_no_other_part() -> None:
    async with (
        serving(BlockingInThreads("127.0.0.1", 0)) as server,
        talking(server) as client,
        talking(server) as other,
    ):
        await client.send(b"?wait[1]")
        for number in range(1, 50):
            reply = b"!watchdog[%d] ok" % number
            assert (await other.ask(b"?watchdog[%d]" % number))[-1] == reply
            assert (await other.ask(b"?sensor-value[%d]" % number))[-1].endswith(b"] ok 1")
        server.gate.set()
        assert (await client.until_reply())[-1] == b"!wait[1] ok"


@pytest.mark.parametrize("place", [Blocking, BlockingInThreads])
async def test_f9_handlers_that_never_finish(place: Any) -> None:
    async with serving(place("127.0.0.1", 0)) as server:
        async with talking(server) as client, talking(server) as other:
            await client.send(b"?never[1]", b"?watchdog[2]", b"?never-either[3]")
            for number in range(1, 20):
                reply = b"!watchdog[%d] ok" % number
                assert (await other.ask(b"?watchdog[%d]" % number))[-1] == reply
            # A second request of that client waits for the first, and nobody else does.
            await other.send(b"?never-either[4]", b"?watchdog[5]")
            assert (await other.until_reply())[-1] == b"!watchdog[5] ok"
        async with talking(server) as client:
            await client.send(b"?never-either[6]", b"?never[7]")
            await until(lambda: len(server.katcp_under_way) >= 2)
            await server.stop()
            heard = (await client.rest()).split(b"\n")
            replies = {line for line in heard if line.startswith(b"!")}
            assert replies == {
                b"!never-either[6] fail request_cancelled",
                b"!never[7] fail request_cancelled",
            }
            assert any(line.startswith(b"#disconnect ") for line in heard)


@pytest.mark.parametrize("place", [Blocking, BlockingInThreads])
async def test_f9_handlers_that_call_back_into_the_server(place: Any) -> None:
    async with (
        serving(place("127.0.0.1", 0)) as server,
        talking(server) as client,
        talking(server) as other,
    ):
        assert (await other.ask(b"?sensor-sampling[1] count event"))[-1].startswith(b"!")
        heard = await client.ask(b"?call-back[2] 50")
        assert heard[-1] == b"!call-back[2] ok 1"
        assert sum(line.startswith(b"#noise ") for line in heard) == 50
        if place is Blocking:
            heard = await client.ask(b"?ask-itself[3]")
            assert heard[-1] == b"!ask-itself[3] ok 1"
        assert (await other.ask(b"?watchdog[4]"))[-1] == b"!watchdog[4] ok"
        await client.send(b"?hang-up[5]", b"?watchdog[6]")
        rest = await client.rest()
        assert b"#disconnect as\\_you\\_like\n" in rest
        assert rest.count(b"!hang-up[5] ") <= 1
        assert (await other.ask(b"?watchdog[7]"))[-1] == b"!watchdog[7] ok"


async def test_f9_a_state_callback_that_never_ends_stops_with_the_client() -> None:
    async with Device(V51) as device:
        waiting = asyncio.Event()

        async def tell(state: Any, changes: Any) -> None:
            waiting.set()
            await asyncio.Event().wait()

        client = InspectingClientAsync(device.host, device.port)
        client.set_state_callback(tell)
        client.connect()
        await asyncio.wait_for(waiting.wait(), 5)
        # The client below goes on all the while.
        await client.katcp_client.until_protocol(timeout=5)
        reply, _ = await client.katcp_client.future_request(Message.request("watchdog"))
        assert reply.reply_ok()
        client.stop()
        await client.until_stopped(timeout=5)


async def test_f9_a_state_callback_that_calls_back_into_the_client() -> None:
    seen: list[str] = []
    async with Device(V51, {"a": "A. V integer"}) as device:

        async def tell(state: Any, changes: Any) -> None:
            if state.data_synced and not state.synced:
                sensor = await client.future_get_sensor("a")
                reply, _ = await client.simple_request("watchdog")
                seen.append(f"{sensor.name} {reply.reply_ok()}")
                client.set_sampling("a", "event")

        async with inspecting(device, synced=False) as client:
            client.set_state_callback(tell)
            await client.until_synced(timeout=5)
            device.say(b"#interface-changed")
            await until(lambda: len(seen) >= 1)
            await client.until_synced(timeout=5)
            assert set(seen) == {"a True"}
