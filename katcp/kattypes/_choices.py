"""Words out of a fixed set: one, several, or the members of an enumeration."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from typing import Any

from katcp.compat import ensure_native_str
from katcp.kattypes._base import KatcpType, quoted
from katcp.kattypes._text import Str, to_text


class Discrete(Str):
    """One word out of a fixed set.

    Parameters
    ----------
    values : iterable of str
        The words, in the order in which people should see them. Bytes will do.
    case_insensitive : bool, optional
        Whether letters may be of either case. The value keeps the case that was given.
    **kwargs
        As for `KatcpType`.
    """

    name = "discrete"

    def __init__(
        self, values: Iterable[str | bytes], case_insensitive: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self._case_insensitive = case_insensitive
        self._values = [ensure_native_str(value) for value in values]
        self._valid_values = {self._fold(value) for value in self._values}

    def _fold(self, text: str) -> str:
        return text.lower() if self._case_insensitive else text

    def check(self, value: Any, major: int) -> None:
        """Raise `ValueError` if `value` is not one of the words."""
        text = to_text(value)
        if self._fold(text) not in self._valid_values:
            tail = " (case-insensitive)" if self._case_insensitive else ""
            raise ValueError(f"Discrete value {quoted(text)} is not one of {self._values}{tail}.")

    def decoder(self, major: int) -> Callable[[bytes], Any]:
        """Return a function that reads and checks an argument."""
        if type(self) is not Discrete or self._case_insensitive:
            return super().decoder(major)
        words = {word.encode("utf-8", "replace"): word for word in self._values}
        unpack = self.unpack

        def decode_word(value: bytes) -> Any:
            word = words.get(value)
            # Not found: the slow way knows the words of the error.
            return unpack(value, major) if word is None else word

        return decode_word

    def describe(self) -> str:
        """Return the name and the words."""
        return f"{self.name}({'|'.join(self._values)})"


class DiscreteMulti(Discrete):
    """Several words out of a fixed set: ``a,c``; or ``all``.

    The value is a list of `str`, sorted without regard to case.

    Parameters
    ----------
    values : iterable of str
        The words. None should contain the separator.
    all_keyword : str or None, optional
        Text that stands for every word; None for no such text.
    separator : str, optional
        Text between words.
    **kwargs
        As for `Discrete`.
    """

    name = "discretemulti"

    def __init__(
        self,
        values: Iterable[str | bytes],
        all_keyword: str | None = "all",
        separator: str = ",",
        **kwargs: Any,
    ) -> None:
        super().__init__(values, **kwargs)
        self.all_keyword = all_keyword
        self.separator = separator

    def _split(self, text: str) -> list[str]:
        if self.all_keyword is not None and self._fold(text) == self._fold(self.all_keyword):
            words = self._values
        else:
            words = text.split(self.separator)
        return sorted(words, key=str.lower)

    def _words(self, value: object) -> list[str]:
        if isinstance(value, (str, bytes)):
            return self._split(to_text(value))
        if not isinstance(value, Iterable):
            raise ValueError(f"A list of words is needed, not {value!r}.")
        return sorted((to_text(word) for word in value), key=str.lower)

    def check(self, value: Any, major: int) -> None:
        """Raise `ValueError` if one of the words is not in the set."""
        for word in self._words(value):
            super().check(word, major)

    def encode(self, value: Any, major: int) -> bytes:
        """Write a list of words, or what is already the text of one."""
        return super().encode(self.separator.join(self._words(value)), major)

    def decode(self, value: bytes, major: int) -> Any:
        """Read words with separators between, or the word for all."""
        return self._split(super().decode(value, major))

    def describe(self) -> str:
        """Return the name and the words."""
        return f"{self.name}({self.separator.join(self._values)})"


def enum_word(member: enum.Enum) -> str:
    """Return the word for a member of an enumeration.

    That is its attribute ``katcp_value`` if it has one, its value if that is text, and else its
    name in lower case with ``-`` for ``_``.
    """
    word = getattr(member, "katcp_value", member.value)
    if isinstance(word, (str, bytes)):
        return ensure_native_str(word)
    return member.name.lower().replace("_", "-")


class DiscreteEnum(KatcpType):
    """A member of an enumeration, written as one word (see `enum_word`).

    Parameters
    ----------
    enumeration : subclass of enum.Enum
    **kwargs
        As for `KatcpType`.

    Raises
    ------
    TypeError
        If `enumeration` is none, or two members have the same word.

    Examples
    --------
    >>> class Mode(enum.Enum):
    ...     STAND_BY = 1
    ...     ON = 2
    >>> DiscreteEnum(Mode).unpack(b"stand-by")
    <Mode.STAND_BY: 1>
    """

    name = "discrete"

    def __init__(self, enumeration: type[enum.Enum], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not _is_enumeration(enumeration):
            raise TypeError(f"{enumeration!r} is not an enumeration.")
        self.enumeration = enumeration
        self._by_word = {enum_word(member).encode("utf-8"): member for member in enumeration}
        self._values = [enum_word(member) for member in enumeration]
        if len(self._by_word) != len(self._values):
            raise TypeError(f"Two members of {enumeration.__name__} have the same word.")

    def encode(self, value: Any, major: int) -> bytes:
        """Write the word of a member; a word itself will do."""
        if isinstance(value, self.enumeration):
            return enum_word(value).encode("utf-8")
        word = value.encode("utf-8", "replace") if isinstance(value, str) else value
        if isinstance(word, bytes) and word in self._by_word:
            return bytes(word)
        raise ValueError(f"Discrete value {quoted(value)} is not one of {self._values}.")

    def decode(self, value: bytes, major: int) -> Any:
        """Read the word of a member."""
        member = self._by_word.get(value)
        if member is None:
            word = value.decode("utf-8", "backslashreplace")
            raise ValueError(f"Discrete value {quoted(word)} is not one of {self._values}.")
        return member

    def describe(self) -> str:
        """Return the name and the words."""
        return f"{self.name}({'|'.join(self._values)})"


def _is_enumeration(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, enum.Enum)
