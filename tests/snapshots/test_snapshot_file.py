"""The file of a snapshot: what is written is read back, and follows the schema."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from katcp.snapshots import (
    DeviceSnapshot,
    RequestSnapshot,
    SensorSnapshot,
    Snapshot,
    SnapshotError,
    read_snapshot,
    snapshot_schema,
    snapshot_text,
    write_snapshot,
)
from katcp.snapshots._file import bytes_to_text, text_to_bytes

SNAPSHOT = Snapshot(
    DeviceSnapshot(
        "127.0.0.1:7147", {"katcp-device": ("demo-1.0", "build-7"), "x": ()}, "5.1-BIMT"
    ),
    "2026-01-01T12:00:00.250Z",
    (
        SensorSnapshot("level", "Of water", "m", "float", (b"0", b"5.5"), 1.5, "nominal", b"2.25"),
        SensorSnapshot("mode", "", "", "discrete", (b"on", b"off"), 2, "warn", b"off"),
        SensorSnapshot("odd", "\x1b[2J \x7f é", "", "string", (), None, "unknown", b"\xff\\xff\n"),
    ),
    (RequestSnapshot("help", "Help.\n\nOn a request."),),
)


def written(tmp_path: Path) -> dict[str, Any]:
    write_snapshot(SNAPSHOT, tmp_path / "s.json")
    content: dict[str, Any] = json.loads((tmp_path / "s.json").read_text("ascii"))
    return content


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    written(tmp_path)
    assert read_snapshot(tmp_path / "s.json") == SNAPSHOT


def test_what_is_written_follows_the_schema(tmp_path: Path) -> None:
    schema = snapshot_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(written(tmp_path), schema, jsonschema.Draft202012Validator)


def test_an_empty_device_follows_the_schema() -> None:
    text = snapshot_text(Snapshot(DeviceSnapshot("h:1"), "2026-01-01T12:00:00Z"))
    jsonschema.validate(json.loads(text), snapshot_schema())


def test_nothing_but_printable_ascii_is_written(tmp_path: Path) -> None:
    write_snapshot(SNAPSHOT, tmp_path / "s.json")
    raw = (tmp_path / "s.json").read_bytes()
    assert all(byte == 10 or 32 <= byte < 127 for byte in raw)


def test_a_sensor_takes_a_line() -> None:
    lines = snapshot_text(SNAPSHOT).splitlines()
    assert sum('"units"' in line for line in lines) == len(SNAPSHOT.sensors)
    assert [json.loads(line.rstrip(","))["name"] for line in lines if '"units"' in line] == [
        "level",
        "mode",
        "odd",
    ]


def test_times_that_json_has_no_number_for_are_left_out(tmp_path: Path) -> None:
    odd = SensorSnapshot("a", timestamp=float("nan"))
    write_snapshot(Snapshot(SNAPSHOT.device, SNAPSHOT.taken, (odd,)), tmp_path / "s.json")
    assert read_snapshot(tmp_path / "s.json").sensors[0].timestamp is None


@given(st.binary())
def test_any_bytes_come_back(raw: bytes) -> None:
    assert text_to_bytes(bytes_to_text(raw)) == raw
    schema = snapshot_schema()["$defs"]["bytes"]
    jsonschema.validate(bytes_to_text(raw), schema)


@given(st.text())
def test_any_text_that_was_typed_becomes_bytes(text: str) -> None:
    assert isinstance(text_to_bytes(text), bytes)


def test_a_file_is_replaced_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "s.json"
    path.write_text("before")

    def fail(*args: object) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", fail)
        with pytest.raises(OSError, match="disk full"):
            write_snapshot(SNAPSHOT, path)
    assert os.listdir(tmp_path) == ["s.json"]
    assert path.read_text() == "before"
    write_snapshot(SNAPSHOT, path)
    assert os.listdir(tmp_path) == ["s.json"]
    assert path.stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def test_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("before")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write_snapshot(SNAPSHOT, tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert read_snapshot(tmp_path / "real") == SNAPSHOT


def changed(tmp_path: Path, **changes: Any) -> Path:
    content = written(tmp_path)
    for name, value in changes.items():
        *path, last = (int(key) if key.isdigit() else key for key in name.split("__"))
        part: Any = content
        for key in path:
            part = part[key]
        if value is ...:
            del part[last]
        else:
            part[last] = value
    path_of_changed = tmp_path / "changed.json"
    path_of_changed.write_text(json.dumps(content))
    return path_of_changed


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"format": "other"}, '"format" is not "katcp-snapshot"'),
        ({"version": 2}, '"version" is not 1'),
        ({"taken": ...}, "taken is missing"),
        ({"device": 3}, "device is not an object"),
        ({"device__protocol": None}, "device.protocol is not a text"),
        ({"device__versions__x": [3]}, "device.versions.x is not a list of texts"),
        ({"sensors": {}}, "sensors is not a list"),
        ({"sensors__1__name": ""}, r"sensors\[1\].name is empty"),
        ({"sensors__1__type": ...}, r"sensors\[1\].type is missing"),
        ({"sensors__2__params": "a"}, r"sensors\[2\].params is not a list"),
        ({"sensors__0__timestamp": "1"}, r"sensors\[0\].timestamp is not a number"),
        ({"sensors__0__timestamp": True}, r"sensors\[0\].timestamp is not a number"),
        ({"sensors__0__value": 2.25}, r"sensors\[0\].value is not a text"),
        ({"requests__0": "help"}, r"requests\[0\] is not an object"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(SnapshotError, match=complaint):
        read_snapshot(changed(tmp_path, **changes))


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"{\n,}", "not JSON: line 2"),
        (b'{"a": "\xff"}', "not JSON: byte 7 is no UTF-8"),
        (b"[]", "the file is not an object"),
        (b"[" * 100_000, "not"),
        (b"", "not JSON: line 1"),
    ],
)
def test_what_is_no_snapshot_at_all(tmp_path: Path, content: bytes, complaint: str) -> None:
    path = tmp_path / "s.json"
    path.write_bytes(content)
    with pytest.raises(SnapshotError, match=complaint):
        read_snapshot(path)


def test_what_a_later_version_adds_is_passed_over(tmp_path: Path) -> None:
    path = changed(tmp_path, new={"a": 1}, sensors__0__new=3, device__new="x")
    assert read_snapshot(path) == SNAPSHOT
