"""Services of a server: work that goes on while it runs."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import weakref
from typing import Any

import pytest
from tornado import gen

from katcp.server import AsyncDeviceServer, DeviceServer, ServiceTask
from tests.helpers.serving import (
    Bare,
    BareThreaded,
    serving,
    serving_in_thread,
    talking,
    until,
)


class Story:
    """A service that writes down what happens to it."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.begun = threading.Event()

    async def run(self) -> None:
        self.events.append("begun")
        self.begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            self.events.append("ended")


async def test_service_lives_as_long_as_the_server() -> None:
    server, story = Bare("127.0.0.1", 0), Story()
    task = server.add_service_task(story.run)
    assert server.service_tasks == (task,)
    assert not task.running
    async with serving(server):
        await until(story.begun.is_set)
        assert task.running
        assert repr(task) == "<ServiceTask 'Story.run' running>"
    assert story.events == ["begun", "ended"]
    assert not task.running


async def test_service_that_is_added_to_a_running_server_starts_at_once() -> None:
    async with serving(Bare("127.0.0.1", 0)) as server:
        story = Story()
        server.add_service_task(story.run, name="late")
        assert [task.name for task in server.service_tasks] == ["late"]
        await until(story.begun.is_set)
    assert story.events == ["begun", "ended"]


async def test_services_end_before_clients_are_told() -> None:
    seen = []

    async def service() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            seen.append(len(server._server.connections))

    server = Bare("127.0.0.1", 0)
    server.add_service_task(service)
    server.start()
    async with talking(server) as client:
        await client.ask(b"?watchdog")
        await server.stop()
        assert (await client.rest()).startswith(b"#disconnect")
    assert seen == [1]


async def test_service_can_be_given_as_function_coroutine_task_or_future() -> None:
    done: list[str] = []

    async def work(name: str) -> None:
        done.append(name)

    @gen.coroutine  # type: ignore[untyped-decorator,unused-ignore]
    def old_style() -> Any:
        yield gen.moment
        done.append("old style")

    server = Bare("127.0.0.1", 0)
    task = asyncio.get_running_loop().create_task(work("task"))
    for service in (lambda: work("function"), work("coroutine"), task, old_style):
        server.add_service_task(service)
    async with serving(server):
        await until(lambda: not server.service_tasks)
    assert sorted(done) == ["coroutine", "function", "old style", "task"]


