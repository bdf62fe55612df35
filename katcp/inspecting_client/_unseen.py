"""Sensor objects that nobody has looked at yet, of which there may be tens of thousands.

`Sensor` takes 3 µs to make, most of it for what is rarely asked. An unseen sensor takes a tenth of
that: it has its reading, and what the device said of it as it came. Name, description, units, type
and parameters are read when they are asked for; at whatever else is asked, or set, it becomes a
`Sensor` as that makes itself, for good.

A watched sensor is an unseen one with a single observer, which is handed readings as they came
beside what they mean. Of readings on their way from a device to the clients of a proxy nothing has
to be written anew then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from katcp.client import argument_in
from katcp.sensors import SENSOR_TYPES, Observer, Sensor

_new = object.__new__

#: Type, and what the constructor of `Sensor` takes as its parameters; shared by many sensors.
Kind = tuple[int, tuple[Any, ...]]
_NO_KIND: Kind = (-1, ())
_TIMESTAMP, _DISCRETE = Sensor.TIMESTAMP, Sensor.DISCRETE

#: Major version and type -> what reads values. A discrete sensor has its own words.
DECODERS: dict[int, dict[int, Callable[[bytes], Any]]] = {
    major: {
        kind: kattype().decoder(major)
        for kind, (kattype, _) in Sensor.SENSOR_TYPES.items()
        if kind != Sensor.DISCRETE
    }
    for major in (4, 5)
}


def text(raw: bytes) -> str:
    """Return text from a device, which may be anything."""
    return raw.decode("utf-8", "backslashreplace")


class _Text:
    """An attribute that is decoded when it is first asked for, and kept."""

    # Half of what an attribute that is not found and made by `__getattr__` takes.

    def __init__(self, index: int) -> None:
        self._index = index

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, sensor: Any, owner: type | None = None) -> Any:
        if sensor is None:
            return self
        known = sensor.__dict__
        info = known.get("_info")
        if info is None:  # another thread has been quicker to look at it
            return known[self._name]
        value = known[self._name] = text(argument_in(info, self._index))
        return value


class _Units(_Text):
    """Units, which the protocol fixes for timestamps, though some devices send others."""

    def __get__(self, sensor: Any, owner: type | None = None) -> Any:
        if sensor is not None and sensor.__dict__.get("_unseen_kind", _NO_KIND)[0] == _TIMESTAMP:
            return ""
        return super().__get__(sensor, owner)


class _OfKind:
    """An attribute that follows from the type and the parameters, and is kept."""

    def __init__(self, read: Callable[[Kind], Any]) -> None:
        self._read = read

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, sensor: Any, owner: type | None = None) -> Any:
        if sensor is None:
            return self
        known = sensor.__dict__
        kind = known.get("_unseen_kind")
        if kind is None:  # another thread has been quicker
            return known[self._name]
        value = known[self._name] = self._read(kind)
        return value


class UnseenSensor(Sensor):
    """A sensor that becomes a `Sensor` when it is looked at.

    Its dictionary has `_info` (see `sensor_arguments`) and `_unseen_kind`, `_reading` if there has
    been one, and what was asked for.
    """

    __slots__ = ()  # or it could not become another class

    name = _Text(0)
    description = _Text(1)
    units = _Units(2)
    type = _OfKind(lambda kind: SENSOR_TYPES[kind[0]].name)
    stype = type
    params = _OfKind(lambda kind: list(kind[1]))

    def __getattr__(self, name: str) -> Any:
        self._become()
        return getattr(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._become()
        setattr(self, name, value)

    def __reduce_ex__(self, protocol: Any) -> Any:
        self._become()
        return self.__reduce_ex__(protocol)

    def _become(self) -> None:
        """Become a `Sensor`; several threads may want that at once, and one set the reading."""
        known = self.__dict__
        info = known.get("_info")
        kind = known.get("_unseen_kind")
        if info is not None and kind is not None:
            stype, params = kind
            sensor = Sensor(stype, self.name, self.description, self.units, list(params))
            for key, value in sensor.__dict__.items():
                known.setdefault(key, value)
        object.__setattr__(self, "__class__", Sensor)
        known.pop("_unseen_kind", None)
        known.pop("_info", None)
        known.pop("_relay", None)
        observer = known.pop("_observer", None)
        if observer is not None:
            self.attach(observer)


#: Takes a reading, and its timestamp, status and value as they stood on the wire of version 5; the
#: value is escaped.
Relay = Callable[[Any, bytes, bytes, bytes], object]


class WatchedSensor(UnseenSensor):
    """An unseen sensor with one observer, `_observer` in its dictionary.

    That is told by `_relay` where a reading is at hand as it came, and by its `update` else.
    """

    __slots__ = ()


def watch(sensor: Any, observer: Observer, relay: Relay) -> None:
    """Have an observer told of the readings of a sensor; by `relay`, while it is unseen."""
    if type(sensor) is UnseenSensor:
        known = sensor.__dict__
        known["_observer"] = observer
        known["_relay"] = relay
        object.__setattr__(sensor, "__class__", WatchedSensor)
    else:
        sensor.attach(observer)


def unwatch(sensor: Any, observer: Observer) -> None:
    """Do not tell it any more."""
    known = sensor.__dict__
    if type(sensor) is WatchedSensor and known.get("_observer") is observer:
        object.__setattr__(sensor, "__class__", UnseenSensor)
        del known["_observer"], known["_relay"]
    else:
        sensor.detach(observer)


def reading_so_far(sensor: Any) -> Any:
    """Return the reading of a sensor; None for an unseen one that has not had any."""
    if isinstance(sensor, UnseenSensor):
        return sensor.__dict__.get("_reading")
    return sensor.read()


def unseen_sensor(info: bytes, kind: Kind) -> UnseenSensor:
    """Make one, of what the device said and what that says of its type."""
    sensor = _new(UnseenSensor)
    known = sensor.__dict__
    known["_info"] = info
    known["_unseen_kind"] = kind
    return sensor


def value_of(sensor: UnseenSensor, raw: bytes, major: int) -> Any:
    """Read a value of an unseen sensor, as its `parse_value` does.

    Raises
    ------
    ValueError
        If it cannot be read.
    """
    kind: Kind | None = sensor.__dict__.get("_unseen_kind")
    if kind is not None and kind[0] == _DISCRETE:
        word = raw.decode("utf-8", "backslashreplace")
        if word not in kind[1]:
            raise ValueError(f"{word!r} is not one of {', '.join(kind[1])}")
        return word
    decode = None if kind is None else DECODERS[major].get(kind[0])
    return sensor.parse_value(raw, major) if decode is None else decode(raw)
