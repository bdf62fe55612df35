"""How long to wait before trying again."""

from __future__ import annotations

import logging
import random

_log = logging.getLogger("katcp.inspect_client")


class ExponentialRandomBackoff:
    """A delay that grows with each failure and has chance in it.

    Chance keeps many clients of one device from coming back all at the same moment.

    Parameters
    ----------
    delay_initial : float
        Base of the delay after a success [s].
    delay_max : float
        The delay is never longer [s].
    exp_fac : float
        Each failure multiplies the base by this; above 1.
    randomicity : float
        Share of the delay that is drawn at random, 0 to 1; with 0 the delays are
        1, 3, 9, 27, 81, 90, 90 s.

    Raises
    ------
    AssertionError
        If a parameter is out of its range.

    Examples
    --------
    >>> backoff = ExponentialRandomBackoff(delay_initial=1, exp_fac=2, randomicity=0)
    >>> backoff.delay
    1.0
    >>> backoff.failed()
    >>> backoff.delay
    2.0
    """

    def __init__(
        self,
        delay_initial: float = 1.0,
        delay_max: float = 90.0,
        exp_fac: float = 3.0,
        randomicity: float = 0.95,
    ) -> None:
        self.delay_initial = delay_initial
        self.delay_max = delay_max
        self.exp_fac = exp_fac
        self.randomicity = randomicity
        problem = self._problem()
        if problem:
            raise AssertionError(problem)
        self._base = float(delay_initial)
        self._delay = self._draw()

    def _problem(self) -> str:
        if not 0 <= self.delay_initial <= self.delay_max:
            return f"delay_initial must be 0 to delay_max, not {self.delay_initial!r}"
        if not 0 <= self.randomicity <= 1:
            return f"randomicity must be 0 to 1, not {self.randomicity!r}"
        if not self.exp_fac > 1:
            return f"exp_fac must be above 1, not {self.exp_fac!r}"
        return ""

    def _draw(self) -> float:
        share = (1 - self.randomicity) + self.randomicity * random.random()
        return float(min(share * self._base, self.delay_max))

    @property
    def delay(self) -> float:
        """Next delay [s]."""
        return self._delay

    def failed(self) -> None:
        """Take note of a failure: the delay grows."""
        problem = self._problem()  # the parameters may have been changed since
        if problem:
            _log.error("Backoff with bad parameters: %s", problem)
        self._base = min(self._base * self.exp_fac, self.delay_max)
        self._delay = self._draw()

    def success(self) -> None:
        """Take note of a success: the delay goes back to its beginning."""
        self._base = float(self.delay_initial)
        self._delay = self._draw()
