"""Coroutines that begin at once: what they see of their task is what any coroutine sees."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import gc
import sys
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from katcp.protocol import Message
from katcp.server._eager import begin_task
from tests.helpers.serving import Bare, serving, talking, until

who: contextvars.ContextVar[str] = contextvars.ContextVar("who", default="nobody")


async def in_callback(function: Callable[[], Any]) -> Any:
    """Call `function` where requests are handled: in a callback of the loop, in no task."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()

    def call() -> None:
        try:
            done.set_result(function())
        except BaseException as error:
            done.set_exception(error)

    loop.call_soon(call)
    return await done


async def begun(coroutine: Any) -> asyncio.Task[Any]:
    """Begin with a coroutine in a callback of the loop."""
    loop = asyncio.get_running_loop()
    task: asyncio.Task[Any] = await in_callback(functools.partial(begin_task, loop, coroutine))
    return task


async def returns(value: Any) -> Any:
    return value


async def test_one_that_never_waits_is_done() -> None:
    loop = asyncio.get_running_loop()

    def begin() -> Any:
        task = begin_task(loop, returns(3))
        return task.done() and task.result()

    assert await in_callback(begin) == 3
    assert "call_soon" not in vars(loop)


async def test_what_it_raises_is_the_task_s() -> None:
    async def fails() -> None:
        raise ValueError("at once")

    task = await begun(fails())
    assert isinstance(task.exception(), ValueError)
    assert "call_soon" not in vars(asyncio.get_running_loop())


async def test_its_task_is_one_and_the_same_before_and_after_it_waits() -> None:
    seen = []

    async def look() -> None:
        for _ in range(3):
            seen.append(asyncio.current_task())
            seen.append(asyncio.current_task() in asyncio.all_tasks())
            await asyncio.sleep(0)

    task = await begun(look())
    await task
    assert seen == [task, True] * 3
    assert type(task) is asyncio.Task
    assert asyncio.current_task() is not task


async def test_it_has_a_context_of_its_own() -> None:
    seen = []

    async def look(name: str) -> None:
        seen.append(who.get())
        who.set(name)
        await asyncio.sleep(0)
        seen.append(who.get())

    who.set("caller")

    def begin() -> Any:
        tasks = [begin_task(asyncio.get_running_loop(), look(name)) for name in ("a", "b")]
        return tasks, who.get()

    tasks, after = await in_callback(begin)
    await asyncio.gather(*tasks)
    assert after == "caller"
    assert seen == ["caller", "caller", "a", "b"]


async def test_what_it_schedules_before_it_waits_is_scheduled() -> None:
    seen = []

    async def work() -> str:
        loop = asyncio.get_running_loop()
        loop.call_soon(seen.append, "soon")
        inner = loop.create_task(returns("inner"))
        first = [*seen]
        await asyncio.sleep(0)
        return f"{first} {seen} {await inner}"

    assert await (await begun(work())) == "[] ['soon'] inner"


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio.timeout came with 3.11")
async def test_a_timeout_that_begins_before_it_waits() -> None:
    async def work() -> str:
        try:
            async with asyncio.timeout(0.01):
                await asyncio.sleep(60)
        except TimeoutError:
            return "late"
        return "never"

    assert await (await begun(work())) == "late"


async def test_wait_for_and_task_groups_of_old() -> None:
    async def work() -> str:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.sleep(60), 0.01)
        return "-".join(await asyncio.gather(returns("a"), returns("b")))

    assert await (await begun(work())) == "a-b"


async def test_it_can_be_cancelled_while_it_waits_and_by_itself() -> None:
    async def waits() -> None:
        await asyncio.sleep(60)

    async def gives_up() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(60)

    task = await begun(waits())
    task.cancel()
    for each in (task, await begun(gives_up())):
        with pytest.raises(asyncio.CancelledError):
            await each


async def test_within_a_task_it_runs_in_its_own_all_the_same() -> None:
    async def look() -> Any:
        return asyncio.current_task()

    task = begin_task(asyncio.get_running_loop(), look())
    assert await task is task


