"""Setting a sensor by whatever request does it."""

from __future__ import annotations

from typing import Any

import pytest

from katcp.apps.cli._errors import Refused
from katcp.apps.cli._set import set_value, setting_requests
from tests.apps.cli.helpers import here, readings
from tests.helpers.scripted import Device


@pytest.mark.parametrize(
    ("name", "sensors", "requests"),
    [
        ("mode", [], ["set-mode", "mode"]),
        ("a.mode", ["a.mode"], ["a-set-mode", "set-a-mode", "a-mode", "set-mode", "mode"]),
        ("a.mode", ["a.mode", "b.mode"], ["a-set-mode", "set-a-mode", "a-mode"]),
        ("x_y", [], ["set-x-y", "x-y"]),
    ],
)
def test_which_requests_are_tried(name: str, sensors: list[str], requests: list[str]) -> None:
    assert list(setting_requests(name, sensors)) == requests


def device(*requests: str) -> Device:
    made = Device(
        sensors={"pump.mode": "M \\@ discrete on off"},
        requests=dict.fromkeys(["help", *requests], "Text."),
    )
    readings(made, **{"pump.mode": "nominal off"})

    def answer(session: Any, message: Any) -> list[bytes]:
        if message.arguments[0] == b"bad":
            return [b"! fail Not\\_that."]
        return [b"! ok"]

    for request in requests:
        made.answers[request] = answer
    return made


async def test_sets_and_reads_back() -> None:
    made = device("mode", "pump-set-mode")
    async with made, here(made) as (place, paper):
        assert await set_value(place, "pump.mode", [b"off"]) == 0
        assert paper.shown == ["pump.mode  off  nominal  1970-01-01T00:00:01.500Z"]
    assert any(line.startswith(b"?pump-set-mode") and line.endswith(b" off") for line in made.heard)


async def test_refusal_is_told() -> None:
    made = device("set-mode")
    async with made, here(made) as (place, _):
        with pytest.raises(Refused, match="set-mode fail: Not that"):
            await set_value(place, "pump.mode", [b"bad"])


async def test_a_request_without_a_sensor() -> None:
    made = device("set-level")
    async with made, here(made) as (place, paper):
        assert await set_value(place, "level", [b"3"]) == 0
        assert paper.shown == ["!set-level ok"]


async def test_nothing_sets_it() -> None:
    made = device()
    async with made, here(made) as (place, _):
        with pytest.raises(Refused, match=r"no request sets 'pump\.mode': none of \?pump-set-mode"):
            await set_value(place, "pump.mode", [b"on"])
        with pytest.raises(Refused, match=r"there is no sensor 'x', and no request sets 'x'"):
            await set_value(place, "x", [b"on"])
