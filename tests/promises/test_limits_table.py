"""Table of limits: what is published is what the code has, and what was promised, or why not."""

from __future__ import annotations

import asyncio
import inspect
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from katcp.client import AsyncClient
from katcp.client._heartbeat import Heartbeat
from katcp.inspecting_client import InspectingClientAsync
from katcp.protocol import DEFAULT_MAX_ARGUMENTS, DEFAULT_MAX_LINE, DEFAULT_MAX_NAME
from katcp.server import AsyncDeviceServer, KATCPServer
from tests.system.programs import ROOT, SERVER, environment

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "limits.md"

UNITS = {"MiB": 2**20, "kB": 1024, "min": 60, "ms": 0.001}


def published() -> dict[str, str]:
    """Return the limits of the page, with the text of their defaults."""
    rows = re.findall(r"^\| `([\w.]+)` \| (.*?) \|", PAGE.read_text("utf-8"), re.MULTILINE)
    assert len(rows) == len(dict(rows)), "one line each"
    return {name: text for name, text in rows if not name.startswith("statistics.")}


def numbers(text: str) -> list[float]:
    """Return the numbers in a text, each in the unit without a prefix."""
    found = re.findall(r"(\d[\d,]*(?:\.\d+)?)(?:\s(MiB|kB|min|ms)\b)?", text)
    return [float(number.replace(",", "")) * UNITS.get(unit, 1) for number, unit in found]


def flat(value: Any) -> list[float]:
    """Return the numbers of a default."""
    if value is None:
        return []
    values = value if isinstance(value, tuple) else (value,)
    return [float(each) for each in values]


