"""A connection to a device of the test, and what is printed."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import AsyncIterator
from typing import Any

from katcp.apps.cli._link import connected
from katcp.apps.cli._screen import Screen
from katcp.apps.cli._verbs import Here
from tests.helpers.scripted import Device, Server


class Paper(Screen):
    """A screen that is kept."""

    def __init__(self, json: bool = False) -> None:
        self.out = io.StringIO()
        self.complaints: list[str] = []
        super().__init__(json, self.out)

    def complain(self, text: str) -> None:
        self.complaints.append(text)

    @property
    def shown(self) -> list[str]:
        """The lines that were printed."""
        return self.out.getvalue().splitlines()

    @property
    def records(self) -> list[dict[str, Any]]:
        """The records that were printed."""
        return [json.loads(line) for line in self.shown]


@contextlib.asynccontextmanager
async def here(
    device: Server, *, json: bool = False, timeout: float | None = None
) -> AsyncIterator[tuple[Here, Paper]]:
    """Connect to a device as a verb does."""
    async with connected("127.0.0.1", device.port, timeout) as asker:
        paper = Paper(json)
        yield Here(asker, paper), paper


def readings(device: Device, **values: str) -> None:
    """Have a device answer ``?sensor-value`` with values (``STATUS VALUE``) at time 1.5."""

    def answer(session: Any, message: Any) -> list[bytes]:
        wanted = message.arguments[0].decode() if message.arguments else None
        if wanted is not None and wanted not in values:
            return [b"! fail Unknown\\_sensor\\_name."]
        names = sorted(values) if wanted is None else [wanted]
        lines = [f"# 1.5 1 {name} {values[name]}".encode() for name in names]
        return [*lines, b"! ok %d" % len(lines)]

    device.answers["sensor-value"] = answer
