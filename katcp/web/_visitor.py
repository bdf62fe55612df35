"""A visitor of the web as a client of the device: requests, replies, informs.

Each page that is open, and each computer that uses ``/api``, has one. So limits, access,
strategies and disconnection are those of every other client, and decided in one place.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from katcp.errors import KatcpSyntaxError
from katcp.protocol import INFORM, REPLY, Message, StreamParser, WireMessage
from katcp.server import Reception
from katcp.web._memory import MemoryTransport

#: Longest line that is taken of a device [bytes].
_MAX_LINE = 64 * 1024 * 1024


def to_text(value: bytes) -> str:
    r"""Return what came over the wire as text; bytes that are no UTF-8 as ``\xNN``."""
    return value.decode("utf-8", "backslashreplace")


class Gone(Exception):
    """The device has ended the connection, or not begun it; the text is what it said."""


@dataclass
class Answer:
    """A reply, and the informs before it.

    Attributes
    ----------
    status : str
        ``ok``, ``fail``, ``invalid`` or whatever it was.
    arguments : list of bytes
        Those behind the status.
    informs : list of list of bytes
        None of them if they were handed on as they came.
    """

    status: str
    arguments: list[bytes]
    informs: list[list[bytes]] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether it succeeded."""
        return self.status == "ok"

    @property
    def text(self) -> str:
        """What the device says about it, in one line."""
        return to_text(b" ".join(self.arguments)) or self.status


@dataclass
class _Pending:
    future: asyncio.Future[Answer]
    on_inform: Callable[[list[bytes]], object]
    informs: list[list[bytes]]


class Visitor:
    """A client of the device, in its loop.

    Parameters
    ----------
    reception : Reception
        Of the device.
    peername : (str, int)
        Where the visitor comes from.
    peercert : dict, optional
        Its certificate, verified.
    on_inform : callable, optional
        Called with each inform that belongs to no request.
    on_lost : callable, optional
        Called with a reason when the connection ends, unless `close` was called.

    Raises
    ------
    RuntimeError
        If the device is not served now.
    """

    def __init__(
        self,
        reception: Reception,
        peername: tuple[str, int],
        *,
        peercert: dict[str, Any] | None = None,
        on_inform: Callable[[WireMessage], object] | None = None,
        on_lost: Callable[[str], object] | None = None,
    ) -> None:
        self._on_inform = on_inform
        self._on_lost = on_lost
        self._parser = StreamParser(_MAX_LINE)
        self._pending: dict[int | bytes, _Pending] = {}
        self._ids = itertools.count(1)
        self._has_ids = reception.protocol.supports(reception.protocol.MESSAGE_IDS)
        self._one_by_one = asyncio.Lock()
        self._reason: str | None = None
        self.closed = False
        extra: dict[str, Any] = {"peername": peername}
        if peercert is not None:
            extra["peercert"] = peercert
        loop = asyncio.get_running_loop()
        self.transport = MemoryTransport(loop, extra, self._take, self._end)
        self.connection = reception.adopt(self.transport)

    @property
    def address(self) -> str:
        """How the device calls this client."""
        return self.connection.address

    async def request(
        self,
        name: str,
        *arguments: str | bytes,
        timeout: float | None = None,
        on_inform: Callable[[list[bytes]], object] | None = None,
    ) -> Answer:
        """Send a request and wait for its reply.

        Parameters
        ----------
        name : str
        *arguments : str or bytes
            Not escaped.
        timeout : float, optional
            [s].
        on_inform : callable, optional
            Takes the arguments of each inform that belongs to it, in place of the answer.

        Raises
        ------
        Gone
            If the connection has ended, or does.
        asyncio.TimeoutError
        ValueError
            If there can be no request of that name.
        """
        if self._has_ids:
            return await self._ask(next(self._ids), name, arguments, timeout, on_inform)
        async with self._one_by_one:
            return await self._ask(None, name, arguments, timeout, on_inform)

    async def _ask(
        self,
        mid: int | None,
        name: str,
        arguments: tuple[str | bytes, ...],
        timeout: float | None,
        on_inform: Callable[[list[bytes]], object] | None,
    ) -> Answer:
        if self.closed:
            raise Gone(self._reason or "The connection has ended.")
        try:
            message = Message.request(name, *arguments, mid=None if mid is None else str(mid))
        except KatcpSyntaxError as error:
            raise ValueError(str(error)) from None
        key = name.encode("ascii") if mid is None else mid
        informs: list[list[bytes]] = []
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._pending[key] = _Pending(future, on_inform or informs.append, informs)
        try:
            self.transport.say(bytes(message) + b"\n")
            return await asyncio.wait_for(future, timeout)
        finally:
            self._pending.pop(key, None)

    def close(self) -> None:
        """End the connection, as a client does."""
        self._on_lost = None
        self.transport.hang_up()
        self._end()

    # -- called by the transport --------------------------------------------------------

    def _take(self, data: bytes) -> None:
        if self.closed:
            return
        for event in self._parser.feed(data):
            if isinstance(event, KatcpSyntaxError):
                continue
            kind = event.mtype
            if kind is INFORM:
                pending = self._pending_of(event)
                if pending is not None:
                    pending.on_inform(event.arguments)
                elif event.name == b"disconnect":
                    self._reason = to_text(b" ".join(event.arguments))
                elif self._on_inform is not None:
                    self._on_inform(event)
            elif kind is REPLY:
                pending = self._pending_of(event)
                if pending is not None and not pending.future.done():
                    status, *arguments = event.arguments or [b""]
                    answer = Answer(to_text(status), arguments, pending.informs)
                    pending.future.set_result(answer)

    def _pending_of(self, event: WireMessage) -> _Pending | None:
        return self._pending.get(event.name if event.mid is None else event.mid)

    def _end(self) -> None:
        if self.closed:
            return
        self.closed = True
        reason = self._reason or "The device has ended the connection."
        for pending in list(self._pending.values()):
            if not pending.future.done():
                pending.future.set_exception(Gone(reason))
                pending.future.exception()  # whoever waits gets it; if nobody does, so be it
        if self._on_lost is not None:
            self._on_lost(reason)
