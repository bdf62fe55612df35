"""Mocks and callbacks that one can wait for."""

from __future__ import annotations

import functools
import queue
import threading
import time
from collections.abc import Callable
from typing import Any
from unittest import mock

from tornado import gen
from tornado.ioloop import IOLoop
from tornado.util import TimeoutError

from katcp.aio import AsyncEvent
from katcp.object_proxies import ObjectWrapper


class WaitingMock(mock.Mock):
    """A `unittest.mock.Mock` whose calls, made in any thread, can be waited for."""

    _call_lock: threading.RLock
    _counted_queue: queue.Queue[int]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # By way of the dict, since a mock with `spec_set` takes no other attributes.
        self.__dict__["_call_lock"] = threading.RLock()
        self.__dict__["_counted_queue"] = queue.Queue()

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().__call__(*args, **kwargs)
        finally:
            self._counted_queue.put(self.call_count)

    def _increment_mock_call(self, /, *args: Any, **kwargs: Any) -> None:
        with self._call_lock:  # two threads that call at once are two calls
            super()._increment_mock_call(*args, **kwargs)

    def assert_wait_call_count(self, count: int, timeout: float | None = 1.0) -> bool:
        """Wait until there have been `count` calls in all.

        Parameters
        ----------
        count : int
        timeout : float, optional
            Longest wait [s]; None: for ever.

        Returns
        -------
        bool
            True.

        Raises
        ------
        AssertionError
            If there have not been as many in time.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while self.call_count < count:
            rest = None if deadline is None else max(0.0, deadline - time.monotonic())
            try:
                self._counted_queue.get(timeout=rest)
            except queue.Empty:
                # It may have come between the look and the wait.
                if self.call_count < count:
                    raise AssertionError(
                        f"{self.call_count} of {count} calls within {timeout} s"
                    ) from None
        return True

    def reset_mock(self, visited: Any = None, **kwargs: Any) -> None:
        """Forget all calls.

        Parameters
        ----------
        visited : object, optional
            Used by mocks of mocks.
        return_value, side_effect : bool, optional
            See `unittest.mock.Mock.reset_mock`.
        """
        super().reset_mock(visited, **kwargs)
        self.__dict__["_counted_queue"] = queue.Queue()


class AsyncWaitingMock(mock.Mock):
    """A `unittest.mock.Mock` whose calls, made in the loop, can be waited for in the loop."""

    _call_event: AsyncEvent

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.__dict__["_call_event"] = AsyncEvent()

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().__call__(*args, **kwargs)
        finally:
            self._call_event.set()
            self._call_event.clear()  # those who wait have been woken

    @gen.coroutine
    def assert_wait_call_count(self, count: int, timeout: float = 1.0) -> Any:
        """Wait until there have been `count` calls in all; a coroutine.

        Raises
        ------
        AssertionError
            If there have not been as many within `timeout` seconds of the loop's clock.
        """
        loop = IOLoop.current()
        deadline = loop.time() + timeout
        while self.call_count < count:
            try:
                yield self._call_event.until_set(timeout=max(0.0, deadline - loop.time()))
            except TimeoutError:
                raise AssertionError(
                    f"{self.call_count} of {count} calls within {timeout} s"
                ) from None
        return True


def counting_callback(
    event: threading.Event | None = None, number_of_calls: int = 1
) -> Callable[[Callable[..., Any]], Any]:
    """Make a decorator of callbacks whose calls are counted.

    Calls that raise do not count.

    Parameters
    ----------
    event : threading.Event, optional
        Set when there have been enough calls; by default a new one.
    number_of_calls : int
        How many are enough.

    Returns
    -------
    callable
        Decorates a function with ``done`` (the event), ``wait(timeout=None) -> bool``,
        ``assert_wait(timeout=1)``, ``get_no_calls() -> int`` and ``reset()``.
    """
    done = threading.Event() if event is None else event

    def decorator(fn: Callable[..., Any]) -> Any:
        calls = 0
        lock = threading.Lock()

        def counting(*args: Any, **kwargs: Any) -> Any:
            nonlocal calls
            result = fn(*args, **kwargs)
            with lock:
                calls += 1
                if calls >= number_of_calls:
                    done.set()
            return result

        def wait(timeout: float | None = None) -> bool:
            return done.wait(timeout)

        def assert_wait(timeout: float | None = 1) -> bool:
            if not done.wait(timeout):
                raise AssertionError(f"{calls} of {number_of_calls} calls within {timeout} s")
            return True

        def get_no_calls() -> int:
            return calls

        def reset() -> None:
            nonlocal calls
            with lock:
                calls = 0
                done.clear()

        # Not every callable has a name to copy.
        wrapper: Any = functools.update_wrapper(counting, fn)
        wrapper.done = done
        wrapper.wait = wait
        wrapper.assert_wait = assert_wait
        wrapper.get_no_calls = get_no_calls
        wrapper.reset = reset
        return wrapper

    return decorator


def _ignore(value: object) -> None:
    pass


class AtomicIaddCallback(ObjectWrapper):
    """Stands for a number, or whatever can be added to; ``+=`` is atomic, and told of.

    Parameters
    ----------
    ob : object
        What it stands for.
    callback : callable
        Called with the sum after each ``+=``, while the lock is held.
    mutex : lock, optional
        Held during ``+=``; by default a new `threading.Lock`.
    """

    __slots__ = ("_callback", "_mutex")

    def __init__(
        self, ob: Any, callback: Callable[[Any], object] = _ignore, mutex: Any = None
    ) -> None:
        super().__init__(ob)
        self._callback = callback
        self._mutex = threading.Lock() if mutex is None else mutex

    def __iadd__(self, other: Any) -> AtomicIaddCallback:
        with self._mutex:
            total: Any = self.__subject__
            total += other
            self.__subject__ = total
            self._callback(total)
        return self
