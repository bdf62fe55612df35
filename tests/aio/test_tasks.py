import asyncio
import gc
import logging

import pytest
from tornado.gen import coroutine

from katcp.aio import (
    LatencyTimer,
    call_guarded,
    finish_guarded,
    hashable_identity,
    log_coroutine_exceptions,
    log_future_exceptions,
    steal_docstring_from,
    under_way,
)

logger = logging.getLogger("test.tasks")


async def test_a_coroutine_is_under_way_without_being_awaited() -> None:
    went = []

    async def go() -> int:
        went.append(True)
        return 5

    future = under_way(go())
    await asyncio.sleep(0)
    assert went
    assert await future == 5


async def test_an_exception_that_nobody_looks_at_makes_no_noise() -> None:
    async def fail() -> None:
        raise ValueError("nobody cares")

    under_way(fail())
    await asyncio.sleep(0.001)
    gc.collect()


async def test_exceptions_of_a_future_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    loop = asyncio.get_running_loop()
    one, two, three = loop.create_future(), loop.create_future(), loop.create_future()
    for future in (one, two, three):
        log_future_exceptions(logger, future, ignore=(KeyError,))
    one.set_exception(ValueError("this one"))
    two.set_exception(KeyError("not this one"))
    three.cancel()
    await asyncio.sleep(0)
    assert "this one" in caplog.text
    assert "not this one" not in caplog.text


class Owner:
    _logger = logger

    @log_coroutine_exceptions
    async def modern(self) -> None:
        """Fail."""
        raise ValueError("modern failure")

    @log_coroutine_exceptions
    @coroutine
    def old(self):
        yield asyncio.sleep(0)
        raise ValueError("old failure")

    @log_coroutine_exceptions
    def plain(self) -> None:
        raise ValueError("plain failure")

    @log_coroutine_exceptions
    async def good(self, x: int) -> int:
        return x


@pytest.mark.parametrize("name", ["modern", "old", "plain"])
async def test_exceptions_of_methods_are_logged_and_raised(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ValueError, match=f"{name} failure"):
        await getattr(Owner(), name)()
    await asyncio.sleep(0)
    assert f"{name} failure" in caplog.text


async def test_methods_that_succeed_keep_their_result_and_docstring() -> None:
    assert await Owner().good(3) == 3
    assert Owner.modern.__doc__ == "Fail."


async def test_call_guarded(caplog: pytest.LogCaptureFixture) -> None:
    async def asynchronous() -> None:
        raise ValueError("later")

    def plain() -> None:
        raise ValueError("at once")

    assert call_guarded(logger, "It", plain) is None
    assert call_guarded(logger, "It", lambda: 5) is None
    awaitable = call_guarded(logger, "It", asynchronous)
    assert awaitable is not None
    await finish_guarded(logger, "It", awaitable)
    assert "at once" in caplog.text
    assert "later" in caplog.text
    assert caplog.text.count("It raised") == 2


@pytest.mark.virtual_time
async def test_a_latency_timer_tells_when_to_yield() -> None:
    loop = asyncio.get_running_loop()
    timer = LatencyTimer(0.03)
    ready, waiting = loop.create_future(), loop.create_future()
    ready.set_result(None)
    assert not timer.time_to_yield()
    timer.check_future(ready)
    timer.check_future(ready)
    assert not timer.time_to_yield()
    await asyncio.sleep(0.05)
    timer.check_future(ready)
    assert timer.time_to_yield()
    assert not timer.time_to_yield()
    timer.check_future(waiting)
    assert not timer.time_to_yield()


def test_stealing_a_docstring() -> None:
    def original() -> None:
        """Say what it does."""

    @steal_docstring_from(original)
    def copy() -> None:
        """Say more."""

    @steal_docstring_from(original)
    def bare() -> None:
        pass

    assert copy.__doc__ == "Say what it does.\n\nSay more."
    assert bare.__doc__ == "Say what it does."


def test_hashable_identity() -> None:
    class Thing:
        def method(self) -> None:
            pass

        def other(self) -> None:
            pass

    one, two = Thing(), Thing()
    assert hashable_identity(one.method) == hashable_identity(one.method)
    assert hashable_identity(one.method) != hashable_identity(two.method)
    assert hashable_identity(one.method) != hashable_identity(one.other)
    assert hashable_identity("text") == "text"
    assert hashable_identity(one) == hashable_identity(one) != hashable_identity(two)
