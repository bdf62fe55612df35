"""Who may ask for what: decided by a policy that the device is given."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from katcp.errors import FailReply
from katcp.server._connection import ClientConnection
from katcp.server._request import Sent
from katcp.server._seldom import SeldomLog

if TYPE_CHECKING:
    from katcp.server._statistics import Counters

#: What a client is told when a policy says no more than that.
DENIED = "Access denied."


class AccessPolicy:
    """Decides who may come in, who may ask for what, and who hears what is said to all.

    A server that is given one (``access=``) asks it. Each method may be overridden; as they stand
    they let everything pass. `may_connect` and `may_request` return True, and nothing else than
    that, to let something pass; they may also

    * return False (or None, or anything else): refused, ``Access denied.``;
    * raise `FailReply` or `InvalidReply`: refused, with that text;
    * raise anything else: refused, ``Access denied.``, and the log has the error;
    * be coroutines, or return futures, of these: the client is held back meanwhile, and refused
      after `timeout`.

    They are called in the loop of the server, whatever thread handlers run in, and must not block.
    A client is a `ClientConnection`: it can be a key of a dict or a `weakref.WeakKeyDictionary`,
    its `address` tells where it comes from, and it is the same object from `may_connect` on.

    Examples
    --------
    Nobody but this computer may do more than look::

        class LookOnly(AccessPolicy):
            LOOKING = {"help", "watchdog", "sensor-list", "sensor-value", "sensor-sampling"}

            def may_request(self, client, name, arguments):
                return name in self.LOOKING or client.address.startswith("127.0.0.1:")

        device = Heater("", 7147, access=LookOnly())
    """

    #: How long a coroutine or future may take to decide [s].
    timeout: float = 10.0

    def may_connect(self, client: ClientConnection) -> Any:
        """Decide on a new client, before it is greeted; a refusal is the text of ``#disconnect``.

        Addresses that are not allowed, and clients too many, have been turned away before.
        """
        return True

    def may_request(self, client: ClientConnection, name: str, arguments: Sequence[bytes]) -> Any:
        """Decide on a request, before its handler is called.

        Where a device handles messages in its own way (`on_message`, `handle_request`), that is
        before these are called; and once more if they hand another message to `handle_request`.
        Names that the device does not have may come too then, and are otherwise not asked about.

        Parameters
        ----------
        client : ClientConnection
        name : str
            Of the request.
        arguments : sequence of bytes
            As they came, unescaped.
        """
        return True

    def may_receive(self, client: ClientConnection, name: str) -> bool:
        """Decide whether a client is sent an inform that goes to all; not a coroutine.

        Such are ``log``, ``interface-changed``, ``client-connected``, and whatever a device gives
        to `mass_inform`. Readings (``sensor-status``) are sent to those whose ``sensor-sampling``
        was let pass. What a client is told for itself is not asked about.
        """
        return True


class Gate:
    """Asks a policy, and makes of whatever it does a decision.

    Parameters
    ----------
    policy : AccessPolicy
        Or anything that has its methods.
    follow : callable
        Returns a future of the loop for an awaitable.
    counters : Counters
    logger : logging.Logger
    """

    def __init__(
        self,
        policy: Any,
        follow: Callable[[Any], asyncio.Future[Any]],
        counters: Counters,
        logger: logging.Logger,
    ) -> None:
        for name in ("may_connect", "may_request", "may_receive"):
            if not callable(getattr(policy, name, None)):
                raise TypeError(f"{policy!r} is no AccessPolicy: it has no method {name}.")
        self.policy = policy
        self._follow = follow
        self._counters = counters
        self._refusals = SeldomLog(logger, logging.INFO)
        self._errors = SeldomLog(logger, logging.ERROR)

    # -- coming in ----------------------------------------------------------------------

    def connect(self, client: ClientConnection) -> Any:
        """Ask about a client: None if it may come in, or a `FailReply`, or a coroutine of these."""
        return self._ask("the connection", client, self.policy.may_connect, client)

    # -- requests -----------------------------------------------------------------------

    def request(self, client: Any, name: str, arguments: Iterable[bytes]) -> Any:
        """Ask about a request: None if it may go on, or a `FailReply`, or a coroutine of these."""
        verdict = self._ask(
            f"?{name}", client, self.policy.may_request, client, name, tuple(arguments)
        )
        if isinstance(verdict, FailReply):
            self._counters.refused_requests += 1
            return verdict
        return verdict if verdict is None else self._count(verdict)

    async def _count(self, pending: Coroutine[Any, Any, FailReply | None]) -> FailReply | None:
        verdict = await pending
        if verdict is not None:
            self._counters.refused_requests += 1
        return verdict

    # -- informs ------------------------------------------------------------------------

    def audience(
        self, clients: Iterable[ClientConnection], name: str
    ) -> dict[ClientConnection, None]:
        """Return those of `clients` who are sent an inform that goes to all."""
        return {client: None for client in clients if self._receives(client, name)}

    def _receives(self, client: ClientConnection, name: str) -> bool:
        try:
            return self.policy.may_receive(client, name) is True
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self._failed(f"#{name}", client, error)
            return False

    # -- decisions ----------------------------------------------------------------------

    def _ask(self, what: str, client: Any, question: Callable[..., Any], *args: Any) -> Any:
        try:
            answer = question(*args)
            if answer is True:
                return None
            pending = _awaitable(answer)
            if pending is not None:
                future = self._follow(pending)
                if not future.done():
                    return self._later(what, client, future)
                answer = _outcome(future)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            return self._refuse(what, client, error)
        return self._decided(what, client, answer)

    async def _later(self, what: str, client: Any, future: asyncio.Future[Any]) -> FailReply | None:
        try:
            await asyncio.wait([future], timeout=getattr(self.policy, "timeout", 10.0))
            if not future.done():
                raise asyncio.TimeoutError("it has not been decided in time")
            return self._decided(what, client, _outcome(future))
        except (KeyboardInterrupt, asyncio.CancelledError):
            raise
        except BaseException as error:
            return self._refuse(what, client, error)
        finally:
            future.cancel()

    def _decided(self, what: str, client: Any, answer: Any) -> FailReply | None:
        return None if answer is True else self._refuse(what, client, FailReply(DENIED))

    def _refuse(self, what: str, client: Any, error: BaseException) -> FailReply:
        if not isinstance(error, FailReply):
            self._failed(what, client, error)
            return FailReply(DENIED)
        self._refusals.log(
            "Refused %s of %s: %s", what, getattr(client, "address", "unknown"), error
        )
        return error

    def _failed(self, what: str, client: Any, error: BaseException) -> None:
        self._errors.log(
            "The access policy failed on %s of %s, which is refused",
            what,
            getattr(client, "address", "unknown"),
            exc_info=error,
        )


class _CancelledDecision(Exception):
    """A policy's future was cancelled by somebody."""


def _awaitable(answer: Any) -> Any:
    """Return what to wait for; None if `answer` is an answer."""
    if isinstance(answer, Sent):
        return None
    if inspect.isawaitable(answer) or hasattr(answer, "add_done_callback"):
        return answer
    return None


def _outcome(future: asyncio.Future[Any]) -> Any:
    if future.cancelled():
        raise _CancelledDecision("its future was cancelled")
    answer = future.result()
    if isinstance(answer, BaseException):  # such as SystemExit, which no task may raise
        raise answer
    return answer
