"""Sensors of a resource: readings come in, listeners are told, waits end."""

from __future__ import annotations

import abc
import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from katcp.aio import Waiters, done, failed, hashable_identity, under_way
from katcp.protocol import DEFAULT_KATCP_MAJOR
from katcp.resource._errors import KATCPSensorError
from katcp.resource._managers import KATCPSensorsManager
from katcp.resource._names import escape_name
from katcp.resource._readings import KATCPSensorReading
from katcp.resource._strategies import Strategy
from katcp.sensors import STATUS_NAMES_RAW, VALID_STATUSES, Sensor

logger = logging.getLogger("katcp.resource")

Listener = Callable[..., object]


#: Before there was any.
_NO_READING = KATCPSensorReading(0, 0, Sensor.UNKNOWN, None)
_make = tuple.__new__
_read_timestamp = Sensor.TIMESTAMP_TYPE.unpack


class KATCPSensor(metaclass=abc.ABCMeta):  # noqa: B024  # users mix it with others
    """A sensor of a resource.

    Parameters
    ----------
    sensor_description : mapping
        Keywords of `katcp.Sensor`: ``name``, ``sensor_type``, ``description``, ``units`` and
        ``params``.
    sensor_manager : KATCPSensorsManager
        Polls and samples it.
    """

    def __init__(
        self, sensor_description: Mapping[str, Any], sensor_manager: KATCPSensorsManager
    ) -> None:
        self._manager = sensor_manager
        self.clear_listeners()
        self._reading = _NO_READING
        # What reads values of its type.
        self._sensor = Sensor(**sensor_description)
        self._name = self._sensor.name
        # Made when somebody waits; most sensors are never waited for.
        self._waiters: Waiters | None = None

    def __repr__(self) -> str:
        status, value = self._reading.status, self._reading.value
        return f"<{type(self).__name__} {self.type} {self._name} {status} {value!r}>"

    # -- what it is ---------------------------------------------------------------------

    @property
    def parent_name(self) -> str:
        """Name of the resource that it belongs to."""
        name: str = self._manager.resource_name  # type: ignore[attr-defined]
        return name

    @property
    def name(self) -> str:
        """Name, as the device has it."""
        return self._name

    @property
    def normalised_name(self) -> str:
        """Name as a Python identifier: with ``_`` for ``.`` and ``-``."""
        return escape_name(self._name)

    @property
    def description(self) -> str:
        """One sentence for people."""
        return self._sensor.description

    @property
    def units(self) -> str:
        """Units of the value."""
        return self._sensor.units

    @property
    def type(self) -> str:
        """Name of its type, such as ``integer``."""
        return self._sensor.type

    # -- reading ------------------------------------------------------------------------

    @property
    def reading(self) -> KATCPSensorReading:
        """The last reading that has come in; `get_reading` asks for a new one."""
        return self._reading

    @property
    def value(self) -> Any:
        """Value of the last reading."""
        return self._reading.value

    @property
    def status(self) -> str:
        """Name of the status of the last reading."""
        return self._reading.status

    def get_reading(self) -> asyncio.Future[KATCPSensorReading]:
        """Ask the device; return a future of the reading.

        `reading` is updated and listeners are called, too.

        Raises
        ------
        KATCPSensorError
            From the future, if the device does not answer, or refuses to.
        """
        return under_way(self._poll())

    def get_value(self) -> asyncio.Future[Any]:
        """Ask the device; return a future of the value. See `get_reading`."""
        return under_way(self._poll("value"))

    def get_status(self) -> asyncio.Future[str]:
        """Ask the device; return a future of the name of the status. See `get_reading`."""
        return under_way(self._poll("status"))

    async def _poll(self, part: str | None = None) -> Any:
        await self._manager.poll_sensor(self._name)
        return self._reading if part is None else getattr(self._reading, part)

    # -- sampling -----------------------------------------------------------------------

    @property
    def sampling_strategy(self) -> tuple[str, ...]:
        """The strategy that is remembered, as a tuple of texts; ``("none",)`` without one."""
        return self._manager.get_sampling_strategy(self._name)

    def set_strategy(self, strategy: str, params: Any = None) -> asyncio.Future[Any]:
        """Set the sampling strategy.

        Parameters
        ----------
        strategy : str
            Its name.
        params : str, number or sequence, optional
            Its parameters: ``0.5``, ``"1 10"`` or ``(1, 10)``; times in the unit of the device,
            which is seconds but for version 4.

        Returns
        -------
        Future
            Of ``(True, (strategy, *parameters))``, or of ``(False, text of the error)``.
        """
        if params is None:
            text = strategy
        elif isinstance(params, (str, bytes)) or not isinstance(params, Sequence):
            text = f"{strategy} {_text(params)}"
        else:
            text = " ".join([strategy, *map(_text, params)])
        return self.set_sampling_strategy(text)

    def set_sampling_strategy(self, strategy: Strategy) -> asyncio.Future[Any]:
        """Set the sampling strategy, such as ``"event-rate 1 10"``; see `set_strategy`."""
        return self._manager.set_sampling_strategy(self._name, strategy)

    def drop_sampling_strategy(self) -> None:
        """Forget the strategy; what the device does is not changed."""
        self._manager.drop_sampling_strategy(self._name)

    # -- listeners ----------------------------------------------------------------------

    def register_listener(self, listener: Listener, reading: bool = False) -> None:
        """Have `listener` called for each reading that comes in.

        Parameters
        ----------
        listener : callable
            Called with (received_timestamp, timestamp, status name, value). What it raises is
            logged.
        reading : bool
            Whether to call it with (sensor, reading) instead.
        """
        self._listeners[hashable_identity(listener)] = (listener, reading)

    def unregister_listener(self, listener: Listener) -> None:
        """Call `listener` no more; nothing happens if it was not called."""
        self._listeners.pop(hashable_identity(listener), None)

    def is_listener(self, listener: Listener) -> bool:
        """Tell whether `listener` is called."""
        return hashable_identity(listener) in self._listeners

    def clear_listeners(self) -> None:
        """Call nobody any more."""
        self._listeners: dict[Any, tuple[Listener, bool]] = {}

    def listeners(self) -> list[tuple[Listener, bool]]:
        """Return all listeners, each with whether it takes (sensor, reading)."""
        return list(self._listeners.values())

    def call_listeners(self, reading: KATCPSensorReading) -> None:
        """Call all listeners with a reading."""
        for listener, whole in tuple(self._listeners.values()):
            try:
                if whole:
                    listener(self, reading)
                else:
                    listener(
                        reading.received_timestamp, reading.timestamp, reading.status, reading.value
                    )
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException:
                logger.exception("Listener %r of sensor %r failed", listener, self._name)

    # -- setting ------------------------------------------------------------------------

    def set(self, timestamp: float, status: int, value: Any) -> None:
        """Take a reading, without any check, and call the listeners.

        Parameters
        ----------
        timestamp : float
            Seconds since 1970, UTC.
        status : int
            Status constant of `Sensor`.
        value : object
            Of the sensor's type.
        """
        reading = _make(KATCPSensorReading, (self._manager.time(), timestamp, status, value))
        self._reading = reading
        if self._listeners:
            self.call_listeners(reading)

    def set_value(
        self, value: Any, status: int = Sensor.NOMINAL, timestamp: float | None = None
    ) -> None:
        """Take a value, read now unless a timestamp is given; see `set`."""
        self.set(self._manager.time() if timestamp is None else timestamp, status, value)

    def set_formatted(
        self, raw_timestamp: bytes, raw_status: bytes, raw_value: bytes, major: int
    ) -> None:
        """Take a reading as it goes on the wire, unescaped; see `set`.

        The status is read first: if it says that the value does not count, one that cannot be read
        becomes None. A status that is not known is ``unknown``.

        Parameters
        ----------
        raw_timestamp, raw_status, raw_value : bytes
        major : int
            Major version of the protocol by which they are written.

        Raises
        ------
        ValueError
            If the timestamp, or a value that counts, cannot be read.
        """
        timestamp = _read_timestamp(raw_timestamp, major)
        status = STATUS_NAMES_RAW.get(raw_status, Sensor.UNKNOWN)
        try:
            value = self._sensor.parse_value(raw_value, major)
        except ValueError:
            if status in VALID_STATUSES:
                raise
            value = None
        self.set(timestamp, status, value)

    def parse_value(self, s_value: bytes) -> Any:
        """Read a value of this sensor from bytes, by the rules of the device's version.

        Raises
        ------
        KatcpTypeError
            If given text.
        ValueError
            If it cannot be read.
        """
        major = getattr(self._manager, "katcp_major", None)
        if not isinstance(major, int):  # a manager of the user's own need not know it
            major = DEFAULT_KATCP_MAJOR
        return self._sensor.parse_value(s_value, major)

    # -- waiting ------------------------------------------------------------------------

    def wait(self, condition_or_value: Any, timeout: float | None = None) -> asyncio.Future[bool]:
        """Return a future of True that is done when a reading is what is wanted.

        Parameters
        ----------
        condition_or_value : object or callable
            A value to be equal to, or ``condition(reading)`` that is to be true. The present
            reading counts.
        timeout : float, optional
            Longest wait [s]; `tornado.gen.TimeoutError` after that. None: for ever.

        Raises
        ------
        KATCPSensorError
            If no sampling strategy is set, at once; from the future, if the resource is stopped.
        NotImplementedError
            For a sequence of conditions.
        """
        if self.sampling_strategy in (("none",), ()):
            raise KATCPSensorError(
                f"Cannot wait for sensor {self._name!r}, which has no sampling strategy"
            )
        if isinstance(condition_or_value, Sequence) and not isinstance(
            condition_or_value, (str, bytes)
        ):
            raise NotImplementedError("Waiting for a sequence of conditions is not implemented")
        if callable(condition_or_value):
            satisfied: Callable[[KATCPSensorReading], object] = condition_or_value
        else:

            def satisfied(reading: KATCPSensorReading) -> object:
                return reading.value == condition_or_value

        try:
            if satisfied(self._reading):
                return done(True)
        except Exception as error:
            return failed(error)
        return self._until(satisfied, timeout)

    def _until(
        self, satisfied: Callable[[KATCPSensorReading], object], timeout: float | None
    ) -> asyncio.Future[bool]:
        if self._waiters is None:
            self._waiters = Waiters()
        future: asyncio.Future[bool] = self._waiters.add(timeout, f"sensor {self._name!r}")

        def check(_: KATCPSensor, reading: KATCPSensorReading) -> None:
            if future.done():
                return
            try:
                if satisfied(reading):
                    future.set_result(True)
            except Exception as error:
                future.set_exception(error)
            if future.done():
                self.unregister_listener(check)

        self.register_listener(check, reading=True)
        future.add_done_callback(lambda _: self.unregister_listener(check))
        return future

    def end_waits(self, error: Exception) -> None:
        """Raise `error` in all who wait: no reading will come in any more."""
        if self._waiters is not None:
            self._waiters.fail(error)


def _text(parameter: Any) -> str:
    return parameter.decode() if isinstance(parameter, bytes) else str(parameter)
