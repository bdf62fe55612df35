"""Protocol version and flags, as announced in ``#version-connect katcp-protocol 5.1-MIBT``."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from typing import ClassVar

_log = logging.getLogger("katcp.core")


def _flag_set(flags: Iterable[object] | str | bytes | None) -> set[bytes]:
    if not flags:
        return set()
    if isinstance(flags, str):
        flags = flags.encode("utf-8")
    if isinstance(flags, bytes):
        return {flags[i : i + 1] for i in range(len(flags))}
    result = set()
    for flag in flags:
        one = flag.encode("utf-8") if isinstance(flag, str) else flag
        if not isinstance(one, bytes) or len(one) != 1:
            raise ValueError(f"A protocol flag is a single character, not {flag!r}.")
        result.add(one)
    return result


class ProtocolFlags:
    """A protocol version and the optional features that go with it.

    Parameters
    ----------
    major, minor : int
        Version; None counts as 0.
    flags : text, bytes, or iterable of single characters
        Any of ``M I T B``; unknown ones are kept and ignored.

    Raises
    ------
    ValueError
        If message ids are claimed below version 5, or timeout hints or bulk sampling below 5.1.
    """

    #: Several clients at once (5.0).
    MULTI_CLIENT: ClassVar[bytes] = b"M"
    #: Message ids (5.0).
    MESSAGE_IDS: ClassVar[bytes] = b"I"
    #: ``?request-timeout-hint`` (5.1).
    REQUEST_TIMEOUT_HINTS: ClassVar[bytes] = b"T"
    #: Several sensors in one ``?sensor-sampling`` (5.1).
    BULK_SET_SENSOR_SAMPLING: ClassVar[bytes] = b"B"

    STRATEGIES_V4: ClassVar[frozenset[bytes]] = frozenset(
        [b"none", b"auto", b"event", b"differential", b"period"]
    )
    STRATEGIES_V5: ClassVar[frozenset[bytes]] = STRATEGIES_V4 | {
        b"event-rate",
        b"differential-rate",
    }
    STRATEGIES_ALLOWED_BY_MAJOR_VERSION: ClassVar[dict[int, frozenset[bytes]]] = {
        4: STRATEGIES_V4,
        5: STRATEGIES_V5,
    }

    #: First versions that may have the flag.
    REQUEST_TIMEOUT_HINTS_MIN_VERSION: ClassVar[tuple[int, int]] = (5, 1)
    BULK_SET_SENSOR_SAMPLING_MIN_VERSION: ClassVar[tuple[int, int]] = (5, 1)

    #: Text form; digits beyond the ninth are no version but an attack.
    VERSION_RE: ClassVar[re.Pattern[bytes]] = re.compile(
        rb"^(?P<major>\d{1,9})\.(?P<minor>\d{1,9})(-(?P<flags>.*))?$", re.DOTALL
    )

    #: Flag -> the first version that may have it.
    _SINCE: ClassVar[dict[bytes, tuple[int, int]]] = {
        MESSAGE_IDS: (5, 0),
        REQUEST_TIMEOUT_HINTS: REQUEST_TIMEOUT_HINTS_MIN_VERSION,
        BULK_SET_SENSOR_SAMPLING: BULK_SET_SENSOR_SAMPLING_MIN_VERSION,
    }

    def __init__(
        self,
        major: int | None,
        minor: int | None,
        flags: Iterable[object] | str | bytes | None,
    ) -> None:
        self.major = major or 0
        self.minor = minor or 0
        self.flags = _flag_set(flags)
        for flag, since in self._SINCE.items():
            if flag in self.flags and (self.major, self.minor) < since:
                raise ValueError(
                    f"Protocol flag {flag.decode()} needs KATCP version {since[0]}.{since[1]} "
                    f"or later, not {self.major}.{self.minor}."
                )

    @property
    def multi_client(self) -> bool:
        """Whether the device serves several clients at once."""
        return self.MULTI_CLIENT in self.flags

    @property
    def message_ids(self) -> bool:
        """Whether the device supports message ids."""
        return self.MESSAGE_IDS in self.flags

    @property
    def request_timeout_hints(self) -> bool:
        """Whether the device has ``?request-timeout-hint``."""
        return self.REQUEST_TIMEOUT_HINTS in self.flags

    @property
    def bulk_set_sensor_sampling(self) -> bool:
        """Whether one ``?sensor-sampling`` may set several sensors."""
        return self.BULK_SET_SENSOR_SAMPLING in self.flags

    def supports(self, flag: bytes) -> bool:
        """Tell whether `flag` is set."""
        return flag in self.flags

    def strategy_allowed(self, strategy: bytes) -> bool:
        """Tell whether the sampling strategy exists in this major version.

        Raises
        ------
        KeyError
            For a major version other than 4 and 5.
        """
        return strategy in self.STRATEGIES_ALLOWED_BY_MAJOR_VERSION[self.major]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ProtocolFlags):
            return NotImplemented
        return (self.major, self.minor, self.flags) == (other.major, other.minor, other.flags)

    __hash__ = None  # type: ignore[assignment]  # the flag set is mutable

    def __str__(self) -> str:
        version = f"{self.major}.{self.minor}"
        if not self.flags:
            return version
        return version + "-" + b"".join(sorted(self.flags)).decode("utf-8", "backslashreplace")

    def __repr__(self) -> str:
        return f"<ProtocolFlags {self}>"

    @classmethod
    def parse_version(cls, version_str: bytes) -> ProtocolFlags:
        """Read ``b"5.1-IMT"``.

        Text of another form gives version 0.0 without flags. A flag that its version cannot
        have is dropped with a warning, so that the rest of what the device says still counts.
        """
        match = cls.VERSION_RE.fullmatch(version_str)
        if match is None:
            return cls(0, 0, set())
        major, minor = int(match.group("major")), int(match.group("minor"))
        flags = _flag_set(match.group("flags"))
        impossible = {f for f in flags if (major, minor) < cls._SINCE.get(f, (0, 0))}
        if impossible:
            _log.warning(
                "Ignoring flags %r, which KATCP version %d.%d cannot have",
                sorted(impossible),
                major,
                minor,
            )
        return cls(major, minor, flags - impossible)
