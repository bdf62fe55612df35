"""The device that a file describes, and how it becomes another one when the file changes."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from katcp.device_files._feeds import Surroundings
from katcp.device_files._problems import DeviceFileError
from katcp.device_files._read import read_device_file
from katcp.device_files._requests import make_handler
from katcp.device_files._sources import Sources
from katcp.device_files._spec import DeviceSpec, SensorSpec
from katcp.device_files._target import log
from katcp.device_files._values import judge
from katcp.sensors import TYPE_NUMBERS, VALID_STATUSES, Sensor
from katcp.server import AsyncDeviceServer, ClientConnection

if TYPE_CHECKING:
    from katcp.device_files._providers import Endpoints
    from katcp.endpoints import EndpointHost


class FileDevice(AsyncDeviceServer):
    """A device that a file describes; `device_class` makes subclasses for files.

    Its parameters are those of `AsyncDeviceServer`.

    Attributes
    ----------
    device_path : str
        Of the file.
    device_spec : DeviceSpec
        What it said when it was read last.
    """

    device_path: ClassVar[str] = ""
    device_spec: DeviceSpec

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._sources: Sources | None = None
        self._around: Surroundings | None = None
        self._own_requests: dict[str, Any] = {}
        self._endpoints: Endpoints | None = None
        self._reloading = asyncio.Lock()
        super().__init__(*args, **kwargs)
        self.add_service_task(self._end_sources_with_the_server, name="sources of the sensors")

    def setup_sensors(self) -> None:
        """Make sensors and requests as the file says."""
        spec = self.device_spec
        self.VERSION_INFO = (spec.name, *spec.version)  # type: ignore[misc]  # a device, a file
        for sensor in spec.sensors.values():
            self.add_sensor(make_sensor(sensor))
        for request in spec.requests.values():
            self.add_request(request.name, make_handler(request, self))
        if spec.providers:
            self._make_endpoints(spec)

    def _make_endpoints(self, spec: DeviceSpec) -> None:
        # Devices without endpoints do not load what endpoints need.
        from katcp.device_files._providers import Endpoints

        self._endpoints = Endpoints(self, spec)

    @property
    def endpoint_host(self) -> EndpointHost | None:
        """What serves the endpoints of the file; None as long as it had none."""
        return None if self._endpoints is None else self._endpoints.host

    def client_gone(self, connection: ClientConnection) -> None:
        """Forget a client (called by the socket side)."""
        super().client_gone(connection)
        if self._endpoints is not None:
            self._endpoints.host.client_gone(connection)

    def build_state(self) -> str:
        """Return name and version of the software, as the file says."""
        return self.device_spec.build

    # -- life ---------------------------------------------------------------------------

    def loop_started(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to feed the sensors, in the loop that serves."""
        super().loop_started(loop)
        self._around = Surroundings(self.device_spec.directory, self._value_of)
        self._sources = Sources(self._around)
        self._feed()

    def loop_stopping(self) -> None:
        """End what feeds the sensors."""
        if self._sources is not None:
            self._sources.stop()
            self._sources = None
        super().loop_stopping()

    async def _end_sources_with_the_server(self) -> None:
        """Wait for the end of all that feeds the sensors, so that nothing outlives the server."""
        sources = self._sources
        try:
            await asyncio.Event().wait()
        finally:
            if sources is not None:
                await sources.until_stopped()

    def _feed(self) -> None:
        if self._sources is not None:
            sensors = self.device_spec.sensors
            self._sources.apply(
                {name: (spec, self.get_sensor(name)) for name, spec in sensors.items()}
            )

    def _value_of(self, name: str) -> float:
        return float(self.get_sensor(name).value())

    # -- for the handlers of requests ---------------------------------------------------

    @property
    def around(self) -> Surroundings:
        """Where commands run."""
        assert self._around is not None
        return self._around

    def spec_of(self, name: str) -> SensorSpec:
        """Return what the file says of a sensor."""
        return self.device_spec.sensors[name]

    def renew(self, name: str) -> None:
        """Have the source of a sensor read now."""
        if self._sources is not None:
            self._sources.poke(name)

    # -- changes ------------------------------------------------------------------------

    async def reload(self) -> bool:
        """Read the file again and become what it says now; in the loop that serves.

        Sensors that stay keep their values and the strategies that clients have set, requests
        that are under way go on, and clients are told of what comes and goes. If the file is
        bad, what is wrong is logged, and nothing changes.

        Returns
        -------
        bool
            Whether the file could be used.
        """
        async with self._reloading:
            loop = asyncio.get_running_loop()
            try:
                spec = await loop.run_in_executor(None, read_device_file, self.device_path)
            except DeviceFileError as error:
                for line in error.lines():
                    log.error("%s", line)
                log.error("The device goes on as it was")
                return False
            log.info("%s", self.become(spec))
            return True

    def become(self, spec: DeviceSpec) -> str:
        """Become another device, in the loop that serves; return what has changed, in words."""
        old, self.device_spec = self.device_spec, spec
        self.VERSION_INFO = (spec.name, *spec.version)  # type: ignore[misc]
        if self._around is not None:
            self._around.directory = spec.directory
        changes = []
        with self.sensors.batch() if self.running() else contextlib.nullcontext():
            gone = [name for name in old.sensors if name not in spec.sensors]
            for name in gone:
                self.remove_sensor(name)
            new: list[str] = []
            changed: list[str] = []
            for name, sensor in spec.sensors.items():
                before = old.sensors.get(name)
                if before is None or before.interface != sensor.interface:
                    (new if before is None else changed).append(name)
                    self.add_sensor(make_sensor(sensor))
                elif before != sensor:
                    changed.append(name)
                    _adjust(self.get_sensor(name), before, sensor)
            changes += _told("sensor", new, changed, gone)
            changes += self._change_requests(old, spec)
            changes += self._change_endpoints(old, spec)
            self._feed()
        return f"{self.device_path}: {', '.join(changes) or 'nothing has changed'}"

    def _change_endpoints(self, old: DeviceSpec, spec: DeviceSpec) -> list[str]:
        changes = []
        if self._endpoints is not None:
            changes = _told("endpoint", *self._endpoints.change(old, spec))
            for what, before, after in (
                ("node", old.node, spec.node),
                ("persist", old.persist, spec.persist),
                ("flush-interval", old.flush_interval, spec.flush_interval),
            ):
                if before != after:
                    log.warning("%s: %r is taken up at the next start", self.device_path, what)
        elif spec.providers:
            self._make_endpoints(spec)
            changes = _told("endpoint", [one.name for one in spec.providers], [], [])
        return changes

    def _change_requests(self, old: DeviceSpec, spec: DeviceSpec) -> list[str]:
        gone = [name for name in old.requests if name not in spec.requests]
        for name in gone:
            self.remove_request(name)
        new: list[str] = []
        changed: list[str] = []
        for name, request in spec.requests.items():
            before = old.requests.get(name)
            if before != request:
                (new if before is None else changed).append(name)
                self.add_request(name, make_handler(request, self))
        return _told("request", new, changed, gone)


