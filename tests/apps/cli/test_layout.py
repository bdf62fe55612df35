"""The table fits the terminal, whatever is in it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from katcp.apps.cli._format import plain, width
from katcp.apps.cli._layout import Layout, Row, fit, to_text
from katcp.apps.cli._model import Reading, SensorInfo
from katcp.apps.cli._trend import BLOCKS, Trend

NOW = 100.0


def row(name: str, value: str = "1.5", status: str = "nominal", units: str = "K") -> Row:
    info = SensorInfo(name, "", units, "float")
    trend = Trend(info, 5)
    made = Row(info, trend, Reading(name, NOW - 5, status, value.encode()))
    for number in range(5):
        trend.add(Reading(name, NOW, "nominal", b"%d" % number))
    return made


def drawn(rows: list[Row], columns: int) -> list[str]:
    layout = Layout(rows, columns, 5, BLOCKS, "…")
    return [plain(layout.head()), *[plain(layout.line(each, NOW)) for each in rows]]


def test_a_wide_terminal_shows_all() -> None:
    assert drawn([row("pump.speed"), row("x", "2", "unreachable", "")], 100) == [
        "sensor      value  status       age   trend",
        "pump.speed  1.5 K  nominal      5s    ▁▃▅▆█",
        "x           (2)    unreachable  5s    ▁▃▅▆█",
    ]


def test_a_narrow_terminal_leaves_out_what_it_can() -> None:
    long = "rack.board.temperature-of-the-inlet"
    head, line = drawn([row(long, "123456789.25", "failure", "degC")], 40)
    assert "trend" not in head
    assert line.startswith("…")
    assert "inlet" in line
    assert "failu" in line
    assert line.endswith("5s")


def test_a_sensor_without_a_reading() -> None:
    info = SensorInfo("x", type="float")
    assert drawn([Row(info, Trend(info, 5))], 80)[1] == "x     -                   -"


@given(
    st.lists(st.tuples(st.text(max_size=60), st.text(max_size=60), st.text(max_size=9))),
    st.sampled_from([40, 41, 56, 72, 80, 200]),
)
def test_no_line_is_longer_than_the_terminal(
    texts: list[tuple[str, str, str]], columns: int
) -> None:
    rows = [row(name, value, units=units) for name, value, units in texts]
    layout = Layout(rows, columns, 5, BLOCKS, "…")
    lines = [layout.head(), *[layout.line(each, NOW) for each in rows]]
    for line in str(to_text(lines, columns, "…")).split("\n"):
        assert width(line) <= columns
        assert line.isprintable()


@pytest.mark.parametrize(
    ("text", "room", "tail", "fitted"),
    [
        ("abc", 5, False, "abc  "),
        ("abcdef", 4, False, "abc…"),
        ("abcdef", 4, True, "…def"),
        ("日本語", 4, False, "日… "),
    ],
)
def test_fit(text: str, room: int, tail: bool, fitted: str) -> None:
    assert fit(text, room, "…", tail) == fitted
