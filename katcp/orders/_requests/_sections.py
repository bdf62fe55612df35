"""Requests that hand over sections, wait for them, cancel them, and hold them back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from katcp.aio import WaitTimeout
from katcp.errors import FailReply, InvalidReply
from katcp.kattypes import concurrent_reply, request_timeout_hint
from katcp.orders._requests._submission import (
    Seconds,
    check_points,
    is_disposition,
    mount,
    parse_section,
)
from katcp.orders._section import Section

if TYPE_CHECKING:
    from katcp.orders._host import OrderHost

#: Clients are told to allow a wait so long [s].
_LONG = 3600.0
#: The code of a failure that has done nothing.
_NO_ACTION = 1
#: Further names of requests.


class OrderRequests:
    """The requests about sections.

    Parameters
    ----------
    host : OrderHost
    """

    def __init__(self, host: OrderHost) -> None:
        self._host = host

    def mount(self) -> None:
        """Add them to the device."""
        mount(self._host, self)

    # -- handing over -------------------------------------------------------------------

    @concurrent_reply
    async def request_section_execute(
        self, req: Any, disposition: str, orders: bytes, section_id: str = ""
    ) -> Any:
        r"""Have a section carried out: orders that belong together.

        When the reply is there, the section is accepted; with a journal it is on disk. What becomes
        of it is told by informs without an id: #section-state id state, and #order-state id index
        outcome attempts detail for each order that has ended or is to be tried again. If one order
        is bad, or is for a point that there is not, nothing is done at all. If a section of this id
        is known already, nothing is done either, and the reply tells its state: so a client that
        has lost its connection can ask once more.

        Parameters
        ----------
        disposition : {'0', '1', 'joinable', 'cannot-join'}
            0: it may run together with others; 1: it starts when all before it have ended, and
            those after it start when it has.
        orders : str
            A JSON array of objects with a type and its fields: read (path, advise), write (path,
            value, advise, stale_after), wait (time), wait-until (sensor, condition, timeout),
            sysctl (op_type, op_args), message (uuid). Or an object with the array as orders, and
            finish_by, the time when it is to have ended (seconds since 1970).
        section_id : str, optional
            Name of the section; the device makes one if it is not given.

        Returns
        -------
        success : {'ok', 'fail', 'invalid'}
        section_id : str
            Name of the section.
        state : str
            If it was known already: queued, running, done, partial (some orders were not carried
            out), failed, cancelled or abandoned (the device was stopped).

        Examples
        --------
        ::

            ?section-execute[7] 1 [{"type":"write","path":"valve","value":1}]
            !section-execute[7] ok s-17
            #section-state s-17 running
            #order-state s-17 0 ok 1 \@
            #section-state s-17 done
        """
        host, connection = self._host, req.client_connection
        section = parse_section(disposition, orders, section_id)
        await host.until_ready()
        if section.section_id is not None and host.has(section.section_id):
            return await self._known_already(connection, section)
        check_points(host, section)
        if section.section_id is None:
            section.section_id = host.executor.new_id()
        name = section.section_id
        host.listen(name, connection, hold=True)
        try:
            await host.submit(section, connection.address)
        except BaseException:
            host.unlisten(name, connection)
            raise
        sent = req.reply("ok", name)
        host.let_go(name, connection)
        return sent

    @concurrent_reply
    async def request_order_submit(
        self, req: Any, section: bytes, section_id: str = "", last: str = ""
    ) -> Any:
        r"""Have a section carried out, described by one argument; see ?section-execute.

        Parameters
        ----------
        section : str
            A JSON array of orders, or an object with these as orders, and disposition (0 if not
            given), section_id and finish_by. Or all arguments of ?section-execute.
        section_id : str, optional
            Name of the section; the device makes one if it is not given.

        Returns
        -------
        success : {'ok', 'fail', 'invalid'}
        section_id : str
            Name of the section.
        state : str
            If it was known already.

        Examples
        --------
        ::

            ?order-submit {"orders":[{"type":"write","path":"valve","value":1}],"disposition":1}
            !order-submit ok s-17
            #section-state s-17 running
            #order-state s-17 0 ok 1 \@
            #section-state s-17 done
        """
        if is_disposition(section):
            return await self.request_section_execute(
                req, section.decode(), section_id.encode(), last
            )
        if last:
            raise InvalidReply("Too many arguments: a section, and its id, are two.")
        return await self.request_section_execute(req, "0", section, section_id)

    async def _known_already(self, connection: Any, section: Section) -> Any:
        """Answer a client that has submitted a section once more."""
        host, name = self._host, str(section.section_id)
        known = host.find(name)
        if known.to_json() != section.to_json():
            raise FailReply(f"There is another section {name!r}.")
        await host.executor.recorded(known)
        if not host.has(name):
            raise FailReply(f"Section {name!r} could not be written down, and was not taken.")
        if not known.ended:
            host.listen(name, connection)
        return "ok", name, known.state

    async def request_section_check(self, req: Any, disposition: str, orders: bytes) -> Any:
        """Tell whether ?section-execute would take a section; nothing is done.

        Parameters
        ----------
        disposition : {'0', '1', 'joinable', 'cannot-join'}
            As for ?section-execute.
        orders : str
            As for ?section-execute.

        Returns
        -------
        success : {'ok', 'invalid'}
        orders : int
            Number of orders.

        Examples
        --------
        ::

            ?section-check 0 [{"type":"read","path":"pressure"}]
            !section-check ok 1
        """
        section = parse_section(disposition, orders, "")
        check_points(self._host, section)
        return "ok", len(section)

    # -- waiting and changing ------------------------------------------------------------

    @concurrent_reply
    @request_timeout_hint(_LONG)
    async def request_section_wait(self, req: Any, section_id: str, timeout: Seconds = None) -> Any:
        """Wait until a section has ended.

        Parameters
        ----------
        section_id : str
            Name of the section.
        timeout : float, optional
            Longest wait [seconds]; it does not harm the section. For ever if not given.

        Returns
        -------
        success : {'ok', 'fail'}
        state : {'done', 'partial', 'failed', 'cancelled', 'abandoned'}
            In which it has ended.

        Examples
        --------
        ::

            ?section-wait s-17 10
            !section-wait ok done
        """
        await self._host.until_ready()
        section = self._host.find(section_id)
        await self._host.until_ended(section, timeout)
        return "ok", section.state

    async def request_section_cancel(
        self, req: Any, section_id: str, force: Literal["force"] | None = None
    ) -> Any:
        r"""Cancel a section that has not been started.

        Parameters
        ----------
        section_id : str
            Name of the section.
        force : {'force'}, optional
            If it has been started, begin no further orders and try and wait no more; what is being
            read or written at this moment goes on to its end.

        Returns
        -------
        success : {'ok', 'fail'}
            Fails if it has been started, or has ended.

        Examples
        --------
        ::

            ?section-cancel s-17
            !section-cancel fail section\_s-17\_is\_already\_done 1
        """
        host = self._host
        await host.until_ready()
        section = host.find(section_id)
        if not section.ended:
            section.cancel(force is not None)
            if force is not None and not section.cancelled:
                return ("ok",)
        if section.cancelled:
            await host.executor.recorded(section)
            return ("ok",)
        return "fail", f"section {section_id} is already {section.state}", _NO_ACTION

    request_order_cancel = request_section_cancel

    async def request_section_follow(
        self, req: Any, wanted: Literal["on", "off"], section_id: str = ""
    ) -> Any:
        """Be told of sections of others, too, by #section-state and #order-state.

        Parameters
        ----------
        wanted : {'on', 'off'}
            Whether to be told; off also ends it for sections of one's own.
        section_id : str, optional
            Name of one section that has not ended; all, also those to come, if not given.

        Returns
        -------
        success : {'ok', 'fail'}
        state : str
            State of that section, if one was named.

        Examples
        --------
        ::

            ?section-follow on
            !section-follow ok
        """
        host, connection = self._host, req.client_connection
        await host.until_ready()
        if not section_id:
            host.follow(connection, wanted == "on")
            return ("ok",)
        section = host.find(section_id)
        if wanted == "off":
            host.unlisten(section_id, connection)
        elif not section.ended:
            host.listen(section_id, connection)
        return "ok", section.state

    @concurrent_reply
    @request_timeout_hint(_LONG)
    async def request_orders_sync(self, req: Any, timeout: Seconds = None) -> Any:
        """Wait until all sections that have been accepted so far have ended.

        Parameters
        ----------
        timeout : float, optional
            Longest wait [seconds]. For ever if not given.

        Returns
        -------
        success : {'ok', 'fail'}

        Examples
        --------
        ::

            ?orders-sync 10
            !orders-sync ok
        """
        await self._host.until_ready()
        try:
            await self._host.executor.sync(timeout)
        except WaitTimeout:
            raise FailReply(f"Sections have not ended within {timeout:g} s.") from None
        return ("ok",)

    async def request_orders_pause(self, req: Any) -> Any:
        """Start no sections until ?orders-resume; those that run go on.

        Returns
        -------
        success : {'ok'}
        queue-length : int
            Number of sections that wait.

        Examples
        --------
        ::

            ?orders-pause
            !orders-pause ok 3
        """
        await self._host.until_ready()
        waiting = self._host.executor.pause()
        self._host.sensors.renew()
        return "ok", waiting

    async def request_orders_resume(self, req: Any) -> Any:
        """Start sections again.

        Returns
        -------
        success : {'ok'}
        queue-length : int
            Number of sections that wait.

        Examples
        --------
        ::

            ?orders-resume
            !orders-resume ok 3
        """
        await self._host.until_ready()
        waiting = self._host.executor.resume()
        self._host.sensors.renew()
        return "ok", waiting
