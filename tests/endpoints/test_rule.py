"""When a check broadcasts: the table, and what counts as a change."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from katcp.endpoints._logging._rule import LoggingRule, Reference, as_number


def broadcasts(rule: LoggingRule, values: list[Any], step: float = 1.0) -> list[int]:
    """Check values one `step` after the other; return the numbers of those broadcast."""
    last = None
    told = []
    for number, value in enumerate(values):
        now = 1000.0 + number * step
        if rule.reason(last, now, value) is not None:
            last = Reference(value, now)
            told.append(number)
    return told


# -- the table --------------------------------------------------------------------------


def test_drip_log_01_without_limits_each_check_broadcasts() -> None:
    assert broadcasts(LoggingRule(), [5, 5, 5, "on", "on"]) == [0, 1, 2, 3, 4]


def test_drip_log_02_by_age_the_first_check_beyond_the_limit() -> None:
    assert broadcasts(LoggingRule(max_interval=2.5), [5] * 10) == [0, 3, 6, 9]


def test_an_age_of_just_the_limit_is_not_beyond_it() -> None:
    assert broadcasts(LoggingRule(max_interval=3), [5] * 9) == [0, 4, 8]


@pytest.mark.parametrize("step", [0.1, 0.3, 1 / 3])
def test_rounding_of_times_does_not_matter(step: float) -> None:
    told = broadcasts(LoggingRule(max_interval=3 * step), [5] * 1000, step)
    assert told == list(range(0, 1000, 4))


def test_by_age_alone_a_change_does_not_matter() -> None:
    assert broadcasts(LoggingRule(max_interval=2.5), [1, 2, "x", 4]) == [0, 3]


@pytest.mark.parametrize(
    ("value", "told"), [(10.9, False), (11.2, True), (8.8, True), (11.0, False), (9.0, False)]
)
def test_drip_log_03_by_fraction(value: float, told: bool) -> None:
    rule = LoggingRule(max_fractional_change=0.1)
    assert broadcasts(rule, [10, value]) == ([0, 1] if told else [0])


def test_drip_log_04_a_drift_is_compared_with_the_last_broadcast() -> None:
    assert broadcasts(LoggingRule(max_fractional_change=0.1), [10, 10.5, 11.0, 11.5]) == [0, 3]


def test_drip_log_05_from_zero_and_below_zero() -> None:
    rule = LoggingRule(max_fractional_change=0.1)
    assert broadcasts(rule, [0, 0, 0.0, -0.0, 0.0001]) == [0, 4]
    assert broadcasts(rule, [-10, -10.9, -9.1, -11.2]) == [0, 3]
    assert broadcasts(rule, [-10, 10]) == [0, 1]


def test_either_limit_will_do() -> None:
    rule = LoggingRule(max_interval=2.5, max_fractional_change=0.1)
    assert broadcasts(rule, [10, 12, 12, 12, 12, 13, 14]) == [0, 1, 4, 6]


def test_by_an_absolute_change() -> None:
    rule = LoggingRule(max_absolute_change=0.5)
    assert broadcasts(rule, [10, 10.5, 10.6, 10.1, 10.0]) == [0, 2, 4]
    both = LoggingRule(max_absolute_change=5, max_fractional_change=0.1)
    assert broadcasts(both, [10, 11.5, 100, 105, 106]) == [0, 1, 2, 4]


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        (LoggingRule(), "always"),
        (LoggingRule(max_interval=1), "interval"),
        (LoggingRule(max_fractional_change=0.1), "change"),
        (LoggingRule(max_absolute_change=0.1), "change"),
    ],
)
def test_the_reason_is_told(rule: LoggingRule, reason: str) -> None:
    assert rule.reason(None, 0, 5) == "first"
    assert rule.reason(Reference(5, 0.0), 10, 50) == reason
    assert (rule.reason(Reference(5, 0.0), 0.5, 5) is None) == (rule != LoggingRule())


# -- what is a change -------------------------------------------------------------------


def test_drip_log_06_texts() -> None:
    rule = LoggingRule(max_fractional_change=0.1)
    assert broadcasts(rule, ["open", "open", "closed", "closed", "open"]) == [0, 2, 4]
    assert broadcasts(rule, [10, "broken", "broken", 10, 10.1]) == [0, 1, 3]


def test_drip_log_06_texts_that_are_numbers_are_numbers() -> None:
    rule = LoggingRule(max_fractional_change=0.1)
    assert broadcasts(rule, ["10", "10.9", "1.12e1", b"11.3", 11.3, " 20 "]) == [0, 2, 5]


def test_drip_log_06_nan() -> None:
    rule = LoggingRule(max_fractional_change=0.1)
    nan = math.nan
    assert broadcasts(rule, [nan, nan, 5, 5, nan, "nan", 5]) == [0, 2, 4, 6]


def test_drip_log_06_truth_values_are_no_numbers() -> None:
    rule = LoggingRule(max_fractional_change=0.1)
    assert broadcasts(rule, [True, True, False, 0, False, 1]) == [0, 2, 3, 4, 5]


def test_infinities() -> None:
    rule = LoggingRule(max_fractional_change=0.1)
    inf = math.inf
    assert broadcasts(rule, [inf, inf, 5, inf, -inf, -inf]) == [0, 2, 3, 4]


def test_integers_beyond_all_floats() -> None:
    rule = LoggingRule(max_fractional_change=0.1, max_absolute_change=10)
    huge = 10**400
    assert broadcasts(rule, [huge, huge, huge + 5, huge * 2, 1]) == [0, 2, 3, 4]


def test_bytes_and_text_of_one_meaning_are_equal() -> None:
    rule = LoggingRule(max_fractional_change=0.1)
    assert broadcasts(rule, ["ä", "ä".encode(), b"\xff", "\udcff"]) == [0, 2]


class Strange:
    """Not comparable."""

    def __ne__(self, other: object) -> bool:
        raise RuntimeError

    __hash__ = None  # type: ignore[assignment]


def test_what_cannot_be_compared_has_changed() -> None:
    rule = LoggingRule(max_fractional_change=0.1)
    assert broadcasts(rule, [Strange(), Strange()]) == [0, 1]


def test_a_value_that_goes_and_comes_back_is_told_once_each() -> None:
    for rule in (LoggingRule(max_fractional_change=0.1), LoggingRule(max_absolute_change=1)):
        assert broadcasts(rule, [5, None, None, 5, 5, None]) == [0, 1, 3, 5]
    assert broadcasts(LoggingRule(), [5, None, None, 5, 5]) == [0, 1, 3, 4]
    assert broadcasts(LoggingRule(max_interval=2.5), [5, None, None, None, 5, 5]) == [0, 4]


def test_without_a_value_at_first_nothing_is_told() -> None:
    for rule in (LoggingRule(), LoggingRule(max_interval=1), LoggingRule(max_absolute_change=1)):
        assert broadcasts(rule, [None, None, 5]) == [2]


def test_drip_log_07_after_more_than_a_day() -> None:
    rule = LoggingRule(max_interval=100)
    assert rule.reason(Reference(5, 0.0), 25 * 3600.0, 5) == "interval"
    assert broadcasts(LoggingRule(max_interval=86400), [5] * 30, 3600) == [0, 25]


# -- numbers ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (5, 5),
        (0.5, 0.5),
        (Decimal("0.5"), 0.5),
        ("5", 5),
        ("0.5", 0.5),
        (b" -1e3 ", -1000.0),
        ("", None),
        ("0x10", None),
        ("1_000", None),
        ("5 K", None),
        (b"\xff", None),
        ("1" * 401, None),
        (True, None),
        (None, None),
        ([5], None),
    ],
)
def test_numbers(value: Any, number: Any) -> None:
    found = as_number(value)
    assert found == number
    assert (found is None) == (number is None)


values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.binary(max_size=5),
    st.floats().map(str),
)
limits = st.floats(min_value=0, max_value=1e6)


@given(limits, limits, limits, st.lists(values, max_size=8))
def test_whatever_the_values_it_decides(
    interval: float, fraction: float, absolute: float, given_values: list[Any]
) -> None:
    rule = LoggingRule(interval, fraction, absolute)
    told = broadcasts(rule, given_values)
    there = [n for n, value in enumerate(given_values) if value is not None]
    assert told[:1] == there[:1]  # the first value is always told


@given(values, limits.filter(bool))
def test_no_value_differs_from_itself(value: Any, fraction: float) -> None:
    assert not LoggingRule(max_fractional_change=fraction).is_change(value, value)


# -- settings ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["max_interval", "max_fractional_change", "max_absolute_change"])
@pytest.mark.parametrize("value", [-1, -0.001, math.nan, math.inf, "5", None, True])
def test_bad_limits_are_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=name):
        LoggingRule(**{name: value})


def test_the_field_is_one_of_two() -> None:
    assert LoggingRule(check_field="value_cal").check_field == "value_cal"
    with pytest.raises(ValueError, match="value_raw, value_cal"):
        LoggingRule(check_field="cal")
