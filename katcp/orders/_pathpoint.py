"""A point of one's own: a sensor with hooks that read and write what is behind it."""

from __future__ import annotations

import asyncio
import concurrent.futures
import inspect
import logging
import math
import time
from collections.abc import Callable
from typing import Any

from katcp.aio import call_guarded, now
from katcp.orders._orders import AdviseLevel, Disposition, Order, ReadOrder, WriteOrder
from katcp.orders._outcome import OrderFailed, OrderSkipped
from katcp.orders._section import Section
from katcp.sensors import VALID_STATUSES, Reading, Sensor

_log = logging.getLogger("katcp.orders")

#: A hook: plain function, coroutine function, or function that returns any kind of future.
Hook = Callable[..., Any]
#: Calls a hook.
Caller = Callable[..., Any]


class NotReadYet(LookupError):
    """A point has no reading: nothing was read or pushed so far."""


class PointFailed(OrderFailed):
    """The last attempt to read a point has failed.

    Attributes
    ----------
    timestamp : float
        When, in seconds since 1970.
    """

    def __init__(self, reason: str, detail: str, timestamp: float) -> None:
        super().__init__(reason, detail)
        self.timestamp = timestamp


#: First letter of a name, where names say what the type is -> sensor type and limits.
_LETTERS: dict[str, tuple[int, tuple[int, ...]]] = {
    "B": (Sensor.BOOLEAN, ()),
    "W": (Sensor.INTEGER, (0, 65535)),
    "w": (Sensor.INTEGER, (-32768, 32767)),
    "f": (Sensor.FLOAT, ()),
    "d": (Sensor.FLOAT, ()),
    "u": (Sensor.STRING, ()),
}


def sensor_by_letter(name: str) -> Sensor:
    """Return a sensor for a point whose name begins with the letter of its type.

    ``B`` boolean, ``W`` integer of 0 to 65535, ``w`` of -32768 to 32767, ``f`` and ``d`` float,
    ``u`` text.

    Raises
    ------
    ValueError
        For any other letter.
    """
    try:
        kind, limits = _LETTERS[name[:1]]
    except KeyError:
        raise ValueError(f"The name {name!r} does not begin with one of B W w f d u") from None
    return Sensor(kind, name, params=limits or None)


