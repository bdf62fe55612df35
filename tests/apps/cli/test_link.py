"""Why there is no connection, in words."""

import pytest

from katcp.apps.cli._link import readable_reason

REFUSED = "[Errno 111] Connect call failed"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"Cannot connect to h:1: {REFUSED} ('127.0.0.1', 1)", "Connection refused"),
        (
            f"Cannot connect to h:1: Multiple exceptions: {REFUSED} ('::1', 1, 0, 0), "
            f"{REFUSED} ('127.0.0.1', 1)",
            "Connection refused",
        ),
        (
            "Cannot connect to nowhere.invalid:1: [Errno -2] Name or service not known",
            "Name or service not known",
        ),
        ("Cannot connect to h:1: TimeoutError", "TimeoutError"),
        ("Cannot connect to h:1: b\x1bd", "b\\x1bd"),
        ("", "the device closed the connection"),
    ],
)
def test_reason(text: str, reason: str) -> None:
    assert readable_reason(text) == reason
