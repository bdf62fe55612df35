"""What can be wrong with a database, in words."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

#: Primary result codes of SQLite that speak of the disk, not of the statement: PERM, BUSY, LOCKED,
#: NOMEM, READONLY, IOERR, FULL, CANTOPEN, PROTOCOL, NOLFS.
_DISK_CODES = frozenset({3, 5, 6, 7, 8, 10, 13, 14, 15, 22})

#: The same by their texts: Python 3.10 does not tell the codes.
_DISK_TEXTS = (
    "access permission denied",
    "database is locked",
    "database table is locked",
    "out of memory",
    "attempt to write a readonly database",
    "disk i/o error",
    "database or disk is full",
    "unable to open database file",
    "locking protocol",
    "large file support is disabled",
)


class StorageError(Exception):
    """A database cannot be opened, or did not do what was asked.

    Attributes
    ----------
    kept : bool
        Whether what was to be written is kept, and will be tried again by itself.
    """

    def __init__(self, text: str, *, kept: bool = False) -> None:
        super().__init__(text)
        self.kept = kept


def is_of_the_disk(error: Exception) -> bool:
    """Tell whether an error may be gone later without a change of the statement."""
    if not isinstance(error, sqlite3.Error):
        return False
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None:
        return code & 0xFF in _DISK_CODES
    text = str(error).lower()
    return any(known in text for known in _DISK_TEXTS)


def why_not_opened(path: Path, error: sqlite3.Error) -> str:
    """Return what keeps a file from being opened, with its name."""
    text = str(error).lower()
    if "not a database" in text:
        return f"{path} is not a database"
    if "malformed" in text:
        return f"{path} is damaged: {error}"
    if "locked" in text:
        return f"{path} is in use by another process"
    return f"{path} cannot be opened: {_reason(path, error)}"


def _reason(path: Path, error: sqlite3.Error) -> str:
    if path.is_dir():
        return "it is a directory"
    if not path.parent.is_dir():
        return f"there is no directory {path.parent}"
    if path.exists() and not os.access(path, os.R_OK | os.W_OK):
        return "it may not be read and written"
    if not os.access(path.parent, os.W_OK | os.X_OK):
        return f"nothing may be written in {path.parent}"
    return str(error)
