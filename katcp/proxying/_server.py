"""`ProxyServer`: a device that shows others."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from katcp._version import __version__
from katcp.errors import FailReply
from katcp.kattypes import Timestamp
from katcp.protocol import escape
from katcp.proxying._device import SYNCED, DeviceLink
from katcp.proxying._errors import ProxyError
from katcp.proxying._settings import ProxiedDevice, named_devices
from katcp.sensors import Sensor
from katcp.server import AsyncDeviceServer

_MAJOR, _MINOR = (int(part) for part in __version__.split(".")[:2])


class ProxyServer(AsyncDeviceServer):
    """Shows other devices under one address, and is the only client that they have.

    Sensors of device ``dome`` are ``dome.NAME``, its requests ``?dome-NAME``; readings, help texts
    and log messages are passed on. Sensors ``proxy.dome.connected`` and so on tell how the proxy
    stands with it. While it is away its sensors are `unreachable`, with their last values and the
    time of the loss, and requests to it fail at once.

    Parameters
    ----------
    host : str
    port : int
        Address to listen on.
    devices : iterable of ProxiedDevice or str
        What to show; text is ``[NAME=]HOST:PORT``.

    Others are those of `katcp.server.DeviceServer`.

    Raises
    ------
    ProxyError
        If a device cannot be shown as it is asked for, such as two of one name.

    Examples
    --------
    ::

        server = ProxyServer("", 7147, ["dome=dome.example.org:7147", "10.1.2.3:7147"])
        async with server:
            await server.until_synced(timeout=30)
            ...
    """

    VERSION_INFO = ("katcp-proxy", 1, 0)
    BUILD_INFO = ("katcp-proxy", _MAJOR, _MINOR, "")

    #: Makes what the proxy has of a device, of the proxy and a `ProxiedDevice`.
    link_class: ClassVar[type[DeviceLink]] = DeviceLink

    def __init__(
        self,
        host: str,
        port: int,
        devices: Iterable[ProxiedDevice | str] = (),
        **options: Any,
    ) -> None:
        named = named_devices(devices)
        self._devices: dict[str, DeviceLink] = {}
        self._shown_versions: dict[str, list[str]] = {}
        self._counts: dict[str, Sensor] = {}
        super().__init__(host, port, **options)
        self._own_requests = frozenset(self._request_handlers)
        #: Tells this proxy from all others; it is among its versions, so that one that would show
        #: itself by way of others finds out.
        self.proxy_id = uuid.uuid4().hex
        self.extra_versions["proxy-id"] = (self.proxy_id, None)
        for device in named:
            self._devices[device.name] = self.link_class(self, device)
        self.devices_changed()

    def setup_sensors(self) -> None:
        """Make the sensors about all devices together."""
        for name, text in (
            ("devices", "Devices that are shown"),
            ("devices-connected", "Devices that are connected"),
            ("devices-synced", "Devices with which what is shown is in step"),
        ):
            self._counts[name] = Sensor.integer(f"proxy.{name}", text)
            self.add_sensor(self._counts[name])

    # -- devices ------------------------------------------------------------------------

    @property
    def devices(self) -> dict[str, DeviceLink]:
        """The devices, by name."""
        return dict(self._devices)

    def add_device(self, device: ProxiedDevice | str) -> DeviceLink:
        """Show one more device; it is connected to at once if the proxy runs.

        Raises
        ------
        ProxyError
            If its name, or those of its sensors or requests, are taken.
        """
        taken = [link.settings for link in self._devices.values()]
        (named,) = named_devices([device], taken)
        link = self._devices[named.name] = self.link_class(self, named)
        self.devices_changed()
        return link

    def remove_device(self, name: str) -> None:
        """Show a device no more, and disconnect from it.

        Raises
        ------
        ProxyError
            If there is none of that name.
        """
        link = self._devices.pop(name, None)
        if link is None:
            raise ProxyError(f"there is no device {name!r}")
        link.remove()
        self.devices_changed()

    def set_devices(self, devices: Iterable[ProxiedDevice | str]) -> None:
        """Show just these devices; those that are shown already as they should be stay connected.

        Raises
        ------
        ProxyError
            If they cannot be shown as is asked for; nothing has changed then.
        """
        wanted = {device.name: device for device in named_devices(devices)}
        for name, link in list(self._devices.items()):
            if wanted.get(name) != link.settings:
                self.remove_device(name)
        for name, device in wanted.items():
            if name not in self._devices:
                self.add_device(device)

    async def until_synced(self, timeout: float | None = None) -> None:
        """Wait until what is shown is in step with all devices.

        Parameters
        ----------
        timeout : float, optional
            Longest wait for one device [s].

        Raises
        ------
        tornado.gen.TimeoutError
            If it takes longer.
        """
        for link in list(self._devices.values()):
            await link.until_synced(timeout)

    # -- called by devices --------------------------------------------------------------

    def is_own_request(self, name: str) -> bool:
        """Tell whether the proxy answers a request itself."""
        return name in self._own_requests

    @property
    def log_level_number(self) -> int:
        """Level from which on log messages are sent."""
        return self.log.level_from_name(self.log.level_name())

    def devices_changed(self) -> None:
        """Count the devices anew."""
        states = [link.state for link in self._devices.values()]
        away = states.count("disconnected")
        for name, value in (
            ("devices", len(states)),
            ("devices-connected", len(states) - away),
            ("devices-synced", states.count(SYNCED)),
        ):
            complete = Sensor.NOMINAL if value == len(states) else Sensor.WARN
            if self._counts[name].read()[1:] != (complete, value):
                self._counts[name].set_value(value, complete)

    def show_versions(self, device: str, versions: Mapping[str, tuple[str, str | None]]) -> None:
        """List the versions of a device among those of the proxy, as ``DEVICE.PART``."""
        shown = {f"{device}.{part}": version for part, version in versions.items()}
        for name in self._shown_versions.pop(device, ()):
            self.extra_versions.pop(name, None)
        self.extra_versions.update(shown)
        if shown:
            self._shown_versions[device] = list(shown)

    # -- requests -----------------------------------------------------------------------

    def _unknown(self, connection: Any, name: bytes, mid: bytes | None) -> None:
        """Answer a request that there is none of; it may be one of a device that is away."""
        text = name.decode("ascii")
        for link in self._devices.values():
            start = link.settings.request_start
            if start and text.startswith(start) and link.state != SYNCED:
                head = b"!" + name + (b"" if mid is None else b"[" + mid + b"]")
                connection.send(head + b" fail " + escape(link.absence().encode()) + b"\n")
                return
        super()._unknown(connection, name, mid)

    def _links(self, name: str) -> list[DeviceLink]:
        """Return the devices of a request about one, or all.

        Raises
        ------
        FailReply
            If there is none of that name.
        """
        if name and name not in self._devices:
            raise FailReply("Unknown device name.")
        return [link for _, link in sorted(self._devices.items()) if name in ("", link.name)]

    def request_proxy_devices(self, req: Any, name: str = "") -> int:
        r"""List the devices that are shown.

        Parameters
        ----------
        name : str, optional
            Name of a device; all if not given.

        Informs
        -------
        name : str
            Of the device.
        address : str
            ``HOST:PORT`` of the device.
        state : {'disconnected', 'connected', 'synced'}
            Synced if what is shown is in step with the device.
        since : timestamp
            Time of the last change of the state.
        sensors : int
            Number of sensors shown.
        requests : int
            Number of requests offered.
        left_out : int
            Number of sensors and requests that cannot be shown; see ``?proxy-left-out``.
        version : str
            Version of the device, as it says.

        Returns
        -------
        success : {'ok', 'fail'}
        informs : int
            Number of informs sent.

        Examples
        --------
        ::

            ?proxy-devices dome
            #proxy-devices dome 10.1.2.3:7147 synced 1767225600.250000 120 14 0 dome-api-2.1
            !proxy-devices ok 1
        """
        links = self._links(name)
        when = Timestamp()
        for link in links:
            req.inform(
                link.name,
                link.settings.address,
                link.state,
                when.pack(link.since, major=self.katcp_major),
                len(link.sensors),
                len(link.requests),
                len(link.left_out),
                link.versions.get("katcp-device", ("",))[0],
            )
        return len(links)

    def request_proxy_left_out(self, req: Any, name: str = "") -> int:
        r"""List the sensors and requests of devices that cannot be shown.

        Parameters
        ----------
        name : str, optional
            Name of a device; all if not given.

        Informs
        -------
        name : str
            Of the device.
        kind : {'sensor', 'request', 'device'}
            What it is; a device is left out if it is the proxy itself.
        item : str
            Name of the sensor or request, on the device; address of a device.
        reason : str
            Why it cannot be shown.

        Returns
        -------
        success : {'ok', 'fail'}
        informs : int
            Number of informs sent.

        Examples
        --------
        ::

            ?proxy-left-out
            #proxy-left-out dome sensor a\_b Sensor\_name\_'a\_b'\_must\_not\_hold\_spaces.
            !proxy-left-out ok 1
        """
        count = 0
        for link in self._links(name):
            if link.refusal:
                req.inform(link.name, "device", link.settings.address, link.refusal)
                count += 1
            for (kind, item), reason in sorted(link.left_out.items()):
                req.inform(link.name, kind, item, reason)
                count += 1
        return count
