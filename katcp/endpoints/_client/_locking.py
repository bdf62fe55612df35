"""Locks of endpoints of another device."""

from __future__ import annotations

import abc
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

from katcp.endpoints._client._asking import Answer, text_of
from katcp.endpoints._codes import EndpointError, ReplyError

log = logging.getLogger("katcp.endpoints")


class LockState(NamedTuple):
    """A lock that somebody holds, as ``?is-locked`` tells it.

    Attributes
    ----------
    owner : str
    since : float
        [s since 1970]
    reason : str
    expires : str
        When it ends by itself [s since 1970], ``"connection"`` if that is when its owner
        disconnects; empty if it does not.
    """

    owner: str
    since: float
    reason: str
    expires: str


class LockingClient(abc.ABC):
    """Locks endpoints of a device, and opens them; the part of `EndpointClient` that does.

    Attributes
    ----------
    lockout_key : str or None
        Shown if no other key is given.
    """

    lockout_key: str | None

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """What the device is called."""

    @abc.abstractmethod
    async def request(self, name: str, *arguments: Any, timeout: float | None = None) -> Answer:
        """Make a request of the device."""

    async def lock(
        self,
        target: str,
        key: str | None = None,
        *,
        owner: str = "",
        reason: str = "",
        lease: float | None = None,
        with_connection: bool = False,
        timeout: float | None = None,
    ) -> str:
        """Lock an endpoint and all that is in it; return the key.

        Parameters
        ----------
        target : str
            Address; ``*`` for all.
        key : str, optional
            32 hexadecimal digits; the device makes one up if there is none. Given that of the
            lock, this renews the lease.
        owner : str
            Who locks, for others to see; by default the address of this client.
        reason : str
        lease : float, optional
            The lock ends after this time [s].
        with_connection : bool
            The lock ends when this client disconnects.
        timeout : float, optional

        Raises
        ------
        AccessDeniedError
            If somebody else has locked it (307).
        EndpointError
        """
        arguments = [target, key or ""]
        arguments += [f"{word}={text}" for word, text in _said(owner=owner, reason=reason)]
        if lease is not None:
            arguments.append(f"lease={lease!r}")
        if with_connection:
            arguments.append("lease=connection")
        answer = await self.request("lock", *arguments, timeout=timeout)
        return text_of(answer.arguments[0]) if answer.arguments else ""

    async def unlock(
        self,
        target: str,
        key: str | None = None,
        *,
        force: bool = False,
        timeout: float | None = None,
    ) -> None:
        """Open an endpoint, and all that is in it and opens by the same key.

        Parameters
        ----------
        target : str
            Address; ``*`` for all.
        key : str, optional
        force : bool
            Open it whoever has locked it; the device may refuse that.
        timeout : float, optional

        Raises
        ------
        AccessDeniedError
            If it is locked, and not by this key (307).
        EndpointError
        """
        key = key or self.lockout_key or ""
        await self.request("unlock", target, key, *(["force"] if force else []), timeout=timeout)

    async def is_locked(self, target: str, *, timeout: float | None = None) -> LockState | None:
        """Return who has locked an endpoint; None if nobody has.

        Raises
        ------
        EndpointError
        """
        answer = await self.request("is-locked", target, timeout=timeout)
        if answer.arguments[:1] == [b"0"]:
            return None
        try:
            owner, since, reason, *expires = map(text_of, answer.arguments[1:])
            return LockState(owner, float(since), reason, expires[0] if expires else "")
        except ValueError as error:
            raise ReplyError(f"?is-locked was answered oddly: {error}") from error

    async def lock_key(self, key: str | None, *, timeout: float | None = None) -> None:
        """Have the device take this key for all that this connection asks; None: no key more.

        Everybody who uses the same connection shows it then; `lockout_key` is for this one alone.

        Raises
        ------
        EndpointError
        """
        await self.request("lock-key", key or "", timeout=timeout)

    @contextlib.asynccontextmanager
    async def locked(
        self, target: str, *, owner: str = "", reason: str = "", lease: float | None = None
    ) -> AsyncIterator[str]:
        """Lock an endpoint for a block, or until the connection is lost; gives the key.

        Raises
        ------
        EndpointError
            If it cannot be locked. That it cannot be opened any more at the end is none.
        """
        key = await self.lock(target, owner=owner, reason=reason, lease=lease, with_connection=True)
        try:
            yield key
        finally:
            try:
                await self.unlock(target, key)
            except EndpointError as error:
                log.warning("%s of %s could not be unlocked: %s", target, self.name, error)


def _said(**texts: str) -> list[tuple[str, str]]:
    return [(name, text) for name, text in texts.items() if text]
