"""A store that is killed all the time loses nothing that is older than its flush interval."""

from __future__ import annotations

import asyncio
import os
import random
import time
from pathlib import Path

import pytest

if not hasattr(os, "fork"):
    pytest.skip("needs fork", allow_module_level=True)

from katcp.protocol import Message, MessageParser
from tests.helpers import figures
from tests.helpers.breeder import Breeder
from tests.helpers.sizes import sizes
from tests.helpers.store_victim import FLUSH_INTERVAL, NAMES, breeding

#: Longest life of a device before it is killed [s]; it may well be too short to begin anything.
_LIFE = 2 * FLUSH_INTERVAL

_parse = MessageParser().parse


class Key:
    """A key, as this end knows it."""

    def __init__(self) -> None:
        #: Values that it may hold, the oldest first; it must hold the first or a later one.
        self.values: list[bytes] = [b""]
        #: Those that were confirmed: (moment of the reply, index).
        self.confirmed: list[tuple[float, int]] = []
        self.set_at = 0.0

    def give(self, value: bytes) -> int:
        """Take note of a value that is sent; return its index."""
        self.values.append(value)
        return len(self.values) - 1

    def check(self, value: bytes, set_at: float, killed: float) -> float:
        """Look at what it holds after a kill; return the age of the newest value lost [s]."""
        assert value in self.values, f"{value!r} was never given, or was older"
        index = len(self.values) - 1 - self.values[::-1].index(value)
        lost = [moment for moment, confirmed in self.confirmed if confirmed > index]
        age = killed - min(lost) if lost else 0.0
        assert age <= FLUSH_INTERVAL, f"{value!r} had been set to another for {age:.3f} s"
        assert set_at >= self.set_at
        self.values, self.confirmed, self.set_at = [value], [], set_at
        return age


def any_value(chance: random.Random, number: int) -> bytes:
    """Return a value that was not there before: with all bytes that there are."""
    return b"%d %s" % (number, bytes(chance.randrange(256) for _ in range(chance.randrange(30))))


class Story:
    """All that happens to the store."""

    def __init__(self, breeder: Breeder, chance: random.Random) -> None:
        self._breeder = breeder
        self._chance = chance
        self.keys = {name: Key() for name in NAMES}
        self.killed = time.monotonic()
        self.sets = 0
        self.worst = 0.0
        self._durable = 0.0

    async def live(self, life: float) -> None:
        """Have a device live for a time, in which its keys are set, and kill it."""
        self._breeder.bear()
        if self._breeder.until_serving(time.monotonic() + life):
            await self.look()
            await self._set_for(life)
        else:
            self._breeder.kill()

    async def look(self) -> None:
        """Look at what all keys hold after a kill."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._breeder.port)
        try:
            for name, key in self.keys.items():
                writer.write(b"?get %s\n" % name.encode())
                reply = await _reply(reader)
                assert reply.arguments[0] == b"ok", reply
                set_at = 0.0 if reply.arguments[4] == b"unknown" else float(reply.arguments[3])
                self.worst = max(self.worst, key.check(reply.arguments[1], set_at, self.killed))
        finally:
            writer.close()

    async def _set_for(self, life: float) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._breeder.port)
        # One that is durable takes all others with it: so in most lives there is none.
        self._durable = self._chance.choice([0.0, 0.0, 0.02])
        deadline = time.monotonic() + life
        try:
            while (left := deadline - time.monotonic()) > 0:
                await asyncio.wait_for(self._set_some(reader, writer), left)
        except asyncio.TimeoutError:
            pass  # in the middle of something
        finally:
            self.killed = time.monotonic()
            self._breeder.kill()
            writer.close()

    async def _set_some(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        given = []
        for name in self._chance.sample(NAMES, self._chance.randint(1, 4)):
            durable = self._chance.random() < self._durable
            self.sets += 1
            value = any_value(self._chance, self.sets)
            index = self.keys[name].give(value)
            given.append((self.keys[name], index, durable))
            more = (b"durable=true",) if durable else ()
            writer.write(bytes(Message.request("set", name, value, *more)) + b"\n")
        for key, index, durable in given:
            reply = await _reply(reader)
            assert reply.arguments[0] == b"ok", reply
            # What is confirmed as durable must be there, however young it is.
            key.confirmed.append((-1e9 if durable else time.monotonic(), index))
        await asyncio.sleep(self._chance.uniform(0, 0.01))


async def _reply(reader: asyncio.StreamReader) -> Message:
    while True:
        line = await reader.readline()
        assert line.endswith(b"\n"), "the device has gone by itself"
        if line.startswith(b"!"):
            return _parse(line.strip(b"\r\n"))


@pytest.mark.slow
@sizes("kills_of_a_store", 12, 500)
async def test_n10_values_of_a_store_that_is_killed_all_the_time(
    kills_of_a_store: int, tmp_path: Path
) -> None:
    chance = random.Random(kills_of_a_store)
    with breeding(tmp_path / "values.db") as breeder:
        story = Story(breeder, chance)
        for _ in range(kills_of_a_store):
            await story.live(chance.uniform(0, _LIFE))
        breeder.bear()
        assert breeder.until_serving(time.monotonic() + 20)
        await story.look()
        breeder.kill()
    assert story.sets > 10 * kills_of_a_store
    figures.note("values set", story.sets)
    figures.note("oldest value lost was set before the kill by", story.worst, "s")
