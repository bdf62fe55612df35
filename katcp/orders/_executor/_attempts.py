"""One attempt at an order: what is called for it, how long it may take, and why it has failed."""

from __future__ import annotations

import asyncio
import concurrent.futures
import inspect
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from katcp.aio import WaitTimeout, with_timeout
from katcp.errors import FailReply, InvalidReply, KatcpClientDisconnected, KatcpClientError
from katcp.expressions import EvaluationError
from katcp.orders._executor._turns import Lanes, Slots
from katcp.orders._orders import (
    MessageOrder,
    Order,
    ReadOrder,
    SysctlOrder,
    WaitUntilOrder,
    WriteOrder,
)
from katcp.orders._outcome import CANCELLED, OrderFailed, OrderSkipped
from katcp.orders._section import Section

_log = logging.getLogger("katcp.orders")
#: Of an order that has not been tried: there is no first attempt to go on with.
UNTRIED: Any = object()
#: So much of the text of an exception is kept [characters].
_DETAIL = 500
#: How often to look, where nobody tells of changes [s].
_LOOK = 0.5


class _NoAnswer(OrderFailed):
    """An attempt took too long."""


@dataclass
class Means:
    """What sections are carried out with; one for all of an executor."""

    target: Any
    call: Callable[..., Any]
    clock: Callable[[], float] = time.time
    journal: Any = None
    attempt_timeout: float = 10.0
    retry_delay: float = 0.05
    max_retry_delay: float = 5.0
    slots: Slots = field(default_factory=lambda: Slots(100))
    lanes: Lanes = field(default_factory=Lanes)
    #: Attempts that were given up and have not ended yet.
    lingering: set[asyncio.Future[Any]] = field(default_factory=set)


