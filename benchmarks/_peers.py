"""Connections of the load generator: bare sockets, lines, and what every job does with them.

Each job first checks that the answers mean what they should, then warms up, then measures; an
answer that is short, long or wrong ends the job with an error, so that no figure is ever a figure
of less work.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Sequence
from typing import Any

from _cpu import settled_cpu

Job = dict[str, Any]
Result = dict[str, float]

PATIENCE = 60.0
"""Seconds without a byte after which a server counts as broken."""

LONGEST_REPLY = 1 << 16
"""Bytes of the longest reply: a bulk ``?sensor-sampling`` echoes its list of names."""

BUFFER = bytearray(1 << 20)
VIEW = memoryview(BUFFER)


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
        flags = self.greeting[0].rpartition(b"-")[2]
        self.bulk = b"B" in flags  # takes many sensors in one ?sensor-sampling

    def line(self) -> bytes:
        """Return the next line without its end."""
        while b"\n" not in self._rest:
            data = self.socket.recv(1 << 20)
            expect(data != b"", "connection closed by the server")
            self._rest += data
        line, self._rest = self._rest.split(b"\n", 1)
        return line

    def hears(self, patience: float) -> bool:
        """Tell whether there is a line, or comes one within so many seconds."""
        if b"\n" in self._rest:
            return True
        self.socket.settimeout(patience)
        try:
            self._rest += self.socket.recv(1 << 20)
        except TimeoutError:
            return False
        finally:
            self.socket.settimeout(PATIENCE)
        return True

    def lines(self, count: int) -> list[bytes]:
        """Return the next lines without their ends."""
        while self._rest.count(b"\n") < count:
            data = self.socket.recv(1 << 20)
            expect(data != b"", "connection closed by the server")
            self._rest += data
        *lines, self._rest = self._rest.split(b"\n", count)
        return lines

    def until(self, beginning: bytes) -> bytes:
        """Read until a line that begins so; return it."""
        while True:
            start = (
                0 if self._rest.startswith(beginning) else self._rest.find(b"\n" + beginning) + 1
            )
            if start or self._rest.startswith(beginning):
                end = self._rest.find(b"\n", start)
                if end >= 0:
                    line, self._rest = self._rest[start:end], self._rest[end + 1 :]
                    return line
            else:  # all of it is of no use, but for the beginning of a line
                self._rest = self._rest[self._rest.rfind(b"\n") + 1 :]
            data = self.socket.recv(1 << 20)
            expect(data != b"", "connection closed by the server")
            self._rest += data

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

    Servers may let ``#client-connected`` wait for company; it must not come amid the work. One
    whose first client hears of nobody does not send it.
    """
    peers = [Peer(port) for _ in range(count)]
    if count > 1 and not peers[0].hears(0.5):
        return peers
    for after, peer in enumerate(reversed(peers)):
        for line in peer.lines(after):
            expect(line.startswith(b"#client-connected "), f"not #client-connected: {line!r}")
    return peers


def crowd(port: int, count: int) -> list[Peer]:
    """Open many connections that are of no further interest."""
    peers = [Peer(port) for _ in range(count)]
    if peers:
        time.sleep(0.2)  # what they are told of each other must not come amid the work
    for peer in peers:
        peer.silence(0.0001)
    return peers


def sample_all(peer: Peer, names: Sequence[str], strategy: bytes) -> None:
    """Set one strategy on all sensors, and read what comes until each is answered.

    One request for 5,000 sensors where the server takes that, else one for each, all at once.
    """
    step = 5000 if peer.bulk else 1
    parts = [",".join(names[i : i + step]).encode() for i in range(0, len(names), step)]
    for start in range(0, len(parts), 1000):
        some = parts[start : start + 1000]
        peer.socket.sendall(
            b"".join(b"?sensor-sampling[1] %s %s\n" % (part, strategy) for part in some)
        )
        for part in some:
            reply = peer.until(b"!sensor-sampling[1] ")
            expect(
                reply.startswith(b"!sensor-sampling[1] ok " + part),
                f"?sensor-sampling gave {reply[:200]!r}",
            )


def measure(job: Job, run: Callable[[float], int]) -> Result:
    """Warm up, run for ``job["seconds"]``, and take the CPU time of the server meanwhile."""
    run(job["warm_up"])
    cpu, start = settled_cpu(job["pid"]), time.perf_counter()
    units = run(job["seconds"])
    wall = time.perf_counter() - start
    return {"cpu": settled_cpu(job["pid"]) - cpu, "units": units, "wall": wall}
