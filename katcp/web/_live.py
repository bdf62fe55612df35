"""One page that is open: what it is told over its WebSocket, and what it asks for.

Operations wanted: the page has every sensor, and hears of each update soon; the device's updates
may come much faster than the page, or the network to it, can take; the answers to requests and
the log are not to be lost meanwhile, and nothing may grow without bound.

Plan: a message is sent when the one before it has been taken. Meanwhile readings collect in a
dictionary, of which each sensor has one entry, the newest; log lines collect in a queue of
bounded length, and the page is told how many are missing; what belongs to requests collects in a
list, and when that is long, nothing more is taken from the device. The device then treats this
visitor as any client that is slow, and drops it in the end.
"""

from __future__ import annotations

import asyncio
import collections
import json
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol

from katcp.aio import event_within
from katcp.protocol import WireMessage
from katcp.server import Reception
from katcp.web._inventory import (
    Reading,
    Refused,
    RequestInfo,
    SensorInfo,
    list_requests,
    list_sensors,
    list_versions,
    read_sensors,
    readings_in,
)
from katcp.web._log_tail import LogLine, log_line
from katcp.web._visitor import Gone, Visitor, to_text

log = logging.getLogger("katcp.web")

#: Updates go out this often at most [s].
_INTERVAL = 0.1
#: Something is sent this often at least, so that the page can tell silence from loss [s].
_TICK = 2.0
#: After changes of the interface this long is waited for further ones [s].
_SETTLE = 0.3
#: A page that takes nothing for so long is dropped [s].
_STALL = 30.0
#: Readings, sensors or log lines in one message; sensors in one ``?sensor-sampling``.
_PIECE = 1000
#: Log lines that wait for the page.
_MAX_LOG = 1000
#: Of what belongs to requests, more than this may not wait for the page [bytes].
_MAX_WAITING = 4 * 1024 * 1024
#: Requests of one page that are under way.
_MAX_CALLS = 16
#: Informs of one request that the page is given; of the others it is told the number.
_MAX_INFORMS = 5000
#: Sensors that the device does not report of its own accord are asked for so often [s].
_POLL = 2.0


class House(Protocol):
    """What a page needs to know of the server of pages."""

    def describe_clients(self) -> list[dict[str, Any]]:
        """Return all clients of the device, for JSON."""

    def log_lines(self, visitor: Visitor) -> list[LogLine]:
        """Return the last log lines, if the visitor may have them."""

    @property
    def reception(self) -> Reception:
        """The device's door."""

    @property
    def title(self) -> str:
        """What the device is called."""

    def count_spared(self, number: int) -> None:
        """Take note of readings that a page was not sent since newer ones followed."""


