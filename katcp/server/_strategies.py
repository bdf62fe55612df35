"""What clients sample, as a mapping of mappings: client to sensor to strategy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

from katcp.protocol import MessageParser
from katcp.sampling import SampleStrategy
from katcp.sensors import NONE, Sensor

if TYPE_CHECKING:
    from katcp.sampling import SamplingTable
    from katcp.server._device import DeviceServer


class MessageSubscriber:
    """Samples for a connection that takes messages, not lines: one of somebody's tests.

    Those of the same connection are the same to whoever keeps them in a dictionary.
    """

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    def send(self, line: bytes) -> None:
        """Pass on lines as messages."""
        for one in line.splitlines():
            self.connection.inform(MessageParser().parse(one))

    send_later = send

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MessageSubscriber) and other.connection is self.connection

    def __hash__(self) -> int:
        return hash(id(self.connection))


class StrategiesOfClient(MutableMapping[Sensor, SampleStrategy]):
    """The strategies of one client by sensor: those that it has set, and those added here.

    A strategy that is taken out, or replaced, is ended.

    Parameters
    ----------
    table : SamplingTable or None
        Where those are that the client has set; None: there is none yet.
    subscriber : Subscriber
        The client.
    added : dict
        Where to keep those that are added.
    """

    def __init__(
        self, table: SamplingTable | None, subscriber: Any, added: dict[Sensor, SampleStrategy]
    ) -> None:
        self._table = table
        self._subscriber = subscriber
        self._added = added

    def __getitem__(self, sensor: Sensor) -> SampleStrategy:
        if sensor in self._added:
            return self._added[sensor]
        plan = NONE if self._table is None else self._table.get(self._subscriber, sensor)
        if plan is NONE:
            raise KeyError(sensor)
        strategy = SampleStrategy.get_strategy(plan.name, _nothing, sensor, *plan.params)
        # It only shows what the table does; that is all it can be asked to do.
        strategy.cancel = lambda: _ignore(self.pop(sensor, None))  # type: ignore[method-assign]
        return strategy

    def __setitem__(self, sensor: Sensor, strategy: SampleStrategy) -> None:
        self.pop(sensor, None)
        self._added[sensor] = strategy

    def __delitem__(self, sensor: Sensor) -> None:
        if sensor in self._added:
            self._added.pop(sensor).cancel()
        elif sensor in self._sampled():
            assert self._table is not None
            self._table.set(self._subscriber, [sensor], NONE)
        else:
            raise KeyError(sensor)

    def __iter__(self) -> Iterator[Sensor]:
        yield from self._sampled()
        yield from list(self._added)

    def __len__(self) -> int:
        return len(self._sampled()) + len(self._added)

    def _sampled(self) -> list[Sensor]:
        return [] if self._table is None else self._table.sensors_of(self._subscriber)


class Strategies(Mapping[Any, StrategiesOfClient]):
    """The strategies of all clients of a server, by client."""

    def __init__(self, server: DeviceServer) -> None:
        self._server = server

    def __getitem__(self, client: Any) -> StrategiesOfClient:
        if client not in self._clients():
            raise KeyError(client)
        return self._server.katcp_strategies_of(client)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._clients())

    def __len__(self) -> int:
        return len(self._clients())

    def _clients(self) -> list[Any]:
        return self._server.katcp_sampling_clients()


def _ignore(value: object) -> None:
    pass


def _nothing(sensor: Sensor, reading: Any) -> None:
    pass
