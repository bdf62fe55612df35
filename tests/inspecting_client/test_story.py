"""Whatever a device does, in whatever order: in the end the client has it right."""

from __future__ import annotations

import asyncio
import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tornado.ioloop import IOLoop

from katcp.sensors import Sensor
from tests.helpers.inspecting import Told, make
from tests.helpers.scripted import V4, V50, V51, Device, until

NAMES = ["a", "b", "c", "d"]
EVENTS = st.lists(
    st.sampled_from(
        [
            *("change", "change", "change quietly", "change all"),
            *("cut", "switch off", "switch on", "other version"),
            *("refuse once", "die once", "sample", "wait", "wait"),
        ]
    ),
    max_size=14,
)


class World:
    """A device that things happen to, and a client of it."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.device = Device(V51, {"a": "Text. V integer"}, {"help": "Help."})
        self.told = Told()
        self.quiet = False

    def change_one(self) -> bytes:
        table, kind = self.random.choice(
            [(self.device.sensors, b"sensor"), (self.device.requests, b"request")]
        )
        name = self.random.choice(NAMES)
        if name in table and self.random.random() < 0.5:
            del table[name]
            how = b"removed"
        else:
            how = b"modified" if name in table else b"added"
            text = f"Text{self.random.random()}"
            table[name] = f"{text} V integer" if kind == b"sensor" else text
        return b"%s %s %s" % (kind, name.encode(), how)

    async def happen(self, event: str, client: Any) -> None:
        device = self.device
        if event == "change":
            device.say(b"#interface-changed " + self.change_one())
        elif event == "change quietly":
            self.change_one()
            self.quiet = True
        elif event == "change all":
            for _ in range(5):
                self.change_one()
            device.say(b"#interface-changed")
        elif event == "cut":
            device.cut()
        elif event == "switch off":
            device.refuse()
            device.cut()
        elif event == "switch on":
            if device._server is None:
                await device.listen()
        elif event == "other version":
            device.greeting = self.random.choice([V4, V50, V51])
            device.cut()
        elif event in ("refuse once", "die once"):
            name = self.random.choice(["help", "sensor-list", "sensor-sampling"])

            def once(session: Any, message: Any) -> list[bytes]:
                device.answers.pop(name, None)
                if event == "die once":
                    session.abort()
                    return []
                return [b"! fail Not\\_now."]

            device.answers[name] = once
        elif event == "sample":
            client.set_sampling(self.random.choice(NAMES), "event")
        else:
            await asyncio.sleep(self.random.choice([0, 0.001, 0.003]))

    async def run(self, events: list[str]) -> None:
        async with self.device as device:
            client = make(device, self.told)
            client.katcp_client.auto_reconnect_delay = 0.001
            client.max_resync_rate = 1000.0
            client.katcp_client.greeting_timeout = 0.01
            await client.connect()
            for event in events:
                await self.happen(event, client)
            if device._server is None:
                await device.listen()
            device.answers.clear()
            device.say(b"#interface-changed")

            def right() -> bool:
                return (
                    client.synced
                    and set(client.sensors) == set(device.sensors)
                    and set(client.requests) == set(device.requests)
                    and self.sampled(client) == set(client.sampling) & set(device.sensors)
                )

            await until(right)
            for name, rest in device.sensors.items():
                sensor = await client.future_get_sensor(name)
                assert sensor.description == rest.split()[0]
                assert sensor.status() in (Sensor.UNKNOWN, Sensor.NOMINAL)
            for name, text in device.requests.items():
                assert (await client.future_get_request(name)).description == text
            self.check_what_was_told(client)
            client.stop()
            await client.until_stopped(timeout=5)
            assert self.told.story.endswith("D")

    @staticmethod
    def sampled(client: Any) -> set[str]:
        in_force: set[str] = client._wishes.in_force
        return in_force

    def check_what_was_told(self, client: Any) -> None:
        """Whoever adds up the changes has the model."""
        names: dict[str, set[str]] = {"sensors": set(), "requests": set()}
        for changes in self.told.changes:
            for half in names:
                if half in changes:
                    assert changes[half].removed <= names[half]
                    names[half] = (names[half] - changes[half].removed) | changes[half].added
        assert names == {"sensors": set(client.sensors), "requests": set(client.requests)}


@settings(max_examples=40, deadline=None)
@given(events=EVENTS, seed=st.integers(0, 2**32))
def test_in_the_end_it_is_right(events: list[str], seed: int) -> None:
    loop = IOLoop(make_current=False)
    try:
        loop.run_sync(lambda: World(seed).run(events))
        loop.run_sync(_rest)
    finally:
        loop.close()


async def _rest() -> None:
    for _ in range(5):
        await asyncio.sleep(0)
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    assert not tasks
