"""Devices of files that tests write."""

from __future__ import annotations

import contextlib
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from katcp.device_files import DeviceFileError, FileDevice, device_class, read_device_file
from tests.helpers.serving import serving, talking
from tests.helpers.wire import WireClient

HEAD = "device: {name: test}\n"


def write(path: Path, text: str, head: str = HEAD) -> Path:
    """Write a device file, with the section `device` before the text."""
    path.write_text(head + textwrap.dedent(text), encoding="utf-8")
    return path


def wrong(path: Path, text: str, head: str = HEAD) -> list[str]:
    """Return what is said of a file: ``LINE:COLUMN: text``, the first line of `text` being 2."""
    write(path, text, head)
    try:
        read_device_file(path)
    except DeviceFileError as error:
        return [line.removeprefix(f"{path}:") for line in error.lines()]
    return []


@contextlib.asynccontextmanager
async def served(path: Path, text: str) -> AsyncIterator[tuple[Any, WireClient]]:
    """Serve a device of a file; give it, and a connection to it."""
    device = device_class(write(path, text))("127.0.0.1", 0)
    assert isinstance(device, FileDevice)
    async with serving(device), talking(device) as client:
        yield device, client
