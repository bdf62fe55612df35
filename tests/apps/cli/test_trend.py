"""Numbers of readings, and small pictures of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from katcp.apps.cli._model import Reading, SensorInfo
from katcp.apps.cli._trend import ASCII_BLOCKS, KEPT, Trend, number_of, spark


@pytest.mark.parametrize(
    ("numbers", "picture"),
    [
        ([], ""),
        ([None, None], ""),
        ([5.0], "▄"),
        ([2.0, 2.0], "▄▄"),
        ([0.0, 7.0], "▁█"),
        ([0.0, None, 7.0], "▁ █"),
        ([-1e308, 0.0, 1e308], "▁▅█"),
    ],
)
def test_spark(numbers: Sequence[float | None], picture: str) -> None:
    assert spark(numbers) == picture


@given(st.lists(st.none() | st.floats(allow_nan=False, allow_infinity=False)))
def test_any_numbers_have_a_picture(numbers: list[float | None]) -> None:
    picture = spark(numbers, ASCII_BLOCKS)
    assert len(picture) == (len(numbers) if any(n is not None for n in numbers) else 0)


@pytest.mark.parametrize(
    ("kind", "raw", "status", "number"),
    [
        ("integer", b"3", "nominal", 3.0),
        ("integer", b"9" * 400, "nominal", None),
        ("float", b"2.5", "warn", 2.5),
        ("float", b"nan", "nominal", None),
        ("float", b"inf", "nominal", None),
        ("float", b"2.5", "failure", None),
        ("float", b"x", "nominal", None),
        ("boolean", b"1", "nominal", 1.0),
        ("discrete", b"b", "nominal", 1.0),
        ("discrete", b"other", "nominal", None),
        ("string", b"3", "nominal", None),
    ],
)
def test_what_counts_as_a_number(kind: str, raw: bytes, status: str, number: float | None) -> None:
    info = SensorInfo("s", type=kind, params=(b"a", b"b"))
    assert number_of(Reading("s", 1.0, status, raw), info, 5) == number


def test_a_trend_keeps_the_last_readings() -> None:
    trend = Trend(SensorInfo("s", type="integer"), 5)
    for number in range(1000):
        trend.add(Reading("s", 1.0, "nominal", b"%d" % number))
    assert len(trend.picture(1000)) == KEPT
    assert trend.picture(2) == "▁█"
    assert not math.isnan(len(trend.picture(0)))
