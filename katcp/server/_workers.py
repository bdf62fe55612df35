"""Threads that handlers run in."""

from __future__ import annotations

import asyncio
import concurrent.futures
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

_Call = tuple[concurrent.futures.Future[Any], Callable[[], Any]]


class Workers:
    """Runs calls in threads, which are made when they are first needed.

    They are daemons: a handler that blocks for ever does not keep a program from ending.

    Parameters
    ----------
    count : int
        Most threads; with one, calls are run one at a time and in order.
    name : str
        Of the threads.
    loop : asyncio.AbstractEventLoop, optional
        The loop that is the current one there, so that handlers can make futures of it.
    """

    def __init__(
        self, count: int, name: str, loop: asyncio.AbstractEventLoop | None = None
    ) -> None:
        self._count = count
        self._name = name
        self._loop = loop
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._threads: list[threading.Thread] = []

    def submit(self, call: Callable[[], Any]) -> concurrent.futures.Future[Any]:
        """Have `call` run; return a future of its result. In the server's loop."""
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        self._calls.put((future, call))
        if len(self._threads) < self._count and not self._idle.acquire(blocking=False):
            thread = threading.Thread(
                target=_work,
                args=(self._calls, self._idle, self._loop),
                name=f"{self._name}-{len(self._threads)}",
                daemon=True,
            )
            self._threads.append(thread)
            thread.start()
        return future

    def shutdown(self) -> None:
        """End the threads when they have done what was submitted."""
        for _ in self._threads:
            self._calls.put(None)

    __del__ = shutdown  # if somebody has let go of a server without stopping it

    def join(self, timeout: float | None = None) -> bool:
        """Wait until the threads have ended [s]; tell whether they have."""
        deadline = None if timeout is None else time.monotonic() + timeout
        for thread in self._threads:
            if thread is not threading.current_thread():
                left = None if deadline is None else max(0.0, deadline - time.monotonic())
                thread.join(left)
        return not any(thread.is_alive() for thread in self._threads)


def _work(
    calls: queue.SimpleQueue[_Call | None],
    idle: threading.Semaphore,
    loop: asyncio.AbstractEventLoop | None,
) -> None:
    if loop is not None:
        asyncio.set_event_loop(loop)
    while (item := calls.get()) is not None:
        future, call = item
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(call())
            except BaseException as error:
                future.set_exception(error)
        del item, future, call  # held by nobody while there is nothing to do
        idle.release()
    asyncio.set_event_loop(None)
