"""The executor: attempts, retries, deadlines, hooks that raise, executors of one's own."""

from __future__ import annotations

import asyncio
import concurrent.futures
import itertools
import logging
import random
import threading
import time
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from tornado.gen import TimeoutError as TornadoTimeout
from tornado.ioloop import IOLoop

from katcp.errors import FailReply, InvalidReply, KatcpClientDisconnected
from katcp.orders import (
    AdviseLevel,
    Disposition,
    ExecutorStopped,
    MessageOrder,
    Order,
    OrderExecutor,
    OrderFailed,
    Outcome,
    QueueFull,
    ReadOrder,
    Section,
    SectionAbandoned,
    SysctlOrder,
    ThreadedOrderExecutor,
    WaitOrder,
    WaitUntilOrder,
    WriteOrder,
)
from tests.orders.bench import Bench, executing, failing, now, writes

FORCE = AdviseLevel.FORCE
CANNOT_JOIN = Disposition.CANNOT_JOIN
#: What `clock` of `Clocked` shows when the loop is at 0.
EPOCH = 1_700_000_000.0


def clock() -> float:
    return EPOCH + now()


async def carried_out(executor: OrderExecutor, *orders: Order, **kwargs: Any) -> list[Outcome]:
    result = await executor.execute(Section(orders, **kwargs))
    return list(result.outcomes)


async def outcome(executor: OrderExecutor, order: Order) -> Outcome:
    return (await carried_out(executor, order))[0]


# -- attempts ---------------------------------------------------------------------------


@pytest.mark.virtual_time
async def test_smok_ord_06_a_forced_write_is_tried_until_it_succeeds() -> None:
    bench = Bench(a=failing(2))
    async with executing(bench) as executor:
        done = await outcome(executor, WriteOrder("a", 1, FORCE))
    assert (done.outcome, done.attempts) == ("ok", 3)


@pytest.mark.virtual_time
async def test_smok_ord_06_an_advised_write_is_tried_once() -> None:
    bench = Bench(a=failing(1))
    async with executing(bench) as executor:
        done = await outcome(executor, WriteOrder("a", 1))
    assert (done.outcome, done.attempts) == ("failed:error", 1)
    assert done.detail == "OSError: no answer from the bus"


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("order", "attempts"),
    [
        (WriteOrder("a", 1), 1),
        (WriteOrder("a", 1, FORCE), 10),
        (ReadOrder("a"), 3),
        (ReadOrder("a", FORCE), 20),
        (WriteOrder("a", 1, max_attempts=4), 4),
        (ReadOrder("a", max_attempts=1), 1),
    ],
)
async def test_each_order_is_tried_as_often_as_it_may(order: Order, attempts: int) -> None:
    bench = Bench(a=failing(100))
    async with executing(bench) as executor:
        for _ in range(2):  # the same order object, in two sections
            bench.calls.clear()
            done = await outcome(executor, order)
            assert (done.outcome, done.attempts) == ("failed:error", attempts)
            assert len(bench.calls) == attempts


@pytest.mark.virtual_time
async def test_smok_ord_07_attempts_are_spaced_and_the_spaces_grow() -> None:
    bench = Bench(a=failing(100))
    async with executing(bench) as executor:
        await outcome(executor, WriteOrder("a", 1, FORCE))
    times = bench.at("a")
    assert len(times) == 10
    assert times[9] - times[0] > 0.1
    gaps = [b - a for a, b in itertools.pairwise(times)]
    assert gaps[:7] == sorted(gaps[:7])
    assert 0.037 < gaps[0] <= 0.05
    assert all(gap <= 5 for gap in gaps)
    assert gaps[8] > 3.7


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("stale_after", "word", "called"),
    [(-1.0, "stale", 0), (0.0, "stale", 0), (1.0, "ok", 1), (None, "ok", 1)],
)
async def test_smok_ord_08_a_write_that_comes_too_late(
    stale_after: float | None, word: str, called: int
) -> None:
    bench = Bench()
    async with executing(bench, clock=clock) as executor:
        moment = None if stale_after is None else EPOCH + stale_after
        done = await outcome(executor, WriteOrder("a", 1, AdviseLevel.ADVISE, moment))
        assert (done.outcome, done.attempts, len(bench.calls)) == (word, called, called)
        assert executor.sections_failed == 1 - called


@pytest.mark.virtual_time
async def test_smok_ord_08_it_may_become_stale_while_it_waits() -> None:
    bench = Bench(a=2.0)
    async with executing(bench, clock=clock) as executor:
        late = Section([WriteOrder("b", 1, FORCE, EPOCH + 1)], CANNOT_JOIN)
        await executor.execute(writes("a"), late)
        assert late.progress[0].outcome == "stale"
        assert late.state == "partial"
    assert bench.names() == ["a"]


@pytest.mark.virtual_time
async def test_smok_ord_09_a_forced_write_is_tried_until_it_is_stale() -> None:
    bench = Bench(a=failing(100))
    async with executing(bench, clock=clock) as executor:
        done = await outcome(executor, WriteOrder("a", 1, FORCE, EPOCH + 1.0))
        assert done.outcome == "stale"
        assert 3 <= done.attempts < 10
        assert done.detail == "OSError: no answer from the bus"
        assert now() == pytest.approx(1.0, abs=0.01)


def in_coroutine(_: Any) -> Any:
    async def fail() -> None:
        raise ValueError("odd")

    return fail()


def in_future(_: Any) -> Any:
    future = asyncio.get_running_loop().create_future()
    future.set_exception(ValueError("odd"))
    return future


