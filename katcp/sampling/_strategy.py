"""A sampling strategy as an object: observes one sensor and calls one function.

Servers do not use these (`_table` serves all their clients at once); they are for programs that
sample sensors themselves, and for strategies that such programs derive.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
from collections.abc import Callable
from typing import Any, ClassVar, cast

from tornado.ioloop import IOLoop

from katcp.aio import call_guarded, finish_guarded
from katcp.protocol import Message, format_argument
from katcp.sensors import NONE, Plan, Reading, Sensor, parse_strategy

log = logging.getLogger("katcp.sampling")

#: The age of the universe, for what never comes [s].
AGE_OF_UNIVERSE = 4.32329886e17

_WALL_CLOCK = IOLoop.time


def format_inform_v5(sensor: Sensor, *reading: Any) -> Message:
    """Make the ``#sensor-status`` of a reading, given as timestamp, status, value; version 5."""
    return _status_inform(sensor, reading, 5)


def format_inform_v4(sensor: Sensor, *reading: Any) -> Message:
    """Make the ``#sensor-status`` of a reading, given as timestamp, status, value; version 4."""
    return _status_inform(sensor, reading, 4)


def _status_inform(sensor: Sensor, reading: tuple[Any, ...], major: int) -> Message:
    timestamp, status, value = sensor.format_reading(reading, major)
    return Message.inform("sensor-status", timestamp, "1", sensor.name, status, value)


def update_in_ioloop(update: Callable[[Any, Sensor, Reading], Any]) -> Callable[..., None]:
    """Decorate the `update` of a strategy, so that it runs in the strategy's loop.

    Called in another thread, it goes there; what has not arrived when the strategy is cancelled
    is dropped.
    """

    @functools.wraps(update)
    def in_ioloop(self: SampleStrategy, sensor: Sensor, reading: Reading) -> None:
        self._call_in_loop(update, self, sensor, reading)

    return in_ioloop


