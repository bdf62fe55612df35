"""Orders carried out on a device, by an inspecting client or a resource, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from katcp import AsyncDeviceServer, Sensor
from katcp.endpoints import EndpointServer, Provider, endpoint
from katcp.errors import FailReply, InvalidReply
from katcp.inspecting_client import InspectingClientAsync
from katcp.orders import (
    AdviseLevel,
    ClientTarget,
    MessageOrder,
    Outcome,
    ReadOrder,
    ResourceTarget,
    Section,
    SysctlOrder,
    WaitUntilOrder,
    WriteOrder,
)
from tests.helpers.inspecting import inspecting
from tests.helpers.resources import resource_of
from tests.helpers.scripted import Device
from tests.helpers.serving import serving
from tests.orders.bench import executing

FORCE = AdviseLevel.FORCE


class Plant(AsyncDeviceServer):
    """A device with sensors that requests of the usual kinds of name set."""

    announces_clients = False

    def setup_sensors(self) -> None:
        self.heard: list[Any] = []
        self.fails = 0
        self.speed = Sensor.float("pump.speed", params=[0.0, 100.0])
        self.mode = Sensor.discrete("pump.mode", params=["on", "off"])
        self.bad = Sensor.integer("bad")
        self.bad.set(1.0, Sensor.FAILURE, 0)
        self.flag = Sensor.boolean("flag")
        for sensor in (self.speed, self.mode, self.bad, self.flag):
            self.add_sensor(sensor)

    async def request_pump_set_speed(self, req: Any, speed: float) -> None:
        """Set the speed."""
        self.heard.append(speed)
        if self.fails:
            self.fails -= 1
            raise FailReply("busy")
        if speed > 100:
            raise InvalidReply("too fast")
        self.speed.set_value(speed)

    async def request_flag(self, req: Any, on: bool) -> None:
        """Set the flag."""
        self.heard.append(on)
        self.flag.set_value(on)

    async def request_other_way(self, req: Any, mode: str) -> None:
        """Set the mode."""
        self.mode.set_value(mode)

    async def request_sysctl(self, req: Any, op_type: str, op_args: str) -> None:
        """Do something."""
        if op_type != "reboot":
            raise FailReply("unrecognised")
        self.heard.append((op_type, op_args))

    async def request_message_execute(self, req: Any, uuid: str) -> None:
        """Send a message."""
        self.heard.append(uuid)


class Store(AsyncDeviceServer):
    """A device with ``?get`` and ``?set``, as devices with endpoints have them."""

    announces_clients = False

    def setup_sensors(self) -> None:
        self.foo = Sensor.string("kv.foo")
        self.add_sensor(self.foo)

    async def request_get(self, req: Any, target: str) -> str:
        """Get a value."""
        return str(self.foo.value())

    async def request_set(self, req: Any, target: str, value: str) -> None:
        """Set a value."""
        assert target == "kv.foo"
        self.foo.set_value(value)

    async def request_kv_set_foo(self, req: Any, value: str) -> None:
        """Never used."""
        raise FailReply("not this one")


@contextlib.asynccontextmanager
async def target_of(device: Any, kind: str, **kwargs: Any) -> AsyncIterator[Any]:
    """Make a target of a device that runs."""
    host, port = device.bind_address
    if kind == "client":
        client = InspectingClientAsync(host or "127.0.0.1", port)
        async with client:
            yield ClientTarget(client, **kwargs)
    else:
        async with resource_of(device) as resource:
            yield ResourceTarget(resource, **kwargs)


KINDS = pytest.mark.parametrize("kind", ["client", "resource"])


async def tried(target: Any, *orders: Any) -> list[Outcome]:
    async with executing(target, retry_delay=0.001) as executor:
        result = await executor.execute(Section(orders))
    return list(result.outcomes)


@KINDS
async def test_sensors_of_a_device_are_written_and_read(kind: str) -> None:
    async with serving(Plant("127.0.0.1", 0)) as device, target_of(device, kind) as target:
        done = await tried(
            target, WriteOrder("pump.speed", 1.5), ReadOrder("pump.speed"), WriteOrder("flag", True)
        )
        assert [o.outcome for o in done] == ["ok"] * 3
        reading = done[1].reading
        assert reading.value == 1.5
        assert reading.status == Sensor.NOMINAL
        assert reading.timestamp == pytest.approx(device.speed.read().timestamp, abs=1e-3)
        assert device.heard == [1.5, True]


@KINDS
async def test_smok_sec_05_the_value_is_in_the_sensor_when_the_section_is_done(kind: str) -> None:
    async with serving(Plant("127.0.0.1", 0)) as device, target_of(device, kind) as target:
        for value in (1.5, 2.5):
            device.speed.set_value(value)
            await tried(target, ReadOrder("pump.speed"))
            sensor = await target._sensor("pump.speed")
            reading = sensor.reading
            assert reading.value == value
            device.bad.set(value, Sensor.FAILURE, 5)
        if kind == "client":
            await tried(target, ReadOrder("bad", max_attempts=1))
            assert (await target._sensor("bad")).status() == Sensor.FAILURE


@KINDS
async def test_smok_sec_06_on_a_device_too(kind: str) -> None:
    async with serving(Plant("127.0.0.1", 0)) as device, target_of(device, kind) as target:
        orders: list[Any] = []
        for value in range(5):
            orders += [WriteOrder("pump.speed", value), ReadOrder("pump.speed")]
        done = await tried(target, *orders)
        assert [o.reading.value for o in done[1::2]] == [0, 1, 2, 3, 4]


@KINDS
async def test_what_a_device_says_no_to(kind: str) -> None:
    async with serving(Plant("127.0.0.1", 0)) as device, target_of(device, kind) as target:
        device.fails = 2
        done = await tried(
            target,
            WriteOrder("pump.speed", 1, FORCE),
            WriteOrder("pump.speed", 1000, FORCE),
            WriteOrder("pump.mode", "on", FORCE),
            ReadOrder("bad"),
            ReadOrder("nothing"),
            WriteOrder("nothing", 1),
        )
        assert [(o.outcome, o.attempts) for o in done] == [
            ("ok", 3),
            ("failed:invalid", 1),
            ("failed:read-only", 1),
            ("failed:status", 3),
            ("unknown-point", 0),
            ("unknown-point", 0),
        ]
        assert "too fast" in done[1].detail
        assert "failure" in done[3].detail
        device.fails = 1
        (refused,) = await tried(target, WriteOrder("pump.speed", 1))
        assert (refused.outcome, refused.attempts) == ("failed:refused", 1)
        assert "busy" in refused.detail


@KINDS
async def test_it_can_be_said_which_request_sets_a_sensor(kind: str) -> None:
    async with (
        serving(Plant("127.0.0.1", 0)) as device,
        target_of(device, kind, setters={"pump.mode": "other-way"}) as target,
    ):
        (done,) = await tried(target, WriteOrder("pump.mode", "off"))
        assert done.outcome == "ok"
        assert device.mode.value() == "off"


@KINDS
async def test_devices_with_endpoints_are_written_by_set(kind: str) -> None:
    async with serving(Store("127.0.0.1", 0)) as device, target_of(device, kind) as target:
        value = "text with blanks, = and ä\n"
        done = await tried(target, WriteOrder("kv.foo", value), ReadOrder("kv.foo"))
        assert done[0].outcome == "ok"
        assert done[1].reading.value == value
        done = await tried(target, SysctlOrder("reboot", ""), MessageOrder("5f0c"))
        assert [o.outcome for o in done] == ["unhandled-sysctl", "failed:unknown-message"]


class Meters(Provider):
    """Endpoints that can be read, written, or both."""

    count = 0

    @endpoint(type="integer", units="V")
    def volts(self) -> int:
        self.count += 1
        return self.count

    @endpoint(type="integer", calibration="2*{}")
    def amps(self) -> int:
        return self.count

    @amps.setter
    def amps(self, value: int) -> None:
        self.count = int(value)


@KINDS
async def test_endpoints_are_read_anew(kind: str) -> None:
    device = EndpointServer("127.0.0.1", 0, endpoints=[Meters("meters")])
    device.add_sensor(Sensor.integer("plain", default=3, initial_status=Sensor.NOMINAL))
    async with serving(device), target_of(device, kind) as target:
        done = await tried(
            target,
            ReadOrder("meters.volts"),
            ReadOrder("meters.volts"),
            ReadOrder("plain"),
            WriteOrder("plain", 5, FORCE),
            WriteOrder("meters.volts", 5),
        )
        assert [o.reading.value for o in done[:3]] == [1, 2, 3]
        assert done[3].outcome == "failed:read-only"
        assert done[4].outcome in ("failed:refused", "failed:invalid")
        done = await tried(target, WriteOrder("meters.amps", 7), ReadOrder("meters.amps"))
        assert done[0].outcome == "ok"
        assert done[1].reading.value == 14


@KINDS
async def test_sysctl_orders_and_messages_are_requests(kind: str) -> None:
    async with serving(Plant("127.0.0.1", 0)) as device, target_of(device, kind) as target:
        done = await tried(
            target, SysctlOrder("reboot", "at once"), MessageOrder("5f0c"), SysctlOrder("fly", "")
        )
        assert [o.outcome for o in done] == ["ok", "ok", "failed:refused"]
        assert device.heard == [("reboot", "at once"), "5f0c"]
    async with (
        serving(Plant("127.0.0.1", 0)) as device,
        target_of(device, kind, sysctl=None, message=None) as target,
    ):
        done = await tried(target, SysctlOrder("reboot", ""), MessageOrder("5f0c"))
        assert [o.outcome for o in done] == ["unhandled-sysctl", "failed:unknown-message"]


async def test_names_may_be_python_identifiers_with_a_resource() -> None:
    async with serving(Plant("127.0.0.1", 0)) as device, target_of(device, "resource") as target:
        done = await tried(
            target, WriteOrder("pump_speed", 2), ReadOrder("pump_speed"), ReadOrder("pump.speed")
        )
        assert [o.outcome for o in done] == ["ok"] * 3
        assert done[1].reading.value == 2


async def test_a_resource_that_offers_no_requests_is_read_only() -> None:
    async with serving(Plant("127.0.0.1", 0)) as device, resource_of(device) as resource:
        resource.set_active(False)
        async with executing(ResourceTarget(resource)) as executor:
            result = await executor.execute(Section([WriteOrder("pump.speed", 2)]))
            assert result.outcomes[0].outcome == "failed:inactive"
    async with (
        serving(Plant("127.0.0.1", 0)) as device,
        resource_of(device, controlled=False) as resource,
        executing(ResourceTarget(resource)) as executor,
    ):
        result = await executor.execute(
            Section([WriteOrder("pump.speed", 2), ReadOrder("pump.speed")])
        )
        assert [o.outcome for o in result.outcomes] == ["failed:read-only", "failed:status"]


@KINDS
@pytest.mark.parametrize("sampled", [True, False])
async def test_an_order_waits_for_a_sensor_of_a_device(kind: str, sampled: bool) -> None:
    async with (
        serving(Plant("127.0.0.1", 0)) as device,
        target_of(device, kind, poll=0.01) as target,
    ):
        device.speed.set_value(1.0)
        if sampled and kind == "client":
            await target._client.set_sampling("pump.speed", "event")
        elif sampled:
            await target._resource.set_sampling_strategy("pump.speed", "event")
        async with executing(target) as executor:
            section = Section([WaitUntilOrder("pump.speed", "{} > 5", 10)])
            executor.execute(section)
            for value, status in ((2.0, Sensor.NOMINAL), (9.0, Sensor.FAILURE), (8.0, Sensor.WARN)):
                await asyncio.sleep(0.03)
                assert not section.ended
                device.speed.set_value(value, status)
            result = await section.future
            assert result.outcomes[0].reading.value == 8.0
            done = await executor.execute(Section([WaitUntilOrder("pump.speed", "{} > 10", 0.05)]))
            assert done.outcomes[0].outcome == "failed:timeout"


@pytest.mark.slow
@KINDS
async def test_a_device_that_is_gone_and_comes_back(kind: str) -> None:
    device = Plant("127.0.0.1", 0)
    async with serving(device), target_of(device, kind) as target:
        host, port = device.bind_address
        async with executing(target, retry_delay=0.02, max_retry_delay=0.05) as executor:
            await device.stop()
            device.join(10)
            section = Section([WriteOrder("pump.speed", 5, FORCE, max_attempts=500)])
            advised = Section([WriteOrder("flag", True)])
            executor.execute(section, advised)
            result = await advised.future
            assert result.outcomes[0].outcome in ("failed:disconnected", "failed:refused")
            again = Plant(host, port)
            async with serving(again):
                done = await asyncio.wait_for(section.future, 20)
                assert done.state == "done"
                assert done.outcomes[0].attempts > 1
                assert again.heard == [5.0]


async def test_a_target_of_a_client_that_knows_nothing_yet() -> None:
    client = InspectingClientAsync("127.0.0.1", 1)
    target = ClientTarget(client)
    assert target.has("anything")
    done = await tried(target, WriteOrder("anything", 1))
    assert done[0].outcome == "failed:disconnected"


@pytest.mark.parametrize(
    ("lines", "word"),
    [
        ((b"! ok 0",), "failed:malformed"),
        ((b"# 1 1 other nominal 5", b"! ok 1"), "failed:malformed"),
        ((b"# 1 1 p nominal text", b"! ok 1"), "failed:malformed"),
        ((b"# 1 1 p failure text", b"! ok 1"), "failed:status"),
        ((b"! fail",), "failed:refused"),
        ((b"! fail locked 307",), "failed:refused"),
        ((b"! invalid odd",), "failed:invalid"),
        ((b"# 1 1 p odd 5", b"! ok 1"), "failed:status"),
        ((b"# 1 1 p warn 5", b"! ok 1"), "ok"),
    ],
)
async def test_an_answer_that_makes_no_sense(lines: tuple[bytes, ...], word: str) -> None:
    async with (
        Device(sensors={"p": "A\\_point. \\@ integer"}) as device,
        inspecting(device) as client,
    ):
        device.answers["sensor-value"] = lambda *_: lines
        (done,) = await tried(ClientTarget(client), ReadOrder("p", max_attempts=1))
        assert done.outcome == word
        if b"307" in lines[0]:
            assert done.detail == "?sensor-value: locked 307"


async def test_a_device_that_does_not_answer() -> None:
    async with (
        Device(sensors={"p": "A\\_point. \\@ integer"}) as device,
        inspecting(device) as client,
    ):
        device.answers["sensor-value"] = lambda *_: ()
        order = ReadOrder("p", max_attempts=2, attempt_timeout=0.02)
        (done,) = await tried(ClientTarget(client), order)
        assert (done.outcome, done.attempts) == ("failed:timeout", 2)
