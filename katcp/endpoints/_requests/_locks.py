"""Requests of locks: ``?lock``, ``?unlock``, ``?is-locked``, ``?lock-key``."""

from __future__ import annotations

import asyncio
import logging
import math
import re
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from katcp.endpoints._codes import BadPayloadError, InvalidValueError, warn
from katcp.endpoints._locks import LONGEST_LEASE, Held, Locks
from katcp.endpoints._operations import AT_ONCE
from katcp.protocol import Message

log = logging.getLogger("katcp.endpoints")

#: What a request that changes something may end with, followed by the key.
KEY_ARGUMENT = b"lockout-key="
#: The target that means all endpoints.
ALL = "*"

_OPTION = re.compile(rb"([a-z-]+)=(.*)", re.DOTALL)
#: The value of ``lease`` that means the connection.
_CONNECTION = "connection"

#: Both are shown to everybody, time and again [characters].
_LONGEST_OWNER = 100
_LONGEST_REASON = 500

# Codes of warnings.
_NO_ACTION = 1
_SUB_SERVICE = 5


def take_key(arguments: Sequence[bytes], after: int = 0) -> tuple[list[bytes], str | None]:
    """Part the arguments of a request from the key that may follow them.

    Parameters
    ----------
    arguments : sequence of bytes
        Of the request.
    after : int
        So many of them come first, whatever they look like: for ``?set``, target and value, since
        a value may itself begin with ``lockout-key=``.

    Returns
    -------
    arguments : list of bytes
        Without it.
    key : str or None
        None if there was none; empty if that was said, by ``lockout-key=``.
    """
    if len(arguments) > after and arguments[-1].startswith(KEY_ARGUMENT):
        return list(arguments[:-1]), arguments[-1][len(KEY_ARGUMENT) :].decode("utf-8", "replace")
    return list(arguments), None


class Serving(Protocol):
    """What the requests need of who serves the endpoints: an `EndpointHost` has it."""

    @property
    def locks(self) -> Locks:
        """All locks."""

    def find(self, address: str) -> Any:
        """Return the endpoint that an address means."""

    def targets(self, address: str | None) -> Sequence[Any]:
        """Return what an address means that may be ``*``."""


class LockRequests:
    """The requests of locks, for a device.

    Parameters
    ----------
    host : EndpointHost
        Serves the endpoints.
    """

    def __init__(self, host: Serving) -> None:
        self._host = host

    def client_gone(self, connection: Any) -> None:
        """Open what was locked for as long as this connection."""
        self._host.locks.client_gone(connection)

    # -- requests -----------------------------------------------------------------------

    async def request_lock(self, req: Any, msg: Message) -> Any:
        r"""Lock an endpoint, and all that is in it: only those with the key may change it then.

        To lock it again by the same key renews the lease, and owner and reason if they are given.

        Parameters
        ----------
        target : str
            The endpoint; * for all.
        key : str, optional
            32 hexadecimal digits, dashes ignored. One is made up if it is missing or empty.
        owner=NAME : str, optional
            Who locks; the address of the client if it is not said.
        reason=TEXT : str, optional
            Why, for others to see.
        lease=SECONDS or lease=connection : str, optional
            The lock ends after this time; or when this client disconnects. Both may be given.

        Informs
        -------
        code : int
            #warning 5 for each endpoint in it that stays locked by somebody else.
        text : str
            Which, and by whom.

        Returns
        -------
        success : {'ok', 'fail', 'invalid'}
        key : str
            The key, without dashes. There is no other way to learn it.

        Examples
        --------
        ::

            ?lock[1] peaches \@ reason=night\_run lease=3600
            !lock[1] ok 5f0c7e0b1d6a4b0f9c3e2d1a0b9f8e7d
        """
        target, key, options = _parse(msg.arguments)
        lease, bound = _lease(options.pop("lease", []))
        owner = _short(options, "owner", _LONGEST_OWNER) or req.client_connection.address
        reason = _short(options, "reason", _LONGEST_REASON)
        _no_more(options, "are owner=, reason= and lease=")
        client = req.client_connection if bound else None
        found = self._host.targets(target)
        if not found:
            raise InvalidValueError("there are no endpoints to lock")
        plain, others = self._host.locks.lock(found, key, owner, reason, lease, client)
        if client is not None and getattr(client, "client_disconnect_called", False):
            self._host.locks.client_gone(client)  # it went before, and will not be heard of again
        await self._finish(req, others)
        return ("ok", plain)

    async def request_unlock(self, req: Any, msg: Message) -> Any:
        r"""Open an endpoint, and all that is in it and opens by the same key.

        Parameters
        ----------
        target : str
            The endpoint; * for all.
        key : str, optional
            That of the lock; empty for none.
        force : str, optional
            The word "force": open it whoever has locked it. The log of the device tells who did.

        Informs
        -------
        code : int
            #warning 1 if it was not locked; 5 for each endpoint in it that stays locked by
            somebody else.
        text : str
            What is to be known.

        Returns
        -------
        success : {'ok', 'fail', 'invalid'}

        Examples
        --------
        ::

            ?unlock[3] peaches \@ force
            !unlock[3] ok
            ?unlock[4] peaches
            #warning[4] 1 peaches\_was\_not\_locked
            !unlock[4] ok
        """
        force = b"force" in msg.arguments[1:]
        arguments = [msg.arguments[0]] if msg.arguments else []
        arguments += [argument for argument in msg.arguments[1:] if argument != b"force"]
        target, key, options = _parse(arguments)
        _no_more(options, "are none; usage: unlock target [key] [force]")
        found = self._host.targets(target)
        locks = {one.path: one.lockout.held for top in found for one in top.walk()}
        if force:
            await self._host.locks.permit_force(req.client_connection)
        opened, left = self._host.locks.unlock(found, key, force)
        if force:
            for endpoint in opened:
                _tell_forced(req, endpoint, locks.get(endpoint.path))
        if not opened:
            warn(req, _NO_ACTION, f"{target} was not locked")
        await self._finish(req, left)
        return ("ok",)

    async def request_is_locked(self, req: Any, msg: Message) -> Any:
        r"""Tell whether an endpoint is locked, and by whom.

        Parameters
        ----------
        target : str
            The endpoint; * for all that are locked.

        Informs
        -------
        path : str
            With the target *, one that is locked.
        owner, since, reason, expires
            As in the reply.

        Returns
        -------
        success : {'ok', 'fail', 'invalid'}
        locked : bool
            With the target *, the number of informs instead.
        owner : str
            Who has locked it, if it is locked: a name, or the address of a client.
        since : timestamp
            When.
        reason : str
            Why; may be empty.
        expires : str
            When the lock ends by itself; or "connection" if it does when its owner disconnects.
            Missing if it does not.

        Examples
        --------
        ::

            ?is-locked[1] peaches
            !is-locked[1] ok 1 10.0.0.5:41234 1700000000.250 night\_run
        """
        if len(msg.arguments) != 1:
            raise BadPayloadError("is-locked takes one argument: target")
        target = _text(msg.arguments[0])
        if target != ALL:
            held = self._host.find(target).lockout.held
            return ("ok", 0) if held is None else ("ok", 1, *_shown(held))
        count = 0
        for top in self._host.targets(ALL):
            for endpoint in top.walk():
                held = endpoint.lockout.held
                if held is None:
                    continue
                req.inform(endpoint.path, *_shown(held))
                count += 1
                if count % AT_ONCE == 0:
                    await asyncio.sleep(0)
        return ("ok", count)

    async def request_lock_key(self, req: Any, msg: Message) -> Any:
        """Show a key with all that this connection asks to set, command, configure or send.

        A request that ends with lockout-key=KEY shows that one in its place.

        Parameters
        ----------
        key : str
            32 hexadecimal digits, dashes ignored; empty: none any more.

        Returns
        -------
        success : {'ok', 'fail', 'invalid'}
        """
        if len(msg.arguments) > 1:
            raise BadPayloadError("lock-key takes one argument: the key, empty for none")
        self._host.locks.set_key(req.client_connection, msg.arguments[0] if msg.arguments else None)
        return ("ok",)

    async def _finish(self, req: Any, left: Iterable[Any]) -> None:
        """Tell what stays locked, and wait until all is kept."""
        for endpoint in left:
            warn(req, _SUB_SERVICE, f"{endpoint.path} stays locked by {endpoint.lockout.owner}")
        if not await self._host.locks.settled():
            warn(req, _SUB_SERVICE, "the lock could not be kept on the disk yet")


