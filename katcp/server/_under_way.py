"""The requests of one client that are under way, from their handlers' beginning to their answer.

Either the handler itself takes its time, or it has ended and left the answer for later
(`AsyncReply`); then `ClientConnection.reply` or what stands for the request gives it. Each counts
for the server's `Load`, which holds the client back when there are too many.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from katcp.protocol import Message
from katcp.server._request import ClientRequestConnection
from katcp.server._turns import Turns

if TYPE_CHECKING:
    from katcp.server._listener import KATCPServer


class UnderWay(Turns):
    """The part of `ClientConnection` that knows what is not answered yet.

    Parameters
    ----------
    server : KATCPServer
        Whose client it is; has the `Load` that its requests count for.
    """

    __slots__ = (
        "__dict__",
        "__weakref__",
        "_load",
        "_lost",
        "deferred",
        "midless",
        "requests",
        "under_way",
    )

    address: str
    #: Requests whose handlers are under way.
    requests: set[ClientRequestConnection]
    #: Requests whose handlers have ended and left the answer for later (`AsyncReply`).
    deferred: set[ClientRequestConnection]

    #: The request that was last answered by hand, and not by what stands for it.
    _answered_by_hand: Message | None = None

    def __init__(self, server: KATCPServer) -> None:
        super().__init__(server)
        self.under_way = 0
        self._load = server.load
        self._lost = False
        #: Those of both that have no message id, by name.
        self.midless: dict[bytes, ClientRequestConnection] = {}

    # What most clients never need is made when it is first asked for: an idle connection takes
    # 2.5 kB so, sockets and all, and 4.5 kB otherwise.

    def __getattr__(self, name: str) -> Any:
        if name in ("requests", "deferred"):
            made: set[ClientRequestConnection] = set()
            setattr(self, name, made)
            return made
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @property
    def occupied(self) -> bool:
        """Whether the client may be silent because it waits for something."""
        return bool(self.under_way or self._waiting or self._waiting_paused or self.unsent)

    def begin(self, req: ClientRequestConnection) -> None:
        """Take note of a request whose handler is under way."""
        self.requests.add(req)
        self._enter()

    def defer(self, req: ClientRequestConnection) -> None:
        """Take note of a request whose handler has left the answer for later."""
        if self._answered_by_hand is not None and self._answered_by_hand is req.msg:
            req.answered = True
        self.deferred.add(req)
        self._enter()

    def _enter(self) -> None:
        """Take note of one more request that is under way."""
        self.under_way += 1
        load = self._load
        if load is not None:
            load.total += 1
            # As `Load.check` does, which takes 0.2 µs to call.
            if load.total >= load.most or self.under_way >= load.most_each:
                load.check(self)

    def _leave(self, count: int = 1) -> None:
        """Take note of requests that are under way no more."""
        self.under_way -= count
        load = self._load
        if load is not None:
            load.total -= count
            if self.full or load.waiting:
                load.release(self)

    def drop_deferred(self) -> None:
        """Forget the requests that are to be answered later."""
        count = len(self.deferred)
        self.deferred.clear()
        if not self._lost:
            self._leave(count)

    def finish(self, req: ClientRequestConnection, answer: Callable[[], bool]) -> None:
        """Send the answer to a request that took its time, and go on if there is one.

        While further requests of this client wait, the answer waits for theirs, for as long as a
        sensor update may; otherwise it is written at once.
        """
        on_done, req.on_done = req.on_done, None
        self.begin_output()
        try:
            if not answer():
                req.on_done = on_done
            elif on_done is not None:
                on_done()
        finally:
            self._leave()
            self.end_output(at_once=not self._waiting)

    def answered(self, req: ClientRequestConnection) -> None:
        """Take note that a deferred request has its answer."""
        if req in self.deferred:
            self.deferred.discard(req)
            if self.midless.get(req.name) is req:
                del self.midless[req.name]
            if req.on_done is not None:
                req.on_done()
            if not self._lost:
                self._leave()

    def _replied(self, orig_req: Message) -> None:
        """Take note of a reply that was sent by hand: a deferred request may wait for it."""
        self._answered_by_hand = orig_req
        for req in self.deferred if self.under_way else ():
            if req.msg is orig_req:
                req.answered = True
                self.answered(req)
                break
