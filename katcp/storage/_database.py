"""A database as the loop sees it."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
import weakref
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, cast

from katcp.storage._errors import StorageError
from katcp.storage._worker import Close, Flush, Prepare, Query, Statement, Worker, Write

#: Longest time that the end of the program, or of an object let go of, waits for a last commit [s].
_LAST = 5.0


class Database:
    """A file of values that outlive the process: SQLite behind a thread of its own.

    The file belongs to this process alone as long as it is open. What is written is done in
    order, and is on the disk, synced, `flush_interval` later at most (or as soon as `flush`
    returns): a process that is killed at any moment loses nothing older. The loop never waits for
    the disk.

    If the disk fails later (it is full, for example), what was to be written is kept and tried
    again each second; `problem` tells, and the log, now and then.

    Parameters
    ----------
    path : str or path
        It is made if it is not there; its directory is not. Beside it a file that ends in ``-wal``
        is written.
    schema : sequence of str
        Statements that make the tables, in order; each is done once in the life of a file. A later
        version of a program appends statements, and changes none.
    flush_interval : float
        Longest time that something stays unwritten [s]; 0: each turn of the thread commits.
    max_waiting : int
        Most changes that are kept while the disk fails; those over it are refused.

    Raises
    ------
    StorageError
        If the file cannot be opened: it is no database, or that of another program, or was
        written by a newer version; another process has it; it may not be written.

    Notes
    -----
    Its methods are for one loop, and never block but for `query_now` and `prepare_now`. Several
    parts of a program share a file if each has tables of its own, and prepares them.

    Examples
    --------
    >>> async def count_starts(path):
    ...     database = Database(path, ["CREATE TABLE starts (who TEXT)"])
    ...     database.execute("INSERT INTO starts VALUES (?)", "me")
    ...     [(count,)] = await database.query("SELECT count(*) FROM starts")
    ...     await database.close()
    ...     return count
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        schema: Sequence[str] = (),
        *,
        flush_interval: float = 1.0,
        max_waiting: int = 100_000,
    ) -> None:
        if not flush_interval >= 0:
            raise ValueError(f"flush_interval must not be negative: {flush_interval}")
        self.path = Path(path)
        self.flush_interval = flush_interval
        self.max_waiting = max_waiting
        self._closed: asyncio.Future[None] | None = None
        self._queued = 0
        self._worker = Worker(self.path, tuple(schema), flush_interval)
        opened: concurrent.futures.Future[None] = concurrent.futures.Future()
        # A daemon: the end of the program is not held up by it, but see `_end`.
        self._thread = threading.Thread(
            target=self._worker.run, args=(opened,), name=f"storage-{self.path.name}", daemon=True
        )
        self._thread.start()
        opened.result()
        # Also called when the interpreter ends.
        self._finalizer = weakref.finalize(self, _end, self._worker, self._thread)

    # -- state --------------------------------------------------------------------------

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return not self._finalizer.alive

    @property
    def problem(self) -> str | None:
        """Why nothing can be written at present; None: it can."""
        return self._worker.trouble

    @property
    def waiting(self) -> int:
        """How many changes wait to be committed; those that are done together are one."""
        return self._queued - self._worker.settled

    # -- writing ------------------------------------------------------------------------

    def execute(self, sql: str, *parameters: Any) -> asyncio.Future[int]:
        """Queue a statement that changes something.

        Parameters
        ----------
        sql : str
            One statement, with ``?`` for each parameter.
        *parameters : object
            None, numbers, texts or bytes.

        Returns
        -------
        asyncio.Future
            Of the loop that runs; a `concurrent.futures.Future` if none does. Done when the
            statement was executed, with the number of rows changed; it is not on the disk then, see
            `flush`. It need not be looked at: errors are logged. It fails with `StorageError` if
            SQLite refuses the statement, or (with `kept`) if the disk fails and the statement has
            to wait.

        Raises
        ------
        StorageError
            If the database is closed, or too many statements wait.
        """
        return self.execute_together([(sql, parameters)])

    def execute_together(
        self, statements: Iterable[tuple[str, Sequence[Any]]]
    ) -> asyncio.Future[int]:
        """Queue statements that are done all or not at all, also if the process is killed.

        Parameters
        ----------
        statements : iterable of (str, sequence)
            SQL, and its parameters.

        Returns
        -------
        asyncio.Future
            As for `execute`, with the rows that all have changed.

        Raises
        ------
        StorageError
            If the database is closed, or too many statements wait.
        """
        self._check_open()
        if self._worker.trouble is not None and self.waiting >= self.max_waiting:
            raise StorageError(
                f"{self.path} cannot be written now ({self.problem}), and {self.waiting} changes "
                "wait already"
            )
        future: asyncio.Future[int]
        try:
            future = asyncio.get_running_loop().create_future()
        except RuntimeError:  # a device that is being made may have something to write
            future = cast("asyncio.Future[int]", concurrent.futures.Future[int]())
        future.add_done_callback(_look)
        self._queued += 1
        self._worker.items.put(
            Write([Statement(sql, tuple(parameters)) for sql, parameters in statements], future)
        )
        return future

    async def flush(self) -> None:
        """Commit all that was queued so far; return when it is on the disk, synced.

        Raises
        ------
        StorageError
            If that failed; with `kept` it is tried again later all the same.
        """
        await self._ask(Flush)

    def flush_now(self) -> asyncio.Future[None]:
        """Have all that was queued so far committed; return a future of that, as `flush`."""
        return self._ask(Flush)

    async def prepare(self, part: str, schema: Sequence[str]) -> None:
        """Make the tables of one more part of the program, if they are not there yet.

        Parameters
        ----------
        part : str
            Name of the part; ``main`` is that of the constructor's schema.
        schema : sequence of str
            As for the constructor.

        Raises
        ------
        StorageError
            If that failed, or the tables were made by a newer version.
        """
        await self._ask(lambda future: Prepare(part, tuple(schema), future))

    def prepare_now(self, part: str, schema: Sequence[str]) -> None:
        """Do the same as `prepare`, and block until it is done; for the time before a loop runs.

        Raises
        ------
        StorageError
            As for `prepare`.
        """
        self._check_open()
        future: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._worker.items.put(Prepare(part, tuple(schema), future))
        future.result()

    # -- reading ------------------------------------------------------------------------

    async def query(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Return the rows that a ``SELECT`` gives, after all that was queued before.

        Raises
        ------
        StorageError
            If SQLite refuses it, or the disk fails, or the database is closed.
        """
        statement = Statement(sql, parameters)
        rows: list[tuple[Any, ...]] = await self._ask(lambda future: Query(statement, future))
        return rows

    def query_now(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Return the rows that a ``SELECT`` gives, and block until they are there.

        For the time before a loop runs: a device that starts has its values from the beginning.

        Raises
        ------
        StorageError
            As for `query`.
        """
        self._check_open()
        future: concurrent.futures.Future[list[tuple[Any, ...]]] = concurrent.futures.Future()
        self._worker.items.put(Query(Statement(sql, parameters), future))
        return future.result()

    # -- the end ------------------------------------------------------------------------

    async def close(self) -> None:
        """Commit, close the file and end the thread. May be called more than once.

        Raises
        ------
        StorageError
            If the last changes could not be written, and are lost.
        """
        if self._closed is None:
            self._closed = asyncio.get_running_loop().create_future()
            self._closed.add_done_callback(_look)
            if self._finalizer.detach() is None:
                self._closed.set_result(None)
            else:
                self._worker.items.put(Close(self._closed))
        await asyncio.shield(self._closed)
        # It has closed the file and given its last answers: what is left of it takes no time.
        self._thread.join()

    def _check_open(self) -> None:
        if not self._finalizer.alive:
            raise StorageError(f"{self.path} is closed")

    def _ask(self, make: Any) -> asyncio.Future[Any]:
        self._check_open()
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        future.add_done_callback(_look)
        self._worker.items.put(make(future))
        return future


def _look(future: asyncio.Future[Any]) -> None:
    """Take the error of a future that perhaps nobody looks at."""
    if not future.cancelled():
        future.exception()


def _end(worker: Worker, thread: threading.Thread) -> None:
    """Have a database that was not closed write what it has; at the end of the program too."""
    worker.items.put(Close(None))
    if thread is not threading.current_thread():
        thread.join(_LAST)
