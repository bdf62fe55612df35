"""``katcp-cli`` on devices that lie, stammer, fall silent, hang up, or mean ill."""

import asyncio
import json
import sys
from typing import Any

import pytest

from katcp.protocol import Message, escape
from tests.helpers.scripted import V4, V50_NO_IDS, V51, Device, Server, Session
from tests.system.programs import CLI, PATIENCE, ROOT, environment
from tests.system.terminal import Terminal

pytestmark = pytest.mark.slow

#: Clears the screen, sets the title, rings, goes back, starts a line, reverses text; and bytes
#: that are no UTF-8, among them a C1 control of eight bits.
EVIL = b"\x1b[2J\x1b]0;owned\x07\x08\r\n\x9b31m\xff\x00\x7f" + "\x85\u202e\u2028".encode()
WIRE = escape(EVIL)
SHOWN = r"\x1b[2J\x1b]0;owned\x07\x08\r\n\x9b31m\xff\x00\x7f\x85\u202e\u2028"  # as it may be seen


async def cli(device: Server, *arguments: str, stdin: str = "") -> tuple[int, str, str]:
    """Run ``katcp-cli`` on a device of this process; return status, output and errors."""
    process = await asyncio.create_subprocess_exec(
        *CLI,
        f"127.0.0.1:{device.port}",
        *arguments,
        cwd=ROOT,
        env=environment(),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(stdin.encode()), PATIENCE)
    except BaseException:
        process.kill()
        await process.wait()
        raise
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


def check_safe(*texts: str) -> None:
    """Check that nothing but lines that print were written."""
    for text in texts:
        assert all(line.isprintable() for line in text.split("\n")), repr(text)


def evil_device() -> Device:
    """Return a device that says bad things wherever it can."""
    device = Device()
    device.answers |= {
        "sensor-list": lambda session, message: [
            b"# evil.%b %b %b float %b" % (WIRE, WIRE, WIRE, WIRE),
            b"# good %b %b discrete %b other" % (WIRE, WIRE, WIRE),
            b"# odd",
            b"#",
            b"! ok 4",
        ],
        "sensor-value": lambda session, message: [
            b"# 1.5 1 good nominal %b" % WIRE,
            b"# 1.5 1 evil.%b %b %b" % (WIRE, WIRE, WIRE),
            b"# %b 9 odd unknown %b tail" % (WIRE, WIRE),
            b"#",
            b"! ok %b" % WIRE,
        ],
        "help": lambda session, message: [
            b"# evil %b\\n\\nParameters:\\_x:\\_%b" % (WIRE, WIRE),
            b"# %b %b" % (WIRE, WIRE),
            b"#",
            b"! ok 3",
        ],
        "version-list": lambda session, message: [b"# %b %b" % (WIRE, WIRE), b"#", b"! ok 2"],
        "client-list": lambda session, message: [b"# %b" % WIRE, b"! ok 1"],
        "evil": lambda session, message: [b"# %b" % WIRE, b"! ok %b" % WIRE],
        "refuse": lambda session, message: [b"! fail %b" % WIRE],
        "odd-code": lambda session, message: [b"! %b" % WIRE],
        "no-code": lambda session, message: [b"!"],
    }
    return device


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["list"], 0),
        (["list", "--values"], 0),
        (["list", "--requests"], 0),
        (["get", "*"], 0),
        (["call", "evil"], 0),
        (["call", "refuse"], 1),
        (["call", "odd-code"], 1),
        (["call", "no-code"], 1),
        (["help"], 0),
        (["help", "evil"], 0),
        (["info"], 0),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
async def test_nothing_reaches_the_terminal_raw(arguments: list[str], status: int) -> None:
    async with evil_device() as device:
        as_text, as_json = await asyncio.gather(
            cli(device, *arguments), cli(device, *arguments, "--json")
        )
        for found, out, err in (as_text, as_json):
            check_safe(out, err)
            assert found == status, err
        assert "owned" in "".join(as_text[1:]) or arguments == ["call", "no-code"]
        assert as_json[1].isascii()
        assert all(isinstance(json.loads(line), dict) for line in as_json[1].splitlines())


