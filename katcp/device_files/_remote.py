"""Sensors of other devices as the source of one's own."""

from __future__ import annotations

import asyncio
from typing import Any

from tornado.util import TimeoutError

from katcp.device_files._feeds import Feed, Surroundings
from katcp.device_files._spec import OtherDevice, Reading
from katcp.device_files._target import Target, extracted, log
from katcp.device_files._values import judge
from katcp.inspecting_client import InspectingClientAsync, SensorWatcher
from katcp.sensors import VALID_STATUSES, Sensor

#: A device that cannot be reached for so long is `unreachable` [s].
_PATIENCE = 2.0


class DeviceFeed(Feed):
    """Has sensors of another device sampled, by one connection; they are shared if need be."""

    def __init__(self, around: Surroundings, origin: OtherDevice) -> None:
        super().__init__(around)
        self._origin = origin
        self._lost = False

    async def run(self) -> None:
        """Follow the device, whatever becomes of it."""
        client = InspectingClientAsync(self._origin.host, self._origin.port)
        watcher = _Watcher(self, client)
        client.connect()
        try:
            while True:
                try:
                    await watcher.until_synced(None if self._lost else _PATIENCE)
                except TimeoutError:
                    self.lost()
                    continue
                self._check(watcher)
                await self._until_changed(client, watcher)
        finally:
            watcher.close()
            await client.stop()

    async def _until_changed(self, client: InspectingClientAsync, watcher: _Watcher) -> None:
        await watcher.changed.wait()
        watcher.changed.clear()
        if not client.connected:
            self.lost()

    def _check(self, watcher: _Watcher) -> None:
        if self._lost:
            self._lost = False
            log.info("%s is back", self._name)
        for target in self.targets.values():
            name = _source(target).name
            if name not in watcher.sensors:
                target.fail(f"{self._name} has no sensor {name!r}")

    @property
    def _name(self) -> str:
        host = f"[{self._origin.host}]" if ":" in self._origin.host else self._origin.host
        return f"{host}:{self._origin.port}"

    def lost(self) -> None:
        """Take note that the device is gone; logged once."""
        if not self._lost:
            self._lost = True
            log.warning("%s cannot be reached", self._name)
        for target in self.targets.values():
            target.mark(Sensor.UNREACHABLE)

    def names(self) -> set[str]:
        """Return the names of the sensors that are wanted."""
        return {_source(target).name for target in self.targets.values()}

    def show(self, sensor: Any, reading: Any) -> None:
        """Pass a reading on to all sensors that want it."""
        for target in self.targets.values():
            if _source(target).name == sensor.name:
                self._show(target, sensor, reading)

    def _show(self, target: Target, sensor: Any, reading: Any) -> None:
        timestamp, status, _ = reading
        if status not in VALID_STATUSES:
            target.mark(status)
            return
        spec = target.spec
        text = sensor.format_reading(reading)[2].decode("utf-8", "replace")
        try:
            value = extracted(text, _source(target).extract, spec.kind)
        except (ValueError, OverflowError) as error:
            target.fail(str(error))
            return
        target.show(value, timestamp)
        # The other device knows better, unless this one promises something by its limits.
        own = judge(value, spec.nominal, spec.warn, spec.statuses)
        if spec.nominal is None and not spec.statuses and own != status:
            target.sensor.set_value(value, status, timestamp)


def _source(target: Target) -> Reading:
    source = target.spec.source
    assert isinstance(source, Reading)
    return source


class _Watcher(SensorWatcher):
    """Watches the sensors that a feed wants."""

    def __init__(self, feed: DeviceFeed, client: InspectingClientAsync) -> None:
        self._feed = feed
        self.changed = asyncio.Event()
        super().__init__(client, "event", logger=log)

    def filter(self, name: str, *info: Any) -> bool:
        """Tell whether a sensor is wanted."""
        return name in self._feed.names()

    def model_changed(self, changes: Any) -> None:
        """Take note of a change."""
        super().model_changed(changes)
        self.changed.set()

    def sensor_added(self, sensor: Any) -> None:
        """Take its reading over."""
        if sensor.status() != Sensor.UNKNOWN:  # which it is before the device has told
            self._feed.show(sensor, sensor.read())

    def sensor_updated(self, sensor: Any, reading: Any) -> None:
        """Take a reading over."""
        self._feed.show(sensor, reading)
        if reading.status == Sensor.UNREACHABLE:
            self.changed.set()
