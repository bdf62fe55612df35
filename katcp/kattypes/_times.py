"""Points in time: seconds since 1970 (UTC) inside, always.

On the wire they are seconds from protocol version 5 on, and milliseconds before (KATCP guidelines,
"timestamp"). Only this room and the one that writes readings of sensors know about milliseconds.
"""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, ClassVar

from katcp.kattypes._base import KatcpType, quoted
from katcp.kattypes._numbers import decode_float
from katcp.protocol import SEC_TO_MS_FAC, SEC_TS_KATCP_MAJOR


class _NowType(enum.Enum):
    """Type of `TimestampOrNow.NOW`: an enumeration, so that copies of it are still it."""

    NOW = "now"

    def __repr__(self) -> str:
        return "NOW"


def _decode_seconds(value: bytes) -> float:
    try:
        return decode_float(value)
    except ValueError:
        shown = quoted(value)
        # A word of ASCII is shown without the `b` of bytes.
        text = shown[1:] if shown.startswith("b") else shown
        raise ValueError(f"Could not parse value {text} as timestamp.") from None


def _decode_milliseconds(value: bytes) -> float:
    # Divided, not multiplied by 0.001: that would not be the nearest float.
    return _decode_seconds(value) / SEC_TO_MS_FAC


def _encode_seconds(value: float) -> bytes:
    return b"%.6f" % (value,)


def _encode_milliseconds(value: float) -> bytes:
    milliseconds = float(value) * SEC_TO_MS_FAC
    if not math.isfinite(milliseconds):
        return repr(milliseconds).encode()
    # Rounded, since 1.001 s is a little less than 1001 ms in binary.
    return b"%d" % round(milliseconds)


class Timestamp(KatcpType):
    """Time in seconds since 1970 (UTC), as a float.

    Version 5 writes seconds with six decimals (``1234567890.125000``), version 4 whole
    milliseconds, rounded (``1234567890125``). Any decimal number is read.
    """

    name = "timestamp"

    def encode(self, value: float, major: int) -> bytes:
        """Write seconds, or milliseconds below version 5."""
        if major >= SEC_TS_KATCP_MAJOR:
            return _encode_seconds(float(value))
        return _encode_milliseconds(value)

    def decode(self, value: bytes, major: int) -> Any:
        """Read seconds, or milliseconds below version 5."""
        if major >= SEC_TS_KATCP_MAJOR:
            return _decode_seconds(value)
        return _decode_milliseconds(value)

    def decoder(self, major: int) -> Callable[[bytes], Any]:
        """Return a function that reads and checks an argument."""
        if type(self) is not Timestamp:
            return super().decoder(major)
        return _decode_seconds if major >= SEC_TS_KATCP_MAJOR else _decode_milliseconds

    def encoder(self, major: int) -> Callable[[Any], bytes]:
        """Return a function that checks and writes a value."""
        if type(self) is not Timestamp:
            return super().encoder(major)
        return _encode_seconds if major >= SEC_TS_KATCP_MAJOR else _encode_milliseconds


class TimestampOrNow(Timestamp):
    """A `Timestamp`, or the word ``now``, for which the value is `TimestampOrNow.NOW`."""

    name = "timestamp_or_now"

    #: The value that stands for ``now``; compare with ``is``.
    NOW: ClassVar[Any] = _NowType.NOW

    def encode(self, value: Any, major: int) -> bytes:
        """Write ``now`` or a time."""
        if value is self.NOW:
            return b"now"
        return super().encode(value, major)

    def decode(self, value: bytes, major: int) -> Any:
        """Read ``now`` or a time."""
        if value == b"now":
            return self.NOW
        return super().decode(value, major)


class StrictTimestamp(KatcpType):
    """Time in seconds since 1970 (UTC) that only digits and one point may spell.

    No sign, no exponent, no ``nan``; so it is never negative. It is written with all the digits
    that the float has (``0.1``, not ``0.100000``), in milliseconds below version 5.
    """

    name = "strict_timestamp"

    _match = re.compile(rb"[0-9]+(?:\.[0-9]*)?|\.[0-9]+").fullmatch

    def check(self, value: float, major: int) -> None:
        """Raise `ValueError` for a negative, infinite or undefined time."""
        if not 0 <= value < math.inf:
            raise ValueError(f"Timestamp {value} is not a finite number of at least 0.")

    def encode(self, value: float, major: int) -> bytes:
        """Write all digits, without an exponent."""
        number = float(value)
        if major < SEC_TS_KATCP_MAJOR:
            # A nanosecond is more than a float of today's times resolves; this trims the noise.
            number = round(number * SEC_TO_MS_FAC, 6)
        text = repr(number)
        if "e" in text:
            text = format(Decimal(text), "f")
        return text.encode()

    def decode(self, value: bytes, major: int) -> float:
        """Read digits with one point or none."""
        if self._match(value) is None:
            raise ValueError(f"Could not parse value '{quoted(value)}' as strict timestamp.")
        number = float(value)
        return number if major >= SEC_TS_KATCP_MAJOR else number / SEC_TO_MS_FAC
