"""What of an endpoint can be reached from outside: declared properties and commands, no more."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from katcp.endpoints._blocking import begin
from katcp.endpoints._codes import EndpointError, InvalidMethodError, InvalidValueError
from katcp.endpoints._values import from_argument
from katcp.kattypes import KatcpType, type_for

_F = TypeVar("_F", bound=Callable[..., Any])

#: Attribute of methods that are commands.
_MARK = "katcp_remote_command"

#: Annotations that leave the type open.
_ANYTHING = (Any, object, inspect.Parameter.empty)


class RemoteProperty(property):
    """A property that clients can read by ``?configure``, and set if it has a setter.

    Getter and setter may be coroutines, or be marked by `katcp.server.blocking`; they are called
    when it is the turn of the endpoint then.
    """

    _kattype: KatcpType | None = None

    @property
    def name(self) -> str:
        """Its name in Python."""
        return str(getattr(self.fget, "__name__", ""))

    @property
    def takes_turns(self) -> bool:
        """Whether to read or set it asks the device: a method is a coroutine, or blocks."""
        return any(
            inspect.iscoroutinefunction(method) or getattr(method, "katcp_blocking", False)
            for method in (self.fget, self.fset)
        )

    @property
    def katcp_blocking(self) -> bool:
        """Whether the getter is marked by `katcp.server.blocking`; to mark the property does so."""
        return bool(getattr(self.fget, "katcp_blocking", False))

    @katcp_blocking.setter
    def katcp_blocking(self, blocks: bool) -> None:
        self.fget.katcp_blocking = blocks  # type: ignore[union-attr]  # a function

    @property
    def settable(self) -> bool:
        """Whether it can be set at all."""
        return self.fset is not None

    def prepare(self) -> None:
        """Find out what values it takes.

        Raises
        ------
        TypeError
            If the annotation of what the getter returns is none of an argument.
        """
        if self.fset is not None and self.fget is not None:
            self._kattype = _kattype(_hints(self.fget, ["return"]).get("return", Any))

    def parse(self, argument: bytes) -> Any:
        """Return the value of an argument, by the annotation of what the getter returns.

        Raises
        ------
        InvalidValueError
            If it is none; the request is invalid then.
        """
        if self._kattype is None:
            return from_argument(argument)
        try:
            return self._kattype.unpack(argument, 5)
        except ValueError as error:
            raise InvalidValueError(f"{self.name}: {error}", invalid=True) from None

    def get(self, owner: Any) -> Any:
        """Return its value, or something to be awaited for it."""
        if self.fget is None:
            raise InvalidMethodError(f"the property {self.name} cannot be read")
        return begin(owner, self.fget, owner)

    def set(self, owner: Any, value: Any) -> Awaitable[None] | None:
        """Set it, or return something to be awaited for that.

        Raises
        ------
        InvalidMethodError
            If it has no setter.
        InvalidValueError
            If the setter refuses the value by a `ValueError` or `TypeError`.
        """
        if self.fset is None:
            raise InvalidMethodError(f"the property {self.name} cannot be set")
        try:
            # Not by assignment, which would lose what there is to be awaited.
            result = begin(owner, self.fset, owner, value)
        except (ValueError, TypeError) as error:
            raise _refused(error) from error
        return self._setting(result) if inspect.isawaitable(result) else None

    @staticmethod
    async def _setting(result: Awaitable[Any]) -> None:
        try:
            await result
        except (ValueError, TypeError) as error:
            raise _refused(error) from error


def _refused(error: Exception) -> EndpointError:
    if isinstance(error, EndpointError):
        return error
    return InvalidValueError(str(error), invalid=True)


if TYPE_CHECKING:
    # To those who check types it is a property, setter and all.
    remote_property = property
else:
    remote_property = RemoteProperty


def remote_command(method: _F) -> _F:
    """Declare a method as a command, which clients may call by ``?cmd``.

    Arguments have the types of their annotations, and are text where there is none. Parameters
    that are keyword-only are given as ``name=value``. What the method returns, or what is awaited,
    is the answer: nothing for None, several arguments for a tuple. The annotations are those of
    requests (`katcp.kattypes.type_for`).

    A method that overrides a command is one only if it is declared again.

    Raises
    ------
    ValueError
        If its name begins with an underscore.
    TypeError
        If it is no method: a static method, or a property.

    Examples
    --------
    ::

        class Pump(Provider):
            @remote_command
            async def spin(self, speed: float, *, ramp: float = 1.0) -> float:
                '''Bring the pump up to a speed [Hz].'''

    ::

        ?cmd[1] pump spin 50 ramp=2
        !cmd[1] ok 49.9
    """
    if not inspect.isfunction(method):
        raise TypeError(f"@remote_command is for methods, and not for {method!r}")
    if method.__name__.startswith("_"):
        raise ValueError(f"{method.__name__} begins with an underscore, so it cannot be remote")
    setattr(method, _MARK, True)
    return method


class RemoteCommand:
    """A declared command of a class of endpoints.

    Raises
    ------
    TypeError
        For a parameter of an unknown type, or ``**kwargs``, or if it is no method.
    """

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        if not inspect.isfunction(function):
            raise TypeError(f"command {name}: {function!r} is no method")
        self.name = name
        self.doc = inspect.getdoc(function) or ""
        parameters = list(inspect.signature(function).parameters.values())[1:]
        hints = _hints(function, [parameter.name for parameter in parameters])
        self._positional: list[tuple[inspect.Parameter, KatcpType | None]] = []
        self._keywords: dict[str, tuple[inspect.Parameter, KatcpType | None]] = {}
        self._rest: tuple[inspect.Parameter, KatcpType | None] | None = None
        for parameter in parameters:
            kind = (parameter, _kattype(hints.get(parameter.name, Any)))
            if parameter.kind is parameter.VAR_KEYWORD:
                raise TypeError(f"command {name}: **{parameter.name} says nothing about types")
            if parameter.kind is parameter.VAR_POSITIONAL:
                self._rest = kind
            elif parameter.kind is parameter.KEYWORD_ONLY:
                self._keywords[parameter.name] = kind
            else:
                self._positional.append(kind)

    @property
    def usage(self) -> str:
        """Its parameters in one line, such as ``spin speed: float [ramp=float]``."""
        words = [self.name.replace("_", "-")]
        for parameter, kattype in self._positional:
            text = f"{parameter.name}: {_described(kattype)}"
            words.append(text if _needed(parameter) else f"[{text}]")
        if self._rest is not None:
            words.append(f"[{self._rest[0].name}: {_described(self._rest[1])}...]")
        for name, (parameter, kattype) in self._keywords.items():
            text = f"{name}={_described(kattype)}"
            words.append(text if _needed(parameter) else f"[{text}]")
        return " ".join(words)

    def bind(self, arguments: Sequence[bytes]) -> tuple[list[Any], dict[str, Any]]:
        """Return arguments as a request has them, as positional and keyword arguments.

        Raises
        ------
        InvalidValueError
            If there are too few or too many, or one is not of its type; the text has the usage,
            and the request is invalid.
        """
        positional, keywords = self._sorted(arguments)
        values = []
        for number, argument in enumerate(positional):
            if number < len(self._positional):
                parameter, kattype = self._positional[number]
            elif self._rest is not None:
                parameter, kattype = self._rest
            else:
                raise self._refusal("too many arguments")
            values.append(self._value(parameter, kattype, argument))
        missing = [p.name for p, _ in self._positional[len(values) :] if _needed(p)]
        missing += [n for n, (p, _) in self._keywords.items() if _needed(p) and n not in keywords]
        if missing:
            raise self._refusal(f"no value for {', '.join(missing)}")
        named = {
            name: self._value(*self._keywords[name], argument)
            for name, argument in keywords.items()
        }
        return values, named

    def _sorted(self, arguments: Sequence[bytes]) -> tuple[list[bytes], dict[str, bytes]]:
        positional = []
        keywords: dict[str, bytes] = {}
        for argument in arguments:
            name, sign, value = argument.partition(b"=")
            word = name.decode("ascii", "replace").replace("-", "_")
            if sign and word in self._keywords:
                if word in keywords:
                    raise self._refusal(f"two values for {word}")
                keywords[word] = value
            else:
                positional.append(argument)
        return positional, keywords

    def _value(
        self, parameter: inspect.Parameter, kattype: KatcpType | None, argument: bytes
    ) -> Any:
        if kattype is None:
            return from_argument(argument)
        try:
            return kattype.unpack(argument, 5)
        except ValueError as error:
            raise self._refusal(f"{parameter.name}: {error}") from None

    def _refusal(self, reason: str) -> InvalidValueError:
        return InvalidValueError(f"{reason}; usage: {self.usage}", invalid=True)

    def call(self, owner: Any, *args: Any, **kwargs: Any) -> Any:
        """Call it with ready arguments.

        Raises
        ------
        InvalidValueError
            If they do not fit.
        """
        method = getattr(owner, self.name)
        try:
            inspect.signature(method).bind(*args, **kwargs)
        except TypeError as error:
            raise self._refusal(str(error)) from None
        return begin(owner, method, *args, **kwargs)


def declared(kind: type) -> Mapping[str, RemoteProperty | RemoteCommand]:
    """Return what a class declares as remote, its base classes included, by name in Python."""
    found: dict[str, RemoteProperty | RemoteCommand] = {}
    names = dict.fromkeys(name for base in reversed(kind.__mro__) for name in vars(base))
    for name in names:
        if name.startswith("_"):
            continue
        member = inspect.getattr_static(kind, name)
        if isinstance(member, RemoteProperty):
            member.prepare()
            found[name] = member
        elif getattr(getattr(member, "__func__", member), _MARK, False) is True:
            found[name] = RemoteCommand(name, member)
    return found


def _hints(function: Callable[..., Any], names: Sequence[str]) -> dict[str, Any]:
    """Return the annotations of some parameters, or of ``return``; those that there are.

    Raises
    ------
    TypeError
        If one cannot be resolved: it would be dangerous to take it for none.
    """
    innermost = inspect.unwrap(function)
    given = getattr(innermost, "__annotations__", {})

    def holder() -> None:
        """Carry the annotations in question: those of others may not be known when it runs."""

    holder.__annotations__ = {name: given[name] for name in names if name in given}
    try:
        return typing.get_type_hints(
            holder, getattr(innermost, "__globals__", {}), include_extras=True
        )
    except Exception as error:
        raise TypeError(
            f"{innermost.__qualname__}(): an annotation is not known: {error}"
        ) from None


def _kattype(annotation: Any) -> KatcpType | None:
    """Return the type for an annotation; None if it leaves it open."""
    if any(annotation is open_one for open_one in _ANYTHING):
        return None
    return type_for(annotation)


def _described(kattype: KatcpType | None) -> str:
    return "any" if kattype is None else str(kattype.describe())


def _needed(parameter: inspect.Parameter) -> bool:
    return parameter.default is parameter.empty