async def test_what_cannot_be_a_service(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(Bare("127.0.0.1", 0)) as server:
        with pytest.raises(TypeError, match="neither"):
            server.add_service_task(3)
        server.add_service_task(lambda: 3)
        assert server.service_tasks == ()
    assert "is no coroutine function" in caplog.text


async def test_error_is_logged_and_the_server_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    async def bad() -> None:
        raise RuntimeError("bad service")

    async with serving(Bare("127.0.0.1", 0)) as server:
        server.add_service_task(bad)
        await until(lambda: not server.service_tasks)
        async with talking(server) as client:
            assert await client.ask(b"?watchdog") == [b"!watchdog ok"]
    assert "bad service" in caplog.text


async def test_errors_can_be_taken_by_a_method(caplog: pytest.LogCaptureFixture) -> None:
    errors: list[tuple[str, str]] = []

    class Strict(Bare):
        def on_service_task_error(self, task: ServiceTask, error: BaseException) -> None:
            errors.append((task.name, str(error)))
            raise ValueError("bad hook")

    async def bad() -> None:
        await asyncio.sleep(0)
        raise RuntimeError("bad service")

    async with serving(Strict("127.0.0.1", 0)) as server:
        server.add_service_task(bad, name="mine")
        await until(lambda: errors)
    assert errors == [("mine", "bad service")]
    assert "bad hook" in caplog.text


async def test_error_on_the_way_out_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    story = Story()

    async def bad() -> None:
        try:
            await story.run()
        finally:
            raise RuntimeError("bad end")

    server = Bare("127.0.0.1", 0)
    server.add_service_task(bad)
    async with serving(server):
        await until(story.begun.is_set)
    assert "bad end" in caplog.text
    assert server.service_tasks == ()


async def test_service_starts_again_with_the_server() -> None:
    server, story, once = Bare("127.0.0.1", 0), Story(), Story()
    server.add_service_task(story.run)
    server.add_service_task(once.run())
    for _ in range(2):
        async with serving(server):
            await until(story.begun.is_set)
            story.begun.clear()
    assert story.events == ["begun", "ended"] * 2
    assert once.events == ["begun", "ended"]


async def test_service_that_has_ended_does_not_start_again() -> None:
    calls = []

    async def once() -> None:
        calls.append(1)

    server = Bare("127.0.0.1", 0)
    server.add_service_task(once)
    for _ in range(2):
        async with serving(server):
            await until(lambda: not server.service_tasks)
    assert calls == [1]


async def test_cancel_ends_a_service_before_the_server() -> None:
    async with serving(Bare("127.0.0.1", 0)) as server:
        story = Story()
        task = server.add_service_task(story.run)
        await until(story.begun.is_set)
        task.cancel()
        assert server.service_tasks == ()
        await until(lambda: story.events == ["begun", "ended"])


async def test_cancel_before_the_start_closes_a_coroutine() -> None:
    server, story = Bare("127.0.0.1", 0), Story()
    server.add_service_task(story.run()).cancel()  # or Python warns that it was never awaited
    async with serving(server):
        await asyncio.sleep(0.01)
    assert story.events == []


async def test_service_that_stops_its_server() -> None:
    server = Bare("127.0.0.1", 0)
    stopped = []

    async def service() -> None:
        stopped.append(server.stop())

    server.add_service_task(service)
    server.start()
    await until(lambda: stopped)
    await stopped[0]
    assert not server.running()


async def test_service_that_stops_its_server_and_waits_for_that() -> None:
    server = Bare("127.0.0.1", 0)

    async def service() -> None:
        await server.stop()

    server.add_service_task(service)
    server.start()
    await until(lambda: not server.running())
    await server.stop()
    assert server.bind_address[1] != 0


async def test_service_that_does_not_end_is_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("katcp.server._services.LAST_CALL", 0.02)
    release, begun = asyncio.Event(), asyncio.Event()

    async def stubborn() -> None:
        begun.set()
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                pass

    server = Bare("127.0.0.1", 0)
    server.add_service_task(stubborn, name="stubborn")
    async with serving(server):
        await begun.wait()
    assert "'stubborn' does not end" in caplog.text
    release.set()
    await asyncio.sleep(0)


def test_managed_server_needs_no_loop_before_it_starts() -> None:
    story = Story()

    class Device(BareThreaded):
        def setup_sensors(self) -> None:
            self.add_service_task(story.run)

    server = Device("127.0.0.1", 0)
    with serving_in_thread(server):
        assert story.begun.wait(10)
        late = Story()
        server.add_service_task(late.run)  # from another thread
        assert late.begun.wait(10)
        task = server.add_service_task(Story().run, name="third")
        task.cancel()
        assert [task.name for task in server.service_tasks] == ["Story.run", "Story.run"]
    assert story.events == late.events == ["begun", "ended"]


def test_task_of_another_loop_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    loop = asyncio.new_event_loop()
    with serving_in_thread(BareThreaded("127.0.0.1", 0)) as server:
        server.add_service_task(loop.create_future(), name="foreign")
        server.sync_with_ioloop(10)
    loop.close()
    assert "'foreign' is a task of another loop" in caplog.text


@pytest.mark.parametrize("mode", [AsyncDeviceServer, DeviceServer])
async def test_nothing_holds_a_stopped_server(mode: type[DeviceServer]) -> None:
    class Device(mode):  # type: ignore[misc,valid-type]
        def setup_sensors(self) -> None:
            self.begun = threading.Event()
            self.add_service_task(self.work)

        async def work(self) -> None:
            self.begun.set()
            await asyncio.Event().wait()

    server = Device("127.0.0.1", 0)
    async with serving(server):
        await until(server.begun.is_set)
    gone = weakref.ref(server)
    del server
    await asyncio.sleep(0)
    gc.collect()
    assert gone() is None


async def test_end_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    server, story = Bare("127.0.0.1", 0), Story()
    server.add_service_task(story.run)
    async with serving(server):
        await until(story.begun.is_set)
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []
