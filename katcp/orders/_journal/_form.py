"""How a journal looks in a database: its tables, and what is written into them and read out."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from katcp.orders._json import section_from_json
from katcp.orders._outcome import Outcome, state_of
from katcp.orders._section import Section
from katcp.storage import StorageError

#: The part of a database that is a journal, and what makes its tables.
PART = "orders"
SCHEMA = (
    """
    CREATE TABLE IF NOT EXISTS sections (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        document TEXT NOT NULL,
        origin TEXT NOT NULL,
        submitted REAL NOT NULL,
        started REAL,
        finished REAL,
        state TEXT
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS orders (
        section TEXT NOT NULL,
        number INTEGER NOT NULL,
        begun REAL NOT NULL,
        outcome TEXT,
        attempts INTEGER,
        ended REAL,
        detail TEXT,
        reading TEXT,
        PRIMARY KEY (section, number)
    ) WITHOUT ROWID
    """,
)


@dataclass(frozen=True)
class JournalEntry:
    """What a journal says of a section.

    Attributes
    ----------
    section_id : str
    document : str
        The section as JSON, as it was accepted.
    origin : str
        Who has submitted it.
    submitted, started, finished : float or None
        When, in seconds since 1970.
    state : str or None
        In which it has ended; None if it has not.
    begun : frozenset of int
        Indices of orders that were begun.
    outcomes : dict
        Index of an order -> its `Outcome`, of those that have one.
    """

    section_id: str
    document: str
    origin: str
    submitted: float
    started: float | None
    finished: float | None
    state: str | None
    begun: frozenset[int] = frozenset()
    outcomes: dict[int, Outcome] = field(default_factory=dict)

    def section(self) -> Section:
        """Return the section, with the outcomes that are known.

        It has ended, if it has; otherwise it can be given to an executor.
        """
        section = section_from_json(self.document)
        section.section_id = self.section_id
        section.origin = self.origin
        section.submitted = self.submitted
        for index, outcome in sorted(self.outcomes.items()):
            section.record(index, outcome)
        if self.state is not None:
            section.mark_as_done()
            section.started, section.finished = self.started, self.finished
        return section


def outcome_statement(section_id: str | None, index: int, outcome: Outcome) -> tuple[Any, ...]:
    """Return what writes an outcome; the first one that is written counts."""
    return (
        "INSERT INTO orders (section, number, begun, outcome, attempts, ended, detail, reading)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (section, number) DO UPDATE SET outcome = excluded.outcome,"
        " attempts = excluded.attempts, ended = excluded.ended, detail = excluded.detail,"
        " reading = excluded.reading WHERE orders.outcome IS NULL",
        section_id,
        index,
        outcome.timestamp,
        outcome.outcome,
        outcome.attempts,
        outcome.timestamp,
        outcome.detail,
        _reading_text(outcome.reading),
    )


def coming_state(section: Section) -> str:
    """Return the state that a section will have, which is written before it has it."""
    if section.ended:
        return section.state
    # Those of which an executor has said nothing were carried out.
    return state_of(outcome for outcome in section.results if outcome is not None)


def end_statement(section: Section, state: str) -> tuple[Any, ...]:
    return (
        "UPDATE sections SET state = ?, started = ?, finished = ? WHERE id = ?",
        state,
        section.started,
        section.finished or time.time(),
        section.section_id,
    )


def entry_of(row: Sequence[Any], orders: Iterable[Sequence[Any]]) -> JournalEntry:
    section_id, document, origin, submitted, started, finished, state = row
    outcomes = {}
    begun = set()
    try:
        known = section_from_json(document).orders
        for number, outcome, attempts, ended, detail, reading in orders:
            begun.add(number)
            if outcome is not None:
                outcomes[number] = Outcome(
                    known[number], outcome, attempts, ended, detail, _reading(reading)
                )
    except (ValueError, IndexError) as error:
        raise StorageError(
            f"The journal has a section {section_id!r} that cannot be read: {error}"
        ) from error
    return JournalEntry(
        section_id,
        document,
        origin,
        submitted,
        started,
        finished,
        state,
        frozenset(begun),
        outcomes,
    )


def _reading_text(reading: Any) -> str | None:
    """Return a reading (timestamp, status, value) as JSON; values of other kinds as text."""
    return None if reading is None else json.dumps(list(reading), default=str)


def _reading(text: str | None) -> Any:
    return None if text is None else tuple(json.loads(text))
