"""The executor: takes sections, starts them in order, and survives whatever they raise."""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import Callable
from typing import Any, ClassVar

from tornado.ioloop import IOLoop

from katcp.orders._executor._attempts import Means
from katcp.orders._executor._intake import Intake
from katcp.orders._executor._known import SectionJournal
from katcp.orders._executor._merging import SectionQueue
from katcp.orders._executor._run import SectionRun
from katcp.orders._executor._turns import Slots
from katcp.orders._orders import Disposition
from katcp.orders._outcome import FAILED_PREFIX
from katcp.orders._section import Section

_log = logging.getLogger("katcp.orders")
#: An attempt that does not end when it is cancelled gets this much time at the end [s].
_LAST_CALL = 1.0


class OrderExecutor(Intake):
    """Carries out sections against a target.

    Sections are started in the order in which they are given. Those that may be joined run beside
    each other; one that cannot be joined runs by itself. Everything goes on in one loop.

    Parameters
    ----------
    target : Target
        What is read and written; see `PathpointTarget`, `ClientTarget`, `ResourceTarget`.
    concurrency : int
        How many attempts there may be at once.
    attempt_timeout : float
        How long an attempt may take if neither order nor point say so [s].
    retry_delay, max_retry_delay : float
        How long to wait before the second attempt, and at most, [s]; the wait doubles each time,
        and a quarter of it is left to chance.
    grace : float
        How long `stop` waits for what runs [s].
    max_queue : int
        How many sections may be unfinished at once.
    max_orders : int
        How many orders a section may have.
    max_joined : int
        How many sections may run beside each other.
    join_running : bool
        Whether a section that may be joined starts although others are running; if not, only
        those that wait side by side start together.
    journal : SectionJournal, optional
        Is told of everything before it goes on.
    new_id : callable, optional
        Makes the ids of sections that have none; ``s-1``, ``s-2`` by default.
    clock : callable
        Tells the time in seconds since 1970, for `WriteOrder.stale_after` and `Section.finish_by`.
    ioloop : tornado.ioloop.IOLoop, optional
        To run on; by default the one that runs where `start`, or else `execute`, is called.

    Examples
    --------
    ::

        executor = OrderExecutor(ClientTarget(client))
        first = Section([WriteOrder("valve", 1)])
        second = Section([ReadOrder("pressure")], Disposition.CANNOT_JOIN)
        await executor.execute(first, second)
        second.raise_for_failures()
        await executor.stop()
    """

    #: Whether sections go on after `execute_section` has returned: they end when something calls
    #: their `mark_as_done` then. For subclasses.
    finishes_later: ClassVar[bool] = False

    def __init__(
        self,
        target: Any,
        *,
        concurrency: int = 100,
        attempt_timeout: float = 10.0,
        retry_delay: float = 0.05,
        max_retry_delay: float = 5.0,
        grace: float = 5.0,
        max_queue: int = 20_000,
        max_orders: int = 10_000,
        max_joined: int = 256,
        join_running: bool = True,
        journal: SectionJournal | None = None,
        new_id: Callable[[], str] | None = None,
        clock: Callable[[], float] = time.time,
        ioloop: IOLoop | None = None,
    ) -> None:
        for what, number in (
            ("attempt_timeout", attempt_timeout),
            ("retry_delay", retry_delay),
            ("max_queue", max_queue),
            ("max_orders", max_orders),
        ):
            if not number > 0:
                raise ValueError(f"{what} must be above 0, not {number!r}")
        if not max_retry_delay >= retry_delay:
            raise ValueError("max_retry_delay must not be below retry_delay")
        means = Means(
            target,
            self._call_target,
            clock,
            journal,
            attempt_timeout,
            retry_delay,
            max_retry_delay,
            Slots(concurrency),
        )
        super().__init__(means, SectionQueue(max_joined, join_running=join_running), new_id, ioloop)
        self.target = target
        self.grace = grace
        self.max_queue = max_queue
        self.max_orders = max_orders
        # Whether sections are carried out in the way of this class.
        self._is_plain = type(self).execute_section is OrderExecutor.execute_section
        self._paused = False
        self._reset()

    def _reset(self) -> None:
        self._syncing = False
        self._after_barrier = False
        self._wake_due = False

    # -- what it is at ------------------------------------------------------------------

    @property
    def state(self) -> str:
        """``idle``, ``running``, ``paused``, or ``stopping``, also when it is stopped."""
        if self._stopping:
            return "stopping"
        if self._paused:
            return "paused"
        return "running" if self._known else "idle"

    @property
    def paused(self) -> bool:
        """Whether no section is started."""
        return self._paused

    @property
    def stopped(self) -> bool:
        """Whether it takes no sections any more."""
        return self._stopping

    @property
    def queue_length(self) -> int:
        """How many sections wait to be started."""
        return len(self._queue)

    @property
    def current_sections(self) -> tuple[Section, ...]:
        """The sections that run, the oldest first."""
        return self._queue.running

    @property
    def oldest_wait(self) -> float:
        """How long the section has waited that has waited longest [s]; 0 if none does."""
        oldest = self._queue.oldest
        if oldest is None or oldest.submitted is None:
            return 0.0
        return max(0.0, time.time() - oldest.submitted)

    # -- starting sections --------------------------------------------------------------

    def _wake(self) -> None:
        """Look, in the next turn of the loop, which sections may start."""
        if not self._wake_due and self._loop is not None:
            self._wake_due = True
            self._loop.call_soon(self._dispatch)

    def _dispatch(self) -> None:
        self._wake_due = False
        if self._paused or self._stopping or self._syncing:
            return
        taken = self._queue.take()
        if not taken:
            return
        barrier = self._after_barrier or taken[0].disposition is Disposition.CANNOT_JOIN
        self._after_barrier = taken[-1].disposition is Disposition.CANNOT_JOIN
        if barrier and type(self).sync_sections is not OrderExecutor.sync_sections:
            self._syncing = True
            self._spawn(self._sync_and_begin(taken))
            return
        for section in taken:
            self._begin(section)

    async def _sync_and_begin(self, sections: list[Section]) -> None:
        try:
            result = self._call(self.sync_sections)
            if inspect.isawaitable(result):
                await result
        except Exception:
            _log.exception("sync_sections raised")
        finally:
            self._syncing = False
        if self._stopping:
            return
        for section in sections:
            self._begin(section)
        self._wake()

    def _begin(self, section: Section) -> None:
        if not section.mark_as_being_executed():
            self._queue.ended(section)  # cancelled meanwhile
            self._wake()
            return
        run = None
        if self._is_plain:
            run = self._runs[section] = SectionRun(section, self._means)
            try:
                ended = run.begin()
            except Exception:
                _log.exception("Section %s cannot be begun", section.section_id)
                section.fail_rest(f"{FAILED_PREFIX}error", "it cannot be begun")
                ended = False
            if ended and self._means.journal is None:
                del self._runs[section]
                self._queue.ended(section)
                section.mark_as_done()
                self._wake()
                return
        self._spawn(self._run(section, run))

    async def _run(self, section: Section, run: SectionRun | None) -> None:
        try:
            if run is not None:
                await self._finish_run(section, run)
            else:
                await self._run_otherwise(section)
        except asyncio.CancelledError:
            if self._stopping:
                self._queue.ended(section)
                self._drop(section, "the executor was stopped")
                raise
            # Something that an executor of the user's own has to do with was cancelled.
            section.fail_rest(f"{FAILED_PREFIX}cancelled", "execute_section was cancelled")
        except Exception as error:
            _log.exception("execute_section raised for section %s", section.section_id)
            section.fail_rest(f"{FAILED_PREFIX}error", f"{type(error).__name__}: {error}")
        if self._means.journal is not None:
            await self._conclude(section)
        self._queue.ended(section)
        section.mark_as_done()
        self._wake()

    async def _run_otherwise(self, section: Section) -> None:
        """Have a subclass carry out a section."""
        journal = self._means.journal
        if journal is not None:
            # Nobody knows when it begins which order.
            for index in range(len(section.orders)):
                if section.results_at(index) is None:
                    await journal.started(section, index)
        result = self._call(self.execute_section, section)
        if inspect.isawaitable(result):
            await result
        if self.finishes_later and not section.ended:
            await section.future

    async def execute_section(self, section: Section) -> None:
        """Carry out one section; subclasses may do it in another way.

        Not called for sections that were cancelled, nor for empty ones. The section has ended when
        this has returned, and what it awaits has, unless `finishes_later`. It may call
        `Section.mark_as_done`, and should say by `Section.record` what orders came to; those that
        it says nothing of were carried out, or have failed if it raises.
        """
        run = self._runs[section] = SectionRun(section, self._means)
        run.begin()
        await self._finish_run(section, run)

    async def _finish_run(self, section: Section, run: SectionRun) -> None:
        try:
            await run.finish()
        finally:
            self._runs.pop(section, None)

    async def sync_sections(self) -> None:
        """Return when everything that was started has ended; for subclasses that work on.

        Awaited before a section that cannot be joined is started, and before the one after it.
        When the executor is being stopped, see `stopped`, it should return at once.
        """

    def _call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a hook; return what it returns, which may have to be awaited."""
        return function(*args)

    def _call_target(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a method of the target."""
        return function(*args)

    # -- holding and ending -------------------------------------------------------------

    def pause(self) -> int:
        """Start no sections until `resume`; return how many wait. Those that run go on."""
        self._paused = True
        return len(self._queue)

    def resume(self) -> int:
        """Start sections again; return how many wait."""
        self._paused = False
        self._wake()
        return len(self._queue)

    async def stop(self, grace: float | None = None) -> None:
        """Take no sections any more, and end; in the loop.

        Sections that have not been started are abandoned: their futures fail with
        `SectionAbandoned`. Those that run have some time to end, and are abandoned then. The
        journal, if any, is told nothing of those that are abandoned, so that they can be taken
        up from it again.

        Parameters
        ----------
        grace : float, optional
            How long what runs has [s]; by default `self.grace`.
        """
        with self._lock:
            self._stopping = True
        if self._loop is None:
            return
        for section in self._queue:
            if section not in self._recording:
                self._queue.discard(section)
                self._drop(section, "the executor was stopped")
        await self._end_tasks(self.grace if grace is None else grace)
        for section in self.unfinished:
            self._queue.discard(section)
            self._queue.ended(section)
            self._drop(section, "the executor was stopped")
        await asyncio.sleep(0)  # the turn in which callbacks of what has ended are called

    async def _end_tasks(self, grace: float) -> None:
        others = self._tasks - {asyncio.current_task()}
        if others and grace > 0:
            await asyncio.wait(others, timeout=grace)
        left = {task for task in others if not task.done()}
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=_LAST_CALL)
        lingering = set(self._means.lingering)
        for attempt in lingering:
            attempt.cancel()
        if lingering:
            _, left_over = await asyncio.wait(lingering, timeout=_LAST_CALL)
            for attempt in left_over:
                _log.error("An attempt at an order does not end although cancelled: %r", attempt)