class SampleStrategy:
    """Decides which readings of a sensor are reported, and when.

    Subclasses define `get_sampling` and either `update`, with `OBSERVE_UPDATES` set, or timers of
    their own, begun in `start` and ended in `cancel_timeouts`.

    Parameters
    ----------
    inform_callback : callable
        Called with (sensor, reading) for each report, in the loop. What it raises is logged; if
        it returns a future, that one is waited for.
    sensor : Sensor
    *params : object
        Parameters of the strategy, as text, bytes or numbers [periods in seconds].
    ioloop : tornado.ioloop.IOLoop, optional
        Where reports are made; if not given, the loop that runs where the strategy is made, or
        the one that is current at `start`.

    Raises
    ------
    ValueError
        If the parameters are not what the strategy takes, or do not fit the sensor.
    """

    NONE, AUTO, PERIOD, EVENT, DIFFERENTIAL, EVENT_RATE, DIFFERENTIAL_RATE = range(7)

    SAMPLING_LOOKUP: ClassVar[dict[int, bytes]] = {
        NONE: b"none",
        AUTO: b"auto",
        PERIOD: b"period",
        EVENT: b"event",
        DIFFERENTIAL: b"differential",
        EVENT_RATE: b"event-rate",
        DIFFERENTIAL_RATE: b"differential-rate",
    }
    SAMPLING_LOOKUP_REV: ClassVar[dict[bytes, int]] = {
        b"none": NONE,
        b"auto": AUTO,
        b"period": PERIOD,
        b"event": EVENT,
        b"differential": DIFFERENTIAL,
        b"event-rate": EVENT_RATE,
        b"differential-rate": DIFFERENTIAL_RATE,
    }

    #: Whether the strategy wants to be told of each new reading.
    OBSERVE_UPDATES: ClassVar[bool] = False

    #: Which one it is, for those of the protocol; its parameters are checked then.
    _KIND: ClassVar[int | None] = None

    #: Strategy -> the class that `get_strategy` makes; filled where these are defined.
    _kinds: ClassVar[dict[int, type[SampleStrategy]]] = {}

    def __init__(
        self,
        inform_callback: Callable[[Sensor, Reading], Any],
        sensor: Sensor,
        *params: Any,
        **kwargs: Any,
    ) -> None:
        self.ioloop: IOLoop | None = kwargs.get("ioloop") or _running_loop()
        self._inform_callback = inform_callback
        self._sensor = sensor
        self._params = params
        #: How often it was cancelled; what was begun before that is not gone on with.
        self._cancellations = 0
        self._plan = NONE if self._KIND is None else _plan(self._KIND, sensor, params)

    @classmethod
    def get_strategy(
        cls,
        strategyName: str | bytes,  # noqa: N803  # its name where it is given by keyword
        inform_callback: Callable[[Sensor, Reading], Any],
        sensor: Sensor,
        *params: Any,
        **kwargs: Any,
    ) -> SampleStrategy:
        """Make the strategy of that name; see `SampleStrategy` for the other parameters.

        Raises
        ------
        ValueError
            For an unknown name, or parameters that do not fit.
        """
        name = strategyName.encode() if isinstance(strategyName, str) else strategyName
        if name not in cls.SAMPLING_LOOKUP_REV:
            raise ValueError(
                f"Unknown sampling strategy '{name!r}'. "
                f"Known strategies are {list(cls.SAMPLING_LOOKUP.values())}."
            )
        kind = cls._kinds[cls.SAMPLING_LOOKUP_REV[name]]
        return kind(inform_callback, sensor, *params, **kwargs)

    # -- what it is ---------------------------------------------------------------------

    def get_sampling(self) -> int:
        """Return the constant of the strategy; to be defined by subclasses."""
        if self._KIND is None:
            raise NotImplementedError
        return self._KIND

    def get_sampling_formatted(self) -> tuple[bytes, list[bytes]]:
        """Return (name, parameters) as they go on the wire."""
        name = self.SAMPLING_LOOKUP[self.get_sampling()]
        return name, [format_argument(param) for param in self._params]

    # -- life ---------------------------------------------------------------------------

    def start(self) -> None:
        """Begin, in the next turn of the loop, with a report; callable from any thread."""
        self._call_soon(self._begin)

    def _begin(self) -> None:
        if self.OBSERVE_UPDATES:
            self.attach()

    def cancel(self) -> None:
        """End, for good or until the next `start`; callable from any thread, at any time."""
        self._cancellations += 1
        if self.OBSERVE_UPDATES:
            self.detach()
        if self.ioloop is not None:  # otherwise it was never started
            self._call_soon(self.cancel_timeouts)

    def attach(self) -> None:
        """Have the sensor tell of its readings, the present one included."""
        self._sensor.attach(self)
        self.update(self._sensor, self._sensor.read())

    def detach(self) -> None:
        """End that."""
        self._sensor.detach(self)

    def cancel_timeouts(self) -> None:
        """Cancel the timers; in the loop. To be defined by subclasses that have some."""

    # -- reports ------------------------------------------------------------------------

    def update(self, sensor: Sensor, reading: Reading) -> None:
        """Consider a new reading (called by the sensor, in whatever thread it was set).

        Subclasses that observe their sensor define it, most simply with `update_in_ioloop`, and
        call `inform` for what is to be reported.
        """

    def inform(self, reading: Reading) -> None:
        """Report a reading; in the loop."""
        what = f"The callback for sensor {self._sensor.name!r}"
        pending = call_guarded(log, what, self._inform_callback, self._sensor, reading)
        if pending is not None:
            asyncio.ensure_future(finish_guarded(log, what, pending), loop=self._loop)  # noqa: RUF006  # the loop's, until it is done

    # -- the loop -----------------------------------------------------------------------

    @property
    def _loop(self) -> asyncio.AbstractEventLoop:
        if self.ioloop is None:
            self.ioloop = IOLoop.current()
        return cast(Any, self.ioloop).asyncio_loop  # type: ignore[no-any-return]

    def _now(self) -> float:
        """Return the time of the loop [s].

        That is asyncio's, which never steps, unless somebody gave the loop another clock.
        """
        loop = self._loop
        time = cast(IOLoop, self.ioloop).time
        if inspect.ismethod(time) and time.__func__ is _WALL_CLOCK:
            return loop.time()
        return time()

    def _call_at(
        self, when: float, function: Callable[..., Any], *args: Any
    ) -> asyncio.TimerHandle:
        """Have `function` called in the loop at a time of `_now`; return a handle to cancel it."""
        return self._loop.call_later(max(0.0, when - self._now()), function, *args)

    def _call_soon(self, function: Callable[..., Any], *args: Any) -> None:
        """Call `function` in a later turn of the loop, unless cancelled by then."""
        cancellations = self._cancellations

        def call() -> None:
            if self._cancellations == cancellations:
                function(*args)

        if self.ioloop is None:
            self.ioloop = IOLoop.current()
        self.ioloop.add_callback(call)  # drops it where the loop is closed

    def _call_in_loop(self, function: Callable[..., Any], *args: Any) -> None:
        """Call `function` now, if this is the loop's thread, or else soon in the loop."""
        if _is_running_here(self._loop):
            function(*args)
        else:
            self._call_soon(function, *args)


def _plan(kind: int, sensor: Sensor, params: tuple[Any, ...]) -> Plan:
    """Check the parameters of a strategy; they may be numbers here.

    Raises
    ------
    ValueError
        If they do not fit.
    """
    name = SampleStrategy.SAMPLING_LOOKUP[kind]
    formatted = [format_argument(param) for param in params]
    is_differential = name.startswith(b"differential")
    is_float = bool(params) and isinstance(params[0], float)
    if is_differential and is_float and sensor.stype == "integer":
        # Its threshold is an integer on the wire, but may be any number in Python.
        formatted[0] = format_argument(int(params[0]))
    return parse_strategy(name, formatted, sensor)


def _is_running_here(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False


def _running_loop() -> IOLoop | None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return None
    return IOLoop.current()
