"""What sensors of a resource ask of those who have the connection."""

from __future__ import annotations

import abc
import asyncio
from typing import Any

from katcp.protocol import DEFAULT_KATCP_MAJOR
from katcp.resource._strategies import Strategy


class KATCPSensorsManager(metaclass=abc.ABCMeta):
    """Polls and samples the sensors of one resource."""

    @property
    def katcp_major(self) -> int:
        """Major version of the protocol that the device speaks."""
        return DEFAULT_KATCP_MAJOR

    @abc.abstractmethod
    def time(self) -> float:
        """Return the time, for readings that come in [seconds since 1970, UTC]."""

    @abc.abstractmethod
    def get_sampling_strategy(self, sensor_name: str) -> tuple[str, ...]:
        """Return the strategy that is remembered for a sensor; ``("none",)`` without one.

        Parameters
        ----------
        sensor_name : str
            As the device has it.
        """

    @abc.abstractmethod
    def set_sampling_strategy(
        self, sensor_name: str, strategy_and_parms: Strategy
    ) -> asyncio.Future[Any]:
        """Set the strategy of a sensor, and remember it.

        Returns
        -------
        Future
            Of ``(True, (strategy, *parameters))``, or of ``(False, text of the error)``.
        """

    @abc.abstractmethod
    def drop_sampling_strategy(self, sensor_name: str) -> None:
        """Forget the strategy of a sensor; what the device does is not changed."""

    @abc.abstractmethod
    def poll_sensor(self, sensor_name: str) -> asyncio.Future[Any]:
        """Ask the device for a reading; return a future that is done when it has come."""

    @abc.abstractmethod
    def reapply_sampling_strategies(self) -> asyncio.Future[Any]:
        """Set all remembered strategies again; return a future that is done when that is so."""
