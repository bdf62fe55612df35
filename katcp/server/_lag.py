"""Handlers that keep the loop: noticed while they do, and named.

A thread looks a few times a second at what the loop's own thread is doing. The loop and the
handlers do nothing for it, so it costs no request anything; all servers of a process share it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import time
import weakref
from types import CodeType, FrameType
from typing import Any, ClassVar

from katcp.server._dispatch import Entry
from katcp.server._guarded import GuardedEntry

log = logging.getLogger("katcp.server")

_STARTS: tuple[CodeType, ...] = tuple(
    start.__code__ for kind in (Entry, GuardedEntry) for start in (kind.start, kind.start_given)
)
#: What the loop runs its callbacks from; the one that is running is its variable `handle`.
_RUN_ONCE: CodeType | None = getattr(
    getattr(asyncio.BaseEventLoop, "_run_once", None), "__code__", None
)
#: So often is looked within the time that is given.
_LOOKS = 4
_MOST_FRAMES = 200


class _Busy:
    """What a loop was at when it was last looked at.

    Attributes
    ----------
    mark : object
        The callback that was running, and in which turn of the loop; None if it was waiting.
    since : float
        When it was first seen.
    about : tuple or None
        Who and of which server, if it has been logged.
    """

    __slots__ = ("about", "mark", "since")

    def __init__(self) -> None:
        self.mark: object = None
        self.since = 0.0
        self.about: tuple[str, str] | None = None


class LagWatch:
    """Looks after the loops of servers; warns of handlers that keep theirs too long."""

    _lock: ClassVar[threading.Lock] = threading.Lock()
    #: The one that runs, if any server does.
    _present: ClassVar[LagWatch | None] = None

    def __init__(self) -> None:
        self._servers: weakref.WeakKeyDictionary[Any, tuple[int, float]] = (
            weakref.WeakKeyDictionary()
        )
        self._busy: dict[int, _Busy] = {}
        self._news = threading.Event()
        self._over = False
        self._thread = threading.Thread(target=self._run, name="katcp-lag-watch", daemon=True)

    # -- who is looked after ------------------------------------------------------------

    @classmethod
    def begin(cls, server: Any, limit: float | None) -> None:
        """Look after the loop of this thread, which a server has started in.

        Parameters
        ----------
        server : DeviceServerBase
        limit : float or None
            A callback that runs for longer is warned of [s]; None: do nothing.
        """
        if limit is None:
            return
        with cls._lock:
            watch = cls._present
            if watch is None or not watch.is_alive():  # as after a fork
                watch = cls._present = cls()
            watch.add(server, limit)

    @classmethod
    def end(cls, server: Any) -> None:
        """Look no more after a server; the thread ends with the last one."""
        with cls._lock:
            watch = cls._present
            if watch is None or not watch.was_last(server):
                return
            cls._present = None
        watch.stop()

    def is_alive(self) -> bool:
        """Tell whether the thread runs."""
        return self._thread.is_alive()

    def add(self, server: Any, limit: float) -> None:
        """Look after one more, soon."""
        self._servers[server] = threading.get_ident(), limit
        if self.is_alive():
            self._news.set()
        else:
            self._thread.start()

    def was_last(self, server: Any) -> bool:
        """Forget a server; tell whether it was there, and was the last."""
        return self._servers.pop(server, None) is not None and not self._servers

    def stop(self) -> None:
        """End the thread, and wait for it."""
        self._over = True
        self._news.set()
        self._thread.join(1)

    def _is_over(self) -> bool:
        """Tell whether there is nobody left, be it that nobody has stopped them."""
        with self._lock:
            if not self._over and not self._servers and LagWatch._present is self:
                LagWatch._present = None
                self._over = True
            return self._over

    # -- looking ------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._is_over():
            with self._lock:
                watched = list(self._servers.items())
            loops: dict[int, tuple[float, list[Any]]] = {}
            for server, (thread, limit) in watched:
                least, servers = loops.get(thread, (limit, []))
                loops[thread] = min(least, limit), [*servers, server]
            for thread, (limit, servers) in loops.items():
                try:
                    self._look(thread, limit, servers)
                except Exception:  # a frame that changes while it is looked at
                    log.debug("Could not look at the loop of %s", servers, exc_info=True)
            for thread in self._busy.keys() - loops.keys():
                del self._busy[thread]
            pause = min([limit for limit, _ in loops.values()], default=1.0) / _LOOKS
            del watched, loops
            server = servers = None  # type: ignore[assignment]  # they may go while this waits
            self._news.wait(pause)
            self._news.clear()

    def _look(self, thread: int, limit: float, servers: list[Any]) -> None:
        now = time.monotonic()
        busy = self._busy.setdefault(thread, _Busy())
        stack = _stack_of(thread)
        mark = _running(stack)
        if mark is None or mark != busy.mark:
            if busy.about is not None:
                log.warning("%s kept the loop of %s for %.1f s", *busy.about, now - busy.since)
            busy.mark, busy.since, busy.about = mark, now, None
        elif busy.about is None and now - busy.since >= limit:
            server, name = _culprit(stack, servers)
            what = "Something" if name is None else f"The handler of ?{name}"
            busy.about = what, _address(server or servers[0])
            log.warning(
                "%s keeps the loop of %s, which serves nobody meanwhile: for %.1f s by now, %s",
                *busy.about,
                now - busy.since,
                _place(stack),
            )


def _address(server: Any) -> str:
    try:
        host, port = server.bind_address
    except Exception:  # it is being stopped, or a fake one
        return type(server).__name__
    return f"{type(server).__name__} {host}:{port}"


def _stack_of(thread: int) -> list[FrameType]:
    """Return the frames of a thread, the innermost first."""
    frame = sys._current_frames().get(thread)  # noqa: SLF001  # the only way there is
    stack: list[FrameType] = []
    while frame is not None and len(stack) < _MOST_FRAMES:
        stack.append(frame)
        frame = frame.f_back
    return stack


def _running(stack: list[FrameType]) -> object:
    """Return the callback that a loop runs, or what stands for it; None if it is waiting."""
    request: object = None
    for frame in stack:
        if frame.f_code is _RUN_ONCE:
            names = frame.f_locals
            handle, end_time = names.get("handle"), names.get("end_time")
            # Before a loop waits it throws out timers that were cancelled; `handle` is one then,
            # and only the end of the waiting sets the time.
            if handle is None or end_time is None:
                return None
            # A connection that is read in each turn has the same callback in all of them.
            return id(handle), end_time
        if frame.f_code in _STARTS:
            request = frame.f_locals.get("req")
    return request  # with a loop that is not written in Python


def _culprit(stack: list[FrameType], servers: list[Any]) -> tuple[Any, str | None]:
    """Return the server whose handler is running, and the name of the request."""
    for frame in stack:
        if frame.f_code in _STARTS:
            names = frame.f_locals
            return names["server"], names["self"].name.text
    frames = {id(frame) for frame in stack}
    for server in servers:
        for req, future in list(server.katcp_under_way.items()):
            coroutine = getattr(future, "get_coro", lambda: None)()
            if id(getattr(coroutine, "cr_frame", None)) in frames:
                return server, req.msg.name
    return None, None


def _place(stack: list[FrameType]) -> str:
    """Return where the innermost frame is."""
    frame = stack[0]
    code = frame.f_code
    return f"at {os.path.basename(code.co_filename)}:{frame.f_lineno} in {code.co_name}"
