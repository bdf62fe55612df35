"""The events of predicates: what was open from when to when, and who knows of it."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator
from typing import Any

from katcp.sensors import Sensor
from katcp.storage import Database, StorageError

log = logging.getLogger("katcp.endpoints")

#: Colours of events -> the status of the sensor of a predicate that is open.
COLOURS = {"white": Sensor.NOMINAL, "yellow": Sensor.WARN, "red": Sensor.ERROR}

_PART = "predicate-events"
_SCHEMA = (
    "CREATE TABLE predicate_events (event_id INTEGER PRIMARY KEY, predicate TEXT NOT NULL, "
    "colour TEXT NOT NULL, opened REAL NOT NULL, closed REAL, detail TEXT NOT NULL, "
    "acknowledged_by TEXT NOT NULL, acknowledged REAL)",
)
_SELECT = "SELECT * FROM predicate_events ORDER BY event_id"
_WRITE = "INSERT OR REPLACE INTO predicate_events VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_FORGET = "DELETE FROM predicate_events WHERE event_id = ?"


@dataclasses.dataclass(frozen=True)
class PredicateEvent:
    """Something that happened, or goes on.

    Attributes
    ----------
    event_id : int
        Counts up from 1.
    predicate : str
        Name of the predicate.
    colour : str
        ``white``, ``yellow`` or ``red``.
    opened : float
        [seconds since 1970].
    closed : float or None
        None: it goes on. Equal to `opened`: it was of no duration.
    detail : str
        What was seen when it opened.
    acknowledged_by : str
        Who knows of it; empty: nobody has said so.
    acknowledged : float or None
        When they said so [seconds since 1970].
    """

    event_id: int
    predicate: str
    colour: str
    opened: float
    closed: float | None = None
    detail: str = ""
    acknowledged_by: str = ""
    acknowledged: float | None = None


class EventLog:
    """Events by number; of too many the oldest are forgotten, those that are closed first.

    Parameters
    ----------
    most : int
        How many.
    database : Database, optional
        Where they are kept too, so that they outlive the process; it stays open.

    Raises
    ------
    katcp.storage.StorageError
        If they cannot be read.
    """

    def __init__(self, most: int = 1000, database: Database | None = None) -> None:
        if most < 1:
            raise ValueError(f"the number of events to keep must be positive, not {most}")
        self._most = most
        self._events: dict[int, PredicateEvent] = {}
        self._database = database
        if database is not None:
            database.prepare_now(_PART, _SCHEMA)
            for row in database.query_now(_SELECT):
                self._events[row[0]] = PredicateEvent(*row)
        self._next = max(self._events, default=0) + 1

    def __iter__(self) -> Iterator[PredicateEvent]:
        return iter(list(self._events.values()))

    def __len__(self) -> int:
        return len(self._events)

    def __getitem__(self, event_id: int) -> PredicateEvent:
        return self._events[event_id]

    def open(self, predicate: str, colour: str, now: float, detail: str) -> PredicateEvent:
        """Begin an event."""
        while len(self._events) >= self._most:
            closed = (one.event_id for one in self._events.values() if one.closed is not None)
            oldest = next(closed, next(iter(self._events)))
            del self._events[oldest]
            self._write(_FORGET, oldest)
        event = PredicateEvent(self._next, predicate, colour, now, detail=detail)
        self._next += 1
        return self._keep(event)

    def close(self, event_id: int, now: float) -> PredicateEvent | None:
        """End an event; None if it has been forgotten."""
        event = self._events.get(event_id)
        return None if event is None else self._keep(dataclasses.replace(event, closed=now))

    def acknowledge(self, event_id: int, who: str, now: float) -> PredicateEvent:
        """Note who knows of an event; the first stays.

        Raises
        ------
        KeyError
            If there is no such event.
        """
        event = self._events[event_id]
        if event.acknowledged is not None:
            return event
        return self._keep(dataclasses.replace(event, acknowledged_by=who, acknowledged=now))

    def _keep(self, event: PredicateEvent) -> PredicateEvent:
        self._events[event.event_id] = event
        self._write(_WRITE, *dataclasses.astuple(event))
        return event

    def _write(self, sql: str, *parameters: Any) -> None:
        if self._database is not None:
            try:
                self._database.execute(sql, *parameters)
            except StorageError as error:
                log.error("An event of a predicate is not kept: %s", error)
