"""A target whose points do what a test says, and that remembers what was done, and when."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from katcp.orders import OrderExecutor, Section, WriteOrder


def now() -> float:
    return asyncio.get_running_loop().time()


class Bench:
    """Points by name, each with what its hook does; ``*`` stands for all others.

    A hook is a time that it takes [s], an exception that it raises, or a function of the value.
    """

    def __init__(self, **hooks: Any) -> None:
        self.hooks: dict[str, Any] = hooks
        #: (when it was called, name, value), and the same for when it ended.
        self.calls: list[tuple[float, str, Any]] = []
        self.ends: list[tuple[float, str, Any]] = []
        self.values: dict[str, Any] = {}
        self.sysctls: list[tuple[str, str]] = []
        self.messages: list[str] = []
        self.on_sysctl: Callable[[str, str], Any] = lambda op_type, op_args: True
        self.on_message: Callable[[str], Any] = lambda uuid: None
        self.known: Callable[[str], bool] = lambda name: True

    def has(self, name: str) -> bool:
        return self.known(name)

    def names(self) -> list[str]:
        return [name for _, name, _ in self.calls]

    def at(self, name: str) -> list[float]:
        """When a point was called, from the first call of all on [s]."""
        return [when for when, each, _ in self.calls if each == name]

    async def _do(self, name: str, value: Any) -> Any:
        self.calls.append((now(), name, value))
        hook = self.hooks.get(name)
        if callable(hook):
            hook = hook(value)
            if asyncio.iscoroutine(hook) or isinstance(hook, asyncio.Future):
                hook = await hook
        elif isinstance(hook, BaseException):
            raise hook
        elif hook is not None:
            await asyncio.sleep(hook)
        self.ends.append((now(), name, value))
        return hook

    async def read(self, name: str, advise: int) -> Any:
        await self._do(name, None)
        return self.values.get(name)

    async def write(self, name: str, value: Any, advise: int) -> None:
        await self._do(name, value)
        self.values[name] = value

    def sysctl(self, op_type: str, op_args: str) -> Any:
        self.sysctls.append((op_type, op_args))
        return self.on_sysctl(op_type, op_args)

    def message(self, uuid: str) -> Any:
        self.messages.append(uuid)
        return self.on_message(uuid)


def failing(times: int, error: Exception | None = None) -> Callable[[Any], None]:
    """Return a hook that fails so often and then does not."""
    left = [times]

    def hook(_: Any) -> None:
        left[0] -= 1
        if left[0] >= 0:
            raise error or OSError("no answer from the bus")

    return hook


def writes(*names: str, **kwargs: Any) -> Section:
    return Section([WriteOrder(name, 1) for name in names], **kwargs)


@contextlib.asynccontextmanager
async def executing(
    target: Any, kind: type[OrderExecutor] = OrderExecutor, **kwargs: Any
) -> AsyncIterator[Any]:
    """Make an executor; stop it at the end of the block."""
    executor = kind(target, **kwargs)
    executor.start()
    try:
        yield executor
    finally:
        await executor.stop(0)
