"""One end of a connection: lines in, lines out, both bounded."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

from katcp.errors import KatcpSyntaxError
from katcp.protocol import WireMessage, to_message
from katcp.transport import LineConnection, Pump, format_address, keep_alive
from katcp.transport._tcp import HIGH_WATER, OVERRUN_FACTOR, queued_bytes
from tests.helpers.serving import until


class Recorder(LineConnection):
    """Takes note of what happens to it."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.events: list[Any] = []
        self.greeting: bytes | None = None
        self.answer: bytes | None = None

    def opened(self) -> None:
        self.events.append("opened")
        if self.greeting is not None:
            self.send(self.greeting)

    def received(self, events: list[WireMessage | KatcpSyntaxError]) -> None:
        for event in events:
            known = isinstance(event, KatcpSyntaxError)
            self.events.append(type(event).__name__ if known else bytes(to_message(event)))
            if self.answer is not None:
                self.send(self.answer)

    def lost(self, reason: str) -> None:
        self.events.append(("lost", reason))

    def writable(self) -> None:
        self.events.append("writable")


@contextlib.asynccontextmanager
async def pair(
    max_line: int = 1000,
    max_backlog: int = 1_000_000,
    stall_timeout: float = 30,
    coalesce: float = 0,
    **attributes: Any,
) -> AsyncIterator[tuple[Recorder, socket.socket]]:
    """Make a connection and the plain socket at its other end."""
    loop = asyncio.get_running_loop()
    pump = Pump(loop, coalesce)
    connection = Recorder(pump, max_line, max_backlog, stall_timeout)
    for name, value in attributes.items():
        setattr(connection, name, value)
    listener = socket.create_server(("127.0.0.1", 0))
    peer = socket.socket()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    peer.setblocking(False)
    await loop.sock_connect(peer, listener.getsockname())
    accepted, _ = listener.accept()
    listener.close()
    await loop.create_connection(lambda: connection, sock=accepted)
    try:
        yield connection, peer
    finally:
        peer.close()
        if connection.transport is not None:
            connection.transport.abort()
        await until(lambda: isinstance(connection.events[-1], tuple))


async def read(peer: socket.socket, count: int) -> bytes:
    """Read exactly so many bytes."""
    data = b""
    while len(data) < count:
        piece = await asyncio.wait_for(
            asyncio.get_running_loop().sock_recv(peer, count - len(data)), 10
        )
        if not piece:
            break
        data += piece
    return data


def have(connection: Recorder, *events: Any) -> Any:
    return lambda: connection.events == ["opened", *events]


async def test_messages_in_and_lines_out() -> None:
    async with pair() as (connection, peer):
        assert connection.peer == "{}:{}".format(*peer.getsockname())
        peer.send(b"?a x\n!b[1] ok\n#c \\_\n")
        await until(have(connection, b"?a x", b"!b[1] ok", b"#c \\_"))
        connection.send(b"!a ok\n")
        connection.send_later(b"#d\n")
        connection.send(b"#e\n")
        assert await read(peer, 12) == b"!a ok\n#d\n#e\n"


async def test_the_greeting_is_the_first_thing_written() -> None:
    async with pair(greeting=b"#hello\n") as (_, peer):
        assert await read(peer, 7) == b"#hello\n"


async def test_what_answers_input_is_written_with_it() -> None:
    async with pair(answer=b"!x ok\n") as (connection, peer):
        writes: list[bytes] = []
        write = connection.transport.write
        connection.transport.write = lambda data: (writes.append(bytes(data)), write(data))
        peer.send(b"?x\n" * 100)
        assert await read(peer, 600) == b"!x ok\n" * 100
        assert len(writes) == 1, "one write for all, however many they are"


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n", b"\n\n\r\n \t\n"])
async def test_a_line_in_pieces_is_one_line(end: bytes) -> None:
    async with pair() as (connection, peer):
        for byte in b"?slow a\\_b" + end + b"?next" + end:
            peer.send(bytes([byte]))
            await asyncio.sleep(0)
        await until(have(connection, b"?slow a\\_b", b"?next"))


