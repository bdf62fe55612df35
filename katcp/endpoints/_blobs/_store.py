"""Binary objects: named bytes with a version that only grows.

Recipes, firmware, pictures: what is too large for a sensor and must not be overwritten by somebody
who has not seen the newest. Who puts says which version is to be replaced (-1: there is none), and
is refused if another one is there: compare and set. A name that was deleted and put again goes on
counting, so that a version never means two contents.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable
from typing import NamedTuple

from katcp.endpoints._codes import InvalidSpecifierError, InvalidValueError
from katcp.storage import Database

#: The tables of a database that holds objects.
BLOB_SCHEMA = (
    "CREATE TABLE blobs (key TEXT PRIMARY KEY, version INTEGER NOT NULL,"
    " size INTEGER, sha256 TEXT, changed REAL NOT NULL, data BLOB)",
)

#: The version of what is not there.
ABSENT = -1

#: Longest name [bytes of UTF-8].
MAX_KEY = 255

#: More bytes than this are looked at in a thread.
_MUCH = 256 * 1024


class NoSuchBlobError(InvalidSpecifierError, KeyError):
    """There is no object of that name (310)."""


class BlobVersionError(InvalidValueError):
    """Another version is there than the one to be replaced (304); the payload is its number."""


class Blob(NamedTuple):
    """What is known of an object besides its bytes.

    Attributes
    ----------
    key : str
        Its name.
    version : int
        From 0 on; greater than any that this name had before.
    size : int
        [bytes].
    sha256 : str
        In 64 hexadecimal digits.
    changed : float
        When it was put [s since 1970].
    """

    key: str
    version: int
    size: int
    sha256: str
    changed: float


class BlobStore:
    """Binary objects in a database.

    Parameters
    ----------
    database : katcp.storage.Database
        Where they are kept; it is not closed.
    max_size : int
        Longest object [bytes].
    max_total : int
        Most that all of them hold together [bytes].
    max_keys : int
        Most names; of those that are deleted the oldest are forgotten first.
    clock : callable
        Returns the time [s since 1970].

    Notes
    -----
    For one loop. Operations that change something are done one after another, and return when the
    change is on the disk.
    """

    def __init__(
        self,
        database: Database,
        *,
        max_size: int = 16 * 1024 * 1024,
        max_total: int = 1024 * 1024 * 1024,
        max_keys: int = 10_000,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.max_size = max_size
        self.max_total = max_total
        self.max_keys = max_keys
        self._database = database
        self._clock = clock
        self._lock: tuple[asyncio.AbstractEventLoop, asyncio.Lock] | None = None
        self._made = False
        self._listeners: list[Callable[[str, int], object]] = []

    def on_change(self, listener: Callable[[str, int], object]) -> Callable[[], None]:
        """Have ``listener(key, version)`` called after each change, in the loop.

        The version is -1 for an object that was deleted. Returns a function that ends it.
        """
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    def _tell(self, key: str, version: int) -> None:
        for listener in list(self._listeners):
            listener(key, version)

    def _turn(self) -> asyncio.Lock:
        """Return the lock that changes take; a device may be started again, in another loop."""
        loop = asyncio.get_running_loop()
        if self._lock is None or self._lock[0] is not loop:
            self._lock = loop, asyncio.Lock()
        return self._lock[1]

    async def _ready(self) -> None:
        if not self._made:
            await self._database.prepare("blobs", BLOB_SCHEMA)  # does nothing the second time
            self._made = True

    # -- looking ------------------------------------------------------------------------

    async def listing(self) -> list[Blob]:
        """Return what there is, by name."""
        await self._ready()
        rows = await self._database.query(
            "SELECT key, version, size, sha256, changed FROM blobs WHERE data IS NOT NULL"
            " ORDER BY key"
        )
        return [Blob(*row) for row in rows]

    async def find(self, key: str) -> Blob:
        """Return what is known of an object.

        Raises
        ------
        NoSuchBlobError
            If there is none of that name; it is a `KeyError` too.
        """
        await self._ready()
        rows = await self._database.query(
            "SELECT key, version, size, sha256, changed FROM blobs"
            " WHERE key = ? AND data IS NOT NULL",
            key,
        )
        if not rows:
            raise NoSuchBlobError(f"There is no object {key!r}.")
        return Blob(*rows[0])

    async def version(self, key: str) -> int:
        """Return the version of an object, -1 if there is none."""
        try:
            return (await self.find(key)).version
        except NoSuchBlobError:
            return ABSENT

    async def get(self, key: str) -> bytes:
        """Return the bytes of an object.

        Raises
        ------
        NoSuchBlobError
            If there is none of that name.
        """
        blob = await self.find(key)
        return await self.piece(blob, 0, blob.size)

    async def piece(self, blob: Blob, offset: int, length: int) -> bytes:
        """Return some of the bytes of one version of an object.

        Raises
        ------
        BlobVersionError
            If that version is there no longer.
        """
        rows = await self._database.query(
            "SELECT substr(data, ?, ?) FROM blobs WHERE key = ? AND version = ?"
            " AND data IS NOT NULL",
            offset + 1,
            length,
            blob.key,
            blob.version,
        )
        if not rows:
            raise BlobVersionError(f"Version {blob.version} of {blob.key!r} is there no longer.")
        return bytes(rows[0][0] or b"")  # of an empty one it is NULL

    # -- changing -----------------------------------------------------------------------

    async def put(self, key: str, data: bytes, expected: int = ABSENT) -> int:
        """Put an object, or a new version of it.

        Parameters
        ----------
        key : str
            1 to 255 bytes of UTF-8, without control characters.
        data : bytes
        expected : int
            The version that is replaced; -1 if there is none.

        Returns
        -------
        int
            The new version.

        Raises
        ------
        BlobVersionError
            If another version is there; nothing has changed.
        InvalidValueError
            For a bad name, or an object that does not fit in.
        """
        self.check_key(key)
        self.check_size(len(data))
        await self._ready()
        # Of 16 MiB it takes 10 ms and more, in which others have their turn.
        sha256 = await asyncio.to_thread(_checksum, data) if len(data) > _MUCH else _checksum(data)
        async with self._turn():
            last = await self._last_if(key, expected)
            await self._make_room(key, len(data), new=last is None)
            version = 0 if last is None else last + 1
            await self._database.execute(
                "INSERT OR REPLACE INTO blobs (key, version, size, sha256, changed, data)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                key,
                version,
                len(data),
                sha256,
                self._clock(),
                bytes(data),
            )
        await self._database.flush()
        self._tell(key, version)
        return version

    async def delete(self, key: str, version: int) -> None:
        """Delete an object.

        Parameters
        ----------
        key : str
        version : int
            The one that is there.

        Raises
        ------
        NoSuchBlobError
            If there is none of that name.
        BlobVersionError
            If another version is there; nothing has changed.
        """
        await self.find(key)
        async with self._turn():
            await self._last_if(key, version)
            await self._database.execute(
                "UPDATE blobs SET data = NULL, size = NULL, sha256 = NULL, changed = ?"
                " WHERE key = ?",
                self._clock(),
                key,
            )
        await self._database.flush()
        self._tell(key, ABSENT)

    def check_key(self, key: str) -> None:
        """Raise `InvalidValueError` for what cannot be a name."""
        if not 0 < len(key.encode("utf-8", "surrogatepass")) <= MAX_KEY or not key.isprintable():
            raise InvalidValueError(
                f"The name of an object has 1 to {MAX_KEY} bytes, none of them a control character."
            )

    def check_size(self, size: int) -> None:
        """Raise `InvalidValueError` for a size that is over the limit [bytes]."""
        if size > self.max_size:
            raise InvalidValueError(f"An object has {self.max_size} bytes at most, not {size}.")

    async def _last_if(self, key: str, expected: int) -> int | None:
        """Return the last version that a name had, None if it is new; if `expected` is there."""
        rows = await self._database.query(
            "SELECT version, data IS NOT NULL FROM blobs WHERE key = ?", key
        )
        last, there = (int(rows[0][0]), bool(rows[0][1])) if rows else (None, False)
        present = last if there and last is not None else ABSENT
        if present != expected:
            what = f"version {present} of {key!r} is there" if there else f"there is no {key!r}"
            raise BlobVersionError(f"Not version {expected}: {what}.", [present])
        return last

    async def _make_room(self, key: str, size: int, *, new: bool) -> None:
        ((names, held),) = await self._database.query(
            "SELECT count(*), coalesce(sum(size), 0) FROM blobs WHERE key != ?", key
        )
        if held + size > self.max_total:
            raise InvalidValueError(
                f"All objects together have {self.max_total} bytes at most; {held} are there."
            )
        if not new or names < self.max_keys:
            return
        oldest = await self._database.query(
            "SELECT key FROM blobs WHERE data IS NULL ORDER BY changed LIMIT 1"
        )
        if not oldest:
            raise InvalidValueError(f"There are {names} objects, and may be no more.")
        await self._database.execute("DELETE FROM blobs WHERE key = ?", oldest[0][0])


def _checksum(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
