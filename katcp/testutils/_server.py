"""Devices to test clients with."""

from __future__ import annotations

import asyncio
import queue
import threading
from typing import Any, ClassVar

from tornado import gen
from tornado.ioloop import IOLoop
from tornado.util import TimeoutError

from katcp.aio import AsyncEvent
from katcp.errors import AsyncReply, FailReply
from katcp.ioloop_manager import ThreadsafeFuture
from katcp.kattypes import (
    Bool,
    Float,
    Int,
    Str,
    concurrent_reply,
    request,
    request_timeout_hint,
    return_reply,
)
from katcp.protocol import Message, ProtocolFlags
from katcp.sensors import Sensor
from katcp.server import DeviceServer
from katcp.testutils._sensors import DeviceTestSensor

_BUSY = "A slow command is already running for this connection"


class _Gate(AsyncEvent):
    """An event that may be set from other threads than that of the server's loop."""

    def __init__(self, server: DeviceTestServer) -> None:
        super().__init__()
        self._server = server

    def set(self) -> None:
        """Set it, in the loop; return when that is done."""
        loop = self._server.ioloop if self._server.running() else None
        if loop is None or _runs_here(loop):
            super().set()
            return
        done = ThreadsafeFuture()

        def set_it() -> None:
            AsyncEvent.set(self)
            done.set_result(None)

        loop.add_callback(set_it)
        done.result(5)


