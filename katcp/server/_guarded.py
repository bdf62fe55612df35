"""Requests that a policy is asked about first."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from katcp.errors import FailReply
from katcp.server._access import Gate
from katcp.server._connection import ClientConnection
from katcp.server._dispatch import Entry, is_pending, run_elsewhere
from katcp.server._request import ClientRequestConnection, WireRequest

if TYPE_CHECKING:
    from katcp.server._base import DeviceServerBase


class GuardedEntry(Entry):
    """A request handler that is called if the server's policy lets the request pass.

    Attributes
    ----------
    passed : Entry
        The same for requests that have been let pass.
    """

    __slots__ = ("_gate", "passed")

    def __init__(
        self, server: DeviceServerBase, name: str, handler: Callable[..., Any], gate: Gate
    ) -> None:
        super().__init__(server, name, handler)
        self._gate = gate
        self.passed = Entry(server, name, handler)

    def start(
        self,
        server: DeviceServerBase,
        connection: ClientConnection,
        mid: bytes | None,
        arguments: list[bytes],
    ) -> ClientRequestConnection | None:
        """Ask, then do what `Entry.start` does."""
        verdict = self._gate.request(connection, self.name.text, arguments)
        if verdict is None:
            return self.passed.start(server, connection, mid, arguments)
        req = WireRequest(connection, self.name, mid, arguments)
        return self._go_by(server, req, verdict, self.executor)

    def start_given(
        self, server: DeviceServerBase, req: ClientRequestConnection
    ) -> ClientRequestConnection | None:
        """Ask, then do what `Entry.start_given` does."""
        verdict = self._gate.request(req.client_connection, self.name.text, req.msg.arguments)
        if verdict is None:
            return self.passed.start_given(server, req)
        return self._go_by(server, req, verdict, None)

    def _go_by(
        self,
        server: DeviceServerBase,
        req: ClientRequestConnection,
        verdict: FailReply | Coroutine[Any, Any, FailReply | None],
        executor: Callable[[], Any] | None,
    ) -> ClientRequestConnection | None:
        """Refuse, or wait for the decision."""
        if isinstance(verdict, FailReply):
            self._fail(server, req, verdict)
            return None
        return self._follow(server, req, self._when_decided(server, req, verdict, executor))

    async def _when_decided(
        self,
        server: DeviceServerBase,
        req: ClientRequestConnection,
        pending: Coroutine[Any, Any, FailReply | None],
        executor: Callable[[], Any] | None,
    ) -> Any:
        refusal = await pending
        if refusal is not None:
            raise refusal
        values = (req.msg,) if self.unpack is None else self.unpack(req.msg.arguments)
        call = functools.partial(self.handler, server, req, *values)
        result = call() if executor is None else run_elsewhere(server, executor(), call)
        return await server.katcp_follow(result) if is_pending(result) else result
