"""``katcp-server DEVICE-FILE``: served, checked, read again on SIGHUP."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from katcp.apps.server._program import main
from tests.device_files.mutants import mutants
from tests.system.programs import CLI, PATIENCE, ROOT, SERVER, Talk, environment, serve, server

EXAMPLE = ROOT / "docs" / "examples" / "weather.yaml"
FILE = """\
device: {name: test, version: 2.1, build: test-7}
sensors:
  note: {type: string, initial: x, settable: true}
  old: {type: integer, initial: 1}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "d.yaml"
    path.write_text(FILE, encoding="utf-8")
    return path


def test_the_example_is_served() -> None:
    with serve(str(EXAMPLE)) as served, Talk(served) as talk:
        (*_, reply) = talk.ask(b"?sensor-value[1] mast3.voltage")
        assert reply == b"!sensor-value[1] ok 1"
        assert talk.ask(b"?boost[2] 20")[0].startswith(b"!boost[2] fail The\\_heater\\_is\\_off.")
        assert talk.ask(b"?heat[3] 1") == [b"!heat[3] ok"]
        assert talk.ask(b"?boost[4] 20") == [b"!boost[4] ok 20.0"]
        for arguments, output in [
            (["get", "note"], "boost to 20.0, maintenance"),
            (["set", "heater.setpoint", "7"], "7.0 degC"),
        ]:
            done = subprocess.run(
                [*CLI, served.address, *arguments],
                env=environment(),
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                check=False,
            )
            assert output in done.stdout, done
        assert served.end() == 0
        assert served.errors() == ""


@pytest.mark.slow
def test_read_again_on_sighup(path: Path) -> None:
    with serve(str(path), "--log-format", "json") as served, Talk(served) as talk:
        talk.ask(b"?set-note[1] kept")
        talk.ask(b"?sensor-sampling[2] note event")
        path.write_text(FILE.replace("old:", "new:"), encoding="utf-8")
        served.process.send_signal(signal.SIGHUP)
        assert talk.line() == b"#interface-changed sensor-list"
        assert talk.ask(b"?sensor-sampling[3] note")[-1] == b"!sensor-sampling[3] ok note event"
        (value, _) = talk.ask(b"?sensor-value[4] note")
        assert value.endswith(b" nominal kept")
        assert talk.ask(b"?sensor-value[5] new")[-1] == b"!sensor-value[5] ok 1"
        path.write_text("device: {name: test}\nsensors:\n  a: {typ: float}\n", encoding="utf-8")
        served.process.send_signal(signal.SIGHUP)
        entries = []
        assert served.process.stderr is not None
        while not entries or "goes on" not in entries[-1]["message"]:
            entries.append(json.loads(served.process.stderr.readline()))
        assert entries[0]["message"].startswith(f"{path}:3:6: 'type' is missing here")
        assert entries[1]["message"] == (f"{path}:3:7: unknown key 'typ' (did you mean 'type'?)")
        assert {entry["level"] for entry in entries} == {"error"}
        assert talk.ask(b"?sensor-value[6] new")[-1] == b"!sensor-value[6] ok 1"
        assert served.end() == 0


def test_a_bad_file_is_not_served(path: Path) -> None:
    path.write_text("device: {nam: x}\nsensor: {}\n", encoding="utf-8")
    for arguments in ([], ["--check"]):
        result = server(str(path), "--port", "0", *arguments)
        assert result.returncode == 1
        assert result.stdout == ""
        assert result.stderr.splitlines() == [
            f"{path}:1:9: 'name' is missing here: name of its interface, in the version "
            "information",
            f"{path}:1:10: unknown key 'nam' (did you mean 'name'?)",
            f"{path}:2:1: unknown section 'sensor' (did you mean 'sensors'?)",
        ]
    result = server(str(path), "--port", "0", "--log-format", "json")
    assert [json.loads(line)["level"] for line in result.stderr.splitlines()] == ["error"] * 3


def test_check(path: Path) -> None:
    result = server("--check", str(path))
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == f"{path}: 2 sensors, 1 requests\n"
    assert server("--check", "demo").returncode == 2