async def test_what_is_not_ended_when_the_peer_closes_is_dropped() -> None:
    async with pair() as (connection, peer):
        peer.send(b"?a\n?b")
        peer.shutdown(socket.SHUT_WR)
        await until(have(connection, b"?a", ("lost", "Socket EOF")))
        assert connection.closed
        connection.send(b"#too-late\n")
        connection.send_later(b"#too-late\n")
        connection.close()
        connection.abort("again")
        connection.pause_reading()
        connection.resume_reading()
        await asyncio.sleep(0)
        assert connection.events[-1] == ("lost", "Socket EOF")


async def test_a_line_at_the_limit_is_taken_and_one_over_it_is_not() -> None:
    async with pair(max_line=20) as (connection, peer):
        peer.send(b"?fits " + b"x" * 14 + b"\n?over " + b"x" * 15 + b"\n?next\n")
        await until(have(connection, b"?fits " + b"x" * 14, "LineTooLong", b"?next"))


async def test_a_line_without_an_end_ends_the_connection() -> None:
    async with pair(max_line=1000) as (connection, peer):
        peer.send(b"?x " + b"y" * (OVERRUN_FACTOR * 1000 - 3))
        await until(have(connection, "LineTooLong"))
        await asyncio.sleep(0.01)
        assert not connection.closed
        peer.send(b"z")
        await until(have(connection, "LineTooLong", ("lost", "Line too long")))


async def test_reading_can_be_paused() -> None:
    async with pair() as (connection, peer):
        connection.pause_reading()
        peer.send(b"?a\n")
        await asyncio.sleep(0.02)
        assert connection.events == ["opened"]
        connection.resume_reading()
        await until(have(connection, b"?a"))


async def test_who_has_sent_bad_lines_waits_for_its_turn() -> None:
    async with pair() as (connection, peer):
        peer.send(b"bad\n")
        await until(have(connection, "KatcpSyntaxError"))
        turns = connection.pump.turns
        await asyncio.sleep(0)
        turns._loop = FrozenLoop()  # type: ignore[assignment]  # the turn does not end
        assert turns.claim()
        connection.buffer_updated(read_into(connection, b"?a\n"))
        peer.send(b"?b\n")
        await asyncio.sleep(0.02)
        assert connection.events == ["opened", "KatcpSyntaxError"]
        # Its owner wants nothing of it either; only when both agree, it goes on.
        connection.pause_reading()
        turns._next()
        assert connection.events[2:] == [b"?a"]
        await asyncio.sleep(0.02)
        assert connection.events[2:] == [b"?a"]
        connection.resume_reading()
        await until(lambda: turns._waiting)
        turns._next()
        assert connection.events[2:] == [b"?a", b"?b"]


async def test_what_waits_for_its_turn_is_taken_when_the_peer_closes() -> None:
    async with pair() as (connection, peer):
        peer.send(b"bad\n")
        await until(have(connection, "KatcpSyntaxError"))
        assert connection.pump.turns.claim()
        for piece in (b"?a\n?", b"b\n"):  # a second comes only from what does not pause at once
            connection.buffer_updated(read_into(connection, piece))
        assert connection.events == ["opened", "KatcpSyntaxError"]
        connection.eof_received()
        assert connection.events[2:] == [b"?a", b"?b"]
        for _ in range(3):  # its turn comes, and there is nothing left
            await asyncio.sleep(0)
        peer.send(b"?c\n")
        await until(have(connection, "KatcpSyntaxError", b"?a", b"?b", b"?c"))


class FrozenLoop:
    """Takes callbacks, and does not call them."""

    def call_soon(self, callback: Any) -> None:
        pass


def read_into(connection: LineConnection, data: bytes) -> int:
    """Put data where the loop would have read it into."""
    connection.get_buffer(-1)[: len(data)] = data
    return len(data)


async def test_close_writes_what_waits() -> None:
    async with pair() as (connection, peer):
        connection.send(b"#last\n")
        connection.close()
        connection.close()
        assert await read(peer, 100) == b"#last\n"
        await until(have(connection, ("lost", "Socket EOF")))


async def test_abort_does_not() -> None:
    async with pair() as (connection, peer):
        connection.send(b"#last\n")
        connection.abort("Out.")
        await until(have(connection, ("lost", "Out.")))
        assert await read(peer, 100) == b""


async def test_an_error_of_the_connection_is_told() -> None:
    async with pair() as (connection, peer):
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        peer.close()
        await until(lambda: len(connection.events) == 2)
        _, reason = connection.events[1]
        assert "reset" in reason.lower()


