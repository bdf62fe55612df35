"""A reading, and the statuses it can have."""

from __future__ import annotations

from typing import Any, NamedTuple


class Reading(NamedTuple):
    """What a sensor said: when, how trustworthy, what.

    Attributes
    ----------
    timestamp : float
        When the reading was taken, not when it was sent [seconds since 1970, UTC].
    status : int
        One of the status constants of `Sensor`.
    value : object
        Of the sensor's type; only meaningful if the status is nominal, warn or error.
    """

    timestamp: float
    status: int
    value: Any


UNKNOWN, NOMINAL, WARN, ERROR, FAILURE, UNREACHABLE, INACTIVE = range(7)

#: Status -> its name on the wire.
STATUSES: dict[int, str] = {
    UNKNOWN: "unknown",
    NOMINAL: "nominal",
    WARN: "warn",
    ERROR: "error",
    FAILURE: "failure",
    UNREACHABLE: "unreachable",
    INACTIVE: "inactive",
}
STATUS_NAMES: dict[str, int] = {name: status for status, name in STATUSES.items()}
STATUSES_RAW: dict[int, bytes] = {status: name.encode() for status, name in STATUSES.items()}
STATUS_NAMES_RAW: dict[bytes, int] = {name: status for status, name in STATUSES_RAW.items()}

#: Statuses of which the value counts (KATCP guidelines, "sensor status").
VALID_STATUSES = frozenset([NOMINAL, WARN, ERROR])

# Version 4 has only the first five; what came later is "unknown" to it.
_STATUSES_V4 = {**STATUSES_RAW, UNREACHABLE: b"unknown", INACTIVE: b"unknown"}


def status_names(major: int) -> dict[int, bytes]:
    """Return the names that a protocol version has for the statuses."""
    return STATUSES_RAW if major >= 5 else _STATUSES_V4
