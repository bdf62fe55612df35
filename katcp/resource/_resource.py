"""What every resource can do."""

from __future__ import annotations

import abc
import asyncio
from collections.abc import Mapping
from typing import Any

from katcp.aio import WaitTimeout, under_way
from katcp.resource._errors import KATCPUnknownSensorError
from katcp.resource._names import escape_name
from katcp.resource._strategies import Strategy


class KATCPResource(metaclass=abc.ABCMeta):
    """Something with sensors and requests: a device, or a group of devices."""

    #: Whether its requests may be made.
    _active = True

    def __init__(self) -> None:
        self._active = True

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """Name of the resource."""

    @property
    @abc.abstractmethod
    def description(self) -> str:
        """One sentence for people."""

    @property
    @abc.abstractmethod
    def address(self) -> Any:
        """Address (host, port) of the device, or None."""

    @property
    @abc.abstractmethod
    def is_connected(self) -> Any:
        """Whether there is a connection to the device; a method in resources of clients."""

    @property
    @abc.abstractmethod
    def req(self) -> Any:
        """The requests, as attributes and by key, under their names as Python identifiers."""

    @property
    @abc.abstractmethod
    def sensor(self) -> Any:
        """The sensors, as attributes and by key, under their names as Python identifiers."""

    @property
    @abc.abstractmethod
    def parent(self) -> Any:
        """The resource that this one belongs to, or None."""

    @property
    @abc.abstractmethod
    def children(self) -> Any:
        """The resources that belong to this one, by name."""

    def wait(
        self, sensor_name: str, condition_or_value: Any, timeout: float | None = 5
    ) -> asyncio.Future[bool]:
        """Return a future that tells whether a sensor came to be what is wanted in time.

        Parameters
        ----------
        sensor_name : str
            As the device has it, or as a Python identifier.
        condition_or_value : object or callable
            A value to be equal to, or ``condition(reading)`` that is to be true.
        timeout : float or None
            Longest wait [s]; the future then gives False. None: for ever.

        Raises
        ------
        KATCPSensorError
            From the future: if no sampling strategy is set; for an unknown sensor, when it is a
            `KeyError` too.
        """
        return under_way(self._wait(sensor_name, condition_or_value, timeout), self._ioloop())

    async def _wait(self, sensor_name: str, condition_or_value: Any, timeout: float | None) -> bool:
        sensor = self._get_sensor(sensor_name)
        try:
            await sensor.wait(condition_or_value, timeout)
        except WaitTimeout:
            return False
        return True

    def _ioloop(self) -> Any:
        """Return the loop to use where none is running, if any."""
        return getattr(self, "ioloop", None)

    def _get_sensor(self, sensor_name: str) -> Any:
        sensors: Mapping[str, Any] = self.sensor
        try:
            return sensors[escape_name(sensor_name)]
        except KeyError:
            raise KATCPUnknownSensorError(
                f"Resource {self.name!r} has no sensor {sensor_name!r}"
            ) from None

    @abc.abstractmethod
    def list_sensors(
        self,
        filter: str = "",
        strategy: bool = False,
        status: str = "",
        use_python_identifiers: bool = True,
        tuple: bool = False,
        refresh: bool = False,
    ) -> asyncio.Future[list[Any]]:
        """Return a future of a list of sensors, sorted by their names as Python identifiers.

        Parameters
        ----------
        filter : str
            Regular expression to be found in the name.
        strategy : bool
            Only those with a sampling strategy.
        status : str
            Only those whose status is contained in this text, or matched by it as a regular
            expression: ``"warn|error"``.
        use_python_identifiers : bool
            Apply the filter to names as Python identifiers, otherwise as the device has them.
        tuple : bool
            List tuples (name, value, timestamp, type, units, received_timestamp, status,
            strategy) instead of `SensorResultTuple`.
        refresh : bool
            Ask the device for readings first.
        """

    def set_sampling_strategies(
        self, filter: str, strategy_and_params: Strategy
    ) -> asyncio.Future[dict[str, Any]]:
        """Set the sampling strategy of all sensors that a regular expression is found in.

        Parameters
        ----------
        filter : str
            Regular expression; it is applied to names as Python identifiers.
        strategy_and_params : str or sequence
            ``"event-rate 1 10"`` or ``("event-rate", 1, 10)``.

        Returns
        -------
        Future
            Of ``{python_name: (success, info)}``; the info is the strategy as a tuple of texts, or
            the text of the error.
        """
        return under_way(self._set_strategies(filter, strategy_and_params), self._ioloop())

    async def _set_strategies(self, filter: str, strategy: Strategy) -> dict[str, Any]:
        results = {}
        for listed in await self.list_sensors(filter):
            sensor = listed.object
            try:
                results[sensor.normalised_name] = await sensor.set_sampling_strategy(strategy)
            except Exception as error:
                results[sensor.normalised_name] = (False, str(error))
        return results

    def set_sampling_strategy(
        self, sensor_name: str, strategy_and_params: Strategy
    ) -> asyncio.Future[dict[str, Any]]:
        """Set the sampling strategy of one sensor; see `set_sampling_strategies`.

        Raises
        ------
        KATCPSensorError
            From the future, for an unknown sensor.
        """
        return under_way(self._set_strategy(sensor_name, strategy_and_params), self._ioloop())

    async def _set_strategy(self, sensor_name: str, strategy: Strategy) -> dict[str, Any]:
        sensor = self._get_sensor(sensor_name)
        try:
            result = await sensor.set_sampling_strategy(strategy)
        except Exception as error:
            result = (False, str(error))
        return {sensor.normalised_name: result}

    def set_active(self, active: bool) -> None:
        """Allow requests, or do not: those of an inactive resource cannot be made.

        Applies to the children too.
        """
        self._active = bool(active)
        children: Mapping[str, Any] = self.children
        for name in children:
            children[name].set_active(active)

    def is_active(self) -> bool:
        """Tell whether requests may be made."""
        return self._active
