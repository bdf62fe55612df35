"""The quick ways from a line to its reply, beside the plain one: the same bytes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from katcp.errors import FailReply
from katcp.protocol import Message, StreamParser, to_message
from tests.helpers.serving import Bare, serving, talking, until

RESULTS: dict[str, Any] = {
    "int": 7,
    "bool": True,
    "float": -0.5,
    "nan": float("nan"),
    "huge": 10**5000,
    "text": "a b\\\n",
    "surrogate": "\ud800",
    "empty": "",
    "status": "ok",
    "bytes": b"\0 x",
    "nothing": None,
    "tuple": ("ok", 1, "a b"),
    "failure": ("fail", "why not"),
    "list": ["ok", b""],
    "values": (1, 2.5),
    "message": Message.reply("untyped", "ok", "by hand"),
    "wrong": Message.reply("other", "ok"),
    "inform": Message.inform("untyped", "ok"),
    "returned": FailReply("returned"),
}


class Device(Bare):
    def request_untyped(self, req: Any, msg: Message) -> Any:
        """Return what is asked for."""
        return RESULTS.get(msg.arguments[0].decode()) if msg.arguments else req.make_reply("ok")

    def request_echo(self, req: Any, msg: Message) -> Any:
        """Return the arguments."""
        return req.make_reply("ok", *msg.arguments)

    def request_informs(self, req: Any, msg: Message) -> Any:
        """Send each argument."""
        for argument in msg.arguments:
            req.inform(argument)
        req.reply("ok", len(msg.arguments))

    def request_int(self, req: Any, which: str) -> int:
        """Return an integer, or so they say."""
        return RESULTS.get(which)  # type: ignore[return-value]  # that is the point

    def request_float(self, req: Any, which: str) -> float:
        """Return a float, or so they say."""
        return RESULTS.get(which)  # type: ignore[return-value]

    def request_bool(self, req: Any, which: str) -> bool:
        """Return a truth value, or so they say."""
        return RESULTS.get(which)  # type: ignore[return-value]

    def request_text(self, req: Any, which: str) -> str:
        """Return text, or so they say."""
        return RESULTS.get(which)  # type: ignore[return-value]

    def request_none(self, req: Any, which: str = "nothing") -> None:
        """Return nothing, or so they say."""
        return RESULTS.get(which)

    def request_any(self, req: Any, which: str):  # type: ignore[no-untyped-def]
        """Return anything."""
        return RESULTS.get(which)

    def request_add(self, req: Any, x: int, y: int = 4) -> int:
        """Add."""
        return x + y

    def request_divide(self, req: Any, x: float, y: float) -> float:
        """Fail, sometimes."""
        return x / y

    async def request_later(self, req: Any, x: int) -> int:
        """Be a coroutine that never waits."""
        return x

    def request_replies(self, req: Any, x: int) -> None:
        """Reply by itself."""
        req.reply("ok", x)

    def request_replies_twice(self, req: Any, x: int) -> int:
        """Reply by itself, and return something."""
        req.reply("ok", x)
        return x


class Plain:
    """A connection of which nothing is known, so that requests of it go the plain way."""

    def __init__(self) -> None:
        self.output = b""

    def reply(self, msg: Message, orig_req: Message) -> None:
        assert msg.mid == orig_req.mid
        self.output += bytes(msg) + b"\n"

    def inform(self, msg: Message) -> None:
        self.output += bytes(msg) + b"\n"


class Transport:
    """Where a connection writes."""

    def __init__(self) -> None:
        self.output = b""

    def write(self, data: bytes) -> None:
        self.output += data

    def set_write_buffer_limits(self, **limits: int) -> None:
        pass

    def get_extra_info(self, name: str) -> None:
        pass


names = st.sampled_from(
    [name[8:].replace("_", "-") for name in vars(Device) if name.startswith("request_")]
    + ["watchdog", "nope", "help"]
)
mids = st.one_of(
    st.none(),
    st.integers(1, 2**31 - 1).map(lambda mid: b"%d" % mid),
    st.sampled_from([b"0", b"007", b"2147483648", b"99999999999999999999"]),
)
arguments = st.lists(
    st.one_of(
        st.sampled_from(sorted(RESULTS)).map(str.encode),
        st.integers(-5, 5).map(lambda number: b"%d" % number),
        st.binary(max_size=5),
    ),
    max_size=3,
)
requests = st.builds(
    lambda name, mid, given: Message(Message.REQUEST, name, given, mid), names, mids, arguments
)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


async def both_ways(messages: list[Message]) -> tuple[bytes, bytes]:
    """Return the output of the quick way and that of the plain one."""
    async with serving(Device("127.0.0.1", 0, tb_limit=0)) as server:
        transport = Transport()
        connection = server._server.make_connection()
        connection.connection_made(transport)
        await asyncio.sleep(0)
        transport.output = b""
        data = b"".join([bytes(message) + b"\n" for message in messages])
        # From a callback of the loop, as bytes come; the plain way from a task.
        done = asyncio.get_running_loop().create_future()

        def receive() -> None:
            connection.get_buffer(-1)[: len(data)] = data
            connection.buffer_updated(len(data))
            done.set_result(None)

        asyncio.get_running_loop().call_soon(receive)
        await done
        await until(lambda: not (connection._waiting or connection._busy))
        connection.flush()
        plain = Plain()
        for message in map(to_message, StreamParser().feed(data)):
            pending = server.handle_request(plain, message)
            await pending
        connection.connection_lost(None)
        return transport.output, plain.output


@settings(deadline=None, max_examples=60)
@given(st.lists(requests, min_size=1, max_size=12))
def test_the_same_bytes_come_out(messages: list[Message]) -> None:
    with quiet():
        quick, plain = asyncio.run(both_ways(messages))
    assert quick == plain


@pytest.mark.parametrize("which", sorted(RESULTS))
@pytest.mark.parametrize("name", ["untyped", "int", "float", "bool", "text", "none", "any"])
def test_every_result_of_every_kind_of_handler(name: str, which: str) -> None:
    message = Message.request(name, which, mid=5)
    with quiet():
        quick, plain = asyncio.run(both_ways([message, message]))
    assert quick == plain
    assert quick.count(b"\n") == 2


async def test_a_handler_replaced_while_the_server_runs_is_called() -> None:
    def other(server: Any, req: Any, msg: Message) -> Any:
        return req.make_reply("fail", "replaced")

    class Replaced(Bare):
        pass

    async with serving(Replaced("127.0.0.1", 0)) as server, talking(server) as client:
        assert await client.ask(b"?watchdog[1]") == [b"!watchdog[1] ok"]
        server._request_handlers = {**server._request_handlers, "watchdog": other}
        assert await client.ask(b"?watchdog[2]") == [b"!watchdog[2] fail replaced"]
