"""A journal of orders: a restart neither loses what was accepted nor does it twice.

What is written, and when it is on disk:

- a section, before whoever has submitted it is told that it is accepted;
- that an order is begun, before its hook is called;
- what an order came to, before anybody is told.

So after a crash an order of which nothing is written was not begun, and is carried out; one with an
outcome is done with; and of one that was begun nobody can know whether it was carried out. It is
carried out again if it is repeatable, otherwise its outcome is ``failed:interrupted``.

An orderly stop is no worse than a crash: sections that were not begun stay accepted.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from katcp.orders._journal._form import (
    PART,
    SCHEMA,
    JournalEntry,
    coming_state,
    end_statement,
    entry_of,
    outcome_statement,
)
from katcp.orders._outcome import ABANDONED, INTERRUPTED, OK, Outcome
from katcp.orders._section import Section
from katcp.storage import Database, StorageError

#: After so many sections that have ended, those that are too many are removed.
_PRUNE_EVERY = 100

_INTERRUPTED = "the program ended meanwhile; nobody knows whether it was done"


class Journal:
    """Keeps orders in a file, for executors.

    Parameters
    ----------
    database : str, path or Database
        The file, which is made if there is none, and opened and closed by `open` and `close`; or a
        database that is shared with others, which is left open.
    keep : int
        How many sections that have ended are remembered: those are known by their id if they are
        submitted again.

    Notes
    -----
    Its methods are for one loop.

    Examples
    --------
    ::

        journal = Journal("orders.db")
        journal.open()
        executor = OrderExecutor(target, journal=journal)
        executor.execute(*await journal.recover())
    """

    def __init__(self, database: str | os.PathLike[str] | Database, *, keep: int = 1000) -> None:
        if keep < 0:
            raise ValueError(f"keep must not be negative, not {keep}")
        self.keep = keep
        self._path: Path | None = None
        self._open: Database | None = None
        if isinstance(database, Database):
            self._open = database
        else:
            self._path = Path(database)
        self._prepared = False
        self._ended = 0

    # -- the file -----------------------------------------------------------------------

    def open(self) -> bool:
        """Open the file, if it is the journal's own and is not open; tell whether that was so.

        Raises
        ------
        katcp.storage.StorageError
            If it cannot be used; the text has its name.
        """
        if self._open is not None:
            return False
        assert self._path is not None  # a shared database is open
        self._open = Database(self._path)
        self._prepared = False
        return True

    async def close(self) -> None:
        """Write what is to be written, and close the file if it is the journal's own."""
        database = self._open
        if database is None:
            return
        if self._path is None:
            await self._flush_if_possible()
            return
        self._open = None
        await database.close()

    def let_go(self) -> None:
        """Have the file closed, without waiting for that, if it is the journal's own."""
        if self._path is not None:
            self._open = None  # its thread ends with it

    @property
    def problem(self) -> str | None:
        """Why it cannot be written at present, such as a full disk; None: it can."""
        return None if self._open is None else self._open.problem

    @property
    def _database(self) -> Database:
        if self._open is None:
            raise StorageError(f"The journal {self._path} is not open.")
        return self._open

    async def _prepare(self) -> None:
        if not self._prepared:
            await self._database.prepare(PART, SCHEMA)
            self._prepared = True

    # -- what executors tell it ---------------------------------------------------------

    async def accepted(self, section: Section, origin: str = "") -> None:
        """Write down a section; when this returns, it is on disk.

        One that has been recovered is there already, and stays as it is.

        Raises
        ------
        katcp.storage.StorageError
            If it cannot be written; then it is not accepted.
        """
        await self._prepare()
        database = self._database
        document = section.to_json()
        document.pop("section_id", None)
        section_id = section.section_id
        self._execute_together(
            [
                # One that has ended may be so old that its id is free again.
                (
                    "DELETE FROM orders WHERE section IN"
                    " (SELECT id FROM sections WHERE id = ? AND state IS NOT NULL)",
                    section_id,
                ),
                ("DELETE FROM sections WHERE id = ? AND state IS NOT NULL", section_id),
                (
                    "INSERT OR IGNORE INTO sections (id, document, origin, submitted)"
                    " VALUES (?, ?, ?, ?)",
                    section_id,
                    json.dumps(document),
                    origin or section.origin,
                    section.submitted or time.time(),
                ),
            ]
        )
        try:
            await database.flush()
        except StorageError:
            # What cannot be written now may be written later, when nobody counts on it any more.
            database.execute(
                "DELETE FROM sections WHERE id = ? AND NOT EXISTS"
                " (SELECT 1 FROM orders WHERE section = sections.id)",
                section_id,
            )
            raise

    async def started(self, section: Section, index: int) -> None:
        """Write down that an order is going to be begun; when this returns, it is on disk.

        Raises
        ------
        katcp.storage.StorageError
            If it cannot be written; then the order must not be begun.
        """
        self._database.execute(
            "INSERT OR IGNORE INTO orders (section, number, begun) VALUES (?, ?, ?)",
            section.section_id,
            index,
            time.time(),
        )
        await self._database.flush()

    async def ended(self, section: Section, index: int, outcome: Outcome) -> None:
        """Write down what an order came to; when this returns, it is on disk.

        If the disk fails, it is written later, unless the program dies before that.
        """
        if outcome.outcome == ABANDONED:
            return  # it was not begun, and will be
        self._database.execute(*outcome_statement(section.section_id, index, outcome))
        await self._flush_if_possible()

    async def finished(self, section: Section) -> None:
        """Write down that a section has ended; when this returns, it is on disk.

        One that was abandoned is carried out, as far as it was not, when it is recovered.
        """
        state = coming_state(section)
        if state != "abandoned":
            now = time.time()
            statements = [
                outcome_statement(section.section_id, index, outcome or Outcome(order, OK, 1, now))
                for index, (order, outcome) in enumerate(
                    zip(section.orders, section.results, strict=True)
                )
            ]
            statements.append(end_statement(section, state))
            self._execute_together(statements)
            self._prune()
        await self._flush_if_possible()

    def _execute_together(self, statements: Iterable[tuple[Any, ...]]) -> None:
        self._database.execute_together([(sql, rest) for sql, *rest in statements])

    async def _flush_if_possible(self) -> None:
        try:
            await self._database.flush()
        except StorageError as error:
            if not error.kept:
                raise

    def _prune(self) -> None:
        self._ended += 1
        if self._ended % _PRUNE_EVERY:
            return
        too_many = (
            "SELECT id FROM sections WHERE state IS NOT NULL ORDER BY number DESC LIMIT -1 OFFSET ?"
        )
        self._execute_together(
            [
                (f"DELETE FROM orders WHERE section IN ({too_many})", self.keep),
                (f"DELETE FROM sections WHERE id IN ({too_many})", self.keep),
            ]
        )

    # -- what it knows ------------------------------------------------------------------

    async def recover(self) -> list[Section]:
        """Return the sections that have not ended, the oldest first, to be carried out.

        Orders that have ended have their outcomes, and those that were begun and must not be
        repeated have failed as interrupted. Sections of which nothing is left to be done have
        ended by this; they are not returned.

        Raises
        ------
        katcp.storage.StorageError
            If there is one that this version cannot read.
        """
        await self._prepare()
        sections = []
        for entry in await self._entries("state IS NULL"):
            section = entry.section()
            for index in sorted(entry.begun - entry.outcomes.keys()):
                order = section.orders[index]
                if not order.repeatable:
                    outcome = Outcome(order, INTERRUPTED, 1, time.time(), _INTERRUPTED)
                    section.record(index, outcome)
                    self._database.execute(*outcome_statement(entry.section_id, index, outcome))
            if None not in section.results:
                section.mark_as_done()
                self._database.execute(*end_statement(section, section.state))
            else:
                sections.append(section)
        await self._flush_if_possible()
        return sections

    async def find(self, section_id: str) -> JournalEntry | None:
        """Return what is known of a section; None if it is not known."""
        await self._prepare()
        found = await self._entries("id = ?", section_id)
        return found[0] if found else None

    async def entries(self, limit: int = 1000) -> list[JournalEntry]:
        """Return what is known of the latest sections, the oldest of them first."""
        await self._prepare()
        return await self._entries(
            "number IN (SELECT number FROM sections ORDER BY number DESC LIMIT ?)", limit
        )

    async def last_number(self) -> int:
        """Return how many sections have ever been accepted."""
        await self._prepare()
        rows = await self._database.query("SELECT seq FROM sqlite_sequence WHERE name = 'sections'")
        return int(rows[0][0]) if rows else 0

    async def _entries(self, where: str, *parameters: Any) -> list[JournalEntry]:
        rows = await self._database.query(
            "SELECT id, document, origin, submitted, started, finished, state FROM sections"
            f" WHERE {where} ORDER BY number",
            *parameters,
        )
        orders = await self._database.query(
            "SELECT section, number, outcome, attempts, ended, detail, reading FROM orders"
            f" WHERE section IN (SELECT id FROM sections WHERE {where})",
            *parameters,
        )
        by_section: dict[str, list[Sequence[Any]]] = {}
        for section_id, *rest in orders:
            by_section.setdefault(section_id, []).append(rest)
        return [entry_of(row, by_section.get(row[0], ())) for row in rows]
