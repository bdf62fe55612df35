"""Endpoints that the methods of a provider are: the decorator `endpoint`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, overload

from katcp.endpoints._blocking import begin
from katcp.endpoints._codes import InvalidMethodError
from katcp.endpoints._options import refuse_unknown
from katcp.endpoints._placed import check_name
from katcp.endpoints._spime import Spime

if TYPE_CHECKING:
    from katcp.endpoints._endpoint import Endpoint

_F = TypeVar("_F", bound=Callable[..., Any])


class MethodEndpoint(Spime):
    """An endpoint whose value is what a method of its provider returns."""

    def __init__(
        self, owner: Any, declaration: EndpointDeclaration, name: str, **options: Any
    ) -> None:
        super().__init__(name, **options)
        self._owner = owner
        self._declaration = declaration

    def on_get(self) -> Any:
        """Return what the method returns."""
        return begin(self, self._declaration.getter, self._owner)

    def on_set(self, value: Any) -> Any:
        """Call the method that was declared as setter.

        Raises
        ------
        InvalidMethodError
            If there is none.
        """
        setter = self._declaration.set_by
        if setter is None:
            raise InvalidMethodError(f"{self.path} cannot be set")
        return begin(self, setter, self._owner, value)


class EndpointDeclaration:
    """A method of a provider's class that is an endpoint; made by `endpoint`."""

    #: Tells it from others.
    declares_endpoint = True

    def __init__(self, getter: Callable[[Any], Any], options: Mapping[str, Any]) -> None:
        options = dict(options)
        _check_takes(getter)
        self.getter = getter
        self.set_by: Callable[[Any, Any], Any] | None = None
        self.name = check_name(options.pop("name", getter.__name__))
        options.setdefault("description", (inspect.getdoc(getter) or "").partition("\n")[0])
        self._options = options
        self.__doc__ = getter.__doc__

    @property
    def katcp_blocking(self) -> bool:
        """Whether the method is marked by `katcp.server.blocking`, above or below `endpoint`."""
        return bool(getattr(self.getter, "katcp_blocking", False))

    @katcp_blocking.setter
    def katcp_blocking(self, blocks: bool) -> None:
        self.getter.katcp_blocking = blocks  # type: ignore[attr-defined]  # a function

    def setter(self, method: _F) -> Any:
        """Declare the method that sets it: `on_set` of the endpoint.

        It may have the name of the endpoint, as setters of properties have, or one of its own, and
        is then a method that may be called, too.
        """
        _check_takes(method, "value")
        self.set_by = method
        return self if method.__name__ == self.getter.__name__ else method

    def make(self, owner: Any) -> Endpoint:
        """Return the endpoint for one provider."""
        return MethodEndpoint(owner, self, self.name, **self._options)

    def __get__(self, owner: Any, kind: type | None = None) -> Any:
        return self if owner is None else owner.endpoint(self.name)


def _check_takes(method: object, *arguments: str) -> None:
    """Complain of what is no method, or does not take ``self`` and these arguments."""
    if not inspect.isfunction(method):
        raise TypeError(f"@endpoint is for methods, and options are given by name; not {method!r}")
    try:
        inspect.signature(method).bind("self", *arguments)
    except TypeError:
        takes = ", ".join(("self", *arguments))
        raise TypeError(f"{method.__qualname__}() cannot be called with ({takes})") from None


def declared_endpoints(kind: type) -> dict[str, Callable[[Any], Endpoint]]:
    """Return what makes the endpoints that a class declares, its base classes' included."""
    names = dict.fromkeys(name for base in reversed(kind.__mro__) for name in vars(base))
    found: dict[str, EndpointDeclaration] = {}
    for name in names:
        member = inspect.getattr_static(kind, name)
        if not isinstance(member, EndpointDeclaration):
            continue
        if member.name in found:
            raise TypeError(f"{kind.__name__} declares two endpoints named {member.name!r}")
        # A provider has it in its own right, and would not work without it.
        if any(name in vars(base) for base in kind.__mro__ if base.__module__.startswith(_OURS)):
            raise TypeError(
                f"{kind.__name__}: a method {name!r}, which all endpoints have, cannot be an "
                f"endpoint; declare another by @endpoint(name={member.name!r})"
            )
        found[member.name] = member
    return {name: member.make for name, member in found.items()}


@overload
def endpoint(method: Callable[[Any], Any], /) -> EndpointDeclaration: ...


@overload
def endpoint(**options: Any) -> Callable[[Callable[[Any], Any]], EndpointDeclaration]: ...


def endpoint(method: Callable[[Any], Any] | None = None, /, **options: Any) -> Any:
    """Declare a method of a provider's class as an endpoint: what it returns is the raw value.

    The method may be plain or ``async``; it is called when it is its turn on the provider. The
    attribute of that name of a provider is the endpoint.

    Parameters
    ----------
    **options
        Those of `Spime`; ``name`` is by default that of the method, and ``description`` the first
        line of its docstring.

    Examples
    --------
    ::

        class Supply(Provider):
            @endpoint(type="float", units="A", params=(0, 5))
            async def current(self):
                '''Current that flows.'''
                return await self.bus.ask("CURR?")

            @current.setter
            async def current(self, value):
                await self.bus.tell(f"CURR {value}")
    """
    refuse_unknown(MethodEndpoint, set(options) - set(_OPTIONS))

    def declare(method: Callable[[Any], Any]) -> EndpointDeclaration:
        return EndpointDeclaration(method, options)

    return declare if method is None else declare(method)


_OPTIONS = Spime.option_names()
#: Modules of the classes that all endpoints are made of.
_OURS = f"{__package__}."
