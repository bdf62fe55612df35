"""Sensors by name, and who wants to know when one comes or goes."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from typing import Any

from katcp.sensors._sensor import Sensor

_log = logging.getLogger("katcp.sensors")

SensorCallback = Callable[[Any], object]
_MISSING: Any = object()


class SensorSet(Mapping[str, Any]):
    """Sensors in the order in which they were added: a mapping from name to sensor.

    Each name is there once: adding a sensor replaces another one of the same name, which counts
    as removed. Loops over the set, its `keys`, `values` and `items` go over what was there when
    they began, so the set may change meanwhile, in other threads too.

    Parameters
    ----------
    sensors : iterable of Sensor

    Examples
    --------
    ::

        pumps = SensorSet([left, right])
        pumps.add_add_callback(lambda sensor: print("new:", sensor.name))
        pumps.add(Sensor.float("pump.spare", "Speed of the spare pump", "Hz"))
        pumps["pump.spare"].set_value(50.0)
    """

    def __init__(self, sensors: Iterable[Sensor] = ()) -> None:
        self._by_name: dict[str, Any] = {}
        # Replaced, not changed, so that they may be walked over while they change.
        self._add_callbacks: tuple[SensorCallback, ...] = ()
        self._remove_callbacks: tuple[SensorCallback, ...] = ()
        self._batch_callbacks: tuple[Callable[[], object], ...] = ()
        # Those under way, perhaps in several threads.
        self._batches: dict[object, None] = {}
        for sensor in sensors:
            self._by_name[sensor.name] = sensor

    # -- mapping ------------------------------------------------------------------------

    def __getitem__(self, name: str) -> Any:
        return self._by_name[name]

    def __len__(self) -> int:
        return len(self._by_name)

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._by_name))

    def __contains__(self, item: object) -> bool:
        """Tell whether there is a sensor of that name, or, given a sensor, just that one."""
        if isinstance(item, str):
            return item in self._by_name
        name = getattr(item, "name", None)
        return name is not None and self._by_name.get(name) is item

    def keys(self) -> KeysView[str]:
        """Return the names."""
        return self.copy().keys()

    def values(self) -> ValuesView[Any]:
        """Return the sensors."""
        return self.copy().values()

    def items(self) -> ItemsView[str, Any]:
        """Return names and sensors."""
        return self.copy().items()

    def copy(self) -> dict[str, Any]:
        """Return a dict of the same sensors, which does not change."""
        return self._by_name.copy()

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        """Tell whether it is the same set: two sets with equal sensors are two."""
        return self is other

    # -- changing -----------------------------------------------------------------------

    def add(self, sensor: Sensor) -> None:
        """Add a sensor; another one of the same name is removed."""
        old = self._by_name.get(sensor.name)
        if old is not sensor:
            if old is not None:
                # The place is that of the new one.
                del self._by_name[sensor.name]
            self._by_name[sensor.name] = sensor
            self._tell(old, sensor)

    def update(self, sensors: Iterable[Sensor]) -> None:
        """Add several sensors, as one `batch`."""
        with self.batch():
            for sensor in sensors:
                self.add(sensor)

    def remove(self, sensor: Sensor | str) -> None:
        """Remove a sensor, given itself or by name.

        Raises
        ------
        KeyError
            If it is not there, or if it is another one that has the name.
        """
        if sensor not in self:
            raise KeyError(sensor if isinstance(sensor, str) else sensor.name)
        self._remove(sensor if isinstance(sensor, str) else sensor.name)

    def _remove(self, name: str) -> Any:
        sensor = self._by_name.pop(name)
        self._tell(sensor, None)
        return sensor

    def discard(self, sensor: Sensor | str) -> None:
        """Remove a sensor, if it is there."""
        if sensor in self:
            self.remove(sensor)

    def pop(self, name: str, default: Any = _MISSING) -> Any:
        """Remove the sensor of that name and return it, or `default` if there is none.

        Raises
        ------
        KeyError
            If there is none and no default.
        """
        if name not in self and default is not _MISSING:
            return default
        sensor = self[name]
        self.remove(sensor)
        return sensor

    def clear(self) -> None:
        """Remove all sensors, as one `batch`."""
        with self.batch():
            for sensor in self.values():
                self.discard(sensor)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self)} sensors>"

    # -- telling ------------------------------------------------------------------------

    def add_add_callback(self, callback: SensorCallback) -> None:
        """Have ``callback(sensor)`` called for each sensor that is added.

        It is called in the thread that adds; what it raises is logged.
        """
        self._add_callbacks = (*self._add_callbacks, callback)

    def remove_add_callback(self, callback: SensorCallback) -> None:
        """Call it no more; nothing happens if it was not called."""
        self._add_callbacks = tuple(c for c in self._add_callbacks if c != callback)

    def add_remove_callback(self, callback: SensorCallback) -> None:
        """Have ``callback(sensor)`` called for each sensor that is removed or replaced."""
        self._remove_callbacks = (*self._remove_callbacks, callback)

    def remove_remove_callback(self, callback: SensorCallback) -> None:
        """Call it no more; nothing happens if it was not called."""
        self._remove_callbacks = tuple(c for c in self._remove_callbacks if c != callback)

    def add_batch_callback(self, callback: Callable[[], object]) -> None:
        """Have ``callback()`` called at the end of each `batch`."""
        self._batch_callbacks = (*self._batch_callbacks, callback)

    def remove_batch_callback(self, callback: Callable[[], object]) -> None:
        """Call it no more; nothing happens if it was not called."""
        self._batch_callbacks = tuple(c for c in self._batch_callbacks if c != callback)

    @contextlib.contextmanager
    def batch(self) -> Iterator[None]:
        """Group changes: those who can, as `AggregateSensor`, take them together at its end.

        The callbacks for sensors are called at once all the same.
        """
        this = object()
        self._batches[this] = None
        try:
            yield
        finally:
            del self._batches[this]
            if not self._batches:
                for callback in self._batch_callbacks:
                    _call(callback)

    @property
    def in_batch(self) -> bool:
        """Whether a `batch` is under way."""
        return bool(self._batches)

    def _tell(self, removed: Any, added: Any) -> None:
        if removed is not None:
            for callback in self._remove_callbacks:
                _call(callback, removed)
        if added is not None:
            for callback in self._add_callbacks:
                _call(callback, added)


def _call(callback: Callable[..., object], *args: Any) -> None:
    try:
        callback(*args)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:
        _log.exception("Callback %r of a sensor set failed", callback)
