"""`InspectingClientAsync` as its users know it."""

from __future__ import annotations

import asyncio
import inspect
import threading
from typing import Any

import pytest
from tornado.gen import TimeoutError as TornadoTimeout
from tornado.ioloop import IOLoop

import katcp.inspecting_client
from katcp.client import Message
from katcp.errors import KatcpClientError, KatcpSyntaxError, SyncError
from katcp.inspecting_client import (
    ExponentialRandomBackoff,
    InspectingClientAsync,
    InspectingClientStateType,
    RequestType,
    _InformHookDeviceClient,
)
from katcp.protocol import ProtocolFlags
from katcp.sensors import Sensor
from tests.helpers.inspecting import Told, inspecting, make
from tests.helpers.scripted import V4, V50, V51, Device, until

SENSORS = {"a.b": "Sensor. V integer -1 5", "a.c": "Sensor. V float"}


def device(**kwargs: Any) -> Device:
    return Device(**{"greeting": V50, "sensors": SENSORS, **kwargs})


# -- what users know ---------------------------------------------------------------------


async def test_every_name_is_there(io_loop: IOLoop) -> None:
    """The page of the inspecting client in the documentation of katcp-python."""
    methods = [
        *("close", "connect", "future_check_request", "future_check_sensor", "future_get_request"),
        *("future_get_sensor", "handle_sensor_value", "inform_hook_client_factory", "inspect"),
        *("inspect_requests", "inspect_sensors", "is_connected", "join", "preset_protocol_flags"),
        *("request_factory", "sensor_factory", "set_ioloop", "set_state_callback"),
        *("simple_request", "start", "stop", "until_connected", "until_data_synced"),
        *("until_not_synced", "until_state", "until_stopped", "until_synced", "update_sensor"),
    ]
    for name in methods:
        assert callable(getattr(InspectingClientAsync, name)), name
    client = InspectingClientAsync("127.0.0.1", 7147)
    for name in ("connected", "requests", "sensors", "state", "synced", "bind_address",
                 "bind_address_string", "valid_states", "katcp_client", "ioloop",
                 "initial_inspection"):  # fmt: skip
        getattr(client, name)
    assert client.resync_delay is None
    assert client.ioloop is io_loop
    assert (client.sync_timeout, client.initial_resync_timeout) == (20, 5)
    assert client.max_resync_timeout == 90
    assert client.sensor_factory is Sensor
    assert client.request_factory is RequestType
    assert client.bind_address == ("127.0.0.1", 7147)
    assert client.bind_address_string == "127.0.0.1:7147"
    assert len(client.valid_states) == 5
    assert client.sensors == client.requests == []
    for name in ("ExponentialRandomBackoff", "InspectingClientAsync", "InspectingClientStateType",
                 "RequestType", "SyncError", "ic_logger"):  # fmt: skip
        assert name in katcp.inspecting_client.__all__
    assert katcp.inspecting_client.ic_logger.name == "katcp.inspect_client"


def test_signatures() -> None:
    init = inspect.signature(InspectingClientAsync)
    assert list(init.parameters)[:6] == [
        "host", "port", "ioloop", "initial_inspection", "auto_reconnect", "logger",
    ]  # fmt: skip
    assert all(p.kind is p.KEYWORD_ONLY for p in list(init.parameters.values())[6:])


def test_making_one_needs_no_loop_and_makes_none() -> None:
    found: list[object] = []

    def run() -> None:
        InspectingClientAsync("127.0.0.1", 1).set_state_callback(lambda state, changes: None)
        try:
            found.append(asyncio.get_event_loop_policy().get_event_loop())
        except RuntimeError:
            found.append(None)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [None]


# -- life --------------------------------------------------------------------------------


async def test_w60_connecting_twice_is_an_error_that_says_so() -> None:
    async with device() as dev, inspecting(dev) as client:
        with pytest.raises(RuntimeError, match="started already"):
            await client.connect()
        with pytest.raises(RuntimeError, match="started already"):
            await client.start(timeout=1)


async def test_it_can_be_connected_again_after_it_has_stopped() -> None:
    told = Told()
    async with device() as dev:
        client = make(dev, told)
        for number in range(1, 4):
            await client.connect(timeout=5)
            if number > 1:
                with pytest.raises(RuntimeError):
                    client.set_ioloop(None)
            await client.until_synced(timeout=5)
            client.stop()
            with pytest.raises(RuntimeError, match="not stopped yet"):
                client.connect()
            await client.until_stopped(timeout=5)
            assert told.tidy_story.count("S") == number
        assert told.tidy_story == "DCMSDCNSDCNSD"


