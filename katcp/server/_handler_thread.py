"""A thread that handles messages one after the other, for who wants one beside a server's own."""

from __future__ import annotations

import asyncio
import collections
import functools
import inspect
import logging
import threading
from collections.abc import Callable
from typing import Any

from tornado.ioloop import IOLoop

from katcp.ioloop_manager import ThreadsafeFuture
from katcp.protocol import Message

log = logging.getLogger("katcp.server")


def return_future(fn: Callable[..., Any]) -> Callable[..., ThreadsafeFuture]:
    """Decorate a plain function so that it returns a future of its result, which is done.

    What it raises is raised at once.
    """

    @functools.wraps(fn)
    def with_future(*args: Any, **kwargs: Any) -> ThreadsafeFuture:
        done = ThreadsafeFuture()
        done.set_result(fn(*args, **kwargs))
        return done

    return with_future


class MessageHandlerThread:
    """Calls a handler of messages in a thread of its own, one at a time and in order.

    Servers have their own way to do so; this is for programs that handle messages themselves.

    Parameters
    ----------
    handler : callable
        Called with (client_conn, msg). If it returns a future, the next message does not wait for
        it.
    log_inform_formatter : callable
        Called with (level_name, text, logger name); returns the ``#log`` inform with which a
        client is told that handling its message failed.
    logger : logging.Logger
    """

    def __init__(
        self,
        handler: Callable[[Any, Message], Any],
        log_inform_formatter: Callable[..., Message],
        logger: logging.Logger = log,
    ) -> None:
        self.handler = handler
        owner = getattr(handler, "__self__", None)
        #: Name of the thread.
        self.name = f"{'' if owner is None else type(owner).__name__ + '.'}message_handler"
        self.log_inform_formatter = log_inform_formatter
        #: The loop that coroutines of the handler run in.
        self.ioloop: IOLoop | None = None
        self._logger = logger
        self._msg_queue: collections.deque[tuple[ThreadsafeFuture, Any, Message]] = (
            collections.deque()
        )
        self._wake = threading.Condition()
        self._running = threading.Event()
        self._ending = False
        self._thread: threading.Thread | None = None

    def set_ioloop(self, ioloop: IOLoop) -> None:
        """Set the loop that is current in the thread, and that the handler's coroutines run in."""
        self.ioloop = ioloop

    # -- life ---------------------------------------------------------------------------

    def start(self, timeout: float | None = None) -> bool | None:
        """Start the thread; with a timeout, wait until it runs, and tell whether it does [s].

        Raises
        ------
        RuntimeError
            If it is running.
        """
        if self.isAlive():
            raise RuntimeError("The message handler thread is already running.")
        self._ending = False
        self._thread = threading.Thread(target=self.run, name=self.name)
        self._thread.start()
        return None if timeout is None else self.wait_running(timeout)

    def stop(self, timeout: float | None = 1.0) -> None:
        """End the thread when the message it is at is handled; others stay for a new `start`."""
        if timeout and self.isAlive():
            self._running.wait(timeout)
        with self._wake:
            self._ending = True
            self._wake.notify()

    def join(self, timeout: float | None = None) -> None:
        """Wait until the thread has ended [s]."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    def isAlive(self) -> bool:  # noqa: N802  # its name
        """Tell whether there is a thread."""
        return self._thread is not None and self._thread.is_alive()

    is_alive = isAlive

    def running(self) -> bool:
        """Tell whether messages are handled."""
        return self._running.is_set()

    def wait_running(self, timeout: float | None = None) -> bool:
        """Wait until messages are handled [s]."""
        return self._running.wait(timeout)

    # -- messages -----------------------------------------------------------------------

    def on_message(self, client_conn: Any, msg: Message) -> ThreadsafeFuture:
        """Have a message handled; from any thread.

        Returns
        -------
        concurrent.futures.Future
            Thread-safe, and may be awaited; of what the handler returned.
        """
        done = ThreadsafeFuture()
        with self._wake:
            self._msg_queue.append((done, client_conn, msg))
            self._wake.notify()
        return done

    def run(self) -> None:
        """Handle messages until `stop`; in the thread."""
        if self.ioloop is not None:
            asyncio.set_event_loop(self._loop)
        self._running.set()
        try:
            while True:
                with self._wake:
                    self._wake.wait_for(lambda: self._ending or self._msg_queue)
                    if self._ending:
                        break
                    done, client_conn, msg = self._msg_queue.popleft()
                self._handle(done, client_conn, msg)
                del done, client_conn, msg  # held by nobody while there is nothing to do
        finally:
            self._running.clear()
            asyncio.set_event_loop(None)

    @property
    def _loop(self) -> asyncio.AbstractEventLoop:
        loop: asyncio.AbstractEventLoop = self.ioloop.asyncio_loop  # type: ignore[union-attr]
        return loop

    def _handle(self, done: ThreadsafeFuture, client_conn: Any, msg: Message) -> None:
        try:
            result = self.handler(client_conn, msg)
        except Exception as error:
            self._failed(client_conn, msg, error)
            done.set_exception(error)
            return
        if not inspect.isawaitable(result) or self.ioloop is None:
            done.set_result(result)
            return

        async def finish() -> None:
            try:
                done.set_result(await result)
            except BaseException as error:
                done.set_exception(error)

        asyncio.run_coroutine_threadsafe(finish(), self._loop)

    def _failed(self, client_conn: Any, msg: Message, error: Exception) -> None:
        self._logger.error("Handling %r failed", msg, exc_info=error)
        text = f"Handling {msg.name!r} failed, see the log of the device: {error}"
        try:
            client_conn.inform(self.log_inform_formatter("error", text, "root"))
        except Exception:
            self._logger.exception("The client cannot be told either")
