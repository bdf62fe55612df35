from __future__ import annotations

import asyncio
import collections.abc
import gc
import logging
import weakref
from typing import Any

import pytest
from tornado import gen

from katcp.errors import KatcpTypeError
from katcp.resource import (
    KATCPSensor,
    KATCPSensorError,
    KATCPSensorReading,
    KATCPSensorsManager,
)
from katcp.sensors import Sensor
from tests.resource.managing import Manager


def test_what_it_is() -> None:
    sensor = Manager().sensor("a.b-c", Sensor.DISCRETE, params=["x", "y"])
    assert sensor.name == "a.b-c"
    assert sensor.normalised_name == "a_b_c"
    assert sensor.parent_name == "dev"
    assert sensor.description == "D."
    assert sensor.units == "u"
    assert sensor.type == "discrete"


def test_before_any_reading() -> None:
    sensor = Manager().sensor()
    assert sensor.reading == KATCPSensorReading(0, 0, Sensor.UNKNOWN, None)
    assert (sensor.value, sensor.status) == (None, "unknown")
    assert sensor.sampling_strategy == ("none",)


def test_a_reading_names_its_status() -> None:
    assert KATCPSensorReading(1, 2, Sensor.ERROR, 4).status == "error"
    assert KATCPSensorReading(1, 2, 3, 4) == (1, 2, 3, 4)


def test_setting() -> None:
    sensor = Manager().sensor()
    sensor.set(5.5, Sensor.WARN, 7)
    assert sensor.reading == KATCPSensorReading(123.5, 5.5, Sensor.WARN, 7)
    sensor.set_value(8)
    assert sensor.reading == KATCPSensorReading(123.5, 123.5, Sensor.NOMINAL, 8)
    sensor.set_value(9, Sensor.ERROR, 4.5)
    assert sensor.reading == KATCPSensorReading(123.5, 4.5, Sensor.ERROR, 9)
    assert (sensor.value, sensor.status) == (9, "error")


@pytest.mark.parametrize(("timestamp", "major"), [(b"10.5", 5), (b"10500", 4)])
def test_setting_from_bytes(timestamp: bytes, major: int) -> None:
    sensor = Manager().sensor()
    sensor.set_formatted(timestamp, b"nominal", b"3", major)
    assert sensor.reading == KATCPSensorReading(123.5, 10.5, Sensor.NOMINAL, 3)


def test_a_bad_value_that_counts_is_refused() -> None:
    sensor = Manager().sensor()
    sensor.set_formatted(b"1", b"nominal", b"3", 5)
    with pytest.raises(ValueError, match="x"):
        sensor.set_formatted(b"2", b"nominal", b"x", 5)
    with pytest.raises(ValueError, match="when"):
        sensor.set_formatted(b"when", b"nominal", b"4", 5)
    assert sensor.reading == (123.5, 1, Sensor.NOMINAL, 3)


@pytest.mark.parametrize(
    ("status", "number"), [(b"failure", Sensor.FAILURE), (b"unheard-of", Sensor.UNKNOWN)]
)
def test_a_bad_value_that_does_not_count_is_none(status: bytes, number: int) -> None:
    sensor = Manager().sensor()
    sensor.set_formatted(b"2", status, b"x", 5)
    assert sensor.reading == (123.5, 2, number, None)


def test_parsing() -> None:
    sensor = Manager().sensor()
    assert sensor.parse_value(b"6") == 6
    with pytest.raises(KatcpTypeError):
        sensor.parse_value("6")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="x"):
        sensor.parse_value(b"x")


def test_w13_values_are_parsed_by_the_version_of_the_device() -> None:
    class Of4(Manager):
        katcp_major = 4

    assert Manager().sensor(kind=Sensor.TIMESTAMP, units="").parse_value(b"1500") == 1500.0
    assert Of4().sensor(kind=Sensor.TIMESTAMP, units="").parse_value(b"1500") == 1.5


def test_w13_a_manager_need_not_know_the_version() -> None:
    class Strange(Manager):
        katcp_major = "five"  # type: ignore[assignment]

    assert Strange().sensor(kind=Sensor.TIMESTAMP, units="").parse_value(b"1500") == 1500.0


# -- listeners --------------------------------------------------------------------------------


