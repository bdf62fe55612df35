"""The fake client by itself."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from tornado.ioloop import IOLoop

from katcp.client import AsyncClient
from katcp.fake_clients import (
    FakeAsyncClient,
    FakeClientRequestConnection,
    FakeKATCPServer,
    FakeKATCPServerError,
)
from katcp.protocol import Message
from katcp.server import ClientConnection, ClientRequestConnection


def echo(req: Any, msg: Message) -> Any:
    """Say it again."""
    return req.make_reply("ok", *msg.arguments)


async def started() -> FakeAsyncClient:
    client = FakeAsyncClient("fake-host", 7147)
    client.request_handlers["echo"] = echo
    client.set_ioloop(IOLoop.current())
    client.start()
    await client.until_protocol(timeout=5)
    return client


async def test_a_fake_client_asks_in_every_way_of_a_real_one() -> None:
    client = await started()
    assert isinstance(client, AsyncClient)
    assert client.is_connected()
    assert client.bind_address == ("fake-host", 7147)
    assert client.sockname_string == "fake-async-client:0"
    reply, informs = await client.future_request(Message.request("echo", "a"))
    assert (str(reply), informs) == ("!echo[1] ok a", [])
    replied: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
    client.callback_request(Message.request("echo", "b"), reply_cb=replied.set_result)
    assert str(await replied) == "!echo[2] ok b"
    heard: list[Message] = []
    client.unhandled_reply = heard.append  # type: ignore[method-assign]
    client.send_message(Message.request("echo", "c", mid=99))
    await client.future_request(Message.request("echo"))
    assert [str(message) for message in heard] == ["!echo[99] ok c"]
    client.stop()
    await client.until_stopped(timeout=5)
    assert not client.is_connected()
    with pytest.raises(FakeKATCPServerError):
        client.client_connection.inform(Message.inform("late"))


async def test_without_a_connection_requests_fail() -> None:
    client = FakeAsyncClient("fake-host", 7147)
    reply, _ = await client.future_request(Message.request("echo"))
    assert b"Not connected" in reply.arguments[1]
    assert client.client_connection.address == "<fake-client-connection: 'fake-async-client'>"


async def test_its_own_help_lists_its_handlers() -> None:
    client = await started()
    reply, informs = await client.future_request(Message.request("help"))
    assert reply.arguments == [b"ok", b"1"]
    assert informs[0].arguments == [b"echo", b"Say it again."]
    client.stop()
    await client.until_stopped(timeout=5)


def test_it_may_have_a_loop_in_a_thread_of_its_own() -> None:
    client = FakeAsyncClient("fake-host", 7147)
    client.request_handlers["echo"] = echo
    client.start(timeout=5)
    assert client.wait_protocol(timeout=5)
    answers: list[str] = []
    done = threading.Event()

    def on_reply(msg: Message) -> None:
        answers.append(str(msg))
        done.set()

    def begin() -> None:
        client.callback_request(Message.request("echo", 1), reply_cb=on_reply)

    assert client.ioloop is not None
    client.ioloop.add_callback(begin)
    assert done.wait(5)
    assert answers == ["!echo[1] ok 1"]
    client.stop()
    client.join(timeout=5)


def test_additions_after_the_loop_has_been_closed_harm_nobody() -> None:
    client = FakeAsyncClient("fake-host", 7147)
    loop = IOLoop(make_current=False)

    async def begin() -> None:
        client.set_ioloop(IOLoop.current())
        client.start()
        await client.until_protocol(timeout=5)

    loop.run_sync(begin)
    client.update_fake({"echo": echo}, {})  # takes effect when the loop goes on
    assert "echo" in client.request_handlers

    async def end() -> None:
        _, informs = await client.future_request(Message.request("help"))
        assert len(informs) == 1
        client.stop()
        await client.until_stopped(timeout=5)

    loop.run_sync(end)
    loop.close()
    client.update_fake({"echo": None}, {"a": ("", "", "integer")})
    assert list(client.fake_sensors) == ["a"]
    assert client.request_handlers == {}


def test_nothing_can_be_sent_by_a_fake_server() -> None:
    server = FakeKATCPServer()
    for send in (
        lambda: server.send_message("x", Message.inform("x")),
        lambda: server.mass_send_message(Message.inform("x")),
    ):
        with pytest.raises(FakeKATCPServerError):
            send()
    assert server.get_address("x") == "<fake-client-connection: 'x'>"
    assert server.flush_on_close().done()


async def test_what_a_fake_server_flushes_can_be_awaited() -> None:
    client = FakeAsyncClient("fake-host", 7147)
    assert await client.fake_server.flush_on_close() is None
    assert await client.client_connection.flush_on_close() is None
    assert await client.client_connection.disconnect("Bye.") is None


def test_a_request_may_be_made_up() -> None:
    client = FakeAsyncClient("fake-host", 7147)
    connection = client.client_connection
    assert isinstance(connection, ClientConnection)
    msg = Message.request("foo", 1, mid=5)
    req = FakeClientRequestConnection(connection, msg)
    assert isinstance(req, ClientRequestConnection)
    assert req.msg is msg
    assert req.client_connection is connection
    req.inform("a", 1)
    assert [str(inform) for inform in req.informs_sent] == ["#foo[5] a 1"]
    assert str(req.make_reply("ok", 2)) == "!foo[5] ok 2"
    assert not req.answered
    with pytest.raises(FakeKATCPServerError):
        req.mass_inform(Message.inform("x"))
    with pytest.raises(FakeKATCPServerError):
        req.reply("ok", 2)
    with pytest.raises(RuntimeError, match="already sent"):
        req.reply_with_message(Message.reply("foo", "ok"))
    with pytest.raises(RuntimeError, match="after sending reply"):
        req.inform("late")
    assert len(req.informs_sent) == 1
    for send in (connection.inform, connection.mass_inform):
        with pytest.raises(FakeKATCPServerError):
            send(Message.inform("x"))
    for send in (connection.reply, connection.reply_inform):
        with pytest.raises(FakeKATCPServerError):
            send(Message.inform("x"), msg)
    assert "foo" in repr(req)
    assert "fake" in repr(connection)


def test_a_made_up_request_is_answered_by_its_connection() -> None:
    class Connection:
        def __init__(self) -> None:
            self.sent: list[Message] = []

        def reply(self, reply: Message, orig_req: Message) -> None:
            self.sent.append(reply)

    connection = Connection()
    req = FakeClientRequestConnection(
        client_connection=connection, req_msg=Message.request("foo", mid=5)
    )
    req.reply("ok", 1)
    assert [str(message) for message in connection.sent] == ["!foo[5] ok 1"]
