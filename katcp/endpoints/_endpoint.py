"""An endpoint: a named thing that can be read, set and commanded."""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from katcp.endpoints._blocking import begin
from katcp.endpoints._calibration import Calibration
from katcp.endpoints._codes import (
    EndpointError,
    InvalidMethodError,
    InvalidSpecifierError,
    InvalidValueError,
    foreseen,
)
from katcp.endpoints._conditions import WithConditions
from katcp.endpoints._operations import operate
from katcp.endpoints._options import option_names, refuse_unknown
from katcp.endpoints._remote import RemoteProperty, remote_property
from katcp.endpoints._values import EndpointReading, ValueType
from katcp.sensors import Sensor

if TYPE_CHECKING:
    from katcp.endpoints._sensors import EndpointSensors

log = logging.getLogger("katcp.endpoints")


class Endpoint(WithConditions):
    """A named thing that clients can read, set and command.

    Subclasses define `on_get` and `on_set`, plain or ``async``, and may declare properties
    (`remote_property`) and commands (`remote_command`); nothing else of them can be reached from
    outside. What is asked of one endpoint, and of all that share its provider, is done one after
    the other.

    Parameters
    ----------
    name : str
        ASCII letters, digits, ``_`` and ``-``; not two in a provider that differ only in these.
    calibration : str, mapping, callable or Calibration, optional
        Makes the calibrated value of the raw one: an expression such as ``"2*{}"``, a table, or,
        in code, a function. None: there is no calibrated value.
    cal_functions : sequence of functions
        Further functions that the expression may call, by their names.
    calibration_errors : {'fail', 'omit'}
        What becomes of a reading that cannot be calibrated: it fails (304), or comes without a
        calibrated value.
    calibration_settable : bool
        Whether clients may replace the calibration (``?configure NAME calibration TEXT``).
    units : str
        Of the value: of the calibrated one if there is a calibration.
    raw_units : str
        Of the raw value, if there is a calibration.
    description : str
        One sentence for people.
    type : str
        Of the value, as its sensor has it: ``string``, ``float``, ``integer``, ``boolean``,
        ``discrete`` or ``timestamp``.
    params : sequence
        Lowest and highest value of a number, which are enforced; words of a discrete value.
    raw_type : str, optional
        Type of the raw value, and so of what is set; by default that of the value, or ``string``
        if there is a calibration.
    get_on_set : bool
        Whether the endpoint is read after it was set, and the reply to ``?set`` has what was read.
    conditions : mapping, optional
        Number of a condition -> value to set then (``?set-condition``).
    timeout : float, optional
        Longest that `on_get`, `on_set` and commands may take, if they are coroutines or block [s];
        they fail (305) then. None: no limit: one that never ends holds up its provider for good.

    Raises
    ------
    TypeError
        For an option that there is not; the text tells which was probably meant.
    ValueError
        For a bad name, type or calibration.
    """

    #: What it is, for ``#endpoint-list``.
    kind: ClassVar[str] = "endpoint"

    def __init__(
        self,
        name: str,
        *,
        calibration: Any = None,
        cal_functions: Sequence[Callable[..., Any]] = (),
        calibration_errors: str = "fail",
        calibration_settable: bool = False,
        units: str = "",
        raw_units: str = "",
        description: str = "",
        type: str = "string",
        params: Sequence[Any] = (),
        raw_type: str | None = None,
        get_on_set: bool = False,
        conditions: Mapping[Any, Any] | None = None,
        timeout: float | None = 60.0,
        **unknown: Any,
    ) -> None:
        refuse_unknown(self.__class__, unknown)
        super().__init__(name, timeout, conditions)
        self.units = units or ""
        self.raw_units = raw_units or ""
        self.description = description or ""
        self.value_type = self._make_type(type, params)
        self._get_on_set = bool(get_on_set)
        self.calibration_settable = bool(calibration_settable)
        self._calibration_options: dict[str, Any] = {
            "units": self.units,
            "functions": tuple(cal_functions),
            "errors": calibration_errors,
        }
        self._calibration = self._make_calibration(calibration)
        if raw_type is None and self._calibration is None:
            self.raw_value_type = self.value_type
        else:
            self.raw_value_type = self._make_type(raw_type or "string")
        for number, value in self.conditions.items():
            try:
                self.raw_value_type.check(value)
            except ValueError as error:
                raise ValueError(f"{name}: condition {number}: {error}") from None
        self._sensors: EndpointSensors | None = None
        self._reading = EndpointReading(None, None, time.time(), Sensor.UNKNOWN)

    def _make_type(self, type: str, params: Sequence[Any] = ()) -> ValueType:
        try:
            return ValueType(type, params)
        except ValueError as error:
            raise ValueError(f"{self.name}: {error}") from None

    @classmethod
    def option_names(cls) -> tuple[str, ...]:
        """Return the names of all keyword arguments of the constructor."""
        return option_names(cls)

    @property
    def sensors(self) -> EndpointSensors | None:
        """Its sensors, once something serves it."""
        return self._sensors

    # -- to be defined by subclasses ----------------------------------------------------

    def on_get(self) -> Any:
        """Return the raw value, or something to be awaited for it.

        Raises
        ------
        InvalidMethodError
            In this class: the endpoint has no value.
        """
        raise InvalidMethodError(f"{self.path} cannot be read")

    def on_set(self, value: Any) -> Any:
        """Set the value; what is returned, or awaited, if not None, is the new raw value.

        A `ValueError` refuses the value (304).

        Raises
        ------
        InvalidMethodError
            In this class: the endpoint cannot be set.
        """
        raise InvalidMethodError(f"{self.path} cannot be set")

    def taken_at(self, raw: Any) -> float:
        """Return when a raw value that `on_get` gave was taken [seconds since 1970]: now."""
        return time.time()

    # -- reading ------------------------------------------------------------------------

    @property
    def reading(self) -> EndpointReading:
        """What it gave last, without asking it."""
        return self._reading

    @property
    def is_readable(self) -> bool:
        """Whether it has a value: its class defines `on_get`."""
        return type(self).on_get is not Endpoint.on_get

    async def read(self) -> EndpointReading:
        """Ask it for its value, calibrate that, and have its sensors show it.

        Raises
        ------
        EndpointError
            If it cannot be read, or calibrated.
        """
        lane = self.lane
        if lane.free:
            # What gives its value at once needs no turn: nothing can come between.
            try:
                result = begin(self, self.on_get)
            except Exception as error:
                raise self._unread(error) from error
            if not inspect.isawaitable(result):
                return self._take(result)
        else:
            result = None
        async with lane.turn():
            return await self._read(result)

    async def _read(self, begun: Any = None) -> EndpointReading:
        try:
            raw = await self.bounded(begin(self, self.on_get) if begun is None else begun)
        except Exception as error:
            raise self._unread(error) from error
        return self._take(raw)

    def _unread(self, error: Exception) -> EndpointError:
        """Have the sensors show that it could not be read; return what to raise."""
        failure = foreseen(error, self.path)
        if not isinstance(failure, InvalidMethodError):
            self._reading = self._reading._replace(timestamp=time.time(), status=Sensor.FAILURE)
            if self._sensors is not None:
                self._sensors.failed(self._reading)
        return failure

    def _take(self, raw: Any) -> EndpointReading:
        """Calibrate a raw value, and make it the present reading."""
        timestamp = self.taken_at(raw)
        if raw is None:
            self._show(EndpointReading(None, None, timestamp, Sensor.UNKNOWN))
            return self._reading
        calibration = self._calibration
        cal = None
        if calibration is None:
            known = self._reading
            if raw is known.raw and known[1:] == (None, timestamp, Sensor.NOMINAL):
                return known  # a key that is read again: it has been shown
        else:
            try:
                cal = calibration.calibrate(raw)
            except InvalidValueError:
                self._show(EndpointReading(raw, None, timestamp, Sensor.ERROR))
                if calibration.errors == "fail":
                    raise
                return self._reading
        self._show(EndpointReading(raw, cal, timestamp, Sensor.NOMINAL))
        return self._reading

    def _show(self, reading: EndpointReading) -> None:
        self._reading = reading
        if self._sensors is not None and not self._sensors.show(reading):
            self._reading = reading._replace(status=Sensor.ERROR)

    # -- setting ------------------------------------------------------------------------

    async def write(self, value: Any) -> EndpointReading | None:
        """Set it, and read it back if `get_on_set`; locks are not asked.

        Parameters
        ----------
        value : object
            Of `raw_value_type`.

        Returns
        -------
        EndpointReading or None
            With `get_on_set`, what was read back. Else what `on_set` said is the new value, without
            a calibrated value; None if it said nothing.

        Raises
        ------
        EndpointError
            If the value is refused, or cannot be read back.
        """
        async with self.lane.turn():
            return await self._write(value)

    async def _write(self, value: Any) -> EndpointReading | None:
        try:
            value = self.raw_value_type.check(value)
        except ValueError as error:
            raise InvalidValueError(f"{self.path}: {error}") from None
        try:
            stored = await self.bounded(begin(self, self.on_set, value))
        except ValueError as error:
            if type(error) is ValueError:
                raise InvalidValueError(f"{self.path}: {error}") from error
            raise foreseen(error, self.path) from error
        except Exception as error:
            raise foreseen(error, self.path) from error
        if self._get_on_set:
            reading: EndpointReading | None = await self._read()
        else:
            reading = None
            if stored is not None:
                try:
                    reading = self._take(stored)
                except InvalidValueError:  # the sensors tell; it has been set all the same
                    reading = self._reading
                reading = reading._replace(cal=None)
        self.was_set(value, reading)
        return reading

    def was_set(self, value: Any, reading: EndpointReading | None) -> None:
        """Take note that it was set; for subclasses that tell others.

        Parameters
        ----------
        value : object
            What was asked for.
        reading : EndpointReading or None
            As `write` returns it.
        """

    # -- calibration --------------------------------------------------------------------

    def _make_calibration(self, rule: Any) -> Calibration | None:
        return Calibration.of(rule, **self._calibration_options)

    @property
    def calibrated(self) -> Calibration | None:
        """What calibrates its values; None: nothing does."""
        return self._calibration

    @remote_property
    def calibration(self) -> str:
        """Rule that makes the calibrated value, as text; empty: there is none."""
        return "" if self._calibration is None else str(self._calibration)

    @calibration.setter
    def calibration(self, rule: str) -> None:
        self._calibration = self._make_calibration(rule or None)

    @remote_property
    def get_on_set(self) -> bool:
        """Whether it is read after it was set, and the reply to ``?set`` has what was read."""
        return self._get_on_set

    @get_on_set.setter
    def get_on_set(self, value: bool) -> None:
        self._get_on_set = bool(value)

    def check_settable(self, member: RemoteProperty) -> None:
        """Refuse to have the calibration replaced, unless that is allowed.

        Raises
        ------
        InvalidSpecifierError
            If it is not.
        """
        if member.name == "calibration" and not self.calibration_settable:
            raise InvalidSpecifierError(f"the calibration of {self.path} cannot be changed")

    # -- requests -----------------------------------------------------------------------

    def on_send(self, *commands: Any) -> Any:
        """Send raw commands to the device: providers may do so.

        Raises
        ------
        InvalidMethodError
            In this class.
        """
        raise InvalidMethodError(f"{self.path} takes no raw commands")

    async def handle_request(
        self, channel: Any, method: str, properties: Mapping[str, Any], request: Sequence[bytes]
    ) -> list[bytes]:
        """Do what a client asks of it; to be extended by subclasses that see to more.

        Parameters
        ----------
        channel : ClientConnection
            Whose request it is; None for none.
        method : str
            ``get``, ``set``, ``cmd``, ``configure``, ``send`` or ``ping``.
        properties : mapping
            With ``lockout_key``: the key that the client showed, or None.
        request : sequence of bytes
            The arguments behind the address, without the key.

        Returns
        -------
        list of bytes
            The arguments of the reply, behind ``ok``.

        Raises
        ------
        EndpointError
            What the client is to be told.
        """
        return await operate(self, method, request, properties.get("lockout_key"))

    def take_remark(self) -> str:
        """Return, once, what whoever has set a property should be told; empty: nothing."""
        return ""

    # -- others -------------------------------------------------------------------------

    def ping(self, *args: Any, **kwargs: Any) -> Any:
        """Do nothing, whatever is given: whoever gets an answer knows that it is there."""
