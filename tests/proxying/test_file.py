"""The file of devices."""

from __future__ import annotations

from pathlib import Path

import pytest

from katcp.proxying import ProxiedDevice, ProxyError, read_proxy_file


def read(tmp_path: Path, text: str) -> list[ProxiedDevice]:
    path = tmp_path / "site.yaml"
    path.write_text(text, encoding="utf-8")
    return read_proxy_file(path)


def test_devices_are_read(tmp_path: Path) -> None:
    dome, camera, bare = read(
        tmp_path,
        """\
        # A site.
        defaults:
          without-sensors: ["*.debug.*", /raw$/]
          request-timeout: 2.5
        devices:
          dome: dome.example.org:7148
          camera:
            address: "[fd00::17]"
            prefix: cam.
            request-prefix: cam-
            sensors: "*"
            without-sensors: []
            requests: [expose, halt]
            without-requests: [log-level]
            rename-sensors: {t: [temperature, ccd.t], x: y}
            rename-requests: {expose: go}
            strategy: event-rate 0.1 60
          bare: {address: "10.0.0.1:7", prefix: ""}
        """,
    )
    assert dome == ProxiedDevice(
        "dome.example.org",
        7148,
        "dome",
        without_sensors=("*.debug.*", "/raw$/"),
        request_timeout=2.5,
    )
    assert camera == ProxiedDevice(
        "fd00::17",
        7147,
        "camera",
        "cam.",
        "cam-",
        ("*",),
        (),
        ("expose", "halt"),
        ("log-level",),
        {"t": ("temperature", "ccd.t"), "x": "y"},
        {"expose": "go"},
        "event-rate 0.1 60",
        2.5,
    )
    assert bare.sensor_start == bare.request_start == ""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "site.yaml is empty"),
        ("- a", ":1: a table is wanted"),
        ("defaults: {}", ":1: there is no table 'devices'"),
        ("devices:\n  dome: a:b:c", ":2: 'a:b:c' is no address"),
        ("devices:\n  dome:", ":2: text is wanted"),
        ("devices:\n  dome: {prefix: x.}", ":2: device 'dome' has no address"),
        ("devices:\n  dome:\n    address: h\n    strateg: x", ":4: unknown key 'strateg'; is 'st"),
        ("devices:\n  dome:\n    address: h\n    xyz: x", ":4: unknown key 'xyz'; known are addr"),
        ("devices:\n  dome:\n    address: h\n    strategy: often", ":4: Unknown sampling strategy"),
        ("devices:\n  dome:\n    address: h\n    sensors: [/(/]", ":4: /(/ is no regular"),
        ("devices:\n  dome:\n    address: h\n    request-timeout: soon", ":4: could not convert"),
        ("devices:\n  dome:\n    address: h\n    request-timeout: -1", ":4: a time limit must"),
        ("devices:\n  dome:\n    address: h\n    sensors: {a: b}", ":4: text is wanted"),
        ("devices:\n  dome: h\n  dome: g", ":3: 'dome' is here twice"),
        ("devices:\n  a.b: h\n  a-b: g", ":3: device 'a-b': h:7147 and g:7147 would have the"),
        ("devices:\n  1x: h", ":2: device '1x': a device cannot be called '1x'"),
        ("defaults: {prefix: x}\ndevices: {}", ":1: unknown key 'prefix'"),
        ("devices: [", "not YAML"),
        ("devices: !!python/object:os.system {}", ":1: "),
        ("a: &a [*a]", "unknown key 'a'"),
        ("\x00", "not YAML"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    if "python/object" in text:
        assert read(tmp_path, text) == []  # the tag means nothing
        return
    with pytest.raises(ProxyError) as info:
        read(tmp_path, text)
    assert words in str(info.value)
    assert "\n" not in str(info.value)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ProxyError, match=r"cannot read .*nothing\.yaml: No such file"):
        read_proxy_file(tmp_path / "nothing.yaml")


def test_the_file_of_the_documentation() -> None:
    devices = read_proxy_file(Path(__file__).parents[2] / "docs" / "examples" / "site.yaml")
    assert [device.name for device in devices] == ["dome", "camera", "weather"]
    assert devices[1].rename_sensors == {"t": ("temperature", "ccd.temperature")}
    assert devices[2].sensor_start == "met."
    assert {device.request_timeout for device in devices} == {10.0}
