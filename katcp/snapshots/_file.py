r"""The form of a snapshot in a file: JSON, with a line for each sensor and each request.

Texts are what the device sent, unescaped. In ``params`` and ``value``, which may be any bytes, a
backslash is written ``\\`` and a byte that is no UTF-8 ``\xNN``, so that they can be read back as
they were (JSON doubles these backslashes once more).
"""

from __future__ import annotations

import json
import math
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from katcp.snapshots._model import DeviceSnapshot, RequestSnapshot, SensorSnapshot, Snapshot

FORMAT = "katcp-snapshot"
VERSION = 1

_ESCAPED = re.compile(r"\\(\\|x[0-9a-fA-F]{2})")


class SnapshotError(ValueError):
    """A file is no snapshot; the text says where in it, and what is wrong."""


# -- writing --------------------------------------------------------------------------------


def write_snapshot(snapshot: Snapshot, path: str | os.PathLike[str]) -> None:
    """Write a snapshot to a file, which is replaced whole or not at all.

    Raises
    ------
    OSError
    """
    target = Path(path)
    if target.exists() and not target.is_file():  # such as /dev/stdout
        target.write_text(snapshot_text(snapshot), encoding="utf-8")
        return
    target = target.resolve()  # of a link, what it leads to is replaced
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with open(handle, "w", encoding="utf-8") as file:
            file.write(snapshot_text(snapshot))
        Path(name).chmod(0o666 & ~_umask())
        os.replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def snapshot_text(snapshot: Snapshot) -> str:
    """Return the text of the file that a snapshot is written to; ASCII only."""
    device = {
        "address": snapshot.device.address,
        "versions": {name: list(parts) for name, parts in snapshot.device.versions.items()},
        "protocol": snapshot.device.protocol,
    }
    sensors = [_sensor_record(sensor) for sensor in snapshot.sensors]
    requests = [{"name": r.name, "description": r.description} for r in snapshot.requests]
    lines = [
        f'"format": {_json(FORMAT)}',
        f'"version": {VERSION}',
        f'"taken": {_json(snapshot.taken)}',
        f'"device": {_json(device)}',
        f'"sensors": {_rows(sensors)}',
        f'"requests": {_rows(requests)}',
    ]
    return "{\n  " + ",\n  ".join(lines) + "\n}\n"


def _rows(records: Sequence[Mapping[str, Any]]) -> str:
    if not records:
        return "[]"
    return "[\n    " + ",\n    ".join(map(_json, records)) + "\n  ]"


def _json(value: Any) -> str:
    # U+007F is the one control character that JSON lets through.
    return json.dumps(value, ensure_ascii=True, allow_nan=False).replace("\x7f", "\\u007f")


def _sensor_record(sensor: SensorSnapshot) -> dict[str, Any]:
    moment = sensor.timestamp
    return {
        "name": sensor.name,
        "description": sensor.description,
        "units": sensor.units,
        "type": sensor.type,
        "params": [bytes_to_text(param) for param in sensor.params],
        "timestamp": moment if moment is not None and math.isfinite(moment) else None,
        "status": sensor.status,
        "value": bytes_to_text(sensor.value),
    }


def bytes_to_text(raw: bytes) -> str:
    r"""Return any bytes as text: UTF-8, but ``\\`` for a backslash, ``\xNN`` for what is none."""
    return raw.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")


def text_to_bytes(text: str) -> bytes:
    """Return the bytes that `bytes_to_text` has written so."""
    parts, position = bytearray(), 0
    for match in _ESCAPED.finditer(text):
        parts += text[position : match.start()].encode("utf-8", "backslashreplace")
        parts += b"\\" if match[1] == "\\" else bytes.fromhex(match[1][1:])
        position = match.end()
    return bytes(parts + text[position:].encode("utf-8", "backslashreplace"))


# -- reading --------------------------------------------------------------------------------


def read_snapshot(path: str | os.PathLike[str]) -> Snapshot:
    """Read a snapshot from a file.

    What a later version of this package may have added to it is passed over.

    Raises
    ------
    SnapshotError
        If it is none, or of a version that is not known.
    OSError
    """
    try:
        content = json.loads(Path(path).read_bytes())
    except UnicodeDecodeError as error:
        raise SnapshotError(f"not JSON: byte {error.start} is no UTF-8") from None
    except json.JSONDecodeError as error:
        raise SnapshotError(f"not JSON: line {error.lineno}: {error.msg}") from None
    except RecursionError:
        raise SnapshotError("not a snapshot: nested too deep") from None
    top = _Part("", content)
    if top.value.get("format") != FORMAT:
        raise SnapshotError(f'not a snapshot: "format" is not "{FORMAT}"')
    if top.value.get("version") != VERSION:
        raise SnapshotError(f'"version" is not {VERSION}: written by another version of katcp')
    device = _Part("device", top.get("device", dict))
    return Snapshot(
        DeviceSnapshot(device.get("address", str), _versions(device), device.get("protocol", str)),
        top.get("taken", str),
        tuple(_sensor(part) for part in top.parts("sensors")),
        tuple(
            RequestSnapshot(part.get("name", str), part.get("description", str))
            for part in top.parts("requests")
        ),
    )


_KINDS: dict[type, str] = {str: "a text", dict: "an object", list: "a list"}


class _Part:
    """An object of the file, and where it is."""

    def __init__(self, where: str, value: Any) -> None:
        if not isinstance(value, dict):
            raise SnapshotError(f"{where or 'the file'} is not an object")
        self.where = where
        self.value: dict[str, Any] = value

    def name(self, key: str) -> str:
        return f"{self.where}.{key}" if self.where else key

    def get(self, key: str, kind: type) -> Any:
        if key not in self.value:
            raise SnapshotError(f"{self.name(key)} is missing")
        value = self.value[key]
        if not isinstance(value, kind):
            raise SnapshotError(f"{self.name(key)} is not {_KINDS[kind]}")
        return value

    def texts(self, key: str) -> list[str]:
        values: list[Any] = self.get(key, list)
        if not all(isinstance(value, str) for value in values):
            raise SnapshotError(f"{self.name(key)} is not a list of texts")
        return values

    def parts(self, key: str) -> list[_Part]:
        values = self.get(key, list)
        return [_Part(f"{self.name(key)}[{index}]", value) for index, value in enumerate(values)]


def _versions(device: _Part) -> dict[str, tuple[str, ...]]:
    versions = _Part(device.name("versions"), device.get("versions", dict))
    return {name: tuple(versions.texts(name)) for name in versions.value}


def _sensor(part: _Part) -> SensorSnapshot:
    moment = part.value.get("timestamp")
    if isinstance(moment, bool) or not isinstance(moment, (int, float, type(None))):
        raise SnapshotError(f"{part.name('timestamp')} is not a number")
    name = part.get("name", str)
    if not name:
        raise SnapshotError(f"{part.name('name')} is empty")
    return SensorSnapshot(
        name,
        part.get("description", str),
        part.get("units", str),
        part.get("type", str),
        tuple(text_to_bytes(text) for text in part.texts("params")),
        None if moment is None else float(moment),
        part.get("status", str),
        text_to_bytes(part.get("value", str)),
    )


def snapshot_schema() -> dict[str, Any]:
    """Return the JSON Schema of the file."""
    text = (files("katcp.snapshots") / "snapshot.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema
