"""Alerts: who gets them, over real connections."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
import weakref
from collections.abc import AsyncIterator
from typing import Any

import pytest

from katcp.endpoints import (
    AlertHub,
    AsyncEndpointServer,
    EndpointServer,
    InvalidValueError,
    KeyValueStore,
    Provider,
    ServiceError,
    Spime,
    StoreKey,
)
from katcp.endpoints._alerts._hub import MAX_PATTERNS
from katcp.endpoints._alerts._topics import MAX_KEY, MAX_WORDS
from katcp.protocol import ProtocolFlags
from tests.endpoints.served import informs, reply, served, told
from tests.helpers.serving import serving, small_client, talking, until
from tests.helpers.wire import WireClient

KEY = b"5f0c7e0b1d6a4b0f9c3e2d1a0b9f8e7d"


def store(**options: Any) -> KeyValueStore:
    """Return a store with one key that broadcasts what it is set to."""
    options.setdefault("log_on_set", True)
    peaches = StoreKey("peaches", calibration="times2({})", raw_type="float", **options)
    return KeyValueStore("my_price_list", endpoints=[peaches, StoreKey("chips", type="float")])


async def quiet(client: WireClient) -> None:
    """Assert that nothing comes but the reply to what is asked now."""
    assert await client.ask(b"?watchdog[99]") == [b"!watchdog[99] ok"]


# -- keys ------------------------------------------------------------------------------


@pytest.mark.parametrize("pattern", ["", "a" * (MAX_KEY + 1), ".".join(["#"] * (MAX_WORDS + 1))])
def test_bad_patterns(pattern: str) -> None:
    hub = AlertHub()
    with pytest.raises(InvalidValueError):
        hub.listen(pattern, print)
    with pytest.raises(InvalidValueError):
        hub.publish(pattern, {})


@pytest.mark.parametrize("key", ["*", "a.*", "#", "a.#.b"])
def test_a_pattern_is_no_routing_key(key: str) -> None:
    with pytest.raises(InvalidValueError, match="pattern"):
        AlertHub().publish(key, {})


# -- clients ----------------------------------------------------------------------------


async def test_drip_alr_01_patterns_over_the_wire() -> None:
    patterns = {b"sensor_value.*": 1, b"sensor_value.#": 1, b"#": 1, b"status_message.#": 0}
    patterns |= {b"*": 0, b"*.peaches": 1, b"sensor_value.chips": 0}
    async with contextlib.AsyncExitStack() as stack:
        server, client = await stack.enter_async_context(served(store(), node="my_store"))
        others = [await stack.enter_async_context(talking(server)) for _ in patterns]
        for other, pattern in zip(others, patterns, strict=True):
            assert await reply(other, b"?alert-subscribe[1] " + pattern) == [b"ok"]
        assert await reply(client, b"?set[1] peaches 0.75") == [b"ok", b"0.75"]
        for other, pattern in zip(others, patterns, strict=True):
            if patterns[pattern]:
                (alert,) = await told(other, b"alert")
                assert alert[1:] == [
                    b"sensor_value.peaches",
                    *(b"value_raw", b"0.75"),
                    *(b"path", b"my_store.my_price_list.peaches"),
                ]
                assert abs(float(alert[0]) - time.time()) < 60
            await quiet(other)


async def test_the_star_is_for_keys_of_one_word() -> None:
    async with served(store()) as (_, client):
        assert await reply(client, b"?alert-subscribe[1] *") == [b"ok"]
        assert await reply(client, b"?alert-send[2] alone it\\_leaks") == [b"ok", b"1"]
        assert await reply(client, b"?alert-send[2] not.alone it\\_leaks") == [b"ok", b"0"]


async def test_drip_alr_02_a_routing_key_of_its_own_changes_the_first_part_only() -> None:
    async with served(store(alert_routing_key="price.today")) as (_, client):
        await client.ask(b"?alert-subscribe[1] #")
        await client.ask(b"?set[1] peaches 1")
        # The alert came before the reply.
        assert await reply(client, b"?configure[1] peaches alert-routing-key x") == [b"ok", b"x"]
        lines = await client.ask(b"?set[1] peaches 2")
        assert lines[0].split()[2] == b"x.peaches"
        for bad in (b"", b"a.*", b"#"):
            request = b"?configure[1] peaches alert-routing-key " + (bad or b"\\@")
            assert (await reply(client, request))[0] in (b"invalid", b"fail")
        assert await reply(client, b"?configure[1] peaches alert_routing_key") == [b"ok", b"x"]


async def test_drip_alr_03_without_a_subscriber_nothing_is_wrong() -> None:
    async with served(store()) as (server, client):
        assert await reply(client, b"?set[1] peaches 1") == [b"ok", b"1.0"]
        assert server.endpoint_host.alerts.sent == 1
        assert await reply(client, b"?alert-send[2] a b") == [b"ok", b"0"]


async def test_drip_alr_03_a_slow_subscriber_misses_some_and_holds_up_nobody() -> None:
    big = b"x" * 20_000
    async with served(store(), max_backlog=400_000) as (server, client):
        hub = server.endpoint_host.alerts
        slow = await small_client(server)
        await slow.send(b"?alert-subscribe[1] bulk")
        assert await slow.line() == b"!alert-subscribe[1] ok"
        async with talking(server) as quick:
            assert await reply(quick, b"?alert-subscribe[1] #") == [b"ok"]
            for number in range(300):
                request = b"?alert-send[%d] bulk %s" % (number, big)
                assert (await client.ask(request))[-1].startswith(b"!alert-send[%d] ok" % number)
                (alert,) = await told(quick, b"alert")
                assert alert[3] == big
            assert hub.dropped > 0
            assert await reply(quick, b"?alert-list[2]") == [b"ok", b"1", b"0"]
            value = await informs(quick, b"?sensor-value[3] alerts.dropped")
            assert value[0][-1] == b"%d" % hub.dropped
        # It was not thrown out, and as it goes on it learns how many there were.
        seen = missed = 0
        while seen + missed < 300:
            line = await slow.line()
            seen += line.startswith(b"#alert ")
            missed += int(line.split()[1]) if line.startswith(b"#alerts-dropped ") else 0
        assert missed == hub.dropped
        assert await reply(client, b"?alert-send[1] bulk small") == [b"ok", b"1"]
        (alert,) = await told(slow, b"alert")
        assert alert[3] == b"small"
        listed = await slow.ask(b"?alert-list[2]")
        assert listed == [b"#alert-list[2] bulk", b"!alert-list[2] ok 1 %d" % hub.dropped]
        await slow.close()


async def test_a_storm_in_one_turn_does_not_cost_a_subscriber_its_connection() -> None:
    async with served(store(), max_backlog=200_000) as (server, client):
        hub = server.endpoint_host.alerts
        assert await reply(client, b"?alert-subscribe[1] #") == [b"ok"]
        taken = sum(hub.publish("storm", {"n": n, "text": "x" * 1000}) for n in range(1000))
        assert 50 < taken < 150
        assert hub.dropped == 1000 - taken
        alerts = await told(client, b"alert", taken)
        assert [int(alert[3]) for alert in alerts] == list(range(taken))
        assert await told(client, b"alerts-dropped") == [[b"%d" % hub.dropped]]
        await quiet(client)


async def test_drip_alr_04_who_goes_is_forgotten() -> None:
    async with served(store()) as (server, _):
        hub = server.endpoint_host.alerts
        for _ in range(50):
            clients = [await WireClient.connect(server.bind_address, greeting=3) for _ in range(20)]
            for one in clients:
                await one.send(b"?alert-subscribe[1] #")
            for one in clients:
                await one.until_reply()
            await until(lambda: hub.subscribers == 20)
            for one in clients:
                await one.close()
            await until(lambda: hub.subscribers == 0)
        assert len(hub._audiences._found) <= 1
        assert not hub._clients


async def test_drip_alr_05_overlapping_patterns_deliver_once() -> None:
    async with served(store()) as (_, client):
        for pattern in (b"#", b"sensor_value.#", b"*.peaches", b"sensor_value.peaches"):
            assert await reply(client, b"?alert-subscribe[1] " + pattern) == [b"ok"]
        lines = await client.ask(b"?set[1] peaches 1")
        assert len(lines) == 2
        assert await reply(client, b"?alert-unsubscribe[1] #") == [b"ok"]
        assert len(await client.ask(b"?set[1] peaches 2")) == 2
        for pattern in (b"sensor_value.#", b"*.peaches", b"sensor_value.peaches"):
            assert await reply(client, b"?alert-unsubscribe[1] " + pattern) == [b"ok"]
        assert len(await client.ask(b"?set[1] peaches 3")) == 1


async def test_asking_twice_or_for_nothing_is_a_warning() -> None:
    async with served(store()) as (_, client):
        assert await reply(client, b"?alert-subscribe[1] #") == [b"ok"]
        assert await informs(client, b"?alert-subscribe[2] #") == [
            [b"1", b"# was subscribed to already"],
            [b"ok"],
        ]
        assert await reply(client, b"?alert-unsubscribe[3] #") == [b"ok"]
        assert (await client.ask(b"?alert-unsubscribe[4] #"))[0] == (
            b"#warning[4] 1 #\\_was\\_not\\_subscribed\\_to"
        )


async def test_requests_that_cannot_be() -> None:
    async with served(store()) as (_, client):
        for request in (b"alert-subscribe", b"alert-unsubscribe", b"alert-send", b"alert-send a"):
            assert (await reply(client, b"?" + request.replace(b" ", b"[1] ", 1)))[::2] == [
                b"invalid",
                b"303",
            ]
        assert (await reply(client, b"?alert-list[1] x"))[::2] == [b"invalid", b"303"]
        assert (await reply(client, b"?alert-subscribe[1] \\@"))[::2] == [b"fail", b"304"]
        assert (await reply(client, b"?alert-send[1] a.* x"))[::2] == [b"fail", b"304"]
        for number in range(MAX_PATTERNS):
            await client.send(b"?alert-subscribe[1] p%d" % number)
        for _ in range(MAX_PATTERNS):
            assert await client.until_reply() == [b"!alert-subscribe[1] ok"]
        assert (await reply(client, b"?alert-subscribe[1] one-more"))[::2] == [b"fail", b"300"]
        assert await reply(client, b"?alert-subscribe[1] p5") == [b"ok"]


async def test_what_clients_send_is_as_it_was_and_says_who_sent_it() -> None:
    async with served(store()) as (server, client), talking(server) as other:
        await client.ask(b"?alert-subscribe[1] status_message.#")
        raw = [b"\xff\x00 \n=", b"", b"value_raw=1"]
        words = [b"\xff\\0\\_\\n=", b"\\@", b"value_raw=1"]
        request = b"?alert-send[1] status_message.critical.pump " + b" ".join(words)
        assert await reply(other, request) == [b"ok", b"1"]
        (alert,) = await told(client, b"alert")
        assert alert[1] == b"status_message.critical.pump"
        assert alert[2:8:2] == [b"value"] * 3
        assert alert[3:8:2] == raw
        assert alert[8] == b"sender"
        assert alert[9].startswith(b"127.0.0.1:")


async def test_the_sensors_tell_of_it() -> None:
    async with served(store()) as (server, client):
        await client.ask(b"?alert-subscribe[1] #")
        assert server.get_sensor("alerts.subscribers").value() == 1
        await client.ask(b"?set[1] peaches 1")
        sensor = server.get_sensor("my_price_list.peaches.last-alert")
        assert sensor.status() == sensor.NOMINAL
        await client.ask(b"?alert-unsubscribe[1] #")
        assert server.get_sensor("alerts.subscribers").value() == 0


async def test_below_version_5_times_are_milliseconds() -> None:
    class Old(AsyncEndpointServer):
        PROTOCOL_INFO = ProtocolFlags(4, 0, "")

    async with serving(Old("127.0.0.1", 0, endpoints=[store()])) as server, talking(server) as one:
        await one.ask(b"?alert-subscribe #")
        lines = await one.ask(b"?set peaches 1")
        assert lines[0].startswith(b"#alert ")
        assert lines[0].split()[1].isdigit()
        assert len(lines[0].split()[1]) == 13


async def test_a_device_with_a_thread_of_its_own() -> None:
    ticker = Spime("ticker", schedule_interval=0.01, logging_status="on")
    ticker.on_get = lambda: 5  # type: ignore[method-assign]
    server = EndpointServer("127.0.0.1", 0, endpoints=[Provider("p", endpoints=[ticker])])
    async with serving(server), talking(server) as client:
        await client.ask(b"?alert-subscribe[1] #")
        alerts = await told(client, b"alert", 3)
        assert alerts[0][1:4] == [b"sensor_value.ticker", b"value_raw", b"5"]
        await asyncio.to_thread(setattr, ticker, "logging_status", "off")
        assert await reply(client, b"?logging[2] ticker") == [b"ok", b"off"]


# -- listeners --------------------------------------------------------------------------


async def test_a_program_can_listen_too(caplog: pytest.LogCaptureFixture) -> None:
    hub = AlertHub()
    heard: list[Any] = []

    def fails(alert: Any) -> None:
        raise RuntimeError("the listener failed")

    end = hub.listen("a.*", heard.append)
    hub.listen("#", fails)
    assert hub.publish("a.b", {"x": 1}, timestamp=5) == 2
    assert hub.publish("a", [("x", 1), ("x", 2)], timestamp=5) == 1
    end()
    end()
    assert hub.publish("a.b", {"x": 2}) == 1
    assert heard == [(5, "a.b", {"x": 1})]
    assert "A listener to alerts failed on a.b" in caplog.text


async def test_many_routing_keys_are_not_all_remembered() -> None:
    hub = AlertHub()
    for number in range(3000):
        hub.publish(f"key.{number}", {})
    assert len(hub._audiences._found) <= 1000


class Connection:
    """A connection of which nobody says that it has gone."""

    def __init__(self) -> None:
        self.closed = False
        self.max_backlog = 1000
        self.write_blocked = False
        self.unsent = 0
        self.lines: list[bytes] = []

    def send(self, line: bytes) -> None:
        self.lines.append(line)

    async def until_writable(self) -> None:
        await until(lambda: not self.unsent or self.closed)


async def test_those_that_have_gone_unheard_are_forgotten_all_the_same() -> None:
    hub = AlertHub()
    first, second, third = Connection(), Connection(), Connection()
    hub.subscribe(first, "#")
    hub.subscribe(second, "#")
    first.closed = True
    assert hub.publish("a", {}) == 1
    assert hub.subscribers == 1
    second.closed = True
    hub.subscribe(third, "#")
    assert hub.subscribers == 1
    ref = weakref.ref(second)
    del second
    await asyncio.sleep(0)
    gc.collect()
    assert ref() is None


async def test_one_that_is_behind_is_not_waited_for_when_it_goes() -> None:
    hub = AlertHub()
    connection = Connection()
    hub.subscribe(connection, "#")
    connection.unsent = 600
    connection.write_blocked = True
    assert hub.publish("a", {}) == 0
    assert hub.dropped_of(connection) == 1
    await asyncio.sleep(0.005)
    hub.client_gone(connection)
    await asyncio.sleep(0)
    connection.unsent = 0
    await asyncio.sleep(0.005)
    assert connection.lines == []
    for number in range(MAX_PATTERNS):
        hub.subscribe(connection, f"p{number}")
    with pytest.raises(ServiceError, match="100 patterns"):
        hub.subscribe(connection, "one more")
    hub.clear()
    assert hub.subscribers == 0


# -- the requests of schedules ----------------------------------------------------------


class Thermometer(Spime):
    """Always 5."""

    def on_get(self) -> Any:
        return 5


@contextlib.asynccontextmanager
async def bus() -> AsyncIterator[tuple[AsyncEndpointServer, WireClient]]:
    some = [Thermometer("one", schedule_interval=0.05), Thermometer("two"), Provider("empty")]
    provider = Provider("bus", endpoints=some)
    del some
    async with served(provider, StoreKey("alone", schedule_interval=9)) as (server, client):
        yield server, client


async def test_drip_sch_02_over_the_wire() -> None:
    async with bus() as (server, client):
        assert await reply(client, b"?logging[1] two on") == [
            b"fail",
            b"bus.two has no schedule_interval",
            b"304",
        ]
        assert await reply(client, b"?logging[1] two") == [b"ok", b"off"]
        assert (await reply(client, b"?logging[1] one maybe"))[::2] == [b"invalid", b"304"]
        for word, state in [(b"on", b"on"), (b"1", b"on"), (b"restart", b"on"), (b"0", b"off")]:
            assert await reply(client, b"?logging[1] one " + word) == [b"ok", state]
        assert await reply(client, b"?logging[1] one off") == [b"ok", b"off"]
        await client.ask(b"?alert-subscribe[1] #")
        assert await reply(client, b"?logging[2] one on") == [b"ok", b"on"]
        assert server.get_sensor("bus.one.logging").value() is True
        assert len(await told(client, b"alert", 3)) == 3
        assert await reply(client, b"?configure[3] one logging-status off") == [b"ok", b"off"]
        assert server.get_sensor("bus.one.logging").value() is False


async def test_drip_sch_03_a_provider_over_the_wire() -> None:
    async with bus() as (_, client):
        assert await informs(client, b"?logging[1] bus on") == [
            [b"bus.one", b"on"],
            [b"bus.two", b"off", b"bus.two has no schedule_interval"],
            [b"ok", b"2"],
        ]
        assert await informs(client, b"?logging[1] *") == [
            [b"bus.one", b"on"],
            [b"bus.two", b"off"],
            [b"alone", b"off"],
            [b"ok", b"3"],
        ]
        assert await informs(client, b"?logging[1] * stop") == [
            [b"bus.one", b"off"],
            [b"bus.two", b"off"],
            [b"alone", b"off"],
            [b"ok", b"3"],
        ]
        assert (await reply(client, b"?logging[1] empty"))[::2] == [b"fail", b"306"]
        assert (await reply(client, b"?logging[1] nowhere"))[::2] == [b"fail", b"102"]
        assert (await reply(client, b"?logging[1]"))[::2] == [b"invalid", b"303"]
        assert (await reply(client, b"?logging[1] one on off"))[::2] == [b"invalid", b"303"]


async def test_all_of_one_is_listed_too() -> None:
    async with served(Thermometer("one", schedule_interval=1)) as (_, client):
        assert await informs(client, b"?logging[1] * on") == [[b"one", b"on"], [b"ok", b"1"]]
        assert await informs(client, b"?logging[1] one") == [[b"ok", b"on"]]


async def test_names_of_sensors_of_alerts_are_taken() -> None:
    with pytest.raises(ValueError, match=r"alerts\.dropped"):
        AsyncEndpointServer(
            "127.0.0.1", 0, endpoints=[Provider("alerts", endpoints=[Thermometer("dropped")])]
        )


async def test_drip_sch_06_an_interval_over_the_wire() -> None:
    async with bus() as (_, client):
        await client.ask(b"?logging[1] one on")
        assert await reply(client, b"?configure[1] one schedule-interval 5") == [b"ok", b"5.0"]
        refused = await reply(client, b"?configure[1] one schedule-interval -1")
        assert refused == [b"invalid", b"schedule_interval must be >= 0", b"304"]
        assert await reply(client, b"?configure[1] one log_interval") == [b"ok", b"5.0"]
        assert await reply(client, b"?configure[1] one schedule-interval 0") == [
            b"ok",
            b"0.0",
            b"the schedule of bus.one was on and is off now",
        ]
        assert await reply(client, b"?logging[1] one") == [b"ok", b"off"]
        assert await reply(client, b"?configure[1] one schedule-interval 0") == [b"ok", b"0.0"]


async def test_drip_sch_07_schedule_once_over_the_wire() -> None:
    async with bus() as (_, client):
        await client.ask(b"?alert-subscribe[1] #")
        assert await reply(client, b"?schedule-once[2] two 0.01") == [b"ok"]
        (alert,) = await told(client, b"alert")
        assert alert[1] == b"sensor_value.two"
        assert await reply(client, b"?cmd[3] two single-schedule 0.01") == [b"ok"]
        assert (await told(client, b"alert"))[0][1] == b"sensor_value.two"
        assert await reply(client, b"?logging[4] two") == [b"ok", b"off"]
        for bad in (b"-1", b"x", b"nan", b"inf"):
            assert (await reply(client, b"?schedule-once[5] two " + bad))[::2] == [
                b"invalid",
                b"304",
            ]
        assert (await reply(client, b"?schedule-once[5] two"))[::2] == [b"invalid", b"303"]
        assert (await reply(client, b"?schedule-once[5] bus 1"))[::2] == [b"fail", b"306"]
        for _ in range(100):
            await client.send(b"?schedule-once[6] two 1000")
        for _ in range(100):
            assert await client.until_reply() == [b"!schedule-once[6] ok"]
        assert (await reply(client, b"?schedule-once[7] two 1"))[::2] == [b"fail", b"304"]


async def test_drip_sch_08_an_endpoint_that_is_removed_leaves_no_timer() -> None:
    async with bus() as (server, client):
        await client.ask(b"?alert-subscribe[1] #")
        await client.ask(b"?logging[1] one on")
        await told(client, b"alert", 2)
        provider = server.endpoint_host.find("bus")
        assert isinstance(provider, Provider)
        gone = provider.remove_endpoint("one")
        assert isinstance(gone, Spime)
        assert gone.logging.schedule._timer is None
        await client.ask(b"?schedule-once[3] two 0.1")
        while b"sensor_value.two" not in (await told(client, b"alert"))[0]:
            pass  # what was on its way
        await quiet(client)
        ref = weakref.ref(gone)
        del gone
        for _ in range(3):
            await asyncio.sleep(0)
        gc.collect()
        assert ref() is None


async def test_drip_lck_10_schedules_go_on_under_a_lock_and_only_the_key_changes_them() -> None:
    async with bus() as (_, client):
        await client.ask(b"?alert-subscribe[1] #")
        await client.ask(b"?logging[1] one on")
        assert (await reply(client, b"?lock[1] bus " + KEY))[0] == b"ok"
        await told(client, b"alert", 3)
        assert await reply(client, b"?logging[1] one") == [b"ok", b"on"]
        for request in (b"?logging[1] one off", b"?schedule-once[1] one 1"):
            assert (await reply(client, request))[::2] == [b"fail", b"307"]
            assert (await reply(client, request + b" lockout-key=" + KEY))[0] == b"ok"
        listed = await informs(client, b"?logging[1] bus on")
        assert [line[1] for line in listed[:-1]] == [b"off", b"off"]
        assert b"locked" in listed[0][2]
        assert (await reply(client, b"?lock-key[1] " + KEY))[0] == b"ok"
        assert await reply(client, b"?logging[1] one on") == [b"ok", b"on"]


async def test_help_tells_of_all_of_them() -> None:
    async with bus() as (_, client):
        for name in (
            b"logging",
            b"schedule-once",
            b"alert-subscribe",
            b"alert-unsubscribe",
            b"alert-list",
            b"alert-send",
        ):
            lines = await client.ask(b"?help[1] " + name)
            assert lines[-1] == b"!help[1] ok 1"
            assert b"Returns" in lines[0]
