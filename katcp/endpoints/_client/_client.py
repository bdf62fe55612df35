"""Endpoints of other devices: asked over a connection, with what went wrong as exceptions."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from katcp.endpoints._client._asking import Answer, Asker, checked_timeout, text_of
from katcp.endpoints._client._locking import LockingClient
from katcp.endpoints._codes import EndpointError, InvalidRequestError, ReplyError
from katcp.endpoints._values import EndpointReading, from_argument, positional, to_argument
from katcp.protocol import Message
from katcp.sensors import STATUS_NAMES

log = logging.getLogger("katcp.endpoints")

#: How long an answer may take if nothing else is said [s].
DEFAULT_TIMEOUT = 10.0

_KEY = b"lockout-key="
#: Arguments of requests that cannot be taken for a key.
_BEFORE_KEY = {"set": 2, "cmd": 2, "configure": 3, "send": 2}


class EndpointListing(NamedTuple):
    """One endpoint, as ``?list-endpoints`` tells it.

    Attributes
    ----------
    path : str
    kind : str
    locked, logging : bool
    """

    path: str
    kind: str
    locked: bool
    logging: bool


class EndpointClient(LockingClient):
    """Asks a device for its endpoints.

    To be used in the loop of the client that it is given, which it neither starts nor stops. What
    comes over the wire is text, and stays so; bytes that are no UTF-8 stay bytes.

    Every request waits `timeout` at most, and no longer: a reply that comes later is dropped. What
    the device refuses is raised as the exception of its return code, a subclass of `EndpointError`;
    with ``ignore_retcode=True`` the payload of the failure is returned in its place, as a tuple,
    often empty. Besides what the device says there are

    * `BrokerConnectionError` (101): there is no connection, or it was lost;
    * `ClientTimeoutError` (404), which is a `RequestTimeoutError`: no answer in time;
    * `InvalidMethodError` (306): the device does not know the request.

    Parameters
    ----------
    client : InspectingClientAsync, AsyncClient or KATCPClientResource
        Over which to ask. A resource has to be controlled, and synced for each request.
    timeout : float
        How long an answer may take if nothing else is said [s].
    lockout_key : str, optional
        Shown with all that changes something, if no other is given.
    on_warning : callable, optional
        Called with code and text of each ``#warning`` of the device; they are logged by default. A
        resource does not hear them.

    Examples
    --------
    ::

        async with InspectingClientAsync("localhost", 7147, timeout=5) as client:
            store = EndpointClient(client)
            await store.set("kv_example.foo", 1.79)
            reading = await store.get("foo")
            async with store.locked("kv_example", reason="night run") as key:
                await store.set("foo", 2, lockout_key=key)
    """

    def __init__(
        self,
        client: Any,
        *,
        timeout: float = DEFAULT_TIMEOUT,
        lockout_key: str | None = None,
        on_warning: Callable[[int, str], object] | None = None,
    ) -> None:
        self._asker = Asker(client)
        self.timeout = checked_timeout(timeout)
        self.lockout_key = lockout_key
        self.on_warning = on_warning
        hook = getattr(getattr(client, "katcp_client", None), "hook_inform", None)
        if hook is not None:
            hook("warning", weakly(self._warned))

    @property
    def client(self) -> Any:
        """Over what it asks."""
        return self._asker.client

    @property
    def name(self) -> str:
        """What the device is called: the name of a resource, or else its address."""
        return self._asker.name

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection."""
        return self._asker.is_connected

    # -- endpoints ----------------------------------------------------------------------

    async def get(
        self,
        target: str,
        member: str | None = None,
        *,
        timeout: float | None = None,
        ignore_retcode: bool = False,
    ) -> Any:
        """Ask an endpoint for its value, or for a property.

        Parameters
        ----------
        target : str
            Address: its path, or a unique end of that, the node in front or not.
        member : str, optional
            Name of the property.
        timeout : float, optional
            How long the answer may take [s]; by default that of the client.
        ignore_retcode : bool
            Return the payload of a failure in place of raising it.

        Returns
        -------
        EndpointReading
            Its values are text; or the value of the property, as text.

        Raises
        ------
        EndpointError
        """
        arguments = [target] if member is None else [target, member]
        make = _reading if member is None else _first
        return await self._ask("get", arguments, make, timeout, ignore_retcode)

    async def set(
        self,
        target: str,
        value: Any,
        member: str | None = None,
        *,
        lockout_key: str | None = None,
        timeout: float | None = None,
        ignore_retcode: bool = False,
    ) -> Any:
        """Set an endpoint, or a property of it.

        Parameters
        ----------
        target, member, timeout, ignore_retcode
            See `get`.
        value : object
            Sent as `katcp.Message` writes it.
        lockout_key : str, optional
            Needed if it is locked.

        Returns
        -------
        tuple
            What the reply has: the new raw value and the calibrated one, if the endpoint says; the
            new value of a property.

        Raises
        ------
        EndpointError
        """
        if value is None:
            raise InvalidRequestError("no value is given to set")
        arguments = [target, value] if member is None else [target, value, member]
        return await self._change("set", arguments, lockout_key, _values, timeout, ignore_retcode)

    async def cmd(
        self,
        target: str,
        method_name: str,
        value: Iterable[Any] = (),
        payload: Mapping[str, Any] | None = None,
        *,
        lockout_key: str | None = None,
        timeout: float | None = None,
        ignore_retcode: bool = False,
    ) -> Any:
        """Call a command that an endpoint has declared.

        Parameters
        ----------
        target, lockout_key, timeout, ignore_retcode
            See `get` and `set`.
        method_name : str
        value : iterable, or str or bytes
            Positional arguments; a text is one.
        payload : mapping, optional
            Keyword arguments.

        Returns
        -------
        tuple
            What the command returned, as text.

        Raises
        ------
        EndpointError
        """
        arguments: list[Any] = [target, method_name, *positional(value)]
        for name, argument in (payload or {}).items():
            arguments.append(name.encode() + b"=" + to_argument(argument))
        return await self._change("cmd", arguments, lockout_key, _values, timeout, ignore_retcode)

    async def configure(
        self,
        target: str,
        member: str,
        value: Any = None,
        *,
        lockout_key: str | None = None,
        timeout: float | None = None,
        ignore_retcode: bool = False,
    ) -> Any:
        """Read a declared property, or set it; return what it is then, as text.

        Parameters
        ----------
        target, member, value, lockout_key, timeout, ignore_retcode
            See `get` and `set`; without a value it is only read.

        Raises
        ------
        EndpointError
        """
        arguments = [target, member]
        if value is None:
            return await self._ask("configure", arguments, _first, timeout, ignore_retcode)
        arguments.append(value)
        return await self._change(
            "configure", arguments, lockout_key, _first, timeout, ignore_retcode
        )

    async def send(
        self,
        target: str,
        *commands: Any,
        lockout_key: str | None = None,
        timeout: float | None = None,
        ignore_retcode: bool = False,
    ) -> Any:
        """Send raw commands to the device behind a provider; return its answer, a tuple.

        Raises
        ------
        EndpointError
        """
        return await self._change(
            "send", [target, *commands], lockout_key, _values, timeout, ignore_retcode
        )

    async def list_endpoints(
        self, target: str | None = None, *, timeout: float | None = None
    ) -> list[EndpointListing]:
        """Return the endpoints of the device, or those of a provider, in its order.

        Raises
        ------
        EndpointError
        """
        arguments = [] if target is None else [target]
        answer = await self.request("list-endpoints", *arguments, timeout=timeout)
        try:
            return [
                EndpointListing(text_of(path), text_of(kind), locked == b"1", logging == b"1")
                for path, kind, locked, logging in answer.informs
            ]
        except ValueError as error:
            raise ReplyError(f"?list-endpoints was answered oddly: {error}") from error

    async def ping(self, target: str | None = None, *, timeout: float | None = None) -> None:
        """Return if the device, or an endpoint of it, is there.

        Raises
        ------
        EndpointError
            If it is not, or does not answer.
        """
        await self.request("ping", *([] if target is None else [target]), timeout=timeout)

    async def set_condition(
        self, number: int, target: str | None = None, *, timeout: float | None = None
    ) -> dict[str, tuple[bool, str]]:
        """Have endpoints do what a condition asks of them, locked or not.

        Returns
        -------
        dict
            Path -> whether it has been done, and a text.

        Raises
        ------
        EndpointError
        """
        arguments: list[Any] = [number] if target is None else [number, target]
        answer = await self.request("set-condition", *arguments, timeout=timeout)
        try:
            return {
                text_of(path): (done == b"ok", text_of(text)) for path, done, text in answer.informs
            }
        except ValueError as error:
            raise ReplyError(f"?set-condition was answered oddly: {error}") from error

    # -- any request --------------------------------------------------------------------

    async def request(self, name: str, *arguments: Any, timeout: float | None = None) -> Answer:
        """Make any request whose failures have return codes.

        Parameters
        ----------
        name : str
            On the wire.
        *arguments : object
        timeout : float, optional
            How long the answer may take [s]; by default that of the client.

        Raises
        ------
        EndpointError
            Of the class of the code that the device gave. For a failure without one, which is not
            of an endpoint, `ServiceError`.
        """
        limit = self.timeout if timeout is None else checked_timeout(timeout)
        packed = [to_argument(argument) for argument in arguments]
        return await self._asker.ask(name, packed, limit)

    async def _change(
        self,
        name: str,
        arguments: list[Any],
        lockout_key: str | None,
        make: Callable[[Answer], Any],
        timeout: float | None,
        ignore_retcode: bool,
    ) -> Any:
        key = lockout_key or self.lockout_key
        # What comes last, and looks like a key, would be taken for one.
        odd = len(arguments) > _BEFORE_KEY[name] and to_argument(arguments[-1]).startswith(_KEY)
        if key or odd:
            arguments = [*arguments, _KEY + (key or "").encode()]
        return await self._ask(name, arguments, make, timeout, ignore_retcode)

    async def _ask(
        self,
        name: str,
        arguments: list[Any],
        make: Callable[[Answer], Any],
        timeout: float | None,
        ignore_retcode: bool,
    ) -> Any:
        try:
            return make(await self.request(name, *arguments, timeout=timeout))
        except EndpointError as error:
            if ignore_retcode:
                return error.payload
            raise

    def _warned(self, msg: Message) -> None:
        code, text = (*msg.arguments, b"", b"")[:2]
        if not code.isdigit():
            return
        if self.on_warning is not None:
            self.on_warning(int(code), text_of(text))
        else:
            log.warning("%s warns (%d): %s", self.name, int(code), text_of(text))

    def __repr__(self) -> str:
        return f"<EndpointClient of {self.name}>"


# -- what comes over the wire -----------------------------------------------------------


def weakly(method: Callable[[Message], None]) -> Callable[[Message], None]:
    """Return a callback that does not keep what it belongs to."""
    reference = weakref.WeakMethod(method)

    def call(msg: Message) -> None:
        target = reference()
        if target is not None:
            target(msg)

    return call


def _values(answer: Answer) -> tuple[str | bytes, ...]:
    return tuple(map(from_argument, answer.arguments))


def _first(answer: Answer) -> str | bytes:
    return from_argument(answer.arguments[0]) if answer.arguments else ""


def _reading(answer: Answer) -> EndpointReading:
    try:
        raw, cal, timestamp, status = answer.arguments
        known = STATUS_NAMES[status.decode()]
        return EndpointReading(
            None if not raw and status == b"unknown" else from_argument(raw),
            from_argument(cal) if cal else None,
            float(timestamp),
            known,
        )
    except (ValueError, KeyError) as error:
        raise ReplyError(f"?get was answered oddly: {error}") from error