def _tell_forced(req: Any, endpoint: Any, held: Held | None) -> None:
    log.warning(
        "%s opened %s by force; %r had locked it",
        req.client_connection.address,
        endpoint.path,
        "somebody" if held is None else held.owner,
    )


def _shown(held: Held) -> list[str]:
    shown = [held.owner, f"{held.since:.6f}", held.reason]
    if held.client is not None:
        shown.append(_CONNECTION)
    elif held.expires is not None:
        shown.append(f"{held.expires:.6f}")
    return shown


# -- arguments --------------------------------------------------------------------------


def _text(argument: bytes) -> str:
    return argument.decode("utf-8", "replace")


def _parse(arguments: Sequence[bytes]) -> tuple[str, str | None, dict[str, list[str]]]:
    """Return target, key and options."""
    if not arguments:
        raise BadPayloadError("which endpoint? The first argument is its address, or *")
    key: str | None = None
    options: dict[str, list[str]] = {}
    for position, argument in enumerate(arguments[1:]):
        option = _OPTION.fullmatch(argument)
        if option is not None:
            options.setdefault(_text(option[1]), []).append(_text(option[2]))
        elif position == 0:
            key = _text(argument)
        else:
            # Not shown: it may be the key, in the wrong place.
            raise BadPayloadError(f"argument {position + 2} is none of this request's")
    if KEY_ARGUMENT.decode()[:-1] in options:
        key = _one(options, KEY_ARGUMENT.decode()[:-1])
    return _text(arguments[0]), key, options


def _one(options: dict[str, list[str]], name: str) -> str:
    given = options.pop(name, [""])
    if len(given) > 1:
        raise BadPayloadError(f"{name} is given {len(given)} times")
    return given[0]


def _short(options: dict[str, list[str]], name: str, longest: int) -> str:
    text = _one(options, name)
    if len(text) > longest:
        raise InvalidValueError(f"{name}= takes {longest} characters at most", invalid=True)
    return text


def _no_more(options: dict[str, list[str]], known: str) -> None:
    for name in options:
        raise BadPayloadError(f"there is no option {name[:_LONGEST_OWNER]}=; there {known}")


def _lease(given: Iterable[str]) -> tuple[float | None, bool]:
    """Return the time of a lease [s], and whether it ends with the connection."""
    seconds: float | None = None
    bound = False
    for text in given:
        if text == _CONNECTION:
            bound = True
            continue
        try:
            seconds = float(text)
        except ValueError:
            seconds = math.nan
        if not 0 < seconds <= LONGEST_LEASE:
            raise InvalidValueError(
                f"lease= takes a time above 0 s, at most {LONGEST_LEASE:.0f}, or '{_CONNECTION}', "
                f"not {text!r}",
                invalid=True,
            )
    return seconds, bound
