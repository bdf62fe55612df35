"""Handing sections over to another device, by an inspecting client, through lost connections."""

from __future__ import annotations

import asyncio
import json
import logging
import time
import uuid
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any

from katcp.aio import WaitTimeout
from katcp.errors import FailReply, KatcpClientError
from katcp.inspecting_client import InspectingClientAsync
from katcp.kattypes import Timestamp
from katcp.orders._client._remote import RemoteSection, SectionInfo, SectionLost
from katcp.orders._orders import Order, ReadOrder
from katcp.orders._outcome import FINAL_STATES, Outcome, SectionResult
from katcp.orders._section import Section
from katcp.protocol import Message
from katcp.sensors import STATUS_NAMES_RAW, Reading, Sensor

log = logging.getLogger("katcp.orders")

_TIME = Timestamp()
#: What a server answers to requests that are under way when it is stopped.
_CUT_SHORT = b"request_cancelled"
#: Pause before something is asked again that had no answer [s].
_PAUSE = 0.2


class _NoAnswer(Exception):
    """The connection was lost, or there was no reply in time."""


class OrderClient:
    """Hands sections over to a device that takes orders, such as an `OrderServer`.

    A section gets an id here before it is sent. If the connection is lost before the reply, it is
    sent once more under this id, which the device knows if it has accepted it; if it is lost after
    that, the device is asked how the section stands when it is back.

    Parameters
    ----------
    client : InspectingClientAsync
        It is neither started nor stopped here.
    timeout : float
        How long a reply may take [s].
    patience : float
        How long to go on trying to hand over a section [s].

    Examples
    --------
    ::

        async with InspectingClientAsync("localhost", 7147) as client:
            orders = OrderClient(client)
            remote = await orders.execute(Section([WriteOrder("valve", 1)]))
            result = await remote
            result.raise_for_failures()
    """

    def __init__(
        self, client: InspectingClientAsync, *, timeout: float = 10.0, patience: float = 60.0
    ) -> None:
        self.client = client
        self.timeout = timeout
        self.patience = patience
        self._open: dict[str, RemoteSection] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._watching: asyncio.Task[Any] | None = None
        client.katcp_client.hook_inform("section-state", self._section_state)
        client.katcp_client.hook_inform("order-state", self._order_state)

    # -- requests -----------------------------------------------------------------------

    async def ask(
        self, request: str, *arguments: Any
    ) -> tuple[Sequence[bytes], list[Sequence[bytes]]]:
        """Make a request; return the arguments of its reply and of its informs.

        Raises
        ------
        KatcpClientError
            If there is no connection, or no reply in time.
        """
        try:
            reply, informs = await self._answer(request, *arguments)
        except _NoAnswer as error:
            raise KatcpClientError(f"?{request}: {error}") from error
        return reply, informs

    async def _answer(
        self, request: str, *arguments: Any
    ) -> tuple[Sequence[bytes], list[Sequence[bytes]]]:
        try:
            reply, informs = await self.client.katcp_client.wire_request(
                Message.request(request, *arguments), self.timeout
            )
        except (WaitTimeout, KatcpClientError) as error:
            raise _NoAnswer(str(error)) from error
        if reply[1:2] == (_CUT_SHORT,):
            raise _NoAnswer("The device is being stopped.")
        return reply, list(informs)

    async def _ok(self, request: str, *arguments: Any) -> list[Sequence[bytes]]:
        """Make a request; return the further arguments of its reply, and then the informs.

        Raises
        ------
        FailReply
            If the device refuses.
        KatcpClientError
            If there is no connection, or no reply in time.
        """
        reply, informs = await self.ask(request, *arguments)
        if reply[:1] != (b"ok",):
            raise FailReply(_reason(reply))
        return [reply[1:], *informs]

    async def list(self) -> list[SectionInfo]:
        """Return the sections that the device knows.

        Raises
        ------
        FailReply
            If the device refuses.
        KatcpClientError
            If there is no connection, or no reply in time.
        """
        _, *informs = await self._ok("section-list")
        return [self._info(inform) for inform in informs]

    def _info(self, inform: Sequence[bytes]) -> SectionInfo:
        name, state, disposition, orders, *times, origin, ended, good = inform
        submitted, started, finished = (self._time(m) if m else None for m in times)
        return SectionInfo(
            name.decode(),
            state.decode(),
            int(disposition),
            int(orders),
            submitted,
            started,
            finished,
            origin.decode("utf-8", "backslashreplace"),
            int(ended),
            int(good),
        )

    async def sync(self, timeout: float | None = None) -> None:
        """Wait until all sections that the device has accepted so far have ended.

        Raises
        ------
        FailReply
            If it takes longer than `timeout` [s].
        KatcpClientError
            If there is no connection, or it is lost.
        """
        while True:
            try:
                limit = self.timeout / 2 if timeout is None else timeout
                await self._ok("orders-sync", limit)
                return
            except FailReply:
                if timeout is not None:
                    raise

    async def pause(self) -> int:
        """Have the device start no sections; return how many wait there."""
        (reply, *_) = await self._ok("orders-pause")
        return int(reply[0])

    async def resume(self) -> int:
        """Have the device start sections again; return how many wait there."""
        (reply, *_) = await self._ok("orders-resume")
        return int(reply[0])

    # -- handing over -------------------------------------------------------------------

    async def execute(self, section: Section) -> RemoteSection:
        """Hand a section over; return when the device has accepted it.

        Parameters
        ----------
        section : Section
            It is not changed, but for its id if it has none. Submitted again with the same id,
            also after a restart of a device that has a journal, it is not carried out again.

        Raises
        ------
        FailReply
            If the device refuses it; the text says why. Nothing is done about it, then.
        KatcpClientError
            If there was no connection, or no reply, for too long. Whether it is carried out is not
            known, then.
        """
        if section.section_id is None:
            section.section_id = uuid.uuid4().hex
        remote = RemoteSection(self, section)
        document = section.to_json()
        sent = {name: document[name] for name in ("orders", "finish_by") if name in document}
        text = json.dumps(sent if len(sent) > 1 else sent["orders"], separators=(",", ":"))
        if self._watching is None or self._watching.done():
            self._watching = self._spawn(self._watch())
        self._open[remote.section_id] = remote
        try:
            reply = await self._hand_over(
                "section-execute", int(section.disposition), text, remote.section_id
            )
            if reply[:1] != (b"ok",):
                raise FailReply(_reason(reply))
        except BaseException:
            self._open.pop(remote.section_id, None)
            raise
        remote._accepted = True  # noqa: SLF001  # of this room
        if len(reply) > 2:
            self._see(remote, reply[2].decode())
        return remote

    async def _hand_over(self, request: str, *arguments: Any) -> Sequence[bytes]:
        """Make a request again and again, until there is a reply."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self.patience
        while True:
            try:
                await self.client.until_connected(max(0.0, end - loop.time()))
            except WaitTimeout:
                raise KatcpClientError(f"?{request}: no connection") from None
            try:
                reply, _ = await self._answer(request, *arguments)
                return reply
            except _NoAnswer as error:
                if loop.time() + _PAUSE >= end or not self.client.running():
                    raise KatcpClientError(f"?{request}: {error}") from error
            await asyncio.sleep(_PAUSE)

    # -- what the device tells ----------------------------------------------------------

    def _section_state(self, message: Message) -> None:
        name, state = message.arguments[:2]
        remote = self._open.get(name.decode("utf-8", "replace"))
        if remote is not None:
            self._see(remote, state.decode("utf-8", "replace"))

    def _see(self, remote: RemoteSection, state: str) -> None:
        """Take note of the state of a section."""
        if remote.ended or remote.state in FINAL_STATES:
            return
        remote.state = state
        remote._changed(None)  # noqa: SLF001  # of this room
        if state in FINAL_STATES:
            self._spawn(self._fetch(remote))

    def _order_state(self, message: Message) -> None:
        name, raw_index, outcome, attempts, *detail = message.arguments
        remote = self._open.get(name.decode("utf-8", "replace"))
        index = int(raw_index)
        if remote is None or not 0 <= index < len(remote.orders):
            return
        word = outcome.decode("utf-8", "replace")
        if word != "retrying":
            remote._outcomes[index] = Outcome(  # noqa: SLF001
                remote.orders[index],
                word,
                int(attempts),
                time.time(),
                b"".join(detail[:1]).decode("utf-8", "backslashreplace"),
            )
        remote._changed(index)  # noqa: SLF001

    # -- what there is to ask -----------------------------------------------------------

    async def _watch(self) -> None:
        """Ask how sections stand whenever the device is back; until the client is stopped."""
        away = not self.client.connected
        async for state, _ in self.client.changes():
            if not state.connected:
                away = True
            elif state.synced and away:
                away = False
                for remote in list(self._open.values()):
                    self._spawn(self._catch_up(remote))
        for remote in list(self._open.values()):
            self._end(remote, KatcpClientError("The client was stopped."))

    async def _catch_up(self, remote: RemoteSection) -> None:
        """Ask how a section stands, and to be told of it from now on."""
        try:
            reply, _ = await self._answer("section-follow", "on", remote.section_id)
        except _NoAnswer:
            return  # when it is back once more
        if reply[:1] == (b"ok",):
            state = reply[1].decode()
            if remote.state in FINAL_STATES:
                await self._fetch(remote)
            else:
                self._see(remote, state)
        elif remote._accepted:  # noqa: SLF001  # else it is about to be sent once more
            self._end(remote, SectionLost(f"Section {remote.section_id}: {_reason(reply)}"))

    async def _fetch(self, remote: RemoteSection) -> None:
        """Ask what the orders of a section that has ended came to."""
        try:
            reply, informs = await self._answer("section-result", remote.section_id)
            if reply[:1] != (b"ok",):
                self._end(remote, SectionLost(f"Section {remote.section_id}: {_reason(reply)}"))
                return
            _, listed = await self._answer("section-list", remote.section_id)
        except _NoAnswer:
            return  # when the device is back
        for inform in informs:
            index = int(inform[1])
            remote._outcomes[index] = await self._outcome(  # noqa: SLF001
                remote.orders[index], inform
            )
        info = self._info(listed[0]) if listed else None
        self._end(
            remote,
            SectionResult(
                remote.section_id,
                remote.state,
                tuple(outcome for outcome in remote.results if outcome is not None),
                *((info.submitted, info.started, info.finished) if info else ()),
            ),
        )

    async def _outcome(self, order: Order, inform: Sequence[bytes]) -> Outcome:
        """Return what an inform of ``?section-result`` says."""
        outcome, attempts, moment, detail, *reading = inform[4:]
        return Outcome(
            order,
            outcome.decode(),
            int(attempts),
            self._time(moment),
            detail.decode("utf-8", "backslashreplace"),
            await self._reading(order, reading) if len(reading) == 3 else None,
        )

    async def _reading(self, order: Order, reading: Sequence[bytes]) -> Reading:
        """Return the reading that an order has given; the value is text if its type is unknown."""
        moment, status, raw = reading
        value: Any = raw.decode("utf-8", "backslashreplace")
        if isinstance(order, ReadOrder):
            sensor = await self.client.future_get_sensor(order.pathpoint)
            if sensor is not None:
                try:
                    value = sensor.parse_value(raw)
                except ValueError:
                    log.debug("%r is no value of %s", raw, order.pathpoint)
        return Reading(
            self._time(moment) if moment else 0.0,
            STATUS_NAMES_RAW.get(status, Sensor.UNKNOWN),
            value,
        )

    def _end(self, remote: RemoteSection, result: SectionResult | Exception) -> None:
        self._open.pop(remote.section_id, None)
        if remote.future.done():
            return
        if isinstance(result, Exception):
            remote.future.set_exception(result)
        else:
            remote.future.set_result(result)
        if not self._open and self._watching is not None:
            self._watching.cancel()

    def _time(self, raw: bytes) -> float:
        flags = self.client.katcp_client.protocol_flags
        return float(_TIME.unpack(raw, 5 if flags is None else flags.major))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(_log_error)
        return task


def _log_error(task: asyncio.Task[Any]) -> None:
    error = None if task.cancelled() else task.exception()
    if error is not None:
        log.error("What a device says of sections cannot be understood", exc_info=error)


def _reason(reply: Iterable[bytes]) -> str:
    words = [word.decode("utf-8", "backslashreplace") for word in reply]
    return " ".join(words[1:2]) or "the device refuses"
