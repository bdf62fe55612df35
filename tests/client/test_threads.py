from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from tornado import gen

from katcp.client import make_threadsafe, make_threadsafe_blocking
from katcp.client._threads import Answer, Closed, Inbox, blocking_call, resolve, wrap_marked

# -- answers -----------------------------------------------------------------------------


def test_an_answer_is_waited_for() -> None:
    answer = Answer()
    assert not answer.done()
    assert not answer.wait(0)
    assert not answer.wait(0.001)
    threading.Timer(0.001, answer.set_result, ["it"]).start()
    assert answer.wait(10)
    assert answer.done()
    assert answer.wait(None)
    assert answer.get() == "it"
    assert answer.get() == "it"


def test_an_answer_may_be_an_error() -> None:
    answer = Answer()
    answer.set_exception(KeyError("x"))
    assert answer.done()
    assert answer.wait(1e300)
    with pytest.raises(KeyError):
        answer.get()


# -- the inbox ---------------------------------------------------------------------------


@pytest.fixture
def other_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop that runs in another thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def test_calls_are_made_in_the_loop_in_their_order(other_loop: asyncio.AbstractEventLoop) -> None:
    inbox, calls, done = Inbox(), [], threading.Event()
    inbox.open(other_loop)
    for number in range(1000):
        inbox.put(lambda number=number: calls.append((number, threading.get_ident())))
    inbox.put(done.set)
    assert done.wait(10)
    assert [number for number, _ in calls] == list(range(1000))
    (thread,) = {thread for _, thread in calls}
    assert thread != threading.get_ident()


def test_calls_that_wait_when_it_is_closed_are_made() -> None:
    loop = asyncio.new_event_loop()
    inbox, calls = Inbox(), []
    inbox.open(loop)
    inbox.put(lambda: calls.append(1))
    inbox.close()
    assert calls == [1]
    with pytest.raises(Closed, match="start"):
        inbox.put(lambda: calls.append(2))
    loop.run_until_complete(asyncio.sleep(0))
    assert calls == [1]
    loop.close()


def test_it_takes_nothing_for_a_loop_that_is_closed() -> None:
    loop = asyncio.new_event_loop()
    inbox = Inbox()
    inbox.open(loop)
    loop.close()
    with pytest.raises(Closed, match="loop of the client is gone"):
        inbox.put(lambda: None)


def test_a_loop_that_it_was_open_for_before_makes_no_calls() -> None:
    before, now = asyncio.new_event_loop(), asyncio.new_event_loop()
    inbox, calls = Inbox(), []
    inbox.open(before)
    inbox.put(lambda: calls.append("first"))
    inbox.close()
    inbox.open(now)
    inbox.put(lambda: calls.append("second"))
    before.run_until_complete(asyncio.sleep(0))
    assert calls == ["first"]
    now.run_until_complete(asyncio.sleep(0))
    assert calls == ["first", "second"]
    before.close()
    now.close()


# -- marked methods ----------------------------------------------------------------------


class Thing:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._inbox = Inbox()
        self._inbox.open(loop)
        self._logger = logging.getLogger("tests.thing")
        self.loop = loop
        self.calls: list[Any] = []

    def _here(self) -> bool:
        return asyncio._get_running_loop() is self.loop

    @make_threadsafe
    def queued(self, *args: Any, **kwargs: Any) -> str:
        """Be queued."""
        self.calls.append((args, kwargs, self._here()))
        if args == ("raise",):
            raise KeyError("from the queue")
        return "result"

    @make_threadsafe_blocking
    def blocking(self, *args: Any, **kwargs: Any) -> str:
        """Block."""
        self.calls.append((args, kwargs, self._here()))
        if args == ("raise",):
            raise KeyError("from the loop")
        return "result"

    @make_threadsafe_blocking
    @gen.coroutine
    def generator(self, delay: float) -> Any:
        """Wait a while."""
        yield gen.sleep(delay)
        raise gen.Return(delay)

    @make_threadsafe_blocking
    async def native(self, *, fail: bool = False, cancel: bool = False) -> str:
        """Wait a while."""
        await asyncio.sleep(0)
        if cancel:
            raise asyncio.CancelledError
        if fail:
            raise KeyError("later")
        return "native"

    def unmarked(self) -> bool:
        return self._here()


def test_marks_are_seen_and_do_nothing_by_themselves() -> None:
    assert Thing.queued.make_threadsafe  # type: ignore[attr-defined]
    assert Thing.blocking.make_threadsafe_blocking  # type: ignore[attr-defined]
    thing = Thing(asyncio.new_event_loop())
    assert thing.blocking(1) == "result"
    assert thing.queued(2) == "result"
    assert thing.calls == [((1,), {}, False), ((2,), {}, False)]
    thing.loop.close()


def test_wrapped_methods(
    other_loop: asyncio.AbstractEventLoop, caplog: pytest.LogCaptureFixture
) -> None:
    thing: Any = Thing(other_loop)
    wrappers = wrap_marked(thing)
    assert sorted(wrappers) == ["blocking", "generator", "native", "queued"]
    assert thing.queued.__name__ == "queued"
    assert thing.queued.__doc__ == "Be queued."

    assert thing.queued(1, timeout=3) is None
    assert thing.blocking(2, other=4, timeout=3) == "result"
    assert thing.calls == [((1,), {"timeout": 3}, True), ((2,), {"other": 4}, True)]
    thing.queued("raise")
    with pytest.raises(KeyError, match="from the loop"):
        thing.blocking("raise")
    assert "Error in queued()" in caplog.text
    assert thing.generator(0.001) == 0.001
    assert thing.native() == "native"
    with pytest.raises(KeyError, match="later"):
        thing.native(fail=True)
    with pytest.raises(asyncio.CancelledError):
        thing.native(cancel=True)
    assert not thing.unmarked()

    async def here() -> tuple[Any, ...]:
        return thing.queued(5), thing.blocking(6, timeout=1), await thing.native()

    done = asyncio.run_coroutine_threadsafe(here(), other_loop).result(10)
    assert done == ("result", "result", "native")


def test_what_takes_too_long_is_given_up(other_loop: asyncio.AbstractEventLoop) -> None:
    thing: Any = Thing(other_loop)
    wrap_marked(thing)
    with pytest.raises(concurrent.futures.TimeoutError, match=r"generator\(\) was not done"):
        thing.generator(0.05, timeout=0.001)
    gate = threading.Event()
    other_loop.call_soon_threadsafe(gate.wait)
    with pytest.raises(concurrent.futures.TimeoutError, match=r"blocking\(\) was not done"):
        thing.blocking(timeout=0.001)
    gate.set()
    assert blocking_call(thing, lambda: "something without a name") is not None
    assert thing.generator(0.05) == 0.05  # the one above is over, too


def test_a_future_that_is_done_is_as_good_as_its_result() -> None:
    loop = asyncio.new_event_loop()
    future = loop.create_future()
    future.set_result(3)
    answer = Answer()

    async def run() -> None:
        resolve(answer, lambda: future)

    loop.run_until_complete(run())
    assert answer.get() == 3
    loop.close()


def test_an_override_without_a_mark_stays_where_it_is_called(
    other_loop: asyncio.AbstractEventLoop,
) -> None:
    class Own(Thing):
        def blocking(self, *args: Any, **kwargs: Any) -> str:
            return f"own, in the loop: {self._here()}"

        @make_threadsafe_blocking
        def queued(self, *args: Any, **kwargs: Any) -> str:
            return f"own, in the loop: {self._here()}"

    thing: Any = Own(other_loop)
    wrap_marked(thing)
    assert thing.blocking() == "own, in the loop: False"
    assert thing.queued() == "own, in the loop: True"
