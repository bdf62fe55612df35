"""What takes orders on a device: sections by id, who is told of them, and the journal."""

from __future__ import annotations

import asyncio
import collections
import logging
from typing import Any

from katcp.aio import WaitTimeout, with_timeout
from katcp.errors import FailReply
from katcp.orders._executor import ExecutorStopped, OrderExecutor, QueueFull
from katcp.orders._future import SectionFuture
from katcp.orders._journal import Journal
from katcp.orders._requests import ListRequests, OrderRequests, PointRequests
from katcp.orders._section import Section
from katcp.orders._sensors import OrderSensors
from katcp.protocol import Message
from katcp.server import DeviceServer

log = logging.getLogger("katcp.orders")

#: How often to look how long the first section has waited [s].
_LOOK = 1.0
#: Services of a server have 5 s to end; what runs when it is stopped gets so much of that [s].
_GRACE = 2.0
#: Most orders of sections that are remembered although they have ended.
_MOST_ORDERS = 100_000


class OrderHost:
    """Takes orders on a device, from its clients and from its own program.

    It adds requests and sensors to the device, and runs the executor for as long as the device
    runs. Use it in the loop of the device. `OrderServer` has one.

    Parameters
    ----------
    device : DeviceServer
        Gets the requests, the sensors ``orders.*`` and a service.
    executor : OrderExecutor
        Carries out the orders.
    journal : Journal, optional
        Where sections are written down, so that they survive the process. It is opened with the
        device at the latest, and closed with it.
    history : int
        How many sections that have ended are remembered, fewer if they have more than 100,000
        orders; those that are submitted again are known by their id.

    Attributes
    ----------
    device : DeviceServer
    executor : OrderExecutor
    journal : Journal or None
    """

    def __init__(
        self,
        device: DeviceServer,
        executor: OrderExecutor,
        journal: Journal | None = None,
        *,
        history: int = 1000,
    ) -> None:
        if history < 0:
            raise ValueError(f"history must not be negative, not {history}")
        self.device = device
        self.executor = executor
        self.journal = journal
        self.history = history
        if journal is not None:
            executor.journal = journal
        executor.new_id = self._new_id
        self._number = 0
        #: All sections that are known, by id, the oldest first.
        self._known: dict[str, Section] = {}
        #: What clients were told last of sections that have not ended.
        self._told: dict[str, str] = {}
        self._ended: collections.deque[Section] = collections.deque()
        self._ended_orders = 0
        # Id of a section that has not ended -> client -> None, or messages that wait for its reply.
        self._listeners: dict[str, dict[Any, list[Message] | None]] = {}
        self._followers: dict[Any, None] = {}
        self._waiters: dict[str, set[asyncio.Future[None]]] = {}
        self._ready = asyncio.Event()
        self._problem: Exception | None = None
        self.sensors = OrderSensors(device, executor)
        executor.on_change(self._changed)
        OrderRequests(self).mount()
        ListRequests(self).mount()
        PointRequests(self).mount()
        device.add_service_task(self._serve, name="orders")

    # -- life ---------------------------------------------------------------------------

    async def _serve(self) -> None:
        """Run the executor until the server is stopped."""
        self._problem = None
        self.executor.start()
        try:
            if self.journal is not None:
                await self._recover(self.journal)
            self._ready.set()
            self.sensors.renew()
            while True:
                await asyncio.sleep(_LOOK)
                self.sensors.renew_wait()
        except Exception as error:  # those who wait are to hear of it
            self._problem = error
            self._ready.set()
            raise  # it is logged as the end of a service
        finally:
            if self._problem is None:
                self._ready.clear()
            try:
                await self.executor.stop(min(_GRACE, self.executor.grace))
            finally:
                self._listeners.clear()
                self._followers.clear()
                self.sensors.renew()
                if self.journal is not None:
                    await self.journal.close()

    async def _recover(self, journal: Journal) -> None:
        """Learn what the journal has, and go on with what has not ended."""
        journal.open()
        unfinished = await journal.recover()
        self._known.clear()
        self._ended.clear()
        self._ended_orders = 0
        self._number = await journal.last_number()
        for entry in await journal.entries(self.history + len(unfinished)):
            if entry.state is not None:
                section = self._known[entry.section_id] = entry.section()
                self._remember(section)
        if unfinished:
            log.info("%d sections of the journal have not ended; going on", len(unfinished))
            moments = [section.submitted for section in unfinished]
            self.executor.execute(*unfinished, recovered=True)
            for section, moment in zip(unfinished, moments, strict=True):
                section.submitted = moment

    def _new_id(self) -> str:
        while True:
            self._number += 1
            section_id = f"s-{self._number}"
            if section_id not in self._known:
                return section_id

    async def until_ready(self) -> None:
        """Wait until sections are taken: the journal has been read.

        Raises
        ------
        FailReply
            If it cannot be used.
        """
        await self._ready.wait()
        if self._problem is not None:
            raise FailReply(f"No orders are taken: {self._problem}") from self._problem

    # -- sections -----------------------------------------------------------------------

    @property
    def sections(self) -> tuple[Section, ...]:
        """All sections that are known, the oldest first."""
        return tuple(self._known.values())

    def find(self, section_id: str) -> Section:
        """Return a section, which may have ended.

        Raises
        ------
        FailReply
            If there is none of this id.
        """
        section = self._known.get(section_id)
        if section is None:
            raise FailReply(f"Unknown section {section_id!r}.")
        return section

    def has(self, section_id: str) -> bool:
        """Tell whether a section is known."""
        return section_id in self._known

    def execute(self, *sections: Section, origin: str = "") -> SectionFuture:
        """Have sections carried out, in this order; from any thread.

        Returns
        -------
        SectionFuture
            As for `OrderExecutor.execute`.

        Raises
        ------
        RuntimeError
            If the device does not run, or has not read its journal yet (see `until_ready`), or if
            there is no room for them.
        ValueError
            If one of them was given away before, or has the id of another.
        """
        if not self._ready.is_set() or self._problem is not None:
            raise ExecutorStopped("The device does not run, or has not read its journal yet.")
        for section in sections:
            if section.section_id in self._known:
                raise ValueError(f"There is a section {section.section_id!r} already")
        return self.executor.execute(*sections, origin=origin)

    async def submit(self, section: Section, origin: str = "") -> None:
        """Have a section carried out; return when it is accepted, and written down.

        Raises
        ------
        FailReply
            If it is not accepted; nothing is done about it, then.
        """
        await self.until_ready()
        try:
            self.execute(section, origin=origin)
        except (QueueFull, ExecutorStopped, ValueError) as error:
            raise FailReply(str(error)) from error
        if section.section_id is not None:
            # Who asks for it once more, while it is written down, is to find it.
            self._known.setdefault(section.section_id, section)
        await self.executor.recorded(section)
        if section.state == "abandoned":
            if section.section_id is not None:
                self._known.pop(section.section_id, None)
                self._listeners.pop(section.section_id, None)
            problem = None if self.journal is None else self.journal.problem
            raise FailReply(
                f"It cannot be written down, so it is not taken: {problem or 'stopped'}."
            )

    async def until_ended(self, section: Section, timeout: float | None = None) -> None:
        """Wait until a section that is known has ended, however it has; it is not disturbed.

        Parameters
        ----------
        timeout : float, optional
            Longest wait [s]; None: for ever.

        Raises
        ------
        FailReply
            If it takes longer.
        """
        if section.ended:
            return
        waiting = asyncio.get_running_loop().create_future()
        waiters = self._waiters.setdefault(str(section.section_id), set())
        waiters.add(waiting)
        try:
            await with_timeout(waiting, timeout)
        except WaitTimeout:
            raise FailReply(
                f"Section {section.section_id} is {section.state} after {timeout:g} s."
            ) from None
        finally:
            waiters.discard(waiting)

    # -- who is told --------------------------------------------------------------------

    def listen(self, section_id: str, connection: Any, *, hold: bool = False) -> None:
        """Have a client told of a section that has not ended.

        Parameters
        ----------
        hold : bool
            Whether what there is to tell waits for `let_go`, when the client has its reply.
        """
        listeners = self._listeners.setdefault(section_id, {})
        if hold or connection not in listeners:
            listeners[connection] = [] if hold else None

    def let_go(self, section_id: str, connection: Any) -> None:
        """Tell a client what there was to tell of a section so far, and go on with it."""
        listeners = self._listeners.get(section_id, {})
        for message in listeners.get(connection) or ():
            connection.inform(message)
        section = self._known.get(section_id)
        if section is None or section.ended:
            self._listeners.pop(section_id, None)
        elif connection in listeners:
            listeners[connection] = None

    def unlisten(self, section_id: str, connection: Any) -> None:
        """Have a client no longer told of a section."""
        self._listeners.get(section_id, {}).pop(connection, None)

    def follow(self, connection: Any, wanted: bool) -> None:
        """Have a client told of all sections, or of none but its own."""
        if wanted:
            self._followers[connection] = None
        else:
            self._followers.pop(connection, None)

    def client_gone(self, connection: Any) -> None:
        """Tell a client nothing more: it has gone."""
        self._followers.pop(connection, None)
        for listeners in self._listeners.values():
            listeners.pop(connection, None)

    def _changed(self, section: Section, index: int | None) -> None:
        """Take note that a section has come, or has changed, or that one of its orders has."""
        section_id = section.section_id
        assert section_id is not None  # executors give ids
        if index is not None:
            outcome = section.progress_of(index)
            self._tell(
                section_id,
                "order-state",
                index,
                outcome.outcome,
                outcome.attempts,
                outcome.detail,
            )
            return
        if section_id not in self._known:
            self._known[section_id] = section
        # What a journal has goes on later; whoever asks is told how it stands then.
        untold = section.state == "abandoned" and self.journal is not None
        if not untold and self._told.get(section_id) != section.state:
            self._told[section_id] = section.state
            self._tell(section_id, "section-state", section.state)
        if section.ended:
            self._told.pop(section_id, None)
            listeners = self._listeners.get(section_id, {})
            if all(held is None for held in listeners.values()):
                self._listeners.pop(section_id, None)
            for waiter in self._waiters.pop(section_id, ()):
                if not waiter.done():
                    waiter.set_result(None)
            self._remember(section)
            self.sensors.section_ended(section)
        self.sensors.renew()

    def _remember(self, section: Section) -> None:
        """Remember a section that has ended; forget the oldest if there are too many."""
        self._ended.append(section)
        self._ended_orders += len(section)
        while len(self._ended) > self.history or self._ended_orders > _MOST_ORDERS:
            oldest = self._ended.popleft()
            self._ended_orders -= len(oldest)
            if self._known.get(str(oldest.section_id)) is oldest:
                del self._known[str(oldest.section_id)]

    def _tell(self, section_id: str, name: str, *arguments: Any) -> None:
        """Send an inform about a section to those who want it."""
        listeners = self._listeners.get(section_id)
        if not listeners and not self._followers:
            return
        message = Message.inform(name, section_id, *arguments)
        told = set()
        for connection, held in list((listeners or {}).items()):
            told.add(connection)
            if arguments == ("queued",) and connection not in self._followers:
                continue  # the reply says so
            if held is not None:
                held.append(message)
            else:
                self._send(connection, message)
        for connection in list(self._followers):
            if connection not in told:
                self._send(connection, message)

    def _send(self, connection: Any, message: Message) -> None:
        if getattr(connection, "closed", False):
            self.client_gone(connection)
        else:
            connection.inform(message)
