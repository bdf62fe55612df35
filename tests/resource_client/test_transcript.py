"""The recording of katcp-python's resource, 30, replayed against ours.

A scripted device says what the recorded one said, and hears what it heard, in that order, on the
three connections of the recording; the states of the resource and all results are compared too.
What is meant to differ is in `DIFFERENCES`, and:

* W45: nothing is asked before the device has greeted again.
* W75: a strategy that the device has refused is not reported as set, but with its error.
* Ids: those of the requests that are not made are not used up.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any

from katcp.resource_client import KATCPClientResource
from tests.helpers.resources import PATIENCE, Told
from tests.helpers.scripted import Server, Session
from tests.helpers.transcripts import Step, raw, read

_MID = re.compile(rb"(?<=\[)\d+(?=\])")
_DOC = re.compile(r"<DOC (\d+) bytes as escaped on the wire>")
_TWICE = "W76: a strategy kept from before is set once"
_WHOLE = "W71: whole numbers stay whole"

#: Line of the recording -> what there is instead (None: nothing), and why.
DIFFERENCES: dict[str, tuple[str | None, str]] = {
    "?sensor-sampling[4] demo.mode event": (None, _TWICE),
    "!sensor-sampling[4] ok demo.mode event": (None, _TWICE),
    **{
        line: (line.replace("10.0", "10"), _WHOLE)
        for mid in (7, 14, 19)
        for line in (
            f"?sensor-sampling[{mid}] demo.int event-rate 0.1 10.0",
            f"!sensor-sampling[{mid}] ok demo.int event-rate 0.1 10.0",
        )
    },
}


def line_of(text: str) -> bytes:
    text = _DOC.sub(lambda match: "x" * int(match[1]), text)
    return raw(text.replace("<NOW>", "1700000000.000000").replace("<FRAMES>", "frames"))


def connections_of(steps: list[Step], used: set[str]) -> list[list[tuple[str, bytes]]]:
    """Return what is said (``<``) and heard (``>``) on each connection, as it is to be with us."""
    connections: list[list[tuple[str, bytes]]] = []
    for step in steps:
        if step.kind == "event" and step.text.startswith("client connects"):
            connections.append([])
        elif step.kind in ("send", "see"):
            text: str | None = step.text
            if step.text in DIFFERENCES:
                used.add(step.text)
                text = DIFFERENCES[step.text][0]
            if text is not None:
                connections[-1].append(("<" if step.kind == "see" else ">", line_of(text)))
    return connections


class Recorded(Server):
    """Plays the connections of the recording one after another."""

    def __init__(self, connections: list[list[tuple[str, bytes]]]) -> None:
        super().__init__(self._replay)
        self.connections = connections
        #: The device says that demo.int is 8 when this is set.
        self.set_8 = asyncio.Event()
        self.cut_now = asyncio.Event()

    async def _replay(self, session: Session) -> None:
        lines = self.connections[self.count - 1]
        greeting = [line for _, line in lines if line.startswith(b"#version-connect")]
        session.say(*greeting)
        mids: dict[bytes, bytes] = {}
        for direction, line in lines:
            if line in greeting:
                continue
            mid = _MID.search(line)
            if direction == ">":
                heard = await session.hear()
                actual = _MID.search(heard)
                assert mid is not None
                assert actual is not None
                assert _MID.sub(b"", heard) == _MID.sub(b"", line)
                mids[mid.group()] = actual.group()
                continue
            if line == b"#sensor-status 1700000000.000000 1 demo.int nominal 8":
                await self.set_8.wait()
            session.say(line if mid is None else _MID.sub(mids[mid.group()], line, count=1))
        await self.cut_now.wait()
        self.cut_now.clear()


async def test_30_resource_client() -> None:
    steps = read("katcp-30-resource-client")
    used: set[str] = set()
    device = Recorded(connections_of(steps, used))
    assert used == set(DIFFERENCES)
    results: list[Any] = []
    async with device:
        resource = Told(
            {
                "name": "demo",
                "address": (device.host, device.port),
                "controlled": True,
                "auto_reconnect_delay": 0.005,
            }
        )
        assert await resource.set_sampling_strategy("demo_mode", "event") == {}
        resource.start()
        await resource.until_synced(timeout=PATIENCE)
        await use(resource, device, results)
        resource.stop()
        await resource.until_stopped(timeout=PATIENCE)
    assert resource.story == [
        step.text.removeprefix("resource state: ")
        for step in steps
        if step.text.startswith("resource state: ")
    ]
    assert results == [
        ["add", "help", "poke", "sensor_list", "sensor_sampling", "sensor_sampling_clear"],
        ["sensor_value", "slow_one", "version_list", "watchdog"],
        ["demo_float", "demo_int", "demo_mode"],
        ("!add[4] ok 3.0", True, "!add ok 3.0"),
        (3, "nominal"),
        (True, ("event-rate", "0.1", "10")),
        {"demo_float": "differential 0.5"},
        {"demo_mode": "event"},
        True,
        False,
    ]
    remarks = " ".join(step.text for step in steps if step.kind == "remark")
    for result in (
        results[0] + results[1],
        results[2],
        results[6],
        "!add[5] ok 3.0",
        "!add ok 3.0",
    ):
        assert str(result) in remarks


async def use(resource: KATCPClientResource, device: Recorded, results: list[Any]) -> None:
    requests = sorted(resource.req)
    results += [requests[:6], requests[6:]]
    results.append(sorted(resource.sensor))
    reply = await resource.req.add(1, 2)
    results.append((str(reply), bool(reply), repr(reply)))
    value = await resource.sensor.demo_int.get_value()
    results.append((value, resource.sensor.demo_int.reading.status))
    results.append(await resource.sensor.demo_int.set_strategy("event-rate", "0.1 10"))
    results.append(await resource.set_sampling_strategy("demo_float", "differential 0.5"))
    refused = await resource.set_sampling_strategy("demo_mode", "period nonsense")
    assert list(refused) == ["demo_mode"]
    assert "could\\_not\\_convert" in refused["demo_mode"]
    results.append(await resource.set_sampling_strategy("demo_mode", "event"))
    reached = resource.wait("demo_int", 8, timeout=PATIENCE)
    await asyncio.sleep(0)
    device.set_8.set()
    results.append(await reached)
    results.append(await resource.wait("demo_int", 9, timeout=0.01))
    for _ in range(2):
        device.cut_now.set()
        await resource.until_not_synced(timeout=PATIENCE)
        await resource.until_synced(timeout=PATIENCE)
        resource.drop_sampling_strategy("demo_float")
