"""A section that another device has, as it is seen from here."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, NamedTuple

from katcp.aio import call_guarded
from katcp.orders._orders import Order
from katcp.orders._outcome import Outcome, SectionAbandoned, SectionResult
from katcp.orders._section import Section

if TYPE_CHECKING:
    from katcp.orders._client._client import OrderClient

log = logging.getLogger("katcp.orders")


class SectionLost(SectionAbandoned):
    """A device does not know a section any more that it had accepted: it has no journal, say."""


class SectionInfo(NamedTuple):
    """What a device says of a section; see ``?section-list``."""

    section_id: str
    state: str
    disposition: int
    orders: int
    submitted: float | None
    started: float | None
    finished: float | None
    origin: str
    ended: int
    good: int


class RemoteSection:
    """A section that a device has accepted.

    Attributes
    ----------
    section_id : str
    orders : tuple of Order
    state : str
        As far as it is known here.
    results : tuple of (Outcome or None)
        What each order has come to; None if it has not ended, or that is not known yet.
    future : asyncio.Future
        Has a `SectionResult` when the section has ended, however it has. It fails with
        `SectionLost` if the device does not know the section any more, and with `KatcpClientError`
        if the client is stopped. Awaiting the section is awaiting this.
    """

    def __init__(self, client: OrderClient, section: Section) -> None:
        assert section.section_id is not None
        self.section_id = section.section_id
        self.orders: tuple[Order, ...] = tuple(section.orders)
        self.state = "queued"
        self.future: asyncio.Future[SectionResult] = asyncio.get_running_loop().create_future()
        self.future.add_done_callback(_look)
        self._client = client
        self._accepted = False
        self._outcomes: dict[int, Outcome] = {}
        self._callbacks: list[Callable[[RemoteSection, int | None], object]] = []

    def __await__(self) -> Generator[Any, None, SectionResult]:
        return asyncio.shield(self.future).__await__()

    def __repr__(self) -> str:
        return f"<RemoteSection {self.section_id}: {len(self.orders)} orders, {self.state}>"

    @property
    def ended(self) -> bool:
        """Whether all is known of what it came to."""
        return self.future.done()

    @property
    def results(self) -> tuple[Outcome | None, ...]:
        """What each order has come to, as far as it is known."""
        return tuple(self._outcomes.get(index) for index in range(len(self.orders)))

    def on_change(self, callback: Callable[[RemoteSection, int | None], object]) -> None:
        """Have ``callback(section, index)`` called when the device tells of a change.

        `index` is that of an order that has ended or is to be tried again; None: of the state.
        """
        self._callbacks.append(callback)

    async def cancel(self, force: bool = False) -> bool:
        """Cancel it, if it has not been started; tell whether it is cancelled.

        Parameters
        ----------
        force : bool
            If it has been started, begin no further orders. True if the device does that.

        Raises
        ------
        KatcpClientError
            If there is no connection, or no reply.
        """
        reply, _ = await self._client.ask(
            "section-cancel", self.section_id, *(["force"] if force else [])
        )
        return reply[:1] == (b"ok",)

    def _changed(self, index: int | None) -> None:
        for callback in self._callbacks:
            call_guarded(log, "A listener to changes of a section", callback, self, index)


def _look(future: asyncio.Future[Any]) -> None:
    """Take the error of a future that perhaps nobody looks at."""
    if not future.cancelled():
        future.exception()
