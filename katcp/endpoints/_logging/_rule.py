"""When a checked value is broadcast: the rule, without clock or loop.

=============  =====================  ===============================================
max_interval   a limit of change      a check broadcasts
=============  =====================  ===============================================
0              0                      always
above 0        0                      at first; when more time has passed
0              above 0                at first; when the value has changed by more
above 0        above 0                at first; when either is so
=============  =====================  ===============================================

What is compared with is the value of the last *broadcast*, not of the last check, so that a slow
drift is noticed. All comparisons are strict: a change of just the limit is none.
"""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Any, NamedTuple

#: Fields that a rule may look at.
FIELDS = ("value_raw", "value_cal")

#: Times that differ by less are the same [s]: those of a schedule are sums of floats.
_RESOLUTION = 1e-6


class Reference(NamedTuple):
    """The last broadcast, as far as a rule looks at it.

    Attributes
    ----------
    value : object
        None: there was none to be had.
    time : float
        By a monotonic clock [s].
    """

    value: Any
    time: float


@dataclass(frozen=True)
class LoggingRule:
    """When a check broadcasts.

    Attributes
    ----------
    max_interval : float
        If more time than this has passed since the last broadcast [s]; 0: no such limit.
    max_fractional_change : float
        If the value differs by more than this share of the last one (0.1: a tenth); 0: no such
        limit. From a last value of 0, any other differs.
    max_absolute_change : float
        If the value differs by more than this; 0: no such limit.
    check_field : {'value_raw', 'value_cal'}
        Whether the raw or the calibrated value is looked at; without a calibration they are one.

    Raises
    ------
    ValueError
        For a limit below 0, or NaN, or infinite, or another field.
    """

    max_interval: float = 0.0
    max_fractional_change: float = 0.0
    max_absolute_change: float = 0.0
    check_field: str = FIELDS[0]

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "check_field":
                if value not in FIELDS:
                    raise ValueError(f"check_field must be one of {', '.join(FIELDS)}")
                continue
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise ValueError(f"{field.name} must be a number, not {value!r}")
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{field.name} must be >= 0")

    @property
    def looks_at_changes(self) -> bool:
        """Whether it has a limit of change."""
        return self.max_fractional_change > 0 or self.max_absolute_change > 0

    def reason(self, last: Reference | None, now: float, value: Any) -> str | None:
        """Return why a check broadcasts: None if it does not.

        Parameters
        ----------
        last : Reference, optional
            The last broadcast; None: there was none.
        now : float
            When the check is, by the clock of `last` [s].
        value : object
            What the check found; None: nothing, or it failed. That is told once, if the rule
            looks at changes or broadcasts always, and not again until there has been a value.

        Returns
        -------
        str or None
            ``first``, ``always``, ``interval``, ``change`` or ``availability``.
        """
        always = not self.max_interval and not self.looks_at_changes
        if value is None:
            told = last is None or last.value is None
            return None if told or not (always or self.looks_at_changes) else "availability"
        if last is None:
            return "first"
        if always:
            return "always"
        if self.max_interval and now - last.time > self.max_interval + _RESOLUTION:
            return "interval"
        if not self.looks_at_changes:
            return None
        if last.value is None:
            return "availability"
        return "change" if self.is_change(last.value, value) else None

    def is_change(self, last: Any, value: Any) -> bool:
        """Tell whether two values differ by more than the limits.

        Numbers, and texts that are numbers, are compared as numbers; of two that are not, and of
        one that is and one that is not, it matters whether they are equal. NaN is equal to NaN.
        """
        old, new = as_number(last), as_number(value)
        if old is None or new is None:
            return (old is None) != (new is None) or _differ(last, value)
        if old != old or new != new:
            return bool((old != old) != (new != new))
        if old == new:
            return False
        try:
            if math.isinf(old) or math.isinf(new):
                return True
            step = abs(new - old)
            if 0 < self.max_absolute_change < step:
                return True
            return self.max_fractional_change > 0 and step > self.max_fractional_change * abs(old)
        except OverflowError:  # an integer beyond all floats, where any difference counts
            return True


def as_number(value: Any) -> Any:
    """Return a value as a number: None if it is none. Texts may be numbers, truth values are not.

    A text of more than 400 characters is taken for none, since reading it could take long.
    """
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, numbers.Real):
        return value
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, (str, bytes)) and len(value) <= 400 and b"_" not in _bytes(value):
        for kind in (int, float):
            try:
                return kind(value)
            except ValueError:
                pass
    return None


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")


def _differ(last: Any, value: Any) -> bool:
    try:
        if isinstance(last, (str, bytes)) and isinstance(value, (str, bytes)):
            return _bytes(last) != _bytes(value)
        return type(last) is not type(value) or bool(last != value)
    except Exception:  # values of users may not be comparable
        return True
