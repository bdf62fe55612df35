"""The page of requests says what there is."""

from __future__ import annotations

import re
from pathlib import Path

from katcp.orders import (
    SECTION_STATES,
    AsyncOrderServer,
    MacroHost,
    MessageOrder,
    ReadOrder,
    SysctlOrder,
    WaitOrder,
    WaitUntilOrder,
    WriteOrder,
)
from tests.helpers.serving import Bare

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "order-requests.md"


async def test_the_page_of_requests_names_all_there_are() -> None:
    text = PAGE.read_text(encoding="utf-8").replace(r"\|", "/")
    cells = re.findall(r"^\| (`.*?`) \| ", text, re.MULTILINE)
    server = AsyncOrderServer("127.0.0.1", 0)
    MacroHost(server, server.order_host)
    of_all = set(Bare("127.0.0.1", 0)._request_handlers)
    named = set(re.findall(r"`\?([a-z-]+)", " ".join(re.findall(r"^\| .*", text, re.MULTILINE))))
    assert named == set(server._request_handlers) - of_all
    words = {word for cell in cells for word in re.findall(r"`([\w.-]+)`", cell)}
    assert {sensor.name for sensor in server.get_sensors()} <= words
    assert set(SECTION_STATES) - {"new"} <= words
    kinds = (ReadOrder, WriteOrder, WaitOrder, WaitUntilOrder, SysctlOrder, MessageOrder)
    assert {kind.type for kind in kinds} <= words
