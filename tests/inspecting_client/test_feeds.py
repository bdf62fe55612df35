from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from katcp.aio import AttrDict
from katcp.inspecting_client import ChangeFeed, ReadingFeed
from katcp.inspecting_client._feeds import Feed, Feeds
from katcp.inspecting_client._states import CHANGED, SYNCED


async def collect(feed: Feed[Any]) -> list[Any]:
    return [item async for item in feed]


async def test_what_was_put_in_comes_out_and_then_it_ends() -> None:
    feed: Feed[int] = Feed(10)
    feed.put(1)
    feed.put(2)
    feed.end()
    assert await collect(feed) == [1, 2]
    with pytest.raises(StopAsyncIteration):
        await feed.__anext__()


async def test_a_reader_waits_for_what_comes() -> None:
    feed: Feed[int] = Feed(10)
    reader = asyncio.ensure_future(collect(feed))
    for number in range(3):
        await asyncio.sleep(0)
        feed.put(number)
    await asyncio.sleep(0)
    feed.end()
    assert await reader == [0, 1, 2]


async def test_two_readers_of_one_feed_share_it() -> None:
    feed: Feed[int] = Feed(10)
    readers = [asyncio.ensure_future(collect(feed)) for _ in range(2)]
    await asyncio.sleep(0)
    feed.put(1)
    feed.put(2)
    feed.end()
    first, second = await asyncio.gather(*readers)
    assert sorted([*first, *second]) == [1, 2]


async def test_a_reader_that_is_cancelled_loses_nothing() -> None:
    feed: Feed[int] = Feed(10)
    reader = asyncio.ensure_future(feed.__anext__())
    await asyncio.sleep(0)
    reader.cancel()
    await asyncio.sleep(0)
    feed.put(1)
    assert await feed.__anext__() == 1


async def test_the_oldest_makes_way_and_the_newest_never(
    caplog: pytest.LogCaptureFixture,
) -> None:
    feed: Feed[int] = Feed(3)
    for number in range(10):
        feed.put(number)
    feed.end()
    assert await collect(feed) == [7, 8, 9]
    assert feed.dropped == 7
    assert caplog.text.count("not read fast enough") == 1


async def test_changes_are_put_together_and_none_is_lost() -> None:
    feed = ChangeFeed(2)
    for name in "abc":
        feed.put((CHANGED, AttrDict(sensors=AttrDict(added={name}, removed=set()))))
        feed.put((SYNCED, None))
    feed.end()
    items = await collect(feed)
    assert items[-1] == (SYNCED, None)
    added = set().union(*(changes.sensors.added for _, changes in items if changes))
    assert added == {"a", "b", "c"}
    assert len(items) == 2


async def test_readings_of_some_sensors() -> None:
    assert ReadingFeed(("a",), 1).wants("a")
    assert not ReadingFeed(("a",), 1).wants("b")
    assert ReadingFeed((), 1).wants("b")


async def test_a_feed_that_nobody_holds_is_forgotten() -> None:
    feeds: Feeds[Feed[int]] = Feeds()
    held = feeds.add(Feed(10))
    feeds.add(Feed(10))
    gc.collect()
    told: list[Feed[int]] = []
    feeds.each(told.append)
    assert told == [held]
    assert len(feeds.read) == 1
    del held, told
    gc.collect()
    assert not feeds.read


async def test_all_end_with_their_source_and_later_ones_at_once() -> None:
    feeds: Feeds[Feed[int]] = Feeds()
    assert not feeds.read
    one = feeds.add(Feed(10))
    one.put(1)
    feeds.end()
    late = feeds.add(Feed(10))
    assert await collect(one) == [1]
    assert await collect(late) == []
    feeds.begin()
    again = feeds.add(Feed(10))
    feeds.each(lambda feed: feed.put(5))
    assert await again.__anext__() == 5
