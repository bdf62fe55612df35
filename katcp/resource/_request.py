"""Requests as callable objects."""

from __future__ import annotations

import abc
import asyncio
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from katcp.aio import done
from katcp.protocol import Message
from katcp.resource._errors import KATCPResourceInactive
from katcp.resource._reply import KATCPReply

_KEYS = ("name", "description", "timeout_hint")


class KATCPRequest(metaclass=abc.ABCMeta):
    """A request of a device, to be called.

    Parameters
    ----------
    request_description : mapping
        With the keys

        - ``name``: as the device has it;
        - ``description``: its help text, which goes into the docstring of the object;
        - ``timeout_hint``: how long it may take [s], or None.
    is_active : callable, optional
        Tells whether the request may be made now; always, if not given.

    Raises
    ------
    ValueError
        If a key is missing.
    """

    def __init__(
        self,
        request_description: Mapping[str, Any],
        is_active: Callable[[], bool] = lambda: True,
    ) -> None:
        for key in _KEYS:
            if key not in request_description:
                raise ValueError(f"A request needs {key!r} in its description")
        self._request_description = dict(request_description)
        self._is_active = is_active
        about = inspect.cleandoc(type(self).__doc__ or "")
        self.__doc__ = f"{self.description}\n\n{about}"

    @property
    def name(self) -> str:
        """Name of the request, as the device has it."""
        name: str = self._request_description["name"]
        return name

    @property
    def description(self) -> str:
        """Help text of the device."""
        description: str = self._request_description["description"]
        return description

    @property
    def timeout_hint(self) -> float | None:
        """How long the request may take, as the device says [s]; None if it does not."""
        hint: float | None = self._request_description["timeout_hint"]
        return hint

    def __call__(self, *args: Any, **kwargs: Any) -> asyncio.Future[Any]:
        """Make the request; see `issue_request`.

        Raises
        ------
        KATCPResourceInactive
            At once, if the resource is inactive.
        """
        if not self.is_active():
            raise KATCPResourceInactive(f"Can't make ?{self.name} request; resource is inactive")
        return self.issue_request(*args, **kwargs)

    @abc.abstractmethod
    def issue_request(self, *args: Any, **kwargs: Any) -> asyncio.Future[Any]:
        """Send the request with `args`; return a future of a `KATCPReply`.

        Parameters
        ----------
        *args : object
            Arguments of the request.
        timeout : float, optional
            Time limit [s]; `timeout_hint` if not given, and without that the client's own.
        mid : int, optional
            Message id to use.
        """

    def is_active(self) -> bool:
        """Tell whether the request may be made now."""
        return self._is_active()


class KATCPDummyRequest(KATCPRequest):
    """A request that reaches no device and always succeeds."""

    def issue_request(self, *args: Any, **kwargs: Any) -> asyncio.Future[Any]:
        """Return a future of ``!fake ok``."""
        return done(KATCPReply(Message.reply("fake", "ok"), []))
