"""``katcp-cli`` with a verb, as a process, on the demo device."""

import json
import re
import signal
import socket
import subprocess
import sys
from typing import Any

import pytest

from tests.system.programs import CLI, PATIENCE, Served, cli, environment, run, serve

pytestmark = pytest.mark.slow

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


def records(result: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    assert result.stdout.isascii()
    return [json.loads(line) for line in result.stdout.splitlines()]


# -- list -----------------------------------------------------------------------------------


def test_list(demo: Served) -> None:
    result = cli(demo.address, "list")
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert len(lines) >= 18
    (mode,) = [line for line in lines if line.startswith("mode ")]
    assert mode.split(None, 2)[:2] == ["mode", "discrete(off|cooling|warm-up)"]
    assert "\x1b" not in result.stdout


@pytest.mark.parametrize("filter_text", ["pump", "pump.*", "/^pump/"])
def test_list_filter(demo: Served, filter_text: str) -> None:
    result = cli(demo.address, "list", filter_text)
    names = [line.split()[0] for line in result.stdout.splitlines()]
    assert names == ["pump.controller", "pump.on", "pump.speed", "pump.starts"]


def test_list_as_json(demo: Served) -> None:
    found = {r["name"]: r for r in records(cli(demo.address, "list", "--json"))}
    assert found["stage2.temperature"] == {
        "name": "stage2.temperature",
        "type": "float",
        "units": "K",
        "description": "Temperature of the second stage",
        "params": [3.0, 20.0, 2.0, 30.0],
    }


def test_list_values_and_requests(demo: Served) -> None:
    values = cli(demo.address, "list", "compressor.hours", "--values")
    assert re.fullmatch(rf"compressor\.hours  10250 h  warn  {TIME}\n", values.stdout)
    requests = records(cli(demo.address, "list", "--requests", "--json", "vent"))
    assert [r["name"] for r in requests] == ["vent"]
    assert requests[0]["description"].startswith("Let air into the vessel.")


# -- get ------------------------------------------------------------------------------------


def test_get(demo: Served) -> None:
    result = cli(demo.address, "get", "site.wind-speed", "compressor.hours")
    assert result.returncode == 0
    one, other = result.stdout.splitlines()
    assert re.fullmatch(rf"site\.wind-speed   \(3\.2\) m/s  unreachable  {TIME}", one)
    assert re.fullmatch(rf"compressor\.hours  10250 h    warn         {TIME}", other)


def test_get_as_json(demo: Served) -> None:
    found = {r["name"]: r for r in records(cli("--json", demo.address, "get", "*"))}
    assert {r["type"] for r in found.values()} == {
        "integer", "float", "boolean", "lru", "discrete", "string", "timestamp", "address",
    }  # fmt: skip
    assert found["compressor.hours"]["value"] == 10250
    assert found["pump.on"]["value"] in (True, False)
    assert found["receiver.destination"]["value"] == "239.2.1.150:7148"
    assert found["site.wind-speed"]["status"] == "unreachable"
    assert isinstance(found["compressor.last-service"]["value"], float)
    assert all(isinstance(r["timestamp"], float) for r in found.values())


def test_get_of_what_is_not_there(demo: Served) -> None:
    result = cli(demo.address, "get", "compressor.hours", "nope", "zz*")
    assert result.returncode == 1
    assert result.stdout.startswith("compressor.hours")
    assert result.stderr.splitlines() == [
        "katcp-cli: no sensor 'nope'",
        "katcp-cli: no sensor matches zz*",
    ]
    assert cli(demo.address, "get", "nope").stderr == "katcp-cli: no sensor 'nope'\n"


# -- call -----------------------------------------------------------------------------------


def test_call(demo: Served) -> None:
    result = cli(demo.address, "call", "set-label", "a  b é", KEEP="1")
    assert (result.returncode, result.stdout) == (0, '!set-label ok "a  b é"\n')
    found = records(cli(demo.address, "get", "label", "--json"))
    assert found[0]["value"] == "a  b é"


@pytest.mark.parametrize(
    ("arguments", "echo"), [(["-5"], "-5"), (["--", "--json"], "--json"), ([""], '""')]
)
def test_call_sends_arguments_as_they_are(demo: Served, arguments: list[str], echo: str) -> None:
    result = cli(demo.address, "call", "set-label", *arguments)
    assert result.stdout == f"!set-label ok {echo}\n"


def test_call_prints_informs_and_waits_as_long_as_the_device_says(demo: Served) -> None:
    result = cli(demo.address, "call", "calibrate", "2", "--json")
    one, two, reply = records(result)
    assert one == {"inform": "calibrate", "arguments": ["1", "2", one["arguments"][2]]}
    assert two["arguments"][:2] == ["2", "2"]
    assert reply["reply"] == "calibrate"
    assert reply["status"] == "ok"
    assert len(reply["arguments"]) == 1


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            ["set-setpoint", "99"],
            "set-setpoint fail: Error in parameter 1 (kelvin): Float 99 is higher",
        ),
        (["vent"], "vent fail: A stage is at"),
        (["fault"], "fault fail: RuntimeError: This is the simulated bug."),
        (["no-such"], "no-such invalid: Unknown request."),
    ],
)
def test_call_that_is_refused(demo: Served, arguments: list[str], text: str) -> None:
    result = cli(demo.address, "call", *arguments)
    assert result.returncode == 1
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"katcp-cli: {text}")
    as_json = cli(demo.address, "call", "--json", *arguments)
    assert as_json.returncode == 1
    assert records(as_json)[-1]["status"] in ("fail", "invalid")


