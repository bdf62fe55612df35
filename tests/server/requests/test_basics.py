"""``?help``, ``?watchdog``, ``?version-list``, ``?client-list``, ``?request-timeout-hint``."""

from __future__ import annotations

from typing import Any

import pytest

from katcp import __version__
from katcp.kattypes import Int, request, request_timeout_hint, return_reply
from katcp.protocol import Message, ProtocolFlags
from katcp.server import DeviceServer, Sensor
from katcp.server._requests import _basics
from tests.helpers.serving import Bare, BareThreaded, serving, talking


class Device(Bare):
    VERSION_INFO = ("d", 1, 0)
    BUILD_INFO = ("b", 2, 0)

    def request_classic(self, req: Any, msg: Message) -> Any:
        """Do it the classic way.

            Indented.

        The end.
        """
        return req.make_reply("ok")

    @request(Int())
    @return_reply()
    @request_timeout_hint(45)
    def request_slow(self, req: Any, x: int) -> Any:
        """Take long."""
        return ("ok",)

    @request_timeout_hint(900.5)
    async def request_typed(self, req: Any, x: int, y: float = 0.5) -> int:
        """Be typed."""
        return x


async def test_help_lists_all_requests_by_name() -> None:
    async with serving(Device("127.0.0.1", 0)) as server, talking(server) as client:
        *informs, reply = await client.ask(b"?help[4]")
        names = [inform.split(b" ")[1].decode() for inform in informs]
        assert names == sorted([*DeviceServer._request_handlers, "classic", "slow", "typed"])
        assert reply == b"!help[4] ok %d" % len(names)
        assert all(inform.startswith(b"#help[4] ") for inform in informs)
        assert any(
            inform.startswith(b"#help[4] classic Do\\_it\\_the\\_classic\\_way.")
            for inform in informs
        )


async def test_help_of_one_request_is_its_whole_text() -> None:
    async with serving(Device("127.0.0.1", 0)) as server, talking(server) as client:
        assert await client.ask(b"?help classic") == [
            b"#help classic Do\\_it\\_the\\_classic\\_way.\\n\\n"
            b"\\_\\_\\_\\_Indented.\\n\\nThe\\_end.",
            b"!help ok 1",
        ]
        (inform, _) = await client.ask(b"?help typed surplus")
        assert inform == (
            b"#help typed Be\\_typed.\\n\\nParameters:\\_x:\\_integer,\\_y:\\_float\\_=\\_0.5"
        )
        # The text follows the handler.
        handlers = dict(server._request_handlers)
        handlers["typed"] = handlers["slow"]
        server._request_handlers = handlers
        (inform, _) = await client.ask(b"?help typed")
        assert inform == b"#help typed Take\\_long."


async def test_help_of_what_there_is_not() -> None:
    async with serving(Device("127.0.0.1", 0)) as server, talking(server) as client:
        for name in (b"nope", b"\\@", b"\xff\xfe", b"Help"):
            assert await client.ask(b"?help[2] " + name) == [
                b"!help[2] fail Unknown\\_request\\_method."
            ]


async def test_watchdog() -> None:
    async with serving(Device("127.0.0.1", 0)) as server, talking(server) as client:
        assert await client.ask(b"?watchdog") == [b"!watchdog ok"]
        assert await client.ask(b"?watchdog[1] extra") == [b"!watchdog[1] ok"]


async def test_version_list() -> None:
    async with serving(Device("127.0.0.1", 0)) as server, talking(server) as client:
        library = __version__.encode()
        expected = [
            b"#version-list katcp-protocol 5.1-BIMT",
            b"#version-list katcp-library katcp-python-" + library + b" " + library,
            b"#version-list katcp-device d-1.0 b-2.0",
        ]
        assert await client.ask(b"?version-list") == [*expected, b"!version-list ok 3"]
        server.extra_versions["zz part"] = ("1.8", "sn-7714")
        server.extra_versions["gateware"] = ("9f3ab2", None)
        assert await client.ask(b"?version-list[5] surplus") == [
            *[line.replace(b"list", b"list[5]", 1) for line in expected],
            b"#version-list[5] gateware 9f3ab2",
            b"#version-list[5] zz\\_part 1.8 sn-7714",
            b"!version-list[5] ok 5",
        ]


