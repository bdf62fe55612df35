"""Lines of the log about what may go wrong a thousand times a second."""

from __future__ import annotations

import collections
import time
from collections.abc import Callable, Hashable

#: Shortest time between two lines of one kind [s].
SPAN = 10.0

#: Kinds that are told apart; of more, those that came last.
_KINDS = 200

#: Errors that were raised from another are followed so far.
_CAUSES = 10


class Seldom:
    """Says which lines are to be logged: of each kind one in a time.

    Parameters
    ----------
    clock : callable, optional
        Returns a time that does not step [s].
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # Kind -> when the next line is due, and how many were left out since the last one.
        self._kinds: collections.OrderedDict[Hashable, tuple[float, int]] = (
            collections.OrderedDict()
        )

    def left_out(self, kind: Hashable) -> int | None:
        """Return None if a line is to be left out now; else how many were, since the last one."""
        now = self._clock()
        due, count = self._kinds.get(kind, (now, 0))
        if now < due:
            self._kinds[kind] = (due, count + 1)
            return None
        self._kinds[kind] = (now + SPAN, 0)
        self._kinds.move_to_end(kind)
        if len(self._kinds) > _KINDS:
            self._kinds.popitem(last=False)
        return count

    @staticmethod
    def told(count: int) -> str:
        """Return what a line says of those that were left out; empty for none."""
        return f" ({count} more of its kind since the last line like this)" if count else ""


def kind_of(error: BaseException) -> Hashable:
    """Return what makes an error one of its kind: its class, and where it was raised.

    Of one that was raised from another, those of the first one.
    """
    for _ in range(_CAUSES):
        if error.__cause__ is None:
            break
        error = error.__cause__
    trace = error.__traceback__
    if trace is None:
        return type(error), None
    while trace.tb_next is not None:
        trace = trace.tb_next
    return type(error), trace.tb_frame.f_code, trace.tb_lineno