async def test_a_peer_that_is_slow_is_noticed_and_may_catch_up() -> None:
    async with pair(max_backlog=10_000_000) as (connection, peer):
        size = 4_000_000
        connection.send(b"#" + b"x" * (size - 2) + b"\n")
        connection.flush()
        assert connection.write_blocked
        assert connection.unsent > HIGH_WATER
        assert len(await read(peer, size)) == size
        await until(lambda: not connection.write_blocked)
        assert connection.events == ["opened", "writable"]
        assert connection.unsent == 0


async def test_a_peer_that_is_too_slow_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    async with pair(max_backlog=100_000) as (connection, _):
        for _ in range(100):
            connection.send(b"#" + b"x" * 100_000 + b"\n")
            connection.flush()
        assert connection.closed
        await until(lambda: len(connection.events) == 2)
        assert connection.events[1] == (
            "lost",
            "Client too slow: more than 100000 bytes wait to be sent",
        )
    assert [r.levelno for r in caplog.records] == [logging.WARNING]


async def test_a_peer_that_takes_nothing_is_dropped_also_while_closing() -> None:
    for close in (False, True):
        async with pair(max_backlog=10_000_000, stall_timeout=0.05) as (connection, _):
            connection.send(b"#" + b"x" * 5_000_000 + b"\n")
            connection.flush()
            if close:
                connection.close()
            await until(lambda connection=connection: len(connection.events) > 1)
            assert connection.events == [
                "opened",
                ("lost", "Client too slow: took nothing for 0.05 s"),
            ]


async def test_lines_that_may_wait_do_and_take_nothing_over() -> None:
    async with pair(coalesce=3600) as (connection, peer):
        connection.send_later(b"#1\n")
        connection.send_later(b"#2\n")
        await asyncio.sleep(0.01)
        with pytest.raises(BlockingIOError):
            peer.recv(100)
        connection.send(b"#3\n")
        assert await read(peer, 9) == b"#1\n#2\n#3\n"


async def test_output_can_be_gathered() -> None:
    async with pair(coalesce=3600) as (connection, peer):
        connection.begin_output()
        connection.send(b"#1\n")
        connection.end_output(at_once=False)
        await asyncio.sleep(0.01)
        with pytest.raises(BlockingIOError):
            peer.recv(100)
        connection.begin_output()
        connection.send(b"#2\n")
        connection.end_output(at_once=True)
        assert await read(peer, 6) == b"#1\n#2\n"
        connection.send(b"#3\n")
        assert await read(peer, 3) == b"#3\n"


@pytest.mark.skipif(sys.platform != "linux", reason="asks the system for what it holds")
async def test_what_the_system_holds_is_counted() -> None:
    async with pair(max_backlog=10_000_000) as (connection, peer):
        sock = connection.transport.get_extra_info("socket")
        assert queued_bytes(sock) == 0
        connection.send(b"#" + b"x" * 3_000_000 + b"\n")
        connection.flush()
        held = queued_bytes(sock)
        assert held > 0
        await read(peer, 3_000_000)
        await until(lambda: queued_bytes(sock) == 0)
    assert queued_bytes(sock) == 0, "gone, and no error"
    assert queued_bytes(None) == 0


async def test_a_vanished_peer_is_found_out_by_the_system() -> None:
    async with pair() as (connection, _):
        sock = connection.transport.get_extra_info("socket")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    # Of other sockets nothing is asked that they do not have.
    one, other = socket.socketpair()
    with one, other:
        keep_alive(one)
        assert one.fileno() >= 0


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (("10.1.2.3", 7147), "10.1.2.3:7147"),
        (("::1", 80, 0, 0), "[::1]:80"),
        (("fe80::1%eth0", 80, 0, 2), "[fe80::1%eth0]:80"),
        ("/run/socket", "/run/socket"),
        (None, "unknown"),
        ("", "unknown"),
    ],
)
def test_format_address(name: Any, text: str) -> None:
    assert format_address(name) == text


async def test_a_connection_that_never_was_has_nothing_to_send() -> None:
    connection = LineConnection(Pump(asyncio.get_running_loop()), 10, 10, 1)
    assert connection.unsent == 0
    assert connection.closed
    connection.close()
    connection.abort("nothing there")
    connection.opened()
    connection.received([])
    connection.writable()
    connection.lost("never there")
    assert connection.peer == "unknown"