def in_thread(_: Any) -> Any:
    future: concurrent.futures.Future[None] = concurrent.futures.Future()
    threading.Timer(0.001, future.set_exception, (ValueError("odd"),)).start()
    return future


def directly(_: Any) -> Any:
    raise ValueError("odd")


class Hooked:
    """A target with one hook, which may be anything."""

    def __init__(self, hook: Callable[[Any], Any]) -> None:
        self.hook = hook

    def has(self, name: str) -> bool:
        return True

    def write(self, name: str, value: Any, advise: int) -> Any:
        return self.hook(value) if name == "a" else None

    def read(self, name: str, advise: int) -> Any:
        return self.hook(None)


@pytest.mark.parametrize("hook", [directly, in_coroutine, in_future, in_thread])
async def test_smok_ord_10_a_hook_that_raises_fails_its_order_alone(
    hook: Callable[[Any], Any], caplog: pytest.LogCaptureFixture
) -> None:
    async with executing(Hooked(hook)) as executor:
        section = writes("a", "b")
        result = await executor.execute(section)
        assert [o.outcome for o in result.outcomes] == ["failed:error", "ok"]
        assert result.outcomes[0].detail == "ValueError: odd"
        assert executor.last_failure == (section, result.outcomes[0])
        assert (await executor.execute(writes("c"))).state == "done"
    assert [r.getMessage() for r in caplog.records] == ["Attempt to write a raised"]


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("error", "word"),
    [
        (OrderFailed("malformed", "half a telegram"), "failed:malformed"),
        (FailReply("busy"), "failed:refused"),
        (InvalidReply("no number"), "failed:invalid"),
        (TornadoTimeout("late"), "failed:timeout"),
        (TimeoutError("late"), "failed:timeout"),
        (asyncio.TimeoutError("late"), "failed:timeout"),
        (KatcpClientDisconnected("gone"), "failed:disconnected"),
        (asyncio.CancelledError(), "failed:cancelled"),
        (OSError("x" * 10_000), "failed:error"),
    ],
)
async def test_smok_ord_10_the_outcome_says_what_was_raised(
    error: BaseException, word: str
) -> None:
    def hook(_: Any) -> None:
        raise error

    for target in (Hooked(hook), Bench(a=hook)):
        async with executing(target) as executor:
            done = await outcome(executor, WriteOrder("a", 1))
            assert done.outcome == word
            assert len(done.detail) <= 500


@pytest.mark.virtual_time
async def test_what_is_no_use_is_not_tried_again() -> None:
    for error in (OrderFailed("read-only", permanent=True), InvalidReply("no")):
        bench = Bench(a=failing(5, error))
        async with executing(bench) as executor:
            done = await outcome(executor, WriteOrder("a", 1, FORCE))
            assert done.attempts == len(bench.calls) == 1


@pytest.mark.virtual_time
async def test_smok_ord_11_a_hook_that_never_answers() -> None:
    bench = Bench(a=10_000.0)
    async with executing(bench) as executor:
        section = writes("a")
        await executor.execute(section, writes("b", disposition=CANNOT_JOIN))
        assert now() == pytest.approx(10.0)
        assert section.progress[0].outcome == "failed:timeout"
        assert section.progress[0].detail == "no answer within 10 s"
    assert bench.names() == ["a", "b"]


@pytest.mark.virtual_time
async def test_smok_ord_11_how_long_it_may_take_can_be_said() -> None:
    bench = Bench(a=100.0, b=100.0, c=100.0)
    bench.attempt_timeout = {"b": 3.0}.get  # type: ignore[attr-defined]
    async with executing(bench, attempt_timeout=2) as executor:
        section = Section(
            [WriteOrder("a", 1), WriteOrder("b", 1), WriteOrder("c", 1, attempt_timeout=1.0)]
        )
        ends: list[tuple[float, int | None]] = []
        executor.on_change(lambda _, index: ends.append((now(), index)))
        await executor.execute(section)
        assert [(pytest.approx(when), index) for when, index in ends if index is not None] == [
            (1.0, 2),
            (2.0, 0),
            (3.0, 1),
        ]


@pytest.mark.virtual_time
async def test_smok_ord_11_a_hook_that_does_not_end_when_it_is_cancelled(
    caplog: pytest.LogCaptureFixture,
) -> None:
    release = asyncio.Event()

    async def stubborn(_: Any) -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                pass

    async with executing(Hooked(stubborn)) as executor:
        done = await outcome(executor, WriteOrder("a", 1, attempt_timeout=1))
        assert done.outcome == "failed:timeout"
        await executor.stop()
        assert "does not end although cancelled" in caplog.records[-1].getMessage()
        release.set()
        await asyncio.sleep(0)


def coroutine_value(value: Any) -> Any:
    async def give() -> Any:
        await asyncio.sleep(0)
        return value

    return give()


def finished_future(value: Any) -> Any:
    future = asyncio.get_running_loop().create_future()
    future.set_result(value)
    return future


def thread_future(value: Any) -> Any:
    future: concurrent.futures.Future[Any] = concurrent.futures.Future()
    future.set_result(value)
    return future


@pytest.mark.parametrize(
    "hook",
    [lambda value: None, lambda value: 17, coroutine_value, finished_future, thread_future],
)
async def test_smok_ord_12_a_write_may_return_anything(hook: Callable[[Any], Any]) -> None:
    async with executing(Hooked(hook)) as executor:
        done = await outcome(executor, WriteOrder("a", 1))
        assert (done.outcome, done.reading) == ("ok", None)


