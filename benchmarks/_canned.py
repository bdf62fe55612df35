"""A neutral KATCP server with canned answers, for measuring clients.

Plain asyncio, one write for everything that one read asked for; no KATCP library. It knows
just enough of the protocol (5.1 with M, I, B, T) for a client to connect, list, add, and
sample, and it serves the same sensors as the devices of the benchmark.
"""

from __future__ import annotations

import argparse
import asyncio
import re

from _device import description, raise_file_limit, sensor_names, wait_for_parent

REQUESTS = (
    "add",
    "help",
    "request-timeout-hint",
    "sensor-list",
    "sensor-sampling",
    "sensor-value",
    "version-list",
    "watchdog",
)
GREETING = (
    b"#version-connect katcp-protocol 5.1-MIBT\n"
    b"#version-connect katcp-library canned-1.0 canned-1.0.0\n"
    b"#version-connect katcp-device benchmark-1.0 benchmark-1.0.0\n"
)
LINE = re.compile(rb"\?([a-z-]+)(\[\d+\])?(?: (.*))?")
GROWING = 0.02
"""Seconds from ``?grow`` to the new sensor: the reply has been dealt with by then."""

STAMP = b"1767225600.250000"


class Answers:
    """Makes the answer to each line; long ones are prepared, up to the message id."""

    def __init__(self, sensors: int) -> None:
        self.names = [name.encode() for name in sensor_names(sensors)]
        self.sensors = {
            name: b"#sensor-list[] %s %s degC float\n"
            % (name, description(name.decode()).replace(" ", r"\_").encode())
            for name in self.names
        }
        self.sensor_list = b"".join(self.sensors.values()) + b"!sensor-list[] ok %d\n" % sensors
        self.status = {
            name: b"#sensor-status %s 1 %s nominal 20.5\n" % (STAMP, name) for name in self.names
        }
        self.help = b"".join(
            b"#help[] %s Do\\_what\\_%s\\_does.\n" % (name.encode(), name.encode())
            for name in REQUESTS
        ) + b"!help[] ok %d\n" % len(REQUESTS)

    def add(self) -> bytes:
        """Add a sensor, after all others; return its name."""
        number = len(self.names)
        name = b"zone.added-%06d" % number
        self.names.append(name)
        self.sensors[name] = b"#sensor-list[] %s Added\\_later. degC float\n" % name
        self.status[name] = b"#sensor-status %s 1 %s nominal 20.5\n" % (STAMP, name)
        informs = self.sensor_list[: self.sensor_list.rindex(b"!")]
        self.sensor_list = informs + self.sensors[name] + b"!sensor-list[] ok %d\n" % (number + 1)
        return name

    def answer(self, line: bytes) -> bytes:
        """Return all lines that answer one request."""
        match = LINE.fullmatch(line)
        if match is None:
            return b""
        name, mid, arguments = match[1], match[2] or b"", match[3]
        if name == b"add":
            x, y = arguments.split(b" ")
            return b"!add%s ok %d\n" % (mid, int(x) + int(y))
        text = self._long(name, arguments.split(b" ") if arguments else [])
        return text.replace(b"[]", mid)

    def _long(self, name: bytes, arguments: list[bytes]) -> bytes:
        if name == b"watchdog":
            return b"!watchdog[] ok\n"
        if name == b"grow":
            return b"!grow[] ok\n"
        if name == b"sensor-list":
            if not arguments:
                return self.sensor_list
            return self.sensors[arguments[0]] + b"!sensor-list[] ok 1\n"
        if name == b"sensor-value":
            wanted = arguments or self.names
            informs = b"".join(self.status[sensor] for sensor in wanted)
            return informs.replace(b"#sensor-status", b"#sensor-value[]") + (
                b"!sensor-value[] ok %d\n" % len(wanted)
            )
        if name == b"sensor-sampling":
            informs = b"".join(self.status[sensor] for sensor in arguments[0].split(b","))
            return informs + b"!sensor-sampling[] ok %s\n" % b" ".join(arguments)
        if name == b"help":
            return self.help
        if name == b"request-timeout-hint":
            return b"!request-timeout-hint[] ok 0\n"
        if name == b"version-list":
            informs = GREETING.replace(b"#version-connect", b"#version-list[]")
            return informs + b"!version-list[] ok 3\n"
        return b"!%s[] invalid Unknown\\_request.\n" % name


class Connection(asyncio.Protocol):
    """One client."""

    def __init__(self, answers: Answers) -> None:
        self.answers = answers
        self.rest = b""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(GREETING)

    def data_received(self, data: bytes) -> None:
        *lines, self.rest = (self.rest + data).split(b"\n")
        assert self.transport is not None
        for line in lines:
            if line.startswith(b"?grow"):
                named = line.endswith(b" named")
                asyncio.get_running_loop().call_later(GROWING, self.grow, named)
        self.transport.write(b"".join(map(self.answers.answer, lines)))

    def grow(self, named: bool) -> None:
        """Add a sensor, and announce it, by its name or without."""
        name = self.answers.add()
        what = b" sensor %s added" % name if named else b""
        assert self.transport is not None
        self.transport.write(b"#interface-changed%s\n" % what)


async def main(sensors: int) -> None:
    """Serve until the parent ends."""
    answers = Answers(sensors)
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(answers), "127.0.0.1", 0
    )
    print("ready", server.sockets[0].getsockname()[1], flush=True)
    await wait_for_parent()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--sensors", type=int, default=0)
    raise_file_limit()
    asyncio.run(main(parser.parse_args().sensors))
