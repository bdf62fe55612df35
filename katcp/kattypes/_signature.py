"""Handlers that are typed by annotations.

::

    async def request_add(self, req, x: int, y: int = 0) -> int:
        \"\"\"Add two integers.\"\"\"
        return x + y

``type_for`` says which annotations parameters may have, and the room of results what a handler may
return.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from katcp.errors import FailReply, InvalidReply
from katcp.kattypes._annotations import resolve_annotations, type_for
from katcp.kattypes._base import is_multiple, is_optional
from katcp.kattypes._decorators import UNPACKS_MESSAGE
from katcp.kattypes._packing import Absent, Slot, Unpacker, compile_caller, compile_unpacker
from katcp.kattypes._replies import NO_REASON
from katcp.kattypes._results import LineEnds, Replier, Result, Shape
from katcp.kattypes._usage import usage_of
from katcp.protocol import Message

_EMPTY: Mapping[str, Any] = {}
_UNANNOTATED = inspect.Parameter.empty

#: Names of parameters that take the message, for want of an annotation.
_MESSAGE_NAMES = ("msg", "message")


class TypedSignature:
    """The types of the arguments and of the result of one handler.

    Made once, by `TypedSignature.of`, when the handler is defined.

    Attributes
    ----------
    usage : str
        The parameters, for help texts: ``x: integer, y: integer = 0``. One that may be missing
        and has no default stands in brackets; one that takes all that is left has three dots.
    returns : str
        The values behind ``ok``, such as ``integer, string``; empty if there are none, or nothing
        is known about them.
    """

    __slots__ = ("_name", "_repliers", "_result", "_slots", "_unpackers", "returns", "usage")

    def __init__(self, name: str, slots: Sequence[Slot], result: Result) -> None:
        self._name = name
        self._slots = tuple(slots)
        self._result = result
        self._unpackers: dict[int, Unpacker] = {}
        self._repliers: dict[int, Replier] = {}
        self.usage = usage_of(self._slots)
        self.returns = _describe_result(result)

    def __repr__(self) -> str:
        return f"<TypedSignature {self._name}({self.usage}) -> ({self.returns})>"

    @classmethod
    def of(
        cls,
        function: Callable[..., Any],
        *,
        leading: int | None = None,
        namespace: Mapping[str, Any] = _EMPTY,
    ) -> TypedSignature | None:
        """Return the signature of a handler, or None if it is a classic one.

        A classic handler takes the message itself, ``(self, req, msg)``: behind ``req`` there is
        exactly one parameter, not annotated or annotated `Message`; or there is only ``*args``; or
        the handler was decorated by `request`. Behind a parameter that is annotated `Message` or
        called ``msg`` or ``message`` there may be others with defaults, for calls by hand.

        Parameters
        ----------
        function : callable
            A function as it stands in the class, or a bound method.
        leading : int, optional
            Number of parameters before those of the arguments. By default 2, for ``self`` and
            ``req``, and 1 for bound methods.
        namespace : mapping, optional
            Names that annotations may use besides those of the module, such as the namespace of
            the class.

        Raises
        ------
        TypeError
            If a parameter is keyword-only or not annotated, an annotation has no KATCP type, or the
            leading parameters are missing. The text names function and parameter.
        """
        if getattr(function, UNPACKS_MESSAGE, False):
            return None
        try:
            signature = inspect.signature(function)
        except (TypeError, ValueError):
            return None  # a callable written in C tells nothing
        if leading is None:
            leading = 1 if inspect.ismethod(function) else 2
        name = getattr(function, "__qualname__", repr(function))
        parameters = list(signature.parameters.values())
        before, parameters = parameters[:leading], parameters[leading:]
        if any(p.kind is p.VAR_POSITIONAL for p in before):
            return None
        if len(before) < leading or not all(map(_is_positional, before)):
            raise TypeError(f"{name}(): a handler takes {leading} parameters before its arguments")
        if _is_classic(parameters):
            return None

        innermost = inspect.unwrap(function)
        annotations = {p.name: p.annotation for p in parameters}
        resolved = resolve_annotations(
            innermost,
            {key: value for key, value in annotations.items() if value is not _UNANNOTATED},
            namespace,
        )
        if len(parameters) == 1 and _takes_message(resolved.get(parameters[0].name)):
            return None
        slots = [_make_slot(name, p, resolved.get(p.name, _UNANNOTATED)) for p in parameters]

        returned = signature.return_annotation
        if returned is _UNANNOTATED or _names_message(returned):
            return cls(name, slots, Result(Shape.UNKNOWN))
        returned = resolve_annotations(innermost, {"return": returned}, namespace)["return"]
        try:
            return cls(name, slots, Result.of(returned))
        except TypeError as error:
            raise TypeError(f"{name}(): what it returns: {error}") from error

    def unpacker(self, major: int) -> Unpacker:
        """Return the function that does what `unpack` does, for one version of the protocol."""
        unpacker = self._unpackers.get(major)
        if unpacker is None:
            unpacker = self._unpackers[major] = compile_unpacker(self._slots, major)
        return unpacker

    def unpack(self, arguments: Sequence[bytes], major: int) -> list[Any]:
        """Return the values for the arguments of a request, with defaults for missing ones.

        Raises
        ------
        FailReply
            ``Error in parameter 1 (x): ...`` or ``Too many parameters given.``
        """
        return self.unpacker(major)(arguments)

    def caller(
        self, handler: Callable[..., Any], major: int
    ) -> Callable[[Any, Any, Sequence[bytes]], Any]:
        """Return a function of (server, req, arguments) that unpacks these and calls `handler`."""
        return compile_caller(handler, self._slots, major)

    def line_ends(self, major: int) -> LineEnds:
        """Return functions that make the end of a reply's line at once; see `LineEnds`."""
        return self._result.line_ends(major)

    def replier(self, major: int) -> Replier:
        """Return the function that does what `reply_arguments` does, for one version."""
        replier = self._repliers.get(major)
        if replier is None:
            replier = self._repliers[major] = self._result.compile(self._name, major)
        return replier

    def reply_arguments(self, result: Any, major: int) -> list[bytes]:
        """Return all arguments of the reply, status first, for what the handler returned.

        For a ready `Message` these are its arguments; its name and type are the caller's affair.

        Raises
        ------
        ValueError
            If `result` does not fit the return annotation.
        """
        return self.replier(major)(result)

    def pack(self, result: Any, major: int) -> list[bytes]:
        """Return the arguments behind ``ok`` for what the handler returned.

        Raises
        ------
        FailReply, InvalidReply
            If the handler returned a failure.
        ValueError
            If `result` does not fit the return annotation.
        """
        arguments = self.replier(major)(result)
        if arguments and arguments[0] == Message.OK:
            return arguments[1:]
        text = (arguments[1] if len(arguments) > 1 else NO_REASON).decode("utf-8", "replace")
        raise InvalidReply(text) if Message.INVALID in arguments[:1] else FailReply(text)


