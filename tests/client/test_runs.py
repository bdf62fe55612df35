from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from katcp.client import AsyncClient, Message, _runs, argument_in, arguments_in
from katcp.client._runs import Run, RunParser, one_by_one, unescaped
from katcp.errors import KatcpSyntaxError
from katcp.protocol import INFORM, StreamParser, escape, unescape
from tests.client.test_asynchronous import ready
from tests.client.test_device import connected
from tests.helpers.scripted import V50, Device, Session, until

LIST, STATUS = b"#sensor-list[5] ", b"#sensor-status "


@pytest.fixture(autouse=True)
def look_at_short_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_runs, "_SHORT", 0)


def told(events: list[Any]) -> list[Any]:
    """Return events as what can be compared."""
    return [
        (type(event), str(event))
        if isinstance(event, KatcpSyntaxError)
        else (event.mtype is INFORM, event.name, event.mid, event.arguments)
        for event in one_by_one(events)
    ]


def parser(max_line: int = 1000) -> RunParser:
    result = RunParser(max_line)
    result.take_runs(b"sensor-list", 5)
    result.take_runs(b"sensor-status")
    return result


# -- the parser --------------------------------------------------------------------------

arguments = st.binary(max_size=6).map(escape) | st.sampled_from(
    [b"a.b", b"1", b"nominal", b"\\@", b"a\\_b", b"\\\\", b"\\\\_", b"\\q", b"\\", b"\xff", b"\x0b"]
)
gaps = st.sampled_from([b" "] * 20 + [b"  ", b"\t", b" \t"])
tails = st.lists(st.tuples(arguments, gaps), min_size=1, max_size=6).map(
    lambda pairs: b"".join(argument + gap for argument, gap in pairs).rstrip(b" \t")
)
beginnings = st.sampled_from(
    [LIST, STATUS] * 4 + [b"#sensor-list[6] ", b"!sensor-list[5] ", b"", b"#"]
)
ends = st.sampled_from([b"\n"] * 20 + [b"\r\n", b"\r", b" \n", b"\n\n", b"\0\n", b"\x1b\n"])
lines = st.tuples(beginnings, tails, ends).map(b"".join)
#: Mostly runs, as nothing else would find one by chance.
streams = st.lists(
    st.builds(
        lambda beginning, tails: b"".join(beginning + tail + b"\n" for tail in tails),
        st.sampled_from([LIST, STATUS]),
        st.lists(tails, min_size=1, max_size=8),
    )
    | st.lists(lines, max_size=3).map(b"".join),
    max_size=6,
).map(b"".join)


def cut(data: bytes, places: list[int]) -> Iterator[bytes]:
    begin = 0
    for end in [*sorted({place % (len(data) + 1) for place in places}), len(data)]:
        if end > begin:
            yield data[begin:end]
            begin = end


@given(streams, st.lists(st.integers(0, 10_000), max_size=5), st.sampled_from([1000, 40]))
@example(LIST + b"a b\n" + LIST + b"a\\_b \\@\n" + STATUS + b"1\n!sensor-list[5] ok\n", [], 1000)
@example(STATUS * 3 + b"\n" + STATUS + b"\n" + STATUS + b" \n", [20], 1000)
def test_runs_are_what_the_parser_yields_in_other_words(
    data: bytes, places: list[int], max_line: int
) -> None:
    plain, quick = StreamParser(max_line), parser(max_line)
    one: list[Any] = []
    other: list[Any] = []
    for chunk in cut(data, places):
        one += plain.feed(chunk)
        other += quick.feed(chunk)
    assert told(one) == told(other)
    assert plain.overrun == quick.overrun
    one += plain.feed(b"x\n!end\n")
    other += quick.feed(b"x\n!end\n")
    assert told(one) == told(other)


def test_a_list_comes_as_runs_however_it_is_cut() -> None:
    expected = [b"s.%d Some\\_text V float" % i for i in range(200)]
    data = b"".join(LIST + tail + b"\n" for tail in expected) + b"!sensor-list[5] ok 200\n"
    quick = parser(10_000)
    events = [event for i in range(0, len(data), 1000) for event in quick.feed(data[i : i + 1000])]
    assert {type(event) for event in events[:-1]} == {Run}
    assert [tail for event in events[:-1] for tail in event.tails] == expected
    assert {(event.name, event.mid) for event in events} == {(b"sensor-list", 5)}
    assert events[-1].arguments == [b"ok", b"200"]


def test_what_was_not_asked_for_goes_through_the_parser() -> None:
    quick = parser()
    del quick.beginnings[LIST]
    assert not any(isinstance(event, Run) for event in quick.feed((LIST + b"a\n") * 100))
    assert [type(event) for event in quick.feed((STATUS + b"a\n") * 9)] == [Run]


