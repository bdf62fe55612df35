"""Calls into a loop from other threads."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
import tornado.gen
from tornado import gen
from tornado.ioloop import IOLoop

from katcp.ioloop_manager import (
    IOLoopManager,
    IOLoopThreadWrapper,
    ObjectWrapper,
    ThreadSafeMethodAttrWrapper,
    with_relative_timeout,
)


@pytest.fixture
def loop() -> Iterator[IOLoop]:
    """A loop that runs in a thread of its own."""
    manager = IOLoopManager()
    manager.setDaemon(True)
    ioloop = manager.get_ioloop()
    manager.start(timeout=10)
    yield ioloop
    manager.stop().result(10)
    manager.join(10)


@pytest.fixture
def wrapper(loop: IOLoop) -> IOLoopThreadWrapper:
    return IOLoopThreadWrapper(loop)


@gen.coroutine
def old_style(x: Any, timeout: float | None = None) -> Any:
    """Give x back."""
    yield gen.moment
    raise gen.Return((x, timeout, threading.current_thread()))


async def new_style(x: Any) -> Any:
    await asyncio.sleep(0)
    return x, IOLoop.current()


async def for_ever(timeout: float | None = None) -> None:
    await asyncio.Event().wait()


def test_a_call_runs_in_the_loop_and_is_waited_for(
    loop: IOLoop, wrapper: IOLoopThreadWrapper
) -> None:
    x, timeout, thread = wrapper.call_in_ioloop(old_style, (1,), {"timeout": 5})
    assert (x, timeout) == (1, 5)
    assert thread is not threading.current_thread()
    assert wrapper.call_in_ioloop(new_style, (2,), {}) == (2, loop)
    assert wrapper.call_in_ioloop(lambda *, x: x, (), {"x": 3}, timeout=5) == 3
    of_threads: concurrent.futures.Future[int] = concurrent.futures.Future()
    of_threads.set_result(4)
    assert wrapper.call_in_ioloop(lambda: of_threads, (), {}) == 4


def test_exceptions_come_back(wrapper: IOLoopThreadWrapper) -> None:
    def fail() -> None:
        raise ValueError("at once")

    async def fail_late() -> None:
        await asyncio.sleep(0)
        raise KeyError("late")

    with pytest.raises(ValueError, match="at once"):
        wrapper.call_in_ioloop(fail, (), {})
    with pytest.raises(KeyError, match="late"):
        wrapper.call_in_ioloop(fail_late, (), {})


def test_a_cancelled_future_is_told(wrapper: IOLoopThreadWrapper) -> None:
    def cancelled() -> Any:
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        return future

    with pytest.raises(concurrent.futures.CancelledError):
        wrapper.call_in_ioloop(cancelled, (), {})


@pytest.mark.parametrize("error", [concurrent.futures.TimeoutError, tornado.gen.TimeoutError])
def test_time_runs_out(wrapper: IOLoopThreadWrapper, error: type[Exception]) -> None:
    call = wrapper.decorate_callable(for_ever)
    with pytest.raises(error, match=r"0\.01 s"):
        wrapper.call_in_ioloop(for_ever, (), {}, timeout=0.01)
    with pytest.raises(error):
        call(timeout=0.01)
    with pytest.raises(error):
        call(timeout=0)
    wrapper.default_timeout = 0.01
    with pytest.raises(error):
        call()
    with pytest.raises(error):
        call(timeout=None)
    assert wrapper.decorate_callable(old_style)(1, timeout=10)[:2] == (1, 10)
    assert IOLoopThreadWrapper.default_timeout is None


@pytest.mark.parametrize("error", [concurrent.futures.TimeoutError, tornado.gen.TimeoutError])
def test_a_timeout_in_the_loop_is_one_here(
    wrapper: IOLoopThreadWrapper, error: type[Exception]
) -> None:
    async def out_of_time() -> None:
        await with_relative_timeout(0.001, for_ever_future())

    def for_ever_future() -> asyncio.Future[Any]:
        return asyncio.get_running_loop().create_future()

    with pytest.raises(error):
        wrapper.call_in_ioloop(out_of_time, (), {})


def test_what_has_not_begun_when_time_runs_out_never_does(
    loop: IOLoop, wrapper: IOLoopThreadWrapper
) -> None:
    go_on = threading.Event()
    called: list[int] = []
    loop.add_callback(go_on.wait, 10)
    with pytest.raises(concurrent.futures.TimeoutError):
        wrapper.call_in_ioloop(called.append, (1,), {}, timeout=0.01)
    go_on.set()
    wrapper.call_in_ioloop(called.append, (2,), {})
    assert called == [2]


def test_the_loop_cannot_wait_for_itself(wrapper: IOLoopThreadWrapper) -> None:
    def inside() -> Any:
        with pytest.raises(RuntimeError, match="from the ioloop"):
            wrapper.call_in_ioloop(len, ([],), {})
        return "refused"

    assert wrapper.call_in_ioloop(inside, (), {}) == "refused"


def test_nor_can_the_thread_of_a_loop_that_pauses() -> None:
    loop = IOLoop(make_current=False)
    wrapper = IOLoopThreadWrapper(loop)
    loop.add_callback(wrapper._install)
    loop.add_callback(loop.stop)
    loop.start()
    with pytest.raises(RuntimeError, match="from the ioloop"):
        wrapper.call_in_ioloop(len, ([],), {})
    loop.close()


async def test_another_loop_may_run_in_the_calling_thread(loop: IOLoop) -> None:
    assert IOLoopThreadWrapper(loop).call_in_ioloop(new_style, (1,), {}) == (1, loop)


def test_a_call_may_come_before_the_loop_runs() -> None:
    manager = IOLoopManager()
    wrapper = IOLoopThreadWrapper(manager.get_ioloop())
    threading.Timer(0.01, manager.start).start()
    assert wrapper.call_in_ioloop(new_style, (1,), {})[0] == 1
    manager.stop().result(10)
    manager.join(10)


def test_a_closed_loop_does_not_keep_anybody_waiting() -> None:
    manager = IOLoopManager()
    wrapper = IOLoopThreadWrapper(manager.get_ioloop())
    manager.start(timeout=10)

    def stop_and_wait() -> Any:
        manager.stop()
        return for_ever()

    # What runs when the loop ends is cancelled; what has not begun is never heard of again.
    with pytest.raises((concurrent.futures.CancelledError, RuntimeError)):
        wrapper.call_in_ioloop(stop_and_wait, (), {})
    manager.join(10)
    with pytest.raises(RuntimeError, match="closed"):
        wrapper.call_in_ioloop(len, ([],), {})


def test_a_loop_that_closes_before_the_call_begins() -> None:
    loop = IOLoop(make_current=False)
    wrapper = IOLoopThreadWrapper(loop)
    threading.Timer(0.01, loop.close).start()
    with pytest.raises(RuntimeError, match="closed"):
        wrapper.call_in_ioloop(len, ([],), {})


async def test_without_a_loop_it_is_the_current_one() -> None:
    wrapper = IOLoopThreadWrapper()
    assert wrapper.ioloop is IOLoop.current()
    call = asyncio.to_thread(wrapper.call_in_ioloop, new_style, (1,), {})
    assert (await call)[1] is IOLoop.current()


def test_without_any_loop_none_is_made() -> None:
    found: list[Any] = []

    def make() -> None:
        wrapper = IOLoopThreadWrapper()
        found.append(wrapper.ioloop)
        try:
            wrapper.call_in_ioloop(len, ([],), {})
        except RuntimeError as error:
            found.append(str(error))

    thread = threading.Thread(target=make)
    thread.start()
    thread.join(10)
    assert found == [None, "No loop to call into: give IOLoopThreadWrapper one."]


def test_a_decorated_function_says_what_it_is(wrapper: IOLoopThreadWrapper) -> None:
    decorated = wrapper.decorate_callable(old_style)
    assert decorated.__name__ == "old_style"
    assert decorated.__doc__ is not None
    assert decorated.__doc__.endswith("Give x back.")
    assert "blocks" in decorated.__doc__

    class Callable:
        def __call__(self) -> int:
            return 4

    assert wrapper.decorate_callable(Callable())() == 4


class Subject:
    number = 1

    def __init__(self) -> None:
        self.kind = Subject

    def where(self) -> threading.Thread:
        return threading.current_thread()

    @gen.coroutine
    def itself(self) -> Any:
        yield gen.moment
        raise gen.Return(self)

    @property
    def read_in(self) -> threading.Thread:
        return threading.current_thread()


class Wrapped(ThreadSafeMethodAttrWrapper):
    @property
    def read_in(self) -> Any:
        return self._getattr("read_in")


def test_methods_run_in_the_loop_and_attributes_are_read_here(
    wrapper: IOLoopThreadWrapper,
) -> None:
    subject = Subject()
    wrapped = ThreadSafeMethodAttrWrapper(subject, wrapper)
    assert isinstance(wrapped, ObjectWrapper)
    assert wrapped.__subject__ is subject
    assert wrapped._ioloop_wrapper is wrapper
    assert not hasattr(subject, "_ioloop_wrapper")
    assert wrapped.where() is not threading.current_thread()
    assert wrapped.itself() is subject
    assert wrapped.read_in is threading.current_thread()
    assert Wrapped(subject, wrapper).read_in is wrapped.where()
    wrapped.number = 5
    assert subject.number == 5
    assert isinstance(wrapped.kind(), Subject)
    with pytest.raises(AttributeError, match="'Subject' object has no attribute 'nope'"):
        _ = wrapped.nope


def test_nothing_keeps_the_subject(wrapper: IOLoopThreadWrapper) -> None:
    subject = Subject()
    gone = weakref.ref(subject)
    wrapped = ThreadSafeMethodAttrWrapper(subject, wrapper)
    wrapped.itself()
    with pytest.raises(TypeError):
        wrapped.where(1)
    del subject, wrapped
    gc.collect()
    wrapper.call_in_ioloop(gc.collect, (), {})
    assert gone() is None


def test_many_threads_at_once(wrapper: IOLoopThreadWrapper) -> None:
    results: list[Any] = []

    def ask(number: int) -> None:
        for i in range(50):
            result = wrapper.call_in_ioloop(new_style, ((number, i),), {})
            results.append(result[0])

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(results) == [(number, i) for number in range(4) for i in range(50)]


async def test_a_relative_timeout() -> None:
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    with pytest.raises(tornado.gen.TimeoutError):
        await with_relative_timeout(0.001, future)
    assert not future.done()
    with pytest.raises(tornado.gen.TimeoutError):
        await with_relative_timeout(0, future)
    future.set_result(3)
    assert await with_relative_timeout(10, future) == 3
    assert await with_relative_timeout(None, future, io_loop=IOLoop.current()) == 3


def test_as_translators_use_a_manager() -> None:
    manager = IOLoopManager()
    manager.setDaemon(True)
    io_loop = manager.get_ioloop()
    manager.start()
    called = threading.Event()
    io_loop.add_callback(called.set)
    assert called.wait(10)
    manager.stop(timeout=10)
    manager.join(timeout=10)
