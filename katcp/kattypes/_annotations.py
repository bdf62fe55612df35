"""From annotations of Python to types of arguments."""

from __future__ import annotations

import collections
import enum
import ipaddress
import types
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, Union

from katcp.kattypes._address import IPAddress
from katcp.kattypes._base import KatcpType
from katcp.kattypes._choices import Discrete, DiscreteEnum, enum_word
from katcp.kattypes._numbers import Bool, Float, Int
from katcp.kattypes._text import Bytes, Str
from katcp.protocol import DEFAULT_KATCP_MAJOR, format_argument

_IP_VERSIONS: dict[Any, int] = {ipaddress.IPv4Address: 4, ipaddress.IPv6Address: 6}

# By identity, so that bool is no int here.
_PLAIN: dict[Any, Callable[..., KatcpType]] = {
    int: Int,
    float: Float,
    bool: Bool,
    str: Str,
    bytes: Bytes,
}

_UNIONS = (Union, types.UnionType)


def type_for(annotation: Any, **kwargs: Any) -> KatcpType:
    """Return the KATCP type for an annotation.

    ============================================  ==========================================
    annotation                                    type
    ============================================  ==========================================
    ``int``, ``float``, ``bool``                  `Int`, `Float`, `Bool`
    ``str``, ``bytes``                            `Str`, `Bytes`
    subclass of ``enum.Enum``                     `DiscreteEnum`
    ``Literal["a", "b"]``                         `Discrete`
    ``ipaddress.IPv4Address``, ``IPv6Address``    `IPAddress` of that version; the union: of any
    ``X | None``, ``Optional[X]``                 that of ``X``, optional
    subclass or instance of `KatcpType`           that
    ``Annotated[X, Int(min=1)]``                  the KATCP type in it, else that of ``X``
    ============================================  ==========================================

    Parameters
    ----------
    annotation : object
        An annotation that is no longer a string.
    **kwargs
        ``default``, ``optional`` or ``multiple``, as for `KatcpType`. Instances are used as they
        are.

    Raises
    ------
    TypeError
        If there is no type for it.
    """
    plain = _PLAIN.get(annotation) if _is_hashable(annotation) else None
    if plain is not None:
        return plain(**kwargs)
    if isinstance(annotation, KatcpType):
        return annotation
    if isinstance(annotation, type):
        if issubclass(annotation, KatcpType):
            return annotation(**kwargs)
        if issubclass(annotation, enum.Enum):
            return DiscreteEnum(annotation, **kwargs)
        if annotation in _IP_VERSIONS:
            return IPAddress(_IP_VERSIONS[annotation], **kwargs)
    return _type_for_form(annotation, kwargs)


def _is_hashable(value: object) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def _type_for_form(annotation: Any, kwargs: dict[str, Any]) -> KatcpType:
    """Return the type for what `typing` makes: unions, literals and the like."""
    origin = typing.get_origin(annotation)
    arguments = typing.get_args(annotation)
    if origin is Annotated:
        for extra in arguments[1:]:
            if isinstance(extra, KatcpType):
                return extra
            if isinstance(extra, type) and issubclass(extra, KatcpType):
                optional = {"optional": True} if _allows_none(arguments[0]) else {}
                return extra(**{**optional, **kwargs})
        return type_for(arguments[0], **kwargs)
    if origin is Literal:
        words = [word for word in arguments if word is not None]
        if words and all(isinstance(word, str) for word in words):
            optional = {"optional": True} if None in arguments else {}
            return Discrete(words, **{**optional, **kwargs})
    if origin in _UNIONS:
        kinds = [kind for kind in arguments if kind is not type(None)]
        optional = {"optional": True} if len(kinds) < len(arguments) else {}
        if len(kinds) == 1:
            return type_for(kinds[0], **{**optional, **kwargs})
        if set(kinds) == set(_IP_VERSIONS):
            return IPAddress(**{**optional, **kwargs})
    # `type X = int` of Python 3.12, and NewType, stand for something else.
    for attribute in ("__value__", "__supertype__"):
        if hasattr(annotation, attribute):
            return type_for(getattr(annotation, attribute), **kwargs)
    shown = annotation.__name__ if isinstance(annotation, type) else repr(annotation)
    raise TypeError(f"{shown} is not the annotation of any KATCP type")


def _allows_none(annotation: Any) -> bool:
    return typing.get_origin(annotation) in _UNIONS and type(None) in typing.get_args(annotation)


def decode(annotation: Any, value: bytes, major: int = DEFAULT_KATCP_MAJOR) -> Any:
    """Return the value of one argument, by an annotation or a type.

    Raises
    ------
    TypeError
        If there is no type for the annotation.
    ValueError
        If the argument is bad.

    Examples
    --------
    >>> decode(int, b"5")
    5
    """
    return type_for(annotation).unpack(value, major)


def encode(value: object) -> bytes:
    """Return the argument for a value of any kind.

    As `Message` does it, and members of enumerations as `DiscreteEnum`, addresses of `ipaddress` as
    `IPAddress` does.

    Examples
    --------
    >>> encode(1.5)
    b'1.5'
    """
    if isinstance(value, enum.Enum):
        return enum_word(value).encode("utf-8")
    if isinstance(value, ipaddress.IPv6Address):
        return f"[{value}]".encode()
    return format_argument(value)


def resolve_annotations(
    function: Callable[..., Any], annotations: Mapping[str, Any], namespace: Mapping[str, Any]
) -> dict[str, Any]:
    """Return `annotations` with strings replaced by what they stand for.

    Names are looked up in `namespace` (say, that of the class), among the variables of the
    functions around, and in the module of `function`.

    Raises
    ------
    TypeError
        If a string is no expression, or a name in it is not known; the text names the parameter.
    """
    code = getattr(function, "__code__", None)
    closure = getattr(function, "__closure__", None) or ()
    around = {
        name: cell.cell_contents
        for name, cell in zip(getattr(code, "co_freevars", ()), closure, strict=False)
        if _is_filled(cell)
    }
    global_names = getattr(function, "__globals__", {})
    # Looked up, not copied: the namespace of a class with 5,000 requests is asked 5,000 times.
    local_names: Mapping[str, Any] = collections.ChainMap(
        typing.cast("dict[str, Any]", namespace), around
    )
    resolved = {}
    for name, annotation in annotations.items():

        def holder() -> None:
            """Carry one annotation: get_type_hints takes all of an object or none."""

        holder.__annotations__ = {name: annotation}
        try:
            hints = typing.get_type_hints(holder, global_names, local_names, include_extras=True)
            resolved[name] = hints[name]
        except Exception as error:
            instance = _evaluate_instance(annotation, global_names, local_names)
            if instance is None:
                raise TypeError(
                    f"{function.__qualname__}(): parameter {name!r}: the annotation "
                    f"{annotation!r} cannot be resolved: {error}"
                ) from error
            resolved[name] = instance
    return resolved


def _evaluate_instance(
    annotation: Any, global_names: dict[str, Any], local_names: Mapping[str, Any]
) -> KatcpType | None:
    """Return the type that a string makes: Python 3.10 refuses annotations that are no classes."""
    if not isinstance(annotation, str):
        return None
    try:
        value = eval(annotation, global_names, local_names)
    except Exception:
        return None
    return value if isinstance(value, KatcpType) else None


def _is_filled(cell: types.CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018  # looking is what raises
    except ValueError:
        return False
    return True
