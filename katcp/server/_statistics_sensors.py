"""Sensors that show a server's statistics to its clients."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from katcp.sensors import Sensor
from katcp.server._statistics import DESCRIPTIONS

if TYPE_CHECKING:
    from katcp.server._device import DeviceServer


def add_statistics_sensors(server: DeviceServer, period: float) -> None:
    """Add a sensor ``server.NAME`` for each statistic of `server`, and renew them as it runs.

    Parameters
    ----------
    server : DeviceServer
    period : float
        Time between two looks at the statistics [s].

    Raises
    ------
    ValueError
        If the period is not positive.
    """
    if not period > 0:
        raise ValueError(f"statistics_period must be positive, not {period}.")
    statistics = server._server.statistics  # noqa: SLF001  # may be hidden by a device
    sensors = {
        name: Sensor.integer(f"server.{name.replace('_', '-')}", text, default=0)
        for name, text in DESCRIPTIONS.items()
    }
    for sensor in sensors.values():
        server.add_sensor(sensor)

    async def renew() -> None:
        while True:
            for name, sensor in sensors.items():
                sensor.set_value(statistics[name])
            await asyncio.sleep(period)

    server.add_service_task(renew, name="statistics")
