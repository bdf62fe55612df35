"""The sampling table, on virtual time."""

from __future__ import annotations

import asyncio
import gc
import itertools
import math
import threading
import weakref
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from katcp.sampling import SamplingTable
from katcp.sensors import NONE, Reading, Sensor
from tests.helpers import timelines
from tests.helpers.sampling import Listener, plan_for, sample, virtual_loop
from tests.helpers.timelines import TIMELINES, Set, Timeline

NOMINAL, WARN = Sensor.NOMINAL, Sensor.WARN


def table_of(major: int = 5) -> tuple[SamplingTable, asyncio.AbstractEventLoop]:
    loop = asyncio.get_running_loop()
    return SamplingTable(loop, major), loop


def a_float(name: str = "f", value: float = 1.0) -> Sensor:
    sensor = Sensor.float(name)
    sensor.set_value(value, NOMINAL, 0.0)
    return sensor


def as_sent(listener: Listener) -> list[Any]:
    """Return what a client saw in the form of a timeline."""
    return [
        (pytest.approx(when, abs=1e-6), float(value), Sensor.STATUS_NAMES[status])
        for when, _, status, value in listener.seen
    ]


# -- one client, one sensor ----------------------------------------------------------------


@pytest.mark.virtual_time
@pytest.mark.parametrize("timeline", TIMELINES, ids=lambda timeline: timeline.label)
async def test_timeline(timeline: Timeline) -> None:
    table, loop = table_of()
    sensor, listener = a_float(), Listener(asyncio.get_running_loop())
    start = loop.time()
    sample(table, listener, timeline.strategy, sensor)
    for when, value, status in timeline.sets:
        loop.call_at(start + when, sensor.set, when, status, value)
    await asyncio.sleep(timeline.end)
    table.clear(listener)
    assert as_sent(listener) == timeline.sent


@pytest.mark.virtual_time
async def test_the_first_report_is_made_at_once_and_does_not_wait_for_company() -> None:
    table, _ = table_of()
    listener = Listener(table.loop)
    for strategy in ("auto", "event", "period 1", "differential 1", "event-rate 1 2"):
        sample(table, listener, strategy, a_float())
        assert listener.lines == [(b"#sensor-status 0.000000 1 f nominal 1.0", False)]
        listener.lines.clear()
    table.clear(listener)


@pytest.mark.virtual_time
@pytest.mark.parametrize("strategy", ["auto", "event", "differential 0", "event-rate 0 9"])
async def test_updates_may_wait_for_company(strategy: str) -> None:
    table, _ = table_of()
    sensor, listener = a_float(), Listener(table.loop)
    sample(table, listener, strategy, sensor)
    sensor.set_value(2.0, WARN, 5.0)
    assert listener.lines[1:] == [(b"#sensor-status 5.000000 1 f warn 2.0", True)]
    table.clear(listener)


@pytest.mark.virtual_time
async def test_version_4_times_are_milliseconds() -> None:
    table, _ = table_of(major=4)
    sensor, listener = Sensor.timestamp("t"), Listener(table.loop)
    sensor.set_value(1.5, NOMINAL, 1600000000.25)
    sample(table, listener, "period 2000", sensor)
    await asyncio.sleep(2.5)
    expected = b"#sensor-status 1600000000250 1 t nominal 1500"
    assert [line for line, _ in listener.lines] == [expected] * 2
    assert [when for when, *_ in listener.seen] == [0.0, pytest.approx(2.0)]
    sample(table, listener, "event", sensor)
    sensor.set_value(2.5, Sensor.INACTIVE, 0)
    assert listener.lines[-1][0] == b"#sensor-status 0 1 t unknown 2500"
    table.clear(listener)


@pytest.mark.virtual_time
async def test_the_heartbeat_carries_the_old_timestamp() -> None:
    table, _ = table_of()
    sensor, listener = a_float(), Listener(table.loop)
    sample(table, listener, "event-rate 0.5 1", sensor)
    sensor.set_value(2.0, NOMINAL, 77.0)
    await asyncio.sleep(2.0)
    table.clear(listener)
    assert [line for line, _ in listener.lines[1:]] == [
        b"#sensor-status 77.000000 1 f nominal 2.0"
    ] * 2


