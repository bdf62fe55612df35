"""Inspecting clients that remember what they told, and end with the block they are made in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from katcp.inspecting_client import InspectingClientAsync, InspectingClientStateType
from tests.helpers.scripted import Server

#: Letters for the states, as short as stories are long.
LETTERS = {
    (False, False, False, False): "D",
    (True, False, False, False): "C",
    (True, False, True, True): "M",
    (True, False, False, True): "N",
    (True, True, False, True): "S",
}


class Told:
    """A state callback that writes everything down."""

    def __init__(self) -> None:
        self.states: list[InspectingClientStateType] = []
        self.changes: list[Any] = []

    def __call__(self, state: InspectingClientStateType, changes: Any) -> None:
        self.states.append(state)
        if changes is not None:
            self.changes.append(changes)

    @property
    def story(self) -> str:
        """The states so far, as letters."""
        return "".join(LETTERS[state] for state in self.states)

    @property
    def tidy_story(self) -> str:
        """The same, with runs of one state as one."""
        story = self.story
        return "".join(a for a, b in zip(story, " " + story, strict=False) if a != b)


def make(server: Server, told: Told | None = None, **kwargs: Any) -> InspectingClientAsync:
    """Return a client of a scripted device that is quick to try again."""
    client = InspectingClientAsync(server.host, server.port, **kwargs)
    client.katcp_client.auto_reconnect_delay = 0.005
    client.initial_resync_timeout = 0.005
    client.max_resync_timeout = 0.02
    if told is not None:
        client.set_state_callback(told)
    return client


@asynccontextmanager
async def inspecting(
    server: Server, told: Told | None = None, *, synced: bool = True, **kwargs: Any
) -> AsyncIterator[InspectingClientAsync]:
    """Connect an inspecting client, wait until it is synced, stop it at the end."""
    client = make(server, told, **kwargs)
    try:
        await client.connect(timeout=5 if synced else None)
        if synced:
            await client.until_synced(timeout=5)
        yield client
    finally:
        client.stop()
        await client.until_stopped(timeout=5)
