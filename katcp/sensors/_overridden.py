"""Subclasses of a sensor that read, write or tell in their own way.

Programs written for katcp-python derive from `Sensor` and define `read`, `read_formatted`,
`format_reading` or `notify` anew, and expect the server and the sampling to call what they
defined. A plain sensor must not pay for that with a look at each update, so what is needed is put
into the class when it is made.
"""

from __future__ import annotations

import logging
from typing import Any

_log = logging.getLogger("katcp.core")


def respect(cls: Any, base: Any) -> None:
    """Make `cls`, a subclass of `base` (the sensor class), use the methods it has defined."""
    cls._formats_itself = cls.format_reading is not base.format_reading
    if cls.read is not base.read or cls.read_formatted is not base.read_formatted:
        if cls.reading is base.reading:
            cls.reading = property(_read)
        if cls.wire_reading is base.wire_reading:
            cls.wire_reading = _wire_reading
    if any(_differ(cls, base, name) for name in ("reading", "wire_reading", "wire_text")):
        cls._encoded = _Fixed((None, b""))
        cls._template = _Fixed((None, None, b""))
        cls._is_plain = False
    if any(_differ(cls, base, name) for name in ("attach", "detach", "notify")):
        cls._is_plain = False
    if cls.notify is not base.notify:
        cls._notified = _NOTIFIED


def _differ(cls: Any, base: Any, name: str) -> bool:
    return getattr(cls, name) is not getattr(base, name)


def _read(sensor: Any) -> Any:
    return sensor.read()


def _wire_reading(sensor: Any, major: int = 5) -> bytes:
    """Stand in for `Sensor.wire_reading`: nothing is kept, since any call may read something new.

    What cannot be read goes out as a failure, as `Sensor.wire_text` has it.
    """
    try:
        line: bytes = sensor._line(sensor.read_formatted(major))  # noqa: SLF001
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:
        _log.exception("Sensor %r cannot be read", sensor.name)
        line = sensor._stand_in(major)  # noqa: SLF001
    return line


class _Fixed:
    """Takes the place of an attribute where something is kept between calls: nothing ever is."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __get__(self, sensor: Any, owner: Any = None) -> Any:
        return self._value

    def __set__(self, sensor: Any, value: Any) -> None:
        pass


class _Teller:
    """The one observer that such a sensor walks over when it is set: its own `notify`."""

    def update(self, sensor: Any, reading: Any) -> None:
        """Have the sensor tell its observers."""
        sensor.notify(reading)


#: Takes the place of the attribute that `Sensor.set` walks over.
_NOTIFIED = _Fixed((_Teller(),))
