"""Endpoints of other devices: asked over connections, with codes as exceptions."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import weakref
from collections.abc import AsyncIterator
from typing import Any, ClassVar

import pytest
from tornado.gen import TimeoutError as TornadoTimeout

from katcp.client import AsyncClient
from katcp.endpoints import (
    RETURN_CODES,
    AccessDeniedError,
    AsyncEndpointServer,
    BadPayloadError,
    BrokerConnectionError,
    ClientTimeoutError,
    Endpoint,
    EndpointClient,
    EndpointClients,
    EndpointError,
    InvalidKeyError,
    InvalidMethodError,
    InvalidRequestError,
    InvalidSpecifierError,
    InvalidValueError,
    KeyValueStore,
    Provider,
    ReplyError,
    RequestTimeoutError,
    ResourceConnectionError,
    RoutingKeyError,
    ServiceError,
    StoreKey,
    UnableToSendError,
    UnhandledError,
    error_for,
    register_return_code,
    remote_command,
    remote_property,
)
from katcp.errors import KatcpClientDisconnected, KatcpClientError
from katcp.inspecting_client import InspectingClientAsync
from katcp.resource import KATCPResourceInactive
from katcp.resource_client import KATCPClientResourceContainer
from katcp.sensors import Sensor
from tests.helpers.resources import resource_of
from tests.helpers.scripted import V51, Device
from tests.helpers.serving import serving, talking

KEY = "0123456789abcdef0123456789abcdef"


class Quiet(AsyncEndpointServer):
    """Tells clients nothing of each other."""

    announces_clients = False


class Oven(Endpoint):
    """Fails in all the ways that there are."""

    failure: BaseException | None = None
    value: Any = 20.5
    doors = 0

    def on_get(self) -> Any:
        if self.failure is not None:
            raise self.failure
        return self.value

    def on_set(self, value: Any) -> Any:
        if self.failure is not None:
            raise self.failure
        self.value = value
        return value

    @remote_property
    def colour(self) -> str:
        """What it looks like."""
        return "black"

    @remote_command
    def open(self, width: float, *, gently: bool = False) -> str:
        """Open the door."""
        self.doors += 1
        return f"{width:g} {'gently' if gently else 'at once'}"

    @remote_command
    async def bake(self, seconds: float) -> None:
        """Take a while."""
        await asyncio.sleep(seconds)

    @remote_command
    def burn(self) -> None:
        """Fail."""
        raise self.failure or ValueError("nothing to burn")


class Bus(Provider):
    """Takes raw commands."""

    def send(self, to_send: Any) -> Any:
        return [f"<{command}>" for command in to_send]


def serve(node: str = "node", **options: Any) -> AsyncEndpointServer:
    store = KeyValueStore(
        "kv",
        endpoints=[
            StoreKey("foo", initial_value="1.79"),
            StoreKey("doubled", initial_value="1.5", calibration="2*{}", get_on_set=True),
            StoreKey("mapped", initial_value="OPEN", calibration={"CLOSED": "on"}),
            StoreKey("empty"),
        ],
    )
    bus = Bus("bus", endpoints=[Oven("oven")], allow_send=True)
    return Quiet("127.0.0.1", 0, endpoints=[store, bus], node=node, **options)


@contextlib.asynccontextmanager
async def inspecting(server: Any) -> AsyncIterator[InspectingClientAsync]:
    host, port = server.bind_address
    async with InspectingClientAsync(host, port, timeout=10) as client:
        yield client


@contextlib.asynccontextmanager
async def asking(server: Any, **options: Any) -> AsyncIterator[EndpointClient]:
    async with inspecting(server) as client:
        yield EndpointClient(client, **options)


@contextlib.asynccontextmanager
async def connected(device: Device) -> AsyncIterator[AsyncClient]:
    client = AsyncClient(device.host, device.port)
    client.set_ioloop()
    client.start()
    try:
        await client.until_protocol(timeout=10)
        yield client
    finally:
        client.stop()
        await client.until_stopped(timeout=10)


# -- what there is to ask ---------------------------------------------------------------


async def test_get_and_set() -> None:
    async with serving(serve()) as server, asking(server) as client:
        reading = await client.get("foo")
        assert (reading.raw, reading.cal, reading.status) == ("1.79", None, Sensor.NOMINAL)
        assert await client.set("kv.foo", "a b=\\\n") == ("a b=\\\n",)
        assert (await client.get("node.kv.foo")).value == "a b=\\\n"
        assert await client.set("doubled", 2) == ("2", "4")
        reading = await client.get("doubled")
        assert (reading.raw, reading.cal, reading.value) == ("2", "4", "4")
        assert reading.timestamp > 1.7e9
        empty = await client.get("empty")
        assert (empty.raw, empty.status) == (None, Sensor.UNKNOWN)
        assert await client.set("empty", "") == ("",)
        assert (await client.get("empty")).raw == ""
        assert await client.set("foo", b"\xff\xfe") == (b"\xff\xfe",)
        assert (await client.get("foo")).raw == b"\xff\xfe"
        assert await client.set("foo", "lockout-key=1") == ("lockout-key=1",)


async def test_properties_commands_and_raw_commands() -> None:
    async with serving(serve()) as server, asking(server) as client:
        assert await client.get("oven", "colour") == "black"
        assert await client.configure("oven", "colour") == "black"
        assert await client.configure("foo", "max-interval", 5) == "5.0"
        assert await client.set("foo", 7, "max_interval") == ("7.0",)
        assert await client.get("foo", "max_interval") == "7.0"
        assert await client.cmd("oven", "open", [0.5], {"gently": True}) == ("0.5 gently",)
        assert await client.cmd("oven", "open", [1]) == ("1 at once",)
        assert await client.cmd("oven", "bake", [0]) == ()
        assert await client.send("bus", "*IDN?", "a b") == ("<*IDN?>", "<a b>")
        assert await client.send("bus", "lockout-key=x", "lockout-key=y") == (
            "<lockout-key=x>",
            "<lockout-key=y>",
        )


async def test_lists_pings_and_conditions() -> None:
    async with serving(serve()) as server, asking(server) as client:
        listed = await client.list_endpoints()
        assert [one.path for one in listed][:3] == ["kv", "kv.foo", "kv.doubled"]
        assert [one.path for one in await client.list_endpoints("bus")] == ["bus.oven"]
        assert not any(one.locked for one in listed)
        await client.lock("bus")
        assert [one.path for one in await client.list_endpoints() if one.locked] == [
            "bus",
            "bus.oven",
        ]
        await client.ping()
        await client.ping("oven")
        with pytest.raises(RoutingKeyError):
            await client.ping("nothing")
        oven = server.endpoint_host.find("oven")
        oven.conditions[10] = 99.0
        assert await client.set_condition(10) == {"bus.oven": (True, "")}
        assert oven.value == "99.0" or oven.value == 99.0
        with pytest.raises(InvalidValueError):
            await client.set_condition(11, "bus")


async def test_locks(caplog: pytest.LogCaptureFixture) -> None:
    warnings: list[tuple[int, str]] = []

    def warned(code: int, text: str) -> None:
        warnings.append((code, text))

    async with serving(serve()) as server, asking(server, on_warning=warned) as client:
        assert await client.is_locked("foo") is None
        key = await client.lock("kv", owner="me", reason="a b", lease=100)
        state = await client.is_locked("foo")
        assert state is not None
        assert (state.owner, state.reason) == ("me", "a b")
        assert 99 < float(state.expires) - state.since < 101
        with pytest.raises(AccessDeniedError, match="foo is locked by me"):
            await client.set("foo", 1)
        await client.set("foo", 2, lockout_key=key)
        holder = EndpointClient(client.client, lockout_key=key)
        await holder.set("foo", 3)
        await holder.configure("foo", "max_interval", 1)
        await client.lock_key(key)
        await client.set("foo", 4)
        await client.lock_key(None)
        with pytest.raises(AccessDeniedError):
            await client.set("foo", 5)
        with pytest.raises(AccessDeniedError):
            await client.unlock("kv")
        await holder.unlock("kv")
        assert warnings == []
        await client.unlock("kv", force=True)
        assert warnings == [(1, "kv was not locked")]
        assert await client.lock("foo", KEY) == KEY
        await client.unlock("foo", force=True)


async def test_a_lock_for_a_block(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(serve()) as server, asking(server) as client:
        async with client.locked("kv", reason="night run") as key:
            state = await client.is_locked("foo")
            assert state is not None
            assert state.expires == "connection"
            await client.set("foo", 2, lockout_key=key)
        assert await client.is_locked("foo") is None
        async with client.locked("kv"):
            await client.unlock("kv", force=True)
            await client.lock("kv", KEY)
        assert "could not be unlocked" in caplog.text
        assert await client.is_locked("kv") is not None


async def test_warnings_are_logged_if_nobody_takes_them(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    async with serving(serve()) as server, asking(server) as client:
        await client.unlock("foo")
        assert "warns (1): foo was not locked" in caplog.text


# -- what goes wrong --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "status", "code"),
    [
        (b"?get nothing", b"fail", 102),
        (b"?get kv.foo.nothing", b"fail", 102),
        (b"?set nothing 1", b"fail", 102),
        (b"?cmd nothing do", b"fail", 102),
        (b"?configure nothing a", b"fail", 102),
        (b"?send nothing a", b"fail", 102),
        (b"?list-endpoints nothing", b"fail", 102),
        (b"?ping nothing", b"fail", 102),
        (b"?get", b"invalid", 303),
        (b"?get a b c", b"invalid", 303),
        (b"?set foo", b"invalid", 303),
        (b"?set", b"invalid", 303),
        (b"?cmd foo", b"invalid", 303),
        (b"?configure foo", b"invalid", 303),
        (b"?send bus", b"invalid", 303),
        (b"?set-condition", b"invalid", 303),
        (b"?set-condition x", b"invalid", 304),
        (b"?set-condition 4711", b"fail", 304),
        (b"?get mapped", b"fail", 304),
        (b"?configure foo max-interval -1", b"invalid", 304),
        (b"?configure foo max-interval x", b"invalid", 304),
        (b"?cmd oven open", b"invalid", 304),
        (b"?cmd oven open wide", b"invalid", 304),
        (b"?cmd oven no_such", b"fail", 306),
        (b"?cmd oven on_get", b"fail", 306),
        (b"?send kv x", b"fail", 306),
        (b"?send foo x", b"fail", 306),
        (b"?get bus", b"fail", 306),
        (b"?get foo no_such", b"fail", 310),
        (b"?get foo _value", b"fail", 310),
        (b"?configure foo no_such 1", b"fail", 310),
        (b"?set foo 1 no_such", b"fail", 310),
        (b"?set foo 1 lockout-key=1", b"fail", 308),
        (b"?logging nothing on", b"fail", 102),
        (b"?logging foo on", b"fail", 304),
        (b"?logging foo maybe", b"invalid", 304),
        (b"?schedule-once foo x", b"invalid", 304),
        (b"?schedule-once", b"invalid", 303),
        (b"?alert-subscribe", b"invalid", 303),
        (b"?alert-send", b"invalid", 303),
    ],
)
async def test_drip_rc_01_failures_have_their_code_behind_the_message(
    line: bytes, status: bytes, code: int
) -> None:
    async with serving(serve()) as server, talking(server) as wire, asking(server) as client:
        reply = (await wire.ask(line))[-1]
        words = reply.split(b" ")
        assert words[1] == status, reply
        assert words[2]
        assert int(words[3]) == code, reply
        name, *arguments = line[1:].decode().split()
        with pytest.raises(EndpointError) as caught:
            await client.request(name, *arguments)
        assert caught.value.code == code
        assert type(caught.value) is type(error_for(code))
        assert caught.value.invalid == (status == b"invalid")
        assert caught.value.text.replace(" ", "\\_").encode() == words[2]


async def test_drip_rc_01_other_requests_of_a_device_may_fail_with_codes_too() -> None:
    class Kitchen(Quiet):
        async def request_dinner(self, req: Any, course: int) -> str:
            """Make dinner."""
            if course > 3:
                raise InvalidValueError("there are three", [3], invalid=True)
            reading = await self.endpoint_host.get("mapped")
            return str(reading.value)

    store = KeyValueStore(
        "kv", endpoints=[StoreKey("mapped", initial_value="OPEN", calibration={"CLOSED": "on"})]
    )
    server = Kitchen("127.0.0.1", 0, endpoints=[store])
    async with serving(server), talking(server) as wire:
        (reply,) = await wire.ask(b"?dinner 1")
        assert reply.startswith(b"!dinner fail ")
        assert reply.endswith(b" 304 OPEN")
        assert await wire.ask(b"?dinner 4") == [b"!dinner invalid there\\_are\\_three 304 3"]


@pytest.mark.parametrize(
    ("failure", "kind", "code"),
    [
        (RuntimeError("it broke"), UnhandledError, 999),
        (ConnectionResetError("no bus"), ResourceConnectionError, 201),
        (asyncio.TimeoutError(), RequestTimeoutError, 305),
        (error_for(202, "silent"), EndpointError, 202),
        (SystemExit(3), UnhandledError, 999),
    ],
)
async def test_drip_rc_02_errors_of_user_code_are_one_failed_answer(
    failure: BaseException, kind: type[EndpointError], code: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(serve()) as server, talking(server) as wire, asking(server) as client:
        server.endpoint_host.find("oven").failure = failure
        for line in (b"?get oven", b"?set oven 1", b"?cmd oven burn"):
            lines = await wire.ask(line)
            assert len(lines) == 1
            words = lines[0].split(b" ")
            assert (words[1], words[3]) == (b"fail", b"%d" % code)
            assert b"Traceback" not in lines[0]
            assert b"\\n" not in lines[0]
        for call in (client.get("oven"), client.set("oven", 1), client.cmd("oven", "burn")):
            with pytest.raises(kind) as caught:
                await call
            assert caught.value.code == code
        if code == 999:
            mark = caught.value.text.partition("(error ")[2].rstrip(")")
            assert mark in caplog.text
        assert await wire.ask(b"?watchdog") == [b"!watchdog ok"]
        assert (await client.get("foo")).raw == "1.79"


async def test_drip_rc_03_codes_of_applications_come_through(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for table in ("_codes", "_classes"):
        monkeypatch.setattr(RETURN_CODES, table, dict(getattr(RETURN_CODES, table)))
    code = register_return_code(1001, "door_open", "the door is open")
    assert code.error is not None
    async with serving(serve()) as server, asking(server) as client:
        oven = server.endpoint_host.find("oven")
        oven.failure = code.error("somebody opened the door")
        with pytest.raises(code.error, match="somebody opened"):
            await client.get("oven")
        oven.failure = error_for(1002, "of somebody else")
        with pytest.raises(EndpointError) as caught:
            await client.get("oven")
        assert caught.value.code == 1002


async def test_drip_rc_04_the_payload_in_place_of_the_error() -> None:
    async with serving(serve()) as server, asking(server) as client:
        with pytest.raises(InvalidValueError, match="OPEN") as caught:
            await client.get("mapped")
        assert caught.value.payload[:1] == ("OPEN",)
        assert (await client.get("mapped", ignore_retcode=True))[:1] == ("OPEN",)
        assert await client.get("nothing", ignore_retcode=True) == ()
        assert await client.set("nothing", 1, ignore_retcode=True) == ()
        assert await client.cmd("oven", "no_such", ignore_retcode=True) == ()
        assert await client.configure("foo", "no_such", ignore_retcode=True) == ()
        assert (await client.get("foo", ignore_retcode=True)).raw == "1.79"
        for call, kind in (
            (client.get("nothing"), RoutingKeyError),
            (client.set("foo", 1, "no_such"), InvalidSpecifierError),
            (client.cmd("oven", "no_such"), InvalidMethodError),
            (client.set("foo", 1, lockout_key="1"), InvalidKeyError),
            (client.request("set", "foo"), BadPayloadError),
        ):
            with pytest.raises(kind):
                await call


async def test_drip_rc_05_the_clients_patience() -> None:
    async with serving(serve()) as server, asking(server) as client:
        assert client.timeout == 10.0
        payload = {"width": 1, "gently": True}
        with pytest.raises(ClientTimeoutError) as caught:
            await client.cmd("oven", "bake", [30], timeout=0.05)
        assert caught.value.code == 404
        assert isinstance(caught.value, RequestTimeoutError)
        assert await client.cmd("oven", "bake", [30], timeout=0.05, ignore_retcode=True) == ()
        arguments: list[Any] = []
        waiting = asyncio.ensure_future(client.cmd("oven", "open", arguments, payload))
        await asyncio.sleep(0)
        assert payload == {"width": 1, "gently": True}
        assert arguments == []
        waiting.cancel()
        for timeout in (0, -1, float("nan"), float("inf")):
            with pytest.raises(InvalidRequestError):
                await client.get("foo", timeout=timeout)


async def test_drip_rc_05_a_late_reply_is_nobody_elses() -> None:
    device = Device(requests={"help": "Help.", "watchdog": "Pong.", "get": "Get."})
    held: list[Any] = []

    async def answer(session: Any, message: Any) -> Any:
        if not held:
            held.append((session, message))
            return ()
        device.answer(*held[0], b"! ok late \\@ 1.0 nominal")
        return [b"! ok right \\@ 2.0 nominal"]

    device.answers["get"] = answer
    async with device, connected(device) as raw:
        client = EndpointClient(raw)
        with pytest.raises(ClientTimeoutError):
            await client.get("a", timeout=0.05)
        assert (await client.get("a", timeout=5)).raw == "right"


async def test_a_device_that_is_not_there() -> None:
    client = EndpointClient(AsyncClient("127.0.0.1", 1))
    assert not client.is_connected
    with pytest.raises(BrokerConnectionError) as caught:
        await client.get("foo")
    assert caught.value.code == 101
    assert await client.get("foo", ignore_retcode=True) == ()


async def test_a_device_that_goes_meanwhile() -> None:
    server = serve()
    async with serving(server), asking(server) as client:
        waiting = asyncio.ensure_future(client.cmd("oven", "bake", [30]))
        await client.ping()
        await server.stop()
        with pytest.raises(EndpointError) as caught:
            await waiting
        assert caught.value.code in (101, 300)
        with pytest.raises(BrokerConnectionError):
            await client.ping()


@pytest.mark.parametrize(
    ("answer", "kind", "code"),
    [
        (b"! fail", ServiceError, 300),
        (b"! fail it\\_is\\_off", ServiceError, 300),
        (b"! fail it\\_is\\_off soon", ServiceError, 300),
        (b"! fail no 5", ServiceError, 300),
        (b"! fail no 99999999999999999999", ServiceError, 300),
        (b"! fail no 1777 more", EndpointError, 1777),
        (b"! invalid Unknown\\_request.", InvalidMethodError, 306),
        (b"! odd", ReplyError, 402),
        (b"! ok", ReplyError, 402),
        (b"! ok 1 2 yesterday nominal", ReplyError, 402),
        (b"! ok 1 2 3 fine", ReplyError, 402),
    ],
)
async def test_odd_answers(answer: bytes, kind: type[EndpointError], code: int) -> None:
    device = Device()
    device.answers["get"] = lambda session, message: [answer]
    async with device, connected(device) as raw:
        with pytest.raises(kind) as caught:
            await EndpointClient(raw).get("foo")
        assert caught.value.code == code


async def test_odd_lists() -> None:
    device = Device()
    device.answers["list-endpoints"] = lambda session, message: [b"# a b", b"! ok 1"]
    device.answers["set-condition"] = lambda session, message: [b"# a", b"! ok 1"]
    device.answers["is-locked"] = lambda session, message: [b"! ok 1 me soon"]
    device.answers["configure"] = lambda session, message: [b"! ok"]
    async with device, connected(device) as raw:
        client = EndpointClient(raw)
        for call in (client.list_endpoints(), client.set_condition(1), client.is_locked("a")):
            with pytest.raises(ReplyError):
                await call
        assert await client.configure("a", "b") == ""
        with pytest.raises(InvalidMethodError):
            await client.ping()
        with pytest.raises(InvalidRequestError):
            await client.set("a", None)


async def test_odd_warnings_are_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    warnings: list[tuple[int, str]] = []
    device = Device()

    def answer(session: Any, message: Any) -> list[bytes]:
        session.say(b"#warning", b"#warning soon", b"#warning 1", b"#warning 5 a\\_b")
        return [b"! ok"]

    device.answers["ping"] = answer
    async with device, InspectingClientAsync(device.host, device.port, timeout=10) as inspector:
        client = EndpointClient(inspector, on_warning=lambda *warning: warnings.append(warning))
        await client.ping()
        assert warnings == [(1, ""), (5, "a b")]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (KatcpClientError("too many informs"), UnableToSendError),
        (KatcpClientDisconnected("gone"), BrokerConnectionError),
        (KATCPResourceInactive("not now"), UnableToSendError),
        (TornadoTimeout(), ClientTimeoutError),
    ],
)
async def test_what_clients_raise(error: Exception, kind: type[EndpointError]) -> None:
    async def fail(*args: Any, **kwargs: Any) -> Any:
        raise error

    class Wire:
        bind_address_string = "there"

        def is_connected(self) -> bool:
            return True

    class Connection(Wire):
        wire_request = fail

    class Resource(Wire):
        name = "there"
        req: ClassVar[dict[str, Any]] = {"ping": fail}

    if not isinstance(error, KATCPResourceInactive):
        with pytest.raises(kind):
            await EndpointClient(Connection()).ping()
    if kind is not UnableToSendError or isinstance(error, KATCPResourceInactive):
        with pytest.raises(kind):
            await EndpointClient(Resource()).ping()


async def test_waiting_for_all_can_be_cancelled() -> None:
    dead = Device()
    dead.answers["ping"] = lambda session, message: None
    async with dead, connected(dead) as raw:
        waiting = asyncio.ensure_future(EndpointClients({"dead": raw}).ping())
        await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting


# -- over a resource --------------------------------------------------------------------


async def test_a_resource_will_do() -> None:
    async with serving(serve()) as server, resource_of(server) as resource:
        client = EndpointClient(resource)
        assert client.name == "dev"
        assert (await client.get("foo")).raw == "1.79"
        key = await client.lock("foo")
        with pytest.raises(AccessDeniedError):
            await client.set("foo", 1)
        await client.set("foo", 1, lockout_key=key)
        with pytest.raises(ClientTimeoutError):
            await client.cmd("oven", "bake", [30], timeout=0.05)
        with pytest.raises(InvalidMethodError):
            await client.request("no-such")
        assert len(await client.list_endpoints("kv")) == 4
        waiting = asyncio.ensure_future(client.cmd("oven", "bake", [30]))
        await client.ping()
        await server.stop()
        with pytest.raises(EndpointError):
            await waiting
        await resource.until_not_synced(timeout=10)
        with pytest.raises(BrokerConnectionError):
            await client.ping()


async def test_a_client_is_not_kept_by_what_it_asks_over() -> None:
    async with serving(serve()) as server, inspecting(server) as inspector:
        client = EndpointClient(inspector)
        assert (await client.get("foo")).raw == "1.79"
        gone = weakref.ref(client)
        del client
        gc.collect()
        assert gone() is None
        await EndpointClient(inspector).unlock("foo")


# -- several devices --------------------------------------------------------------------


async def test_drip_addr_01_all_at_once_and_nobody_is_waited_for_twice() -> None:
    dead = Device(greeting=V51)
    dead.answers["ping"] = lambda session, message: None
    async with contextlib.AsyncExitStack() as stack:
        clients = EndpointClients()
        for name in ("one", "two"):
            server = await stack.enter_async_context(serving(serve(name)))
            clients.add(name, await stack.enter_async_context(inspecting(server)))
        await stack.enter_async_context(dead)
        raw = await stack.enter_async_context(connected(dead))
        clients.add("dead", EndpointClient(raw))
        loop = asyncio.get_running_loop()
        start = loop.time()
        answers = await clients.ping(timeout=0.3)
        took = loop.time() - start
        assert list(answers) == ["one", "two", "dead"]
        assert answers.results == {"one": None, "two": None}
        assert isinstance(answers["dead"], ClientTimeoutError)
        assert list(answers.failures) == ["dead"]
        assert not answers.succeeded
        assert not answers
        assert took >= 0.3
        clients.remove("dead")
        assert await clients.ping()
        assert len(clients) == 2
        assert list(clients) == ["one", "two"]
        assert "one" in clients
        assert clients["one"].name


async def test_drip_addr_01_other_things_to_ask_of_all() -> None:
    async with contextlib.AsyncExitStack() as stack:
        clients = EndpointClients()
        servers = []
        for name in ("one", "two"):
            servers.append(await stack.enter_async_context(serving(serve(name))))
            clients.add(name, await stack.enter_async_context(inspecting(servers[-1])))
        readings = await clients.get("foo")
        assert {name: reading.raw for name, reading in readings.items()} == {
            "one": "1.79",
            "two": "1.79",
        }
        servers[0].endpoint_host.find("oven").conditions[1] = 7
        outcomes = await clients.set_condition(1)
        assert outcomes["one"] == {"bus.oven": (True, "")}
        assert isinstance(outcomes["two"], InvalidValueError)
        keys = await clients.lock(owner="me")
        assert keys
        assert keys["one"] != keys["two"]
        assert not await clients.unlock(key=keys["one"])
        assert await clients.unlock(force=True)
        answers = await clients.request("watchdog")
        assert answers["two"].arguments == []
        failed = await clients.each(lambda client: client.client.no_such())
        assert {error.code for error in failed.failures.values()} == {999}


async def test_the_devices_of_a_container() -> None:
    async with serving(serve("one")) as one, serving(serve("two")) as two:
        children = {
            name: {"name": name, "address": server.bind_address, "controlled": True}
            for name, server in (("one", one), ("two", two))
        }
        container = KATCPClientResourceContainer({"name": "all", "clients": children})
        container.set_ioloop()
        container.start()
        try:
            await container.until_synced(timeout=10)
            clients = EndpointClients(container)
            assert await clients.ping()
            assert clients.find("one.kv.foo") == (clients["one"], "kv.foo")
            assert clients.find("one") is None
            assert clients.find("three.kv.foo") is None
            assert repr(clients) == "<EndpointClients: one, two>"
        finally:
            container.stop()
            await container.until_stopped(timeout=10)


async def test_drip_addr_02_a_provider_asks_endpoints_of_other_devices() -> None:
    far = serve("far")
    async with serving(serve("near")) as near, serving(far), inspecting(far) as inspector:
        near.endpoint_host.add_remote("far", EndpointClient(inspector, timeout=5))
        store = near.endpoint_host.find("kv")
        assert (await store.get("far.kv.foo")).raw == "1.79"
        assert await store.set("far.kv.doubled", 3) == ("3", "6")
        assert far.endpoint_host.find("doubled").reading.raw in ("3", 3)
        assert await store.cmd("far.bus.oven", "open", [2]) == ("2 at once",)
        assert (await store.get("near.kv.foo")).raw == "1.79"  # by no network
        with pytest.raises(RoutingKeyError):
            await store.get("far.kv.nothing")
        with pytest.raises(RoutingKeyError):
            await store.get("further.kv.foo")
        await far.stop()
        with pytest.raises(EndpointError) as caught:
            await asyncio.wait_for(store.get("far.kv.foo"), 8)
        assert caught.value.code in (101, 201)
        assert await store.get("far.kv.foo", ignore_retcode=True) == ()
