"""Lines that several clients are sent as one chunk, beside lines that each is sent by itself."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from katcp.sampling import SamplingTable
from katcp.sampling._audience import PREFIX, Audience, Audiences
from katcp.sensors import Sensor
from katcp.transport import LineConnection, Pump
from tests.helpers.sampling import Listener, sample, virtual_loop


class Wire:
    """Takes what a connection writes."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data

    def get_write_buffer_size(self) -> int:
        return 0

    def abort(self) -> None:
        pass

    close = abort

    def get_extra_info(self, key: str) -> None:
        return None


def connection_of(pump: Pump, cls: type[LineConnection] = LineConnection) -> Any:
    connection = cls(pump, 1 << 16, 1 << 20, 30.0)
    connection.transport = Wire()
    connection.closed = False
    return connection


def audience_of(*members: Any) -> Audience:
    audiences = Audiences()
    audience = None
    for member in members:
        audience = audiences.larger_by(member)[audience]
    assert audience is not None
    return audience


class Alone(LineConnection):
    """Has a way of its own to send, and so takes no chunks."""

    __slots__ = ("sent",)

    def send_later(self, line: bytes) -> None:
        """Send as always."""
        super().send_later(line)


# -- order ---------------------------------------------------------------------------------

#: Who belongs to which audience, of four clients.
AUDIENCES = [(0, 1, 2, 3), (0, 1), (0, 2), (2,), (0, 1, 2)]
clients = st.integers(0, 3)
actions = st.one_of(
    st.tuples(st.just("report"), st.integers(0, len(AUDIENCES) - 1)),
    st.tuples(st.just("report"), st.just(0)),
    st.tuples(st.sampled_from(["send", "later", "begin", "end", "flush", "input"]), clients),
    st.tuples(st.just("all"), st.just(0)),
)


@settings(max_examples=300)
@given(st.lists(actions, max_size=40), st.booleans())
def test_every_client_is_sent_its_lines_in_the_order_of_their_making(
    drawn: list[tuple[str, int]], mixed: bool
) -> None:
    with virtual_loop() as loop:
        pump = Pump(loop, 0.001)
        connections = [
            connection_of(pump, Alone if mixed and n == 1 else LineConnection) for n in range(4)
        ]
        audiences = [audience_of(*[connections[n] for n in members]) for members in AUDIENCES]
        due = [b""] * 4
        held = set()
        for number, (action, who) in enumerate(drawn):
            if action == "report":
                tail = b" %d\n" % number
                audiences[who].send_later((None, tail))
                for member in AUDIENCES[who]:
                    due[member] += PREFIX + tail
            elif action == "all":
                pump._flush_soon()
                pump._flush_later()
                for one, text in zip(connections, due, strict=True):
                    assert one in held or one.transport.data == text
            else:
                connection = connections[who]
                if action in ("end", "flush", "input"):
                    held.discard(connection)
                line = b"#%d\n" % number
                if action == "send":
                    connection.send(line)
                    due[who] += line
                elif action == "later":
                    connection.send_later(line)
                    due[who] += line
                elif action == "begin":
                    connection.begin_output()
                    held.add(connection)
                elif action == "end":
                    connection.end_output(at_once=number % 2 == 0)
                elif action == "flush":
                    connection.flush()
                    assert connection.transport.data == due[who]
                else:  # input is handled, an update among it
                    connection.get_buffer(0)
                    connection.buffer_updated(0)
                    assert connection.transport.data == due[who]
        for connection in connections:
            connection.flush()
        assert [one.transport.data for one in connections] == due


@pytest.mark.virtual_time
async def test_a_chunk_is_written_after_the_moment_that_updates_may_wait() -> None:
    pump = Pump(asyncio.get_running_loop(), 0.001)
    both = [connection_of(pump), connection_of(pump)]
    audience = audience_of(*both)
    for number in range(3):
        audience.send_later((None, b" %d\n" % number))
    await asyncio.sleep(0.0005)
    assert [one.transport.data for one in both] == [b"", b""]
    await asyncio.sleep(0.001)
    lines = b"".join(PREFIX + b" %d\n" % number for number in range(3))
    assert [one.transport.data for one in both] == [lines] * 2
    assert audience.chunk is not None
    assert not audience.chunk.open


