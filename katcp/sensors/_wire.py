"""What a sensor is and what it reads, as lines of the protocol.

Operations wanted: the present reading as the tail of a line, for one client or many, at once or
for thousands of sensors in one go; the same for a reading that is not the present one any more;
subclasses that write readings in their own way.

Plan: the text of a reading is made once and kept beside it; it is made in one step from a template
of the sensor's name and last status, where the value is of the usual type. `format_reading` is
what all short cuts have to agree with.
"""

# ruff: noqa: SLF001  # the functions are part of the class in all but form

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, TypeAlias

from katcp.protocol import escape
from katcp.sensors import _reading as statuses
from katcp.sensors._reading import Reading, status_names
from katcp.sensors._types import SensorType

_log = logging.getLogger("katcp.core")


class WireText:
    """The part of a sensor that writes lines."""

    name: str
    description: str
    units: str
    stype: str
    params: list[Any]
    _kind: SensorType
    _reading: Reading

    @functools.cached_property
    def formatted_params(self) -> list[bytes]:
        """The parameters as they go on the wire, unescaped."""
        return [self._kind.format(param) for param in self.params]

    @property
    def _wire_name(self) -> bytes:
        name = self._escaped_name
        if not name:
            name = self._escaped_name = escape(self.name.encode("utf-8", "replace"))
        return name

    _escaped_name: bytes = b""

    #: Whether a subclass has its own way to write readings.
    _formats_itself: ClassVar[bool] = False

    # Wire text of a reading, with the reading that it is of: (reading, text).
    _encoded: tuple[Any, bytes] = (None, b"")
    _encoded_v4: tuple[Any, bytes] = (None, b"")
    # A status, and how a line of it is written (`_template_for`).
    _template: tuple[Any, Any, bytes] = (None, None, b"")

    def _first_value(self, default: Any) -> Any:
        """Return the value that a sensor begins with, given the one that its maker wants."""
        raise NotImplementedError

    def format_reading(self, reading: Sequence[Any], major: int = 5) -> tuple[bytes, bytes, bytes]:
        """Return (timestamp, status, value) of a reading as they go on the wire, unescaped.

        Times are seconds with six decimals, in major version 4 whole milliseconds.
        """
        timestamp, status, value = reading
        kind = self._kind
        if major >= 5:
            return b"%.6f" % timestamp, status_names(major)[status], kind.format(value)
        return b"%.0f" % (timestamp * 1000), status_names(major)[status], kind.format_v4(value)

    def wire_reading(self, major: int = 5) -> bytes:
        r"""Return the present reading as the tail of an inform: ``b" T 1 NAME STATUS VALUE\n"``.

        The text is made once for each reading and shared by whoever sends it. A value that
        cannot be written (it got in through `set`, which checks nothing) goes out with status
        ``failure`` and is logged, so that one bad sensor does not spoil a list of many.
        """
        reading = self._reading
        if major < 5:
            known, text = self._encoded_v4
            if known is not reading:
                text = self.wire_text(reading, major)
                self._encoded_v4 = (reading, text)
            return text
        known, text = self._encoded
        if known is not reading:
            # What `wire_text` does, in one step (0.9 µs rather than 1.6): the usual type and the
            # status of the last time.
            try:
                timestamp, status, value = reading
                usual, native, template = self._template
                if type(value) is native and status == usual:
                    text = template % (timestamp, value)
                else:
                    text = self.wire_text(reading)
            except Exception:  # a timestamp that is no number, or an integer without end
                text = self.wire_text(reading)
            self._encoded = (reading, text)
        return text

    def wire_text(self, reading: Reading, major: int = 5) -> bytes:
        """Return what `wire_reading` does, for a reading that may not be the present one."""
        try:
            return self._encode(reading, major)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:
            _log.exception("Sensor %r has a reading that cannot be sent: %r", self.name, reading)
            return self._stand_in(major)

    def _stand_in(self, major: int) -> bytes:
        """Return the line that is sent in place of a reading that cannot be sent."""
        reading = Reading(time.time(), statuses.FAILURE, self._first_value(None))
        return self._line(WireText.format_reading(self, reading, major))

    def _line(self, parts: Sequence[bytes]) -> bytes:
        timestamp, status, value = parts
        return b" %b 1 %b %b %b\n" % (timestamp, self._wire_name, status, escape(value))

    def _encode(self, reading: Reading, major: int) -> bytes:
        if major < 5 or self._formats_itself:
            return self._line(self.format_reading(reading, major))
        # The same with fewer steps, and no look for what has to be escaped where there can be
        # nothing.
        timestamp, status, value = reading
        usual, native, template = self._template
        if usual != status:
            usual, native, template = self._template = self._template_for(status)
        if type(value) is native:
            return template % (timestamp, value)
        kind = self._kind
        text = kind.format(value)
        if kind.native is None:
            return template % (timestamp, text if kind.plain else escape(text))
        name = statuses.STATUSES_RAW[status]
        return b" %.6f 1 %b %b %b\n" % (timestamp, self._wire_name, name, text)

    def _template_for(self, status: int) -> tuple[int, type | None, bytes]:
        """Return `status`, and what lines of that status come from, with a type of values.

        Timestamp and value are put into it: the value itself where it is of that type, its text
        where the type is None.
        """
        name = self._wire_name.replace(b"%", b"%%")
        kind = self._kind
        head = b" %%.6f 1 %b %b " % (name, statuses.STATUSES_RAW[status])
        return status, kind.native, head + kind.directive + b"\n"

    def wire_description(self) -> bytes:
        r"""Return the tail of its ``#sensor-list`` inform: ``b" NAME TEXT UNITS TYPE ...\n"``."""
        parts: Iterable[bytes] = (
            self.description.encode("utf-8", "replace"),
            self.units.encode("utf-8", "replace"),
            self.stype.encode(),
            *self.formatted_params,
        )
        return b" " + self._wire_name + b" " + b" ".join([escape(part) for part in parts]) + b"\n"


