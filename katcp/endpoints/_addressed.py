"""Endpoints by their addresses: to find them, and to ask them from within a program."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from katcp.endpoints._client import EndpointClient
from katcp.endpoints._codes import RequestTimeoutError, RoutingKeyError, foreseen
from katcp.endpoints._endpoint import Endpoint
from katcp.endpoints._placed import check_name
from katcp.endpoints._tree import AddressBook
from katcp.endpoints._values import positional

#: How long `get` and so on wait if they are not told [s].
DEFAULT_TIMEOUT = 10.0


class AddressedEndpoints:
    """Endpoints by their addresses.

    Parameters
    ----------
    node : str
        First name of all addresses. Empty: none.
    """

    def __init__(self, node: str = "") -> None:
        self.node = check_name(node) if node else ""
        self._book = AddressBook(self.node)
        self._top: dict[str, Endpoint] = {}
        self._remotes: dict[str, EndpointClient] = {}

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """The outermost endpoints, in order."""
        return tuple(self._top.values())

    def all_endpoints(self) -> list[Endpoint]:
        """Return all endpoints, each before those that belong to it."""
        return [endpoint for top in self._top.values() for endpoint in top.walk()]

    # -- addresses ----------------------------------------------------------------------

    def find(self, address: str) -> Endpoint:
        """Return the endpoint that an address means: its whole address, or a unique end of it.

        Raises
        ------
        RoutingKeyError
            If there is none, or more than one (102).
        """
        return self._book.find(address)

    def find_member(self, address: str) -> tuple[Endpoint, str | None]:
        """Return what an address means, that may be of a property: ``foo.max_interval``.

        Returns
        -------
        endpoint : Endpoint
        property : str or None
            None if the address is that of an endpoint.

        Raises
        ------
        RoutingKeyError
            If there is no such endpoint.
        """
        try:
            return self._book.find(address), None
        except RoutingKeyError:
            front, dot, member = address.rpartition(".")
            if not dot:
                raise
            try:
                endpoint = self._book.find(front)
            except RoutingKeyError:
                pass
            else:
                if member.replace("-", "_") in endpoint.remote_members():
                    return endpoint, member
            raise

    def targets(self, address: str | None) -> tuple[Endpoint, ...]:
        """Return what an address means that may be of all: none, ``*``, or the node itself."""
        if address is None or address == "*" or (self.node and address == self.node):
            return self.endpoints
        return (self.find(address),)

    # -- other devices ------------------------------------------------------------------

    def add_remote(self, node: str, client: EndpointClient | None) -> None:
        """Have `get`, `set` and `cmd` ask another device for addresses that begin with a node.

        What is served here comes first.

        Parameters
        ----------
        node : str
            First word of the addresses; the other device is given what follows.
        client : EndpointClient or None
            By which to ask; None: it is not asked any more.

        Raises
        ------
        ValueError
            If it cannot be the name of a node, or is that of this one.
        """
        check_name(node)
        if node == self.node:
            raise ValueError(f"{node!r} is the name of this node")
        if client is None:
            self._remotes.pop(node, None)
        else:
            self._remotes[node] = client

    def _elsewhere(self, target: str) -> tuple[EndpointClient, str] | None:
        """Return whom to ask for an address, and for what; None if it is to be found here."""
        node, dot, path = target.partition(".")
        client = self._remotes.get(node) if dot else None
        return None if client is None or target in self._book else (client, path)

    # -- asking -------------------------------------------------------------------------

    async def get(
        self,
        target: str,
        member: str | None = None,
        *,
        timeout: float | None = None,
        ignore_retcode: bool = False,
    ) -> Any:
        """Read an endpoint, or a property of one; here, or on another device (`add_remote`).

        Parameters
        ----------
        target : str
            Address.
        member : str, optional
            Name of the property.
        timeout : float, optional
            Longest to wait [s], 10 by default.
        ignore_retcode : bool
            Return the payload of an error in place of raising it.

        Returns
        -------
        EndpointReading
            Or the value of the property.

        Raises
        ------
        EndpointError
        """
        remote = self._elsewhere(target)
        if remote is not None:
            client, path = remote
            return await client.get(path, member, timeout=timeout, ignore_retcode=ignore_retcode)

        async def ask() -> Any:
            endpoint, of_address = self.find_member(target)
            name = member or of_address
            if name is None:
                return await endpoint.read()
            return await endpoint.configure(name)

        return await _asked(ask, target, timeout, ignore_retcode)

    async def set(
        self,
        target: str,
        value: Any,
        member: str | None = None,
        *,
        lockout_key: str | bytes | None = None,
        timeout: float | None = None,
        ignore_retcode: bool = False,
    ) -> Any:
        """Set an endpoint, or a property of one; here, or on another device (`add_remote`).

        Parameters
        ----------
        target : str
            Address.
        value : object
        member : str, optional
            Name of the property.
        lockout_key : str or bytes, optional
            Needed if it is locked.
        timeout : float, optional
            Longest to wait [s], 10 by default.
        ignore_retcode : bool
            Return the payload of an error in place of raising it.

        Returns
        -------
        EndpointReading or None
            As `Endpoint.write`; or the value of the property.

        Raises
        ------
        EndpointError
        """
        remote = self._elsewhere(target)
        if remote is not None:
            client, path = remote
            return await client.set(
                path,
                value,
                member,
                lockout_key=_key_text(lockout_key),
                timeout=timeout,
                ignore_retcode=ignore_retcode,
            )

        async def ask() -> Any:
            endpoint, of_address = self.find_member(target)
            name = member or of_address
            endpoint.lockout.check(lockout_key)
            if name is None:
                return await endpoint.write(value)
            return await endpoint.configure(name, value)

        return await _asked(ask, target, timeout, ignore_retcode)

    async def cmd(
        self,
        target: str,
        method_name: str,
        value: Iterable[Any] = (),
        payload: Mapping[str, Any] | None = None,
        *,
        lockout_key: str | bytes | None = None,
        timeout: float | None = None,
        ignore_retcode: bool = False,
    ) -> Any:
        """Call a declared command of an endpoint; here, or on another device (`add_remote`).

        Parameters
        ----------
        target : str
            Address.
        method_name : str
            Dashes and underscores are equal.
        value : iterable, or str or bytes
            Positional arguments; a text is one.
        payload : mapping, optional
            Keyword arguments.
        lockout_key : str or bytes, optional
            Needed if it is locked.
        timeout : float, optional
            Longest to wait [s], 10 by default.
        ignore_retcode : bool
            Return the payload of an error in place of raising it.

        Returns
        -------
        object
            What the command returned.

        Raises
        ------
        EndpointError
        """
        args, kwargs = positional(value), dict(payload or {})
        remote = self._elsewhere(target)
        if remote is not None:
            client, path = remote
            return await client.cmd(
                path,
                method_name,
                args,
                kwargs,
                lockout_key=_key_text(lockout_key),
                timeout=timeout,
                ignore_retcode=ignore_retcode,
            )

        async def ask() -> Any:
            endpoint = self.find(target)
            endpoint.lockout.check(lockout_key)
            return await endpoint.run_command(method_name, args, kwargs)

        return await _asked(ask, target, timeout, ignore_retcode)


def _key_text(key: str | bytes | None) -> str | None:
    return key.decode("ascii", "replace") if isinstance(key, bytes) else key


async def _asked(
    ask: Callable[[], Any], target: str, timeout: float | None, ignore_retcode: bool
) -> Any:
    limit = DEFAULT_TIMEOUT if timeout is None else timeout
    try:
        try:
            return await asyncio.wait_for(ask(), limit)
        except asyncio.TimeoutError:
            raise RequestTimeoutError(f"{target} did not answer within {limit:g} s") from None
    except Exception as error:
        failure = foreseen(error)
        if ignore_retcode:
            return failure.payload
        if failure is error:
            raise
        raise failure from error