async def test_evil_is_shown_for_what_it_is() -> None:
    async with evil_device() as device:
        _, out, _ = await cli(device, "call", "evil")
        assert out == f"#evil {SHOWN}\n!evil ok {SHOWN}\n"
        _, _, err = await cli(device, "call", "refuse")
        assert err == f"katcp-cli: refuse fail: {SHOWN}\n"
        _, out, _ = await cli(device, "call", "evil", "--json")
        (text,) = json.loads(out.splitlines()[0])["arguments"]
        assert text == EVIL.decode("utf-8", "backslashreplace")


async def test_updates_too() -> None:
    device = Device(sensors={"good": "Good V float"})
    device.values["good"] = "1.5 1 {} \\e[2J \\e[2J"
    async with device:
        status, out, err = await cli(device, "watch", "good", "--count", "1")
        check_safe(out, err)
        assert status == 0
        assert out.endswith("  good  \\x1b[2J      (\\x1b[2J) V\n")


async def test_script_too() -> None:
    async with evil_device() as device:
        status, out, err = await cli(device, stdin="evil\nrefuse\nget *\nlist\nhelp evil\ninfo\n")
        check_safe(out, err)
        assert status == 1


async def test_reason_of_a_disconnect_too() -> None:
    device = evil_device()

    def leave(session: Session, message: Message) -> list[bytes]:
        session.say(b"#disconnect " + WIRE)
        session.close()
        return []

    device.answers["leave"] = leave
    async with device:
        status, out, err = await cli(device, "call", "leave")
        check_safe(out, err)
        assert status == 3
        assert err == (f"katcp-cli: connection to 127.0.0.1:{device.port} lost: {SHOWN}\n")


async def test_connection_lost_during_a_call() -> None:
    device = Device()
    device.answers["leave"] = lambda session, message: session.close() or []
    async with device:
        status, out, err = await cli(device, "call", "leave")
        assert (status, out) == (3, "")
        assert err == f"katcp-cli: connection to 127.0.0.1:{device.port} lost\n"


async def test_silence_after_the_greeting() -> None:
    device = Device()

    async def never(session: Session, message: Message) -> list[bytes]:
        await asyncio.sleep(PATIENCE)
        return []

    device.answers |= {"sensor-list": never, "request-timeout-hint": never}
    async with device:
        results = await asyncio.gather(
            *[
                cli(device, "--timeout", "0.3", *arguments)
                for arguments in (["list"], ["get", "a"], ["watch", "a"], ["call", "sensor-list"])
            ]
        )
        text = f"katcp-cli: no reply to ?sensor-list from 127.0.0.1:{device.port} within 0.3 s\n"
        assert results == [(4, "", text)] * 4


async def test_silence_from_the_beginning() -> None:
    async with Device(greeting=()) as device:
        # No greeting: taken for a device of version 4, which answers after all.
        status, out, _ = await cli(device, "--timeout", "0.5", "call", "watchdog")
        assert (status, out) == (0, "!watchdog ok\n")
        assert device.heard == [b"?watchdog"]


async def test_hang_up_at_once() -> None:
    async def talk(session: Session) -> None:
        session.close()

    async with Server(talk) as device:
        status, _, err = await cli(device, "list")
        assert status == 3
        check_safe(err)
        assert len(err.splitlines()) == 1


