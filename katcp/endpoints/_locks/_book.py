"""All locks of a device: those that end by themselves, and what outlives the process.

Leases end on time although nobody asks, so that the sensors tell the truth. Given a database, the
locks that are held are in it, by the hash of the key; a lock that was confirmed to whoever took it
is there after a crash, one that was opened is not, and leases go on while the device is down.
Locks that end with a connection are not kept: the connection did not survive either.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import math
import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from katcp.endpoints._codes import AccessDeniedError
from katcp.endpoints._locks._lockout import (
    Held,
    Lockout,
    family,
    lock_family,
    new_key,
    plain_key,
    unlock_family,
)
from katcp.errors import FailReply
from katcp.storage import StorageError

log = logging.getLogger("katcp.endpoints")

#: The table of the locks; there is one row for each that is held.
LOCKS_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS endpoint_locks ("
    "path TEXT PRIMARY KEY, owner TEXT NOT NULL, reason TEXT NOT NULL, since REAL NOT NULL, "
    "expires REAL, salt BLOB NOT NULL, digest BLOB NOT NULL)",
)
#: How long a request waits until what it did is on the disk; it is told if it is not by then [s].
PATIENCE = 5.0

#: The name of that table's part of the database.
_PART = "endpoint-locks"
_IS_THERE = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'endpoint_locks'"
_SELECT = (
    "SELECT path, owner, reason, since, expires, salt, digest FROM endpoint_locks ORDER BY path"
)
_INSERT = "INSERT OR REPLACE INTO endpoint_locks VALUES (?, ?, ?, ?, ?, ?, ?)"
_DELETE = "DELETE FROM endpoint_locks WHERE path = ?"


class LockDatabase(Protocol):
    """What locks need of a database; `katcp.storage.Database` is one."""

    def execute(self, sql: str, *parameters: Any) -> Any:
        """Queue a statement."""

    async def flush(self) -> None:
        """Return when all that was queued is on the disk."""

    async def prepare(self, part: str, schema: Sequence[str]) -> None:
        """Make the tables of a part."""

    def query_now(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Return rows, and block until they are there."""