async def test_a_task_factory_of_the_user_is_asked_or_nothing_is_lost() -> None:
    loop = asyncio.get_running_loop()
    loop.set_task_factory(lambda loop, coroutine, **options: asyncio.Task(coroutine, loop=loop))
    try:
        assert await (await begun(returns(1))) == 1
    finally:
        loop.set_task_factory(None)


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="Python begins the task itself")
async def test_a_loop_whose_scheduling_is_replaced_already_is_left_alone() -> None:
    loop = asyncio.get_running_loop()
    calls = []

    def call_soon(callback: Any, *args: Any, context: Any = None) -> Any:
        calls.append(callback)
        return type(loop).call_soon(loop, callback, *args, context=context)

    def begin() -> Any:
        loop.call_soon = call_soon  # type: ignore[method-assign, assignment]
        try:
            task = begin_task(loop, returns(2))
            return task, vars(loop).get("call_soon") is call_soon
        finally:
            del loop.call_soon

    task, kept = await in_callback(begin)
    assert kept
    assert calls
    assert await task == 2


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="Python begins the task itself")
async def test_other_callbacks_of_that_moment_go_their_usual_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Finalizers may run while a task is made, and schedule things, even tasks."""
    loop = asyncio.get_running_loop()
    seen: list[Any] = []
    real = asyncio.Task
    others = []

    def make(coroutine: Any, *, loop: Any) -> Any:
        loop.call_soon(seen.append, "before")
        others.append(real(returns("other"), loop=loop))
        task = real(coroutine, loop=loop)
        loop.call_soon(seen.append, "after")
        return task

    def begin() -> Any:
        with monkeypatch.context() as patched:
            patched.setattr(asyncio, "Task", make)
            return begin_task(loop, returns("ours"))

    task = await in_callback(begin)
    assert await asyncio.wait_for(task, 5) == "ours"
    assert await asyncio.wait_for(others[0], 5) == "other"
    assert seen == ["before", "after"]


async def test_nothing_is_left_of_one_that_is_done() -> None:
    class Thing:
        pass

    async def hold(thing: Thing) -> Any:
        return weakref.ref(thing)

    task = await begun(hold(Thing()))
    reference = task.result()
    del task
    gc.collect()
    assert reference() is None


# -- requests ------------------------------------------------------------------------------


class Device(Bare):
    def setup_sensors(self) -> None:
        self.seen: list[Any] = []
        self.cancelled: list[str] = []

    async def request_who(self, req: Any, name: str) -> tuple[str, str]:
        """Tell whose context this is, and change it."""
        before = who.get()
        who.set(name)
        return before, who.get()

    async def request_task(self, req: Any) -> bool:
        """Tell whether the task stays the same."""
        task = asyncio.current_task()
        self.seen.append(task)
        await asyncio.sleep(0)
        return task is not None and asyncio.current_task() is task

    async def request_at_once(self, req: Any) -> int:
        """Keep the task in mind."""
        self.seen.append(asyncio.current_task())
        return len(self.seen)

    async def request_wait(self, req: Any, msg: Message) -> Any:
        """Wait until cancelled."""
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.cancelled.append(msg.arguments[0].decode())
            raise

    async def request_exits(self, req: Any) -> None:
        """End the interpreter, if it is let."""
        raise SystemExit(3)


async def test_requests_do_not_share_a_context_or_a_task() -> None:
    async with serving(Device("127.0.0.1", 0)) as server, talking(server) as client:
        await client.send(b"?who[1] a\n?who[2] b\n?task[3]\n?task[4]\n?at-once[5]\n?at-once[6]")
        assert await client.lines(6) == [
            b"!who[1] ok nobody a",
            b"!who[2] ok nobody b",
            b"!task[3] ok 1",
            b"!task[4] ok 1",
            b"!at-once[5] ok 3",
            b"!at-once[6] ok 4",
        ]
        assert len({id(task) for task in server.seen}) == 4
        assert all(type(task) is asyncio.Task for task in server.seen)
        assert not server.katcp_under_way


async def test_those_that_wait_are_cancelled_at_the_end() -> None:
    server = Device("127.0.0.1", 0)
    async with serving(server), talking(server) as client:
        await client.send(b"?wait[1] first")
        await until(lambda: server.katcp_under_way)
        await server.stop()
        assert await client.line() == b"!wait[1] fail request_cancelled"
    assert server.cancelled == ["first"]


async def test_one_that_would_end_the_interpreter_fails(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(Device("127.0.0.1", 0, tb_limit=0)) as server, talking(server) as client:
        assert await client.ask(b"?exits[1]") == [b"!exits[1] fail SystemExit:\\_3"]
        assert await client.ask(b"?who[2] a") == [b"!who[2] ok nobody a"]
    assert "failed" in caplog.text
