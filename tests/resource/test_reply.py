from __future__ import annotations

import pytest

from katcp.protocol import Message
from katcp.resource import KATCPReply


def answer(*arguments: object) -> KATCPReply:
    return KATCPReply(
        Message.reply("help", *arguments, mid=5),
        [Message.inform("help", "x y", "z", mid=5), Message.inform("help", "w", mid=5)],
    )


def test_it_is_a_pair() -> None:
    reply, informs = answer("ok", 2)
    assert reply == Message.reply("help", "ok", 2, mid=5)
    assert [str(inform) for inform in informs] == ["#help[5] x\\_y z", "#help[5] w"]
    assert answer("ok", 2) == (reply, informs)
    assert answer("ok", 2).messages == [reply, *informs]


@pytest.mark.parametrize(
    ("first", "good"), [("ok", True), ("fail", False), ("invalid", False), ("", False)]
)
def test_its_truth_is_that_of_the_reply(first: str, good: bool) -> None:
    assert bool(answer(first)) is good
    assert answer(first).succeeded is good


def test_a_reply_without_arguments_has_not_succeeded() -> None:
    assert answer().succeeded is False


def test_texts() -> None:
    assert str(answer("ok", "a test")) == "!help[5] ok a\\_test\n#help[5] x\\_y z\n#help[5] w"
    assert repr(answer("ok", "a test")) == "!help ok a test\n#help x y z\n#help w"


def test_a_reply_that_was_made_of_a_request_has_a_text_too() -> None:
    assert repr(KATCPReply(Message.request("nap", 1), [])) == "?nap 1"


def test_bytes_that_are_no_utf8_do_not_spoil_the_texts() -> None:
    reply = KATCPReply(Message.reply("x", "fail", b"caf\xe9"), [])
    assert str(reply) == "!x fail caf\\xe9"
    assert repr(reply) == "!x fail caf\\xe9"
