"""What an order came to, and what its section came to by that."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from katcp.orders._orders import Order

#: The order was carried out.
OK = "ok"
#: A read was not made: the value that is there is young enough.
SKIPPED_FRESH = "skipped-fresh"
#: The order came too late; it was not carried out.
STALE = "stale"
#: There is no such point.
UNKNOWN_POINT = "unknown-point"
#: Nobody knows this type of sysctl order.
UNHANDLED_SYSCTL = "unhandled-sysctl"
#: It was cancelled before it was carried out.
CANCELLED = "cancelled"
#: The executor was stopped before it was begun.
ABANDONED = "abandoned"
#: The executor was stopped, or has died, while it was being carried out.
INTERRUPTED = "failed:interrupted"

#: What begins the outcome of an order that was tried and has failed; the reason follows.
FAILED_PREFIX = "failed:"

#: What a section can be in, in the order in which it comes to be so. ``new``: not submitted.
#: ``partial``: some orders were not carried out; ``failed``: all have failed; ``abandoned``: the
#: executor was stopped.
SECTION_STATES = ("new", "queued", "running", "done", "partial", "failed", "cancelled", "abandoned")
#: Those that a section does not leave again.
FINAL_STATES = frozenset(SECTION_STATES[3:])

_GOOD = frozenset((OK, SKIPPED_FRESH))


class OrderFailed(Exception):
    """An attempt at an order has failed; hooks raise it to say why.

    Parameters
    ----------
    reason : str
        A word: ``malformed``, ``timeout``, ``invalid-point``, ``wrong-type`` or another. The
        outcome of the order is ``failed:`` and this word.
    detail : str
        A sentence for people.
    permanent : bool
        Whether it is no use to try again.
    """

    def __init__(self, reason: str, detail: str = "", *, permanent: bool = False) -> None:
        super().__init__(detail or reason)
        self.reason = reason
        self.detail = detail
        self.permanent = permanent


class OrderSkipped(Exception):
    """An order need not be carried out; targets raise it.

    Parameters
    ----------
    outcome : str
        What the order comes to.
    detail : str
        A sentence for people.
    reading : object, optional
        What there is in place of a new reading.
    """

    def __init__(
        self, outcome: str = SKIPPED_FRESH, detail: str = "", *, reading: Any = None
    ) -> None:
        super().__init__(detail or outcome)
        self.outcome = outcome
        self.detail = detail
        self.reading = reading


class SectionFailed(Exception):
    """Not all orders of a section were carried out; see `Section.raise_for_failures`.

    Attributes
    ----------
    section_id : str or None
    failures : tuple of Outcome
        Of the orders that were not.
    """

    def __init__(self, section_id: str | None, failures: tuple[Outcome, ...]) -> None:
        told = "; ".join(str(outcome) for outcome in failures[:5])
        more = f"; and {len(failures) - 5} more" if len(failures) > 5 else ""
        super().__init__(f"Section {section_id or '(without id)'}: {told}{more}")
        self.section_id = section_id
        self.failures = failures


class SectionAbandoned(Exception):
    """The executor was stopped before the section had ended."""


@dataclass(frozen=True)
class Outcome:
    """What one order came to.

    Attributes
    ----------
    order : Order
    outcome : str
        ``ok``, ``failed:<reason>``, ``stale``, ``unknown-point``, ``skipped-fresh``,
        ``unhandled-sysctl``, ``cancelled`` or ``abandoned``. In `Section.progress` also
        ``waiting``, ``running`` and ``retrying``.
    attempts : int
        How often it was tried.
    timestamp : float
        When it ended, in seconds since 1970.
    detail : str
        Why, for people; empty if there is nothing to say.
    reading : object
        Of an order to read that was carried out: (timestamp, status, value), the status as
        a number of `katcp.Sensor`; otherwise None.
    """

    order: Order
    outcome: str
    attempts: int
    timestamp: float
    detail: str = ""
    reading: Any = None

    @property
    def good(self) -> bool:
        """Whether the order was carried out, or need not be."""
        return self.outcome in _GOOD

    @property
    def failed(self) -> bool:
        """Whether it was tried, or could not even be tried, and is not carried out."""
        return self.outcome.startswith(FAILED_PREFIX) or self.outcome in (
            UNKNOWN_POINT,
            UNHANDLED_SYSCTL,
        )

    def __str__(self) -> str:
        times = f" after {self.attempts} attempts" if self.attempts > 1 else ""
        why = f" ({self.detail})" if self.detail else ""
        return f"{self.order.type} {self.order.target_name}: {self.outcome}{times}{why}"


def state_of(outcomes: Iterable[Outcome]) -> str:
    """Return the state of a section whose orders came to these outcomes.

    ``done`` if all is well, also of nothing; ``cancelled`` if all were cancelled; ``failed`` if
    all have failed, or were cancelled after others had failed; ``partial`` otherwise, so also if
    an order was stale.
    """
    outcomes = tuple(outcomes)
    if all(outcome.good for outcome in outcomes):
        return "done"
    if all(outcome.outcome == CANCELLED for outcome in outcomes):
        return "cancelled"
    if all(outcome.failed or outcome.outcome == CANCELLED for outcome in outcomes):
        return "failed"
    return "partial"


@dataclass(frozen=True)
class SectionResult:
    """What a section came to.

    Attributes
    ----------
    section_id : str or None
    state : str
        One of `FINAL_STATES`.
    outcomes : tuple of Outcome
        One for each order, in the order of the list.
    submitted, started, finished : float or None
        When, in seconds since 1970; None if that did not happen.
    """

    section_id: str | None
    state: str
    outcomes: tuple[Outcome, ...]
    submitted: float | None = None
    started: float | None = None
    finished: float | None = None

    @property
    def ok(self) -> bool:
        """Whether all orders were carried out."""
        return self.state == "done"

    @property
    def failures(self) -> tuple[Outcome, ...]:
        """The outcomes of those that were not."""
        return tuple(outcome for outcome in self.outcomes if not outcome.good)

    def raise_for_failures(self) -> None:
        """Raise if an order was not carried out.

        Raises
        ------
        SectionFailed
            Which names them.
        """
        if self.failures:
            raise SectionFailed(self.section_id, self.failures)