class Pathpoint:
    """A sensor that can be read and written by orders.

    Parameters
    ----------
    name : str
        Name of the point.
    sensor : Sensor, optional
        Has its value, to be added to a device, say. If not given, one is made of the type that the
        first letter of the name says; see `sensor_by_letter`.
    on_read : callable, optional
        ``on_read(advise)``: returns the value, or (timestamp, status, value), or a future of
        one; or None, if the value will be pushed by `set_new_value`. It raises `OrderFailed`, or
        anything, if that is not possible. Without it the point is read by pushing only: an order
        to read it gives what is there.
    on_write : callable, optional
        ``on_write(value, advise)``: writes; may return a future. Without it the point cannot be
        written.
    min_read_interval : float, optional
        An order to read is skipped if the value is not older than this [s].
    keep_written : bool
        Whether a value that was written becomes the value of the sensor, where there is no hook
        that reads it back.
    timeout : float, optional
        How long an attempt may take [s]; by default what the executor says.
    on_change : callable, optional
        ``on_change(point, reading)`` is called for each reading that is taken. What it raises is
        logged.

    Attributes
    ----------
    name : str
    sensor : Sensor
    """

    def __init__(
        self,
        name: str,
        sensor: Sensor | None = None,
        on_read: Hook | None = None,
        on_write: Hook | None = None,
        min_read_interval: float | None = None,
        *,
        keep_written: bool = True,
        timeout: float | None = None,
        on_change: Callable[[Pathpoint, Reading], object] | None = None,
    ) -> None:
        self.name = name
        self.sensor = sensor_by_letter(name) if sensor is None else sensor
        self.on_read = on_read
        self.on_write = on_write
        self.min_read_interval = min_read_interval
        self.keep_written = keep_written
        self.timeout = timeout
        self.on_change = on_change
        # Reading that counts, or failure to read; None before there was either.
        self._reading: Reading | None = None
        self._failure: PointFailed | None = None
        # When the last reading was taken, on the clock that never steps [s].
        self._taken = -math.inf
        self._awaited: set[asyncio.Future[None]] = set()

    @property
    def readable(self) -> bool:
        """Whether orders can read it from what is behind it."""
        return self.on_read is not None

    @property
    def writable(self) -> bool:
        """Whether orders can write it."""
        return self.on_write is not None

    @property
    def access(self) -> str:
        """``rw``, ``ro``, ``wo``, or ``push`` if there are no hooks."""
        return {(True, True): "rw", (True, False): "ro", (False, True): "wo"}.get(
            (self.readable, self.writable), "push"
        )

    def __repr__(self) -> str:
        return f"<Pathpoint {self.name} {self.access} {self._reading!r}>"

    # -- sections -----------------------------------------------------------------------

    def read(self, advise: AdviseLevel = AdviseLevel.ADVISE) -> Section:
        """Return a section that reads it; nothing happens until it is executed."""
        return Section([ReadOrder(self.name, advise)])

    def write(
        self,
        value: Any,
        advise: AdviseLevel = AdviseLevel.ADVISE,
        stale_after: float | None = None,
        disposition: Disposition = Disposition.JOINABLE,
    ) -> Section:
        """Return a section that writes it; nothing happens until it is executed."""
        order: Order = WriteOrder(self.name, value, advise, stale_after)
        return Section([order], disposition)

    # -- values -------------------------------------------------------------------------

    def get(self) -> Reading:
        """Return the last reading: (timestamp, status, value). Reads nothing.

        Raises
        ------
        NotReadYet
            Before there was any.
        PointFailed
            If the last attempt to read has failed.
        """
        if self._failure is not None:
            raise self._failure
        if self._reading is None:
            raise NotReadYet(f"Point {self.name!r} has not been read yet")
        return self._reading

    def set_new_value(self, timestamp: float, value: Any, status: int = Sensor.NOMINAL) -> bool:
        """Take a value that has come by itself; tell whether it was taken.

        One that is not newer than what is there is ignored, with a warning in the log. In the
        thread of the loop only.

        Parameters
        ----------
        timestamp : float
            When it was so, in seconds since 1970.
        value : object
            Of the sensor's type.
        status : int
            Status of the reading.

        Raises
        ------
        ValueError, TypeError
            If the value is not of the sensor's type.
        """
        if self._reading is not None and timestamp <= self._reading.timestamp:
            _log.warning(
                "Point %r: a value of %s is ignored, there is one of %s",
                self.name,
                timestamp,
                self._reading.timestamp,
            )
            return False
        self.sensor.set_value(value, status, timestamp)
        self._take(self.sensor.read())
        return True

    def set_failed(self, reason: str, detail: str = "", timestamp: float | None = None) -> None:
        """Take note that it cannot be read: the status of the sensor becomes ``failure``."""
        timestamp = time.time() if timestamp is None else timestamp
        self._failure = PointFailed(reason, detail, timestamp)
        self.sensor.set(timestamp, Sensor.FAILURE, self.sensor.value())

    def _take(self, reading: Reading) -> None:
        self._failure = None
        self._reading = reading
        self._taken = _elapsed()
        for future in tuple(self._awaited):
            if not future.done():
                future.set_result(None)
        if self.on_change is not None:
            call_guarded(_log, f"on_change of point {self.name!r}", self.on_change, self, reading)

    # -- for targets --------------------------------------------------------------------

    async def carry_out_read(self, advise: int, call: Caller) -> Reading:
        """Read it, by `call`, which calls hooks; return the reading that is there then.

        Raises
        ------
        OrderSkipped
            If what is there is young enough.
        OrderFailed
            For what the hook says; `get` then raises it too.
        """
        interval = self.min_read_interval
        if interval is not None and self._failure is None and _elapsed() - self._taken <= interval:
            raise OrderSkipped(detail=f"read less than {interval:g} s ago", reading=self._reading)
        if self.on_read is None:
            try:
                return self.get()
            except NotReadYet as error:
                raise OrderFailed("not-read", str(error)) from None
        pushed = asyncio.get_running_loop().create_future()
        self._awaited.add(pushed)
        try:
            value = await settled(call(self.on_read, advise))
            if value is None:
                await pushed
            else:
                self._take_read(value)
            return self.get()
        except OrderSkipped:
            raise
        except OrderFailed as error:
            self.set_failed(error.reason, error.detail)
            raise
        except Exception as error:
            self.set_failed("error", f"{type(error).__name__}: {error}")
            raise
        finally:
            self._awaited.discard(pushed)
            pushed.cancel()

    def _take_read(self, value: Any) -> None:
        if isinstance(value, tuple) and len(value) == 3:
            timestamp, status, value = value
        else:
            timestamp, status = time.time(), Sensor.NOMINAL
        try:
            self.sensor.set_value(value, status, timestamp)
        except (TypeError, ValueError) as error:
            raise OrderFailed("wrong-type", str(error)) from error
        reading = self.sensor.read()
        if reading.status not in VALID_STATUSES:
            raise OrderFailed("status", f"the status is {Sensor.STATUSES[reading.status]}")
        self._take(reading)

    def carry_out_write(self, value: Any, advise: int, call: Caller) -> Any:
        """Write it, by `call`, which calls hooks; return None, or something to await.

        Raises
        ------
        OrderFailed
            Also for a value that it cannot have: nothing is clipped.
        """
        value = self.checked(value)
        result = call(self.on_write, value, advise)
        if inspect.isawaitable(result) or isinstance(result, concurrent.futures.Future):
            return self._written_later(result, value)
        self._written(value)
        return None

    async def _written_later(self, result: Any, value: Any) -> None:
        await settled(result)
        self._written(value)

    def _written(self, value: Any) -> None:
        if self.keep_written and self.on_read is None:
            timestamp = time.time()
            if self._reading is not None:
                timestamp = max(timestamp, math.nextafter(self._reading.timestamp, math.inf))
            self.set_new_value(timestamp, value)

    def checked(self, value: Any) -> Any:
        """Return a value as the hook gets it.

        Raises
        ------
        OrderFailed
            If it cannot be written: the point cannot, the type is another, it is out of range.
        """
        if self.on_write is None:
            raise OrderFailed("read-only", f"point {self.name!r} cannot be written", permanent=True)
        try:
            value = _converted(self.sensor, value)
        except (TypeError, ValueError) as error:
            raise OrderFailed(
                "invalid-value", f"point {self.name!r}: {error}", permanent=True
            ) from None
        return value


