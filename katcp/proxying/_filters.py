"""Which sensors and requests of a device are shown, by patterns of their names."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable

from katcp.proxying._errors import ProxyError

#: Requests of a device that are never passed on: they would change what the proxy is sent itself.
NEVER_FORWARDED = frozenset({"sensor-sampling", "sensor-sampling-clear"})
#: Requests of a device that are passed on only if a pattern is just their name. Two end it; the
#: others the proxy answers from what it knows.
ONLY_IF_NAMED = frozenset(
    {
        "halt",
        "help",
        "request-timeout-hint",
        "restart",
        "sensor-list",
        "sensor-value",
        "version-list",
    }
)


def _expression(pattern: str) -> str:
    """Return a regular expression for the whole of a name that fits a pattern."""
    if len(pattern) > 1 and pattern.startswith("/") and pattern.endswith("/"):
        inner = pattern[1:-1]
        try:
            re.compile(inner)
        except (re.error, OverflowError, RecursionError) as error:
            raise ProxyError(f"{pattern} is no regular expression: {error}") from None
        return f"(?s:.*?(?:{inner}).*)"
    if not pattern:
        raise ProxyError("a pattern of names is empty")
    return fnmatch.translate(pattern)


def _compiled(patterns: Iterable[str]) -> re.Pattern[str] | None:
    expressions = [_expression(pattern) for pattern in patterns]
    return re.compile("|".join(expressions)) if expressions else None


class NameFilter:
    """Chooses names by patterns.

    Parameters
    ----------
    wanted : iterable of str
        Patterns of the names to take; all if there are none. ``*`` and ``?`` stand for any
        characters and any one; ``/regular expression/`` is searched in the name.
    unwanted : iterable of str
        Patterns of names to leave out all the same.

    Raises
    ------
    ProxyError
        For a pattern that is none.
    """

    def __init__(self, wanted: Iterable[str] = (), unwanted: Iterable[str] = ()) -> None:
        self.wanted = tuple(wanted)
        self.unwanted = tuple(unwanted)
        self._wanted = _compiled(self.wanted)
        self._unwanted = _compiled(self.unwanted)

    def __call__(self, name: str) -> bool:
        """Tell whether a name is taken."""
        if self._wanted is not None and self._wanted.fullmatch(name) is None:
            return False
        return self._unwanted is None or self._unwanted.fullmatch(name) is None


class RequestFilter(NameFilter):
    """Chooses requests: some are passed on only if they are named in full, and some never."""

    def __call__(self, name: str) -> bool:
        """Tell whether a request is passed on."""
        if name in NEVER_FORWARDED or (name in ONLY_IF_NAMED and name not in self.wanted):
            return False
        return super().__call__(name)
