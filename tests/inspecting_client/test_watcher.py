"""Sensors of an inspected device: readings, and sampling that is kept set."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from katcp.client import Message
from katcp.inspecting_client import InspectingClientAsync
from katcp.sensors import Reading, Sensor
from tests.helpers.inspecting import Told, inspecting, make
from tests.helpers.scripted import V4, V50, V51, Device, Session, until

SENSORS = {
    "an.int": "An_int. V integer",
    "a.float": "A_float. V float",
    "a.time": "A_time. \\@ timestamp",
    "a.word": "A_word. \\@ discrete on off",
}


def device(**kwargs: Any) -> Device:
    dev = Device(**{"greeting": V50, "sensors": SENSORS, **kwargs})
    dev.values = dict.fromkeys(SENSORS, "1600000000.25 1 {} unknown 0")
    dev.values["an.int"] = "1600000000.25 1 {} nominal 3"
    return dev


# -- readings ----------------------------------------------------------------------------


async def test_sensor_status_sets_the_objects() -> None:
    async with device() as dev, inspecting(dev) as client:
        sensor = await client.future_get_sensor("an.int")
        dev.say(b"#sensor-status 1600000000.25 1 an.int warn 17")
        await until(lambda: sensor.reading.value == 17)
        assert sensor.reading == Reading(1600000000.25, Sensor.WARN, 17)
        assert sensor.read() == sensor.reading


async def test_b_client_5_several_sensors_and_odd_counts(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with device() as dev, inspecting(dev) as client:
        names = ["an.int", "a.float", "a.word"]
        sensors = [await client.future_get_sensor(name) for name in names]
        dev.say(b"#sensor-status 2 2 an.int nominal 1 a.float warn 2.5")
        await until(lambda: sensors[1].reading.value == 2.5)
        assert sensors[0].reading == (2, Sensor.NOMINAL, 1)
        assert caplog.text == ""
        dev.say(b"#sensor-status 3 7 an.int nominal 2 a.float nominal 3.5 a.word nominal off")
        await until(lambda: sensors[2].reading.value == "off")
        assert [sensor.reading.value for sensor in sensors] == [2, 3.5, "off"]
        dev.say(b"#sensor-status 4 2 an.int nominal 3 a.float nominal")
        await until(lambda: sensors[0].reading.value == 3)
        assert sensors[1].reading.value == 3.5
        assert caplog.text.count("Odd number of readings for sensor b'an.int'") == 2
        dev.say(b"#sensor-status 5", b"#sensor-status", b"#sensor-status 5 1 \xff nominal 3")
        await until(lambda: "whose name is not UTF-8" in caplog.text)
        dev.say(b"#sensor-status 5 1 nobody.knows nominal 3")
        await until(lambda: "unknown sensor 'nobody.knows'" in caplog.text)
        assert client.synced


async def test_sensor_value_counts_once_that_is_asked_for() -> None:
    async with device() as dev, inspecting(dev) as client:
        dev.answers["sensor-value"] = lambda session, message: [
            b"# 1600000000.25 1 a.float nominal 1.25",
            b"! ok 1",
        ]
        sensor = await client.future_get_sensor("a.float")
        await client.simple_request("sensor-value", "a.float")
        assert sensor.reading.status == Sensor.UNKNOWN
        client.handle_sensor_value()
        client.handle_sensor_value()
        reply, informs = await client.simple_request("sensor-value", "a.float")
        assert reply.reply_ok()
        assert len(informs) == 1
        assert sensor.reading == (1600000000.25, Sensor.NOMINAL, 1.25)


async def test_w13_times_of_a_version_4_device() -> None:
    async with device(greeting=V4) as dev, inspecting(dev) as client:
        sensor = await client.future_get_sensor("a.time")
        dev.say(b"#sensor-status 1600000000250 1 a.time nominal 1500000000125")
        await until(lambda: sensor.reading.status == Sensor.NOMINAL)
        assert sensor.reading == (1600000000.25, Sensor.NOMINAL, 1500000000.125)


async def test_update_sensor_takes_bytes_and_makes_the_object(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with device() as dev, inspecting(dev) as client:
        await client.update_sensor("an.int", b"1.5", b"nominal", b"4")
        assert (await client.future_get_sensor("an.int")).reading == (1.5, Sensor.NOMINAL, 4)
        client.update_sensor(b"an.int", b"2.5", b"nominal", b"5")  # type: ignore[arg-type]
        assert (await client.future_get_sensor("an.int")).value() == 5
        client.update_sensor("nope", b"2.5", b"nominal", b"5")
        assert "unknown sensor 'nope'" in caplog.text


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_update_sensor_can_be_overridden(
    asynchronous: bool, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[tuple[Any, ...]] = []

    class Plain(InspectingClientAsync):
        def update_sensor(self, *args: Any) -> Any:
            told.append(args)
            if len(told) > 1:
                raise ValueError("no more")
            return super().update_sensor(*args)

    class Asynchronous(InspectingClientAsync):
        async def update_sensor(self, *args: Any) -> None:  # type: ignore[override]
            await asyncio.sleep(0)
            told.append(args)
            if len(told) > 1:
                raise ValueError("no more")

    cls = Asynchronous if asynchronous else Plain
    async with device() as dev:
        client = cls(dev.host, dev.port)
        await client.connect(timeout=5)
        await client.until_synced(timeout=5)
        dev.say(b"#sensor-status 1.5 2 an.int nominal 1 a.float warn 2")
        await until(lambda: len(told) == 2)
        assert told == [
            ("an.int", b"1.5", b"nominal", b"1"),
            ("a.float", b"1.5", b"warn", b"2"),
        ]
        await until(lambda: "update_sensor for sensor 'a.float' raised" in caplog.text)
        client.stop()
        await client.until_stopped(timeout=5)


async def test_update_sensor_of_one_client_can_be_replaced() -> None:
    told: list[tuple[Any, ...]] = []
    async with device() as dev, inspecting(dev) as client:
        client.update_sensor = lambda *args: told.append(args)  # type: ignore[method-assign]
        dev.say(b"#sensor-status 1.5 1 an.int nominal 1")
        await until(lambda: told == [("an.int", b"1.5", b"nominal", b"1")])


async def test_a_factory_that_fails_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def factory(**kwargs: Any) -> Any:
        raise ValueError("will not make it")

    async with device() as dev, inspecting(dev) as client:
        client.sensor_factory = factory
        dev.say(b"#sensor-status 1.5 1 an.int nominal 1")
        await until(lambda: "Cannot make an object for sensor 'an.int'" in caplog.text)
        with pytest.raises(ValueError, match="will not make it"):
            await client.future_get_sensor("an.int")


async def test_readings_as_an_iterator() -> None:
    async with device() as dev, inspecting(dev) as client:
        everything, floats = client.readings(), client.readings("a.float")
        dev.say(b"#sensor-status 1.5 2 an.int nominal 1 a.float warn 2.5")
        sensor, reading = await everything.__anext__()
        assert (sensor.name, reading.value) == ("an.int", 1)
        async for sensor, reading in floats:
            assert (sensor.name, reading.value) == ("a.float", 2.5)
            break
        client.stop()
        rest = [sensor.name async for sensor, reading in everything if reading.status == 2]
        assert rest == ["a.float"]


async def test_readings_of_a_device_that_is_gone() -> None:
    async with device() as dev, inspecting(dev) as client:
        sensor = await client.future_get_sensor("an.int")
        dev.say(b"#sensor-status 1.5 1 an.int nominal 17")
        await until(lambda: sensor.reading.value == 17)
        feed = client.readings("an.int")
        dev.refuse()
        dev.cut()
        _, reading = await feed.__anext__()
        assert (reading.status, reading.value) == (Sensor.UNREACHABLE, 17)
        assert reading.timestamp > 1600000000  # of the loss, not of the value
        assert sensor.reading == reading
        await dev.listen()
        _, reading = await feed.__anext__()
        assert (reading.status, reading.value) == (Sensor.UNKNOWN, 17)


# -- sampling ----------------------------------------------------------------------------


async def test_a_strategy_is_set_at_once() -> None:
    async with device() as dev, inspecting(dev) as client:
        dev.forget()
        reply = await client.set_sampling("an.int", "event")
        assert reply is not None
        assert reply.reply_ok()
        assert dev.heard == [b"?sensor-sampling[3] an.int event"]
        assert (await client.future_get_sensor("an.int")).reading == (1600000000.25, 1, 3)
        assert client.sampling == {"an.int": ("event",)}
        await client.set_sampling("an.int", "none")
        assert dev.heard[1:] == [b"?sensor-sampling[4] an.int none"]
        assert client.sampling == {}


async def test_a_wish_before_connecting_is_kept_for_later() -> None:
    async with device() as dev:
        client = make(dev)

        async def wish() -> None:
            assert await client.set_sampling("an.int", "period", 2) is None

        await wish()
        client.set_sampling("a.float", "event-rate", 0.5, 30)
        await client.connect(timeout=5)
        await client.until_synced(timeout=5)
        # Set before the client counts as synced.
        assert dev.heard[2:] == [
            b"?sensor-sampling[3] an.int period 2",
            b"?sensor-sampling[4] a.float event-rate 0.5 30",
        ]
        client.stop()
        await client.until_stopped(timeout=5)


async def test_b_client_7_strategies_are_set_again_after_a_reconnection() -> None:
    async with device() as dev, inspecting(dev) as client:
        await client.set_sampling("an.int", "event")
        await client.set_sampling("a.float", "differential", 0.5)
        await client.simple_request("sensor-sampling", "a.word", "event")  # only this once
        sensor = await client.future_get_sensor("an.int")
        dev.forget()
        dev.values["an.int"] = "1600000001 1 {} nominal 4"
        dev.cut()
        await client.until_not_synced(timeout=5)
        await client.until_synced(timeout=5)
        assert [line.split(b" ", 1)[1] for line in dev.heard[2:]] == [
            b"an.int event",
            b"a.float differential 0.5",
        ]
        assert sensor.reading == (1600000001.0, Sensor.NOMINAL, 4)


async def test_strategies_are_grouped_where_the_device_can() -> None:
    async with device(greeting=V51) as dev, inspecting(dev) as client:
        replies = await client.set_sampling(["an.int", "a.float", "an.int"], "event")
        assert list(replies) == ["an.int", "a.float"]
        assert all(reply is not None and reply.reply_ok() for reply in replies.values())
        assert dev.heard[3:] == [b"?sensor-sampling[4] an.int,a.float event"]
        await client.set_sampling("a.word", "event")
        dev.forget()
        dev.cut()
        await client.until_not_synced(timeout=5)
        await client.until_synced(timeout=5)
        assert dev.heard[3:] == [b"?sensor-sampling[9] an.int,a.float,a.word event"]


async def test_a_group_that_is_refused_is_tried_one_by_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def sample(session: Session, message: Message) -> list[bytes]:
        names = message.arguments[0].split(b",")
        if b"a.word" in names:
            return [b"! fail No\\_differences\\_of\\_words."]
        return dev._sample(session, message)

    async with device(greeting=V51) as dev, inspecting(dev) as client:
        dev.answers["sensor-sampling"] = sample
        replies = await client.set_sampling(["an.int", "a.float", "a.word"], "differential", 2)
        assert [reply is not None and reply.reply_ok() for reply in replies.values()] == [
            True,
            True,
            False,
        ]
        assert len(dev.heard[3:]) == 4
        assert caplog.text.count("refuses sampling 'differential' of sensor 'a.word'") == 1
        dev.forget()
        dev.cut()
        await client.until_not_synced(timeout=5)
        await client.until_synced(timeout=5)
        # It is tried again, as the device may have come to accept it; the log knows already.
        assert len([line for line in dev.heard if b"sensor-sampling" in line]) == 4
        assert caplog.text.count("refuses sampling") == 1


async def test_a_strategy_is_set_again_when_its_sensor_comes_back_or_is_replaced() -> None:
    async with device() as dev, inspecting(dev) as client:
        await client.set_sampling("an.int", "event")
        before = await client.future_get_sensor("an.int")
        info = dev.sensors.pop("an.int")
        dev.say(b"#interface-changed sensor an.int removed")
        await client.until_not_synced(timeout=5)
        await client.until_synced(timeout=5)
        assert "an.int" not in client.sensors
        dev.forget()
        dev.sensors["an.int"] = info
        dev.say(b"#interface-changed sensor an.int added")
        await client.until_not_synced(timeout=5)
        await client.until_synced(timeout=5)
        assert [line.split(b"]")[1] for line in dev.heard] == [b" an.int", b" an.int event"]
        dev.forget()
        dev.sensors["an.int"] = "Another_int. mV integer"
        dev.say(b"#interface-changed")
        await client.until_not_synced(timeout=5)
        await client.until_synced(timeout=5)
        assert [line.split(b"]")[1] for line in dev.heard] == [b"", b"", b" an.int event"]
        after = await client.future_get_sensor("an.int")
        assert after is not before
        assert after.units == "mV"
        assert after.reading == (1600000000.25, Sensor.NOMINAL, 3)


async def test_a_sync_without_a_change_of_the_sensor_leaves_its_strategy_alone() -> None:
    async with device() as dev, inspecting(dev) as client:
        await client.set_sampling("an.int", "event")
        dev.forget()
        dev.sensors["new"] = "New. V float"
        dev.say(b"#interface-changed")
        await client.until_not_synced(timeout=5)
        await client.until_synced(timeout=5)
        assert len(dev.heard) == 2


async def test_a_wish_for_a_sensor_that_is_not_there() -> None:
    async with device() as dev, inspecting(dev) as client:
        assert await client.set_sampling("late", "event") is None  # asked for, not there
        dev.sensors["late"] = "Late. V integer"
        dev.forget()
        reply = await client.set_sampling("late", "event")  # asked for, and found
        assert reply is not None
        assert reply.reply_ok()
        assert [line.split(b"]")[1] for line in dev.heard] == [b" late", b" late event"]


async def test_a_sensor_that_cannot_be_looked_for(caplog: pytest.LogCaptureFixture) -> None:
    async with device() as dev, inspecting(dev) as client:
        dev.answers["sensor-list"] = lambda session, message: [b"! fail Not\\_now."]
        assert await client.set_sampling("late", "event") is None
        assert "Cannot look for sensor 'late'" in caplog.text
        del dev.answers["sensor-list"]
        dev.sensors["late"] = "Late. V integer"
        dev.say(b"#interface-changed sensor late added")
        await until(lambda: "late" in client._wishes.in_force)


async def test_what_was_found_for_sampling_is_announced_with_the_next_changes() -> None:
    told = Told()
    async with device() as dev, inspecting(dev, told) as client:
        dev.sensors["quiet"] = "Quiet. V integer"
        assert await client.set_sampling("quiet", "event") is not None
        assert len(told.changes) == 1
        dev.say(b"#interface-changed")
        await client.until_not_synced(timeout=5)
        await client.until_synced(timeout=5)
        assert told.changes[1] == {"sensors": {"added": {"quiet"}, "removed": set()}}


async def test_rate_strategies_of_a_version_4_device() -> None:
    async with device(greeting=V4) as dev, inspecting(dev) as client:
        await client.set_sampling("an.int", "event-rate", 0.5, 30)
        await client.set_sampling("a.float", "differential-rate", 0.25, 0.5, 30)
        await client.set_sampling("a.word", "period", 2.5)
        await client.set_sampling("a.time", "differential", 1.5)
        assert dev.heard[2:] == [
            b"?sensor-sampling an.int event",
            b"?sensor-sampling a.float differential 0.25",
            b"?sensor-sampling a.word period 2500",
            b"?sensor-sampling a.time differential 1500",
        ]


async def test_bad_strategies_are_refused_at_once() -> None:
    async with device() as dev, inspecting(dev) as client:
        with pytest.raises(ValueError, match="event-rate"):
            client.set_sampling("an.int", "event-rate", 0, 0)
        with pytest.raises(ValueError, match="Unknown sampling strategy"):
            client.set_sampling("an.int", "sometimes")
        assert client.sampling == {}


async def test_a_device_that_does_not_answer_does_not_hold_up_the_sync(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with device() as dev, inspecting(dev) as client:
        await client.set_sampling("an.int", "event")
        client.sync_timeout = 0.03
        dev.answers["sensor-sampling"] = lambda session, message: None
        dev.cut()
        await client.until_not_synced(timeout=5)
        await client.until_synced(timeout=5)
        assert "Cannot set sampling of an.int" in caplog.text
        del dev.answers["sensor-sampling"]
        dev.forget()
        dev.say(b"#interface-changed")
        await client.until_not_synced(timeout=5)
        await client.until_synced(timeout=5)
        assert dev.heard[2:] == [b"?sensor-sampling[9] an.int event"]


async def test_many_sensors_one_by_one() -> None:
    sensors = {f"s{i:04}": "Sensor. V integer" for i in range(450)}
    async with device(sensors=sensors) as dev, inspecting(dev) as client:
        replies = await client.set_sampling(sensors, "event")
        assert len(replies) == 450
        assert all(reply is not None and reply.reply_ok() for reply in replies.values())
        assert sum(b"sensor-sampling" in line for line in dev.heard) == 450


async def test_the_last_wish_counts() -> None:
    async with device() as dev, inspecting(dev) as client:
        futures = [
            client.set_sampling("an.int", "event"),
            client.set_sampling("an.int", "period", 1),
            client.set_sampling("an.int", "auto"),
        ]
        await asyncio.gather(*futures)
        assert client.sampling == {"an.int": ("auto",)}
        assert dev.heard[-1].endswith(b"an.int auto")
        assert client._wishes.in_force == {"an.int"}
