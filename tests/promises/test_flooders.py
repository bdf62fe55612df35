"""B3: several who send nothing but bad lines are served in turns; complaints are rationed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections import Counter
from typing import Any

import pytest

from katcp.errors import KatcpSyntaxError
from katcp.server import AsyncDeviceServer, KATCPServer
from tests.helpers.certificates import authority
from tests.helpers.serving import Bare, serving, talking, until
from tests.helpers.tls_wire import tls_client
from tests.helpers.wire import WireClient


class Turns:
    """Notes in which turn of the loop a piece of whose input is handled."""

    def __init__(self, server: AsyncDeviceServer) -> None:
        self._loop = asyncio.get_running_loop()
        self.turn = 0
        #: (turn, address, how many bad lines) of each piece with bad lines in it.
        self.pieces: list[tuple[int, str, int]] = []
        self._over = False
        for connection in server._server.connections:
            self._listen(connection)
        self._count()

    def _count(self) -> None:
        self.turn += 1
        if not self._over:
            self._loop.call_soon(self._count)

    def _listen(self, connection: Any) -> None:
        original = connection.received

        def received(events: Any) -> None:
            bad = sum(isinstance(event, KatcpSyntaxError) for event in events)
            if bad:
                self.pieces.append((self.turn, connection.address, bad))
            original(events)

        connection.received = received

    def stop(self) -> None:
        self._over = True


@contextlib.asynccontextmanager
async def flooding(server: AsyncDeviceServer, count: int, line: bytes = b"bad\n") -> Any:
    """Have clients send bad lines all the time, and read what they are told."""
    clients = [await WireClient.connect(server.bind_address) for _ in range(count)]
    for client in clients:  # so that little is under way when it ends
        sock = client.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)

    async def flood(client: WireClient) -> None:
        while True:
            await client.raw(line * 500)

    async def read(client: WireClient) -> None:
        while await client.reader.read(2**20):
            pass

    tasks = [asyncio.ensure_future(do(c)) for c in clients for do in (flood, read)]
    try:
        yield clients
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for client in clients:
            client.writer.transport.abort()
        await asyncio.gather(*(client.close() for client in clients))


@pytest.mark.slow
async def test_b3_flooders_have_one_piece_handled_in_a_turn() -> None:
    async with serving(Bare("127.0.0.1", 0)) as server, talking(server) as other:
        async with flooding(server, 20):
            turns = Turns(server)
            # Each is found out by its first piece.
            await until(lambda: len({address for _, address, _ in turns.pieces}) == 20)
            del turns.pieces[:]
            answers = 0
            first = turns.turn
            while len(turns.pieces) < 600:
                assert await other.ask(b"?watchdog[9]") == [b"!watchdog[9] ok"]
                answers += 1
            turns.stop()
            # At most one piece in a turn of the loop, and a small one.
            in_a_turn = Counter(turn for turn, _, _ in turns.pieces)
            assert max(in_a_turn.values()) == 1
            assert max(bad for _, _, bad in turns.pieces) <= 513
            # A request is answered after a few turns, and so a few pieces, however many flood.
            assert turns.turn - first < 20 * answers
            assert len(turns.pieces) / answers < 20
            # They take turns: no one has more than its share.
            shares = Counter(address for _, address, _ in turns.pieces)
            assert len(shares) == 20
            assert max(shares.values()) < 2 * len(turns.pieces) / 20
            assert min(shares.values()) > len(turns.pieces) / 20 / 2
        await until(lambda: len(server._server.connections) == 1)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
async def test_b3_good_lines_among_bad_ones_are_answered_in_order(tls: bool) -> None:
    context = authority().server() if tls else None
    connect: Any = tls_client if tls else WireClient.connect
    async with serving(Bare("127.0.0.1", 0, max_complaints=10**9, ssl_context=context)) as server:
        clients = [await connect(server.bind_address) for _ in range(8)]

        async def talk(client: WireClient) -> None:
            lines = []
            for number in range(1, 2001):
                # Good and bad by turns, and stretches of both.
                lines += [b"?watchdog[%d]" % number] if number % 3 else [b"bad%d" % number]
            sending = asyncio.ensure_future(client.send(*lines, b"?watchdog[9999]"))
            for line in lines:
                answer = await client.line(30)
                if line.startswith(b"?"):
                    assert answer == b"!" + line[1:] + b" ok"
                else:
                    assert answer.startswith(b"#log error ")
            assert await client.line(30) == b"!watchdog[9999] ok"
            await sending

        await asyncio.gather(*(talk(client) for client in clients))
        for client in clients:
            await client.close()


async def test_b3_who_hangs_up_while_its_piece_waits_is_forgotten() -> None:
    async with serving(Bare("127.0.0.1", 0)) as server, talking(server) as other:
        for _ in range(2):
            async with flooding(server, 5):
                connections = list(server._server.connections)
                await until(lambda found=connections: any(c._kept for c in found))
            await until(lambda: len(server._server.connections) == 1)
            assert await other.ask(b"?watchdog[9]") == [b"!watchdog[9] ok"]
        assert not server._server.pump.turns._waiting


async def test_b3_a_client_that_mends_its_ways_has_its_turns_no_more() -> None:
    async with serving(Bare("127.0.0.1", 0)) as server, talking(server) as client:
        (connection,) = server._server.connections
        await client.send(b"bad")
        assert (await client.line()).startswith(b"#log error ")
        assert connection._wary
        for number in range(1, 20):
            assert await client.ask(b"?watchdog[%d]" % number) == [b"!watchdog[%d] ok" % number]
        assert not connection._wary


# -- complaints ---------------------------------------------------------------------------


async def complaints(client: WireClient, count: int) -> tuple[int, bytes]:
    """Send bad lines; return how many were complained of, and what else was said of them."""
    await client.send(*[b"bad"] * count, b"?watchdog[9]")
    lines = await client.until_reply()
    assert lines.pop() == b"!watchdog[9] ok"
    assert all(b"Bad\\_type\\_character" in line for line in lines)
    return len(lines), b"" if len(lines) == count else await client.line()


@pytest.mark.slow
@pytest.mark.parametrize("most", [None, 3])
async def test_b3_most_complaints_in_a_second_and_one_more(
    most: int | None, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("katcp.server._complaints.SPAN", 0.5)
    caplog.set_level(logging.INFO, "katcp.server")
    options = {} if most is None else {"max_complaints": most}
    most = most or 100
    assert KATCPServer(Bare("", 0), "", 0).max_complaints == 100
    async with serving(Bare("127.0.0.1", 0, **options)) as server:  # type: ignore[arg-type]
        for count in (most - 1, most, most + 1, 10 * most):
            caplog.clear()
            async with talking(server) as client, talking(server) as other:
                told, rest = await complaints(client, count)
                assert told == min(count, most)
                expected = b"Further\\_bad\\_lines\\_within\\_a\\_second:\\_%d." % (count - most)
                assert (expected in rest) is (count > most)
                # In the log, too, and nothing to anybody else.
                texts = [
                    r.getMessage() for r in caplog.records if "bad line" in r.getMessage().lower()
                ]
                assert len(texts) == min(count, most) + (count > most)
                assert await other.ask(b"?watchdog[9]") == [b"!watchdog[9] ok"]
                if count > most:  # and then it begins anew
                    assert await complaints(client, 1) == (1, b"")


async def test_b3_no_complaints_but_the_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("katcp.server._complaints.SPAN", 0.2)
    async with (
        serving(Bare("127.0.0.1", 0, max_complaints=0)) as server,
        talking(server) as client,
    ):
        told, rest = await complaints(client, 5)
        assert told == 0
        assert rest.endswith(b"second:\\_5.")


async def test_b3_who_hangs_up_is_not_told_how_many_there_were() -> None:
    async with serving(Bare("127.0.0.1", 0, max_complaints=1)) as server:
        async with talking(server) as client:
            await client.send(b"bad", b"bad", b"?watchdog[9]")
            assert len(await client.until_reply()) == 2
            (connection,) = server._server.connections
            (timer,) = [connection._complaints._timer]
            assert not timer.cancelled()
        await until(lambda: not server._server.connections)
        assert timer.cancelled()
        assert "_complaints" not in vars(connection)
