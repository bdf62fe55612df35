"""What orders are carried out on, and points of one's own as that."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from katcp.orders._orders import AdviseLevel
from katcp.orders._outcome import OrderFailed
from katcp.orders._pathpoint import Pathpoint, settled
from katcp.sensors import VALID_STATUSES, Reading

_log = logging.getLogger("katcp.orders")

#: Tells of a value whether it is as wanted.
Condition = Callable[[Any], bool]


class Target(Protocol):
    """What an executor needs of what it works on.

    The methods may return what they have to say, or a future of it; they raise `OrderFailed`, or
    anything, if an attempt has failed. Further ones are used where they exist:
    ``attempt_timeout(name)`` says how long an attempt at a point may take [s], or None;
    ``timed_out(name)`` is told that an attempt to read a point has taken longer;
    ``wait_until(name, condition)`` is awaited until ``condition(value)`` is true.
    """

    def has(self, name: str) -> bool:
        """Tell, at once, whether there is a point of this name."""
        ...

    def read(self, name: str, advise: AdviseLevel) -> Any:
        """Read a point: a `Reading`, or any value; raise `OrderSkipped` if that is not needed."""

    def write(self, name: str, value: Any, advise: AdviseLevel) -> Any:
        """Write a point; whatever comes back, it was written."""

    def sysctl(self, op_type: str, op_args: str) -> Any:
        """Do what the user means by it; return False if nobody knows what."""

    def message(self, uuid: str) -> Any:
        """Send the message that is known under this name."""


class PathpointTarget:
    """Points of one's own.

    Parameters
    ----------
    *points : Pathpoint
    factory : callable, optional
        Called with the name of a point that there is not; returns a new `Pathpoint`, or raises
        `KeyError` or returns None if there cannot be one.
    sysctl : mapping or callable, optional
        What to call with ``op_args`` for each ``op_type``; or one function for all, called with
        both, that returns False for what it does not know.
    message : mapping or callable, optional
        What to call for each uuid; or one function for all, called with the uuid.

    Attributes
    ----------
    run_hook : callable
        Calls hooks of points, and the others; executors with threads replace it.
    """

    def __init__(
        self,
        *points: Pathpoint,
        factory: Callable[[str], Pathpoint | None] | None = None,
        sysctl: Mapping[str, Callable[[str], Any]] | Callable[[str, str], Any] | None = None,
        message: Mapping[str, Callable[[], Any]] | Callable[[str], Any] | None = None,
    ) -> None:
        self._points: dict[str, Pathpoint] = {}
        self._factory = factory
        self._sysctl = sysctl
        self._message = message
        self.run_hook: Callable[..., Any] = _call
        for point in points:
            self.add(point)

    def add(self, point: Pathpoint) -> Pathpoint:
        """Add a point.

        Raises
        ------
        ValueError
            If there is one of this name already.
        """
        if point.name in self._points:
            raise ValueError(f"There is a point {point.name!r} already")
        self._points[point.name] = point
        return point

    def remove(self, name: str) -> Pathpoint:
        """Remove a point; return it.

        Raises
        ------
        KeyError
            If there is none of this name.
        """
        return self._points.pop(name)

    def __getitem__(self, name: str) -> Pathpoint:
        return self._points[name]

    def __contains__(self, name: object) -> bool:
        return name in self._points

    def __iter__(self) -> Iterator[Pathpoint]:
        return iter(tuple(self._points.values()))

    def __len__(self) -> int:
        return len(self._points)

    def has(self, name: str) -> bool:
        """Tell whether there is a point of this name; the factory may make it now."""
        if name in self._points:
            return True
        if self._factory is None:
            return False
        try:
            point = self._factory(name)
        except KeyError:
            return False
        if point is None:
            return False
        # It may have a name of its own, and the factory may have added it.
        self._points[name] = point
        return True

    def attempt_timeout(self, name: str) -> float | None:
        """Return how long an attempt may take, if the point says so [s]."""
        point = self._points.get(name)
        return None if point is None else point.timeout

    def timed_out(self, name: str) -> None:
        """Take note that an attempt to read a point has taken too long."""
        point = self._points.get(name)
        if point is not None:
            point.set_failed("timeout", "no answer in time")

    async def read(self, name: str, advise: AdviseLevel) -> Reading:
        """Read a point; see `Pathpoint`."""
        return await self._points[name].carry_out_read(advise, self.run_hook)

    def write(self, name: str, value: Any, advise: AdviseLevel) -> Any:
        """Write a point; return None, or something to await. See `Pathpoint`."""
        return self._points[name].carry_out_write(value, advise, self.run_hook)

    async def sysctl(self, op_type: str, op_args: str) -> Any:
        """Call what was given for this type; return False if there is nothing."""
        if isinstance(self._sysctl, Mapping):
            handler = self._sysctl.get(op_type)
            if handler is None:
                return False
            return await settled(self.run_hook(handler, op_args))
        if self._sysctl is None:
            return False
        return await settled(self.run_hook(self._sysctl, op_type, op_args))

    async def message(self, uuid: str) -> Any:
        """Call what was given for this message.

        Raises
        ------
        OrderFailed
            If there is nothing.
        """
        if isinstance(self._message, Mapping):
            handler = self._message.get(uuid)
            if handler is not None:
                return await settled(self.run_hook(handler))
        elif self._message is not None:
            return await settled(self.run_hook(self._message, uuid))
        raise OrderFailed("unknown-message", f"nobody knows message {uuid!r}", permanent=True)

    async def wait_until(self, name: str, condition: Condition) -> Reading:
        """Wait until a point is as wanted; its present value counts."""
        sensor = self._points[name].sensor
        return await until_reading(sensor, condition)


def _call(function: Callable[..., Any], *args: Any) -> Any:
    return function(*args)


class _Watching:
    """An observer of a sensor that hands on each reading."""

    def __init__(self, told: Callable[[Any], object]) -> None:
        self._told = told

    def update(self, sensor: Any, reading: Any) -> None:
        self._told(reading)


async def until_reading(sensor: Any, condition: Condition) -> Reading:
    """Return the first reading of a sensor that counts and is as wanted, from the present one on.

    The sensor may be set in any thread.
    """
    loop = asyncio.get_running_loop()
    found: asyncio.Future[Reading] = loop.create_future()

    def look(reading: Any) -> None:
        if found.done() or reading.status not in VALID_STATUSES:
            return
        try:
            satisfied = condition(reading.value)
        except Exception as error:
            found.set_exception(error)
            return
        if satisfied:
            found.set_result(Reading(*reading))

    observer = _Watching(lambda reading: loop.call_soon_threadsafe(look, reading))
    sensor.attach(observer)
    try:
        look(sensor.read())
        return await found
    finally:
        sensor.detach(observer)
        found.cancel()
