"""Sensors whose values follow from those of others.

A tree attaches itself to the sensors that it knows, so setting one is all there is to do. No locks:
each step on its tables is one operation on a dict, so sensors may be set in other threads while
links come and go. Should two children of one parent be set at the same time, each in a thread of
its own, the parent is computed once more, so that it never stays behind. Links themselves are to be
changed by one thread at a time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from contextvars import ContextVar
from typing import Any

from katcp.sensors import Reading

__all__ = ["AggregateSensorTree", "BooleanSensorTree", "GenericSensorTree"]

_log = logging.getLogger("katcp.sensortree")

#: So often a sensor may be set in consequence of its being set.
_DEEPEST = 20

#: Parents that are being computed in this thread.
_under_way: ContextVar[tuple[Any, ...]] = ContextVar("katcp_sensortree", default=())

#: Sets a parent from its children.
Rule = Callable[[Any, Any], object]


class NotInTree(ValueError, KeyError):
    """A sensor that was asked for is not there; katcp-python raised now one, now the other."""

    __str__ = ValueError.__str__


class GenericSensorTree:
    """Parents and children, and a parent computed anew when one of its children is set.

    Subclasses say how, in `recalculate`. A sensor may have several parents and be a parent
    itself. Cycles are not detected when links are added: a sensor that follows from itself is
    computed some twenty times at each change, and then an error is logged.

    Examples
    --------
    ::

        class Sum(GenericSensorTree):
            def recalculate(self, parent, updates):
                parent.set_value(sum(child.value() for child in self.children(parent)))

        tree = Sum()
        tree.add_links(total, [left, right])
        left.set_value(3)
    """

    def __init__(self) -> None:
        # Sets of sensors, as dicts: their keys can be copied while they change.
        self._parent_to_children: dict[Any, dict[Any, None]] = {}
        self._child_to_parents: dict[Any, dict[Any, None]] = {}
        # Parent -> the latest reason to compute it.
        self._latest: dict[Any, object] = {}

    def update(self, sensor: Any, reading: Reading | None) -> None:
        """Compute the parents of `sensor` anew (called by the sensor).

        A sensor that has just left the tree is ignored.
        """
        parents = self._child_to_parents.get(sensor)
        if parents:
            for parent in list(parents):
                self._recalculate(parent, (sensor,))

    def recalculate(self, parent: Any, updates: Sequence[Any]) -> None:
        """Compute `parent`; to be defined by subclasses.

        Called in the thread that set the child, or changed the links.

        Parameters
        ----------
        parent : Sensor
            To be set.
        updates : sequence of Sensor
            Children that have changed, have been added or removed.
        """
        raise NotImplementedError("Subclasses of GenericSensorTree must define recalculate().")

    def _recalculate(self, parent: Any, updates: Any) -> None:
        under_way = _under_way.get()
        depth = under_way.count(parent)
        if depth > _DEEPEST:
            raise RecursionError(f"Sensor {parent!r} follows from itself.")
        token = _under_way.set((*under_way, parent))
        try:
            if depth:
                self.recalculate(parent, updates)
                return
            while True:
                reason = self._latest[parent] = object()
                self.recalculate(parent, updates)
                if self._latest.get(parent, reason) is reason:
                    return
                # Another thread has had a newer reason; we may have overwritten its result.
        finally:
            _under_way.reset(token)
            if parent not in self._parent_to_children:
                self._latest.pop(parent, None)

    # -- links --------------------------------------------------------------------------

    def add_links(self, parent: Any, children: Iterable[Any]) -> None:
        """Make `children` children of `parent`, which is computed once."""
        children = _as_sequence(children)
        known = self._parent_to_children.get(parent)
        if known is None:
            self._enter(parent)
            known = self._parent_to_children[parent]
        for child in children:
            self._enter(child)
            self._child_to_parents[child][parent] = None
            known[child] = None
        self._recalculate(parent, children)

    def remove_links(self, parent: Any, children: Iterable[Any]) -> None:
        """Make `children` children of `parent` no more; it is computed once.

        Sensors without any link left leave the tree. What was no child is passed over.

        Raises
        ------
        ValueError
            If `parent` is not in the tree.
        """
        children = _as_sequence(children)
        known = self._parent_to_children.get(parent)
        if known is None:
            raise NotInTree(f"Parent sensor {parent!r} is not in the tree.")
        for child in children:
            known.pop(child, None)
            parents = self._child_to_parents.get(child)
            if parents is not None:
                parents.pop(parent, None)
                if child is not parent:
                    self._leave_if_alone(child)
        try:
            self._recalculate(parent, children)
        finally:
            self._leave_if_alone(parent)

    def _enter(self, sensor: Any) -> None:
        if sensor not in self._parent_to_children:
            self._child_to_parents.setdefault(sensor, {})
            self._parent_to_children[sensor] = {}
            sensor.attach(self)

    def _leave_if_alone(self, sensor: Any) -> None:
        if self._parent_to_children.get(sensor) or self._child_to_parents.get(sensor):
            return
        if self._parent_to_children.pop(sensor, None) is not None:
            self._child_to_parents.pop(sensor, None)
            self._latest.pop(sensor, None)
            sensor.detach(self)

    def children(self, parent: Any) -> set[Any]:
        """Return the set of the children of a sensor.

        Raises
        ------
        ValueError
            If it is not in the tree.
        """
        known = self._parent_to_children.get(parent)
        if known is None:
            raise NotInTree(f"Parent sensor {parent!r} is not in the tree.")
        return set(known.copy())

    def parents(self, child: Any) -> set[Any]:
        """Return the set of the parents of a sensor.

        Raises
        ------
        ValueError
            If it is not in the tree.
        """
        known = self._child_to_parents.get(child)
        if known is None:
            raise NotInTree(f"Child sensor {child!r} is not in the tree.")
        return set(known.copy())

    def __contains__(self, sensor: object) -> bool:
        return sensor in self._parent_to_children


class BooleanSensorTree(GenericSensorTree):
    """Boolean sensors, each parent true if all its children are; true without any.

    Examples
    --------
    ::

        tree = BooleanSensorTree()
        tree.add(device_ok, power_ok)
        tree.add(device_ok, link_ok)
    """

    def add(self, parent: Any, child: Any) -> None:
        """Make `child` a child of `parent`.

        Raises
        ------
        ValueError
            If one of them is not boolean.
        """
        for role, sensor in (("Parent", parent), ("Child", child)):
            if sensor.type != "boolean":
                raise ValueError(f"{role} sensor {sensor!r} is not boolean.")
        self.add_links(parent, (child,))

    def remove(self, parent: Any, child: Any) -> None:
        """Make `child` a child of `parent` no more.

        Raises
        ------
        ValueError
            If `parent` is not in the tree.
        """
        self.remove_links(parent, (child,))

    def recalculate(self, parent: Any, updates: Sequence[Any]) -> None:
        """Set `parent` to whether all children are true, with the status nominal."""
        children = list(self._parent_to_children.get(parent, ()))
        parent.set_value(all(child.value() for child in children))


class _Aggregate:
    """A rule, and what it has of the children it needs."""

    def __init__(self, rule: Rule, children: Collection[Any], names: Iterable[str]) -> None:
        self.rule = rule
        #: What the rule is called with.
        self.children = children
        #: Names of all, in order.
        self.names = list(dict.fromkeys(names))

    def missing(self) -> set[str]:
        """Return the names of the children that are not there."""
        return set(self.names) - {child.name for child in self.children}

    def put(self, sensors: Iterable[Any]) -> None:
        """Take other children, in a collection of the same kind."""
        by_name = {sensor.name: sensor for sensor in sensors}
        ordered = [by_name[name] for name in self.names if name in by_name]
        kind = type(self.children)
        self.children = kind(ordered) if kind in (tuple, set, frozenset) else ordered  # type: ignore[call-arg]


class AggregateSensorTree(GenericSensorTree):
    """Sensors that are set by rules, each from a set of other sensors.

    Examples
    --------
    ::

        def total(parent, children):
            parent.set_value(sum(child.value() for child in children))

        tree = AggregateSensorTree()
        tree.add(power, total, [power_left, power_right])

    A rule for sensors that will be known later::

        tree.add_delayed(power, total, ["power.left", "power.right"])
        tree.register_sensor(power_left)
        tree.register_sensor(power_right)    # now the rule is active
    """

    def __init__(self) -> None:
        super().__init__()
        self._aggregates: dict[Any, _Aggregate] = {}
        self._incomplete_aggregates: dict[Any, _Aggregate] = {}
        self._registered_sensors: dict[str, Any] = {}

    def add(self, parent: Any, rule_function: Rule, children: Collection[Any]) -> None:
        """Have `parent` set by a rule, now and whenever one of the children is.

        Parameters
        ----------
        parent : Sensor
        rule_function : callable
            Called as ``rule_function(parent, children)``, with `children` as given here, in the
            thread that set the child; it sets the parent.
        children : list, tuple or set of Sensor

        Raises
        ------
        ValueError
            If `parent` has a rule.
        """
        self._check_new(parent)
        names = [child.name for child in children]
        self._aggregates[parent] = _Aggregate(rule_function, children, names)
        self.add_links(parent, children)

    def add_delayed(self, parent: Any, rule_function: Rule, child_names: Iterable[str]) -> None:
        """Have `parent` set by a rule while all sensors of these names are registered.

        Parameters
        ----------
        parent : Sensor
        rule_function : callable
            As for `add`; `children` is a set.
        child_names : iterable of str

        Raises
        ------
        ValueError
            If `parent` has a rule.
        """
        self._check_new(parent)
        names = list(child_names)
        aggregate = _Aggregate(rule_function, set(), names)
        known = self._registered_sensors
        aggregate.put([known[name] for name in names if name in known])
        self._incomplete_aggregates[parent] = aggregate
        self._activate_if_complete(parent, aggregate)

    def _check_new(self, parent: Any) -> None:
        if parent in self._aggregates or parent in self._incomplete_aggregates:
            raise ValueError(f"Sensor {parent!r} already has an aggregate rule.")

    def _activate_if_complete(self, parent: Any, aggregate: _Aggregate) -> None:
        if not aggregate.missing():
            del self._incomplete_aggregates[parent]
            self._aggregates[parent] = aggregate
            self.add_links(parent, aggregate.children)

    def register_sensor(self, child: Any) -> None:
        """Make a sensor known to delayed rules that wait for its name.

        Raises
        ------
        ValueError
            If one of that name is registered.
        """
        if child.name in self._registered_sensors:
            raise ValueError(f"Sensor {child!r} is already registered with the aggregate tree.")
        self._registered_sensors[child.name] = child
        for parent, aggregate in list(self._incomplete_aggregates.items()):
            if child.name in aggregate.missing():
                aggregate.put([*aggregate.children, child])
                self._activate_if_complete(parent, aggregate)

    def deregister_sensor(self, child: Any) -> None:
        """Forget a sensor; the rules that need it wait until one of its name is registered.

        Their parents are set to false if they are boolean; other parents are set a last time, by
        the rule, from the children that are left. What a rule raises then is logged.

        Raises
        ------
        ValueError
            If none of its name is registered.
        """
        known = self._registered_sensors.pop(child.name, None)
        if known is None:
            raise ValueError(f"Sensor {child.name!r} is not registered with the aggregate tree.")
        for aggregate in list(self._incomplete_aggregates.values()):
            if known in aggregate.children:
                aggregate.put([sensor for sensor in aggregate.children if sensor is not known])
        for parent, aggregate in list(self._aggregates.items()):
            if known in aggregate.children:
                self._deactivate(parent, aggregate, known)

    def _deactivate(self, parent: Any, aggregate: _Aggregate, gone: Any) -> None:
        children = list(aggregate.children)
        # Without its rule the parent is not computed while its links go.
        del self._aggregates[parent]
        self.remove_links(parent, children)
        aggregate.put([sensor for sensor in children if sensor is not gone])
        self._incomplete_aggregates[parent] = aggregate
        if parent.type == "boolean":
            parent.set_value(False)
            return
        try:
            aggregate.rule(parent, aggregate.children)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:
            _log.exception("The rule of sensor %r failed without %r", parent, gone)

    def remove(self, parent: Any) -> None:
        """Remove the rule of a sensor; it is called a last time if it is active.

        What it raises then is logged.

        Raises
        ------
        ValueError
            If it has none.
        """
        if self._incomplete_aggregates.pop(parent, None) is not None:
            return
        aggregate = self._find(parent)
        try:
            self.remove_links(parent, aggregate.children)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:
            _log.exception("The rule of sensor %r failed when it was removed", parent)
        finally:
            self._aggregates.pop(parent, None)

    def fetch(self, parent: Any) -> tuple[Rule, Collection[Any]]:
        """Return the rule of a sensor and its children; of a delayed one, those there are.

        Raises
        ------
        ValueError
            If it has none.
        """
        aggregate = self._incomplete_aggregates.get(parent) or self._find(parent)
        return aggregate.rule, aggregate.children

    def _find(self, parent: Any) -> _Aggregate:
        aggregate = self._aggregates.get(parent)
        if aggregate is None:
            raise NotInTree(f"Sensor {parent!r} has no aggregate rule.")
        return aggregate

    def recalculate(self, parent: Any, updates: Sequence[Any]) -> None:
        """Call the rule of `parent`."""
        aggregate = self._aggregates.get(parent)
        if aggregate is not None:
            aggregate.rule(parent, aggregate.children)


def _as_sequence(sensors: Iterable[Any]) -> Sequence[Any]:
    return sensors if isinstance(sensors, (list, tuple)) else list(sensors)
