"""The sensors of a resource, by name: listed, sampled, listened to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from katcp.aio import done, failed, under_way
from katcp.resource import escape_name, normalize_strategy_parameters
from katcp.resource_client._contents import ResourceContents
from katcp.resource_client._filters import list_sensors


class ResourceSampling(ResourceContents):
    """What is asked of the sensors of a resource, and remembered for those that come."""

    def list_sensors(
        self,
        filter: str = "",
        strategy: bool = False,
        status: str = "",
        use_python_identifiers: bool = True,
        tuple: bool = False,
        refresh: bool = False,
    ) -> asyncio.Future[list[Any]]:
        """Return a future of a list of sensors; see `KATCPResource.list_sensors`."""
        return list_sensors(
            self,
            dict.items(self.sensor),
            filter,
            strategy,
            status,
            use_python_identifiers,
            tuple,
            refresh,
        )

    def set_sampling_strategies(
        self, filter: str, strategy_and_parms: Any
    ) -> asyncio.Future[dict[str, Any]]:
        """Set the sampling strategy of all sensors that a regular expression is found in.

        It is remembered, and set again at every sync.

        Parameters
        ----------
        filter : str
            Regular expression; it is applied to names as Python identifiers.
        strategy_and_parms : str or sequence
            ``"event-rate 1 10"`` or ``("event-rate", 1, 10)``; times in the unit of the device,
            which is seconds but for version 4.

        Returns
        -------
        Future
            Of ``{python_name: strategy}``, with the text of the error for a sensor of which it
            could not be set.
        """
        return under_way(self._set_strategies(filter, strategy_and_parms), self._ioloop())

    async def _set_strategies(self, filter: str, strategy: Any) -> dict[str, Any]:
        normalize_strategy_parameters(strategy)  # nothing is remembered of what cannot be one
        sensors = {s.python_identifier: s.object for s in await self.list_sensors(filter)}
        self._sensor_strategy_cache.update(dict.fromkeys(sensors, strategy))
        manager = self._manager()
        if manager is None:
            return {
                key: await self._set_one_strategy(sensor, strategy)
                for key, sensor in sensors.items()
            }
        results = await manager.set_sampling_strategies(
            [sensor.name for sensor in sensors.values()], strategy
        )
        outcomes = {}
        for key, sensor in sensors.items():
            success, info = results[sensor.name]
            outcomes[key] = strategy if success else info
        return outcomes

    def set_sampling_strategy(
        self, sensor_name: str, strategy_and_parms: Any
    ) -> asyncio.Future[dict[str, Any]]:
        """Set the sampling strategy of a sensor; see `set_sampling_strategies`.

        Parameters
        ----------
        sensor_name : str
            As the device has it, or as a Python identifier. If there is no such sensor yet, the
            strategy is remembered for it, and the result is empty.
        strategy_and_parms : str or sequence
        """
        try:
            normalize_strategy_parameters(strategy_and_parms)
        except Exception as error:
            return failed(error, self._ioloop())
        key = escape_name(sensor_name)
        self._sensor_strategy_cache[key] = strategy_and_parms
        sensor = self._sensor.get(key)
        if sensor is not None:
            return under_way(self._set_present(key, sensor, strategy_and_parms), self._ioloop())
        manager = self._manager()
        if manager is not None:
            # What was remembered of a sensor that is gone is no longer what is wanted.
            manager.drop_escaped(key)
        return done({}, self._ioloop())

    async def _set_present(self, key: str, sensor: Any, strategy: Any) -> dict[str, Any]:
        return {key: await self._set_one_strategy(sensor, strategy)}

    async def _set_one_strategy(self, sensor: Any, strategy: Any) -> Any:
        """Return the strategy, or the text of the error."""
        try:
            success, info = await sensor.set_sampling_strategy(strategy)
        except Exception as error:
            self._logger.exception("%s: cannot sample %r", self.name, sensor.name)
            return str(error)
        return strategy if success else info

    def drop_sampling_strategy(self, sensor_name: str) -> None:
        """Forget the strategy of a sensor; what the device does is not changed.

        Parameters
        ----------
        sensor_name : str
            As the device has it, or as a Python identifier.
        """
        key = escape_name(sensor_name)
        self._sensor_strategy_cache.pop(key, None)
        manager = self._manager()
        if manager is not None:
            manager.drop_escaped(key)

    def set_sensor_listener(
        self, sensor_name: str, listener: Callable[..., object]
    ) -> asyncio.Future[dict[str, Any]]:
        """Have ``listener(sensor, reading)`` called for each reading of a sensor.

        Parameters
        ----------
        sensor_name : str
            As the device has it, or as a Python identifier. If there is no such sensor yet, the
            listener is remembered for it.
        listener : callable
            What it raises is logged.

        Returns
        -------
        Future
            Of ``{python_name: listener}``; empty if there is no such sensor yet.
        """
        key = escape_name(sensor_name)
        listeners = self._sensor_listener_cache[key]
        if listener not in listeners:
            listeners.append(listener)
        sensor = self._sensor.get(key)
        if sensor is None:
            return done({}, self._ioloop())
        sensor.register_listener(listener, reading=True)
        return done({key: listener}, self._ioloop())
