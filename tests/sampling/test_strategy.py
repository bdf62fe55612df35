"""Strategies as objects, the way users of katcp-python 0.9.3 make, derive and test them."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import async_solipsism
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tornado import gen
from tornado.ioloop import IOLoop

import katcp.sampling
from katcp.sampling import (
    AGE_OF_UNIVERSE,
    SampleAuto,
    SampleDifferential,
    SampleDifferentialRate,
    SampleEvent,
    SampleEventRate,
    SampleNone,
    SamplePeriod,
    SampleStrategy,
    SamplingTable,
    format_inform_v4,
    format_inform_v5,
    update_in_ioloop,
)
from katcp.sensors import Reading, Sensor
from tests.helpers.sampling import Listener, sample

get_strategy = SampleStrategy.get_strategy

KINDS: list[tuple[str, type[SampleStrategy], tuple[Any, ...]]] = [
    ("none", SampleNone, ()),
    ("auto", SampleAuto, ()),
    ("event", SampleEvent, ()),
    ("period", SamplePeriod, ("10",)),
    ("differential", SampleDifferential, (2,)),
    ("event-rate", SampleEventRate, (b"0.5", 10)),
    ("differential-rate", SampleDifferentialRate, (1, 0.5, "10")),
]

kinds = pytest.mark.parametrize(
    ("name", "cls", "params"), KINDS, ids=[name for name, _, _ in KINDS]
)


class FakeTime:
    """A clock that only tests move, put in place of a loop's as users' tests do it."""

    def __init__(self, ioloop: Any, *, asyncio_too: bool = True) -> None:
        self.time = 0.0
        self.ioloop = ioloop
        ioloop.time = self.read
        if asyncio_too:
            self.real = ioloop.asyncio_loop.time
            ioloop.asyncio_loop.time = self.read

    def read(self) -> float:
        return self.time

    async def move(self, time: float) -> None:
        self.time = time
        await turns()

    def restore(self) -> None:
        del self.ioloop.time
        del self.ioloop.asyncio_loop.time


async def turns() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


@pytest.fixture
def clock(io_loop: IOLoop) -> Iterator[FakeTime]:
    clock = FakeTime(io_loop)
    yield clock
    clock.restore()


class Calls(list[tuple[Sensor, Reading]]):
    """A callback that writes down what it is told."""

    def __call__(self, sensor: Sensor, reading: Reading) -> None:
        self.append((sensor, reading))

    def values(self) -> list[Any]:
        values = [reading.value for _, reading in self]
        self.clear()
        return values


@pytest.fixture
def calls() -> Calls:
    return Calls()


@pytest.fixture
def sensor() -> Sensor:
    sensor = Sensor.integer("an.int", "An integer.", "count", [-40, 40])
    sensor.set(0, Sensor.NOMINAL, 3)
    return sensor


# -- what they are ------------------------------------------------------------------------


@kinds
def test_a_strategy_is_made_by_its_name(
    name: str, cls: type[SampleStrategy], params: Any, calls: Calls, sensor: Sensor
) -> None:
    for given_name in (name, name.encode()):
        strategy = get_strategy(given_name, calls, sensor, *params)
        assert type(strategy) is cls
        number = SampleStrategy.SAMPLING_LOOKUP_REV[name.encode()]
        assert strategy.get_sampling() == number
        assert SampleStrategy.SAMPLING_LOOKUP[number] == name.encode()
        as_bytes = [p if isinstance(p, bytes) else str(p).encode() for p in params]
        assert strategy.get_sampling_formatted() == (name.encode(), as_bytes)
        assert strategy._params == params
        assert strategy._sensor is sensor
        assert strategy.ioloop is None  # none runs here, and none is made


def test_the_constants() -> None:
    assert list(range(7)) == [
        SampleStrategy.NONE,
        SampleStrategy.AUTO,
        SampleStrategy.PERIOD,
        SampleStrategy.EVENT,
        SampleStrategy.DIFFERENTIAL,
        SampleStrategy.EVENT_RATE,
        SampleStrategy.DIFFERENTIAL_RATE,
    ]
    assert pytest.approx(4.32329886e17) == AGE_OF_UNIVERSE
    assert katcp.sampling.log is logging.getLogger("katcp.sampling")
    assert {cls: cls.OBSERVE_UPDATES for _, cls, _ in KINDS} == {
        SampleNone: False,
        SampleAuto: True,
        SampleEvent: True,
        SamplePeriod: False,
        SampleDifferential: True,
        SampleEventRate: True,
        SampleDifferentialRate: True,
    }
    assert issubclass(SampleEvent, SampleEventRate)
    assert issubclass(SampleDifferentialRate, SampleEventRate)


def test_an_unknown_name(calls: Calls, sensor: Sensor) -> None:
    for name in ("nope", b"nope"):
        with pytest.raises(ValueError) as caught:
            get_strategy(name, calls, sensor)
        assert str(caught.value) == (
            "Unknown sampling strategy 'b'nope''. Known strategies are [b'none', b'auto', "
            "b'period', b'event', b'differential', b'event-rate', b'differential-rate']."
        )


NUMBERS = "The shortest and longest periods must satisfy 0 <= shortest_period <= longest_period"


@pytest.mark.parametrize(
    ("stype", "name", "params", "text"),
    [
        ("integer", "none", ("1",), "The 'none' strategy takes no parameters."),
        ("integer", "auto", ("1",), "The 'auto' strategy takes no parameters."),
        ("integer", "event", ("1",), "The 'event' strategy takes no parameters."),
        ("integer", "period", (), "The 'period' strategy takes one parameter."),
        ("integer", "period", (1, 2), "The 'period' strategy takes one parameter."),
        ("integer", "period", ("0",), "The period must be a positive float in seconds."),
        ("integer", "period", (-1,), "The period must be a positive float in seconds."),
        ("integer", "differential", (), "The 'differential' strategy takes one parameter."),
        ("integer", "differential", (0,), "The diff amount must be a positive integer."),
        ("integer", "differential", (-1,), "The diff amount must be a positive integer."),
        ("float", "differential", ("-1",), "The diff amount must be a positive float."),
        (
            "timestamp",
            "differential",
            (0,),
            "The diff amount must be a positive number of seconds.",
        ),
        (
            "string",
            "differential",
            (1,),
            "The 'differential' strategy is only valid for float, integer and timestamp sensors.",
        ),
        ("integer", "event-rate", (1,), "The 'event-rate' strategy takes two parameters."),
        ("integer", "event-rate", (2, 1), NUMBERS),
        ("integer", "event-rate", (-2, 1), NUMBERS),
        (
            "integer",
            "differential-rate",
            (1, 1),
            "The 'differential-rate' strategy takes three parameters.",
        ),
        ("integer", "differential-rate", (1, 3, 2), NUMBERS),
        (
            "string",
            "differential-rate",
            (1, 1, 2),
            "The differential-rate strategy can only be defined for integer or float sensors",
        ),
    ],
)
def test_bad_parameters(
    stype: str, name: str, params: tuple[Any, ...], text: str, calls: Calls
) -> None:
    with pytest.raises(ValueError) as caught:
        get_strategy(name, calls, getattr(Sensor, stype)("s"), *params)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("period", ("a",)),
        ("differential", ("a",)),
        ("differential", ("2.5",)),
        ("event-rate", ("a", 1)),
        ("differential-rate", ("1.5", 1, 2)),
    ],
)
def test_parameters_that_are_no_numbers(
    name: str, params: tuple[Any, ...], calls: Calls, sensor: Sensor
) -> None:
    with pytest.raises(ValueError):
        get_strategy(name, calls, sensor, *params)


def test_what_parameters_become(calls: Calls, sensor: Sensor) -> None:
    assert SamplePeriod(calls, sensor, "1.5")._period == 1.5
    assert SampleDifferential(calls, sensor, 2)._threshold == 2
    assert SampleDifferential(calls, sensor, 2.5)._threshold == 2
    assert SampleDifferential(calls, sensor, 2.5).get_sampling_formatted()[1] == [b"2.5"]
    assert SampleDifferential(calls, Sensor.timestamp("t"), 2)._threshold == 2.0
    assert SampleDifferentialRate(calls, sensor, 2, 1, 3).difference == 2


def test_w32_no_period_is_below_the_floor(calls: Calls, sensor: Sensor) -> None:
    for name, params in [
        ("period", ("1e-9",)),
        ("event-rate", (0, 0)),
        ("differential-rate", (-1, 1, 2)),
    ]:
        with pytest.raises(ValueError):
            get_strategy(name, calls, sensor, *params)


def test_the_informs(sensor: Sensor) -> None:
    reading = (1.5, Sensor.WARN, 7)
    assert str(format_inform_v5(sensor, *reading)) == "#sensor-status 1.500000 1 an.int warn 7"
    assert str(format_inform_v4(sensor, *reading)) == "#sensor-status 1500 1 an.int warn 7"
    stamp = Sensor.timestamp("t")
    assert str(format_inform_v4(stamp, 1.5, Sensor.NOMINAL, 3)) == (
        "#sensor-status 1500 1 t nominal 3000"
    )


# -- when they report ---------------------------------------------------------------------


async def test_none(calls: Calls, sensor: Sensor) -> None:
    strategy = get_strategy("none", calls, sensor)
    strategy.start()
    await turns()
    sensor.set_value(4)
    await turns()
    assert calls == []
    assert strategy not in sensor._observers
    strategy.cancel()


async def test_auto(calls: Calls, sensor: Sensor) -> None:
    strategy = get_strategy("auto", calls, sensor)
    assert strategy.ioloop is IOLoop.current()
    strategy.start()
    assert strategy not in sensor._observers
    assert calls == []
    await turns()
    assert strategy in sensor._observers
    assert calls == [(sensor, Reading(0, Sensor.NOMINAL, 3))]
    sensor.set_value(3)
    sensor.set_value(3)
    assert calls.values() == [3, 3, 3]
    strategy.cancel()
    assert strategy not in sensor._observers
    sensor.set_value(5)
    await turns()
    assert calls == []


async def test_event(calls: Calls, sensor: Sensor) -> None:
    strategy = get_strategy("event", calls, sensor)
    strategy.start()
    await turns()
    sensor.set(1, Sensor.NOMINAL, 3)  # only the time is new
    sensor.set(2, Sensor.NOMINAL, 4)
    sensor.set(3, Sensor.WARN, 4)
    assert [tuple(reading) for _, reading in calls] == [
        (0, Sensor.NOMINAL, 3),
        (2, Sensor.NOMINAL, 4),
        (3, Sensor.WARN, 4),
    ]
    strategy.cancel()


async def test_differential(calls: Calls, sensor: Sensor) -> None:
    strategy = get_strategy("differential", calls, sensor, "2")
    strategy.start()
    await turns()
    for value in (4, 5, 6, 7, 3, 2):
        sensor.set_value(value)
    sensor.set_value(2, Sensor.ERROR)
    assert calls.values() == [3, 6, 3, 2]
    strategy.cancel()


async def test_period(clock: FakeTime, calls: Calls, sensor: Sensor) -> None:
    strategy: Any = SamplePeriod(calls, sensor, 10)
    strategy.start()
    assert calls == []
    await turns()
    assert calls.values() == [3]
    assert strategy.next_time == 10
    assert strategy.next_timeout_handle is not None
    await clock.move(9.9)
    sensor.set_value(4)
    assert calls.values() == []
    await clock.move(10.5)
    assert calls.values() == [4]
    assert strategy.next_time == 20  # no drift
    await clock.move(47)
    assert calls.values() == [4]  # what is late by more than a period is skipped
    assert strategy.next_time == 50
    await clock.move(50)
    assert calls.values() == [4]
    strategy.cancel()
    await clock.move(100)
    assert calls.values() == []
    assert strategy.next_timeout_handle is None
    strategy.start()
    await turns()
    assert calls.values() == [4]
    assert strategy.next_time == 110
    strategy.cancel()


async def test_event_rate(clock: FakeTime, calls: Calls, sensor: Sensor) -> None:
    strategy = get_strategy("event-rate", calls, sensor, "2", "10")
    strategy.start()
    await turns()
    assert calls.values() == [3]
    await clock.move(1)
    sensor.set_value(4)
    sensor.set_value(3)
    assert calls.values() == []
    await clock.move(2)
    assert calls.values() == [3]  # delayed, and not dropped although it is back
    await clock.move(11.9)
    assert calls.values() == []
    await clock.move(12)
    assert calls.values() == [3]  # the longest period has passed
    await clock.move(14)
    sensor.set_value(5)
    assert calls.values() == [5]  # the shortest has, too
    sensor.set_value(6)
    strategy.cancel()
    await clock.move(50)
    assert calls.values() == []


async def test_differential_rate(clock: FakeTime, calls: Calls, sensor: Sensor) -> None:
    strategy = get_strategy("differential-rate", calls, sensor, 2, 1, 5)
    strategy.start()
    await turns()
    await clock.move(2)
    sensor.set_value(5)
    assert calls.values() == [3]
    sensor.set_value(6)
    assert calls.values() == [6]
    sensor.set_value(6, Sensor.ERROR)
    assert calls.values() == []
    await clock.move(3)
    assert calls.values() == [6]
    await clock.move(8)
    assert calls.values() == [6]
    strategy.cancel()


async def test_a_clock_of_the_ioloop_alone_is_looked_at(calls: Calls, sensor: Sensor) -> None:
    clock = FakeTime(IOLoop.current(), asyncio_too=False)
    strategy = get_strategy("event-rate", calls, sensor, 100, 1000)
    strategy.start()
    await turns()
    sensor.set_value(4)
    assert calls.values() == [3]
    clock.time = 100
    sensor.set_value(5)
    assert calls.values() == [5]
    strategy.cancel()
    await turns()
    del clock.ioloop.time


# -- start, cancel, and threads -----------------------------------------------------------


@kinds
async def test_w32_cancelling_at_any_time_is_safe(
    name: str, cls: Any, params: Any, calls: Calls, sensor: Sensor, no_log_errors: None
) -> None:
    strategy = cls(calls, sensor, *params)
    strategy.cancel()
    await turns()
    strategy.start()
    strategy.cancel()
    await turns()
    assert calls == []
    assert strategy not in sensor._observers
    strategy.start()
    await turns()
    strategy.start()  # once more
    await turns()
    assert len(calls) >= (name != "none")
    strategy.cancel()
    strategy.cancel()
    calls.clear()
    sensor.set_value(-9)
    await turns()
    assert calls == []
    strategy.start()
    await turns()
    assert calls.values() == ([] if name == "none" else [-9])
    strategy.cancel()


def test_w32_cancelling_without_any_loop(calls: Calls, sensor: Sensor) -> None:
    for name, _, params in KINDS:
        get_strategy(name, calls, sensor, *params).cancel()
    assert calls == []


async def test_updates_of_other_threads_come_to_the_loop(calls: Calls, sensor: Sensor) -> None:
    where: list[int] = []

    def callback(sensor: Sensor, reading: Reading) -> None:
        where.append(threading.get_ident())
        calls(sensor, reading)

    strategy = get_strategy("event", callback, sensor)
    strategy.start()
    await turns()
    thread = threading.Thread(target=sensor.set_value, args=(5,))
    thread.start()
    thread.join()
    assert calls.values() == [3]
    await turns()
    assert calls.values() == [5]
    assert set(where) == {threading.get_ident()}
    thread = threading.Thread(target=sensor.set_value, args=(6,))
    thread.start()
    thread.join()
    strategy.cancel()  # what is on its way is dropped
    await turns()
    assert calls.values() == []


def test_a_strategy_made_and_used_outside_its_loop(calls: Calls, sensor: Sensor) -> None:
    ioloop = IOLoop(make_current=False)
    thread = threading.Thread(target=ioloop.start)
    thread.start()
    done = threading.Event()
    strategy = get_strategy("event", calls, sensor, ioloop=ioloop)
    try:
        strategy.start()
        ioloop.add_callback(done.set)
        assert done.wait(10)
        sensor.set_value(8)
        done.clear()
        strategy.cancel()
        strategy.start()
        ioloop.add_callback(done.set)
        assert done.wait(10)
        strategy.cancel()
    finally:
        ioloop.add_callback(ioloop.stop)
        thread.join(10)
        ioloop.close()
    strategy.start()  # its loop has gone; nothing happens
    assert calls.values() in ([3, 8, 8], [3, 8])


def test_the_loop_that_is_current_at_the_start(calls: Calls, sensor: Sensor) -> None:
    strategy = get_strategy("auto", calls, sensor)

    async def main() -> None:
        strategy.start()
        await turns()
        strategy.cancel()
        await turns()

    ioloop = IOLoop(make_current=False)
    ioloop.run_sync(main)
    assert strategy.ioloop is ioloop
    ioloop.close()
    assert calls.values() == [3]


async def test_what_a_callback_raises_is_logged(
    sensor: Sensor, caplog: pytest.LogCaptureFixture
) -> None:
    async def later(sensor: Sensor, reading: Reading) -> None:
        await asyncio.sleep(0)
        raise RuntimeError("later on")

    def at_once(sensor: Sensor, reading: Reading) -> None:
        raise RuntimeError("out of order")

    for callback in (at_once, later):
        strategy = get_strategy("auto", callback, sensor)
        strategy.start()
        await turns()
        sensor.set_value(5)
        await turns()
        strategy.cancel()
    assert caplog.text.count("RuntimeError: out of order") == 2
    assert caplog.text.count("RuntimeError: later on") == 2
    assert {record.name for record in caplog.records} == {"katcp.sampling"}


@kinds
async def test_nothing_holds_a_strategy_that_was_cancelled(
    name: str, cls: Any, params: Any, calls: Calls, sensor: Sensor
) -> None:
    strategy = cls(calls, sensor, *params)
    strategy.start()
    await turns()
    sensor.set_value(9)
    strategy.cancel()
    await turns()
    reference = weakref.ref(strategy)
    del strategy
    gc.collect()
    assert reference() is None


# -- strategies that users derive ---------------------------------------------------------


class Above(SampleStrategy):
    """Reports what is above a limit."""

    OBSERVE_UPDATES = True

    def __init__(self, inform_callback: Any, sensor: Any, *params: Any, **kwargs: Any) -> None:
        SampleStrategy.__init__(self, inform_callback, sensor, *params, **kwargs)
        self._limit = float(params[0])

    def get_sampling(self) -> int:
        return SampleStrategy.DIFFERENTIAL

    @update_in_ioloop
    def update(self, sensor: Sensor, reading: Reading) -> None:
        """Report what is above."""
        if reading.value > self._limit:
            self.inform(reading)


class Steps(SampleStrategy):
    """Writes down what is called."""

    OBSERVE_UPDATES = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.steps: list[str] = []

    def attach(self) -> None:
        self.steps.append("attach")
        super().attach()

    def detach(self) -> None:
        self.steps.append("detach")
        super().detach()

    def update(self, sensor: Sensor, reading: Reading) -> None:
        self.steps.append(f"update {reading.value}")
        super().update(sensor, reading)

    def cancel_timeouts(self) -> None:
        self.steps.append("cancel_timeouts")
        super().cancel_timeouts()


async def test_a_derived_strategy(calls: Calls, sensor: Sensor) -> None:
    strategy = Above(calls, sensor, 5, ioloop=IOLoop.current())
    strategy.start()
    await turns()
    for value in (4, 6, 6, 5, 9):
        sensor.set_value(value)
    assert calls.values() == [6, 6, 9]
    assert strategy.get_sampling_formatted() == (b"differential", [b"5"])
    assert Above.update.__name__ == "update"
    assert Above.update.__doc__ == "Report what is above."
    strategy.update(sensor, Reading(0, 1, 8))  # by hand
    assert calls.values() == [8]
    strategy.cancel()


async def test_the_methods_that_a_derived_strategy_may_override(
    calls: Calls, sensor: Sensor
) -> None:
    strategy = Steps(calls, sensor)
    assert strategy.start() is None
    assert strategy.steps == []
    await turns()
    sensor.set_value(4)
    strategy.cancel()
    assert strategy.steps == ["attach", "update 3", "update 4", "detach"]
    await turns()
    assert strategy.steps[4:] == ["cancel_timeouts"]
    with pytest.raises(NotImplementedError):
        strategy.get_sampling()
    with pytest.raises(NotImplementedError):
        strategy.get_sampling_formatted()


async def test_an_event_strategy_with_more_to_it(calls: Calls, sensor: Sensor) -> None:
    class Twice(SampleEvent):
        def get_sampling(self) -> int:
            return SampleStrategy.AUTO  # whatever it calls itself

        def inform(self, reading: Reading) -> None:
            super().inform(reading)
            super().inform(reading)

    strategy = Twice(calls, sensor)
    strategy.start()
    await turns()
    sensor.set_value(4)
    sensor.set_value(4)
    assert calls.values() == [3, 3, 4, 4]
    strategy.cancel()


# -- as in a test case of 0.9.3 -----------------------------------------------------------


@gen.coroutine
def generator_test(calls: Calls, sensor: Sensor) -> Any:
    strategy = SampleStrategy.get_strategy("event", calls, sensor)
    strategy.start()
    yield gen.moment
    yield gen.moment
    assert len(calls) == 1
    sensor.set_value(2, katcp.Sensor.NOMINAL)
    assert len(calls) == 2
    strategy.cancel()
    raise gen.Return(calls.values())


async def test_in_a_generator(calls: Calls, sensor: Sensor) -> None:
    assert await generator_test(calls, sensor) == [3, 2]


# -- the same decisions as the server's ---------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    text=st.sampled_from(
        ["auto", "event", "period 3", "differential 1", "event-rate 2 5", "event-rate 0 4",
         "differential-rate 1 2 5"]
    ),
    steps=st.lists(
        st.tuples(st.sampled_from([0, 1, 2, 5]), st.integers(0, 4), st.integers(1, 2)),
        max_size=20,
    ),
)  # fmt: skip
def test_they_report_what_a_server_would(text: str, steps: list[tuple[int, int, int]]) -> None:
    from tornado.platform.asyncio import BaseAsyncIOLoop

    loop = async_solipsism.EventLoop()
    ioloop = BaseAsyncIOLoop(loop, make_current=False)
    seen: list[tuple[float, str]] = []

    async def main() -> list[tuple[float, str]]:
        sensor = Sensor.integer("s")
        sensor.set(0, Sensor.NOMINAL, 0)
        begin = loop.time()
        table, listener = SamplingTable(loop, 5), Listener(loop)
        name, *params = text.split()
        strategy = get_strategy(
            name,
            lambda sensor, reading: seen.append((loop.time() - begin, str(reading.value))),
            sensor,
            *params,
            ioloop=ioloop,
        )
        strategy.start()
        sample(table, listener, text, sensor)
        await turns()
        for wait, value, status in steps:
            await asyncio.sleep(wait + 0.5)
            sensor.set(0, status, value)
        await asyncio.sleep(20.25)
        strategy.cancel()
        table.close()
        await turns()
        return [(when, value) for when, _, _, value in listener.take()]

    try:
        expected = loop.run_until_complete(main())
    finally:
        ioloop.close()
    assert [(pytest.approx(when), value) for when, value in seen] == expected
