"""A device of a file, served: its values, its requests, and what a change of the file does."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path
from typing import Any

import pytest

from katcp.device_files import device_class
from katcp.sensors import Sensor
from tests.device_files.device import served, write
from tests.helpers.serving import serving, talking, until


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "d.yaml"


def reading(device: Any, name: str) -> tuple[str, Any]:
    found = device.get_sensor(name).read()
    return Sensor.STATUSES[found.status], found.value


async def test_what_it_is_and_first_values(path: Path) -> None:
    text = """\
        sensors:
          a: {type: float, units: K, description: A thing, nominal: [0, 5], warn: [-1, 9],
              initial: 7}
          b: {type: discrete, words: [off, on], initial: off, statuses: {off: warn}}
          c: {type: integer}
          d: {type: timestamp, initial: 2026-01-31T12:00:00Z}
          e: {type: address, source: {constant: "127.0.0.1:80"}}
          f: {type: string, initial: 010, status: inactive}
    """
    async with served(path, text) as (device, client):
        assert device.version() == "test-0.1"
        assert device.build_state() == "test-0.1"
        assert reading(device, "a") == ("warn", 7.0)
        assert reading(device, "b") == ("warn", "off")
        assert reading(device, "c") == ("unknown", 0)
        assert reading(device, "d") == ("nominal", 1769860800.0)
        assert reading(device, "e") == ("nominal", ("127.0.0.1", 80))
        assert reading(device, "f") == ("inactive", "010")
        assert await client.ask(b"?sensor-list[1] a") == [
            b"#sensor-list[1] a A\\_thing K float 0.0 5.0 -1.0 9.0",
            b"!sensor-list[1] ok 1",
        ]


async def test_requests(path: Path) -> None:
    text = """\
        sensors:
          speed: {type: integer, initial: 3, settable: {range: [0, 10]}}
          on: {type: boolean, initial: false}
          note: {type: string, initial: x, settable: {pattern: "[a-z]+"}}
        requests:
          go:
            description: Go.
            arguments:
              - {name: how, type: discrete, words: [slow, fast], description: In which way}
              - {name: far, type: float, default: 1.5}
            fails:
              - {when: {on: false}, text: It is off.}
              - {when: {speed: {above: 8}, note: {not: safe}}, text: "Not $how, it is too fast."}
            sets: {note: "$how, $far"}
            replies: [$far, done]
          switch: {description: Switch., arguments: [{name: state, type: boolean}], sets: on}
    """
    async with served(path, text) as (device, client):
        assert await client.ask(b"?go[1] fast") == [b"!go[1] fail It\\_is\\_off."]
        assert await client.ask(b"?switch[2] 1") == [b"!switch[2] ok"]
        assert await client.ask(b"?go[3] fast 2") == [b"!go[3] ok 2.0 done"]
        assert reading(device, "note") == ("nominal", "fast, 2.0")
        assert await client.ask(b"?set-speed[4] 9") == [b"!set-speed[4] ok 9"]
        assert await client.ask(b"?go[5] fast") == [
            b"!go[5] fail Not\\_fast,\\_it\\_is\\_too\\_fast."
        ]
        assert await client.ask(b"?set-note[6] safe") == [b"!set-note[6] ok safe"]
        assert await client.ask(b"?go[7] slow") == [b"!go[7] ok 1.5 done"]
        for line, said in [
            (b"?go[8] quick", b"Error\\_in\\_parameter\\_1\\_(how):"),
            (b"?go[8] fast x", b"Error\\_in\\_parameter\\_2\\_(far):"),
            (b"?go[8]", b"Error\\_in\\_parameter\\_1\\_(how):"),
            (b"?go[8] fast 1 2", b"Too\\_many\\_parameters\\_given."),
            (b"?set-speed[8] 11", b"Error\\_in\\_parameter\\_1\\_(value):"),
            (b"?set-note[8] A", b"Error\\_in\\_parameter\\_1\\_(value):"),
        ]:
            (reply,) = await client.ask(line)
            assert b" fail " + said in reply
        help_lines = await client.ask(b"?help[9] go")
        assert (
            b"Parameters:\\_how:\\_discrete(slow|fast),\\_far:\\_float\\_=\\_1.5" in help_lines[0]
        )


async def test_requests_that_run_commands(path: Path) -> None:
    text = """\
        sensors:
          last: {type: string, initial: ""}
        requests:
          echo:
            description: Say it.
            arguments: [{name: what}]
            runs: [echo, "<$what>"]
            sets: {last: $output}
            replies: $output
          fail: {description: Fail., runs: [sh, -c, "echo no such luck >&2; exit 1"]}
          slow: {description: Wait., runs: {run: [sleep, 100], timeout: 0.2}}
    """
    async with served(path, text) as (device, client):
        assert await client.ask(b"?echo[1] a;\\_id") == [b"!echo[1] ok <a;\\_id>"]
        assert reading(device, "last") == ("nominal", "<a; id>")
        (reply,) = await client.ask(b"?fail[2]")
        assert reply == (
            b"!fail[2] fail The\\_command\\_failed:\\_exit\\_status\\_1:\\_no\\_such\\_luck."
        )
        (reply,) = await client.ask(b"?slow[3]")
        assert b"it\\_took\\_longer\\_than\\_0.2\\_s" in reply
        (reply,) = await client.ask(b"?echo[4] a\\0b")
        assert b"fail An\\_argument\\_holds\\_a\\_byte\\_0" in reply


async def test_sources(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "katcp.device_files")
    data = path.parent / "data.txt"
    data.write_text("temperature 21500\nstate on\n")
    text = """\
        sensors:
          wave: {type: float, source: {sine: {every: 0.05, period: 1}}}
          goal: {type: float, initial: 5}
          near: {type: float, source: {follow: {sensor: goal, every: 0.05}}}
          temperature: {type: float, nominal: [0, 20], source: {file: {path: data.txt, line: 1,
              regex: "[0-9]+", scale: 0.001, every: 0.05}}}
          state: {type: boolean, source: {file: {path: data.txt, line: -1, regex: 'state (.*)',
              every: 0.05}}}
          changed: {type: string, source: {file: {path: data.txt, every: 0.05, on-change: true}}}
          first: {type: string, source: {command: {run: [cat, data.txt], line: 1, every: 0.05}}}
          second: {type: string, source: {command: {run: [cat, data.txt], line: 2, every: 0.05}}}
          none: {type: integer, source: {command: {run: ["false"], every: 0.05}}}
    """
    async with served(path, text) as (device, _):
        assert reading(device, "near") == ("nominal", 5.0)
        await until(lambda: reading(device, "second") == ("nominal", "state on"))
        await until(lambda: reading(device, "state") == ("nominal", True))
        await until(lambda: reading(device, "temperature") == ("warn", 21.5))
        await until(lambda: reading(device, "first") == ("nominal", "temperature 21500"))
        await until(lambda: reading(device, "none")[0] == "failure")
        await until(lambda: reading(device, "changed")[0] == "nominal")
        stamp = device.get_sensor("changed").read().timestamp
        assert stamp == pytest.approx(os.stat(data).st_mtime)
        data.write_text("temperature 5000\nstate broken\n")
        await until(lambda: reading(device, "temperature") == ("nominal", 5.0))
        await until(lambda: reading(device, "state") == ("failure", True))
        await until(lambda: "broken" in reading(device, "changed")[1])
        data.unlink()
        await until(lambda: reading(device, "temperature")[0] == "failure")
        data.write_text("temperature 7000\nstate off\n")
        await until(lambda: reading(device, "temperature") == ("nominal", 7.0))
        await until(lambda: reading(device, "state") == ("nominal", False))
        await asyncio.sleep(0.2)
    lines = [record.getMessage() for record in caplog.records]
    assert len([line for line in lines if line.startswith("Sensor none has no value")]) == 1
    assert len([line for line in lines if line.startswith("Sensor temperature has no value")]) == 1
    assert "Sensor temperature has values again" in lines


async def test_set_by_a_command_and_read_back(path: Path) -> None:
    (path.parent / "value").write_text("1")
    text = """\
        sensors:
          level:
            type: integer
            source: {file: {path: value, every: 3600}}
            settable: {range: [0, 9], runs: [sh, -c, "echo $value > value"]}
    """
    async with served(path, text) as (device, client):
        await until(lambda: reading(device, "level") == ("nominal", 1))
        assert await client.ask(b"?set-level[1] 7") == [b"!set-level[1] ok 7"]
        await until(lambda: reading(device, "level") == ("nominal", 7))


async def test_sensors_of_another_device(path: Path) -> None:
    other_path = path.parent / "other.yaml"
    write(
        other_path,
        """\
        sensors:
          wind: {type: float, initial: 3, settable: true}
          word: {type: discrete, words: [a, b], initial: b, status: warn}
        """,
    )
    other = device_class(other_path)("127.0.0.1", 0)
    async with serving(other):
        port = other.bind_address[1]
        text = f"""\
            sensors:
              w: {{type: float, source: {{sensor: {{device: "127.0.0.1:{port}", name: wind,
                  scale: 3.6}}}}}}
              o: {{type: string, source: {{sensor: {{device: "127.0.0.1:{port}", name: word}}}}}}
              x: {{type: string, source: {{sensor: {{device: "127.0.0.1:{port}", name: none}}}}}}
        """
        async with served(path, text) as (device, _):
            await until(lambda: reading(device, "w") == ("nominal", pytest.approx(10.8)))
            await until(lambda: reading(device, "o") == ("warn", "b"))
            await until(lambda: reading(device, "x")[0] == "failure")
            other.get_sensor("wind").set_value(5.0)
            await until(lambda: reading(device, "w") == ("nominal", 18.0))
            await other.stop()
            await until(lambda: reading(device, "w") == ("unreachable", 18.0))
            await until(lambda: reading(device, "o")[0] == "unreachable")


BEFORE = """\
    sensors:
      same: {type: integer, initial: 1, settable: true}
      limits: {type: float, nominal: [0, 5], initial: 1}
      gone: {type: integer}
      wave: {type: float, source: {ramp: {to: 1, period: 1000000, every: 0.05}}}
    requests:
      old: {description: Old.}
      both: {description: Both.}