@pytest.mark.parametrize("greeting", [V4, V50_NO_IDS, V51], ids=["4", "5.0-M", "5.1-BIMT"])
async def test_versions_of_the_protocol(greeting: tuple[bytes, ...]) -> None:
    device = Device(greeting, {"t": "Time \\@ timestamp", "x": "X V float", "y": "Y V float"})
    old = greeting is V4
    moment = "1500" if old else "1.5"
    device.answers["sensor-value"] = lambda session, message: [
        b"# %b 1 %b nominal %b" % (moment.encode(), message.arguments[0], moment.encode()),
        b"! ok 1",
    ]
    device.values |= dict.fromkeys("txy", moment + " 1 {} nominal " + moment)
    async with device:
        status, out, _ = await cli(device, "get", "t", "x", "--json")
        assert status == 0
        one, other = map(json.loads, out.splitlines())
        assert one["timestamp"] == other["timestamp"] == 1.5
        assert one["value"] == 1.5  # of a timestamp sensor: a time too
        assert other["value"] == float(moment)
        device.forget()
        status, out, _ = await cli(
            device, "watch", "x", "y", "--strategy", "period 0.5", "--count", "2"
        )
        assert status == 0
        assert len(out.splitlines()) == 2
        asked = [line for line in device.heard if b"sensor-sampling" in line]
        period = b"period 500" if old else b"period 0.5"
        if greeting is V51:
            assert [line.partition(b" ")[2] for line in asked] == [b"x,y " + period]
        else:
            assert asked == [
                b"?sensor-sampling x " + period,
                b"?sensor-sampling y " + period,
            ]


async def test_list_of_names_that_is_refused_is_tried_name_by_name() -> None:
    device = Device(sensors={"a": "A V float", "b": "B V float"})
    plain = device._builtin

    def picky(session: Session, message: Message) -> Any:
        if b"b" in message.arguments[0]:
            return [b"! fail Not\\_b."]
        return plain(session, message)

    device.answers["sensor-sampling"] = picky
    async with device:
        status, out, err = await cli(device, "watch", "a", "b", "--count", "1")
        assert (status, err) == (1, "katcp-cli: b: sensor-sampling fail: Not b.\n")
        assert " a " in out


async def test_replies_that_come_in_another_order_and_junk_between() -> None:
    device = Device(sensors={name: f"{name} V float" for name in "abc"})
    held: list[Message] = []

    def reorder(session: Session, message: Message) -> list[bytes]:
        held.append(message)
        session.say(b"", b"junk \x1b[2J", b"?who-are-you", b"!late[99] ok", b"#noise " + WIRE)
        if len(held) == 3:
            for each in reversed(held):
                name = each.arguments[0]
                device.answer(session, each, b"# 1 1 %b nominal 1" % name, b"! ok 1")
        return []

    device.answers["sensor-value"] = lambda session, message: reorder(session, message) or None
    async with device:
        status, out, err = await cli(device, "get", "a", "b", "c")
        assert (status, err) == (0, "")
        assert [line.split()[0] for line in out.splitlines()] == ["a", "b", "c"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs pseudo terminals")
async def test_shell_shows_evil_informs_for_what_they_are(tmp_path: Any) -> None:
    device = Device(
        sensors={"good": "Good V float"},
        requests={"help": "Help.", "evil": EVIL.decode("latin-1")},
    )
    async with device:
        term = Terminal(*CLI, f"127.0.0.1:{device.port}", XDG_STATE_HOME=str(tmp_path))
        try:
            await asyncio.to_thread(term.until, "-- connected to .*")
            device.say(
                b"#log warn 1.5 " + WIRE + b" " + WIRE,
                b"#surprise " + WIRE,
                b"#log",
                b"#sensor-status 1.5 1 " + WIRE + b" " + WIRE + b" " + WIRE,
                b"#surprise last",
            )
            await asyncio.to_thread(term.until, "#surprise last")
            lines = term.lines()  # raises if something reached the terminal raw
            assert f"1970-01-01T00:00:01.500Z  WARN {SHOWN}: {SHOWN}" in lines
            assert f"#surprise {SHOWN}" in lines
            term.type("evi\t")
            await asyncio.to_thread(term.until, r".*> evil")
            term.type("\x03quit\r")
            assert await asyncio.to_thread(term.wait) == 0
        finally:
            term.close()