def test_schema() -> None:
    assert json.loads(server("schema").stdout)["title"] == "Device file"


@pytest.mark.slow
def test_1000_mutated_files_give_one_line_errors(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = 0
    for number, (suffix, content) in enumerate(mutants(1600, seed=68)):
        path = tmp_path / f"m{number}{suffix}"
        path.write_bytes(content)
        with pytest.raises(SystemExit) as caught:
            main(["--check", str(path)])
        path.unlink()
        out, err = capsys.readouterr()
        if caught.value.code == 0:
            assert err == ""
            continue
        bad += 1
        assert caught.value.code == 1
        assert out == ""
        for line in err.splitlines():
            place = line.removeprefix(f"{path}:").split(":")
            assert int(place[0]) >= 1, line
            assert int(place[1]) >= 1, line
            assert line.isprintable()
        if bad == 1000:
            break
    assert bad == 1000


def test_commands_do_not_outlive_the_server(tmp_path: Path) -> None:
    path = tmp_path / "d.yaml"
    path.write_text(
        FILE + "  c: {type: string, source: {command: {run: [sh, -c, "
        "'echo $$ > pid; exec sleep 1000'], timeout: 1000}}}\n",
        encoding="utf-8",
    )
    with serve(str(path)) as served:
        with Talk(served) as talk:
            pid = ""
            while not pid:
                talk.ask(b"?watchdog[1]")
                pid = (tmp_path / "pid").read_text() if (tmp_path / "pid").exists() else ""
        assert served.end() == 0
        assert served.errors() == ""
    assert not Path(f"/proc/{int(pid)}").exists()


def test_systemd_is_told(path: Path, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(PATIENCE)
        process = subprocess.Popen(
            [*SERVER, "--port", "0", str(path)],
            cwd=ROOT,
            env=environment(NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="200000"),
            stdout=subprocess.PIPE,
            text=True,
        )
        with process:
            try:
                assert process.stdout is not None
                address = process.stdout.readline().split()[-1]
                said = [manager.recv(1000).decode()]
                assert said == [f"READY=1\nSTATUS=listening on {address}"]
                assert {manager.recv(1000) for _ in range(3)} == {b"WATCHDOG=1"}
                process.send_signal(signal.SIGHUP)
                lines = _until(manager, "READY=1\nSTATUS=read again")
                assert lines[-2].startswith("RELOADING=1\nMONOTONIC_USEC=")
                process.send_signal(signal.SIGTERM)
                _until(manager, "STOPPING=1\nSTATUS=ending")
                assert process.wait(PATIENCE) == 0
            finally:
                if process.poll() is None:
                    process.kill()


def _until(manager: socket.socket, wanted: str) -> list[str]:
    """Return what is heard up to a text, without signs of life."""
    said: list[str] = []
    while not said or said[-1] != wanted:
        heard = manager.recv(1000).decode()
        if heard != "WATCHDOG=1":
            said.append(heard)
    return said


def test_unit_is_right() -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        assert not os.environ.get("CI"), "systemd-analyze is missing"
        pytest.skip("there is no systemd-analyze")
    result = subprocess.run(
        [program, "verify", str(ROOT / "scripts" / "katcp-server.service")],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@pytest.mark.slow
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str) -> None:
    script = server("completion", shell)
    assert script.returncode == 0
    assert "_KATCP_SERVER_COMPLETE" in script.stdout


def complete(words: str, number: int) -> list[str]:
    result = subprocess.run(
        [sys.executable, "-c", "from katcp.apps.server import main; main()"],
        cwd=ROOT,
        env=environment(
            _KATCP_SERVER_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=str(number)
        ),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert result.stderr == ""
    return [line.partition(",")[2] for line in result.stdout.splitlines()]


@pytest.mark.slow
def test_completed_words() -> None:
    assert {"serve", "simulate", "proxy", "host", "demo"} <= set(complete("katcp-server ", 1))
    assert complete("katcp-server sim", 1)[0] == "simulate"
    assert "--log-format" in complete("katcp-server --log", 1)
    assert "--rate" in complete("katcp-server simulate --r", 2)
    assert complete("katcp-server demo --log-format ", 3) == ["text", "json"]
