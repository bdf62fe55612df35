"""The neutral load generator: bare sockets, no KATCP library, a process of its own.

Reads one job as JSON from standard input, drives the server at ``job["port"]``, and prints
one JSON object: what was counted, and the CPU time of the server meanwhile, which is read
from outside (see ``_cpu.py``). Each job first checks that the answers mean what they should,
then warms up, then measures; an answer that is short, long or wrong ends the job with an
error, so that no figure is ever a figure of less work.
"""

from __future__ import annotations

import itertools
import json
import select
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

from _cpu import cpu_seconds, resident_bytes, settled_cpu
from _device import raise_file_limit, sensor_names

Job = dict[str, Any]
Result = dict[str, float]

PATIENCE = 60.0
"""Seconds without a byte after which a server counts as broken."""

LONGEST_REPLY = 1 << 16
"""Bytes of the longest reply: a bulk ``?sensor-sampling`` echoes its list of names."""

_buffer = bytearray(1 << 20)
_view = memoryview(_buffer)


class WrongAnswerError(Exception):
    """The server did not do the work that was asked for."""


def expect(condition: bool, what: str) -> None:
    """Raise unless the server did as it should."""
    if not condition:
        raise WrongAnswerError(what)


class Peer:
    """One connection: blocking reads and writes of lines, for whatever is not timed."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._rest = b""
        self.greeting = [self.line() for _ in range(3)]
        expect(
            all(line.startswith(b"#version-connect ") for line in self.greeting),
            f"greeting: {self.greeting}",
        )

    def line(self) -> bytes:
        """Return the next line without its end."""
        while b"\n" not in self._rest:
            data = self.socket.recv(1 << 20)
            expect(data != b"", "connection closed by the server")
            self._rest += data
        line, self._rest = self._rest.split(b"\n", 1)
        return line

    def ask(self, request: bytes, mid: int = 1) -> tuple[bytes, list[bytes]]:
        """Send a request; return its reply and its informs, asynchronous ones apart."""
        name, _, arguments = request.partition(b" ")
        head = b"%s[%d]" % (name, mid)
        self.socket.sendall(b"?%s\n" % (head + b" " + arguments if arguments else head))
        informs: list[bytes] = []
        while True:
            line = self.line()
            if line.startswith(b"!" + head):
                return line, informs
            if line.startswith(b"#" + head):
                informs.append(line)

    def ok(self, request: bytes) -> None:
        """Send a request that must succeed."""
        reply, _ = self.ask(request)
        expect(reply.split(b" ", 2)[1] == b"ok", f"{request[:80]!r} gave {reply[:200]!r}")

    def silence(self, quiet: float = 0.05) -> bytes:
        """Read what comes until nothing came for `quiet` seconds; return it."""
        self.socket.settimeout(quiet)
        got = self._rest
        self._rest = b""
        try:
            while True:
                data = self.socket.recv(1 << 20)
                if not data:
                    break
                got += data
        except TimeoutError:
            pass
        self.socket.settimeout(PATIENCE)
        return got


def connect(port: int, count: int) -> list[Peer]:
    """Open connections, and wait until each has been told of all those after it.

    Servers may let ``#client-connected`` wait for company; it must not come amid the work.
    """
    peers = [Peer(port) for _ in range(count)]
    for after, peer in enumerate(reversed(peers)):
        for _ in range(after):
            line = peer.line()
            expect(line.startswith(b"#client-connected "), f"not #client-connected: {line!r}")
    return peers


# -- requests in a sliding window ----------------------------------------------------------


class Window:
    """Requests on one connection, of which a fixed number is outstanding at any time.

    All requests, and all replies, are equally long, so that replies can be counted by
    their bytes and each reply is answered by one further request, at once.
    """

    def __init__(self, peer: Peer, outstanding: int, request: bytes, reply: bytes) -> None:
        name, _, arguments = request.partition(b" ")
        count = 4096
        tail = b" " + arguments if arguments else b""
        lines = [b"?%s[%d]%s\n" % (name, 1000 + i, tail) for i in range(count)]
        self.replies = [b"!%s[%d] %s" % (name, 1000 + i, reply) for i in range(outstanding)]
        self.socket = peer.socket
        self.outstanding = outstanding
        self.pending = 0
        self.done = 0
        self._ring = b"".join(lines * 2)
        self._count = count
        self._request_size = len(lines[0])
        self._reply_size = len(self.replies[0]) + 1
        self._position = 0
        self._rest = 0

    def check(self, peer: Peer) -> None:
        """Send the first requests and look at every byte of the replies."""
        self.socket.sendall(self._ring[: self.outstanding * self._request_size])
        got = sorted(peer.line() for _ in range(self.outstanding))
        expect(got == sorted(self.replies), f"replies: {got[:3]}")

    def send(self, count: int) -> None:
        """Send the next requests."""
        start = self._position * self._request_size
        self.socket.sendall(self._ring[start : start + count * self._request_size])
        self._position = (self._position + count) % self._count
        self.pending += count

    def receive(self) -> int:
        """Read once; return how many replies that completed."""
        size = self.socket.recv_into(_view)
        expect(size > 0, "connection closed by the server")
        count, self._rest = divmod(size + self._rest, self._reply_size)
        expect(_buffer.count(b"\n", 0, size) <= count + 1, "something else among the replies")
        self.pending -= count
        self.done += count
        return count

    def run(self, seconds: float) -> None:
        """Keep the window full for so long, then empty it."""
        end = time.perf_counter() + seconds
        self.send(self.outstanding)
        while self.pending:
            count = self.receive()
            if count and time.perf_counter() < end:
                self.send(count)
        expect(self._rest == 0, "replies of another length")


def run_windows(windows: list[Window], seconds: float) -> None:
    """Keep many windows full for so long, each for itself, then empty them."""
    end = time.perf_counter() + seconds
    poll = select.epoll()
    by_file = {window.socket.fileno(): window for window in windows}
    for window in windows:
        poll.register(window.socket, select.EPOLLIN)
        window.send(window.outstanding)
    busy = len(windows)
    while busy:
        events = poll.poll(PATIENCE)
        expect(bool(events), "no reply")
        going_on = time.perf_counter() < end
        for file, _ in events:
            window = by_file[file]
            count = window.receive()
            if count and going_on:
                window.send(count)
            elif not window.pending:
                busy -= 1
    poll.close()


def pipeline(job: Job) -> Result:
    """Requests on `connections` connections with `outstanding` each."""
    request, reply = job["request"].encode(), job["reply"].encode()
    peers = connect(job["port"], job["connections"])
    windows = [Window(peer, job["outstanding"], request, reply) for peer in peers]
    for window, peer in zip(windows, peers, strict=True):
        window.check(peer)

    def run(seconds: float) -> int:
        before = sum(window.done for window in windows)
        if len(windows) == 1:
            windows[0].run(seconds)
        else:
            run_windows(windows, seconds)
        return sum(window.done for window in windows) - before

    return measure(job, run)


# -- answers of many informs ---------------------------------------------------------------


class Answers:
    """One request with a long answer, over and over."""

    def __init__(self, peer: Peer, request: bytes, informs: int) -> None:
        name, _, arguments = request.partition(b" ")
        self.peer = peer
        self.request = b"?%s[1]%s\n" % (name, b" " + arguments if arguments else b"")
        self.end = b"!%s[1] ok " % name
        self.lines = informs + 1

    def once(self) -> None:
        """Send the request, read the whole answer, count its lines."""
        connection = self.peer.socket
        connection.sendall(self.request)
        lines = 0
        tail = b""
        while lines < self.lines:
            size = connection.recv_into(_view)
            expect(size > 0, "connection closed by the server")
            lines += _buffer.count(b"\n", 0, size)
            tail = (tail + bytes(_view[max(0, size - LONGEST_REPLY) : size]))[-LONGEST_REPLY:]
        expect(lines == self.lines, f"{lines} lines in the answer, not {self.lines}")
        expect(tail.endswith(b"\n"), f"something after the reply: {tail[-200:]!r}")
        expect(self.end in tail, f"no reply at the end: {tail[-200:]!r}")

    def run(self, seconds: float) -> int:
        """Ask for so long; return how many informs came."""
        end = time.perf_counter() + seconds
        count = 0
        while True:
            self.once()
            count += self.lines - 1
            if time.perf_counter() >= end:
                return count


def listing(job: Job) -> Result:
    """Ask for a list of all sensors (``sensor-list`` or ``sensor-value``), per inform."""
    toucher, peer = connect(job["port"], 2)
    request = job["request"].encode()
    names = sensor_names(job["sensors"])
    reply, informs = peer.ask(request)
    expect(reply == b"!%s[1] ok %d" % (request, len(names)), f"reply: {reply!r}")
    where = 1 if job["request"] == "sensor-list" else 3
    got = [line.split(b" ")[where].decode() for line in informs]
    expect(got == names, f"names of the sensors: {got[:3]}")
    answers = Answers(peer, request, len(names))
    if not job.get("fresh"):
        return measure(job, answers.run)
    cpu, units, wall = 0.0, 0, 0.0
    rounds = 0
    while wall < job["seconds"] or rounds < 4:
        toucher.ok(b"touch")
        before, start = settled_cpu(job["pid"]), time.perf_counter()
        answers.once()
        wall += time.perf_counter() - start
        if rounds:
            cpu += settled_cpu(job["pid"]) - before
            units += len(names)
        rounds += 1
    return {"cpu": cpu, "units": units, "wall": wall}


def bulk(job: Job) -> Result:
    """Set ``event`` on many sensors in one request, then ``none``, over and over, per sensor."""
    peer = Peer(job["port"])
    names = sensor_names(job["sensors"])
    listed = ",".join(names).encode()
    peer.socket.sendall(b"?sensor-sampling[1] %s event\n" % listed)
    got = [peer.line() for _ in range(len(names) + 1)]
    expect(
        got.pop() == b"!sensor-sampling[1] ok %s event" % listed,
        "the reply, or that it comes after the first values",
    )
    expect(all(line.startswith(b"#sensor-status ") for line in got), f"inform: {got[0]!r}")
    expect([line.split(b" ")[3].decode() for line in got] == names, "sensors of the first values")
    peer.ok(b"sensor-sampling %s none" % listed)
    begin = Answers(peer, b"sensor-sampling %s event" % listed, len(names))
    end = Answers(peer, b"sensor-sampling %s none" % listed, 0)

    def run(seconds: float) -> int:
        until = time.perf_counter() + seconds
        count = 0
        while True:
            begin.once()
            end.once()
            count += len(names)
            if time.perf_counter() >= until:
                return count

    return measure(job, run)


# -- sampling ------------------------------------------------------------------------------


class Audience:
    """Many clients that only listen, and one that does not; counts the lines of each."""

    def __init__(self, port: int, clients: int, sensors: int, strategy: bytes) -> None:
        self.names = sensor_names(sensors)
        self.control, *self.peers = connect(port, 1 + clients)
        request = b"sensor-sampling %s %s" % (",".join(self.names).encode(), strategy)
        for peer in self.peers:
            peer.ok(request)
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
            size = self.by_file[file].recv_into(_view)
            expect(size > 0, "connection closed by the server")
            count = _buffer.count(b"\n", 0, size)
            self.lines[file] += count
            total += count
            if seen is not None:
                seen(file, _view[:size])
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
    audience = Audience(job["port"], clients, job["sensors"], b"event")
    control = audience.control
    audience.silence()
    change = b"change %d %d %d" % (turns, updates, job["sensors"])

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


# -- connections ---------------------------------------------------------------------------


def idle(job: Job) -> Result:
    """Open many connections, some at once, and leave them: CPU and memory for each.

    A burst is smaller than the backlog of any server: what does not fit in a backlog is
    tried again by the kernel, seconds later, and says nothing about the server.
    """
    pid, count, burst = job["pid"], job["connections"], job["burst"]
    Peer(job["port"]).socket.close()
    cpu, memory = settled_cpu(pid, 0.1), resident_bytes(pid)
    start = time.perf_counter()
    poll = select.epoll()
    sockets: dict[int, socket.socket] = {}
    text: dict[int, bytes] = {}
    greeted = 0
    while greeted < count:
        if greeted == len(sockets):
            for _ in range(min(burst, count - greeted)):
                connection = socket.socket()
                connection.setblocking(False)
                connection.connect_ex(("127.0.0.1", job["port"]))
                sockets[connection.fileno()] = connection
                text[connection.fileno()] = b""
                poll.register(connection, select.EPOLLIN)
        ready = poll.poll(PATIENCE)
        expect(bool(ready), f"{len(sockets) - greeted} connections were not greeted")
        for file, _ in ready:
            before = text[file].count(b"#version-connect ")
            text[file] += sockets[file].recv(1 << 16)
            greeted += before < 3 <= text[file].count(b"#version-connect ")
    wall = time.perf_counter() - start
    cpu, memory = settled_cpu(pid, 0.1) - cpu, resident_bytes(pid) - memory
    while ready := poll.poll(0.2):
        for file, _ in ready:
            text[file] += sockets[file].recv(1 << 16)
    told = sum(data.count(b"#client-connected ") for data in text.values())
    due = count * (count - 1) // 2
    expect(told == due, f"{told} informs of new clients, not {due}")
    return {"cpu": cpu, "units": count, "wall": wall, "memory": memory / count / 1e3}


# -- running a job -------------------------------------------------------------------------


def measure(job: Job, run: Callable[[float], int]) -> Result:
    """Warm up, run for ``job["seconds"]``, and take the CPU time of the server meanwhile."""
    run(job["warm_up"])
    cpu, start = settled_cpu(job["pid"]), time.perf_counter()
    units = run(job["seconds"])
    wall = time.perf_counter() - start
    return {"cpu": settled_cpu(job["pid"]) - cpu, "units": units, "wall": wall}


JOBS = {
    "pipeline": pipeline,
    "listing": listing,
    "bulk": bulk,
    "events": events,
    "period": period,
    "idle": idle,
}


def main() -> None:
    """Do the job that standard input asks for."""
    job = json.load(sys.stdin)
    raise_file_limit()
    try:
        result: dict[str, Any] = dict(JOBS[job["do"]](job))
    except (WrongAnswerError, OSError) as error:
        result = {"error": f"{type(error).__name__}: {error}"}
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()
