"""The recordings of katcp-python 0.9.3, replayed against our server.

`DIFFERENCES` is everything that is meant to be otherwise, each with its reason. The replay fails
for a difference that is not in the table, and for one in the table that does not occur.

Reasons of the form ``W24`` are the numbers of known defects of katcp-python.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import queue
import socket
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from katcp.server import DeviceServer
from tests.helpers.demo_device import V4, V50, V50_NO_IDS, V51, added_sensor, device_class
from tests.helpers.serving import serving, talking, until
from tests.helpers.transcripts import FOLDER, Changed, Difference, Extra, Mismatch, Player
from tests.helpers.wire import WireClient

TRACEBACK = r"Traceback\_(most\_recent\_call\_last):\n\n<FRAMES>\n\n"
REFUSED = "!sensor-sampling fail "

W24 = "W24: a client's mistake is answered with a plain text, not with a traceback"
W29 = "W29: the same texts for one sensor as without bulk sampling; readable lists"
GREETED = "guidelines 4.7: other clients are told of a new one"
COMPLAINT = "guidelines 1.11: one short line about a bad line, no traceback"

DIFFERENCES: list[Difference] = [
    # -- connections -------------------------------------------------------------------------
    Extra(
        "guidelines 4.7: other clients are told of a new one",
        "05-sampling-general|08-malformed-not-utf8*|09*|10*|11-log-level|14*|15-halt|16*",
        "--{conn} connected",
        "#client-connected 127.0.0.1:<PORT{conn}>",
        to="others",
        anywhere=True,
    ),
    Changed(
        "W36: nothing follows #disconnect", "10-client-list|15-halt|15-stop", "(empty line)", None
    ),
    Changed(
        "the order of clients is not defined; ours is that of their coming",
        "10-client-list",
        "#client-list[4] 127.0.0.1:<PORT3>",
        "#client-list[4] 127.0.0.1:<PORT2>",
    ),
    Changed(
        "the order of clients is not defined; ours is that of their coming",
        "10-client-list",
        "#client-list[4] 127.0.0.1:<PORT2>",
        "#client-list[4] 127.0.0.1:<PORT3>",
    ),
    Changed(
        "W35: level, time, name and text; where the error was is for the server's log alone",
        "19-on-client-connect-fails",
        r"#log Device\_error\_initialising\_connection\_"
        + TRACEBACK
        + r"RuntimeError:\_no\_room\n",
        r"#log error <NOW> root"
        r" Device\_error\_initialising\_connection\_RuntimeError:\_no\_room",
    ),
    # -- requests and their handlers ---------------------------------------------------------
    Changed(
        "W19: values of a `multiple` parameter have its name",
        "07-invalid-requests",
        r"!many fail Error\_in\_parameter\_{number}\_():\_{text}",
        r"!many fail Error\_in\_parameter\_{number}\_(numbers):\_{text}",
    ),
    Changed(
        "a handler's bug, told in terms of what it returned",
        "07-invalid-requests",
        "!returns-none fail " + TRACEBACK + r"AttributeError:\_{text}\n",
        "!returns-none fail " + TRACEBACK + r"TypeError:\_The\_handler\_of\_?returns-none"
        r"\_returned\_None;\_it\_has\_to\_return\_a\_reply\_message\_or\_a\_tuple\_that"
        r"\_begins\_with\_'ok'\_or\_'fail'.\n",
    ),
    Changed(
        "a handler's bug, told in terms of what it returned",
        "07-invalid-requests",
        "!wrong-name fail " + TRACEBACK + r"AssertionError\n",
        "!wrong-name fail " + TRACEBACK + r"AssertionError:\_The\_handler\_of\_?wrong-name"
        r"\_returned\_<Message\_reply\_other-name\_(b'ok')>.\n",
    ),
    Changed(
        "guidelines 4.1: the text ends in a full stop, as for ?help",
        "13-request-timeout-hint",
        r"!request-timeout-hint fail Unknown\_request\_method",
        r"!request-timeout-hint fail Unknown\_request\_method.",
    ),
    Extra(
        "guidelines 1.11: a reply that nobody asked for is a mistake of the client's",
        "16-*",
        ">1 !unknown-reply ok",
        r"#log error <NOW> root Unexpected\_reply\_'unknown-reply'.",
        anywhere=True,
    ),
    # -- sensors -----------------------------------------------------------------------------
    Changed(
        "W25: a lone / is an exact name",
        "03-sensor-list",
        "#sensor-list demo.{anything}",
        None,
        asked="?sensor-list /",
    ),
    Changed(
        "W25: a lone / is an exact name",
        "03-sensor-list",
        "!sensor-list ok 15",
        r"!sensor-list fail Unknown\_sensor\_name.",
        asked="?sensor-list /",
    ),
    Changed(
        "W25: a bad regular expression is a mistake of the client's",
        "03-sensor-list",
        "!sensor-list fail " + TRACEBACK + r"re.error:\_{text}\n",
        r"!sensor-list fail Invalid\_regular\_expression:\_{text}.",
    ),
    Changed(
        "guidelines 5.1: version 4 does not know the status",
        "17-v4-timestamps-and-sampling",
        "#sensor-value 1600000000250 1 demo.addr6 unreachable [::1]:7147",
        "#sensor-value 1600000000250 1 demo.addr6 unknown [::1]:7147",
    ),
    Changed(
        "guidelines 5.1: version 4 does not know the status",
        "17-v4-timestamps-and-sampling",
        "#sensor-value 1600000000250 1 demo.time inactive 1234567890125",
        "#sensor-value 1600000000250 1 demo.time unknown 1234567890125",
    ),
    # -- times of version 4 ------------------------------------------------------------------
    Changed(
        "guidelines 2: milliseconds are rounded, not cut off",
        "11-log-level-v4",
        "#log error 1234567 root oops",
        "#log error 1234568 root oops",
    ),
    Changed(
        "guidelines 2: milliseconds are rounded, not cut off",
        "17-v4-timestamps-and-sampling",
        "!stamp ok 1234500",
        "!stamp ok 1234501",
        asked="?stamp 1234500.75",
    ),
    Changed(
        "guidelines 4.5: parameters are repeated as they were received",
        "17-v4-timestamps-and-sampling",
        "!sensor-sampling ok demo.int period 1500",
        "!sensor-sampling ok demo.int period 1500.9",
        asked="?sensor-sampling demo.int period 1500.9",
    ),
    # -- strategies --------------------------------------------------------------------------
    Changed(
        "guidelines 5.2: a difference of 0 means any change",
        "05-sampling-differential",
        REFUSED + TRACEBACK + r"ValueError:\_The\_diff\_amount\_must\_be\_a\_positive\_integer.\n",
        "#sensor-status <NOW> 1 demo.int warn 4\n!sensor-sampling ok demo.int differential 0",
        asked="?sensor-sampling demo.int differential 0",
    ),
    Changed(
        "W32: differential-rate takes no negative difference either",
        "05-sampling-differential-rate",
        "#sensor-status <NOW> 1 demo.int warn 9",
        REFUSED + r"The\_diff\_amount\_must\_be\_a\_positive\_integer.",
        asked="?sensor-sampling demo.int differential-rate -1 0 10",
    ),
    Changed(
        "W32: differential-rate takes no negative difference either",
        "05-sampling-differential-rate",
        "!sensor-sampling ok demo.int differential-rate -1 0 10",
        None,
        asked="?sensor-sampling demo.int differential-rate -1 0 10",
    ),
    Changed(
        W24,
        "05-sampling-period",
        REFUSED + TRACEBACK + r"ValueError:\_The\_{text}.\_Parameters\_passed:\_{what}<PID>\n",
        REFUSED + r"The\_{text}.",
    ),
    Changed(
        W24,
        "05-sampling-auto-none|05-sampling-differential|05-sampling-differential-rate"
        "|05-sampling-event|05-sampling-event-rate",
        REFUSED + TRACEBACK + r"ValueError:\_The\_{text}\n",
        REFUSED + r"The\_{text}",
    ),
    Changed(
        W24,
        "05-sampling-differential|05-sampling-differential-rate",
        REFUSED
        + TRACEBACK
        + r"ValueError:\_invalid\_literal\_for\_int()\_with\_base\_10:\_b{text}\n",
        REFUSED + r"Could\_not\_parse\_difference\_{text}\_as\_an\_integer.",
    ),
    Changed(
        W24,
        "05-sampling-differential",
        REFUSED + TRACEBACK + r"ValueError:\_could\_not\_convert\_string\_to\_float:\_b{text}\n",
        REFUSED + r"Could\_not\_parse\_difference\_{text}\_as\_a\_number.",
    ),
    Changed(
        W24,
        "05-sampling-event-rate",
        REFUSED + TRACEBACK + r"ValueError:\_could\_not\_convert\_string\_to\_float:\_b{text}\n",
        REFUSED + r"Could\_not\_parse\_shortest\_period\_{text}\_as\_a\_number.",
    ),
    Changed(
        W24,
        "05-sampling-period",
        REFUSED + TRACEBACK + r"ValueError:\_could\_not\_convert\_string\_to\_float:\_b{text}\n",
        REFUSED + r"Could\_not\_parse\_period\_{text}\_as\_a\_number.",
    ),
    # -- bulk sampling -----------------------------------------------------------------------
    Changed(
        W29,
        "05-sampling-bulk",
        REFUSED + r"Unknown\_sensor\_names:\_['nope'].",
        REFUSED + r"Unknown\_sensor\_name:\_nope.",
        asked="?sensor-sampling nope event",
    ),
    Changed(
        W29,
        "05-sampling-bulk",
        REFUSED + r"Unknown\_sensor\_names:\_['{names}'].",
        REFUSED + r"Unknown\_sensor\_names:\_{names}.",
    ),
    Changed(
        W29,
        "05-sampling-bulk",
        REFUSED + r"Invalid\_request:\_names\_{names},\_strategy\_'{strategy}',\_params\_[].",
        REFUSED + r"Unknown\_strategy\_name:\_{strategy}.",
    ),
    Changed(
        W29,
        "05-sampling-bulk",
        REFUSED + r"Invalid\_strategy\_requested:\_{text}.\_Parameters\_passed:\_{what}<PID>.",
        REFUSED + r"{text}.",
    ),
    Changed(
        W29,
        "05-sampling-bulk",
        REFUSED
        + r"Invalid\_strategy\_requested:\_could\_not\_convert\_string\_to\_float:\_b{text}.",
        REFUSED + r"Could\_not\_parse\_period\_{text}\_as\_a\_number.",
    ),
    Changed(
        W29,
        "05-sampling-bulk",
        REFUSED + r"Invalid\_strategy\_requested:\_{text}..",
        REFUSED + r"{text}.",
    ),
    # -- logging -----------------------------------------------------------------------------
    Changed(
        "W26: `all` is a level like others",
        "11-log-level",
        "!log-level fail " + TRACEBACK + r"TypeError:\_Level\_not\_an\_integer{more}",
        "!log-level ok all",
    ),
    # -- bad lines ---------------------------------------------------------------------------
    Changed(
        "guidelines 1.11: a line of white space is no message, and no mistake",
        "08-malformed-lines",
        "#log error {time} root " + TRACEBACK + r"{error}:\_Bad\_type\_character\_'\_'.\n",
        None,
        asked="   ",
    ),
    Changed(
        "guidelines 1.11: a line of white space is no message, and no mistake",
        "08-malformed-lines",
        "#log error {time} root " + TRACEBACK + r"{error}:\_Bad\_type\_character\_'\\t'.\n",
        None,
    ),
    Changed(
        "W4: a name that is no UTF-8 is a syntax error like others",
        "08-malformed-lines",
        "#log error {time} root " + TRACEBACK + r"UnicodeDecodeError:\_{text}\n",
        "#log error <NOW> root katcp.core.KatcpSyntaxError:\\_Bad\\_message\\_name\\_"
        r"(and\_possibly\_id)\_'w\\xffb'.\n",
    ),
    Changed(
        "guidelines 1.11: one short line about a bad line, no traceback",
        "08-malformed-lines",
        "#log error {time} root " + TRACEBACK + r"katcp.core.KatcpSyntaxError:\_{text}\n",
        r"#log error <NOW> root katcp.core.KatcpSyntaxError:\_{text}\n",
    ),
    Extra(
        "W22: bytes that are no UTF-8 are bytes like others",
        "08-malformed-not-utf8*",
        r">1 ?echo caf{E9}",
        r"!echo ok caf{E9}",
    ),
    Extra(
        "W22: the connection goes on",
        "08-malformed-not-utf8*",
        ">1 ?watchdog",
        "!watchdog ok",
        since=">1 ?echo caf{E9}",
    ),
    Extra(
        "W22: other connections go on",
        "08-malformed-not-utf8",
        ">2 ?watchdog",
        "!watchdog ok",
        since=">1 ?echo caf{E9}",
    ),
    Extra(
        "W22: other connections go on",
        "08-malformed-not-utf8",
        ">3 ?watchdog",
        "!watchdog ok",
    ),
    Changed(
        "guidelines 1.9: what is too long is discarded; the connection goes on",
        "09-over-long-line",
        "end of stream from server",
        None,
        asked="?echo ccc{more}",
    ),
    Extra(
        "guidelines 1.9: what is too long is discarded, with a complaint",
        "09-over-long-line",
        ">2 ?echo ccc{more}",
        r"#log error <NOW> root katcp.core.KatcpSyntaxError:\_"
        r"Line\_longer\_than\_2097152\_bytes\_discarded:\_'?echo\_" + "c" * 54 + r"'...\n",
    ),
]


# -- what is done on the server's side -------------------------------------------------------

Action = Callable[[Player, str], Awaitable[None]]


async def _nothing(player: Player, remark: str) -> None:
    pass


async def _log_every_level(player: Player, remark: str) -> None:
    for level in ("trace", "debug", "info", "warn", "error", "fatal"):
        getattr(player.device.log, level)(f"a {level} message")


async def _disconnect_second(player: Player, remark: str) -> None:
    second = f"127.0.0.1:{player.ports['2']}"
    (connection,) = [c for c in player.device._client_conns if c.address == second]
    connection.disconnect("go away please")


async def _in_loop(player: Player, function: Callable[[], None]) -> None:
    """Call a function in the server's loop; what it does there it does in one turn."""
    done = asyncio.get_running_loop().create_future()
    loop = asyncio.get_running_loop()

    def call() -> None:
        function()
        loop.call_soon_threadsafe(done.set_result, None)

    player.device.ioloop.add_callback(call)
    await done


