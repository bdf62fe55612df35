"""What a proxy is told about a device: where it is, what it is called, what is shown of it."""

from __future__ import annotations

import dataclasses
import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from katcp.proxying._errors import ProxyError
from katcp.proxying._filters import NameFilter, RequestFilter

#: Names that stand before what is the proxy's own.
RESERVED = frozenset({"proxy", "server"})
#: Port of a device whose address has none.
DEFAULT_PORT = 7147

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._\-]*", re.ASCII)
_PREFIX = re.compile(r"([A-Za-z0-9][A-Za-z0-9._\-]*)?", re.ASCII)
_REQUEST_PREFIX = re.compile(r"([A-Za-z][A-Za-z0-9\-]*)?", re.ASCII)
_NOT_IN_REQUESTS = re.compile(r"[^a-zA-Z0-9\-]", re.ASCII)
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_\-]+", re.ASCII)

#: New name of a sensor or request, or several.
NewNames = str | tuple[str, ...]


@dataclass(frozen=True)
class ProxiedDevice:
    """A device that a proxy shows.

    Attributes
    ----------
    host : str
    port : int
    name : str
        What it is called: letters, digits, ``.``, ``-`` and ``_``, a letter first. If empty, one
        is made of the address (`named_devices`).
    prefix : str, optional
        Comes before the names of its sensors; by default its name and ``.``. May be empty.
    request_prefix : str, optional
        Comes before the names of its requests; by default its name and ``-``, with ``-`` for what
        may not stand in them, or nothing if `prefix` is empty.
    sensors, without_sensors : tuple of str
        Patterns of the names, on the device, of sensors to show, all if there are none, and of
        sensors to leave out; see `NameFilter`.
    requests, without_requests : tuple of str
        The same for requests; see `RequestFilter`.
    rename_sensors, rename_requests : mapping
        Names on the device to names, or tuples of names, that stand behind the prefix in their
        place.
    strategy : str or tuple
        How the device is asked to send readings, as for `katcp.inspecting_client.SensorWatcher`.
    request_timeout : float
        How long it may take for a request that it gives no longer hint for [s].
    client_options : mapping
        For the `katcp.inspecting_client.InspectingClientAsync`, such as `ssl_context`.

    Raises
    ------
    ProxyError
        If one of these cannot be.
    """

    host: str
    port: int = DEFAULT_PORT
    name: str = ""
    prefix: str | None = None
    request_prefix: str | None = None
    sensors: tuple[str, ...] = ()
    without_sensors: tuple[str, ...] = ()
    requests: tuple[str, ...] = ()
    without_requests: tuple[str, ...] = ()
    rename_sensors: Mapping[str, NewNames] = field(default_factory=dict)
    rename_requests: Mapping[str, NewNames] = field(default_factory=dict)
    strategy: Any = "event"
    request_timeout: float = 5.0
    client_options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check it."""
        if not self.host:
            raise ProxyError("the address of a device has no host")
        if not 0 < self.port < 65536:
            raise ProxyError(f"{self.port} is no port")
        if self.name:
            check_name(self.name)
        if self.prefix is not None and not _PREFIX.fullmatch(self.prefix):
            raise ProxyError(f"{self.prefix!r} cannot begin the name of a sensor")
        if self.request_prefix is not None and not _REQUEST_PREFIX.fullmatch(self.request_prefix):
            raise ProxyError(f"{self.request_prefix!r} cannot begin the name of a request")
        if self.request_timeout <= 0:
            raise ProxyError(f"a time limit must be positive, not {self.request_timeout:g} s")
        NameFilter(self.sensors, self.without_sensors)
        RequestFilter(self.requests, self.without_requests)

    @property
    def address(self) -> str:
        """The address, as ``HOST:PORT``."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def sensor_start(self) -> str:
        """What comes before the names of its sensors."""
        return f"{self.name}." if self.prefix is None else self.prefix

    @property
    def request_start(self) -> str:
        """What comes before the names of its requests."""
        if self.request_prefix is not None:
            return self.request_prefix
        if self.prefix is not None:
            # What ends in `.` ends in `-`: `left.` makes `?left-heat`.
            return _NOT_IN_REQUESTS.sub("-", self.prefix)
        return _NOT_IN_REQUESTS.sub("-", self.name) + "-"

    @classmethod
    def parse(cls, text: str, **options: Any) -> ProxiedDevice:
        """Read ``[NAME=]HOST[:PORT]``; an empty NAME means no prefix.

        Parameters
        ----------
        text : str
            An IPv6 address stands in brackets: ``dome=[fd00::17]:7147``.
        **options : object
            Other attributes.

        Raises
        ------
        ProxyError
            If it is not of that form.

        Examples
        --------
        >>> ProxiedDevice.parse("dome=dome.example.org:7148").sensor_start
        'dome.'
        """
        name, equals, address = text.strip().rpartition("=")
        host, port = parse_address(address)
        if equals and not name:
            options.setdefault("prefix", "")
        return cls(host, port, name, **options)


