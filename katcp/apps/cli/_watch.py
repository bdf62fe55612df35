"""The verb ``watch``: readings as they come, in a table that lives, or a line each."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from katcp.apps.cli._escape import visible
from katcp.apps.cli._following import follow
from katcp.apps.cli._format import UpdateFormat
from katcp.apps.cli._grammar import Pattern, Strategy
from katcp.apps.cli._model import Reading, SensorInfo, reading_record
from katcp.apps.cli._screen import Screen, can_redraw
from katcp.apps.cli._verbs import Here


async def watch(
    here: Here,
    patterns: Sequence[Pattern],
    strategy: Strategy,
    count: int | None = None,
    duration: float | None = None,
    live: bool = False,
) -> int:
    """Print readings of sensors as they come; return the exit status in the end.

    Parameters
    ----------
    patterns, strategy, count, duration
        See `follow`.
    live : bool
        Whether to show them in a table that is kept up to date.
    """
    if not live:
        lines = Lines(here.screen, here.asker.major)
        return await follow(here, patterns, strategy, lines, count, duration)
    from katcp.apps.cli._stage import Stage  # takes a while to import
    from katcp.apps.cli._table import Table

    table = Table(here)
    try:
        return await Stage(here.screen, table.draw, table.key).until(
            follow(here, patterns, strategy, table, count, duration)
        )
    finally:
        for note in table.notes:
            here.screen.complain(note)


def wants_table(screen: Screen, plain: bool) -> bool:
    """Tell whether readings go into a table: not for programs, nor where nothing can be redrawn."""
    return not plain and not screen.json and can_redraw(sys.stdout)


class Lines:
    """Prints readings, a line each."""

    def __init__(self, screen: Screen, major: int) -> None:
        self._screen = screen
        self._major = major
        self._format = UpdateFormat(major)

    def expect(self, sensors: Mapping[str, SensorInfo]) -> None:
        """Make room for the names of sensors."""
        self._format.expect(sensors)

    def take(self, reading: Reading, info: SensorInfo) -> None:
        """Print a reading."""
        if self._screen.json:
            self._screen.record(reading_record(reading, info, self._major))
        else:
            self._screen.line(self._format.line(reading, info))

    def lose(self, name: str) -> None:
        """Tell that a sensor is gone."""
        self._screen.flush()
        self._screen.complain(f"sensor {visible(name)} is gone")

    def flush(self) -> None:
        """Let out what was printed."""
        self._screen.flush()
