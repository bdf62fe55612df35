"""Polling and sampling the sensors of one device."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable
from typing import Any

from katcp.aio import failed, under_way
from katcp.protocol import DEFAULT_KATCP_MAJOR
from katcp.resource import (
    KATCPReply,
    KATCPSensor,
    KATCPSensorError,
    KATCPSensorsManager,
    escape_name,
    normalize_strategy_parameters,
)
from katcp.resource_client._request import log

_NONE = ("none",)
#: So many requests are under way at a time. Servers of katcp-python lose some if 300 wait, of all
#: clients together, and clients sync at the same time when a device has restarted.
_AT_A_TIME = 20
#: So many sensors are set by one request at most, and by names of so many characters.
_BULK_NAMES, _BULK_CHARACTERS = 1000, 256 * 1024

#: A strategy and its parameters, as texts.
Params = tuple[str, ...]
#: Whether a strategy was set; it, or the text of the error.
Result = tuple[bool, Any]


class KATCPClientResourceSensorsManager:
    """Polls and samples the sensors of one resource, and remembers their strategies.

    Parameters
    ----------
    inspecting_client : ReplyWrappedInspectingClientAsync
        Has the connection.
    resource_name : str
    logger : logging.Logger
    """

    def __init__(
        self, inspecting_client: Any, resource_name: str, logger: logging.Logger = log
    ) -> None:
        self._inspecting_client = inspecting_client
        ioloop = inspecting_client.ioloop
        #: Returns the time, for readings that come in [seconds since 1970, UTC].
        self.time = time.time if ioloop is None else ioloop.time
        # Sensor, as the device has it -> what it is to be sampled by.
        self._strategy_cache: dict[str, Params] = {}
        self._resource_name = resource_name
        self._logger = logger
        # What the log has been told already: refusals, and sensors that are not there.
        self._refused: dict[str, Params] = {}
        self._missing: set[str] = set()

    @property
    def resource_name(self) -> str:
        """Name of the resource."""
        return self._resource_name

    @property
    def katcp_major(self) -> int:
        """Major version of the protocol that the device speaks."""
        flags = self._inspecting_client.katcp_client.protocol_flags
        return DEFAULT_KATCP_MAJOR if flags is None else flags.major

    def sensor_factory(self, **sensor_description: Any) -> KATCPSensor:
        """Return the object of a sensor; see `InspectingClientAsync.sensor_factory`."""
        return KATCPSensor(sensor_description, self)  # type: ignore[arg-type]  # registered below

    # -- polling ------------------------------------------------------------------------

    def poll_sensor(self, sensor_name: str) -> asyncio.Future[None]:
        """Ask the device for a reading; return a future that is done when it has come.

        Raises
        ------
        KATCPSensorError
            From the future, if the device does not answer, or refuses to.
        """
        return under_way(self._poll(sensor_name), self._loop)

    async def _poll(self, sensor_name: str) -> None:
        reply = await self._inspecting_client.wrapped_request("sensor-value", sensor_name)
        if not reply.succeeded:
            raise KATCPSensorError(f"Cannot poll sensor {sensor_name!r}: {reply}")

    @property
    def _loop(self) -> Any:
        return self._inspecting_client.ioloop

    # -- one strategy -------------------------------------------------------------------

    def get_sampling_strategy(self, sensor_name: str) -> Params:
        """Return the strategy of a sensor as a tuple of texts; ``("none",)`` without one."""
        return self._strategy_cache.get(sensor_name, _NONE)

    def set_sampling_strategy(
        self, sensor_name: str, strategy_and_params: Any
    ) -> asyncio.Future[Result]:
        """Set the strategy of a sensor, and remember it.

        It is set again at every sync, also when the device has refused it: it may come to
        accept it.

        Parameters
        ----------
        sensor_name : str
            As the device has it.
        strategy_and_params : str or sequence
            See `normalize_strategy_parameters`.

        Returns
        -------
        Future
            Of ``(True, (strategy, *parameters))``, or of ``(False, text of the error)``.
        """
        try:
            params = self.remember(sensor_name, strategy_and_params)
            # Goes out at once, so that what is asked next comes after it.
            reply = self._ask((sensor_name,), params)
        except Exception as error:
            return failed(error, self._loop)
        return under_way(self._one_result(sensor_name, params, reply), self._loop)

    async def _one_result(
        self, name: str, params: Params, reply: asyncio.Future[KATCPReply]
    ) -> Result:
        return self._take(name, params, await reply)

    def remember(self, sensor_name: str, strategy_and_params: Any) -> Params:
        """Remember a strategy, to be set at the next sync; return it as a tuple of texts."""
        params = normalize_strategy_parameters(strategy_and_params)
        self._strategy_cache[sensor_name] = params
        return params

    def remembers(self, sensor_name: str) -> bool:
        """Tell whether there is a strategy for a sensor."""
        return sensor_name in self._strategy_cache

    @property
    def strategies(self) -> dict[str, Params]:
        """All strategies that are remembered, by the names of the sensors."""
        return dict(self._strategy_cache)

    def drop_sampling_strategy(self, sensor_name: str) -> None:
        """Forget the strategy of a sensor; what the device does is not changed."""
        self._strategy_cache.pop(sensor_name, None)
        self._refused.pop(sensor_name, None)
        self._missing.discard(sensor_name)

    def drop_escaped(self, python_name: str) -> None:
        """Forget the strategies of sensors by their name as a Python identifier."""
        for name in [name for name in self._strategy_cache if escape_name(name) == python_name]:
            self.drop_sampling_strategy(name)

    # -- many strategies ----------------------------------------------------------------

    def set_sampling_strategies(
        self, sensor_names: Iterable[str], strategy_and_params: Any
    ) -> asyncio.Future[dict[str, Result]]:
        """Set one strategy for many sensors; return a future of the results by name.

        Several sensors are set by one request if the device can do that.
        """
        params = normalize_strategy_parameters(strategy_and_params)
        wanted = {name: self.remember(name, params) for name in sensor_names}
        return under_way(self._apply(wanted), self._loop)

    def reapply_sampling_strategies(self) -> asyncio.Future[None]:
        """Set all remembered strategies again; return a future that is done when that is so.

        What the device refuses is logged once.
        """
        return under_way(self._reapply(), self._loop)

    async def _reapply(self) -> None:
        client = self._inspecting_client
        try:
            known = set(client.sensors)
        except TypeError:  # a stand-in for the client
            known = set()
        due = {}
        for name, params in list(self._strategy_cache.items()):
            if params == _NONE:
                continue
            try:
                there = name in known or await client.future_check_sensor(name, False)
            except Exception:
                self._logger.exception("%s: cannot look for %r", self._resource_name, name)
                continue
            if there:
                due[name] = params
                self._missing.discard(name)
            elif name not in self._missing:
                self._missing.add(name)
                self._logger.warning(
                    "%s: sensor %r is not there to be sampled", self._resource_name, name
                )
        await self._apply(due)

    async def _apply(self, wanted: dict[str, Params]) -> dict[str, Result]:
        """Set strategies; if several at once are refused, one by one."""
        requests = self._requests(wanted)
        results: dict[str, Result] = {}
        while requests:
            window, requests = requests[:_AT_A_TIME], requests[_AT_A_TIME:]
            replies = [self._ask(names, params) for names, params in window]
            for (names, params), future in zip(window, replies, strict=True):
                try:
                    reply = await future
                except Exception as error:
                    self._logger.exception("%s: cannot sample %s", self._resource_name, names)
                    results.update(dict.fromkeys(names, (False, str(error))))
                    continue
                if not reply.succeeded and len(names) > 1:
                    requests += [((name,), params) for name in names]
                    continue
                for name in names:
                    results[name] = self._take(name, params, reply)
        return results

    def _requests(self, wanted: dict[str, Params]) -> list[tuple[tuple[str, ...], Params]]:
        flags = self._inspecting_client.katcp_client.protocol_flags
        if flags is None or flags.bulk_set_sensor_sampling is not True:
            return [((name,), params) for name, params in wanted.items()]
        groups: dict[Params, list[str]] = {}
        for name, params in wanted.items():
            groups.setdefault(params, []).append(name)
        requests: list[tuple[tuple[str, ...], Params]] = []
        for params, names in groups.items():
            begin = size = 0
            for i, name in enumerate(names):
                size += len(name) + 1
                if i > begin and (i - begin >= _BULK_NAMES or size > _BULK_CHARACTERS):
                    requests.append((tuple(names[begin:i]), params))
                    begin, size = i, len(name) + 1
            requests.append((tuple(names[begin:]), params))
        return requests

    def _ask(self, names: tuple[str, ...], params: Params) -> asyncio.Future[KATCPReply]:
        client = self._inspecting_client
        # Setting many takes a device longer than setting one.
        limit = {"timeout": client.sync_timeout} if len(names) > 1 else {}
        future: asyncio.Future[KATCPReply] = client.wrapped_request(
            "sensor-sampling", ",".join(names), *params, **limit
        )
        return future

    def _take(self, name: str, params: Params, reply: KATCPReply) -> Result:
        if reply.succeeded:
            self._refused.pop(name, None)
            return True, params
        text = f"Cannot set strategy {' '.join(params)!r} of sensor {name!r}: {reply}"
        # What fails since the connection is gone is no refusal; the next sync sets it.
        if self._inspecting_client.connected and self._refused.get(name) != params:
            self._refused[name] = params
            self._logger.warning("%s: %s", self._resource_name, text)
        return False, text


KATCPSensorsManager.register(KATCPClientResourceSensorsManager)
