"""Small pictures of how a value went: a character for each of its last readings."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import Any

from katcp.apps.cli._model import Reading, SensorInfo, value_of

BLOCKS = "▁▂▃▄▅▆▇█"
ASCII_BLOCKS = "_.-~=+*#"

#: Readings that are kept.
KEPT = 60


class Trend:
    """The last readings of a sensor, as numbers; what is none leaves a gap."""

    def __init__(self, info: SensorInfo, major: int) -> None:
        self._info = info
        self._major = major
        self._numbers: deque[float | None] = deque(maxlen=KEPT)

    def add(self, reading: Reading) -> None:
        """Add a reading."""
        self._numbers.append(number_of(reading, self._info, self._major))

    def picture(self, width: int, blocks: str = BLOCKS) -> str:
        """Return the picture of as many of them as fit."""
        return spark(list(self._numbers)[-width:], blocks)


def number_of(reading: Reading, info: SensorInfo, major: int) -> float | None:
    """Return the number that a reading stands for: of a discrete sensor, which of its words.

    None if it stands for none, or does not count.
    """
    if not reading.valid:
        return None
    value: Any = value_of(reading.raw, info.type, major)
    if info.type == "discrete":
        return float(info.words.index(value)) if value in info.words else None
    if isinstance(value, (int, float)):
        try:
            number = float(value)
        except OverflowError:
            return None
        return number if math.isfinite(number) else None
    return None


def has_numbers(info: SensorInfo) -> bool:
    """Tell whether readings of a sensor stand for numbers that can be compared."""
    return info.type in ("integer", "float", "boolean", "discrete")


def spark(numbers: Sequence[float | None], blocks: str = BLOCKS) -> str:
    """Return a character for each number, the higher the greater; a space for None.

    Examples
    --------
    >>> spark([0, 1, None, 2, 7])
    '▁▂ ▃█'
    """
    known = [number for number in numbers if number is not None]
    if not known:
        return ""
    low, high = min(known), max(known)
    top = len(blocks) - 1

    def block(number: float | None) -> str:
        if number is None:
            return " "
        if high == low:
            return blocks[top // 2]
        # Halved, so that the span of the largest numbers is no infinity.
        return blocks[round((number / 2 - low / 2) / (high / 2 - low / 2) * top)]

    return "".join(map(block, numbers))
