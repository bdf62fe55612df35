"""Sections: what they hold, how they start and end, and their futures."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import logging
import threading
import time
import weakref
from typing import Any

import pytest
from tornado.gen import coroutine

from katcp.orders import (
    AdviseLevel,
    Disposition,
    Order,
    Outcome,
    ReadOrder,
    Section,
    SectionAbandoned,
    SectionFailed,
    SectionQueue,
    SectionResult,
    WaitOrder,
    WriteOrder,
    state_of,
)
from tests.helpers.guard import Guard
from tests.orders.bench import Bench, executing, failing, now, writes

FORCE = AdviseLevel.FORCE
CANNOT_JOIN = Disposition.CANNOT_JOIN
#: Coroutines that await what a thread has raised get another one on Python 3.10.
LATE = (concurrent.futures.TimeoutError, asyncio.TimeoutError)


def waiting(period: float, **kwargs: Any) -> Section:
    return Section([WaitOrder(period)], **kwargs)


# -- what runs beside what --------------------------------------------------------------


@pytest.mark.virtual_time
async def test_smok_sec_01_orders_of_a_section_run_beside_each_other() -> None:
    bench = Bench(a=1.0, b=1.0, c=1.0)
    async with executing(bench) as executor:
        await executor.execute(writes("a", "b", "c"))
        assert now() == pytest.approx(1.0)
    assert [when for when, _, _ in bench.calls] == [0, 0, 0]
    assert bench.names() == ["a", "b", "c"]


@pytest.mark.virtual_time
async def test_smok_sec_02_sections_that_cannot_join_run_one_after_the_other() -> None:
    bench = Bench(a=1.0, b=1.0)
    async with executing(bench) as executor:
        await executor.execute(
            writes("a", disposition=CANNOT_JOIN), writes("b", disposition=CANNOT_JOIN)
        )
        assert now() == pytest.approx(2.0)
    assert bench.at("a") == [0]
    assert bench.at("b") == [pytest.approx(1.0)]


@pytest.mark.virtual_time
async def test_smok_sec_03_sections_that_may_join_start_together() -> None:
    bench = Bench(**dict.fromkeys("abcde", 0.5))
    async with executing(bench) as executor:
        executor.pause()
        future = executor.execute(*[writes(name) for name in "abcde"])
        await asyncio.sleep(10)
        assert not bench.calls
        assert executor.resume() == 5
        await future
        assert now() == pytest.approx(10.5)
    assert bench.names() == list("abcde")


@pytest.mark.virtual_time
async def test_smok_sec_03_each_of_them_ends_by_itself() -> None:
    bench = Bench(a=3.0, b=1.0)
    async with executing(bench) as executor:
        long, short = writes("a"), writes("b")
        executor.execute(long, short)
        await short.future
        assert now() == pytest.approx(1.0)
        assert long.state == "running"
        await long.future
        assert now() == pytest.approx(3.0)


@pytest.mark.virtual_time
@pytest.mark.parametrize(("join_running", "started"), [(True, 0.5), (False, 1.0)])
async def test_whether_sections_join_those_that_run(join_running: bool, started: float) -> None:
    bench = Bench(a=1.0)
    async with executing(bench, join_running=join_running) as executor:
        first = executor.execute(writes("a"))
        await asyncio.sleep(0.5)
        await executor.execute(writes("b"), writes("c"))
        await first
    assert bench.at("b") == bench.at("c") == [pytest.approx(started)]


@pytest.mark.virtual_time
async def test_smok_sec_04_a_barrier_has_two_sides() -> None:
    bench = Bench(a=1.0, b=2.0, c=1.0, d=1.0)
    async with executing(bench) as executor:
        await executor.execute(
            writes("a"), writes("b"), writes("c", disposition=CANNOT_JOIN), writes("d")
        )
        assert now() == pytest.approx(4.0)
    assert [bench.at(name) for name in "abcd"] == [[0], [0], [2.0], [3.0]]


@pytest.mark.virtual_time
async def test_smok_sec_05_a_section_that_reads_is_not_done_before_the_value_is_there() -> None:
    bench = Bench(p=1.0)
    bench.values["p"] = 17
    async with executing(bench) as executor:
        section = Section([ReadOrder("p")])
        result = await executor.execute(section)
        assert now() == pytest.approx(1.0)
    assert result.outcomes[0].reading == 17


@pytest.mark.virtual_time
async def test_smok_sec_06_a_read_after_a_write_reads_what_was_written() -> None:
    bench = Bench(p=1.0)
    async with executing(bench) as executor:
        section = Section([WriteOrder("p", 5), ReadOrder("p"), WriteOrder("p", 6), ReadOrder("p")])
        result = await executor.execute(section)
        assert now() == pytest.approx(4.0)
    assert [outcome.reading for outcome in result.outcomes] == [None, 5, None, 6]


@pytest.mark.virtual_time
async def test_smok_sec_06_also_in_sections_that_run_together() -> None:
    bench = Bench(p=1.0)
    async with executing(bench) as executor:
        results = await executor.execute(
            Section([WriteOrder("p", 5)]), Section([ReadOrder("p")]), Section([WriteOrder("p", 6)])
        )
    assert results[1].outcomes[0].reading == 5
    assert bench.at("p") == [0, 1.0, 2.0]


@pytest.mark.virtual_time
async def test_smok_sec_07_an_empty_section_ends_at_once() -> None:
    assert not Section()
    assert Section([WaitOrder(1)])
    assert (len(Section()), len(Section([WaitOrder(1), WaitOrder(2)]))) == (0, 2)
    async with executing(Bench(a=1.0)) as executor:
        executor.execute(writes("a", disposition=CANNOT_JOIN))
        empty = Section()
        future = executor.execute(empty)
        assert future.done()
        assert (await future).state == empty.state == "done"
        assert await executor.execute() == []
        assert now() == 0


# -- adding -----------------------------------------------------------------------------


def test_smok_sec_08_orders_lists_and_sections_are_added() -> None:
    a, b, c, d = (ReadOrder(name) for name in "abcd")
    section = Section([a], CANNOT_JOIN)
    same = section
    section += b
    section += [c]
    section += Section([d])
    assert section is same
    assert list(section) == [a, b, c, d]
    assert section.disposition is CANNOT_JOIN
    section += section
    assert len(section) == 8
    with pytest.raises(TypeError):
        section += [5]  # type: ignore[list-item]
    with pytest.raises(TypeError):
        section += 5  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="no order"):
        Section(["read W1"])  # type: ignore[list-item]


@pytest.mark.virtual_time
async def test_smok_sec_08_a_section_that_was_added_ends_with_the_other() -> None:
    bench = Bench(a=1.0, b=failing(1), c=0.5)
    async with executing(bench) as executor:
        whole, part, inner = writes("a"), writes("b"), writes("c")
        part += inner
        whole += part
        await executor.execute(whole)
        assert now() == pytest.approx(1.0)
        assert (whole.state, part.state, inner.state) == ("partial", "partial", "done")
        assert [o.outcome for o in (await part.future).outcomes] == ["failed:error", "ok"]
        assert [o.outcome for o in (await inner.future).outcomes] == ["ok"]
    for taken in (whole, part):
        with pytest.raises(RuntimeError, match="already"):
            taken += ReadOrder("a")
    with pytest.raises(RuntimeError, match="already"):
        Section().__iadd__(part)


@pytest.mark.virtual_time
async def test_a_section_that_was_added_can_be_cancelled_by_itself() -> None:
    bench = Bench()
    async with executing(bench) as executor:
        whole, part = writes("a"), writes("b")
        whole += part
        whole += ReadOrder("c")
        part.cancel()
        await executor.execute(whole)
        assert bench.names() == ["a", "c"]
        assert [o.outcome for o in whole.progress] == ["ok", "cancelled", "ok"]
        assert (whole.state, part.state) == ("partial", "cancelled")


@pytest.mark.virtual_time
async def test_also_one_that_was_added_to_one_that_was_added() -> None:
    bench = Bench()
    async with executing(bench) as executor:
        whole, part, inner = writes("a"), writes("b"), writes("c", "d")
        part += inner
        whole += part
        inner.future.cancel()
        await executor.execute(whole)
        assert bench.names() == ["a", "b"]
        assert [o.outcome for o in whole.progress] == ["ok", "ok", "cancelled", "cancelled"]
        assert (part.state, inner.state) == ("partial", "cancelled")


@pytest.mark.virtual_time
async def test_a_section_that_was_added_is_cancelled_with_the_other() -> None:
    whole, part = writes("a"), writes("b")
    whole += part
    whole.cancel()
    assert part.future.cancelled()
    assert part.state == "cancelled"


# -- cancelling -------------------------------------------------------------------------


@pytest.mark.virtual_time
async def test_smok_sec_09_cancelled_before_it_starts() -> None:
    bench = Bench(a=1.0)
    async with executing(bench) as executor:
        first, second = writes("a", disposition=CANNOT_JOIN), writes("b", disposition=CANNOT_JOIN)
        told: list[Any] = []
        second.future.add_done_callback(lambda future: told.append((future, second.state)))
        executor.execute(first, second)
        await asyncio.sleep(0.5)
        assert second.state == "queued"
        assert second.cancel() is None  # type: ignore[func-returns-value]
        assert second.cancelled
        second.cancel()
        second.cancel(force=True)
        assert second.future.cancelled()
        assert second.state == "cancelled"
        assert executor.queue_length == 0
        with pytest.raises(asyncio.CancelledError):
            await second.future
        with pytest.raises(concurrent.futures.CancelledError):
            second.result()
        await first.future
        await asyncio.sleep(1)
    assert bench.names() == ["a"]
    assert told == [(second.future, "cancelled")]
    assert [outcome.outcome for outcome in second.progress] == ["cancelled"]


@pytest.mark.virtual_time
async def test_smok_sec_09_cancelled_before_it_is_submitted() -> None:
    bench = Bench()
    async with executing(bench) as executor:
        section = writes("a")
        section.cancel()
        future = executor.execute(section)
        assert future.cancelled()
        await asyncio.sleep(1)
        assert executor.state == "idle"
    assert not bench.calls


@pytest.mark.virtual_time
async def test_smok_sec_10_its_future_cancelled_before_it_starts() -> None:
    bench = Bench(a=1.0)
    async with executing(bench) as executor:
        sections = [writes(name, disposition=CANNOT_JOIN) for name in "abc"]
        executor.execute(*sections)
        await asyncio.sleep(0.5)
        assert sections[1].future.cancel() is True
        assert sections[1].future.cancel() is True
        assert sections[1].cancelled
        await sections[2].future
        assert sections[1].state == "cancelled"
    assert bench.names() == ["a", "c"]


@pytest.mark.virtual_time
async def test_smok_sec_11_cancelled_after_it_has_started() -> None:
    bench = Bench(a=1.0)
    async with executing(bench) as executor:
        section = writes("a")
        executor.execute(section)
        await asyncio.sleep(0.5)
        section.cancel()
        assert section.future.cancel() is False
        assert not section.cancelled
        assert section.state == "running"
        assert (await section.future).state == "done"
        assert now() == pytest.approx(1.0)
    assert [name for _, name, _ in bench.ends] == ["a"]


@pytest.mark.virtual_time
async def test_cancelled_by_force_it_begins_waits_for_and_tries_nothing_more() -> None:
    bench = Bench(a=1.0, b=failing(100))
    async with executing(bench, concurrency=2, retry_delay=10, max_retry_delay=10) as executor:
        section = Section(
            [
                WriteOrder("a", 1),
                WriteOrder("a", 2),
                WriteOrder("b", 1, FORCE),
                WaitOrder(100),
                ReadOrder("d"),
            ]
        )
        executor.execute(section)
        await asyncio.sleep(0.5)
        section.cancel(force=True)
        section.cancel(force=True)
        result = await section.future
        assert now() == pytest.approx(1.0)  # what is being written goes on to its end
        words = [outcome.outcome for outcome in result.outcomes]
        assert words == ["ok", "cancelled", "cancelled", "cancelled", "ok"]
        assert [outcome.attempts for outcome in result.outcomes] == [1, 0, 1, 1, 1]
        assert "no answer from the bus" in result.outcomes[2].detail
        assert result.state == "partial"
        later = writes("a")
        await executor.execute(later)  # turns and slots are free again
        assert later.state == "done"


@pytest.mark.virtual_time
@pytest.mark.parametrize("position", [0, 1])
async def test_smok_sec_12_of_two_joined_sections_one_is_cancelled(position: int) -> None:
    bench = Bench()
    async with executing(bench) as executor:
        executor.pause()
        sections = [writes("a"), writes("b")]
        executor.execute(*sections)
        sections[position].cancel()
        executor.resume()
        await sections[1 - position].future
        assert bench.names() == [["b"], ["a"]][position]
        assert [section.state for section in sections].count("done") == 1
        assert sections[position].state == "cancelled"


# -- marks ------------------------------------------------------------------------------


def test_smok_sec_13_marking_as_being_executed() -> None:
    section = writes("a")
    assert section.mark_as_being_executed() is True
    assert section.mark_as_being_executed() is True
    assert section.state == "running"
    assert section.future.running()
    cancelled = writes("a")
    cancelled.cancel()
    assert cancelled.mark_as_being_executed() is False
    assert cancelled.mark_as_being_executed() is False
    assert cancelled.state == "cancelled"
    other = writes("a")
    other.future.cancel()
    assert other.mark_as_being_executed() is False


def test_smok_sec_14_marking_as_done() -> None:
    section = writes("a")
    section.mark_as_being_executed()
    section.mark_as_done()
    section.mark_as_done()
    assert section.result(0).state == "done"
    assert section.mark_as_being_executed() is True
    assert section.state == "done"
    unstarted = writes("a")
    unstarted.mark_as_done()
    assert unstarted.state == "done"
    cancelled = writes("a")
    cancelled.cancel()
    cancelled.mark_as_done()
    assert cancelled.state == "cancelled"
    assert cancelled.future.cancelled()


def test_what_an_executor_says_of_orders_counts_and_the_rest_is_done() -> None:
    section = writes("a", "b")
    section.mark_as_being_executed()
    section.record(1, Outcome(section.orders[1], "failed:jam", 2, 1.0, "it is stuck"))
    section.record(1, Outcome(section.orders[1], "ok", 3, 2.0))
    assert section.results[0] is None
    assert section.results_at(1) is section.results[1]
    section.note(0, "running", 1)
    assert [outcome.outcome for outcome in section.progress] == ["running", "failed:jam"]
    section.mark_as_done()
    section.note(0, "running", 2)
    section.record(0, Outcome(section.orders[0], "stale", 1, 2.0))
    assert [outcome.outcome for outcome in section.progress] == ["ok", "failed:jam"]
    with pytest.raises(SectionFailed, match=r"write b: failed:jam after 2 attempts \(it is stuck"):
        section.raise_for_failures()


# -- results ----------------------------------------------------------------------------


@pytest.mark.virtual_time
async def test_smok_sec_15_one_outcome_for_each_order() -> None:
    bench = Bench(a=0.5, b=failing(2), c=failing(1))
    async with executing(bench) as executor:
        section = Section([WriteOrder("a", 1), WriteOrder("b", 1, FORCE), WriteOrder("c", 1)])
        before = time.time()
        result = await executor.execute(section)
    assert isinstance(result, SectionResult)
    assert [o.order for o in result.outcomes] == list(section.orders)
    assert [(o.outcome, o.attempts) for o in result.outcomes] == [
        ("ok", 1),
        ("ok", 3),
        ("failed:error", 1),
    ]
    assert all(before <= o.timestamp <= time.time() for o in result.outcomes)
    assert section.results == result.outcomes
    assert result.state == section.state == "partial"
    assert not result.ok
    assert result.failures == result.outcomes[2:]
    assert result.section_id == section.section_id == "s-1"
    with pytest.raises(SectionFailed, match="Section s-1: write c: failed:error") as failed:
        section.raise_for_failures()
    assert failed.value.failures == result.failures


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("names", "state"), [("a", "done"), ("ab", "partial"), ("b", "failed"), ("bc", "failed")]
)
async def test_smok_sec_15_its_state_says_what_it_came_to(names: str, state: str) -> None:
    bench = Bench(b=failing(100))
    bench.known = lambda name: name != "c"
    async with executing(bench) as executor:
        section = writes(*names)
        await executor.execute(section)
        assert section.state == state
        assert section.ended
        assert executor.sections_done == 1
        assert executor.sections_failed == (state != "done")


@pytest.mark.parametrize(
    ("words", "state"),
    [
        ("", "done"),
        ("ok skipped-fresh", "done"),
        ("stale", "partial"),
        ("ok cancelled", "partial"),
        ("cancelled cancelled", "cancelled"),
        ("failed:timeout cancelled", "failed"),
        ("failed:timeout unknown-point unhandled-sysctl", "failed"),
        ("stale failed:timeout", "partial"),
    ],
)
def test_smok_sec_15_states_of_all_kinds(words: str, state: str) -> None:
    outcomes = [Outcome(ReadOrder("a"), word, 1, 0.0) for word in words.split()]
    assert state_of(outcomes) == state


def test_a_failure_with_many_orders_names_the_first() -> None:
    section = writes(*"abcdefgh")
    section.mark_as_being_executed()
    section.fail_rest("failed:jam")
    section.mark_as_done()
    with pytest.raises(SectionFailed, match="and 3 more"):
        section.result(0).raise_for_failures()


@pytest.mark.virtual_time
async def test_awaiting_a_section_that_failed_does_not_raise() -> None:
    async with executing(Bench(a=failing(1))) as executor:
        result = await executor.execute(writes("a"))
        assert result.state == "failed"


# -- futures ----------------------------------------------------------------------------


async def test_smok_sec_16_another_thread_waits_for_the_result() -> None:
    go_on = asyncio.Event()
    bench = Bench(a=lambda _: go_on.wait())
    async with executing(bench) as executor:
        section = writes("a")
        executor.execute(section)
        loop = asyncio.get_running_loop()
        with pytest.raises(LATE):
            await loop.run_in_executor(None, section.result, 0.02)
        assert section.state == "running"
        with pytest.raises(RuntimeError, match="await"):
            section.result()
        with pytest.raises(RuntimeError, match="await"):
            section.future.exception(1)
        waits = loop.run_in_executor(None, section.result, 10)
        go_on.set()
        assert (await waits).state == "done"
        assert section.result().state == "done"  # at once
        assert section.future.exception() is None


async def test_smok_sec_16_before_it_is_submitted_too() -> None:
    with pytest.raises(RuntimeError, match="await"):
        writes("a").result(1)
    with pytest.raises(LATE):
        await asyncio.get_running_loop().run_in_executor(None, writes("a").result, 0.01)


@pytest.mark.virtual_time
async def test_whoever_stops_waiting_does_not_cancel_it() -> None:
    bench = Bench(a=1.0)
    async with executing(bench) as executor:
        section = writes("a", disposition=CANNOT_JOIN)
        queued = writes("b", disposition=CANNOT_JOIN)
        executor.execute(section, queued)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(queued.future, 0.5)
        assert not queued.cancelled
        assert (await queued.future).state == "done"


@pytest.mark.virtual_time
async def test_coroutines_of_tornado_yield_it() -> None:
    async with executing(Bench(a=1.0)) as executor:

        @coroutine
        def use() -> Any:
            result = yield executor.execute(writes("a"))
            return result.state

        assert await use() == "done"


@pytest.mark.virtual_time
async def test_the_future_of_several_sections_is_done_when_all_are() -> None:
    bench = Bench(a=1.0, b=2.0)
    async with executing(bench) as executor:
        sections = [writes(name, disposition=CANNOT_JOIN) for name in "abc"]
        future = executor.execute(*sections)
        sections[2].cancel()
        results = await future
        assert now() == pytest.approx(3.0)
        assert [result.state for result in results] == ["done", "done", "cancelled"]
        with pytest.raises(RuntimeError, match="await"):
            executor.execute(writes("a"), writes("b")).result()


@pytest.mark.virtual_time
async def test_cancelling_the_future_of_several_cancels_those_that_have_not_started() -> None:
    bench = Bench(a=1.0)
    async with executing(bench) as executor:
        sections = [writes(name, disposition=CANNOT_JOIN) for name in "abc"]
        future = executor.execute(*sections)
        await asyncio.sleep(0.5)
        assert future.cancel() is False
        assert [section.state for section in sections] == ["running", "cancelled", "cancelled"]
        await future
        paused = [writes("d"), writes("e")]
        executor.pause()
        future = executor.execute(*paused)
        assert future.cancel() is True
        assert [result.state for result in await future] == ["cancelled"] * 2
    assert bench.names() == ["a"]


async def test_one_section_does_not_keep_the_others_it_was_submitted_with() -> None:
    async with executing(Bench()) as executor:
        one, other = writes("a"), writes("b")
        await executor.execute(one, other)
        kept = weakref.ref(other)
        del other
        gc.collect()
        assert kept() is None
        assert one.state == "done"


async def test_threads_wait_for_several_futures_at_once() -> None:
    async with executing(Bench()) as executor:
        executor.pause()
        sections = [writes("a"), writes("b")]
        executor.execute(*sections)
        loop = asyncio.get_running_loop()
        futures = [section.future for section in sections]
        waits = loop.run_in_executor(None, concurrent.futures.wait, futures, 10)
        sections[0].cancel()
        executor.resume()
        done, left = await waits
        assert (len(done), len(left)) == (2, 0)


# -- stopping ---------------------------------------------------------------------------


@pytest.mark.virtual_time
async def test_smok_sec_18_what_runs_has_some_time_when_all_is_stopped() -> None:
    bench = Bench(a=1.0, b=1.0)
    async with executing(bench) as executor:
        running, queued = writes("a"), writes("b", disposition=CANNOT_JOIN)
        executor.execute(running, queued)
        await asyncio.sleep(0.5)
        stopping = asyncio.ensure_future(executor.stop(grace=5))
        await asyncio.sleep(0)
        assert executor.state == "stopping"
        with pytest.raises(RuntimeError, match="stopped"):
            executor.execute(writes("c"))
        with pytest.raises(SectionAbandoned, match="stopped"):
            await queued.future
        assert queued.state == "abandoned"
        assert [outcome.outcome for outcome in queued.progress] == ["abandoned"]
        assert (await running.future).state == "done"
        await stopping
        assert now() == pytest.approx(1.0)
        with pytest.raises(RuntimeError, match="stopped"):
            executor.execute(writes("c"))
    assert bench.names() == ["a"]


@pytest.mark.virtual_time
async def test_smok_sec_18_what_takes_longer_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(a=100.0, b=failing(100))
    async with executing(bench) as executor:
        section = Section(
            [
                WriteOrder("a", 1),
                WriteOrder("a", 2),
                WriteOrder("b", 1, FORCE),
                WaitOrder(100),
                WriteOrder("c", 1),
            ]
        )
        part = writes("d")
        section += part
        combined = executor.execute(section, writes("e", disposition=CANNOT_JOIN))
        await asyncio.sleep(0.5)
        await executor.stop(grace=1)
        assert now() == pytest.approx(1.5)
        assert [outcome.outcome for outcome in section.progress] == [
            "failed:interrupted",
            "abandoned",
            "failed:interrupted",
            "failed:interrupted",
            "ok",
            "ok",
        ]
        assert section.state == "abandoned"
        with pytest.raises(SectionAbandoned):
            await section.future
        assert part.future.done()
        assert [result.state for result in await combined] == ["abandoned", "abandoned"]
        assert executor.unfinished == ()
        assert executor.current_sections == ()
    errors = [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR]
    assert errors == ["Attempt to write b raised"]


@pytest.mark.virtual_time
async def test_smok_sec_18_stopping_again_or_before_anything_was_done() -> None:
    async with executing(Bench()) as executor:
        await executor.stop()
        await executor.stop()
        executor.start()
        section = writes("a")
        await executor.execute(section)  # it can be started again
        assert section.state == "done"


async def test_an_executor_that_was_stopped_can_be_collected() -> None:
    class Its(Bench):
        pass

    bench = Its(a=0.0)
    async with executing(bench) as executor:
        await executor.execute(writes("a"), writes("b"))
        kept = weakref.ref(executor), weakref.ref(bench)
    del executor, bench
    gc.collect()
    assert [ref() for ref in kept] == [None, None]


@pytest.mark.slow
async def test_smok_sec_19_ten_thousand_sections_at_once() -> None:
    bench = _Counter()
    async with executing(bench) as executor:
        await executor.execute(*[writes("warm") for _ in range(10_000)])
        guard = Guard()
        results = await executor.execute(*[writes(f"p{n % 50}") for n in range(10_000)])
        assert [result.state for result in results] == ["done"] * 10_000
        assert bench.count == 20_000
        del results
        assert executor.queue_length == 0
        assert executor.oldest_wait == 0
        assert executor.state == "idle"
        await guard.check(memory=8 << 20, objects=500)


class _Counter:
    count = 0

    def has(self, name: str) -> bool:
        return True

    def write(self, name: str, value: Any, advise: int) -> None:
        self.count += 1


# -- waits ------------------------------------------------------------------------------


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    "orders",
    [
        [WaitOrder(1)],
        [WriteOrder("a", 1), WaitOrder(1)],
        [WaitOrder(0.2), WaitOrder(1), WaitOrder(0)],
    ],
)
async def test_smok_wait_01_the_longest_wait_counts(orders: list[Order]) -> None:
    async with executing(Bench(a=0.5)) as executor:
        section = Section(orders)
        await executor.execute(section)
        assert now() == pytest.approx(1.0)
        assert section.state == "done"
        assert [outcome.attempts for outcome in section.progress] == [1] * len(orders)


@pytest.mark.virtual_time
async def test_smok_wait_03_a_wait_between_two_writes() -> None:
    bench = Bench(a=0.5)
    async with executing(bench) as executor:
        await executor.execute(writes("a"), waiting(1.0, disposition=CANNOT_JOIN), writes("b"))
    assert bench.at("b")[0] >= bench.ends[0][0] + 1.0


# -- the queue by itself ----------------------------------------------------------------


def take(queue: SectionQueue) -> list[str]:
    return [str(section.section_id) for section in queue.take()]


def fill(queue: SectionQueue, kinds: str, orders: int = 1) -> list[Section]:
    sections = [
        Section(
            [WaitOrder(0)] * orders, CANNOT_JOIN if kind == "C" else 0, section_id=f"{kind}{index}"
        )
        for index, kind in enumerate(kinds)
    ]
    for section in sections:
        queue.push(section)
    return sections


def test_the_queue_lets_neighbours_start_together_up_to_a_barrier() -> None:
    queue = SectionQueue()
    j0, j1, c2, j3 = fill(queue, "JJCJ")
    assert queue.oldest is j0
    assert take(queue) == ["J0", "J1"]
    assert take(queue) == []
    queue.ended(j0)
    assert take(queue) == []
    queue.ended(j1)
    assert take(queue) == ["C2"]
    assert take(queue) == []
    assert queue.running == (c2,)
    queue.ended(c2)
    assert take(queue) == ["J3"]
    queue.ended(j3)
    assert not queue.busy
    assert len(queue) == 0
    assert queue.oldest is None


def test_the_queue_has_limits_to_what_runs() -> None:
    queue = SectionQueue(max_sections=2, max_orders=10)
    a, _, _ = fill(queue, "JJJ", orders=3)
    assert take(queue) == ["J0", "J1"]
    queue.ended(a)
    assert take(queue) == ["J2"]
    few = SectionQueue(max_orders=5)
    a, *_ = fill(few, "JJJ", orders=3)
    assert take(few) == ["J0"]
    few.ended(a)
    assert take(few) == ["J1"]
    big = SectionQueue(max_orders=5)
    fill(big, "J", orders=7)
    assert take(big) == ["J0"]  # by itself it may be as long as it is
    for wrong in ({"max_sections": 0}, {"max_orders": 0}):
        with pytest.raises(ValueError, match="at least 1"):
            SectionQueue(**wrong)  # type: ignore[arg-type]


def test_the_queue_keeps_the_order_behind_one_that_is_not_ready() -> None:
    queue = SectionQueue()
    late, other = writes("a"), writes("b")
    queue.push(late, ready=False)
    queue.push(other)
    assert queue.take() == []
    queue.make_ready(late)
    assert queue.take() == [late, other]
    queue.make_ready(late)  # does nothing to one that runs
    assert len(queue) == 0


def test_the_queue_gives_back_what_is_discarded() -> None:
    queue = SectionQueue()
    a, b = fill(queue, "JJ")
    assert queue.discard(a)
    assert not queue.discard(a)
    assert list(queue) == [b]
    assert queue.take() == [b]


def test_threads_that_cancel_and_start_agree_in_the_end() -> None:
    for _ in range(200):
        section = writes("a")
        started: list[bool] = []
        threads = [
            threading.Thread(target=lambda s=section: s.cancel()),
            threading.Thread(
                target=lambda s=section, out=started: out.append(s.mark_as_being_executed())
            ),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert started == [not section.cancelled]
        assert section.state == ("cancelled" if section.cancelled else "running")
