"""Which sections may start: those that wait, in order, and those that run.

Sections that may be joined start together with their neighbours, also with such as run already, up
to a number of sections and of orders at once. One that cannot be joined starts when all before it
have ended, and all after it start when it has ended. Nothing here waits or carries out anything.
"""

from __future__ import annotations

from collections.abc import Iterator

from katcp.orders._orders import Disposition
from katcp.orders._section import Section


class SectionQueue:
    """Sections that wait, and which of them may start.

    Parameters
    ----------
    max_sections : int
        How many may run at once.
    max_orders : int
        How many orders they may have together; a section that has more runs by itself.
    join_running : bool
        Whether sections may join others that run already; otherwise only those that wait side
        by side start together.
    """

    def __init__(
        self, max_sections: int = 64, max_orders: int = 1000, *, join_running: bool = True
    ) -> None:
        if max_sections < 1 or max_orders < 1:
            raise ValueError("max_sections and max_orders must be at least 1")
        self.max_sections = max_sections
        self.max_orders = max_orders
        self.join_running = join_running
        # Dictionaries: in order, and one can be taken out of the middle.
        self._waiting: dict[Section, bool] = {}
        self._running: dict[Section, int] = {}
        self._orders = 0
        self._barrier = False

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[Section]:
        """Iterate over those that wait, the oldest first."""
        return iter(tuple(self._waiting))

    @property
    def running(self) -> tuple[Section, ...]:
        """Those that run, the oldest first."""
        return tuple(self._running)

    @property
    def oldest(self) -> Section | None:
        """The one that has waited longest, or None."""
        return next(iter(self._waiting), None)

    @property
    def busy(self) -> bool:
        """Whether any runs."""
        return bool(self._running)

    def push(self, section: Section, ready: bool = True) -> None:
        """Add one at the end; if it is not `ready`, it and all after it wait for `make_ready`."""
        self._waiting[section] = ready

    def make_ready(self, section: Section) -> None:
        """Let one start."""
        if section in self._waiting:
            self._waiting[section] = True

    def discard(self, section: Section) -> bool:
        """Take out one that waits; tell whether it did."""
        return self._waiting.pop(section, None) is not None

    def take(self) -> list[Section]:
        """Return those that are to start now, in order; they run from now on."""
        taken: list[Section] = []
        while self._waiting:
            section, ready = next(iter(self._waiting.items()))
            if not ready or not self._fits(section, bool(taken)):
                break
            del self._waiting[section]
            self._running[section] = len(section.orders)
            self._orders += len(section.orders)
            self._barrier = section.disposition is Disposition.CANNOT_JOIN
            taken.append(section)
        return taken

    def _fits(self, section: Section, others_taken: bool) -> bool:
        if not self._running:
            return True
        if self._barrier or section.disposition is Disposition.CANNOT_JOIN:
            return False
        if not self.join_running and not others_taken:
            return False
        return (
            len(self._running) < self.max_sections
            and self._orders + len(section.orders) <= self.max_orders
        )

    def ended(self, section: Section) -> None:
        """Take note that one does not run any more."""
        self._orders -= self._running.pop(section, 0)
