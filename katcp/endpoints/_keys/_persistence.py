"""What outlives the process: the values of stores, and who has locked what.

A key that is set is written half a flush interval later, together with all others that were set
meanwhile, only the newest value of each; so whoever sets a key a thousand times a second pays for
one write. What was set longer ago than the flush interval is on the disk, however the process ends.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from katcp.endpoints._codes import InvalidValueError, ResourceError
from katcp.endpoints._endpoint import Endpoint
from katcp.endpoints._keys._store import StoreKey
from katcp.endpoints._locks import PATIENCE
from katcp.storage import Database, StorageError

log = logging.getLogger("katcp.endpoints")

#: The table of the values; there is one row for each key that was ever set.
VALUES_SCHEMA = (
    "CREATE TABLE endpoint_values (path TEXT PRIMARY KEY, type TEXT NOT NULL, value, "
    "set_at REAL NOT NULL) WITHOUT ROWID",
)
_PART = "endpoint-values"

_SELECT = "SELECT path, type, value, set_at FROM endpoint_values"
_WRITE = "INSERT OR REPLACE INTO endpoint_values VALUES (?, ?, ?, ?)"

#: What ``?set`` takes behind the value to reply when it is on the disk.
_DURABLE = {b"durable=true": True, b"durable=1": True, b"durable=false": False, b"durable=0": False}


class Persistence:
    """Keeps values of keys, and locks, in a database.

    Parameters
    ----------
    database : path or Database
        File of the database; it is opened at once, closed when the device stops, and opened again
        if that is started again. Or a database that is open, which is shared with others and left
        open.
    flush_interval : float
        Longest time for which a value that was set is not on the disk [s].

    Raises
    ------
    katcp.storage.StorageError
        If the file cannot be opened; the text says which it is and why.
    """

    def __init__(
        self, database: str | os.PathLike[str] | Database, *, flush_interval: float = 1.0
    ) -> None:
        if not flush_interval >= 0:
            raise ValueError(f"flush_interval must not be negative: {flush_interval}")
        self.flush_interval = flush_interval
        self._shared = database if isinstance(database, Database) else None
        self._path = database.path if isinstance(database, Database) else Path(database)
        self._database: Database | None = None
        #: What those keys are to hold that there are not, or not yet.
        self._absent: dict[str, tuple[Any, float]] = {}
        #: What is to be written, by path.
        self._dirty: dict[str, tuple[Any, float]] = {}
        #: The keys that were ever set.
        self._known: set[str] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._written: asyncio.Future[None] | None = None
        for path, kind, value, set_at in self._open().query_now(_SELECT):
            try:
                self._absent[path] = (decoded(kind, value), float(set_at))
                self._known.add(path)
            except ValueError as error:
                log.warning("%s: the value of %s cannot be read: %s", self._path, path, error)

    # -- state --------------------------------------------------------------------------

    @property
    def path(self) -> Path:
        """File of the database."""
        return self._path

    @property
    def problem(self) -> str | None:
        """Why nothing can be written at present; None: it can."""
        return None if self._database is None else self._database.problem

    # -- endpoints ----------------------------------------------------------------------

    def adopt(self, endpoint: Endpoint) -> None:
        """Give a key what it held before, and keep what it is set to from now on."""
        if not isinstance(endpoint, StoreKey):
            return
        before = self._absent.pop(endpoint.path, None)
        if before is not None:
            value, set_at = before
            try:
                endpoint.restore(endpoint.raw_value_type.check(value), set_at)
            except ValueError as error:  # it had another type before
                log.warning("%s does not hold what it held before: %s", endpoint.path, error)
        endpoint.on_hold = self._changed

    def abandon(self, endpoint: Endpoint) -> None:
        """Part with an endpoint; if one of that path comes again it holds what this one does."""
        if isinstance(endpoint, StoreKey) and endpoint.on_hold is not None:
            endpoint.on_hold = None
            if endpoint.path in self._known:
                self._absent[endpoint.path] = (endpoint.value, endpoint.set_at)

    def _changed(self, key: StoreKey) -> None:
        path = key.path
        self._known.add(path)
        self._dirty[path] = (key.value, key.set_at)
        if self._timer is None:
            self._arm()

    # -- the database, for the locks too ------------------------------------------------

    def execute(self, sql: str, *parameters: Any) -> asyncio.Future[int]:
        """Queue a statement; see `katcp.storage.Database.execute`."""
        return self._opened().execute(sql, *parameters)

    def query_now(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Return rows, and block until they are there; see `katcp.storage.Database.query_now`."""
        return self._opened().query_now(sql, *parameters)

    async def prepare(self, part: str, schema: Sequence[str]) -> None:
        """Make the tables of a part; see `katcp.storage.Database.prepare`."""
        await self._opened().prepare(part, schema)

    async def flush(self) -> None:
        """Return when all that was set and queued so far is on the disk.

        Raises
        ------
        katcp.storage.StorageError
            If it cannot be written now; it is tried again later.
        """
        database = self._opened()
        self._write(database)
        await database.flush()

    def _opened(self) -> Database:
        if self._database is None:
            raise StorageError(f"{self._path} is closed")
        return self._database

    # -- writing ------------------------------------------------------------------------

    def _arm(self) -> None:
        if self._loop is not None and self._dirty:
            self._timer = self._loop.call_later(self.flush_interval / 2, self._tick)

    def _tick(self) -> None:
        self._timer = None
        database = self._opened()
        # While the disk is full, or slow, what is new is gathered here, one value for each key.
        if database.problem is None and (self._written is None or self._written.done()):
            self._write(database)
        self._arm()

    def _write(self, database: Database) -> None:
        """Hand what is to be written over to the database."""
        dirty, self._dirty = self._dirty, {}
        batch: list[tuple[str, Sequence[Any]]] = []
        for path, (value, set_at) in dirty.items():
            try:
                batch.append((_WRITE, (path, *encoded(value), set_at)))
            except ValueError as error:
                log.warning("The value of %s is not kept: %s", path, error)
        if not batch:
            return
        try:
            database.execute_together(batch)
            self._written = database.flush_now()
        except StorageError as error:  # too much waits there already
            log.debug("%s", error)
            self._dirty = {**dirty, **self._dirty}

    # -- life ---------------------------------------------------------------------------

    def _open(self) -> Database:
        if self._database is None:
            self._database = self._shared or Database(
                self._path, flush_interval=self.flush_interval
            )
            self._database.prepare_now(_PART, VALUES_SCHEMA)
        return self._database

    async def live(self) -> None:
        """Write what is set for as long as the device runs, and all that is left at its end."""
        self._open()
        self._loop = asyncio.get_running_loop()
        self._arm()
        try:
            await self._loop.create_future()  # until it is cancelled
        finally:
            self._loop = None
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            await self._close()

    async def _close(self) -> None:
        database = self._opened()
        self._write(database)
        try:
            if self._shared is None:
                self._database = None
                await database.close()
            else:
                await database.flush()
        except StorageError as error:
            log.error("The last values are not kept: %s", error)


