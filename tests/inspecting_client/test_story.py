"""Whatever a device does, in whatever order: in the end the client has it right."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tornado.ioloop import IOLoop

from katcp.inspecting_client._model import sensor_arguments
from katcp.sensors import Sensor
from tests.helpers.inspecting import Told, make
from tests.helpers.scripted import V4, V50, V51, Device
from tests.helpers.sizes import size

NAMES = ["a", "b", "c", "d"]
EVENTS = st.lists(
    st.sampled_from(
        [
            *("change", "change", "change quietly", "change all"),
            *("cut", "switch off", "switch on", "other version"),
            *("refuse once", "die once", "sample", "wait", "wait"),
            *(
                "change midway",
                "die midway",
                "other version midway",
                "a thousand",
                "ask",
                "look up",
            ),
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
        # What somebody waits for; in the end nobody does any more.
        self.waiters: list[asyncio.Future[Any]] = []

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
        elif event.endswith("midway"):
            self.trouble_midway(event)
        elif event == "a thousand":
            many = [f"many.{i}" for i in range(1000)]
            if many[0] in device.sensors:
                for name in many:
                    del device.sensors[name]
            else:
                device.sensors.update(dict.fromkeys(many, "One_of_many. V integer"))
            device.say(b"#interface-changed sensor-list")
        elif event == "ask":
            self.waiters.append(asyncio.ensure_future(client.simple_request("watchdog", timeout=5)))
        elif event == "look up":
            name = self.random.choice(NAMES)
            self.waiters.append(asyncio.ensure_future(client.future_get_sensor(name)))
            self.waiters.append(asyncio.ensure_future(client.until_synced(timeout=20)))
        elif event == "sample":
            client.set_sampling(self.random.choice(NAMES), "event")
        else:
            await asyncio.sleep(self.random.choice([0, 0.001, 0.003]))

    def trouble_midway(self, event: str) -> None:
        """Have something happen between two lines of the next list."""
        device = self.device
        asked = self.random.choice(["help", "sensor-list"])

        def begin(session: Any, message: Any) -> list[bytes]:
            device.answers.pop(asked, None)
            lines: list[bytes] = device._builtin(session, message)
            cut = self.random.randrange(len(lines))
            device.answer(session, message, *lines[:cut])
            if event == "change midway":
                for _ in range(3):
                    device.say(b"#interface-changed " + self.change_one())
                # It goes on with what it found when it was asked: a list of no moment.
                return lines[cut:]
            if event == "other version midway":
                device.greeting = self.random.choice([V4, V50, V51])
            elif cut:
                # Between any two bytes, not only any two lines.
                half = lines[cut][: self.random.randrange(1, len(lines[cut]) + 1)]
                session.writer.write(half)
            session.abort() if self.random.random() < 0.5 else session.close()
            return []

        device.answers[asked] = begin

    async def run(self, events: list[str]) -> None:
        async with self.device as device:
            client = make(device, self.told)
            client.katcp_client.auto_reconnect_delay = 0.001
            client.max_resync_rate = 1000.0
            client.katcp_client.greeting_timeout = 0.01
            await client.connect()
            try:
                await self.live(events, client)
            finally:
                client.stop()
                await client.until_stopped(timeout=5)
            assert self.told.story.endswith("D")
            # Each has got an answer, or an error.
            if self.waiters:
                _, pending = await asyncio.wait(self.waiters, timeout=10)
                assert not pending
                await asyncio.gather(*self.waiters, return_exceptions=True)

    async def live(self, events: list[str], client: Any) -> None:
        device = self.device
        for event in events:
            await self.happen(event, client)
        await device.listen()
        device.answers.clear()
        await client.until_connected(timeout=5)
        await client.simple_request("watchdog")
        device.say(b"#interface-changed")
        await self.until_right(client)
        for name, text in device.requests.items():
            assert (await client.future_get_request(name)).description == text
        self.check_what_was_told(client)

    async def until_right(self, client: Any) -> None:
        """Wait until the client has it right, on a connection that is alive."""
        device = self.device
        end = asyncio.get_running_loop().time() + 10
        while True:
            reply, _ = await client.simple_request("watchdog", timeout=1)
            infos = client._model.sensors
            found = {name: sensor_arguments(infos[name])[1].decode() for name in infos}
            requests = {name: info[0].decode() for name, info in client._model.requests.items()}
            if (
                reply.reply_ok()
                and client.synced
                and found == {name: rest.split()[0] for name, rest in device.sensors.items()}
                and requests == device.requests
                and client._wishes.in_force == set(client.sampling) & set(device.sensors)
            ):
                break
            assert asyncio.get_running_loop().time() < end, (found, device.sensors)
            await asyncio.sleep(0.002)
        for name in device.sensors:
            sensor = await client.future_get_sensor(name)
            assert sensor.description == found[name]
            assert sensor.status() in (Sensor.UNKNOWN, Sensor.NOMINAL)

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
    tell(events, seed)


@pytest.mark.soak
@settings(max_examples=size("stories", 5000), deadline=None)
@given(events=EVENTS, seed=st.integers(0, 2**32))
def test_in_the_end_it_is_right_whatever_happens(events: list[str], seed: int) -> None:
    tell(events, seed)


def tell(events: list[str], seed: int) -> None:
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