async def _add_sensor(player: Player, remark: str) -> None:
    def add() -> None:
        player.device.add_sensor(added_sensor())
        player.mass_inform("interface-changed")

    await _in_loop(player, add)


async def _remove_sensor(player: Player, remark: str) -> None:
    def remove() -> None:
        player.device.remove_sensor("demo.added")
        player.mass_inform("interface-changed")

    await _in_loop(player, remove)


async def _announce_removal(player: Player, remark: str) -> None:
    player.mass_inform("interface-changed", "sensor", "demo.added", "removed")


async def _set_restart_queue(player: Player, remark: str) -> None:
    player.device.restart_queue = queue.Queue()
    player.device.set_restart_queue(player.device.restart_queue)


async def _look_into_restart_queue(player: Player, remark: str) -> None:
    assert player.device.restart_queue.get_nowait() is player.device


async def _stop(player: Player, remark: str) -> None:
    if remark == "server.stop()":  # not the title of the recording
        player.device.stop()


async def _compare_late_errors(player: Player, remark: str) -> None:
    late = ast.literal_eval(remark.partition(": ")[2])
    # In a thread the handler goes on after it has replied.
    await until(lambda: len(player.device.late) == len(late))
    assert player.device.late == late


ACTIONS: dict[str, dict[str, Action]] = {
    "10-client-list": {"the server closes connection 2": _disconnect_second},
    "11-log-level": {
        "server logs one message at each": _log_every_level,
        "again": _log_every_level,
    },
    "14-interface-changed": {
        "server: add_sensor": _add_sensor,
        'server: mass_inform(Message.inform("interface-changed"))': _nothing,
        "server: remove_sensor": _remove_sensor,
        'server: mass_inform(Message.inform("interface-changed", "sensor"': _announce_removal,
    },
    "15-restart": {
        "set_restart_queue": _set_restart_queue,
        "the queue now holds the server": _look_into_restart_queue,
    },
    "15-stop": {"server.stop()": _stop},
    "16-handlers-async": {"what late inform and reply raised": _compare_late_errors},
    "16-handlers-default": {"what late inform and reply raised": _compare_late_errors},
}

