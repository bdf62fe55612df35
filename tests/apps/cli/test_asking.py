"""Requests to a device, and what can go wrong with them."""

import asyncio

import pytest

from katcp.apps.cli._errors import NoConnection, Refused, TimedOut
from katcp.apps.cli._link import connected
from katcp.protocol import Message
from tests.apps.cli.helpers import here
from tests.helpers.scripted import V4, V50, Device, Server, Session


async def test_reply_and_informs() -> None:
    device = Device()
    device.answers["list"] = lambda session, message: [b"# a", b"# b", b"! ok 2"]
    async with device, here(device) as (place, _):
        reply, informs = await place.asker.ask("list", b"\x00", "é")
        assert reply.arguments == [b"ok", b"2"]
        assert [inform.arguments for inform in informs] == [[b"a"], [b"b"]]
        assert device.heard == [b"?list[1] \\0 \xc3\xa9"]
        assert len(await place.asker.ask_ok("list")) == 2


async def test_informs_are_told_as_they_come() -> None:
    device = Device()
    proceed = asyncio.Event()

    async def slowly(session: Session, message: Message) -> list[bytes]:
        device.answer(session, message, b"# a")
        await proceed.wait()
        return [b"! ok"]

    device.answers["list"] = slowly
    async with device, here(device) as (place, _):
        told: list[Message] = []
        come = asyncio.Event()

        def take(inform: Message) -> None:
            told.append(inform)
            come.set()

        asking = asyncio.ensure_future(place.asker.ask("list", on_inform=take))
        await asyncio.wait_for(come.wait(), 10)
        assert not asking.done()
        proceed.set()
        _, informs = await asking
        assert (len(told), informs) == (1, [])


async def test_refusal() -> None:
    device = Device()
    async with device, here(device) as (place, _):
        reply, _ = await place.asker.ask("nothing")
        assert not reply.reply_ok()
        with pytest.raises(Refused, match="nothing invalid: Unknown request"):
            await place.asker.ask_ok("nothing")


async def never(session: Session, message: Message) -> list[bytes]:
    await asyncio.sleep(60)
    return []


async def test_no_answer_in_time() -> None:
    device = Device()
    device.answers["list"] = never
    async with device, here(device, timeout=0.1) as (place, _):
        with pytest.raises(TimedOut, match=r"no reply to \?list from 127.* within 0\.1 s"):
            await place.asker.ask("list")


async def test_hint_of_the_device_is_asked_for_once() -> None:
    device = Device()
    device.hints["list"] = 60.0
    device.answers["list"] = lambda session, message: [b"! ok"]
    async with device, here(device) as (place, _):
        for _ in range(2):
            await place.asker.ask("list", hinted=True)
        assert await place.asker._hinted_limit("list") == 60.0
        assert await place.asker._hinted_limit("watchdog") == 5.0
        assert [line.split(b"[")[0] for line in device.heard] == [
            b"?request-timeout-hint",
            b"?list",
            b"?list",
            b"?request-timeout-hint",
        ]


@pytest.mark.parametrize("greeting", [V50, V4])
async def test_device_without_hints_is_not_asked(greeting: tuple[bytes, ...]) -> None:
    device = Device(greeting)
    async with device, here(device) as (place, _):
        assert await place.asker._hinted_limit("list") == 5.0
        assert device.heard == []
        assert place.asker.major == (4 if greeting is V4 else 5)


async def test_limit_of_the_user_wins() -> None:
    device = Device()
    device.hints["list"] = 60.0
    device.answers["list"] = never
    async with device, here(device, timeout=0.1) as (place, _):
        with pytest.raises(TimedOut):
            await place.asker.ask("list", hinted=True)


async def test_connection_lost_before_the_reply() -> None:
    device = Device()

    def leave(session: Session, message: Message) -> list[bytes]:
        session.say(b"#disconnect Going\\_home")
        session.close()
        return []

    device.answers["leave"] = leave
    async with device, here(device) as (place, _):
        with pytest.raises(NoConnection, match=r"connection to 127.* lost: Going home"):
            await place.asker.ask("leave")
        with pytest.raises(NoConnection, match=r"not connected to 127"):
            await place.asker.ask("watchdog")


async def test_nobody_listens() -> None:
    async with Device() as device:
        device.refuse()
        with pytest.raises(NoConnection, match=r"cannot connect to 127.*: Connection refused"):
            async with connected("127.0.0.1", device.port, None):
                pass


async def test_hang_up_at_once() -> None:
    async def talk(session: Session) -> None:
        session.close()

    async with Server(talk) as device:
        with pytest.raises(NoConnection):
            async with connected("127.0.0.1", device.port, None) as asker:
                await asker.ask("watchdog")


async def test_verbose_tells_of_bad_lines(capsys: pytest.CaptureFixture[str]) -> None:
    device = Device()
    async with device, connected("127.0.0.1", device.port, None, verbose=True) as asker:
        device.say(b"junk \x1b[2J")
        await asker.ask("watchdog")
    err = capsys.readouterr().err
    assert "katcp-cli: Malformed line from device" in err
    assert all(line.isprintable() for line in err.splitlines())
