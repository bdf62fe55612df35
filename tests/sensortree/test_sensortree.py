"""Trees of sensors: what follows when one is set."""

from __future__ import annotations

import gc
import logging
import threading
import unittest
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from katcp import Sensor
from katcp.sensortree import AggregateSensorTree, BooleanSensorTree, GenericSensorTree


def integers(names: str) -> list[Sensor]:
    return [Sensor.integer(name, default=0) for name in names]


def booleans(names: str) -> list[Sensor]:
    return [Sensor.boolean(name) for name in names]


class Sum(GenericSensorTree):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, list[str]]] = []

    def recalculate(self, parent: Sensor, updates: Any) -> None:
        self.calls.append((parent.name, sorted(sensor.name for sensor in updates)))
        parent.set_value(sum(child.value() for child in self.children(parent)))


def total(parent: Sensor, children: Any) -> None:
    parent.set_value(sum(child.value() for child in children))


# -- generic -------------------------------------------------------------------------------


def test_parent_follows_children_through_levels() -> None:
    tree = Sum()
    a, b, c, top = integers("abct")
    tree.add_links(a, [b, c])
    tree.add_links(top, [a])
    tree.calls.clear()
    b.set_value(3)
    assert (a.value(), top.value()) == (3, 3)
    c.set_value(4)
    assert (a.value(), top.value()) == (7, 7)
    assert tree.calls == [("a", ["b"]), ("t", ["a"]), ("a", ["c"]), ("t", ["a"])]


def test_links_compute_the_parent_once() -> None:
    tree = Sum()
    a, b, c = integers("abc")
    tree.add_links(a, [b, c])
    tree.add_links(a, [b])
    tree.remove_links(a, (b, c))
    assert tree.calls == [("a", ["b", "c"]), ("a", ["b"]), ("a", ["b", "c"])]


def test_who_is_in_the_tree() -> None:
    tree = Sum()
    a, b, c, stranger = integers("abcs")
    tree.add_links(a, iter([b, c]))
    assert tree.children(a) == {b, c}
    assert tree.parents(b) == {a}
    assert tree.parents(a) == tree.children(b) == set()
    tree.children(a).clear()
    assert tree.children(a) == {b, c}
    assert a in tree
    assert b in tree
    assert stranger not in tree
    assert "a" not in tree
    for ask in (tree.children, tree.parents):
        with pytest.raises(ValueError, match="not in the tree"):
            ask(stranger)
    with pytest.raises(ValueError, match="not in the tree"):
        tree.remove_links(stranger, [b])


def test_sensors_without_links_leave_and_are_observed_no_more() -> None:
    tree = Sum()
    a, b, c = integers("abc")
    tree.add_links(a, [b, c])
    tree.remove_links(a, [b])
    assert b not in tree
    assert not b._observers
    assert a.value() == 0
    tree.remove_links(a, [c])
    assert [sensor for sensor in (a, b, c) if sensor in tree or sensor._observers] == []
    tree.calls.clear()
    c.set_value(1)
    assert tree.calls == []


def test_what_is_no_child_is_passed_over() -> None:
    tree = Sum()
    a, b, c = integers("abc")
    tree.add_links(a, [b])
    tree.remove_links(a, [c])
    assert tree.children(a) == {b}


def test_parent_without_children_stays_in_the_tree() -> None:
    tree = Sum()
    (a,) = integers("a")
    tree.add_links(a, [])
    assert a in tree
    assert a.value() == 0


def test_generic_tree_does_not_know_how() -> None:
    a, b = integers("ab")
    with pytest.raises(NotImplementedError):
        GenericSensorTree().add_links(a, [b])


def test_links_may_be_added_while_an_update_is_running() -> None:
    a, b, c, late = integers("abcl")

    class Growing(Sum):
        def recalculate(self, parent: Sensor, updates: Any) -> None:
            super().recalculate(parent, updates)
            if b in updates and b.value() and late not in self:
                self.add_links(a, [late])

    tree = Growing()
    tree.add_links(a, [b, c])
    b.set_value(1)
    late.set_value(5)
    assert a.value() == 6


def test_cycle_ends_with_an_error_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    tree = BooleanSensorTree()
    a, b = booleans("ab")
    tree.add(a, b)
    tree.add(b, a)
    a.set_value(True)
    assert "follows from itself" in caplog.text


def test_tree_keeps_nothing_alive() -> None:
    tree = Sum()
    a, b = integers("ab")
    tree.add_links(a, [b])
    gone = weakref.ref(tree)
    del tree, a, b
    gc.collect()
    assert gone() is None


