"""A server that runs: its address, its loop, and the threads of its handlers."""

from __future__ import annotations

import asyncio
import functools
import logging
import operator
import ssl
import time
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from tornado.ioloop import IOLoop

from katcp.handlers import DeviceServerMetaclass
from katcp.ioloop_manager import ThreadsafeFuture
from katcp.protocol import ProtocolFlags
from katcp.server._access import AccessPolicy, Gate
from katcp.server._admission import Admission, networks_of
from katcp.server._connection import ClientConnection, ThreadsafeClientConnection
from katcp.server._dispatch import follow
from katcp.server._listener import KATCPServer
from katcp.server._load import MAX_REQUESTS, MAX_REQUESTS_PER_CLIENT, Load
from katcp.server._services import Services, ServiceTask, Work
from katcp.server._statistics import Statistics
from katcp.server._workers import Workers

log = logging.getLogger("katcp.server")


class RunningServer(metaclass=DeviceServerMetaclass):
    """The life of a server; see `DeviceServerBase` for the parameters.

    What other rooms need to know of a server, and katcp-python 0.9.3 had not, is called
    ``katcp_...``, so that it is not overridden by chance: devices have attributes of many names.
    """

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
        max_arguments: int | None = None,
        max_name: int | None = None,
        lag_warning: float | None = 1.0,
        ssl_context: ssl.SSLContext | None = None,
        max_complaints: int = 100,
        allow: Iterable[Any] | str | None = None,
        max_clients_per_address: int | None = None,
        reserved_clients: int = 0,
        max_requests: int | None = MAX_REQUESTS,
        max_requests_per_client: int | None = MAX_REQUESTS_PER_CLIENT,
        keepalive: tuple[int, int, int] | None = (30, 10, 3),
        idle_timeout: float | None = None,
        access: AccessPolicy | None = None,
    ) -> None:
        self._logger = logger
        self._tb_limit = tb_limit
        # Messages and clients, which it asks about, are added by `DeviceServerBase`.
        device: Any = self
        self._server = KATCPServer(device, host, port, tb_limit, logger, ssl_context=ssl_context)
        self._server.max_line = max_line
        #: A handler that keeps the loop for longer is warned of [s]; None: never.
        self.lag_warning = lag_warning
        self._server.max_arguments = max_arguments
        self._server.max_name = max_name
        self._server.max_backlog = max_backlog
        self._server.stall_timeout = stall_timeout
        self._server.admission = Admission(
            allow, max_clients, max_clients_per_address, reserved_clients
        )
        if max_requests is not None or max_requests_per_client is not None:
            self._server.load = Load(max_requests, max_requests_per_client, logger)
        self._server.keepalive = _checked_keepalive(keepalive)
        if idle_timeout is not None and not idle_timeout > 0:
            raise ValueError(f"idle_timeout must be positive, not {idle_timeout}.")
        self._server.idle_timeout = idle_timeout
        #: What other rooms count that happens rarely.
        self.katcp_counters = self._server.counters
        if access is not None:
            self._server.gate = Gate(access, self.katcp_follow, self.katcp_counters, logger)
        self._server.max_complaints = max_complaints
        self._server.coalesce = coalesce
        self._concurrency_options = {"thread_safe": True, "handler_thread": True}
        self._handler_threads = handler_threads
        self._handler_thread: Workers | None = None
        self._handler_pool: Workers | None = None
        #: Threads whose last handlers may still be under way.
        self._ending: list[Workers] = []
        self.asyncio_loop: asyncio.AbstractEventLoop = None  # type: ignore[assignment]
        self._services = Services(
            lambda task, error: self.on_service_task_error(task, error), logger
        )

    def katcp_use_tls(self, ssl_context: ssl.SSLContext | None) -> None:
        """Do what the argument `ssl_context` does, for devices that do not have it; before `start`.

        Raises
        ------
        TypeError
            If it is no `ssl.SSLContext`.
        ValueError
            If it is for clients.
        """
        self._server.use_tls(ssl_context)

    @property
    def katcp_major(self) -> int:
        """Major version of the protocol that this server speaks."""
        return self.PROTOCOL_INFO.major

    @property
    def tb_limit(self) -> int:
        """Most frames of a handler's traceback that the client is sent."""
        return self._tb_limit

    @tb_limit.setter
    def tb_limit(self, limit: int) -> None:
        self._tb_limit = limit

    # Programs for katcp-python may have an attribute of that name, so it can be replaced.
    @functools.cached_property
    def statistics(self) -> Statistics:
        """How many clients there are, what was refused, and so on; to be read only."""
        return self._server.statistics

    def katcp_allow(self, allow: Iterable[Any] | str) -> None:
        """Do what the argument `allow` does, for devices that do not have it; before `start`.

        Raises
        ------
        ValueError
        """
        self._server.admission.networks = networks_of(allow)

    def katcp_default_places(
        self,
        max_clients: int | None = None,
        reserved_clients: int = 0,
        max_clients_per_address: int | None = None,
    ) -> None:
        """Set those of these limits that have not been set."""
        admission = self._server.admission
        if admission.max_clients is None and max_clients is not None:
            admission.max_clients = max_clients
            admission.reserved_clients = admission.reserved_clients or reserved_clients
        if admission.max_clients_per_address is None:
            admission.max_clients_per_address = max_clients_per_address

    @property
    def katcp_is_exposed(self) -> bool:
        """Whether other computers can reach the server; once it is started."""
        return self._server.is_exposed

    @property
    def katcp_is_guarded(self) -> bool:
        """Whether not everybody who can reach the server may do everything."""
        server = self._server
        context = server.ssl_context
        return (
            server.admission.networks is not None
            or server.gate is not None
            or (context is not None and context.verify_mode == ssl.CERT_REQUIRED)
        )

    # -- life ---------------------------------------------------------------------------

    @property
    def bind_address(self) -> tuple[str, int]:
        """(host, port) listened on; the real port once started."""
        return self._server.bind_address

    @property
    def ioloop(self) -> IOLoop | None:
        """The loop, once started or set."""
        return self._server.ioloop

    @ioloop.setter
    def ioloop(self, ioloop: IOLoop | None) -> None:
        # Devices that keep the loop themselves, under this name, keep the same one.
        self._server.ioloop = ioloop

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

    @property
    def daemon(self) -> bool:
        """Whether the thread of a managed loop is a daemon; to be set before `start`."""
        return self._server.daemon

    @daemon.setter
    def daemon(self, daemonic: bool) -> None:
        self._server.daemon = daemonic

    def setDaemon(self, daemonic: bool) -> None:  # noqa: N802  # name of the threading module
        """Set `daemon`."""
        self.daemon = daemonic

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
        """Wait until the server has stopped, and handlers in threads have ended [s].

        For other threads; in a loop only the first is waited for.
        """
        begin = time.monotonic()
        self._server.join(timeout)
        if _is_in_loop():
            return
        for workers in list(self._ending):
            left = None if timeout is None else max(0.0, begin + timeout - time.monotonic())
            if workers.join(left):
                self._ending.remove(workers)

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

    # -- services -----------------------------------------------------------------------

    def add_service_task(self, work: Work, *, name: str | None = None) -> ServiceTask:
        """Have something done in the background while the server runs; from any thread.

        It is started when the server is, in the server's loop, or now if the server runs. When
        the server is stopped it is cancelled, and waited for, before clients are told. One that
        ends by itself is done with.

        Parameters
        ----------
        work : coroutine function or awaitable
            A function without parameters is called, and what it returns awaited, each time the
            server is started. A coroutine object, a future or a task serves once.
        name : str, optional
            For the log; by default the name of the function.

        Returns
        -------
        ServiceTask
            Its `cancel` ends it before the server is stopped.

        Raises
        ------
        TypeError
            If `work` is neither callable nor awaitable.

        Examples
        --------
        ::

            class Pump(AsyncDeviceServer):
                def setup_sensors(self):
                    self.add_sensor(Sensor.float("speed", "Speed", "Hz"))
                    self.add_service_task(self.measure)

                async def measure(self):
                    while True:
                        self.sensors["speed"].set_value(read_speed())
                        await asyncio.sleep(1)
        """
        return self._services.add(work, name)

    @property
    def service_tasks(self) -> tuple[ServiceTask, ...]:
        """Services that run, or will when the server is started."""
        return self._services.tasks

    def on_service_task_error(self, task: ServiceTask, error: BaseException) -> Any:
        """Log what a service raised, which has ended it; to be overridden, or set.

        Called in the loop. The server runs on.
        """
        self._logger.error("Service %r failed", task.name, exc_info=error)

    async def loop_ending(self) -> None:
        """End the services, before clients are told of the end (called by the socket side)."""
        await self._services.end()

    def loop_started(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take note of the loop, in it (called by the socket side)."""
        self.asyncio_loop = loop
        if self.katcp_is_exposed and not self.katcp_is_guarded:
            self._logger.info(
                "Everybody who can reach port %d may do everything", self.bind_address[1]
            )
        self._services.begin(loop)

    def loop_stopping(self) -> None:
        """End what runs beside the loop (called by the socket side, in the loop)."""
        for workers in (self._handler_thread, self._handler_pool):
            if workers is not None:
                workers.shutdown()
                self._ending.append(workers)
        self._handler_thread = self._handler_pool = None

    # -- where handlers run -------------------------------------------------------------

    @property
    def katcp_has_handler_thread(self) -> bool:
        """Whether plain handlers run in a thread of their own."""
        return self._concurrency_options["handler_thread"]

    def katcp_handler_thread(self) -> Workers:
        """Return the one thread for plain handlers."""
        if self._handler_thread is None:
            self._handler_thread = Workers(1, "katcp-handlers", self.asyncio_loop)
        return self._handler_thread

    def katcp_handler_pool(self) -> Workers:
        """Return the threads for handlers marked `blocking`."""
        if self._handler_pool is None:
            self._handler_pool = Workers(self._handler_threads, "katcp-blocking")
        return self._handler_pool

    def katcp_is_own_handler(self, handler: Callable[..., Any]) -> bool:
        """Tell whether `handler` belongs to this package, so that it is known not to block."""
        return getattr(handler, "__module__", "").startswith("katcp.server.")

    def katcp_follow(self, pending: Any) -> asyncio.Future[Any]:
        """Return a future of the loop for whatever a handler returned that is not ready."""
        return follow(self.asyncio_loop, pending)


def _checked_keepalive(keepalive: Any) -> tuple[int, int, int] | None:
    """Return the parameters of TCP's probes, if they can be such.

    Raises
    ------
    ValueError
    """
    if keepalive is None:
        return None
    try:
        idle, interval, count = map(operator.index, keepalive)
    except (TypeError, ValueError):
        idle = interval = count = 0
    if min(idle, interval, count) < 1:
        raise ValueError(
            f"keepalive must be (idle, interval, count), three positive whole numbers, "
            f"not {keepalive!r}."
        )
    return idle, interval, count


def _is_in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
