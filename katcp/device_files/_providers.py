"""The endpoints of a device that a file describes, and what a change of the file does to them."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

from katcp.device_files._spec import DeviceSpec, EndpointSpec
from katcp.endpoints import (
    DerivedEndpoint,
    Endpoint,
    EndpointHost,
    KeyValueStore,
    Persistence,
    Provider,
    StoreKey,
)
from katcp.sensors import Sensor
from katcp.server import DeviceServer

_CLASSES: dict[str, Any] = {
    "kv_store": KeyValueStore,
    "kv_store_key": StoreKey,
    "derived": DerivedEndpoint,
}


def make_endpoint(spec: EndpointSpec) -> Endpoint:
    """Return an endpoint with what belongs to it.

    Raises
    ------
    TypeError, ValueError
        If an option is bad, or two of them do not go together.
    """
    options = dict(spec.options)
    if spec.endpoints:
        options["endpoints"] = [make_endpoint(one) for one in spec.endpoints]
    made: Endpoint = _CLASSES[spec.module](spec.name, **options)
    return made


@functools.cache
def request_names() -> frozenset[str]:
    """Return the names of the requests that a device with endpoints has besides those of others."""
    return EndpointHost.request_names()


class Trial:
    """A device that is never started, for a look at whether endpoints go together on one.

    Parameters
    ----------
    sensors : iterable of str
        Names of its sensors.
    """

    def __init__(self, sensors: Iterable[str]) -> None:
        device = _Bare("", 0)
        for name in sensors:
            device.add_sensor(Sensor.integer(name))
        self._host = EndpointHost(device)

    def add(self, spec: EndpointSpec) -> None:
        """Add an endpoint, with what belongs to it.

        Raises
        ------
        TypeError, ValueError
            If it cannot be made, or has names that are taken.
        """
        self._host.add(make_endpoint(spec))


class _Bare(DeviceServer):
    def setup_sensors(self) -> None:
        """Make none."""


class Endpoints:
    """The endpoints of a device.

    Parameters
    ----------
    device : DeviceServer
    spec : DeviceSpec

    Raises
    ------
    katcp.storage.StorageError
        If values are to be kept and the file cannot be opened.
    """

    def __init__(self, device: DeviceServer, spec: DeviceSpec) -> None:
        keeping = None
        if spec.persist is not None:
            keeping = Persistence(spec.persist, flush_interval=spec.flush_interval)
        self.host = EndpointHost(device, node=spec.node, database=keeping)
        for provider in spec.providers:
            self.host.add(make_endpoint(provider))

    def change(self, old: DeviceSpec, new: DeviceSpec) -> tuple[list[str], list[str], list[str]]:
        """Become what the file says now; keys that stay hold what they did.

        Returns
        -------
        new, changed, gone : list of str
            Paths of endpoints.
        """
        before = {one.name: one for one in old.providers}
        after = {one.name: one for one in new.providers}
        fresh: list[str] = []
        changed: list[str] = []
        gone = [name for name in before if name not in after]
        for name in gone:
            self.host.remove(name)
        served = {one.name: one for one in self.host.endpoints}
        for name, spec in after.items():
            was = before.get(name)
            if was is None:
                self.host.add(make_endpoint(spec))
                fresh.append(name)
            elif was != spec:
                endpoint = served[name]
                if isinstance(endpoint, Provider) and _alone(was) == _alone(spec):
                    self._change_keys(endpoint, was, spec, fresh, changed, gone)
                else:
                    self._replace(endpoint, was, spec)
                    changed.append(name)
        return fresh, changed, gone

    def _replace(self, endpoint: Endpoint, was: EndpointSpec, spec: EndpointSpec) -> None:
        made = make_endpoint(spec)
        _carry(endpoint, made, was, spec)
        self.host.remove(endpoint)
        self.host.add(made)

    def _change_keys(
        self,
        provider: Provider,
        was: EndpointSpec,
        spec: EndpointSpec,
        fresh: list[str],
        changed: list[str],
        gone: list[str],
    ) -> None:
        before = {one.name: one for one in was.endpoints}
        after = {one.name: one for one in spec.endpoints}
        for name in before:
            if name not in after:
                gone.append(provider.endpoint(name).path)
                provider.remove_endpoint(name)
        for name, one in after.items():
            if before.get(name) == one:
                continue
            made = make_endpoint(one)
            if name not in before:
                provider.add_endpoint(made)
                fresh.append(made.path)
            else:
                endpoint = provider.endpoint(name)
                _carry(endpoint, made, before[name], one)
                provider.remove_endpoint(endpoint)
                provider.add_endpoint(made)
                changed.append(made.path)
        provider.sort_endpoints(list(after))


def _alone(spec: EndpointSpec) -> tuple[Any, ...]:
    return spec.name, spec.module, spec.options


def _carry(old: Endpoint, new: Endpoint, was: EndpointSpec, spec: EndpointSpec) -> None:
    """Have an endpoint, and what belongs to it, hold what those hold that it takes the place of.

    A key that still holds its first value takes the new first value.
    """
    if isinstance(old, StoreKey) and isinstance(new, StoreKey):
        first = make_endpoint(was)
        assert isinstance(first, StoreKey)
        if old.value is not None and old.value != first.value:
            try:
                new.restore(new.raw_value_type.check(old.value), old.set_at)
            except ValueError:
                pass  # it is of another type now
    before = {one.name: one for one in was.endpoints}
    for one in spec.endpoints:
        if one.name in before and isinstance(old, Provider) and isinstance(new, Provider):
            _carry(old.endpoint(one.name), new.endpoint(one.name), before[one.name], one)
