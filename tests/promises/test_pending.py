"""Replies that are not the answer to what was asked (F15)."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from katcp.client import AsyncClient
from katcp.protocol import Message
from tests.helpers.scripted import V4, V50, V50_NO_IDS, V51, Device, Session
from tests.helpers.sizes import sizes

pytestmark = pytest.mark.slow

#: What may stand before an id; after all of these the right answer still comes.
LIES = [
    "nothing",
    "unknown id",
    "id 0",
    "huge id",
    "id that is no number",
    "another name",
    "without an id",
    "inform for nobody",
    "inform with another name",
    "the last answer again",
    "an id of another's",
    "a request",
]


class Liar(Device):
    """Answers ``?echo WORD`` by the word, in any order, and says other things as well."""

    def __init__(self, seed: int) -> None:
        super().__init__(V51)
        self.chance = random.Random(seed)
        self.waiting: list[tuple[Session, Message]] = []
        self.answers["echo"] = self._echo
        self.last = b""

    async def _echo(self, session: Session, message: Message) -> None:
        self.waiting.append((session, message))
        if len(self.waiting) >= 5 or message.arguments[0] == b"end":
            self.chance.shuffle(self.waiting)
            while self.waiting:
                where, one = self.waiting.pop()
                self.lie(where, one)
                word = one.arguments[0]
                self.answer(where, one, b"# " + word, b"! ok " + word)
                self.last = b"!echo[%b] ok %b" % (one.mid, word)
                self.lie(where, one)

    def lie(self, session: Session, message: Message) -> None:
        assert message.mid is not None
        wrong = b"wrong"
        kind = self.chance.choice(LIES)
        if kind == "unknown id":
            session.say(b"!echo[%d] ok wrong" % (int(message.mid) + 10**6))
        elif kind == "id 0":
            session.say(b"!echo[0] ok wrong")
        elif kind == "huge id":
            session.say(b"!echo[%d] ok wrong" % (2**31 + int(message.mid)))
        elif kind == "id that is no number":
            session.say(b"!echo[%bx] ok wrong" % message.mid, b"#echo[] wrong")
        elif kind == "another name":
            session.say(b"!ohce[%b] ok wrong" % message.mid)
        elif kind == "without an id":
            # With several of that name pending it cannot be told whose it is.
            if len(self.waiting) >= 1:
                session.say(b"!ohce ok wrong")
        elif kind == "inform for nobody":
            session.say(b"#echo[%d] wrong" % (int(message.mid) + 10**6))
        elif kind == "inform with another name":
            session.say(b"#ohce[%b] wrong" % message.mid)
        elif kind == "the last answer again":
            if self.last:
                session.say(self.last)
        elif kind == "an id of another's":
            # From another connection, or of a request of another name.
            session.say(b"!watchdog[%b] ok wrong" % message.mid)
        elif kind == "a request":
            session.say(b"?echo[%b] %b" % (message.mid, wrong))


@sizes("requests_among_lies", 1000, 100_000)
async def test_f15_no_request_gets_what_another_was_to_get(requests_among_lies: int) -> None:
    async with Liar(requests_among_lies) as device:
        client = AsyncClient(device.host, device.port)
        client.set_ioloop()
        client.start()
        await client.until_protocol(timeout=10)
        for start in range(0, requests_among_lies, 100):
            words = [b"%d" % i for i in range(start, start + 99)] + [b"end"]
            futures = [client.future_request(Message.request("echo", word)) for word in words]
            for word, (reply, informs) in zip(words, await asyncio.gather(*futures), strict=True):
                assert reply.arguments == [b"ok", word]
                assert [inform.arguments for inform in informs] == [[word]]
        client.stop()
        await client.until_stopped(timeout=10)


@sizes("late_replies", 30, 3000)
@pytest.mark.parametrize("greeting", [V51, V50, V50_NO_IDS, V4])
async def test_f15_late_answers_are_for_nobody(
    greeting: tuple[bytes, ...], late_replies: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with Device(greeting) as device:
        held: list[Any] = []

        def hold(session: Session, message: Message) -> list[bytes]:
            word = message.arguments[0]
            if word.startswith(b"late"):
                held.append((session, message, word))
                return []
            # Those that ran out of time are answered now, before the one that has not.
            for session, message, late in held:
                device.answer(session, message, b"# " + late, b"! ok " + late)
            held.clear()
            return [b"# " + word, b"! ok " + word]

        device.answers["echo"] = hold
        client = AsyncClient(device.host, device.port, greeting_timeout=0.05)
        client.set_ioloop()
        client.start()
        await client.until_protocol(timeout=10)
        for number in range(late_replies):
            late, word = b"late%d" % number, b"%d" % number
            reply, _ = await client.future_request(Message.request("echo", late), timeout=0.001)
            assert not reply.reply_ok()
            # Sent before or after the time was up, it is not taken for the next one's.
            reply, informs = await client.future_request(Message.request("echo", word), timeout=20)
            assert reply.arguments == [b"ok", word]
            assert [inform.arguments for inform in informs] == [[word]]
        client.stop()
        await client.until_stopped(timeout=10)
    assert len(caplog.records) < 20 + late_replies
