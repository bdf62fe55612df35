"""Several devices as one resource: their requests and sensors together, and groups of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Iterable
from typing import Any

from tornado.ioloop import IOLoop

from katcp.aio import future_timeout_manager, under_way, until_any
from katcp.resource import escape_name
from katcp.resource_client._children import AGGREGATE, ResourceChildren
from katcp.resource_client._filters import list_sensors

_Action = Callable[[Any, str], Awaitable[dict[str, Any]]]


class _Futures(dict[str, "asyncio.Future[Any]"]):
    """Futures by name, which can be awaited all together for a dictionary of their results."""

    def __await__(self) -> Generator[Any, None, dict[str, Any]]:
        results = yield from asyncio.gather(*self.values()).__await__()
        return dict(zip(self, results, strict=True))


class KATCPClientResourceContainer(ResourceChildren):
    """Devices, each over a connection that is kept up, as one resource.

    It can be made anywhere; from `start` on it is to be used in its loop only. Requests and
    sensors of the children are its own, with the name of the child in front: ``child_sensor``.
    All names are Python identifiers, with ``_`` in place of ``.`` and ``-``.

    Parameters
    ----------
    resources_spec : mapping
        With the keys

        - ``name``: required;
        - ``clients``: ``{name: resource_spec}``, required; see `KATCPClientResource`; the name
          in the specification itself may be left out;
        - ``groups``: ``{group: [names of clients]}``;
        - ``ssl_context``: for those clients whose specification has none;
        - ``description``: one sentence for people.
    logger : logging.Logger

    Raises
    ------
    KeyError
        If a name or the clients are missing, or a group has a member that is not there.

    Examples
    --------
    ::

        array = KATCPClientResourceContainer({
            "name": "array",
            "clients": {
                "ant-1": {"address": ("ant1", 7147), "controlled": True},
                "ant-2": {"address": ("ant2", 7147), "controlled": True},
            },
            "groups": {"ants": ["ant-1", "ant-2"]},
        })
        array.start()
        yield array.until_synced(timeout=20)
        results = yield array.groups.ants.req.stow()
        assert results.succeeded
        yield array.set_sampling_strategies("wind", "event")
        print(array.sensor.ant_1_wind_speed.value)
    """

    # -- life ---------------------------------------------------------------------------

    def set_ioloop(self, ioloop: IOLoop | None = None) -> None:
        """Run on `ioloop`, or, if None, on the loop that is current at `start`."""
        self.ioloop = ioloop
        for child in self._children.values():
            child.set_ioloop(ioloop)

    def start(self) -> None:
        """Start all children; do not wait for anything."""
        for child in list(self._children.values()):
            child.start()

    def stop(self) -> None:
        """Stop all children; see `until_stopped`."""
        for child in list(self._children.values()):
            child.stop()

    def until_stopped(self, timeout: float | None = None) -> _Futures:
        """Return a dictionary of futures, by child, that are done when it has stopped.

        The dictionary can also be awaited, or yielded, as a whole.

        Parameters
        ----------
        timeout : float, optional
            Longest wait [s]; `tornado.gen.TimeoutError` after that. None: for ever.
        """
        return _Futures(
            {name: child.until_stopped(timeout) for name, child in self._children.items()}
        )

    # -- state --------------------------------------------------------------------------

    def is_connected(self) -> bool:
        """Tell whether all children are connected."""
        return all(child.is_connected() for child in self._children.values())

    def until_synced(self, timeout: float | None = None) -> asyncio.Future[None]:
        """Return a future that is done when all children are synced.

        Parameters
        ----------
        timeout : float, optional
            Longest wait [s]; `tornado.gen.TimeoutError` after that. None: for ever.
        """
        return under_way(self._until_all("synced", timeout), self._ioloop())

    def until_all_children_in_state(
        self, state: str, timeout: float | None = None
    ) -> asyncio.Future[None]:
        """Return a future that is done when all children are in a state.

        Parameters
        ----------
        state : str
            See `KATCPClientResource.state`.
        timeout : float, optional
            Longest wait [s]; `tornado.gen.TimeoutError` after that. None: for ever.

        Raises
        ------
        ValueError
            From the future, if there is no such state.
        """
        return under_way(self._until_all(state, timeout), self._ioloop())

    async def _until_all(self, state: str, timeout: float | None) -> None:
        in_time = future_timeout_manager(timeout)
        while True:
            # Some may have left the state again when the last one enters it.
            futures = [child.until_state(state) for child in self._children.values()]
            if all(future.done() for future in futures):
                for future in futures:
                    future.result()
                return
            try:
                await in_time(asyncio.gather(*futures))
            finally:
                for future in futures:
                    future.cancel()

    def until_any_child_in_state(
        self, state: str, timeout: float | None = None
    ) -> asyncio.Future[Any]:
        """Return a future that is done when any child is in a state; see above.

        Raises
        ------
        ValueError
            If there is no such state.
        """
        return self._until_any(lambda child: child.until_state(state), timeout)

    def until_not_synced(self, timeout: float | None = None) -> asyncio.Future[Any]:
        """Return a future that is done when any child is not synced.

        Parameters
        ----------
        timeout : float, optional
            Longest wait [s]; `tornado.gen.TimeoutError` after that. None: for ever.
        """
        return self._until_any(lambda child: child.until_not_synced(), timeout)

    def _until_any(
        self, until: Callable[[Any], asyncio.Future[Any]], timeout: float | None
    ) -> asyncio.Future[Any]:
        futures = [until(child) for child in self._children.values()]
        result = until_any(*futures, timeout=timeout, ioloop=self._ioloop())

        def let_go(_: asyncio.Future[Any]) -> None:
            for future in futures:
                future.cancel()

        result.add_done_callback(let_go)
        return result

    def _ioloop(self) -> IOLoop | None:
        """Return the loop to use where none is running."""
        return self.ioloop or next(
            (getattr(child, "ioloop", None) for child in self._children.values()), None
        )

    # -- sensors ------------------------------------------------------------------------

    def list_sensors(
        self,
        filter: str = "",
        strategy: bool = False,
        status: str = "",
        use_python_identifiers: bool = True,
        tuple: bool = False,
        refresh: bool = False,
    ) -> asyncio.Future[list[Any]]:
        """Return a future of a list of sensors; see `KATCPResource.list_sensors`.

        Their names are ``child.sensor``, their Python identifiers ``child_sensor``. A filter
        that is not for Python identifiers applies to the name that the device gives a sensor.
        """
        return list_sensors(
            self,
            dict.items(self.sensor),
            filter,
            strategy,
            status,
            use_python_identifiers,
            tuple,
            refresh,
        )

    def set_sampling_strategies(
        self, filter: str, strategy_and_parms: Any
    ) -> asyncio.Future[dict[str, Any]]:
        """Set the strategy of all sensors that a regular expression is found in.

        Parameters
        ----------
        filter : str
            Regular expression; it is applied to Python identifiers: ``child_sensor``.
        strategy_and_parms : str or sequence
            See `KATCPClientResource.set_sampling_strategies`.

        Returns
        -------
        Future
            Of ``{child: {python_name: strategy}}``; None in place of the strategy if the child
            could not be told at all, which is logged.
        """
        return under_way(self._set_strategies(filter, strategy_and_parms), self._ioloop())

    async def _set_strategies(self, filter: str, strategy: Any) -> dict[str, Any]:
        listed = {id(found.object) for found in await self.list_sensors(filter)}
        asked: list[Awaitable[dict[str, Any]]] = []
        for child in self._children.values():
            sensors = dict(child.sensor)
            own = [name for name, sensor in sensors.items() if id(sensor) in listed]
            if len(own) == len(sensors) > 1:  # a device may be able to do that in one request
                asked.append(self._ask(_set_strategies(strategy), child, ""))
            else:
                asked += [self._ask(_set_strategy(strategy), child, name) for name in own]
        return _merged(await asyncio.gather(*asked))

    def set_sampling_strategy(
        self, sensor_name: str, strategy_and_parms: Any
    ) -> asyncio.Future[dict[str, Any]]:
        """Set the strategy of one sensor; see `set_sampling_strategies`.

        Parameters
        ----------
        sensor_name : str
            ``child_sensor``; ``.`` and ``-`` are the same as ``_``. If the child has no such
            sensor yet, it remembers the strategy, and the result is empty.
        """
        action = _set_strategy(strategy_and_parms)
        return under_way(self._ask_one(action, sensor_name), self._ioloop())

    def set_sensor_listener(
        self, sensor_name: str, listener: Callable[..., object]
    ) -> asyncio.Future[dict[str, Any]]:
        """Have ``listener(sensor, reading)`` called for each reading of a sensor.

        Parameters
        ----------
        sensor_name : str
            As for `set_sampling_strategy`.
        listener : callable
            What it raises is logged.

        Returns
        -------
        Future
            Of ``{child: {python_name: listener}}``.
        """

        def set_listener(child: Any, name: str) -> Awaitable[dict[str, Any]]:
            future: Awaitable[dict[str, Any]] = child.set_sensor_listener(name, listener)
            return future

        return under_way(self._ask_one(set_listener, sensor_name), self._ioloop())

    def _find(self, sensor_name: str) -> tuple[Any, str] | None:
        """Return the child that a sensor belongs to, and the sensor's name there."""
        key = escape_name(sensor_name)
        for child_name, child in self._children.items():
            own = key if key.startswith(AGGREGATE) else key.removeprefix(f"{child_name}_")
            if (own != key or key.startswith(AGGREGATE)) and own in child.sensor:
                return child, own
        # Not there yet: of two names that fit, the longer one is meant.
        for child_name in sorted(self._children, key=len, reverse=True):
            if key.startswith(f"{child_name}_"):
                return self._children[child_name], key[len(child_name) + 1 :]
        return None

    async def _ask_one(self, action: _Action, sensor_name: str) -> dict[str, Any]:
        where = self._find(sensor_name)
        return {} if where is None else await self._ask(action, *where)

    async def _ask(self, action: _Action, child: Any, name: str) -> dict[str, Any]:
        """Set something for a sensor of a child, or for all; return ``{child: outcome}``.

        If there is no outcome, as it was only remembered, the result is empty.
        """
        try:
            outcome = await action(child, name)
        except Exception:
            self._logger.exception("%s: cannot set it for %r", child.name, name or "all sensors")
            outcome = dict.fromkeys([name] if name else child.sensor)
        return {child.name: outcome} if outcome else {}

    def wait(
        self, sensor_name: str, condition_or_value: Any, timeout: float | None = 5
    ) -> asyncio.Future[bool]:
        """Not implemented: wait on a child, or on a group.

        Raises
        ------
        NotImplementedError
            Always.
        """
        raise NotImplementedError("A container does not wait; its children and groups do")


def _set_strategy(strategy: Any) -> _Action:
    return lambda child, name: child.set_sampling_strategy(name, strategy)


def _set_strategies(strategy: Any) -> _Action:
    return lambda child, filter: child.set_sampling_strategies(filter, strategy)


def _merged(results: Iterable[dict[str, dict[str, Any]]]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for result in results:
        for child, outcome in result.items():
            merged.setdefault(child, {}).update(outcome)
    return merged
