"""What waits for a peer that is behind: in order, of each sensor the newest reading only.

A reading that is followed by another of the same sensor tells the peer nothing that it will want to
know once it gets there. So while a peer is behind, what waits is bounded by the number of sensors
and not by how often they change, and when it goes on it is up to date at once.
"""

from __future__ import annotations

import collections
from collections.abc import Callable

#: How much is handed on at a time; meanwhile the rest can still be renewed [bytes].
_PIECE = 64 * 1024


class Held:
    """Lines that wait.

    Parameters
    ----------
    subject_of : callable
        Returns what a line (without LF) tells the present state of: a later line on the same
        subject replaces it. None: it has to be sent whatever follows.

    Attributes
    ----------
    size : int
        Of the lines, with their LF [bytes].
    replaced : int
        Lines that have given way to newer ones.
    """

    __slots__ = ("_lines", "_number", "_subject_of", "replaced", "size")

    def __init__(self, subject_of: Callable[[bytes], bytes | None]) -> None:
        self._subject_of = subject_of
        self._lines: collections.OrderedDict[bytes | int, bytes] = collections.OrderedDict()
        self._number = 0
        self.size = 0
        self.replaced = 0

    def __len__(self) -> int:
        return len(self._lines)

    def put(self, data: bytes) -> None:
        """Add lines, each ended by LF, behind those that wait."""
        waiting = self._lines
        subject_of = self._subject_of
        for line in data[:-1].split(b"\n"):
            key: bytes | int | None = subject_of(line)
            if key is None:
                self._number = key = self._number + 1
            else:
                old = waiting.pop(key, None)
                if old is not None:
                    self.size -= len(old) + 1
                    self.replaced += 1
            waiting[key] = line
            self.size += len(line) + 1

    def take(self) -> bytes:
        """Take out the first of them; nothing if there are none."""
        lines = []
        size = 0
        waiting = self._lines
        while waiting and size < _PIECE:
            line = waiting.popitem(last=False)[1]
            lines.append(line)
            size += len(line) + 1
        lines.append(b"")
        self.size -= size
        return b"\n".join(lines)
