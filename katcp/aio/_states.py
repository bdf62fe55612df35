"""One of several states, and waiting for it."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Iterable
from typing import Any

from tornado.ioloop import IOLoop

from katcp.aio._waiters import Waiters, done


class AsyncState:
    """A variable with few values that coroutines can wait for. Not thread-safe.

    Parameters
    ----------
    valid_states : iterable of hashable
        All values it may have.
    initial_state : hashable, optional
        First of `valid_states` if not given.
    ioloop : tornado.ioloop.IOLoop, optional
        Loop to wait on where no loop is running. Making a state needs no loop.

    Raises
    ------
    ValueError
        If the initial state is not one of the valid ones.
    """

    def __init__(
        self,
        valid_states: Iterable[Hashable],
        initial_state: Hashable | None = None,
        ioloop: IOLoop | None = None,
    ) -> None:
        states = list(valid_states)
        self._valid_states = frozenset(states)
        self._ioloop = ioloop
        self._state: Any = states[0] if initial_state is None else initial_state
        self._check(self._state)
        self._waiting: dict[Waiters, frozenset[Any]] = {}

    def set_ioloop(self, ioloop: IOLoop | None) -> None:
        """Wait on `ioloop` from now on, where no loop is running."""
        self._ioloop = ioloop

    @property
    def state(self) -> Any:
        """The present state."""
        return self._state

    @property
    def valid_states(self) -> frozenset[Any]:
        """All states there are."""
        return self._valid_states

    def _check(self, *states: object) -> None:
        for state in states:
            if state not in self._valid_states:
                raise ValueError(f"{state!r} is not one of the states {set(self._valid_states)!r}")

    def set_state(self, state: Hashable) -> None:
        """Enter `state`, and wake all who wait for it, also if it was the state already.

        Raises
        ------
        ValueError
            If there is no such state.
        """
        self._check(state)
        self._state = state
        for waiters, states in list(self._waiting.items()):
            if state in states:
                waiters.wake(True)

    def fail(self, error: Exception) -> None:
        """Raise `error` in all who wait: no state will be entered any more."""
        for waiters in list(self._waiting):
            waiters.fail(error)

    def until_state(self, state: Hashable, timeout: float | None = None) -> asyncio.Future[Any]:
        """Return a future of True, done already in that state.

        One passage through the state is enough, even if it is left before the waiter runs.

        Raises
        ------
        ValueError
            If there is no such state.
        tornado.gen.TimeoutError
            From the future, after `timeout` seconds.
        """
        return self.until_state_in(state, timeout=timeout)

    def until_state_in(
        self, *states: Hashable, timeout: float | None = None
    ) -> asyncio.Future[Any]:
        """Return a future of True, done already in any of these states."""
        self._check(*states)
        if self._state in states:
            return done(True, self._ioloop)
        waiters = Waiters()
        future = waiters.add(timeout, " or ".join(str(state) for state in states), self._ioloop)
        self._waiting[waiters] = frozenset(states)
        future.add_done_callback(lambda _: self._waiting.pop(waiters, None))
        return future
