"""The recordings of katcp-python 0.9.3, replayed against our server.

`DIFFERENCES` is everything that is meant to be otherwise, each with its reason. The replay fails
for a difference that is not in the table, and for one in the table that does not occur.
"""

from __future__ import annotations

from typing import Any

import pytest

from katcp.protocol import ProtocolFlags
from tests.helpers.demo_device import V4, V50, V50_NO_IDS, V51, device_class
from tests.helpers.serving import serving
from tests.helpers.transcripts import Changed, Difference, Extra, Player

DIFFERENCES: list[Difference] = []

PROTOCOLS = {
    "01-connect-v4": V4,
    "01-connect-v5": V50,
    "01-connect-v5-no-ids": V50_NO_IDS,
    "01-connect-v51": V51,
    "02-help": V50,
    "02-help-empty-device": V50,
    "02-help-v4": V4,
    "02-help-v51": V51,
    "03-sensor-list": V50,
    "04-sensor-value": V50,
    "05-sampling-auto-none": V50,
    "05-sampling-bulk": V51,
    "05-sampling-differential": V50,
    "05-sampling-differential-rate": V50,
    "05-sampling-event": V50,
    "05-sampling-event-rate": V50,
    "05-sampling-general": V50,
    "05-sampling-period": V50,
    "06-message-ids": V50,
    "07-invalid-requests": V50,
    "08-malformed-lines": V50,
    "08-malformed-not-utf8": V50,
    "09-over-long-line": V50,
    "10-client-list": V50,
    "11-log-level": V50,
    "11-log-level-v4": V4,
    "12-version-list": V50,
    "13-request-timeout-hint": V51,
    "13-request-timeout-hint-absent": V50,
    "14-interface-changed": V50,
    "15-halt": V50,
    "15-restart": V50,
    "15-stop": V50,
    "17-v4-timestamps-and-sampling": V4,
}


@pytest.mark.parametrize("mode", ["default", "async"])
@pytest.mark.parametrize("name", PROTOCOLS)
async def test_transcript(name: str, mode: str) -> None:
    protocol = PROTOCOLS[name]
    device = device_class(protocol, mode, empty=name == "02-help-empty-device")("127.0.0.1", 0)
    async with serving(device):
        await Player(f"katcp-{name}", device, mode, DIFFERENCES).play()