@pytest.mark.virtual_time
async def test_get_tells_the_strategy_as_it_was_set() -> None:
    table, _ = table_of()
    sensor, listener, other = a_float(), Listener(table.loop), Listener(table.loop)
    assert table.get(listener, sensor) == NONE
    for strategy in ("event", "event-rate 0.50 1e1", "period 3", "auto", "differential 2"):
        sample(table, listener, strategy, sensor)
        plan = table.get(listener, sensor)
        assert b" ".join([plan.name, *plan.params]).decode() == strategy
        assert table.get(other, sensor) == NONE
        assert table.get(listener, a_float("other")) == NONE
    sample(table, listener, "none", sensor)
    assert table.get(listener, sensor) == NONE


@pytest.mark.virtual_time
async def test_who_is_woken_too_early_sends_nothing() -> None:
    table, loop = table_of()
    sensor, listener = a_float(), Listener(table.loop)
    sample(table, listener, "event-rate 0.5 1", sensor)
    listener.take()
    subscription = table._clients[listener][sensor]
    table._wake(subscription, loop.time() + 0.9)
    assert listener.take() == []
    assert subscription.wake_at == 1.0
    table.clear(listener)


@pytest.mark.virtual_time
async def test_none_sends_nothing_and_ends_what_was() -> None:
    table, _ = table_of()
    sensor, listener = a_float(), Listener(table.loop)
    sample(table, listener, "none", sensor)
    assert listener.seen == []
    for strategy in ("auto", "event", "period 1", "event-rate 0.1 1", "differential-rate 0 0.1 1"):
        sample(table, listener, strategy, sensor)
        sensor.set_value(sensor.value() + 1)  # with a rate: a timer is armed
        sample(table, listener, "none", sensor)
        listener.take()
        sensor.set_value(sensor.value() + 1)
        await asyncio.sleep(5)
        assert listener.take() == []
        assert sensor._observers == set()


@pytest.mark.virtual_time
async def test_setting_a_strategy_again_begins_it_anew() -> None:
    table, _ = table_of()
    sensor, listener = a_float(), Listener(table.loop)
    sample(table, listener, "period 1", sensor)
    await asyncio.sleep(0.5)
    sample(table, listener, "period 1", sensor)
    await asyncio.sleep(1.25)
    assert [when for when, *_ in listener.take()] == pytest.approx([0.0, 0.5, 1.5])
    sample(table, listener, "event-rate 1 3", sensor)
    sensor.set_value(2.0)
    await asyncio.sleep(0.5)
    sample(table, listener, "event-rate 1 3", sensor)
    await asyncio.sleep(3.5)
    table.clear(listener)
    assert [(when, value) for when, _, _, value in listener.take()] == [
        (pytest.approx(1.75), "1.0"),
        (pytest.approx(2.25), "2.0"),
        (pytest.approx(5.25), "2.0"),
    ]


# -- several -------------------------------------------------------------------------------


@pytest.mark.virtual_time
async def test_one_strategy_on_many_sensors_is_one_batch() -> None:
    table, _ = table_of()
    sensors = [a_float(f"s{n}", float(n)) for n in range(100)]
    listener = Listener(table.loop)
    batches: list[bytes] = []
    listener.send = batches.append  # type: ignore[method-assign]
    sample(table, listener, "period 1", *sensors)
    assert len(batches) == 1
    assert batches[0].count(b"\n") == 100
    await asyncio.sleep(1.5)
    assert len(batches) == 2
    assert batches[1] == batches[0]
    table.clear(listener)