def parse_address(text: str) -> tuple[str, int]:
    """Read ``HOST[:PORT]``, with an IPv6 address in brackets.

    Raises
    ------
    ProxyError
        If it is not of that form.
    """
    found = re.fullmatch(r"(?:\[([^\[\]]*)\]|([^:\[\]\s]*))(?::([0-9]{1,5}))?", text)
    host = found and (found[1] or found[2])
    if found is None or not host:
        raise ProxyError(f"{text!r} is no address: HOST:PORT is wanted, or NAME=HOST:PORT")
    port = int(found[3]) if found[3] else DEFAULT_PORT
    if not 0 < port < 65536:
        raise ProxyError(f"{text!r} has no port from 1 to 65535")
    return host, port


def check_name(name: str) -> None:
    """Look whether a device may be called so.

    Raises
    ------
    ProxyError
        If not.
    """
    if not _NAME.fullmatch(name):
        raise ProxyError(
            f"a device cannot be called {name!r}: letters, digits, '.', '-' and '_' are allowed, "
            "a letter first"
        )
    if name.lower() in RESERVED:
        raise ProxyError(f"a device cannot be called {name!r}: that stands before the proxy's own")


def _made_names(device: ProxiedDevice) -> tuple[str, str]:
    """Return a short name made of an address, if there is one, and a long one."""
    host, port = device.host, device.port
    words = _NOT_IN_NAMES.sub("-", host).strip("-")
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        first = host.partition(".")[0]
        long = f"{words}-{port}" if _NAME.fullmatch(words) else f"host-{words}-{port}"
        short = "" if first == "localhost" or first.lower() in RESERVED else first
        return (short if _NAME.fullmatch(short) else long), long
    long = f"ip-{words}-{port}"
    return long, long


def named_devices(
    devices: Iterable[ProxiedDevice | str], taken: Iterable[ProxiedDevice] = ()
) -> list[ProxiedDevice]:
    """Return devices with a name each, and see that no two have the same.

    A device without a name is called by the first part of its host's name: ``dome`` for
    ``dome.example.org:7147``. If that is ambiguous, or it is an IP address or ``localhost``, it is
    called by the whole address: ``dome-example-org-7147``, ``ip-10-1-2-3-7147``. So names do not
    depend on what a device says, or on whether it is there.

    Parameters
    ----------
    devices : iterable of ProxiedDevice or str
        Text is read by `ProxiedDevice.parse`.
    taken : iterable of ProxiedDevice
        Others that have their names already.

    Raises
    ------
    ProxyError
        For two devices of one name, or whose requests or sensors would have the same names.
    """
    all_devices = [
        ProxiedDevice.parse(device) if isinstance(device, str) else device for device in devices
    ]
    given = [device.name for device in (*taken, *all_devices) if device.name]
    short = [_made_names(device)[0] for device in all_devices if not device.name]
    named = []
    for device in all_devices:
        if not device.name:
            name, long_name = _made_names(device)
            if (given + short).count(name) > 1:
                name = long_name
            device = dataclasses.replace(device, name=name)
        named.append(device)
    known: dict[tuple[str, str], ProxiedDevice] = {}
    for device in (*taken, *named):
        marks = [("name", _NOT_IN_REQUESTS.sub("-", device.name))]
        # Several devices without a prefix may well have different sensors and requests.
        marks += [("sensors", device.sensor_start)] if device.sensor_start else []
        marks += [("requests", device.request_start)] if device.request_start else []
        for mark in marks:
            other = known.setdefault(mark, device)
            if other is not device:
                raise ProxyError(
                    f"{other.address} and {device.address} would have the same names, as both are "
                    f"called {mark[1]!r}: call one of them otherwise by NAME=HOST:PORT"
                )
    return named
