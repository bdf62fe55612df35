"""A section: orders that are handed over together, and what becomes of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from katcp.orders._format import (
    REQUIRED,
    Field,
    OrderFormatError,
    level,
    loaded,
    number,
    parsed,
    shown,
    text,
    written,
)
from katcp.orders._future import SectionFuture
from katcp.orders._levels import Disposition, check_name, check_number
from katcp.orders._orders import Order, orders_from_json
from katcp.orders._outcome import (
    ABANDONED,
    CANCELLED,
    FINAL_STATES,
    INTERRUPTED,
    OK,
    Outcome,
    SectionAbandoned,
    SectionResult,
    state_of,
)

if TYPE_CHECKING:
    import asyncio

#: Told of a section, and of the index of an order that has advanced, or None if the section has.
Watcher = Callable[["Section", "int | None"], None]


class Section:
    """Orders that are handed over together; they may be carried out at the same time.

    Nothing happens until it is given to an executor, by `OrderExecutor.execute`. It can be given
    to one once.

    Parameters
    ----------
    orders : iterable of Order, optional
    disposition : Disposition
        Whether it may run together with other sections.
    section_id : str, optional
        Its name for others; by default the executor gives it one.
    finish_by : float, optional
        When it is to have ended, in seconds since 1970: orders are not begun, tried again or
        waited for any more after that.

    Attributes
    ----------
    orders : list of Order
        A tuple, as soon as the section has been given to an executor.
    disposition : Disposition
    section_id : str or None
    finish_by : float or None
    origin : str
        Who has submitted it.
    submitted, started, finished : float or None
        When, in seconds since 1970.
    future : SectionFuture
        Done when the section has ended, with a `SectionResult`. Await it, or ask for its result
        in another thread. If it is cancelled before the section starts, the section is; after
        that it cannot be. It fails with `SectionAbandoned` if the executor is stopped first.

    Examples
    --------
    ::

        section = Section([WriteOrder("valve", 1, AdviseLevel.FORCE), WaitOrder(2)])
        section += ReadOrder("pressure")
        executor.execute(section)
        result = await section.future
        result.raise_for_failures()
    """

    def __init__(
        self,
        orders: Iterable[Order] | None = None,
        disposition: Disposition = Disposition.JOINABLE,
        *,
        section_id: str | None = None,
        finish_by: float | None = None,
    ) -> None:
        if section_id is not None:
            check_name("section_id", section_id)
        if finish_by is not None:
            check_number("finish_by", finish_by)
        self.orders: list[Order] | tuple[Order, ...] = [_checked(order) for order in orders or ()]
        self.disposition = Disposition(disposition)
        self.section_id = section_id
        self.finish_by = finish_by
        self.origin = ""
        self.submitted: float | None = None
        self.started: float | None = None
        self.finished: float | None = None
        self.future = SectionFuture()
        self.future._section = self  # noqa: SLF001  # a room of this package
        # Sections that were added to this one, each with the index of its first order here.
        self._parts: list[tuple[int, Section]] = []
        self._outcomes: dict[int, Outcome] = {}
        # Orders under way: their attempts, what they are at and why.
        self._progress: dict[int, tuple[str, int, str]] = {}
        self._state = "new"
        self._lock = threading.Lock()
        self._watcher: Watcher | None = None
        self._forced = False

    # -- contents -----------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.orders)

    def __bool__(self) -> bool:
        return bool(self.orders)

    def __iter__(self) -> Iterator[Order]:
        return iter(self.orders)

    def __iadd__(self, other: Order | Section | Iterable[Order]) -> Section:
        """Add an order, several, or those of another section, which ends when this one does.

        Raises
        ------
        RuntimeError
            If one of the sections has been given to an executor, or was cancelled.
        TypeError
            For anything else.
        """
        for section in (self, other):
            if isinstance(section, Section) and section.state != "new":
                raise RuntimeError(f"Section {section.section_id or ''} is {section.state} already")
        orders = self.orders
        assert isinstance(orders, list)  # it is new
        if isinstance(other, Order):
            orders.append(other)
        elif isinstance(other, Section):
            added = list(other.orders)
            if other is not self:
                with other._lock:  # of this class
                    if other._state != "new":
                        raise RuntimeError("The section was added to another one already")
                    other._state = "queued"
                other.orders = tuple(added)
                start = len(orders)
                self._parts.append((start, other))
                self._parts += [(start + further, part) for further, part in other._parts]
            orders.extend(added)
        else:
            orders.extend([_checked(order) for order in other])
        return self

    def to_json(self) -> dict[str, Any]:
        """Return it as what ``json.dumps`` takes."""
        values = written(_FIELDS, self)
        values["orders"] = [order.to_json() for order in self.orders]
        return values

    @staticmethod
    def from_json(data: Any) -> Section:
        """Return the section that a JSON object describes.

        Parameters
        ----------
        data : str, bytes or mapping
            JSON text, or what ``json.loads`` has made of it: ``orders``, and perhaps
            ``disposition`` (0 or 1), ``section_id`` and ``finish_by`` (seconds since 1970).

        Raises
        ------
        OrderFormatError
            If it is no section.
        """
        data = loaded(data)
        if not isinstance(data, Mapping):
            raise OrderFormatError(f"a section must be an object, not {shown(data)}")
        values = parsed(_FIELDS, data, "a section")
        try:
            return Section(**values)
        except (TypeError, ValueError) as error:
            raise OrderFormatError(f"a section: {error}") from None

    def __repr__(self) -> str:
        name = self.section_id or "without id"
        return f"<Section {name}: {len(self.orders)} orders, {self.disposition.name}, {self.state}>"

    # -- what has become of it ----------------------------------------------------------

    @property
    def state(self) -> str:
        """One of `SECTION_STATES`."""
        return self._state

    @property
    def ended(self) -> bool:
        """Whether the state is one that it does not leave again."""
        return self._state in FINAL_STATES

    @property
    def cancelled(self) -> bool:
        """Whether it was cancelled before it was started."""
        return self.future.cancelled()

    @property
    def cancel_requested(self) -> bool:
        """Whether it was cancelled by force after it was started; for executors."""
        return self._forced

    @property
    def results(self) -> tuple[Outcome | None, ...]:
        """What each order has come to, in the order of the list; None if it has not ended."""
        return tuple(self._outcomes.get(index) for index in range(len(self.orders)))

    def results_at(self, index: int) -> Outcome | None:
        """Return what an order has come to; None if it has not ended."""
        return self._outcomes.get(index)

    @property
    def progress(self) -> tuple[Outcome, ...]:
        """What each order has come to, or is at: ``waiting``, ``running`` or ``retrying``."""
        return tuple(self.progress_of(index) for index in range(len(self.orders)))

    def progress_of(self, index: int) -> Outcome:
        """Return what an order has come to, or is at; see `progress`."""
        outcome = self._outcomes.get(index)
        if outcome is not None:
            return outcome
        word, attempts, detail = self._progress.get(index, ("waiting", 0, ""))
        return Outcome(self.orders[index], word, attempts, time.time(), detail)

    @property
    def outcome(self) -> SectionResult:
        """What the section has come to so far."""
        outcomes = tuple(outcome for outcome in self.results if outcome is not None)
        return SectionResult(
            self.section_id, self._state, outcomes, self.submitted, self.started, self.finished
        )

    def result(self, timeout: float | None = None) -> SectionResult:
        """Return the result, after waiting for it, in another thread than the loop's.

        Parameters
        ----------
        timeout : float, optional
            Longest wait [s]; `concurrent.futures.TimeoutError` after that, and the section goes
            on. None: for ever.

        Raises
        ------
        RuntimeError
            In the thread of the loop, if the section has not ended.
        concurrent.futures.CancelledError
            If the section was cancelled.
        SectionAbandoned
            If the executor was stopped before it had ended.
        """
        result: SectionResult = self.future.result(timeout)
        return result

    def raise_for_failures(self) -> None:
        """Raise if the section has ended and an order was not carried out.

        Raises
        ------
        SectionFailed
            Which names them.
        """
        self.outcome.raise_for_failures()

    # -- cancelling ---------------------------------------------------------------------

    def cancel(self, force: bool = False) -> None:
        """Cancel it, if it has not been started; see `cancelled` for whether that was so.

        May be called in any thread.

        Parameters
        ----------
        force : bool
            If it has been started, begin no further orders, and try and wait no more. What is
            being read or written at this moment goes on to its end.
        """
        if self.future.cancel() or not force:
            return
        with self._lock:
            if self.ended or self._forced:
                return
            self._forced = True
        self._tell(None)

    def _enter_cancelled(self) -> None:
        with self._lock:
            if not self.ended:
                self._seal()
                self._end_with("cancelled", CANCELLED)

    def _after_cancelled(self) -> None:
        for _, part in self._parts:
            part.future.cancel()
        self._tell(None)
        self._watcher = None

    # -- for executors ------------------------------------------------------------------

    def mark_as_being_executed(self) -> bool:
        """Take note that it is started, if it may be; tell whether it may.

        May be called again, and in any thread.
        """
        if not self.future.begin():
            return False
        with self._lock:
            if self._state not in ("new", "queued"):
                return True
            self._seal()
            self._state = "running"
            self.started = time.time()
        for start, part in self._parts:
            if not part.mark_as_being_executed():
                for offset in range(len(part)):
                    if start + offset not in self._outcomes:
                        self.record(start + offset, self._ended_now(start + offset, CANCELLED))
        self._tell(None)
        return True

    def mark_as_done(self) -> None:
        """Take note that all its orders have ended.

        Orders that nobody has said anything about were carried out, then. May be called again,
        and in any thread; does nothing to a section that was cancelled.
        """
        self._finish(None)

    def record(self, index: int, outcome: Outcome) -> None:
        """Take note of what an order has come to; the first word counts.

        Executors of one's own call this to tell more than that the section is done.
        """
        with self._lock:
            if index in self._outcomes or self.ended:
                return
            self._outcomes[index] = outcome
            self._progress.pop(index, None)
        self._tell(index)

    def note(self, index: int, word: str, attempts: int, detail: str = "") -> None:
        """Take note of what an order is at: ``running`` or ``retrying``."""
        with self._lock:
            if index in self._outcomes or self.ended:
                return
            self._progress[index] = (word, attempts, detail)
        if word == "retrying":
            self._tell(index)

    def fail_rest(self, outcome: str, detail: str = "") -> None:
        """Take note that all orders that have not ended came to this."""
        for index in range(len(self.orders)):
            if index not in self._outcomes:
                self.record(index, self._ended_now(index, outcome, detail))

    def _submit(
        self, loop: asyncio.AbstractEventLoop, watcher: Watcher, section_id: str, origin: str
    ) -> bool:
        """Take note that an executor has it; tell whether none had."""
        with self._lock:
            if self._state != "new":
                return False
            self._state = "queued"
            self._seal()
            if self.section_id is None:
                self.section_id = section_id
            self.origin = self.origin or origin
            self.submitted = time.time()
            self.future._loop = loop  # noqa: SLF001
            self._watcher = watcher
        for _, part in self._parts:
            part.future._loop = loop  # noqa: SLF001
        return True

    def _abandon(self, why: str) -> None:
        """Take note that nobody will carry it out."""
        self._finish(why)

    def _finish(self, abandoned: str | None) -> None:
        if not self.future.begin():
            return
        with self._lock:
            if self.ended:
                return
            self._seal()
            if abandoned is None:
                self._end_with(None, OK)
            else:
                self._end_with("abandoned", None, abandoned)
            result: Any = self.outcome
        if abandoned is not None:
            result = SectionAbandoned(f"Section {self.section_id or ''}: {abandoned}")
        for start, part in self._parts:
            with part._lock:  # noqa: SLF001  # of this class
                if not part.ended:
                    for offset in range(len(part)):
                        part._outcomes.setdefault(  # noqa: SLF001
                            offset, self._outcomes[start + offset]
                        )
            part._finish(abandoned)  # noqa: SLF001
        self.future.finish(result)
        self._tell(None)
        self._watcher = None

    def _end_with(self, state: str | None, rest: str | None, detail: str = "") -> None:
        """Give all orders an outcome, and enter the state that follows; the lock is held."""
        for index in range(len(self.orders)):
            if index not in self._outcomes:
                word = rest
                if word is None:
                    word = INTERRUPTED if self._progress.get(index, ("", 0))[1] else ABANDONED
                self._outcomes[index] = self._ended_now(index, word, detail)
        self._progress.clear()
        self.finished = time.time()
        self._state = state_of(self._outcomes.values()) if state is None else state

    def _ended_now(self, index: int, outcome: str, detail: str = "") -> Outcome:
        attempts = self._progress.get(index, ("", 1 if outcome == OK else 0, ""))[1]
        return Outcome(self.orders[index], outcome, attempts, time.time(), detail)

    def _seal(self) -> None:
        if not isinstance(self.orders, tuple):
            self.orders = tuple(self.orders)

    def _tell(self, index: int | None) -> None:
        watcher = self._watcher
        if watcher is not None:
            watcher(self, index)


_FIELDS = {
    field.name: field
    for field in (
        Field("orders", "orders", orders_from_json, REQUIRED),
        Field("disposition", "disposition", level, 0, always=True),
        Field("section_id", "section_id", text),
        Field("finish_by", "finish_by", number),
    )
}


def _checked(order: Any) -> Order:
    if not isinstance(order, Order):
        raise TypeError(f"{order!r} is no order")
    return order
