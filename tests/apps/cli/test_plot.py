"""Curves of sensors: which parts they have, and that the picture fits."""

from __future__ import annotations

import time
from typing import Any

import pytest

from katcp.apps.cli._errors import Refused
from katcp.apps.cli._format import width
from katcp.apps.cli._grammar import parse_pattern, parse_strategy
from katcp.apps.cli._model import Reading, SensorInfo
from katcp.apps.cli._plot import Curve, Plot, plot
from tests.apps.cli.helpers import here
from tests.helpers.scripted import Device


def curve(kind: str, *readings: tuple[float, str, str]) -> Curve:
    made = Curve(SensorInfo("s", type=kind, params=(b"a", b"b")), 5, 60.0)
    for moment, status, value in readings:
        made.add(Reading("s", moment, status, value.encode()))
    return made


def test_a_float_is_joined_by_lines_and_held_to_the_end() -> None:
    made = curve("float", (90.0, "nominal", "1"), (95.0, "nominal", "3"))
    assert made.pieces(100.0, 20.0) == [([-10.0, -5.0, 0.0], [1.0, 3.0, 3.0])]


def test_a_discrete_value_stays_until_the_next() -> None:
    made = curve("discrete", (90.0, "nominal", "a"), (95.0, "nominal", "b"))
    assert made.pieces(100.0, 20.0) == [([-10.0, -5.0, -5.0, 0.0], [0.0, 0.0, 1.0, 1.0])]


def test_what_does_not_count_leaves_a_gap() -> None:
    made = curve("float", (90.0, "nominal", "1"), (92.0, "failure", "7"), (96.0, "nominal", "2"))
    assert made.pieces(100.0, 20.0) == [
        ([-10.0, -8.0], [1.0, 1.0]),
        ([-4.0, 0.0], [2.0, 2.0]),
    ]


def test_what_is_older_than_the_window_says_how_it_began() -> None:
    made = curve("float", (10.0, "nominal", "1"), (20.0, "nominal", "2"), (99.0, "nominal", "3"))
    assert made.pieces(100.0, 10.0) == [([-10.0, -1.0, 0.0], [2.0, 3.0, 3.0])]


def test_a_clock_that_is_ahead() -> None:
    made = curve("float", (99.0, "nominal", "1"), (105.0, "nominal", "2"))
    (piece,) = made.pieces(100.0, 10.0)
    assert max(piece[0]) == 0.0


def picture(place: Any, columns: int, height: int, *infos: SensorInfo, value: str = "1") -> Any:
    made = Plot(place, 60.0)
    made.expect({info.name: info for info in infos})
    assert made.draw(columns, height, True) is None  # nothing has come yet
    for info in infos:
        made.take(Reading(info.name, time.time() - 5, "nominal", value.encode()), info)
    return made


@pytest.mark.parametrize("columns", [40, 80, 200])
async def test_the_picture_fits(columns: int) -> None:
    async with Device() as device, here(device) as (place, _):
        made = picture(place, columns, 24, SensorInfo("a" * 300, "", "K\x1b[2J", "float"))
        lines = made.picture(columns, 20).splitlines()
        assert all(width(line) <= columns for line in lines)
        assert all(line.isprintable() for line in lines)
        assert len(lines) <= 20


async def test_words_stand_at_the_side() -> None:
    async with Device() as device, here(device) as (place, _):
        info = SensorInfo("mode", "", "", "discrete", (b"idle", b"cool\x1b"))
        text = picture(place, 60, 20, info, value="idle").picture(60, 20)
        assert "idle+" in text
        assert "cool\\x1b+" in text


async def test_what_cannot_be_plotted() -> None:
    async with Device() as device, here(device) as (place, _):
        made = Plot(place, 60.0)
        with pytest.raises(Refused, match="'a' cannot be plotted: it is of type string"):
            made.expect({"a": SensorInfo("a")})
        with pytest.raises(Refused, match="7 sensors match: at most 6"):
            made.expect({str(n): SensorInfo(str(n), type="float") for n in range(7)})


async def test_without_a_terminal_the_picture_is_printed_in_the_end() -> None:
    async with Device(sensors={"a": "A V float"}) as device, here(device) as (place, paper):
        strategy = parse_strategy(["event"])
        assert await plot(place, [parse_pattern("a")], strategy, 60.0, count=1) == 0
        assert paper.shown[0] == "a 3 V, nominal"
        assert len(paper.shown) > 10
