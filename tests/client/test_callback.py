"""Clients that any thread may use, as programs written for katcp-python use them."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import logging
import subprocess
import sys
import threading
import time
import weakref
from typing import Any

import pytest
from tornado import gen
from tornado.ioloop import IOLoop

import katcp
from katcp import AsyncClient, BlockingClient, CallbackClient, DeviceClient, Message
from katcp.client import make_threadsafe, make_threadsafe_blocking
from katcp.errors import KatcpClientDisconnected
from tests.helpers.scripted import V4, V50, Device, Session
from tests.helpers.threaded import Threaded, eventually, in_loop, started

request = Message.request


def never(session: Session, message: Message) -> None:
    """Leave a request without an answer."""


# -- a transport of some program ---------------------------------------------------------


class Transport:
    """What a program's transports have in common."""

    def __init__(self, **kwargs: Any) -> None:
        self.host = kwargs["host"]


class KatcpTransport(Transport, CallbackClient):
    """One that goes by KATCP, in the way that FPGA control software does."""

    def __init__(self, **kwargs: Any) -> None:
        Transport.__init__(self, **kwargs)
        CallbackClient.__init__(
            self,
            kwargs["host"],
            kwargs["port"],
            tb_limit=20,
            timeout=kwargs.get("timeout", 5.0),
            logger=logging.getLogger("tests.transport"),
            auto_reconnect=True,
        )
        self.unhandled: list[str] = []
        self.changes: list[tuple[bool, bool]] = []
        self.logs: list[Message] = []
        self.setDaemon(True)

    def connect(self, timeout: float) -> None:
        self.start()
        if not self.wait_connected(timeout):
            raise RuntimeError("no connection")
        assert self._stream is not None
        self._stream.max_write_buffer_size *= 2
        self._stream.max_buffer_size *= 2

    def disconnect(self) -> None:
        super().stop()
        super().join(timeout=10)

    def unhandled_inform(self, msg: Message) -> None:
        self.unhandled.append(msg.name)

    def inform_log(self, msg: Message) -> None:
        """Take a log message."""
        self.logs.append(msg)

    def notify_connected(self, connected: bool) -> None:
        self.changes.append((connected, threading.get_ident() == self.ioloop_thread_id))

    def ask(self, name: str, *arguments: Any) -> tuple[Message, list[Message]]:
        reply, informs = self.blocking_request(request(name, *arguments), timeout=5)
        if reply.arguments[0] != Message.OK:
            raise RuntimeError(str(reply))
        return reply, informs


def test_a_transport_of_a_program(caplog: pytest.LogCaptureFixture) -> None:
    threads = set(threading.enumerate())
    with Threaded(Device(greeting=V4)) as device:
        device.device.answers["read"] = lambda session, message: [b"! ok \\0\\n\\e\xff"]
        transport = KatcpTransport(host=device.host, port=device.port)
        transport.connect(5)
        assert transport._stream is not None
        assert transport._stream.max_write_buffer_size == 2 * transport.MAX_WRITE_BUFFER_SIZE
        assert transport._stream.max_buffer_size == 2 * transport.MAX_MSG_SIZE
        assert transport._bindaddr == (device.host, device.port)
        reply, _ = transport.ask("read", "register", 0, 4)
        assert reply.arguments[1] == b"\0\n\x1b\xff"
        with pytest.raises(RuntimeError, match="!nothing invalid"):
            transport.ask("nothing")
        device.say(b"#log info 1 x y", b"#fpga loaded", b"#log\xe9 x", b"#what", b"#log warn 2 x z")
        eventually(lambda: len(transport.logs) == 2)
        assert transport.unhandled == ["fpga", "what"]
        (managed,) = set(threading.enumerate()) - threads - {device._thread}
        assert managed.daemon
        transport.disconnect()
        assert not managed.is_alive()
        assert transport.changes == [(True, True), (False, True)]
        assert not transport.is_connected()
        transport.connect(5)
        assert transport.ask("watchdog")[0].reply_ok()
        transport.disconnect()


def test_limits_are_class_attributes_that_programs_multiply() -> None:
    class Large(CallbackClient):
        MAX_MSG_SIZE = CallbackClient.MAX_MSG_SIZE * 10
        MAX_WRITE_BUFFER_SIZE = CallbackClient.MAX_WRITE_BUFFER_SIZE * 10

    with Threaded(Device()) as device, started(Large(device.host, device.port)) as client:
        assert client.wait_connected(5)
        assert client._stream.max_buffer_size == 160 * 2**20
        assert client._stream.max_write_buffer_size == 40 * 2**20


