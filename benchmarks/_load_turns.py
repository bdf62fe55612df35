"""Load: heavy work by some clients, while another asks ?watchdog as if nothing were.

The device has timed the turns of its own loop meanwhile; the other client is a process of its own,
so that it does not wait for the one that reads a hundred thousand lines.
"""

from __future__ import annotations

import json
import os
import select
import socket
import time
from collections.abc import Callable

from _cpu import settled_cpu
from _device import sensor_names
from _load_requests import Answers
from _peers import BUFFER, VIEW, Job, Peer, Result, connect, expect, sample_all

STEP = 0.002
"""Seconds between two requests of the other client."""


def probe(port: int, told: int) -> list[float]:
    """Send ?watchdog every `STEP` seconds from the first word of `told` to its end.

    Return how long after its time each was answered; those that are late do not hold others up.
    """
    peer = Peer(port)
    peer.ok(b"watchdog")
    late: list[float] = []
    if not os.read(told, 1):
        return late
    peer.silence(0.01)
    start = time.perf_counter()
    sent = 0
    rest = b""
    while True:
        due = start + (sent + 1) * STEP
        files = [peer.socket, told] if len(late) == sent else [peer.socket]
        ready = select.select(files, [], [], max(0.0, due - time.perf_counter()))[0]
        if peer.socket in ready:
            *lines, rest = (rest + peer.socket.recv(1 << 16)).split(b"\n")
            now = time.perf_counter()
            for line in lines:
                if line.startswith(b"!"):
                    late.append(now - start - (len(late) + 1) * STEP)
        elif told in ready:
            return late
        while start + (sent + 1) * STEP <= time.perf_counter():
            peer.socket.sendall(b"?watchdog\n")
            sent += 1


class OtherClient:
    """A process that asks ?watchdog meanwhile."""

    def __init__(self, port: int) -> None:
        told, self._tell = os.pipe()
        self._answer, answered = os.pipe()
        self._process = os.fork()
        if self._process == 0:
            status = 1
            try:
                os.close(self._tell)
                result = json.dumps(probe(port, told)).encode()
                while result:
                    result = result[os.write(answered, result) :]
                status = 0
            finally:
                os._exit(status)
        os.close(told)
        os.close(answered)

    def begin(self) -> None:
        """Have it ask from now on."""
        os.write(self._tell, b"!")

    def end(self) -> list[float]:
        """Return how late its replies were, in order of size."""
        os.close(self._tell)
        with os.fdopen(self._answer, "rb") as file:
            text = file.read()
        os.waitpid(self._process, 0)
        expect(text != b"", "the other client failed")
        return sorted(json.loads(text))


# -- heavy work: each makes what does a piece of it, and the number of units in that piece -----


def listing(job: Job, control: Peer) -> tuple[Callable[[], None], int]:
    """A long answer: ?sensor-list, ?sensor-value or ?help."""
    peer = Peer(job["port"])
    _, informs = peer.ask(job["request"].encode())
    return Answers(peer, [job["request"].encode()], len(informs)).once, len(informs)


def fresh(job: Job, control: Peer) -> tuple[Callable[[], None], int]:
    """The readings of all sensors, each of which has been set since."""
    once, count = listing({**job, "request": "sensor-value"}, control)

    def piece() -> None:
        control.ok(b"change %d 500 %d" % (max(1, job["sensors"] // 500), job["sensors"]))
        time.sleep(0.2)
        once()

    return piece, count


def sampling(job: Job, control: Peer) -> tuple[Callable[[], None], int]:
    """Strategies on all sensors, begun and ended."""
    peer = Peer(job["port"])
    names = sensor_names(job["sensors"])

    def piece() -> None:
        sample_all(peer, names, job["strategy"].encode())
        sample_all(peer, names, b"none")

    return piece, len(names)


def leaving(job: Job, control: Peer) -> tuple[Callable[[], None], int]:
    """A client that samples all sensors goes without a word."""
    names = sensor_names(job["sensors"])

    def piece() -> None:
        peer = Peer(job["port"])
        sample_all(peer, names, job["strategy"].encode())
        peer.socket.close()
        time.sleep(0.05)

    return piece, len(names)


def periods(job: Job, control: Peer) -> tuple[Callable[[], None], int]:
    """All sensors are due at once, and each has been set since the last time."""
    peer = Peer(job["port"])
    names = sensor_names(job["sensors"])
    sample_all(peer, names, b"period 1")

    def piece() -> None:
        control.ok(b"change %d 500 %d" % (max(1, job["sensors"] // 500), job["sensors"]))
        lines = 0
        while lines < len(names):
            size = peer.socket.recv_into(VIEW)
            expect(size > 0, "connection closed by the server")
            lines += BUFFER.count(b"\n", 0, size)

    return piece, len(names)


def many(job: Job, control: Peer) -> tuple[Callable[[], None], int]:
    """One line to each of many clients (``shout``), or 100 fresh readings (``change``)."""
    strategy = job.get("strategy")
    poll = select.epoll()
    sockets: dict[int, socket.socket] = {}
    for _ in range(job["clients"]):
        peer = Peer(job["port"])
        if strategy:
            sample_all(peer, sensor_names(job["sensors"]), strategy.encode())
        sockets[peer.socket.fileno()] = peer.socket
        poll.register(peer.socket, select.EPOLLIN)
    while ready := poll.poll(0.5):  # #client-connected
        for file, _ in ready:
            sockets[file].recv_into(VIEW)
    marker = job["marker"].encode()
    due = job["count"] * len(sockets)

    def piece() -> None:
        control.ok(job["request"].encode())
        lines = 0
        end = time.perf_counter() + 30
        while lines < due:
            for file, _ in poll.poll(1.0):
                size = sockets[file].recv_into(VIEW)
                expect(size > 0, "connection closed by the server")
                lines += BUFFER.count(marker, 0, size)
            expect(time.perf_counter() < end, f"{due - lines} informs did not come")

    return piece, due


def arrivals(job: Job, control: Peer) -> tuple[Callable[[], None], int]:
    """Many clients come, and go all at once."""

    def piece() -> None:
        peers = connect(job["port"], 1) + [Peer(job["port"]) for _ in range(job["clients"])]
        time.sleep(0.1)
        for peer in peers:
            peer.socket.close()
        time.sleep(0.1)

    return piece, job["clients"]


WORK = {
    "listing": listing,
    "fresh": fresh,
    "sampling": sampling,
    "leaving": leaving,
    "periods": periods,
    "many": many,
    "arrivals": arrivals,
}


def turns(job: Job) -> Result:
    """Do heavy work; the longest turn, and the delay of other clients."""
    control = Peer(job["port"])
    other = OtherClient(job["port"])
    control.hears(0.2)  # of the other one, so that nobody else does
    piece, units = WORK[job["work"]](job, control)
    piece()
    control.ok(b"longest-turn")  # forget what was
    cpu, start = settled_cpu(job["pid"]), time.perf_counter()
    other.begin()
    count = 0
    while not count or time.perf_counter() < start + job["seconds"]:
        piece()
        count += units
    wall = time.perf_counter() - start
    delays = other.end()
    reply, _ = control.ask(b"longest-turn")
    return {
        "cpu": settled_cpu(job["pid"]) - cpu,
        "units": count,
        "wall": wall,
        "turn": int(reply.split(b" ")[2]) / 1e3,
        "p99": 1e3 * delays[int(0.99 * len(delays))] if delays else 0.0,
    }
