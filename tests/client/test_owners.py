import asyncio
from typing import Any

import pytest

from katcp.client._owners import Callbacks, WireFuture, as_message, fail, finish, take_inform
from katcp.client._pending import Pending
from katcp.protocol import Message, StreamParser


def parse(*lines: bytes) -> list[Any]:
    return StreamParser().feed(b"".join(line + b"\n" for line in lines))


def pending(owner: Any, mid: int | None = 7) -> Pending:
    result = Pending(Message.request("ask", mid=mid), owner, 0.0, None)
    result.mid = mid
    return result


def test_as_message() -> None:
    (event,) = parse(b"!ask[7] ok")
    assert as_message(event) == Message.reply("ask", "ok", mid=7)
    message = Message.reply("x")
    assert as_message(message) is message


@pytest.mark.parametrize("mid", [7, None])
async def test_a_future_gets_messages(mid: int | None) -> None:
    future = asyncio.get_running_loop().create_future()
    request = pending(future, mid)
    suffix = b"[7]" if mid else b""
    first, second, reply = parse(
        b"#ask" + suffix + b" a", b"#ask" + suffix + b" b", b"!ask" + suffix + b" ok 2"
    )
    take_inform(request, first)
    take_inform(request, second)
    finish(request, reply)
    assert await future == (
        Message.reply("ask", "ok", 2, mid=mid),
        [Message.inform("ask", "a", mid=mid), Message.inform("ask", "b", mid=mid)],
    )


async def test_a_reply_that_left_its_id_out_stays_without() -> None:
    future = asyncio.get_running_loop().create_future()
    request = pending(future)
    request.message.mid = None  # as with a request that was sent without
    request.mid = None
    (reply,) = parse(b"!ask ok")
    finish(request, reply)
    assert (await future)[0].mid is None


async def test_a_future_gets_failures_as_replies() -> None:
    future = asyncio.get_running_loop().create_future()
    request = pending(future)
    (inform,) = parse(b"#ask[7] a")
    take_inform(request, inform)
    fail(request, KeyError("no more"))
    reply, informs = await future
    assert reply == Message.reply("ask", "fail", "'no more'", mid=7)
    assert informs == [Message.inform("ask", "a", mid=7)]


async def test_a_wire_future_gets_arguments() -> None:
    future = asyncio.get_running_loop().create_future()
    request = pending(WireFuture(future))
    inform, reply = parse(b"#ask[7] a", b"!ask[7] ok 1")
    take_inform(request, inform)
    finish(request, reply)
    assert await future == ((b"ok", b"1"), [(b"a",)])
    future = asyncio.get_running_loop().create_future()
    fail(pending(WireFuture(future)), KeyError("no more"))
    with pytest.raises(KeyError, match="no more"):
        await future


async def test_futures_that_nobody_waits_for_any_more() -> None:
    (reply,) = parse(b"!ask[7] ok")
    for wrap in (lambda f: f, WireFuture):
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        finish(pending(wrap(future)), reply)
        fail(pending(wrap(future)), KeyError("x"))
        assert future.cancelled()


def test_callbacks_get_messages_and_their_user_data() -> None:
    told: list[Any] = []

    def call_back(callback: Any, *args: Any) -> None:
        callback(*args)

    request = pending(
        Callbacks(
            call_back,
            lambda *args: told.append(("reply", *args)),
            lambda *args: told.append(("inform", *args)),
            ("u", 1),
            told.append,
        )
    )
    inform, reply = parse(b"#ask[7] a", b"!ask[7] ok 1")
    take_inform(request, inform)
    finish(request, reply)
    fail(request, KeyError("x"))
    assert told == [
        ("inform", Message.inform("ask", "a", mid=7), "u", 1),
        ("reply", Message.reply("ask", "ok", 1, mid=7), "u", 1),
        ("reply", Message.reply("ask", "fail", "'x'", mid=7), "u", 1),
    ]


def test_what_there_is_no_callback_for_goes_elsewhere_but_made_up_failures_do_not() -> None:
    told: list[Any] = []
    request = pending(Callbacks(lambda callback: None, None, None, (), told.append))
    inform, reply = parse(b"#ask[7] a", b"!ask[7] ok 1")
    take_inform(request, inform)
    finish(request, reply)
    fail(request, KeyError("x"))
    assert told == [Message.inform("ask", "a", mid=7), Message.reply("ask", "ok", 1, mid=7)]
