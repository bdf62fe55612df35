"""A manager of sensors that writes down what it is asked."""

from __future__ import annotations

import asyncio
from typing import Any

from katcp.aio import done
from katcp.resource import KATCPSensor, KATCPSensorsManager, normalize_strategy_parameters
from katcp.sensors import Sensor


class Manager(KATCPSensorsManager):
    resource_name = "dev"

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.strategies: dict[str, tuple[str, ...]] = {}
        self.polled: dict[str, Any] = {}

    def time(self) -> float:
        return 123.5

    def get_sampling_strategy(self, sensor_name: str) -> tuple[str, ...]:
        return self.strategies.get(sensor_name, ("none",))

    def set_sampling_strategy(
        self, sensor_name: str, strategy_and_parms: Any
    ) -> asyncio.Future[Any]:
        self.calls.append(("set", sensor_name, strategy_and_parms))
        self.strategies[sensor_name] = normalize_strategy_parameters(strategy_and_parms)
        return done((True, self.strategies[sensor_name]))

    def drop_sampling_strategy(self, sensor_name: str) -> None:
        self.calls.append(("drop", sensor_name))
        self.strategies.pop(sensor_name, None)

    async def poll_sensor(self, sensor_name: str) -> None:  # type: ignore[override]
        self.calls.append(("poll", sensor_name))
        await asyncio.sleep(0)
        self.polled[sensor_name].set_value(17, Sensor.WARN, 12.5)

    def reapply_sampling_strategies(self) -> asyncio.Future[Any]:
        return done(None)

    def sensor(self, name: str = "a.b-c", kind: int = Sensor.INTEGER, **more: Any) -> KATCPSensor:
        description = {"name": name, "sensor_type": kind, "description": "D.", "units": "u"}
        made = self.polled[name] = KATCPSensor({**description, "params": [], **more}, self)
        return made
