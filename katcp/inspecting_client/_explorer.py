"""What an inspected device offers: asking for it, and objects of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, NamedTuple

from katcp.aio import AttrDict, done, under_way
from katcp.inspecting_client._agenda import EVERYTHING, Plan
from katcp.inspecting_client._hooks import _InformHookDeviceClient
from katcp.inspecting_client._inspection import inspect
from katcp.inspecting_client._model import merged
from katcp.inspecting_client._states import DATA_SYNCED
from katcp.inspecting_client._watcher import SensorKeeper


class RequestType(NamedTuple):
    """A request of the device.

    Attributes
    ----------
    name : str
    description : str
        Help text.
    timeout_hint : float or None
        How long it may take, as the device says [s].
    """

    name: str
    description: str
    timeout_hint: float | None


class Explorer(SensorKeeper):
    """A sensor watcher that can be asked for sensors and requests, also for unknown ones."""

    #: Makes request objects; called with the keywords name, description and timeout_hint. To be
    #: set before connecting.
    request_factory: Callable[..., Any] = RequestType

    def __init__(
        self,
        katcp_client: _InformHookDeviceClient,
        initial_inspection: bool | None,
        logger: logging.Logger,
    ) -> None:
        super().__init__(katcp_client, initial_inspection, logger)
        self._request_objects: dict[str, Any] = {}
        self._update_on_lookup = True

    # -- what there is ------------------------------------------------------------------

    @property
    def sensors(self) -> list[str]:
        """Names of the sensors that are known."""
        return list(self._model.sensors)

    @property
    def requests(self) -> list[str]:
        """Names of the requests that are known."""
        return list(self._model.requests)

    def inspect(self) -> asyncio.Future[AttrDict | None]:
        """Ask for all requests and sensors; return a future of what has changed.

        Returns
        -------
        Future
            Of an ``AttrDict`` with `requests` and `sensors`, where these have changed (each
            with the sets `added` and `removed`), or of None. It fails with `SyncError` if one
            of the two cannot be had; nothing is kept of the other then.
        """
        return under_way(self._inspect(EVERYTHING, self.sync_timeout), self._ioloop)

    def inspect_requests(
        self, name: str | None = None, timeout: float | None = None
    ) -> asyncio.Future[AttrDict | None]:
        """Ask for one request, or all; return a future of what has changed.

        Parameters
        ----------
        name : str, optional
            All if not given. One that the device does not have counts as removed.
        timeout : float, optional
            Time limit [s].

        Returns
        -------
        Future
            Of an ``AttrDict`` with the sets `added` and `removed`, or of None. It fails with
            `SyncError` if the device does not answer, or refuses to.
        """
        plan = Plan(all_requests=True) if name is None else Plan(requests=(name,))
        return under_way(self._inspect_half(plan, timeout, "requests"), self._ioloop)

    def inspect_sensors(
        self, name: str | None = None, timeout: float | None = None
    ) -> asyncio.Future[AttrDict | None]:
        """Ask for one sensor, or all; return a future of what has changed.

        See `inspect_requests`.
        """
        plan = Plan(all_sensors=True) if name is None else Plan(sensors=(name,))
        return under_way(self._inspect_half(plan, timeout, "sensors"), self._ioloop)

    async def _inspect(self, plan: Plan, timeout: float | None) -> AttrDict | None:
        problems: list[str] = []
        findings = await self._converse(inspect(plan, self._has_hints(), problems), timeout)
        self._report(plan, problems)
        changes = self._adopt(findings)
        await self._catch_up()
        return changes

    async def _inspect_half(self, plan: Plan, timeout: float | None, half: str) -> AttrDict | None:
        changes = await self._inspect(plan, timeout)
        return None if changes is None else changes.get(half)

    def future_check_sensor(self, name: str, update: bool | None = None) -> asyncio.Future[bool]:
        """Return a future that tells whether there is such a sensor; see `future_get_sensor`."""
        return under_way(self._check(name, update, "sensors"), self._ioloop)

    def future_check_request(self, name: str, update: bool | None = None) -> asyncio.Future[bool]:
        """Return a future that tells whether there is such a request; see `future_get_sensor`."""
        return under_way(self._check(name, update, "requests"), self._ioloop)

    async def _check(self, name: str, update: bool | None, half: str) -> bool:
        await self._until(DATA_SYNCED)
        if name in getattr(self._model, half):
            return True
        if not (self._update_on_lookup if update is None else update):
            return False
        inspect_one = self.inspect_sensors if half == "sensors" else self.inspect_requests
        changes = await inspect_one(name)
        if changes is not None and self._inspected:
            # Who has looked it up knows of it. Those who add up changes do not: for them it comes
            # with the next ones. (Without an inspection, what there is to know is looked up.)
            self._unannounced = merged(self._unannounced, AttrDict({half: changes}))
        return name in getattr(self._model, half)

    def future_get_sensor(self, name: str, update: bool | None = None) -> asyncio.Future[Any]:
        """Return a future of a sensor object, or of None if there is no such sensor.

        Waits until the model is up to date; in a state callback it may therefore be awaited
        only if ``state.data_synced``.

        Parameters
        ----------
        name : str
        update : bool, optional
            Whether to ask the device for one that is not known; by default yes.

        Returns
        -------
        Future
            Of the object, made by `sensor_factory` and kept until the sensor changes.
        """
        if name in self._model.sensors and self._state.state.data_synced:
            sensor = self._sensors.objects.get(name)
            return done(self._sensor(name) if sensor is None else sensor, self._ioloop)
        return under_way(self._get_sensor(name, update), self._ioloop)

    async def _get_sensor(self, name: str, update: bool | None) -> Any:
        return self._sensor(name) if await self._check(name, update, "sensors") else None

    async def _is_there(self, name: str) -> bool:
        if name not in self._model.sensors:
            # Nobody has asked for the object, so nobody knows of what is found: it is announced
            # with the next changes.
            changes = await self._inspect(Plan(sensors=(name,)), None)
            self._unannounced = merged(self._unannounced, changes)
        return name in self._model.sensors

    def future_get_request(self, name: str, update: bool | None = None) -> asyncio.Future[Any]:
        """Return a future of a request object, or of None if there is no such request.

        See `future_get_sensor`; the object is made by `request_factory`.
        """
        return under_way(self._get_request(name, update), self._ioloop)

    async def _get_request(self, name: str, update: bool | None) -> Any:
        if not await self._check(name, update, "requests"):
            return None
        request = self._request_objects.get(name)
        if request is None:
            text, hint = self._model.requests[name]
            request = self._request_objects[name] = self.request_factory(
                name=name,
                description=text.decode("utf-8", "backslashreplace"),
                timeout_hint=None if hint is None else float(hint),
            )
        return request

    def _objects_changed(self, changes: AttrDict) -> None:
        super()._objects_changed(changes)
        if "requests" in changes:
            for name in changes.requests.removed:
                self._request_objects.pop(name, None)
