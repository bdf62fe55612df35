"""The parts of a parsed expression: functions of the values, made once and called often.

A part is a closure, not an object with fields, since it is called for each reading of a sensor; it
holds nothing but other parts, constants, and the functions that were registered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from katcp.expressions._errors import EvaluationError
from katcp.expressions._functions import called
from katcp.expressions._operations import Operation
from katcp.expressions._values import value_of

Run = Callable[[Any], Any]


class Node(NamedTuple):
    """A part of an expression, and how deep it is: 1 for a constant."""

    run: Run
    depth: int


def _above(nodes: Sequence[Node]) -> int:
    return 1 + max((node.depth for node in nodes), default=0)


def constant(value: Any) -> Node:
    """Return a part that is always the same."""
    return Node(lambda scope: value, 1)


def _itself(scope: Any) -> Any:
    return scope


#: The one value, where there is but one.
THE_VALUE = Node(_itself, 1)


def variable(name: str) -> Node:
    """Return one value of several, which come as a mapping."""

    def run(scope: Mapping[str, Any]) -> Any:
        try:
            given = scope[name]
        except KeyError:
            raise EvaluationError(f"{name} has no value") from None
        return value_of(given)

    return Node(run, 1)


def unary(operation: Callable[[Any], Any], node: Node) -> Node:
    """Return an operation on one part."""
    inner = node.run
    return Node(lambda scope: operation(inner(scope)), node.depth + 1)


def binary(operation: Operation, left: Node, right: Node) -> Node:
    """Return an operation on two parts."""
    first, second = left.run, right.run
    return Node(lambda scope: operation(first(scope), second(scope)), _above((left, right)))


def chain(first: Node, rest: Sequence[tuple[Operation, Node]]) -> Node:
    """Return operations of one rank, from left to right: however many, they are one level."""
    if len(rest) == 1:
        return binary(rest[0][0], first, rest[0][1])
    begin = first.run
    steps = tuple((operation, node.run) for operation, node in rest)

    def run(scope: Any) -> Any:
        value = begin(scope)
        for operation, other in steps:
            value = operation(value, other(scope))
        return value

    return Node(run, _above([first, *(node for _, node in rest)]))


def comparison(first: Node, rest: Sequence[tuple[Operation, Node]]) -> Node:
    """Return comparisons that hold if each does between its neighbours, as ``0 < {} <= 5``."""
    if len(rest) == 1:
        return binary(rest[0][0], first, rest[0][1])
    begin = first.run
    steps = tuple((operation, node.run) for operation, node in rest)

    def run(scope: Any) -> Any:
        left = begin(scope)
        for operation, other in steps:
            right = other(scope)
            if not operation(left, right):
                return False
            left = right
        return True

    return Node(run, _above([first, *(node for _, node in rest)]))


def every(nodes: Sequence[Node]) -> Node:
    """Return ``and``: the first part that does not hold, else the last."""
    *runs, last = (node.run for node in nodes)

    def run(scope: Any) -> Any:
        for part in runs:
            value = part(scope)
            if not value:
                return value
        return last(scope)

    return Node(run, _above(nodes))


def some(nodes: Sequence[Node]) -> Node:
    """Return ``or``: the first part that holds, else the last."""
    *runs, last = (node.run for node in nodes)

    def run(scope: Any) -> Any:
        for part in runs:
            value = part(scope)
            if value:
                return value
        return last(scope)

    return Node(run, _above(nodes))


def negation(node: Node) -> Node:
    """Return ``not``."""
    inner = node.run
    return Node(lambda scope: not inner(scope), node.depth + 1)


def choice(condition: Node, yes: Node, no: Node) -> Node:
    """Return ``yes if condition else no``, of which one is computed."""
    holds, if_so, if_not = condition.run, yes.run, no.run
    return Node(
        lambda scope: if_so(scope) if holds(scope) else if_not(scope),
        _above((condition, yes, no)),
    )


def call(name: str, function: Callable[..., Any], arguments: Sequence[Node]) -> Node:
    """Return a call of a registered function."""
    runs = tuple(node.run for node in arguments)

    def run(scope: Any) -> Any:
        return called(name, function, [argument(scope) for argument in runs])

    return Node(run, _above(arguments))
