"""Sensors and requests that come and go while clients look (F12)."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from katcp.inspecting_client import InspectingClientAsync
from katcp.server import AsyncDeviceServer, Sensor
from tests.helpers.guard import Guard
from tests.helpers.inspecting import Told
from tests.helpers.serving import serving, talking
from tests.helpers.sizes import sizes
from tests.promises.test_network import added_up
from tests.promises.test_reconnect import quiet

pytestmark = pytest.mark.slow

KINDS = [Sensor.integer, Sensor.float, Sensor.string, Sensor.boolean]


def guest(req: Any, msg: Any) -> Any:
    """Comes and goes."""
    return req.make_reply("ok")


class Churning(AsyncDeviceServer):
    """Sensors and requests come, go, and are replaced by ones of another type."""

    announces_clients = False

    def setup_sensors(self) -> None:
        self.add_sensor(Sensor.integer("anchor", "Stays.", "1"))
        self.turn = 0

    def churn(self, chance: random.Random) -> None:
        """Change one thing."""
        self.turn += 1
        number = chance.randrange(60)
        name = f"guest.{number}"
        kind = chance.choice(["add", "remove", "replace", "request"])
        if kind == "request":
            if self.has_request(f"guest-{number}"):
                self.remove_request(f"guest-{number}")
            else:
                self.add_request(f"guest-{number}", guest)
        elif kind == "remove":
            if self.has_sensor(name):
                self.remove_sensor(name)
        elif kind == "replace" or not self.has_sensor(name):
            make = chance.choice(KINDS)
            self.add_sensor(make(name, f"Since turn {self.turn}.", "V"))


@sizes("changes", 500, 60_000)
async def test_f12_in_the_end_all_models_are_right(changes: int) -> None:
    chance = random.Random(changes)
    guard = Guard()
    async with serving(Churning("127.0.0.1", 0)) as server:
        told = [Told() for _ in range(5 if changes == 500 else 20)]
        clients = []
        for one in told:
            client = InspectingClientAsync(*server.bind_address, logger=quiet)
            client.set_state_callback(one)
            client.set_sampling("guest.7", "event")
            client.initial_resync_timeout = 0.05
            await client.connect()
            clients.append(client)
        for number in range(changes):
            server.churn(chance)
            if number % 5 == 0:
                await asyncio.sleep(0.001)
        if not server.has_sensor("guest.7"):
            server.add_sensor(Sensor.integer("guest.7", "The last.", "V"))
        wanted = {s.name: (s.description, s.stype) for s in server.get_sensors()}

        requests = set(server._request_handlers)

        async def right(client: Any) -> bool:
            await client.until_synced(timeout=30)
            if set(client.sensors) != wanted.keys() or set(client.requests) != requests:
                return False
            found = {name: await client.future_get_sensor(name) for name in wanted}
            return {k: (s.description, s.type) for k, s in found.items()} == wanted

        end = asyncio.get_running_loop().time() + 30
        for client in clients:
            while not await right(client):
                assert asyncio.get_running_loop().time() < end
                await asyncio.sleep(0.01)
        for one, client in zip(told, clients, strict=True):
            # Who adds up the changes has the same, and nothing was told twice.
            assert added_up(one) == {
                "sensors": set(client.sensors),
                "requests": set(client.requests),
            }
        for client in clients:
            client.stop()
        await asyncio.gather(*(client.until_stopped(timeout=10) for client in clients))
    await guard.check()


async def test_f12_an_ill_typed_request_that_came_late_harms_itself_only() -> None:
    def broken(req: Any, thing: object) -> None:
        """Cannot be called."""

    async with serving(Churning("127.0.0.1", 0)) as server, talking(server) as client:
        server.add_request("broken", broken)
        assert await client.line() == b"#interface-changed request broken added"
        assert (await client.ask(b"?broken[1] 5"))[-1].startswith(b"!broken[1] fail ")
        lines = await client.ask(b"?help[2]")
        assert lines[-1] == b"!help[2] ok %d" % len(server._request_handlers)
        assert b"#help[2] broken Cannot\\_be\\_called." in lines
