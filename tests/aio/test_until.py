import asyncio
from typing import Any

import pytest
from tornado.gen import TimeoutError as TornadoTimeout

from katcp.aio import until_any, until_later, until_some


def make() -> asyncio.Future[Any]:
    return asyncio.get_running_loop().create_future()


async def test_until_any_gives_the_first_result() -> None:
    one, two = make(), make()
    first = until_any(one, two)
    two.set_result(2)
    one.set_result(1)
    assert await first == 2


async def test_until_any_gives_the_first_exception() -> None:
    one, two = make(), make()
    first = until_any(one, two)
    one.set_exception(KeyError("x"))
    with pytest.raises(KeyError):
        await first


async def test_until_any_is_done_already_if_one_is() -> None:
    one, two = make(), make()
    two.set_result(2)
    first = until_any(one, two)
    assert first.done()
    assert first.result() == 2
    assert not one._callbacks


async def test_until_any_leaves_nothing_behind_on_the_others() -> None:
    long_lived, short = make(), make()
    first = until_any(long_lived, short)
    assert long_lived._callbacks
    short.set_result(None)
    await first
    assert not long_lived._callbacks


async def test_until_any_leaves_nothing_behind_after_a_timeout() -> None:
    long_lived = make()
    with pytest.raises(TornadoTimeout):
        await until_any(long_lived, timeout=0.001)
    assert not long_lived._callbacks
    assert not long_lived.done()


async def test_until_any_leaves_nothing_behind_when_cancelled() -> None:
    long_lived = make()
    first = until_any(long_lived)
    first.cancel()
    await asyncio.sleep(0)
    assert not long_lived._callbacks


async def test_until_any_of_one_that_is_cancelled() -> None:
    one = make()
    first = until_any(one, make())
    one.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_until_any_takes_coroutines() -> None:
    async def soon() -> int:
        return 4

    assert await until_any(soon()) == 4


async def test_until_some_gives_all_by_default_in_the_order_they_end() -> None:
    one, two = make(), make()
    both = until_some(one, two)
    two.set_result("b")
    await asyncio.sleep(0)
    assert not both.done()
    one.set_result("a")
    assert await both == [(1, "b"), (0, "a")]


async def test_until_some_by_keyword_and_number() -> None:
    one, two, three = make(), make(), make()
    some = until_some(x=one, y=two, z=three, done_at_least=2)
    three.set_result(3)
    await asyncio.sleep(0)
    one.set_result(1)
    assert await some == [("z", 3), ("x", 1)]
    assert not two._callbacks


async def test_until_some_of_none() -> None:
    assert await until_some() == []
    assert await until_some(make(), done_at_least=0) == []


async def test_until_some_of_what_is_done() -> None:
    one = make()
    one.set_result(1)
    some = until_some(one)
    assert some.result() == [(0, 1)]


async def test_until_some_with_both_kinds() -> None:
    with pytest.raises(ValueError, match="by position or by keyword"):
        until_some(make(), x=make())


async def test_until_some_gives_the_first_exception() -> None:
    one, two = make(), make()
    some = until_some(one, two)
    one.set_exception(KeyError("x"))
    with pytest.raises(KeyError):
        await some
    two.set_result(None)
    await asyncio.sleep(0)


async def test_until_some_runs_out_of_time() -> None:
    one, two = make(), make()
    one.set_result(1)
    with pytest.raises(TornadoTimeout):
        await until_some(one, two, timeout=0.001)


@pytest.mark.virtual_time
async def test_until_later() -> None:
    loop = asyncio.get_running_loop()
    begun = loop.time()
    assert await until_later(1800) is None
    assert loop.time() - begun == pytest.approx(1800)
    cancelled = until_later(10)
    cancelled.cancel()
    await until_later(20)


async def test_until_some_is_indifferent_to_what_comes_after_it_is_done() -> None:
    one, two = make(), make()
    some = until_some(one, two, done_at_least=1)
    one.set_result(1)
    two.set_result(2)
    assert await some == [(0, 1)]
