"""The thread of a database: does what is queued, in order, and commits it in groups.

What was executed since the last commit is remembered until the commit has succeeded. If the disk
fails in between, all of it is rolled back, kept, and done again later, so that a full disk that is
cleared costs nothing. While that is so (`trouble`) no statement is executed alone: it would be
seen without those before it.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import queue
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from katcp.storage._errors import StorageError, is_of_the_disk
from katcp.storage._file import open_file, prepare

log = logging.getLogger("katcp.storage")

#: Time between two tries to write what could not be written [s].
RETRY = 1.0

#: Most items that are done before those who wait are told.
TURN = 1000

#: Shortest time between two lines of log about one trouble [s].
SPAN = 60.0

Future = asyncio.Future[Any] | concurrent.futures.Future[Any]


class Statement(NamedTuple):
    """One statement of SQL."""

    sql: str
    parameters: Sequence[Any]


class Write(NamedTuple):
    """Statements that are done together or not at all."""

    statements: Sequence[Statement]
    future: Future | None


class Query(NamedTuple):
    """A statement that gives rows, and changes nothing."""

    statement: Statement
    future: Future


class Prepare(NamedTuple):
    """The schema of a part."""

    part: str
    schema: Sequence[str]
    future: Future


class Flush(NamedTuple):
    """A wish to have all that came before on the disk."""

    future: Future


class Close(NamedTuple):
    """The last item of a queue."""

    future: Future | None


Item = Write | Query | Prepare | Flush | Close


class Worker:
    """What the thread has and does; the other side only puts items into `items`.

    Parameters
    ----------
    path : pathlib.Path
    schema : sequence of str
        Of the part ``main``.
    flush_interval : float
        Longest time that something stays uncommitted [s].
    """

    def __init__(self, path: Path, schema: Sequence[str], flush_interval: float) -> None:
        self.items: queue.SimpleQueue[Item] = queue.SimpleQueue()
        self.trouble: str | None = None
        #: How many changes were committed, or refused; for the other side to see.
        self.settled = 0
        self._path = path
        self._schema = schema
        self._flush_interval = flush_interval
        self._connection: sqlite3.Connection
        self._uncommitted: list[Write] = []
        self._due = 0.0
        self._logged = 0.0
        self._rolled_back = False  # what is uncommitted is to be done again
        self._reopen = False
        self._flushes: list[Future] = []
        self._closing: Close | None = None
        self._answers: list[tuple[Future, Any]] = []

    def run(self, opened: concurrent.futures.Future[None]) -> None:
        """Open the file, and do what is queued until there is a `Close`."""
        try:
            self._open()
        except BaseException as why:
            opened.set_exception(why)
            return
        opened.set_result(None)
        del opened
        error: StorageError | None = None
        try:
            while self._closing is None:
                error = self._turn()
        finally:
            self._connection.close()
            self._answer_closing(error)
            self._deliver()

    def _open(self) -> None:
        self._connection = open_file(self._path)
        try:
            self._begin()
            prepare(self._connection, self._path, "main", self._schema)
            self._connection.execute("COMMIT")
        except BaseException as error:
            self._connection.close()
            if isinstance(error, sqlite3.Error):
                raise StorageError(f"{self._path}: {error}") from error
            raise

    # -- the queue ----------------------------------------------------------------------

    def _turn(self) -> StorageError | None:
        """Do what is in the queue now, or wait for something; return why a commit failed."""
        timeout = max(0.0, self._due - time.monotonic()) if self._uncommitted else None
        item = self._next(timeout)
        for _ in range(TURN):
            if item is None:
                break
            self._do(item)
            if self._closing is not None:
                break
            item = self._next(0)
        else:
            if item is not None:  # there is no way back into the queue
                self._do(item)
        error: StorageError | None = None
        overdue = bool(self._uncommitted) and time.monotonic() >= self._due
        if self._flushes or overdue or self._closing is not None:
            error = self._commit()
            for future in self._flushes:
                self._answers.append((future, error))
            self._flushes.clear()
        self._deliver()
        return error

    def _next(self, timeout: float | None) -> Item | None:
        try:
            return self.items.get(timeout != 0, timeout)
        except queue.Empty:
            return None

    def _do(self, item: Item) -> None:
        if isinstance(item, Write):
            self._write(item)
        elif isinstance(item, Query):
            self._query(item)
        elif isinstance(item, Prepare):
            self._prepare(item)
        elif isinstance(item, Flush):
            self._flushes.append(item.future)
        else:
            self._closing = item

    def _deliver(self) -> None:
        """Hand results and errors over to the loops that wait for them, together."""
        answers, self._answers = self._answers, []
        loops: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any]]] = {}
        for future, answer in answers:
            if isinstance(future, concurrent.futures.Future):
                set_answer(future, answer)
            else:
                loops.setdefault(future.get_loop(), []).append((future, answer))
        for loop, those in loops.items():
            try:
                loop.call_soon_threadsafe(_set_answers, those)
            except RuntimeError:  # it is closed: nobody waits there any more
                pass

    # -- what is queued -----------------------------------------------------------------

    def _begin(self) -> None:
        if not self._connection.in_transaction:
            self._connection.execute("BEGIN IMMEDIATE")

    def _write(self, item: Write) -> None:
        answer: Any
        if not self._rolled_back:
            try:
                answer = self._execute(item)
                self._remember(item)
            except Exception as error:  # also values that SQLite does not take
                if is_of_the_disk(error):
                    self._remember(item)
                    answer = self._in_trouble(error)
                else:
                    self.settled += 1
                    answer = refused(error, item)
                    if not isinstance(error, sqlite3.IntegrityError):  # that may be meant
                        log.error("%s: %s", self._path, answer)
        else:
            self._remember(item)
            answer = self._kept()
        if item.future is not None:
            self._answers.append((item.future, answer))

    def _remember(self, item: Write) -> None:
        if not self._uncommitted:
            self._due = time.monotonic() + self._flush_interval
        self._uncommitted.append(item._replace(future=None))

    def _execute(self, item: Write) -> int:
        """Execute in the open transaction; return how many rows were changed."""
        self._begin()
        execute = self._connection.execute
        if len(item.statements) == 1:
            (statement,) = item.statements
            return int(execute(statement.sql, statement.parameters).rowcount)
        execute("SAVEPOINT several")
        try:
            changed = sum(execute(s.sql, s.parameters).rowcount for s in item.statements)
        except Exception as error:
            if not is_of_the_disk(error):
                execute("ROLLBACK TO several")
                execute("RELEASE several")
            raise
        execute("RELEASE several")
        return int(changed)

    def _query(self, item: Query) -> None:
        answer: Any
        try:
            self._recover()
            answer = self._connection.execute(
                item.statement.sql, item.statement.parameters
            ).fetchall()
        except Exception as error:
            if is_of_the_disk(error):
                answer = self._in_trouble(error)
            else:
                answer = refused(error, Write((item.statement,), None))
        self._answers.append((item.future, answer))

    def _prepare(self, item: Prepare) -> None:
        """Do the steps of a schema, in a commit of their own."""
        answer: Any = self._commit()
        if answer is None:
            try:
                self._begin()
                prepare(self._connection, self._path, item.part, item.schema)
                self._connection.execute("COMMIT")
            except (sqlite3.Error, StorageError) as error:
                self._roll_back()
                answer = error
                if isinstance(error, sqlite3.Error):
                    answer = StorageError(f"{self._path}: tables of {item.part!r}: {error}")
        self._answers.append((item.future, answer))

    # -- commits, and what becomes of them ----------------------------------------------

    def _commit(self) -> StorageError | None:
        """Commit what was executed; return why it is not on the disk now."""
        try:
            self._recover()
            if self._connection.in_transaction:
                self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            return self._in_trouble(error)
        self.settled += len(self._uncommitted)
        self._uncommitted.clear()
        if self.trouble is not None:
            self.trouble = None
            self._logged = 0.0
            log.warning("%s: can be written again", self._path)
        return None

    def _recover(self) -> None:
        """Do once more what was rolled back, if anything was; it is not committed here.

        Raises
        ------
        sqlite3.Error
            If the disk is no better.
        """
        if self._reopen:
            self._connection.close()
            try:
                self._connection = open_file(self._path)
            except StorageError as error:
                raise sqlite3.OperationalError(f"disk I/O error: {error}") from error
            self._reopen = False
        if not self._rolled_back:
            return
        done: list[Write] = []
        for item in self._uncommitted:
            try:
                self._execute(item)
                done.append(item)
            except Exception as error:
                if is_of_the_disk(error):
                    raise
                log.error("%s: %s", self._path, refused(error, item))
        self.settled += len(self._uncommitted) - len(done)
        self._uncommitted = done
        self._rolled_back = False

    def _in_trouble(self, error: Exception) -> StorageError:
        """Roll back, keep all for later, and tell."""
        self._roll_back()
        now = time.monotonic()
        self._due = now + RETRY
        text = str(error)
        if "full" not in text:
            self._reopen = True
        if self.trouble is None or now - self._logged >= SPAN:
            self._logged = now
            log.error(
                "%s: cannot be written: %s; %d changes are kept and tried again",
                self._path,
                text,
                len(self._uncommitted),
            )
        self.trouble = text
        return self._kept()

    def _kept(self) -> StorageError:
        return StorageError(f"{self._path} cannot be written now: {self.trouble}", kept=True)

    def _roll_back(self) -> None:
        self._rolled_back = bool(self._uncommitted)
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error:
            self._reopen = True

    def _answer_closing(self, error: StorageError | None) -> None:
        lost = len(self._uncommitted)
        if error is not None:
            log.error("%s: closed with %d changes lost: %s", self._path, lost, self.trouble)
            error = StorageError(f"{error}; {lost} changes are lost")
        if self._closing is not None and self._closing.future is not None:
            self._answers.append((self._closing.future, error))


def refused(error: Exception, item: Write) -> StorageError:
    """Return the error for statements that SQLite does not take."""
    refusal = StorageError(f"{error}, in: {'; '.join(s.sql for s in item.statements)[:200]}")
    refusal.__cause__ = error
    return refusal


def set_answer(future: Future, answer: Any) -> None:
    """Give a future its result, or its error, unless nobody waits any more."""
    if isinstance(future, concurrent.futures.Future):
        if not future.set_running_or_notify_cancel():
            return
    elif future.done():
        return
    if isinstance(answer, BaseException):
        future.set_exception(answer)
    else:
        future.set_result(answer)


def _set_answers(answers: list[tuple[asyncio.Future[Any], Any]]) -> None:
    for future, answer in answers:
        set_answer(future, answer)
