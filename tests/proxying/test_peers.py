"""Devices and clients that are not ours: aiokatcp in this process, katcp-python in another."""

# aiokatcp reads annotations as they are, so they cannot be put off here.

import asyncio
import os
import sys
from pathlib import Path

import aiokatcp
import pytest

from katcp.proxying import ProxiedDevice
from katcp.sensors import Sensor
from tests.helpers.serving import talking, until
from tests.proxying.plant import proxying

#: A Python that has katcp-python 0.9.3.
OLD = os.environ.get("KATCP_OLD_PYTHON")


class Foreign(aiokatcp.DeviceServer):
    """A device of aiokatcp."""

    VERSION = "foreign-1.0"
    BUILD_STATE = "foreign-build-1.0"

    def __init__(self) -> None:
        super().__init__("127.0.0.1", 0)
        self.sensors.add(aiokatcp.Sensor(int, "count", "A count"))
        self.sensors.add(aiokatcp.Sensor(float, "level", "A level", "V"))

    async def request_double(self, ctx: aiokatcp.RequestContext, number: int) -> int:
        """Double a number."""
        ctx.inform("doubling", number)
        return 2 * number

    async def request_refuse(self, ctx: aiokatcp.RequestContext) -> None:
        """Refuse."""
        raise aiokatcp.FailReply("not today")


async def test_a_device_of_aiokatcp_and_a_client_of_it() -> None:
    device = Foreign()
    await device.start()
    port = device.server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    try:
        async with proxying(ProxiedDevice("127.0.0.1", port, "foreign")) as proxy:
            client = await aiokatcp.Client.connect("127.0.0.1", proxy.bind_address[1])
            watcher = aiokatcp.SensorWatcher(client)
            client.add_sensor_watcher(watcher)
            try:
                await asyncio.wait_for(watcher.synced.wait(), 10)
                reply, informs = await client.request("foreign-double", 21)
                assert reply == [b"42"]
                assert informs[0].arguments == [b"doubling", b"21"]
                with pytest.raises(aiokatcp.FailReply, match="not today"):
                    await client.request("foreign-refuse")
                shown = watcher.sensors["foreign.count"]
                device.sensors["count"].set_value(5, timestamp=1000.25)
                await until(lambda: shown.value == 5)
                assert shown.timestamp == 1000.25
                device.sensors.add(aiokatcp.Sensor(float, "new", default=0.5))
                device.mass_inform("interface-changed")
                await until(lambda: "foreign.new" in watcher.sensors)
                versions = {
                    i.arguments[0]: i.arguments[1:]
                    for i in (await client.request("version-list"))[1]
                }
                assert versions[b"foreign.katcp-device"] == [b"foreign-1.0", b"foreign-build-1.0"]
                assert b"foreign-halt" not in proxy._entries
                await device.stop()
                unreachable = aiokatcp.Sensor.Status.UNREACHABLE
                await until(lambda: shown.status == unreachable)
                assert shown.value == 5
                with pytest.raises(aiokatcp.FailReply, match=r"foreign at .* is not connected"):
                    await client.request("foreign-double", 1)
            finally:
                client.close()
                await client.wait_closed()
    finally:
        await device.stop()


OLD_DEVICE = '''
import sys
from katcp import DeviceServer, ProtocolFlags, Sensor
from katcp.kattypes import Int, Str, request, return_reply

class Old(DeviceServer):
    VERSION_INFO = ("old-api", 1, 2)
    BUILD_INFO = ("old-build", 0, 9, "")
    if sys.argv[1] == "4":
        PROTOCOL_INFO = ProtocolFlags(4, 0, [ProtocolFlags.MULTI_CLIENT])

    def setup_sensors(self):
        self.speed = Sensor.integer("pump.speed", "Speed", "Hz", [0, 1000])
        self.add_sensor(self.speed)
        self.speed.set(1000.25, Sensor.NOMINAL, 7)
        at = Sensor.timestamp("pump.at", "Time")
        self.add_sensor(at)
        at.set(1001.5, Sensor.WARN, 1234.5)

    @request(Int())
    @return_reply(Int())
    def request_speed(self, req, speed):
        """Set the speed."""
        req.inform("setting", speed)
        self.speed.set(2000.5, Sensor.NOMINAL, speed)
        return ("ok", speed)

    @request()
    @return_reply()
    def request_log_it(self, req):
        """Log something."""
        self.log.error("it is logged", timestamp=3000.5)
        return ("ok",)

server = Old("127.0.0.1", 0)
server.start(10)
print(server.bind_address[1], flush=True)
sys.stdin.read()
server.stop()
server.join()
'''


@pytest.mark.skipif(not OLD, reason="KATCP_OLD_PYTHON does not name a Python with katcp-python")
@pytest.mark.parametrize("major", ["5", "4"])
async def test_a_device_of_katcp_python(major: str, tmp_path: Path) -> None:
    script = tmp_path / "old.py"
    script.write_text(OLD_DEVICE)
    process = await asyncio.create_subprocess_exec(
        str(OLD),
        str(script),
        major,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        cwd=tmp_path,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        port = int(await asyncio.wait_for(process.stdout.readline(), 20))
        async with (
            proxying(ProxiedDevice("127.0.0.1", port, "old")) as proxy,
            talking(proxy) as client,
        ):
            assert proxy.sensors["old.pump.speed"].read() == (1000.25, Sensor.NOMINAL, 7)
            assert proxy.sensors["old.pump.at"].read() == (1001.5, Sensor.WARN, 1234.5)
            lines = await client.ask(b"?sensor-value old.pump.at")
            assert lines[0] == b"#sensor-value 1001.500000 1 old.pump.at warn 1234.500000"
            await client.ask(b"?sensor-sampling old.pump.speed event")
            await client.send(b"?old-speed[5] 11")
            seen = [await client.line() for _ in range(3)]
            assert sorted(seen) == [
                b"!old-speed[5] ok 11",
                b"#old-speed[5] setting 11",
                b"#sensor-status 2000.500000 1 old.pump.speed nominal 11",
            ]
            await client.send(b"?old-log-it")
            seen = [await client.line() for _ in range(2)]
            assert b"#log error 3000.500000 old.root it\\_is\\_logged" in seen
            versions = await client.ask(b"?version-list")
            assert any(
                line.startswith(b"#version-list old.katcp-device old-api-1.2") for line in versions
            )
            process.stdin.close()
            await until(lambda: proxy.sensors["old.pump.speed"].status() == Sensor.UNREACHABLE)
            assert proxy.sensors["old.pump.speed"].value() == 11
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        process._transport.close()  # type: ignore[attr-defined]


def test_the_other_python_is_another_one() -> None:
    assert sys.executable != OLD