def test_replies_between_runs() -> None:
    run = (STATUS + b"1 1 a nominal 2\n") * 5
    events = parser().feed(run + b"!ask[1] ok\n" + run + b"!ask[2] ok\n!ask[3] ok\n" + run)
    assert [event.name for event in events] == [
        *(b"sensor-status", b"ask") * 2,
        *(b"ask", b"sensor-status"),
    ]
    assert [len(event.tails) for event in events if isinstance(event, Run)] == [5, 5, 5]


@given(st.lists(st.binary(max_size=8), min_size=1, max_size=6))
def test_arguments_in_a_tail(values: list[bytes]) -> None:
    tail = b" ".join(map(escape, values))
    assert arguments_in(tail) == tuple(values)
    assert [argument_in(tail, index) for index in range(len(values))] == values
    for value in values:
        assert unescaped(escape(value)) == unescape(escape(value)) == value


# -- the client --------------------------------------------------------------------------

COUNT = 300


def numbers(session: Session, message: Message) -> list[bytes]:
    return [b"# %d A\\_number." % i for i in range(COUNT)] + [b"! ok %d" % COUNT]


async def test_raw_requests_leave_informs_as_they_came() -> None:
    async with Device(greeting=V50) as device, connected(device, AsyncClient) as client:
        device.answers["numbers"] = numbers
        await ready(client)
        reply, raw = await client.raw_request(Message.request("numbers"))
        assert reply == (b"ok", b"%d" % COUNT)
        assert raw == [b"%d A\\_number." % i for i in range(COUNT)]
        same, informs = await client.wire_request(Message.request("numbers"))
        assert (same, informs) == (reply, [arguments_in(inform) for inform in raw])
        _, messages = await client.future_request(Message.request("numbers"))
        assert [tuple(message.arguments) for message in messages] == informs
        assert client._link is not None
        assert not client._link.parser.beginnings


async def test_whoever_wants_messages_gets_them_from_raw_requests_too() -> None:
    class Listener(AsyncClient):
        """Overrides what a message of a request goes through."""

        def handle_inform(self, msg: Message) -> Any:
            heard.append(msg)
            return super().handle_inform(msg)

    heard: list[Any] = []
    async with Device(greeting=V50) as device, connected(device, Listener) as client:
        device.answers["numbers"] = numbers
        await ready(client)
        heard.clear()
        _, informs = await client.raw_request(Message.request("numbers"))
        assert informs == [(b"%d" % i, b"A number.") for i in range(COUNT)]
        assert [tuple(msg.arguments) for msg in heard] == informs
    async with Device(greeting=V50) as device, connected(device, AsyncClient) as client:
        device.answers["numbers"] = numbers
        await ready(client)
        hooked: list[Any] = []
        client.hook_wire_inform("numbers", hooked.append)
        _, informs = await client.raw_request(Message.request("numbers"))
        assert [tuple(arguments) for arguments in hooked] == informs


class Newspaper(AsyncClient):
    """Takes a while for each message."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.read: list[bytes] = []

    async def inform_news(self, msg: Message) -> None:
        """Read."""
        await asyncio.sleep(0)
        self.read += msg.arguments


async def test_hooks_of_runs() -> None:
    async with Device(greeting=V50) as device, connected(device, AsyncClient) as client:
        await ready(client)
        single: list[bytes] = []
        many: list[list[bytes]] = []

        def hook(arguments: list[bytes]) -> None:
            single.extend(arguments)

        def run_hook(tails: list[bytes]) -> None:
            many.append(tails)
            if len(many) == 1:
                raise ValueError("the first time")

        client.hook_wire_inform("news", hook, run_hook)
        client.hook_wire_inform("news", hook, run_hook)
        expected = [b"%d" % i for i in range(COUNT)]
        device.say(*(b"#news %d" % i for i in range(COUNT)))
        await until(lambda: len(single) + sum(map(len, many)) == COUNT)
        assert many
        assert [*single, *(tail for tails in many for tail in tails)] == expected
        # Somebody else wants them, too: one by one.
        client.hook_wire_inform("news", lambda arguments: None)
        many.clear()
        single.clear()
        device.say(*(b"#news %d" % i for i in range(COUNT)))
        await until(lambda: len(single) == COUNT)
        assert (single, many) == (expected, [])


async def test_handlers_that_are_waited_for_get_runs_one_by_one() -> None:
    async with Device(greeting=V50) as device, connected(device, Newspaper) as client:
        await ready(client)
        many: list[list[bytes]] = []
        client.hook_wire_inform("news", lambda arguments: None, many.append)
        device.say(*(b"#news %d" % i for i in range(COUNT)))
        await until(lambda: len(client.read) == COUNT)
        assert client.read == [b"%d" % i for i in range(COUNT)]
        assert not many