@pytest.mark.virtual_time
async def test_strategies_belong_to_a_client_and_a_sensor() -> None:
    table, _ = table_of()
    one, two = a_float("one"), a_float("two")
    a, b = Listener(table.loop), Listener(table.loop)
    sample(table, a, "event", one)
    sample(table, a, "auto", two)
    sample(table, b, "event", one)
    assert a.values() == ["1.0", "1.0"]
    assert b.values() == ["1.0"]
    one.set_value(2.0)
    two.set_value(1.0)
    two.set_value(1.0)
    assert a.values() == ["2.0", "1.0", "1.0"]
    assert b.values() == ["2.0"]
    table.clear(a)
    one.set_value(3.0)
    two.set_value(3.0)
    assert a.values() == []
    assert b.values() == ["3.0"]
    assert two._observers == set()
    table.clear(b)
    assert one._observers == set()


@pytest.mark.virtual_time
async def test_every_strategy_on_one_sensor_at_once() -> None:
    table, _ = table_of()
    sensor = a_float()
    strategies = [
        "auto",
        "event",
        "period 1",
        "differential 1",
        "event-rate 0.5 2",
        "differential-rate 1 0.5 2",
    ]
    listeners = {strategy: Listener(table.loop) for strategy in strategies}
    for strategy, listener in listeners.items():
        sample(table, listener, strategy, sensor)
    start = table.loop.time()
    changes = [Set(0.1, 1.5), Set(0.2, 1.5), Set(0.3, 3.0), Set(1.4, 3.5, WARN), Set(1.5, 3.5)]
    for when, value, status in changes:
        table.loop.call_at(start + when, sensor.set, when, status, value)
    await asyncio.sleep(4.25)
    for strategy, listener in listeners.items():
        table.clear(listener)
        expected = timelines.naive(Timeline("", strategy, 1.0, changes, [], 4.25))
        assert as_sent(listener) == expected, strategy


@pytest.mark.virtual_time
async def test_a_removed_sensor_is_dropped_without_a_word() -> None:
    table, _ = table_of()
    sensor, other = a_float("s"), a_float("other")
    strategies = ["auto", "event", "period 1", "event-rate 0.1 1"]
    listeners = [Listener(table.loop) for _ in strategies]
    for strategy, listener in zip(strategies, listeners, strict=True):
        sample(table, listener, strategy, sensor)
    sample(table, listeners[0], "event", other)
    bystander = Listener(table.loop)
    sample(table, bystander, "event", other)
    for listener in listeners:
        listener.take()
    sensor.set_value(2.0)
    listeners[0].take()
    listeners[1].take()
    table.drop_sensor(sensor)
    table.drop_sensor(sensor)
    table.drop_sensor(a_float("never sampled"))
    sensor.set_value(3.0)
    await asyncio.sleep(5)
    assert [listener.take() for listener in listeners] == [[]] * 4
    assert sensor._observers == set()
    assert [table.get(listener, sensor) for listener in listeners] == [NONE] * 4
    other.set_value(2.0)
    assert listeners[0].values() == ["2.0"]
    table.clear(listeners[0])
    table.clear(bystander)


@pytest.mark.virtual_time
async def test_clearing_a_client_that_never_sampled_is_nothing() -> None:
    table, _ = table_of()
    table.clear(Listener(table.loop))


@pytest.mark.virtual_time
async def test_close_ends_everything() -> None:
    table, _ = table_of()
    sensors = [a_float(f"s{n}") for n in range(3)]
    listeners = [Listener(table.loop) for _ in range(3)]
    for listener in listeners:
        sample(table, listener, "event", sensors[0])
        sample(table, listener, "event-rate 0.1 1000", sensors[1])
        sample(table, listener, "period 1", sensors[2])
        listener.take()
    table.close()
    for sensor in sensors:
        sensor.set_value(9.0)
        assert sensor._observers == set()
    await asyncio.sleep(2000)
    assert [listener.take() for listener in listeners] == [[]] * 3
    table.close()


# -- the shared state of `event` -----------------------------------------------------------


