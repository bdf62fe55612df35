"""An executor for hooks that block."""

from __future__ import annotations

import asyncio
import concurrent.futures
import inspect
import logging
from collections.abc import Callable
from typing import Any

from katcp.orders._executor._executor import OrderExecutor

_log = logging.getLogger("katcp.orders")
#: Functions that have not returned when all is over get this much time [s].
_LAST_CALL = 1.0


class ThreadedOrderExecutor(OrderExecutor):
    """An executor for hooks that block: plain functions are called in a pool of threads.

    These are `read`, `write`, `sysctl` and `message` of the target, the hooks of pathpoints, and
    `execute_section` and `sync_sections` of subclasses, if they are plain functions.

    Parameters
    ----------
    target : Target
    threads : int
        How many. A function that does not return in time keeps its thread until it does: the
        order has failed, but nothing can end a thread.
    **kwargs : object
        Those of `OrderExecutor`.
    """

    def __init__(self, target: Any, *, threads: int = 8, **kwargs: Any) -> None:
        super().__init__(target, **kwargs)
        if threads < 1:
            raise ValueError(f"threads must be at least 1, not {threads}")
        self._threads = threads
        self._pool: concurrent.futures.ThreadPoolExecutor | None = None
        self._calls: set[asyncio.Future[Any]] = set()
        self._target_calls_hooks = hasattr(target, "run_hook")
        self._plain_call = getattr(target, "run_hook", None)

    def start(self) -> None:
        """Start it; hooks of the target are called in threads until it is stopped."""
        super().start()
        if self._target_calls_hooks:
            self.target.run_hook = self._call

    def _call(self, function: Callable[..., Any], *args: Any) -> Any:
        if inspect.iscoroutinefunction(function):
            return function(*args)
        if self._pool is None:
            self._pool = concurrent.futures.ThreadPoolExecutor(
                self._threads, thread_name_prefix="orders"
            )
        future = asyncio.get_running_loop().run_in_executor(self._pool, function, *args)
        self._calls.add(future)
        future.add_done_callback(self._calls.discard)
        return future

    def _call_target(self, function: Callable[..., Any], *args: Any) -> Any:
        return function(*args) if self._target_calls_hooks else self._call(function, *args)

    async def stop(self, grace: float | None = None) -> None:
        """End; see `OrderExecutor.stop`. Functions that do not return keep their threads."""
        await super().stop(grace)
        if self._target_calls_hooks:
            self.target.run_hook = self._plain_call
        if self._calls:
            await asyncio.wait(set(self._calls), timeout=_LAST_CALL)
        pool, self._pool = self._pool, None
        if pool is not None:
            if self._calls:
                _log.error("%d functions of orders do not return", len(self._calls))
            pool.shutdown(wait=not self._calls, cancel_futures=True)
