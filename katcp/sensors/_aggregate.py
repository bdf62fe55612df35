"""A sensor that follows from all sensors of a set.

Changes go into a queue, and whoever finds nobody else at work works it off: so each is dealt with
once, one at a time and in order, also when sensors are set in several threads, and nobody waits
for anybody. A sensor that is set while the aggregate is computed is dealt with by whoever computes.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from katcp.sensors._reading import Reading
from katcp.sensors._sensor import Sensor
from katcp.sensors._set import SensorSet

_log = logging.getLogger("katcp.sensors")


class AggregateSensor(Sensor):
    """A sensor computed from the sensors of a set, whenever one is set, added or removed.

    Either pass a `function`, or define `update_aggregate` in a subclass, which can do without a
    look at all sensors for each change. It may be a member of the set that it looks at; it never
    observes itself.

    Parameters
    ----------
    target : SensorSet
        Whose sensors it follows from, such as ``server.sensors``.
    sensor_type, name, description, units, params, default, initial_status
        As for `Sensor`.
    function : callable, optional
        Called with the list of sensors that pass the filter; returns a `Reading`, or a value,
        which is taken as nominal and of this moment, or None to leave the sensor as it is.
    filter : callable, optional
        Called with a sensor when it is added; tells whether it counts. See `filter_aggregate`.

    Notes
    -----
    It is computed in the thread that made the change. What the function raises is logged, and
    the sensor keeps its value with status ``failure``. `close` ends the observing.

    Examples
    --------
    ::

        total = AggregateSensor(
            server.sensors, Sensor.FLOAT, "power.total", "Power of all units", "W",
            function=lambda sensors: sum(sensor.value() for sensor in sensors),
            filter=lambda sensor: sensor.name.endswith(".power"),
        )
        server.sensors.add(total)
    """

    def __init__(
        self,
        target: SensorSet,
        sensor_type: int | type,
        name: str,
        description: str | None = None,
        units: str | None = None,
        params: Sequence[Any] | None = None,
        default: Any = None,
        initial_status: int | None = None,
        *,
        function: Callable[[list[Any]], Any] | None = None,
        filter: Callable[[Any], bool] | None = None,
    ) -> None:
        super().__init__(sensor_type, name, description, units, params, default, initial_status)
        self.target = target
        self._function = function
        self._filter = filter
        # Sensors observed, with the latest reading that was taken into account.
        self._seen: dict[Any, Any] = {}
        self._changes: deque[tuple[Any, Any, Any]] = deque()
        self._at_work: dict[None, object] = {}
        self._closed = False
        self._watcher = _Watcher(self)
        target.add_add_callback(self._added)
        target.add_remove_callback(self._removed)
        target.add_batch_callback(self._work)
        for sensor in target.values():
            self._observe(sensor)
        self._changes.append((None, None, None))
        self._work()

    # -- for subclasses -----------------------------------------------------------------

    def filter_aggregate(self, sensor: Any) -> bool:
        """Tell whether a sensor counts; by default those that are no aggregates themselves.

        Not asked about the sensor itself. Two aggregates that count each other would never come
        to an end.
        """
        if self._filter is not None:
            return bool(self._filter(sensor))
        return not isinstance(sensor, AggregateSensor)

    def update_aggregate(self, updated_sensor: Any, reading: Any, old_reading: Any) -> Any:
        """Return the new reading; to be defined by subclasses, if no function is given.

        Parameters
        ----------
        updated_sensor : Sensor or None
            The one that has changed; None when the aggregate is made, and has to look at all of
            `aggregated`.
        reading : Reading or None
            Its reading; None if it was removed.
        old_reading : Reading or None
            The reading that it had at the call before; None if it was added.

        Returns
        -------
        Reading, value or None
            A value is taken as nominal and of this moment; None changes nothing.
        """
        if self._function is None:
            raise NotImplementedError(
                f"Aggregate sensor {self.name!r} has neither a function nor update_aggregate()."
            )
        return self._function(self.aggregated)

    @property
    def aggregated(self) -> list[Any]:
        """The sensors that count, in the order in which they came."""
        return list(self._seen)

    def close(self) -> None:
        """Observe nothing any more; the reading stays as it is."""
        self._closed = True
        self.target.remove_add_callback(self._added)
        self.target.remove_remove_callback(self._removed)
        self.target.remove_batch_callback(self._work)
        for sensor in list(self._seen):
            sensor.detach(self._watcher)
        self._seen.clear()
        self._changes.clear()

    # -- observing ----------------------------------------------------------------------

    def _observe(self, sensor: Any) -> bool:
        if sensor is self or sensor in self._seen or not self.filter_aggregate(sensor):
            return False
        self._seen[sensor] = sensor.read()
        sensor.attach(self._watcher)
        return True

    def _added(self, sensor: Any) -> None:
        if not self._closed and self._observe(sensor):
            self._changes.append((sensor, self._seen.get(sensor), None))
            self._work()

    def _removed(self, sensor: Any) -> None:
        old = self._seen.pop(sensor, None)
        if old is not None:
            sensor.detach(self._watcher)
            self._changes.append((sensor, None, old))
            self._work()

    def _was_set(self, sensor: Any, reading: Any) -> None:
        old = self._seen.get(sensor)
        if old is not None and not self._closed:
            self._seen[sensor] = reading
            self._changes.append((sensor, reading, old))
            self._work()

    def _work(self) -> None:
        while self._changes and not self.target.in_batch:
            me = object()
            if self._at_work.setdefault(None, me) is not me:
                return  # whoever is at work takes this change along
            try:
                self._work_off()
            finally:
                del self._at_work[None]

    def _work_off(self) -> None:
        only_latest = self._function is not None
        while self._changes:
            change = self._changes.popleft()
            if only_latest and self._changes:
                continue  # a function looks at all sensors anyway
            try:
                result = self.update_aggregate(*change)
                if isinstance(result, Reading):
                    self.set(*result)
                elif result is not None:
                    self.set_value(result)
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException:
                _log.exception("Aggregate sensor %r cannot be computed", self.name)
                self.set(time.time(), Sensor.FAILURE, self.value())


class _Watcher:
    """What an aggregate attaches to sensors; the aggregate itself is a sensor, and no observer."""

    def __init__(self, aggregate: AggregateSensor) -> None:
        self._aggregate = aggregate

    def update(self, sensor: Any, reading: Any) -> None:
        """Tell the aggregate."""
        self._aggregate._was_set(sensor, reading)  # noqa: SLF001  # of this room
