"""Making a device for the program, and serving it until its end."""

import asyncio
from typing import Any

import pytest

from katcp.apps.server._daemon import Daemon, format_address, make_device
from katcp.apps.server._errors import StartError
from katcp.server import AsyncDeviceServer, DeviceServer
from tests.helpers.serving import talking, until


class Plain(AsyncDeviceServer):
    def setup_sensors(self) -> None:
        pass

    def request_bug(self, req: Any, msg: Any) -> Any:
        """Fail."""
        raise KeyError("lost")


class Narrow(DeviceServer):
    """Takes nothing but an address, as many devices of katcp-python do."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(host, port)

    def setup_sensors(self) -> None:
        pass


class Wider(Narrow):
    def __init__(self, *args: Any, colour: str = "red", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.colour = colour


@pytest.mark.parametrize(
    ("host", "port", "text"),
    [
        ("127.0.0.1", 7147, "127.0.0.1:7147"),
        ("::1", 1, "[::1]:1"),
        ("localhost", 2, "localhost:2"),
        ("", 3, "0.0.0.0:3"),
    ],
)
def test_address(host: str, port: int, text: str) -> None:
    assert format_address(host, port) == text


async def test_options_reach_the_constructor() -> None:
    device = make_device(Plain, "127.0.0.1", 0, 0, {"max_clients": 3, "period_floor": 0.5})
    assert device._server.max_clients == 3
    assert device.period_floor == 0.5  # type: ignore[attr-defined]
    assert device.tb_limit == 0


async def test_class_with_a_narrow_constructor_is_served_too() -> None:
    device = make_device(Narrow, "127.0.0.1", 0, 0, {})
    assert device.tb_limit == 0
    assert device.ioloop is not None  # no thread of its own: it runs in the program's loop


@pytest.mark.parametrize("cls", [Narrow, Wider])
async def test_option_that_would_have_no_effect_is_misuse(cls: type[DeviceServer]) -> None:
    with pytest.raises(StartError, match="does not take --max-clients") as caught:
        make_device(cls, "127.0.0.1", 0, 0, {"max_clients": 3})
    assert caught.value.status == 2


async def test_option_of_a_class_behind_a_constructor_that_passes_on() -> None:
    device = make_device(Wider, "127.0.0.1", 0, 0, {"colour": "blue"})
    assert device.colour == "blue"  # type: ignore[attr-defined]


class NoSensors(AsyncDeviceServer):
    pass


class Raises(AsyncDeviceServer):
    def setup_sensors(self) -> None:
        raise ValueError("one\ntwo")


class Exits(AsyncDeviceServer):
    def setup_sensors(self) -> None:
        raise SystemExit("bye")


class Unfinished(AsyncDeviceServer):
    def setup_sensors(self) -> None:
        raise NotImplementedError("later")


@pytest.mark.parametrize(
    ("cls", "text"),
    [
        (NoSensors, "NoSensors defines no setup_sensors()"),
        (Raises, "Raises() failed: ValueError: one two"),
        (Exits, "Exits() failed: SystemExit: bye"),
        (Unfinished, "Unfinished() failed: NotImplementedError: later"),
    ],
)
async def test_constructor_that_raises(cls: type[DeviceServer], text: str) -> None:
    with pytest.raises(StartError) as caught:
        make_device(cls, "127.0.0.1", 0, 0, {})
    assert str(caught.value) == text
    assert caught.value.status == 1


@pytest.mark.parametrize("cls", [Plain, Narrow])
async def test_halt_ends_it(cls: type[DeviceServer]) -> None:
    device = make_device(cls, "127.0.0.1", 0, 0, {})
    daemon = Daemon(device, "warn")
    address = await daemon.start()
    assert address == format_address(*device.bind_address)
    running = asyncio.ensure_future(daemon.run())
    async with talking(device) as client:
        assert await client.ask(b"?halt[1]") == [b"!halt[1] ok"]
        assert await client.rest() == b"#disconnect Device\\_server\\_shutting\\_down.\n"
    await asyncio.wait_for(running, 10)
    assert not device.running()


@pytest.mark.parametrize("cls", [Plain, Narrow])
async def test_restart_serves_again_at_the_same_port(cls: type[DeviceServer]) -> None:
    device = make_device(cls, "127.0.0.1", 0, 0, {})
    daemon = Daemon(device, "info")
    address = await daemon.start()
    running = asyncio.ensure_future(daemon.run())
    for _ in range(2):
        async with talking(device) as client:
            assert await client.ask(b"?log-level[1]") == [b"!log-level[1] ok info"]
            assert await client.ask(b"?restart[2]") == [b"!restart[2] ok"]
            assert await client.rest() == b"#disconnect Device\\_server\\_shutting\\_down.\n"
        await until(device.running)
        assert format_address(*device.bind_address) == address
    async with talking(device) as client:
        await client.ask(b"?halt[3]")
    await asyncio.wait_for(running, 10)


async def test_bug_is_told_in_one_line() -> None:
    device = make_device(Plain, "127.0.0.1", 0, 0, {})
    await Daemon(device, "warn").start()
    async with talking(device) as client:
        assert await client.ask(b"?bug[1]") == [b"!bug[1] fail KeyError:\\_'lost'"]
    await device.stop()
