"""What a device has, asked for by a visitor: sensors, readings, requests, versions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from katcp.protocol import MS_TO_SEC_FAC, SEC_TS_KATCP_MAJOR
from katcp.server import Reception
from katcp.web._parameters import Parameter, parse_usage, usage_in
from katcp.web._visitor import Visitor, to_text

#: Statuses of readings, in the order of their numbers.
STATUSES = ("unknown", "nominal", "warn", "error", "failure", "unreachable", "inactive")

#: How long a device may take to tell what it has [s].
_PATIENCE = 60.0


class Refused(Exception):
    """The device has refused a request; the text is what it said."""


@dataclass(frozen=True)
class SensorInfo:
    """What a sensor is."""

    name: str
    description: str
    units: str
    type: str
    params: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "name": self.name,
            "description": self.description,
            "units": self.units,
            "type": self.type,
            "params": list(self.params),
        }


@dataclass(frozen=True)
class Reading:
    """What a sensor says: time [s since 1970], status, value as on the wire."""

    time: float
    status: str
    value: str

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {"time": self.time, "status": self.status, "value": self.value}


@dataclass(frozen=True)
class RequestInfo:
    """What a request is; `parameters` is None where nothing is known of them."""

    name: str
    description: str
    parameters: list[Parameter] | None
    timeout: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        parameters = self.parameters
        return {
            "name": self.name,
            "description": self.description,
            "parameters": None if parameters is None else [p.as_dict() for p in parameters],
            "timeout_hint": self.timeout,
        }


def readings_in(arguments: Sequence[bytes], major: int) -> Iterable[tuple[str, Reading]]:
    """Read the arguments of a ``#sensor-status`` or ``#sensor-value``; bad ones are left out."""
    try:
        when = float(arguments[0])
    except (IndexError, ValueError):
        return
    if major < SEC_TS_KATCP_MAJOR:
        when *= MS_TO_SEC_FAC
    if not -1e12 < when < 1e12:  # nor is NaN anything that JSON has a word for
        return
    for start in range(2, len(arguments) - 2, 3):
        name, status, value = arguments[start : start + 3]
        yield to_text(name), Reading(when, to_text(status), to_text(value))


async def list_sensors(visitor: Visitor, name: str | None = None) -> dict[str, SensorInfo]:
    """Return the sensors of the device, or the one of that name, in the order of the device.

    Raises
    ------
    Refused, Gone, asyncio.TimeoutError
    """
    found: dict[str, SensorInfo] = {}

    def take(arguments: list[bytes]) -> None:
        name, *rest = map(to_text, arguments)
        description, units, kind, *params = [*rest, "", "", ""][: max(3, len(rest))]
        found[name] = SensorInfo(name, description, units, kind, tuple(params))

    await _ask(visitor, "sensor-list", name, take)
    return found


async def read_sensors(visitor: Visitor, major: int, name: str | None = None) -> dict[str, Reading]:
    """Return the readings of all sensors, or of the one of that name.

    Raises
    ------
    Refused, Gone, asyncio.TimeoutError
    """
    found: dict[str, Reading] = {}
    await _ask(visitor, "sensor-value", name, lambda args: found.update(readings_in(args, major)))
    return found


async def list_requests(
    visitor: Visitor, reception: Reception, name: str | None = None
) -> list[RequestInfo]:
    """Return the requests of the device, or the one of that name.

    Raises
    ------
    Refused, Gone, asyncio.TimeoutError
    """
    hints: dict[str, float] = {}
    if reception.protocol.supports(reception.protocol.REQUEST_TIMEOUT_HINTS):
        answer = await visitor.request("request-timeout-hint", timeout=_PATIENCE)
        for arguments in answer.informs:
            try:
                hint = float(arguments[1])
            except (IndexError, ValueError):
                continue
            if math.isfinite(hint):
                hints[to_text(arguments[0])] = hint
    found: list[RequestInfo] = []

    def take(arguments: list[bytes]) -> None:
        known, text = [*map(to_text, arguments), "", ""][:2]
        usage = reception.usage(known)
        if usage is None:
            usage = usage_in(text)
        parameters = None if usage is None else parse_usage(usage)
        found.append(RequestInfo(known, text, parameters, hints.get(known)))

    await _ask(visitor, "help", name, take)
    return found


async def list_versions(visitor: Visitor, reception: Reception) -> list[list[str]]:
    """Return (name, version, and maybe build) of all that has a version.

    Raises
    ------
    Refused, Gone, asyncio.TimeoutError
    """
    if reception.protocol.major < 5:
        return []
    found: list[list[str]] = []
    await _ask(visitor, "version-list", None, lambda args: found.append([*map(to_text, args)]))
    return found


async def _ask(visitor: Visitor, request: str, name: str | None, take: Any) -> None:
    arguments = () if name is None else (name,)
    answer = await visitor.request(request, *arguments, timeout=_PATIENCE, on_inform=take)
    if not answer.ok:
        raise Refused(answer.text)