def test_listeners_of_both_kinds() -> None:
    sensor = Manager().sensor()
    heard: list[tuple[Any, ...]] = []
    whole: list[tuple[Any, ...]] = []

    def listen(*args: Any) -> None:
        heard.append(args)

    def listen_whole(*args: Any) -> None:
        whole.append(args)

    sensor.register_listener(listen)
    sensor.register_listener(listen_whole, reading=True)
    assert sensor.is_listener(listen)
    sensor.set(5.5, Sensor.WARN, 7)
    assert heard == [(123.5, 5.5, "warn", 7)]
    assert whole == [(sensor, (123.5, 5.5, Sensor.WARN, 7))]
    sensor.unregister_listener(listen)
    sensor.unregister_listener(listen)
    assert not sensor.is_listener(listen)
    sensor.set(6.5, Sensor.WARN, 7)
    assert (len(heard), len(whole)) == (1, 2)
    sensor.clear_listeners()
    sensor.set(7.5, Sensor.WARN, 7)
    assert (len(heard), len(whole)) == (1, 2)


def test_registered_twice_it_is_called_once_in_the_last_way() -> None:
    sensor = Manager().sensor()
    heard: list[tuple[Any, ...]] = []

    class Listening:
        def listen(self, *args: Any) -> None:
            heard.append(args)

    listening = Listening()
    sensor.register_listener(listening.listen)
    sensor.register_listener(listening.listen, reading=True)
    sensor.set_value(1)
    assert heard == [(sensor, sensor.reading)]
    sensor.unregister_listener(listening.listen)
    assert not sensor.is_listener(listening.listen)


def test_a_listener_that_raises_is_logged_and_harms_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sensor = Manager().sensor()
    heard = []
    sensor.register_listener(lambda *args: 1 / 0)
    sensor.register_listener(lambda *args: heard.append(args))
    with caplog.at_level(logging.ERROR, "katcp.resource"):
        sensor.set_value(1)
    assert len(heard) == 1
    assert "a.b-c" in caplog.text
    assert "ZeroDivisionError" in caplog.text


def test_a_listener_may_unregister_itself() -> None:
    sensor = Manager().sensor()
    heard = []

    def once(*args: Any) -> None:
        sensor.unregister_listener(once)
        heard.append(args)

    sensor.register_listener(once)
    sensor.register_listener(lambda *args: None)
    sensor.set_value(1)
    sensor.set_value(2)
    assert len(heard) == 1


def test_listeners_can_be_called_by_hand() -> None:
    sensor = Manager().sensor()
    heard: list[Any] = []
    sensor.register_listener(lambda s, reading: heard.append(reading), reading=True)
    reading = KATCPSensorReading(1, 2, Sensor.NOMINAL, 3)
    sensor.call_listeners(reading)
    assert heard == [reading]
    assert sensor.value is None


# -- asking and sampling ----------------------------------------------------------------------


async def test_asking_for_readings() -> None:
    manager = Manager()
    sensor = manager.sensor()
    assert await sensor.get_reading() == (123.5, 12.5, Sensor.WARN, 17)
    assert await sensor.get_value() == 17
    assert await sensor.get_status() == "warn"
    assert manager.calls == [("poll", "a.b-c")] * 3


async def test_a_refused_reading_raises() -> None:
    class Refusing(Manager):
        async def poll_sensor(self, sensor_name: str) -> None:  # type: ignore[override]
            raise KATCPSensorError("no")

    sensor = Refusing().sensor()
    for ask in (sensor.get_reading, sensor.get_value, sensor.get_status):
        with pytest.raises(KATCPSensorError, match="no"):
            await ask()


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (("event",), "event"),
        (("event", None), "event"),
        (("period", 0.5), "period 0.5"),
        (("period", 3), "period 3"),
        (("period", "0.5"), "period 0.5"),
        (("period", b"0.5"), "period 0.5"),
        (("event-rate", "1 10"), "event-rate 1 10"),
        (("event-rate", [1, 10.5]), "event-rate 1 10.5"),
        (("event-rate", ("1", b"10")), "event-rate 1 10"),
        (("event-rate 1 10",), "event-rate 1 10"),
    ],
)
async def test_setting_a_strategy(args: Any, text: str) -> None:
    manager = Manager()
    sensor = manager.sensor()
    result = await sensor.set_strategy(*args)
    assert manager.calls == [("set", "a.b-c", text)]
    assert result == (True, tuple(text.split()))
    assert sensor.sampling_strategy == tuple(text.split())


