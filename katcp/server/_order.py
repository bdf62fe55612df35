"""The sensors of a device by name, kept in order while single ones come and go."""

from __future__ import annotations

import bisect
import collections

from katcp.sensors import Sensor

#: With more changes than this since the last time everything is sorted anew.
_FEW = 1000


class SensorOrder:
    """Sensors in the order of their names.

    To sort 100,000 of them takes 100 ms, in one turn of the loop; to put one more in its place
    takes 0.1 ms. Whoever changes the sensors, in whatever thread, calls `changed`.
    """

    def __init__(self) -> None:
        self._of: dict[str, Sensor] = {}
        self._last: str | None = None
        self._names: list[str] = []
        self._ordered: list[Sensor] = []
        # Bounded, as nobody may ever ask: when it is full, everything is sorted anew.
        self._changed: collections.deque[str] = collections.deque(maxlen=_FEW + 1)

    def changed(self, name: str) -> None:
        """Take note that a sensor has come or gone, or that another has its name."""
        self._changed.append(name)

    def take(self, sensors: dict[str, Sensor]) -> list[Sensor]:
        """Return the sensors in order; the list stays as it is.

        Parameters
        ----------
        sensors : dict
            The sensors by name, the same object every time.
        """
        last = _last_of(sensors)
        changed = self._changed
        if changed:
            if len(changed) > _FEW:
                self._sort(sensors)
            else:
                names, ordered = self._names.copy(), self._ordered.copy()
                while changed:
                    name = changed.popleft()
                    _put(names, ordered, name, sensors.get(name))
                self._names, self._ordered = names, ordered
                self._last = last
        # Programs for katcp-python change the dictionary themselves, and do not say so.
        if self._of is not sensors or len(self._ordered) != len(sensors) or self._last != last:
            self._sort(sensors)
        return self._ordered

    def _sort(self, sensors: dict[str, Sensor]) -> None:
        self._changed.clear()
        self._last = _last_of(sensors)
        self._of = sensors
        present = dict(sensors)
        self._names = sorted(present)
        self._ordered = [present[name] for name in self._names]


def _last_of(sensors: dict[str, Sensor]) -> str | None:
    """Return the name that was added last, if that can be told."""
    try:
        return next(reversed(sensors), None)
    except RuntimeError:  # another thread adds one at this moment
        return None


def _put(names: list[str], ordered: list[Sensor], name: str, sensor: Sensor | None) -> None:
    index = bisect.bisect_left(names, name)
    if index == len(names) or names[index] != name:
        if sensor is not None:
            names.insert(index, name)
            ordered.insert(index, sensor)
    elif sensor is None:
        del names[index], ordered[index]
    else:
        ordered[index] = sensor
