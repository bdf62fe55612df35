"""Checks at a fixed rate, and endpoints that are checked by it. No time passes in most of them."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import logging
import threading
import weakref
from collections.abc import Callable
from typing import Any

import async_solipsism
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from katcp.endpoints._alerts._hub import Alert, AlertHub
from katcp.endpoints._codes._errors import InvalidValueError
from katcp.endpoints._logging._engine import state_word
from katcp.endpoints._logging._logged import logging_states, set_logging
from katcp.endpoints._logging._schedule import MAX_SINGLES, Schedule
from katcp.endpoints._provider import Provider
from katcp.endpoints._spime import Spime
from katcp.sensors import Sensor
from tests.helpers.serving import until

virtual_time = pytest.mark.virtual_time


def now() -> float:
    return asyncio.get_running_loop().time()


class Checks:
    """Remembers when checks began and ended, since it was made."""

    def __init__(self, takes: float = 0.0, fails: Callable[[int], bool] = lambda n: False) -> None:
        self.start = now()
        self.takes = takes
        self.fails = fails
        self.began: list[float] = []
        self.due: list[float] = []
        self.under_way = 0
        self.most = 0
        self.cancelled = 0

    async def __call__(self, due: float) -> None:
        self.began.append(round(now() - self.start, 6))
        self.due.append(round(due - self.start, 6))
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            if self.takes:
                await asyncio.sleep(self.takes)
            if self.fails(len(self.began)):
                raise RuntimeError("the check failed")
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.under_way -= 1


# -- the schedule -----------------------------------------------------------------------


@virtual_time
async def test_drip_sch_01_at_once_and_then_at_a_fixed_rate_without_drift() -> None:
    checks = Checks(takes=0.3)
    schedule = Schedule(checks, 1)
    schedule.begin()
    schedule.start()
    await asyncio.sleep(1000.5)
    assert checks.began == checks.due == list(range(1001))
    assert checks.most == 1
    assert schedule.skipped == 0
    schedule.end()


@virtual_time
@pytest.mark.parametrize("interval", [0.1, 1 / 3, 0.7])
async def test_no_drift_from_rounding(interval: float) -> None:
    checks = Checks()
    schedule = Schedule(checks, interval)
    schedule.begin()
    schedule.start()
    await asyncio.sleep(interval * 1000.5)
    schedule.end()
    assert len(checks.began) == 1001
    assert checks.began[-1] == pytest.approx(interval * 1000, abs=1e-6)


@virtual_time
async def test_drip_sch_04_never_two_at_once_and_none_made_up_for() -> None:
    checks = Checks(takes=2.5)
    schedule = Schedule(checks, 1)
    schedule.begin()
    schedule.start()
    await asyncio.sleep(9.9)
    assert checks.began == [0, 3, 6, 9]
    assert checks.most == 1
    assert schedule.skipped == 6
    schedule.end()


async def test_a_loop_that_was_late_has_nothing_bunched() -> None:
    checks = Checks()
    schedule = Schedule(checks, 0.01)
    schedule.begin()
    schedule.start()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    threading.Event().wait(0.2)  # keeps the loop
    for _ in range(4):
        await asyncio.sleep(0)
    schedule.end()
    assert 1 <= len(checks.began) <= 6  # one in each turn at most
    assert schedule.skipped >= 15


@virtual_time
async def test_drip_sch_05_a_check_that_raises_does_not_end_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    checks = Checks(fails=lambda n: n in (2, 3))
    schedule = Schedule(checks, 1)
    schedule.begin()
    schedule.start()
    await asyncio.sleep(4.5)
    schedule.end()
    assert checks.began == [0, 1, 2, 3, 4]
    assert [r.message for r in caplog.records] == ["A scheduled check failed"]


@virtual_time
async def test_drip_sch_06_an_interval_that_changes_takes_effect_from_the_last_check() -> None:
    checks = Checks()
    schedule = Schedule(checks, 10)
    schedule.begin()
    schedule.start()
    await asyncio.sleep(10.5)
    schedule.interval = 1
    await asyncio.sleep(2)
    assert checks.began == [0, 10, 11, 12]
    schedule.interval = 5
    await asyncio.sleep(6)
    assert checks.began[4:] == [17]
    schedule.interval = 100
    await asyncio.sleep(50)
    schedule.interval = 1  # long overdue: one check at once
    await asyncio.sleep(0.5)
    assert checks.began[5:] == [68.5]
    schedule.end()


@virtual_time
async def test_an_interval_that_changes_all_the_time_makes_no_storm() -> None:
    checks = Checks()
    schedule = Schedule(checks, 10)
    schedule.begin()
    schedule.start()
    for _ in range(100):
        await asyncio.sleep(0.05)
        schedule.interval = 1
        schedule.interval = 10
        schedule.interval = 2
    schedule.end()
    assert checks.began == [0, 2, 4]


@virtual_time
async def test_drip_sch_06_an_interval_of_0_turns_it_off() -> None:
    changes = []
    schedule = Schedule(Checks(), 10, on_change=lambda: changes.append(schedule.is_on))
    schedule.begin()
    schedule.start()
    schedule.interval = 0
    assert changes == [True, False]
    with pytest.raises(ValueError, match="no schedule_interval"):
        schedule.start()
    with pytest.raises(ValueError, match="no schedule_interval"):
        schedule.restart()
    assert not schedule.is_on
    schedule.end()


@pytest.mark.parametrize("interval", [-1, -0.5, float("nan"), float("inf"), 1e-9, "x", None, True])
def test_bad_intervals_are_refused_and_the_old_one_stays(interval: Any) -> None:
    schedule = Schedule(lambda due: asyncio.sleep(0), 3)
    with pytest.raises(ValueError, match="schedule_interval"):
        schedule.interval = interval
    assert schedule.interval == 3
    with pytest.raises(ValueError, match="schedule_interval"):
        Schedule(lambda due: asyncio.sleep(0), interval)


@virtual_time
async def test_drip_sch_02_on_twice_is_one_schedule_and_off_twice_is_fine() -> None:
    checks = Checks()
    schedule = Schedule(checks, 1)
    schedule.begin()
    schedule.start()
    await asyncio.sleep(0.4)
    schedule.start()
    schedule.begin()
    await asyncio.sleep(2.2)
    assert checks.began == [0, 1, 2]
    schedule.stop()
    schedule.stop()
    await asyncio.sleep(5)
    assert checks.began == [0, 1, 2]
    schedule.restart()
    await asyncio.sleep(0.5)
    schedule.restart()
    await asyncio.sleep(1.2)
    assert checks.began[3:] == [7.6, 8.1, 9.1]
    schedule.end()


@virtual_time
async def test_drip_sch_07_a_single_check_leaves_the_schedule_alone() -> None:
    checks = Checks()
    schedule = Schedule(checks, 1)
    schedule.begin()
    schedule.once(0.5)
    await asyncio.sleep(3)
    assert checks.began == [0.5]
    schedule.start()
    schedule.once(0.25)
    await asyncio.sleep(2.5)
    assert checks.began[1:] == [3, 3.25, 4, 5]
    schedule.stop()
    schedule.once(1)
    await asyncio.sleep(2)
    assert checks.began[5:] == [6.5]
    schedule.end()


@virtual_time
async def test_single_checks_wait_for_the_one_under_way() -> None:
    checks = Checks(takes=1)
    schedule = Schedule(checks, 0)
    schedule.begin()
    for delay in (0.5, 0.6, 0.7):
        schedule.once(delay)
    await asyncio.sleep(10)
    assert checks.began == [0.5, 1.5, 2.5]
    assert checks.due == [0.5, 0.6, 0.7]
    assert checks.most == 1
    schedule.end()


@virtual_time
async def test_single_checks_have_a_limit_and_need_a_loop() -> None:
    schedule = Schedule(Checks(), 0)
    with pytest.raises(RuntimeError, match="nothing serves"):
        schedule.once(1)
    schedule.begin()
    for delay in (-1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="delay"):
            schedule.once(delay)
    for _ in range(MAX_SINGLES):
        schedule.once(1)
    with pytest.raises(ValueError, match="wait already"):
        schedule.once(1)
    await asyncio.sleep(2)
    schedule.once(1)
    schedule.end()


@virtual_time
async def test_drip_sch_08_delayed_it_begins_one_interval_later() -> None:
    checks = Checks()
    schedule = Schedule(checks, 2, delay_start=True)
    schedule.begin()
    schedule.start()
    await asyncio.sleep(6.5)
    assert checks.began == [2, 4, 6]
    schedule.restart()
    await asyncio.sleep(2.5)
    assert checks.began == [2, 4, 6, 8.5]
    schedule.end()


@virtual_time
async def test_drip_sch_08_nothing_is_left_when_it_ends() -> None:
    checks = Checks(takes=5)
    schedule = Schedule(checks, 1)
    schedule.begin()
    schedule.start()
    schedule.once(0.5)
    schedule.once(100)
    await asyncio.sleep(2.2)
    schedule.end()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert checks.cancelled == 1
    assert asyncio.all_tasks() == {asyncio.current_task()}
    await asyncio.sleep(200)
    assert checks.began == [0]
    assert schedule.is_on  # and goes on if there is a loop again
    schedule.begin()
    await asyncio.sleep(0.5)
    assert checks.began == [0, 202.2]
    schedule.end()
    ref = weakref.ref(schedule)
    for _ in range(5):
        await asyncio.sleep(0)
    del schedule
    gc.collect()
    assert ref() is None


async def test_it_can_be_changed_from_another_thread() -> None:
    checks = Checks()
    schedule = Schedule(checks, 100)
    schedule.begin()
    await asyncio.to_thread(schedule.start)
    await until(lambda: checks.began)
    await asyncio.to_thread(setattr, schedule, "interval", 0.002)
    await until(lambda: len(checks.began) >= 3)
    await asyncio.to_thread(schedule.stop)
    await asyncio.sleep(0.005)
    count = len(checks.began)
    await asyncio.to_thread(schedule.once, 0)
    await until(lambda: len(checks.began) > count)
    schedule.end()


@virtual_time
async def test_a_schedule_that_was_on_before_there_is_a_loop_begins_with_it() -> None:
    checks = Checks()
    schedule = Schedule(checks, 1)
    schedule.start()
    await asyncio.sleep(5)
    assert checks.began == []
    schedule.begin()
    await asyncio.sleep(1.5)
    assert checks.began == [5, 6]
    schedule.end()


OPERATIONS = st.one_of(
    st.tuples(st.just("interval"), st.sampled_from([0, 0.1, 0.3, 1, 1, 7.5])),
    st.tuples(st.sampled_from(["start", "stop", "restart", "begin", "end"])),
    st.tuples(st.just("once"), st.sampled_from([0, 0.2, 3])),
)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([0, 0.1, 0.5, 2]), OPERATIONS), max_size=12),
    st.sampled_from([0, 0.05, 0.4]),
    st.booleans(),
)
def test_whatever_is_done_to_it_it_is_regular_afterwards(
    operations: list[Any], takes: float, delay_start: bool
) -> None:
    async def story() -> None:
        checks = Checks(takes)
        schedule = Schedule(checks, 1, delay_start=delay_start)
        for pause, (name, *arguments) in operations:
            await asyncio.sleep(pause)
            with contextlib.suppress(ValueError, RuntimeError):
                if name == "interval":
                    schedule.interval = arguments[0]
                else:
                    getattr(schedule, name)(*arguments)
        schedule.begin()
        was_on = schedule.is_on
        await asyncio.sleep(20)  # all single checks are over
        start = now() - checks.start
        await asyncio.sleep(30)
        due = [time for time in checks.due if time > start + 1e-6]
        assert checks.most <= 1
        if not was_on:
            assert due == []
        else:
            steps = [late - early for early, late in itertools.pairwise(due)]
            least = max(takes, schedule.interval)
            assert all(least - 1e-5 <= step <= least + schedule.interval + 1e-5 for step in steps)
            parts = [step / schedule.interval for step in steps]
            assert parts == pytest.approx([round(part) for part in parts], abs=0.01)
            assert len(due) >= 30 / (least + schedule.interval) - 1
        schedule.end()
        for _ in range(3):
            await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    loop = async_solipsism.EventLoop()
    try:
        loop.run_until_complete(story())
    finally:
        loop.close()


@pytest.mark.soak
async def test_drip_sch_01_ten_real_seconds() -> None:
    checks = Checks(takes=0.3)
    schedule = Schedule(checks, 1)
    schedule.begin()
    schedule.start()
    await asyncio.sleep(10.5)
    schedule.end()
    assert checks.began == pytest.approx(range(11), abs=0.05)


# -- endpoints that are checked ---------------------------------------------------------


class Thermometer(Spime):
    """Gives what it is told to; takes a time for it."""

    def __init__(self, name: str, values: Any = (), takes: float = 0.0, **options: Any) -> None:
        super().__init__(name, **options)
        self.values = list(values)
        self.takes = takes
        self.reads = 0

    async def on_get(self) -> Any:
        self.reads += 1
        if self.takes:
            await asyncio.sleep(self.takes)
        value = self.values[min(self.reads, len(self.values)) - 1] if self.values else 5.0
        if isinstance(value, Exception):
            raise value
        return value

    def on_set(self, value: Any) -> Any:
        self.values = [value]


class Heard:
    """What a listener to all alerts hears: when, and what."""

    def __init__(self, *endpoints: Spime) -> None:
        self.start = now()
        self.hub = AlertHub()
        self.alerts: list[Alert] = []
        self.times: list[float] = []
        self.hub.listen("#", self.hear)
        self.endpoints = endpoints
        for endpoint in endpoints:
            endpoint.logging.begin(self.hub)

    def hear(self, alert: Alert) -> None:
        self.alerts.append(alert)
        self.times.append(round(now() - self.start, 6))

    @property
    def raw(self) -> list[Any]:
        return [alert.values.get("value_raw") for alert in self.alerts]

    def end(self) -> None:
        for endpoint in self.endpoints:
            endpoint.logging.end()


@virtual_time
async def test_drip_sch_01_alerts_come_a_second_apart_whatever_a_get_takes() -> None:
    sample = Thermometer("sample", takes=0.3, type="float", schedule_interval=1)
    heard = Heard(sample)
    sample.logging_status = "on"
    await asyncio.sleep(10.5)
    assert heard.times == [n + 0.3 for n in range(11)]
    assert heard.alerts[0].routing_key == "sensor_value.sample"
    assert heard.alerts[0].values == {"value_raw": 5.0, "path": "sample"}
    heard.end()


@virtual_time
async def test_drip_sch_02_on_without_an_interval_is_refused() -> None:
    sample = Thermometer("sample")
    with pytest.raises(InvalidValueError, match="sample has no schedule_interval") as caught:
        sample.logging_status = "on"
    assert not caught.value.invalid
    assert sample.logging_status == sample.schedule_status == "off"
    sample.logging_status = "off"
    with pytest.raises(ValueError, match="'maybe'"):
        sample.logging_status = "maybe"
    with pytest.raises(ValueError, match=r"sample: .*no schedule_interval"):
        Thermometer("sample", logging_status="on")


@pytest.mark.parametrize(
    ("word", "state"),
    [
        *[(word, "on") for word in ("on", "ON", "start", "1", "true", True, 1)],
        *[(word, "off") for word in ("off", "Off", "stop", "0", "false", False, 0)],
        ("restart", "restart"),
    ],
)
def test_words_of_states(word: Any, state: str) -> None:
    assert state_word(word) == state


@pytest.mark.parametrize("word", ["maybe", "", None, 2, 1.0, b"on", ["on"]])
def test_other_words_are_refused(word: Any) -> None:
    with pytest.raises(ValueError, match="one of on, off and restart"):
        state_word(word)


def test_drip_sch_03_a_provider_sets_those_below_it() -> None:
    provider = Provider(
        "bus",
        endpoints=[
            Thermometer("one", schedule_interval=1),
            Thermometer("two"),
            Provider("inner", endpoints=[Thermometer("three", log_interval=2)]),
        ],
    )
    assert logging_states(provider) == [
        ("bus.one", "off", ""),
        ("bus.two", "off", ""),
        ("bus.inner.three", "off", ""),
    ]
    assert set_logging(provider, "on") == [
        ("bus.one", "on", ""),
        ("bus.two", "off", "bus.two has no schedule_interval"),
        ("bus.inner.three", "on", ""),
    ]
    assert [state for _, state, _ in logging_states(provider)] == ["on", "off", "on"]
    assert [state for _, state, _ in set_logging(provider, "off")] == ["off"] * 3
    with pytest.raises(ValueError, match="'maybe'"):
        set_logging(provider, "maybe")


@virtual_time
async def test_drip_sch_05_a_get_that_fails_is_counted_and_recovers(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    gone = ConnectionError("no answer")
    sample = Thermometer(
        "sample", [1, gone, gone, 4, 5], schedule_interval=1, logging_status="on", type="float"
    )
    heard = Heard(sample)
    await asyncio.sleep(1.5)
    assert sample.reading.status == Sensor.FAILURE
    await asyncio.sleep(3)
    heard.end()
    assert sample.check_errors == 2
    assert sample.reading.status == Sensor.NOMINAL
    assert heard.raw == [1, None, 4, 5]
    assert heard.alerts[1].values == {"status": "failure", "path": "sample"}
    told = [record.message for record in caplog.records if record.name == "katcp.endpoints"]
    assert len(told) == 2  # not for each of them
    assert told[0].startswith("A check of sample failed")
    assert told[1] == "Checks of sample succeed again"


@virtual_time
async def test_drip_sch_06_an_interval_of_0_leaves_a_remark() -> None:
    sample = Thermometer("sample", schedule_interval=1, schedule_status="on")
    assert sample.take_remark() == ""
    sample.log_interval = 0
    assert sample.schedule_status == "off"
    assert sample.take_remark() == "the schedule of sample was on and is off now"
    assert sample.take_remark() == ""
    with pytest.raises(ValueError, match="schedule_interval must be >= 0"):
        sample.schedule_interval = -1
    assert sample.schedule_interval == 0


@virtual_time
async def test_drip_sch_07_single_schedule() -> None:
    sample = Thermometer("sample", schedule_interval=1)
    heard = Heard(sample)
    sample.single_schedule(0.5)
    await asyncio.sleep(5)
    assert heard.times == [0.5]
    assert sample.schedule_status == "off"
    heard.end()


@virtual_time
async def test_drip_sch_08_delay_start_of_an_endpoint() -> None:
    sample = Thermometer("sample", schedule_interval=2, delay_start=True, logging_status=True)
    heard = Heard(sample)
    await asyncio.sleep(4.5)
    assert heard.times == [2, 4]
    heard.end()


@virtual_time
async def test_what_is_turned_off_during_a_check_does_not_broadcast_it() -> None:
    sample = Thermometer("sample", takes=1, schedule_interval=10, logging_status=True)
    heard = Heard(sample)
    await asyncio.sleep(0.5)
    sample.logging_status = "off"
    await asyncio.sleep(5)
    assert sample.reads == 1
    assert heard.times == []
    heard.end()


@virtual_time
async def test_checks_take_turns_with_what_else_the_provider_is_asked() -> None:
    busy: list[str] = []

    class Slow(Thermometer):
        async def on_get(self) -> Any:
            busy.append(self.name)
            assert len(busy) == 1
            await asyncio.sleep(0.4)
            busy.remove(self.name)
            return 1

    one = Slow("one", schedule_interval=1, logging_status=True)
    two = Slow("two", schedule_interval=1, logging_status=True)
    provider = Provider("bus", endpoints=[one, two])
    heard = Heard(one, two)
    await asyncio.sleep(3.9)
    heard.end()
    assert heard.times == [0.4, 0.8, 1.4, 1.8, 2.4, 2.8, 3.4, 3.8]
    assert provider.endpoint("one") is one


@virtual_time
async def test_a_command_that_schedules_does_not_have_the_check_in_its_turn() -> None:
    sample = Thermometer("sample", takes=1)
    heard = Heard(sample)
    async with sample.lane.turn():
        sample.single_schedule(0)
        await asyncio.sleep(2)
        assert sample.reads == 0
    await asyncio.sleep(1.5)
    assert heard.times == [3]
    heard.end()


@virtual_time
async def test_scheduled_action_can_be_something_else() -> None:
    class Other(Thermometer):
        def scheduled_action(self) -> Any:
            done.append(round(now() - start, 6))

    done: list[float] = []
    start = now()
    other = Other("other", schedule_interval=1, logging_status=True)
    heard = Heard(other)
    await asyncio.sleep(2.5)
    assert done == [0, 1, 2]
    assert other.reads == 0
    heard.end()


# -- the rule, with a schedule ----------------------------------------------------------


async def alerts_of(sample: Thermometer, duration: float) -> Heard:
    heard = Heard(sample)
    sample.logging_status = "on"
    await asyncio.sleep(duration)
    heard.end()
    return heard


@virtual_time
async def test_drip_log_01_02_limits_of_an_endpoint() -> None:
    always = Thermometer("sample", schedule_interval=1)
    assert (await alerts_of(always, 3.5)).times == [0, 1, 2, 3]
    by_age = Thermometer("sample", schedule_interval=1, max_interval=2.5)
    assert (await alerts_of(by_age, 9.5)).times == [0, 3, 6, 9]
    just = Thermometer("sample", schedule_interval=0.1, max_interval=0.3)
    assert (await alerts_of(just, 1.25)).times == [0, 0.4, 0.8, 1.2]


@virtual_time
async def test_drip_log_03_04_fractions_of_an_endpoint() -> None:
    values = [10, 10.9, 11.0, 11.2, 11.9, 12.4]
    sample = Thermometer("sample", values, schedule_interval=1, max_fractional_change=0.1)
    heard = await alerts_of(sample, 8.5)
    assert heard.raw == [10, 11.2, 12.4]


@virtual_time
async def test_drip_log_07_after_more_than_a_day_of_one_value() -> None:
    sample = Thermometer(
        "sample", schedule_interval=600, max_interval=86400, max_fractional_change=0.5
    )
    heard = await alerts_of(sample, 25 * 3600)
    assert heard.times == [0, 87000]


@virtual_time
async def test_drip_log_08_a_set_is_what_later_checks_compare_with() -> None:
    sample = Thermometer(
        "sample", [10], schedule_interval=1, max_fractional_change=0.1, log_on_set=True
    )
    heard = Heard(sample)
    sample.logging_status = "on"
    await asyncio.sleep(1.5)
    await sample.write(20)
    await asyncio.sleep(3)
    assert heard.raw == [10, 20]
    assert heard.times == [0, 1.5]
    sample.log_on_set = False
    await sample.write(30)
    await asyncio.sleep(1)
    assert heard.times == [0, 1.5, 5]
    heard.end()


@virtual_time
async def test_the_calibrated_value_can_be_what_is_compared() -> None:
    sample = Thermometer(
        "sample",
        [1, 2, 3, 4],
        schedule_interval=1,
        calibration="{} // 2",
        check_field="value_cal",
        max_absolute_change=0.5,
        log_on_set=True,
    )
    heard = await alerts_of(sample, 3.5)
    assert heard.raw == [1, 2, 4]
    assert heard.alerts[1].values == {"value_raw": 2, "value_cal": 1, "path": "sample"}
    heard = Heard(sample)
    await sample.write(5)
    await asyncio.sleep(2)
    assert heard.raw == [5]  # which is 2 too, though it was not read back
    heard.end()


@virtual_time
async def test_what_cannot_be_calibrated_is_told_with_its_status() -> None:
    sample = Thermometer(
        "sample", ["1", "x"], schedule_interval=1, calibration="2*{}", max_absolute_change=0.5
    )
    heard = await alerts_of(sample, 2.5)
    assert heard.alerts[0].values == {"value_raw": "1", "value_cal": 2, "path": "sample"}
    assert heard.alerts[1].values == {"value_raw": "x", "status": "error", "path": "sample"}
    assert len(heard.alerts) == 2


@virtual_time
async def test_settings_at_run_time() -> None:
    sample = Thermometer("sample", schedule_interval=1, max_interval=100)
    heard = Heard(sample)
    sample.logging_status = "on"
    await asyncio.sleep(3.5)
    assert heard.times == [0]
    sample.max_interval = 0
    await asyncio.sleep(2)
    assert heard.times == [0, 4, 5]
    for name in ("max_interval", "max_fractional_change", "max_absolute_change"):
        with pytest.raises(ValueError, match=f"{name} must be >= 0"):
            setattr(sample, name, -1.0)
        assert getattr(sample, name) == 0
        setattr(sample, name, 0.5)
        assert getattr(sample, name) == 0.5
    with pytest.raises(ValueError, match="check_field"):
        sample.check_field = "raw"
    sample.check_field = "value_cal"
    assert sample.check_field == "value_cal"
    sample.delay_start = True
    assert sample.delay_start is True
    heard.end()


@virtual_time
async def test_whoever_goes_on_later_has_its_reference_still() -> None:
    sample = Thermometer("sample", schedule_interval=1, max_interval=10, logging_status="on")
    heard = Heard(sample)
    await asyncio.sleep(4.5)
    heard.end()
    await asyncio.sleep(1)
    assert await sample.logging.check() is False  # nobody listens: nothing is wrong
    heard = Heard(sample)
    await asyncio.sleep(10)
    heard.end()
    assert len(heard.times) == 1
