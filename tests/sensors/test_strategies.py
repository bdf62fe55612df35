"""Sampling strategies, with time as an argument (KATCP guidelines, sensor sampling)."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from katcp.sensors import (
    NEVER,
    NONE,
    PERIOD_FLOOR,
    Plan,
    Reading,
    Sensor,
    difference_exceeds,
    event_differs,
    next_tick,
    parse_strategy,
)
from tests.helpers import timelines
from tests.helpers.timelines import TIMELINES, Set, Timeline
from tests.sensors.test_types import MAKE, sensor_of

NOMINAL, WARN = Sensor.NOMINAL, Sensor.WARN

ALL_TYPES = sorted(MAKE)
NUMBERS = ("integer", "float")


def parse(strategy: str, kind: str = "integer", **kwargs: Any) -> Plan:
    """Parse a strategy as it stands in a request, such as ``event-rate 1 2``."""
    name, *params = strategy.encode().split()
    return parse_strategy(name, params, sensor_of(kind), **kwargs)


def refusal(strategy: str, kind: str = "integer", **kwargs: Any) -> str:
    with pytest.raises(ValueError) as caught:
        parse(strategy, kind, **kwargs)
    return str(caught.value)


# -- which parameters are taken ------------------------------------------------------------


@pytest.mark.parametrize("kind", ALL_TYPES)
@pytest.mark.parametrize("strategy", ["none", "auto", "event", "period 1", "event-rate 1 2"])
def test_strategies_for_every_type(strategy: str, kind: str) -> None:
    name, *params = strategy.encode().split()
    plan = parse(strategy, kind)
    assert plan.name == name
    assert plan.params == tuple(params)


@pytest.mark.parametrize("kind", ALL_TYPES)
def test_differential_is_for_numbers_and_times(kind: str) -> None:
    if kind in (*NUMBERS, "timestamp"):
        assert parse("differential 2", kind).difference == 2
    else:
        assert refusal("differential 2", kind) == (
            "The 'differential' strategy is only valid for float, integer and timestamp sensors."
        )


@pytest.mark.parametrize("kind", ALL_TYPES)
def test_differential_rate_is_for_numbers(kind: str) -> None:
    if kind in NUMBERS:
        assert parse("differential-rate 2 1 3", kind).difference == 2
    else:
        assert refusal("differential-rate 2 1 3", kind) == (
            "The differential-rate strategy can only be defined for integer or float sensors"
        )


@pytest.mark.parametrize(
    ("strategy", "text"),
    [
        ("none 1", "The 'none' strategy takes no parameters."),
        ("auto 1", "The 'auto' strategy takes no parameters."),
        ("event 1", "The 'event' strategy takes no parameters."),
        ("period", "The 'period' strategy takes one parameter."),
        ("period 1 2", "The 'period' strategy takes one parameter."),
        ("differential", "The 'differential' strategy takes one parameter."),
        ("differential 1 2", "The 'differential' strategy takes one parameter."),
        ("event-rate", "The 'event-rate' strategy takes two parameters."),
        ("event-rate 1", "The 'event-rate' strategy takes two parameters."),
        ("event-rate 1 2 3", "The 'event-rate' strategy takes two parameters."),
        ("differential-rate 1 2", "The 'differential-rate' strategy takes three parameters."),
        ("differential-rate 1 2 3 4", "The 'differential-rate' strategy takes three parameters."),
    ],
)
def test_check_wrong_parameter_count_fails(strategy: str, text: str) -> None:
    assert refusal(strategy) == text


@pytest.mark.parametrize("period", ["0", "-1", "-0.0", "-inf", "0e5"])
def test_check_period_not_above_0_fails(period: str) -> None:
    assert refusal(f"period {period}") == "The period must be a positive float in seconds."


@pytest.mark.parametrize("kind", [*NUMBERS, "timestamp"])
def test_check_difference_0_is_any_change(kind: str) -> None:
    assert parse("differential 0", kind).difference == 0


@pytest.mark.parametrize("kind", NUMBERS)
def test_check_difference_0_is_any_change_in_the_rate_form_too(kind: str) -> None:
    assert parse("differential-rate 0 1 2", kind).difference == 0


@pytest.mark.parametrize(
    ("strategy", "kind", "text"),
    [
        ("differential -1", "integer", "The diff amount must be a positive integer."),
        ("differential -0.5", "float", "The diff amount must be a positive float."),
        ("differential -1", "timestamp", "The diff amount must be a positive number of seconds."),
        ("differential-rate -1 0 10", "integer", "The diff amount must be a positive integer."),
        ("differential-rate -1 0 10", "float", "The diff amount must be a positive float."),
    ],
)
def test_check_difference_below_0_fails(strategy: str, kind: str, text: str) -> None:
    assert refusal(strategy, kind) == text


@pytest.mark.parametrize("difference", ["1.5", "1.0", "1e3", "x", "1_0", "0x1"])
@pytest.mark.parametrize("strategy", ["differential {}", "differential-rate {} 0 10"])
def test_check_difference_of_an_integer_is_an_integer(strategy: str, difference: str) -> None:
    assert refusal(strategy.format(difference)) == (
        f"Could not parse difference '{difference}' as an integer."
    )


def test_differences_may_have_a_sign() -> None:
    assert parse("differential +3").difference == 3
    assert parse("differential -0").difference == 0
    assert type(parse("differential 3").difference) is int
    assert type(parse("differential 3", "float").difference) is float


RATES = "The shortest and longest periods must satisfy 0 <= shortest_period <= longest_period"


@pytest.mark.parametrize("strategy", ["event-rate {} {}", "differential-rate 1 {} {}"])
@pytest.mark.parametrize(("low", "high"), [("-1", "2"), ("-0.001", "0"), ("-inf", "1")])
def test_check_shortest_below_0_fails(strategy: str, low: str, high: str) -> None:
    assert refusal(strategy.format(low, high)) == RATES


@pytest.mark.parametrize("strategy", ["event-rate {} {}", "differential-rate 1 {} {}"])
@pytest.mark.parametrize(("low", "high"), [("0.5", "0.1"), ("1", "0"), ("1", "-1"), ("1", "-inf")])
def test_check_shortest_above_longest_fails(strategy: str, low: str, high: str) -> None:
    assert refusal(strategy.format(low, high)) == RATES


@pytest.mark.parametrize("strategy", ["event-rate 0 0", "differential-rate 1 0 0.0"])
def test_check_longest_0_fails(strategy: str) -> None:
    assert refusal(strategy) == "The longest period must be more than 0."


@pytest.mark.parametrize("longest", ["inf", "1e99", "INF", "infinity", "+inf"])
def test_check_longest_without_end_is_no_heartbeat(longest: str) -> None:
    plan = parse(f"event-rate 1 {longest}")
    assert plan.longest >= 1e99
    sampler = plan.sampler()
    sampler.sent(0.0, Reading(0.0, NOMINAL, 1))
    assert sampler.wake_at >= 1e99


@pytest.mark.parametrize(
    ("strategy", "kind"),
    [
        ("period nan", "integer"),
        ("event-rate nan 1", "integer"),
        ("event-rate 1 nan", "integer"),
        ("differential nan", "float"),
        ("differential nan", "timestamp"),
        ("differential-rate nan 1 2", "float"),
        ("differential-rate 1 nan 2", "float"),
        ("differential-rate 1 1 NaN", "float"),
    ],
)
def test_check_nan_anywhere_fails(strategy: str, kind: str) -> None:
    assert refusal(strategy, kind).endswith("must not be nan.")


@pytest.mark.parametrize("strategy", ["period inf", "event-rate inf inf", "event-rate inf 1e999"])
def test_check_period_or_shortest_without_end_fails(strategy: str) -> None:
    assert "must" in refusal(strategy)


@pytest.mark.parametrize("strategy", ["nope", "EVENT", "Event", "event_rate", "rate"])
def test_check_unknown_strategy_or_wrong_case_fails(strategy: str) -> None:
    assert refusal(strategy) == f"Unknown strategy name: {strategy}."
    assert refusal(strategy, major=4) == f"Unknown strategy name: {strategy}."


def test_what_is_said_of_an_unknown_strategy_is_short_and_printable() -> None:
    with pytest.raises(ValueError) as caught:
        parse_strategy(b"\xff" * 1000, [], sensor_of("integer"))
    assert str(caught.value).startswith(r"Unknown strategy name: \xff\xff")
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("raw", ["abc", "1e-3x", "1_0", "0x10", "now"])
@pytest.mark.parametrize(
    ("strategy", "what"),
    [
        ("period {}", "period"),
        ("event-rate {} 1", "shortest period"),
        ("event-rate 0 {}", "longest period"),
    ],
)
def test_times_are_decimal_numbers(strategy: str, what: str, raw: str) -> None:
    assert refusal(strategy.format(raw)) == f"Could not parse {what} '{raw}' as a number."


@pytest.mark.parametrize("raw", [b"", b" 1", b"1 ", b"\xd9\xa1", b"\xff"])
def test_times_are_nothing_but_digits(raw: bytes) -> None:
    with pytest.raises(ValueError, match="Could not parse period"):
        parse_strategy(b"period", [raw], sensor_of("integer"))


def test_the_difference_of_a_float_is_a_decimal_number() -> None:
    assert refusal("differential x", "float") == "Could not parse difference 'x' as a number."


def test_w32_periods_have_a_floor() -> None:
    assert PERIOD_FLOOR == 0.001
    assert parse("period 0.001").shortest == 0.001
    assert refusal("period 0.0009") == "The period must be at least 0.001 s."
    assert parse("period 0.0009", period_floor=0.0005).shortest == 0.0009
    assert refusal("period 1", period_floor=2.0) == "The period must be at least 2 s."


def test_w32_heartbeats_have_a_floor() -> None:
    assert parse("event-rate 0 0.0001").longest == 0.001
    assert parse("event-rate 0 1", period_floor=2.0).longest == 2.0


def test_version_4_counts_in_milliseconds() -> None:
    assert parse("period 2000", major=4).shortest == 2.0
    assert parse("period 2000", major=4).params == (b"2000",)
    assert parse("period 1500.9", major=4).shortest == pytest.approx(1.5009)
    assert refusal("period 0.5", major=4) == "The period must be at least 0.001 s."


def test_w31_version_4_differences_of_times_are_in_milliseconds() -> None:
    assert parse("differential 1500", "timestamp", major=4).difference == 1.5
    assert parse("differential 1500", "timestamp").difference == 1500.0
    assert parse("differential 1500", "integer", major=4).difference == 1500
    assert parse("differential 1500", "float", major=4).difference == 1500.0


@pytest.mark.parametrize("strategy", ["event-rate 100 1000", "differential-rate 1 100 1000"])
def test_version_4_has_no_rate_strategies(strategy: str) -> None:
    name = strategy.split()[0]
    assert refusal(strategy, major=4) == f"Strategy {name} not allowed for version 4 of katcp"


def test_parameters_are_kept_as_they_were_written() -> None:
    assert parse("event-rate 2.50 1e1").params == (b"2.50", b"1e1")


def test_a_plan_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        parse("event").name = b"auto"  # type: ignore[misc]


def test_the_plan_of_a_client_that_has_set_none() -> None:
    assert parse("none") == NONE
    sampler = NONE.sampler()
    assert sampler.wake_at == NEVER
    assert not sampler.offer(1.0, Reading(1.0, NOMINAL, 1))
    assert not sampler.wake(1e9)


@given(st.binary(max_size=20), st.lists(st.binary(max_size=10), max_size=4))
def test_nonsense_is_a_value_error(name: bytes, params: list[bytes]) -> None:
    for strategy in (name, b"period", b"differential", b"event-rate", b"differential-rate"):
        try:
            taken = parse_strategy(strategy, params, sensor_of("float")).params
        except ValueError:
            taken = None
        assert taken in (None, tuple(params))


# -- what is news --------------------------------------------------------------------------

NAN, INF = math.nan, math.inf


def reading(value: Any, status: int = NOMINAL, timestamp: float = 0.0) -> Reading:
    return Reading(timestamp, status, value)


@pytest.mark.parametrize(
    ("old", "new", "differs"),
    [
        (1, 1, False),
        (1, 2, True),
        (1, 1.0, False),
        ("a", "a", False),
        ("a", "b", True),
        (("h", 1), ("h", None), True),
        (NAN, NAN, False),
        (NAN, 1.0, True),
        (1.0, NAN, True),
        (INF, INF, False),
        (INF, -INF, True),
        (0.0, -0.0, False),
    ],
)
def test_events_are_changes_of_value_and_two_nans_are_the_same(
    old: Any, new: Any, differs: bool
) -> None:
    assert event_differs(reading(new), reading(old)) is differs
    assert event_differs(reading(new, timestamp=9.0), reading(old)) is differs
    assert event_differs(reading(new, WARN), reading(old))


@pytest.mark.parametrize(
    ("old", "new", "difference", "exceeds"),
    [
        (1.0, 1.5, 0.5, False),
        (1.0, 1.5000001, 0.5, True),
        (1.0, 0.5, 0.5, False),
        (1.0, 0.4, 0.5, True),
        (3, 5, 2, False),
        (3, 6, 2, True),
        (3, 3, 0, False),
        (3, 4, 0, True),
        (NAN, NAN, 0.5, False),
        (NAN, 1.0, 0.5, True),
        (1.0, NAN, 0.5, True),
        (NAN, INF, 0.5, True),
        (INF, NAN, 0.5, True),
        (INF, INF, 0.5, False),
        (INF, -INF, 0.5, True),
        (1.0, INF, 0.5, True),
        (-INF, 1.0, 0.5, True),
        (1.0, INF, INF, True),
        (INF, 1.0, INF, True),
        (1.0, 1e308, INF, False),
        (10**400, 1.0, 0.5, True),
        (10**400, 10**400, 0.5, False),
        (10**400, 10**400 + 1, 2, False),
        (None, 1.0, 0.5, True),
        (None, None, 0.5, False),
    ],
)
def test_differences_with_nan_and_infinity(
    old: Any, new: Any, difference: Any, exceeds: bool
) -> None:
    assert difference_exceeds(reading(new), reading(old), difference) is exceeds
    assert difference_exceeds(reading(new, WARN), reading(old), difference)


# -- timelines -----------------------------------------------------------------------------


def run(timeline: Timeline) -> list[timelines.Sent]:
    """Run one sampler through a timeline as its owner would."""
    plan = parse(timeline.strategy, "float")
    sampler = plan.sampler()
    present = reading(timeline.first)
    sent: list[timelines.Sent] = []

    def send(now: float) -> None:
        sent.append((now, present.value, present.status))
        sampler.sent(now, present)

    def wake_until(end: float) -> None:
        while sampler.wake_at <= end:
            now = sampler.wake_at
            assert sampler.wake(now)
            send(now)

    send(0.0)
    for when, value, status in timeline.sets:
        wake_until(math.nextafter(when, 0))
        present = reading(value, status, when)
        if sampler.offer(when, present):
            send(when)
        # A change that falls together with a wake-up time is made first.
        wake_until(when)
    wake_until(timeline.end)
    return sent


@pytest.mark.parametrize("timeline", TIMELINES, ids=lambda timeline: timeline.label)
def test_timeline(timeline: Timeline) -> None:
    assert run(timeline) == timelines.approx(timeline.sent)


def test_after_none_nothing_is_sent() -> None:
    assert run(Timeline("none", "none", 1.0, [Set(0.1, 2.0)], [], 9.0)) == [(0.0, 1.0, NOMINAL)]


times = st.integers(0, 40).map(lambda n: n / 8)  # exact in binary, so that sums are exact
values = st.sampled_from([1.0, 1.25, 1.5, 2.0, 3.0, -1.0, NAN, INF, -INF])
histories = st.lists(
    st.builds(Set, times, values, st.sampled_from([NOMINAL, NOMINAL, WARN])), max_size=12
).map(lambda sets: sorted(sets, key=lambda one: one.when))
strategies = st.one_of(
    st.sampled_from(["auto", "event", "differential 0", "differential 0.25", "differential 1"]),
    st.builds(
        lambda low, extra: f"event-rate {low} {low + extra}",
        st.sampled_from([0, 0.125, 0.5, 1]),
        st.sampled_from([0.125, 0.5, 2, INF]),
    ),
    st.builds(
        lambda d, low, extra: f"differential-rate {d} {low} {low + extra}",
        st.sampled_from([0, 0.25, 1]),
        st.sampled_from([0, 0.125, 0.5, 1]),
        st.sampled_from([0.125, 0.5, 2, INF]),
    ),
    st.sampled_from(["period 0.125", "period 0.5", "period 2"]),
)


@given(strategies, values, histories)
def test_samplers_follow_the_algorithm_of_the_guidelines(
    strategy: str, first: float, sets: list[Set]
) -> None:
    timeline = Timeline("drawn", strategy, first, sets, [], 8.0)
    expected = timelines.naive(timeline)
    assert list(map(repr, run(timeline))) == list(map(repr, expected))


# -- the grid ------------------------------------------------------------------------------


def test_ticks_lie_on_a_grid_from_the_first_report() -> None:
    sampler = parse("period 0.5").sampler()
    sampler.sent(10.0, reading(1))
    assert sampler.wake_at == 10.5
    assert not sampler.offer(10.2, reading(2))
    assert not sampler.wake(10.4)
    assert sampler.wake(10.5)
    sampler.sent(10.6, reading(1))  # a little late
    assert sampler.wake_at == 11.0


def test_ticks_that_were_missed_are_skipped() -> None:
    sampler = parse("period 0.5").sampler()
    sampler.sent(0.0, reading(1))
    sampler.sent(2.3, reading(1))
    assert sampler.wake_at == 2.5
    sampler.sent(2.5, reading(1))
    assert sampler.wake_at == 3.0


@given(
    st.floats(0, 1e6),
    st.floats(0.001, 1e5),
    st.integers(0, 10**6),
    st.floats(0, 1, exclude_max=True),
)
def test_the_next_tick_is_after_now_and_at_most_a_period_away(
    origin: float, period: float, count: int, fraction: float
) -> None:
    now = origin + count * period + fraction * period
    tick = next_tick(origin, period, now)
    assert tick > now
    assert tick - now <= period * (1 + 1e-9) + 1e-9 * max(now, 1.0)
    steps = (tick - origin) / period
    assert steps == pytest.approx(round(steps), abs=1e-6 * max(steps, 1.0))