# -- the recordings --------------------------------------------------------------------------

PROTOCOLS = {
    "01-connect-v4": V4,
    "01-connect-v5": V50,
    "01-connect-v5-no-ids": V50_NO_IDS,
    "01-connect-v51": V51,
    "02-help": V50,
    "02-help-empty-device": V50,
    "02-help-v4": V4,
    "02-help-v51": V51,
    "03-sensor-list": V50,
    "04-sensor-value": V50,
    "05-sampling-auto-none": V50,
    "05-sampling-bulk": V51,
    "05-sampling-differential": V50,
    "05-sampling-differential-rate": V50,
    "05-sampling-event": V50,
    "05-sampling-event-rate": V50,
    "05-sampling-general": V50,
    "05-sampling-period": V50,
    "06-message-ids": V50,
    "07-invalid-requests": V50,
    "08-malformed-lines": V50,
    "08-malformed-not-utf8": V50,
    "08-malformed-not-utf8-async": V50,
    "09-over-long-line": V50,
    "10-client-list": V50,
    "11-log-level": V50,
    "11-log-level-v4": V4,
    "12-version-list": V50,
    "13-request-timeout-hint": V51,
    "13-request-timeout-hint-absent": V50,
    "14-interface-changed": V50,
    "15-halt": V50,
    "15-restart": V50,
    "15-stop": V50,
    "16-handlers-async": V50,
    "16-handlers-default": V50,
    "17-v4-timestamps-and-sampling": V4,
    "19-on-client-connect-fails": V50,
}

