"""Signals under load, and two servers on one port (F17)."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers import figures
from tests.helpers.plant import plant
from tests.helpers.serving import talking
from tests.helpers.sizes import sizes
from tests.system.programs import Served, Talk, serve, server

pytestmark = pytest.mark.slow

DEVICE = """
import asyncio
from katcp.server import AsyncDeviceServer, DeviceServer, Sensor

class Loaded(AsyncDeviceServer):
    def setup_sensors(self):
        for i in range(100):
            self.add_sensor(Sensor.integer(f"unit.{i:03d}"))
        self.number = 0
    def loop_started(self, loop):
        super().loop_started(loop)
        self.task = loop.create_task(self.run())
    async def run(self):
        while True:
            self.number += 1
            for sensor in self.get_sensors():
                sensor.set_value(self.number)
            await asyncio.sleep(0.002)
    async def loop_ending(self):
        self.task.cancel()
        await super().loop_ending()
    async def request_wait(self, req) -> None:
        "Never answer."
        await asyncio.sleep(3600)
"""


@pytest.fixture
def loaded(tmp_path: Path) -> str:
    (tmp_path / "loaded.py").write_text(DEVICE)
    return f"{tmp_path}/loaded.py:Loaded"


class Load:
    """Clients that ask and subscribe, each in a thread, until their connection ends."""

    def __init__(self, served: Served, count: int) -> None:
        self.lines: list[list[bytes]] = [[] for _ in range(count)]
        self.asked = [0] * count
        self._busy = threading.Barrier(count + 1)
        self._threads = [
            threading.Thread(target=self._run, args=(served, number), name=f"load {number}")
            for number in range(count)
        ]
        for thread in self._threads:
            thread.start()
        self._busy.wait(20)

    def _run(self, served: Served, number: int) -> None:
        with Talk(served) as talk:
            names = b",".join(b"unit.%03d" % i for i in range(100))
            talk.ask(b"?sensor-sampling[1] " + names + b" event")
            talk.say(b"?wait[2]")
            self._busy.wait(20)
            try:
                while True:
                    self.asked[number] += 1
                    talk.say(b"?watchdog[%d]" % (self.asked[number] + 2))
                    line = talk.line()
                    while line and not line.startswith(b"!watchdog"):
                        self.lines[number].append(line)
                        line = talk.line()
                    if not line:
                        return
                    self.lines[number].append(line)
            except OSError:
                # Reset, since what it said last was not read any more; what was there is read.
                return

    def join(self) -> None:
        for thread in self._threads:
            thread.join(20)
            assert not thread.is_alive()


@pytest.fixture
def _signals_are_heard() -> Iterator[None]:
    """Have programs start with the usual reaction to SIGHUP, which ``nohup`` switches off."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("_signals_are_heard")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_f17_goodbye_under_load(loaded: str, number: int) -> None:
    with serve(loaded) as served:
        load = Load(served, 8)
        time.sleep(0.2)
        begun = time.monotonic()
        status = served.end(number)
        taken = time.monotonic() - begun
        assert taken < 5
        figures.note(f"ended {signal.Signals(number).name} after", taken, "s")
        load.join()
        assert status == (0 if number != signal.SIGHUP else status)
        if number == signal.SIGHUP:
            # Nobody has asked for anything to be read again: it ends as programs do.
            assert status in (0, -signal.SIGHUP)
            return
        assert served.errors() == ""
    for lines in load.lines:
        # Each request that was under way has its answer, before the goodbye; nothing is torn.
        end = [line for line in lines if not line.startswith(b"#sensor-status ")][-2:]
        if b"#disconnect Device\\_server\\_shutting\\_down." in end:
            assert b"!wait[2] fail request_cancelled" in end
    goodbyes = sum(b"#disconnect Device\\_server\\_shutting\\_down." in x for x in load.lines)
    assert goodbyes >= 6


def test_f17_killed_under_load_it_can_be_started_again_at_once(loaded: str) -> None:
    with serve(loaded) as served:
        load = Load(served, 4)
        assert served.end(signal.SIGKILL) == -signal.SIGKILL
        load.join()
        with serve(loaded, "--port", str(served.port)) as again, Talk(again) as talk:
            assert again.port == served.port
            assert talk.ask(b"?watchdog[1]") == [b"!watchdog[1] ok"]
            assert again.end() == 0


def test_f17_a_second_one_on_the_port_fails_in_one_line(loaded: str) -> None:
    with serve(loaded) as served, Talk(served) as talk:
        second = server(loaded, "--port", str(served.port))
        assert second.returncode == 1
        assert second.stdout == ""
        assert second.stderr.count("\n") == 1
        assert str(served.port) in second.stderr
        assert talk.ask(b"?watchdog[1]")[-1] == b"!watchdog[1] ok"
        assert served.end() == 0


@sizes("restarts", 2, 200)
async def test_f17_killed_with_clients_it_starts_at_the_same_port(restarts: int) -> None:
    with plant(10) as factory:
        for _ in range(restarts):
            async with talking(factory) as client:  # type: ignore[arg-type]
                assert await client.ask(b"?watchdog[1]") == [b"!watchdog[1] ok"]
                await client.send(b"?wait[2] 100")
                factory.kill()
                # The end is noticed at once, with nothing said.
                try:
                    assert await client.rest() == b""
                except ConnectionResetError:
                    pass
                factory.start()
