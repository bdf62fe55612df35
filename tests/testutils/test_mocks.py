from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from katcp.testutils import (
    AsyncWaitingMock,
    AtomicIaddCallback,
    WaitingMock,
    counting_callback,
)


def test_waiting_mock_counts_calls_of_many_threads() -> None:
    mock = WaitingMock()
    threads = [
        threading.Thread(target=lambda: [mock() for _ in range(200)], daemon=True) for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    mock.assert_wait_call_count(1000, timeout=20)
    for thread in threads:
        thread.join()
    assert mock.call_count == 1000


def test_waiting_mock_counts_calls_that_raise() -> None:
    mock = WaitingMock(side_effect=ValueError("wrong"))
    with pytest.raises(ValueError, match="wrong"):
        mock()
    assert mock.assert_wait_call_count(1, timeout=0)


def test_waiting_mock_takes_what_a_mock_takes() -> None:
    class Thing:
        def method(self, x: int) -> int:
            return x

        async def coroutine(self) -> None:
            pass

    mock = WaitingMock(spec_set=Thing)
    mock.method(1)
    assert type(mock.method).__mro__[1] is WaitingMock
    assert mock.method.assert_wait_call_count(1)
    assert asyncio.iscoroutinefunction(mock.coroutine)
    with pytest.raises(AttributeError):
        _ = mock.other
    assert isinstance(mock, Thing)
    wrapping = WaitingMock(wraps=len)
    assert wrapping([1, 2]) == 2


def test_resetting_may_take_results_along() -> None:
    mock = WaitingMock(return_value=1)
    mock()
    mock.reset_mock(return_value=True)
    assert mock() != 1
    assert mock.call_count == 1


def test_failures_tell_the_count() -> None:
    mock = WaitingMock()
    mock()
    with pytest.raises(AssertionError, match="1 of 2 calls"):
        mock.assert_wait_call_count(2, timeout=0.01)


async def test_async_waiting_mock_wakes_all_who_wait() -> None:
    mock = AsyncWaitingMock()
    waiting = [asyncio.ensure_future(mock.assert_wait_call_count(count)) for count in (1, 2, 2)]
    await asyncio.sleep(0)
    mock()
    await waiting[0]
    assert not waiting[1].done()
    mock("again")
    assert await asyncio.gather(*waiting) == [True, True, True]
    with pytest.raises(AssertionError, match="2 of 3"):
        await mock.assert_wait_call_count(3, timeout=0.01)


def test_counting_callback_keeps_the_name() -> None:
    @counting_callback()
    def on_change(value: Any) -> None:
        """Take notice."""

    assert on_change.__name__ == "on_change"
    assert on_change.__doc__ == "Take notice."
    assert on_change.assert_wait.__defaults__ == (1,)


def test_atomic_iadd_holds_the_lock_during_the_callback() -> None:
    lock = threading.RLock()
    seen: list[Any] = []

    def callback(total: Any) -> None:
        seen.append((total, lock._is_owned()))  # type: ignore[attr-defined]

    number = AtomicIaddCallback([1], callback, lock)
    number += [2]
    assert number == [1, 2]
    assert seen == [([1, 2], True)]
    quiet = AtomicIaddCallback(3)
    quiet += 1
    assert quiet == 4


def test_atomic_iadd_loses_no_addition() -> None:
    number: Any = AtomicIaddCallback(0)

    def add() -> None:
        local = number
        for _ in range(500):
            local += 1

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert number == 2000