class Attempts:
    """Attempts at orders of one section, and the waits between them.

    What waits, for whatever it be, stops to do so when the section is cancelled by force.
    """

    def __init__(self, section: Section, means: Means) -> None:
        self._section = section
        self._means = means
        self._loop = asyncio.get_running_loop()
        self._waiters: set[asyncio.Future[None]] = set()

    def stop_trying(self) -> None:
        """Have everything that waits stop to do so: the section is cancelled by force."""
        for waiter in tuple(self._waiters):
            _wake(waiter)

    async def until(
        self, future: asyncio.Future[Any] | None = None, delay: float | None = None
    ) -> None:
        """Wait for a future, for a time [s], or until all that waits is to stop."""
        if self._section.cancel_requested:
            return
        waiter = self._loop.create_future()
        timer = None if delay is None else self._loop.call_later(delay, _wake, waiter)
        if future is not None:
            future.add_done_callback(lambda _: _wake(waiter))
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)
            if timer is not None:
                timer.cancel()

    def time_left(self, order: Order) -> float | None:
        """Return how long it is until the order is too late [s]; None for ever."""
        limits = (getattr(order, "stale_after", None), self._section.finish_by)
        given = [limit for limit in limits if limit is not None]
        return max(0.0, min(given) - self._means.clock()) if given else None

    def call(self, order: Order) -> Any:
        """Call what carries out an order; return what that returns, which may be to be awaited."""
        means = self._means
        target = means.target
        if isinstance(order, WriteOrder):
            result = means.call(target.write, order.pathpoint, order.value, order.advise)
        elif isinstance(order, ReadOrder):
            result = means.call(target.read, order.pathpoint, order.advise)
        elif isinstance(order, SysctlOrder):
            result = means.call(target.sysctl, order.op_type, order.op_args)
        elif isinstance(order, MessageOrder):
            result = means.call(target.message, order.uuid)
        else:
            raise OrderFailed("unknown-order", f"{order!r} is no known order", permanent=True)
        if isinstance(result, concurrent.futures.Future):
            return asyncio.wrap_future(result)
        return result

    async def attempt(self, order: Order, first: Any) -> Any:
        """Return what an attempt gives; the first may be under way already."""
        if isinstance(order, WaitUntilOrder):
            return await self._wait_until(order)
        if isinstance(first, BaseException):
            raise first
        result = self.call(order) if first is UNTRIED else first
        if not inspect.isawaitable(result):
            return result
        timeout = order.attempt_timeout
        if timeout is None and isinstance(order, (WriteOrder, ReadOrder)):
            own = getattr(self._means.target, "attempt_timeout", None)
            timeout = own(order.pathpoint) if callable(own) else None
        if timeout is None:
            timeout = self._means.attempt_timeout
        try:
            return await self._limited(result, timeout)
        except _NoAnswer:
            told = getattr(self._means.target, "timed_out", None)
            if callable(told) and isinstance(order, ReadOrder):
                told(order.pathpoint)
            raise

    async def _limited(self, awaitable: Any, timeout: float) -> Any:
        """Await something for at most so long [s]; after that it is cancelled."""
        finish_by = self._section.finish_by
        if finish_by is not None:
            timeout = min(timeout, max(0.0, finish_by - self._means.clock()))
        inner = asyncio.ensure_future(awaitable)
        try:
            result = await with_timeout(inner, timeout)
        except WaitTimeout as error:
            if inner.done():
                raise
            raise _NoAnswer("timeout", f"no answer within {timeout:g} s") from error
        finally:
            if not inner.done():
                lingering = self._means.lingering
                lingering.add(inner)
                inner.add_done_callback(lingering.discard)
                inner.cancel()
        if inspect.isawaitable(result):  # a function in a thread has returned a coroutine
            return await self._limited(result, timeout)
        return result

    async def _wait_until(self, order: WaitUntilOrder) -> Any:
        """Wait until a sensor is as wanted."""
        target = self._means.target
        waits = getattr(target, "wait_until", None)
        if waits is not None:
            awaited = asyncio.ensure_future(waits(order.sensor, order.satisfied_by))
        else:
            awaited = asyncio.ensure_future(self._look(order))
        try:
            left = self.time_left(order)
            timeout = order.timeout if left is None else min(order.timeout, left)
            await self.until(awaited, timeout)
            if not awaited.done():
                if self._section.cancel_requested:
                    raise OrderSkipped(CANCELLED)
                raise OrderFailed(
                    "timeout", f"{order.condition} was not so within {timeout:g} s", permanent=True
                )
            return awaited.result()
        finally:
            awaited.cancel()

    async def _look(self, order: WaitUntilOrder) -> Any:
        """Read a sensor now and then, until it is as wanted."""
        while True:
            try:
                reading = self._means.call(self._means.target.read, order.sensor, 0)
                if inspect.isawaitable(reading):
                    reading = await self._limited(reading, self._means.attempt_timeout)
            except Exception as error:  # it may work again before the time is over
                _log.debug("Sensor %r, which an order waits for: %s", order.sensor, error)
            else:
                value = reading[2] if isinstance(reading, tuple) and len(reading) == 3 else reading
                if order.satisfied_by(value):
                    return reading
            await asyncio.sleep(_LOOK)


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def text_of(error: BaseException) -> str:
    """Return an exception in a sentence."""
    return f"{type(error).__name__}: {error}"[:_DETAIL]


def reason_of(error: BaseException, order: Order, attempts: int) -> tuple[str, str, bool]:
    """Return why an attempt has failed: a word, a sentence, and whether it is no use to retry."""
    if isinstance(error, OrderFailed):
        return error.reason, error.detail[:_DETAIL], error.permanent
    if isinstance(error, EvaluationError):
        return "condition", str(error)[:_DETAIL], True
    if isinstance(error, InvalidReply):
        return "invalid", str(error)[:_DETAIL], True
    if isinstance(error, FailReply):
        return "refused", str(error)[:_DETAIL], False
    if isinstance(error, (WaitTimeout, TimeoutError, concurrent.futures.TimeoutError)):
        return "timeout", str(error)[:_DETAIL], False
    if isinstance(error, asyncio.TimeoutError):  # another class on Python 3.10
        return "timeout", str(error)[:_DETAIL], False
    if isinstance(error, KatcpClientDisconnected):
        return "disconnected", str(error)[:_DETAIL], False
    if isinstance(error, asyncio.CancelledError):
        return "cancelled", "the attempt was cancelled", False
    if isinstance(error, KatcpClientError):
        return "client", str(error)[:_DETAIL], False
    if attempts == 1:  # the others raise the same, as a rule
        _log.error("Attempt to %s %s raised", order.type, order.target_name, exc_info=error)
    return "error", text_of(error), False
