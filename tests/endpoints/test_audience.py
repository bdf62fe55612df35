"""Who wants alerts of which routing key is right, whoever comes and goes meanwhile."""

from __future__ import annotations

import asyncio
import gc
import random
import weakref

import pytest

from katcp.endpoints._alerts._audience import Audiences
from katcp.endpoints._alerts._topics import checked_pattern, matches


class Member:
    def __init__(self) -> None:
        self.patterns: dict[str, tuple[str, ...]] = {}


WORDS = ["a", "b", "*", "#"]


@pytest.mark.parametrize("seed", range(5))
async def test_what_is_remembered_is_what_a_search_would_find(seed: int) -> None:
    chance = random.Random(seed)
    audiences: Audiences[Member] = Audiences()
    members = [Member() for _ in range(8)]
    keys = ["a", "b", "a.b", "b.a", "a.a.b"]

    def change() -> None:
        member = chance.choice(members)
        pattern = ".".join(chance.choices(WORDS, k=chance.randrange(1, 4)))
        roll = chance.random()
        if roll < 0.1:
            member.patterns.clear()
        elif roll < 0.5 and member.patterns:
            pattern = chance.choice(list(member.patterns))
            del member.patterns[pattern]
        else:
            member.patterns[pattern] = checked_pattern(pattern)
        audiences.changed(member, pattern)

    for _ in range(300):
        for _ in range(chance.choice((0, 1, 3, 3, 700))):
            change()
        key = chance.choice(keys)
        if chance.random() < 0.2:
            search = asyncio.ensure_future(audiences.find(key))
            for _ in range(chance.randrange(4)):
                await asyncio.sleep(0)
                change()
            await search
        found = list(audiences.of(key))
        words = tuple(key.split("."))
        wanted = {
            member
            for member in members
            if any(matches(pattern, words) for pattern in member.patterns.values())
        }
        assert set(found) == wanted
        assert len(found) == len(wanted)


async def test_who_has_gone_is_not_kept() -> None:
    audiences: Audiences[Member] = Audiences()
    stays, goes = Member(), Member()
    for member in (stays, goes):
        member.patterns["#"] = ("#",)
        audiences.changed(member, "#")
    assert list(audiences.of("a")) == [stays, goes]
    goes.patterns.clear()
    audiences.changed(goes, "#")
    ref = weakref.ref(goes)
    del goes, member
    gc.collect()
    assert ref() is None
    assert list(audiences.of("a")) == [stays]


async def test_others_have_their_turns_while_thousands_of_patterns_are_compared() -> None:
    audiences: Audiences[Member] = Audiences()
    members = []
    for number in range(50):
        members.append(Member())
        for other in range(100):
            pattern = f"#.a.#.x{number}.{other}"
            members[-1].patterns[pattern] = checked_pattern(pattern)
        audiences.changed(members[-1], pattern)
    search = asyncio.ensure_future(audiences.find("a." * 20 + "x3.7"))
    turns = 0
    while not search.done():
        turns += 1
        await asyncio.sleep(0)
    assert turns > 25
    assert list(audiences.of("a." * 20 + "x3.7")) == [members[3]]
