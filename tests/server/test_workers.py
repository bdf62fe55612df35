"""Threads that handlers run in."""

from __future__ import annotations

import asyncio
import gc
import threading
import time

import pytest

from katcp.server._workers import Workers


def name() -> str:
    return threading.current_thread().name


def test_one_thread_runs_calls_in_order() -> None:
    workers = Workers(1, "one")
    done: list[int] = []
    futures = [workers.submit(lambda n=n: done.append(n) or name()) for n in range(100)]  # type: ignore[misc]
    assert {future.result(10) for future in futures} == {"one-0"}
    assert done == list(range(100))
    workers.shutdown()
    assert workers.join(10)


def test_threads_are_made_when_they_are_needed_and_no_more_than_allowed() -> None:
    workers = Workers(3, "few")
    go_on = threading.Event()
    assert workers.join(0)
    assert workers.submit(name).result(10) == "few-0"
    time.sleep(0.01)  # it is idle a moment after its result is there
    busy = [workers.submit(lambda: go_on.wait(10) and name()) for _ in range(5)]
    assert len(workers._threads) == 3
    assert all(thread.daemon for thread in workers._threads)
    assert not workers.join(0)
    go_on.set()
    assert {future.result(10) for future in busy} <= {"few-0", "few-1", "few-2"}
    workers.shutdown()
    assert workers.join(10)


def test_what_a_call_raises_is_its_result() -> None:
    workers = Workers(1, "one")

    def leave() -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        workers.submit(leave).result(10)
    assert workers.submit(name).result(10) == "one-0"
    workers.shutdown()
    workers.join()


def test_what_was_cancelled_is_not_run() -> None:
    workers = Workers(1, "one")
    go_on = threading.Event()
    ran: list[int] = []
    workers.submit(go_on.wait)
    second = workers.submit(lambda: ran.append(2))
    third = workers.submit(lambda: ran.append(3))
    assert second.cancel()
    workers.shutdown()
    go_on.set()
    assert workers.join(10)
    assert ran == [3]
    assert third.done()


def test_its_loop_is_the_current_one_there() -> None:
    loop = asyncio.new_event_loop()
    workers = Workers(1, "one", loop)
    assert workers.submit(asyncio.get_event_loop).result(10) is loop
    workers.shutdown()
    assert workers.join(10)
    loop.close()


def test_a_thread_may_wait_for_the_others() -> None:
    workers = Workers(1, "one")
    assert workers.submit(lambda: workers.join(10)).result(10) is False
    workers.shutdown()
    assert workers.join(10)


def test_threads_end_when_nobody_can_submit_any_more() -> None:
    workers = Workers(1, "one")
    workers.submit(name).result(10)
    (thread,) = workers._threads
    del workers
    gc.collect()
    thread.join(10)
    assert not thread.is_alive()