async def test_setting_and_dropping_a_strategy_as_one() -> None:
    manager = Manager()
    sensor = manager.sensor()
    await sensor.set_sampling_strategy(("event-rate", 1, 10))
    sensor.drop_sampling_strategy()
    assert manager.calls == [("set", "a.b-c", ("event-rate", 1, 10)), ("drop", "a.b-c")]
    assert sensor.sampling_strategy == ("none",)


# -- waiting ----------------------------------------------------------------------------------


@pytest.fixture
def sampled() -> Any:
    manager = Manager()
    manager.strategies["a.b-c"] = ("event",)
    return manager.sensor()


async def test_waiting_for_a_value(sampled: Any) -> None:
    future = sampled.wait(4)
    sampled.set_value(3)
    assert not future.done()
    sampled.set_value(4)
    sampled.set_value(5)
    assert await future is True
    assert sampled.listeners() == []


async def test_waiting_for_a_condition(sampled: Any) -> None:
    future = sampled.wait(lambda reading: reading.status == "warn" and reading.value > 4)
    sampled.set_value(5)
    sampled.set_value(3, Sensor.WARN)
    assert not future.done()
    sampled.set_value(5, Sensor.WARN)
    assert await future is True
    assert sampled.listeners() == []


async def test_the_present_reading_counts(sampled: Any) -> None:
    sampled.set_value(4)
    assert sampled.wait(4).done()
    assert await sampled.wait(4, timeout=0) is True
    assert await sampled.wait(lambda reading: reading.value == 4) is True


async def test_text_is_a_value_and_no_sequence() -> None:
    manager = Manager()
    manager.strategies["a.b-c"] = ("event",)
    sensor = manager.sensor(kind=Sensor.STRING)
    future = sensor.wait("on")
    sensor.set_value("on")
    assert await future is True


async def test_a_wait_that_is_in_vain(sampled: Any) -> None:
    with pytest.raises(gen.TimeoutError):
        await sampled.wait(4, timeout=0.01)
    await asyncio.sleep(0)
    assert sampled.listeners() == []


async def test_a_wait_that_is_cancelled(sampled: Any) -> None:
    future = sampled.wait(4)
    future.cancel()
    await asyncio.sleep(0)
    assert sampled.listeners() == []


async def test_a_condition_that_raises(sampled: Any) -> None:
    with pytest.raises(ZeroDivisionError):
        await sampled.wait(lambda reading: 1 / 0)
    future = sampled.wait(lambda reading: 1 / (reading.value - 3) if reading.value else False)
    sampled.set_value(3)
    with pytest.raises(ZeroDivisionError):
        await future
    assert sampled.listeners() == []


async def test_waiting_needs_a_strategy() -> None:
    with pytest.raises(KATCPSensorError, match=r"a\.b-c"):
        Manager().sensor().wait(4)


@pytest.mark.parametrize("several", [[3], (3, 4)])
async def test_waiting_for_several_things_is_not_implemented(sampled: Any, several: Any) -> None:
    with pytest.raises(NotImplementedError):
        sampled.wait(several)


async def test_waits_can_be_ended(sampled: Any) -> None:
    sampled.end_waits(KATCPSensorError("nobody waits yet"))
    future = sampled.wait(4)
    sampled.end_waits(KATCPSensorError("it is over"))
    with pytest.raises(KATCPSensorError, match="over"):
        await future
    await asyncio.sleep(0)
    assert sampled.listeners() == []


async def test_a_sensor_that_nobody_holds_is_gone_though_it_was_waited_for(sampled: Any) -> None:
    manager = Manager()
    manager.strategies["x"] = ("event",)
    sensor = manager.sensor("x")
    future = sensor.wait(3)
    gone = weakref.ref(sensor)
    manager.polled.clear()
    del sensor, future
    gc.collect()
    assert gone() is None


def test_a_manager_is_abstract() -> None:
    with pytest.raises(TypeError, match="poll_sensor"):
        KATCPSensorsManager()  # type: ignore[abstract]


def test_its_text() -> None:
    sensor = Manager().sensor()
    sensor.set_value(3, Sensor.WARN)
    assert repr(sensor) == "<KATCPSensor integer a.b-c warn 3>"


def test_it_mixes_with_abstract_classes() -> None:
    class Sized(KATCPSensor, collections.abc.Sized):
        def __len__(self) -> int:
            return 3

    description = {"name": "x", "sensor_type": Sensor.INTEGER}
    assert len(Sized(description, Manager())) == 3
