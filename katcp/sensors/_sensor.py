"""A sensor: what it is, its present reading, and who wants to know."""

from __future__ import annotations

import functools
import logging
import time
import warnings
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, ClassVar, Protocol

from katcp.compat import ensure_native_str
from katcp.errors import KatcpTypeError
from katcp.kattypes import KatcpType, Timestamp
from katcp.sensors import _reading as statuses
from katcp.sensors._overridden import respect
from katcp.sensors._reading import Reading
from katcp.sensors._types import (
    DISCRETE,
    FLOAT,
    INTEGER,
    LRU_ERROR,
    LRU_NOMINAL,
    PYTHON_TYPES,
    SENSOR_TYPES,
    TIMESTAMP,
    TYPE_NUMBERS,
    parse_params,
    parse_type,
    type_number,
)
from katcp.sensors._wire import WireText

_log = logging.getLogger("katcp.core")
_make = tuple.__new__
_STATUSES = statuses.STATUSES


class Observer(Protocol):
    """Whoever is told of new readings of a sensor."""

    def update(self, sensor: Any, reading: Any) -> object:
        """Take notice of a reading; called in the thread that set the sensor."""


class Sensor(WireText):
    """A typed value with a timestamp and a status.

    Parameters
    ----------
    sensor_type : int or type
        One of `INTEGER` to `ADDRESS`, or `int`, `float`, `str`, `bool`.
    name : str
        ASCII letters, digits, ``.``, ``-`` and ``_``; hierarchical by dots. What is allowed is
        checked where a server adds the sensor, since clients meet devices that are laxer.
    description : str, optional
        One sentence for people.
    units : str, optional
        Short text shown beside the value; a timestamp sensor has none.
    params : sequence, optional
        Lowest and highest value of an integer or float sensor (informative: values outside are
        accepted), or the allowed words of a discrete one.
    default : object, optional
        First value.
    initial_status : int, optional
        First status, `UNKNOWN` if not given.

    Raises
    ------
    ValueError
        For a timestamp sensor with units, a discrete one without words, a default that is not
        one of the words.
    TypeError
        For a discrete word that is no text.

    Notes
    -----
    The reading is replaced as a whole, so other threads never see parts of two readings.
    """

    INTEGER, FLOAT, BOOLEAN, LRU, DISCRETE, STRING, TIMESTAMP, ADDRESS = range(8)
    UNKNOWN, NOMINAL, WARN, ERROR, FAILURE, UNREACHABLE, INACTIVE = range(7)

    STATUSES: ClassVar[dict[int, str]] = statuses.STATUSES
    STATUS_NAMES: ClassVar[dict[str, int]] = statuses.STATUS_NAMES
    STATUSES_RAW: ClassVar[dict[int, bytes]] = statuses.STATUSES_RAW
    STATUS_NAMES_RAW: ClassVar[dict[bytes, int]] = statuses.STATUS_NAMES_RAW

    LRU_NOMINAL: ClassVar[int] = LRU_NOMINAL
    LRU_ERROR: ClassVar[int] = LRU_ERROR
    LRU_VALUES: ClassVar[dict[int, bytes]] = {LRU_NOMINAL: b"nominal", LRU_ERROR: b"error"}
    LRU_CONSTANTS: ClassVar[dict[bytes, int]] = {b"nominal": LRU_NOMINAL, b"error": LRU_ERROR}

    #: Type -> (how its values are read and written, first value).
    SENSOR_TYPES: ClassVar[dict[int, tuple[type[KatcpType], Any]]] = {
        number: (kind.kattype, kind.default) for number, kind in SENSOR_TYPES.items()
    }
    #: Name of a type -> type.
    SENSOR_TYPE_LOOKUP: ClassVar[dict[str, int]] = TYPE_NUMBERS
    #: Python types that may be given for a sensor type.
    SENSOR_SHORTCUTS: ClassVar[dict[type, int]] = PYTHON_TYPES
    TIMESTAMP_TYPE: ClassVar[KatcpType] = Timestamp()

    def __init__(
        self,
        sensor_type: int | type,
        name: str | bytes,
        description: str | bytes | None = None,
        units: str | bytes | None = None,
        params: Sequence[Any] | None = None,
        default: Any = None,
        initial_status: int | None = None,
    ) -> None:
        number = type_number(sensor_type)
        kind = SENSOR_TYPES[number]
        self._sensor_type = number
        self._kind = kind
        # Clients make thousands at once, so what may never be needed is made on demand.
        self.name = name if type(name) is str else ensure_native_str(name)
        self.units = units if type(units) is str else ensure_native_str(units or "")
        if number == TIMESTAMP and self.units:
            raise ValueError(
                f"Timestamp sensor {self.name!r} cannot have units: the protocol fixes them."
            )
        if description is None:
            unit = f"in unit {self.units}" if self.units else "with no unit"
            description = f"{kind.name.capitalize()} sensor {self.name!r} {unit}"
        self.description = (
            description if type(description) is str else ensure_native_str(description)
        )
        self.type = self.stype = kind.name

        self._words: frozenset[str] | None = None
        if number == DISCRETE:
            self.params: list[Any] = self._discrete_words(params)
            self._words = frozenset(self.params)
        else:
            self.params = params if params else []  # type: ignore[assignment]

        # Who observes: replaced, not changed, so that one can walk over it meanwhile.
        self._attached: tuple[Observer, ...] = ()
        # Who is told of a reading that is set: the same, unless a subclass has its own `notify`.
        self._notified: tuple[Observer, ...] = ()
        self._reading = Reading(
            time.time(),
            statuses.UNKNOWN if initial_status is None else initial_status,
            self._first_value(default),
        )

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        respect(cls, Sensor)

    #: Whether nothing that has to do with readings and observers is done in another way by a
    #: subclass, so that those who sample many sensors may take short cuts.
    _is_plain: ClassVar[bool] = True

    @functools.cached_property
    def _kattype(self) -> KatcpType:
        return self._kind.shared if self._words is None else self._kind.kattype(self.params)

    @property
    def _formatter(self) -> Callable[..., bytes]:
        """What writes values: ``f(value, nocheck=False, major=5)``."""
        return self._kattype.pack

    @property
    def _parser(self) -> Callable[..., Any]:
        """What reads values: ``f(packed_value, major=5)``."""
        return self._kattype.unpack

    def _discrete_words(self, params: Sequence[Any] | None) -> list[str]:
        words = list(params or ())
        if not words:
            raise ValueError(f"Discrete sensor {self.name!r} needs at least one allowed word.")
        for word in words:
            if not isinstance(word, (str, bytes)):
                raise TypeError(
                    f"The words of discrete sensor {self.name!r} must be text, not {word!r}."
                )
        return [ensure_native_str(word) for word in words]

    def _first_value(self, default: Any) -> Any:
        if self._words is not None:
            if default is None:
                return self.params[0]
            word = ensure_native_str(default)
            if word not in self._words:
                raise ValueError(
                    f"Default {word!r} of discrete sensor {self.name!r} is not one of "
                    f"{self.params}."
                )
            return word
        if default is not None:
            return default
        value = self._kind.default
        if self._sensor_type in (INTEGER, FLOAT) and len(self.params) >= 2:
            low, high = self.params[:2]
            if not low <= value <= high:
                value = low
        return value

    # -- one constructor a type ---------------------------------------------------------

    @classmethod
    def integer(
        cls,
        name: str,
        description: str | None = None,
        unit: str = "",
        params: Sequence[int] | None = None,
        default: int | None = None,
        initial_status: int | None = None,
    ) -> Sensor:
        """Make an integer sensor; `params` are its lowest and highest value."""
        return cls(cls.INTEGER, name, description, unit, params, default, initial_status)

    @classmethod
    def float(
        cls,
        name: str,
        description: str | None = None,
        unit: str = "",
        params: Sequence[float] | None = None,
        default: float | None = None,
        initial_status: int | None = None,
    ) -> Sensor:
        """Make a float sensor; `params` are its lowest and highest value."""
        return cls(cls.FLOAT, name, description, unit, params, default, initial_status)

    @classmethod
    def boolean(
        cls,
        name: str,
        description: str | None = None,
        unit: str = "",
        default: bool | None = None,
        initial_status: int | None = None,
    ) -> Sensor:
        """Make a boolean sensor."""
        return cls(cls.BOOLEAN, name, description, unit, None, default, initial_status)

    @classmethod
    def lru(
        cls,
        name: str,
        description: str | None = None,
        unit: str = "",
        default: int | None = None,
        initial_status: int | None = None,
    ) -> Sensor:
        """Make a line replaceable unit sensor (deprecated by version 5: use a boolean)."""
        return cls(cls.LRU, name, description, unit, None, default, initial_status)

    @classmethod
    def string(
        cls,
        name: str,
        description: str | None = None,
        unit: str = "",
        default: str | None = None,
        initial_status: int | None = None,
    ) -> Sensor:
        """Make a string sensor."""
        return cls(cls.STRING, name, description, unit, None, default, initial_status)

    @classmethod
    def discrete(
        cls,
        name: str,
        description: str | None = None,
        unit: str = "",
        params: Sequence[str] | None = None,
        default: str | None = None,
        initial_status: int | None = None,
    ) -> Sensor:
        """Make a discrete sensor; `params` are the words it can have."""
        return cls(cls.DISCRETE, name, description, unit, params, default, initial_status)

    @classmethod
    def timestamp(
        cls,
        name: str,
        description: str | None = None,
        unit: str = "",
        default: float | None = None,  # type: ignore[valid-type]  # `float` is a method above
        initial_status: int | None = None,
    ) -> Sensor:
        """Make a timestamp sensor; its values are seconds since 1970."""
        return cls(cls.TIMESTAMP, name, description, unit, None, default, initial_status)

    @classmethod
    def address(
        cls,
        name: str,
        description: str | None = None,
        unit: str = "",
        default: tuple[str, int | None] | None = None,
        initial_status: int | None = None,
    ) -> Sensor:
        """Make an address sensor; its values are (host, port or None)."""
        return cls(cls.ADDRESS, name, description, unit, None, default, initial_status)

    # -- reading ------------------------------------------------------------------------

    @property
    def reading(self) -> Reading:
        """The present reading."""
        return self._reading

    def read(self) -> Reading:
        """Return the present reading."""
        return self._reading

    def value(self) -> Any:
        """Return the value of the present reading."""
        return self.read().value

    def status(self) -> int:
        """Return the status of the present reading."""
        return self.read().status

    def _old_name(self, name: str) -> Any:
        warnings.warn(
            f"Sensor._{name} is deprecated: use read().{name}", DeprecationWarning, stacklevel=3
        )
        return getattr(self.read(), name)

    @property
    def _timestamp(self) -> Any:
        return self._old_name("timestamp")

    @property
    def _status(self) -> Any:
        return self._old_name("status")

    @property
    def _value(self) -> Any:
        return self._old_name("value")

    def read_formatted(self, major: int = 5) -> tuple[bytes, bytes, bytes]:
        """Return (timestamp, status, value) of the present reading as bytes, unescaped."""
        return self.format_reading(self.read(), major)

    # -- setting ------------------------------------------------------------------------

    def set(self, timestamp: Any, status: int, value: Any) -> None:
        """Replace the reading, without any check, and tell the observers.

        Parameters
        ----------
        timestamp : float
            Seconds since 1970, UTC.
        status : int
            A status constant.
        value : object
            Of the sensor's type.
        """
        self._reading = reading = _make(Reading, (timestamp, status, value))
        for observer in self._notified:
            try:
                observer.update(self, reading)
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException:
                _log.exception("Observer %r of sensor %r failed", observer, self.name)

    def set_value(
        self,
        value: Any,
        status: int = statuses.NOMINAL,
        timestamp: Any = None,
        major: int = 5,
    ) -> None:
        """Check `value` and make it the present reading, taken now unless told otherwise.

        Parameters
        ----------
        value : object
            Of the sensor's type.
        status : int
            A status constant.
        timestamp : float, optional
            Seconds since 1970, UTC; now if not given.
        major : int
            Kept for callers that pass it; values are the same in every version.

        Raises
        ------
        ValueError
            If a discrete value is not one of the words, or `status` is no status.
        TypeError
            If the value cannot be one of this type.
        """
        if self._words is not None:
            value = self._check_word(value)
        elif type(value) not in self._kind.exact:
            try:
                self._kind.check(value)
            except (TypeError, ValueError, AttributeError) as error:
                raise type(error)(f"Sensor {self.name!r}: {error}") from None
        if status not in _STATUSES:
            raise ValueError(f"Sensor {self.name!r}: {status!r} is not a status.")
        self.set(time.time() if timestamp is None else timestamp, status, value)

    def _check_word(self, value: Any) -> str:
        word = ensure_native_str(value) if isinstance(value, (str, bytes)) else str(value)
        if word not in self._words:  # type: ignore[operator]  # only called with words
            raise ValueError(f"Discrete value {word!r} is not one of {self.params}.")
        return word

    def set_formatted(
        self, raw_timestamp: bytes, raw_status: bytes, raw_value: bytes, major: int = 5
    ) -> None:
        """Set the reading from the bytes of an inform.

        Raises
        ------
        KeyError
            For an unknown status.
        ValueError
            If the timestamp or the value cannot be read.
        """
        timestamp = self.TIMESTAMP_TYPE.unpack(raw_timestamp, major)
        status = statuses.STATUS_NAMES_RAW[raw_status]
        self.set(timestamp, status, self.parse_value(raw_value, major))

    def parse_value(self, s_value: bytes, katcp_major: int = 5) -> Any:
        """Read a value of this sensor from bytes.

        Raises
        ------
        KatcpTypeError
            If given text.
        ValueError
            If it cannot be read.
        """
        if not isinstance(s_value, bytes):
            raise KatcpTypeError(f"A value to parse must be bytes, not {s_value!r}")
        return self._kattype.unpack(s_value, katcp_major)

    # -- observers ----------------------------------------------------------------------

    def attach(self, observer: Observer) -> None:
        """Have ``observer.update(sensor, reading)`` called at every new reading.

        It is called in the thread that sets the sensor, after the reading is in place. What it
        raises is logged and keeps nobody else from being told.
        """
        attached = self._attached
        if not attached:
            self._attached = self._notified = (observer,)
        elif observer not in attached:
            self._attached = self._notified = (*attached, observer)

    def detach(self, observer: Observer) -> None:
        """Stop telling `observer`; nothing happens if it was not told."""
        attached = self._attached
        if len(attached) == 1 and attached[0] is observer:
            self._attached = self._notified = ()
        elif observer in attached:
            self._attached = self._notified = tuple([o for o in attached if o != observer])

    @property
    def _observers(self) -> AbstractSet[Observer]:
        """The observers, as a set of one's own."""
        return set(self._attached)

    def notify(self, reading: Reading) -> None:
        """Tell the observers of `reading`."""
        for observer in self._attached:
            try:
                observer.update(self, reading)
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException:
                _log.exception("Observer %r of sensor %r failed", observer, self.name)

    def __repr__(self) -> str:
        reading = self._reading
        status = statuses.STATUSES.get(reading.status, reading.status)
        return f"<Sensor {self.type} {self.name} {status} {reading.value!r}>"

    @classmethod
    def parse_type(cls, type_string: str | bytes) -> int:
        """Return the type constant of a type name in ``#sensor-list``.

        Raises
        ------
        KatcpSyntaxError
            If there is no such type.
        """
        return parse_type(type_string)

    @classmethod
    def parse_params(
        cls, sensor_type: int, formatted_params: Sequence[bytes], major: int = 5
    ) -> list[Any]:
        """Read the parameters behind the type in ``#sensor-list``.

        Raises
        ------
        ValueError
            If a limit is no number.
        """
        return parse_params(sensor_type, formatted_params, major)
