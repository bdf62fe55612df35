"""Derived endpoints: values that are computed from those of others."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from katcp.endpoints._codes import (
    EndpointError,
    InvalidValueError,
    RoutingKeyError,
    SubServiceError,
    foreseen,
)
from katcp.endpoints._endpoint import Endpoint
from katcp.endpoints._following import Following, Part, part_of
from katcp.endpoints._lanes import Lane
from katcp.endpoints._spime import Spime
from katcp.endpoints._values import EndpointReading
from katcp.expressions import EvaluationError, Expression, Functions
from katcp.sensors import Sensor

if TYPE_CHECKING:
    from katcp.endpoints._host import EndpointHost

#: Derived endpoints that the present task is reading.
_BEING_READ: contextvars.ContextVar[frozenset[DerivedEndpoint]] = contextvars.ContextVar(
    "being_read", default=frozenset()
)

_UNCALIBRATED = "it cannot be calibrated, or is none of its type"


class DerivedEndpoint(Spime):
    """An endpoint whose value is computed from those of other endpoints and sensors.

    Reading it reads what it is computed from, several at the same time; it fails if one of them
    does (203). Its sensor follows theirs without anything being read. It cannot be set.

    Names in the expression are, in this order, names in the same provider, addresses of endpoints,
    sensors of the device, and addresses on other devices that the host knows; the latter are read
    but not followed. The value of an endpoint is its calibrated one if there is one.

    Parameters
    ----------
    name : str
    expression : str
        With names in braces: ``{inner.temperature} - {outer.temperature}``; see
        `katcp.expressions.Expression`.
    functions : Functions, iterable of callables or mapping, optional
        More functions for the expression.
    type : str
        Of the value; by default ``float``.
    **options
        Those of `Spime`.

    Raises
    ------
    katcp.expressions.ExpressionError
        If the expression is none.

    Examples
    --------
    >>> DerivedEndpoint("power", "{voltage} * {current}", units="W")
    <DerivedEndpoint power>
    """

    kind: ClassVar[str] = "derived"

    def __init__(
        self,
        name: str,
        expression: str,
        *,
        functions: Functions | Sequence[Callable[..., Any]] | None = None,
        type: str = "float",
        **options: Any,
    ) -> None:
        super().__init__(name, type=type, **options)
        self._expression = Expression(expression, variable_names=None, functions=functions)
        self._following: Following | None = None
        #: Names of the expression that are endpoints here.
        self._endpoints: set[str] = set()
        self._busy = 0
        self._newest = 0.0

    @property
    def expression(self) -> str:
        """What it is computed by."""
        return self._expression.text

    @property
    def lane(self) -> Lane:
        """A lane that is free: it asks no hardware.

        It waits for the lanes of others, and two that waited for each other's would do so for good.
        """
        return Lane()

    # -- reading ------------------------------------------------------------------------

    async def on_get(self) -> Any:
        """Read what it is computed from, and compute it; None if something is not known yet.

        Raises
        ------
        SubServiceError
            If something cannot be read, or it is computed from itself.
        InvalidValueError
            If the expression has no result.
        """
        being_read = _BEING_READ.get()
        if self in being_read:
            raise SubServiceError(f"{self.path} is computed from itself")
        before = _BEING_READ.set(being_read | {self})
        # What is read changes sensors that are followed: one result will do, when all is there.
        self._busy += 1
        try:
            found, groups = self._to_be_read()
            if len(groups) == 1:  # the usual case: no task is needed
                parts = await self._ask_in_turn(groups[0])
            else:
                parts = {}
                for some in await asyncio.gather(*map(self._ask_in_turn, groups)):
                    parts.update(some)
        finally:
            self._busy -= 1
            _BEING_READ.reset(before)
        for name, what in found.items():
            # They may have changed again since, while others were read.
            if isinstance(what, Sensor):
                parts[name] = part_of(what)
            elif what is not None and not parts[name].failure:
                parts[name] = _part_of_reading(what.reading)
        return self._compute(parts)

    def taken_at(self, raw: Any) -> float:
        """Return when the newest of what it is computed from was taken."""
        return self._newest or time.time()

    def _to_be_read(self) -> tuple[dict[str, Endpoint | Sensor | None], list[list[str]]]:
        """Return what the names mean, and those together that are read one after another anyway.

        Those that mean too much are in the groups only: to ask them fails.
        """
        found: dict[str, Endpoint | Sensor | None] = {}
        groups: dict[Lane | str | None, list[str]] = {}
        for name in self._expression.variables:
            lane: Lane | str | None = None
            with contextlib.suppress(RoutingKeyError):
                found[name] = what = self._find(name)
                if not isinstance(what, Sensor):
                    lane = name if what is None else what.lane
            groups.setdefault(lane, []).append(name)
        return found, list(groups.values())

    async def _ask_in_turn(self, names: Sequence[str]) -> dict[str, Part]:
        return {name: await self._ask(name) for name in names}

    async def _ask(self, name: str) -> Part:
        """Read one part; what fails is told with the others, when none of them is under way."""
        try:
            found = self._find(name)
            if isinstance(found, Sensor):
                return part_of(found)
            if found is None:
                reading = await self._host_or_fail().get(name)
            else:
                reading = await found.read()
        except Exception as error:
            return Part(None, 0.0, str(foreseen(error)))
        return _part_of_reading(reading)

    def _host_or_fail(self) -> EndpointHost:
        host = self.host
        if host is None:
            raise SubServiceError(f"{self.path} is not served by anything")
        return host

    def _find(self, name: str) -> Endpoint | Sensor | None:
        """Return what a name means here; None if it is nothing here.

        Raises
        ------
        RoutingKeyError
            If it can be more than one.
        """
        host = self._host_or_fail()
        addresses = [name] if self.parent is None else [f"{self.parent.path}.{name}", name]
        ambiguous: RoutingKeyError | None = None
        for address in addresses:
            try:
                return host.find(address)
            except RoutingKeyError as error:
                ambiguous = error if "can be any of" in str(error) else ambiguous
        if ambiguous is not None:
            raise ambiguous
        return host.device.get_sensor(name) if host.device.has_sensor(name) else None

    def _compute(self, parts: Mapping[str, Part]) -> Any:
        for name, part in parts.items():
            if part.failure:
                raise SubServiceError(f"{self.path} needs {name}: {part.failure}")
        values = {name: part.value for name, part in parts.items()}
        self._newest = max((part.timestamp for part in parts.values()), default=0.0)
        try:
            return self._expression.evaluate(values)
        except EvaluationError as error:
            if any(value is None for value in values.values()):
                return None
            shown = ", ".join(f"{name} is {str(value)[:40]}" for name, value in values.items())
            raise InvalidValueError(
                f"{self.path} cannot be computed: {error} ({shown[:300]})"
            ) from None

    # -- following ----------------------------------------------------------------------

    def follow(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have its sensor follow those that it is computed from (called by the host)."""
        if self._following is None:
            device = self._host_or_fail().device
            self._following = Following(device.sensors, self._followed, self._recompute)
            self._following.begin(loop)

    def unfollow(self) -> None:
        """Follow nothing any more (called by the host)."""
        if self._following is not None:
            self._following.end()
            self._following = None

    def _followed(self) -> dict[str, Sensor | None]:
        followed: dict[str, Sensor | None] = {}
        self._endpoints.clear()
        for name in self._expression.variables:
            try:
                found = self._find(name)
            except RoutingKeyError:
                found = None
            if isinstance(found, Endpoint):
                self._endpoints.add(name)
                found = None if found.sensors is None else found.sensors.value
            followed[name] = found
        return followed

    def _recompute(self) -> None:
        following = self._following
        if following is None or self._busy:
            return
        sensors = following.sensors
        if any(sensor is None and self._is_remote(name) for name, sensor in sensors.items()):
            return  # what another device has is known once it is asked
        self._busy += 1  # what is computed from itself stops here
        parts = {name: self._part(name, sensor) for name, sensor in sensors.items()}
        try:
            raw = self._compute(parts)
        except EndpointError as error:
            self._unread(error)
        else:
            with contextlib.suppress(InvalidValueError):  # the status of the sensor tells
                self._take(raw)
        finally:
            self._busy -= 1

    def _part(self, name: str, sensor: Sensor | None) -> Part:
        part = part_of(sensor)
        if name in self._endpoints and sensor is not None and sensor.status() == Sensor.ERROR:
            # Of other sensors the value counts then; those of endpoints show the one before.
            return part._replace(value=None, failure=_UNCALIBRATED)
        return part

    def _is_remote(self, name: str) -> bool:
        host = self.host
        return host is not None and host._elsewhere(name) is not None  # noqa: SLF001  # of this package


def _part_of_reading(reading: EndpointReading) -> Part:
    if reading.status == Sensor.ERROR:
        return Part(None, 0.0, _UNCALIBRATED)
    if reading.status == Sensor.FAILURE:
        return Part(None, 0.0, "it cannot be read")
    return Part(reading.value, reading.timestamp)