async def test_client_list() -> None:
    async with (
        serving(Device("127.0.0.1", 0)) as server,
        talking(server) as client,
        talking(server) as other,
    ):
        ports = [c.writer.get_extra_info("sockname")[1] for c in (client, other)]
        assert await client.ask(b"?client-list[1]") == [
            *[b"#client-list[1] 127.0.0.1:%d" % port for port in ports],
            b"!client-list[1] ok 2",
        ]


async def test_timeout_hints() -> None:
    async with serving(Device("127.0.0.1", 0)) as server, talking(server) as client:
        all_of_them = [
            b"#request-timeout-hint slow 45.0",
            b"#request-timeout-hint typed 900.5",
            b"!request-timeout-hint ok 2",
        ]
        assert await client.ask(b"?request-timeout-hint") == all_of_them
        assert await client.ask(b"?request-timeout-hint \\@") == all_of_them
        assert await client.ask(b"?request-timeout-hint slow") == [
            b"#request-timeout-hint slow 45.0",
            b"!request-timeout-hint ok 1",
        ]
        assert await client.ask(b"?request-timeout-hint watchdog") == [
            b"#request-timeout-hint watchdog 0.0",
            b"!request-timeout-hint ok 1",
        ]
        (reply,) = await client.ask(b"?request-timeout-hint nope")
        assert reply.startswith(b"!request-timeout-hint fail Unknown\\_request")
        (reply,) = await client.ask(b"?request-timeout-hint slow typed")
        assert reply == b"!request-timeout-hint fail Too\\_many\\_parameters\\_given."


async def test_no_hints_at_all() -> None:
    async with serving(Bare("127.0.0.1", 0)) as server, talking(server) as client:
        assert await client.ask(b"?request-timeout-hint") == [b"!request-timeout-hint ok 0"]


async def test_without_the_flag_there_are_no_hints() -> None:
    class NoHints(Device):
        PROTOCOL_INFO = ProtocolFlags(5, 1, "IMB")

    async with serving(NoHints("127.0.0.1", 0)) as server, talking(server) as client:
        assert await client.ask(b"?request-timeout-hint") == [
            b"!request-timeout-hint invalid Unknown\\_request."
        ]


async def test_overriding_a_standard_request() -> None:
    class Mine(BareThreaded):
        def setup_sensors(self) -> None:
            for i in range(3000):
                self.add_sensor(Sensor.integer(f"s{i:04d}", "A number."))

        def request_help(self, req: Any, msg: Message) -> Any:
            """Help, and count."""
            self.calls = getattr(self, "calls", 0) + 1
            return super().request_help(req, msg)

        def request_sensor_list(self, req: Any, msg: Message) -> Any:
            """List more."""
            req.inform("one-more", "First.", "", "integer")
            return super().request_sensor_list(req, msg)

        def request_sensor_sampling(self, req: Any, msg: Message) -> Any:
            """Sample as ever."""
            return super().request_sensor_sampling(req, msg)

        def request_sensor_sampling_clear(self, req: Any, msg: Message) -> Any:
            """Clear as ever."""
            return super().request_sensor_sampling_clear(req, msg)

    # These run in the handler thread, the library's own in the loop.
    async with serving(Mine("127.0.0.1", 0)) as server, talking(server) as client:
        *informs, reply = await client.ask(b"?help[1]")
        assert reply == b"!help[1] ok %d" % len(informs)
        assert server.calls == 1
        lines = await client.ask(b"?sensor-list[2]")
        assert lines[0] == b"#sensor-list[2] one-more First. \\@ integer"
        assert lines[-1] == b"!sensor-list[2] ok 3000"
        assert len(lines) == 3002
        for sampling in (b"event", b"period 0.01", b"event-rate 0 0.01"):
            lines = await client.ask(b"?sensor-sampling[3] s0001 " + sampling)
            assert lines[-1] == b"!sensor-sampling[3] ok s0001 " + sampling
            assert b" s0001 unknown 0" in lines[-2]
        lines = await client.ask(b"?sensor-sampling-clear[4]")
        assert lines[-1] == b"!sensor-sampling-clear[4] ok"
        assert await client.ask(b"?sensor-sampling s0001") == [b"!sensor-sampling ok s0001 none"]


async def test_a_long_help_is_made_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(Device("127.0.0.1", 0)) as server, talking(server) as client:
        at_once = await client.ask(b"?help[1]")
        server._help_tails.clear()
        monkeypatch.setattr(_basics, "_HELP_AT_ONCE", 2)
        assert await client.ask(b"?help[1]") == at_once
