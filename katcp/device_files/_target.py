"""A sensor that is fed, and how a value for it is got out of a text."""

from __future__ import annotations

import logging
import re
from typing import Any

from katcp.device_files._spec import Extract, SensorSpec
from katcp.device_files._values import Kind, judge
from katcp.sensors import VALID_STATUSES, Sensor

log = logging.getLogger("katcp.device_files")


class Target:
    """A sensor that is fed by a source.

    Parameters
    ----------
    spec : SensorSpec
    sensor : Sensor
    """

    def __init__(self, spec: SensorSpec, sensor: Sensor) -> None:
        self.spec = spec
        self.sensor = sensor
        self._trouble = False

    def show(self, value: Any, timestamp: float | None = None) -> None:
        """Set the sensor to a value, with the status that goes with it."""
        spec = self.spec
        self.sensor.set_value(
            value, judge(value, spec.nominal, spec.warn, spec.statuses), timestamp
        )
        if self._trouble:
            self._trouble = False
            log.info("Sensor %s has values again", spec.name)

    def show_text(self, text: str, extract: Extract, timestamp: float | None = None) -> None:
        """Set the sensor to what is found in a text, or to a failure."""
        try:
            self.show(extracted(text, extract, self.spec.kind), timestamp)
        except (ValueError, OverflowError) as error:
            self.fail(str(error))

    def fail(self, reason: str, status: int = Sensor.FAILURE) -> None:
        """Let the sensor have no valid value; logged the first time."""
        if not self._trouble:
            self._trouble = True
            log.warning("Sensor %s has no value: %s", self.spec.name, reason)
        self.mark(status)

    def mark(self, status: int) -> None:
        """Give the sensor a status that says that its value does not count."""
        assert status not in VALID_STATUSES
        if self.sensor.status() != status:
            self.sensor.set_value(self.sensor.value(), status)


def extracted(text: str, extract: Extract, kind: Kind) -> Any:
    """Return the value that is found in a text.

    Raises
    ------
    ValueError
        If there is none.
    """
    piece = text.strip()
    if extract.line is not None:
        lines = text.splitlines()
        index = extract.line - 1 if extract.line > 0 else extract.line
        try:
            piece = lines[index].strip()
        except IndexError:
            raise ValueError(f"there are {len(lines)} lines, not a line {extract.line}") from None
    if extract.regex is not None:
        found = re.search(extract.regex, piece)
        group = None if found is None else found[1 if found.re.groups else 0]
        if group is None:
            raise ValueError(f"nothing matches {extract.regex!r}")
        piece = group
    if not kind.is_number or (extract.scale == 1 and extract.offset == 0):
        return kind.read(piece)
    value = Kind("float").read(piece) * extract.scale + extract.offset
    return round(value) if kind.name == "integer" else value
