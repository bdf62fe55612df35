"""Devices that orders are carried out on: their sensors and requests."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from katcp.aio import WaitTimeout
from katcp.errors import KatcpClientDisconnected
from katcp.inspecting_client import InspectingClientAsync, setting_requests
from katcp.orders._orders import AdviseLevel
from katcp.orders._outcome import OrderFailed
from katcp.orders._targets import Condition, until_reading
from katcp.resource import KATCPResourceInactive, escape_name
from katcp.sensors import STATUS_NAMES_RAW, VALID_STATUSES, Reading, Sensor

#: What devices with endpoints say of names that are no endpoints, and of endpoints that cannot be
#: read.
_NO_ENDPOINT, _NOT_READABLE = 102, 306


class _Refused(OrderFailed):
    """A device has said no."""

    def __init__(self, request: str, words: list[str]) -> None:
        # Devices with endpoints add a number, which says what kind of failure it is.
        invalid = words[:1] == ["invalid"]
        detail = f"?{request}: {' '.join(words[1:3])}"
        super().__init__("invalid" if invalid else "refused", detail, permanent=invalid)
        code = words[2] if len(words) > 2 else ""
        self.code = int(code) if code.isascii() and code.isdigit() and len(code) < 6 else None


class ClientTarget:
    """The sensors and requests of a device, by an inspecting client.

    A sensor is read by ``?sensor-value``, and written by the request that is named for it; see
    `katcp.inspecting_client.setting_requests`. If the device has ``?get`` and ``?set``, as devices
    with endpoints do, endpoints are read anew by ``?get`` before, and written by ``?set``.

    Parameters
    ----------
    client : InspectingClientAsync
        It is not started here, nor stopped.
    setters : mapping, optional
        Name of a sensor -> name of the request that writes it, where that cannot be guessed.
    sysctl, message : str or None
        Requests that sysctl orders and message orders become; None: there is none.
    poll : float
        How often to ask for a sensor that somebody waits for, if it is not sampled [s].
    """

    def __init__(
        self,
        client: InspectingClientAsync,
        *,
        setters: Mapping[str, str] | None = None,
        sysctl: str | None = "sysctl",
        message: str | None = "message-execute",
        poll: float = 0.5,
    ) -> None:
        self._client = client
        self._setters = dict(setters or {})
        self._sysctl = sysctl
        self._message = message
        self._poll = poll

    # -- what differs between clients and resources -------------------------------------

    def _sensors(self) -> Iterable[str]:
        return self._client.sensors

    def _requests(self) -> Iterable[str]:
        return self._client.requests

    def _known(self) -> bool:
        """Whether it is known what the device has."""
        return bool(self._client.state.data_synced)

    async def _ask(self, request: str, *arguments: Any) -> tuple[Any, list[Any]]:
        reply, informs = await self._client.simple_request(request, *arguments)
        return reply, informs

    async def _sensor(self, name: str) -> Any:
        return await self._client.future_get_sensor(name)

    def _sampled(self, name: str) -> bool:
        strategy = self._client.sampling.get(name)
        return strategy is not None and strategy[0] != "none"

    def _sensor_name(self, name: str) -> str:
        return name

    # -- the target ---------------------------------------------------------------------

    def has(self, name: str) -> bool:
        """Tell whether the device has such a sensor; True while that is not known."""
        return not self._known() or self._sensor_name(name) in self._sensors()

    async def read(self, name: str, advise: AdviseLevel) -> Reading:
        """Ask the device for the reading of a sensor; that of the client has it then, too.

        Raises
        ------
        OrderFailed
            If it does not answer, or says that the value does not count.
        """
        name = self._sensor_name(name)
        await self._renew(name)
        _, informs = await self._asked("sensor-value", name)
        for inform in informs:
            if len(inform.arguments) >= 5 and inform.arguments[2] == name.encode():
                raw_time, _, _, raw_status, raw_value = inform.arguments[:5]
                break
        else:
            raise OrderFailed("malformed", f"the answer says nothing of {name!r}")
        sensor = await self._sensor(name)
        status = STATUS_NAMES_RAW.get(raw_status, Sensor.UNKNOWN)
        try:
            timestamp = Sensor.TIMESTAMP_TYPE.unpack(raw_time)
            value = raw_value.decode() if sensor is None else sensor.parse_value(raw_value)
        except ValueError as error:
            if status not in VALID_STATUSES:
                raise OrderFailed("status", _bad_status(name, status)) from error
            raise OrderFailed("malformed", str(error)) from error
        if sensor is not None and sensor.read().timestamp != timestamp:
            await self._client.update_sensor(name, raw_time, raw_status, raw_value)
        if status not in VALID_STATUSES:
            raise OrderFailed("status", _bad_status(name, status))
        return Reading(timestamp, status, value)

    def _has_endpoints(self) -> bool:
        return {"get", "set"} <= frozenset(self._requests())

    async def _renew(self, name: str) -> None:
        """Have a device with endpoints read one; its sensor has the last reading otherwise."""
        if not self._has_endpoints():
            return
        try:
            await self._asked("get", name)
        except _Refused as error:
            # Also those have sensors that are no endpoints.
            if error.code not in (_NO_ENDPOINT, _NOT_READABLE):
                raise

    async def write(self, name: str, value: Any, advise: AdviseLevel) -> None:
        """Have the device set a sensor.

        Raises
        ------
        OrderFailed
            If there is no request for that, or the device refuses.
        """
        name = self._sensor_name(name)
        if not self._known():
            raise OrderFailed("disconnected", "it is not known what the device has")
        setter = self._setters.get(name)
        if setter is None and self._has_endpoints():
            try:
                await self._asked("set", name, value)
                return
            except _Refused as error:
                if error.code != _NO_ENDPOINT:
                    raise
        if setter is None:
            candidates = setting_requests(name, tuple(self._sensors()))
            requests = frozenset(self._requests())
            setter = next((each for each in candidates if each in requests), None)
        if setter is None:
            raise OrderFailed(
                "read-only", f"the device has no request that sets {name!r}", permanent=True
            )
        await self._asked(setter, value)

    async def sysctl(self, op_type: str, op_args: str) -> Any:
        """Make the request for it; return False if the device has none, or says ``invalid``."""
        if self._sysctl is None or (self._known() and self._sysctl not in self._requests()):
            return False
        await self._asked(self._sysctl, op_type, op_args)
        return True

    async def message(self, uuid: str) -> Any:
        """Make the request for it.

        Raises
        ------
        OrderFailed
            If the device has none, or refuses.
        """
        if self._message is None or (self._known() and self._message not in self._requests()):
            raise OrderFailed("unknown-message", "the device takes no messages", permanent=True)
        await self._asked(self._message, uuid)

    async def wait_until(self, name: str, condition: Condition) -> Any:
        """Wait until a sensor is as wanted, by its readings if it is sampled, else by asking."""
        name = self._sensor_name(name)
        sensor = await self._sensor(name)
        if sensor is None:
            raise OrderFailed("invalid-point", f"the device has no sensor {name!r}")
        while True:
            try:
                reading = await self.read(name, AdviseLevel.ADVISE)
            except OrderFailed as error:
                if error.permanent:
                    raise
            else:
                if condition(reading.value):
                    return reading
            await self._next_look(name, sensor, condition)

    async def _next_look(self, name: str, sensor: Any, condition: Condition) -> None:
        """Return when it is time to ask again; that is when a reading is as wanted, or in doubt."""
        if not self._sampled(name) or not hasattr(sensor, "attach"):
            await asyncio.sleep(self._poll)
            return
        await until_reading(sensor, condition)

    async def _asked(self, request: str, *arguments: Any) -> tuple[Any, list[Any]]:
        try:
            reply, informs = await self._ask(request, *map(_argument, arguments))
        except WaitTimeout as error:
            raise OrderFailed("timeout", f"?{request}: {error}") from error
        except KatcpClientDisconnected as error:
            raise OrderFailed("disconnected", f"?{request}: {error}") from error
        except KATCPResourceInactive as error:
            raise OrderFailed("inactive", str(error)) from error
        if not reply.reply_ok():
            words = [word.decode("utf-8", "backslashreplace") for word in reply.arguments]
            raise _Refused(request, words)
        return reply, informs


class ResourceTarget(ClientTarget):
    """The sensors and requests of a device, by a resource, such as `katcp.KATCPClientResource`.

    Names of sensors may be as the device has them, or as Python identifiers. Requests that the
    resource does not offer are not made.

    Parameters
    ----------
    resource : KATCPResource
    setters, sysctl, message, poll
        See `ClientTarget`.
    """

    def __init__(
        self,
        resource: Any,
        *,
        setters: Mapping[str, str] | None = None,
        sysctl: str | None = "sysctl",
        message: str | None = "message-execute",
        poll: float = 0.5,
    ) -> None:
        self._resource = resource
        self._setters = dict(setters or {})
        self._sysctl = sysctl
        self._message = message
        self._poll = poll

    def _sensors(self) -> Iterable[str]:
        return [sensor.name for sensor in self._resource.sensor.values()]

    def _requests(self) -> Iterable[str]:
        return [request.name for request in self._resource.req.values()]

    def _known(self) -> bool:
        return bool(getattr(self._resource, "synced", True))

    def _sensor_name(self, name: str) -> str:
        sensor = self._resource.sensor.get(escape_name(name))
        return name if sensor is None else str(sensor.name)

    async def _sensor(self, name: str) -> Any:
        return self._resource.sensor.get(escape_name(name))

    def _sampled(self, name: str) -> bool:
        sensor = self._resource.sensor.get(escape_name(name))
        return sensor is not None and tuple(sensor.sampling_strategy) not in ((), ("none",))

    async def _ask(self, request: str, *arguments: Any) -> tuple[Any, list[Any]]:
        requests = self._resource.req
        asked = requests.get(escape_name(request))
        if asked is None:
            raise OrderFailed(
                "read-only", f"the resource offers no request {request!r}", permanent=True
            )
        answer = await asked(*arguments)
        return answer.reply, list(answer.informs)

    async def read(self, name: str, advise: AdviseLevel) -> Reading:
        """Ask the device for the reading of a sensor; see `ClientTarget.read`."""
        sensor = self._resource.sensor.get(escape_name(name))
        if sensor is None:
            raise OrderFailed("invalid-point", f"there is no sensor {name!r}")
        await self._renew(sensor.name)
        try:
            reading = await sensor.get_reading()
        except WaitTimeout as error:
            raise OrderFailed("timeout", str(error)) from error
        except Exception as error:
            raise OrderFailed("refused", str(error)) from error
        if reading.istatus not in VALID_STATUSES:
            raise OrderFailed("status", _bad_status(name, reading.istatus))
        return Reading(reading.timestamp, reading.istatus, reading.value)

    async def _next_look(self, name: str, sensor: Any, condition: Condition) -> None:
        if self._sampled(name):
            await sensor.wait(
                lambda reading: reading.istatus in VALID_STATUSES and condition(reading.value)
            )
        else:
            await asyncio.sleep(self._poll)


def _argument(value: Any) -> Any:
    """Return a value as `Message.request` takes it: a boolean is 1 or 0 on the wire."""
    return int(value) if isinstance(value, bool) else value


def _bad_status(name: str, status: int) -> str:
    return f"the status of {name!r} is {Sensor.STATUSES.get(status, status)}"