@pytest.mark.virtual_time
async def test_clients_that_join_an_event_group_are_told_what_the_others_know() -> None:
    table, _ = table_of()
    sensor = a_float()
    first, second = Listener(table.loop), Listener(table.loop)
    sample(table, first, "event", sensor)
    sensor.set_value(1.0, NOMINAL, 5.0)  # no news, but the reading is another
    sample(table, second, "event", sensor)
    assert second.lines == [(b"#sensor-status 5.000000 1 f nominal 1.0", False)]
    sensor.set_value(2.0)
    sensor.set_value(2.0)
    assert first.values() == ["1.0", "2.0"]
    assert second.values() == ["1.0", "2.0"]
    table.clear(first)
    sensor.set_value(3.0)
    assert second.values() == ["3.0"]
    table.clear(second)
    sensor.set_value(4.0)
    sample(table, first, "event", sensor)
    sensor.set_value(4.0)
    assert first.values() == ["4.0"]
    table.clear(first)


#: No two times fall together, nor does any sum of one of them and a period: then nothing depends
#: on the order of timers.
STRATEGIES = """
    auto|event|event|event|none|differential 0|differential 1|event-rate 0.25 1|event-rate 0 0.5|
    event-rate 0.5 inf|differential-rate 1 0.25 1|differential-rate 0 0.5 2
"""
strategy_texts = st.sampled_from([text.strip() for text in STRATEGIES.split("|")])
values = st.sampled_from([1.0, 2.0, 2.5, 4.0, math.nan, math.inf])
actions = st.one_of(
    st.tuples(st.just("set"), st.integers(0, 1), values, st.sampled_from([NOMINAL, NOMINAL, WARN])),
    st.tuples(st.just("sample"), st.integers(0, 2), st.integers(0, 1), strategy_texts),
    st.tuples(st.just("clear"), st.integers(0, 2)),
    st.tuples(st.just("drop"), st.integers(0, 1)),
)


def expected_of(
    history: list[tuple[float, Any]], client: int, sensor: int, end: float
) -> list[Any]:
    """Return what a client is sent of a sensor if nobody else is there, by the naive algorithm."""
    sent: list[Any] = []
    present: tuple[float, int] = (1.0, NOMINAL)
    running: tuple[float, str, tuple[float, int]] | None = None
    sets: list[Set] = []

    def finish(until: float) -> None:
        if running is None:
            return
        start, strategy, (value, status) = running
        moved = [Set(one.when - start, one.value, one.status) for one in sets]
        timeline = Timeline("", strategy, value, moved, [], until - start)
        segment = timelines.naive(timeline, status)
        sent.extend((when + start, value, status) for when, value, status in segment)

    for when, action in history:
        if action[0] == "set" and action[1] == sensor:
            present = action[2:]
            sets.append(Set(when, *present))
        elif (
            (action[0] == "sample" and action[1:3] == (client, sensor))
            or action == ("clear", client)
            or action == ("drop", sensor)
        ):
            finish(math.nextafter(when, 0))
            sets = []
            running = None
            if action[0] == "sample" and action[3] != "none":
                running = (when, action[3], present)
    finish(end)
    return sent


@settings(max_examples=200)
@given(st.lists(st.tuples(st.integers(0, 60), actions), max_size=25))
def test_shared_states_are_the_same_as_a_sampler_for_each(
    drawn: list[tuple[int, Any]],
) -> None:
    history = [
        (eighths / 8 + (index + 1) / 1000, action)
        for index, (eighths, action) in enumerate(sorted(drawn, key=lambda one: one[0]))
    ]
    end = 9.0
    with virtual_loop() as loop:

        async def play() -> list[Listener]:
            table = SamplingTable(loop, 5)
            sensors = [a_float(f"s{n}") for n in range(2)]
            listeners = [Listener(loop) for _ in range(3)]

            def act(action: Any) -> None:
                kind, *rest = action
                if kind == "set":
                    sensors[rest[0]].set_value(rest[1], rest[2])
                elif kind == "sample":
                    sample(table, listeners[rest[0]], rest[2], sensors[rest[1]])
                elif kind == "clear":
                    table.clear(listeners[rest[0]])
                else:
                    table.drop_sensor(sensors[rest[0]])

            start = loop.time()
            for when, action in history:
                loop.call_at(start + when, act, action)
            await asyncio.sleep(end)
            for listener in listeners:
                table.clear(listener)
            assert [sensor._observers for sensor in sensors] == [set(), set()]
            return listeners

        listeners = loop.run_until_complete(play())
    for client, listener in enumerate(listeners):
        for sensor in range(2):
            seen = [
                (when, repr(float(value)), status)
                for when, name, status, value in listener.seen
                if name == f"s{sensor}"
            ]
            assert seen == [
                (pytest.approx(when, abs=1e-5), repr(value), Sensor.STATUSES[status])
                for when, value, status in expected_of(history, client, sensor, end)
            ]


