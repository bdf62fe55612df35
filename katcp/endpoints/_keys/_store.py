"""A key-value store: a provider whose endpoints hold what they were set to."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from decimal import ROUND_FLOOR, Decimal
from typing import Any, ClassVar

from katcp.endpoints._codes import InvalidValueError
from katcp.endpoints._provider import Provider
from katcp.endpoints._spime import Spime
from katcp.endpoints._values import is_number


class StoreKey(Spime):
    """A key of a store: it holds what it was set to.

    Parameters
    ----------
    name : str
    initial_value : object, optional
        What it holds before it is set; None: nothing, its sensor is of status unknown.
    quantum : float, optional
        Numbers are rounded down to a multiple of this when they are set. None: what is set is kept
        exactly.
    **options
        Those of `Spime`.
    """

    kind: ClassVar[str] = "key"

    def __init__(
        self, name: str, *, initial_value: Any = None, quantum: float | None = None, **options: Any
    ) -> None:
        super().__init__(name, **options)
        if quantum is not None and not (
            is_number(quantum) and math.isfinite(quantum) and quantum > 0
        ):
            raise ValueError(f"{name}: quantum must be a positive number, not {quantum!r}")
        self.quantum = quantum
        self._value: Any = None
        self._set_at = time.time()
        #: Called with this when it has been set; what keeps values uses it.
        self.on_hold: Callable[[StoreKey], object] | None = None
        if initial_value is not None:
            try:
                self._value = self.raw_value_type.check(initial_value)
            except ValueError as error:
                raise ValueError(f"{name}: initial_value: {error}") from None
            self.show_held()

    @property
    def value(self) -> Any:
        """What it holds; None: nothing yet."""
        return self._value

    @property
    def set_at(self) -> float:
        """When it was set to that, or made [seconds since 1970]."""
        return self._set_at

    def on_get(self) -> Any:
        """Return what it holds."""
        return self._value

    def on_set(self, value: Any) -> Any:
        """Hold another value from now on; return it.

        Raises
        ------
        InvalidValueError
            For None, which is no value.
        """
        if value is None:
            raise InvalidValueError(f"{self.path} cannot be set to nothing")
        if self.quantum is not None:
            value = _floored(value, self.quantum)
        self._value = value
        self._set_at = time.time()
        if self.on_hold is not None:
            self.on_hold(self)
        return value

    def restore(self, value: Any, set_at: float) -> None:
        """Hold what it held before a restart, since when it did; nobody is told as of a change.

        Parameters
        ----------
        value : object
            None: nothing.
        set_at : float
            [seconds since 1970].
        """
        self._value = value
        self._set_at = set_at
        self.show_held()

    def show_held(self) -> None:
        """Have the present reading, and the sensors, be of what it holds."""
        try:
            self._take(self._value)
        except InvalidValueError:
            pass  # the status of the sensor tells

    def taken_at(self, raw: Any) -> float:
        """Return when it was set."""
        return self._set_at


class KeyValueStore(Provider):
    """A store of keys: a provider whose endpoints are `StoreKey`.

    Parameters
    ----------
    name : str
    **options
        Those of `Provider`; ``endpoints`` are the keys.

    Examples
    --------
    ::

        store = KeyValueStore(
            "kv_example",
            endpoints=[
                StoreKey("foo", initial_value=1.79, type="float", calibration="times2({})"),
                StoreKey("bar"),
            ],
        )
        server = AsyncEndpointServer("", 7147, endpoints=[store])

    ::

        ?set[1] foo 0.75
        !set[1] ok 0.75
        ?get[2] kv_example.foo
        !get[2] ok 0.75 1.5 1767225600.250000 nominal
    """

    kind: ClassVar[str] = "store"

    def values(self) -> dict[str, Any]:
        """Return what its keys hold, by name."""
        return {
            name: key.value for name, key in self.endpoints.items() if isinstance(key, StoreKey)
        }


def _floored(value: Any, quantum: float) -> Any:
    """Return a number, or text that is one, rounded down to a multiple; others as they are."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return value
    try:
        number = Decimal(str(value))
        step = Decimal(str(quantum))
        floored = (number / step).to_integral_value(ROUND_FLOOR) * step
    except (ArithmeticError, ValueError):  # such as one beyond what Decimal has
        return value
    if not floored.is_finite():
        return value
    return str(floored) if isinstance(value, str) else float(floored)


#: The names that these have in dragonfly.
kv_store = KeyValueStore
kv_store_key = StoreKey
