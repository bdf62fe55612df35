"""Who may have its input handled in this turn of the loop."""

from __future__ import annotations

import asyncio

from katcp.transport._turns import Turns


class Connection:
    """Notes when it has its turn; claims it as a connection does."""

    def __init__(self, turns: Turns, name: str, log: list[str], useful: bool = True) -> None:
        self._turns, self._name, self._log, self._useful = turns, name, log, useful

    def take_turn(self) -> bool:
        if self._useful:
            assert self._turns.claim()
            self._log.append(self._name)
        return self._useful


async def test_one_in_a_turn_in_the_order_of_coming() -> None:
    turns = Turns(asyncio.get_running_loop())
    log: list[str] = []
    assert turns.claim()
    for name in ("a", "b", "c"):
        assert not turns.claim()
        turns.wait(Connection(turns, name, log))
    seen = []
    for _ in range(5):
        await asyncio.sleep(0)
        seen.append("".join(log))
    assert seen == ["a", "ab", "abc", "abc", "abc"]
    assert turns.claim(), "nobody waits any more"
    await asyncio.sleep(0)


async def test_who_comes_while_others_wait_comes_behind_them() -> None:
    turns = Turns(asyncio.get_running_loop())
    log: list[str] = []
    turns.claim()
    turns.wait(Connection(turns, "a", log))
    turns.wait(Connection(turns, "b", log))
    await asyncio.sleep(0)
    assert not turns.claim()
    turns.wait(Connection(turns, "c", log))
    for _ in range(3):
        await asyncio.sleep(0)
    assert log == ["a", "b", "c"]


async def test_who_has_gone_takes_no_turn() -> None:
    turns = Turns(asyncio.get_running_loop())
    log: list[str] = []
    turns.claim()
    turns.wait(Connection(turns, "gone", log, useful=False))
    turns.wait(Connection(turns, "gone, too", log, useful=False))
    turns.wait(Connection(turns, "a", log))
    await asyncio.sleep(0)
    assert log == ["a"]
    await asyncio.sleep(0)
    turns.claim()
    turns.wait(Connection(turns, "gone", log, useful=False))
    await asyncio.sleep(0)
    assert turns.claim()
    await asyncio.sleep(0)