@pytest.mark.parametrize("hook", [coroutine_value, finished_future, thread_future])
async def test_a_read_gives_what_its_future_gives(hook: Callable[[Any], Any]) -> None:
    async with executing(Hooked(lambda _: hook(5))) as executor:
        done = await outcome(executor, ReadOrder("a"))
        assert (done.outcome, done.reading) == ("ok", 5)


@pytest.mark.virtual_time
async def test_a_wait_for_a_sensor_survives_reads_that_fail() -> None:
    bench = Bench(p=failing(3))
    bench.values["p"] = 7
    async with executing(bench) as executor:
        done = await outcome(executor, WaitUntilOrder("p", "{} > 5", 10))
        assert done.outcome == "ok"
        assert now() == pytest.approx(1.5)


@pytest.mark.virtual_time
async def test_points_that_are_not_there() -> None:
    bench = Bench()
    bench.known = lambda name: name == "a"
    async with executing(bench) as executor:
        done = await carried_out(
            executor,
            WriteOrder("x", 1, FORCE),
            ReadOrder("x"),
            WaitUntilOrder("x", "{}", 1),
            WriteOrder("a", 1),
        )
        assert [o.outcome for o in done] == ["unknown-point"] * 3 + ["ok"]
        assert [o.attempts for o in done] == [0, 0, 0, 1]

        def broken(name: str) -> bool:
            raise KeyError(name)

        bench.known = broken
        assert (await outcome(executor, ReadOrder("a"))).outcome == "failed:error"
        assert (await outcome(executor, WaitUntilOrder("a", "{}", 1))).outcome == "failed:error"


@pytest.mark.virtual_time
async def test_no_more_attempts_at_once_than_there_are_slots() -> None:
    bench = Bench(**dict.fromkeys("abcdef", 1.0))
    async with executing(bench, concurrency=2) as executor:
        await executor.execute(writes(*"abc"), writes(*"def"))
        assert now() == pytest.approx(3.0)
    assert [when for when, _, _ in bench.calls] == [0, 0, 1, 1, 2, 2]
    assert bench.names() == list("abcdef")


@pytest.mark.virtual_time
async def test_orders_of_other_points_are_not_held_up_by_retries() -> None:
    bench = Bench(a=failing(1000), b=0.1)
    async with executing(bench, concurrency=1) as executor:
        stuck = Section([WriteOrder("a", 1, FORCE)])
        executor.execute(stuck)
        await asyncio.sleep(1)
        quick, same = writes("b"), writes("a")
        executor.execute(quick, same)
        await quick.future
        assert now() == pytest.approx(1.1)
        assert same.state == "running"  # it waits for its turn
        await stuck.future
        assert (await same.future).state == "failed"


@pytest.mark.virtual_time
async def test_a_long_section_lets_others_have_their_turns() -> None:
    bench = Bench()
    async with executing(bench) as executor:
        section = Section([WriteOrder(f"p{n % 7}", n) for n in range(1500)])
        result = await executor.execute(section, writes("p0"))
        assert result[0].state == "done"
        mine = [value for _, name, value in bench.calls if name == "p3"]
        assert mine == list(range(3, 1500, 7))
        assert bench.values["p0"] == 1


# -- deadlines --------------------------------------------------------------------------


@pytest.mark.virtual_time
async def test_a_section_has_to_have_ended_by_a_time() -> None:
    bench = Bench(a=failing(100), b=5.0, c=1.0)
    async with executing(bench, clock=clock) as executor:
        done = await carried_out(
            executor,
            WriteOrder("a", 1, FORCE),
            WriteOrder("b", 1),
            WriteOrder("c", 1),
            WaitOrder(10),
            WriteOrder("b", 2),
            finish_by=EPOCH + 2,
        )
        assert now() == pytest.approx(2.0, abs=0.01)
        assert [o.outcome for o in done] == [
            "failed:deadline",
            "failed:timeout",
            "ok",
            "failed:deadline",
            "failed:deadline",
        ]
        done = await carried_out(executor, WriteOrder("c", 1), finish_by=EPOCH + 2)
        assert (done[0].outcome, done[0].attempts) == ("failed:deadline", 0)


# -- sysctl and messages ----------------------------------------------------------------


@pytest.mark.virtual_time
@pytest.mark.parametrize("before", [[], [WriteOrder("a", 1)]])
async def test_smok_sys_01_a_sysctl_order(before: list[Order]) -> None:
    bench = Bench(a=failing(1))
    async with executing(bench) as executor:
        section = Section([SysctlOrder("reboot", "at once"), *before])
        await executor.execute(section)
        assert bench.sysctls == [("reboot", "at once")]
        assert section.progress[0].outcome == "ok"


@pytest.mark.virtual_time
async def test_smok_sys_01_one_that_nobody_knows() -> None:
    bench = Bench()
    bench.on_sysctl = lambda op_type, op_args: op_type == "reboot"
    async with executing(bench) as executor:
        done = await outcome(executor, SysctlOrder("fly", ""))
        assert (done.outcome, done.attempts) == ("unhandled-sysctl", 1)
        assert (await outcome(executor, SysctlOrder("reboot", ""))).outcome == "ok"
        bench.on_sysctl = lambda op_type, op_args: coroutine_value(False)
        assert (await outcome(executor, SysctlOrder("fly", ""))).outcome == "unhandled-sysctl"
        bench.on_sysctl = lambda op_type, op_args: None
        assert (await outcome(executor, SysctlOrder("fly", ""))).outcome == "ok"


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("failures", "word", "calls"), [(0, "ok", 1), (2, "ok", 3), (100, "failed:error", 3)]
)
async def test_smok_msg_01_a_message_is_sent_until_it_is_sent(
    failures: int, word: str, calls: int
) -> None:
    bench = Bench()
    bench.on_message = failing(failures)
    async with executing(bench) as executor:
        done = await outcome(executor, MessageOrder("5f0c"))
        assert (done.outcome, done.attempts) == (word, calls)
    assert bench.messages == ["5f0c"] * calls


# -- waiting for a sensor ---------------------------------------------------------------


@pytest.mark.virtual_time
async def test_an_order_that_waits_for_a_sensor_looks_now_and_then() -> None:
    bench = Bench()
    bench.values["p"] = 1
    async with executing(bench) as executor:
        asyncio.get_running_loop().call_later(2.2, bench.values.__setitem__, "p", 7)
        done = await outcome(executor, WaitUntilOrder("p", "{} > 5", 10))
        assert now() == pytest.approx(2.5)
        assert (done.outcome, done.attempts, done.reading) == ("ok", 1, 7)


@pytest.mark.virtual_time
async def test_an_order_that_waits_for_a_sensor_in_vain() -> None:
    bench = Bench()
    bench.values["p"] = 1
    async with executing(bench, clock=clock) as executor:
        done = await outcome(executor, WaitUntilOrder("p", "{} > 5", 3))
        assert now() == pytest.approx(3.0)
        assert (done.outcome, done.detail) == ("failed:timeout", "{} > 5 was not so within 3 s")
        section = Section([WaitUntilOrder("p", "{} > 5", 3)])
        executor.execute(section)
        await asyncio.sleep(1)
        section.cancel(force=True)
        assert (await section.future).state == "cancelled"
        done = (
            await carried_out(executor, WaitUntilOrder("p", "{} > 5", 9), finish_by=clock() + 2)
        )[0]
        assert done.outcome == "failed:timeout"
        bench.values["p"] = "text"
        assert (await outcome(executor, WaitUntilOrder("p", "{} > 5", 3))).outcome == (
            "failed:condition"
        )


@pytest.mark.virtual_time
async def test_what_waits_for_a_sensor_keeps_no_slot() -> None:
    bench = Bench(a=1.0)
    bench.values["p"] = 0
    async with executing(bench, concurrency=1) as executor:
        waits = Section([WaitUntilOrder("p", "{} > 5", 100)])
        executor.execute(waits)
        await executor.execute(writes("a"))
        assert waits.state == "running"


# -- executors of one's own -------------------------------------------------------------


class Own(OrderExecutor):
    """Remembers what it was asked to do."""

    def __init__(self, target: Any, **kwargs: Any) -> None:
        super().__init__(target, **kwargs)
        self.story: list[Any] = []

    async def execute_section(self, section: Section) -> None:
        self.story.append([order.target_name for order in section.orders])
        await asyncio.sleep(1)

    async def sync_sections(self) -> None:
        self.story.append("sync")
        await asyncio.sleep(0)


@pytest.mark.virtual_time
async def test_smok_exe_01_every_section_that_is_not_cancelled_once_in_order() -> None:
    async with executing(Bench(), Own) as executor:
        executor.pause()
        sections = [writes(name) for name in "abcdef"]
        sections[3] = writes("d", disposition=CANNOT_JOIN)
        future = executor.execute(*sections)
        sections[1].cancel()
        executor.resume()
        await future
        assert executor.story == [["a"], ["c"], "sync", ["d"], "sync", ["e"], ["f"]]
        assert now() == pytest.approx(3.0)
        assert [section.state for section in sections].count("done") == 5


class Marks(Own):
    async def execute_section(self, section: Section) -> None:
        assert section.mark_as_being_executed()
        section.mark_as_done()
        section.mark_as_done()


class Returns(Own):
    def execute_section(self, section: Section) -> None:  # type: ignore[override]
        pass


class Raises(Own):
    def execute_section(self, section: Section) -> None:  # type: ignore[override]
        section.record(0, Outcome(section.orders[0], "ok", 1, 0.0))
        raise RuntimeError("driver bug")


class Cancels(Own):
    async def execute_section(self, section: Section) -> None:
        raise asyncio.CancelledError


class SyncRaises(Marks):
    async def sync_sections(self) -> None:
        raise RuntimeError("driver bug")


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("kind", "state"),
    [
        (Marks, "done"),
        (Returns, "done"),
        (Raises, "partial"),
        (Cancels, "failed"),
        (SyncRaises, "done"),
    ],
)
async def test_smok_exe_02_however_an_executor_ends_a_section_it_has_ended(
    kind: type[OrderExecutor], state: str
) -> None:
    async with executing(Bench(), kind) as executor:
        first, second = writes("a", "b", disposition=CANNOT_JOIN), writes("c")
        await executor.execute(first, second)
        assert first.state == state
        assert second.ended
        await executor.sync()
        assert executor.state == "idle"
        assert executor.sections_done == 2


class Background(OrderExecutor):
    """Only hands work on, and knows when all of it is done."""

    def __init__(self, target: Any, **kwargs: Any) -> None:
        super().__init__(target, **kwargs)
        self.work: set[asyncio.Task[None]] = set()
        self.story: list[tuple[float, str, str]] = []

    async def execute_section(self, section: Section) -> None:
        for order in section.orders:
            task = asyncio.ensure_future(self.carry_out(section, order.target_name))
            self.work.add(task)
            task.add_done_callback(self.work.discard)

    async def carry_out(self, section: Section, name: str) -> None:
        self.story.append((now(), name, "begins"))
        await asyncio.sleep(1)
        self.story.append((now(), name, "ends"))
        section.mark_as_done()

    async def sync_sections(self) -> None:
        while self.work:
            await asyncio.wait(self.work)


class FinishesLater(Background):
    finishes_later: ClassVar[bool] = True


