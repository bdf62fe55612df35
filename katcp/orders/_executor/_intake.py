"""How an executor takes sections: from any thread, all or none, and with the journal knowing."""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

from tornado.ioloop import IOLoop

from katcp.aio import loop_of
from katcp.orders._executor._attempts import Means
from katcp.orders._executor._known import ExecutorStopped, QueueFull, SectionJournal, Unfinished
from katcp.orders._executor._merging import SectionQueue
from katcp.orders._executor._run import SectionRun
from katcp.orders._future import CombinedFuture, SectionFuture
from katcp.orders._section import Section

_log = logging.getLogger("katcp.orders")


class Intake(Unfinished):
    """What takes sections; the executor starts and ends them."""

    #: How many sections may be unfinished at once, and how many orders each may have.
    max_queue: int
    max_orders: int

    def __init__(
        self,
        means: Means,
        queue: SectionQueue,
        new_id: Callable[[], str] | None,
        ioloop: IOLoop | None,
    ) -> None:
        super().__init__()
        self._means = means
        self._queue = queue
        numbers = itertools.count(1)
        #: Makes the ids of sections that have none.
        self.new_id = new_id or (lambda: f"s-{next(numbers)}")
        self._given_ioloop = ioloop
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0
        self._runs: dict[Section, SectionRun] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        # What the journal is being told of sections that do not run.
        self._recording: dict[Section, asyncio.Task[None]] = {}
        self._stopping = False

    def _reset(self) -> None:
        """Begin anew; in subclasses."""

    def _wake(self) -> None:
        """Look, soon, which sections may start; in subclasses."""
        raise NotImplementedError

    @property
    def journal(self) -> SectionJournal | None:
        """What is told of everything before it goes on; to be set before sections are given."""
        journal: SectionJournal | None = self._means.journal
        return journal

    @journal.setter
    def journal(self, journal: SectionJournal | None) -> None:
        self._means.journal = journal

    def start(self) -> None:
        """Run on the loop that was given, or on the one that runs here.

        `execute` in the loop does it by itself. After `stop` it may be started again.

        Raises
        ------
        RuntimeError
            If there is no loop.
        """
        if self._loop is None or self._stopping:
            self._reset()
            loop = loop_of(self._given_ioloop)
            self._loop = loop
            self._thread = 0
            self._stopping = False
            try:
                here = asyncio.get_running_loop() is loop
            except RuntimeError:
                here = False
            if here:
                self._thread = threading.get_ident()
            else:
                loop.call_soon_threadsafe(self._note_thread)

    def _note_thread(self) -> None:
        self._thread = threading.get_ident()

    def execute(
        self, *sections: Section, origin: str = "", recovered: bool = False
    ) -> SectionFuture:
        """Take sections, to be carried out in this order; from any thread.

        An empty section has ended when this returns.

        Parameters
        ----------
        *sections : Section
            Either all of them are taken, or none is.
        origin : str
            Who wants it; becomes `Section.origin`.
        recovered : bool
            Whether the journal knows them already.

        Returns
        -------
        SectionFuture
            That of the section if it is one, otherwise one of a list of `SectionResult`, which
            is done when all have ended, however they have.

        Raises
        ------
        ExecutorStopped
            After `stop`.
        QueueFull
            If there would be more than `max_queue` that have not ended.
        ValueError
            For a section that was given to an executor before, has too many orders, or has an id
            that another one has which has not ended.
        RuntimeError
            In another thread, if the executor was not started.
        """
        loop = self._started_loop()
        taken: list[Section] = []
        with self._lock:
            if self._stopping:
                raise ExecutorStopped("The executor is stopped; it takes no sections")
            self._check(sections)
            for section in sections:
                section_id = section.section_id or self.new_id()
                # One that is cancelled, perhaps at this moment, stays so, and that is all.
                if section._submit(loop, self._changed, section_id, origin):  # noqa: SLF001
                    taken.append(section)
                    self._known[section_id] = section
        for section in taken:
            if not section:
                section.mark_as_being_executed()
                section.mark_as_done()
        waiting = [section for section in taken if section]
        if waiting:
            self._hand_over(loop, waiting, origin, recovered)
        if len(sections) == 1:
            return sections[0].future
        combined = CombinedFuture(sections)
        combined._loop = loop  # noqa: SLF001  # a room of this package
        return combined

    def _hand_over(
        self,
        loop: asyncio.AbstractEventLoop,
        sections: list[Section],
        origin: str,
        recovered: bool,
    ) -> None:
        if threading.get_ident() == self._thread:
            self._take(sections, origin, recovered)
            return
        try:
            loop.call_soon_threadsafe(self._take, sections, origin, recovered)
        except RuntimeError:
            for section in sections:
                self._drop(section, "the loop of the executor is closed")
            raise ExecutorStopped("The loop of the executor is closed") from None

    async def submit(self, *sections: Section, origin: str = "") -> None:
        """Take sections as `execute` does; return when the journal, if any, has taken them too.

        Raises
        ------
        SectionAbandoned
            If the journal did not take one; nothing is done about it, then.
        """
        self.execute(*sections, origin=origin)
        for section in sections:
            await self.recorded(section)
        for section in sections:
            if section.state == "abandoned":
                await section.future

    async def recorded(self, section: Section) -> None:
        """Wait until the journal has been told that a section was taken, or was cancelled.

        Returns at once without a journal.
        """
        while True:
            task = self._recording.get(section)
            if task is None:
                return
            await asyncio.wait([task])

    def _started_loop(self) -> asyncio.AbstractEventLoop:
        if self._stopping:
            raise ExecutorStopped("The executor is stopped; it takes no sections")
        if self._loop is None:
            try:
                self.start()
            except RuntimeError:
                raise RuntimeError(
                    "The executor has no loop yet; call start() in the loop first"
                ) from None
        assert self._loop is not None
        return self._loop

    def _check(self, sections: Sequence[Section]) -> None:
        if len(self._known) + len(sections) > self.max_queue:
            raise QueueFull(f"The queue is full: {len(self._known)} sections have not ended")
        ids: set[str] = set()
        seen: set[Section] = set()
        for section in sections:
            if section in seen or (section.state != "new" and not section.cancelled):
                raise ValueError(f"{section!r} was given to an executor already")
            if len(section.orders) > self.max_orders:
                raise ValueError(
                    f"A section may have {self.max_orders} orders, not {len(section.orders)}"
                )
            seen.add(section)
            if section.section_id is not None:
                if section.section_id in self._known or section.section_id in ids:
                    raise ValueError(f"There is a section {section.section_id!r} already")
                ids.add(section.section_id)

    def _take(self, sections: list[Section], origin: str, recovered: bool) -> None:
        for section in sections:
            if self._stopping:
                self._drop(section, "the executor was stopped")
            elif section.cancelled:
                self._section_ended(section)  # if that was in this thread it was told before
            elif self._means.journal is None or recovered:
                self._queue.push(section)
                self._told(section, None)
            else:
                self._queue.push(section, ready=False)
                self._record(section, self._accept(section, origin))
        self._wake()

    def _record(self, section: Section, work: Any) -> None:
        task = self._spawn(work)
        self._recording[section] = task

        def recorded(_: object) -> None:
            if self._recording.get(section) is task:
                del self._recording[section]

        task.add_done_callback(recorded)

    async def _accept(self, section: Section, origin: str) -> None:
        journal = self._means.journal
        try:
            await journal.accepted(section, origin)
        except Exception as error:
            _log.exception("The journal did not take section %s", section.section_id)
            self._queue.discard(section)
            self._drop(section, f"the journal did not take it: {error}")
            self._wake()
            return
        if section.cancelled:
            await self._conclude(section)
            self._forget(section)
        else:
            self._queue.make_ready(section)
            self._told(section, None)
            self._wake()

    async def _conclude(self, section: Section) -> None:
        journal = self._means.journal
        if journal is not None:
            try:
                await journal.finished(section)
            except Exception:
                _log.exception("The journal did not take the end of %s", section.section_id)

    # -- what sections tell -------------------------------------------------------------

    def _changed(self, section: Section, index: int | None) -> None:
        """Take note of a change, in any thread."""
        if threading.get_ident() == self._thread:
            self._told(section, index)
        elif self._loop is not None:
            try:
                self._loop.call_soon_threadsafe(self._told, section, index)
            except RuntimeError:
                _log.debug("The loop is closed; a change of %r goes untold", section)

    def _told(self, section: Section, index: int | None) -> None:
        if index is None:
            if section.cancel_requested and section in self._runs:
                self._runs[section].stop_trying()
            elif section.ended:
                self._section_ended(section)
        self._tell_listeners(section, index)

    def _section_ended(self, section: Section) -> None:
        if section.cancelled and self._known.get(section.section_id or "") is section:
            self._queue.discard(section)
            self._wake()
            if self._means.journal is not None:
                if section not in self._recording:  # otherwise it is being accepted
                    self._record(section, self._conclude_and_forget(section))
                return
        self._forget(section)

    async def _conclude_and_forget(self, section: Section) -> None:
        await self._conclude(section)
        self._forget(section)

    def _drop(self, section: Section, why: str) -> None:
        section._abandon(why)  # noqa: SLF001  # a room of this package
        self._forget(section)

    def _spawn(self, work: Any) -> asyncio.Task[Any]:
        assert self._loop is not None
        task: asyncio.Task[Any] = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
