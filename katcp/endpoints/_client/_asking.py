"""One request to another device: its answer, or what went wrong as an exception."""

from __future__ import annotations

import asyncio
import math
from typing import Any, NamedTuple

from katcp.aio import WaitTimeout, with_timeout
from katcp.endpoints._codes import (
    BrokerConnectionError,
    ClientTimeoutError,
    EndpointError,
    InvalidMethodError,
    InvalidRequestError,
    ReplyError,
    ServiceError,
    UnableToSendError,
    error_for,
)
from katcp.endpoints._values import from_argument
from katcp.errors import KatcpClientDisconnected, KatcpClientError
from katcp.protocol import Message
from katcp.resource import KATCPResourceInactive

#: A resource makes up a reply when it has waited long enough; ours comes before that [s].
_MARGIN = 1.0


class Answer(NamedTuple):
    """What a device answered to a request that it carried out.

    Attributes
    ----------
    arguments : list of bytes
        Of the reply, behind ``ok``.
    informs : list of list of bytes
        Arguments of the informs of the request.
    """

    arguments: list[bytes]
    informs: list[list[bytes]]


class Asker:
    """Makes requests of one device.

    Parameters
    ----------
    client : InspectingClientAsync, AsyncClient or KATCPClientResource
        Over which to ask.
    """

    def __init__(self, client: Any) -> None:
        self.client = client

    @property
    def name(self) -> str:
        """What the device is called: the name of a resource, or else its address."""
        name = getattr(self.client, "name", None)
        if isinstance(name, str):
            return name
        return str(getattr(self.client, "bind_address_string", "device"))

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection."""
        return bool(self.client.is_connected())

    async def ask(self, name: str, arguments: list[bytes], limit: float) -> Answer:
        """Make a request.

        Parameters
        ----------
        name : str
        arguments : list of bytes
        limit : float
            How long the answer may take [s].

        Raises
        ------
        EndpointError
            Of the class of the code that the device gave, or of what went wrong on the way.
        """
        if getattr(self.client, "req", None) is None:
            reply, informs = await self._over_wire(name, arguments, limit)
        else:
            reply, informs = await self._over_resource(name, arguments, limit)
        if reply[:1] != [b"ok"]:
            raise error_of(name, reply)
        return Answer(reply[1:], informs)

    async def _over_wire(
        self, name: str, arguments: list[bytes], limit: float
    ) -> tuple[list[bytes], list[list[bytes]]]:
        client = getattr(self.client, "katcp_client", self.client)
        message = Message(Message.REQUEST, name, arguments)
        try:
            reply, informs = await client.wire_request(message, limit)
        except (WaitTimeout, asyncio.TimeoutError):
            raise self._too_late(name, limit) from None
        except KatcpClientDisconnected as error:
            raise self._not_there(name) from error
        except KatcpClientError as error:
            if not self.is_connected:
                raise self._not_there(name) from error
            raise UnableToSendError(f"?{name} of {self.name}: {error}") from error
        return list(reply), [list(inform) for inform in informs]

    async def _over_resource(
        self, name: str, arguments: list[bytes], limit: float
    ) -> tuple[list[bytes], list[list[bytes]]]:
        if not self.is_connected:
            raise self._not_there(name)
        try:
            request = self.client.req[name.replace("-", "_")]
        except KeyError:
            raise InvalidMethodError(f"{self.name} offers no request ?{name}") from None
        try:
            pending = request(*arguments, timeout=limit + _MARGIN)
            # Not `asyncio.wait_for`: before Python 3.12 it may lose a cancellation of the caller.
            reply, informs = await with_timeout(pending, limit)
        except (WaitTimeout, asyncio.TimeoutError):
            raise self._too_late(name, limit) from None
        except KATCPResourceInactive as error:
            raise UnableToSendError(f"?{name} of {self.name}: {error}") from error
        except KatcpClientError as error:
            raise self._not_there(name) from error
        if len(reply.arguments) < 3 and not reply.reply_ok() and not self.is_connected:
            raise self._not_there(name)
        return reply.arguments, [inform.arguments for inform in informs]

    def _too_late(self, name: str, limit: float) -> ClientTimeoutError:
        return ClientTimeoutError(f"{self.name} did not answer ?{name} within {limit:g} s")

    def _not_there(self, name: str) -> BrokerConnectionError:
        return BrokerConnectionError(f"{self.name} is not connected, to be asked ?{name}")


def checked_timeout(timeout: float) -> float:
    """Return a time limit [s].

    Raises
    ------
    InvalidRequestError
        If it is none (401).
    """
    if not (math.isfinite(timeout) and timeout > 0):
        raise InvalidRequestError(f"a timeout is a time above 0 s, not {timeout!r}")
    return float(timeout)


def text_of(argument: bytes) -> str:
    """Return an argument as text, whatever it holds."""
    return argument.decode("utf-8", "surrogateescape")


def error_of(name: str, reply: list[bytes]) -> EndpointError:
    """Return what a reply means that is not ``ok``."""
    status = reply[0] if reply else b""
    invalid = status == b"invalid"
    if status not in (b"fail", b"invalid"):
        return ReplyError(f"?{name} was answered by {status!r}")
    text = text_of(reply[1]) if len(reply) > 1 else ""
    if len(reply) > 2 and reply[2].isdigit() and len(reply[2]) < 10 and int(reply[2]) >= 100:
        payload = tuple(map(from_argument, reply[3:]))
        return error_for(int(reply[2]), text, payload, invalid=invalid)
    if invalid and text.startswith("Unknown request"):
        return InvalidMethodError(text)
    return ServiceError(text or f"?{name} failed", map(from_argument, reply[2:]), invalid=invalid)
