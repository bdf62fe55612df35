"""N9: a device that is killed at any moment does what it has accepted, and nothing of it twice."""

from __future__ import annotations

import json
import random
import select
import socket
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

if sys.platform == "win32":
    pytest.skip("needs fork", allow_module_level=True)

from tests.helpers import figures
from tests.helpers.breeder import Breeder
from tests.helpers.order_victim import breeding
from tests.helpers.sizes import sizes

#: Longest life of a device before it is killed [s]; it may well be too short to begin anything.
_LIFE = 0.12


class Batch:
    """A section, as this end knows it."""

    def __init__(self, number: int, orders: list[dict[str, Any]], disposition: int) -> None:
        self.name = f"batch-{number}"
        self.orders = orders
        text = json.dumps(orders, separators=(",", ":"))
        self.request = f"?section-execute[{number + 1}] {disposition} {text} {self.name}\n".encode()
        #: Whether the device has said ok.
        self.accepted = False
        #: What it has told of the orders: index -> outcome.
        self.told: dict[int, str] = {}
        self.state = ""


def make_batches(count: int, chance: random.Random) -> list[Batch]:
    """Return sections with so many orders in all, each with a value of its own."""
    batches: list[Batch] = []
    value = 0
    while value < count:
        orders: list[dict[str, Any]] = []
        for _ in range(min(count - value, chance.randint(1, 8))):
            kind = chance.random()
            path = f"point-{chance.randint(1, 20)}"
            order: dict[str, Any]
            if kind < 0.6:
                order = {"type": "write", "path": path, "value": value}
            elif kind < 0.7:
                order = {"type": "sysctl", "op_type": "do", "op_args": str(value)}
            elif kind < 0.85:
                order = {"type": "write", "path": path, "value": value, "repeatable": True}
            elif kind < 0.95:
                order = {"type": "read", "path": path}
            else:
                order = {"type": "wait", "time": 0.002}
            orders.append(order)
            value += 1
        batches.append(Batch(len(batches), orders, chance.choice([0, 0, 1])))
    return batches


class Wire:
    """A connection to a device that may be gone at any moment."""

    def __init__(self, port: int, batches: dict[str, Batch]) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 10)
        self._batches = batches
        self._rest = b""
        self.replies: list[list[str]] = []
        self.informs: list[list[str]] = []

    def send(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except OSError:
            pass  # it is gone

    def hear(self, deadline: float) -> bool:
        """Take what comes next; False at the end, or when the moment has come."""
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([self._socket], [], [], left)[0]:
            return False
        try:
            data = self._socket.recv(65536)
        except OSError:
            return False
        if not data:
            return False
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._take(line.decode().split(" "))
        return True

    def _take(self, words: list[str]) -> None:
        name = words[0].split("[")[0]
        if name == "!section-execute":
            assert words[1] == "ok", words
            self._batches[words[2]].accepted = True
        elif name == "#section-state":
            self._batches[words[1]].state = words[2]
        elif name == "#order-state" and words[3] != "retrying":
            _tell(self._batches[words[1]], int(words[2]), words[3])
        elif name.startswith("!"):
            self.replies.append(words)
        elif name.startswith("#section-result"):
            self.informs.append(words)

    def close(self) -> None:
        self._socket.close()


def _tell(batch: Batch, index: int, outcome: str) -> None:
    """Take note of an outcome; the device must never say anything else later."""
    known = batch.told.setdefault(index, outcome)
    assert known == outcome, f"{batch.name}, order {index}: it was {known} and became {outcome}"


def live(breeder: Breeder, batches: list[Batch], span: float) -> bool:
    """Let a device live for a time, and hand over what it has not accepted.

    Returns
    -------
    bool
        Whether it lived long enough to serve.
    """
    deadline = time.monotonic() + span
    breeder.bear()
    if not breeder.until_serving(deadline):
        breeder.kill()
        return False
    assert breeder.port is not None
    wire = Wire(breeder.port, {batch.name: batch for batch in batches})
    try:
        wire.send(b"".join(batch.request for batch in batches if not batch.accepted))
        while wire.hear(deadline):
            pass
    finally:
        breeder.kill()
        while wire.hear(time.monotonic() + 1):
            pass  # what it has said last counts, too
        wire.close()
    return True


def finish(breeder: Breeder, batches: list[Batch]) -> None:
    """Let a device live until all is done, and ask what the orders came to."""
    patience = time.monotonic() + 60
    breeder.bear()
    assert breeder.until_serving(patience)
    assert breeder.port is not None
    wire = Wire(breeder.port, {batch.name: batch for batch in batches})
    try:
        wire.send(b"".join(batch.request for batch in batches if not batch.accepted))
        wire.send(b"?orders-sync 60\n")
        while not wire.replies:
            assert wire.hear(patience)
        assert wire.replies.pop() == ["!orders-sync", "ok"]
        assert all(batch.accepted for batch in batches)
        for batch in batches:
            wire.send(b"?section-result %s\n" % batch.name.encode())
            while not wire.replies:
                assert wire.hear(patience)
            assert wire.replies.pop()[:2] == ["!section-result", "ok"]
            told = [words for words in wire.informs if words[1] == batch.name]
            assert len(told) == len(batch.orders)
            for _, _, index, _, _, outcome, *_ in told:
                _tell(batch, int(index), outcome)
            wire.informs.clear()
    finally:
        wire.close()
        breeder.kill()


@pytest.mark.slow
@sizes("orders_among_kills", 1_000, 5_000)
def test_n9_orders_of_a_device_that_is_killed_all_the_time(
    orders_among_kills: int, tmp_path: Path
) -> None:
    chance = random.Random(orders_among_kills)
    batches = make_batches(orders_among_kills, chance)
    log = tmp_path / "log"
    kills, in_vain = 0, 0
    with breeding(tmp_path / "journal.db", log) as breeder:
        given = 0
        while given < len(batches) or not all(batch.accepted for batch in batches):
            given += chance.randint(1, 5)
            # It has ever more to read when it starts, and may be on a busy computer.
            span = chance.uniform(0, _LIFE * (1 + in_vain / 4))
            in_vain = 0 if live(breeder, batches[:given], span) else in_vain + 1
            kills += 1
        finish(breeder, batches)
    done = Counter(int(line) for line in log.read_text().split())
    interrupted, value = 0, -1
    for batch in batches:
        for index, order in enumerate(batch.orders):
            value += 1
            outcome, times = batch.told[index], done[value]
            about = f"{order} of {batch.name}: {outcome}, done {times} times"
            if order["type"] in ("read", "wait"):
                assert outcome == "ok", about
            elif order.get("repeatable"):
                assert outcome == "ok", about
                assert times >= 1, about
            elif outcome == "failed:interrupted":
                assert times <= 1, about
                interrupted += 1
            else:
                assert outcome == "ok", about
                assert times == 1, about
    figures.note("kills", kills)
    figures.note("orders told to have been interrupted", interrupted)
    assert kills > orders_among_kills / 50
