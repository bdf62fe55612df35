"""Work that goes on in the background for as long as a server runs."""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from collections.abc import Awaitable, Callable
from typing import Any

#: A coroutine function without parameters, or something to be awaited once.
Work = Callable[[], Awaitable[Any]] | Awaitable[Any]

#: A task that does not end when it is cancelled gets this much time, and is then left [s].
LAST_CALL = 5.0


class ServiceTask:
    """A service of a server.

    Attributes
    ----------
    name : str
        For the log.
    """

    def __init__(self, services: Services, work: Work, name: str) -> None:
        self.name = name
        self._services = services
        self._work = work
        self.future: asyncio.Future[Any] | None = None

    @property
    def running(self) -> bool:
        """Whether it has been started and has not ended."""
        return self.future is not None and not self.future.done()

    @property
    def repeatable(self) -> bool:
        """Whether it can be started again: it was given as a coroutine function."""
        return not inspect.isawaitable(self._work)

    def cancel(self) -> None:
        """Cancel it, and do not start it again; from any thread."""
        self._services.withdraw(self)

    def launch(self, loop: asyncio.AbstractEventLoop) -> asyncio.Future[Any]:
        """Start it, in the loop.

        Raises
        ------
        TypeError
            If a coroutine function was not one.
        ValueError
            If it is a task of another loop.
        """
        work: Any = self._work() if self.repeatable else self._work  # type: ignore[operator]
        if not inspect.isawaitable(work):
            raise TypeError(f"Service {self.name!r} is no coroutine function: it gave {work!r}.")
        if isinstance(work, asyncio.Future) and work.get_loop() is not loop:
            raise ValueError(f"Service {self.name!r} is a task of another loop.")
        if inspect.iscoroutine(work):
            self.future = loop.create_task(work, name=self.name)
        else:
            self.future = asyncio.ensure_future(work, loop=loop)
        return self.future

    def discard(self) -> None:
        """Close a coroutine that will never be started."""
        if self.future is None and inspect.iscoroutine(self._work):
            self._work.close()

    def __repr__(self) -> str:
        return f"<ServiceTask {self.name!r} {'running' if self.running else 'not running'}>"


class Services:
    """The services of one server.

    Parameters
    ----------
    on_error : callable
        Called with service and exception when one has failed.
    logger : logging.Logger
    """

    def __init__(
        self, on_error: Callable[[ServiceTask, BaseException], object], logger: logging.Logger
    ) -> None:
        self._on_error = on_error
        self._logger = logger
        self._tasks: dict[ServiceTask, None] = {}
        # Guards the moment in which a loop appears while another thread adds a service.
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def tasks(self) -> tuple[ServiceTask, ...]:
        """Services that run or are to be started."""
        return tuple(self._tasks.copy())

    def add(self, work: Work, name: str | None) -> ServiceTask:
        """Add a service; start it if the server runs."""
        if not (callable(work) or inspect.isawaitable(work)):
            raise TypeError(f"{work!r} is neither a coroutine function nor awaitable.")
        if name is None:
            known = getattr(work, "__qualname__", None) or getattr(work, "get_name", lambda: None)()
            name = known or type(work).__name__
        task = ServiceTask(self, work, name)
        with self._lock:
            self._tasks[task] = None
            loop = self._loop
        if loop is not None:
            self._in_loop(loop, self._launch, task)
        return task

    def withdraw(self, task: ServiceTask) -> None:
        """Cancel a service and forget it."""
        with self._lock:
            known = task in self._tasks
            self._tasks.pop(task, None)
            loop = self._loop
        if loop is not None:
            self._in_loop(loop, self._cancel, task)
        elif known:
            task.discard()

    def _in_loop(
        self, loop: asyncio.AbstractEventLoop, function: Callable[..., None], task: ServiceTask
    ) -> None:
        try:
            running = asyncio.get_running_loop()
        except RuntimeError:
            running = None
        if running is loop:
            function(task)
        else:
            loop.call_soon_threadsafe(function, task)

    def _cancel(self, task: ServiceTask) -> None:
        if task.future is not None:
            task.future.cancel()
        else:
            task.discard()

    # -- life of the server -------------------------------------------------------------

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start all services, when the server is ready; in the loop."""
        with self._lock:
            self._loop = loop
        loop.call_soon(self._launch_all)

    def _launch_all(self) -> None:
        for task in self.tasks:
            self._launch(task)

    def _launch(self, task: ServiceTask) -> None:
        if self._loop is None or task.future is not None or task not in self._tasks:
            return
        try:
            future = task.launch(self._loop)
        except Exception as error:
            self._tasks.pop(task, None)
            self._failed(task, error)
            return
        future.add_done_callback(lambda future: self._ended(task, future))

    def _ended(self, task: ServiceTask, future: asyncio.Future[Any]) -> None:
        error = None if future.cancelled() else future.exception()
        if self._loop is None and task.repeatable and error is None:
            task.future = None  # cancelled with the server, and started again with it
            return
        self._tasks.pop(task, None)
        if error is not None:
            self._failed(task, error)

    def _failed(self, task: ServiceTask, error: BaseException) -> None:
        try:
            self._on_error(task, error)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:
            self._logger.exception("on_service_task_error failed for service %r", task.name)

    async def end(self) -> None:
        """Cancel all services, and wait until they have ended; in the loop."""
        with self._lock:
            self._loop = None
        futures = {}
        for task in self.tasks:
            if task.future is not None:
                futures[task.future] = task
            elif not task.repeatable:
                self._tasks.pop(task, None)
                task.discard()
        for future in futures:
            future.cancel()
        if not futures:
            return
        _, left = await asyncio.wait(futures, timeout=LAST_CALL)
        for future in left:
            self._logger.error(
                "Service %r does not end although it was cancelled", futures[future].name
            )
        await asyncio.sleep(0)  # the turn in which `_ended` is called
