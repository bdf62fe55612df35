"""The thread for messages, as programs use it by themselves."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from tornado import gen
from tornado.ioloop import IOLoop

from katcp.protocol import Message
from katcp.server import MessageHandlerThread, log, return_future


class Handler:
    def __init__(self) -> None:
        self.threads: list[str] = []
        self.names: list[str] = []
        self.go_on = threading.Event()

    def handle_message(self, client_conn: Any, msg: Message) -> Any:
        self.threads.append(threading.current_thread().name)
        self.names.append(msg.name)
        kind: Any = getattr(self, "do_" + msg.name.replace("-", "_"), None)
        return "done" if kind is None else kind()

    def do_wait(self) -> bool:
        return self.go_on.wait(10)

    def do_fail(self) -> None:
        raise ValueError("no good")

    @gen.coroutine
    def do_generator(self) -> Any:
        yield gen.sleep(0.01)
        raise gen.Return("generated")

    async def do_native(self) -> str:
        await asyncio.sleep(0.01)
        return threading.current_thread().name

    async def do_native_fail(self) -> None:
        raise KeyError("later")


class Conn:
    def __init__(self, *, broken: bool = False) -> None:
        self.informs: list[Message] = []
        self.broken = broken

    def inform(self, msg: Message) -> None:
        if self.broken:
            raise OSError("gone")
        self.informs.append(msg)


def format_log(level: str, text: str, name: str, timestamp: float | None = None) -> Message:
    return Message.inform("log", level, text, name)


@pytest.fixture
def handler() -> Handler:
    return Handler()


@pytest.fixture
def ioloop() -> Iterator[IOLoop]:
    ioloop = IOLoop(make_current=False)
    thread = threading.Thread(target=ioloop.start, name="the-loop")
    thread.start()
    yield ioloop
    ioloop.add_callback(ioloop.stop)
    thread.join(10)
    ioloop.close()


@pytest.fixture
def thread(handler: Handler, ioloop: IOLoop) -> Iterator[MessageHandlerThread]:
    thread = MessageHandlerThread(handler.handle_message, format_log)
    thread.set_ioloop(ioloop)
    thread.start(timeout=10)
    yield thread
    handler.go_on.set()
    thread.stop()
    thread.join(10)
    assert not thread.isAlive()


def send(thread: MessageHandlerThread, name: str, conn: Any = None) -> Any:
    return thread.on_message(conn or Conn(), Message.request(name))


def test_its_life(handler: Handler) -> None:
    thread = MessageHandlerThread(handler.handle_message, format_log)
    assert thread.handler == handler.handle_message
    assert thread.log_inform_formatter is format_log
    assert thread.name == "Handler.message_handler"
    assert thread.ioloop is None
    assert thread._logger is log
    thread.join()
    thread.stop()
    assert not thread.running()
    assert not thread.isAlive()
    assert not thread.wait_running(0)
    early = send(thread, "early")
    thread.start()
    assert thread.wait_running(10)
    assert thread.running()
    assert thread.isAlive()
    with pytest.raises(RuntimeError, match="already running"):
        thread.start()
    assert early.result(10) == "done"
    thread.stop()
    thread.join(10)
    assert not thread.running()
    late = send(thread, "late")
    assert not late.done()
    assert thread.start(timeout=10) is True
    assert late.result(10) == "done"
    thread.stop(timeout=None)
    thread.join(10)
    assert handler.names == ["early", "late"]


def test_messages_are_handled_in_order(thread: MessageHandlerThread, handler: Handler) -> None:
    futures = [send(thread, "wait"), *(send(thread, f"m{number}") for number in range(1000))]
    assert not futures[0].done()
    handler.go_on.set()
    assert futures[-1].result(10) == "done"
    assert all(future.done() for future in futures)
    assert handler.names == ["wait", *(f"m{number}" for number in range(1000))]
    assert set(handler.threads) == {"Handler.message_handler"}


def test_what_a_handler_raises(
    thread: MessageHandlerThread, caplog: pytest.LogCaptureFixture
) -> None:
    conn = Conn()
    with pytest.raises(ValueError, match="no good"):
        send(thread, "fail", conn).result(10)
    assert "ValueError: no good" in caplog.text
    (inform,) = conn.informs
    text = "Handling 'fail' failed, see the log of the device: no good"
    assert inform == format_log("error", text, "root")
    with pytest.raises(ValueError, match="no good"):
        send(thread, "fail", Conn(broken=True)).result(10)
    assert "cannot be told" in caplog.text
    assert send(thread, "next").result(10) == "done"


def test_coroutines_run_in_the_loop(thread: MessageHandlerThread) -> None:
    assert send(thread, "native").result(10) == "the-loop"
    assert send(thread, "generator").result(10) == "generated"
    with pytest.raises(KeyError):
        send(thread, "native-fail").result(10)


async def test_its_futures_can_be_awaited(thread: MessageHandlerThread) -> None:
    assert await send(thread, "this") == "done"


def test_return_future() -> None:
    @return_future
    def add(a: int, b: int = 2) -> int:
        """Add."""
        return a + b

    assert add.__name__ == "add"
    assert add.__doc__ == "Add."
    assert add(1).result() == 3
    assert add(1, b=5).result() == 6
    with pytest.raises(TypeError):
        add("x")


async def test_return_future_in_coroutines() -> None:
    @return_future
    def hook(conn: Any) -> str:
        return "hooked"

    @gen.coroutine
    def use() -> Any:
        first = yield hook(None)
        raise gen.Return(first)

    assert await hook(None) == "hooked"
    assert await use() == "hooked"
