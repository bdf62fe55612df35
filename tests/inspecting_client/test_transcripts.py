"""Recordings of katcp-python's inspecting client, 20 to 28, replayed against ours.

A scripted device says what the recorded one said, and hears what it heard, in that order; the
states that the callback is told are compared too, with their changes. What is meant to differ:

* A state that was announced twice in a row is announced once.
* 25: no request goes out before the device has greeted again. (katcp-python remembers the protocol
  of the former connection, which is wrong for a device that comes back as another version.) So a
  connection that is closed before the greeting uses up no id.
* 25: loss is announced at once, also while waiting to inspect again.
* 28: a change that is announced during an inspection is inspected before `synced` is announced,
  which would not be true. Likewise in 20 to 28: the backoff of failed inspections is reset.
* 21 and 22: looking up what a device with timeout hints does not have gives None, and no hint is
  asked for; an object whose sensor has changed is made anew (20).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import pytest

from katcp.client import Message
from katcp.inspecting_client import InspectingClientAsync, InspectingClientStateType, RequestType
from katcp.sensors import Reading, Sensor
from tests.helpers.inspecting import LETTERS, Told
from tests.helpers.scripted import Server, Session, until
from tests.helpers.transcripts import Step, raw, read

_DOC = re.compile(r"<DOC (\d+) bytes as escaped on the wire>")
_MID = re.compile(rb"(?<=\[)\d+(?=\])")
_STATE = re.compile(r"state \[(.*)\]  model_changes: (.*)")


def line_of(step: Step) -> bytes:
    """Return the bytes of a line, with something of the right length for a help text."""
    return raw(_DOC.sub(lambda match: "x" * int(match[1]), step.text))


def recorded_story(steps: list[Step]) -> tuple[str, list[str]]:
    """Return the states that were announced (runs as one), and the changes."""
    story, changes = "", []
    for step in steps:
        match = _STATE.fullmatch(step.text)
        if step.kind == "event" and match is not None:
            letter = LETTERS[tuple(not word.startswith("!") for word in match[1].split())]  # type: ignore[index]
            if not story.endswith(letter):
                story += letter
            if match[2] != "None":
                changes.append(match[2])
    return story, changes


def written(changes: Any) -> str:
    """Write changes down as the recordings have them."""

    def names(some: set[str]) -> str:
        # The recorder wrote a number where there were many.
        return f"{len(some)} names" if len(some) > 8 else "{" + ", ".join(sorted(some)) + "}"

    return "; ".join(
        f"{what} added {names(changes[what].added)} removed {names(changes[what].removed)}"
        for what in ("requests", "sensors")
        if what in changes
    )


class Recorded(Server):
    """The device of a recording: one connection.

    Parameters
    ----------
    name : str
        Of the recording.
    client : function
        Gives the client, whose state is waited for before the device says anything unasked.
    line : function
        Makes the bytes of a line.
    """

    def __init__(
        self,
        name: str,
        client: Callable[[], InspectingClientAsync],
        line: Callable[[Step], bytes] = line_of,
    ) -> None:
        super().__init__(self._replay)
        self.steps = read(name)
        self.client = client
        self.line = line
        #: Beginning of a remark -> function that does what it says on the user's side.
        self.remarks: dict[str, Callable[[], Any]] = {}
        self.results: dict[str, asyncio.Future[Any]] = {}
        self.ended = asyncio.Event()

    async def _replay(self, session: Session) -> None:
        asked = greeted = False
        for step in self.steps:
            if step.kind == "remark":
                await self._remark(step.text)
            elif step.kind == "send":
                await session.expect(self.line(step))
                asked = True
            elif step.kind == "see":
                line = self.line(step)
                belongs = line.startswith((b"#version", b"#build")) or asked
                if not belongs and greeted:
                    await self.client().until_synced(timeout=5)
                session.say(line)
                greeted = True
                asked = asked and not line.startswith(b"!")
            elif "side closed" in step.text:
                break
        await self._let_everything_end()
        self.ended.set()
        self.rest = await session.until_closed()

    async def _remark(self, text: str) -> None:
        for beginning in list(self.remarks):
            if text.startswith(beginning):
                if self.results:
                    await asyncio.wait(self.results.values(), timeout=5)
                result = self.remarks.pop(beginning)()
                self.results[beginning] = asyncio.ensure_future(result)

    async def _let_everything_end(self) -> None:
        if self.results:
            await asyncio.wait(self.results.values(), timeout=5)
        await self.client().until_synced(timeout=5)


async def replay(
    name: str,
    told: Told,
    remarks: Callable[[InspectingClientAsync], Any] = lambda client: {},
    line: Callable[[Step], bytes] = line_of,
    **kwargs: Any,
) -> tuple[InspectingClientAsync, dict[str, Any]]:
    """Replay a recording of one connection; return the client and what the remarks came to."""
    client: list[InspectingClientAsync] = []
    device = Recorded(name, lambda: client[0], line)
    async with device:
        client.append(InspectingClientAsync(device.host, device.port, **kwargs))
        device.remarks = dict(remarks(client[0]))
        client[0].set_state_callback(told)
        client[0].initial_resync_timeout = 0.01
        await client[0].connect(timeout=5)
        await asyncio.wait_for(device.ended.wait(), 10)
        client[0].stop()
        await client[0].until_stopped(timeout=5)
        await until(lambda: not device.sessions)
        assert device.rest == []
        assert not device.remarks, f"these remarks were not found: {list(device.remarks)}"
    results = {text: await future for text, future in device.results.items()}
    return client[0], results


@pytest.mark.parametrize(
    ("name", "kwargs"),
    [
        ("katcp-20-inspecting-client-v50", {}),
        ("katcp-24-inspecting-client-no-initial-inspection", {"initial_inspection": False}),
        ("katcp-26-inspecting-client-resync", {}),
    ],
)
async def test_recordings_without_anything_meant_to_differ(name: str, kwargs: Any) -> None:
    told = Told()

    def remarks(client: InspectingClientAsync) -> dict[str, Any]:
        if "24" not in name:
            return {}
        return {'future_get_sensor("demo.int")': lambda: client.future_get_sensor("demo.int")}

    client, _ = await replay(name, told, remarks, **kwargs)
    story, changes = recorded_story(read(name))
    assert told.tidy_story == story
    assert [written(change) for change in told.changes] == changes
    assert client.resync_delay is not None
    assert client.resync_delay.delay <= 0.01


async def test_20_objects_of_what_has_changed_are_made_anew() -> None:
    held: list[Any] = []

    async def units(client: InspectingClientAsync) -> str:
        sensor = await client.future_get_sensor("demo.float")
        held.append(sensor)
        return str(sensor.units)

    def remarks(client: InspectingClientAsync) -> dict[str, Any]:
        return {
            "at 0.111": lambda: units(client),
            "future_get_sensor(": lambda: units(client),
            'future_get_request("poke")': lambda: client.future_get_request("poke"),
        }

    _, results = await replay("katcp-20-inspecting-client-v50", Told(), remarks)
    assert list(results.values()) == ["V", "kV", RequestType("poke", "New help.", None)]
    assert held[0] is not held[1]


async def test_21_lookups() -> None:
    told = Told()

    def remarks(client: InspectingClientAsync) -> dict[str, Any]:
        async def known() -> Any:
            await client.until_synced(timeout=5)
            return await client.future_get_sensor("demo.int")

        async def reading() -> Reading:
            await client.simple_request("sensor-sampling", "demo.int", "event")
            sensor = await client.future_get_sensor("demo.int")
            return Reading(*sensor.reading)

        async def value(handle: bool) -> Any:
            if handle:
                client.handle_sensor_value()
            await client.simple_request("sensor-value", "demo.float")
            sensor = await client.future_get_sensor("demo.float")
            return (sensor.status(), sensor.value())

        request = client.simple_request
        return {
            'at 0.062 future_get_sensor("demo.int")': known,
            'at 0.062 future_get_sensor("nope")': lambda: client.future_get_sensor("nope"),
            "at 0.094 future_get_sensor": lambda: client.future_get_sensor("nope", update=False),
            'at 0.094 future_get_request("add")': lambda: client.future_get_request("add"),
            'at 0.094 future_get_request("nope")': lambda: client.future_get_request("nope"),
            "at 0.126": lambda: client.future_get_sensor("demo.later"),
            'at 0.157 simple_request("add"': lambda: request("add", 1, 2.5),
            'at 0.159 simple_request("watchdog", mid=77)': lambda: request("watchdog", mid=77),
            'at 0.159 simple_request("watchdog", use': lambda: request("watchdog", use_mid=False),
            'at 0.160 simple_request("sensor-sampling"': reading,
            "at 0.191": lambda: value(False),
            "at 0.193": lambda: value(True),
        }

    # W44: the recorded client used up an id for the request that was sent without one.
    client, results = await replay(
        "katcp-21-inspecting-client-lookups", told, remarks, line=one_id_less
    )
    values = list(results.values())
    assert (values[0].stype, values[0].params) == ("integer", [-10, 10])
    assert values[1:3] == [None, None]
    assert values[3] == RequestType("add", "Add two floats.", None)
    assert values[4] is None
    assert values[5].name == "demo.later"
    assert "demo.later" in client.sensors
    assert values[6] == (Message.reply("add", "ok", 3.5, mid=6), [])
    assert values[7][0] == Message.reply("watchdog", "ok", mid=77)
    assert values[8][0] == Message.reply("watchdog", "ok")
    assert values[9] == Reading(1600000000.25, Sensor.NOMINAL, 3)
    assert values[10] == (Sensor.UNKNOWN, 0.0)
    assert values[11] == (Sensor.NOMINAL, 1.25)
    story, _ = recorded_story(read("katcp-21-inspecting-client-lookups"))
    assert told.tidy_story == story


def one_id_less(step: Step) -> bytes:
    """Return the bytes of a line of recording 21, whose ids from 8 on are one less with us."""

    def less(match: re.Match[bytes]) -> bytes:
        mid = int(match.group())
        return b"%d" % (mid - 1 if 8 <= mid < 77 else mid)

    return _MID.sub(less, line_of(step), count=1)


async def test_22_timeout_hints() -> None:
    name = "katcp-22-inspecting-client-v51"
    told = Told()
    client: list[InspectingClientAsync] = []

    device = Recorded(name, lambda: client[0])
    # What is asked for an unknown request is one question less with us.
    texts = [step.text for step in device.steps]
    del device.steps[texts.index("?request-timeout-hint[8] nope")]
    del device.steps[texts.index("!request-timeout-hint[8] fail Unknown\\_request\\_method") - 1]
    async with device:
        client.append(InspectingClientAsync(device.host, device.port))
        client[0].set_state_callback(told)
        device.remarks = {"at 0.416": lambda: client[0].future_get_request("nope")}
        await client[0].connect(timeout=5)
        await asyncio.wait_for(device.ended.wait(), 10)
        assert await device.results["at 0.416"] is None
        hints = {
            r: (await client[0].future_get_request(r)).timeout_hint for r in client[0].requests
        }
        assert {r: hint for r, hint in hints.items() if hint is not None} == {"slow-one": 30.0}
        client[0].stop()
        await client[0].until_stopped(timeout=5)
    story, changes = recorded_story(read(name))
    assert told.tidy_story == story
    assert [written(change) for change in told.changes] == changes


async def test_23_version_4() -> None:
    name = "katcp-23-inspecting-client-v4"
    told = Told()
    client: list[InspectingClientAsync] = []
    device = Recorded(name, lambda: client[0])
    async with device:
        client.append(InspectingClientAsync(device.host, device.port))
        client[0].set_state_callback(told)
        await client[0].connect(timeout=5)
        await client[0].until_synced(timeout=5)
        reply, _ = await client[0].simple_request("sensor-sampling", "demo.int", "event")
        assert reply.reply_ok()
        sensor = await client[0].future_get_sensor("demo.int")
        assert sensor.reading == (1600000000.25, 1, 3)
        await asyncio.wait_for(device.ended.wait(), 10)
        client[0].stop()
        await client[0].until_stopped(timeout=5)
    story, changes = recorded_story(read(name))
    assert told.tidy_story == story
    assert [written(change) for change in told.changes] == changes


async def test_25_loss_of_the_connection() -> None:
    """The recorded connections one after another, each with its greeting first."""
    name = "katcp-25-inspecting-client-reconnect"
    steps = read(name)
    # One list of lines for each connection that was served.
    connections: list[list[Step]] = []
    for step in steps:
        if step.kind == "event" and step.text.startswith("client connects"):
            connections.append([])
        elif step.kind in ("send", "see") and connections:
            connections[-1].append(step)
    assert len(connections) == 4
    told = Told()
    cut = asyncio.Event()
    count = 0

    async def serve(session: Session) -> None:
        nonlocal count
        if count == 3 and told.tidy_story.count("S") == 3 and not refused:
            refused.append(True)
            return  # accepted and closed at once
        lines = connections[count]
        count += 1
        is_greeting = [step.text.startswith("#version-connect") for step in lines]
        for step, greeting in zip(lines, is_greeting, strict=True):
            if greeting:
                session.say(line_of(step))
        mids: dict[bytes, bytes] = {}
        for step, greeting in zip(lines, is_greeting, strict=True):
            line = line_of(step)
            recorded = _MID.search(line)
            if greeting:
                continue
            if step.kind == "send":
                heard = await session.hear()
                actual = _MID.search(heard)
                assert recorded is not None
                assert actual is not None
                mids[recorded.group()] = actual.group()
                assert _MID.sub(b"", heard, count=1) == _MID.sub(b"", line, count=1)
            elif recorded is not None and line[:1] in b"!#" and recorded.group() in mids:
                session.say(_MID.sub(mids[recorded.group()], line, count=1))
            else:
                session.say(line)
        await cut.wait()
        cut.clear()

    refused: list[bool] = []
    async with Server(serve) as server:
        client = InspectingClientAsync(server.host, server.port)
        client.katcp_client.auto_reconnect_delay = 0.005
        client.initial_resync_timeout = 0.01
        client.set_state_callback(told)
        await client.connect(timeout=5)
        await client.until_synced(timeout=5)
        reply, _ = await client.simple_request("sensor-sampling", "demo.int", "event")
        assert reply.reply_ok()
        for synced in range(1, 4):
            await until(lambda synced=synced: told.tidy_story.count("S") == synced)
            cut.set()
            await client.until_not_synced(timeout=5)
            await client.until_synced(timeout=5)
        assert sorted(client.sensors) == ["demo.float", "demo.int"]
        client.stop()
        await client.until_stopped(timeout=5)
    assert refused
    story, changes = recorded_story(steps)
    assert told.tidy_story == story
    assert [written(change) for change in told.changes] == changes


async def test_27_a_device_that_is_silent_at_first_and_then_never_answers() -> None:
    name = "katcp-27-inspecting-client-silent-device"
    told = Told()
    greet = asyncio.Event()

    async def serve(session: Session) -> None:
        await greet.wait()
        session.say(b"#version-connect katcp-protocol 5.0-IM")
        await session.expect(b"?help[1]")
        await session.expect(b"?help[2]")
        done.set()
        await session.until_closed()

    done = asyncio.Event()
    async with Server(serve) as server:
        client = InspectingClientAsync(server.host, server.port)
        client.sync_timeout = 0.05
        client.initial_resync_timeout = 0.01
        client.set_state_callback(told)
        await client.connect(timeout=5)
        known = client.until_connected()
        await asyncio.sleep(0.05)
        assert client.connected
        assert not client.synced
        assert not known.done()
        greet.set()
        await known
        await asyncio.wait_for(done.wait(), 5)
        client.stop()
        await client.until_stopped(timeout=5)
    story, _ = recorded_story(read(name))
    assert told.tidy_story == story


async def test_28_a_change_during_an_inspection() -> None:
    name = "katcp-28-inspecting-client-change-during-sync"
    told = Told()
    client, _ = await replay(name, told)
    story, changes = recorded_story(read(name))
    assert story == "DCMSCMSD"
    assert told.tidy_story == "DCMCMSD"  # without the `synced` that would not have been true
    assert [written(change) for change in told.changes] == changes
    assert sorted(client.sensors) == ["a.b", "a.c"]


def test_states_are_written_as_in_the_recordings() -> None:
    assert str(InspectingClientStateType(True, False, True, True)) == (
        "[connected !synced model_changed data_synced]"
    )
