"""Transports without sockets."""

from __future__ import annotations

import asyncio
from typing import Any

from katcp.fake_clients._wire import MemoryTransport, join


class End(asyncio.BufferedProtocol):
    """Writes down what happens."""

    def __init__(self, size: int = 4) -> None:
        self.buffer = bytearray(size)
        self.events: list[Any] = []
        self.transport: Any = None

    def get_buffer(self, sizehint: int) -> bytearray:
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.events.append(bytes(self.buffer[:nbytes]))

    def eof_received(self) -> bool:
        self.events.append("eof")
        return False

    def pause_writing(self) -> None:
        self.events.append("pause")

    def resume_writing(self) -> None:
        self.events.append("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.events.append(("lost", exc))


def pair() -> tuple[End, End]:
    loop = asyncio.get_running_loop()
    one, other = End(), End()
    one.transport = MemoryTransport(loop, one, {"peername": ("host", 1)})
    other.transport = MemoryTransport(loop, other, {})
    join(one.transport, other.transport)
    return one, other


async def turns(count: int = 4) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_what_one_end_writes_the_other_is_given_in_a_later_turn() -> None:
    one, other = pair()
    one.transport.write(b"abcdef")
    one.transport.write(bytearray(b"gh"))
    assert other.events == []
    assert one.transport.get_write_buffer_size() == 8
    await turns()
    assert other.events == [b"abcd", b"efgh"]
    assert one.transport.get_write_buffer_size() == 0
    other.transport.write(b"x")
    await turns()
    assert one.events == [b"x"]
    assert one.transport.get_extra_info("peername") == ("host", 1)
    assert other.transport.get_extra_info("peername", "nobody") == "nobody"


async def test_what_has_arrived_can_be_had_at_once() -> None:
    one, other = pair()
    one.transport.write(b"abc")
    other.transport.deliver()
    assert other.events == [b"abc"]
    await turns()
    assert other.events == [b"abc"]


async def test_it_is_delivered_in_order_even_if_asked_for_meanwhile() -> None:
    one, other = pair()

    def updated(nbytes: int) -> None:
        other.events.append(bytes(other.buffer[:nbytes]))
        other.transport.deliver()

    other.buffer_updated = updated  # type: ignore[method-assign]
    one.transport.write(b"abcdefgh")
    await turns()
    assert other.events == [b"abcd", b"efgh"]


async def test_a_reader_that_pauses_is_given_nothing_and_its_writer_is_told() -> None:
    one, other = pair()
    one.transport.set_write_buffer_limits(high=5)
    other.transport.pause_reading()
    other.transport.resume_reading()
    other.transport.pause_reading()
    one.transport.write(b"abcd")
    assert one.events == []
    one.transport.write(b"ef")
    one.transport.write(b"gh")
    await turns()
    assert other.events == []
    assert one.events == ["pause"]
    other.transport.resume_reading()
    await turns()
    assert other.events == [b"abcd", b"efgh"]
    assert one.events == ["pause", "resume"]


async def test_a_pause_holds_in_the_middle_of_what_has_arrived() -> None:
    one, other = pair()

    def updated(nbytes: int) -> None:
        other.events.append(bytes(other.buffer[:nbytes]))
        other.transport.pause_reading()

    other.buffer_updated = updated  # type: ignore[method-assign]
    one.transport.write(b"abcdefgh")
    one.transport.close()
    await turns()
    assert other.events == [b"abcd"]
    other.transport.resume_reading()
    await turns()
    assert other.events == [b"abcd", b"efgh"]
    other.transport.resume_reading()
    await turns()
    assert other.events == [b"abcd", b"efgh", "eof", ("lost", None)]


async def test_closing_delivers_what_was_written_and_ends_both() -> None:
    one, other = pair()
    one.transport.write(b"abc")
    one.transport.close()
    one.transport.close()
    one.transport.write(b"too late")
    assert one.transport.is_closing()
    await turns()
    assert one.events == [("lost", None)]
    assert other.events == [b"abc", "eof", ("lost", None)]
    assert other.transport.is_closing()


async def test_aborting_loses_what_is_on_the_way() -> None:
    one, other = pair()
    one.transport.write(b"abc")
    one.transport.abort()
    await turns()
    assert other.events == ["eof", ("lost", None)]
    assert one.events == [("lost", None)]


async def test_the_end_can_wait_for_something() -> None:
    loop = asyncio.get_running_loop()
    one, other = End(), End()
    over = asyncio.Event()
    one.transport = MemoryTransport(loop, one, {}, over.wait)
    other.transport = MemoryTransport(loop, other, {})
    join(one.transport, other.transport)
    one.transport.close()
    await turns()
    assert one.events == []
    assert other.events == ["eof", ("lost", None)]
    over.set()
    await turns()
    assert one.events == [("lost", None)]
