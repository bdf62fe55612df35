"""Snapshots: the whole interface of a device and its present readings, kept in a file.

`take_snapshot` asks a device, `write_snapshot` and `read_snapshot` know the form of the file, which
`snapshot_schema` describes as a JSON Schema.
"""

from katcp.snapshots._file import (
    FORMAT,
    VERSION,
    SnapshotError,
    read_snapshot,
    snapshot_schema,
    snapshot_text,
    write_snapshot,
)
from katcp.snapshots._model import (
    DeviceSnapshot,
    RequestSnapshot,
    SensorSnapshot,
    Snapshot,
)
from katcp.snapshots._take import SnapshotRefusedError, SnapshotTimeoutError, take_snapshot

__all__ = [
    "FORMAT",
    "VERSION",
    "DeviceSnapshot",
    "RequestSnapshot",
    "SensorSnapshot",
    "Snapshot",
    "SnapshotError",
    "SnapshotRefusedError",
    "SnapshotTimeoutError",
    "read_snapshot",
    "snapshot_schema",
    "snapshot_text",
    "take_snapshot",
    "write_snapshot",
]
