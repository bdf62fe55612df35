"""Objects that stand in for others.

A *proxy* hands everything that is done to it on to its subject: attributes, operators, calls.
Only ``__subject__`` is its own. A *wrapper* is a proxy whose class body may define attributes
of its own; names that begin with ``__`` still belong to the subject.

========= ======================================================================
Object…   has its subject given: ``ObjectProxy(subject)``
Callback… asks ``func()`` for its subject at every use
Lazy…     asks ``func()`` for its subject at the first use, and keeps it
========= ======================================================================

>>> numbers = ObjectProxy([1, 2])
>>> numbers.append(3)
>>> numbers + [4], isinstance(numbers, list)
([1, 2, 3, 4], True)
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

__all__ = [
    "AbstractProxy",
    "AbstractWrapper",
    "CallbackProxy",
    "CallbackWrapper",
    "LazyProxy",
    "LazyWrapper",
    "ObjectProxy",
    "ObjectWrapper",
]

_Getter = Callable[[Any, str], Any]
_Setter = Callable[[Any, str, Any], None]
_Deleter = Callable[[Any, str], None]


class AbstractProxy:
    """What all proxies have in common; a subclass says what ``__subject__`` is."""

    __slots__ = ()

    __subject__: Any

    def __getattribute__(self, attr: str, oga: _Getter = object.__getattribute__) -> Any:
        subject = oga(self, "__subject__")
        return subject if attr == "__subject__" else getattr(subject, attr)

    def __setattr__(self, attr: str, val: object, osa: _Setter = object.__setattr__) -> None:
        if attr == "__subject__":
            osa(self, attr, val)
        else:
            setattr(self.__subject__, attr, val)

    def __delattr__(self, attr: str, oda: _Deleter = object.__delattr__) -> None:
        if attr == "__subject__":
            oda(self, attr)
        else:
            delattr(self.__subject__, attr)

    def __call__(self, *args: Any, **kw: Any) -> Any:  # noqa: D102  # help is of the subject
        return self.__subject__(*args, **kw)

    def __getitem__(self, arg: Any) -> Any:
        return self.__subject__[arg]

    def __setitem__(self, arg: Any, val: Any) -> None:
        self.__subject__[arg] = val

    def __delitem__(self, arg: Any) -> None:
        del self.__subject__[arg]

    # Slices and comparisons as Python 2 called them, for who calls them by name.

    def __getslice__(self, i: int, j: int) -> Any:
        return self.__subject__[i:j]

    def __setslice__(self, i: int, j: int, val: Any) -> None:
        self.__subject__[i:j] = val

    def __delslice__(self, i: int, j: int) -> None:
        del self.__subject__[i:j]

    def __cmp__(self, ob: Any) -> int:
        return int(self.__subject__ > ob) - int(self.__subject__ < ob)

    def __coerce__(self, ob: Any) -> tuple[Any, Any]:
        return self.__subject__, ob

    def __contains__(self, ob: Any) -> bool:
        return ob in self.__subject__

    def __bool__(self) -> bool:
        return bool(self.__subject__)

    def __eq__(self, ob: object) -> bool:
        return self.__subject__ == ob  # type: ignore[no-any-return]  # may be an array

    def __ne__(self, ob: object) -> bool:
        return self.__subject__ != ob  # type: ignore[no-any-return]

    def __hash__(self) -> int:
        return hash(self.__subject__)

    def __pow__(self, *args: Any) -> Any:
        return pow(self.__subject__, *args)


def _unary(function: Callable[[Any], Any]) -> Any:
    def method(self: AbstractProxy) -> Any:
        return function(self.__subject__)

    return method


def _binary(function: Callable[[Any, Any], Any]) -> Any:
    def method(self: AbstractProxy, ob: Any) -> Any:
        return function(self.__subject__, ob)

    return method


def _reflected(function: Callable[[Any, Any], Any]) -> Any:
    def method(self: AbstractProxy, ob: Any) -> Any:
        return function(ob, self.__subject__)

    return method


def _in_place(function: Callable[[Any, Any], Any]) -> Any:
    def method(self: AbstractProxy, ob: Any) -> Any:
        # What changes is the subject: the name goes on standing for the proxy.
        self.__subject__ = function(self.__subject__, ob)
        return self

    return method


_UNARY: dict[str, Callable[[Any], Any]] = {
    "repr": repr,
    "str": str,
    "len": len,
    "iter": iter,
    "int": int,
    "long": int,
    "float": float,
    "complex": complex,
    "index": operator.index,
    "hex": hex,
    "oct": oct,
    "neg": operator.neg,
    "pos": operator.pos,
    "abs": abs,
    "invert": operator.invert,
}
_COMPARISONS = ("lt", "le", "gt", "ge")
#: Each with the function of its in-place form, if there is one.
_ARITHMETIC: dict[str, tuple[Callable[[Any, Any], Any], Callable[[Any, Any], Any] | None]] = {
    "add": (operator.add, operator.iadd),
    "sub": (operator.sub, operator.isub),
    "mul": (operator.mul, operator.imul),
    "div": (operator.truediv, operator.itruediv),
    "truediv": (operator.truediv, operator.itruediv),
    "floordiv": (operator.floordiv, operator.ifloordiv),
    "mod": (operator.mod, operator.imod),
    "divmod": (divmod, None),
    "pow": (operator.pow, operator.ipow),
    "lshift": (operator.lshift, operator.ilshift),
    "rshift": (operator.rshift, operator.irshift),
    "and": (operator.and_, operator.iand),
    "xor": (operator.xor, operator.ixor),
    "or": (operator.or_, operator.ior),
}


def _give_operators(cls: type) -> None:
    """Python looks up operators on the class, so the class needs each of them."""
    methods = {name: _unary(function) for name, function in _UNARY.items()}
    methods |= {name: _binary(getattr(operator, name)) for name in _COMPARISONS}
    for name, (function, in_place) in _ARITHMETIC.items():
        methods[name] = _binary(function)
        methods[f"r{name}"] = _reflected(function)
        if in_place is not None:
            methods[f"i{name}"] = _in_place(in_place)
    for name, method in methods.items():
        special = f"__{name}__"
        if special not in cls.__dict__:
            method.__name__ = special
            method.__qualname__ = f"{cls.__qualname__}.{special}"
            setattr(cls, special, method)


_give_operators(AbstractProxy)


class AbstractWrapper(AbstractProxy):
    """A proxy whose class may have attributes of its own.

    Those that the class, or a subclass, defines are read and set on the wrapper; all others
    on the subject. So a subclass that wants to keep something in ``self`` has to give that
    attribute a value in its body first.
    """

    __slots__ = ()

    def __getattribute__(self, attr: str, oga: _Getter = object.__getattribute__) -> Any:
        # What is not the wrapper's own raises AttributeError here and goes to __getattr__,
        # which a subclass may replace.
        if attr.startswith("__") and attr != "__subject__":
            return getattr(oga(self, "__subject__"), attr)
        return oga(self, attr)

    def __getattr__(self, attr: str, oga: _Getter = object.__getattribute__) -> Any:
        return getattr(oga(self, "__subject__"), attr)

    def __setattr__(self, attr: str, val: object, osa: _Setter = object.__setattr__) -> None:
        if _is_own(self, attr):
            osa(self, attr, val)
        else:
            setattr(self.__subject__, attr, val)

    def __delattr__(self, attr: str, oda: _Deleter = object.__delattr__) -> None:
        if _is_own(self, attr):
            oda(self, attr)
        else:
            delattr(self.__subject__, attr)


def _is_own(wrapper: AbstractWrapper, attr: str) -> bool:
    return attr == "__subject__" or (not attr.startswith("__") and hasattr(type(wrapper), attr))


class ObjectProxy(AbstractProxy):
    """Stands for `subject`; assigning to ``__subject__`` lets it stand for another."""

    __slots__ = ("__subject__",)

    def __init__(self, subject: Any) -> None:
        self.__subject__ = subject


class CallbackProxy(AbstractProxy):
    """Stands for what ``func()`` returns, called anew at every use."""

    __slots__ = ("__callback__",)

    def __init__(self, func: Callable[[], Any]) -> None:
        set_callback(self, func)

    @property
    def __subject__(self) -> Any:
        return get_callback(self)()


# Slots that are reached past the proxy, which would look for them on its subject.
_callback: Any = CallbackProxy.__dict__["__callback__"]
get_callback = _callback.__get__
set_callback = _callback.__set__


class LazyProxy(CallbackProxy):
    """Stands for what ``func()`` returns, called at the first use only.

    Until then no work is done. Assigning to ``__subject__`` replaces what it stands for.
    """

    __slots__ = ("__cache__",)

    @property
    def __subject__(self) -> Any:
        try:
            return get_cache(self)
        except AttributeError:
            pass
        subject = get_callback(self)()
        set_cache(self, subject)
        return subject

    @__subject__.setter
    def __subject__(self, subject: Any) -> None:
        set_cache(self, subject)


_cache: Any = LazyProxy.__dict__["__cache__"]
get_cache = _cache.__get__
set_cache = _cache.__set__


class ObjectWrapper(ObjectProxy, AbstractWrapper):
    """An `ObjectProxy` whose subclasses may have attributes of their own."""

    __slots__ = ()


class CallbackWrapper(CallbackProxy, AbstractWrapper):
    """A `CallbackProxy` whose subclasses may have attributes of their own."""

    __slots__ = ()


class LazyWrapper(LazyProxy, AbstractWrapper):
    """A `LazyProxy` whose subclasses may have attributes of their own."""

    __slots__ = ()