# -- watch ----------------------------------------------------------------------------------


def test_watch_counts(demo: Served) -> None:
    result = cli(demo.address, "watch", "stage2.temperature", "label", "--count", "3")
    assert result.returncode == 0
    lines = result.stdout.splitlines()
    assert len(lines) == 3
    assert all(re.match(rf"{TIME}  (stage2\.temperature|label {{14}}) ", line) for line in lines)


def test_watch_for_a_time_as_json(demo: Served) -> None:
    result = cli(
        demo.address, "watch", "/^stage2.t/", "--strategy", "period 0.1", "--for", "0.55", "--json"
    )
    assert result.returncode == 0
    found = records(result)
    assert len(found) >= 2
    assert {r["name"] for r in found} == {"stage2.temperature"}


def test_watch_of_what_is_refused_or_not_there(demo: Served) -> None:
    refused = cli(demo.address, "watch", "label", "--strategy", "differential 1")
    assert refused.returncode == 1
    assert "label: sensor-sampling fail: " in refused.stderr
    absent = cli(demo.address, "watch", "nope", "--count", "1")
    assert (absent.returncode, absent.stderr) == (1, "katcp-cli: no sensor 'nope'\n")


def test_watch_follows_sensors_that_come_and_go() -> None:
    with serve("demo") as served:
        watching = subprocess.Popen(
            [*CLI, served.address, "watch", "module.*", "pump.on", "--count", "5"],
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert watching.stdout is not None
        with watching:
            assert "pump.on" in watching.stdout.readline()
            for request, expected in (("attach-module", 2), ("detach-module", 0)):
                assert cli(served.address, "call", request, "m1").returncode == 0
                lines = [watching.stdout.readline() for _ in range(expected)]
                assert all(" module.m1." in line for line in lines)
            assert cli(served.address, "call", "attach-module", "m2").returncode == 0
            rest = watching.stdout.read()
            assert watching.wait(PATIENCE) == 1  # at first nothing matched module.*
            assert watching.stderr is not None
            errors = watching.stderr.read()
        assert rest.count(" module.m2.") == 2
        assert "katcp-cli: sensor module.m1.voltage is gone\n" in errors


def test_watch_until_the_device_goes() -> None:
    with serve("demo") as served:
        watching = subprocess.Popen(
            [*CLI, served.address, "watch", "label"],
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with watching:
            assert watching.stdout is not None
            watching.stdout.readline()
            assert served.end() == 0
            assert watching.wait(PATIENCE) == 3
            assert watching.stderr is not None
            assert watching.stderr.read() == (
                f"katcp-cli: connection to {served.address} lost: Device server shutting down.\n"
            )


def test_watch_until_interrupted(demo: Served) -> None:
    watching = subprocess.Popen(
        [*CLI, demo.address, "watch", "label"],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with watching:
        assert watching.stdout is not None
        watching.stdout.readline()
        watching.send_signal(signal.SIGINT)
        assert watching.wait(PATIENCE) == 130
        assert watching.stderr is not None
        assert watching.stderr.read() == ""


# -- help and info --------------------------------------------------------------------------


def test_help(demo: Served) -> None:
    one = cli(demo.address, "help", "mode")
    assert one.stdout.startswith("?mode\n  Tell what the cryostat is to do")
    assert cli(demo.address, "help").stdout.startswith("attach-module   ")
    unknown = cli(demo.address, "help", "no-such")
    assert (unknown.returncode, unknown.stderr) == (
        1,
        "katcp-cli: help fail: Unknown request method.\n",
    )


def test_info(demo: Served) -> None:
    (record,) = records(cli(demo.address, "info", "--json"))
    assert record["address"] == demo.address
    assert record["protocol"].startswith("5.1-")
    assert record["versions"]["katcp-device"][0] == "demo-api-1.0"
    assert record["sensors"] >= 18
    assert record["requests"] >= 20
    assert len(record["clients"]) >= 1
    assert f"address         {demo.address}\n" in cli(demo.address, "info").stdout


# -- the device, and not reaching it --------------------------------------------------------


def test_ways_to_name_the_device(demo: Served) -> None:
    expected = cli(demo.address, "get", "compressor.hours").stdout
    assert expected
    for arguments in (
        ["--address", demo.address, "get", "compressor.hours"],
        ["-a", demo.address, "get", "compressor.hours"],
        ["get", "compressor.hours", "--address", demo.address],
        [f":{demo.port}", "get", "compressor.hours"],
        ["--timeout", "9", demo.address, "get", "compressor.hours"],
    ):
        assert cli(*arguments).stdout == expected
    assert cli("get", "compressor.hours", KATCP_ADDRESS=demo.address).stdout == expected


def test_nobody_listens() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"
        result = cli(address, "list")
    assert result.returncode == 3
    assert result.stderr == f"katcp-cli: cannot connect to {address}: Connection refused\n"


def test_no_such_host() -> None:
    result = cli("no-such-host.invalid:7147", "list")
    assert result.returncode == 3
    assert result.stderr.startswith("katcp-cli: cannot connect to no-such-host.invalid:7147: ")


def test_device_that_does_not_answer_in_time(demo: Served) -> None:
    result = cli(demo.address, "--timeout", "0.3", "call", "calibrate", "9")
    assert result.returncode == 4
    assert result.stderr == (
        f"katcp-cli: no reply to ?calibrate from {demo.address} within 0.3 s\n"
    )


@pytest.mark.parametrize("arguments", [["lst"], ["get"], ["get", "/[/"]], ids=" ".join)
def test_misuse_is_found_before_anything_is_connected(arguments: list[str]) -> None:
    # Nobody listens at the default address of this test, so a status of 3 would show.
    result = cli(*arguments, KATCP_ADDRESS="127.0.0.1:1")
    assert result.returncode == 2
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("katcp-cli: ")


def test_reader_that_has_seen_enough(demo: Served) -> None:
    for command in ("list | head -n 1", "watch '*' --strategy 'period 0.01' | head -n 1"):
        shell = f"{' '.join(CLI)} {demo.address} {command}; echo ${{PIPESTATUS[0]}}"
        result = subprocess.run(
            ["bash", "-c", shell],
            env=environment(),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert result.stderr == ""
        assert result.stdout.splitlines()[-1] == "0"


def test_version() -> None:
    for program in ("katcp.apps.cli", "katcp"):
        result = run(sys.executable, "-m", program, "--version")
        assert result.returncode == 0
        assert result.stdout.startswith("katcp-cli, version ")
