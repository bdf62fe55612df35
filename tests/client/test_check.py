from __future__ import annotations

import pytest

from katcp import BlockingClient
from katcp.client import request_check
from tests.helpers.scripted import V50, Device
from tests.helpers.threaded import Threaded, started


class WentWrong(Exception):
    pass


def test_request_check() -> None:
    with (
        Threaded(Device(greeting=V50)) as device,
        started(BlockingClient(device.host, device.port)) as client,
    ):
        device.device.answers["odd"] = lambda session, message: [b"! fail caf\xe9"]
        device.device.answers["nap"] = lambda session, message: None
        assert client.wait_protocol(5)
        reply, informs = request_check(client, WentWrong, "help", "watchdog")
        assert reply.arguments == [b"ok", b"1"]
        assert informs[0].arguments == [b"watchdog", b"Pong."]
        with pytest.raises(WentWrong) as caught:
            request_check(client, WentWrong, "nothing", "a b", 1)
        assert str(caught.value) == (
            'Unexpected failure reply "!nothing[2] invalid Unknown\\_request."\n'
            f" with device at 127.0.0.1:{device.port}, request \n"
            '"?nothing[2] a\\_b 1"'
        )
        with pytest.raises(WentWrong, match=r"timed\\_out"):
            request_check(client, WentWrong, "nap", timeout=0)
        with pytest.raises(WentWrong, match="caf"):
            request_check(client, WentWrong, "odd")
        with pytest.raises(TypeError, match="bogus"):
            request_check(client, WentWrong, "help", bogus=1)


def test_w49_request_check_passes_the_id_on() -> None:
    with (
        Threaded(Device(greeting=V50)) as device,
        started(BlockingClient(device.host, device.port)) as client,
    ):
        assert client.wait_protocol(5)
        reply, _ = request_check(client, WentWrong, "watchdog", mid=77)
        assert reply.mid == b"77"
        assert device.device.heard == [b"?watchdog[77]"]