@pytest.mark.virtual_time
@pytest.mark.parametrize("kind", [Background, FinishesLater])
async def test_smok_exe_03_a_barrier_holds_also_if_sections_end_later(
    kind: type[Background],
) -> None:
    async with executing(Bench(), kind) as executor:
        executor.execute(
            writes("a"), writes("b"), writes("c", disposition=CANNOT_JOIN), writes("d")
        )
        await asyncio.sleep(5)
        assert executor.story == [
            (0, "a", "begins"),
            (0, "b", "begins"),
            (1, "a", "ends"),
            (1, "b", "ends"),
            (1, "c", "begins"),
            (2, "c", "ends"),
            (2, "d", "begins"),
            (3, "d", "ends"),
        ]


@pytest.mark.virtual_time
async def test_sections_that_end_later_are_running_until_then() -> None:
    async with executing(Bench(), FinishesLater) as executor:
        section = writes("a")
        await executor.execute(section)
        assert now() == pytest.approx(1.0)
        unended = writes("b")
        executor.execute(unended)
        await asyncio.sleep(0.5)
        await executor.stop(0.1)
        assert unended.state == "abandoned"
        await asyncio.wait(executor.work)


@pytest.mark.virtual_time
async def test_an_executor_may_do_something_around_what_is_done_anyway() -> None:
    class Around(OrderExecutor):
        async def execute_section(self, section: Section) -> None:
            await asyncio.sleep(1)
            await super().execute_section(section)

    bench = Bench(a=failing(1))
    async with executing(bench, Around) as executor:
        section = writes("a", "b")
        await executor.execute(section)
        assert bench.at("b") == [1.0]
        assert section.state == "partial"

        class Limited(Around):
            async def execute_section(self, section: Section) -> None:
                await asyncio.wait_for(super().execute_section(section), 2)

    async with executing(Bench(a=100.0), Limited) as executor:
        section = writes("a", "b")
        await executor.execute(section)
        assert [o.outcome for o in section.progress] == ["failed:error", "ok"]
        assert executor.current_sections == ()


# -- the queue --------------------------------------------------------------------------


@pytest.mark.virtual_time
async def test_the_queue_has_an_end() -> None:
    async with executing(Bench(a=1.0), max_queue=3) as executor:
        executor.execute(writes("a"), writes("a"), writes("a"))
        with pytest.raises(QueueFull, match="3 sections have not ended"):
            executor.execute(writes("b"))
        await asyncio.sleep(1.5)
        with pytest.raises(QueueFull):
            executor.execute(writes("b"), writes("b"))  # all or none
        await executor.execute(writes("b"))


@pytest.mark.virtual_time
async def test_what_is_not_taken() -> None:
    async with executing(Bench(a=1.0), max_orders=2) as executor:
        section = writes("a", section_id="mine")
        executor.execute(section)
        with pytest.raises(ValueError, match="given to an executor already"):
            executor.execute(section)
        with pytest.raises(ValueError, match="a section 'mine' already"):
            executor.execute(writes("b", section_id="mine"))
        with pytest.raises(ValueError, match="a section 'new' already"):
            executor.execute(writes("b", section_id="new"), writes("b", section_id="new"))
        with pytest.raises(ValueError, match="may have 2 orders, not 3"):
            executor.execute(writes(*"abc"))
        twice = writes("b")
        with pytest.raises(ValueError, match="already"):
            executor.execute(twice, twice)
        assert executor.find("mine") is section
        await executor.sync()
        with pytest.raises(KeyError):
            executor.find("mine")
        await executor.execute(twice, writes("b", section_id="mine"))


def test_what_an_executor_cannot_be_made_with() -> None:
    for wrong in (
        {"concurrency": 0},
        {"attempt_timeout": 0},
        {"retry_delay": 0},
        {"max_retry_delay": 0.01},
        {"max_queue": 0},
        {"max_orders": 0},
    ):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            OrderExecutor(Bench(), **wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="threads"):
        ThreadedOrderExecutor(Bench(), threads=0)


def test_an_executor_needs_a_loop_when_it_is_used() -> None:
    executor = OrderExecutor(Bench())
    with pytest.raises(RuntimeError, match="start"):
        executor.execute(writes("a"))
    asyncio.run(executor.stop())
    with pytest.raises(ExecutorStopped):
        executor.execute(writes("a"))


@pytest.mark.virtual_time
async def test_what_it_is_at() -> None:
    async with executing(Bench(a=1.0)) as executor:
        assert executor.state == "idle"
        executor.pause()
        assert (executor.state, executor.paused) == ("paused", True)
        first, second = writes("a", disposition=CANNOT_JOIN), writes("b", disposition=CANNOT_JOIN)
        executor.execute(first, second, origin="somebody")
        assert first.origin == "somebody"
        assert executor.pause() == 2
        assert executor.oldest_wait >= 0
        executor.resume()
        await asyncio.sleep(0.5)
        assert (executor.state, executor.queue_length) == ("running", 1)
        assert executor.current_sections == (first,)
        assert executor.unfinished == (first, second)
        assert not executor.stopped
        await executor.sync()
        assert executor.unfinished == ()
        assert (executor.sections_done, executor.sections_failed) == (2, 0)


@pytest.mark.virtual_time
async def test_waiting_until_everything_so_far_has_ended() -> None:
    async with executing(Bench(a=1.0, b=5.0)) as executor:
        await executor.sync()
        executor.execute(writes("a"))
        waits = asyncio.ensure_future(executor.sync())
        await asyncio.sleep(0)
        executor.execute(writes("b"))
        await waits
        assert now() == pytest.approx(1.0)
        with pytest.raises(TornadoTimeout):
            await executor.sync(1)
        cancelled = writes("c", disposition=CANNOT_JOIN)
        executor.execute(cancelled)
        waits = asyncio.ensure_future(executor.sync())
        await asyncio.sleep(0)
        cancelled.cancel()
        await waits
        assert now() == pytest.approx(5.0)


