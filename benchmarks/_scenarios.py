"""The table of what is measured: one line for each kind of work.

`goal` is how many times less than aiokatcp a row should cost.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

OTHERS = ("aiokatcp", "katcp-python")
"""The sides that ours is measured beside."""

ONE_BY_ONE = ("katcp-python",)
"""The side that takes one sensor a request: a minute and more for 100,000 strategies."""

TELLS_EACH = ("aiokatcp",)
"""The side that tells each client of each new one: half a minute for 2,000 clients to come."""

KEY = r"1.79 \@ 1700000000.250000 nominal"
CALIBRATED = "1.79 3.58 1700000000.250000 nominal"
"""What the endpoints of the rich server have."""

SECONDS = 1.0
"""Wall time of one sample. The CPU clock counts nanoseconds; this is for the noise."""


@dataclass(frozen=True)
class Row:
    """One line of the result."""

    metric: str
    unit: str
    goal: float | None = None


@dataclass(frozen=True)
class Scenario:
    """Work for one process under test, server or client.

    Parameters
    ----------
    name
        What ``--only`` matches.
    work
        Words for the table.
    job
        What the load generator, or the client program, is told.
    rows
        What is taken from a sample: ``cpu`` is µs of CPU for each unit of work, ``ms`` the
        same in milliseconds.
    sensors
        Sensors of the server.
    client
        Whether the process under test is a client (of the canned server).
    seconds
        Wall time of one sample.
    cores
        Where the processes must run for this work, whatever ``--cores`` says.
    requests
        Further requests of the server, which nobody uses.
    turns
        Whether the server times the turns of its loop.
    rich
        Whether the server has endpoints, and takes orders.
    without
        Sides that cannot do this work, or not in any bearable time.
    """

    name: str
    work: str
    job: dict[str, Any]
    rows: tuple[Row, ...]
    sensors: int = 0
    client: bool = False
    seconds: float = SECONDS
    cores: str = ""
    requests: int = 0
    turns: bool = False
    rich: bool = False
    without: tuple[str, ...] = ()

    def smoke(self) -> Scenario:
        """Return the same work, tiny."""
        job = dict(self.job)
        for key, most in {"connections": 20, "clients": 5, "turns": 2, "warm_up": 0.02}.items():
            if key in job:
                job[key] = min(job[key], most)
        seconds = 0.3 if job["do"] == "period" else 0.02
        few = {"sensors": min(self.sensors, 100), "requests": min(self.requests, 100)}
        return replace(self, job=job, seconds=seconds, **few)


def _pipeline(
    request: str, reply: str, connections: int, outstanding: int, goal: float | None
) -> Scenario:
    name = request.split()[0]
    several = f"{connections} connections, " if connections > 1 else ""
    return Scenario(
        f"{name}-{f'{connections}x' if connections > 1 else ''}{outstanding}",
        f"?{request}, {several}{outstanding} outstanding",
        {
            "do": "pipeline",
            "request": request,
            "reply": reply,
            "connections": connections,
            "outstanding": outstanding,
        },
        (Row("cpu", "µs/request", goal),),
    )


def _endpoints(name: str, words: str, request: str, reply: str, outstanding: int = 256) -> Scenario:
    return Scenario(
        f"{name}-{outstanding}",
        f"{words}, {outstanding} outstanding",
        {
            "do": "pipeline",
            "request": request,
            "reply": reply,
            "connections": 1,
            "outstanding": outstanding,
        },
        (Row("cpu", "µs/request"),),
        rich=True,
        without=OTHERS,
    )


def _listing(request: str, sensors: int, goal: float, fresh: bool = False) -> Scenario:
    return Scenario(
        f"{request}-{sensors}{'-fresh' if fresh else ''}",
        f"?{request} of {sensors:,}{', all fresh' if fresh else ''}",
        {"do": "listing", "request": request, "fresh": fresh},
        (Row("cpu", "µs/inform", goal),),
        sensors,
    )


def _events(clients: int, updates: int, goal: float, strategy: str = "event") -> Scenario:
    how = f"{updates} updates a turn" if updates > 1 else "single updates"
    name = strategy.split()[0]
    return Scenario(
        f"{name}-{clients}-{'batch' if updates > 1 else 'single'}",
        f"{name}, {clients} client{'s' if clients > 1 else ''}, {how}",
        {
            "do": "events",
            "strategy": strategy,
            "clients": clients,
            "updates": updates,
            "turns": 1000 // updates,
        },
        (Row("cpu", "µs/inform", goal),),
        # Each sensor is set once in a job, so no rate is too low for it.
        100 if name == "event" else 1000,
    )


def _client_requests(outstanding: int, goal: float) -> Scenario:
    return Scenario(
        f"client-{outstanding}",
        f"client: ?add 1 2, {outstanding} outstanding",
        {"do": "requests", "outstanding": outstanding},
        (Row("cpu", "µs/request", goal),),
        client=True,
    )


def _client_sync(kind: str, words: str, goal: float | None = None) -> Scenario:
    return Scenario(
        f"client-sync-{kind}",
        f"client: sync of 10,000 sensors, {words}",
        {"do": f"sync-{kind}"},
        (Row("ms", "ms/sync", goal),),
        10000,
        client=True,
    )


def _resync(form: str, words: str, goal: float | None) -> Scenario:
    return Scenario(
        f"client-resync-{form}",
        f"client: one sensor more than 10,000, {words}",
        {"do": "resync", "form": form},
        (Row("ms", "ms/resync", goal),),
        10000,
        client=True,
    )


def _turns(
    name: str,
    words: str,
    work: str,
    sensors: int = 100000,
    requests: int = 0,
    without: tuple[str, ...] = (),
    **job: Any,
) -> Scenario:
    return Scenario(
        f"turn-{name}",
        f"meanwhile: {words}",
        {"do": "turns", "work": work, **job},
        (Row("turn", "ms longest turn"), Row("p99", "ms ?watchdog p99")),
        sensors,
        cores="apart",
        requests=requests,
        turns=True,
        without=without,
    )


SCENARIOS = (
    _pipeline("watchdog", "ok", 1, 1, 1.6),
    _pipeline("watchdog", "ok", 1, 16, 6),
    _pipeline("watchdog", "ok", 1, 256, 11),
    _pipeline("watchdog", "ok", 50, 1, 2.3),
    _pipeline("watchdog", "ok", 50, 16, 10),
    _pipeline("add 1 2", "ok 3", 1, 256, 9.7),
    _pipeline("add-async 1 2", "ok 3", 1, 256, None),
    _listing("sensor-list", 1000, 100),
    _listing("sensor-list", 100000, 33),
    _listing("sensor-value", 1000, 30),
    _listing("sensor-value", 1000, 8, fresh=True),
    _endpoints("plain-get", "typed request that answers as ?get", "plain-get key", f"ok {KEY}"),
    _endpoints("get", "?get of a key", "get key", f"ok {KEY}"),
    _endpoints("get", "?get of a key", "get key", f"ok {KEY}", 1),
    _endpoints("get-cal", "?get of a calibrated key", "get calibrated", f"ok {CALIBRATED}"),
    _endpoints("plain-set", "typed request that sets a sensor", "plain-set 1.79", "ok 1.79"),
    _endpoints("set", "?set of a key", "set key 1.79", "ok 1.79"),
    Scenario(
        "section-100",
        "section of 100 writes, each told of",
        {"do": "sections", "orders": 100},
        (Row("cpu", "µs/order"),),
        rich=True,
        without=OTHERS,
    ),
    _events(1, 100, 11),
    _events(10, 100, 55),
    _events(100, 100, 90),
    _events(1, 1, 5),
    _events(10, 1, 30),
    _events(100, 1, 90),
    _events(10, 100, 5, "event-rate 0.0001 1000"),
    Scenario(
        "bulk-sampling-1000",
        "bulk ?sensor-sampling of 1,000",
        {"do": "bulk"},
        (Row("cpu", "µs/sensor", 50),),
        1000,
    ),
    Scenario(
        "period-1000x10",
        "period 0.1 s, 1,000 sensors, 10 clients",
        {"do": "period", "clients": 10, "period": 0.1, "warm_up": 1.0},
        (
            Row("core", "% of a core", 33),
            Row("delivered", "% delivered"),
            Row("jitter", "ms jitter p99"),
            Row("cpu", "µs/inform"),
        ),
        1000,
        seconds=4.0,
        cores="apart",  # it may take all of a core
    ),
    Scenario(
        "idle-1000",
        "idle connection, 1,000 of them",
        {"do": "idle", "connections": 1000, "burst": 50},
        (Row("memory", "kB/connection", 60), Row("cpu", "µs to accept", 30)),
    ),
    _client_requests(1, 1.1),
    _client_requests(100, 4),
    _client_sync("list", "list", 5),
    _client_sync("objects", "list, an object of each"),
    _client_sync("subscribe", "subscribed", 8),
    # aiokatcp: 61 ms, of which a fifth is to be left, or less than 1 ms.
    _resync("named", "named", 61),
    _resync("plain", "not named", 5),
    _turns("list", "?sensor-list of 100,000", "listing", request="sensor-list"),
    _turns("value", "?sensor-value of 100,000, all fresh", "fresh"),
    _turns("help", "?help of 5,000", "listing", 0, 5000, request="help"),
    _turns(
        "sampling",
        "100,000 strategies set and ended",
        "sampling",
        strategy="event",
        without=ONE_BY_ONE,
    ),
    _turns(
        "leaving",
        "a client with 100,000 strategies goes",
        "leaving",
        strategy="event",
        without=ONE_BY_ONE,
    ),
    # One that cannot keep up with 100,000 informs a second never comes to an end of it.
    _turns("period", "100,000 sensors due every second", "periods", without=OTHERS),
    _turns(
        "shout",
        "an inform to 2,000 clients",
        "many",
        0,
        clients=2000,
        request="shout",
        marker="#shouted",
        count=1,
        without=TELLS_EACH,
    ),
    _turns(
        "event",
        "100 updates to 2,000 clients",
        "many",
        100,
        clients=2000,
        request="change 1 100 100",
        marker="#sensor-status",
        count=100,
        strategy="event",
        without=OTHERS,
    ),
    _turns("clients", "2,000 clients come and go", "arrivals", 0, clients=2000, without=TELLS_EACH),
)
