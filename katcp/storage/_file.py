"""Opening the file of a database, and bringing its tables to the present form.

The file belongs to one process at a time: SQLite's exclusive locking mode sees to that, and the
system takes the lock back from a process that was killed. Write-ahead logging makes a commit one
write and one sync, and a file that was left in mid-write is put right when it is next opened.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from katcp.storage._errors import StorageError, why_not_opened

#: Marks our files, as SQLite's ``application_id``: the letters KATC.
APPLICATION_ID = 0x4B415443

#: Form of the file itself, as SQLite's ``user_version``.
FORMAT = 1


def open_file(path: Path) -> sqlite3.Connection:
    """Open a database for this process alone; make it if it is not there.

    Raises
    ------
    StorageError
        If it cannot be opened; the text has the name of the file and what is wrong.
    """
    connection: sqlite3.Connection | None = None
    try:
        # The constructor of `Database` waits while a thread does this.
        connection = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        check_owner(connection, path)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {FORMAT}")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS katcp_parts"
            " (part TEXT PRIMARY KEY, steps INTEGER NOT NULL) WITHOUT ROWID"
        )
        connection.execute("COMMIT")
    except BaseException as error:
        if connection is not None:
            connection.close()
        if isinstance(error, sqlite3.Error):
            raise StorageError(why_not_opened(path, error)) from error
        raise
    return connection


def check_owner(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse a database that other programs, or later versions of this one, have made.

    Raises
    ------
    StorageError
        With the name of the file.
    """
    (owner,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if owner != APPLICATION_ID and (tables or owner or version):
        raise StorageError(f"{path} is a database of another program")
    if version > FORMAT:
        raise newer(path, f"format {version}", str(FORMAT))


def prepare(connection: sqlite3.Connection, path: Path, part: str, schema: Sequence[str]) -> None:
    """Do the steps of a part's schema that were not done yet; in the transaction that is open.

    Raises
    ------
    StorageError
        If more steps were done than there are here: a later version has made the file.
    """
    row = connection.execute("SELECT steps FROM katcp_parts WHERE part = ?", (part,)).fetchone()
    done = 0 if row is None else int(row[0])
    if done > len(schema):
        raise newer(path, f"step {done} of {part!r}", str(len(schema)))
    for statement in schema[done:]:
        connection.execute(statement)
    connection.execute("INSERT OR REPLACE INTO katcp_parts VALUES (?, ?)", (part, len(schema)))


def newer(path: Path, there: str, known: str) -> StorageError:
    """Return the error for a file that a later version has written."""
    return StorageError(f"{path} was written by a newer version: it has {there}, not {known}")
