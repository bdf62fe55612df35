"""`FakeAsyncClient`: a client whose device is part of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from katcp.fake_clients._device import FakeDevice, Handler
from katcp.fake_clients._requests import CLIENT_NAME, FakeClientConnection, FakeKATCPServer
from katcp.fake_clients._sensors import SensorInfo, updated
from katcp.inspecting_client import _InformHookDeviceClient
from katcp.sensors import Sensor


class FakeAsyncClient(_InformHookDeviceClient):
    """An `AsyncClient` that is connected to a device of its own, in this process.

    All of the client is real, and so is the server at the other end; only the socket between
    them is missing. Requests are answered by `request_handlers`. Those that it has no handler
    for are answered as every device does (``?sensor-value``, ``?sensor-sampling``,
    ``?watchdog``, ...), or else succeed: ``!name ok``.

    Parameters are those of `AsyncClient`; host and port are only shown.

    Attributes
    ----------
    request_handlers : dict of str to callable
        By name; called as ``handler(req, msg)``. May be changed at any time.
    fake_sensor_infos : dict of str to tuple
        By name: description, units, type, and parameters. May be changed at any time.
    fake_sensors : dict of str to Sensor
        The sensors that the device has by these. Set their values here.
    fake_server : FakeKATCPServer
        Stands where a server's socket side would.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.request_handlers: dict[str, Handler] = {}
        self.fake_sensor_infos: dict[str, SensorInfo] = {}
        self._sensors: dict[str, Sensor] = {}
        self._infos_seen: dict[str, SensorInfo] = {}
        self.fake_server = FakeKATCPServer()
        self._nowhere = FakeClientConnection(self.fake_server, CLIENT_NAME)
        self._device: FakeDevice | None = None
        super().__init__(*args, **kwargs)

    @property
    def fake_sensors(self) -> dict[str, Sensor]:
        """The device's sensors by name."""
        infos = self.fake_sensor_infos
        if infos != self._infos_seen:
            self._sensors = updated(self._sensors, self._infos_seen, infos)
            self._infos_seen = dict(infos)
        return self._sensors

    @property
    def client_connection(self) -> Any:
        """The device's end of the connection; one that leads nowhere while there is none."""
        if self._device is not None:
            for connection in self._device.connections():
                return connection
        return self._nowhere

    def take_over(self, former: FakeAsyncClient) -> None:
        """Have the device of another fake client, which has been stopped; its values too."""
        self.request_handlers = former.request_handlers
        self._sensors = former.fake_sensors
        self.fake_sensor_infos = former.fake_sensor_infos
        self._infos_seen = dict(former.fake_sensor_infos)

    def fake_device(self) -> FakeDevice:
        """Return the device: the one that is connected, or one that could be."""
        device = self._device
        return device if device is not None and device.running() else FakeDevice(self)

    async def open_transport(self, protocol: asyncio.BufferedProtocol) -> None:
        """Connect to a device in this process."""
        device = FakeDevice(self)
        device.connect(protocol, self.bind_address, self._nowhere.address)
        self._device = device

    def update_fake(
        self,
        handlers: Mapping[str, Handler | None],
        infos: Mapping[str, SensorInfo | None],
    ) -> None:
        """Add to what the device has, or take away (None), and have it say so.

        From that moment on an inspecting client is not synced, until it has inspected the device
        again. Callable from any thread.

        Raises
        ------
        AssertionError
            If a handler has no docstring. Nothing is changed then.
        KatcpSyntaxError, ValueError
            If a sensor cannot be made. Nothing is changed then.
        """
        for handler in handlers.values():
            if handler is not None and not handler.__doc__:
                raise AssertionError(f"Request handler {handler!r} has no docstring.")
        new_infos = _changed(self.fake_sensor_infos, infos)
        sensors = updated(self.fake_sensors, self._infos_seen, new_infos)
        new_handlers = _changed(self.request_handlers, handlers)
        # Changed in place, since managers and tests hold them too.
        _become(self.request_handlers, new_handlers)
        _become(self.fake_sensor_infos, new_infos)
        self._sensors = sensors
        self._infos_seen = dict(new_infos)
        self._announce()

    def _announce(self) -> None:
        device = self._device
        if device is None or not device.running() or device.asyncio_loop.is_closed():
            return  # the next connection finds it as it is then
        try:
            here = asyncio.get_running_loop() is device.asyncio_loop
        except RuntimeError:
            here = False
        if here:
            device.announce()
        else:
            device.asyncio_loop.call_soon_threadsafe(device.announce)


def _changed(present: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    everything = {**present, **changes}
    return {name: value for name, value in everything.items() if value is not None}


def _become(table: dict[str, Any], wanted: Mapping[str, Any]) -> None:
    for name in [name for name in table if name not in wanted]:
        del table[name]
    table.update(wanted)