async def test_w59_connecting_may_take_longer_and_be_waited_for_again() -> None:
    async with device() as dev:
        dev.refuse()
        client = make(dev)
        for _ in range(3):
            with pytest.raises(TornadoTimeout):
                await client.connect(timeout=0.01)
        await dev.listen()
        await client.connect(timeout=5)
        with pytest.raises(RuntimeError, match="started already"):
            client.connect(timeout=5)
        await client.until_synced(timeout=5)
        client.stop()
        await client.until_stopped(timeout=5)


async def test_connecting_twice_at_once() -> None:
    async with device() as dev:
        dev.refuse()
        client = make(dev)
        first = client.connect(timeout=5)
        await asyncio.sleep(0.005)
        with pytest.raises(RuntimeError, match="started already"):
            client.connect(timeout=5)
        await dev.listen()
        await first
        client.stop()
        await client.until_stopped(timeout=5)


async def test_connecting_without_a_timeout_does_not_wait() -> None:
    async with device() as dev:
        dev.refuse()
        client = make(dev)
        await client.connect()
        assert not client.connected
        await dev.listen()
        await client.until_synced(timeout=5)
        client.close()
        await client.until_stopped(timeout=5)


async def test_w61_the_loop_may_be_set_until_connecting(io_loop: IOLoop) -> None:
    other = IOLoop(make_current=False)
    async with device() as dev:
        client = InspectingClientAsync(dev.host, dev.port, other)
        assert client.ioloop is other
        client.set_ioloop(io_loop)
        await client.connect(timeout=5)
        assert client.ioloop is io_loop
        with pytest.raises(RuntimeError, match="while the client runs"):
            client.set_ioloop(other)
        await client.until_synced(timeout=5)
        client.stop()
        await client.until_stopped(timeout=5)
    other.close()


def test_connecting_before_the_loop_runs(io_loop: IOLoop) -> None:
    synced: list[bool] = []

    async def wait(client: InspectingClientAsync, dev: Device) -> None:
        await client.until_synced(timeout=5)
        synced.append(client.synced)
        client.stop()
        await client.until_stopped(timeout=5)
        await dev.__aexit__(None, None, None)

    dev = device()
    io_loop.run_sync(dev.__aenter__)
    client = InspectingClientAsync(dev.host, dev.port, io_loop)
    client.connect()
    io_loop.run_sync(lambda: wait(client, dev))
    assert synced == [True]


async def test_stopping_what_does_not_run_does_nothing() -> None:
    client = InspectingClientAsync("127.0.0.1", 1)
    client.stop()
    client.close()
    assert client.until_stopped().done()
    client.join()
    async with device() as dev, inspecting(dev) as client:
        client.stop()
        client.stop()
        assert await client.until_stopped(timeout=5)


async def test_w67_stopping_releases_those_who_wait() -> None:
    async with device() as dev:
        dev.answers["help"] = lambda session, message: None
        client = make(dev)
        await client.connect(timeout=5)
        synced = InspectingClientStateType(True, True, False, True)
        waiting = [
            client.until_synced(),
            client.until_data_synced(),
            client.until_state(synced, timeout=60),
            client.future_get_sensor("a.b"),
            client.future_get_request("help"),
            client.future_check_sensor("a.b"),
            client.inspect(),
        ]
        await until(lambda: len(dev.heard) >= 2)
        client.stop()
        for future in waiting[:6]:
            with pytest.raises(KatcpClientError, match="was stopped"):
                await future
        with pytest.raises(SyncError):
            await waiting[6]
        for again in (client.until_synced, client.until_connected, client.until_data_synced):
            with pytest.raises(KatcpClientError, match="was stopped"):
                await again()
        assert await client.until_not_synced()
        await client.until_stopped(timeout=5)
        with pytest.raises(KatcpClientError, match="was stopped"):
            await client.until_synced(timeout=5)


async def test_stopping_wakes_those_who_wait_for_just_that() -> None:
    async with device() as dev, inspecting(dev) as client:
        disconnected = InspectingClientStateType(False, False, False, False)
        waiting = [client.until_not_synced(), client.until_state(disconnected)]
        client.stop()
        for future in waiting:
            assert await future is True


