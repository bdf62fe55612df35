"""Rows of a table that fits the terminal, however narrow that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from katcp.apps.cli._escape import visible
from katcp.apps.cli._format import (
    STYLES,
    Line,
    Piece,
    age_text,
    plain,
    status_piece,
    value_text,
    width,
)
from katcp.apps.cli._model import Reading, SensorInfo
from katcp.apps.cli._trend import Trend

#: From so many columns on, there is a trend, of at least and at most so many characters.
_WIDE, _TREND, _LONG_TREND = 72, 12, 40
#: From so many columns on, statuses are written in full.
_MEDIUM = 56

_GAP = "  "


@dataclass
class Row:
    """A sensor in the table.

    Attributes
    ----------
    info : SensorInfo
    trend : Trend or None
    reading : Reading or None
        The last.
    """

    info: SensorInfo
    trend: Trend | None = None
    reading: Reading | None = None


class Layout:
    """Which columns there are, and how wide.

    Parameters
    ----------
    rows : sequence of Row
    columns : int
        Of the terminal.
    major : int
        Version of the protocol.
    blocks : str
        Characters of trends, from the lowest on.
    dots : str
        Stands for what was left out; of one column.
    """

    def __init__(
        self, rows: Sequence[Row], columns: int, major: int, blocks: str, dots: str
    ) -> None:
        self._major = major
        self._blocks = blocks
        self._dots = dots
        self._full_status = columns >= _MEDIUM
        gap = len(_GAP)
        self._status = 11 if self._full_status else 5
        self._age = 4
        rest = columns - self._status - self._age - 3 * gap - 1
        self._trend = 0
        names = max([4, *(width(visible(row.info.name)) for row in rows)])
        values = max([5, *(width(self._value(row)) for row in rows)])
        if columns >= _WIDE and any(row.trend is not None for row in rows):
            self._trend = _TREND
            rest -= _TREND + gap
        self._name = min(names, max(rest - min(values, rest // 2), rest // 2))
        self._value_width = min(values, rest - self._name)
        if self._trend:
            spare = rest - self._name - self._value_width
            self._trend = min(_LONG_TREND, self._trend + spare)

    def head(self) -> Line:
        """Return the names of the columns."""
        texts = [
            ("sensor", self._name),
            ("value", self._value_width),
            ("status", self._status),
            ("age", self._age),
            ("trend", self._trend),
        ]
        shown = [fit(text, room, self._dots) for text, room in texts if room]
        return [Piece(_GAP.join(shown), "dim")]

    def line(self, row: Row, now: float) -> Line:
        """Return the line of a row."""
        reading = row.reading
        status = status_piece(reading.status) if reading is not None else Piece("", "dim")
        valid = reading is not None and reading.valid
        age = None if reading is None or reading.timestamp is None else now - reading.timestamp
        line = [
            Piece(fit(visible(row.info.name), self._name, self._dots, tail=True), "name"),
            Piece(_GAP),
            Piece(fit(self._value(row), self._value_width, self._dots), "" if valid else "dim"),
            Piece(_GAP),
            Piece(self._status_text(status.text), status.style),
            Piece(_GAP),
            Piece(fit(age_text(age), self._age, ""), "dim"),
        ]
        if self._trend and row.trend is not None:
            picture = row.trend.picture(self._trend, self._blocks)
            line += [Piece(_GAP), Piece(picture, status.style)]
        return line

    def _status_text(self, text: str) -> str:
        return fit(text, self._status, self._dots if self._full_status else "")

    def _value(self, row: Row) -> str:
        if row.reading is None:
            return "-"
        text = value_text(row.reading, row.info, self._major)
        return f"{text} {visible(row.info.units)}" if row.info.units else text


def fit(text: str, room: int, dots: str, tail: bool = False) -> str:
    """Return a text that is exactly so many columns wide.

    Parameters
    ----------
    text : str
    room : int
    dots : str
        Stands for what is left out.
    tail : bool
        Whether the end of it tells more than its beginning.
    """
    size = width(text)
    if size <= room:
        return text + " " * (room - size)
    while text and width(text) > room - len(dots):
        text = text[1:] if tail else text[:-1]
    text = dots + text if tail else text + dots
    return text + " " * (room - width(text))


def to_text(lines: Sequence[Line], columns: int, dots: str) -> Any:
    """Return lines as rich has them, cut at the end of the terminal."""
    from rich.text import Text

    texts = []
    for line in lines:
        if sum(width(piece.text) for piece in line) > columns:
            line = [Piece(fit(plain(line), columns, dots))]
        texts.append(Text.assemble(*[(p.text, STYLES.get(p.style, "")) for p in line]))
    return Text("\n", no_wrap=True, overflow="crop", end="").join(texts)
