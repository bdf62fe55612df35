"""A table of readings that is kept up to date on the terminal."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from typing import Any

from katcp.apps.cli._escape import visible
from katcp.apps.cli._format import Line, Piece, rate_text
from katcp.apps.cli._layout import Layout, Row, to_text
from katcp.apps.cli._model import Reading, SensorInfo
from katcp.apps.cli._screen import can_show
from katcp.apps.cli._trend import ASCII_BLOCKS, BLOCKS, Trend, has_numbers
from katcp.apps.cli._verbs import Here

#: Over how long the rate of updates is told [s].
_RATE_SPAN = 5.0
#: Lines of the terminal that are not for rows: heading, names of columns, where in the list it is.
_OTHER_LINES = 3
#: From so many columns on, there is room for the rate of updates.
_WIDE = 60


class Table:
    """The last readings of sensors, with their age and trend.

    Parameters
    ----------
    here : Here
    """

    def __init__(self, here: Here) -> None:
        self._address = here.asker.address
        self._major = here.asker.major
        fine = can_show(BLOCKS + "…", here.screen.out)
        self._blocks, self._dots = (BLOCKS, "…") if fine else (ASCII_BLOCKS, "~")
        self._rows: dict[str, Row] = {}
        self._updates: deque[float] = deque()
        self._began = time.monotonic()
        self._first = 0  # row at the top
        #: What is to be told when the table is no longer in the way.
        self.notes: list[str] = []

    # -- what it is told ----------------------------------------------------------------

    def expect(self, sensors: Mapping[str, SensorInfo]) -> None:
        """Make rows for sensors."""
        for name, info in sensors.items():
            self._rows[name] = Row(info, Trend(info, self._major) if has_numbers(info) else None)

    def take(self, reading: Reading, info: SensorInfo) -> None:
        """Show a reading in the row of its sensor."""
        row = self._rows.get(reading.name)
        if row is None:
            return
        row.reading = reading
        if row.trend is not None:
            row.trend.add(reading)
        self._updates.append(time.monotonic())

    def lose(self, name: str) -> None:
        """Take the row of a sensor away."""
        if self._rows.pop(name, None) is not None:
            self.notes.append(f"sensor {visible(name)} is gone")

    def flush(self) -> None:
        """Do nothing: what has come is drawn at the next occasion."""

    # -- what is seen -------------------------------------------------------------------

    def draw(self, columns: int, height: int, going: bool) -> Any:
        """Return what is to be seen now.

        Parameters
        ----------
        columns, height : int
            Of the terminal.
        going : bool
            Whether keys still move it.
        """
        if not self._rows:
            return None
        room = max(1, height - _OTHER_LINES)
        rows = list(self._rows.values())
        self._first = max(0, min(self._first, len(rows) - room))
        shown = rows[self._first : self._first + room]
        layout = Layout(shown, columns, self._major, self._blocks, self._dots)
        now = time.time()
        lines = [self._heading(columns), layout.head(), *[layout.line(row, now) for row in shown]]
        if len(shown) < len(rows):
            where = f"{self._first + 1}-{self._first + len(shown)} of {len(rows)}"
            keys = "  arrows, PgUp, PgDn; q leaves" if going else ""
            lines.append([Piece(where + keys, "dim")])
        return to_text(lines, columns, self._dots)

    def _heading(self, columns: int) -> Line:
        now = time.monotonic()
        while self._updates and self._updates[0] < now - _RATE_SPAN:
            self._updates.popleft()
        rate = len(self._updates) / max(1.0, min(_RATE_SPAN, now - self._began))
        clock = time.strftime("%H:%M:%SZ", time.gmtime())
        count = f"{len(self._rows)} sensor{'s' if len(self._rows) != 1 else ''}"
        rates = f"  {rate_text(rate)} updates/s" if columns >= _WIDE else ""
        return [Piece(self._address, "name"), Piece(f"  {count}{rates}  {clock}", "dim")]

    def key(self, key: str, height: int) -> None:
        """Move the table by a key, as in a pager."""
        page = max(1, height - _OTHER_LINES)
        steps = {"up": -1, "k": -1, "down": 1, "j": 1, "pageup": -page, "pagedown": page, " ": page}
        if key in ("home", "g"):
            self._first = 0
        elif key in ("end", "G"):
            self._first = len(self._rows)
        else:
            self._first = max(0, self._first + steps.get(key, 0))
