"""What every type of an argument has in common."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

from katcp.protocol import DEFAULT_KATCP_MAJOR

logger = logging.getLogger("katcp.kattypes")

#: Text of the error for an argument that is missing and has neither default nor leave to be.
NO_VALUE = "No value or default given"

#: An error text quotes at most this much of a bad argument [bytes]; a line may be megabytes.
_QUOTED = 1000


def quoted(value: object) -> str:
    """Return `value` as error texts show it: its ``repr``, cut short if it is very long."""
    if isinstance(value, (bytes, str)) and len(value) > _QUOTED:
        return repr(value[:_QUOTED]) + "..."
    return repr(value)


def unparsable(value: object, kind: str) -> ValueError:
    """Return the error for an argument that is not of the kind it should be."""
    return ValueError(f"Could not parse value '{quoted(value)}' as {kind}.")


class KatcpType:
    """Base of the types: how values of one kind become an argument, and back.

    A type of your own sets `name` and defines ``encode(value, major) -> bytes`` and
    ``decode(value, major)``; perhaps also ``check(value, major)``. All three raise `ValueError`
    for values that they do not take; its text reaches the client.

    Parameters
    ----------
    default : object, optional
        Value that stands for a missing argument. It is checked when it is used.
    optional : bool, optional
        Whether the argument may be missing without a default; the value is None then.
    multiple : bool, optional
        Whether the type takes all arguments that are left. Only the last type of a list may.

    Notes
    -----
    `major` is the major version of the protocol, since times are written in seconds from
    version 5 on and in milliseconds before.
    """

    #: Name of the type, as in ``#sensor-list`` where it is a type of sensors too.
    name: str = "unknown"

    # For types of users whose constructor does not call this one.
    _default: Any = None
    _optional: bool = False
    _multiple: bool = False

    def __init__(self, default: Any = None, optional: bool = False, multiple: bool = False) -> None:
        self._default = default
        self._optional = optional
        self._multiple = multiple

    def get_default(self) -> Any:
        """Return the value of a missing argument.

        Raises
        ------
        ValueError
            If there is no default and the argument is not optional.
        """
        if self._default is None and not self._optional:
            raise ValueError(NO_VALUE)
        return self._default

    def check(self, value: Any, major: int) -> None:
        """Raise `ValueError` if `value` is of the right kind but not allowed."""

    def encode(self, value: Any, major: int) -> bytes:
        """Return the argument for `value`, before escaping."""
        raise NotImplementedError(f"{type(self).__name__} does not define encode().")

    def decode(self, value: bytes, major: int) -> Any:
        """Return the value of an argument."""
        raise NotImplementedError(f"{type(self).__name__} does not define decode().")

    def pack(self, value: Any, nocheck: bool = False, major: int = DEFAULT_KATCP_MAJOR) -> bytes:
        """Return the argument for `value`.

        Parameters
        ----------
        value : object
            None stands for the default.
        nocheck : bool, optional
            Leave out `check`.
        major : int, optional
            Major version of the protocol.

        Raises
        ------
        ValueError
            If `value` is not allowed, or None without a default.
        """
        if value is None:
            value = self.get_default()
        if value is None:
            raise ValueError(NO_VALUE)
        if not nocheck:
            self.check(value, major)
        return self.encode(value, major)

    def unpack(self, packed_value: bytes | None, major: int = DEFAULT_KATCP_MAJOR) -> Any:
        """Return the value of an argument.

        Parameters
        ----------
        packed_value : bytes or None
            None stands for a missing argument.
        major : int, optional
            Major version of the protocol.

        Raises
        ------
        ValueError
            If the argument cannot be read or is not allowed, or is missing and has to be there.
        """
        if packed_value is None:
            value = self.get_default()
        else:
            value = self.decode(packed_value, major)
        if value is not None:
            self.check(value, major)
        return value

    def decoder(self, major: int) -> Callable[[bytes], Any]:
        """Return the quickest function that does what `unpack` does for an argument that is there.

        Handlers ask for it once, when they are defined.
        """
        of_type = type(self)
        if of_type.unpack is not KatcpType.unpack:
            unpack = self.unpack
            return lambda value: unpack(value, major)
        decode = self.decode
        if of_type.check is KatcpType.check:
            return lambda value: decode(value, major)
        check = self.check

        def decode_checked(value: bytes) -> Any:
            result = decode(value, major)
            if result is not None:
                check(result, major)
            return result

        return decode_checked

    def encoder(self, major: int) -> Callable[[Any], bytes]:
        """Return the quickest function that does what `pack` does for a value that is not None.

        For None it either does the same as `pack`, or raises `TypeError` or `ValueError`.
        """
        pack = self.pack
        return lambda value: pack(value, False, major)

    def describe(self) -> str:
        """Return a short description for help texts, such as ``integer(1..5)``."""
        return self.name

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.describe()}>"


def describe_range(name: str, low: object, high: object) -> str:
    """Return the description of a number: ``integer(1..5)``, ``integer(>=1)``, ``integer``."""
    if low is None and high is None:
        return name
    if high is None:
        return f"{name}(>={low})"
    if low is None:
        return f"{name}(<={high})"
    return f"{name}({low}..{high})"


def is_multiple(kattype: KatcpType) -> bool:
    """Tell whether `kattype` takes all arguments that are left."""
    return kattype._multiple  # noqa: SLF001  # the attribute is named so for users' subclasses


def is_optional(kattype: KatcpType) -> bool:
    """Tell whether an argument of `kattype` may be missing without a default."""
    return kattype._optional  # noqa: SLF001  # as above


def as_types(types: Iterable[KatcpType | type[KatcpType]]) -> tuple[KatcpType, ...]:
    """Return instances for a list of types, of which some may be given as classes.

    Raises
    ------
    TypeError
        If one is no KATCP type, or one that takes several arguments is not the last.
    """
    result = []
    for kattype in types:
        instance = kattype() if isinstance(kattype, type) else kattype
        if not isinstance(instance, KatcpType):
            raise TypeError(f"{kattype!r} is not a KATCP type.")
        result.append(instance)
    if any(is_multiple(kattype) for kattype in result[:-1]):
        raise TypeError("Only the last parameter type can accept multiple arguments.")
    return tuple(result)
