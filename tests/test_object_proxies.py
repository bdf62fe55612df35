"""Objects that stand in for others."""

from __future__ import annotations

import operator
from typing import Any

import pytest

from katcp import object_proxies
from katcp.object_proxies import (
    AbstractProxy,
    AbstractWrapper,
    CallbackProxy,
    CallbackWrapper,
    LazyProxy,
    LazyWrapper,
    ObjectProxy,
    ObjectWrapper,
)


class Thing:
    """A thing."""

    size = 1

    def itself(self) -> Thing:
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return args, kwargs


def test_attributes_are_those_of_the_subject() -> None:
    thing = Thing()
    proxy = ObjectProxy(thing)
    assert proxy.__subject__ is thing
    assert isinstance(proxy, Thing)
    assert proxy.__class__ is Thing
    assert type(proxy) is ObjectProxy
    assert proxy.__doc__ == "A thing."
    assert proxy.itself() is thing
    assert proxy(1, b=2) == ((1,), {"b": 2})
    proxy.size = 3
    assert thing.size == 3
    del proxy.size
    assert proxy.size == 1
    assert dir(proxy) == dir(thing)
    with pytest.raises(AttributeError, match="'Thing' object has no attribute 'colour'"):
        _ = proxy.colour


def test_the_subject_can_be_replaced_and_taken_away() -> None:
    proxy = ObjectProxy([1])
    proxy.__subject__ = {"a": 1}
    assert proxy["a"] == 1
    del proxy.__subject__
    with pytest.raises(AttributeError):
        _ = proxy.keys
    with pytest.raises(AttributeError, match="__subject__"):
        _ = AbstractProxy().anything


def test_a_container() -> None:
    numbers = [1, 2]
    proxy = ObjectProxy(numbers)
    proxy.append(3)
    proxy[0] = 0
    del proxy[1]
    assert numbers == [0, 3]
    assert (len(proxy), list(proxy), 3 in proxy, proxy[-1]) == (2, [0, 3], True, 3)
    assert proxy == [0, 3]
    assert proxy != [0]
    assert proxy + [4] == [0, 3, 4]  # noqa: RUF005 - the operator is what is tested
    assert [4] + proxy == [4, 0, 3]  # noqa: RUF005
    with pytest.raises(TypeError, match="unhashable"):
        hash(proxy)


def test_in_place_operators_change_the_subject_and_keep_the_proxy() -> None:
    proxy = before = ObjectProxy(5)
    proxy += 2
    assert proxy is before
    assert proxy.__subject__ == 7
    for name, expected in [
        ("isub", 5), ("imul", 10), ("ipow", 100), ("ifloordiv", 50), ("imod", 0), ("ior", 2),
        ("ixor", 0), ("iadd", 2), ("iand", 2), ("ilshift", 8), ("irshift", 2), ("itruediv", 1.0),
    ]:  # fmt: skip
        result = getattr(operator, name)(proxy, 2)
        assert result is before, name
        assert proxy.__subject__ == expected, name


@pytest.mark.parametrize("name", ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow",
                                  "lshift", "rshift", "and_", "or_", "xor", "lt", "le", "gt",
                                  "ge", "eq", "ne"])  # fmt: skip
def test_binary_operators_from_both_sides(name: str) -> None:
    function = getattr(operator, name)
    assert function(ObjectProxy(7), 2) == function(7, 2)
    assert function(7, ObjectProxy(2)) == function(7, 2)
    assert function(ObjectProxy(7), ObjectProxy(2)) == function(7, 2)


def test_other_operators() -> None:
    proxy = ObjectProxy(7)
    assert (-proxy, +proxy, abs(proxy), ~proxy) == (-7, 7, 7, -8)
    assert (int(proxy), float(proxy), complex(proxy)) == (7, 7.0, 7 + 0j)
    assert (divmod(proxy, 2), divmod(15, proxy), pow(proxy, 2, 5)) == ((3, 1), (2, 1), 4)
    assert (hex(proxy), oct(proxy), "abcdefgh"[proxy]) == ("0x7", "0o7", "h")
    assert (bool(proxy), bool(ObjectProxy(0))) == (True, False)
    assert (repr(proxy), str(ObjectProxy("x"))) == ("7", "x")
    assert hash(proxy) == hash(7)
    with pytest.raises(TypeError):
        _ = proxy + "a"