def _converted(sensor: Sensor, value: Any) -> Any:
    """Return `value` as one of the type of the sensor; text is read as on the wire."""
    kind = sensor.stype
    if isinstance(value, bytes) or (isinstance(value, str) and kind not in ("string", "discrete")):
        raw = value if isinstance(value, bytes) else value.encode()
        value = sensor.parse_value(raw)
    if kind == "boolean":
        if not isinstance(value, bool) and value not in (0, 1):
            raise ValueError(f"{value!r} is neither true nor false")
        return bool(value)
    if kind == "integer":
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"{value!r} is no integer")
    elif kind in ("float", "timestamp"):
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise TypeError(f"{value!r} is no number")
        value = float(value)
    elif kind == "string" and not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    elif kind == "discrete" and value not in sensor.params:
        raise ValueError(f"{value!r} is not one of {sensor.params}")
    if kind in ("integer", "float") and len(sensor.params) >= 2:
        low, high = sensor.params[:2]
        if not low <= value <= high:
            raise ValueError(f"{value!r} is not in {low} to {high}")
    return value


async def settled(result: Any) -> Any:
    """Return what a hook has returned, after waiting for it if it is a future of any kind."""
    while True:
        if isinstance(result, concurrent.futures.Future):
            result = asyncio.wrap_future(result)
        if not inspect.isawaitable(result):
            return result
        result = await result


def _elapsed() -> float:
    try:
        return now()
    except RuntimeError:
        return time.monotonic()
