"""Silences: times of the week in which something is expected, and no alarm."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_POINT = re.compile(r"\s*([A-Za-z]{3})[a-z]*\s+(\d{1,2}):(\d{2})\s*", re.ASCII)
_DAY = 24 * 60


@dataclass(frozen=True)
class Silence:
    """A time of each week, in the local time of the device; it may go over Sunday night.

    Parameters
    ----------
    start : str
        Its first minute: a day, by its first three letters at least, and a time: ``Sun 22:00``.
    stop : str
        Its last minute, which belongs to it.

    Raises
    ------
    ValueError
        For a text that is no such point of the week.
    """

    start: str
    stop: str
    _first: int = field(init=False, repr=False, compare=False)
    _last: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_first", _minute_of_week(self.start))
        object.__setattr__(self, "_last", _minute_of_week(self.stop))

    def covers(self, when: datetime) -> bool:
        """Whether a local time is in it."""
        minute = when.weekday() * _DAY + when.hour * 60 + when.minute
        if self._first <= self._last:
            return self._first <= minute <= self._last
        return minute >= self._first or minute <= self._last


def _minute_of_week(text: str) -> int:
    match = _POINT.fullmatch(text)
    if match is not None and match[1].lower() in _DAYS:
        hours, minutes = int(match[2]), int(match[3])
        if hours < 24 and minutes < 60:
            return _DAYS.index(match[1].lower()) * _DAY + hours * 60 + minutes
    raise ValueError(f"{text!r} is no point of the week, such as 'Sun 22:00'")