# -- other threads -------------------------------------------------------------------------


async def until(condition: Any) -> None:
    while not condition():  # noqa: ASYNC110  # what is waited for happens in other threads
        await asyncio.sleep(0.001)


async def test_sensors_set_in_other_threads_are_reported_in_the_loop() -> None:
    table, _ = table_of()
    sensor = Sensor.integer("i")
    threads: set[threading.Thread] = set()

    class Where(Listener):
        def _take(self, lines: bytes, patient: bool) -> None:
            threads.add(threading.current_thread())
            super()._take(lines, patient)

    everything, news = Where(table.loop), Where(table.loop)
    sample(table, everything, "auto", sensor)
    sample(table, news, "event", sensor)

    def work() -> None:
        for number in range(500):
            sensor.set_value(number // 2)

    thread = threading.Thread(target=work)
    thread.start()
    await until(lambda: len(everything.seen) == 501)
    thread.join()
    assert everything.values() == ["0"] + [str(n // 2) for n in range(500)]
    # The first update has another status, so it is news although the value is the same.
    assert news.values() == ["0"] + [str(n) for n in range(250)]
    assert threads == {threading.current_thread()}
    table.clear(everything)
    table.clear(news)


async def test_threads_that_race_agree_on_the_last_value() -> None:
    table, _ = table_of()
    sensor = Sensor.integer("i")
    listener = Listener(table.loop)
    sample(table, listener, "event", sensor)

    def work(first: int) -> None:
        for number in range(first, 2000, 4):
            sensor.set_value(number)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    await until(lambda: not any(thread.is_alive() for thread in threads))
    for _ in range(5):
        await asyncio.sleep(0)
    assert listener.seen[-1][3] == str(sensor.value())
    values = [value for *_, value in listener.seen]
    assert all(a != b for a, b in itertools.pairwise(values[1:]))
    table.clear(listener)


async def test_an_update_on_its_way_is_told_to_each_client_once() -> None:
    table, _ = table_of()
    sensor = a_float()
    first, second = Listener(table.loop), Listener(table.loop)
    sample(table, first, "event", sensor)

    def set_it() -> None:
        sensor.set_value(2.0)

    thread = threading.Thread(target=set_it)
    thread.start()
    thread.join()
    # Its report waits for the loop; meanwhile another client asks, and one sets in the loop.
    sample(table, second, "event", sensor)
    for _ in range(5):
        await asyncio.sleep(0)
    assert first.values() == ["1.0", "2.0"]
    assert second.values() == ["2.0"]
    thread = threading.Thread(target=set_it)
    thread.start()
    thread.join()
    sensor.set_value(3.0)
    for _ in range(5):
        await asyncio.sleep(0)
    assert first.values() == ["3.0"]
    assert second.values() == ["3.0"]
    table.clear(first)
    table.clear(second)


async def test_an_update_that_comes_while_a_client_joins() -> None:
    """Another thread sets the sensor after the group was brought up to date, before it is read."""
    table, _ = table_of()
    first, second = Listener(table.loop), Listener(table.loop)

    class Restless(Sensor):
        """Is set by another thread just before the second client reads it."""

        armed = False

        @property
        def reading(self) -> Reading:
            if self.armed:
                self.armed = False
                thread = threading.Thread(target=self.set_value, args=(2.0,))
                thread.start()
                thread.join()
            return self._reading

    sensor = Restless(Sensor.FLOAT, "f", default=1.0)
    sample(table, first, "event", sensor)
    sensor.armed = True
    sample(table, second, "event", sensor)
    for _ in range(5):
        await asyncio.sleep(0)
    sensor.set_value(3.0)
    assert first.values() == ["1.0", "2.0", "3.0"]
    assert second.values() == ["2.0", "3.0"]
    table.clear(first)
    table.clear(second)
    assert sensor._observers == set()


async def test_a_reading_that_has_been_handed_over_is_not_handed_over_again() -> None:
    table, _ = table_of()
    sensor = a_float()
    listener = Listener(table.loop)
    sample(table, listener, "auto", sensor)

    def work() -> None:
        sensor.set_value(2.0)
        sensor.notify(sensor.read())  # what a second thread would do that came a little late

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    for _ in range(5):
        await asyncio.sleep(0)
    assert listener.values() == ["1.0", "2.0"]
    table.clear(listener)


async def test_an_update_that_is_on_its_way_when_the_client_goes_is_not_sent() -> None:
    table, _ = table_of()
    sensor = a_float()
    listener = Listener(table.loop)
    sample(table, listener, "auto", sensor)
    listener.take()
    thread = threading.Thread(target=sensor.set_value, args=(2.0,))
    thread.start()
    thread.join()
    table.clear(listener)
    for _ in range(5):
        await asyncio.sleep(0)
    assert listener.take() == []


async def test_a_reading_that_has_been_overtaken_is_reported_as_it_was() -> None:
    table, _ = table_of()
    sensor = a_float()
    listener = Listener(table.loop)
    sample(table, listener, "auto", sensor)

    def work() -> None:
        sensor.set_value(2.0, NOMINAL, 2.0)
        sensor.set_value(3.0, NOMINAL, 3.0)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    for _ in range(5):
        await asyncio.sleep(0)
    assert [line for line, _ in listener.lines[1:]] == [
        b"#sensor-status 2.000000 1 f nominal 2.0",
        b"#sensor-status 3.000000 1 f nominal 3.0",
    ]
    table.clear(listener)


# -- nothing is kept -----------------------------------------------------------------------


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    "strategy",
    [
        "auto",
        "event",
        "period 10",
        "differential 1",
        "event-rate 1 1e99",
        "event-rate 0.1 1000",
        "differential-rate 1 100 1000",
    ],
)
@pytest.mark.parametrize("way", ["clear", "none", "drop"])
async def test_clients_and_sensors_are_not_kept_alive(strategy: str, way: str) -> None:
    table, _ = table_of()
    others = [Listener(table.loop) for _ in range(100)]
    crowd = a_float("crowd")
    for other in others:
        sample(table, other, "event-rate 1 5000", crowd)
    sensor, listener = a_float(), Listener(table.loop)
    sample(table, listener, strategy, sensor)
    sensor.set_value(5.0)
    if way == "clear":
        table.clear(listener)
    elif way == "none":
        sample(table, listener, "none", sensor)
    else:
        table.drop_sensor(sensor)
    client = weakref.ref(listener)
    del listener
    gc.collect()
    assert client() is None
    table.drop_sensor(sensor)  # the server does, when the sensor goes
    reference = weakref.ref(sensor)
    del sensor
    gc.collect()
    assert reference() is None
    for other in others:
        table.clear(other)


@pytest.mark.virtual_time
async def test_many_clients_that_come_and_go_leave_nothing() -> None:
    table, _ = table_of()
    sensor = a_float()
    for _ in range(1000):
        listener = Listener(table.loop)
        sample(table, listener, "event-rate 1 100000", sensor)
        table.clear(listener)
    assert len(table.alarm._heap) <= 200
    assert sensor._observers == set()
    assert table._clients == {}
    table.drop_sensor(sensor)
    assert table._hubs == {}


def test_the_plan_is_the_callers_to_check() -> None:
    sensor = a_float()
    assert plan_for(sensor, "event").name == b"event"
