"""Load: requests in a sliding window, and requests with long answers."""

from __future__ import annotations

import json
import select
import time
from collections.abc import Sequence

from _cpu import settled_cpu
from _device import sensor_names
from _peers import (
    BUFFER,
    LONGEST_REPLY,
    PATIENCE,
    VIEW,
    Job,
    Peer,
    Result,
    connect,
    crowd,
    expect,
    measure,
    sample_all,
)

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
        size = self.socket.recv_into(VIEW)
        expect(size > 0, "connection closed by the server")
        count, self._rest = divmod(size + self._rest, self._reply_size)
        expect(BUFFER.count(b"\n", 0, size) <= count + 1, "something else among the replies")
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
    """Requests on `connections` connections with `outstanding` each, beside `idle` others."""
    request, reply = job["request"].encode(), job["reply"].encode()
    others = crowd(job["port"], job.get("idle", 0))
    peers = connect(job["port"], job["connections"])
    for other in others:
        other.silence(0.0001)
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
    """Requests of one name, sent together, with many informs, over and over."""

    def __init__(self, peer: Peer, requests: Sequence[bytes], informs: int) -> None:
        texts = []
        for request in requests:
            name, _, arguments = request.partition(b" ")
            texts.append(b"?%s[1]%s\n" % (name, b" " + arguments if arguments else b""))
        self.peer = peer
        self.request = b"".join(texts)
        self.end = b"!%s[1] ok " % name
        self.lines = informs + len(requests)

    def once(self) -> None:
        """Send the request, read the whole answer, count its lines."""
        connection = self.peer.socket
        connection.sendall(self.request)
        lines = 0
        tail = b""
        while lines < self.lines:
            size = connection.recv_into(VIEW)
            expect(size > 0, "connection closed by the server")
            lines += BUFFER.count(b"\n", 0, size)
            tail = (tail + bytes(VIEW[max(0, size - LONGEST_REPLY) : size]))[-LONGEST_REPLY:]
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
    answers = Answers(peer, [request], len(names))
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
    """Set ``event`` on many sensors in one request, then ``none``, over and over, per sensor.

    Where a server takes one sensor a request, all requests are sent at once.
    """
    peer = Peer(job["port"])
    names = sensor_names(job["sensors"])
    listed = ",".join(names).encode()
    if peer.bulk:
        peer.socket.sendall(b"?sensor-sampling[1] %s event\n" % listed)
        got = [peer.line() for _ in range(len(names) + 1)]
        expect(
            got.pop() == b"!sensor-sampling[1] ok %s event" % listed,
            "the reply, or that it comes after the first values",
        )
        expect(all(line.startswith(b"#sensor-status ") for line in got), f"inform: {got[0]!r}")
        expect([line.split(b" ")[3].decode() for line in got] == names, "sensors of the values")
    else:
        sample_all(peer, names, b"event")
    sample_all(peer, names, b"none")
    lists = [listed] if peer.bulk else [name.encode() for name in names]
    begin = Answers(peer, [b"sensor-sampling %s event" % each for each in lists], len(names))
    end = Answers(peer, [b"sensor-sampling %s none" % each for each in lists], 0)

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


# -- orders --------------------------------------------------------------------------------


def sections(job: Job) -> Result:
    """Submit a section of writes, read all that is told of it, over and over, per order."""
    peer = Peer(job["port"])
    count = job["orders"]
    orders = [{"type": "write", "path": f"point-{i}", "value": i} for i in range(count)]
    text = json.dumps(orders, separators=(",", ":")).encode()
    request = b"?section-execute[1] 0 %s\n" % text

    peer.socket.sendall(request)
    got = [peer.line() for _ in range(count + 3)]
    expect(got[0].startswith(b"!section-execute[1] ok "), f"the reply: {got[0][:200]!r}")
    name = got[0].split(b" ")[2]
    expect(got[1] == b"#section-state %s running" % name, f"the second line: {got[1]!r}")
    told = sorted(got[2:-1], key=lambda line: int(line.split(b" ")[2]))
    expect(
        told == [b"#order-state %s %d ok 1 \\@" % (name, i) for i in range(count)],
        f"orders: {told[:3]}",
    )
    expect(got[-1] == b"#section-state %s done" % name, f"the last line: {got[-1]!r}")

    def run(seconds: float) -> int:
        until = time.perf_counter() + seconds
        done = 0
        while True:
            peer.socket.sendall(request)
            *_, last = peer.lines(count + 3)
            expect(last.endswith(b" done"), f"the last line: {last!r}")
            done += count
            if time.perf_counter() >= until:
                return done

    return measure(job, run)
