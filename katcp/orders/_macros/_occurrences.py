"""When a macro is due: at given moments, or as five fields of a calendar say."""

from __future__ import annotations

import bisect
import datetime
import math
import re
import zoneinfo
from collections.abc import Iterable
from typing import NamedTuple, Protocol

#: Longest text of either form [characters], and most moments in a list.
MAX_TEXT = 20_000
MAX_MOMENTS = 1_000

#: How far a calendar is searched [days]: a 29 February may be eight years away.
_HORIZON = 366 * 8 + 2

#: Clocks are never put forward or back by more [min].
_SHIFT = 180

_DAY = datetime.timedelta(days=1)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


class Occurrences(Protocol):
    """When something is due."""

    @property
    def text(self) -> str:
        """The form in which `occurrences` takes it."""

    def after(self, moment: float) -> float | None:
        """Return the first occurrence after `moment`, or None [s since 1970]."""

    def latest(self, moment: float) -> float | None:
        """Return the last occurrence at or before `moment`, or None [s since 1970]."""


class Moments:
    """Given moments.

    Parameters
    ----------
    moments : iterable of float
        Seconds since 1970, at least one; each counts once.

    Raises
    ------
    ValueError
        If there is none, there are more than 1,000, or one of them is no finite number or lies
        before 1970.
    """

    def __init__(self, moments: Iterable[float]) -> None:
        self.moments = tuple(sorted(set(map(float, moments))))
        if not self.moments:
            raise ValueError("There is no moment at which it is due.")
        if len(self.moments) > MAX_MOMENTS:
            raise ValueError(f"There are {len(self.moments)} moments; {MAX_MOMENTS} at most.")
        for moment in self.moments:
            if not math.isfinite(moment) or moment < 0:
                raise ValueError(f"{moment} is no moment; it is in seconds since 1970.")

    @property
    def text(self) -> str:
        """The moments, with commas between them."""
        return ",".join(map(repr, self.moments))

    def after(self, moment: float) -> float | None:
        """Return the first moment after `moment`, or None [s since 1970]."""
        index = bisect.bisect_right(self.moments, moment)
        return self.moments[index] if index < len(self.moments) else None

    def latest(self, moment: float) -> float | None:
        """Return the last moment at or before `moment`, or None [s since 1970]."""
        index = bisect.bisect_right(self.moments, moment)
        return self.moments[index - 1] if index else None

    def __repr__(self) -> str:
        return f"Moments({list(self.moments)})"


class _Field(NamedTuple):
    name: str
    lowest: int
    highest: int
    words: tuple[str, ...] = ()


_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("weekday", 0, 7, _WEEKDAYS),
)

_PART = re.compile(r"(?:(\*)|(\w+)(?:-(\w+))?)(?:/(\d{1,4}))?", re.ASCII)