#: Recordings of one mode, or that wait for seconds and say nothing new in the other.
ONE_MODE = {
    "05-sampling-differential-rate": "default",
    "05-sampling-event-rate": "async",
    "08-malformed-not-utf8": "default",
    "08-malformed-not-utf8-async": "async",
    "16-handlers-async": "async",
    "16-handlers-default": "default",
}

PERIODIC = b"#sensor-status 1600000000.250000 1 demo.bool nominal 1"


def modes_of(name: str) -> list[str]:
    return [ONE_MODE[name]] if name in ONE_MODE else ["default", "async"]


def make_device(name: str, mode: str) -> DeviceServer:
    made = device_class(PROTOCOLS[name], mode, empty=name == "02-help-empty-device")
    if name == "19-on-client-connect-fails":

        class Full(made):  # type: ignore[misc, valid-type]
            def on_client_connect(self, conn: Any) -> Any:
                raise RuntimeError("no room")

        made = Full
    device = made("127.0.0.1", 0)
    if name == "12-version-list":
        device.extra_versions.update({"sub": ("1.0", None), "board": ("rev-b", "sn 12")})
    return device


async def replay(name: str, mode: str) -> Player:
    device = make_device(name, mode)
    repeated = PERIODIC if name.startswith("16-") else None
    async with serving(device):
        player = Player(
            f"katcp-{name}", device, mode, DIFFERENCES, ACTIONS.get(name), repeated=repeated
        )
        await player.play()
    return player


