"""Decisions and streams out of one string of bytes, such as a fuzzer makes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

_T = TypeVar("_T")


class Source:
    """Takes bytes from the beginning for decisions; zeros when there are none left."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def byte(self) -> int:
        """Return the next byte."""
        self._at += 1
        return self._data[self._at - 1] if self._at <= len(self._data) else 0

    def choice(self, values: Sequence[_T]) -> _T:
        """Return one of some values; the first where nothing is said."""
        return values[self.byte() % len(values)]

    def piece(self) -> bytes:
        """Return some bytes, of which the next byte tells the number."""
        size = self.byte()
        self._at += size
        return self._data[self._at - size : self._at]

    def rest(self) -> bytes:
        """Return what is left."""
        rest = self._data[self._at :]
        self._at = len(self._data)
        return rest


def chunks(stream: bytes, seed: int) -> Iterator[bytes]:
    """Cut a stream: 0 not at all, 1 into single bytes, else into pieces of changing length."""
    if seed < 2:
        size = 1 if seed else len(stream) or 1
        for start in range(0, len(stream), size):
            yield stream[start : start + size]
        return
    start = 0
    while start < len(stream):
        seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
        size = 1 + (seed >> 16) % 23
        yield stream[start : start + size]
        start += size
