"""The key-value store: what is put in comes out again."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from katcp.endpoints import AccessDeniedError, KeyValueStore, StoreKey, kv_store, kv_store_key
from katcp.protocol import Message, escape
from katcp.sensors import Sensor
from tests.endpoints.served import informs, reply, served, told
from tests.helpers.serving import talking

VALUES = [
    b"1.79",
    b"-0.005",
    b"1e21",
    b"text with blanks",
    b"a=b",
    b"lockout-key=no",
    b"back\\slash",
    b"new\nline",
    b"tab\t, return\r, escape\x1b, zero\0",
    b"",
    "Grüße, 世界".encode(),
    b"no UTF-8: \xff\xfe",
    b"x" * 100_000,
]


def store(**options: Any) -> KeyValueStore:
    return KeyValueStore(
        "kv_example",
        endpoints=[StoreKey("foo", **options), StoreKey("bar"), StoreKey("baz")],
    )


def test_the_names_of_dragonfly() -> None:
    assert kv_store is KeyValueStore
    assert kv_store_key is StoreKey


MEMBERS_OF_BOTH = [
    "handle_request",
    "is_locked",
    "lock",
    "lockout_key",
    "logging_status",
    "on_cmd",
    "on_config",
    "on_get",
    "on_set",
    "ping",
    "schedule_status",
    "set_condition",
    "unlock",
    "name",
]
MEMBERS_OF_STORE = [
    "add_endpoint",
    "cmd",
    "endpoint",
    "endpoint_names",
    "endpoints",
    "get",
    "list_endpoints",
    "on_send",
    "send",
    "set",
]
MEMBERS_OF_KEY = [
    "log_interval",
    "log_on_set",
    "max_fractional_change",
    "max_interval",
    "schedule_interval",
    "scheduled_action",
    "single_schedule",
    "store_value",
    "get_on_set",
    "alert_routing_key",
    "calibration",
]


@pytest.mark.parametrize("member", MEMBERS_OF_BOTH + MEMBERS_OF_STORE)
def test_the_members_of_the_store_of_dragonfly(member: str) -> None:
    assert hasattr(kv_store("kv"), member)


@pytest.mark.parametrize("member", MEMBERS_OF_BOTH + MEMBERS_OF_KEY)
def test_the_members_of_a_key_of_dragonfly(member: str) -> None:
    assert hasattr(kv_store_key("k"), member)


def test_locks_from_within_a_program() -> None:
    kv = store()
    key = kv.lock(reason="night run")
    assert kv.endpoint("foo").is_locked
    assert (kv.lockout_key, kv.endpoint("foo").lockout_key) == (None, None)
    assert kv.lockout.owner == "this device"
    with pytest.raises(AccessDeniedError, match="night run"):
        kv.endpoint("foo").unlock()
    assert kv.lock(key) == key
    kv.unlock(key)
    assert not kv.endpoint("foo").is_locked
    kv.lock()
    kv.unlock(force=True)
    assert not kv.is_locked


# -- first values -----------------------------------------------------------------------


async def test_drip_kv_01_initial_value_is_returned_before_any_set() -> None:
    async with served(store(initial_value=1.79)) as (_, client):
        raw, cal, timestamp, status = (await reply(client, b"?get foo"))[1:]
        assert (raw, cal, status) == (b"1.79", b"", b"nominal")
        assert abs(float(timestamp) - time.time()) < 60


async def test_drip_kv_01_without_an_initial_value_the_status_is_unknown() -> None:
    async with served(store()) as (device, client):
        assert (await reply(client, b"?get foo"))[1:3] == [b"", b""]
        assert (await reply(client, b"?get foo"))[4] == b"unknown"
        assert device.get_sensor("kv_example.foo").status() == Sensor.UNKNOWN
        [sensor, _] = await informs(client, b"?sensor-value kv_example.foo")
        assert sensor[3] == b"unknown"


def test_an_initial_value_has_to_be_of_the_type() -> None:
    with pytest.raises(ValueError, match="foo: initial_value: 'x' is no float"):
        StoreKey("foo", type="float", initial_value="x")
    with pytest.raises(ValueError, match="not between 0 and 5"):
        StoreKey("foo", type="float", params=(0, 5), initial_value=7)


# -- what is put in comes out -----------------------------------------------------------


@pytest.mark.parametrize("value", VALUES)
async def test_drip_kv_02_each_comes_back_identical(value: bytes) -> None:
    async with served(store()) as (device, client):
        argument = escape(value) or b"\\@"
        assert await reply(client, b"?set foo " + argument) == [b"ok", value]
        assert (await reply(client, b"?get foo"))[:3] == [b"ok", value, b""]
        [sensor, _] = await informs(client, b"?sensor-value kv_example.foo")
        assert sensor[3:] == [b"nominal", value]
        held = device.endpoint_host.find("foo").on_get()
        assert (held if isinstance(held, bytes) else held.encode()) == value


@pytest.mark.parametrize("value", [1.79, 3, True, "1.79", b"\xff", "ü"])
async def test_drip_kv_02_a_program_gets_what_it_has_set(value: Any) -> None:
    async with served(store()) as (device, client):
        host = device.endpoint_host
        await host.set("foo", value)
        reading = await host.get("foo")
        assert (type(reading.raw), reading.raw, reading.cal) == (type(value), value, None)
        assert (await reply(client, b"?get foo"))[1] == Message.request("x", value).arguments[0]


async def test_drip_kv_03_set_without_a_value_is_invalid() -> None:
    async with served(store(initial_value="1")) as (_, client):
        status, text, code = await reply(client, b"?set foo")
        assert (status, code) == (b"invalid", b"303")
        assert b"usage" in text
        assert (await reply(client, b"?set foo 1 2 3"))[::2] == [b"invalid", b"303"]
        assert (await reply(client, b"?set"))[::2] == [b"invalid", b"303"]
        assert (await reply(client, b"?get foo"))[1] == b"1"


async def test_none_is_no_value() -> None:
    async with served(store(initial_value=1)) as (device, _):
        with pytest.raises(ValueError, match="cannot be set to nothing"):
            await device.endpoint_host.set("foo", None)
        assert (await device.endpoint_host.get("foo")).raw == 1


# -- get_on_set and log_on_set ----------------------------------------------------------


async def test_drip_kv_04_get_on_set_answers_with_raw_and_calibrated_value() -> None:
    key: dict[str, Any] = {"calibration": "times2({})", "initial_value": 0}
    async with served(store(get_on_set=True, **key)) as (_, client):
        assert await reply(client, b"?set foo 1.79") == [b"ok", b"1.79", b"3.58"]
    async with served(store(**key)) as (device, client):
        assert await reply(client, b"?set foo 1.79") == [b"ok", b"1.79"]
        assert device.get_sensor("kv_example.foo").value() == "3.58"
        assert device.get_sensor("kv_example.foo.raw").value() == "1.79"


async def test_drip_kv_05_log_on_set_sends_one_alert_for_each_set() -> None:
    kv = store(log_on_set=True, type="float")
    async with served(kv) as (device, client), talking(device) as listener:
        assert await reply(listener, b"?alert-subscribe #") == [b"ok"]
        seen = []
        device.endpoint_host.alerts.listen(
            "#", lambda alert: seen.append(device.endpoint_host.find("foo").on_get())
        )
        assert await reply(client, b"?set foo 1.5") == [b"ok", b"1.5"]
        assert (await reply(client, b"?set foo nonsense"))[0] == b"invalid"
        assert (await reply(client, b"?set bar 7"))[0] == b"ok"  # that one does not log
        assert await reply(client, b"?set foo 2.5") == [b"ok", b"2.5"]
        alerts = await told(listener, b"alert", 2)
        assert [alert[1:4] for alert in alerts] == [
            [b"sensor_value.foo", b"value_raw", b"1.5"],
            [b"sensor_value.foo", b"value_raw", b"2.5"],
        ]
        assert seen == [1.5, 2.5]  # what was told was there already
        assert await listener.ask(b"?watchdog[1]") == [b"!watchdog[1] ok"]


async def test_drip_kv_06_both_flags_the_alert_says_what_the_reply_says() -> None:
    key: dict[str, Any] = {"calibration": "times2({})", "get_on_set": True, "log_on_set": True}
    async with served(store(**key)) as (_, client):
        assert await reply(client, b"?alert-subscribe sensor_value.#") == [b"ok"]
        first, second = await client.ask(b"?set[1] foo 1.79")
        if first.startswith(b"!"):
            first, second = second, first
        words = first.split(b" ")
        assert words[2:] == (
            b"sensor_value.foo value_raw 1.79 value_cal 3.58 path kv_example.foo".split()
        )
        assert second == b"!set[1] ok 1.79 3.58"


@pytest.mark.parametrize("order", [("get-on-set", "log-on-set"), ("log-on-set", "get-on-set")])
async def test_drip_kv_06_the_flags_can_be_changed_at_any_time(order: tuple[str, str]) -> None:
    async with served(store(calibration="times2({})")) as (device, client):
        sent = []
        device.endpoint_host.alerts.listen("#", lambda alert: sent.append(alert.values))
        for on in ("1", "0", "1"):
            for flag in order:
                for word in (on, on):
                    answer = await reply(client, f"?configure foo {flag} {word}".encode())
                    assert answer == [b"ok", word.encode()]
        assert await reply(client, b"?set foo 1") == [b"ok", b"1", b"2.0"]
        assert sent == [{"value_raw": "1", "value_cal": 2.0, "path": "kv_example.foo"}]
        assert await reply(client, b"?configure foo log_on_set 0") == [b"ok", b"0"]
        assert await reply(client, b"?set foo 2") == [b"ok", b"2", b"4.0"]
        assert len(sent) == 1


# -- many, and sensors ------------------------------------------------------------------


async def test_drip_kv_07_a_hundred_clients_do_not_mix() -> None:
    keys = [StoreKey(f"k{number}") for number in range(100)]
    async with served(KeyValueStore("kv", endpoints=keys)) as (device, client):

        async def use(number: int) -> None:
            async with talking(device) as own:
                for turn in range(2):
                    value = f"{number}-{turn}".encode()
                    assert await reply(own, b"?set k%d %b" % (number, value)) == [b"ok", value]
                    assert (await reply(own, b"?get k%d" % number))[1] == value

        await asyncio.gather(*map(use, range(100)))
        for number in range(100):
            assert (await reply(client, b"?get k%d" % number))[1] == b"%d-1" % number


async def test_drip_kv_08_the_sensor_is_what_get_gives() -> None:
    async with served(store(calibration="times2({})", type="float", units="K")) as (_, client):
        for value in (b"1", b"2.5"):
            await client.ask(b"?set foo " + value)
            _, raw, cal, timestamp, status = await reply(client, b"?get foo")
            [sensor, _] = await informs(client, b"?sensor-value kv_example.foo")
            assert sensor == [timestamp, b"1", b"kv_example.foo", status, cal]
            [sensor, _] = await informs(client, b"?sensor-value kv_example.foo.raw")
            assert sensor == [timestamp, b"1", b"kv_example.foo.raw", status, raw]


async def test_drip_kv_08_sampling_tells_each_change_once() -> None:
    async with served(store(initial_value="a")) as (device, client), talking(device) as other:
        await client.ask(b"?sensor-sampling kv_example.foo event")
        for value in (b"b", b"c", b"d"):
            await other.ask(b"?set foo " + value)
            await other.ask(b"?get foo")
        updates = await told(client, b"sensor-status", 3)
        assert [update[4] for update in updates] == [b"b", b"c", b"d"]
        assert await client.ask(b"?watchdog[1]") == [b"!watchdog[1] ok"]


async def test_sensors_of_a_key_say_what_it_is() -> None:
    key = StoreKey("t", type="float", units="K", raw_units="V", description="Sample", params=(0, 9))
    async with served(KeyValueStore("kv", endpoints=[key])) as (_, client):
        listed = await informs(client, b"?sensor-list /^kv/")
        assert [(line[0], line[3]) for line in listed[:-1]] == [
            (b"kv.locked", b"boolean"),
            (b"kv.t", b"float"),
            (b"kv.t.last-alert", b"timestamp"),
            (b"kv.t.locked", b"boolean"),
            (b"kv.t.logging", b"boolean"),
        ]
        assert listed[1] == [b"kv.t", b"Sample", b"K", b"float", b"0.0", b"9.0"]


# -- types ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type_", "params", "good", "held", "bad"),
    [
        ("float", (0, 5), b"1.5", 1.5, [b"x", b"5.1", b"-1", b""]),
        ("integer", (), b"-7", -7, [b"1.5", b"x"]),
        ("boolean", (), b"1", True, [b"2", b"yes"]),
        ("discrete", ("on", "off"), b"off", "off", [b"ON", b"1"]),
        ("timestamp", (), b"12.5", 12.5, [b"now"]),
    ],
)
async def test_a_value_has_to_be_of_its_type(
    type_: str, params: Any, good: bytes, held: Any, bad: list[bytes]
) -> None:
    key = StoreKey("foo", type=type_, params=params)
    async with served(key) as (device, client):
        shown = Message.request("x", held).arguments[0]
        assert await reply(client, b"?set foo " + good) == [b"ok", shown]
        assert key.value == held
        assert type(key.value) is type(held)
        assert device.get_sensor("foo").value() == held
        for value in bad:
            status, text, code = await reply(client, b"?set foo " + (value or b"\\@"))
            assert (status, code) == (b"invalid", b"304")
            assert text.startswith(b"foo: ")
        assert key.value == held


async def test_quantum_rounds_down_as_the_store_of_dragonfly_did() -> None:
    key = StoreKey("foo", quantum=0.01)
    async with served(key) as (device, client):
        for value, kept in [
            (b"1.799", b"1.79"),
            (b"-0.005", b"-0.01"),
            (b"1", b"1"),
            (b"inf", b"inf"),
            (b"text", b"text"),
        ]:
            assert await reply(client, b"?set foo " + value) == [b"ok", kept]
        await device.endpoint_host.set("foo", 1.799)
        assert key.value == 1.79
    for bad in (0, -1, float("nan")):
        with pytest.raises(ValueError, match="quantum must be a positive number"):
            StoreKey("foo", quantum=bad)


async def test_restored_values_keep_their_times() -> None:
    key = StoreKey("foo", initial_value=1)
    async with served(key) as (device, client):
        key.restore("old", 1000.5)
        assert (await reply(client, b"?get foo"))[1:4] == [b"old", b"", b"1000.500000"]
        assert device.get_sensor("foo").read() == (1000.5, Sensor.NOMINAL, "old")


def test_a_store_is_like_a_dict() -> None:
    kv = store(initial_value=5)
    assert kv.values() == {"foo": 5, "bar": None, "baz": None}
    assert kv.endpoint_names == ["foo", "bar", "baz"]
    assert list(kv.endpoints) == kv.list_endpoints()
