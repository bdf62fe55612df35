"""A loop in a thread of its own, for servers and clients that are used from other threads."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import threading
from collections.abc import Awaitable, Callable, Generator
from typing import Any

from tornado.ioloop import IOLoop

log = logging.getLogger("katcp.ioloop_manager")


class ThreadsafeFuture(concurrent.futures.Future[Any]):
    """A `concurrent.futures.Future` that coroutines may also await or yield."""

    def __await__(self) -> Generator[Any, None, Any]:
        return asyncio.wrap_future(self).__await__()


class IOLoopManager:
    """Provides a loop: one that was set, or a new one in a new thread (a *managed* one).

    Parameters
    ----------
    managed_default : bool
        Whether to make a loop if none is set.
    logger : logging.Logger
        Hears of errors that end the loop.
    """

    def __init__(self, managed_default: bool = True, logger: logging.Logger = log) -> None:
        self._managed = managed_default
        self._logger = logger
        self._daemonic = False
        self._ioloop: IOLoop | None = None
        self._running = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        #: What `stop` returned while that is under way; in a managed loop also afterwards.
        self._stopping: ThreadsafeFuture | None = None

    @property
    def managed(self) -> bool:
        """Whether the loop is made here and runs in a thread of its own."""
        return self._managed

    @property
    def daemon(self) -> bool:
        """Whether the thread of a managed loop is a daemon, which lets the program end.

        To be set before `start`.
        """
        return self._daemonic

    @daemon.setter
    def daemon(self, daemonic: bool) -> None:
        self._daemonic = bool(daemonic)

    def setDaemon(self, daemonic: bool) -> None:  # noqa: N802  # name of the threading module
        """Set `daemon`."""
        self.daemon = daemonic

    def set_ioloop(self, ioloop: IOLoop | None, managed: bool | None = None) -> None:
        """Use `ioloop`, or the current one if None.

        Parameters
        ----------
        managed : bool, optional
            Whether `start` runs it in a thread, and `stop` ends and closes it; as at
            construction if None.

        Raises
        ------
        RuntimeError
            If there is a loop already.
        """
        if self._ioloop is not None:
            raise RuntimeError("IOLoop instance already set")
        self._ioloop = ioloop or IOLoop.current()
        if managed is not None:
            self._managed = managed

    def get_ioloop(self) -> IOLoop:
        """Return the loop. If there is none: a new one if managed, otherwise the current one."""
        if self._ioloop is None:
            self._ioloop = IOLoop(make_current=False) if self._managed else IOLoop.current()
        return self._ioloop

    def start(self, timeout: float | None = None) -> None:
        """Start the thread of a managed loop; with a timeout, wait until the loop runs [s].

        Raises
        ------
        RuntimeError
            If there is no loop, or its thread runs already.
        """
        loop = self._ioloop
        if loop is None:
            raise RuntimeError("There is no IOLoop; call get_ioloop() or set_ioloop() first.")
        if not self._managed:
            self._running.set()
            return
        if self._thread is not None and self._thread.is_alive():
            if self._stopping is None:
                raise RuntimeError("The managed IOLoop is already running.")
            self.join()  # it has been stopped and is about to end
        self._stopping = None
        loop.add_callback(self._running.set)
        self._thread = threading.Thread(
            target=self._run, args=(loop,), name=f"ioloop-{id(loop):x}", daemon=self._daemonic
        )
        self._thread.start()
        if timeout is not None:
            self._running.wait(timeout)

    def _run(self, loop: IOLoop) -> None:
        asyncio_loop: asyncio.AbstractEventLoop = loop.asyncio_loop  # type: ignore[attr-defined]
        asyncio.set_event_loop(asyncio_loop)
        try:
            loop.start()
            asyncio_loop.run_until_complete(_end_tasks(asyncio_loop))
        except Exception:
            self._logger.exception("The managed IOLoop ended with an error")
        finally:
            self._running.clear()
            if self._ioloop is loop:
                self._ioloop = None
            loop.close()
            stopping = self._stopping
            if stopping is not None and not stopping.done():
                stopping.set_result(None)  # it ended by itself before it could be stopped

    def stop(
        self,
        timeout: float | None = None,
        callback: Callable[[], Awaitable[Any] | None] | None = None,
    ) -> ThreadsafeFuture:
        """Run `callback` in the loop, await what it returns, then stop a managed loop.

        Callable from any thread. The future, which is thread-safe, has the callback's result.
        While that is under way, a further call returns the same future.
        """
        done = ThreadsafeFuture()
        with self._lock:
            if self._stopping is not None and not self._stopping.done():
                return self._stopping
            loop = self._ioloop
            if loop is None or (self._managed and self._thread is None) or _is_closed(loop):
                done.set_result(None)
                return done
            self._stopping = done

        async def finish() -> None:
            result = error = None
            try:
                result = callback() if callback is not None else None
                if result is not None:
                    result = await result
            except BaseException as raised:
                error = raised
            # Whoever hears that it is done may start again at once.
            if self._managed:
                self._ioloop = None
                loop.stop()
            else:
                self._running.clear()
                self._stopping = None
            if error is None:
                done.set_result(result)
            else:
                done.set_exception(error)

        loop.add_callback(finish)
        return done

    def join(self, timeout: float | None = None) -> None:
        """Wait until the thread of a managed loop has ended [s]; otherwise return at once."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)
            if not thread.is_alive():
                self._thread = None


def _is_closed(loop: IOLoop) -> bool:
    asyncio_loop: asyncio.AbstractEventLoop = loop.asyncio_loop  # type: ignore[attr-defined]
    return asyncio_loop.is_closed()


async def _end_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel what is left running, so that closing the loop leaves nothing behind."""
    tasks = [task for task in asyncio.all_tasks(loop) if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await loop.shutdown_asyncgens()