def defaults_of_servers() -> dict[str, Any]:
    """Return what a server has where nothing is said."""
    defaults: dict[str, Any] = {
        name: parameter.default
        for cls in reversed(AsyncDeviceServer.__mro__)
        for name, parameter in inspect.signature(cls.__init__).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    # These are attributes of the class unless they are given.
    for name, attribute in (
        ("max_line", "MAX_MSG_SIZE"),
        ("max_arguments", "MAX_ARGUMENTS"),
        ("max_name", "MAX_NAME"),
        ("max_backlog", "MAX_WRITE_BUFFER_SIZE"),
    ):
        assert defaults[name] is None
        defaults[name] = getattr(KATCPServer, attribute)
    return defaults


def actual() -> dict[str, Any]:
    """Return the limits of the code by the names that they have on the page."""
    client = AsyncClient("127.0.0.1", 1)
    inspecting = InspectingClientAsync("127.0.0.1", 1)
    return {
        **defaults_of_servers(),
        **{
            name: getattr(AsyncClient, name) for name in dir(AsyncClient) if name.startswith("MAX_")
        },
        "AsyncClient.greeting_timeout": client.greeting_timeout,
        "AsyncClient.heartbeat": client.heartbeat,
        "AsyncClient.auto_reconnect_delay": client.auto_reconnect_delay,
        "InspectingClientAsync.heartbeat": inspecting.katcp_client.heartbeat,
        "InspectingClientAsync.sync_timeout": inspecting.sync_timeout,
        "InspectingClientAsync.max_resync_rate": inspecting.max_resync_rate,
    }


@pytest.mark.parametrize("name", sorted(published()))
def test_what_the_page_says_is_so(name: str) -> None:
    # What `katcp-server` has, where that is something else, stands behind.
    text, value = published()[name].partition("; ")[0], actual()[name]
    found = numbers(text)
    if value is True or value is False:
        assert text == f"`{value}`"
    elif found == [0] or not found:  # "none", "no limit", "0: never"
        assert value in (None, 0, ()), (text, value)
    else:
        assert found == flat(value), (text, value)


@pytest.fixture(scope="module")
def program() -> dict[str, str]:
    """Return the options of `katcp-server`, with the text of their defaults."""
    said = subprocess.run(
        [*SERVER, "--help"], cwd=ROOT, env=environment(), capture_output=True, text=True, check=True
    ).stdout
    options = re.split(r"\n +(?=--|-\w, --)", said)
    found = {}
    for option in options:
        name = re.match(r"(?:-\w, )?--([a-z-]+)", option)
        default = re.search(r"\[default:\s+([^]]*)\]", option)
        if name and default:
            found[name[1].replace("-", "_")] = " ".join(default[1].split())
    return found


def test_the_program_says_the_same(program: dict[str, str]) -> None:
    compared = 0
    for name, text in published().items():
        if name in program:
            ours, _, theirs = text.partition("; `katcp-server`: ")
            said = numbers(theirs or ours)
            assert numbers(program[name])[: len(said)] == said, name
            compared += 1
    assert compared >= 10


def test_what_has_no_argument(program: dict[str, str]) -> None:
    assert KATCPServer.BACKLOG == 1024
    assert (DEFAULT_MAX_LINE, DEFAULT_MAX_ARGUMENTS, DEFAULT_MAX_NAME) == (2 * 2**20, 65_536, 1024)
    # Nobody but this machine comes in, unless the operator says otherwise.
    assert program["host"] == "127.0.0.1"


#: Of the table of promises: row, what was promised, what is so, and why if that is something else.
PROMISED = [
    ("longest message", 2 * 2**20, "max_line", None),
    ("arguments of a message", 65_536, "max_arguments", None),
    ("longest name", 1024, "max_name", None),
    ("unsent output of a client", 4 * 2**20, "max_backlog", "a list of 100,000 sensors has 8 MiB"),
    ("stall", 30, "stall_timeout", None),
    ("requests of a client", 100, "max_requests_per_client", None),
    ("requests in all", 5000, "max_requests", None),
    ("connections", 1024, "max_clients", "2,000 are promised, too; the program has 4,096"),
    ("of an address", 256, "max_clients_per_address", "gateways; the program has 256"),
    ("reserved for the operator", 8, "reserved_clients", "the program has 8"),
    ("keep-alive of TCP", (30, 10, 3), "keepalive", None),
    ("heartbeat", 10, "InspectingClientAsync.heartbeat", None),
    ("greeting", 10, "AsyncClient.greeting_timeout", "devices of version 4 need not greet"),
    ("first wait to reconnect", 0.5, "AsyncClient.auto_reconnect_delay", None),
    ("threads of handlers", 8, "handler_threads", None),
    ("warning of slow handlers", 1, "lag_warning", None),
    ("complaints to a client in a second", 100, "max_complaints", None),
    ("inspections in a second", 1, "InspectingClientAsync.max_resync_rate", None),
]


@pytest.mark.parametrize(("row", "promised", "name", "reason"), PROMISED)
def test_9e_what_was_promised_is_so_or_has_a_reason(
    row: str, promised: Any, name: str, reason: str | None
) -> None:
    same = flat(actual()[name]) == flat(promised)
    assert same is (reason is None), (row, actual()[name], reason)
    assert name in published(), "or nobody knows of it"


# -- F4: how soon a device is missed that is gone without a word ---------------------------------


@pytest.mark.virtual_time
@pytest.mark.parametrize("interval", [10.0, 1.0])
@pytest.mark.parametrize("last_word", [0.0, 0.1, 0.999, 1.0, 1.001, 1.5, 2.0])
async def test_f4_a_silent_device_is_given_up_after_two_to_three_intervals(
    interval: float, last_word: float
) -> None:
    loop = asyncio.get_running_loop()
    begun = loop.time()
    asked: list[float] = []
    given_up: list[float] = []
    heart = Heartbeat(
        loop,
        interval,
        lambda: asked.append(loop.time() - begun),
        lambda reason: given_up.append(loop.time() - begun),
    )
    await asyncio.sleep(last_word * interval)
    heart.heard = True
    await asyncio.sleep(10 * interval)
    (end,) = given_up
    assert 2 * interval <= end - last_word * interval <= 3 * interval + 1e-9
    assert asked[-1:] == [end - interval], "it is asked first, and has one interval to answer"


@pytest.mark.virtual_time
@pytest.mark.parametrize(("answer", "kept"), [(29.9, True), (30.1, False)])
async def test_f4_an_answer_just_in_time_and_just_too_late(answer: float, kept: bool) -> None:
    loop = asyncio.get_running_loop()
    given_up: list[str] = []
    heart = Heartbeat(loop, 10.0, lambda: None, given_up.append)
    await asyncio.sleep(answer)
    heart.heard = True
    await asyncio.sleep(5)
    assert (not given_up) is kept
    heart.stop()
