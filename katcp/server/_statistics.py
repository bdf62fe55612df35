"""Numbers about a server: how many clients, what was refused, what was left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

#: Name -> what it is.
DESCRIPTIONS: dict[str, str] = {
    "clients": "Clients that are connected.",
    "clients_accepted": "Clients that were let in.",
    "clients_refused_address": "Clients turned away because of their address.",
    "clients_refused_number": "Clients turned away because there were too many.",
    "clients_refused_access": "Clients turned away by the access policy.",
    "clients_dropped_slow": "Clients dropped because they did not take what they were sent.",
    "clients_dropped_idle": "Clients dropped because they said nothing.",
    "bad_lines": "Lines of clients that were no messages, or too long.",
    "requests_under_way": "Requests that are not answered yet.",
    "requests_refused_access": "Requests refused by the access policy.",
    "requests_held_back": "Times that a client was held back for its requests under way.",
    "handler_errors": "Requests that failed by an error in their handler.",
    "subscriptions_refused": "Requests for more subscriptions than a client may have.",
    "readings_spared": "Readings not sent to clients that were behind, since newer ones followed.",
}

#: Those that go up and down; the others only grow.
GAUGES = frozenset({"clients", "requests_under_way"})


class Counters:
    """What is counted; a number for each thing that happens rarely."""

    __slots__ = (
        "accepted",
        "bad_lines",
        "dropped_idle",
        "dropped_slow",
        "handler_errors",
        "refused_access",
        "refused_address",
        "refused_number",
        "refused_requests",
        "refused_subscriptions",
        "spared",
    )

    def __init__(self) -> None:
        for name in self.__slots__:
            setattr(self, name, 0)

    def add(self, name: str) -> None:
        """Count one more of what is called `name`."""
        setattr(self, name, getattr(self, name) + 1)

    accepted: int
    bad_lines: int
    dropped_idle: int
    dropped_slow: int
    handler_errors: int
    refused_access: int
    refused_address: int
    refused_number: int
    refused_requests: int
    refused_subscriptions: int
    spared: int


class Statistics(Mapping[str, int]):
    """Numbers about a server, since it was made. They can be read from any thread.

    It is a mapping of names to numbers, and each name is an attribute too:
    ``device.statistics.clients``, ``device.statistics["clients"]``, ``dict(device.statistics)``.

    Attributes
    ----------
    clients : int
        Clients that are connected.
    clients_accepted : int
        Clients that were let in.
    clients_refused_address, clients_refused_number, clients_refused_access : int
        Clients turned away because of their address, because there were too many, and by the
        access policy.
    clients_dropped_slow : int
        Clients dropped because they did not take what they were sent (`max_backlog`,
        `stall_timeout`).
    clients_dropped_idle : int
        Clients dropped because they said nothing (`idle_timeout`).
    bad_lines : int
        Lines that were no messages, or too long.
    requests_under_way : int
        Requests whose handlers have begun and that are not answered.
    requests_refused_access : int
        Requests refused by the access policy.
    requests_held_back : int
        Times that a client was held back (`max_requests`, `max_requests_per_client`).
    handler_errors : int
        Requests that failed by an error in their handler.
    subscriptions_refused : int
        Requests for more subscriptions than a client may have (`max_subscriptions`).
    readings_spared : int
        Readings that were not sent to clients that were behind, since newer ones followed.
    """

    __slots__ = ("_sources",)

    def __init__(self, sources: Mapping[str, Callable[[], int]]) -> None:
        self._sources = sources

    def __getitem__(self, name: str) -> int:
        return self._sources[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(DESCRIPTIONS)

    def __len__(self) -> int:
        return len(DESCRIPTIONS)

    def __getattr__(self, name: str) -> int:
        if name not in DESCRIPTIONS:
            raise AttributeError(f"There is no statistic {name!r}.")
        return self[name]

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *DESCRIPTIONS]

    def __repr__(self) -> str:
        return f"<Statistics {dict(self)}>"
