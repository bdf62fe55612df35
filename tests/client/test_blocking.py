from __future__ import annotations

import re
import threading
from typing import Any

import pytest

from katcp import BlockingClient, Message
from katcp.client import AsyncClient, _blocking
from tests.helpers.scripted import V4, V50, V50_NO_IDS, Device, Session
from tests.helpers.threaded import Threaded, eventually, in_loop, started

request = Message.request


def never(session: Session, message: Message) -> None:
    """Leave a request without an answer."""


@pytest.mark.parametrize("cls", [AsyncClient, BlockingClient])
def test_a_request_its_informs_and_its_reply(cls: type[Any]) -> None:
    with Threaded(Device(greeting=V50)) as device, started(cls(device.host, device.port)) as client:
        assert client.wait_protocol(5)
        asked = request("help")
        reply, informs = client.blocking_request(asked)
        assert reply == Message.reply("help", "ok", 2, mid=1)
        assert [inform.arguments for inform in informs] == [
            [b"help", b"Help."],
            [b"watchdog", b"Pong."],
        ]
        assert asked.mid == b"1"
        reply, informs = client.blocking_request(request("nothing"), timeout=5, use_mid=False)
        assert (reply.arguments[0], reply.mid, informs) == (b"invalid", None, [])


def test_it_may_be_asked_before_anything_is_known_of_the_device() -> None:
    with (
        Threaded(Device(greeting=V4)) as device,
        started(BlockingClient(device.host, device.port)) as client,
    ):
        assert client.wait_connected(5)
        reply, _ = client.blocking_request(request("watchdog"))
        assert reply.reply_ok()
        assert device.device.heard == [b"?watchdog"]


def test_failures_are_replies() -> None:
    with (
        Threaded(Device(greeting=V50)) as device,
        started(BlockingClient(device.host, device.port, timeout=0.02)) as client,
    ):
        device.device.answers["nap"] = lambda session, message: [b"# napping"]
        assert client.wait_protocol(5)
        for timeout in (None, 0.01, 0):
            reply, informs = client.blocking_request(request("nap"), timeout)
            assert reply.mtype == Message.REPLY
            assert reply.arguments[0] == b"fail"
            text = reply.arguments[1].decode()
            assert re.fullmatch(r"Request nap timed out after \d+\.\d{6} seconds\.", text)
            assert len(informs) <= 1
        threading.Timer(0.01, device.call, [device.device.cut]).start()
        reply, _ = client.blocking_request(request("nap"), timeout=10)
        assert reply.arguments == [b"fail", b"Connection closed before reply was received"]
        device.call(device.device.refuse)
        device.call(device.device.cut)
        assert client.wait_disconnected(5)
        reply, _ = client.blocking_request(request("nap"))
        assert reply.mtype == Message.REPLY
        assert reply.arguments == [
            b"fail",
            b"Not connected to device 127.0.0.1:%d" % device.port,
        ]


def test_a_timeout_of_0_is_over_before_any_answer_can_be_there() -> None:
    with (
        Threaded(Device(greeting=V50)) as device,
        started(BlockingClient(device.host, device.port)) as client,
    ):
        assert client.wait_protocol(5)
        for _ in range(20):
            reply, informs = client.blocking_request(request("watchdog"), timeout=0)
            assert b"timed out" in reply.arguments[1]
            assert informs == []


def test_only_requests_can_be_asked() -> None:
    with (
        Threaded(Device(greeting=V50)) as device,
        started(BlockingClient(device.host, device.port)) as client,
    ):
        assert client.wait_protocol(5)
        with pytest.raises(ValueError, match="is not a request"):
            client.blocking_request(Message.inform("watchdog"))
        assert client.blocking_request(request("watchdog"))[0].mid == b"1"


def test_ids_are_refused_by_a_reply_and_ids_in_use_by_an_error() -> None:
    with (
        Threaded(Device(greeting=V50_NO_IDS)) as device,
        started(BlockingClient(device.host, device.port)) as client,
    ):
        device.device.answers["nap"] = never
        assert client.wait_protocol(5)
        reply, _ = client.blocking_request(request("watchdog"), use_mid=True)
        assert reply.arguments == [b"fail", b"Message IDs not supported by server"]
        device.device.greeting = V50
        device.call(device.device.cut)
        eventually(lambda: client.protocol_flags is not None and client.protocol_flags.message_ids)
        client.callback_request(request("nap", mid=9), timeout=5)
        with pytest.raises(ValueError, match="9 is in use"):
            client.blocking_request(request("nap", mid=9))


