"""Requests of endpoints: to get, set, command, configure and send, to list and to ping them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from katcp.endpoints._codes import InvalidValueError, RoutingKeyError, ServiceError, warn
from katcp.endpoints._endpoint import Endpoint
from katcp.endpoints._keys import check_durable, take_durable, until_durable
from katcp.endpoints._logging import LoggedEndpoint
from katcp.endpoints._operations import AT_ONCE, count, text_of
from katcp.endpoints._requests._locks import take_key
from katcp.kattypes import decode
from katcp.protocol import Message

if TYPE_CHECKING:
    from katcp.endpoints._host import EndpointHost


class EndpointRequests:
    """Requests of endpoints; each method is one.

    Parameters
    ----------
    host : EndpointHost
        Whose endpoints they are about.
    """

    def __init__(self, host: EndpointHost) -> None:
        self._host = host

    async def request_get(self, req: Any, msg: Message) -> Any:
        r"""Ask an endpoint for its value.

        Unlike ``?sensor-value``, which tells what is known, this makes the endpoint look.

        Parameters
        ----------
        target : str
            Address of an endpoint, or a unique end of it.
        property : str, optional
            A declared property to read in place of the value; ``target.property`` will do as well.

        Returns
        -------
        success : {'ok', 'fail', 'invalid'}
        raw : str
            The value as the endpoint has it; of a property, its value, and nothing else follows.
            In a failure the message, and then the code.
        cal : str
            The calibrated value; empty if there is none.
        timestamp : float
            When it was taken [seconds since 1970, UTC].
        status : str
            ``nominal``, ``unknown`` (there is no value yet) or ``error`` (it cannot be
            calibrated, or is none of the type of its sensor).

        Examples
        --------
        ::

            ?get[1] peaches
            !get[1] ok 1.79 3.58 1767225600.250000 nominal
        """
        count(msg.arguments, 1, 2, "get target [property]")
        endpoint, arguments = self._target(msg.arguments, [])
        return await self._answer(req, endpoint, "get", arguments, None)

    async def request_set(self, req: Any, msg: Message) -> Any:
        """Set an endpoint.

        Parameters
        ----------
        target : str
            Address of an endpoint, or a unique end of it.
        value : str
            Of the type of the endpoint, before calibration.
        property : str, optional
            A declared property to set in place of the value; ``target.property`` will do as well.
        durable : str, optional
            ``durable=true`` behind the value: reply when the new value of a key is on the disk.
        lockout-key : str, optional
            ``lockout-key=KEY`` behind the value, if the endpoint is locked.

        Returns
        -------
        success : {'ok', 'fail', 'invalid'}
        raw : str, optional
            The new value, as the endpoint says. In a failure the message, and then the code.
        cal : str, optional
            The new value calibrated, if the endpoint is read back after it was set.

        Examples
        --------
        ::

            ?set[1] peaches 1.79
            !set[1] ok 1.79 3.58
        """
        arguments, durable = take_durable(msg.arguments, 2)
        arguments, key = take_key(arguments, 2)
        if not durable:  # in any order
            arguments, durable = take_durable(arguments, 2)
        count(arguments, 2, 3, "set target value [property] [durable=true] [lockout-key=KEY]")
        endpoint, arguments = self._target(arguments, arguments[1:2])
        if durable:
            check_durable(self._host.persistence)
        if self._host.stopping:
            raise ServiceError("the device is about to stop")
        answer = await self._answer(req, endpoint, "set", arguments, key)
        if durable:
            await until_durable(self._host.persistence)
        return answer

    async def request_cmd(self, req: Any, msg: Message) -> Any:
        """Call a command that an endpoint has declared.

        Parameters
        ----------
        target : str
            Address of an endpoint, or a unique end of it.
        method : str
            Name of the command; dashes and underscores are equal.
        argument : str, optional
            Arguments of the command, ``name=value`` for those that it knows by name only.
        lockout-key : str, optional
            ``lockout-key=KEY`` as the last argument, if the endpoint is locked.

        Returns
        -------
        success : {'ok', 'fail', 'invalid'}
        result : str, optional
            What the command returned. In a failure the message, and then the code.

        Examples
        --------
        ::

            ?cmd[1] pump spin 50 ramp=2
            !cmd[1] ok 49.9
        """
        arguments, key = take_key(msg.arguments, 2)
        count(arguments, 2, None, "cmd target method [argument ...] [lockout-key=KEY]")
        endpoint = self._find(arguments[0])
        return await self._answer(req, endpoint, "cmd", arguments[1:], key)

    async def request_configure(self, req: Any, msg: Message) -> Any:
        """Read or set a property that an endpoint has declared.

        Parameters
        ----------
        target : str
            Address of an endpoint, or a unique end of it.
        property : str
            Dashes and underscores are equal.
        value : str, optional
            To set it to.
        lockout-key : str, optional
            ``lockout-key=KEY`` behind the value, if the endpoint is locked.

        Returns
        -------
        success : {'ok', 'fail', 'invalid'}
        value : str
            What it is now. In a failure the message, and then the code.
        remark : str, optional
            What else that has changed: an interval of 0 turns a schedule off.

        Examples
        --------
        ::

            ?configure[1] peaches max-interval 5
            !configure[1] ok 5.0
        """
        arguments, key = take_key(msg.arguments, 3)
        count(arguments, 2, 3, "configure target property [value] [lockout-key=KEY]")
        endpoint = self._find(arguments[0])
        return await self._answer(req, endpoint, "configure", arguments[1:], key)

    async def request_send(self, req: Any, msg: Message) -> Any:
        """Send raw commands to the device behind a provider, if that allows it.

        Parameters
        ----------
        target : str
            Address of a provider, or a unique end of it.
        command : str
            One or more, as they are.
        lockout-key : str, optional
            ``lockout-key=KEY`` as the last argument, if the provider is locked.

        Returns
        -------
        success : {'ok', 'fail', 'invalid'}
        answer : str, optional
            What the device answered. In a failure the message, and then the code.

        Examples
        --------
        ::

            ?send[1] scope *IDN?
            !send[1] ok ACME,7,0042
        """
        arguments, key = take_key(msg.arguments, 2)
        count(arguments, 2, None, "send target command ... [lockout-key=KEY]")
        endpoint = self._find(arguments[0])
        return await self._answer(req, endpoint, "send", arguments[1:], key)

    async def request_list_endpoints(self, req: Any, msg: Message) -> Any:
        """List the endpoints; ``?endpoint-list`` is the same.

        Parameters
        ----------
        target : str, optional
            A provider, to list what belongs to it; all endpoints if not given, or ``*``.

        Informs
        -------
        path : str
            Address without the node; its sensors begin with it.
        kind : str
            ``store``, ``key``, ``provider``, ``spime``, ``endpoint`` or what its class says.
        locked : bool
        logging : bool
            Whether it is read by schedule.

        Returns
        -------
        success : {'ok', 'fail', 'invalid'}
        informs : int
            Number of informs sent. In a failure the message, and then the code.

        Examples
        --------
        ::

            ?list-endpoints[1] kv_example
            #list-endpoints[1] kv_example.foo key 0 0
            !list-endpoints[1] ok 1
        """
        count(msg.arguments, 0, 1, f"{msg.name} [target]")
        if not msg.arguments or text_of(msg.arguments[0]) in ("*", self._host.node):
            listed = self._host.all_endpoints()
        else:
            listed = self._find(msg.arguments[0]).walk()[1:]
        for number, endpoint in enumerate(listed, 1):
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)
            logs = isinstance(endpoint, LoggedEndpoint) and endpoint.logging.schedule.is_on
            req.inform(endpoint.path, endpoint.kind, endpoint.is_locked, logs)
        return ("ok", len(listed))

    request_endpoint_list = request_list_endpoints

    async def request_ping(self, req: Any, msg: Message) -> Any:
        """Do nothing, and say so: locks and other requests do not hold it up.

        Parameters
        ----------
        target : str, optional
            Address of an endpoint, or a unique end of it; this device if not given, or ``*``.
        anything : str, optional
            Further arguments are ignored.

        Returns
        -------
        success : {'ok', 'fail'}
            It fails if there is no such endpoint, by a message and the code 102.
        """
        address = text_of(msg.arguments[0]) if msg.arguments else "*"
        if address in ("*", self._host.node):
            return ("ok",)
        endpoint = self._host.find(address)
        return await self._answer(req, endpoint, "ping", msg.arguments[1:], None)

    async def request_set_condition(self, req: Any, msg: Message) -> Any:
        r"""Have endpoints do what a condition asks of them, locked or not.

        Parameters
        ----------
        number : int
            Of the condition.
        target : str, optional
            Address of an endpoint whose part it is; all if not given, or ``*``.

        Informs
        -------
        path : str
            Of an endpoint that knows the condition.
        success : {'ok', 'fail'}
        text : str
            What it did, or why not.

        Returns
        -------
        success : {'ok', 'fail', 'invalid'}
        informs : int
            Number of informs sent. In a failure the message, and then the code.

        Examples
        --------
        ::

            ?set-condition[1] 10
            #set-condition[1] supply.current ok \@
            #set-condition[1] valve fail valve:\_it\_is\_stuck
            !set-condition[1] ok 2
        """
        count(msg.arguments, 1, 2, "set-condition number [target]")
        try:
            number = decode(int, msg.arguments[0])
        except ValueError:
            given = text_of(msg.arguments[0])
            raise InvalidValueError(
                f"the number of a condition is an integer, not {given!r}", invalid=True
            ) from None
        address = text_of(msg.arguments[1]) if len(msg.arguments) > 1 else None
        found = await asyncio.gather(
            *(target.condition_outcomes(number) for target in self._host.targets(address))
        )
        outcomes = [outcome for some in found for outcome in some]
        if not outcomes:
            raise InvalidValueError(f"no endpoint knows of condition {number}")
        for path, ok, text in outcomes:
            req.inform(path, "ok" if ok else "fail", text)
        return ("ok", len(outcomes))

    # -- helpers ------------------------------------------------------------------------

    def _find(self, address: bytes) -> Endpoint:
        return self._host.find(text_of(address))

    def _target(
        self, arguments: Sequence[bytes], values: Sequence[bytes]
    ) -> tuple[Endpoint, list[bytes]]:
        """Return the endpoint that is meant, and its value and property, if there are any."""
        endpoint, member = self._host.find_member(text_of(arguments[0]))
        rest = list(arguments[1:])
        if member is None:
            return endpoint, rest
        if len(rest) > len(values):
            raise RoutingKeyError(f"there is no endpoint {text_of(arguments[0])!r}")
        return endpoint, [*values, member.encode()]

    async def _answer(
        self,
        req: Any,
        endpoint: Endpoint,
        method: str,
        arguments: Sequence[bytes],
        key: str | None,
    ) -> Any:
        if key is None:
            key = self._host.locks.key_of(req.client_connection)
        answer = await endpoint.handle_request(
            req.client_connection, method, {"lockout_key": key}, list(arguments)
        )
        if isinstance(endpoint, LoggedEndpoint):
            remark = endpoint.logging.take_remark()
            if remark:
                warn(req, 5, remark)
        return ("ok", *answer)