def wire_readings(sensors: Iterable[WireText], major: int = 5) -> list[bytes]:
    """Return what `Sensor.wire_reading` does for each sensor, in one go.

    Where nothing has changed this takes 0.05 µs a sensor, half of what a call of each would.
    """
    if major < 5:
        return [sensor.wire_reading(major) for sensor in sensors]
    texts: list[bytes] = []
    add = texts.append
    for sensor in sensors:
        known, text = sensor._encoded
        reading = sensor._reading
        if known is not reading:
            # As in `wire_reading`; its call would be a tenth of the time.
            usual, native, template = sensor._template
            timestamp, status, value = reading
            if type(value) is native and status == usual and type(timestamp) is float:
                try:
                    text = template % (timestamp, value)
                    sensor._encoded = (reading, text)
                except ValueError:  # an integer without end
                    text = sensor.wire_reading()
            else:
                text = sensor.wire_reading()
        add(text)
    return texts


#: A reading and the sensor that it is of, or None and the text of a reading (`wire_reading`).
Update: TypeAlias = "tuple[WireText, Reading] | tuple[None, bytes]"


def wire_updates(updates: Iterable[Update], major: int = 5) -> list[bytes]:
    """Return what `Sensor.wire_text` does for each reading, in one go; texts as they are.

    The text of a present reading is kept with its sensor. Only for sensors whose class is plain.
    """
    texts: list[bytes] = []
    add = texts.append
    for sensor, reading in updates:
        if sensor is None:
            add(reading)  # type: ignore[arg-type]  # so it is a text
            continue
        if major < 5:
            add(sensor.wire_text(reading, major))  # type: ignore[arg-type]
            continue
        try:  # as in `wire_reading`
            timestamp, status, value = reading
            usual, native, template = sensor._template
            if type(value) is native and status == usual:
                text = template % (timestamp, value)
            else:
                text = sensor.wire_text(reading)  # type: ignore[arg-type]
        except Exception:
            text = sensor.wire_text(reading)  # type: ignore[arg-type]
        if sensor._reading is reading:
            sensor._encoded = (reading, text)
        add(text)
    return texts
