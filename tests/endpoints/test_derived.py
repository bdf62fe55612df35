"""Derived endpoints: computed from others when they are asked, and when those change."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import weakref
from typing import Any

import pytest

from katcp.endpoints import (
    AsyncEndpointServer,
    DerivedEndpoint,
    Endpoint,
    EndpointClient,
    EndpointError,
    InvalidMethodError,
    InvalidValueError,
    KeyValueStore,
    Provider,
    StoreKey,
    SubServiceError,
)
from katcp.expressions import ExpressionError
from katcp.inspecting_client import InspectingClientAsync
from katcp.sensors import Sensor
from tests.endpoints.served import reply, served
from tests.helpers.serving import serving, until


class Instrument(Provider):
    """Counts how often its endpoints are read at a time."""

    def __init__(self, name: str, **options: Any) -> None:
        super().__init__(name, **options)
        self.now = self.most = 0


class Part(Endpoint):
    """Takes a while."""

    def __init__(self, name: str, value: Any, **options: Any) -> None:
        super().__init__(name, type="float", **options)
        self.value = value

    async def on_get(self) -> Any:
        parent: Any = self.parent
        parent.now += 1
        parent.most = max(parent.most, parent.now)
        await asyncio.sleep(0.001)
        parent.now -= 1
        if isinstance(self.value, Exception):
            raise self.value
        return self.value


def plant() -> tuple[Instrument, Instrument]:
    left = Instrument(
        "left", endpoints=[Part("u", 2.0), Part("i", 3.0), DerivedEndpoint("power", "{u} * {i}")]
    )
    right = Instrument(
        "right",
        endpoints=[
            Part("u", 5.0),
            DerivedEndpoint("sum", "{u} + {left.u} + {left.power}"),
            DerivedEndpoint("half", "{left.u} / 2", calibration="{} * 100", units="%"),
        ],
    )
    return left, right


async def test_it_is_computed_from_what_it_reads() -> None:
    left, right = plant()
    async with served(left, right, node="site") as (_, client):
        assert float((await reply(client, b"?get left.power"))[1]) == 6
        assert float((await reply(client, b"?get sum"))[1]) == 5 + 2 + 6
        _, raw, cal, _, status = await reply(client, b"?get site.right.half")
        assert (float(raw), float(cal), status) == (1, 100, b"nominal")


async def test_what_it_reads_takes_its_turns() -> None:
    left, right = plant()
    async with served(left, right) as (server, _):
        get = server.endpoint_host.get
        names = ["left.power", "sum", "half", "left.u", "right.u"] * 10
        await asyncio.wait_for(asyncio.gather(*map(get, names)), 10)
        assert left.most == right.most == 1


async def test_two_that_read_from_each_others_provider_do_not_wait_for_good() -> None:
    one = Instrument("one", endpoints=[Part("a", 1.0), DerivedEndpoint("x", "{two.b}")])
    two = Instrument("two", endpoints=[Part("b", 2.0), DerivedEndpoint("y", "{one.a}")])
    async with served(one, two) as (server, _):
        get = server.endpoint_host.get
        readings = await asyncio.wait_for(
            asyncio.gather(*(get(name) for name in ("x", "y") * 20)), 10
        )
        assert {reading.value for reading in readings} == {1.0, 2.0}


async def test_what_fails_is_told_by_name() -> None:
    left, right = plant()
    async with served(left, right) as (server, client):
        left.endpoint("u").value = ConnectionError("no carrier")  # type: ignore[attr-defined]
        status, message, code, *_ = await reply(client, b"?get left.power")
        assert (status, code) == (b"fail", b"203")
        assert message.startswith(b"left.power needs u: ")
        assert b"no carrier" in message
        status, message, code, *_ = await reply(client, b"?get sum")
        assert (status, code) == (b"fail", b"203")
        assert server.get_sensor("left.power").status() == Sensor.FAILURE
        left.endpoint("u").value = 4.0  # type: ignore[attr-defined]
        assert float((await reply(client, b"?get left.power"))[1]) == 12
        assert server.get_sensor("left.power").status() == Sensor.NOMINAL


async def test_it_follows_without_reading() -> None:
    keys = [StoreKey("u", initial_value=2), StoreKey("i", calibration="2*{}")]
    derived = DerivedEndpoint("power", "{u} * {i}", type="float", units="W")
    async with served(KeyValueStore("kv", endpoints=[*keys, derived])) as (server, client):
        sensor = server.get_sensor("kv.power")
        assert sensor.status() == Sensor.UNKNOWN
        await reply(client, b"?set i 10")
        assert sensor.read()[1:] == (Sensor.NOMINAL, 40.0)
        assert sensor.read().timestamp == server.get_sensor("kv.i").read().timestamp
        await reply(client, b"?set u 0.5")
        assert sensor.value() == 10.0
        await reply(client, b"?set u five")
        assert sensor.status() == Sensor.FAILURE
        assert (await reply(client, b"?get kv.power"))[2] == b"304"
        await reply(client, b"?set u 5")
        assert sensor.read()[1:] == (Sensor.NOMINAL, 100.0)


async def test_clients_are_told_of_what_follows() -> None:
    keys = [StoreKey("u", initial_value=2), StoreKey("i", initial_value=3)]
    derived = DerivedEndpoint("power", "{u} * {i}")
    async with served(KeyValueStore("kv", endpoints=[*keys, derived])) as (server, client):
        await until(lambda: server.get_sensor("kv.power").value() == 6)
        lines = await client.ask(b"?sensor-sampling kv.power event")
        for value in (b"4", b"4", b"5"):
            lines += await client.ask(b"?set kv.i " + value)
        updates = [float(line.split()[-1]) for line in lines if b"#sensor-status" in line]
        assert updates == [6.0, 8.0, 10.0]


async def test_it_follows_sensors_of_the_device_that_come_and_go() -> None:
    derived = DerivedEndpoint("twice", "2 * {tank.level}", calibration="-{}")
    async with served(derived) as (server, client):
        sensor = server.get_sensor("twice")
        await until(lambda: sensor.status() == Sensor.FAILURE)
        assert (await reply(client, b"?get twice"))[2] == b"203"
        level = Sensor.float("tank.level", "Level", "m")
        server.add_sensor(level)
        level.set_value(1.5)
        await until(lambda: sensor.status() == Sensor.NOMINAL)
        assert sensor.value() == -3.0
        assert server.get_sensor("twice.raw").value() == "3.0"
        assert float((await reply(client, b"?get twice"))[1]) == 3
        level.set_value(2.0, Sensor.FAILURE)
        assert sensor.status() == Sensor.FAILURE
        server.remove_sensor(level)
        server.add_sensor(Sensor.float("tank.level", "Level", "m", default=7.0))
        server.get_sensor("tank.level").set_value(4.0)
        await until(lambda: sensor.value() == -8.0)
        level.set_value(9.0)
        assert sensor.value() == -8.0


async def test_endpoints_that_are_added_later_are_found() -> None:
    store = KeyValueStore("kv", endpoints=[DerivedEndpoint("next", "{foo} + 1", type="integer")])
    async with served(store) as (server, client):
        assert (await reply(client, b"?get next"))[2] == b"203"
        store.add_endpoint(StoreKey("foo", initial_value=4))
        assert (await reply(client, b"?get next"))[1] == b"5"
        await reply(client, b"?set foo 7")
        await until(lambda: server.get_sensor("kv.next").value() == 8)


async def test_one_result_for_one_reading() -> None:
    left, right = plant()
    async with served(left, right) as (_, client):
        await client.ask(b"?sensor-sampling left.power event")
        left.endpoint("u").value, left.endpoint("i").value = 5.0, 6.0  # type: ignore[attr-defined]
        await client.send(b"?get left.power")
        lines = await client.until_reply()
        updates = [float(line.split()[-1]) for line in lines if b"#sensor-status" in line]
        assert updates == [30.0]


async def test_one_that_is_computed_from_itself_fails() -> None:
    endpoints = [
        DerivedEndpoint("a", "{b} + 1"),
        DerivedEndpoint("b", "{c} + 1"),
        DerivedEndpoint("c", "{a} + 1"),
        DerivedEndpoint("self", "{self}"),
    ]
    async with served(*endpoints) as (_, client):
        for name in (b"a", b"b", b"c", b"self"):
            status, message, code, *_ = await reply(client, b"?get " + name)
            assert (status, code) == (b"fail", b"203")
            assert b"is computed from itself" in message
        assert (await reply(client, b"?ping"))[0] == b"ok"


@pytest.mark.parametrize("errors", ["fail", "omit"])
async def test_a_part_that_cannot_be_calibrated_is_no_part(errors: str) -> None:
    part = StoreKey("part", initial_value=4, calibration="1/{}", calibration_errors=errors)
    store = KeyValueStore("kv", endpoints=[part, DerivedEndpoint("twice", "2 * {part}")])
    async with served(store) as (server, client):
        sensor = server.get_sensor("kv.twice")
        await until(lambda: sensor.value() == 0.5)
        await reply(client, b"?set part 0")
        assert sensor.read()[1:] == (Sensor.FAILURE, 0.5)
        status, message, code, *_ = await reply(client, b"?get twice")
        assert (status, code) == (b"fail", b"203")
        assert b"cannot be calibrated" in message
        await reply(client, b"?set part 2")
        assert sensor.read()[1:] == (Sensor.NOMINAL, 1.0)


async def test_values_of_sensors_with_errors_count() -> None:
    async with served(DerivedEndpoint("twice", "2 * {level}")) as (server, client):
        server.add_sensor(Sensor.float("level", "", ""))
        server.get_sensor("level").set_value(3.0, Sensor.ERROR)
        assert float((await reply(client, b"?get twice"))[1]) == 6
        assert server.get_sensor("twice").read()[1:] == (Sensor.NOMINAL, 6.0)


class Slow(Endpoint):
    """Is read when it is told."""

    def __init__(self, name: str) -> None:
        super().__init__(name, type="float")
        self.go = asyncio.Event()

    async def on_get(self) -> Any:
        await self.go.wait()
        return 1.0


async def test_what_changes_while_others_are_read_counts() -> None:
    slow, level = Slow("slow"), Sensor.float("level", "", "")
    store = KeyValueStore("kv", endpoints=[StoreKey("a", initial_value=1)])
    async with served(slow, store, DerivedEndpoint("d", "{a} + {level} + {slow}")) as (server, _):
        server.add_sensor(level)
        level.set_value(10.0)
        reading = asyncio.ensure_future(server.endpoint_host.get("d"))
        await asyncio.sleep(0.01)
        await server.endpoint_host.set("a", 5)
        level.set_value(100.0)
        slow.go.set()
        assert (await reading).value == 106.0
        assert server.get_sensor("d").value() == 106.0
        await until(lambda: server.get_sensor("d").value() == 106.0)


async def test_parts_on_other_devices_are_read_but_not_followed() -> None:
    far = AsyncEndpointServer(
        "127.0.0.1", 0, endpoints=[KeyValueStore("kv", endpoints=[StoreKey("x", initial_value=2)])]
    )
    derived = DerivedEndpoint("twice", "2 * {far.kv.x}")
    async with (
        serving(far),
        served(derived) as (server, client),
        contextlib.AsyncExitStack() as stack,
    ):
        assert (await reply(client, b"?get twice"))[2] == b"203"
        remote = InspectingClientAsync(*far.bind_address, timeout=10)
        await stack.enter_async_context(remote)
        server.endpoint_host.add_remote("far", EndpointClient(remote))
        assert float((await reply(client, b"?get twice"))[1]) == 4
        await far.endpoint_host.set("kv.x", 3)
        server.add_sensor(Sensor.float("other", "", ""))
        await asyncio.sleep(0.01)
        assert server.get_sensor("twice").read()[1:] == (Sensor.NOMINAL, 4.0)
        assert float((await reply(client, b"?get twice"))[1]) == 6


async def test_a_name_of_several_is_not_guessed() -> None:
    stores = [KeyValueStore(f"kv{n}", endpoints=[StoreKey("foo", initial_value=n)]) for n in (1, 2)]
    async with served(*stores, DerivedEndpoint("which", "{foo}")) as (_, client):
        status, message, code, *_ = await reply(client, b"?get which")
        assert (status, code) == (b"fail", b"203")
        assert b"kv1.foo" in message
        assert b"kv2.foo" in message


async def test_parts_that_are_not_needed_may_be_unknown() -> None:
    keys = [StoreKey("mode", initial_value="off"), StoreKey("speed")]
    derived = DerivedEndpoint("shown", "{speed} if {mode} == 'on' else 0", type="float")
    both = DerivedEndpoint("both", "{speed} + 1")
    async with served(KeyValueStore("kv", endpoints=[*keys, derived, both])) as (_, client):
        assert float((await reply(client, b"?get shown"))[1]) == 0
        _, raw, _, _, status = await reply(client, b"?get both")
        assert (raw, status) == (b"", b"unknown")


async def test_it_cannot_be_set() -> None:
    left, right = plant()
    async with served(left, right) as (_, client):
        assert (await reply(client, b"?set left.power 5"))[2] == b"306"


async def test_functions_and_what_they_raise() -> None:
    def boom(value: Any) -> Any:
        raise RuntimeError("boom")

    endpoints = [
        DerivedEndpoint("bad", "boom(1)", functions=[boom]),
        DerivedEndpoint("constant", "1 + 1", type="integer"),
    ]
    async with served(*endpoints) as (_, client):
        status, message, code, *_ = await reply(client, b"?get bad")
        assert (status, code) == (b"fail", b"304")
        assert b"boom: boom" in message
        assert (await reply(client, b"?get constant"))[1] == b"2"


async def test_without_a_host_it_cannot_be_read() -> None:
    derived = DerivedEndpoint("x", "{a}")
    with pytest.raises(SubServiceError, match="not served"):
        await derived.read()
    assert isinstance(SubServiceError(), EndpointError)
    assert derived.expression == "{a}"


@pytest.mark.parametrize("text", ["{a}.b", "a", "{}", "{a b}", ""])
def test_bad_expressions_are_refused(text: str) -> None:
    with pytest.raises(ExpressionError):
        DerivedEndpoint("x", text)


async def test_it_is_gone_with_its_device() -> None:
    server = AsyncEndpointServer("127.0.0.1", 0)
    level = Sensor.float("tank.level", "Level", "m")
    server.add_sensor(level)
    level.set_value(0.0, Sensor.UNREACHABLE)
    derived = DerivedEndpoint("twice", "2 * {tank.level}")
    server.endpoint_host.add(derived)
    server.start(timeout=10)
    await until(lambda: server.get_sensor("twice").status() == Sensor.FAILURE)
    await server.stop()
    level.set_value(5.0)
    assert server.get_sensor("twice").value() == 0.0
    gone = weakref.ref(derived)
    derived = server = None
    gc.collect()
    assert gone() is None


async def test_errors_have_their_codes() -> None:
    with pytest.raises(InvalidMethodError):
        await DerivedEndpoint("x", "{a}").write(1.0)
    assert InvalidValueError().code == 304