@pytest.mark.virtual_time
async def test_listeners_are_told_of_sections_and_orders() -> None:
    async with executing(Bench(a=failing(1), b=1.0)) as executor:
        told: list[Any] = []

        def listen(section: Section, index: int | None) -> None:
            what = section.state if index is None else section.progress_of(index).outcome
            told.append((section.section_id, index, what))

        def broken(section: Section, index: int | None) -> None:
            raise RuntimeError("a listener's bug")

        executor.on_change(broken)
        executor.on_change(listen)
        section = Section([WriteOrder("a", 1, FORCE), WriteOrder("b", 1)], section_id="s")
        await executor.execute(section)
        assert told == [
            ("s", None, "queued"),
            ("s", None, "running"),
            ("s", 0, "retrying"),
            ("s", 0, "ok"),
            ("s", 1, "ok"),
            ("s", None, "done"),
        ]
        told.clear()
        executor.pause()
        cancelled = writes("b")
        executor.execute(cancelled)
        cancelled.cancel()
        assert told == [("s-1", None, "queued"), ("s-1", None, "cancelled")]
        executor.resume()
        executor.off_change(listen)
        await executor.execute(writes("b"))
        assert len(told) == 2


@pytest.mark.virtual_time
@pytest.mark.parametrize("seed", range(20))
async def test_whatever_is_submitted_the_rules_hold(seed: int) -> None:
    chance = random.Random(seed)
    spans: dict[int, tuple[float, float]] = {}
    points: dict[str, list[tuple[int, int]]] = {}

    async def hook(value: tuple[int, int, str]) -> None:
        number, index, name = value
        points.setdefault(name, []).append((number, index))
        began = now()
        await asyncio.sleep(chance.choice([0, 0.01, 0.5, 1.0]))
        first, last = spans.get(number, (began, 0.0))
        spans[number] = min(first, began), max(last, now())
        if chance.random() < 0.2:
            raise OSError("the bus is down")

    async with executing(
        Hooked(hook), concurrency=chance.choice([1, 3, 100]), max_joined=chance.choice([1, 2, 64])
    ) as executor:
        executor.target.write = lambda name, value, advise: hook(value)
        sections = []
        for number in range(40):
            size, barrier = chance.randrange(6), chance.random() < 0.2
            names = [chance.choice("abcde") for _ in range(size)]
            orders: list[Order] = [
                WriteOrder(name, (number, index, name)) for index, name in enumerate(names)
            ]
            if chance.random() < 0.1:
                orders.append(WaitOrder(chance.random()))
            sections.append(Section(orders, CANNOT_JOIN if barrier else Disposition.JOINABLE))
            executor.execute(sections[-1])
            if chance.random() < 0.3:
                await asyncio.sleep(chance.random())
            if chance.random() < 0.2:
                chance.choice(sections).cancel(force=chance.random() < 0.5)
        await executor.sync()
        assert executor.sections_done == 40

    assert all(section.future.done() and section.ended for section in sections)
    assert all(None not in section.results for section in sections)
    for number, section in enumerate(sections):
        if section.cancelled:
            assert number not in spans
        if section.disposition is CANNOT_JOIN and number in spans:
            began, ended = spans[number]
            assert all(spans[n][1] <= began for n in spans if n < number)
            assert all(spans[n][0] >= ended for n in spans if n > number)
    for calls in points.values():
        assert calls == sorted(calls)
    assert executor._means.slots.free in (1, 3, 100)
    assert executor._means.lanes._last == {}


# -- threads ----------------------------------------------------------------------------


async def test_sections_come_from_any_thread() -> None:
    bench = Bench()
    async with executing(bench) as executor:
        told: list[Any] = []
        executor.on_change(lambda section, index: told.append(threading.get_ident()))

        def submit() -> list[str]:
            sections = [writes(name) for name in "abc"]
            future = executor.execute(*sections)
            assert [section.result(10).state for section in sections] == ["done"] * 3
            assert executor.execute(Section()).result(10).state == "done"
            return [result.state for result in future.result(10)]

        loop = asyncio.get_running_loop()
        states = await asyncio.gather(*[loop.run_in_executor(None, submit) for _ in range(4)])
        assert states == [["done"] * 3] * 4
        assert len(bench.calls) == 12
        await executor.sync()
        assert set(told) == {threading.get_ident()}
        assert executor.sections_done == 16


async def test_sections_are_cancelled_in_any_thread() -> None:
    bench = Bench()
    async with executing(bench) as executor:
        executor.pause()
        sections = [writes("a") for _ in range(20)]
        executor.execute(*sections)
        loop = asyncio.get_running_loop()
        await asyncio.gather(
            *[loop.run_in_executor(None, section.cancel) for section in sections[::2]]
        )
        executor.resume()
        await executor.sync(10)
        assert [section.state for section in sections] == ["cancelled", "done"] * 10
        assert len(bench.calls) == 10
        assert executor.sections_done == 20


def test_an_executor_that_is_started_before_its_loop_runs() -> None:
    loop = IOLoop(make_current=False)
    executor = OrderExecutor(Bench(), ioloop=loop)
    section = writes("a")
    executor.start()
    executor.execute(section)

    async def use() -> str:
        result = await section.future
        await executor.stop()
        return str(result.state)

    try:
        assert loop.run_sync(use) == "done"
    finally:
        loop.close()
    section.cancel(force=True)


