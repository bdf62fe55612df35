"""Who may change an endpoint: a lock with an owner, a reason and, if wanted, an end.

Locks prevent accidents: a script that measures all night keeps its colleagues' hands off. Whoever
locks gets a key; who shows the key may set, command and unlock. Anybody sees who holds a lock,
since when and why, and nobody sees the key again: it is not kept, only a salted hash of it.

A lock of a provider is put on each of its endpoints too, by the same key. One that somebody else
has locked stays that one's, before and after.

A lease ends a lock by itself: after some time, or with the connection of who has locked. Locking
again by the same key renews it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import math
import re
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from katcp.endpoints._codes import AccessDeniedError, InvalidKeyError, InvalidValueError

#: A lease ends at a time that all calendars have [s].
LONGEST_LEASE = 1e9

_KEY = re.compile(r"[0-9A-Fa-f]{32}", re.ASCII)


def plain_key(key: str | bytes) -> str:
    """Return a key without its dashes, as it was given otherwise.

    Raises
    ------
    InvalidKeyError
        If there are not 32 hexadecimal digits (308); the text does not show what there was.
    """
    text = key.decode("utf-8", "replace") if isinstance(key, bytes) else str(key)
    digits = text.strip().replace("-", "")
    if _KEY.fullmatch(digits) is None:
        raise InvalidKeyError(
            "the lockout key is malformed: 32 hexadecimal digits are expected, dashes apart"
        )
    return digits


def new_key() -> str:
    """Return a key that nobody has seen: 32 hexadecimal digits, 128 bits of chance."""
    return secrets.token_hex(16)


@dataclass(frozen=True)
class Held:
    """A lock that is held; no part of it is the key.

    Attributes
    ----------
    owner : str
        Who holds it: a name, or the address of a client.
    since : float
        When it was taken [s since 1970].
    reason : str
    expires : float or None
        When it ends by itself [s since 1970]; None if not by time.
    salt, digest : bytes
        The key's hash.
    deadline : float
        The same on the clock that does not step [s]; infinite if not by time.
    client : object
        It ends with this connection; None if not with any.
    """

    owner: str
    since: float
    reason: str
    expires: float | None
    salt: bytes = field(repr=False)
    digest: bytes = field(repr=False)
    deadline: float = field(default=math.inf, repr=False)
    client: Any = field(default=None, repr=False)

    def opened_by(self, key: str) -> bool:
        """Tell whether a key, without dashes, is the one."""
        return hmac.compare_digest(_digest(self.salt, key), self.digest)


def _digest(salt: bytes, key: str) -> bytes:
    return hashlib.sha256(salt + key.lower().encode("ascii")).digest()


class Lockout:
    """The lock of one endpoint, held or open.

    Parameters
    ----------
    name : str
        Of the endpoint, for texts.
    clock : callable, optional
        Returns a time that does not step [s]; leases are measured on it.
    wall : callable, optional
        Returns the time of day [s since 1970]; it is shown.

    Attributes
    ----------
    on_change : callable or None
        Called with this when it has been locked, renewed or opened.
    """

    __slots__ = ("_clock", "_held", "_name", "_wall", "on_change")

    def __init__(
        self,
        name: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._name = name
        self._clock = clock
        self._wall = wall
        self._held: Held | None = None
        self.on_change: Callable[[Lockout], object] | None = None

    # -- looking ------------------------------------------------------------------------

    def now(self) -> float:
        """Return the time by which leases end [s], with an arbitrary origin."""
        return self._clock()

    @property
    def held(self) -> Held | None:
        """The lock that is held; None if it is open."""
        if self._held is not None and self._held.deadline <= self._clock():
            self._put(None)
        return self._held

    @property
    def is_locked(self) -> bool:
        """Whether it is locked."""
        return self.held is not None

    @property
    def owner(self) -> str:
        """Who holds it; empty if it is open."""
        return "" if (held := self.held) is None else held.owner

    @property
    def since(self) -> float | None:
        """When it was locked [s since 1970]; None if it is open."""
        return None if (held := self.held) is None else held.since

    @property
    def reason(self) -> str:
        """Why, as the owner said; empty if it is open, or nothing was said."""
        return "" if (held := self.held) is None else held.reason

    @property
    def expires(self) -> float | None:
        """When it ends by itself [s since 1970]; None if it is open, or does not end by time."""
        return None if (held := self.held) is None else held.expires

    def opened_by(self, key: str | bytes | None) -> bool:
        """Tell whether a key would do; anything does if it is open.

        Raises
        ------
        InvalidKeyError
            If it is no key (308), locked or not. None and an empty text are the lack of a key.
        """
        plain = plain_key(key) if key else None
        held = self.held
        return held is None or (plain is not None and held.opened_by(plain))

    def check(self, key: str | bytes | None = None) -> None:
        """Let something pass that changes the endpoint, or refuse it.

        Raises
        ------
        AccessDeniedError
            If it is locked, and not by this key (307).
        InvalidKeyError
            If it is no key (308), locked or not.
        """
        if (self._held is not None or key) and not self.opened_by(key):
            raise self.refusal()

    def refusal(self) -> AccessDeniedError:
        """Return what to raise to those without the key: it says who has it, since when and why."""
        held = self.held
        if held is None:
            return AccessDeniedError(f"{self._name} was locked")
        since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(held.since))
        why = f" ({held.reason})" if held.reason else ""
        return AccessDeniedError(f"{self._name} is locked by {held.owner} since {since}{why}")

    # -- locking ------------------------------------------------------------------------

    def lock(
        self,
        key: str | bytes | None = None,
        owner: str = "",
        reason: str = "",
        lease: float | None = None,
        client: Any = None,
    ) -> str:
        """Lock it, or renew the lock that this key holds.

        Parameters
        ----------
        key : str or bytes, optional
            32 hexadecimal digits, dashes ignored; one is made up if there is none.
        owner, reason : str
            Who and why, for all to see. A renewal keeps what is not given again.
        lease : float, optional
            The lock ends after this time [s].
        client : object, optional
            The lock ends with this connection; see `client_gone`.

        Returns
        -------
        str
            The key, without dashes. There is no other way to learn it.

        Raises
        ------
        AccessDeniedError
            If it is locked by another key (307).
        InvalidKeyError, InvalidValueError
            For what is no key (308), or no time above 0 (304).
        """
        plain = plain_key(key) if key else None
        if lease is not None and not 0 < lease <= LONGEST_LEASE:
            raise InvalidValueError(
                f"a lease is a time above 0 s, at most {LONGEST_LEASE:.0f}, not {lease!r}",
                invalid=True,
            )
        held = self.held
        if held is not None and not (plain is not None and held.opened_by(plain)):
            raise self.refusal()
        if plain is None:
            plain = new_key()
        now = self._wall()
        salt = secrets.token_bytes(16)
        self._put(
            Held(
                owner or ("" if held is None else held.owner),
                now if held is None else held.since,
                reason or ("" if held is None else held.reason),
                None if lease is None else now + lease,
                salt,
                _digest(salt, plain),
                math.inf if lease is None else self._clock() + lease,
                client,
            )
        )
        return plain

    def unlock(self, key: str | bytes | None = None, force: bool = False) -> bool:
        """Open it.

        Parameters
        ----------
        key : str or bytes, optional
        force : bool
            Open it whoever has it. Whether the one who asks may do so is for others to decide.

        Returns
        -------
        bool
            Whether it was locked.

        Raises
        ------
        AccessDeniedError
            If it is locked, and not by this key (307).
        InvalidKeyError
            If it is no key (308), locked or not.
        """
        if not force and not self.opened_by(key):
            raise self.refusal()
        was_locked = self.held is not None
        if was_locked:
            self._put(None)
        return was_locked

    def client_gone(self, client: Any) -> bool:
        """Open it if it is held for a connection that has gone; tell whether it was."""
        held = self.held
        if held is None or held.client is None or held.client is not client:
            return False
        self._put(None)
        return True

    def take(self, held: Held | None) -> bool:
        """Take up a lock, key and all, if this one is open; tell whether it did.

        So an endpoint that comes to a locked provider is locked as its siblings are, and one that
        was locked before a restart is locked again.
        """
        if held is None or held.deadline <= self._clock() or self.is_locked:
            return False
        self._put(held)
        return True

    def kept(
        self,
        owner: str,
        since: float,
        reason: str,
        expires: float | None,
        salt: bytes,
        digest: bytes,
    ) -> Held:
        """Return a lock as it was held before a restart, for `take`; its lease went on since."""
        left = math.inf if expires is None else expires - self._wall()
        return Held(owner, since, reason, expires, salt, digest, self._clock() + left)

    def use_clock(self, clock: Callable[[], float]) -> None:
        """Measure on another clock from now on."""
        held = self.held
        before, self._clock = self._clock, clock
        if held is not None and math.isfinite(held.deadline):
            left = held.deadline - before()
            self._held = dataclasses.replace(held, deadline=clock() + left)

    def _put(self, held: Held | None) -> None:
        self._held = held
        if self.on_change is not None:
            self.on_change(self)

    def __repr__(self) -> str:
        held = self.held
        return f"<Lockout {self._name!r} {'open' if held is None else f'locked by {held.owner!r}'}>"


# -- providers and what is in them ------------------------------------------------------


class Lockable(Protocol):
    """What has a lock, and perhaps others inside."""

    @property
    def lockout(self) -> Lockout:
        """Its lock."""

    def children(self) -> Iterable[Any]:
        """Return what is inside, each a `Lockable`."""


def family(endpoint: Any) -> Iterator[Any]:
    """Give an endpoint, and all that is inside it, the outer before the inner."""
    yield endpoint
    for child in endpoint.children():
        yield from family(child)


def lock_family(
    endpoint: Lockable,
    key: str | bytes | None = None,
    owner: str = "",
    reason: str = "",
    lease: float | None = None,
    client: Any = None,
) -> tuple[str, list[Any]]:
    """Lock an endpoint, and all that is inside it by the same key.

    Returns
    -------
    key : str
    others : list
        What somebody else had locked, and has.

    Raises
    ------
    AccessDeniedError, InvalidKeyError, InvalidValueError
        As `Lockout.lock`, if the endpoint itself cannot be locked; nothing is then.
    """
    plain = endpoint.lockout.lock(key, owner, reason, lease, client)
    others = []
    for inner in family(endpoint):
        if inner is endpoint:
            continue
        if inner.lockout.opened_by(plain):
            inner.lockout.lock(plain, owner, reason, lease, client)
        else:
            others.append(inner)
    return plain, others


def unlock_family(
    endpoint: Lockable, key: str | bytes | None = None, force: bool = False
) -> tuple[list[Any], list[Any]]:
    """Open an endpoint, and all that is inside it and opens by the same key.

    Returns
    -------
    opened, left : list
        What was locked and is open now; and what somebody else had locked, and has.

    Raises
    ------
    AccessDeniedError, InvalidKeyError
        As `Lockout.unlock`, if the endpoint itself cannot be opened; nothing is then.
    """
    if not force and not endpoint.lockout.opened_by(key):
        raise endpoint.lockout.refusal()
    opened, left = [], []
    for inner in family(endpoint):
        if not inner.lockout.is_locked:
            continue
        if force or inner.lockout.opened_by(key):
            inner.lockout.unlock(key, force)
            opened.append(inner)
        else:
            left.append(inner)
    return opened, left