def test_a_longest_line_set_after_connecting_takes_effect(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with (
        Threaded(Device(greeting=V50)) as device,
        started(BlockingClient(device.host, device.port)) as client,
    ):
        device.device.answers["long"] = lambda session, message: [b"! ok " + b"x" * 2000]
        assert client.wait_protocol(5)
        client._stream.max_buffer_size = 1000
        reply, _ = client.blocking_request(request("long"), timeout=0.05)
        assert not reply.reply_ok()
        assert "Malformed line" in caplog.text
        client._stream.max_buffer_size *= 10
        reply, _ = client.blocking_request(request("long"))
        assert len(reply.arguments[1]) == 2000


# -- the classes -------------------------------------------------------------------------


def test_which_clients_are_threadsafe() -> None:
    assert issubclass(BlockingClient, CallbackClient)
    assert issubclass(CallbackClient, AsyncClient)
    for cls, safe in [
        (DeviceClient, False),
        (AsyncClient, False),
        (CallbackClient, True),
        (BlockingClient, True),
    ]:
        client: Any = cls("127.0.0.1", 1)
        assert client.threadsafe is safe
        client.enable_thread_safety()
        client.enable_thread_safety()
        assert client.threadsafe
        assert ("timeout" in repr(client.send_message.__code__.co_varnames)) is True


def test_thread_safety_is_enabled_before_start() -> None:
    with Threaded(Device()) as device, started(AsyncClient(device.host, device.port)) as client:
        assert client.wait_connected(5)
        with pytest.raises(RuntimeError, match="after start"):
            client.enable_thread_safety()
        for method in (client.send_message, client.request, client.send_request):
            with pytest.raises(RuntimeError, match="not thread-safe"):
                method(request("watchdog"))
        for method in (client.callback_request, client.future_request, client.wire_request):
            with pytest.raises(RuntimeError, match="not thread-safe"):
                method(request("watchdog"))
        assert device.device.heard == []


def test_every_thread_may_send() -> None:
    with Threaded(Device(greeting=V50)) as device:
        client = DeviceClient(device.host, device.port)
        client.enable_thread_safety()
        with started(client):
            assert client.wait_protocol(5)
            assert client.request(request("one")) == b"1"  # type: ignore[call-arg]
            assert client.request(request("two"), use_mid=False, timeout=3) is None  # type: ignore[call-arg]
            assert client.send_message(request("three"), timeout=3) is None  # type: ignore[call-arg]
            with pytest.raises(ValueError, match="not a request"):
                client.request(Message.inform("x"))
            with pytest.raises(TypeError):
                client.send_message("no message")  # type: ignore[arg-type]
            eventually(lambda: len(device.device.heard) == 3)
            assert device.device.heard == [b"?one[1]", b"?two", b"?three"]


def test_w44_a_request_without_id_uses_no_number_up() -> None:
    with (
        Threaded(Device(greeting=V50)) as device,
        started(BlockingClient(device.host, device.port)) as client,
    ):
        assert client.wait_protocol(5)
        assert client.request(request("watchdog")) == b"1"
        assert client.request(request("watchdog"), use_mid=False) is None
        client.blocking_request(request("watchdog"), use_mid=False)
        assert client._last_msg_id == 1
        assert client.request(request("watchdog")) == b"2"
        assert in_loop(client, client._next_id) == b"3"
        assert client._last_msg_id == 3


def test_callbacks_are_called_in_the_loop() -> None:
    told: list[Any] = []
    with (
        Threaded(Device(greeting=V50)) as device,
        started(CallbackClient(device.host, device.port)) as client,
    ):
        assert client.wait_protocol(5)

        def tell(*args: Any) -> None:
            told.append((*args, threading.get_ident() == client.ioloop_thread_id))

        assert client.callback_request(request("help"), tell, tell, ("u", 1), timeout=5) is None
        eventually(lambda: len(told) == 3)
        assert [(bytes(msg), *rest) for msg, *rest in told] == [
            (b"#help[1] help Help.", "u", 1, True),
            (b"#help[1] watchdog Pong.", "u", 1, True),
            (b"!help[1] ok 2", "u", 1, True),
        ]


def test_what_there_is_no_callback_for_goes_to_the_methods_that_take_the_rest() -> None:
    told: list[str] = []

    class Client(CallbackClient):
        def inform_help(self, msg: Message) -> None:
            """Take a line of help."""
            told.append(f"inform_help {msg}")

        @gen.coroutine
        def unhandled_reply(self, msg: Message) -> Any:
            yield gen.moment
            told.append(f"unhandled_reply {msg}")

    with (
        Threaded(Device(greeting=V50)) as device,
        started(Client(device.host, device.port)) as client,
    ):
        device.device.answers["nap"] = never
        assert client.wait_protocol(5)
        client.callback_request(request("help", "watchdog"))
        eventually(lambda: len(told) == 2)
        client.callback_request(request("nap"), timeout=0)  # a failure that is made up is not told
        client.blocking_request(request("help", "help"))
        client.blocking_request(request("watchdog"))
        assert told == ["inform_help #help[1] watchdog Pong.", "unhandled_reply !help[1] ok 1"]


def test_calls_of_one_thread_are_made_in_their_order() -> None:
    with (
        Threaded(Device(greeting=V50)) as device,
        started(CallbackClient(device.host, device.port)) as client,
    ):
        assert client.wait_protocol(5)
        for number in range(0, 300, 3):
            client.callback_request(request("n", number))
            client.send_message(request("n", number + 1))
            client.callback_request(request("n", number + 2))
        eventually(lambda: len(device.device.heard) == 300)
        heard = [int(line.split()[1]) for line in device.device.heard]
        assert heard == list(range(300))


def test_disconnect_from_any_thread() -> None:
    for cls in (AsyncClient, CallbackClient):
        with Threaded(Device()) as device, started(cls(device.host, device.port)) as client:
            assert client.wait_connected(5)
            client.disconnect()
            eventually(lambda: device.device.count == 2)
            assert client.wait_connected(5)
            in_loop(client, client.disconnect)
            eventually(lambda: device.device.count == 3)


def test_disconnecting_for_an_error_says_which(caplog: pytest.LogCaptureFixture) -> None:
    with Threaded(Device()) as device, started(CallbackClient(device.host, device.port)) as client:
        assert client.wait_connected(5)

        def fail() -> None:
            try:
                raise KeyError("for this reason")
            except KeyError:
                client._disconnect(exc_info=True)

        in_loop(client, fail)
        eventually(lambda: device.device.count == 2)
        assert "Disconnecting from" in caplog.text
        assert "for this reason" in caplog.text


def test_not_connected_and_not_running() -> None:
    client = CallbackClient("127.0.0.1", 1)
    assert client.sockname == ("127.0.0.1", -1)
    assert client.sockname_string == "127.0.0.1:-1"
    client.join()
    for method in (client.send_message, client.request, client.callback_request):
        with pytest.raises(RuntimeError, match="start"):
            method(request("watchdog"))
    with pytest.raises(RuntimeError, match="start"):
        client.disconnect()
    with started(client):
        assert client.running()
        assert not client.wait_connected(0.01)
        assert not client.wait_protocol(0)
        assert client.wait_disconnected(1)
        assert client.wait_running(1)
        for method in (client.send_message, client.request):
            with pytest.raises(KatcpClientDisconnected, match=r"Not connected to device 127\.0"):
                method(request("watchdog"))
    with pytest.raises(RuntimeError, match="start"):
        client.callback_request(request("watchdog"))
    with pytest.raises(RuntimeError, match="start"):
        client.disconnect()


def test_waiting_in_the_loop_is_refused() -> None:
    with Threaded(Device()) as device, started(CallbackClient(device.host, device.port)) as client:
        assert client.wait_connected(5)
        for name in ("running", "connected", "disconnected", "protocol"):
            with pytest.raises(RuntimeError, match="block"):
                in_loop(client, getattr(client, f"wait_{name}"), 1)


@pytest.mark.parametrize("cls", [DeviceClient, AsyncClient, CallbackClient])
def test_w50_stopping_or_waiting_before_start_is_a_runtime_error(cls: type[Any]) -> None:
    client = cls("127.0.0.1", 1)
    with pytest.raises(RuntimeError, match="before stop"):
        client.stop()
    for name in ("running", "connected", "disconnected", "protocol"):
        with pytest.raises(RuntimeError, match="start"):
            getattr(client, f"wait_{name}")(0.01)


def test_w51_a_thread_that_waits_is_woken_by_stop() -> None:
    client = CallbackClient("127.0.0.1", 1)
    results: list[bool] = []
    with started(client):
        threads = [
            threading.Thread(target=lambda wait=wait: results.append(wait()))
            for wait in (client.wait_connected, client.wait_protocol)
        ]
        for thread in threads:
            thread.start()
        client.stop()
        for thread in threads:
            thread.join(10)
    assert results == [False, False]


# -- subclasses --------------------------------------------------------------------------


def test_methods_of_subclasses_can_be_marked() -> None:
    class Client(CallbackClient):
        here: Any = ()

        def where(self) -> bool:
            return threading.get_ident() == self.ioloop_thread_id

        @make_threadsafe
        def note(self, *args: Any) -> str:
            """Take a note."""
            self.here = (*args, self.where())
            return "unseen"

        @make_threadsafe_blocking
        @gen.coroutine
        def twice(self, name: str) -> Any:
            """Ask twice."""
            yield self.future_request(request(name))
            reply, _ = yield self.future_request(request(name))
            raise gen.Return((reply.arguments, self.where()))

        @make_threadsafe_blocking
        async def fail(self) -> None:
            """Fail."""
            raise KeyError("as asked for")

    with (
        Threaded(Device(greeting=V50)) as device,
        started(Client(device.host, device.port)) as client,
    ):
        assert client.wait_protocol(5)
        assert client.twice("watchdog", timeout=5) == ([b"ok"], True)
        assert client.note(1, 2) is None
        eventually(lambda: client.here)
        assert client.here == (1, 2, True)
        with pytest.raises(KeyError, match="as asked for"):
            client.fail()
        device.device.answers["nap"] = never
        with pytest.raises(concurrent.futures.TimeoutError):
            client.twice("nap", timeout=0.01)


def test_overrides_of_sending_see_every_request_and_may_be_called_anywhere() -> None:
    seen: list[tuple[str, bool]] = []

    class Client(CallbackClient):
        def send_message(self, msg: Message) -> Any:
            seen.append((msg.name, threading.get_ident() == self.ioloop_thread_id))
            if msg.name == "secret":
                raise KeyError("must not be sent")
            return super().send_message(msg)

    with (
        Threaded(Device(greeting=V50)) as device,
        started(Client(device.host, device.port)) as client,
    ):
        assert client.wait_protocol(5)
        reply, _ = client.blocking_request(request("watchdog"))
        assert reply.reply_ok()
        assert client.request(request("two")) == b"2"
        client.send_message(request("three"))  # in this thread; only the base goes to the loop
        client.callback_request(request("four"))
        reply, _ = client.blocking_request(request("secret"))
        assert reply.arguments == [b"fail", b"'must not be sent'"]
        assert seen == [
            ("watchdog", True),
            ("two", True),
            ("three", False),
            ("four", True),
            ("secret", True),
        ]
        eventually(lambda: len(device.device.heard) == 4)


def test_overrides_of_other_marked_methods_may_call_the_base_anywhere() -> None:
    class Client(CallbackClient):
        def request(self, msg: Message, use_mid: bool | None = None) -> Any:
            return super().request(msg, use_mid)

        def callback_request(self, *args: Any, **kwargs: Any) -> None:
            super().callback_request(*args, **kwargs)

    told: list[Message] = []
    with Threaded(Device(greeting=V50)) as device:
        client = Client(device.host, device.port)
        with pytest.raises(KatcpClientDisconnected):
            client.request(request("watchdog"))
        with started(client):
            assert client.wait_protocol(5)
            assert client.request(request("watchdog")) == b"1"
            client.callback_request(request("watchdog"), told.append)
            eventually(lambda: told)
            assert told[0].reply_ok()


def test_overrides_of_handling_see_every_message() -> None:
    seen: list[str] = []

    class Client(BlockingClient):
        def handle_message(self, msg: Message) -> Any:
            seen.append(str(msg))
            return super().handle_message(msg)

    with (
        Threaded(Device(greeting=V50)) as device,
        started(Client(device.host, device.port)) as client,
    ):
        assert client.wait_protocol(5)
        reply, informs = client.blocking_request(request("help"))
        assert (reply.reply_ok(), len(informs)) == (True, 2)
        eventually(lambda: len(seen) == 6)
        assert seen[3:] == ["#help[1] help Help.", "#help[1] watchdog Pong.", "!help[1] ok 2"]


# -- loops and threads -------------------------------------------------------------------


async def test_on_a_loop_of_the_program_used_from_other_threads() -> None:
    async with Device(greeting=V50) as device:
        client = CallbackClient(device.host, device.port)
        client.set_ioloop(IOLoop.current())
        client.start()
        await client.until_protocol(timeout=5)

        def ask() -> Any:
            reply, _ = client.blocking_request(request("watchdog"))
            return reply.reply_ok(), client.request(request("watchdog")), client.wait_connected(1)

        run = asyncio.get_running_loop().run_in_executor
        assert await run(None, ask) == (True, b"2", True)
        reply, _ = await client.future_request(request("watchdog"))
        assert reply.mid == b"3"
        with pytest.raises(AssertionError):
            client.blocking_request(request("watchdog"))
        client.send_message(request("watchdog"), timeout=3)  # type: ignore[call-arg]
        await client.send_message(request("watchdog"))
        client.stop()
        await client.until_stopped(timeout=5)


def test_start_stop_start() -> None:
    threads = set(threading.enumerate())
    with Threaded(Device(greeting=V50)) as device:
        client = BlockingClient(device.host, device.port)
        for number in range(1, 4):
            client.start(timeout=5)
            assert client._running.is_set()
            assert client._connected.isSet() or client.wait_connected(5)
            assert client.wait_protocol(5)
            reply, _ = client.blocking_request(request("watchdog"))
            assert reply.mid == b"%d" % number
            client.stop()
            client.join(timeout=5)
            assert not client.running()
            assert set(threading.enumerate()) - threads == {device._thread}


@pytest.mark.parametrize("cls", [DeviceClient, AsyncClient, CallbackClient])
def test_daemon(cls: type[Any]) -> None:
    threads = set(threading.enumerate())
    for set_it in (lambda c: c.setDaemon(True), lambda c: setattr(c, "daemon", True), None):
        client = cls("127.0.0.1", 1)
        assert client.daemon is False
        if set_it is not None:
            set_it(client)
        assert client.daemon is (set_it is not None)
        with started(client):
            (managed,) = set(threading.enumerate()) - threads
            assert managed.daemon is client.daemon


def test_a_daemon_lets_the_program_end() -> None:
    code = (
        "import katcp\n"
        "client = katcp.CallbackClient('127.0.0.1', 1)\n"
        "client.daemon = True\n"
        "client.start(5)\n"
        "print(client.running())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], timeout=30, check=True, capture_output=True, text=True
    )
    assert done.stdout == "True\n"


def test_nothing_holds_a_client_that_has_stopped_or_never_started() -> None:
    class Client(CallbackClient):
        @make_threadsafe
        def own(self) -> None:
            """Do nothing."""

    with Threaded(Device(greeting=V50)) as device:
        client: Any = Client(device.host, device.port)
        reference = weakref.ref(client)
        del client
        gc.collect()
        assert reference() is None

        client = Client(device.host, device.port)
        with started(client):
            assert client.wait_protocol(5)
            client.own()
            client.callback_request(request("help"), lambda *args, client=client: client)
            client.blocking_request(request("watchdog"))
            client.send_message(request("watchdog"))
        reference = weakref.ref(client)
        del client
        gc.collect()
        assert reference() is None


def test_a_handler_may_stop_the_client() -> None:
    class Client(CallbackClient):
        def inform_bye(self, msg: Message) -> None:
            """Go."""
            self.stop()

    with Threaded(Device(greeting=V50)) as device:
        client = Client(device.host, device.port)
        client.start(timeout=5)
        assert client.wait_protocol(5)
        device.say(b"#bye")
        client.join(timeout=10)
        assert not client.running()


def test_stop_while_threads_send() -> None:
    with Threaded(Device(greeting=V50)) as device:
        client = CallbackClient(device.host, device.port)
        ends: list[str] = []
        sending = threading.Barrier(5)

        def send() -> None:
            sending.wait()
            while True:
                try:
                    client.send_message(request("watchdog"))
                    client.callback_request(request("watchdog"))
                except (KatcpClientDisconnected, RuntimeError) as error:
                    ends.append(type(error).__name__)
                    return

        with started(client):
            assert client.wait_protocol(5)
            threads = [threading.Thread(target=send) for _ in range(4)]
            for thread in threads:
                thread.start()
            sending.wait()
            time.sleep(0.01)
        for thread in threads:
            thread.join(10)
        assert len(ends) == 4


def test_the_package_has_them() -> None:
    assert katcp.CallbackClient is katcp.client.CallbackClient
    assert katcp.BlockingClient is katcp.client.BlockingClient
