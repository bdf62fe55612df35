"""Methods of endpoints that block: they run in threads of the device."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from katcp.endpoints._codes import cancelled

if TYPE_CHECKING:
    from katcp.endpoints._placed import Placed


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the loop that runs in this thread; None if there is none."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def begin(endpoint: Placed, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a method of an endpoint; return what it returns, perhaps to be awaited.

    A future of a pool of threads is made one of the loop.

    One that is marked by `katcp.server.blocking` is called in the pool of threads that the device
    has for handlers, so that the loop goes on. Two of one provider are never called at a time, also
    if the first was given up.
    """
    if not getattr(method, "katcp_blocking", False) or (host := endpoint.host) is None:
        try:
            result = method(*args, **kwargs)
        except asyncio.CancelledError as error:
            raise cancelled(endpoint.path, error) from error
        except SystemExit as error:
            raise RuntimeError(f"SystemExit: {error}") from error
        if isinstance(result, concurrent.futures.Future):
            return asyncio.wrap_future(result)
        return result
    alone = endpoint.lane.in_threads

    def call() -> Any:
        with alone:
            try:
                return method(*args, **kwargs)
            except (StopIteration, SystemExit, KeyboardInterrupt, asyncio.CancelledError) as error:
                # To whoever waits for a future these would mean something else.
                raise RuntimeError(f"{type(error).__name__}: {error}") from error

    return asyncio.wrap_future(host.device.katcp_handler_pool().submit(call))