def _runs_here(loop: IOLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop.asyncio_loop  # type: ignore[attr-defined]
    except RuntimeError:
        return False


class DeviceTestServer(DeviceServer):
    """A device with four sensors and some requests, that does what a test tells it to.

    Parameters are those of `DeviceServer`.

    Attributes
    ----------
    break_help, break_sensor_list : str or bool
        If not false, ``?help`` or ``?sensor-list`` fails with this text.
    restart_queue : queue.Queue
        Gets the server at ``?restart``.
    restarted : bool
        False; for the test.
    proceed_on_client_connect : AsyncEvent
        Set; clear it to hold back the greeting of clients, and all that follows it.
    """

    PROTOCOL_INFO: ClassVar[ProtocolFlags] = ProtocolFlags(5, 0, "IM")

    # Clients get nothing that the test did not cause.
    announces_clients = False

    restarted: bool

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._messages: list[Message] = []
        self._message_lock = threading.Lock()
        self._awaited: list[tuple[int, ThreadsafeFuture]] = []
        #: By connection: what ends the wait of its slow command.
        self._slow_commands: dict[Any, Any] = {}
        super().__init__(*args, **kwargs)
        self.break_help: Any = False
        self.break_sensor_list: Any = False
        self.restart_queue: queue.Queue[Any] = queue.Queue()
        self.set_restart_queue(self.restart_queue)
        self.proceed_on_client_connect: AsyncEvent = _Gate(self)
        self.proceed_on_client_connect.set()

    def setup_sensors(self) -> None:
        """Make the four sensors."""
        self.restarted = False
        for sensor in (
            DeviceTestSensor(
                Sensor.INTEGER, "an.int", "An Integer.", "count", [-5, 5], 12345, Sensor.NOMINAL, 3
            ),
            DeviceTestSensor(
                Sensor.DISCRETE,
                "a.discrete",
                "A Discrete.",
                "",
                ["one", "two", "three"],
                12345,
                Sensor.NOMINAL,
                "one",
            ),
            DeviceTestSensor(
                Sensor.FLOAT, "a.float", "A Float.", "", [-123.4, 123.4], 12345, Sensor.NOMINAL, 12
            ),
            DeviceTestSensor(
                Sensor.FLOAT,
                "a.floatwithzero",
                "A Float with zero.",
                "",
                [-123.0, 123.0],
                12345,
                Sensor.NOMINAL,
                12,
            ),
        ):
            self.add_sensor(sensor)

    # -- what it has seen ---------------------------------------------------------------

    @property
    def messages(self) -> list[Message]:
        """All messages from clients, in the order in which they were handled."""
        return self._messages

    @property
    def request_names(self) -> list[str]:
        """Names of the requests."""
        return sorted(self._request_handlers)

    @property
    def sensor_names(self) -> list[str]:
        """Names of the sensors, in the order in which they were added."""
        return [sensor.name for sensor in self.get_sensors()]

    def handle_message(self, req: Any, msg: Message) -> Any:
        """Take note of a message, then handle it."""
        with self._message_lock:
            self._messages.append(msg)
            number = len(self._messages)
            reached = [future for count, future in self._awaited if count <= number]
            self._awaited = [waits for waits in self._awaited if waits[0] > number]
        for future in reached:
            if future.set_running_or_notify_cancel():
                future.set_result(self._messages)
        return super().handle_message(req, msg)

    def until_messages(self, cnt: int) -> ThreadsafeFuture:
        """Return a thread-safe future of `messages`, done when there are `cnt` in all."""
        future = ThreadsafeFuture()
        with self._message_lock:
            if len(self._messages) < cnt:
                self._awaited.append((cnt, future))
                return future
        future.set_result(self._messages)
        return future

    # -- life ---------------------------------------------------------------------------

    @gen.coroutine
    def on_client_connect(self, client_conn: Any) -> Any:
        """Greet a client, as soon as `proceed_on_client_connect` is set."""
        yield self.proceed_on_client_connect.until_set()
        yield super().on_client_connect(client_conn)

    def stop(self, *args: Any, **kwargs: Any) -> ThreadsafeFuture:
        """Disconnect all clients and stop; see `DeviceServer.stop`."""
        stopped = super().stop(*args, **kwargs)
        # The loop may be that of the test, where timers would outlive the server.
        loop = self.ioloop
        if loop is not None:
            stopped.add_done_callback(lambda _: self._forget_slow_commands())
        return stopped

    def _forget_slow_commands(self) -> None:
        while self._slow_commands:
            _, end = self._slow_commands.popitem()
            end(None)

    # -- requests -----------------------------------------------------------------------

    def request_help(self, req: Any, msg: Message) -> Any:
        """List the requests, or describe one; fails if `break_help` is set."""
        if self.break_help:
            return req.make_reply("fail", self.break_help)
        return super().request_help(req, msg)

    def request_sensor_list(self, req: Any, msg: Message) -> Any:
        """List the sensors; fails if `break_sensor_list` is set."""
        if self.break_sensor_list:
            return req.make_reply("fail", self.break_sensor_list)
        return super().request_sensor_list(req, msg)

    def request_new_command(self, req: Any, msg: Message) -> Message:
        """Reply with two parameters."""
        reply: Message = req.make_reply("ok", "param1", "param2")
        return reply

    def request_raise_exception(self, req: Any, msg: Message) -> Message:
        """Raise an exception."""
        raise Exception("An exception occurred!")

    def request_raise_fail(self, req: Any, msg: Message) -> Message:
        """Raise a FailReply."""
        raise FailReply("There was a problem with your request.")

    @request_timeout_hint(99)
    def request_slow_command(self, req: Any, msg: Message) -> Message:
        """Reply after the given number of seconds.

        Meanwhile other requests are handled; ?cancel-slow-command ends the wait. A connection can
        have one at a time.
        """
        seconds = float(msg.arguments[0])
        connection = req.client_connection
        if connection in self._slow_commands:
            fail: Message = req.make_reply("fail", _BUSY)
            return fail
        loop = self.ioloop or IOLoop.current()
        timer: list[Any] = []

        def finish() -> None:
            if self._slow_commands.pop(connection, None) is not None:
                req.reply("ok")

        def begin() -> None:
            if connection in self._slow_commands:
                timer.append(loop.call_later(seconds, finish))

        def end(result: str | None) -> None:
            if timer:
                loop.add_callback(loop.remove_timeout, timer[0])
            if result is not None:
                req.reply(result)

        self._slow_commands[connection] = end
        loop.add_callback(begin)
        raise AsyncReply

    def request_cancel_slow_command(self, req: Any, msg: Message) -> Message:
        """Cancel slow command request, resulting in it replying immediately."""
        end = self._slow_commands.pop(req.client_connection, None)
        if end is not None:
            end("ok")
        reply: Message = req.make_reply("ok")
        return reply

    @request(Str(), Float(), Int(), Bool())
    @return_reply(Str(), Float(), Int(), Bool())
    def request_decorated(
        self, req: Any, _string: str, _float: float, _int: int, do_raise: bool
    ) -> Any:
        """Return the parameters, with an inform on the type of each; or raise an exception."""
        if do_raise:
            raise Exception("An exception occurred!")
        req.inform("_string", str(type(_string)))
        req.inform("_float", str(type(_float)))
        req.inform("_int", str(type(_int)))
        req.inform("do_raise", str(type(do_raise)))
        return ("ok", _string, _float, _int, do_raise)

    def request_decorated_return_exception(self, req: Any, msg: Message) -> Any:
        """Fail with an exception for a text."""
        return req.make_reply("fail", Exception("An exception occurred!"))


class DeviceTestServerWithTimeoutHints(DeviceTestServer):
    """A `DeviceTestServer` that speaks 5.1 and has hints on how long requests take.

    Attributes
    ----------
    request_timeout_hints : dict
        Name of a request -> hint [s].
    """

    PROTOCOL_INFO: ClassVar[ProtocolFlags] = ProtocolFlags(5, 1, "IMT")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.request_timeout_hints: dict[str, float] = {"slow-command": 10.5, "raise-fail": 2.3}

    @request(Str(optional=True))
    @return_reply(Int())
    def request_request_timeout_hint(self, req: Any, name: str | None) -> Any:
        """Tell how long a request may take, 0 for one without a hint; or all that have one."""
        hints = self.request_timeout_hints
        chosen = {name: hints.get(name, 0)} if name else dict(hints)
        for request_name, hint in chosen.items():
            req.inform(request_name, hint)
        return ("ok", len(chosen))


class AsyncDeviceTestServer(DeviceTestServer):
    """A `DeviceTestServer` whose handlers run in its loop; not thread-safe."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.set_concurrency_options(thread_safe=False, handler_thread=False)

    @request(Float())
    @return_reply()
    @request_timeout_hint(99)
    @concurrent_reply
    @gen.coroutine
    def request_slow_command(self, req: Any, wait_time: float) -> Any:
        """Reply after the given number of seconds.

        Meanwhile other requests are handled; ?cancel-slow-command ends the wait. A connection can
        have one at a time.
        """
        connection = req.client_connection
        if connection in self._slow_commands:
            raise FailReply(_BUSY)
        cancelled = AsyncEvent()
        self._slow_commands[connection] = lambda result: cancelled.set()
        try:
            yield cancelled.until_set(timeout=wait_time)
        except TimeoutError:
            self._slow_commands.pop(connection, None)
        return ("ok",)
