import asyncio
import concurrent.futures

import pytest

from katcp.errors import FailReply, InvalidReply
from katcp.kattypes import (
    Float,
    Int,
    Message,
    Str,
    async_make_reply,
    is_deferred,
    make_reply,
    map_deferred,
)


def text(message):
    return bytes(message).decode()


def test_ok():
    assert text(make_reply("scale", [Float(), Str()], ("ok", 7, "m"), 5)) == "!scale ok 7.0 m"
    assert text(make_reply("scale", [], ["ok"], 5)) == "!scale ok"
    assert make_reply("scale", [], ("ok",), 5).mid is None


def test_fail():
    assert text(make_reply("x", [Int()], ("fail", "too large"), 5)) == r"!x fail too\_large"
    assert text(make_reply("x", [Int()], ("fail", ValueError("as text")), 5)) == r"!x fail as\_text"
    with pytest.raises(ValueError, match=r"^Too many arguments to pack\.$"):
        make_reply("x", [], ("fail", "a", "b"), 5)


def test_w20_fail_without_a_text():
    for result in (("fail",), ("fail", None)):
        assert text(make_reply("x", [], result, 5)) == r"!x fail No\_reason\_given."


def test_w20_status_may_be_bytes():
    assert text(make_reply("x", [Int()], (b"ok", 3), 5)) == "!x ok 3"
    assert text(make_reply("x", [Int()], (b"fail", "no"), 5)) == "!x fail no"


def test_w20_status_may_be_invalid():
    assert text(make_reply("x", [Int()], ("invalid", "no"), 5)) == "!x invalid no"
    assert text(make_reply("x", [Int()], (b"invalid",), 5)) == r"!x invalid No\_reason\_given."


def test_w21_ready_messages_pass():
    message = Message.reply("x", "ok", 1, mid=7)
    assert make_reply("x", [], message, 5) is message


def test_returned_errors_count_as_raised():
    assert text(make_reply("x", [], FailReply("no"), 5)) == "!x fail no"
    assert text(make_reply("x", [], InvalidReply("no"), 5)) == "!x invalid no"
    assert text(make_reply("x", [], FailReply(), 5)) == r"!x fail No\_reason\_given."


@pytest.mark.parametrize(
    "result", [("okay", 1), (1, 2), (), [], None, "ok", 5, ((),), (b"okay",), ({"ok": 1},)]
)
def test_other_results_are_refused(result):
    with pytest.raises(ValueError) as error:
        make_reply("x", [Int()], result, 5)
    assert str(error.value) == "First returned value must be 'ok' or 'fail'."


def test_number_of_values():
    with pytest.raises(ValueError, match=r"^Too many arguments to pack\.$"):
        make_reply("x", [Int()], ("ok", 1, 2), 5)
    with pytest.raises(ValueError, match=r"^No value or default given$"):
        make_reply("x", [Int()], ("ok",), 5)


def test_name_has_to_be_one():
    with pytest.raises(ValueError):
        make_reply("not a name", [], ("ok",), 5)


async def test_async_make_reply_of_a_future():
    future = asyncio.get_running_loop().create_future()
    mapped = async_make_reply("x", [Int()], future, 5)
    assert asyncio.isfuture(mapped)
    assert not mapped.done()
    future.set_result(("ok", 3))
    assert text(await mapped) == "!x ok 3"


async def test_async_make_reply_of_a_coroutine():
    async def handler():
        await asyncio.sleep(0)
        return ("ok", 3)

    assert text(await async_make_reply("x", [Int()], handler(), 5)) == "!x ok 3"


def test_async_make_reply_needs_a_future():
    with pytest.raises(TypeError, match="is not a future"):
        async_make_reply("x", [], ("ok",), 5)


async def test_errors_pass_on():
    future = asyncio.get_running_loop().create_future()
    mapped = map_deferred(future, str)
    future.set_exception(FailReply("woke up badly"))
    with pytest.raises(FailReply, match="woke up badly"):
        await mapped


async def test_errors_of_the_conversion_pass_on():
    future = asyncio.get_running_loop().create_future()
    mapped = map_deferred(future, int)
    future.set_result("x")
    with pytest.raises(ValueError, match="invalid literal"):
        await mapped


async def test_cancelling_passes_on_either_way():
    loop = asyncio.get_running_loop()
    inner = loop.create_future()
    outer = map_deferred(inner, str)
    outer.cancel()
    await asyncio.sleep(0)
    assert inner.cancelled()

    inner = loop.create_future()
    outer = map_deferred(inner, str)
    inner.cancel()
    with pytest.raises(asyncio.CancelledError):
        await outer


async def test_outer_future_that_is_done_stays_as_it_is():
    inner = asyncio.get_running_loop().create_future()
    outer = map_deferred(inner, str)
    outer.set_result("mine")
    inner.set_result("late")
    await asyncio.sleep(0)
    assert await outer == "mine"


def test_futures_of_threads():
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        mapped = async_make_reply("x", [Int()], pool.submit(lambda: ("ok", 3)), 5)
        assert isinstance(mapped, concurrent.futures.Future)
        assert text(mapped.result(timeout=5)) == "!x ok 3"


def test_is_deferred():
    async def coroutine():
        """Do nothing."""

    waiting = coroutine()
    assert is_deferred(waiting)
    waiting.close()
    assert is_deferred(concurrent.futures.Future())
    assert not is_deferred(("ok",))
    assert not is_deferred(None)
