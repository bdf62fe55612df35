"""Readings and statuses."""

from __future__ import annotations

import pytest

from katcp.sensors import (
    STATUS_NAMES,
    STATUS_NAMES_RAW,
    STATUSES,
    STATUSES_RAW,
    VALID_STATUSES,
    Reading,
    Sensor,
)
from katcp.sensors._reading import status_names


def test_a_reading_is_a_tuple_with_names() -> None:
    reading = Reading(1.5, Sensor.WARN, "x")
    assert reading == (1.5, 2, "x")
    assert (reading.timestamp, reading.status, reading.value) == (1.5, 2, "x")
    timestamp, status, value = reading
    assert (timestamp, status, value) == (1.5, 2, "x")
    assert reading._replace(value="y") == (1.5, 2, "y")


def test_a_reading_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Reading(1.5, 2, "x").value = "y"  # type: ignore[misc]


def test_the_seven_statuses() -> None:
    assert STATUSES == {
        0: "unknown",
        1: "nominal",
        2: "warn",
        3: "error",
        4: "failure",
        5: "unreachable",
        6: "inactive",
    }
    assert {number: name.encode() for number, name in STATUSES.items()} == STATUSES_RAW
    assert {name: number for number, name in STATUSES.items()} == STATUS_NAMES
    assert {name: number for number, name in STATUSES_RAW.items()} == STATUS_NAMES_RAW


def test_the_value_counts_with_three_of_them() -> None:
    assert {STATUSES[status] for status in VALID_STATUSES} == {"nominal", "warn", "error"}


def test_version_4_does_not_know_the_last_two() -> None:
    assert status_names(5) == STATUSES_RAW
    assert status_names(4) == {**STATUSES_RAW, 5: b"unknown", 6: b"unknown"}
