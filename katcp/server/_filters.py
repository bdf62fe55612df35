"""Which names a pattern in ``?sensor-list`` and ``?sensor-value`` means."""

from __future__ import annotations

import re
from collections.abc import Callable

#: Longest regular expression taken [characters]; a longer one is no name filter but an attack.
MAX_PATTERN = 1000


def construct_name_filter(pattern: str | None) -> tuple[bool, Callable[[str], bool]]:
    """Return (whether the pattern is an exact name, predicate on names).

    None means all names; ``/regex/`` those in which the regular expression is found somewhere
    (``//`` is found in all); anything else, a lone ``/`` included, is an exact name.

    Raises
    ------
    ValueError
        For a bad or overlong regular expression.
    """
    if pattern is None:
        return False, lambda name: True
    if len(pattern) > 1 and pattern.startswith("/") and pattern.endswith("/"):
        expression = pattern[1:-1]
        if len(expression) > MAX_PATTERN:
            raise ValueError(f"Invalid regular expression: longer than {MAX_PATTERN} characters.")
        try:
            search = re.compile(expression).search
        except (re.error, RecursionError, OverflowError) as error:
            raise ValueError(f"Invalid regular expression: {error}.") from None
        return False, lambda name: search(name) is not None
    return True, lambda name: name == pattern
