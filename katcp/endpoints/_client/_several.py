"""Several devices with endpoints: asked all at once, or found by the first word of an address."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

from katcp.endpoints._client._client import EndpointClient
from katcp.endpoints._codes import EndpointError, foreseen


class FanOut(dict[str, Any]):
    """What several devices answered: by name, the result, or the `EndpointError` of a failure.

    It is true if all succeeded.
    """

    def __bool__(self) -> bool:
        return self.succeeded

    @property
    def succeeded(self) -> bool:
        """Whether all did what they were asked."""
        return not self.failures

    @property
    def failures(self) -> dict[str, EndpointError]:
        """What went wrong, by name of the device."""
        return {name: result for name, result in self.items() if isinstance(result, EndpointError)}

    @property
    def results(self) -> dict[str, Any]:
        """What the others answered, by name of the device."""
        return {
            name: result for name, result in self.items() if not isinstance(result, EndpointError)
        }


class EndpointClients:
    """Devices with endpoints, by name.

    Nobody is missed because somebody else is absent: what is asked of all is asked of each at the
    same time, waits for nobody longer than its timeout, and raises nothing.

    Parameters
    ----------
    clients : mapping, or KATCPClientResourceContainer, optional
        Name of a device -> how to ask it: an `EndpointClient`, or what one is made of. The
        children of a container as they are now.

    Examples
    --------
    ::

        answers = await EndpointClients(container).ping(timeout=2)
        for name, error in answers.failures.items():
            print(f"{name} is not well: {error}")
    """

    def __init__(self, clients: Any = None) -> None:
        self._clients: dict[str, EndpointClient] = {}
        known: Mapping[str, Any] = {} if clients is None else getattr(clients, "children", clients)
        for name, client in dict(known).items():
            self.add(name, client)

    def add(self, name: str, client: Any) -> EndpointClient:
        """Add a device, or put another in its place.

        Parameters
        ----------
        name : str
            The first word of addresses of its endpoints.
        client : EndpointClient, InspectingClientAsync, AsyncClient or KATCPClientResource
            It is neither started nor stopped here.
        """
        asked = client if isinstance(client, EndpointClient) else EndpointClient(client)
        self._clients[name] = asked
        return asked

    def remove(self, name: str) -> EndpointClient:
        """Forget a device.

        Raises
        ------
        KeyError
            If there is none of that name.
        """
        return self._clients.pop(name)

    def __getitem__(self, name: str) -> EndpointClient:
        return self._clients[name]

    def __contains__(self, name: object) -> bool:
        return name in self._clients

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._clients))

    def __len__(self) -> int:
        return len(self._clients)

    def find(self, address: str) -> tuple[EndpointClient, str] | None:
        """Return the device that the first word of an address names, and the rest of it.

        None if there is no such device, or nothing but its name.
        """
        name, _, rest = address.partition(".")
        client = self._clients.get(name)
        return None if client is None or not rest else (client, rest)

    # -- asked all at once --------------------------------------------------------------

    async def each(self, ask: Callable[[EndpointClient], Awaitable[Any]]) -> FanOut:
        """Ask each device, all at once.

        Parameters
        ----------
        ask : callable
            Called with the `EndpointClient` of each; returns what to wait for.
        """

        async def one(client: EndpointClient) -> Any:
            try:
                return await ask(client)
            except (asyncio.CancelledError, KeyboardInterrupt, SystemExit):
                raise
            except BaseException as error:
                return foreseen(error)

        clients = dict(self._clients)
        answers = await asyncio.gather(*map(one, clients.values()))
        return FanOut(zip(clients, answers, strict=True))

    async def request(self, name: str, *arguments: Any, timeout: float | None = None) -> FanOut:
        """Make a request of all; see `EndpointClient.request`."""
        return await self.each(lambda client: client.request(name, *arguments, timeout=timeout))

    async def ping(self, target: str | None = None, *, timeout: float | None = None) -> FanOut:
        """Find out who is there; those are None."""
        return await self.each(lambda client: client.ping(target, timeout=timeout))

    async def get(self, target: str, *, timeout: float | None = None) -> FanOut:
        """Read the same endpoint of all."""
        return await self.each(lambda client: client.get(target, timeout=timeout))

    async def set_condition(
        self, number: int, target: str | None = None, *, timeout: float | None = None
    ) -> FanOut:
        """Have all do what a condition asks, and tell what each of their endpoints did."""
        return await self.each(lambda client: client.set_condition(number, target, timeout=timeout))

    async def lock(
        self, target: str = "*", key: str | None = None, *, timeout: float | None = None, **how: Any
    ) -> FanOut:
        """Lock an endpoint of each, by default all that they have; gives the keys.

        Parameters
        ----------
        target, key, timeout
            See `EndpointClient.lock`. Without a key each has one of its own.
        **how
            Owner, reason and lease.
        """
        return await self.each(lambda client: client.lock(target, key, timeout=timeout, **how))

    async def unlock(
        self,
        target: str = "*",
        key: str | None = None,
        *,
        force: bool = False,
        timeout: float | None = None,
    ) -> FanOut:
        """Open an endpoint of each, by default all that they have."""
        return await self.each(
            lambda client: client.unlock(target, key, force=force, timeout=timeout)
        )

    def __repr__(self) -> str:
        return f"<EndpointClients: {', '.join(self._clients) or 'none'}>"
