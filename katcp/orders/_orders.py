"""The orders: what is to be done, said once and not changed.

An order keeps count of its failures for executors that ask it by `fail`; apart from that it is
a value. How often it may be tried is part of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from katcp.expressions import Expression
from katcp.orders._format import (
    REQUIRED,
    Field,
    OrderFormatError,
    count,
    flag,
    level,
    loaded,
    number,
    parsed,
    scalar,
    shown,
    text,
    written,
)
from katcp.orders._levels import (
    AdviseLevel,
    Disposition,
    check_name,
    check_number,
    check_seconds,
)

__all__ = [
    "AdviseLevel",
    "Disposition",
    "MessageOrder",
    "Order",
    "ReadOrder",
    "SysctlOrder",
    "WaitOrder",
    "WaitUntilOrder",
    "WriteOrder",
    "orders_from_json",
]

_REPEATABLE = Field("repeatable", "repeatable", flag)


def _fields(*fields: Field) -> dict[str, Field]:
    """Return the fields of an order, with those that all have, by name."""
    common = (
        Field("max_attempts", "max_attempts", count),
        Field("attempt_timeout", "attempt_timeout", number),
    )
    return {field.name: field for field in (*fields, *common)}


@dataclass(frozen=True)
class Order:
    """Something to be done; the base of all orders.

    Parameters
    ----------
    repeatable : bool, optional
        Whether it does no harm to do it again if nobody knows whether it was done, because the
        program has died meanwhile. By default reads and waits are repeatable.
    max_attempts : int, optional
        How often to try at most; by default what `attempts` says.
    attempt_timeout : float, optional
        How long an attempt may take [s]; by default what the point says, or else the executor.

    Raises
    ------
    ValueError
        For numbers out of range.
    TypeError
        For things that are no numbers.
    """

    #: Its type in JSON.
    type: ClassVar[str] = ""
    #: Whether orders of this type are repeatable unless it is said.
    repeatable_by_default: ClassVar[bool] = False
    #: What stands in its JSON, beside ``type`` and ``repeatable``, by name.
    json_fields: ClassVar[Mapping[str, Field]] = {}

    repeatable: bool = field(default=None, kw_only=True)  # type: ignore[assignment]
    max_attempts: int | None = field(default=None, kw_only=True)
    attempt_timeout: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        repeatable: Any = self.repeatable
        if repeatable is None:
            self._set("repeatable", self.repeatable_by_default)
        elif not isinstance(repeatable, bool):
            raise TypeError(f"repeatable must be True or False, not {repeatable!r}")
        most: Any = self.max_attempts
        if most is not None:
            if not isinstance(most, int) or isinstance(most, bool):
                raise TypeError(f"max_attempts must be an integer, not {most!r}")
            if most < 1:
                raise ValueError(f"max_attempts must be at least 1, not {most}")
        if self.attempt_timeout is not None:
            check_seconds("attempt_timeout", self.attempt_timeout)
            if self.attempt_timeout == 0:
                raise ValueError("attempt_timeout must be above 0")
        self._set("_failures", 0)

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    @property
    def target_name(self) -> str:
        """What it is about, in a word: the name of a point, say."""
        return ""

    @property
    def attempts(self) -> int:
        """How often it may be tried."""
        return self.max_attempts or 1

    def fail(self) -> bool:
        """Take note of a failure; tell whether to try again.

        Once it has said no, it does not say yes again. Executors of one's own ask this; those of
        this package count for themselves, so that an order can be used in several sections.
        """
        failures: int = self._failures + 1  # type: ignore[attr-defined]
        self._set("_failures", min(failures, self.attempts))
        return failures < self.attempts

    def to_json(self) -> dict[str, Any]:
        """Return it as what ``json.dumps`` takes; see `from_json`."""
        values = {"type": self.type, **written(self.json_fields, self)}
        if self.repeatable != self.repeatable_by_default:
            values["repeatable"] = self.repeatable
        return values

    @staticmethod
    def from_json(data: Any) -> Order:
        """Return the order that `to_json` has given, or that another program has written.

        Parameters
        ----------
        data : str, bytes or mapping
            JSON text, or what ``json.loads`` has made of it. ``null`` stands for a field that is
            left out.

        Raises
        ------
        OrderFormatError
            If it is no order.
        """
        data = loaded(data)
        if not isinstance(data, Mapping):
            raise OrderFormatError(f"must be an object, not {shown(data)}")
        kind = data.get("type")
        make = _KINDS.get(kind) if isinstance(kind, str) else None
        if make is None:
            said = f"has the unknown type {shown(kind)}" if "type" in data else "has no type"
            raise OrderFormatError(f"{said}; the types are {', '.join(_KINDS)}")
        fields = {**make.json_fields, "repeatable": _REPEATABLE}
        rest = {name: value for name, value in data.items() if name != "type"}
        try:
            return make(**parsed(fields, rest, make.type))
        except OrderFormatError:
            raise
        except (TypeError, ValueError) as error:
            raise OrderFormatError(f"{make.type}: {error}") from None


@dataclass(frozen=True)
class ReadOrder(Order):
    """An order to read a point.

    Parameters
    ----------
    pathpoint : str
        Its name.
    advise : AdviseLevel
        Try 3 times, or 20 times if forced.
    """

    pathpoint: str
    advise: AdviseLevel = AdviseLevel.ADVISE

    type: ClassVar[str] = "read"
    json_fields: ClassVar[Mapping[str, Field]] = _fields(
        Field("path", "pathpoint", text, REQUIRED),
        Field("advise", "advise", level, 0, always=True),
    )
    repeatable_by_default: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_name("pathpoint", self.pathpoint)
        self._set("advise", AdviseLevel(self.advise))
        super().__post_init__()

    @property
    def target_name(self) -> str:
        """Name of the point."""
        return self.pathpoint

    @property
    def attempts(self) -> int:
        """How often it may be tried."""
        return self.max_attempts or (20 if self.advise else 3)


@dataclass(frozen=True)
class WriteOrder(Order):
    """An order to write a value to a point.

    Parameters
    ----------
    pathpoint : str
        Its name.
    value : int, float, str or bool
    advise : AdviseLevel
        Try once, or 10 times if forced.
    stale_after : float, optional
        When the order is no longer to be carried out, in seconds since 1970; that moment itself
        is too late already.
    """

    pathpoint: str
    value: Any
    advise: AdviseLevel = AdviseLevel.ADVISE
    stale_after: float | None = None

    type: ClassVar[str] = "write"
    json_fields: ClassVar[Mapping[str, Field]] = _fields(
        Field("path", "pathpoint", text, REQUIRED),
        Field("value", "value", scalar, REQUIRED),
        Field("advise", "advise", level, 0, always=True),
        Field("stale_after", "stale_after", number),
    )

    def __post_init__(self) -> None:
        check_name("pathpoint", self.pathpoint)
        self._set("advise", AdviseLevel(self.advise))
        if self.stale_after is not None:
            check_number("stale_after", self.stale_after)
        super().__post_init__()

    @property
    def target_name(self) -> str:
        """Name of the point."""
        return self.pathpoint

    @property
    def attempts(self) -> int:
        """How often it may be tried."""
        return self.max_attempts or (10 if self.advise else 1)


@dataclass(frozen=True)
class WaitOrder(Order):
    """An order that makes its section last at least so long.

    It counts from the beginning of the section, beside the other orders, so of several waits
    the longest counts.

    Parameters
    ----------
    period : float
        How long [s]; 0 or more.
    """

    period: float

    type: ClassVar[str] = "wait"
    json_fields: ClassVar[Mapping[str, Field]] = _fields(
        Field("time", "period", number, REQUIRED),
    )
    repeatable_by_default: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_seconds("period", self.period)
        super().__post_init__()

    @property
    def target_name(self) -> str:
        """How long [s]."""
        return f"{self.period:g}"


@dataclass(frozen=True)
class WaitUntilOrder(Order):
    """An order that ends when a sensor is as wanted, and fails if that takes too long.

    Parameters
    ----------
    sensor : str
        Its name.
    condition : str
        An expression over the value, such as ``{} > 5`` or ``{value} > 5``; see
        `katcp.expressions.Expression`.
    timeout : float
        How long to wait at most [s].

    Raises
    ------
    katcp.expressions.ExpressionError
        For a condition that is no expression.
    """

    sensor: str
    condition: str
    timeout: float = 10.0

    type: ClassVar[str] = "wait-until"
    json_fields: ClassVar[Mapping[str, Field]] = _fields(
        Field("sensor", "sensor", text, REQUIRED),
        Field("condition", "condition", text, REQUIRED),
        Field("timeout", "timeout", number, 10.0, always=True),
    )
    repeatable_by_default: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_name("sensor", self.sensor)
        if not isinstance(self.condition, str):
            raise TypeError(f"condition must be text, not {self.condition!r}")
        check_seconds("timeout", self.timeout)
        super().__post_init__()
        self._set("_expression", Expression(self.condition))

    def __reduce__(self) -> tuple[Any, ...]:
        return Order.from_json, (self.to_json(),)

    def satisfied_by(self, value: object) -> bool:
        """Tell whether a value is as wanted.

        Raises
        ------
        katcp.expressions.EvaluationError
            If the condition cannot be applied to it.
        """
        return bool(self._expression.evaluate(value))  # type: ignore[attr-defined]

    @property
    def target_name(self) -> str:
        """Name of the sensor."""
        return self.sensor


@dataclass(frozen=True)
class SysctlOrder(Order):
    """An order whose meaning is the user's own.

    Parameters
    ----------
    op_type : str
        What to do, such as ``reboot``.
    op_args : str
        Anything that belongs to it.
    """

    op_type: str
    op_args: str

    type: ClassVar[str] = "sysctl"
    json_fields: ClassVar[Mapping[str, Field]] = _fields(
        Field("op_type", "op_type", text, REQUIRED),
        Field("op_args", "op_args", text, REQUIRED),
    )

    def __post_init__(self) -> None:
        check_name("op_type", self.op_type)
        if not isinstance(self.op_args, str):
            raise TypeError(f"op_args must be text, not {self.op_args!r}")
        super().__post_init__()

    @property
    def target_name(self) -> str:
        """What to do."""
        return self.op_type


@dataclass(frozen=True)
class MessageOrder(Order):
    """An order to send a message that is known under a name; it is tried 3 times.

    Parameters
    ----------
    uuid : str
        Under which it is known.
    """

    uuid: str

    type: ClassVar[str] = "message"
    json_fields: ClassVar[Mapping[str, Field]] = _fields(
        Field("uuid", "uuid", text, REQUIRED),
    )

    def __post_init__(self) -> None:
        check_name("uuid", self.uuid)
        super().__post_init__()

    @property
    def target_name(self) -> str:
        """Under which it is known."""
        return self.uuid

    @property
    def attempts(self) -> int:
        """How often it may be tried."""
        return self.max_attempts or 3


#: By the type that stands in JSON.
_KINDS: dict[str, type[Order]] = {
    kind.type: kind
    for kind in (ReadOrder, WriteOrder, WaitOrder, WaitUntilOrder, SysctlOrder, MessageOrder)
}


def orders_from_json(data: Any) -> list[Order]:
    """Return the orders that a JSON array describes.

    Parameters
    ----------
    data : str, bytes or sequence
        JSON text, or what ``json.loads`` has made of it.

    Raises
    ------
    OrderFormatError
        If one of them is no order; then nothing is returned.
    """
    data = loaded(data)
    if not isinstance(data, Sequence) or isinstance(data, (str, bytes)):
        raise OrderFormatError(f"orders must be an array, not {shown(data)}")
    orders = []
    for index, each in enumerate(data):
        try:
            orders.append(Order.from_json(each))
        except OrderFormatError as error:
            raise OrderFormatError(error.reason, index) from None
    return orders
