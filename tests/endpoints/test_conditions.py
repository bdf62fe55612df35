"""Conditions: each endpoint does its part, and whoever fails keeps nobody else from it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from katcp.endpoints import ConditionOutcome, KeyValueStore, Provider, StoreKey
from tests.endpoints.served import informs, reply, served


class Stuck(StoreKey):
    def on_set(self, value: Any) -> Any:
        raise ValueError("it is stuck")


def plant() -> KeyValueStore:
    return KeyValueStore(
        "plant",
        endpoints=[
            StoreKey("heater", conditions={10: 0, 11: 50}, initial_value=7),
            Stuck("valve", conditions={10: "closed"}),
            StoreKey("pump", conditions={10: "off"}, initial_value="on"),
            StoreKey("note", initial_value="x"),
        ],
    )


async def test_drip_cond_01_each_child_sets_its_value_and_is_told_of() -> None:
    async with served(plant()) as (_, client):
        assert await client.ask(b"?set-condition[1] 10") == [
            b"#set-condition[1] plant.heater ok \\@",
            b"#set-condition[1] plant.valve fail plant.valve:\\_it\\_is\\_stuck",
            b"#set-condition[1] plant.pump ok \\@",
            b"!set-condition[1] ok 3",
        ]
        assert (await reply(client, b"?get heater"))[1] == b"0"
        assert (await reply(client, b"?get pump"))[1] == b"off"
        assert (await reply(client, b"?get note"))[1] == b"x"


@pytest.mark.parametrize("target", [b"", b" *", b" plant", b" n.plant"])
async def test_drip_cond_01_of_some_or_of_all(target: bytes) -> None:
    async with served(plant(), StoreKey("note2"), node="n") as (_, client):
        assert await informs(client, b"?set-condition 11" + target) == [
            [b"plant.heater", b"ok", b""],
            [b"ok", b"1"],
        ]
    async with served(plant()) as (_, client):
        assert (await informs(client, b"?set-condition 10 pump"))[0][0] == b"plant.pump"
        assert (await reply(client, b"?get heater"))[1] == b"7"


@pytest.mark.parametrize("request_", [b"12", b"-10", b"0", b"10 note", b"11 pump", b"9" * 100])
async def test_drip_cond_01_a_number_that_nobody_knows(request_: bytes) -> None:
    async with served(plant()) as (_, client):
        assert (await reply(client, b"?set-condition " + request_))[::2] == [b"fail", b"304"]


@pytest.mark.parametrize("request_", [b"x", b"1.0", b"\\@", b"ten plant"])
async def test_drip_cond_01_what_is_no_number(request_: bytes) -> None:
    async with served(plant()) as (_, client):
        assert (await reply(client, b"?set-condition " + request_))[::2] == [b"invalid", b"304"]
        assert (await reply(client, b"?set-condition"))[::2] == [b"invalid", b"303"]
        assert (await reply(client, b"?set-condition 10 nix"))[::2] == [b"fail", b"102"]


async def test_drip_cond_01_locks_are_not_in_the_way() -> None:
    async with served(plant()) as (_, client):
        await client.ask(b"?lock *")
        assert (await reply(client, b"?set heater 1"))[::2] == [b"fail", b"307"]
        assert (await reply(client, b"?set-condition 10")) == [b"ok", b"3"]
        assert (await reply(client, b"?get heater"))[1] == b"0"


@pytest.mark.virtual_time
async def test_instruments_do_not_wait_for_each_other() -> None:
    class Slow(StoreKey):
        async def on_condition(self, number: int) -> Any:  # type: ignore[override]
            await asyncio.sleep(1)
            return f"did {number}"

    tops = [Provider(f"p{n}", endpoints=[Slow("a"), Slow("b")]) for n in range(3)]
    whole = Provider("whole", endpoints=tops)
    loop = asyncio.get_running_loop()
    begin = loop.time()
    outcomes = await whole.set_condition(4)
    assert outcomes == [
        ConditionOutcome(f"whole.p{n}.{k}", True, "did 4") for n in range(3) for k in "ab"
    ]
    assert loop.time() - begin == pytest.approx(2)


@pytest.mark.parametrize("answer", [None, "all is safe", [ConditionOutcome("x.y", False, "no")]])
async def test_a_class_may_do_it_in_its_own_way(answer: Any) -> None:
    class Own(Provider):
        async def set_condition(self, number: int, *args: Any, **kwargs: Any) -> Any:
            assert number == 5
            return answer

    async with served(Provider("top", endpoints=[Own("own")])) as (_, client):
        first, last = await informs(client, b"?set-condition 5")
        assert last == [b"ok", b"1"]
        expected = {None: "", "all is safe": "all is safe"}
        if isinstance(answer, list):
            assert first == [b"x.y", b"fail", b"no"]
        else:
            assert first == [b"top.own", b"ok", expected[answer].encode()]


@pytest.mark.virtual_time
async def test_the_time_limit_begins_with_the_turn() -> None:
    class Slow(StoreKey):
        async def on_set(self, value: Any) -> Any:  # type: ignore[override]
            await asyncio.sleep(1)
            return value

        async def on_condition(self, number: int) -> Any:  # type: ignore[override]
            if number == 7:
                return NotImplemented
            await self.write("safe")
            return await asyncio.sleep(5)

    keys = [StoreKey("a", conditions={1: "safe", 7: "x"}, timeout=0.5), Slow("b", timeout=3)]
    provider = Provider("p", endpoints=keys)
    keys.append(Slow("c"))
    provider.add_endpoint(keys[2])
    busy = asyncio.ensure_future(keys[2].write("x"))
    await asyncio.sleep(0)
    outcomes = await provider.set_condition(1)
    assert outcomes == [
        ConditionOutcome("p.a", True, ""),
        ConditionOutcome("p.b", False, "p.b did not answer within 3 s"),
        ConditionOutcome("p.c", True, ""),
    ]
    await busy
    assert await provider.set_condition(7) == [ConditionOutcome("p.a", True, "")]


async def test_one_that_breaks_is_told_of_as_one_that_fails() -> None:
    class Broken(StoreKey):
        def on_condition(self, number: int) -> Any:
            raise ZeroDivisionError("oops")

    async with served(Broken("b"), plant()) as (_, client):
        [first, *rest] = await informs(client, b"?set-condition 11")
        assert first[:2] == [b"b", b"fail"]
        assert b"oops" in first[2]
        assert rest == [[b"plant.heater", b"ok", b""], [b"ok", b"2"]]