"""
AFTER = """\
    sensors:
      same: {type: integer, initial: 1, settable: true, statuses: {7: warn}}
      limits: {type: float, nominal: [0, 6], initial: 1}
      new: {type: integer, initial: 9}
      wave: {type: float, source: {ramp: {to: 1, period: 1000000, every: 0.05}}}
    requests:
      both: {description: Both still.}
      new: {description: New.}
"""


async def test_reload_changes_what_has_changed(path: Path) -> None:
    async with served(path, BEFORE) as (device, client):
        await client.ask(b"?set-same[1] 7")
        await client.ask(b"?sensor-sampling[2] same event")
        wave = device.get_sensor("wave")
        write(path, AFTER)
        assert await device.reload() is True
        assert await client.line() == b"#sensor-status %b" % client_reading(device, "same")
        assert await client.line() == b"#interface-changed"
        assert reading(device, "same") == ("warn", 7)
        assert device.get_sensor("wave") is wave
        assert sorted(device.sensors) == ["limits", "new", "same", "wave"]
        assert await client.ask(b"?sensor-sampling[3] same") == [
            b"!sensor-sampling[3] ok same event"
        ]
        (reply,) = await client.ask(b"?old[4]")
        assert reply.startswith(b"!old[4] invalid")
        assert await client.ask(b"?new[5]") == [b"!new[5] ok"]
        assert (await client.ask(b"?help[6] both"))[0] == b"#help[6] both Both\\_still."


def client_reading(device: Any, name: str) -> bytes:
    return bytes(device.get_sensor(name).wire_reading()[1:-1])


async def test_a_bad_file_changes_nothing(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with served(path, BEFORE) as (device, client):
        spec = device.device_spec
        write(path, "sensors:\n  a: {type: flaot}\n  b: {typ: float}")
        assert await device.reload() is False
        assert device.device_spec is spec
        assert await client.ask(b"?old[1]") == [b"!old[1] ok"]
    said = [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR]
    assert said[0].startswith(f"{path}:3:13: this has to be integer")
    assert said[-1] == "The device goes on as it was"
    caplog.clear()


async def test_nothing_is_announced_if_nothing_has_changed(path: Path) -> None:
    async with served(path, BEFORE) as (device, client):
        assert await device.reload() is True
        assert await client.ask(b"?watchdog[1]") == [b"!watchdog[1] ok"]


async def test_started_again_after_a_stop(path: Path) -> None:
    text = "sensors:\n  a: {type: float, source: {noise: {every: 0.05}}}\n"
    device = device_class(write(path, text))("127.0.0.1", 0)
    for _ in range(2):
        async with serving(device), talking(device) as client:
            before = reading(device, "a")
            await until(lambda before=before: reading(device, "a") != before)
            assert (await client.ask(b"?sensor-value[1] a"))[1] == b"!sensor-value[1] ok 1"