def test_in_its_own_loop_it_refuses() -> None:
    with (
        Threaded(Device()) as device,
        started(BlockingClient(device.host, device.port)) as client,
        pytest.raises(AssertionError, match="blocking_request"),
    ):
        in_loop(client, client.blocking_request, request("watchdog"))


def test_before_start_it_is_an_error_after_stop_a_reply() -> None:
    with Threaded(Device()) as device:
        client = BlockingClient(device.host, device.port)
        with pytest.raises(RuntimeError, match="start"):
            client.blocking_request(request("watchdog"))
        with started(client):
            assert client.wait_protocol(5)
        reply, informs = client.blocking_request(request("watchdog", mid=3))
        assert reply == Message.reply(
            "watchdog", "fail", "Client stopped before reply was received", mid=3
        )
        assert informs == []


def test_a_loop_that_is_stuck_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _blocking._PATIENCE == 1.0
    monkeypatch.setattr(_blocking, "_PATIENCE", 0.01)
    with Threaded(Device()) as device, started(BlockingClient(device.host, device.port)) as client:
        assert client.wait_protocol(5)
        gate = threading.Event()
        client.ioloop.add_callback(gate.wait)
        with pytest.raises(RuntimeError, match="stuck: there is no answer to watchdog"):
            client.blocking_request(request("watchdog"), timeout=0.01)
        gate.set()
        reply, _ = client.blocking_request(request("watchdog"))
        assert reply.reply_ok()


def test_sixteen_threads_get_all_their_answers() -> None:
    with (
        Threaded(Device(greeting=V50)) as device,
        started(BlockingClient(device.host, device.port)) as client,
    ):
        device.device.answers["echo"] = lambda session, message: [
            b"# " + message.arguments[0],
            b"! ok " + message.arguments[0],
        ]
        assert client.wait_protocol(5)
        wrong: list[Any] = []
        counts = [0] * 16

        def ask(number: int) -> None:
            for index in range(50):
                word = b"%d-%d" % (number, index)
                reply, informs = client.blocking_request(request("echo", word), timeout=20)
                if reply.arguments != [b"ok", word] or informs[0].arguments != [word]:
                    wrong.append((reply, informs))
                counts[number] += 1

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert wrong == []
        assert counts == [50] * 16


@pytest.mark.parametrize("stop_in_loop", [False, True])
def test_stopping_wakes_all_who_wait(stop_in_loop: bool) -> None:
    with Threaded(Device(greeting=V50)) as device:
        device.device.answers["nap"] = never
        client = BlockingClient(device.host, device.port, timeout=60)
        results: list[Any] = []

        def ask() -> None:
            results.extend(client.blocking_request(request("nap")) for _ in range(3))

        with started(client):
            assert client.wait_protocol(5)
            threads = [threading.Thread(target=ask) for _ in range(8)]
            for thread in threads:
                thread.start()
            eventually(lambda: len(device.device.heard) == 8)
            if stop_in_loop:
                client.ioloop.add_callback(client.stop)
            else:
                client.stop()
            for thread in threads:
                thread.join(10)
            client.join(10)
        assert len(results) == 24
        for reply, informs in results:
            assert reply.arguments == [b"fail", b"Client stopped before reply was received"]
            assert informs == []


def test_it_goes_by_a_future_request_of_a_subclass() -> None:
    asked: list[Any] = []

    class Tracing(BlockingClient):
        def future_request(self, msg: Message, *args: Any, **kwargs: Any) -> Any:
            asked.append((msg.name, *args))
            if msg.name == "raise":
                raise KeyError(msg.name)
            return super().future_request(msg, *args, **kwargs)

    with Threaded(Device()) as device, started(Tracing(device.host, device.port)) as client:
        assert client.wait_protocol(5)
        reply, _ = client.blocking_request(request("watchdog"), timeout=3)
        assert reply.reply_ok()
        with pytest.raises(KeyError):
            client.blocking_request(request("raise"))
        assert asked == [("watchdog", 3, None), ("raise", None, None)]