def test_an_executor_goes_on_in_another_loop_when_it_is_started_again() -> None:
    bench = Bench(a=0.01)
    executor = OrderExecutor(bench)

    async def use() -> str:
        executor.start()
        result = await executor.execute(writes("a", "b"), writes("a", disposition=CANNOT_JOIN))
        executor.execute(writes("a"))
        await executor.stop(0)
        return " ".join(each.state for each in result)

    assert [asyncio.run(use()) for _ in range(3)] == ["done done"] * 3


def test_an_executor_whose_loop_is_closed_takes_nothing() -> None:
    executor = OrderExecutor(Bench())

    async def use() -> None:
        executor.start()

    asyncio.run(use())
    section = writes("a")
    thread = threading.Thread(target=lambda: refused(executor, section))
    thread.start()
    thread.join(10)
    assert section.state == "abandoned"
    assert executor.unfinished == ()


def refused(executor: OrderExecutor, section: Section) -> None:
    with pytest.raises(ExecutorStopped, match="closed"):
        executor.execute(section)


class Blocking:
    """A target whose functions block, each in a thread that is not the loop's."""

    def __init__(self) -> None:
        self.threads: set[int] = set()
        self.barrier = threading.Barrier(3)

    def has(self, name: str) -> bool:
        return True

    def write(self, name: str, value: Any, advise: int) -> None:
        self.threads.add(threading.get_ident())
        self.barrier.wait(10)

    def read(self, name: str, advise: int) -> Any:
        return coroutine_value(threading.get_ident())

    async def sysctl(self, op_type: str, op_args: str) -> bool:
        return threading.get_ident() in self.threads


async def test_hooks_that_block_run_beside_each_other_in_threads() -> None:
    target = Blocking()
    async with executing(target, ThreadedOrderExecutor, threads=3) as executor:
        result = await executor.execute(writes("a", "b", "c"))
        assert result.state == "done"
        assert len(target.threads) == 3
        assert threading.get_ident() not in target.threads
        done = await carried_out(executor, ReadOrder("a"), SysctlOrder("a", ""))
        assert done[0].reading in target.threads
        assert done[1].outcome == "unhandled-sysctl"  # a coroutine runs in the loop


async def test_a_function_that_does_not_return_keeps_its_thread_and_nothing_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    release = threading.Event()

    class Hangs(Blocking):
        def write(self, name: str, value: Any, advise: int) -> None:
            if name == "a":
                release.wait(10)

    async with executing(Hangs(), ThreadedOrderExecutor, threads=2) as executor:
        section = Section([WriteOrder("a", 1, attempt_timeout=0.02)])
        result = await executor.execute(section, writes("b", disposition=CANNOT_JOIN))
        assert [each.state for each in result] == ["failed", "done"]
        assert section.progress[0].outcome == "failed:timeout"
        release.set()


class Plain(ThreadedOrderExecutor):
    """Does everything in one function that blocks."""

    def execute_section(self, section: Section) -> None:  # type: ignore[override]
        self.ident = threading.get_ident()
        time.sleep(0.01)
        section.mark_as_done()

    def sync_sections(self) -> None:  # type: ignore[override]
        self.synced = threading.get_ident()


async def test_executors_of_ones_own_may_block_too() -> None:
    async with executing(Bench(), Plain) as executor:
        sections = [writes("a"), writes("b", disposition=CANNOT_JOIN)]
        await executor.execute(*sections)
        assert [section.state for section in sections] == ["done", "done"]
        await executor.sync(10)
        assert executor.sections_done == 2
        assert threading.get_ident() not in (executor.ident, executor.synced)


# -- journals ---------------------------------------------------------------------------


class Notes:
    """A journal that writes down when it was told what, and takes its time."""

    def __init__(self, delay: float = 0.1) -> None:
        self.delay = delay
        self.story: list[Any] = []
        self.refuse: set[str] = set()

    async def _note(self, *what: Any) -> None:
        await asyncio.sleep(self.delay)
        self.story.append(what)
        if what[0] in self.refuse:
            raise OSError("disk full")

    async def accepted(self, section: Section, origin: str) -> None:
        await self._note("accepted", section.section_id, origin)

    async def started(self, section: Section, index: int) -> None:
        await self._note("started", section.section_id, index)

    async def ended(self, section: Section, index: int, outcome: Outcome) -> None:
        assert section.results_at(index) is None
        await self._note("ended", section.section_id, index, outcome.outcome)

    async def finished(self, section: Section) -> None:
        assert section.cancelled or not section.ended
        await self._note("finished", section.section_id)


@pytest.mark.virtual_time
async def test_the_journal_is_told_before_anything_goes_on() -> None:
    journal = Notes()
    bench = Bench(a=failing(1))
    bench.hooks["a"] = lambda value: journal.story.append("hook")
    async with executing(bench, journal=journal) as executor:
        assert executor.journal is journal
        section = Section([WriteOrder("a", 1), WaitOrder(0)], section_id="s")
        await executor.submit(section, origin="me")
        assert not section.ended
        assert journal.story == [("accepted", "s", "me")]
        result = await section.future
        assert result.state == "done"
        story = journal.story[1:]
        assert [what for what in story if what == "hook" or 0 in what] == [
            ("started", "s", 0),
            "hook",
            ("ended", "s", 0, "ok"),
        ]
        assert [what for what in story if what[-1] == 1 or what[2:3] == (1,)] == [
            ("started", "s", 1),
            ("ended", "s", 1, "ok"),
        ]
        assert story[-1] == ("finished", "s")
        assert now() == pytest.approx(0.4)


