"""Which names a pattern in ``?sensor-list`` and ``?sensor-value`` means."""

from __future__ import annotations

from collections.abc import Callable

from katcp.server._patterns import Search

#: Longest regular expression taken [characters]; a longer one is no name filter but an attack.
MAX_PATTERN = 1000


def construct_name_filter(pattern: str | None) -> tuple[bool, Callable[[str], bool]]:
    """Return (whether the pattern is an exact name, predicate on names).

    None means all names; ``/regex/`` those in which the regular expression is found somewhere
    (``//`` is found in all); anything else, a lone ``/`` included, is an exact name.

    Raises
    ------
    ValueError
        For a bad or overlong regular expression, and from the predicate for one that takes too
        long: none can keep the caller for more than some milliseconds a name.
    """
    if pattern is None:
        return False, lambda name: True
    if len(pattern) > 1 and pattern.startswith("/") and pattern.endswith("/"):
        expression = pattern[1:-1]
        if len(expression) > MAX_PATTERN:
            raise ValueError(f"Invalid regular expression: longer than {MAX_PATTERN} characters.")
        try:
            search = Search(expression)
        except ValueError as error:
            raise ValueError(f"Invalid regular expression: {error}") from None
        return False, search.found_in
    return True, lambda name: name == pattern
