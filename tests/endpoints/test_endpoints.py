"""Endpoints and providers: their names, their addresses, their sensors, whose turn it is."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
import weakref
from typing import Any

import pytest

from katcp.endpoints import (
    AsyncEndpointServer,
    Calibration,
    Endpoint,
    EndpointHost,
    EndpointReading,
    EndpointServer,
    InvalidMethodError,
    InvalidValueError,
    KeyValueStore,
    NoResponseError,
    Provider,
    RequestTimeoutError,
    ResourceConnectionError,
    RoutingKeyError,
    Spime,
    StoreKey,
    UnhandledError,
    endpoint,
    remote_command,
)
from katcp.sensors import Sensor
from katcp.server import blocking
from tests.endpoints.served import informs, reply, served
from tests.helpers.serving import Bare, serving, serving_in_thread, talking, until
from tests.helpers.wire import WireClient


def example() -> KeyValueStore:
    return KeyValueStore("kv_example", endpoints=[StoreKey(name) for name in ("foo", "bar", "baz")])


# -- lists ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [b"endpoint-list", b"list-endpoints"])
async def test_drip_ep_01_lists_have_what_there_is_in_its_order(name: bytes) -> None:
    kv = example()
    assert kv.list_endpoints() == ["foo", "bar", "baz"]
    async with served(kv) as (device, client):
        assert await client.ask(b"?%b[7] kv_example" % name) == [
            b"#%b[7] kv_example.foo key 0 0" % name,
            b"#%b[7] kv_example.bar key 0 0" % name,
            b"#%b[7] kv_example.baz key 0 0" % name,
            b"!%b[7] ok 3" % name,
        ]
        everything = await informs(client, b"?" + name)
        assert [line[0] for line in everything[:-1]] == [
            b"kv_example",
            b"kv_example.foo",
            b"kv_example.bar",
            b"kv_example.baz",
        ]
        assert await informs(client, b"?%b *" % name) == everything
        assert await informs(client, b"?%b foo" % name) == [[b"ok", b"0"]]
        assert (await reply(client, b"?%b nix" % name))[::2] == [b"fail", b"102"]
        assert (await reply(client, b"?%b foo bar" % name))[::2] == [b"invalid", b"303"]
        assert device.endpoint_host.endpoints == (kv,)


# -- addresses --------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["foo", "kv_example.foo", "somenode.kv_example.foo"])
async def test_drip_ep_02_any_unique_end_of_the_address_will_do(address: str) -> None:
    async with served(example(), node="somenode") as (device, client):
        await client.ask(b"?set somenode.kv_example.foo x")
        assert (await reply(client, b"?get " + address.encode()))[1] == b"x"
        found = device.endpoint_host.find(address)
        assert (found.path, found.address) == ("kv_example.foo", "somenode.kv_example.foo")


async def test_drip_ep_02_what_can_be_two_fails_and_names_both() -> None:
    left = Provider("left", endpoints=[StoreKey("t")])
    right = Provider("right", endpoints=[StoreKey("t")])
    async with served(left, right, node="n") as (device, client):
        status, text, code = await reply(client, b"?get t")
        assert (status, code) == (b"fail", b"102")
        assert b"n.left.t" in text
        assert b"n.right.t" in text
        assert (await reply(client, b"?get left.t"))[0] == b"ok"
        device.endpoint_host.remove("left")
        assert (await reply(client, b"?get t"))[0] == b"ok"
        assert (await reply(client, b"?get left.t"))[::2] == [b"fail", b"102"]


async def test_a_whole_path_is_meant_before_the_end_of_another() -> None:
    outer, inner = StoreKey("t", initial_value="outer"), StoreKey("t", initial_value="inner")
    async with served(outer, Provider("p", endpoints=[inner])) as (_, client):
        assert (await reply(client, b"?get t"))[1] == b"outer"
        assert (await reply(client, b"?get p.t"))[1] == b"inner"


async def test_providers_can_be_in_providers() -> None:
    deep = StoreKey("z", initial_value="deep")
    rack = Provider("rack", endpoints=[Provider("crate", endpoints=[deep])])
    async with served(rack, node="n") as (_, client):
        for address in (b"z", b"crate.z", b"rack.crate.z", b"n.rack.crate.z"):
            assert (await reply(client, b"?get " + address))[1] == b"deep"
        assert (await reply(client, b"?get rack.z"))[0] == b"fail"
        listed = await informs(client, b"?list-endpoints rack")
        assert [line[0] for line in listed[:-1]] == [b"rack.crate", b"rack.crate.z"]


def test_a_name_that_is_nearly_right_is_suggested() -> None:
    host = EndpointHost(Bare("127.0.0.1", 0))
    host.add(example())
    with pytest.raises(RoutingKeyError, match=r"did you mean 'kv_example\.foo'"):
        host.find("kv_exmple.foo")
    with pytest.raises(RoutingKeyError, match=r"'x{100}\.\.\.'"):
        host.find("x" * 1000)


@pytest.mark.parametrize("many", [7])
def test_only_some_of_many_are_named(many: int) -> None:
    host = EndpointHost(Bare("127.0.0.1", 0))
    for number in range(many):
        host.add(Provider(f"p{number}", endpoints=[StoreKey("t")]))
    with pytest.raises(RoutingKeyError, match=r"p0\.t and .* and 2 more$"):
        host.find("t")


# -- names ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.b", "a b", "", "ä", "a,b", "a\n", "a/b"])
def test_drip_ep_03_a_bad_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be the name of an endpoint") as caught:
        StoreKey(name)
    assert repr(name) in str(caught.value)


def test_drip_ep_03_a_name_has_to_be_given() -> None:
    with pytest.raises(TypeError, match="name"):
        StoreKey()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="is a text, not 7"):
        StoreKey(7)  # type: ignore[arg-type]


def test_drip_ep_03_names_that_cannot_be_told_apart_are_refused() -> None:
    kv = example()
    with pytest.raises(ValueError, match="two endpoints named 'foo'"):
        kv.add_endpoint(StoreKey("foo"))
    kv.add_endpoint(StoreKey("a-b"))
    with pytest.raises(ValueError, match="'a-b' and 'a_b' are one to clients"):
        kv.add_endpoint(StoreKey("a_b"))
    assert kv.list_endpoints() == ["foo", "bar", "baz", "a-b"]


@pytest.mark.parametrize("word", ["raw", "locked", "logging", "last-alert", "last_alert"])
def test_drip_ep_03_names_of_sensors_are_taken(word: str) -> None:
    with pytest.raises(ValueError, match="that of a sensor of its provider"):
        example().add_endpoint(StoreKey(word))


def test_drip_ep_03_so_are_those_of_other_providers_and_of_the_device() -> None:
    device = AsyncEndpointServer("127.0.0.1", 0, endpoints=[example()])
    host = device.endpoint_host
    with pytest.raises(ValueError, match="two endpoints named 'kv_example'"):
        host.add(example())
    with pytest.raises(ValueError, match=r"'kv_example\.foo' and 'kv-example-foo' are one"):
        host.add(StoreKey("kv-example-foo"))
    device.add_sensor(Sensor.integer("pump"))
    with pytest.raises(ValueError, match="the device has a sensor named 'pump'"):
        host.add(StoreKey("pump"))
    assert [one.path for one in host.all_endpoints()] == [
        "kv_example",
        "kv_example.foo",
        "kv_example.bar",
        "kv_example.baz",
    ]
    assert not device.has_sensor("kv-example-foo")


def test_endpoints_can_be_put_into_another_order() -> None:
    kv = example()
    kv.sort_endpoints(["baz", "nix", "foo"])
    assert kv.list_endpoints() == ["baz", "foo", "bar"]


def test_an_endpoint_belongs_to_one_only() -> None:
    key = StoreKey("k")
    kv = KeyValueStore("kv", endpoints=[key])
    with pytest.raises(ValueError, match="'k' belongs to something else already"):
        KeyValueStore("other", endpoints=[key])
    host = EndpointHost(Bare("127.0.0.1", 0))
    with pytest.raises(ValueError, match="belongs to something else"):
        host.add(key)
    host.add(kv)
    with pytest.raises(ValueError, match="belongs to something else"):
        Provider("p", endpoints=[kv])
    kv.remove_endpoint(key)
    host.add(key)
    with pytest.raises(KeyError):
        kv.remove_endpoint(key)
    with pytest.raises(KeyError):
        kv.remove_endpoint(StoreKey("k"))


def test_a_node_has_a_name_as_endpoints_have() -> None:
    with pytest.raises(ValueError, match=r"'a\.b' cannot be the name"):
        EndpointHost(Bare("127.0.0.1", 0), node="a.b")


async def test_drip_ep_04_objects_by_name() -> None:
    kv = example()
    assert kv.endpoint("foo") is kv.endpoints["foo"]
    with pytest.raises(KeyError):
        kv.endpoint("nix")
    async with served(kv) as (_, client):
        status, text, code = await reply(client, b"?get nix")
        assert (status, code) == (b"fail", b"102")
        assert b"'nix'" in text


# -- options ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Endpoint, Provider, Spime, KeyValueStore, StoreKey])
def test_an_unknown_option_is_refused_and_the_nearest_named(kind: type[Endpoint]) -> None:
    with pytest.raises(TypeError, match="no option 'calibratoin': did you mean 'calibration'"):
        kind("x", calibratoin="2*{}")
    with pytest.raises(TypeError, match=r"no option 'zzzzzz': it has .*calibration"):
        kind("x", zzzzzz=1)


def test_options_of_a_class_can_be_asked_for() -> None:
    names = StoreKey.option_names()
    assert {"name", "initial_value", "max_interval", "calibration", "get_on_set"} <= set(names)
    assert not {"options", "unknown", "self"} & set(names)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"type": "complex"}, "there is no type 'complex'"),
        ({"type": "float", "params": [1]}, "lowest and a highest"),
        ({"type": "discrete"}, "needs the words"),
        ({"type": "boolean", "params": [1]}, "has no parameters"),
        ({"calibration": "open('x')"}, "open"),
        ({"calibration": "{}", "calibration_errors": "ignore"}, "ignore"),
        ({"timeout": 0}, "timeout must be a positive number, not 0"),
        ({"conditions": {"x": 1}}, "the number of a condition is an integer"),
        ({"conditions": {3: "x"}, "type": "float"}, "k: condition 3: 'x' is no float"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        StoreKey("k", **options)


# -- while it runs ----------------------------------------------------------------------


async def test_drip_ep_05_a_key_that_is_added_is_announced() -> None:
    kv = example()
    async with served(kv) as (device, client):
        kv.add_endpoint(StoreKey("new", initial_value="1"))
        line = await client.line()
        assert line.startswith(b"#interface-changed sensor")
        assert b"kv_example.new" in line or line.endswith(b"sensor-list")
        [first, *_] = await informs(client, b"?sensor-list kv_example.new")
        assert first[0] == b"kv_example.new"
        assert (await reply(client, b"?get new"))[1] == b"1"
        kv.remove_endpoint("new")
        assert (await client.line()).startswith(b"#interface-changed sensor")
        assert (await reply(client, b"?sensor-list kv_example.new"))[0] == b"fail"
        assert (await reply(client, b"?get new"))[::2] == [b"fail", b"102"]
        assert not [s for s in device.get_sensors() if "new" in s.name]


async def test_what_cannot_be_served_is_not_in_the_provider_either() -> None:
    kv = example()
    async with served(kv) as (device, _):
        device.add_sensor(Sensor.integer("kv_example.pump"))
        with pytest.raises(ValueError, match="the device has a sensor named"):
            kv.add_endpoint(StoreKey("pump"))
        assert kv.list_endpoints() == ["foo", "bar", "baz"]
        assert kv.endpoint_names == ["foo", "bar", "baz"]


async def test_any_device_can_have_endpoints() -> None:
    device = Bare("127.0.0.1", 0)
    before = set(device._request_handlers)
    host = EndpointHost(device)
    assert set(device._request_handlers) == before  # it costs nothing without any
    assert not device.get_sensors()
    assert not device.service_tasks
    async with serving(device), talking(device) as client:
        host.add(example())
        assert (await reply(client, b"?set foo 1")) == [b"ok", b"1"]


def test_requests_of_the_device_are_not_replaced() -> None:
    class Own(Bare):
        async def request_lock(self, req: Any) -> None:
            """Do something else."""

    device = Own("127.0.0.1", 0)
    host = EndpointHost(device)
    with pytest.raises(ValueError, match="has a request 'lock' already"):
        host.add(example())
    assert not host.all_endpoints()
    assert not device.has_request("get")
    assert not device.get_sensors()


def test_a_sensor_of_the_device_that_is_named_as_one_of_the_alerts() -> None:
    server = Bare("127.0.0.1", 0)
    own = Sensor.integer("alerts.dropped")
    server.add_sensor(own)
    host = EndpointHost(server)
    with pytest.raises(ValueError, match=r"the device has a sensor named 'alerts\.dropped'"):
        host.add(StoreKey("x"))
    assert server.get_sensor("alerts.dropped") is own
    assert not server.has_sensor("x")


async def test_all_of_it_goes_with_the_last_reference() -> None:
    kv = example()
    device = AsyncEndpointServer("127.0.0.1", 0, endpoints=[kv])
    async with serving(device), talking(device) as client:
        await client.ask(b"?get foo")
        host, key = weakref.ref(device.endpoint_host), weakref.ref(kv.endpoint("foo"))
    del device, kv, client

    def gone() -> bool:
        gc.collect()
        return host() is None and key() is None

    await until(gone)


async def test_a_server_can_be_started_again() -> None:
    device = AsyncEndpointServer("127.0.0.1", 0, endpoints=[example()])
    for value in (b"1", b"2"):
        async with serving(device), talking(device) as client:
            assert await reply(client, b"?set foo " + value) == [b"ok", value]


def test_a_server_with_a_thread_of_its_own() -> None:
    class Owner(EndpointServer):
        def setup_sensors(self) -> None:
            self.endpoint_host.add(example())

    device = Owner("127.0.0.1", 0, endpoints=[StoreKey("more")], node="n")
    with serving_in_thread(device):

        async def ask() -> None:
            async with await WireClient.connect(device.bind_address) as client:
                assert await reply(client, b"?set n.kv_example.foo 1") == [b"ok", b"1"]
                assert (await reply(client, b"?get more"))[0] == b"ok"

        asyncio.run(ask())


# -- reading and setting ----------------------------------------------------------------


class Meter(Spime):
    """Answers what it is told to."""

    def __init__(self, name: str = "meter", **options: Any) -> None:
        super().__init__(name, **options)
        self.answer: Any = 1
        self.given: list[Any] = []

    def on_get(self) -> Any:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer

    async def on_set(self, value: Any) -> None:
        await asyncio.sleep(0)
        if isinstance(self.answer, BaseException):
            raise self.answer
        self.given.append(value)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NoResponseError("silent"), b"202"),
        (ConnectionRefusedError("no"), b"201"),
        (asyncio.TimeoutError(), b"305"),
        (ZeroDivisionError("oops"), b"999"),
    ],
)
async def test_a_failed_get_shows_in_the_sensor_until_one_succeeds(
    error: BaseException, code: bytes
) -> None:
    meter = Meter()
    async with served(meter) as (device, client):
        assert (await reply(client, b"?get meter"))[:2] == [b"ok", b"1"]
        meter.answer = error
        assert (await reply(client, b"?get meter"))[::2] == [b"fail", code]
        sensor = device.get_sensor("meter")
        assert (sensor.status(), sensor.value()) == (Sensor.FAILURE, "1")
        assert meter.reading.status == Sensor.FAILURE
        meter.answer = 2
        assert (await reply(client, b"?get meter"))[:2] == [b"ok", b"2"]
        assert (sensor.status(), sensor.value()) == (Sensor.NOMINAL, "2")


async def test_what_a_set_says_not_the_sensor_does_not_show() -> None:
    meter = Meter()
    async with served(meter) as (device, client):
        assert await reply(client, b"?set meter 5") == [b"ok"]
        assert meter.given == ["5"]
        assert device.get_sensor("meter").status() == Sensor.UNKNOWN
        meter.answer = ValueError("5 is too much")
        status, text, code = await reply(client, b"?set meter 5")
        assert (status, text, code) == (b"fail", b"meter: 5 is too much", b"304")


async def test_get_and_set_that_there_are_not() -> None:
    provider = Provider("p", endpoints=[Endpoint("e")])
    async with served(provider) as (device, client):
        for request in (b"?get p", b"?get e", b"?set p 1", b"?set e 1"):
            assert (await reply(client, request))[::2] == [b"fail", b"306"]
        assert not device.has_sensor("p.e")
        assert device.has_sensor("p.e.locked")
        assert not provider.is_readable


async def test_a_calibration_that_fails() -> None:
    key = StoreKey("k", type="float", calibration="1/{}", initial_value="2")
    async with served(key) as (device, client):
        sensor, raw = device.get_sensor("k"), device.get_sensor("k.raw")
        assert (sensor.status(), sensor.value(), raw.value()) == (Sensor.NOMINAL, 0.5, "2")
        assert (await reply(client, b"?set k 0"))[0] == b"ok"
        answer = await reply(client, b"?get k")
        assert (answer[0], answer[2]) == (b"fail", b"304")
        assert answer[1].startswith(b"0 ")
        assert (sensor.status(), sensor.value()) == (Sensor.ERROR, 0.5)
        assert (raw.status(), raw.value()) == (Sensor.NOMINAL, "0")


async def test_a_calibration_that_may_fail() -> None:
    key = StoreKey("k", calibration="1/{}", calibration_errors="omit", initial_value="0")
    async with served(key) as (device, client):
        answer = await reply(client, b"?get k")
        assert (answer[:3], answer[4]) == ([b"ok", b"0", b""], b"error")
        assert device.get_sensor("k").status() == Sensor.ERROR


async def test_a_calibrated_value_that_is_none_of_the_type() -> None:
    key = StoreKey("k", type="float", calibration={"1": "one"}, initial_value="1")
    async with served(key) as (device, client):
        assert (await reply(client, b"?get k"))[:3] == [b"ok", b"1", b"one"]
        assert device.get_sensor("k").status() == Sensor.ERROR


async def test_a_calibration_can_be_replaced_if_that_is_allowed() -> None:
    key = StoreKey("k", calibration_settable=True, initial_value="2")
    fixed = StoreKey("f", calibration=Calibration("2*{}"))
    async with served(key, fixed) as (device, client):
        assert await reply(client, b"?configure k calibration") == [b"ok", b""]
        assert await reply(client, b"?configure k calibration 3*{}") == [b"ok", b"3*{}"]
        assert (await reply(client, b"?get k"))[:3] == [b"ok", b"2", b"6"]
        assert device.get_sensor("k").value() == "6"
        assert (await reply(client, b"?configure k calibration open(1)"))[::2] == [
            b"invalid",
            b"304",
        ]
        assert (await reply(client, b"?get k"))[2] == b"6"
        assert await reply(client, b"?configure k calibration \\@") == [b"ok", b""]
        assert (await reply(client, b"?get k"))[2] == b""
        assert (await reply(client, b"?configure f calibration {}"))[::2] == [b"fail", b"310"]
        assert await reply(client, b"?configure f calibration") == [b"ok", b"2*{}"]


def test_payloads_are_what_alerts_have() -> None:
    reading = EndpointReading(1, None, 0.0, Sensor.NOMINAL)
    assert (reading.value, reading.payload()) == (1, {"value_raw": 1})
    reading = reading._replace(cal=2)
    assert (reading.value, reading.payload()) == (2, {"value_raw": 1, "value_cal": 2})


# -- turns ------------------------------------------------------------------------------


class Bus(Provider):
    """Notes what it does, and for how long."""

    def __init__(self, name: str, **options: Any) -> None:
        super().__init__(name, **options)
        self.notes: list[str] = []
        self.busy = 0

    async def use(self, what: str, duration: float = 1.0) -> str:
        self.busy += 1
        assert self.busy == 1, "two at a time"
        self.notes.append(what)
        await asyncio.sleep(duration)
        self.busy -= 1
        return what

    @endpoint
    async def a(self) -> str:
        return await self.use("a")

    @endpoint(name="b")
    async def second(self) -> str:
        return await self.use("b")

    @remote_command
    async def both(self) -> list[str]:
        readings = await asyncio.gather(self.endpoint("a").read(), self.endpoint("b").read())
        return [reading.raw for reading in readings]


@pytest.mark.virtual_time
async def test_one_at_a_time_on_a_provider_in_the_order_of_arrival() -> None:
    bus = Bus("bus")
    a, b = bus.endpoint("a"), bus.endpoint("b")
    loop = asyncio.get_running_loop()
    begin = loop.time()
    await asyncio.gather(a.read(), b.read(), a.read(), b.read())
    assert bus.notes == ["a", "b", "a", "b"]
    assert loop.time() - begin == pytest.approx(4)


@pytest.mark.virtual_time
async def test_providers_do_not_wait_for_each_other() -> None:
    buses = [Bus(f"bus{number}") for number in range(5)]
    loop = asyncio.get_running_loop()
    begin = loop.time()
    await asyncio.gather(*(bus.endpoint("a").read() for bus in buses))
    assert loop.time() - begin == pytest.approx(1)


@pytest.mark.virtual_time
async def test_a_command_may_use_its_own_provider() -> None:
    bus = Bus("bus")
    bus.use = _unchecked(bus)  # type: ignore[method-assign]
    later = asyncio.ensure_future(bus.run_command("both"))
    await asyncio.sleep(0)
    third = asyncio.ensure_future(bus.endpoint("a").read())
    assert await later == ["a", "b"]
    await third
    assert bus.notes == ["a", "b", "a"]


def _unchecked(bus: Bus) -> Any:
    async def use(what: str, duration: float = 1.0) -> str:
        bus.notes.append(what)
        await asyncio.sleep(duration)
        return what

    return use


@pytest.mark.virtual_time
async def test_a_task_that_a_command_leaves_behind_has_no_turn_any_more() -> None:
    bus = Bus("bus")
    left: list[asyncio.Task[Any]] = []

    async def leave(number: int) -> None:
        async def later() -> None:
            await asyncio.sleep(0.5)
            await bus.endpoint("b").read()

        left.append(asyncio.ensure_future(later()))

    bus.on_condition = leave  # type: ignore[method-assign,assignment]
    async with bus.lane.turn():
        await leave(0)
    await bus.endpoint("a").read()  # would meet the other if that had a turn
    await left[0]
    assert bus.notes == ["a", "b"]


@pytest.mark.virtual_time
async def test_who_gives_up_waiting_costs_nobody_a_turn() -> None:
    bus = Bus("bus")
    a, b = bus.endpoint("a"), bus.endpoint("b")
    first = asyncio.ensure_future(a.read())
    second = asyncio.ensure_future(b.read())
    third = asyncio.ensure_future(b.read())
    fourth = asyncio.ensure_future(a.read())
    await asyncio.sleep(0.5)
    second.cancel()
    await asyncio.sleep(0.5)  # the first is about to end
    third.cancel()
    await first
    await fourth
    assert bus.notes[-1] == "a"
    assert bus.lane.free
    bus.busy = 0
    await b.read()


@pytest.mark.virtual_time
async def test_the_one_whose_turn_has_just_come_may_give_up() -> None:
    lane = StoreKey("k").lane
    order = []

    async def hold(name: str) -> None:
        async with lane.turn():
            order.append(name)

    async with lane.turn():
        # In contexts of their own, or they would be taken for a part of this turn.
        one = contextvars.Context().run(asyncio.ensure_future, hold("one"))
        two = contextvars.Context().run(asyncio.ensure_future, hold("two"))
        await asyncio.sleep(0)
        assert not lane._waiting[0].done()
    one.cancel()  # it has been let in, and not run yet
    await two
    assert order == ["two"]
    assert lane.free


@pytest.mark.virtual_time
async def test_what_takes_too_long_fails_and_the_next_has_its_turn() -> None:
    bus = Bus("bus")
    slow = Meter("slow", timeout=0.5)

    async def for_ever() -> None:
        await asyncio.sleep(1e9)

    bus.add_endpoint(slow)
    slow.on_get = for_ever  # type: ignore[method-assign,assignment]
    with pytest.raises(RequestTimeoutError, match=r"bus\.slow did not answer within 0\.5 s"):
        await slow.read()
    assert (await bus.endpoint("a").read()).raw == "a"


# -- methods that block -----------------------------------------------------------------


class Serial(Provider):
    """Talks to its device by calls that block."""

    def __init__(self, **options: Any) -> None:
        super().__init__("serial", allow_send=True, **options)
        self.go = threading.Event()
        self.alone = threading.Lock()
        self.threads: set[int] = set()
        self.value = 1.0

    def talk(self) -> None:
        assert self.alone.acquire(blocking=False), "two at a time"
        try:
            self.threads.add(threading.get_ident())
            assert self.go.wait(10)
        finally:
            self.alone.release()

    @endpoint(type="float")
    @blocking
    def current(self) -> float:
        self.talk()
        return self.value

    @current.setter
    @blocking
    def current(self, value: float) -> None:
        self.talk()
        if value > 5:
            raise ValueError("too much")
        self.value = value

    @remote_command
    @blocking
    def reset(self) -> str:
        self.talk()
        return "done"

    @remote_command
    @blocking
    def odd(self) -> str:
        raise StopIteration(3)

    @blocking
    def send(self, to_send: Any) -> Any:
        self.talk()
        return to_send


async def test_methods_that_block_run_in_threads_one_at_a_time() -> None:
    serial = Serial()
    async with served(serial) as (_, client):
        await client.send(
            b"?get[1] current",
            b"?set[2] current 2",
            b"?cmd[3] serial reset",
            b"?send[4] serial x",
            b"?get[5] current",
            b"?set[6] current 7",
        )
        assert await client.ask(b"?watchdog[7]") == [b"!watchdog[7] ok"]
        serial.go.set()
        found = [line.split(b" ")[:3] for line in await client.lines(6)]
        assert found == [
            [b"!get[1]", b"ok", b"1.0"],
            [b"!set[2]", b"ok"],
            [b"!cmd[3]", b"ok", b"done"],
            [b"!send[4]", b"ok", b"x"],
            [b"!get[5]", b"ok", b"2.0"],
            [b"!set[6]", b"fail", b"serial.current:\\_too\\_much"],
        ]
        assert threading.get_ident() not in serial.threads
        assert (await reply(client, b"?cmd serial odd"))[::2] == [b"fail", b"999"]


async def test_one_that_was_given_up_is_not_overtaken() -> None:
    serial = Serial(endpoints=[])
    serial.current.timeout = 0.05
    async with served(serial) as (_, client):
        assert (await reply(client, b"?get current"))[::2] == [b"fail", b"305"]
        assert (await reply(client, b"?get current"))[::2] == [b"fail", b"305"]
        serial.go.set()
        serial.current.timeout = None
        assert (await reply(client, b"?get current"))[:2] == [b"ok", b"1.0"]


async def test_without_a_server_there_are_no_threads() -> None:
    serial = Serial()
    serial.go.set()
    assert (await serial.current.read()).raw == 1.0
    assert serial.threads == {threading.get_ident()}


# -- what a class declares --------------------------------------------------------------


class Supply(Provider):
    def __init__(self, name: str = "supply", **options: Any) -> None:
        self.volts = 1.5
        super().__init__(name, **options)

    @endpoint(type="float", units="V", params=(0, 5), get_on_set=True)
    def voltage(self) -> float:
        """Voltage of the output.

        At the terminals.
        """
        return self.volts

    @voltage.setter
    async def voltage(self, value: float) -> None:
        self.volts = value

    @endpoint(calibration="2*{}")
    def doubled(self) -> float:
        return self.volts

    @doubled.setter
    def set_doubled(self, value: Any) -> None:
        self.volts = float(value)

    @endpoint
    def serial(self) -> str:
        return "0042"


class BetterSupply(Supply):
    @endpoint
    def serial(self) -> str:
        return "0043"

    doubled = None

    @endpoint(name="over-load")
    def overload(self) -> bool:
        return False


async def test_methods_of_a_provider_are_endpoints() -> None:
    supply = Supply()
    assert supply.list_endpoints() == ["voltage", "doubled", "serial"]
    assert supply.voltage is supply.endpoint("voltage")
    assert supply.voltage.description == "Voltage of the output."
    async with served(supply) as (device, client):
        assert await reply(client, b"?set voltage 2") == [b"ok", b"2.0"]
        assert supply.volts == 2.0
        assert (await reply(client, b"?set voltage 7"))[::2] == [b"invalid", b"304"]
        assert (await reply(client, b"?get supply.doubled"))[1:3] == [b"2.0", b"4.0"]
        assert (await reply(client, b"?set doubled 0.5"))[0] == b"ok"
        supply.set_doubled(0.75)
        assert supply.volts == 0.75
        assert (await reply(client, b"?set serial 1"))[::2] == [b"fail", b"306"]
        assert device.get_sensor("supply.voltage").units == "V"


async def test_subclasses_declare_more_and_other() -> None:
    better = BetterSupply("better", endpoints=[StoreKey("note")])
    assert better.list_endpoints() == ["voltage", "serial", "over-load", "note"]
    assert (await better.serial.read()).raw == "0043"
    assert (await better.endpoint("over-load").read()).raw is False
    assert Supply("a").voltage is not Supply("b").voltage


def test_a_bad_declaration_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match="no option 'unit': did you mean 'units'"):
        endpoint(unit="K")
    with pytest.raises(ValueError, match="cannot be the name of an endpoint"):
        endpoint(name="a.b")(lambda self: None)


# -- asking from within -----------------------------------------------------------------


async def test_a_provider_asks_others_by_their_addresses() -> None:
    supply, kv = Supply(), example()
    async with served(supply, kv) as (device, _):
        assert (await kv.get("voltage")).raw == 1.5
        assert (await kv.set("supply.voltage", 2.5)).raw == 2.5
        assert (await supply.get("foo")).raw is None
        assert await supply.get("foo.max_interval") == 0.0
        with pytest.raises(RoutingKeyError):
            await kv.get("nix")
        assert await kv.get("nix", ignore_retcode=True) == ()
        with pytest.raises(InvalidMethodError):
            await kv.cmd("voltage", "nix")
        with pytest.raises(InvalidValueError):
            await kv.set("voltage", 7)
        assert await device.endpoint_host.set("foo", 5, "max-interval") == 5.0
        assert await device.endpoint_host.get("foo", "max-interval") == 5.0


async def test_an_error_that_nobody_foresaw_has_a_code_within_too() -> None:
    meter = Meter()
    async with served(meter, example()) as (device, _):
        meter.answer = ZeroDivisionError("oops")
        with pytest.raises(UnhandledError, match="oops"):
            await device.endpoint_host.get("meter")
        meter.answer = ConnectionResetError()
        with pytest.raises(ResourceConnectionError):
            await device.endpoint_host.get("meter")


@pytest.mark.virtual_time
async def test_asking_takes_a_limited_time() -> None:
    host = EndpointHost(Bare("127.0.0.1", 0))
    bus = Bus("bus")
    host.add(bus)
    loop = asyncio.get_running_loop()
    bus.use = lambda what: asyncio.sleep(1e9)  # type: ignore[method-assign,assignment,return-value]
    begin = loop.time()
    with pytest.raises(RequestTimeoutError, match="a did not answer within 10 s"):
        await bus.get("a")
    assert loop.time() - begin == pytest.approx(10)
    with pytest.raises(RequestTimeoutError):
        await bus.get("a", timeout=2)
    assert loop.time() - begin == pytest.approx(12)


async def test_nobody_to_ask() -> None:
    with pytest.raises(Exception, match="p is not served by anything"):
        await Provider("p").get("x")
