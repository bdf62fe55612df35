"""Text and bytes, also as handed in by code written for Python 2 and 3 at once.

Code that uses the ``future`` package may hand in its ``newstr`` and ``newbytes`` objects;
they are turned into the native types here and nowhere else.
"""

from typing import Any

from future.utils import native

__all__ = ["byte_chars", "ensure_native_str", "is_bytes", "is_text"]


def is_bytes(value: Any) -> bool:
    """Tell whether `value` is a byte string."""
    return isinstance(value, bytes)


def is_text(value: Any) -> bool:
    """Tell whether `value` is a text string."""
    return isinstance(value, str)


def ensure_native_str(value: Any) -> str:
    """Return `value` (text, or bytes in UTF-8) as `str`.

    Raises
    ------
    TypeError
        If `value` is neither text nor bytes.
    """
    value = native(value)
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8")
    raise TypeError(f"Invalid type for string conversion: {type(value)}")


def byte_chars(byte_string: bytes) -> list[bytes]:
    """Split a byte string into one-byte strings: ``byte_chars(b"ab") == [b"a", b"b"]``."""
    return [byte_string[i : i + 1] for i in range(len(byte_string))]
