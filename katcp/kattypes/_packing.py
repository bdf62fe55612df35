"""Lists of arguments: from bytes to values and back, by a list of types.

What a handler needs at each call is prepared once, when it is defined: `compile_unpacker` and
`compile_packer` ask each type for its quickest function and return one that does the common case,
as many arguments as types, without looking anything up. Whatever is not the common case goes to a
slow and complete way, which also finds out which argument was bad; it may therefore read an
argument a second time.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from katcp.errors import FailReply
from katcp.kattypes._base import KatcpType, as_types, is_multiple, is_optional

TOO_MANY = "Too many parameters given."

Unpacker = Callable[[Sequence[bytes]], list[Any]]
Packer = Callable[[Sequence[Any]], list[bytes]]


class Absent(enum.Enum):
    """What a missing argument means, where that is not a value."""

    #: The type knows: its default, None if it is optional, or an error.
    BY_TYPE = enum.auto()
    #: No value at all, for a type that takes several.
    NOTHING = enum.auto()


class Slot(NamedTuple):
    """One parameter of a handler."""

    name: str
    kattype: KatcpType
    #: Value of a missing argument.
    default: Any = Absent.BY_TYPE
    #: Whether it takes all arguments that are left.
    many: bool = False


class Parameter:
    """One argument of a request, with what error texts need to name it.

    Parameters
    ----------
    position : int
        Place in the list of arguments, from 1.
    name : str
        Name of the parameter of the handler.
    kattype : KatcpType
    major : int
        Major version of the protocol.
    """

    def __init__(self, position: int, name: str, kattype: KatcpType, major: int) -> None:
        self.position = position
        self.name = name
        self._kattype = kattype
        self.major = major

    def pack(self, value: Any) -> bytes:
        """Return the argument for `value`, which is checked.

        Raises
        ------
        ValueError
            As the type does.
        """
        return self._kattype.pack(value, major=self.major)

    def unpack(self, value: bytes | None) -> Any:
        """Return the value of an argument (None: of a missing one).

        Raises
        ------
        FailReply
            For what the type refuses; the text names the parameter.
        """
        try:
            return self._kattype.unpack(value, self.major)
        except ValueError as error:
            raise FailReply(f"Error in parameter {self.position} ({self.name}): {error}") from error


def _unpack_slowly(slots: Sequence[Slot], arguments: Sequence[bytes], major: int) -> list[Any]:
    """Unpack in any case, or raise the `FailReply` that says what is wrong."""
    surplus = len(arguments) - len(slots)
    if surplus > 0:
        if not (slots and slots[-1].many):
            raise FailReply(TOO_MANY)
        slots = [*slots, *([slots[-1]] * surplus)]
    given: list[bytes | None] = [*arguments, *([None] * (len(slots) - len(arguments)))]
    values = []
    for position, (slot, argument) in enumerate(zip(slots, given, strict=True), start=1):
        if argument is not None or slot.default is Absent.BY_TYPE:
            values.append(Parameter(position, slot.name, slot.kattype, major).unpack(argument))
        elif slot.default is not Absent.NOTHING:
            values.append(slot.default)
    return values


def _constant_defaults(slots: Sequence[Slot], major: int) -> list[Any]:
    """Return the values that missing arguments at the end always have, as far as that is known."""
    defaults: list[Any] = []
    for slot in reversed(slots):
        default = slot.default
        if default is Absent.BY_TYPE:
            # A type of a user may have a default that changes; it is asked each time.
            of_type = type(slot.kattype)
            if (of_type.unpack, of_type.get_default) != (KatcpType.unpack, KatcpType.get_default):
                break
            try:
                default = slot.kattype.unpack(None, major)
            except ValueError:
                break
        if default is Absent.NOTHING:
            break
        defaults.insert(0, default)
    return defaults


def _apply_each(functions: Sequence[Callable[[Any], Any]]) -> Callable[[Sequence[Any]], list[Any]]:
    """Return a function of as many items: the list of what each function makes of its own item."""
    # Written out, since a loop over pairs takes as long as decoding three integers.
    if not functions:
        return lambda items: []
    if len(functions) == 1:
        (a,) = functions
        return lambda items: [a(items[0])]
    if len(functions) == 2:
        a, b = functions
        return lambda items: [a(items[0]), b(items[1])]
    if len(functions) == 3:
        a, b, c = functions
        return lambda items: [a(items[0]), b(items[1]), c(items[2])]
    if len(functions) == 4:
        a, b, c, d = functions
        return lambda items: [a(items[0]), b(items[1]), c(items[2]), d(items[3])]
    return lambda items: [f(item) for f, item in zip(functions, items, strict=True)]


def _compile_reader(
    decoders: Sequence[Callable[[bytes], Any]], defaults: Sequence[Any]
) -> Unpacker:
    decode = _apply_each(decoders)
    if not defaults:
        return decode
    return lambda arguments: [*decode(arguments), *defaults]


def compile_unpacker(slots: Sequence[Slot], major: int) -> Unpacker:
    """Return a function that turns the arguments of a request into values.

    It raises `FailReply` for arguments that are bad, missing or too many.
    """
    count = len(slots)
    decoders = [slot.kattype.decoder(major) for slot in slots]
    defaults = _constant_defaults(slots, major)
    required = count - len(defaults)
    # Number of arguments -> the function that reads so many.
    readers = {
        given: _compile_reader(decoders[:given], defaults[given - required :])
        for given in range(required, count + 1)
    }
    find = readers.get

    def unpack(arguments: Sequence[bytes]) -> list[Any]:
        read = find(len(arguments))
        if read is not None:
            try:
                return read(arguments)
            except ValueError:
                pass
        return _unpack_slowly(slots, arguments, major)

    if not (slots and slots[-1].many):
        return unpack

    read_all, decode_last = readers[count], decoders[-1]

    def unpack_many(arguments: Sequence[bytes]) -> list[Any]:
        if len(arguments) >= count:
            try:
                return read_all(arguments[:count]) + [decode_last(x) for x in arguments[count:]]
            except ValueError:
                pass
        return _unpack_slowly(slots, arguments, major)

    return unpack_many


def compile_caller(
    handler: Callable[..., Any], slots: Sequence[Slot], major: int
) -> Callable[[Any, Any, Sequence[bytes]], Any]:
    """Return a function of (server, req, arguments) that unpacks these and calls a handler.

    It does ``handler(server, req, *unpack(arguments))``.
    """
    unpack = compile_unpacker(slots, major)

    def call(server: Any, req: Any, arguments: Sequence[bytes]) -> Any:
        return handler(server, req, *unpack(arguments))

    if slots and slots[-1].many:
        return call
    decoders = [slot.kattype.decoder(major) for slot in slots]

    # Written out for the most frequent numbers: without two calls and a list on the way, a
    # request of two integers takes 0.4 µs less, of 2.4.
    def call_0(server: Any, req: Any, arguments: Sequence[bytes]) -> Any:
        if arguments:
            return call(server, req, arguments)
        return handler(server, req)

    def call_1(server: Any, req: Any, arguments: Sequence[bytes]) -> Any:
        if len(arguments) != 1:
            return call(server, req, arguments)
        try:
            value_a = a(arguments[0])
        except ValueError:
            return call(server, req, arguments)
        return handler(server, req, value_a)

    def call_2(server: Any, req: Any, arguments: Sequence[bytes]) -> Any:
        if len(arguments) != 2:
            return call(server, req, arguments)
        try:
            value_a = a(arguments[0])
            value_b = b(arguments[1])
        except ValueError:
            return call(server, req, arguments)
        return handler(server, req, value_a, value_b)

    if not decoders:
        return call_0
    if len(decoders) == 1:
        (a,) = decoders
        return call_1
    if len(decoders) == 2:
        a, b = decoders
        return call_2
    return call


def make_slots(types: Iterable[KatcpType | type[KatcpType]], names: Sequence[str]) -> list[Slot]:
    """Return slots for types and the names of the parameters that they fill.

    The last name serves for all types behind it: so the values of ``*args``, and of a type that
    takes several, bear the name of their parameter.
    """
    last = names[-1] if names else ""
    return [
        Slot(names[index] if index < len(names) else last, kattype, many=is_multiple(kattype))
        for index, kattype in enumerate(as_types(types))
    ]


def unpack_types(
    types: Iterable[KatcpType | type[KatcpType]],
    args: Sequence[bytes],
    argnames: Sequence[str],
    major: int,
) -> list[Any]:
    """Return the values of arguments.

    Parameters
    ----------
    types : sequence of KatcpType
        The last one may take several arguments; the first of these has to be there unless the
        type is optional or has a default.
    args : sequence of bytes
    argnames : sequence of str
        Names of the parameters, for error texts.
    major : int
        Major version of the protocol.

    Raises
    ------
    FailReply
        If an argument is bad or missing, or there are too many.
    TypeError
        If a type that takes several arguments is not the last.
    """
    return _unpack_slowly(make_slots(types, argnames), args, major)


def _pack_slowly(types: Sequence[KatcpType], values: Sequence[Any], major: int) -> list[bytes]:
    """Pack in any case, or raise the error that says what is wrong."""
    surplus = len(values) - len(types)
    many = bool(types) and is_multiple(types[-1])
    if surplus > 0 and not many:
        raise ValueError("Too many arguments to pack.")
    if surplus > 0:
        types = [*types, *([types[-1]] * surplus)]
    elif surplus == -1 and many and is_optional(types[-1]) and types[-1].get_default() is None:
        types = types[:-1]
    given = [*values, *([None] * (len(types) - len(values)))]
    return [t.pack(value, major=major) for t, value in zip(types, given, strict=True)]


def compile_packer(types: Sequence[KatcpType], major: int) -> Packer:
    """Return a function that turns values into arguments; it raises as `pack_types` does."""
    count = len(types)
    encode: Packer = _apply_each([kattype.encoder(major) for kattype in types])

    def pack(values: Sequence[Any]) -> list[bytes]:
        if len(values) == count:
            try:
                return encode(values)
            except (TypeError, ValueError):
                pass
        return _pack_slowly(types, values, major)

    return pack


def pack_types(
    types: Iterable[KatcpType | type[KatcpType]], args: Sequence[Any], major: int
) -> list[bytes]:
    """Return the arguments for values.

    Parameters
    ----------
    types : sequence of KatcpType
        The last one may take several values.
    args : sequence of object
        The values. Those missing at the end are the defaults of their types.
    major : int
        Major version of the protocol.

    Raises
    ------
    ValueError
        If there are too many values, or one is missing or not allowed.
    TypeError
        If a type that takes several values is not the last, or as the types do.
    """
    return _pack_slowly(as_types(types), args, major)
