"""Waiting for sensors to take values."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tornado.ioloop import IOLoop

from katcp.aio import loop_of


def suppress_queue_repeats(
    suppressed_queue: queue.Queue[Any], initial_value: Any, read_time: float | None = None
) -> Iterator[Any]:
    """Read a queue, leaving out what is equal to the item before.

    Parameters
    ----------
    suppressed_queue : queue.Queue
    initial_value : object
        What the first item is compared with.
    read_time : float, optional
        End after this long [s]; None: never.

    Yields
    ------
    object
        The items.
    """
    deadline = None if read_time is None else time.monotonic() + read_time
    last = initial_value
    while True:
        rest = None if deadline is None else max(0.0, deadline - time.monotonic())
        try:
            item = suppressed_queue.get(timeout=rest)
        except queue.Empty:
            return
        if item != last:
            last = item
            yield item


def _fits(value: Any, wanted: Any) -> bool:
    return bool(wanted(value)) if callable(wanted) else bool(value == wanted)


class _Observer:
    """Hands on the readings of a sensor."""

    def __init__(self, callback: Callable[[Any, Any], None]) -> None:
        self.update = callback


class SensorTransitionWaiter:
    """Waits until a sensor has gone through some values, in a thread other than what sets it.

    Watches from the moment it is made.

    Parameters
    ----------
    sensor : Sensor
    value_sequence : sequence, optional
        Values, or functions that tell whether a value fits. Equal values that follow each other
        count as one; so do values that fit what is waited for already. None: only record.

    Attributes
    ----------
    timed_out : bool
        Whether `wait` has waited in vain.
    received_values : list
        Values that `wait` or `get_received_values` have seen, with that at the beginning.

    Raises
    ------
    ValueError
        If the present value does not fit the first of the sequence.
    """

    def __init__(self, sensor: Any, value_sequence: Sequence[Any] | None = None) -> None:
        self.sensor = sensor
        self.desired_value_sequence = value_sequence
        self._torn_down = False
        self._done = False
        self.timed_out = False
        self._value_queue: queue.Queue[Any] = queue.Queue()
        self._observer: Any = None
        current = self._get_current_sensor_value()
        if value_sequence and not _fits(current, value_sequence[0]):
            raise ValueError("Sensor value does not satisfy initial condition")
        self.received_values: list[Any] = [current]
        # The last of those that `get_received_values` has given away.
        self._forgotten: Any = current
        self._configure_sensor()

    def _configure_sensor(self) -> None:
        """Begin to watch."""
        self._observer = _Observer(self._sensor_callback)
        self.sensor.attach(self._observer)

    def _teardown_sensor(self) -> None:
        """Watch no more."""
        self.sensor.detach(self._observer)

    def _get_current_sensor_value(self) -> Any:
        return self.sensor.read().value

    def _sensor_callback(self, sensor: Any, reading: Any) -> None:
        self._value_queue.put(reading.value)

    def teardown(self) -> None:
        """Watch no more; nothing happens if that is so already."""
        if not self._torn_down:
            self._torn_down = True
            self._teardown_sensor()

    def _take_queued(self) -> None:
        while True:
            try:
                self.received_values.append(self._value_queue.get_nowait())
            except queue.Empty:
                return

    def _changes(self, timeout: float | None) -> Iterator[Any]:
        """Yield what the value changes to: what has been taken already, then what comes."""
        last = self.received_values[0] if self.received_values else self._forgotten
        for value in list(self.received_values[1:]):
            if value != last:
                last = value
                yield value
        for value in suppress_queue_repeats(self._value_queue, last, timeout):
            self.received_values.append(value)
            yield value

    def wait(self, timeout: float | None = 5) -> bool:
        """Wait until the sensor has gone through all values; watch no more then.

        Parameters
        ----------
        timeout : float, optional
            Longest wait [s]; None: for ever.

        Returns
        -------
        bool
            False if it took a value that fits neither what it had nor what comes next, or if
            the time is up (`timed_out` tells which).

        Raises
        ------
        RuntimeError
            If it has waited before, or been torn down.
        TypeError
            If there are no values to wait for.
        """
        if self._done:
            raise RuntimeError(
                "Transition already triggered. Instantiate a new SensorTransitionWaiter object"
            )
        if self._torn_down:
            raise RuntimeError(
                "This object has been torn down. Instantiate a new SensorTransitionWaiter object"
            )
        if self.desired_value_sequence is None:
            raise TypeError("There is no sequence of values to wait for.")
        try:
            return self._follow(self.desired_value_sequence, timeout)
        finally:
            self._done = True
            self.teardown()
            self._take_queued()

    def _follow(self, wanted: Sequence[Any], timeout: float | None) -> bool:
        value = self.received_values[0] if self.received_values else self._forgotten
        changes = self._changes(timeout)
        for index, step in enumerate(wanted):
            # One value may fit several steps, and several values one step.
            while not _fits(value, step):
                if index == 0 or not _fits(value, wanted[index - 1]):
                    return False
                try:
                    value = next(changes)
                except StopIteration:
                    self.timed_out = True
                    return False
        return True

    def get_received_values(self, stop: bool = True, reset: bool = True) -> list[Any]:
        """Return all values so far.

        Parameters
        ----------
        stop : bool
            Whether to watch no more.
        reset : bool
            Whether to forget them.
        """
        if stop:
            self.teardown()
        self._take_queued()
        values = self.received_values
        if reset and values:
            self._forgotten = values[-1]
            self.received_values = []
        return values


class SensorTransitionStatusWaiter(SensorTransitionWaiter):
    """A `SensorTransitionWaiter` for pairs of (status, value)."""

    def _get_current_sensor_value(self) -> Any:
        reading = self.sensor.read()
        return (reading.status, reading.value)

    def _sensor_callback(self, sensor: Any, reading: Any) -> None:
        self._value_queue.put((reading.status, reading.value))


class _Watch:
    """Calls back once, when a sensor has a value and maybe a status."""

    def __init__(self, sensor: Any, value: Any, status: int | None, found: Any) -> None:
        self._sensor = sensor
        self._value = value
        self._status = status
        self._found = found

    def matches(self, reading: Any) -> bool:
        if self._status is not None and reading.status != self._status:
            return False
        return _fits(reading.value, self._value)

    def start(self) -> None:
        self._sensor.attach(self)
        self.update(self._sensor, self._sensor.read())

    def stop(self) -> None:
        self._sensor.detach(self)

    def update(self, sensor: Any, reading: Any) -> None:
        if self.matches(reading):
            self.stop()
            self._found()


def wait_sensor(
    sensor: Any, value: Any, status: int | None = None, timeout: float | None = 5
) -> bool:
    """Wait until a sensor that another thread sets has a value.

    Parameters
    ----------
    sensor : Sensor
    value : object
        A value, or a function that tells whether one fits.
    status : int, optional
        The status that it must have as well.
    timeout : float, optional
        Longest wait [s]; None: for ever.

    Returns
    -------
    bool
        Whether it has.
    """
    found = threading.Event()
    watch = _Watch(sensor, value, status, found.set)
    watch.start()
    try:
        return found.wait(timeout)
    finally:
        watch.stop()


def wait_sensor_async(
    sensor: Any, value: Any, status: int | None = None, ioloop: IOLoop | None = None
) -> asyncio.Future[bool]:
    """Return a future of True, done when a sensor has a value; any thread may set it.

    Parameters
    ----------
    sensor : Sensor
    value : object
        A value, or a function that tells whether one fits.
    status : int, optional
        The status that it must have as well.
    ioloop : tornado.ioloop.IOLoop, optional
        Loop of the future; by default the one that is running.
    """
    loop = loop_of(ioloop)
    future: asyncio.Future[bool] = loop.create_future()

    def resolve() -> None:
        if not future.done():
            future.set_result(True)

    def found() -> None:
        try:
            here = asyncio.get_running_loop() is loop
        except RuntimeError:
            here = False
        if here:
            resolve()
        elif not loop.is_closed():
            loop.call_soon_threadsafe(resolve)

    watch = _Watch(sensor, value, status, found)
    watch.start()
    future.add_done_callback(lambda _: watch.stop())  # also one that is cancelled
    return future