@pytest.mark.virtual_time
async def test_the_journal_is_told_of_an_order_once_however_often_it_is_tried() -> None:
    journal = Notes()
    async with executing(Bench(a=failing(3)), journal=journal) as executor:
        executor.execute(Section([WriteOrder("a", 1, FORCE)]))
        await executor.sync()
        assert [what[0] for what in journal.story] == ["accepted", "started", "ended", "finished"]


@pytest.mark.virtual_time
async def test_sections_keep_their_order_while_the_journal_takes_them() -> None:
    class Slow(Notes):
        async def accepted(self, section: Section, origin: str) -> None:
            await asyncio.sleep(1.0 if section.section_id == "s-1" else 0)

    bench = Bench()
    async with executing(bench, journal=Slow()) as executor:
        await executor.execute(writes("a"), writes("b"), writes("c"))
        assert bench.names() == ["a", "b", "c"]


@pytest.mark.virtual_time
async def test_a_section_that_the_journal_does_not_take_is_not_carried_out() -> None:
    journal = Notes()
    journal.refuse = {"accepted"}
    bench = Bench()
    async with executing(bench, journal=journal) as executor:
        section = writes("a")
        with pytest.raises(SectionAbandoned, match="the journal did not take it: disk full"):
            await executor.submit(section)
        assert section.state == "abandoned"
        assert executor.unfinished == ()
        journal.refuse = {"started"}
        done = await outcome(executor, WriteOrder("a", 1))
        assert (done.outcome, done.attempts) == ("failed:journal", 0)
        assert not bench.calls
        journal.refuse = {"ended", "finished"}  # then it is too late to say no
        assert (await outcome(executor, WriteOrder("a", 1))).outcome == "ok"


@pytest.mark.virtual_time
async def test_those_behind_a_section_that_the_journal_does_not_take_go_on() -> None:
    class Picky(Notes):
        async def accepted(self, section: Section, origin: str) -> None:
            await asyncio.sleep(1.0 if section.section_id == "s-1" else 0)
            if section.section_id in ("s-1", "s-2"):
                raise OSError("disk full")

    bench = Bench()
    async with executing(bench, journal=Picky()) as executor:
        sections = [writes("a"), writes("b"), writes("c")]
        executor.execute(*sections)
        await asyncio.sleep(0.5)
        sections[0].cancel()  # and then it is not taken either
        await sections[2].future
        await executor.sync(1)
        assert [section.state for section in sections] == ["cancelled", "abandoned", "done"]
        assert executor.sections_done == 3


@pytest.mark.virtual_time
async def test_an_executor_of_ones_own_has_begun_everything_as_far_as_the_journal_knows() -> None:
    journal = Notes()
    async with executing(Bench(), Own, journal=journal) as executor:
        section = writes("a", "b")
        await executor.execute(section)
        assert [what[0] for what in journal.story] == [
            "accepted",
            "started",
            "started",
            "finished",
        ]


@pytest.mark.virtual_time
async def test_a_section_has_ended_before_a_barrier_is_passed() -> None:
    async with executing(Bench(a=1.0), journal=Notes()) as executor:
        story: list[Any] = []
        executor.on_change(
            lambda section, index: (
                index is None and story.append((section.section_id, section.state))
            )
        )
        await executor.execute(writes("a"), writes("b", disposition=CANNOT_JOIN), writes("c"))
        assert story[3:] == [
            ("s-1", "running"),
            ("s-1", "done"),
            ("s-2", "running"),
            ("s-2", "done"),
            ("s-3", "running"),
            ("s-3", "done"),
        ]


@pytest.mark.virtual_time
@pytest.mark.parametrize("moment", [0.05, 0.5])
async def test_the_journal_is_told_of_sections_that_are_cancelled(moment: float) -> None:
    journal = Notes()
    bench = Bench()
    async with executing(bench, journal=journal) as executor:
        executor.pause()
        section = writes("a")
        executor.execute(section)
        await asyncio.sleep(moment)
        section.cancel()
        await executor.recorded(section)
        assert [what[0] for what in journal.story] == ["accepted", "finished"]
        await executor.sync(1)
        executor.resume()
        await asyncio.sleep(1)
        assert not bench.calls
        await executor.recorded(section)


@pytest.mark.virtual_time
async def test_a_section_that_the_journal_has_is_taken_up_again() -> None:
    journal = Notes()
    bench = Bench()
    async with executing(bench, journal=journal) as executor:
        section = writes("a", "b", "c", section_id="old")
        section.record(1, Outcome(section.orders[1], "failed:interrupted", 1, 5.0))
        result = await executor.execute(section, recovered=True)
        assert bench.names() == ["a", "c"]
        assert [o.outcome for o in result.outcomes] == ["ok", "failed:interrupted", "ok"]
        assert not [what for what in journal.story if what[0] == "accepted"]


@pytest.mark.virtual_time
async def test_the_journal_is_told_nothing_of_what_is_abandoned() -> None:
    journal = Notes()
    async with executing(Bench(a=100.0), journal=journal) as executor:
        executor.execute(writes("a"), writes("b", disposition=CANNOT_JOIN))
        await asyncio.sleep(1)
        late = writes("c")
        executor.execute(late)
        await executor.stop(1)
        assert [what[0] for what in journal.story] == [
            "accepted",
            "accepted",
            "started",
            "accepted",
        ]
        assert late.state == "abandoned"


async def test_nothing_is_logged_when_all_is_well(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "katcp.orders"):
        async with executing(Bench()) as executor:
            await executor.execute(writes("a"), writes("b", disposition=CANNOT_JOIN))
    assert not caplog.records
