"""``#interface-changed``, sent by itself when sensors or requests come and go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from katcp.protocol import escape

#: After an announcement, changes are collected for this long before the next one [s].
QUIET_TIME = 0.1

#: Changes made in other threads wait this long, as a device may be about to announce them by hand,
#: in a step of its own [s].
PATIENCE = 0.05


class InterfaceAnnouncer:
    """Collects changes of a device's interface and announces them together.

    One change goes out at the end of the loop's turn in the form that names it; several of one
    kind as ``sensor-list`` or ``request-list``; of both kinds, as the form without arguments
    (KATCP guidelines 5.0, "interface-changed").

    Parameters
    ----------
    loop : asyncio.AbstractEventLoop
    send : callable
        Sends a line to all clients.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, send: Callable[[bytes], None]) -> None:
        self._loop = loop
        self._send = send
        self._changes: dict[tuple[str, str], str] = {}
        self._timer: asyncio.TimerHandle | asyncio.Handle | None = None
        self._last = -QUIET_TIME
        self._holds = 0

    def changed(self, kind: str, name: str, how: str, patience: float = 0.0) -> None:
        """Take note of a change.

        Parameters
        ----------
        kind : str
            ``sensor`` or ``request``.
        name : str
        how : str
            ``added``, ``removed`` or ``modified``.
        patience : float
            Shortest wait before it is announced [s].
        """
        before = self._changes.get((kind, name))
        if before == "removed" and how == "added":
            how = "modified"
        elif before == "added" and how == "modified":
            how = "added"  # no client knows it yet
        self._changes[kind, name] = how
        if self._timer is None:
            wait = max(patience, self._last + QUIET_TIME - self._loop.time())
            if wait > 0:
                self._timer = self._loop.call_later(wait, self._announce)
            else:
                self._timer = self._loop.call_soon(self._announce)

    def announced_by_hand(self, arguments: Sequence[bytes] = ()) -> None:
        """Forget what the device has just told everybody itself.

        Parameters
        ----------
        arguments : sequence of bytes
            Those of its ``#interface-changed``; a form that is not known means everything.
        """
        words = [argument.decode("utf-8", "replace") for argument in arguments]
        if words and words[0] in ("sensor", "request") and len(words) > 1:
            self._changes.pop((words[0], words[1]), None)
            return
        kinds = {"sensor-list": "sensor", "request-list": "request"}
        kind = kinds.get(words[0]) if words else None
        for change in list(self._changes):
            if kind in (None, change[0]):
                del self._changes[change]

    def hold(self) -> None:
        """Announce nothing until `release`: more changes are to come that belong together."""
        self._holds += 1

    def release(self) -> None:
        """Announce what has changed meanwhile, unless somebody else holds it back."""
        self._holds -= 1
        if self._changes and not self._holds and self._timer is None:
            self._timer = self._loop.call_soon(self._announce)

    def stop(self) -> None:
        """Announce nothing more."""
        self._changes.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _announce(self) -> None:
        self._timer = None
        if self._holds:
            return
        changes, self._changes = self._changes, {}
        if not changes:
            return
        self._last = self._loop.time()
        kinds = {kind for kind, _ in changes}
        if len(changes) == 1:
            (((kind, name), how),) = changes.items()
            arguments = b" " + b" ".join([kind.encode(), escape(name.encode()), how.encode()])
        elif len(kinds) == 1:
            arguments = b" " + kinds.pop().encode() + b"-list"
        else:
            arguments = b""
        self._send(b"#interface-changed" + arguments + b"\n")
