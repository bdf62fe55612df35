"""How many requests are under way, and whose turn it is when there are too many.

A request counts from the moment in which its handler does not answer at once until it is answered.
A client at its limit is held back: none of its messages is handled until one of its requests is
answered; those that it has sent wait here, up to a few hundred, and then in the network.

At the limit of the server, a client is held back once it has started one more. When the number
falls below the limit, all that are held back for it may go on, and each is held back again once it
has started one. So each has its turn, whoever has more requests waiting; and a client that has
none under way is never held back, so nobody can keep others from being served. There are at most
the limit's number and one for each client under way.
"""

from __future__ import annotations

import logging
from typing import Protocol

from katcp.server._seldom import SeldomLog

#: Defaults.
MAX_REQUESTS = 5000
MAX_REQUESTS_PER_CLIENT = 100

_NO_LIMIT = 2**62


class Busy(Protocol):
    """A client, as far as its requests are counted."""

    address: str
    #: How many of its requests are under way.
    under_way: int
    #: Whether it is held back for their number.
    full: bool

    def hold_back(self) -> None:
        """Handle none of its messages until `let_go`."""

    def let_go(self) -> None:
        """Go on with them, soon."""


class Load:
    """Counts the requests of one server.

    Parameters
    ----------
    most, most_each : int, optional
        Requests under way in all, and of one client; None: any number.
    logger : logging.Logger

    Raises
    ------
    ValueError
        If one is not positive.

    Attributes
    ----------
    most, most_each : int
        The limits; huge where there is none.
    total : int
        Requests under way.
    holds : int
        How often a client was held back.
    waiting : dict
        Clients that are held back because there are too many requests in all.
    """

    __slots__ = ("_log", "holds", "most", "most_each", "total", "waiting")

    def __init__(self, most: int | None, most_each: int | None, logger: logging.Logger) -> None:
        for name, value in (("max_requests", most), ("max_requests_per_client", most_each)):
            if value is not None and value < 1:
                raise ValueError(f"{name} must be positive, not {value}.")
        self.most = _NO_LIMIT if most is None else most
        self.most_each = _NO_LIMIT if most_each is None else most_each
        self._log = SeldomLog(logger, logging.INFO)
        self.total = 0
        self.holds = 0
        self.waiting: dict[Busy, None] = {}

    def check(self, client: Busy) -> None:
        """Hold a client back if it, or everybody, has too many requests under way.

        It has counted one more in its `under_way` and in `total`.
        """
        full = client.under_way >= self.most_each
        if not full and self.total < self.most:
            return
        if not client.full:
            self.holds += 1
            self._log.log(
                "Holding %s back: %d of its requests are under way, of %d in all",
                client.address,
                client.under_way,
                self.total,
            )
            client.hold_back()
        if full:
            self.waiting.pop(client, None)  # it waits for itself
        else:
            self.waiting[client] = None

    def release(self, client: Busy) -> None:
        """Let go whom there is no reason to hold back any more.

        `client` has some requests less; it has counted that.
        """
        if client.full and client.under_way < self.most_each:
            if client.under_way == 0 or self.total < self.most:
                self.waiting.pop(client, None)
                client.let_go()
            else:
                self.waiting[client] = None
        if self.waiting and self.total < self.most:
            waiting, self.waiting = self.waiting, {}
            for other in waiting:
                other.let_go()

    def forget(self, client: Busy) -> None:
        """Wait no more for a client that has gone."""
        self.waiting.pop(client, None)
