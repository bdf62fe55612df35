"""Temperatures, fans and battery of a computer, where it has any; see `_host_probes`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psutil

from katcp.apps.server._host_probes import (
    BATTERY_ERROR,
    BATTERY_WARN,
    HOT_ERROR,
    HOT_WARN,
    Namer,
)
from katcp.apps.server._items import Item
from katcp.sensors import Sensor

#: Below this a thermometer is broken rather than cold [degC].
_COLDEST = -50.0


class HardwareProbe:
    """What the hardware measures.

    Parameters
    ----------
    source : module
        With the functions ``sensors_temperatures``, ``sensors_fans`` and ``sensors_battery``, each
        of which may be missing, as on some systems.
    """

    group = "hardware"

    def __init__(self, source: Any = psutil) -> None:
        self._source = source

    def read(self, now: float) -> list[Item]:
        """Return temperatures, fans and battery."""
        return [*self._temperatures(), *self._fans(), *self._battery()]

    def _ask(self, name: str) -> Any:
        function = getattr(self._source, name, None)
        try:
            return function() if function is not None else None
        except (OSError, NotImplementedError, RuntimeError):
            return None

    def _temperatures(self) -> Iterator[Item]:
        namer = Namer()
        for chip, entries in sorted((self._ask("sensors_temperatures") or {}).items()):
            for number, entry in enumerate(entries):
                label = entry.label or str(number)
                warn = entry.high or HOT_WARN
                error = max(entry.critical or HOT_ERROR, warn)
                yield Item(
                    namer.name("temperature", chip, label),
                    Sensor.float,
                    float(entry.current),
                    f"Temperature {label} of {chip}",
                    "degC",
                    (_COLDEST, float(warn), _COLDEST, float(error)),
                )

    def _fans(self) -> Iterator[Item]:
        namer = Namer()
        for chip, entries in sorted((self._ask("sensors_fans") or {}).items()):
            for number, entry in enumerate(entries):
                label = entry.label or str(number)
                name = namer.name("fan", chip, label)
                text = f"Speed of fan {label} of {chip}"
                yield Item(name, Sensor.integer, int(entry.current), text, "rpm")

    def _battery(self) -> Iterator[Item]:
        battery = self._ask("sensors_battery")
        if battery is None:
            return
        plugged = bool(battery.power_plugged)
        yield Item("battery.plugged", Sensor.boolean, plugged, "Whether mains power is there")
        # Limits are not shown as such: a low battery is no trouble while it is being charged.
        status = Sensor.NOMINAL
        if not plugged and battery.percent < BATTERY_WARN:
            status = Sensor.ERROR if battery.percent < BATTERY_ERROR else Sensor.WARN
        percent = float(battery.percent)
        text = f"Charge; unplugged, a warning below {BATTERY_WARN:g}, an error below "
        text += f"{BATTERY_ERROR:g}"
        yield Item("battery.percent", Sensor.float, percent, text, "%", status=status)
        left = battery.secsleft
        known = left is not None and left >= 0 and not plugged
        yield Item(
            "battery.time-left",
            Sensor.float,
            float(left) if known else None,
            "Time until the battery is empty",
            "s",
            status=None if known else Sensor.INACTIVE,
        )
