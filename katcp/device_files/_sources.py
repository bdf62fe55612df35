"""All sources of a device: which feeds there are, and which sensors each of them feeds."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Mapping
from typing import Any

from katcp.device_files._feeds import CommandFeed, Feed, FileFeed, SignalFeed, Surroundings
from katcp.device_files._remote import DeviceFeed
from katcp.device_files._spec import CommandOutput, FileContent, Reading, SensorSpec, Signal
from katcp.device_files._target import Target
from katcp.sensors import Sensor


class Sources:
    """Feeds the sensors of a device while it runs.

    Parameters
    ----------
    around : Surroundings
    """

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._feeds: dict[Hashable, Feed] = {}
        self._targets: dict[str, Target] = {}
        self._ending: set[asyncio.Task[None]] = set()

    def apply(self, wanted: Mapping[str, tuple[SensorSpec, Sensor]]) -> None:
        """Feed these sensors from now on; what is the same as before goes on as it is.

        Parameters
        ----------
        wanted : mapping
            By name, what the file says of a sensor, and the sensor.
        """
        groups: dict[Hashable, list[Target]] = {}
        targets: dict[str, Target] = {}
        for name, (spec, sensor) in wanted.items():
            if spec.source is None:
                continue
            target = self._targets.get(name)
            if target is None or target.sensor is not sensor or target.spec != spec:
                target = Target(spec, sensor)
            targets[name] = target
            groups.setdefault(_origin(spec.source), []).append(target)
        self._targets = targets
        for origin in self._feeds.keys() - groups.keys():
            self._end(self._feeds.pop(origin))
        for origin, members in groups.items():
            feed = self._feeds.get(origin)
            same = feed is not None and list(feed.targets.values()) == members
            if isinstance(feed, DeviceFeed) and not same:
                self._end(feed)  # it asks for its sensors once, when it begins
                feed = None
            if feed is None:
                feed = self._feeds[origin] = self._make(origin)
                feed.feed(members)
                feed.start()
            elif not same:
                feed.feed(members)
                feed.poke()

    def _end(self, feed: Feed) -> None:
        for task in feed.stop():
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    def _make(self, origin: Any) -> Feed:
        if isinstance(origin, CommandOutput):
            return CommandFeed(self._around, origin)
        if isinstance(origin, FileContent):
            return FileFeed(self._around, origin)
        if isinstance(origin, float):
            return SignalFeed(self._around, origin)
        return DeviceFeed(self._around, origin)

    def poke(self, name: str) -> None:
        """Have the source of a sensor read now."""
        target = self._targets.get(name)
        if target is not None and target.spec.source is not None:
            self._feeds[_origin(target.spec.source)].poke()

    def stop(self) -> None:
        """Feed nothing any more."""
        for feed in self._feeds.values():
            self._end(feed)
        self._feeds.clear()
        self._targets.clear()
        self._around.close()

    async def until_stopped(self) -> None:
        """Stop, and wait until nothing is under way."""
        self.stop()
        if self._ending:
            await asyncio.wait(self._ending)


def _origin(source: Signal | Reading) -> Hashable:
    """Return what sources have in common that are fed together: signals, the time between."""
    return source.every if isinstance(source, Signal) else source.origin