class LivePage:
    """The server's side of one page.

    Parameters
    ----------
    house : House
    send : callable
        Sends a text; what it returns is done when it has been taken.
    drop : callable
        Ends the WebSocket, with a reason.
    peername, peercert
        As for `Visitor`.

    Raises
    ------
    RuntimeError
        If the device is not served now.
    """

    def __init__(
        self,
        house: House,
        send: Callable[[str], Awaitable[None]],
        drop: Callable[[str], object],
        peername: tuple[str, int],
        peercert: dict[str, Any] | None,
    ) -> None:
        self._house = house
        self._reception = house.reception
        self._major = self._reception.protocol.major
        self._send_text = send
        self._drop = drop
        self._sensors: dict[str, SensorInfo] = {}
        self._requests: list[RequestInfo] = []
        #: What waits to be sent; see above.
        self._out: collections.deque[str] = collections.deque()
        self._out_size = 0
        self._readings: dict[str, Reading] = {}
        self._log: collections.deque[LogLine] = collections.deque()
        self._log_lost = 0
        self._wake = asyncio.Event()
        self._urgent = asyncio.Event()
        self._sensors_changed = True
        self._requests_changed = True
        self._changed = asyncio.Event()
        self._polled: set[str] = set()
        self._calls: set[asyncio.Task[None]] = set()
        self._asked_clients: asyncio.Task[None] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._ended = False
        self.visitor = Visitor(
            self._reception,
            peername,
            peercert=peercert,
            on_inform=self._take_inform,
            on_lost=self._lost,
        )

    def start(self) -> None:
        """Begin to tell the page of the device."""
        for work in (self._keep_sending(), self._keep_in_step(), self._keep_polling()):
            self._tasks.append(asyncio.ensure_future(self._guarded(work)))

    def end(self) -> None:
        """End: the page has gone, or is to go."""
        if self._ended:
            return
        self._ended = True
        self.visitor.close()
        for task in [*self._tasks, *self._calls, *filter(None, [self._asked_clients])]:
            task.cancel()

    def dismiss(self, reason: str) -> None:
        """End, and tell the page why."""
        self._lost(reason)

    async def _guarded(self, work: Any) -> None:
        try:
            await work
        except asyncio.CancelledError:
            raise
        except Gone as error:
            self._lost(str(error))
        except Exception:
            log.exception("A page of %s failed", self.visitor.address)
            self._drop("The server has failed on this page; its log says why.")
            self.end()

    # -- from the device ----------------------------------------------------------------

    def _lost(self, reason: str) -> None:
        if not self._ended:
            self._drop(reason)
            self.end()

    def _take_inform(self, event: WireMessage) -> None:
        name = event.name
        if name == b"sensor-status":
            readings = self._readings
            for sensor, reading in readings_in(event.arguments, self._major):
                if sensor in readings:
                    self._house.count_spared(1)
                readings[sensor] = reading
            self._wake.set()
        elif name == b"log":
            line = log_line(event.arguments, self._major)
            if line is not None:
                self._add_log(line)
        elif name == b"interface-changed":
            what = event.arguments[0] if event.arguments else b""
            self._sensors_changed |= not what.startswith(b"request")
            self._requests_changed |= not what.startswith(b"sensor")
            self._changed.set()

    def _add_log(self, line: LogLine) -> None:
        if len(self._log) >= _MAX_LOG:
            self._log.popleft()
            self._log_lost += 1
        self._log.append(line)
        self._wake.set()

    # -- in step with the device --------------------------------------------------------

    async def _keep_in_step(self) -> None:
        versions = []
        try:
            versions = await list_versions(self.visitor, self._reception)
        except Refused:
            pass
        host, port = self._reception.address
        self._put(
            "hello",
            device={
                "title": self._house.title,
                "address": f"{host}:{port}",
                "protocol": str(self._reception.protocol),
                "versions": versions,
            },
            you=self.visitor.address,
        )
        for line in self._house.log_lines(self.visitor):
            self._add_log(line)
        while not self._ended:
            self._changed.clear()
            await self._update()
            await self._changed.wait()
            await asyncio.sleep(_SETTLE)

    async def _update(self) -> None:
        if self._requests_changed:
            self._requests_changed = False
            try:
                self._requests = await list_requests(self.visitor, self._reception)
                self._put("requests", requests=[request.as_dict() for request in self._requests])
            except Refused as error:
                self._put("note", text=f"The requests cannot be listed: {error}")
        if self._sensors_changed:
            self._sensors_changed = False
            try:
                sensors = await list_sensors(self.visitor)
            except Refused as error:
                self._put("note", text=f"The sensors cannot be listed: {error}")
                sensors = {}
            await self._take_sensors(sensors)

    async def _take_sensors(self, sensors: dict[str, SensorInfo]) -> None:
        before, self._sensors = self._sensors, sensors
        removed = [name for name in before if name not in sensors]
        for piece in _pieces(removed):
            self._put("removed", names=piece)
        for name in removed:
            self._readings.pop(name, None)
        new = [info.as_dict() for name, info in sensors.items() if before.get(name) != info]
        for piece in _pieces(new):
            self._put("sensors", sensors=piece)
        self._put("listed", count=len(sensors))
        await self._subscribe(list(sensors))

    async def _subscribe(self, names: list[str]) -> None:
        """Have all updates reported; those that the device does not report are asked for."""
        protocol = self._reception.protocol
        at_once = _PIECE if protocol.supports(protocol.BULK_SET_SENSOR_SAMPLING) else 1
        self._polled.clear()
        for piece in _pieces(names, at_once):
            answer = await self.visitor.request("sensor-sampling", ",".join(piece), "auto")
            if not answer.ok and not self._changed.is_set():
                if not self._polled:
                    text = f"Updates cannot be subscribed to, so they are asked for: {answer.text}"
                    self._put("note", text=text)
                self._polled.update(piece)

    async def _keep_polling(self) -> None:
        while not self._ended:
            await asyncio.sleep(_POLL)
            if self._polled:
                try:
                    readings = await read_sensors(self.visitor, self._major)
                except Refused:
                    continue
                wanted = {name: readings[name] for name in self._polled if name in readings}
                self._readings.update(wanted)
                self._wake.set()

    # -- to the page --------------------------------------------------------------------

    def _put(self, kind: str, **content: Any) -> None:
        """Send a message, in its turn and soon."""
        text = json.dumps({"type": kind, **content}, separators=(",", ":"))
        self._out.append(text)
        self._out_size += len(text)
        if self._out_size > _MAX_WAITING:
            self.visitor.transport.hold()
        self._urgent.set()
        self._wake.set()

    async def _keep_sending(self) -> None:
        while not self._ended:
            if not await event_within(self._wake, _TICK):
                await self._send({"type": "tick", "time": time.time()})
                continue
            if not self._urgent.is_set():
                await event_within(self._urgent, _INTERVAL)
            self._wake.clear()
            self._urgent.clear()
            await self._send_all()

    async def _send_all(self) -> None:
        while self._out and not self._ended:
            text = self._out.popleft()
            self._out_size -= len(text)
            await self._send_now(text)
        self.visitor.transport.release()
        readings, self._readings = self._readings, {}
        known = self._sensors
        rows = [
            [name, reading.time, reading.status, reading.value]
            for name, reading in readings.items()
            if name in known
        ]
        for piece in _pieces(rows):
            await self._send({"type": "readings", "time": time.time(), "readings": piece})
        while self._log:
            lines = [self._log.popleft() for _ in range(min(len(self._log), _PIECE))]
            lost, self._log_lost = self._log_lost, 0
            rows = [[line.level, line.time, line.name, line.text] for line in lines]
            await self._send({"type": "log", "lines": rows, "lost": lost})

    async def _send(self, message: dict[str, Any]) -> None:
        await self._send_now(json.dumps(message, separators=(",", ":")))

    async def _send_now(self, text: str) -> None:
        try:
            await asyncio.wait_for(_as_coroutine(self._send_text(text)), _STALL)
        except asyncio.TimeoutError:
            raise Gone(f"The page has taken nothing for {_STALL:g} s.") from None

    # -- from the page ------------------------------------------------------------------

    def receive(self, text: str) -> None:
        """Take a message of the page.

        Raises
        ------
        ValueError
            If it is none that a page sends.
        """
        try:
            message = json.loads(text)
        except RecursionError:
            raise ValueError("too deep") from None
        kind = message.get("type") if isinstance(message, dict) else None
        if kind == "call":
            self._call(message)
        elif kind == "clients":
            if self._asked_clients is None or self._asked_clients.done():
                self._asked_clients = asyncio.ensure_future(self._guarded(self._tell_clients()))
        else:
            raise ValueError(f"there are no messages of type {str(kind)[:40]!r}")

    def _call(self, message: dict[str, Any]) -> None:
        number, name, arguments = (message.get(key) for key in ("id", "name", "arguments"))
        if (
            type(number) is not int
            or not isinstance(name, str)
            or not isinstance(arguments, list)
            or not all(isinstance(argument, str) for argument in arguments)
        ):
            raise ValueError("a call has an id, a name, and arguments that are texts")
        if len(self._calls) >= _MAX_CALLS:
            self._put("reply", id=number, status="refused", arguments=["Too many are under way."])
            return
        task = asyncio.ensure_future(self._guarded(self._carry_out(number, name, arguments)))
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    async def _carry_out(self, number: int, name: str, arguments: list[str]) -> None:
        count = 0

        def take(inform: list[bytes]) -> None:
            nonlocal count
            count += 1
            if count <= _MAX_INFORMS:
                self._put("inform", id=number, arguments=[*map(to_text, inform)])

        try:
            answer = await self.visitor.request(name, *arguments, on_inform=take)
        except ValueError as error:
            self._put("reply", id=number, status="refused", arguments=[str(error)])
            return
        self._put(
            "reply",
            id=number,
            status=answer.status,
            arguments=[*map(to_text, answer.arguments)],
            informs=count,
        )

    async def _tell_clients(self) -> None:
        answer = await self.visitor.request("client-list")
        if answer.ok:
            self._put(
                "clients",
                clients=self._house.describe_clients(),
                statistics=dict(self._reception.statistics),
            )
        else:
            self._put("clients", clients=[], statistics={}, refused=answer.text)


def _pieces(items: list[Any], size: int = _PIECE) -> Iterable[list[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))


async def _as_coroutine(awaitable: Awaitable[None]) -> None:
    await awaitable