class Calendar:
    """Minutes of a calendar: ``minute hour day month weekday``.

    Each field is ``*``, or numbers and ranges with commas between them (``1,15-20``); a range or a
    ``*`` may have a step (``*/10``). Months and weekdays may be given by the first three letters
    of their English names; Sunday is 0 and 7. If both the day and the weekday are limited, a day
    counts for which either fits, as it has always been with ``cron``.

    A time that a zone skips when its clocks go forward does not occur; one that comes twice when
    they go back counts once, the first time.

    Parameters
    ----------
    text : str
        The five fields; before them ``TZ=`` and the name of a time zone, such as
        ``TZ=Europe/Berlin``, if it is not UTC.

    Raises
    ------
    ValueError
        For another text, an unknown zone, or fields that no day fits; it says which.
    """

    def __init__(self, text: str) -> None:
        zone, fields = _zone(text.split())
        if len(fields) != len(_FIELDS):
            raise ValueError(
                f"{text!r} has {len(fields)} fields; there have to be five: minute hour day month "
                "weekday."
            )
        self.text = " ".join([*([] if zone is None else [f"TZ={zone.key}"]), *fields])
        self._zone: datetime.tzinfo = datetime.timezone.utc if zone is None else zone
        minutes, hours, days, months, weekdays = (
            _read(field, part) for field, part in zip(_FIELDS, fields, strict=True)
        )
        self._minutes = [hour * 60 + minute for hour in hours for minute in minutes]
        self._times = [datetime.time(*divmod(minute, 60)) for minute in self._minutes]
        self._slack = 0 if zone is None else _SHIFT
        self._days = frozenset(days)
        self._months = frozenset(months)
        self._weekdays = frozenset(day % 7 for day in weekdays)
        self._either = not fields[2].startswith("*") and not fields[4].startswith("*")
        # Any moment will do: the calendar of eight years holds each kind of day.
        if self.after(0.0) is None:
            raise ValueError(f"No day fits {text!r}.")

    def after(self, moment: float) -> float | None:
        """Return the first occurrence after `moment` [s since 1970]."""
        return self._search(moment, _DAY)

    def latest(self, moment: float) -> float | None:
        """Return the last occurrence at or before `moment`, or None [s since 1970]."""
        return self._search(moment, -_DAY)

    def _search(self, moment: float, step: datetime.timedelta) -> float | None:
        """Return the nearest occurrence in a direction."""
        forward = step > datetime.timedelta()
        try:
            local = datetime.datetime.fromtimestamp(moment, self._zone)
            day = local.date()
            times = self._near(local, forward)
            for _ in range(_HORIZON):
                if self._falls_on(day):
                    for time in times:
                        found = self._moment(day, time)
                        if found is not None and (found > moment) is forward:
                            return found
                day += step
                times = self._times if forward else self._times[::-1]
        except (OverflowError, ValueError, OSError):  # beyond what dates can say
            pass
        return None

    def _near(self, local: datetime.datetime, forward: bool) -> list[datetime.time]:
        """Return the times of the first day that may fit: of a minute each there are 1,440."""
        minute = local.hour * 60 + local.minute
        if forward:
            return self._times[bisect.bisect_left(self._minutes, minute - self._slack) :]
        return self._times[bisect.bisect_right(self._minutes, minute + self._slack) - 1 :: -1]

    def _falls_on(self, day: datetime.date) -> bool:
        if day.month not in self._months:
            return False
        by_date = day.day in self._days
        by_weekday = day.isoweekday() % 7 in self._weekdays
        return by_date or by_weekday if self._either else by_date and by_weekday

    def _moment(self, day: datetime.date, time: datetime.time) -> float | None:
        local = datetime.datetime.combine(day, time, self._zone)
        moment = local.timestamp()
        there = datetime.datetime.fromtimestamp(moment, self._zone)
        return moment if there.replace(tzinfo=None) == local.replace(tzinfo=None) else None

    def __repr__(self) -> str:
        return f"Calendar({self.text!r})"


def _zone(words: list[str]) -> tuple[zoneinfo.ZoneInfo | None, list[str]]:
    if not words or not words[0].startswith("TZ="):
        return None, words
    name = words[0].removeprefix("TZ=")
    try:
        return zoneinfo.ZoneInfo(name), words[1:]
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name!r} is no time zone that is known here.") from None


def _read(field: _Field, text: str) -> list[int]:
    numbers: set[int] = set()
    for part in text.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise ValueError(f"{text!r} is no {field.name}.")
        star, first, last, step = match.groups()
        low = field.lowest if star else _number(field, first)
        if star or (step and not last):
            high = field.highest
        else:
            high = _number(field, last) if last else low
        if high < low or (step is not None and int(step) == 0):
            raise ValueError(f"{part!r} holds no {field.name}.")
        numbers.update(range(low, high + 1, int(step or 1)))
    return sorted(numbers)


def _number(field: _Field, text: str) -> int:
    if text.lower() in field.words:
        return field.words.index(text.lower()) + field.lowest
    if not text.isdecimal() or not field.lowest <= int(text[:9]) <= field.highest:
        raise ValueError(
            f"{text!r} is no {field.name}; it is from {field.lowest} to {field.highest}."
        )
    return int(text)


def occurrences(text: str) -> Occurrences:
    """Return what a text says of when something is due.

    Parameters
    ----------
    text : str
        Five fields, as for `Calendar`; or moments with commas between them, each in seconds since
        1970 or as a date and time of ISO 8601, which is of UTC if it has no offset.

    Raises
    ------
    ValueError
        For another text.
    """
    if len(text) > MAX_TEXT:
        raise ValueError(f"The text has {len(text)} characters; {MAX_TEXT} at most.")
    if text.startswith("TZ=") or len(text.split()) > 2:
        return Calendar(text)
    return Moments(_moment(part.strip()) for part in text.split(","))


def _moment(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        pass
    try:
        # Python 3.10 does not take the `Z`.
        date = datetime.datetime.fromisoformat(re.sub("[zZ]$", "+00:00", text))
    except ValueError:
        raise ValueError(
            f"{text!r} is no moment: neither seconds since 1970, nor a date and time, nor five "
            "fields of a calendar."
        ) from None
    if date.tzinfo is None:
        date = date.replace(tzinfo=datetime.timezone.utc)
    return date.timestamp()