class Locks:
    """The locks of all endpoints of a device.

    Parameters
    ----------
    may_force : callable, optional
        Called with the connection of a client that wants to open what somebody else has locked;
        the right is its to grant. It returns True, or a future or coroutine of that, or refuses by
        anything else, or by a `FailReply` that says why. By default anybody may, and the log tells
        who has.
    on_change : callable, optional
        Called with an endpoint when it was locked or opened.

    Notes
    -----
    An `AccessPolicy` can refuse it too, without knowing of endpoints: `may_request` is called with
    the name ``unlock`` and the arguments, and ``force`` is among those behind the first then::

        class Careful(AccessPolicy):
            def may_request(self, client, name, arguments):
                return not (name == "unlock" and b"force" in arguments[1:])
    """

    def __init__(
        self,
        *,
        may_force: Callable[[Any], Any] | None = None,
        on_change: Callable[[Any], object] | None = None,
    ) -> None:
        self.may_force = may_force
        self._database: LockDatabase | None = None
        #: Set once the table is there; what changes before that is written then.
        self._ready = asyncio.Event()
        self._unwritten: set[str] = set()
        self._preparing: asyncio.Task[None] | None = None
        self._on_change = on_change
        self._endpoints: dict[str, Any] = {}
        #: Locks of endpoints that there are not, or not yet.
        self._absent: dict[str, Held] = {}
        #: Those that end by themselves, by time or with a connection.
        self._leased: dict[str, Lockout] = {}
        self._keys: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._to_arm = False

    # -- the endpoints ------------------------------------------------------------------

    def adopt(self, endpoint: Any) -> None:
        """Look after the lock of an endpoint that comes to the device, with what it had before."""
        path = endpoint.path
        lockout: Lockout = endpoint.lockout
        self._endpoints[path] = endpoint
        if self._loop is not None:
            lockout.use_clock(self._loop.time)
        lockout.on_change = lambda lockout: self._changed(path, lockout)
        before = self._absent.pop(path, None)
        if lockout.is_locked:
            self._changed(path, lockout)
        elif before is not None and not lockout.take(before):
            self._keep(path)

    def cover(self, endpoint: Any) -> None:
        """Lock an endpoint, and all that is in it and open, as the provider is that it came to.

        For those that are added to a provider that is there. One that comes with its provider is
        as it was before: its owner may have opened it alone.
        """
        held = endpoint.parent.lockout.held
        for one in family(endpoint):
            one.lockout.take(held)

    def abandon(self, endpoint: Any) -> None:
        """Part with an endpoint.

        If one of that path comes again, as it does when a device reads its file anew, it is locked
        as this one is.
        """
        path = endpoint.path
        if path not in self._endpoints:
            return
        del self._endpoints[path]
        self._leased.pop(path, None)
        lockout: Lockout = endpoint.lockout
        lockout.on_change = None
        held = lockout.held
        if held is not None:
            self._absent[path] = held

    # -- across restarts ----------------------------------------------------------------

    def keep_in(self, database: LockDatabase) -> None:
        """Take up the locks that were held before a restart, and keep those that come.

        Call it before the device serves its first request, before or after it has its endpoints.

        Raises
        ------
        StorageError
            If the database cannot be read.
        """
        self._database = database
        [(there,)] = database.query_now(_IS_THERE)
        for path, owner, reason, since, expires, salt, digest in (
            database.query_now(_SELECT) if there else []
        ):
            endpoint = self._endpoints.get(path)
            lockout = Lockout(path) if endpoint is None else endpoint.lockout
            held = lockout.kept(owner, since, reason, expires, bytes(salt), bytes(digest))
            if held.deadline <= lockout.now():
                self._keep(path)
            elif endpoint is None:
                self._absent[path] = held
            else:
                lockout.take(held)
        self._unwritten.update(
            path for path, endpoint in self._endpoints.items() if endpoint.lockout.is_locked
        )

    async def _prepare(self, database: LockDatabase) -> None:
        try:
            await database.prepare(_PART, LOCKS_SCHEMA)
        except StorageError as error:
            log.error("Locks cannot be kept across restarts: %s", error)
            return
        self._ready.set()
        for path in sorted(self._unwritten):
            self._keep(path)
        self._unwritten.clear()

    def _keep(self, path: str) -> None:
        """Have the database know how a lock is now."""
        if self._database is None:
            return
        if not self._ready.is_set():
            self._unwritten.add(path)
            return
        endpoint = self._endpoints.get(path)
        held = self._absent.get(path) if endpoint is None else endpoint.lockout.held
        try:
            if held is None or held.client is not None:
                self._database.execute(_DELETE, path)
            else:
                self._database.execute(
                    _INSERT,
                    path,
                    held.owner,
                    held.reason,
                    held.since,
                    held.expires,
                    held.salt,
                    held.digest,
                )
        except StorageError as error:  # too much waits already, or it was closed
            log.error("The lock of %s is not kept across a restart: %s", path, error)

    async def settled(self) -> bool:
        """Wait until the locks, as they are, are on the disk; tell whether they are.

        Without a database there is nothing to wait for.
        """
        if self._database is None:
            return True
        try:
            await asyncio.wait_for(self._on_disk(self._database), PATIENCE)
        except (asyncio.TimeoutError, StorageError):
            return False
        return True

    async def _on_disk(self, database: LockDatabase) -> None:
        await self._ready.wait()
        await database.flush()

    # -- time and connections -----------------------------------------------------------

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to end leases on time, and to write."""
        self._loop = loop
        for endpoint in self._endpoints.values():
            endpoint.lockout.use_clock(loop.time)
        self._arm()
        if self._database is not None:
            self._preparing = loop.create_task(self._prepare(self._database))

    def stop(self) -> None:
        """Leave no timer; locks stay, and end when somebody looks."""
        self._loop = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._preparing is not None:
            self._preparing.cancel()
            self._preparing = None
        self._ready = asyncio.Event()

    def client_gone(self, connection: Any) -> None:
        """Open what was locked for as long as this connection, and forget its key."""
        self._keys.pop(connection, None)
        for lockout in list(self._leased.values()):
            lockout.client_gone(connection)
        for path, held in list(self._absent.items()):
            if held.client is not None and held.client is connection:
                del self._absent[path]

    def set_key(self, connection: Any, key: str | bytes | None) -> None:
        """Have a connection show a key with all that it asks for; or none any more.

        Raises
        ------
        InvalidKeyError
            If it is no key (308).
        """
        if key:
            self._keys[connection] = plain_key(key)
        else:
            self._keys.pop(connection, None)

    def key_of(self, connection: Any) -> str | None:
        """Return the key that a connection shows; None if it shows none."""
        return self._keys.get(connection)

    # -- locking ------------------------------------------------------------------------

    def lock(
        self,
        targets: Iterable[Any],
        key: str | bytes | None = None,
        owner: str = "",
        reason: str = "",
        lease: float | None = None,
        client: Any = None,
    ) -> tuple[str, list[Any]]:
        """Lock endpoints, and all that is in them, by one key.

        Returns
        -------
        key : str
        others : list
            What somebody else had locked, and has.

        Raises
        ------
        AccessDeniedError
            If there was nothing to lock but what somebody else has (307).
        InvalidKeyError, InvalidValueError
            For what is no key (308), or no time (304).
        """
        plain = plain_key(key) if key else new_key()
        refused: AccessDeniedError | None = None
        others: list[Any] = []
        locked = False
        for target in targets:
            try:
                _, left = lock_family(target, plain, owner, reason, lease, client)
            except AccessDeniedError as error:
                refused = error
                others.append(target)
            else:
                locked = True
                others += left
        if refused is not None and not locked:
            raise refused
        return plain, others

    def unlock(
        self, targets: Iterable[Any], key: str | bytes | None = None, force: bool = False
    ) -> tuple[list[Any], list[Any]]:
        """Open endpoints, and all that is in them and opens by the key.

        Returns
        -------
        opened, left : list
            What was locked and is open now; and what somebody else had locked, and has.

        Raises
        ------
        AccessDeniedError
            If there was nothing to open but what somebody else has (307).
        InvalidKeyError
            If it is no key (308).
        """
        if key and not force:
            plain_key(key)
        refused: AccessDeniedError | None = None
        opened: list[Any] = []
        left: list[Any] = []
        passed = False
        for target in targets:
            try:
                some, others = unlock_family(target, key, force)
            except AccessDeniedError as error:
                refused = error
                left.append(target)
            else:
                passed = True
                opened += some
                left += others
        if refused is not None and not passed:
            raise refused
        return opened, left

    async def permit_force(self, connection: Any) -> None:
        """Let a client open what somebody else has locked, or refuse it.

        Raises
        ------
        AccessDeniedError
            If it may not (307).
        """
        verdict: Any = True
        if self.may_force is not None:
            try:
                verdict = self.may_force(connection)
                if inspect.isawaitable(verdict):
                    verdict = await verdict
            except FailReply as error:
                raise AccessDeniedError(str(error)) from error
        if verdict is not True:
            raise AccessDeniedError("you may not open by force what somebody else has locked")

    # -- what follows a change ----------------------------------------------------------

    def _changed(self, path: str, lockout: Lockout) -> None:
        held = lockout.held
        if held is not None and (held.client is not None or math.isfinite(held.deadline)):
            self._leased[path] = lockout
            self._arm_soon()
        else:
            self._leased.pop(path, None)
        self._keep(path)
        if self._on_change is not None:
            self._on_change(self._endpoints[path])

    def _arm_soon(self) -> None:
        # Once for all of a provider.
        if self._loop is not None and not self._to_arm:
            self._to_arm = True
            self._loop.call_soon_threadsafe(self._arm)

    def _arm(self) -> None:
        self._to_arm = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        held = [lockout.held for lockout in list(self._leased.values())]
        first = min((lock.deadline for lock in held if lock is not None), default=math.inf)
        if self._loop is not None and math.isfinite(first):
            self._timer = self._loop.call_at(first, self._arm)
