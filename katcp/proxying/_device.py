"""One device behind a proxy."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from katcp.aio import AttrDict
from katcp.inspecting_client import InspectingClientAsync
from katcp.mirroring import SensorMirror
from katcp.protocol import Message
from katcp.proxying._filters import NameFilter, RequestFilter
from katcp.proxying._settings import ProxiedDevice
from katcp.sensors import Sensor
from katcp.server import DeviceLogger

if TYPE_CHECKING:
    from katcp.proxying._server import ProxyServer

#: Longest time that a device may take to list its versions [s].
_VERSIONS_TIMEOUT = 10.0
#: Arguments of `#log`: level, time, logger, text.
_LOG_ARGUMENTS = 4
#: Most versions that are taken over of a device.
_MOST_VERSIONS = 10_000

DISCONNECTED, CONNECTED, SYNCED = "disconnected", "connected", "synced"


class DeviceLink(SensorMirror):
    """What a proxy has of one device: the connection, and all that is shown because of it.

    Parameters
    ----------
    server : ProxyServer
    settings : ProxiedDevice
        With a name.

    Attributes
    ----------
    settings : ProxiedDevice
    name : str
        What the device is called.
    state : str
        ``disconnected``, ``connected`` or ``synced``: what is shown is in step with the device.
    since : float
        Time of the last change of `state` [seconds since 1970].
    connections : int
        How often there has been a connection.
    versions : dict
        Part of the device -> (version, build or None), as it was said last.
    refusal : str
        Why the device is not shown at all; empty if it is.
    """

    server: ProxyServer

    def __init__(self, server: ProxyServer, settings: ProxiedDevice) -> None:
        self.settings = settings
        self.state = DISCONNECTED
        self.since = time.time()
        self.connections = 0
        self.versions: dict[str, tuple[str, str | None]] = {}
        self.refusal = ""
        self._shows_sensor = NameFilter(settings.sensors, settings.without_sensors)
        name, start = settings.name, f"proxy.{settings.name}."
        about = f"device {name} at {settings.address}"
        self._own = {
            "connected": Sensor.boolean(start + "connected", f"Connected to {about}"),
            "synced": Sensor.boolean(start + "synced", f"In step with {about}"),
            "connections": Sensor.integer(start + "connections", f"Connections so far to {about}"),
            "sensors": Sensor.integer(start + "sensors", f"Sensors shown of {about}"),
            "requests": Sensor.integer(start + "requests", f"Requests offered of {about}"),
            "left-out": Sensor.integer(
                start + "left-out", f"Sensors and requests that cannot be shown of {about}"
            ),
            "version": Sensor.string(start + "version", f"Version of {about}"),
        }
        super().__init__(
            server,
            settings.host,
            settings.port,
            settings.sensor_start,
            requests=RequestFilter(settings.requests, settings.without_requests),
            request_prefix=settings.request_start,
            request_timeout=settings.request_timeout,
            strategy=settings.strategy,
            filter=self._wants_sensor if settings.sensors or settings.without_sensors else None,
            name=settings.name,
            **settings.client_options,
        )
        server.sensors.update(self._own.values())
        self._show()

    # -- names --------------------------------------------------------------------------

    def _wants_sensor(self, name: str, *rest: Any) -> bool:
        return self._shows_sensor(name)

    def wants_request(self, name: str) -> bool:
        """Tell whether a request is wanted; without a prefix, the proxy's own come first."""
        return super().wants_request(name) and not (
            not self.settings.request_start and self.server.is_own_request(name)
        )

    def rewrite_name(self, name: str) -> str | Iterable[str]:
        """Return the name, or names, that a sensor gets here."""
        return _renamed(self.settings.sensor_start, name, self.settings.rename_sensors)

    def rewrite_request(self, name: str) -> str | Iterable[str]:
        """Return the name, or names, that a request gets here."""
        return _renamed(self.settings.request_start, name, self.settings.rename_requests)

    # -- the connection -----------------------------------------------------------------

    def make_client(self) -> InspectingClientAsync:
        """Return the client of the device."""
        client = super().make_client()
        client.on_state = self._on_state
        client.katcp_client.hook_wire_inform("log", self._on_log)
        client.katcp_client.hook_wire_inform("version", self._on_old_version)
        client.katcp_client.hook_wire_inform("build-state", self._on_old_build)
        return client

    def _on_state(self, state: Any) -> None:
        client = self.client
        before = self.state
        if not state.connected:
            self.state = DISCONNECTED
        elif state.synced:
            self.state = SYNCED
        else:
            self.state = CONNECTED
        if self.state == before:
            return
        self.since = time.time()
        if before == DISCONNECTED:
            self.connections += 1
        if self.state != DISCONNECTED and client is not None:
            # At first before anything else is asked: see `_refuse_circle`.
            self._ask_versions(client)
        self._show()

    def absence(self) -> str:
        """Return what a client is told whose request cannot be passed on."""
        about = f"Device {self.name} at {self.settings.address}"
        if self.refusal:
            return f"{about} is not shown: {self.refusal}"
        if self.state != DISCONNECTED:
            return f"{about} has not told yet which requests it has."
        reason = None if self.client is None else self.client.katcp_client.disconnect_reason
        return f"{about} is not connected: {reason}" if reason else f"{about} is not connected."

    def model_changed(self, changes: AttrDict) -> None:
        """Take note of a change of the device."""
        super().model_changed(changes)
        self._show()

    def _show(self) -> None:
        """Set the sensors about the device."""
        ok, bad, wait = Sensor.NOMINAL, Sensor.ERROR, Sensor.WARN
        is_there, in_step = self.state != DISCONNECTED, self.state == SYNCED
        left_out = len(self.left_out) + bool(self.refusal)
        version, build = self.versions.get("katcp-device", ("", None))
        for name, value, status in (
            ("connected", is_there, ok if is_there else bad),
            ("synced", in_step, ok if in_step else wait if is_there else bad),
            ("connections", self.connections, ok),
            ("sensors", len(self.sensors), ok),
            ("requests", len(self.requests), ok),
            ("left-out", left_out, wait if left_out else ok),
            ("version", f"{version} {build or ''}".strip(), ok if version else Sensor.UNKNOWN),
        ):
            sensor = self._own[name]
            if sensor.read()[1:] != (status, value):
                sensor.set_value(value, status)
        self.server.devices_changed()

    def remove(self) -> None:
        """Show the device no more."""
        self.stop()
        with self.server.sensors.batch():
            for sensor in self._own.values():
                self.server.sensors.discard(sensor)
        self.versions = {}
        self._versions_changed()

    # -- versions -----------------------------------------------------------------------

    def _ask_versions(self, client: InspectingClientAsync) -> None:
        """Take over what the device has a version of."""
        listed: dict[str, tuple[str, str | None]] = {}

        def take_one(arguments: list[bytes]) -> None:
            words = [_text(argument) for argument in arguments[:3]]
            if len(words) > 1 and words[0] and len(listed) < _MOST_VERSIONS:
                listed[words[0]] = (words[1], words[2] if len(words) > 2 else None)

        def take_all(reply: Any) -> None:
            if reply.cancelled() or self.client is not client:
                return
            failed = reply.exception() is not None or reply.result()[:1] != [b"ok"]
            greeted = {
                part: (words[0], words[1] if len(words) > 1 else None)
                for part, words in client.katcp_client.versions.items()
                if words
            }
            if not failed or greeted:  # version 4 has told it already
                self.versions = greeted if failed else {**greeted, **listed}
            self._versions_changed()
            self._refuse_circle()

        client.katcp_client.stream_request(
            Message.request("version-list"), take_one, _VERSIONS_TIMEOUT
        ).add_done_callback(take_all)

    def _refuse_circle(self) -> None:
        """Do not show a device that is this proxy itself, or a proxy that shows it.

        Each of its sensors would come back under another name, which would be a new sensor, and
        so on without end.
        """
        own = self.server.proxy_id
        if any(version == own for version, _ in self.versions.values()) and not self.refusal:
            self.refusal = "it is this proxy, or shows it."
            self._logger.error("%s", self.absence())
            self.stop()
            self.versions = {}
            self._versions_changed()

    def _on_old_version(self, arguments: list[bytes]) -> None:
        """Take the version of a device of protocol version 4."""
        if arguments:
            self.versions = {"katcp-device": (_text(arguments[0]), None)}

    def _on_old_build(self, arguments: list[bytes]) -> None:
        if arguments:
            version, _ = self.versions.get("katcp-device", ("unknown", None))
            self.versions = {"katcp-device": (version, _text(arguments[0]))}

    def _versions_changed(self) -> None:
        self.server.show_versions(self.settings.name, self.versions)
        self._show()

    # -- the log ------------------------------------------------------------------------

    def _on_log(self, arguments: list[bytes]) -> None:
        """Hand on a message of the device's log, under the logger of the device."""
        raw_level, stamp, logger, text = (*arguments, b"", b"", b"", b"")[:_LOG_ARGUMENTS]
        level = _LEVELS.get(raw_level, DeviceLogger.WARN)
        if level < self.server.log_level_number:
            return
        client = self.client
        flags = None if client is None else client.katcp_client.protocol_flags
        is_old = flags is not None and flags.major < 5
        try:
            seconds = float(stamp) / (1000 if is_old else 1)
        except ValueError:
            seconds, stamp = time.time(), b""
        if is_old or not stamp or self.server.katcp_major < 5:
            # In the units of those that get it.
            inform = self.server.create_log_inform(DeviceLogger.LEVELS[level], "", "", seconds)
            stamp = inform.arguments[1]
        name = self.name.encode() + (b"." + logger if logger else b"")
        self.server.mass_inform(
            Message.inform("log", DeviceLogger.LEVELS[level], stamp, name, text)
        )


_LEVELS = {name.encode(): number for number, name in enumerate(DeviceLogger.LEVELS)}


def _text(raw: bytes) -> str:
    return raw[:200].decode("utf-8", "backslashreplace")


def _renamed(start: str, name: str, names: Any) -> str | tuple[str, ...]:
    new = names.get(name, name) if names else name
    return start + new if isinstance(new, str) else tuple([start + each for each in new])
