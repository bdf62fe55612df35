"""Getting and setting endpoints: by their address, or a unique end of it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from katcp.apps.cli import _verbs as verbs
from katcp.apps.cli._endpoints import find_endpoint
from katcp.apps.cli._errors import Refused
from katcp.apps.cli._grammar import parse_pattern
from katcp.apps.cli._link import connected
from katcp.apps.cli._set import set_value
from katcp.apps.cli._verbs import Here
from katcp.endpoints import (
    AsyncEndpointServer,
    Endpoint,
    KeyValueStore,
    NoResponseError,
    Provider,
    Spime,
    StoreKey,
)
from katcp.server import Sensor
from tests.apps.cli.helpers import Paper
from tests.helpers.serving import serving


class Thermometer(Spime):
    """Counts how often it is asked."""

    asked = 0

    def on_get(self) -> float:
        self.asked += 1
        if self.asked == 3:
            raise NoResponseError("too cold")
        return self.asked * 0.5


class Switch(Endpoint):
    """Can be set, and not read."""

    def on_set(self, value: Any) -> None:
        if value == "bad":
            raise ValueError("not that")


@contextlib.asynccontextmanager
async def place(json: bool = False) -> AsyncIterator[tuple[Here, Paper, AsyncEndpointServer]]:
    store = KeyValueStore("kv", endpoints=[StoreKey("lock", initial_value="1"), StoreKey("both")])
    box = Provider("box", endpoints=[Thermometer("t", type="float", units="K"), Switch("both")])
    server = AsyncEndpointServer("127.0.0.1", 0, endpoints=[store, box], node="here")
    server.add_sensor(Sensor.integer("t", "A sensor that is no endpoint."))
    async with serving(server), connected("127.0.0.1", server.bind_address[1], None) as asker:
        paper = Paper(json)
        yield Here(asker, paper), paper, server


async def get(here: Here, *names: str) -> int:
    return await verbs.get(here, [parse_pattern(name) for name in names])


async def test_names_of_endpoints() -> None:
    kinds = {"a.b": "key", "a.b.c": "key", "x.b": "key", "a": "store"}
    assert find_endpoint(kinds, "a.b") == "a.b"
    assert find_endpoint(kinds, "b.c") == "a.b.c"
    assert find_endpoint(kinds, "node.a.b.c") == "a.b.c"
    assert find_endpoint(kinds, "a") == "a"
    assert find_endpoint(kinds, "nothing") is None
    with pytest.raises(Refused, match=r"'b' may be a\.b or x\.b"):
        find_endpoint(kinds, "b")


async def test_get_finds_the_sensor_of_an_endpoint() -> None:
    async with place() as (here, paper, _):
        assert await get(here, "lock") == 0
        assert await get(here, "here.kv.lock", "kv.[l]ock") == 0
        names = [line.split()[:3] for line in paper.shown]
        assert names == [["kv.lock", "1", "nominal"]] * 2


async def test_get_has_an_endpoint_look() -> None:
    async with place(json=True) as (here, paper, server):
        assert await get(here, "box.t") == 0
        assert await get(here, "here.box.t") == 0
        assert [record["value"] for record in paper.records] == [0.5, 1.0]
        assert await get(here, "box.t") == 1
        assert paper.complaints == ["get fail: too cold 202"]
        assert paper.records[-1]["status"] == "failure"
        assert await get(here, "box.*") == 0
        assert server.endpoint_host.find("box.t").asked == 3


async def test_a_sensor_of_that_name_comes_first() -> None:
    async with place(json=True) as (here, paper, _):
        assert await get(here, "t") == 0
        assert [record["name"] for record in paper.records] == ["t"]


async def test_get_of_what_has_no_value_or_is_not_there() -> None:
    async with place() as (here, paper, _):
        assert await get(here, "nothing", "both", "lock") == 1
        assert paper.complaints == ["no sensor 'nothing'", "'both' may be kv.both or box.both"]
        assert [line.split()[0] for line in paper.shown] == ["kv.lock"]


async def test_set_asks_the_endpoint_and_reads_back() -> None:
    async with place() as (here, paper, server):
        assert await set_value(here, "lock", [b"a b"]) == 0
        assert paper.shown[0].startswith("kv.lock  a b  nominal")
        assert await set_value(here, "here.kv.both", [b"7"]) == 0
        assert server.endpoint_host.find("kv.both").value == "7"
        assert not server.endpoint_host.find("lock").is_locked


async def test_set_that_is_refused() -> None:
    async with place() as (here, paper, server):
        assert await set_value(here, "box.both", [b"bad"]) == 1
        assert paper.complaints == ["set fail: box.both: not that 304"]
        server.endpoint_host.find("lock").lockout.lock(owner="me")
        with pytest.raises(Refused, match=r"locked by me.* 307"):
            await set_value(here, "lock", [b"2"])
        with pytest.raises(Refused, match="no request sets 'nothing'"):
            await set_value(here, "nothing", [b"2"])


async def test_set_of_what_cannot_be_read() -> None:
    async with place() as (here, paper, _):
        assert await set_value(here, "box.both", [b"good"]) == 0
        assert paper.shown == ["!set ok"]