REPLAYS = [(name, mode) for name in PROTOCOLS for mode in modes_of(name)]

#: Recordings whose scenario is no list of lines; each has a test of its own below.
BY_HAND = ["18-slow-client", "19-handler-queue-full"]


@pytest.mark.parametrize(("name", "mode"), REPLAYS)
async def test_transcript(name: str, mode: str) -> None:
    player = await replay(name, mode)
    assert player.log
    if name.startswith("16-"):
        assert_sampling_while_blocked(player, mode)


def assert_sampling_while_blocked(player: Player, mode: str) -> None:
    """A blocked handler thread leaves sampling alone; a blocked loop does not."""
    lines = [line for connection, line in player.log if connection == "1"]
    begun, ended = (
        lines.index(b"!sensor-sampling[39] ok demo.bool period 0.1"),
        lines.index(b"!block[40] ok unblocked"),
    )
    assert set(lines[begun + 1 : ended]) <= {PERIODIC}
    if mode == "default":
        assert ended - begun - 1 >= 2
    else:
        assert ended - begun - 1 <= 1


def test_every_recording_of_a_server_is_replayed() -> None:
    recorded = {path.stem.removeprefix("katcp-") for path in FOLDER.glob("katcp-[01]*.txt")}
    assert recorded == {"00-README", *PROTOCOLS, *BY_HAND}