def test_sensors_are_set_in_threads_while_links_change(caplog: pytest.LogCaptureFixture) -> None:
    tree = Sum()
    (parent, *children) = integers("pabcdefgh")
    tree.add_links(parent, children[:4])
    stop = threading.Event()

    def work(mine: list[Sensor]) -> None:
        value = 0
        while not stop.is_set():
            value += 1
            for sensor in mine:
                sensor.set_value(value)

    threads = [threading.Thread(target=work, args=(children[i::3],)) for i in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(300):
        tree.add_links(parent, children[4:])
        tree.remove_links(parent, children[4:])
        tree.calls.clear()
    stop.set()
    for thread in threads:
        thread.join()
    assert tree.children(parent) == set(children[:4])
    assert parent.value() == sum(child.value() for child in children[:4])
    assert [sensor for sensor in children[4:] if sensor in tree or sensor._observers] == []
    assert [r for r in caplog.records if r.levelno >= logging.ERROR] == []


def test_parent_does_not_stay_behind_when_children_are_set_at_once() -> None:
    parent, slow, quick = integers("psq")
    read, go_on = threading.Event(), threading.Event()

    class Delayed(GenericSensorTree):
        def recalculate(self, parent: Sensor, updates: Any) -> None:
            value = slow.value() + quick.value()
            if slow in updates and slow.value() == 1 and not go_on.is_set():
                read.set()  # the value of `quick` is taken, and is now changed
                go_on.wait(10)
            parent.set_value(value)

    tree = Delayed()
    tree.add_links(parent, [slow, quick])
    thread = threading.Thread(target=slow.set_value, args=(1,))
    thread.start()
    assert read.wait(10)
    quick.set_value(10)
    go_on.set()
    thread.join(10)
    assert parent.value() == 11


# -- boolean -------------------------------------------------------------------------------


def test_boolean_parent_is_the_and_of_its_children() -> None:
    tree = BooleanSensorTree()
    a, b, c = booleans("abc")
    tree.add(a, b)
    assert a.value() is False
    b.set_value(True)
    assert a.value() is True
    tree.add(a, c)
    assert a.value() is False
    c.set_value(True, Sensor.ERROR)
    assert (a.value(), a.status()) == (True, Sensor.NOMINAL)
    b.set_value(False)
    tree.remove(a, b)
    assert a.value() is True
    c.set_value(False)
    tree.remove(a, c)
    assert a.value() is True
    assert a not in tree


def test_w87_the_sensor_that_is_not_boolean_is_named() -> None:
    tree = BooleanSensorTree()
    (boolean,) = booleans("b")
    (integer,) = integers("i")
    with pytest.raises(ValueError, match=r"^Parent sensor .*\bi\b.* is not boolean"):
        tree.add(integer, boolean)
    with pytest.raises(ValueError, match=r"^Child sensor .*\bi\b.* is not boolean"):
        tree.add(boolean, integer)
    assert boolean not in tree


@pytest.mark.parametrize("error", [ValueError, KeyError])
def test_remove_from_an_unknown_parent(error: type[Exception]) -> None:
    a, b = booleans("ab")
    with pytest.raises(error):
        BooleanSensorTree().remove(a, b)


# -- aggregate -----------------------------------------------------------------------------


def test_rule_sets_the_parent_at_every_change() -> None:
    tree = AggregateSensorTree()
    a, b, c = integers("abc")
    seen = []

    def rule(parent: Sensor, children: Any) -> None:
        seen.append(children)
        total(parent, children)

    children = [b, c]
    tree.add(a, rule, children)
    b.set_value(2)
    c.set_value(3)
    assert a.value() == 5
    assert seen == [children] * 3
    assert tree.fetch(a) == (rule, children)
    tree.remove(a)
    b.set_value(9)
    assert a.value() == 5
    assert a not in tree


def test_second_rule_unknown_parent_double_registration() -> None:
    tree = AggregateSensorTree()
    a, b = integers("ab")
    tree.add(a, total, [b])
    with pytest.raises(ValueError, match="already has"):
        tree.add(a, total, [b])
    with pytest.raises(ValueError, match="already has"):
        tree.add_delayed(a, total, ["b"])
    with pytest.raises(ValueError, match="no aggregate rule"):
        tree.remove(b)
    with pytest.raises(ValueError, match="no aggregate rule"):
        tree.fetch(b)
    tree.register_sensor(b)
    with pytest.raises(ValueError, match="already registered"):
        tree.register_sensor(b)
    tree.deregister_sensor(b)
    with pytest.raises(ValueError, match="not registered"):
        tree.deregister_sensor(b)


def test_delayed_rule_is_active_while_all_are_registered() -> None:
    tree = AggregateSensorTree()
    a, b, c = integers("abc")
    tree.register_sensor(b)
    tree.add_delayed(a, total, ["b", "c"])
    assert a not in tree
    b.set_value(1)
    tree.register_sensor(c)
    assert a.value() == 1
    c.set_value(2)
    assert a.value() == 3
    assert tree.fetch(a) == (total, {b, c})
    tree.deregister_sensor(b)
    assert a.value() == 2  # a last time, of those that are left
    c.set_value(5)
    assert a.value() == 2
    assert [sensor for sensor in (a, b, c) if sensor in tree] == []
    tree.register_sensor(b)
    assert a.value() == 6


def test_delayed_rule_is_active_at_once_if_all_are_there() -> None:
    tree = AggregateSensorTree()
    a, b = integers("ab")
    b.set_value(4)
    tree.register_sensor(b)
    tree.add_delayed(a, total, ("b", "b"))
    assert a.value() == 4
    tree.remove(a)
    tree.add_delayed(a, total, ["b"])
    assert a in tree


def test_one_sensor_in_several_delayed_rules() -> None:
    tree = AggregateSensorTree()
    p, q, x, y = integers("pqxy")
    tree.add_delayed(p, total, ["x"])
    tree.add_delayed(q, total, ["x", "y"])
    tree.register_sensor(x)
    assert (p in tree, q in tree) == (True, False)
    tree.register_sensor(y)
    x.set_value(3)
    assert (p.value(), q.value()) == (3, 3)
    tree.deregister_sensor(y)
    assert (p in tree, q in tree) == (True, False)


@pytest.mark.parametrize("kind", [list, tuple, set])
def test_w88_deregister_accepts_any_sequence(kind: Callable[[Any], Any]) -> None:
    tree = AggregateSensorTree()
    a, b, c = integers("abc")
    b.set_value(1)
    tree.add(a, total, kind([b, c]))
    tree.register_sensor(b)
    tree.deregister_sensor(b)
    assert (a in tree, a.value()) == (False, 0)
    assert tree.fetch(a) == (total, kind([c]))
    tree.register_sensor(b)
    assert (a in tree, a.value()) == (True, 1)
    assert tree.fetch(a) == (total, kind([b, c]))


def test_w88_deregister_sets_boolean_parents_false() -> None:
    tree = AggregateSensorTree()
    a, b = booleans("ab")
    tree.add_delayed(a, lambda parent, children: parent.set_value(True), ["b"])
    tree.register_sensor(b)
    assert a.value() is True
    tree.deregister_sensor(b)
    assert a.value() is False


def test_w89_incomplete_rule_can_be_fetched_and_removed() -> None:
    tree = AggregateSensorTree()
    a, b, c = integers("abc")
    tree.add_delayed(a, total, ["b", "c"])
    assert tree.fetch(a) == (total, set())
    tree.register_sensor(b)
    assert tree.fetch(a) == (total, {b})
    tree.remove(a)
    tree.register_sensor(c)
    assert a not in tree
    with pytest.raises(ValueError, match="no aggregate rule"):
        tree.fetch(a)


def test_rule_that_fails_reaches_who_adds_it(caplog: pytest.LogCaptureFixture) -> None:
    tree = AggregateSensorTree()
    a, b = integers("ab")

    def bad(parent: Sensor, children: Any) -> None:
        raise RuntimeError("bad rule")

    with pytest.raises(RuntimeError, match="bad rule"):
        tree.add(a, bad, [b])
    b.set_value(1)
    tree.remove(a)
    assert a not in tree
    assert caplog.text.count("RuntimeError: bad rule") == 2


def test_rule_that_fails_at_the_last_call_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    tree = AggregateSensorTree()
    a, b, p, q = integers("abpq")

    def largest(parent: Sensor, children: Any) -> None:
        parent.set_value(max(child.value() for child in children))

    tree.register_sensor(b)
    tree.add_delayed(a, largest, ["b"])
    tree.add_delayed(p, total, ["b"])
    tree.deregister_sensor(b)
    assert "ValueError" in caplog.text
    assert [sensor for sensor in (a, b, p, q) if sensor in tree] == []


class TestAsBefore(unittest.TestCase):
    """As programs for katcp-python use it."""

    def test_device_ok(self) -> None:
        tree = AggregateSensorTree()
        ok = Sensor(bool, "ok", "All is well.", "")
        temperature = Sensor(float, "temperature", "T.", "degC", [0, 100])

        def rule(parent: Sensor, children: Any) -> None:
            parent.set_value(all(child.value() < 50 for child in children))

        tree.add_delayed(ok, rule, ("temperature",))
        tree.register_sensor(temperature)
        assert ok.value()
        temperature.set_value(60.0)
        assert not ok.value()
        assert ok in tree
        assert tree.children(ok) == {temperature}
