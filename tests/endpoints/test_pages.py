"""The pages of requests and return codes say what there is."""

from __future__ import annotations

import re
from pathlib import Path

from katcp.endpoints import (
    RETURN_CODES,
    AsyncEndpointServer,
    BlobHost,
    KeyValueStore,
    Predicate,
    PredicateHost,
    SensorHistory,
    StoreKey,
    error_class,
)
from katcp.storage import Database
from tests.helpers.serving import Bare

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference"


def first_cells(page: str) -> list[str]:
    """Return the first cell of each row of each table, behind its heading."""
    text = (REFERENCE / page).read_text(encoding="utf-8")
    return re.findall(r"^\| (`.*?`) \| ", text.replace(r"\|", "/"), re.MULTILINE)


def requests_of(page: str) -> set[str]:
    return {name for cell in first_cells(page) for name in re.findall(r"`\?([a-z-]+)", cell)}


async def test_the_page_of_requests_names_all_there_are(tmp_path: Path) -> None:
    key = StoreKey("key", calibration="2*{}")
    server = AsyncEndpointServer(
        "127.0.0.1", 0, endpoints=[KeyValueStore("store", endpoints=[key])]
    )
    database = Database(tmp_path / "blobs.db")
    BlobHost(server, database)
    SensorHistory(server, wanted=[])
    PredicateHost(server).add(Predicate("NAME", "1 > 2"))
    await database.close()
    of_all = set(Bare("127.0.0.1", 0)._request_handlers)
    assert requests_of("endpoint-requests.md") == set(server._request_handlers) - of_all

    sensors = set()
    for sensor in server.get_sensors():
        sensors.add(re.sub(r"^store(\.key)?(?=$|\.)", "PATH", sensor.name))
    cells = first_cells("endpoint-requests.md")
    named = {name for cell in cells for name in re.findall(r"`([\w.-]+)`", cell)}
    assert sensors <= named


def test_the_page_of_return_codes_is_the_table() -> None:
    text = (REFERENCE / "return-codes.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \| .*? \| (?:`(\w+)`.*)?\|$", text, re.MULTILINE)
    assert [(int(value), name) for value, name, _ in rows] == [
        (code.value, code.name) for code in RETURN_CODES if code.value < 1000
    ]
    for value, _, name in rows:
        assert name == (error_class(int(value)).__name__ if int(value) >= 100 else "")
