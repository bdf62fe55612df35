"""What a device has, as objects: requests and sensors come and go with those of the device."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from katcp.aio import AsyncEvent, AttrDict, DefaultAttrDict, done, under_way, until_any
from katcp.resource import KATCPDummyRequest, KATCPRequest, KATCPResource, escape_name
from katcp.resource_client._request import KATCPClientResourceRequest
from katcp.resource_client._sensors import KATCPClientResourceSensorsManager


class _Lost(Exception):
    """The connection was lost during a lookup."""


def _dummy() -> KATCPDummyRequest:
    return KATCPDummyRequest(
        {"name": "dummy", "description": "Does nothing.", "timeout_hint": None}
    )


class ResourceContents(KATCPResource):
    """The requests and the sensors of a resource.

    Parameters
    ----------
    dummy_requests : bool
        Whether requests that are not there succeed without doing anything.
    """

    #: Longest time that adding many sensors keeps the loop [s].
    MAX_LOOP_LATENCY = 0.03

    always_allowed_requests: set[str]
    always_excluded_requests: set[str]
    _controlled: bool
    _logger: Any
    _inspecting_client: Any
    _sensor_manager: KATCPClientResourceSensorsManager

    def __init__(self, dummy_requests: bool) -> None:
        super().__init__()
        self._sensor = AttrDict()
        self._req: dict[str, Any] = DefaultAttrDict(_dummy) if dummy_requests else AttrDict()
        # Names that are still to be added; some may be left over when the connection is lost.
        self._sensors_due: dict[str, None] = {}
        self._requests_due: dict[str, None] = {}
        # Strategies and listeners that were asked for by name, also of sensors not yet seen.
        self._sensor_strategy_cache: dict[str, Any] = {}
        self._sensor_listener_cache: dict[str, list[Callable[..., object]]] = defaultdict(list)
        # Listeners of sensors that are gone, for those that come in their place.
        self._orphans: dict[str, list[tuple[Callable[..., object], bool]]] = {}
        # The connection is lost: what was asked of the device will not be answered.
        self._lost = AsyncEvent()

    @property
    def req(self) -> Any:
        """The requests, as attributes and by key, under their names as Python identifiers."""
        return self._req

    @property
    def sensor(self) -> Any:
        """The sensors, as attributes and by key, under their names as Python identifiers.

        Since a sensor may be called ``items``, use ``dict.items(resource.sensor)`` and the like.
        """
        return self._sensor

    async def _update_model(self, model_changes: Any) -> None:
        """Take over what has changed, and what is left of former changes."""
        changes = model_changes or {}
        requests, sensors = changes.get("requests"), changes.get("sensors")
        if requests:
            await self._remove_requests(requests.removed)
        await self._add_requests(requests.added if requests else ())
        if sensors:
            await self._remove_sensors(sensors.removed)
        await self._add_sensors(sensors.added if sensors else ())

    async def _look_up(self, get: Callable[[str], Any], name: str) -> Any:
        """Return the object of a request or sensor; None, with a word in the log, if it fails."""
        if not self._inspecting_client.state.data_synced:
            raise _Lost
        try:
            future = get(name)
            if not future.done():
                # It may wait for a sync that comes only after the present change is dealt with.
                lost = self._lost.until_set()
                try:
                    await until_any(future, lost)
                finally:
                    lost.cancel()
                if not future.done():
                    raise _Lost
            return future.result()
        except _Lost:
            raise
        except Exception:
            if not self._inspecting_client.state.data_synced:
                raise _Lost from None
            self._logger.exception("%s: cannot make an object of %r", self.name, name)
            return None

    def _under_way(self, coroutine: Any) -> asyncio.Future[None]:
        return under_way(coroutine, self._ioloop())

    def _manager(self) -> KATCPClientResourceSensorsManager | None:
        """Return who polls and samples the sensors; None before `start`."""
        return getattr(self, "_sensor_manager", None)

    def _tell_parent(self, method: str, keys: list[str]) -> None:
        if keys and self.parent is not None:
            getattr(self.parent, method)(self, keys)

    # -- requests -----------------------------------------------------------------------

    def _request_factory(
        self, name: str, description: str, timeout_hint: float | None
    ) -> KATCPRequest:
        """Return the object of a request; see `InspectingClientAsync.request_factory`."""
        return KATCPClientResourceRequest(
            {"name": name, "description": description, "timeout_hint": timeout_hint},
            self._inspecting_client,
            self.is_active,
        )

    def _offers(self, key: str) -> bool:
        if key in self.always_excluded_requests:
            return False
        return self._controlled or key in self.always_allowed_requests

    def _add_requests(self, request_keys: Iterable[str]) -> asyncio.Future[None]:
        """Offer requests of the device, by name; return a future that is done when they are."""
        self._requests_due.update(dict.fromkeys(request_keys))
        return self._under_way(self._add_due_requests())

    async def _add_due_requests(self) -> None:
        added = []
        for name in list(self._requests_due):
            key = escape_name(name)
            if self._offers(key):
                try:
                    request = await self._look_up(self._inspecting_client.future_get_request, name)
                except _Lost:
                    break  # the rest is added after the next connection
                if request is not None:
                    self._req[key] = request
                    added.append(key)
            self._requests_due.pop(name, None)
        self._tell_parent("_child_add_requests", added)

    def _remove_requests(self, request_keys: Iterable[str]) -> asyncio.Future[None]:
        """Offer requests no more; return a done future."""
        removed = []
        for name in request_keys:
            self._requests_due.pop(name, None)
            key = escape_name(name)
            if self._req.pop(key, None) is not None:
                removed.append(key)
        self._tell_parent("_child_remove_requests", removed)
        return done(None, self._ioloop())

    # -- sensors ------------------------------------------------------------------------

    def _add_sensors(self, sensor_keys: Iterable[str]) -> asyncio.Future[None]:
        """Take sensors of the device, by name; return a future that is done when they are in.

        Listeners and strategies that were asked for go with them; strategies are not set on the
        device yet.
        """
        self._sensors_due.update(dict.fromkeys(sensor_keys))
        return self._under_way(self._add_due_sensors())

    async def _add_due_sensors(self) -> None:
        added = []
        since = time.monotonic()
        for name in list(self._sensors_due):
            try:
                sensor = await self._look_up(self._inspecting_client.future_get_sensor, name)
            except _Lost:
                break  # the rest is added after the next connection
            if sensor is not None:
                key = escape_name(name)
                self._sensor[key] = sensor
                added.append(key)
                await self._prepare_sensor(key, sensor)
            self._sensors_due.pop(name, None)
            if time.monotonic() - since > self.MAX_LOOP_LATENCY:
                await asyncio.sleep(0)
                since = time.monotonic()
        self._tell_parent("_child_add_sensors", added)

    async def _prepare_sensor(self, key: str, sensor: Any) -> None:
        """Give a new sensor the listeners and the strategy that are meant for it."""
        for listener, reading in self._orphans.pop(key, ()):
            sensor.register_listener(listener, reading=reading)
        for listener in self._sensor_listener_cache.get(key, ()):
            sensor.register_listener(listener, reading=True)
        if key not in self._sensor_strategy_cache:
            return
        strategy = self._sensor_strategy_cache[key]
        manager = self._manager()
        try:
            if manager is None:  # there is nobody else to set it
                await sensor.set_sampling_strategy(strategy)
            elif not manager.remembers(sensor.name):
                manager.remember(sensor.name, strategy)
        except Exception:
            self._logger.exception("%s: cannot sample %r", self.name, sensor.name)

    def _remove_sensors(self, sensor_keys: Iterable[str]) -> asyncio.Future[None]:
        """Take sensors out; return a done future."""
        for name in sensor_keys:
            self._sensors_due.pop(name, None)
        self._drop_sensors([escape_name(name) for name in sensor_keys])
        return done(None, self._ioloop())

    def _drop_sensors(self, keys: Iterable[str]) -> None:
        removed = []
        for key in keys:
            sensor = self._sensor.pop(key, None)
            if sensor is not None:
                removed.append(key)
                # Who listens to a sensor listens to what comes in its place, too.
                listeners = sensor.listeners()
                if listeners:
                    self._orphans[key] = listeners
        self._tell_parent("_child_remove_sensors", removed)
