from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any

import pytest

from katcp import AsyncDeviceServer, AsyncReply, DeviceServer, Message, Sensor
from katcp.testutils import DeviceTestServer, handle_mock_req, mock_req


class Requests:
    """Ways to answer."""

    def setup_sensors(self) -> None:
        self.add_sensor(Sensor.integer("number"))  # type: ignore[attr-defined]

    def request_ready(self, req: Any, msg: Message) -> None:
        """Answer with a ready message."""
        req.inform("soon")
        req.reply_with_message(req.make_reply("ok", "ready"))
        raise AsyncReply

    async def request_wait(self, req: Any, msg: Message) -> Any:
        """Wait, then answer."""
        await asyncio.sleep(0.001)
        return req.make_reply("ok", "waited")

    async def request_answers(self, req: Any, msg: Message) -> None:
        """Answer, and return nothing."""
        await asyncio.sleep(0)
        req.reply("ok", "answered")

    def request_thread(self, req: Any, msg: Message) -> None:
        """Answer from another thread."""
        self.thread = threading.Thread(target=req.reply, args=("ok", "thread"))
        self.thread.start()
        raise AsyncReply

    def request_where(self, req: Any, msg: Message) -> Any:
        """Tell the thread."""
        return req.make_reply("ok", threading.get_ident())

    def request_note(self, req: Any, msg: Message) -> Any:
        """Tell the client something besides."""
        req.client_connection.inform(Message.inform("note"))
        req.mass_inform(Message.inform("all"))
        return req.make_reply("ok")

    def request_sensor_list(self, req: Any, msg: Message) -> Any:
        """List sensors, by what is built in."""
        return super().request_sensor_list(req, msg)  # type: ignore[misc]

    def request_double(self, req: Any, x: int) -> int:
        """Twice x."""
        return 2 * x


class Threaded(Requests, DeviceServer):
    pass


class Asynchronous(Requests, AsyncDeviceServer):
    pass


@pytest.fixture(params=[Threaded, Asynchronous])
def device(request: pytest.FixtureRequest) -> Any:
    return request.param("127.0.0.1", 0)


async def ask(device: Any, name: str, *args: Any, **kwargs: Any) -> tuple[str, list[str]]:
    future = handle_mock_req(device, mock_req(name, *args, **kwargs))
    reply, informs = await asyncio.wait_for(future, 5)
    return str(reply), [str(inform) for inform in informs]


async def test_all_ways_to_answer(device: Any) -> None:
    assert await ask(device, "ready") == ("!ready ok ready", ["#ready soon"])
    assert await ask(device, "wait") == ("!wait ok waited", [])
    assert await ask(device, "answers") == ("!answers ok answered", [])
    assert await ask(device, "thread") == ("!thread ok thread", [])
    device.thread.join()
    assert await ask(device, "double", 4) == ("!double ok 8", [])
    assert await ask(device, "note") == ("!note ok", [])
    reply, informs = await ask(device, "sensor-list")
    assert (reply, len(informs)) == ("!sensor-list ok 1", 1)


async def test_strategies_of_a_mock_connection() -> None:
    device = Asynchronous("127.0.0.1", 0)
    device.start()
    reply, _ = await ask(device, "sensor-sampling", "number", "event")
    assert reply == "!sensor-sampling ok number event"
    await device.stop()


async def test_a_device_that_runs_in_a_thread_answers_there() -> None:
    device = Threaded("127.0.0.1", 0)
    device.start(timeout=5)
    try:
        reply, _ = await ask(device, "where")
        assert reply != f"!where ok {threading.get_ident()}"
        assert (await ask(device, "wait"))[0] == "!wait ok waited"
    finally:
        device.stop()
        device.join(timeout=5)


def test_without_any_loop(device: Any) -> None:
    req = mock_req("double", 4)
    reply, _ = handle_mock_req(device, req).result(timeout=5)
    assert str(reply) == "!double ok 8"
    req.reply.assert_called_once_with(b"ok", b"8")


async def test_a_request_may_be_handled_again(device: Any) -> None:
    req = mock_req("ready")
    first = await handle_mock_req(device, req)
    second = await handle_mock_req(device, req)
    assert first == second
    assert first[1] is not second[1]
    assert req.inform.call_count == 2


def test_a_request_has_one_reply() -> None:
    req = mock_req("ready")
    req.reply("ok")
    with pytest.raises(RuntimeError, match="already sent"):
        req.reply("ok")
    with pytest.raises(RuntimeError, match="after sending reply"):
        req.inform("late")
    assert req.reply_and_inform_msgs_future.result(timeout=0) == (Message.reply("ready", "ok"), [])


async def test_the_connection_of_a_server() -> None:
    device = DeviceTestServer("127.0.0.1", 0)
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        socket.create_connection(listening.getsockname()) as sock,
    ):
        req = mock_req("new-command", server=device, sock=sock)
        host, port = sock.getpeername()
        assert req.client_connection.address == f"{host}:{port}"
    assert (await ask(device, "new-command", server=device))[0] == "!new-command ok param1 param2"
    assert (await ask(Threaded("", 0), "note", server=device))[0] == "!note ok"


async def test_a_connection_of_ones_own(device: Any) -> None:
    class Connection:
        def __init__(self) -> None:
            self.informs: list[str] = []
            self.to_all: list[str] = []

        def inform(self, msg: Message) -> None:
            self.informs.append(str(msg))

        def mass_inform(self, msg: Message) -> None:
            self.to_all.append(str(msg))

    connection = Connection()
    req = mock_req("note", client_conn=connection)
    assert str((await handle_mock_req(device, req))[0]) == "!note ok"
    assert connection.informs == ["#note"]
    req.mass_inform.assert_called_once_with(Message.inform("all"))


async def test_any_object_that_handles_requests_will_do() -> None:
    class Plain:
        def handle_request(self, connection: Any, msg: Message) -> None:
            connection.reply_inform(Message.reply_inform(msg, 1), msg)
            connection.reply(Message.reply_to_request(msg, "ok"), msg)

    assert await ask(Plain(), "anything") == ("!anything ok", ["#anything 1"])


async def test_errors_of_the_device_reach_the_future() -> None:
    class Broken:
        def handle_request(self, connection: Any, msg: Message) -> None:
            raise KeyError("broken")

    with pytest.raises(KeyError, match="broken"):
        await handle_mock_req(Broken(), mock_req("anything"))


def test_a_server_that_is_handed_the_mock_connection() -> None:
    device = DeviceTestServer("", 0)
    req = mock_req("new-command")
    device.handle_request(req.client_connection, req.msg)
    assert str(req.reply_msg) == "!new-command ok param1 param2"