@pytest.mark.parametrize("difference", DIFFERENCES, ids=lambda difference: difference.reason)
def test_every_difference_is_in_some_recording(difference: Difference) -> None:
    assert any(difference.concerns(f"katcp-{name}", mode) for name, mode in REPLAYS)
    assert difference.reason


async def test_a_difference_that_does_not_occur_is_found() -> None:
    surplus = Changed("for this test", "01-connect-v5", "#no-such-line", None)
    DIFFERENCES.append(surplus)
    try:
        with pytest.raises(Mismatch, match="do not occur"):
            await replay("01-connect-v5", "async")
    finally:
        DIFFERENCES.remove(surplus)


@pytest.mark.parametrize("name", ["08-malformed-lines", "15-halt", "03-sensor-list"])
async def test_a_difference_that_is_not_listed_is_found(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = [d for d in DIFFERENCES if isinstance(d, Extra)]
    monkeypatch.setattr(f"{__name__}.DIFFERENCES", kept)
    with pytest.raises(Mismatch, match=r"(came where|ended where)"):
        await replay(name, "async")


@pytest.mark.parametrize("mode", ["default", "async"])
async def test_transcript_18_slow_client(mode: str) -> None:
    """Recorded: a client that asks and does not read is dropped when 4 MiB wait for it.

    Ours: its requests wait, since its socket is not read while it takes nothing; it is dropped
    when it has taken nothing for `stall_timeout`. Others are served throughout, as recorded.
    """
    device = device_class(V50, mode)("127.0.0.1", 0, stall_timeout=0.3)
    async with serving(device), talking(device) as first:
        slow = socket.create_connection(device.bind_address)
        slow.setblocking(False)
        assert (await first.line()).startswith(b"#client-connected ")
        peak = 0
        while len(device._client_conns) == 2:
            try:
                slow.send(b"?help\n" * 500)
            except (BlockingIOError, ConnectionError):
                pass
            assert await first.ask(b"?watchdog") == [b"!watchdog ok"]
            peak = max([peak, *(c.unsent for c in list(device._client_conns) if not c.closed)])
            await asyncio.sleep(0.002)
        slow.close()
        port = first.writer.get_extra_info("sockname")[1]
        assert await first.ask(b"?client-list") == [
            b"#client-list 127.0.0.1:%d" % port,
            b"!client-list ok 1",
        ]
        assert peak < 4 * 1024 * 1024


async def test_transcript_19_handler_queue_full() -> None:
    """Recorded: 300 of 305 clients are answered, once the blocked handler has returned (W23).

    Ours: all are answered, and at once, since what the package itself answers needs no thread.
    Requests for the thread itself wait their turn, and none is lost.
    """
    released = threading.Event()

    class Holding(device_class(V50)):  # type: ignore[misc]  # a class that was made
        def request_hold(self, req: Any, msg: Any) -> Any:
            """Block the handler thread until the test releases it."""
            released.wait(20)
            return req.make_reply("ok")

    device = Holding("127.0.0.1", 0)
    async with serving(device), contextlib.AsyncExitStack() as stack:

        async def connect() -> WireClient:
            return await stack.enter_async_context(talking(device))

        blocker = await connect()
        clients = [await connect() for _ in range(305)]
        await blocker.send(b"?hold")
        for client in clients:
            await client.send(b"?watchdog", b"?echo turn")
        for client in clients:
            assert (await client.until_reply())[-1] == b"!watchdog ok"
        released.set()
        assert (await blocker.until_reply())[-1] == b"!hold ok"
        for client in clients:
            assert (await client.until_reply())[-1] == b"!echo ok turn"