async def test_stopping_from_the_callback() -> None:
    ended: list[str] = []
    async with device() as dev:
        client = make(dev)

        def plain(state: Any, changes: Any) -> None:
            if state.synced:
                client.stop()
                ended.append("plain")

        async def asynchronous(state: Any, changes: Any) -> None:
            if state.synced:
                client.stop()
                await asyncio.sleep(0.01)
                ended.append("asynchronous")

        for callback in (plain, asynchronous):
            client.set_state_callback(callback)
            await client.connect(timeout=5)
            await client._stopping.until_set(timeout=5)
            await client.until_stopped(timeout=5)
        assert ended == ["plain", "asynchronous"]


async def test_a_callback_that_never_ends_does_not_keep_it_from_stopping(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("katcp.inspecting_client._keeper._LAST_CALL", 0.02)
    cancelled: list[bool] = []

    async def stuck(state: Any, changes: Any) -> None:
        if state.model_changed:
            try:
                await asyncio.sleep(1000)
            finally:
                cancelled.append(True)

    async with device() as dev:
        client = make(dev)
        client.set_state_callback(stuck)
        await client.connect(timeout=5)
        await client.until_data_synced(timeout=5)
        await asyncio.sleep(0.005)
        client.stop()
        await client.until_stopped(timeout=5)
        assert cancelled


async def test_without_reconnecting_it_gives_up_when_the_device_is_gone() -> None:
    told = Told()
    async with device() as dev:
        client = make(dev, told, auto_reconnect=False)
        await client.connect(timeout=5)
        await client.until_synced(timeout=5)
        gone = client.until_state(InspectingClientStateType(True, False, False, False))
        dev.cut()
        with pytest.raises(KatcpClientError, match="given up"):
            await gone
        await client.until_stopped(timeout=5)
        assert told.tidy_story == "DCMSD"
        with pytest.raises(KatcpClientError, match="given up"):
            await client.until_synced()


async def test_async_with() -> None:
    async with device() as dev:
        async with InspectingClientAsync(dev.host, dev.port, timeout=5) as client:
            assert client.synced
            assert sorted(client.sensors) == ["a.b", "a.c"]
        assert not client.connected
        assert client.until_stopped().done()


async def test_async_with_one_that_runs_already() -> None:
    async with device() as dev:
        client = make(dev)
        await client.connect(timeout=5)
        async with client as same:
            assert same is client
            assert client.synced


async def test_async_with_a_device_that_is_not_there() -> None:
    async with device() as dev:
        dev.refuse()
        client = InspectingClientAsync(dev.host, dev.port, timeout=0.02)
        with pytest.raises(TornadoTimeout):
            async with client:
                pass
        assert client.until_stopped().done()


# -- state -------------------------------------------------------------------------------


async def test_until_state() -> None:
    async with device() as dev, inspecting(dev) as client:
        with pytest.raises(ValueError, match="not a state"):
            client.until_state(InspectingClientStateType(False, True, False, True))
        assert client.until_state(client.state).done()
        assert client.until_synced().done()
        assert client.until_data_synced().done()
        assert not client.until_not_synced().done()
        assert await client.until_connected(timeout=1)
        with pytest.raises(TornadoTimeout):
            await client.until_not_synced(timeout=0)
        with pytest.raises(TornadoTimeout):
            await client.until_stopped(timeout=0)
        await client.simple_request("watchdog")


async def test_w64_until_connected_means_that_the_protocol_is_known() -> None:
    async with device(greeting=()) as dev:
        client = make(dev)
        await client.connect(timeout=5)
        assert client.connected
        with pytest.raises(TornadoTimeout):
            await client.until_connected(timeout=0.02)
        dev.say(*V50)
        await client.until_connected(timeout=5)
        await client.until_synced(timeout=5)
        client.stop()
        await client.until_stopped(timeout=5)


# -- requests ----------------------------------------------------------------------------


async def test_simple_requests() -> None:
    async with device() as dev, inspecting(dev) as client:
        dev.answers["add"] = lambda session, message: [b"! ok 3.5"]
        dev.forget()
        reply, informs = await client.simple_request("add", 1, 2.5)
        assert (reply, informs) == (Message.reply("add", "ok", "3.5", mid=3), [])
        await client.simple_request("watchdog", mid=77)
        await client.simple_request("watchdog", use_mid=False)
        assert dev.heard == [b"?add[3] 1 2.5", b"?watchdog[77]", b"?watchdog"]
        with pytest.raises(KatcpSyntaxError):
            client.simple_request("bad_name")
        with pytest.raises(TypeError):
            client.simple_request("add", wrong=1)  # type: ignore[call-arg]
        dev.answers["nap"] = lambda session, message: None
        reply, _ = await client.simple_request("nap", timeout=0.01)
        assert b"timed out" in reply.arguments[1]


async def test_the_hint_of_the_device_makes_the_time_limit_longer() -> None:
    async with device(greeting=V51, requests={"slow": "Slow.", "quick": "Quick."}) as dev:
        dev.hints = {"slow": 30.0, "quick": 0.01}
        async with inspecting(dev) as client:
            assert client._hinted_timeout("slow") == 30
            assert client._hinted_timeout("quick") == 5
            assert client._hinted_timeout("unknown") is None


async def test_a_request_before_connecting() -> None:
    client = InspectingClientAsync("127.0.0.1", 1)
    reply, _ = await client.simple_request("watchdog")
    assert b"Not connected" in reply.arguments[1]


# -- parts that can be swapped -----------------------------------------------------------


async def test_the_client_below_can_be_another() -> None:
    made: list[tuple[Any, ...]] = []

    class Below(_InformHookDeviceClient):
        pass

    class Above(InspectingClientAsync):
        def inform_hook_client_factory(
            self, host: str, port: int, *args: Any, **kwargs: Any
        ) -> Any:
            made.append((host, port, args, sorted(kwargs)))
            return Below(host, port, *args, **kwargs)

    client = Above("127.0.0.1", 7147, auto_reconnect=False)
    assert type(client.katcp_client) is Below
    assert made == [("127.0.0.1", 7147, (), ["auto_reconnect", "logger"])]


async def test_a_preset_protocol() -> None:
    async with device(greeting=V51) as dev:
        client = make(dev)
        client.preset_protocol_flags(ProtocolFlags(5, 0, "M"))
        await client.connect(timeout=5)
        await client.until_synced(timeout=5)
        assert dev.heard == [b"?help", b"?sensor-list"]
        client.stop()
        await client.until_stopped(timeout=5)


async def test_a_preset_protocol_and_no_inspection_at_first() -> None:
    async with device(greeting=V51) as dev:
        client = make(dev, initial_inspection=False)
        client.preset_protocol_flags(ProtocolFlags(5, 1, "MIBT"))
        await client.connect(timeout=5)
        await client.until_synced(timeout=5)
        await client.simple_request("watchdog")
        assert dev.heard == [b"?watchdog[1]"]
        client.stop()
        await client.until_stopped(timeout=5)


async def test_hooks_of_users_on_the_client_below() -> None:
    told: list[Message] = []
    async with device(greeting=V4) as dev:
        client = make(dev)
        client.katcp_client.hook_inform("sensor-status", told.append)
        await client.connect(timeout=5)
        await client.until_synced(timeout=5)
        dev.say(b"#sensor-status 1500 1 a.b nominal 3")
        await until(lambda: told)
        assert told[0].arguments == [b"1500", b"1", b"a.b", b"nominal", b"3"]
        assert (await client.future_get_sensor("a.b")).reading == (1.5, 1, 3)
        client.stop()
        await client.until_stopped(timeout=5)


def test_the_backoff_is_the_documented_one() -> None:
    assert inspect.signature(ExponentialRandomBackoff).parameters["delay_max"].default == 90.0


async def test_a_bug_in_the_state_loop_ends_the_client_and_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with device() as dev:
        client = make(dev)

        async def broken(session: int) -> None:
            raise ZeroDivisionError("a bug")

        client._keep_in_step = broken  # type: ignore[method-assign]
        await client.connect(timeout=5)
        with pytest.raises(KatcpClientError, match="was stopped"):
            await client.until_synced(timeout=5)
        assert "The state loop failed" in caplog.text
        await client.until_stopped(timeout=5)


async def test_stopping_the_client_below_stops_the_whole() -> None:
    async with device(greeting=()) as dev:
        client = make(dev)
        await client.connect(timeout=5)
        await asyncio.sleep(0.005)
        client.katcp_client.stop()
        with pytest.raises(KatcpClientError):
            await client.until_synced(timeout=5)
        await client.until_stopped(timeout=5)