def _is_positional(parameter: inspect.Parameter) -> bool:
    return parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)


def _may_be_left_out(parameter: inspect.Parameter) -> bool:
    return parameter.default is not _UNANNOTATED or parameter.kind in (
        parameter.VAR_POSITIONAL,
        parameter.VAR_KEYWORD,
    )


def _names_message(annotation: Any) -> bool:
    """Tell whether `annotation` is a string for `Message`.

    The name may be imported for type checkers only, so nobody tries to look it up.
    """
    return isinstance(annotation, str) and annotation.strip("'\"").split(".")[-1] == "Message"


def _takes_message(annotation: Any) -> bool:
    """Tell whether a parameter with `annotation` may get the message."""
    if isinstance(annotation, type) and issubclass(annotation, Message):
        return True
    return _names_message(annotation) or any(
        annotation is kind for kind in (_UNANNOTATED, Any, object)
    )


def _is_classic(parameters: Sequence[inspect.Parameter]) -> bool:
    """Tell whether the parameters behind ``req`` are those of a handler that takes the message."""
    if not parameters:
        return False
    first, *others = parameters
    if first.kind is first.VAR_POSITIONAL:
        return first.annotation is _UNANNOTATED
    if not _is_positional(first) or not _takes_message(first.annotation):
        return False
    known = first.annotation is not _UNANNOTATED or first.name.strip("_") in _MESSAGE_NAMES
    return not others or (known and all(map(_may_be_left_out, others)))


def _make_slot(name: str, parameter: inspect.Parameter, annotation: Any) -> Slot:
    where = f"{name}(): parameter {parameter.name!r}"
    if parameter.kind in (parameter.KEYWORD_ONLY, parameter.VAR_KEYWORD):
        raise TypeError(f"{where} is for keywords only, but arguments of requests have no names")
    if annotation is _UNANNOTATED:
        raise TypeError(f"{where} has no annotation, which would say the type of its argument")
    try:
        kattype = type_for(annotation)
    except TypeError as error:
        raise TypeError(f"{where}: {error}") from error
    if parameter.kind is parameter.VAR_POSITIONAL:
        return Slot(parameter.name, kattype, Absent.NOTHING, many=True)
    if is_multiple(kattype):
        raise TypeError(f"{where} takes several values, so it needs an asterisk")
    if parameter.default is _UNANNOTATED:
        return Slot(parameter.name, kattype)
    return Slot(parameter.name, kattype, parameter.default)


def _describe_result(result: Result) -> str:
    if result.shape is Shape.EACH:
        return f"[{result.types[0].describe()}...]"
    return ", ".join(
        f"[{kattype.describe()}]"
        if is_optional(kattype) or (result.nullable and result.shape is Shape.ONE)
        else kattype.describe()
        for kattype in result.types
    )
