"""Sensors by name: what is kept in order is what sorting would give."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from katcp.sensors import Sensor
from katcp.server import _order
from katcp.server._order import SensorOrder

NAMES = [f"{letter}{number}" for letter in "bac" for number in range(4)]
CHANGES = st.lists(
    st.tuples(st.sampled_from(["add", "remove", "add", "look"]), st.sampled_from(NAMES))
)


@given(CHANGES, st.sampled_from([0, 3, 1000]))
def test_changes_one_by_one_give_what_sorting_gives(
    changes: list[tuple[str, str]], few: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_order, "_FEW", few)
        order = SensorOrder()
        sensors: dict[str, Sensor] = {}
        for how, name in [*changes, ("look", "")]:
            if how == "look":
                before = order.take(sensors)
                assert before == [sensors[known] for known in sorted(sensors)]
                continue
            if how == "add":
                sensors[name] = Sensor.integer(name)
            elif sensors.pop(name, None) is None:
                continue
            order.changed(name)


def test_a_list_that_was_handed_out_stays_as_it_is() -> None:
    sensors = {name: Sensor.integer(name) for name in ("b", "d")}
    order = SensorOrder()
    first = order.take(sensors)
    sensors["c"] = Sensor.integer("c")
    order.changed("c")
    assert [sensor.name for sensor in order.take(sensors)] == ["b", "c", "d"]
    assert [sensor.name for sensor in first] == ["b", "d"]


def test_what_nobody_told_of_is_found_by_the_number_or_as_another_mapping() -> None:
    sensors = {name: Sensor.integer(name) for name in ("b", "d")}
    order = SensorOrder()
    order.take(sensors)
    sensors["a"] = Sensor.integer("a")
    assert [sensor.name for sensor in order.take(sensors)] == ["a", "b", "d"]
    del sensors["b"]
    sensors["c"] = Sensor.integer("c")  # as many as before
    assert [sensor.name for sensor in order.take(sensors)] == ["a", "c", "d"]
    others = {name: Sensor.integer(name) for name in ("x", "y", "z")}
    assert [sensor.name for sensor in order.take(others)] == ["x", "y", "z"]