def test_names_of_python_2() -> None:
    cls: Any = ObjectProxy
    proxy = ObjectProxy([1, 2, 3])
    assert cls.__getslice__(proxy, 0, 2) == [1, 2]
    cls.__setslice__(proxy, 0, 2, [7])
    cls.__delslice__(proxy, 1, 2)
    assert proxy == [7]
    seven = ObjectProxy(7)
    assert [cls.__cmp__(seven, n) for n in (6, 7, 8)] == [1, 0, -1]
    assert cls.__coerce__(seven, 1) == (7, 1)
    assert (cls.__long__(seven), cls.__hex__(seven), cls.__oct__(seven)) == (7, "0x7", "0o7")
    assert (cls.__div__(seven, 2), cls.__rdiv__(seven, 14)) == (3.5, 2.0)
    assert cls.__idiv__(seven, 2) is seven
    assert seven.__subject__ == 3.5


def test_a_callback_is_asked_each_time() -> None:
    made: list[int] = []

    def make() -> list[int]:
        made.append(1)
        return list(made)

    proxy = CallbackProxy(make)
    assert made == []
    assert proxy == [1]
    assert proxy == [1, 1]
    assert object_proxies.get_callback(proxy) is make
    with pytest.raises(AttributeError):
        proxy.__subject__ = 3
    object_proxies.set_callback(proxy, lambda: "other")
    assert proxy == "other"


def test_a_lazy_proxy_asks_once() -> None:
    made: list[int] = []
    proxy = LazyProxy(lambda: made.append(1) or made)
    assert made == []
    assert proxy == [1]
    assert proxy == [1]
    assert object_proxies.get_cache(proxy) is made
    proxy.__subject__ = 3
    assert proxy == 3
    object_proxies.set_cache(proxy, 4)
    assert proxy == 4
    with pytest.raises(AttributeError):
        del proxy.__subject__


class Wrapper(ObjectWrapper):
    """A wrapper."""

    own: Any = None

    def __init__(self, subject: Any, own: Any) -> None:
        super().__init__(subject)
        self.own = own

    @property
    def both(self) -> Any:
        return self.own, self.size

    def __custom__(self) -> str:
        return "not seen: special names are the subject's"


def test_a_wrapper_has_attributes_of_its_own() -> None:
    thing = Thing()
    wrapper = Wrapper(thing, "mine")
    assert wrapper.own == "mine"
    assert not hasattr(thing, "own")
    assert wrapper.both == ("mine", 1)
    wrapper.size = 4
    wrapper.colour = "red"
    assert (thing.size, wrapper.__dict__) == (4, {"size": 4, "colour": "red"})
    assert wrapper.__doc__ == "A thing."
    assert wrapper.itself() is thing
    assert not hasattr(wrapper, "__custom__")
    del wrapper.own
    assert wrapper.own is None
    with pytest.raises(AttributeError, match="own"):
        del wrapper.own
    del wrapper.colour
    assert not hasattr(thing, "colour")
    with pytest.raises(AttributeError, match="'Thing' object has no attribute 'shape'"):
        _ = wrapper.shape


def test_a_wrapper_may_say_what_becomes_of_other_attributes() -> None:
    class Asking(ObjectWrapper):
        def __getattr__(self, attr: str) -> Any:  # type: ignore[override]
            return f"got {attr}"

        @property
        def missing(self) -> Any:
            raise AttributeError("inner")

    wrapper = Asking(Thing())
    assert wrapper.size == "got size"
    assert wrapper.missing == "got missing"
    assert wrapper.__doc__ == "A thing."


def test_wrappers_of_callbacks() -> None:
    made: list[int] = []

    def make() -> list[int]:
        made.append(1)
        return list(made)

    class Own(CallbackWrapper):
        own = 5

    class OwnLazy(LazyWrapper):
        own = 6

    assert (Own(make).own, OwnLazy(make).own) == (5, 6)
    assert made == []
    assert Own(make) == [1]
    lazy = OwnLazy(make)
    assert lazy == lazy.__subject__ == [1, 1]
    assert issubclass(ObjectWrapper, AbstractWrapper)
    assert not hasattr(ObjectProxy(1), "__dict__")
