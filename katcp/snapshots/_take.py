"""Taking a snapshot: what has to be asked of a device, and how its answers are read."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from katcp.client import AsyncClient
from katcp.errors import KatcpClientDisconnected, KatcpClientError
from katcp.kattypes import decode_float
from katcp.protocol import SEC_TS_KATCP_MAJOR, Message
from katcp.snapshots._model import DeviceSnapshot, RequestSnapshot, SensorSnapshot, Snapshot

#: Requests under way at once.
_AT_ONCE = 64
#: The client forgets a request this much later than whoever waits for its reply [s].
_MARGIN = 1.0

Progress = Callable[[str, int, "int | None"], object]


class SnapshotRefusedError(KatcpClientError):
    """The device refused a request without which there is no snapshot."""


class SnapshotTimeoutError(KatcpClientError):
    """The device did not answer in time."""


async def take_snapshot(
    client: AsyncClient, *, timeout: float = 30.0, on_progress: Progress | None = None
) -> Snapshot:
    """Ask a device for its whole interface and its present readings.

    A device may lack ``?version-list``: versions are then those of its greeting; and readings of
    all sensors at once: they are then asked for one by one. A sensor that cannot be read is in the
    snapshot without a reading.

    Parameters
    ----------
    client : AsyncClient
        Connected.
    timeout : float
        How long to wait for the reply of each request [s].
    on_progress : function, optional
        Called, at every answer, with what is asked for (``"sensors"``, ``"readings"``,
        ``"requests"``), how many have come, and how many there will be, or None if nobody knows.

    Raises
    ------
    SnapshotRefusedError
        If the device lists no sensors, or no requests.
    SnapshotTimeoutError
    KatcpClientDisconnected
        If there is no connection, or it is lost meanwhile.
    """
    asking = _Asking(client, timeout, on_progress)
    sensors = await asking.sensors()
    sensors = await asking.readings(sensors)
    requests = await asking.requests()
    device = DeviceSnapshot(
        client.bind_address_string, await asking.versions(), str(client.protocol_flags or "")
    )
    return Snapshot(device, _now(), tuple(sensors), tuple(requests))


def _now() -> str:
    moment = time.time()
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment))
    return f"{text}.{int(moment % 1 * 1000):03d}Z"


class _Asking:
    def __init__(self, client: AsyncClient, timeout: float, on_progress: Progress | None) -> None:
        self._client = client
        self._timeout = timeout
        self._on_progress = on_progress or (lambda what, done, total: None)
        flags = client.protocol_flags
        self._in_seconds = flags is None or flags.major >= SEC_TS_KATCP_MAJOR

    async def _ask(
        self, name: str, *arguments: str, what: str = "", total: int | None = None
    ) -> tuple[Message, list[Message]]:
        """Send a request; return its reply and its informs."""
        if not self._client.is_connected():
            raise KatcpClientDisconnected(f"Not connected to {self._client.bind_address_string}")
        future: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        informs: list[Message] = []

        def take(inform: Message) -> None:
            informs.append(inform)
            if what:
                self._on_progress(what, len(informs), total)

        def finish(reply: Message) -> None:
            if future.done():
                return
            if self._client.is_connected():
                future.set_result(reply)
            else:  # the client has made this reply up
                lost = f"Connection to {self._client.bind_address_string} lost"
                future.set_exception(KatcpClientDisconnected(lost))

        self._client.callback_request(
            Message.request(name, *arguments), finish, take, timeout=self._timeout + _MARGIN
        )
        try:
            reply = await asyncio.wait_for(future, self._timeout)
        except asyncio.TimeoutError:
            text = f"No reply to ?{name} within {self._timeout:g} s"
            raise SnapshotTimeoutError(text) from None
        return reply, informs

    async def _ask_ok(self, name: str, what: str) -> list[Message]:
        reply, informs = await self._ask(name, what=what)
        if not reply.reply_ok():
            reason = " ".join(_texts(reply.arguments))
            raise SnapshotRefusedError(f"?{name} was refused: {reason}")
        return informs

    async def sensors(self) -> list[SensorSnapshot]:
        """Return the sensors, without readings."""
        found: dict[str, SensorSnapshot] = {}
        for inform in await self._ask_ok("sensor-list", "sensors"):
            words = _texts(inform.arguments[:4])
            name, description, units, kind = (*words, *[""] * (4 - len(words)))
            if name:
                params = tuple(self._value(raw, kind) for raw in inform.arguments[4:])
                found[name] = SensorSnapshot(name, description, units, kind or "string", params)
        return [found[name] for name in sorted(found)]

    async def readings(self, sensors: Sequence[SensorSnapshot]) -> list[SensorSnapshot]:
        """Return the sensors with their readings."""
        if not sensors:
            return []
        known = {sensor.name: sensor for sensor in sensors}
        missing = set(known)
        reply, informs = await self._ask("sensor-value", what="readings", total=len(sensors))
        if reply.reply_ok():
            missing -= self._take_readings(informs, known)
        allowed = asyncio.Semaphore(_AT_ONCE)

        async def read(name: str) -> None:
            async with allowed:
                reply, informs = await self._ask("sensor-value", name)
            if reply.reply_ok():
                self._take_readings(informs, known)
            missing.discard(name)
            self._on_progress("readings", len(known) - len(missing), len(known))

        tasks = [asyncio.ensure_future(read(name)) for name in sorted(missing)]
        try:
            for task in tasks:
                await task
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return list(known.values())

    def _take_readings(
        self, informs: Sequence[Message], known: dict[str, SensorSnapshot]
    ) -> set[str]:
        """Put readings to the sensors; return the names of those that have one now."""
        names = set()
        for inform in informs:
            moment = self._time(inform.arguments[0]) if inform.arguments else None
            rest = inform.arguments[2:]
            for raw_name, raw_status, value in zip(
                rest[0::3], rest[1::3], rest[2::3], strict=False
            ):
                name, status = _texts((raw_name, raw_status))
                sensor = known.get(name)
                if sensor is not None:
                    value = self._value(value, sensor.type)
                    known[name] = replace(sensor, timestamp=moment, status=status, value=value)
                    names.add(name)
        return names

    def _time(self, raw: bytes) -> float | None:
        try:
            number = decode_float(raw)
        except ValueError:
            return None
        return number if self._in_seconds else number / 1000

    def _value(self, raw: bytes, kind: str) -> bytes:
        """Return a value in the form of version 5."""
        if kind != "timestamp" or self._in_seconds:
            return raw
        moment = self._time(raw)
        return raw if moment is None else repr(moment).encode()

    async def requests(self) -> list[RequestSnapshot]:
        """Return the requests."""
        found = {}
        for inform in await self._ask_ok("help", "requests"):
            name, text = (*_texts(inform.arguments[:2]), "", "")[:2]
            if name:
                found[name] = RequestSnapshot(name, text)
        return [found[name] for name in sorted(found)]

    async def versions(self) -> dict[str, tuple[str, ...]]:
        """Return what has which version; a device of version 4 tells only in its greeting."""
        reply, informs = await self._ask("version-list")
        if reply.reply_ok():
            listed = [_texts(inform.arguments) for inform in informs]
            return {words[0]: tuple(words[1:]) for words in listed if words}
        return {
            _text(name): tuple(_text(part) for part in parts)
            for name, parts in self._client.versions.items()
        }


def _texts(arguments: Sequence[bytes]) -> list[str]:
    return [_text(argument) for argument in arguments]


def _text(raw: object) -> str:
    return raw.decode("utf-8", "backslashreplace") if isinstance(raw, bytes) else str(raw)
