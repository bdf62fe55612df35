from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from katcp.aio import AttrDict
from katcp.client import arguments_in
from katcp.inspecting_client._model import (
    Findings,
    Model,
    difference,
    merged,
    model_changes,
    same_help,
    sensor_arguments,
)

NAMES = st.sampled_from(["a", "b", "c", "d"])
SENSORS = st.dictionaries(NAMES, st.tuples(st.sampled_from([b"1", b"2"]), st.just(b"V")))
REQUESTS = st.dictionaries(
    NAMES, st.tuples(st.sampled_from([b"x", b"y"]), st.sampled_from([None, b"30.0"]))
)
MODELS = st.builds(Model, SENSORS, REQUESTS)


def half(added: set[str], removed: set[str]) -> AttrDict:
    return AttrDict(added=added, removed=removed)


def test_what_has_been_modified_is_in_both() -> None:
    old = {"gone": (b"1",), "same": (b"1",), "other": (b"1",)}
    new = {"same": (b"1",), "other": (b"2",), "new": (b"1",)}
    assert difference(old, new) == half({"new", "other"}, {"gone", "other"})
    assert difference(new, new) is None
    assert difference({}, {}) is None
    assert difference({}, new) == half(set(new), set())


def test_only_the_halves_that_have_changed_are_there() -> None:
    old = Model({"a": (b"1",)}, {"r": (b"Text.", None)})
    assert model_changes(old, old) is None
    changes = model_changes(old, Model({}, old.requests))
    assert changes == {"sensors": half(set(), {"a"})}
    assert changes.sensors.removed == {"a"}
    assert not hasattr(changes, "requests")
    changes = model_changes(old, Model(old.sensors, {"r": (b"Text.", b"5")}))
    assert changes == {"requests": half({"r"}, {"r"})}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (b"Add.", b"Add.", True),
        (b"Add.", b"Add.\n\nTwo numbers.", True),
        (b"Add. ", b" Add.\nTwo numbers.", True),
        (b"Add.\nTwo numbers.", b"Add.\nThree numbers.", False),
        (b"Add.", b"Subtract.", False),
        (b"", b"Add.", False),
    ],
)
def test_a_first_line_says_the_same_as_the_whole_text(one: bytes, other: bytes, same: bool) -> None:
    assert same_help(one, other) is same
    assert same_help(other, one) is same


def test_the_longer_help_text_is_kept_and_is_no_change() -> None:
    short, long = (b"Add.", None), (b"Add.\n\nTwo numbers.", None)
    model = Model({}, {"add": short})
    looked_up = model.updated(Findings(some_requests={"add": long}))
    assert looked_up.requests == {"add": long}
    assert model_changes(model, looked_up) is None
    listed = looked_up.updated(Findings(requests={"add": short}))
    assert listed.requests == {"add": long}
    assert model_changes(looked_up, listed) is None
    hinted = looked_up.updated(Findings(requests={"add": (b"Add.", b"5")}))
    assert hinted.requests == {"add": (b"Add.\n\nTwo numbers.", b"5")}
    assert model_changes(looked_up, hinted) == {"requests": half({"add"}, {"add"})}
    changed = looked_up.updated(Findings(requests={"add": (b"Subtract.", None)}))
    assert changed.requests == {"add": (b"Subtract.", None)}


def test_findings_by_name() -> None:
    model = Model({"a": (b"1",), "b": (b"1",)}, {"r": (b"x", None)})
    new = model.updated(
        Findings(
            some_sensors={"a": None, "b": (b"2",), "c": (b"3",), "never": None},
            some_requests={"r": None, "s": (b"y", None)},
        )
    )
    assert new.sensors == {"b": (b"2",), "c": (b"3",)}
    assert new.requests == {"s": (b"y", None)}
    assert model.sensors == {"a": (b"1",), "b": (b"1",)}  # frozen


def test_nothing_found_changes_nothing() -> None:
    model = Model({"a": (b"1",)}, {"r": (b"x", None)})
    assert model.updated(Findings()) == model
    with pytest.raises(AttributeError):
        model.sensors = {}  # type: ignore[misc]


def apply(names: set[str], changes: AttrDict | None, which: str) -> set[str]:
    if changes is None or which not in changes:
        return names
    return (names - changes[which].removed) | changes[which].added


@given(MODELS, MODELS)
def test_applying_a_difference_gives_the_new_names(old: Model, new: Model) -> None:
    changes = model_changes(old, new)
    assert apply(set(old.sensors), changes, "sensors") == set(new.sensors)
    assert apply(set(old.requests), changes, "requests") == set(new.requests)
    modified: Any = {n for n in old.sensors if new.sensors.get(n, old.sensors[n]) != old.sensors[n]}
    both = (
        changes.sensors.added & changes.sensors.removed
        if changes and "sensors" in changes
        else set()
    )
    assert both == modified
    assert (changes is None) == (old == new)


@given(MODELS, MODELS, MODELS)
def test_two_changes_in_a_row_are_as_good_as_one(one: Model, two: Model, three: Model) -> None:
    together = merged(model_changes(one, two), model_changes(two, three))
    straight = model_changes(one, three)
    for which in ("sensors", "requests"):
        before, after = set(getattr(one, which)), set(getattr(three, which))
        assert apply(before, together, which) == after
        added = together[which].added if together and which in together else set()
        removed = together[which].removed if together and which in together else set()
        assert added <= after
        assert removed <= before
        if straight is not None and which in straight:
            assert straight[which].added <= added
            assert straight[which].removed <= removed


def test_merging_with_nothing() -> None:
    changes = AttrDict(sensors=half({"a"}, set()))
    assert merged(None, changes) == changes
    assert merged(changes, None) == changes
    assert merged(None, None) is None
    assert merged(changes, AttrDict(sensors=half(set(), {"a"}))) is None


# -- sensors as they came ------------------------------------------------------------------

raw_sensors = st.dictionaries(
    st.sampled_from("abcdef"),
    st.sampled_from([b"D V float", b"E\\_e V float", b"E\\_e V integer 1 \\@"]),
)


def as_sent(sensors: dict[str, bytes], raw: str) -> dict[str, Any]:
    """Return sensors by name: the names in `raw` as they came, others in arguments."""
    tails = {name: name.encode() + b" " + tail for name, tail in sensors.items()}
    return {name: tail if name in raw else arguments_in(tail) for name, tail in tails.items()}


@given(raw_sensors, raw_sensors, st.text("abcdef"), st.text("abcdef"))
def test_it_makes_no_difference_how_a_sensor_is_kept(
    before: dict[str, bytes], after: dict[str, bytes], raw_before: str, raw_after: str
) -> None:
    old, new = as_sent(before, raw_before), as_sent(after, raw_after)
    changes = difference(old, new)
    added = {name for name in after if before.get(name) != after[name]}
    removed = {name for name in before if after.get(name) != before[name]}
    assert changes == (half(added, removed) if added or removed else None)
    for name, info in new.items():
        assert sensor_arguments(info) == arguments_in(name.encode() + b" " + after[name])


@given(raw_sensors, raw_sensors)
def test_looking_at_what_was_looked_up_is_enough(
    before: dict[str, bytes], found: dict[str, bytes]
) -> None:
    old = Model(as_sent(before, "abcdef"))
    findings = Findings(some_sensors={"a": None, **as_sent(found, "")})
    new = old.updated(findings)
    assert model_changes(old, new, findings) == model_changes(old, new)
