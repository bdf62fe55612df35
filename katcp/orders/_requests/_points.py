"""Requests for one order at a time: points, sysctl, messages. They go through the queue, too."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

from katcp.errors import FailReply, InvalidReply
from katcp.kattypes import Float, Timestamp, concurrent_reply, encode, request_timeout_hint
from katcp.orders._orders import (
    AdviseLevel,
    MessageOrder,
    Order,
    ReadOrder,
    SysctlOrder,
    WriteOrder,
)
from katcp.orders._outcome import FAILED_PREFIX, OrderFailed, Outcome
from katcp.orders._pathpoint import NotReadYet, Pathpoint, PointFailed
from katcp.orders._requests._submission import Seconds, mount
from katcp.orders._section import Section
from katcp.orders._targets import PathpointTarget
from katcp.sensors import STATUSES

if TYPE_CHECKING:
    from katcp.orders._host import OrderHost

_ADVISE = {
    "0": AdviseLevel.ADVISE,
    "advise": AdviseLevel.ADVISE,
    "1": AdviseLevel.FORCE,
    "force": AdviseLevel.FORCE,
}
#: Clients are told to allow an order so long [s]; it may be tried often, or wait for others.
_HINT = 120.0
_TIME = Timestamp()


class PointRequests:
    """The requests for single orders; those about points if the target has points of its own.

    Parameters
    ----------
    host : OrderHost
    """

    def __init__(self, host: OrderHost) -> None:
        self._host = host

    def mount(self) -> None:
        """Add them to the device."""
        mount(self._host, _SingleOrders(self._host))
        if isinstance(self._host.executor.target, PathpointTarget):
            mount(self._host, _Points(self._host, self._host.executor.target))


class _SingleOrders:
    def __init__(self, host: OrderHost) -> None:
        self._host = host

    @concurrent_reply
    @request_timeout_hint(_HINT)
    async def request_sysctl(self, req: Any, op_type: str, op_args: str = "") -> Any:
        """Do something that this device knows, in its turn among the orders.

        Parameters
        ----------
        op_type : str
            What to do, such as reboot.
        op_args : str, optional
            Anything that belongs to it.

        Returns
        -------
        success : {'ok', 'fail'}
            Fails also if the device does not know it.

        Examples
        --------
        ::

            ?sysctl reboot now
            !sysctl ok
        """
        outcome = await carry_out(self._host, req, SysctlOrder(_given("op_type", op_type), op_args))
        if not outcome.good:
            raise FailReply(told(outcome))
        return ("ok",)

    @concurrent_reply
    @request_timeout_hint(_HINT)
    async def request_message_execute(self, req: Any, uuid: str) -> Any:
        """Send a message that is known under a name, in its turn among the orders.

        Parameters
        ----------
        uuid : str
            Under which it is known.

        Returns
        -------
        success : {'ok', 'fail'}

        Examples
        --------
        ::

            ?message-execute e4d909c2
            !message-execute ok
        """
        outcome = await carry_out(self._host, req, MessageOrder(_given("uuid", uuid)))
        if not outcome.good:
            raise FailReply(told(outcome))
        return ("ok",)


class _Points:
    def __init__(self, host: OrderHost, target: PathpointTarget) -> None:
        self._host = host
        self._target = target

    def _find(self, name: str) -> Pathpoint:
        if not self._target.has(name):
            raise FailReply(f"Unknown point {name!r}.")
        return self._target[name]

    def _told(self, point: Pathpoint) -> tuple[bytes, str, bytes]:
        """Return time, status and value of the present reading, for the wire."""
        timestamp, status, value = point.sensor.read()
        return (
            _TIME.pack(timestamp, major=self._host.device.katcp_major),
            STATUSES[status],
            encode(value),
        )

    async def request_point_list(self, req: Any, name: str = "") -> Any:
        r"""List points.

        Parameters
        ----------
        name : str, optional
            Name of a point, or a /regular expression/; all if not given.

        Informs
        -------
        name : str
            Name of the point.
        type : str
            Type of its sensor.
        access : {'rw', 'ro', 'wo', 'push'}
            Whether orders can read and write it; push: its values come by themselves.
        timestamp : timestamp
            Of its reading; empty if there is none.
        status : str
            Of its reading.

        Returns
        -------
        success : {'ok', 'fail'}
        informs : int
            Number of informs sent.

        Examples
        --------
        ::

            ?point-list
            #point-list pressure float ro \@ unknown
            #point-list valve integer wo 1700000000.1 nominal
            !point-list ok 2
        """
        points = self._chosen(name)
        for point in points:
            timestamp, status, _ = self._told(point)
            known = _has_reading(point)
            req.inform(
                point.name,
                point.sensor.stype,
                point.access,
                timestamp if known else b"",
                status if known else "unknown",
            )
        return "ok", len(points)

    def _chosen(self, name: str) -> list[Pathpoint]:
        if not name:
            return sorted(self._target, key=lambda point: point.name)
        if len(name) > 1 and name[0] == name[-1] == "/":
            try:
                pattern = re.compile(name[1:-1])
            except re.error as error:
                raise InvalidReply(f"{name} is no regular expression: {error}.") from None
            points = [point for point in self._target if pattern.search(point.name)]
            if not points:
                raise FailReply(f"No point matches {name}.")
            return sorted(points, key=lambda point: point.name)
        return [self._find(name)]

    async def request_point_get(self, req: Any, name: str) -> Any:
        """Tell the last reading of a point; nothing is read.

        Parameters
        ----------
        name : str
            Name of the point.

        Returns
        -------
        success : {'ok', 'fail'}
            Fails if the point has not been read yet.
        timestamp : timestamp
            When it was so.
        status : str
            Status of the reading; failure if the last attempt to read has failed.
        value : str
            The last value.
        reason : str
            Why the last attempt to read has failed, if it has.

        Examples
        --------
        ::

            ?point-get pressure
            !point-get ok 1700000000.1 nominal 0.25
        """
        point = self._find(name)
        reason: tuple[str, ...] = ()
        try:
            point.get()
        except NotReadYet as error:
            raise FailReply(f"{error}.") from None
        except PointFailed as error:
            reason = (f"{error.reason}: {error.detail}" if error.detail else error.reason,)
        return "ok", *self._told(point), *reason

    @concurrent_reply
    @request_timeout_hint(_HINT)
    async def request_point_read(
        self, req: Any, name: str, advise: str = "0", timeout: Seconds = None
    ) -> Any:
        """Read a point, in its turn among the orders.

        Parameters
        ----------
        name : str
            Name of the point.
        advise : {'0', '1', 'advise', 'force'}
            1: try 20 times, not 3 times.
        timeout : float, optional
            How long to try at most [seconds].

        Returns
        -------
        success : {'ok', 'fail'}
        timestamp : timestamp
            When it was so.
        status : str
            Status of the reading.
        value : str
            The value.

        Examples
        --------
        ::

            ?point-read pressure 0 5
            !point-read ok 1700000000.1 nominal 0.25
        """
        point = self._find(name)
        outcome = await carry_out(self._host, req, ReadOrder(name, _level(advise)), timeout)
        if not outcome.good:
            raise FailReply(told(outcome))
        return "ok", *self._told(point)

    @concurrent_reply
    @request_timeout_hint(_HINT)
    async def request_point_write(
        self,
        req: Any,
        name: str,
        value: bytes,
        advise: str = "0",
        stale_after: Annotated[float | None, Float(optional=True)] = None,
    ) -> Any:
        """Write a point, in its turn among the orders.

        Parameters
        ----------
        name : str
            Name of the point.
        value : str
            As its sensor has it on the wire.
        advise : {'0', '1', 'advise', 'force'}
            1: try ten times, not once.
        stale_after : float, optional
            When it is no longer to be written [seconds since 1970].

        Returns
        -------
        success : {'ok', 'fail', 'invalid'}
        attempts : int
            How often it was tried.

        Examples
        --------
        ::

            ?point-write valve 1
            !point-write ok 1
        """
        point = self._find(name)
        try:
            wanted = point.checked(value)
        except OrderFailed as error:
            refusal = FailReply if error.reason == "read-only" else InvalidReply
            raise refusal(f"{error.detail}.") from None
        order = WriteOrder(name, wanted, _level(advise), stale_after)
        outcome = await carry_out(self._host, req, order)
        if not outcome.good:
            raise FailReply(told(outcome))
        return "ok", outcome.attempts


async def carry_out(
    host: OrderHost, req: Any, order: Order, timeout: float | None = None
) -> Outcome:
    """Have one order carried out for a client; return what it came to.

    If it takes longer than `timeout` [s], it is cancelled, whether it waits or is being tried.

    Raises
    ------
    FailReply
        If it is not accepted, or nobody knows what it came to.
    """
    section = Section([order])
    await host.submit(section, req.client_connection.address)
    try:
        await host.until_ended(section, timeout)
    except FailReply:
        section.cancel(force=True)
        attempts = section.progress_of(0).attempts
        raise FailReply(f"{FAILED_PREFIX}timeout after {attempts} attempts.") from None
    outcome = section.results[0]
    assert outcome is not None  # it has ended
    return outcome


def told(outcome: Outcome) -> str:
    """Return why an order was not carried out, in words."""
    times = "attempt" if outcome.attempts == 1 else "attempts"
    detail = f": {outcome.detail}" if outcome.detail else ""
    return f"{outcome.outcome} after {outcome.attempts} {times}{detail}"


def _has_reading(point: Pathpoint) -> bool:
    try:
        point.get()
    except NotReadYet:
        return False
    except PointFailed:
        pass
    return True


def _given(what: str, text: str) -> str:
    if not text:
        raise InvalidReply(f"{what} must not be empty.")
    return text


def _level(text: str) -> AdviseLevel:
    level = _ADVISE.get(text)
    if level is None:
        raise InvalidReply(f"The advise level is 0 or 1, not {text!r}.")
    return level