@pytest.mark.virtual_time
async def test_a_client_that_is_gone_is_in_nobodys_way() -> None:
    pump = Pump(asyncio.get_running_loop(), 0.001)
    gone, aborted, other = (connection_of(pump) for _ in range(3))
    audience = audience_of(gone, aborted, other)
    audience.send_later((None, b" 1\n"))
    gone.connection_lost(None)
    aborted.abort("Enough.")
    audience.send_later((None, b" 2\n"))
    await asyncio.sleep(0.01)
    audience.send_later((None, b" 3\n"))
    await asyncio.sleep(0.01)
    assert gone.transport.data == aborted.transport.data == b""
    assert other.transport.data == b"".join(PREFIX + b" %d\n" % n for n in (1, 2, 3))


# -- the whole table -----------------------------------------------------------------------

steps = st.one_of(
    st.tuples(st.just("set"), st.integers(0, 2), st.sampled_from([1.0, 2.0, 3.0])),
    st.tuples(
        st.just("sample"),
        st.integers(0, 2),
        st.lists(st.integers(0, 2), min_size=1, max_size=3),
        st.sampled_from(["event", "event", "event", "auto", "none", "differential 1"]),
    ),
    st.tuples(st.just("clear"), st.integers(0, 2)),
    st.tuples(st.just("drop"), st.integers(0, 2)),
    st.tuples(st.just("wait")),
    st.tuples(st.just("reply"), st.integers(0, 2)),
)


@settings(max_examples=200)
@given(st.lists(steps, max_size=40))
def test_chunks_carry_what_lines_would(drawn: list[tuple[Any, ...]]) -> None:
    with virtual_loop() as loop:
        pump = Pump(loop, 0.001)

        async def play(clients: list[Any]) -> None:
            table = SamplingTable(loop, 5)
            sensors = [Sensor.float(f"s{n}") for n in range(3)]
            for sensor in sensors:
                sensor.set(0.0, Sensor.NOMINAL, 1.0)
            for number, (kind, *rest) in enumerate(drawn):
                if kind == "set":
                    sensors[rest[0]].set_value(rest[1], timestamp=float(number))
                elif kind == "sample":
                    sample(table, clients[rest[0]], rest[2], *[sensors[n] for n in rest[1]])
                elif kind == "clear":
                    table.clear(clients[rest[0]])
                elif kind == "drop":
                    table.drop_sensor(sensors[rest[0]])
                elif kind == "reply":
                    line = b"#sensor-status %d 1 reply nominal 0\n" % number
                    clients[rest[0]].send(line)
                else:
                    await asyncio.sleep(0.002)
            table.close()
            assert [sensor._observers for sensor in sensors] == [set()] * 3
            assert len(table._audiences._by_key) == 0
            await asyncio.sleep(0.01)

        listeners = [Listener(loop) for _ in range(3)]
        loop.run_until_complete(play(listeners))
        connections = [connection_of(pump) for _ in range(3)]
        loop.run_until_complete(play(connections))
    for listener, connection in zip(listeners, connections, strict=True):
        lines = [line for line, _ in listener.lines]
        assert connection.transport.data.splitlines() == lines


# -- audiences -----------------------------------------------------------------------------


def test_the_same_clients_are_the_same_audience() -> None:
    audiences = Audiences()
    a, b = object(), object()
    first = audiences.larger_by(a)[None]
    assert first is not None
    assert audiences.larger_by(a)[None] is first
    both = audiences.larger_by(b)[first]
    assert both is audiences.larger_by(a)[audiences.larger_by(b)[None]]
    assert audiences.smaller_by(b)[both] is first
    assert audiences.smaller_by(a)[first] is None


def test_audiences_and_clients_that_nobody_needs_are_forgotten() -> None:
    audiences = Audiences()
    connection = Alone(None, 1, 1, 1.0)  # type: ignore[arg-type]  # nothing is sent
    audience = audiences.larger_by(connection)[None]
    assert audience is not None
    assert not audience.shares
    reference = weakref.ref(audience)
    del audience
    gc.collect()
    assert reference() is None
    assert len(audiences._by_key) == 0


def test_only_connections_that_send_as_ours_do_take_chunks() -> None:
    class Whatever:
        def __getattr__(self, name: str) -> Any:
            return True

    assert LineConnection.takes_chunks
    assert not Alone.takes_chunks
    pump: Any = None
    assert audience_of(connection_of(pump)).shares
    for other in (Whatever(), connection_of(pump, Alone)):
        mixed = audience_of(connection_of(pump), other, connection_of(pump))
        assert not mixed.shares
        alone = Audiences().smaller_by(other)[mixed]
        assert alone is not None
        assert alone.shares
        assert len(alone.members) == 2
