"""Several clients as one: the same asked of each, and their answers together."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any

from tornado.ioloop import IOLoop

from katcp.aio import AttrDict, DefaultAttrDict, under_way


class GroupResults(dict[str, Any]):
    """Replies by the name of the client; None of those that do not have the request.

    It is true if all succeeded.
    """

    @property
    def succeeded(self) -> bool:
        """Whether all clients have the request and all replies are ok."""
        return bool(self)

    def __bool__(self) -> bool:
        return all(self.values())


class _WaitResults(dict[str, bool]):
    """By the name of the client, whether the condition came true; true if for enough of them."""

    def __init__(self, results: dict[str, bool], needed: int) -> None:
        super().__init__(results)
        self._needed = needed

    def __bool__(self) -> bool:
        return sum(self.values()) >= self._needed


def _loop_of(clients: Iterable[Any]) -> IOLoop | None:
    return next((getattr(client, "ioloop", None) for client in clients), None)


async def _gather(clients: Iterable[Any], ask: Callable[[Any], Awaitable[Any]]) -> dict[str, Any]:
    """Return what `ask` gives for each client, asked all at once, by their names."""
    several = list(clients)
    answers = await asyncio.gather(*[ask(client) for client in several])
    return {client.name: answer for client, answer in zip(several, answers, strict=True)}


class GroupRequest:
    """A request of all clients of a group.

    Parameters
    ----------
    group : ClientGroup
    name : str
        Name of the request as a Python identifier.
    description : str
        Help text, which becomes part of the docstring.
    """

    def __init__(self, group: ClientGroup, name: str, description: str) -> None:
        self.group = group
        self.name = name
        self.description = description
        self.__doc__ = f"{description}\n\nRequest of a group; see `{type(self).__name__}.__call__`."

    def __call__(self, *args: Any, **kwargs: Any) -> asyncio.Future[GroupResults]:
        """Make the request of all clients at once.

        All arguments are handed on to the request of each client.

        Returns
        -------
        Future
            Of a `GroupResults`, when all have replied. It has the exception if making the
            request of one of them raises one, as that of an inactive resource does.
        """
        return under_way(self._call(args, kwargs), _loop_of(self.group))

    async def _call(self, args: Any, kwargs: Any) -> GroupResults:
        async def ask(client: Any) -> Any:
            try:
                request = client.req[self.name]
            except KeyError:
                return None
            return await request(*args, **kwargs)

        return GroupResults(await _gather(self.group, ask))


class ClientGroup:
    """A sequence of clients, to be asked all together. To be used in their loop only.

    Parameters
    ----------
    name : str
        Name of the group.
    clients : iterable of KATCPClientResource
        What belongs to it.

    Attributes
    ----------
    name : str
    clients : tuple of KATCPClientResource
    """

    def __init__(self, name: str, clients: Iterable[Any]) -> None:
        self.name = name
        self.clients = tuple(clients)
        self._clients_dirty = True
        self._req: dict[str, Any] = AttrDict()

    def __getitem__(self, index: int | slice) -> Any:
        return self.clients[index]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.clients)

    def __len__(self) -> int:
        return len(self.clients)

    @property
    def req(self) -> Any:
        """Requests that at least one client has, as attributes and by key.

        If a client lets unknown requests succeed without doing anything, so does the group.
        """
        if self._clients_dirty:
            self._clients_dirty = False
            requests: dict[str, Any] = AttrDict()
            for client in self.clients:
                if isinstance(client.req, DefaultAttrDict):
                    requests = DefaultAttrDict(client.req.default_factory)
            for client in self.clients:
                for name, request in dict(client.req).items():
                    if name not in requests:
                        requests[name] = GroupRequest(self, name, request.description)
            self._req = requests
        return self._req

    def client_updated(self, client: Any) -> None:
        """Take note that requests of a client have come or gone."""
        if client in self.clients:
            self._clients_dirty = True

    def is_connected(self) -> bool:
        """Tell whether all clients are connected."""
        return all(client.is_connected() for client in self.clients)

    def set_sampling_strategies(
        self, filter: str, strategy_and_params: Any
    ) -> asyncio.Future[dict[str, Any]]:
        """Set the strategy of all sensors that a regular expression is found in.

        Returns
        -------
        Future
            Of ``{client: {python_name: strategy}}``; see
            `KATCPClientResource.set_sampling_strategies`.
        """
        return under_way(
            _gather(self, lambda c: c.set_sampling_strategies(filter, strategy_and_params)),
            _loop_of(self),
        )

    def set_sampling_strategy(
        self, sensor_name: str, strategy_and_params: Any
    ) -> asyncio.Future[dict[str, Any]]:
        """Set the strategy of the sensor of this name in each client.

        Returns
        -------
        Future
            Of ``{client: {python_name: strategy}}``; see
            `KATCPClientResource.set_sampling_strategy`.
        """
        return under_way(
            _gather(self, lambda c: c.set_sampling_strategy(sensor_name, strategy_and_params)),
            _loop_of(self),
        )

    def wait(
        self,
        sensor_name: str,
        condition_or_value: Any,
        timeout: float | None = 5.0,
        quorum: float | None = None,
        max_grace_period: float = 1.0,
    ) -> asyncio.Future[dict[str, bool]]:
        """Wait until the sensor of this name has come to be what is wanted in enough clients.

        Parameters
        ----------
        sensor_name : str
            Name of the sensor, which must have a sampling strategy in each client.
        condition_or_value : object or callable
            See `KATCPResource.wait`.
        timeout : float or None
            Longest wait in all [s]; None: for ever.
        quorum : int or float, optional
            How many clients are enough, or, as a float from 0 to 1, which part of them, rounded
            up: 1 is one client, 1.0 are all of them. All if not given.
        max_grace_period : float
            Once there are enough, how long the others are waited for [s]; but no longer than
            half of the timeout.

        Returns
        -------
        Future
            Of a dictionary, by the names of the clients, of whether the condition came true.
            As a condition itself it is true if that was so in enough clients.

        Raises
        ------
        TypeError
            From the future, if the quorum is a float outside 0 to 1, or no number.
        KATCPSensorError
            From the future, if there is no such sensor in a client, or no strategy is set.
        """
        return under_way(
            self._wait(sensor_name, condition_or_value, timeout, quorum, max_grace_period),
            _loop_of(self),
        )

    async def _wait(
        self,
        sensor_name: str,
        condition_or_value: Any,
        timeout: float | None,
        quorum: float | None,
        max_grace_period: float,
    ) -> _WaitResults:
        needed = self._how_many(quorum)
        grace = max_grace_period if timeout is None else min(max_grace_period, timeout / 2)
        futures: list[asyncio.Future[bool]] = [
            asyncio.ensure_future(client.wait(sensor_name, condition_or_value, timeout))
            for client in self.clients
        ]
        pending = set(futures)
        try:
            while pending and _satisfied(futures) < needed:
                _, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            if pending:
                await asyncio.wait(pending, timeout=grace, return_when=asyncio.FIRST_EXCEPTION)
            _satisfied(futures)  # raises what one of them has raised
            return _WaitResults(
                {
                    client.name: future.done() and bool(future.result())
                    for client, future in zip(self.clients, futures, strict=True)
                },
                needed,
            )
        finally:
            for future in futures:
                future.cancel()
            # Of several that failed, one is reported.
            await asyncio.gather(*futures, return_exceptions=True)

    def _how_many(self, quorum: float | None) -> int:
        if quorum is None:
            return len(self.clients)
        if isinstance(quorum, int):
            return quorum
        if not isinstance(quorum, float):
            raise TypeError(f"Quorum parameter {quorum!r} must be a number")
        if not 0 <= quorum <= 1:
            raise TypeError(
                f"Quorum parameter {quorum!r} must be an integer if outside range [0, 1]"
            )
        return math.ceil(quorum * len(self.clients))


def _satisfied(futures: Iterable[asyncio.Future[bool]]) -> int:
    return sum(bool(future.result()) for future in futures if future.done())