def _told(what: str, *names: list[str]) -> list[str]:
    words = ("new", "changed", "gone")
    return [
        f"{len(n)} {what}{'s' if len(n) > 1 else ''} {word}"
        for n, word in zip(names, words, strict=True)
        if n
    ]


def make_sensor(spec: SensorSpec) -> Sensor:
    """Return a sensor with its first value."""
    sensor = Sensor(
        TYPE_NUMBERS[spec.kind.name],
        spec.name,
        spec.description or None,
        spec.units,
        list(spec.params),
        None if spec.kind.is_number else spec.initial,
    )
    _set_first(sensor, spec)
    return sensor


def _set_first(sensor: Sensor, spec: SensorSpec) -> None:
    if spec.initial is not None:
        status = spec.status
        if status is None:
            status = judge(spec.initial, spec.nominal, spec.warn, spec.statuses)
        sensor.set_value(spec.initial, status)
    elif spec.status is not None:
        sensor.set_value(sensor.value(), spec.status)


def _adjust(sensor: Sensor, before: SensorSpec, spec: SensorSpec) -> None:
    """Give a sensor that stays what is new of it."""
    if (before.initial, before.status) != (spec.initial, spec.status) and spec.source is None:
        _set_first(sensor, spec)
        return
    reading = sensor.read()
    if before.statuses != spec.statuses and reading.status in VALID_STATUSES:
        status = judge(reading.value, spec.nominal, spec.warn, spec.statuses)
        if status != reading.status:
            sensor.set_value(reading.value, status)


def device_class(path: str | os.PathLike[str]) -> type[FileDevice]:
    """Return the class of the device that a file describes.

    Parameters
    ----------
    path : path-like
        Its name ends with ``.yaml``, ``.yml`` or ``.toml``.

    Raises
    ------
    DeviceFileError
        If the file describes no device.

    Examples
    --------
    ::

        server = device_class("weather.yaml")("127.0.0.1", 7147)
        server.start()
    """
    spec = read_device_file(path)
    body: dict[str, Any] = {
        "__doc__": f"The device of {os.fspath(path)}.",
        "__module__": __name__,
        "device_path": os.fspath(path),
        "device_spec": spec,
    }
    make: Callable[..., type[FileDevice]] = type
    return make(_class_name(spec.name), (FileDevice,), body)


def _class_name(name: str) -> str:
    words = "".join(c if c.isalnum() else " " for c in name).split()
    return "".join(word[:1].upper() + word[1:] for word in words) or "Device"
