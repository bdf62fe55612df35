"""Load: clients that sample the sensors of a server."""

from __future__ import annotations

import itertools
import select
import time
from collections.abc import Callable

from _cpu import cpu_seconds
from _device import sensor_names
from _peers import BUFFER, PATIENCE, VIEW, Job, Result, connect, crowd, expect, measure, sample_all


class Audience:
    """Many clients that only listen, and one that does not; counts the lines of each."""

    def __init__(self, port: int, clients: int, sensors: int, strategy: bytes) -> None:
        self.names = sensor_names(sensors)
        self.control, *self.peers = connect(port, 1 + clients)
        for peer in self.peers:
            sample_all(peer, self.names, strategy)
        self.poll = select.epoll()
        self.lines = {peer.socket.fileno(): 0 for peer in self.peers}
        self.by_file = {peer.socket.fileno(): peer.socket for peer in self.peers}
        for peer in self.peers:
            self.poll.register(peer.socket, select.EPOLLIN)

    def silence(self) -> None:
        """Read and forget what is on its way."""
        for peer in self.peers:
            peer.silence(0.02)

    def read(self, timeout: float, seen: Callable[[int, memoryview], None] | None = None) -> int:
        """Read what is there; return how many lines that was, over all clients."""
        total = 0
        for file, _ in self.poll.poll(timeout):
            size = self.by_file[file].recv_into(VIEW)
            expect(size > 0, "connection closed by the server")
            count = BUFFER.count(b"\n", 0, size)
            self.lines[file] += count
            total += count
            if seen is not None:
                seen(file, VIEW[:size])
        return total

    def wait(self, count: int, seen: Callable[[int, memoryview], None] | None = None) -> None:
        """Read until every client has `count` lines, and no client more; then count anew."""
        due = count * len(self.peers)
        end = time.perf_counter() + PATIENCE
        while due > 0:
            due -= self.read(1.0, seen)
            expect(time.perf_counter() < end, f"{due} informs did not come")
        lines = set(self.lines.values())
        expect(lines == {count}, f"informs per client: {lines}, not {count}")
        self.lines = dict.fromkeys(self.lines, 0)


def events(job: Job) -> Result:
    """The server sets `updates` sensors a turn of its loop; per inform delivered."""
    clients: int = job["clients"]
    updates: int = job["updates"]
    turns: int = job["turns"]
    sampled: int = job.get("sampled", job["sensors"])
    crowd(job["port"], job.get("idle", 0))
    audience = Audience(job["port"], clients, sampled, job["strategy"].encode())
    control = audience.control
    audience.silence()
    change = b"change %d %d %d" % (turns, updates, sampled)

    got: dict[int, bytes] = dict.fromkeys(audience.lines, b"")

    def keep(file: int, data: memoryview) -> None:
        got[file] += bytes(data)

    control.ok(change)
    audience.wait(turns * updates, keep)
    texts = {
        tuple(tuple(line.split(b" ")[3:]) for line in data.splitlines()) for data in got.values()
    }
    expect(len(texts) == 1, "clients were told different things")
    text = texts.pop()
    expect({part[0].decode() for part in text} <= set(audience.names), "unknown sensors")
    expect(len(set(text)) >= min(len(text), len(audience.names)), "values are missing")
    expect(all(part[1] == b"nominal" for part in text), "statuses")

    def run(seconds: float) -> int:
        end = time.perf_counter() + seconds
        count = 0
        while True:
            control.ok(change)
            audience.wait(turns * updates)
            count += turns * updates * clients
            if time.perf_counter() >= end:
                return count

    return measure(job, run)


def period(job: Job) -> Result:
    """Clients sample all sensors at a fixed period: load, share delivered, jitter."""
    step = job["period"]
    audience = Audience(job["port"], job["clients"], job["sensors"], b"period %r" % step)
    marker = b" %s " % audience.names[len(audience.names) // 2].encode()
    arrivals: dict[int, list[float]] = {file: [] for file in audience.lines}

    def seen(file: int, data: memoryview) -> None:
        now = time.perf_counter()
        arrivals[file].extend([now] * bytes(data).count(marker))

    end = time.perf_counter() + job["warm_up"] + 2 * step
    while time.perf_counter() < end:
        audience.read(step)
    cpu, start = cpu_seconds(job["pid"]), time.perf_counter()
    count = 0
    end = start + job["seconds"]
    while time.perf_counter() < end:
        count += audience.read(step / 10, seen)
    cpu, wall = cpu_seconds(job["pid"]) - cpu, time.perf_counter() - start
    late = sorted(
        abs(after - before - step)
        for times in arrivals.values()
        for before, after in itertools.pairwise(times)
    )
    due = wall / step * job["clients"] * job["sensors"]
    return {
        "cpu": cpu,
        "units": count,
        "wall": wall,
        "delivered": 100 * count / due,
        "core": 100 * cpu / wall,
        "jitter": 1e3 * late[int(0.99 * len(late))] if late else 0.0,
    }
