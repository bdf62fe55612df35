"""What a snapshot holds: frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class DeviceSnapshot:
    """Which device it was.

    Attributes
    ----------
    address : str
        ``HOST:PORT``.
    versions : mapping of str to tuple of str
        Name -> version and what follows it, as in ``?version-list``: for instance
        ``katcp-device`` -> ``("demo-1.0", "build-7")``.
    protocol : str
        Version and flags of the protocol, such as ``5.1-BIMT``.
    """

    address: str
    versions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    protocol: str = ""


@dataclass(frozen=True)
class SensorSnapshot:
    """A sensor and its reading.

    Attributes
    ----------
    name, description, units, type : str
        As in ``?sensor-list``; `type` is that of the protocol, such as ``discrete``.
    params : tuple of bytes
        Limits of a number, words of a discrete sensor; on the wire, in the form of version 5.
    timestamp : float or None
        When the reading was taken [seconds since 1970, UTC]; None if the device told none.
    status : str
        Such as ``nominal``; ``unknown`` if the device gave no reading.
    value : bytes
        On the wire, in the form of version 5: times in seconds, whatever the device spoke. Empty if
        the device gave no reading.
    """

    name: str
    description: str = ""
    units: str = ""
    type: str = "string"
    params: tuple[bytes, ...] = ()
    timestamp: float | None = None
    status: str = "unknown"
    value: bytes = b""


@dataclass(frozen=True)
class RequestSnapshot:
    """A request and its help.

    Attributes
    ----------
    name, description : str
        As in ``?help``.
    """

    name: str
    description: str = ""


@dataclass(frozen=True)
class Snapshot:
    """The interface of a device and its readings at a time.

    Attributes
    ----------
    device : DeviceSnapshot
    taken : str
        When: a time in UTC as ISO 8601 writes it, such as ``2026-01-01T12:00:00.250Z``.
    sensors : tuple of SensorSnapshot
        Sorted by name.
    requests : tuple of RequestSnapshot
        Sorted by name.
    """

    device: DeviceSnapshot
    taken: str
    sensors: tuple[SensorSnapshot, ...] = ()
    requests: tuple[RequestSnapshot, ...] = ()
