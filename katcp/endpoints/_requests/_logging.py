"""Requests of schedules and alerts.

``?logging``, ``?schedule-once``; ``?alert-subscribe``, ``?alert-unsubscribe``, ``?alert-list``,
``?alert-send``.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from typing import Any, Protocol

from katcp.endpoints._alerts import AlertHub
from katcp.endpoints._codes import BadPayloadError, InvalidMethodError, InvalidValueError, warn
from katcp.endpoints._endpoint import Endpoint
from katcp.endpoints._logging import (
    LoggedEndpoint,
    LoggingState,
    logging_states,
    set_logging,
    state_word,
)
from katcp.endpoints._operations import AT_ONCE
from katcp.endpoints._requests._locks import take_key
from katcp.endpoints._values import to_argument
from katcp.protocol import Message

#: The warning that nothing was done.
_NO_ACTION = 1


class Serving(Protocol):
    """What the requests need of who serves the endpoints: an `EndpointHost` has it."""

    @property
    def alerts(self) -> AlertHub:
        """Where alerts go."""

    @property
    def locks(self) -> Any:
        """All locks."""

    def find(self, address: str) -> Endpoint:
        """Return the endpoint that an address means."""

    def targets(self, address: str | None) -> Sequence[Endpoint]:
        """Return what an address means that may be ``*``."""


class LoggingRequests:
    """Requests of schedules; each method is one.

    Parameters
    ----------
    host : EndpointHost
        Whose endpoints they are about.
    """

    def __init__(self, host: Serving) -> None:
        self._host = host

    async def request_logging(self, req: Any, msg: Message) -> Any:
        r"""Tell whether an endpoint is checked by schedule, or turn that on or off.

        A check reads the endpoint and broadcasts what it gave, if its limits say so.

        Parameters
        ----------
        target : str
            Address of an endpoint, or a unique end of it; of a provider for all below it; * for
            all.
        state : {'on', 'off', 'restart'}, optional
            To be set; also start, 1, true; stop, 0, false.
        lockout-key : str, optional
            ``lockout-key=KEY`` as the last argument, if the endpoint is locked.

        Informs
        -------
        path : str
            Of a provider, one below it that can be checked.
        state : {'on', 'off'}
        remark : str, optional
            Why it could not be changed.

        Returns
        -------
        success : {'ok', 'fail', 'invalid'}
        state : str
            ``on`` or ``off``; of a provider, the number of informs. In a failure the message, and
            then the code.

        Examples
        --------
        ::

            ?logging[1] peaches on
            !logging[1] ok on
            ?logging[2] my_price_list
            #logging[2] my_price_list.peaches on
            !logging[2] ok 1
        """
        arguments, key = take_key(msg.arguments, 1)
        if not 1 <= len(arguments) <= 2:
            raise BadPayloadError("usage: logging target [on/off/restart] [lockout-key=KEY]")
        address = _text(arguments[0])
        word = None if len(arguments) < 2 else _word(arguments[1])
        targets = self._host.targets(address)
        if address != "*" and not targets[0].children():
            endpoint = targets[0]
            if not isinstance(endpoint, LoggedEndpoint):
                raise InvalidMethodError(f"{endpoint.path} has no schedule")
            if word is not None:
                endpoint.lockout.check(self._key(req, key))
                endpoint.logging.set_state(word)
            return ("ok", endpoint.logging.state)
        states: list[LoggingState] = []
        for target in targets:
            if word is None:
                states += logging_states(target)
            else:
                states += set_logging(target, word, self._key(req, key))
        for number, (path, state, remark) in enumerate(states, 1):
            req.inform(*((path, state, remark) if remark else (path, state)))
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)
        return ("ok", len(states))

    async def request_schedule_once(self, req: Any, msg: Message) -> Any:
        """Have an endpoint checked once, after a time; its schedule is not changed.

        Parameters
        ----------
        target : str
            Address of an endpoint, or a unique end of it.
        delay : float
            When [s from now].
        lockout-key : str, optional
            ``lockout-key=KEY`` as the last argument, if the endpoint is locked.

        Returns
        -------
        success : {'ok', 'fail', 'invalid'}
            In a failure the message follows, and then the code.
        """
        arguments, key = take_key(msg.arguments, 2)
        if len(arguments) != 2:
            raise BadPayloadError("usage: schedule-once target delay [lockout-key=KEY]")
        endpoint = self._host.find(_text(arguments[0]))
        if not isinstance(endpoint, LoggedEndpoint):
            raise InvalidMethodError(f"{endpoint.path} has no schedule")
        delay = _delay(arguments[1])
        endpoint.lockout.check(self._key(req, key))
        endpoint.single_schedule(delay)
        return ("ok",)

    def _key(self, req: Any, key: str | None) -> str | None:
        """Return the key that a request comes with, its own or that of its connection."""
        if key is not None:
            return key
        known: str | None = self._host.locks.key_of(req.client_connection)
        return known


class AlertRequests:
    """Requests of alerts; each method is one.

    Parameters
    ----------
    host : EndpointHost
        Has the alerts.
    """

    def __init__(self, host: Serving) -> None:
        self._host = host

    async def request_alert_subscribe(self, req: Any, msg: Message) -> Any:
        r"""Ask for the alerts whose routing key matches a pattern, until this client goes.

        They come as ``#alert timestamp routing-key name value ...``: the key is that of the kind
        of alert and the name of the endpoint, such as ``sensor_value.peaches``; the names are
        ``value_raw``, ``value_cal``, ``status`` and ``path``, the whole address. A client that
        does not take them misses some, and is told by ``#alerts-dropped count``.

        Parameters
        ----------
        pattern : str
            Words joined by dots; * stands for one word, # for any number of them, also none.

        Returns
        -------
        success : {'ok', 'fail', 'invalid'}
            In a failure the message follows, and then the code.

        Examples
        --------
        ::

            ?alert-subscribe[1] sensor_value.#
            !alert-subscribe[1] ok
            #alert 1700000000.250000 sensor_value.peaches value_raw 0.75 path store.peaches
        """
        pattern = _only(msg, "pattern")
        connection = req.client_connection
        if not self._host.alerts.subscribe(connection, pattern):
            warn(req, _NO_ACTION, f"{pattern} was subscribed to already")
        if getattr(connection, "client_disconnect_called", False):
            self._host.alerts.client_gone(connection)  # it went before, and is not heard of again
        return ("ok",)

    async def request_alert_unsubscribe(self, req: Any, msg: Message) -> Any:
        """Ask no longer for the alerts of a pattern.

        Parameters
        ----------
        pattern : str
            As it was given to ``?alert-subscribe``.

        Returns
        -------
        success : {'ok', 'fail', 'invalid'}
            In a failure the message follows, and then the code.
        """
        pattern = _only(msg, "pattern")
        if not self._host.alerts.unsubscribe(req.client_connection, pattern):
            warn(req, _NO_ACTION, f"{pattern} was not subscribed to")
        return ("ok",)

    async def request_alert_list(self, req: Any, msg: Message) -> Any:
        """List the patterns of this client.

        Informs
        -------
        pattern : str

        Returns
        -------
        success : {'ok', 'invalid'}
        informs : int
            Number of informs sent.
        dropped : int
            Alerts that this client has missed since it did not take what it was sent.
        """
        if msg.arguments:
            raise BadPayloadError("usage: alert-list")
        hub = self._host.alerts
        patterns = hub.patterns(req.client_connection)
        for pattern in patterns:
            req.inform(to_argument(pattern))
        return ("ok", len(patterns), hub.dropped_of(req.client_connection))

    async def request_alert_send(self, req: Any, msg: Message) -> Any:
        r"""Send an alert to all who have asked for such.

        Parameters
        ----------
        key : str
            Its routing key: words joined by dots.
        value : str
            One or more, as they are. They are sent as ``value``, each with that name; ``sender``
            follows, the address of this client.

        Returns
        -------
        success : {'ok', 'fail', 'invalid'}
        receivers : int
            How many took it. In a failure the message, and then the code.

        Examples
        --------
        ::

            ?alert-send[1] status_message.critical.pump it\_leaks
            !alert-send[1] ok 3
        """
        if len(msg.arguments) < 2:
            raise BadPayloadError("usage: alert-send key value ...")
        values: list[tuple[str, Any]] = [("value", value) for value in msg.arguments[1:]]
        values.append(("sender", req.client_connection.address))
        key = _text(msg.arguments[0])
        await self._host.alerts.prepare(key)
        return ("ok", self._host.alerts.publish(key, values))


def _text(argument: bytes) -> str:
    return argument.decode("utf-8", "surrogateescape")


def _only(msg: Message, what: str) -> str:
    if len(msg.arguments) != 1:
        raise BadPayloadError(f"usage: {msg.name} {what}")
    return _text(msg.arguments[0])


def _word(argument: bytes) -> str:
    try:
        return state_word(_text(argument))
    except ValueError as error:
        raise InvalidValueError(str(error), invalid=True) from None


def _delay(argument: bytes) -> float:
    try:
        delay = float(argument)
    except ValueError:
        delay = math.nan
    if not (math.isfinite(delay) and delay >= 0):
        raise InvalidValueError(
            f"the delay is a time of 0 s or more, not {_text(argument[:80])!r}", invalid=True
        )
    return delay