def take_durable(arguments: Sequence[bytes], first: int) -> tuple[list[bytes], bool]:
    """Take ``durable=true`` off the end of arguments, if it is there.

    Parameters
    ----------
    arguments : sequence of bytes
    first : int
        Index of the first argument that may be it; those before it are values, whatever they say.

    Returns
    -------
    arguments : list of bytes
        The others.
    durable : bool
    """
    if len(arguments) > first and arguments[-1].lower() in _DURABLE:
        return list(arguments[:-1]), _DURABLE[arguments[-1].lower()]
    return list(arguments), False


async def until_durable(persistence: Persistence | None) -> None:
    """Return when what was set is on the disk.

    Raises
    ------
    ResourceError
        If it cannot be written now (200): it is set all the same, and will be written later.
    """
    check_durable(persistence)
    assert persistence is not None
    try:
        await asyncio.wait_for(persistence.flush(), PATIENCE)
    except StorageError as error:
        raise ResourceError(f"it is set, but not on the disk: {error}") from error
    except asyncio.TimeoutError:
        text = f"it is set, but not on the disk after {PATIENCE:g} s"
        raise ResourceError(text) from None


def check_durable(persistence: Persistence | None) -> None:
    """Refuse to promise what cannot be kept.

    Raises
    ------
    InvalidValueError
        If values are not kept (304).
    """
    if persistence is None:
        raise InvalidValueError("durable=true: the values of this device are not kept on a disk")


# -- values as a table has them ---------------------------------------------------------


def encoded(value: Any) -> tuple[str, Any]:
    """Return the type of a value, and what stands for it in the table: exactly, and legible.

    Raises
    ------
    ValueError
        For a value that is neither a scalar nor made of such, as JSON is.
    """
    if value is None:
        return "nothing", None
    if isinstance(value, bool):
        return "boolean", int(value)
    if isinstance(value, int):
        return "integer", int(value) if -(2**63) <= value < 2**63 else str(value)
    if isinstance(value, float):
        return "float", repr(float(value))
    if isinstance(value, str):
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:  # a surrogate, which stands for a byte that was no UTF-8
            return "text", value.encode("utf-8", "surrogatepass")
        return "text", str(value)
    if isinstance(value, (bytes, bytearray)):
        return "bytes", bytes(value)
    try:
        return "json", json.dumps(value, ensure_ascii=False)
    except (TypeError, RecursionError) as error:
        raise ValueError(f"a {type(value).__name__} cannot be kept") from error


def decoded(kind: str, value: Any) -> Any:
    """Return the value that a row stands for.

    Raises
    ------
    ValueError
        If it stands for none.
    """
    if kind not in _DECODERS:
        raise ValueError(f"there is no type {kind!r}")
    try:
        return _DECODERS[kind](value)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{value!r} is no {kind}") from error


def _text(value: Any) -> str:
    return value.decode("utf-8", "surrogatepass") if isinstance(value, bytes) else str(value)


_DECODERS: dict[str, Any] = {
    "nothing": lambda value: None,
    "boolean": bool,
    "integer": int,
    "float": float,
    "text": _text,
    "bytes": bytes,
    "json": json.loads,
}
