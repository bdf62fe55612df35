"""Recordings of katcp-python's clients, 31 to 33, replayed against ours.

A scripted device says what the recorded one said and hears what it heard, in that order; what the
client returned or called is compared too. What is meant to differ:

* 31: a request without id uses no number up (W44), so that later ids are less by one.
* 31: what is made up for a request that was not sent is a reply (W47).
* 32: a version 4 greeting behind one of version 5 is ignored, with a warning. (katcp-python
  disconnects for good, though devices that send both exist.)
* 33: a reply without id to a request that had one is its reply if it can belong to no other.
"""

from __future__ import annotations

import ast
import asyncio
import re
from collections.abc import Iterator
from typing import Any

import pytest

from katcp import AsyncClient, BlockingClient, Message, MessageParser
from tests.client.test_device import Speaker, connected
from tests.helpers.scripted import Server, Session, until
from tests.helpers.threaded import Threaded, eventually, started
from tests.helpers.transcripts import Step, raw, read

_ASKED = re.compile(r"at [\d.]+ blocking_request\((?P<request>\?.*), (?P<kwargs>\{.*\})\)")
_ANSWERED = re.compile(r"-> reply (?P<reply>.*); informs (?P<informs>\[.*\])")
_KNOWN = re.compile(r".*wait_protocol\(1\) -> True; protocol_flags (.*); versions (\{.*\})")
_CALLED_BACK = re.compile(r".*callback_request with .* called back: (\[.*\])")
_TIME = re.compile(r"after\\_[\d.]+\\_seconds")


def one_less(text: str) -> str:
    """Return a line with the id that it has where no number was used up."""
    return re.sub(r"\[([4-9])\]", lambda match: f"[{int(match[1]) - 1}]", text)


class Recorded(Server):
    """The device of recording 31.

    Attributes
    ----------
    late : asyncio.Event
        To be set when the reply that is late may be said.
    """

    def __init__(self, steps: list[Step]) -> None:
        super().__init__(self._replay)
        self._steps = steps
        self.late = asyncio.Event()

    async def _replay(self, session: Session) -> None:
        if self.count > 1:
            await session.until_closed()
            return
        for step in self._steps:
            if step.text == "!nap[5] ok rested":
                await self.late.wait()
            if step.kind == "see" and step.text != "(empty line)":
                session.say(raw(one_less(step.text)))
            elif step.kind == "send":
                await session.expect(raw(one_less(step.text)))
            elif step.text == "server side closed":
                self.refuse()
                return


def without_time(text: str) -> str:
    return _TIME.sub("", text)


def test_31_a_blocking_client() -> None:
    steps = read("katcp-31-blocking-client")
    remarks: Iterator[str] = iter(step.text for step in steps if step.kind == "remark")
    told: list[tuple[Any, ...]] = []
    stray: list[str] = []

    class Client(BlockingClient):
        def unhandled_reply(self, msg: Message) -> None:
            stray.append(str(msg))

    def tell(*args: Any) -> None:
        msg, *user_data = args
        kind = "inform" if msg.mtype == Message.INFORM else "reply"
        told.append((kind, str(msg), *user_data))

    compared = 0
    with (
        Threaded(Recorded(steps)) as device,
        started(Client(device.host, device.port)) as client,
    ):
        for remark in remarks:
            known, asked = _KNOWN.fullmatch(remark), _ASKED.fullmatch(remark)
            called_back = _CALLED_BACK.fullmatch(remark)
            if known:
                assert client.wait_protocol(5)
                eventually(lambda: len(client.versions) == 3)
                assert str(client.protocol_flags) == known[1]
                assert client.versions == ast.literal_eval(known[2])
            elif asked:
                answered = _ANSWERED.fullmatch(next(remarks))
                assert answered is not None
                request = MessageParser().parse(raw(asked["request"]))
                reply, informs = client.blocking_request(
                    request, **ast.literal_eval(asked["kwargs"])
                )
                assert without_time(str(reply)) == without_time(one_less(answered["reply"]))
                recorded = [one_less(text) for text in ast.literal_eval(answered["informs"])]
                assert [str(inform) for inform in informs] == recorded
                assert request.mid == reply.mid
            elif "late reply" in remark:
                device.call(device.device.late.set)
                eventually(lambda: stray)
                assert stray == ["!nap[4] ok rested"]
                client.callback_request(
                    Message.request("with-informs"), tell, tell, user_data=("u", 1)
                )
                eventually(lambda: len(told) == 4)
            elif called_back:
                recorded_calls = ast.literal_eval(one_less(called_back[1]))
                assert told == recorded_calls
            elif "stopping the device" in remark:
                assert client.wait_disconnected(5)
                reply, informs = client.blocking_request(Message.request("watchdog"))
                assert reply.mtype == Message.REPLY
                assert str(reply) == (
                    f"!watchdog fail Not\\_connected\\_to\\_device\\_127.0.0.1:{device.port}"
                )
                assert informs == []
            else:
                continue
            compared += 1
    assert compared == 10


