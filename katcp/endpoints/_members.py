"""What of an endpoint can be reached from outside, and how it is reached."""

from __future__ import annotations

import asyncio
import concurrent.futures
import inspect
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, ClassVar

from katcp.endpoints._codes import (
    InvalidMethodError,
    InvalidSpecifierError,
    RequestTimeoutError,
    being_cancelled,
    cancelled,
)
from katcp.endpoints._lockable import WithLock
from katcp.endpoints._remote import RemoteCommand, RemoteProperty, declared
from katcp.endpoints._values import is_number


class WithMembers(WithLock):
    """Something with declared properties and commands, which may take some time.

    Parameters
    ----------
    name : str
    timeout : float, optional
        Longest that its methods may take [s]; None: no limit.
    """

    _remote: ClassVar[Mapping[str, RemoteProperty | RemoteCommand]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._remote = declared(cls)
        if not hasattr(cls, "_declared_endpoints"):
            for name, member in vars(cls).items():
                if getattr(member, "declares_endpoint", False) is True:
                    raise TypeError(
                        f"{cls.__name__} is no Provider, so its method {name!r} cannot be an "
                        "endpoint"
                    )

    def __init__(self, name: str, timeout: float | None) -> None:
        super().__init__(name)
        if timeout is not None and not (is_number(timeout) and timeout > 0):
            raise ValueError(f"{name}: timeout must be a positive number, not {timeout!r}")
        self.timeout = timeout

    def remote_members(self) -> Mapping[str, RemoteProperty | RemoteCommand]:
        """Return the declared properties and commands, by name in Python."""
        return self._remote

    def declared_property(self, name: str) -> RemoteProperty:
        """Return a declared property; dashes and underscores are equal.

        Raises
        ------
        InvalidSpecifierError
            If there is none.
        """
        member = self._remote.get(name.replace("-", "_"))
        if not isinstance(member, RemoteProperty):
            raise InvalidSpecifierError(f"{self.path} has no property {name!r}")
        return member

    def command(self, name: str) -> RemoteCommand:
        """Return a declared command; dashes and underscores are equal.

        Raises
        ------
        InvalidMethodError
            If there is none.
        """
        member = self._remote.get(name.replace("-", "_"))
        if not isinstance(member, RemoteCommand):
            raise InvalidMethodError(f"{self.path} has no command {name!r}")
        return member

    async def run_command(
        self, name: str, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Call a declared command, when it is its turn, by `on_cmd`; locks are not asked.

        Raises
        ------
        EndpointError
            If there is none, or it fails.
        """
        self.command(name)
        async with self.lane.turn():
            return await self.bounded(self.on_cmd(name, *args, **(kwargs or {})))

    def check_settable(self, member: RemoteProperty) -> None:
        """Refuse to have a property set, by raising; for subclasses. This lets all pass."""

    def on_config(self, attribute: str, value: Any = None) -> Any:
        """Read a declared property, or, given a value, set it and return what it is then.

        Raises
        ------
        InvalidSpecifierError
            If it has no such property.
        InvalidValueError
            If it does not take the value, or no value at all.
        """
        member = self.declared_property(attribute)
        if value is not None:
            self.check_settable(member)
            setting = member.set(self, value)
            if setting is not None:
                return self._configured(member, setting)
        return member.get(self)

    async def configure(
        self, attribute: str, value: Any = None, *, check: Callable[[], object] | None = None
    ) -> Any:
        """Do `on_config`, when it is its turn if that has to ask the device.

        Parameters
        ----------
        attribute : str
        value : object, optional
        check : callable, optional
            Called when it is its turn; it may refuse by raising.
        """
        member = self._remote.get(attribute.replace("-", "_"))
        if isinstance(member, RemoteProperty) and member.takes_turns:
            async with self.lane.turn():
                if check is not None:
                    check()
                return await self.bounded(self.on_config(attribute, value))
        return await self.bounded(self.on_config(attribute, value))

    async def _configured(self, member: RemoteProperty, setting: Awaitable[None]) -> Any:
        await setting
        value = member.get(self)
        return await value if inspect.isawaitable(value) else value

    def on_cmd(self, method_name: str, *args: Any, **kwargs: Any) -> Any:
        """Call a declared command with ready arguments, or return something to be awaited for it.

        Raises
        ------
        InvalidMethodError
            If it has no such command.
        """
        return self.command(method_name).call(self, *args, **kwargs)

    async def bounded(self, result: Any) -> Any:
        """Wait for what a method of a subclass returned, if it has to be waited for, with limit.

        Raises
        ------
        RequestTimeoutError
            If it takes longer than `timeout`.
        ServiceError
            If what it waited for was cancelled, but not whoever waits here.
        """
        if isinstance(result, concurrent.futures.Future):
            result = asyncio.wrap_future(result)
        elif not inspect.isawaitable(result):
            return result
        if self.timeout is None and _TASKS_TELL:
            return await self._awaited(result)
        task = asyncio.ensure_future(self._awaited(result))
        task.add_done_callback(_looked_at)
        try:
            done, _ = await asyncio.wait([task], timeout=self.timeout)
        finally:
            if not task.done():
                task.cancel()
        if not done:
            raise RequestTimeoutError(f"{self.path} did not answer within {self.timeout:g} s")
        if task.cancelled():
            raise cancelled(self.path, asyncio.CancelledError())
        return task.result()

    async def _awaited(self, result: Any) -> Any:
        """Wait for something of a user, that may raise what means something else to a loop."""
        try:
            return await result
        except asyncio.CancelledError as error:
            if being_cancelled():
                raise
            raise cancelled(self.path, error) from error
        except SystemExit as error:
            raise RuntimeError(f"SystemExit: {error}") from error


def _looked_at(task: asyncio.Task[Any]) -> None:
    """Have nobody complain of what a method raised when nobody waited for it any more."""
    if not task.cancelled():
        task.exception()


#: Whether a task knows that it is cancelled itself.
_TASKS_TELL = sys.version_info >= (3, 11)
