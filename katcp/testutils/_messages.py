"""Comparing messages with their text on the wire."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from katcp.compat import ensure_native_str, is_bytes, is_text
from katcp.protocol import Message

if TYPE_CHECKING:
    import unittest

    _Mixin = unittest.TestCase
else:
    _Mixin = object


def add_mid_to_msg_str(msg_str: Any, mid: Any) -> Any:
    """Put a message id behind the name of a message that is given as text.

    Parameters
    ----------
    msg_str : str or bytes
        As it would be on the wire: ``!name ok``.
    mid : int, str, bytes or None
        None: return `msg_str` as it is.

    Returns
    -------
    str or bytes
        ``!name[5] ok``, of the type of `msg_str`.
    """
    if mid is None:
        return msg_str
    if is_bytes(mid):
        mid = ensure_native_str(mid)
    if is_bytes(msg_str):
        head, space, tail = msg_str.partition(b" ")
        return head + f"[{mid}]".encode() + space + tail
    text, gap, rest = msg_str.partition(" ")
    return f"{text}[{mid}]{gap}{rest}"


def list_to_native_strings(list_to_coerce: Iterable[Any]) -> list[str]:
    """Return the items as `str`: bytes decoded, all that is no text converted by ``str()``."""
    return [
        ensure_native_str(item) if is_bytes(item) or is_text(item) else str(item)
        for item in list_to_coerce
    ]


class TestUtilMixin(_Mixin):
    """Assertions about lists of messages, to be mixed into a `unittest.TestCase`."""

    #: Not a test, whatever its name begins with; see `__init_subclass__`.
    __test__: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        origin = next(base for base in cls.__mro__ if "__test__" in vars(base))
        if origin is TestUtilMixin:
            cls.__test__ = True  # what it is mixed into is a test

    def _assert_msgs_length(self, actual_msgs: Sequence[Message], expected_number: int) -> None:
        """Check the number of messages."""
        number = len(actual_msgs)
        if number < expected_number:
            self.assertEqual(number, expected_number, "Too few messages received.")
        elif number > expected_number:
            self.assertEqual(number, expected_number, "Too many messages received.")

    def _assert_msgs_equal(
        self, actual_msgs: Sequence[Message], expected_msgs: Sequence[str], mid: Any = None
    ) -> None:
        """Check each message against its text; a `mid` is put into the texts first."""
        for message, expected in zip(actual_msgs, expected_msgs, strict=False):
            self.assertEqual(str(message), add_mid_to_msg_str(expected, mid))
        self._assert_msgs_length(actual_msgs, len(expected_msgs))

    def _assert_msgs_match(
        self, actual_msgs: Sequence[Message], expected: Sequence[str | re.Pattern[str]]
    ) -> None:
        """Check the beginning of each message's text against a regular expression."""
        for message, pattern in zip(actual_msgs, expected, strict=False):
            self.assertTrue(
                re.match(pattern, str(message)),
                f"Message did not match pattern {pattern!r}: {message}",
            )
        self._assert_msgs_length(actual_msgs, len(expected))

    def _assert_msgs_like(
        self,
        actual_msgs: Sequence[Message],
        expected: Sequence[tuple[str, str]],
        mid: Any = None,
    ) -> None:
        """Check how each message's text begins and ends; a `mid` is put into the beginnings."""
        for message, (beginning, end) in zip(actual_msgs, expected, strict=False):
            text = str(message)
            prefix = add_mid_to_msg_str(beginning, mid)
            if not text.startswith(prefix):
                self.assertEqual(text, prefix, f"Message {text!r} does not start with {prefix!r}.")
            if not text.endswith(end):
                self.assertEqual(text, end, f"Message {text!r} does not end with {end!r}.")
        self._assert_msgs_length(actual_msgs, len(expected))
