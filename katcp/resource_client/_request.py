"""Requests over a connection, and the client that makes them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from katcp.inspecting_client import InspectingClientAsync
from katcp.resource import KATCPReply, KATCPRequest

log = logging.getLogger("katcp.resource_client")


def transform_future(
    transformation: Callable[[Any], Any], future: asyncio.Future[Any]
) -> asyncio.Future[Any]:
    """Return a future of ``transformation(result of future)``, done already if `future` is.

    An exception of `future`, or of the transformation, becomes its own. Cancelling it leaves
    `future` alone.
    """
    new: asyncio.Future[Any] = future.get_loop().create_future()

    def transform(done: asyncio.Future[Any]) -> None:
        if new.done():
            return
        if done.cancelled():
            new.cancel()
            return
        error = done.exception()
        try:
            if error is not None:
                new.set_exception(error)
            else:
                new.set_result(transformation(done.result()))
        except Exception as raised:
            new.set_exception(raised)

    if future.done():
        transform(future)
    else:
        future.add_done_callback(transform)
    return new


class ReplyWrappedInspectingClientAsync(InspectingClientAsync):
    """An inspecting client that answers requests by what `reply_wrapper` makes of the answer."""

    #: Sensors of a resource keep the last reading that came in.
    marks_unreachable = False

    @staticmethod
    def reply_wrapper(x: tuple[Any, Any]) -> Any:
        """Return a `KATCPReply` of ``(reply, informs)``; others may be put in its place."""
        return KATCPReply(*x)

    def wrapped_request(self, request: str, *args: Any, **kwargs: Any) -> asyncio.Future[Any]:
        """Send a request; return a future of the wrapped answer. See `simple_request`."""
        return transform_future(self.reply_wrapper, self.simple_request(request, *args, **kwargs))


class KATCPClientResourceRequest(KATCPRequest):
    """A request of a device, to be called.

    Parameters
    ----------
    request_description : mapping
        See `KATCPRequest`.
    client : ReplyWrappedInspectingClientAsync
        Sends it.
    is_active : callable, optional
        Tells whether the request may be made now.
    """

    def __init__(
        self,
        request_description: Mapping[str, Any],
        client: Any,
        is_active: Callable[[], bool] = lambda: True,
    ) -> None:
        super().__init__(request_description, is_active)
        self._client = client

    def issue_request(self, *args: Any, **kwargs: Any) -> asyncio.Future[Any]:
        """Send the request; return a future of a `KATCPReply`, false if it has failed.

        A lost connection, or no answer in time, is a reply that says so, not an exception.

        Parameters
        ----------
        *args : object
            Arguments of the request.
        timeout : float, optional
            Time limit [s]. If not given it is what the device has hinted, else 5 s.
        mid : int, optional
            Message id to use.
        use_mid : bool, optional
            Whether to use an id; by default if the device supports them.
        """
        if kwargs.get("timeout") is None:
            kwargs["timeout"] = self.timeout_hint
        future: asyncio.Future[Any] = self._client.wrapped_request(self.name, *args, **kwargs)
        return future
