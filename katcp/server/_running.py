"""A server that runs: its address, its loop, and the threads of its handlers."""

from __future__ import annotations

import asyncio
import concurrent.futures
import inspect
import logging
import sys
from collections.abc import Callable
from typing import Any, ClassVar

from tornado.ioloop import IOLoop

from katcp.handlers import DeviceServerMetaclass
from katcp.ioloop_manager import ThreadsafeFuture
from katcp.protocol import ProtocolFlags
from katcp.server._connection import ClientConnection, ThreadsafeClientConnection
from katcp.server._dispatch import caught
from katcp.server._listener import KATCPServer

log = logging.getLogger("katcp.server")


class RunningServer(metaclass=DeviceServerMetaclass):
    """The life of a server; see `DeviceServerBase` for the parameters."""

    PROTOCOL_INFO: ClassVar[ProtocolFlags] = ProtocolFlags(5, 1, "BIMT")

    def __init__(
        self,
        host: str,
        port: int,
        tb_limit: int = 20,
        logger: logging.Logger = log,
        *,
        max_line: int | None = None,
        max_backlog: int | None = None,
        stall_timeout: float = 30.0,
        max_clients: int | None = None,
        coalesce: float = 0.001,
        handler_threads: int = 8,
    ) -> None:
        self._logger = logger
        self._tb_limit = tb_limit
        # Messages and clients, which it asks about, are added by `DeviceServerBase`.
        device: Any = self
        self._server = KATCPServer(device, host, port, tb_limit, logger)
        self._server.max_line = max_line
        self._server.max_backlog = max_backlog
        self._server.stall_timeout = stall_timeout
        self._server.max_clients = max_clients
        self._server.coalesce = coalesce
        self._concurrency_options = {"thread_safe": True, "handler_thread": True}
        self._handler_threads = handler_threads
        self._handler_thread: concurrent.futures.ThreadPoolExecutor | None = None
        self._handler_pool: concurrent.futures.ThreadPoolExecutor | None = None
        self.asyncio_loop: asyncio.AbstractEventLoop = None  # type: ignore[assignment]

    @property
    def major(self) -> int:
        """Major version of the protocol that this server speaks."""
        return self.PROTOCOL_INFO.major

    @property
    def tb_limit(self) -> int:
        """Most frames of a handler's traceback that the client is sent."""
        return self._tb_limit

    @tb_limit.setter
    def tb_limit(self, limit: int) -> None:
        self._tb_limit = limit

    # -- life ---------------------------------------------------------------------------

    @property
    def bind_address(self) -> tuple[str, int]:
        """(host, port) listened on; the real port once started."""
        return self._server.bind_address

    @property
    def ioloop(self) -> IOLoop | None:
        """The loop, once started or set."""
        return self._server.ioloop

    def set_ioloop(self, ioloop: IOLoop | None = None) -> None:
        """Run in `ioloop`, or the current one, in place of one in a thread of its own."""
        self._server.set_ioloop(ioloop)

    def set_concurrency_options(
        self, thread_safe: bool = True, handler_thread: bool = True
    ) -> None:
        """Choose where handlers run; before `start`.

        Parameters
        ----------
        thread_safe : bool
            Whether replies and informs may be sent from other threads.
        handler_thread : bool
            Whether plain handlers run, one at a time, in a thread of their own; needs
            `thread_safe`. Coroutines always run in the loop.
        """
        if handler_thread and not thread_safe:
            raise AssertionError("handler_thread needs thread_safe")
        self._concurrency_options = {
            "thread_safe": thread_safe,
            "handler_thread": handler_thread,
        }

    def setDaemon(self, daemonic: bool) -> None:  # noqa: N802  # name of the threading module
        """Make the thread of a managed loop a daemon; before `start`."""
        self._server.setDaemon(daemonic)

    def start(self, timeout: float | None = None) -> None:
        """Listen, at once, and begin to serve; with a timeout, wait until that is so [s].

        Raises
        ------
        RuntimeError
            If it is running.
        OSError
            If the address cannot be listened on.
        """
        factory = self._server.client_connection_factory
        if self._concurrency_options["thread_safe"] and factory is ClientConnection:
            self._server.client_connection_factory = ThreadsafeClientConnection
        self._server.start(timeout)

    def stop(self, timeout: float | None = 1.0) -> ThreadsafeFuture:
        """Disconnect all clients and stop; from any thread.

        Requests under way are answered ``fail request_cancelled``. The future may be awaited,
        yielded, or asked for its result in another thread.
        """
        return self._server.stop(timeout)

    def join(self, timeout: float | None = None) -> None:
        """Wait until the server has stopped; for other threads [s]."""
        self._server.join(timeout)

    def running(self) -> bool:
        """Tell whether clients are served."""
        return self._server.running()

    def wait_running(self, timeout: float | None = None) -> bool:
        """Wait until clients are served; for other threads [s]."""
        return self._server.wait_running(timeout)

    def sync_with_ioloop(self, timeout: float | None = None) -> Any:
        """Wait until the loop has made a turn; in the loop, return a future of that.

        Raises
        ------
        concurrent.futures.TimeoutError
        """
        done = ThreadsafeFuture()
        loop = self.ioloop
        if loop is None:
            raise RuntimeError("The server has no loop yet: start() it first.")
        loop.add_callback(done.set_result, None)
        return done if self._server.in_ioloop_thread() else done.result(timeout)

    def loop_started(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take note of the loop, in it (called by the socket side)."""
        self.asyncio_loop = loop

    def loop_stopping(self) -> None:
        """End what runs beside the loop (called by the socket side, in the loop)."""
        for executor in (self._handler_thread, self._handler_pool):
            if executor is not None:
                executor.shutdown(wait=False)
        self._handler_thread = self._handler_pool = None

    # -- where handlers run -------------------------------------------------------------

    @property
    def has_handler_thread(self) -> bool:
        """Whether plain handlers run in a thread of their own."""
        return self._concurrency_options["handler_thread"]

    def handler_thread(self) -> concurrent.futures.ThreadPoolExecutor:
        """Return the one thread for plain handlers."""
        if self._handler_thread is None:
            # The loop is the current one there, so that a handler can make futures of it.
            self._handler_thread = concurrent.futures.ThreadPoolExecutor(
                1, "katcp-handlers", asyncio.set_event_loop, (self.asyncio_loop,)
            )
        return self._handler_thread

    def handler_pool(self) -> concurrent.futures.ThreadPoolExecutor:
        """Return the threads for handlers marked `blocking`."""
        if self._handler_pool is None:
            self._handler_pool = concurrent.futures.ThreadPoolExecutor(
                self._handler_threads, "katcp-blocking"
            )
        return self._handler_pool

    def is_own_handler(self, handler: Callable[..., Any]) -> bool:
        """Tell whether `handler` belongs to this package, so that it is known not to block."""
        return getattr(handler, "__module__", "").startswith("katcp.server.")

    def follow(self, pending: Any) -> asyncio.Future[Any]:
        """Return a future of the loop for whatever a handler returned that is not ready."""
        if isinstance(pending, asyncio.Future):
            return pending
        if isinstance(pending, concurrent.futures.Future):
            return asyncio.wrap_future(pending, loop=self.asyncio_loop)
        if inspect.iscoroutine(pending):
            pending = caught(pending)
            if sys.version_info >= (3, 12):
                # A task may begin at once there, so that one that never waits is done here and now.
                return asyncio.Task(pending, loop=self.asyncio_loop, eager_start=True)
        future: asyncio.Future[Any] = asyncio.ensure_future(pending, loop=self.asyncio_loop)
        return future