async def test_32_a_client_that_hears_two_versions(caplog: pytest.LogCaptureFixture) -> None:
    said = [raw(step.text) for step in read("katcp-32-client-mixed-versions") if step.kind == "see"]
    assert said[3].startswith(b"#build-state")
    async with Speaker(*said[:3]) as server, connected(server, AsyncClient) as client:
        await client.until_protocol(timeout=5)
        assert str(client.protocol_flags) == "5.0-IM"
        assert client._server_supports_ids
        server.say(said[3])
        await until(lambda: "sends a version 4 greeting, ignored" in caplog.text)
        assert client.is_connected()
        assert str(client.protocol_flags) == "5.0-IM"


async def test_33_handlers_of_a_subclass(caplog: pytest.LogCaptureFixture) -> None:
    steps = read("katcp-33-client-handlers")
    calls: list[str] = []
    told: list[str] = []

    class Client(AsyncClient):
        def inform_news(self, msg: Message) -> None:
            """Take news."""
            calls.append(f"inform_news {msg.arguments}")

        def reply_late(self, msg: Message) -> None:
            """Take a reply that is late."""
            calls.append(f"reply_late {msg}")

        def request_hello(self, msg: Message) -> Message:
            """Answer a greeting."""
            return Message.reply("hello", "ok", *msg.arguments)

        def unhandled_inform(self, msg: Message) -> None:
            calls.append(f"unhandled_inform {msg}")

        def unhandled_reply(self, msg: Message) -> None:
            calls.append(f"unhandled_reply {msg}")

        def unhandled_request(self, msg: Message) -> None:
            calls.append(f"unhandled_request {msg}")

    heard: list[bytes] = []

    async def replay(session: Session) -> None:
        for step in steps:
            if step.kind == "see":
                session.say(raw(step.text))
            elif step.kind == "send":
                heard.append(await session.hear())
        await session.until_closed()

    async with Server(replay) as server, connected(server, Client) as client:
        await until(lambda: len(calls) == 7)
        (recorded,) = (
            ast.literal_eval(step.text.partition(": ")[2])
            for step in steps
            if step.text.startswith("calls seen")
        )
        assert calls == recorded
        assert client.versions == {"katcp-protocol": ("5.0-IM",), "my-part": ("1.2", "serial-7")}
        assert client.is_connected()
        assert caplog.text.count("Malformed line") == 2
        client.callback_request(
            Message.request("ask"), lambda m: told.append(str(m)), lambda m: told.append(str(m))
        )
        await until(lambda: len(calls) == 10)
        assert heard == [b"!hello[4] ok you", b"?ask[1]"]
        assert told == ["#ask[1] one", "!ask ok no-id"]
        assert calls[7:] == [
            "unhandled_inform #ask no-id",
            "unhandled_reply !ask[1] ok",
            "unhandled_reply !ask[1] ok again",
        ]
