"""How one section is carried out: turns, retries, waits, deadlines, and what the journal hears.

All orders of a section are begun at once, as far as there are slots for their attempts. Orders to
the same point have turns, in the order in which they were submitted, also those of other sections.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Iterable, Iterator
from typing import Any

from katcp.aio import ExponentialRandomBackoff
from katcp.orders._executor._attempts import UNTRIED, Attempts, Means, reason_of, text_of
from katcp.orders._executor._turns import NO_LANE, Turn
from katcp.orders._orders import (
    Order,
    ReadOrder,
    SysctlOrder,
    WaitOrder,
    WaitUntilOrder,
    WriteOrder,
)
from katcp.orders._outcome import (
    CANCELLED,
    FAILED_PREFIX,
    OK,
    STALE,
    UNHANDLED_SYSCTL,
    UNKNOWN_POINT,
    OrderSkipped,
    Outcome,
)
from katcp.orders._section import Section

_log = logging.getLogger("katcp.orders")
#: So many orders are begun in one turn of the loop.
_AT_ONCE = 100
#: Clocks may differ by so much, and timers come so much too early [s].
_TICK = 0.001
#: Share of the delay before a retry that is left to chance.
_CHANCE = 0.25
#: Of an order that has ended at once.
_DONE: Any = object()


class SectionRun(Attempts):
    """One section being carried out."""

    def __init__(self, section: Section, means: Means) -> None:
        super().__init__(section, means)
        self._began = self._loop.time()
        # Orders that have not been begun, and tasks of those that were.
        self._left: list[tuple[int, Order, Turn]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        # Whether the section is given up, so that cancelling is not the hook's own.
        self._dropped = False

    def begin(self) -> bool:
        """Begin all orders; tell whether all of them have ended already."""
        section, lanes = self._section, self._means.lanes
        for index, order in enumerate(section.orders):
            if section.results_at(index) is None:
                pointed = isinstance(order, (ReadOrder, WriteOrder))
                turn = lanes.enter(order.target_name) if pointed else NO_LANE
                self._left.append((index, order, turn))
        if len(self._left) <= _AT_ONCE:
            self._begin(self._left)
            self._left = []
        return not self._left and not self._tasks

    def _begin(self, orders: Iterable[tuple[int, Order, Turn]]) -> None:
        for index, order, turn in orders:
            first = self._at_once(index, order, turn)
            if first is not _DONE:
                task = self._loop.create_task(self._carry_out(index, order, turn, first))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def finish(self) -> None:
        """Carry out what `begin` has left."""
        left, self._left = self._left, []
        try:
            for chunk in _chunks(left, _AT_ONCE):
                self._begin(chunk)
                await asyncio.sleep(0)
            if self._tasks:
                await asyncio.wait(self._tasks)
        except asyncio.CancelledError:
            self._dropped = True
            tasks = set(self._tasks)
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)
            raise
        finally:
            for _, _, turn in left:
                turn.end()

    def _at_once(self, index: int, order: Order, turn: Turn) -> Any:
        """Try an order here and now, if nothing has to be waited for.

        A task for each would take longer than what most hooks do.

        Returns
        -------
        object
            `_DONE` if it has ended; `UNTRIED` if it was not tried; otherwise what the first
            attempt has come to: something to await, or an exception. That has a slot still.
        """
        means = self._means
        if means.journal is not None or turn.before is not None or turn is NO_LANE:
            return UNTRIED
        outcome = self._too_late(order, 0, "") or self._unknown(order)
        if outcome is None:
            if not means.slots.take():
                return UNTRIED
            try:
                result = self.call(order)
            except (Exception, asyncio.CancelledError) as error:
                return error
            if inspect.isawaitable(result):
                return result
            means.slots.give_back()
            reading = result if isinstance(order, ReadOrder) else None
            outcome = self._ended(order, OK, 1, "", reading)
        turn.end()
        self._section.record(index, outcome)
        return _DONE

    async def _carry_out(self, index: int, order: Order, turn: Turn, first: Any) -> None:
        try:
            outcome = await self._outcome(index, order, turn, first)
        except Exception as error:
            _log.exception("Order %d of section %s", index, self._section.section_id)
            outcome = self._ended(order, f"{FAILED_PREFIX}error", 0, text_of(error))
        finally:
            turn.end()
        journal = self._means.journal
        if journal is not None:
            try:
                await journal.ended(self._section, index, outcome)
            except Exception:
                _log.exception(
                    "The journal did not take an outcome of section %s", self._section.section_id
                )
        self._section.record(index, outcome)

    def _ended(
        self, order: Order, outcome: str, attempts: int, detail: str = "", reading: Any = None
    ) -> Outcome:
        return Outcome(order, outcome, attempts, self._means.clock(), detail, reading)

    # -- before the first attempt -------------------------------------------------------

    async def _outcome(self, index: int, order: Order, turn: Turn, first: Any) -> Outcome:
        if first is not UNTRIED:
            return await self._try(index, order, first)
        if turn.before is not None and not turn.before.done():
            await self.until(turn.before)
        outcome = self._too_late(order, 0, "") or self._unknown(order)
        if outcome is not None:
            return outcome
        if self._means.journal is not None:
            try:
                await self._means.journal.started(self._section, index)
            except Exception as error:
                _log.exception("The journal did not take an order; it is not carried out")
                return self._ended(order, f"{FAILED_PREFIX}journal", 0, text_of(error))
        if isinstance(order, WaitOrder):
            return await self._wait(index, order)
        return await self._try(index, order)

    def _unknown(self, order: Order) -> Outcome | None:
        """Return what an order comes to that names something there is not, or None."""
        if not isinstance(order, (ReadOrder, WriteOrder, WaitUntilOrder)):
            return None
        name = order.target_name
        try:
            if self._means.target.has(name):
                return None
        except Exception as error:
            _log.exception("Cannot tell whether there is a point %r", name)
            return self._ended(order, f"{FAILED_PREFIX}error", 0, text_of(error))
        return self._ended(order, UNKNOWN_POINT, 0, f"there is no point {name!r}")

    def _too_late(self, order: Order, attempts: int, detail: str) -> Outcome | None:
        """Return what an order comes to that is not to be tried any more, or None."""
        if self._section.cancel_requested:
            return self._ended(order, CANCELLED, attempts, detail)
        now = self._means.clock()
        stale_after = getattr(order, "stale_after", None)
        if stale_after is not None and now >= stale_after:
            return self._ended(order, STALE, attempts, detail or f"stale after {stale_after}")
        finish_by = self._section.finish_by
        if finish_by is not None and now >= finish_by:
            return self._ended(
                order,
                f"{FAILED_PREFIX}deadline",
                attempts,
                detail or "the section had no time left",
            )
        return None

    # -- waiting and trying -------------------------------------------------------------

    async def _wait(self, index: int, order: WaitOrder) -> Outcome:
        self._section.note(index, "running", 1)
        end = self._began + order.period
        while (delay := end - self._loop.time()) > _TICK:
            left = self.time_left(order)
            await self.until(delay=delay if left is None else min(delay, left + _TICK))
            if end - self._loop.time() > _TICK:
                too_late = self._too_late(order, 1, "")
                if too_late is not None:
                    return too_late
        return self._ended(order, OK, 1)

    async def _slot(self) -> bool:
        """Take a slot; tell whether there was one before all waiting was to stop."""
        slots = self._means.slots
        if slots.take():
            return True
        future = slots.line_up()
        try:
            await self.until(future)
        except asyncio.CancelledError:
            if future.done():
                slots.give_back()
            raise
        finally:
            if not future.done():
                future.cancel()
        return not future.cancelled()

    async def _try(self, index: int, order: Order, first: Any = UNTRIED) -> Outcome:
        attempts, detail = 0, ""
        backoff: ExponentialRandomBackoff | None = None
        needs_slot = not isinstance(order, WaitUntilOrder)
        while True:
            slot = first is not UNTRIED or (await self._slot() if needs_slot else False)
            try:
                if first is UNTRIED:
                    too_late = self._too_late(order, attempts, detail)
                    if too_late is not None:
                        return too_late
                attempts += 1
                self._section.note(index, "running", attempts, detail)
                result = await self.attempt(order, first)
            except OrderSkipped as skipped:
                return self._ended(
                    order, skipped.outcome, attempts, skipped.detail, skipped.reading
                )
            except (Exception, asyncio.CancelledError) as error:
                if self._dropped and isinstance(error, asyncio.CancelledError):
                    raise
                reason, detail, permanent = reason_of(error, order, attempts)
            else:
                if result is False and isinstance(order, SysctlOrder):
                    return self._ended(
                        order, UNHANDLED_SYSCTL, attempts, f"nobody knows {order.op_type!r}"
                    )
                reading = result if isinstance(order, (ReadOrder, WaitUntilOrder)) else None
                return self._ended(order, OK, attempts, "", reading)
            finally:
                if slot:
                    self._means.slots.give_back()
            first = UNTRIED
            if permanent or attempts >= order.attempts:
                return self._ended(order, FAILED_PREFIX + reason, attempts, detail)
            self._section.note(index, "retrying", attempts, detail)
            if backoff is None:
                delays = self._means.retry_delay, self._means.max_retry_delay
                backoff = ExponentialRandomBackoff(*delays, exp_fac=2.0, randomicity=_CHANCE)
            left = self.time_left(order)
            delay = backoff.delay if left is None else min(backoff.delay, left + _TICK)
            await self.until(delay=delay)
            backoff.failed()


def _chunks(items: list[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
