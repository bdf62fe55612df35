"""Text and plain bytes."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import Any

from katcp.compat import ensure_native_str
from katcp.kattypes._base import KatcpType, quoted
from katcp.protocol import encode_utf8_with_error_log


def to_text(value: object) -> str:
    """Return `value` as text: bytes are UTF-8, any other object goes by ``str``.

    Raises
    ------
    ValueError
        If bytes are not UTF-8.
    """
    if isinstance(value, bytes):
        return bytes(value).decode("utf-8")
    return str(value)


def encode_text(value: object) -> bytes:
    """Return `value` in UTF-8; bytes stay as they are, any other object goes by ``str``.

    Raises
    ------
    TypeError
        For None, which stands for a missing value.
    """
    if type(value) is str:
        return encode_utf8_with_error_log(value)
    if isinstance(value, bytes):
        return bytes(value)
    if value is None:
        raise TypeError("None stands for a missing value.")
    return encode_utf8_with_error_log(str(value))


class Str(KatcpType):
    """Text in UTF-8.

    Values are `str` after unpacking. When packing, text, bytes and any other object (by
    ``str``) will do. Text that cannot be encoded is logged, and gets ``?`` for each bad character.
    """

    name = "string"

    def encode(self, value: object, major: int) -> bytes:
        """Write UTF-8."""
        return encode_text(value)

    def decode(self, value: bytes, major: int) -> str:
        """Read UTF-8; raise `ValueError` for other bytes."""
        return value.decode("utf-8")

    def decoder(self, major: int) -> Callable[[bytes], Any]:
        """Return a function that reads and checks an argument."""
        if type(self) is Str:
            return bytes.decode
        return super().decoder(major)

    def encoder(self, major: int) -> Callable[[Any], bytes]:
        """Return a function that checks and writes a value."""
        if type(self) is Str:
            return encode_text
        return super().encoder(major)


class Bytes(KatcpType):
    """Bytes as they are. When packing, text (in UTF-8) will do as well."""

    name = "string"

    def encode(self, value: bytes | bytearray | memoryview | str, major: int) -> bytes:
        """Write the bytes; raise `TypeError` for objects that are neither bytes nor text."""
        if isinstance(value, str):
            return encode_utf8_with_error_log(value)
        if not isinstance(value, (bytes, bytearray, memoryview)):
            raise TypeError(f"Bytes are needed, not {value!r}.")
        return bytes(value)

    def decode(self, value: bytes, major: int) -> bytes:
        """Return the argument itself."""
        return value

    def decoder(self, major: int) -> Callable[[bytes], bytes]:
        """Return a function that reads and checks an argument."""
        return bytes if type(self) is Bytes else super().decoder(major)


class Regex(Str):
    r"""Text that a regular expression matches.

    Only the *beginning* of the text has to match, as ``re.match`` has it: end the expression with
    ``$`` (or ``\Z``) to have the whole text checked.

    Parameters
    ----------
    regex : str or compiled pattern
    **kwargs
        As for `KatcpType`.

    Raises
    ------
    re.error
        If the expression is not well-formed.
    """

    name = "regex"

    #: Flags of ``re`` in the order in which error texts name them.
    _FLAGS = "AILMSUX"

    def __init__(self, regex: str | bytes | re.Pattern[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if isinstance(regex, (str, bytes)):
            regex = re.compile(ensure_native_str(regex))
        self._pattern = regex.pattern
        self._flags = ",".join(flag for flag in self._FLAGS if regex.flags & re.RegexFlag[flag])
        self._match = regex.match

    def check(self, value: object, major: int) -> None:
        """Raise `ValueError` if the expression does not match the beginning of `value`."""
        text = to_text(value)
        if self._match(text) is None:
            raise ValueError(
                f"Value {quoted(text)} does not match regex {self._pattern!r} "
                f"with flags {self._flags!r}."
            )

    def describe(self) -> str:
        """Return the name and the expression."""
        return f"{self.name}({self._pattern})"


class Struct(KatcpType):
    """Values packed into bytes by the `struct` module. The value is a tuple.

    Parameters
    ----------
    fmt : str
        Format, as for ``struct.pack``.
    **kwargs
        As for `KatcpType`.
    """

    name = "struct"

    def __init__(self, fmt: str | bytes, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._fmt = ensure_native_str(fmt)
        self._struct = struct.Struct(self._fmt)

    def encode(self, value: Any, major: int) -> bytes:
        """Write a tuple of the right length and kinds."""
        try:
            return self._struct.pack(*value)
        except (struct.error, TypeError) as error:
            raise ValueError(
                f"Could not pack {quoted(value)} into struct with format {self._fmt!r}: {error}"
            ) from error

    def decode(self, value: bytes, major: int) -> tuple[Any, ...]:
        """Read exactly as many bytes as the format needs."""
        try:
            return self._struct.unpack(value)
        except struct.error as error:
            raise ValueError(
                f"Could not unpack {quoted(value)} from struct with format {self._fmt!r}: {error}"
            ) from error

    def describe(self) -> str:
        """Return the name and the format."""
        return f"{self.name}({self._fmt})"
