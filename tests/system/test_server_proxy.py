"""``katcp-server proxy`` as a process, in front of others."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tests.helpers.certificates import authority
from tests.system.programs import PATIENCE, Served, Talk, cli, serve, server

pytestmark = pytest.mark.slow


def wait_for(talk: Talk, request: bytes, wanted: bytes) -> list[bytes]:
    """Ask until the answer has `wanted` in it."""
    end = time.monotonic() + PATIENCE
    while True:
        lines = [line for line in talk.ask(request) if not line.startswith(b"#interface-changed")]
        if wanted in b"\n".join(lines):
            return lines
        assert time.monotonic() < end, lines
        time.sleep(0.02)


def test_a_proxy_of_two_devices_and_a_proxy_of_that() -> None:
    with (
        serve("demo") as demo,
        serve("host") as host,
        serve("proxy", f"demo={demo.address}", f"host={host.address}") as site,
        serve("proxy", f"site={site.address}") as top,
        Talk(site) as talk,
        Talk(top) as outer,
    ):
        wait_for(talk, b"?sensor-value proxy.devices-synced", b"nominal 2")
        assert talk.ask(b"?demo-set-label[1] by\\_proxy")[-1] == b"!demo-set-label[1] ok by\\_proxy"
        wait_for(talk, b"?sensor-value demo.label", b" demo.label nominal by\\_proxy")
        wait_for(outer, b"?sensor-value", b" site.demo.label nominal by\\_proxy")
        answer = cli("call", "--address", top.address, "site-demo-set-label", "again")
        assert answer.returncode == 0, answer.stderr
        wait_for(talk, b"?sensor-value demo.label", b"nominal again")
        assert demo.end(signal.SIGKILL) != 0
        wait_for(talk, b"?sensor-value demo.label", b"unreachable again")
        wait_for(outer, b"?sensor-value site.demo.label", b"unreachable again")
        reply = wait_for(outer, b"?site-demo-set-label x", b"")[-1]
        assert reply.startswith(b"!site-demo-set-label fail Device\\_demo\\_at\\_127.0.0.1:")
        assert talk.ask(b"?host-watchdog")[-1] == b"!host-watchdog ok"
        assert top.end() == 0
        assert site.end() == 0


def test_the_file_is_read_again_on_sighup(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    with serve("demo") as demo:
        path.write_text(f"devices:\n  one: {demo.address}\n")
        with serve("proxy", "--config", str(path)) as site, Talk(site) as talk:
            wait_for(talk, b"?sensor-value proxy.devices-synced", b"nominal 1")
            path.write_text(f"devices:\n  two: {{address: '{demo.address}', sensors: label}}\n")
            site.process.send_signal(signal.SIGHUP)
            wait_for(talk, b"?sensor-list /^two/", b"two.label")
            assert wait_for(talk, b"?sensor-list /^one/", b"ok 0")[-1] == b"!sensor-list ok 0"
            path.write_text("devices:\n  two: [\n")
            site.process.send_signal(signal.SIGHUP)
            assert talk.ask(b"?two-watchdog")[-1] == b"!two-watchdog ok"
            assert site.end() == 0
            assert "site.yaml:3: not YAML" in site.errors()


def test_tls_on_both_sides(tmp_path: Path) -> None:
    certificate, key, ca = authority().write(tmp_path / "tls")
    own = ("--tls-cert", certificate, "--tls-key", key)
    with (
        serve("demo", *own) as demo,
        serve("proxy", f"demo={demo.address}", "--device-tls-ca", ca, *own) as site,
    ):
        _until_called(site, ca)


def _until_called(site: Served, ca: str) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        answer = cli("call", "--address", site.address, "--tls-ca", ca, "demo-watchdog")
        if answer.returncode == 0:
            return
        assert time.monotonic() < end, answer.stderr
        time.sleep(0.05)


def test_misuse_is_told_in_one_line(tmp_path: Path) -> None:
    for arguments, words in (
        (["proxy"], "no devices"),
        (["proxy", "a=h:1", "a=g:1"], "would have the same names"),
        (["proxy", "a=h:x"], "is no address"),
        (["proxy", "--config", str(tmp_path / "none.yaml")], "cannot read"),
    ):
        result = server(*arguments)
        assert result.returncode == 2, result
        assert words in result.stderr
        assert result.stderr.count("\n") == 1
