"""Telling somebody whether a resource is synced."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from katcp.aio import AsyncEvent, under_way, until_any
from katcp.errors import KatcpClientError


def monitor_resource_sync_state(
    resource: Any, callback: Callable[[bool], object], exit_event: AsyncEvent | None = None
) -> asyncio.Future[None]:
    """Call ``callback(False)`` at once, then ``callback(synced)`` at each change.

    Parameters
    ----------
    resource : KATCPClientResource or KATCPClientResourceContainer
    callback : callable
        What it raises ends the monitoring, and is raised by the future.
    exit_event : AsyncEvent, optional
        Ends the monitoring when it is set.

    Returns
    -------
    Future
        Of None, done when monitoring has ended: by the event, or since the resource was stopped.
    """
    return under_way(
        _monitor(resource, callback, exit_event or AsyncEvent(), _call(callback, False)),
        getattr(resource, "ioloop", None),
    )


def _call(callback: Callable[[bool], object], synced: bool) -> Exception | None:
    try:
        callback(synced)
    except Exception as error:
        return error
    return None


async def _monitor(
    resource: Any,
    callback: Callable[[bool], object],
    exit_event: AsyncEvent,
    error: Exception | None,
) -> None:
    if error is not None:
        raise error
    while True:
        for until, synced in ((resource.until_synced, True), (resource.until_not_synced, False)):
            if not await _until(until(), exit_event):
                return
            callback(synced)


async def _until(change: asyncio.Future[Any], exit_event: AsyncEvent) -> bool:
    """Wait for a change; tell whether monitoring is to go on."""
    leaving = exit_event.until_set()
    try:
        await until_any(change, leaving)
    except KatcpClientError:
        return False  # the resource was stopped
    finally:
        change.cancel()
        leaving.cancel()
    return not exit_event.is_set()
