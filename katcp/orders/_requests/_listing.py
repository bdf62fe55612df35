"""Requests that tell of sections: ``?section-list``, ``?section-result``, ``?section-progress``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from katcp.errors import FailReply
from katcp.kattypes import Timestamp, encode
from katcp.orders._outcome import Outcome
from katcp.orders._requests._submission import mount
from katcp.orders._section import Section
from katcp.sensors import STATUSES

if TYPE_CHECKING:
    from katcp.orders._host import OrderHost

_TIME = Timestamp()


class ListRequests:
    """The requests that tell of sections.

    Parameters
    ----------
    host : OrderHost
    """

    def __init__(self, host: OrderHost) -> None:
        self._host = host

    def mount(self) -> None:
        """Add them to the device."""
        mount(self._host, self)

    async def request_section_list(self, req: Any, section_id: str = "") -> Any:
        r"""List the sections that have not ended, and the last ones that have.

        Parameters
        ----------
        section_id : str, optional
            Name of a section; all if not given.

        Informs
        -------
        section_id : str
            Name of the section.
        state : {'queued', 'running', 'done', 'partial', 'failed', 'cancelled', 'abandoned'}
            What it is in.
        disposition : int
            0 if it may run together with others, 1 if not.
        orders : int
            Number of orders.
        submitted : timestamp
            When it was accepted.
        started : timestamp
            When it was started; empty if it was not.
        finished : timestamp
            When it has ended; empty if it has not.
        origin : str
            Who has submitted it: the address of a client, or empty for the device itself.
        ended : int
            Number of orders that have ended.
        good : int
            Number of orders that were carried out.

        Returns
        -------
        success : {'ok', 'fail'}
        informs : int
            Number of informs sent.

        Examples
        --------
        ::

            ?section-list
            #section-list s-17 running 1 2 1700000000.1 1700000000.1 \@ 10.0.0.5:41234 1 1
            !section-list ok 1
        """
        host = self._host
        await host.until_ready()
        sections = (host.find(section_id),) if section_id else host.sections
        major = host.device.katcp_major
        for section in sections:
            ended = [outcome for outcome in section.results if outcome is not None]
            req.inform(
                section.section_id,
                section.state,
                int(section.disposition),
                len(section),
                *(
                    _time(moment, major)
                    for moment in (section.submitted, section.started, section.finished)
                ),
                section.origin,
                len(ended),
                sum(outcome.good for outcome in ended),
            )
        return "ok", len(sections)

    async def request_section_result(self, req: Any, section_id: str) -> Any:
        r"""Tell what each order of a section that has ended came to.

        Parameters
        ----------
        section_id : str
            Name of the section.

        Informs
        -------
        section_id : str
            Name of the section.
        index : int
            Which order it is, counted from 0.
        type : str
            Type of the order.
        target : str
            What it is about: the name of a point, say.
        outcome : str
            ok; failed:REASON, which is failed:interrupted if nobody knows whether it was carried
            out, because the device was stopped meanwhile; stale; unknown-point; skipped-fresh;
            unhandled-sysctl; cancelled; or abandoned.
        attempts : int
            How often it was tried.
        timestamp : timestamp
            When it ended.
        detail : str
            Why, for people.
        value-timestamp : timestamp
            Of an order to read that was carried out: when it was so.
        status : str
            The same: status of the reading.
        value : str
            The same: the value.

        Returns
        -------
        success : {'ok', 'fail'}
        informs : int
            Number of informs sent.

        Examples
        --------
        ::

            ?section-result s-17
            #section-result s-17 0 write valve ok 1 1700000000.2 \@
            #section-result s-17 1 wait 2 ok 1 1700000002.1 \@
            !section-result ok 2
        """
        await self._host.until_ready()
        section = self._host.find(section_id)
        if not section.ended:
            raise FailReply(f"Section {section_id} is {section.state}.")
        return self._tell_orders(req, section)

    async def request_section_progress(self, req: Any, section_id: str) -> Any:
        r"""Tell what each order of a section came to, or is at.

        Parameters
        ----------
        section_id : str
            Name of the section.

        Informs
        -------
        section_id : str
            Informs are those of ?section-result; the outcome of an order that has not ended is
            waiting, running or retrying, and its timestamp the present time.

        Returns
        -------
        success : {'ok', 'fail'}
        informs : int
            Number of informs sent.

        Examples
        --------
        ::

            ?section-progress s-17
            #section-progress s-17 0 write valve retrying 3 1700000000.2 no\_answer
            !section-progress ok 1
        """
        await self._host.until_ready()
        return self._tell_orders(req, self._host.find(section_id))

    async def request_order_status(self, req: Any, section_id: str = "") -> Any:
        r"""Tell what each order of a section came to, or is at; or how all sections stand.

        Parameters
        ----------
        section_id : str, optional
            Name of a section; all sections if not given.

        Informs
        -------
        section_id : str
            For one section as of ?section-progress, an inform for each order; for all of them as
            of ?section-list, an inform for each section.

        Returns
        -------
        success : {'ok', 'fail'}
        informs : int
            Number of informs sent.

        Examples
        --------
        ::

            ?order-status s-17
            #order-status s-17 0 write valve ok 1 1700000000.2 \@
            !order-status ok 1
        """
        if section_id:
            return await self.request_section_progress(req, section_id)
        return await self.request_section_list(req)

    def _tell_orders(self, req: Any, section: Section) -> Any:
        major = self._host.device.katcp_major
        for index in range(len(section)):
            outcome = section.progress_of(index)
            req.inform(
                section.section_id,
                index,
                outcome.order.type,
                outcome.order.target_name,
                outcome.outcome,
                outcome.attempts,
                _time(outcome.timestamp, major),
                outcome.detail,
                *_reading(outcome, major),
            )
        return "ok", len(section)


def _time(moment: float | None, major: int) -> bytes:
    return b"" if moment is None else _TIME.pack(moment, major=major)


def _reading(outcome: Outcome, major: int) -> Iterable[bytes]:
    """Return the reading of an order to read as arguments; nothing if there is none."""
    reading = outcome.reading
    if not isinstance(reading, tuple) or len(reading) != 3:
        return () if reading is None else (b"", b"", encode(reading))
    timestamp, status, value = reading
    return (_time(timestamp, major), STATUSES.get(status, "unknown").encode(), encode(value))
