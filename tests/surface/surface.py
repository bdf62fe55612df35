"""How the names of a package differ from those of katcp-python 0.9.3.

`TABLE` is what introspection found in the published package ``katcp`` 0.9.3 (on Python 3.9): names,
bases, signatures, defaults, values; no code and no text of it. `differences` compares the package
that is installed with it. A name that is missing, a parameter that is called otherwise, a default
that is another, are differences. Further names are none, nor are further parameters that a caller
need not give.
"""

import ast
import collections
import importlib
import inspect
import json
import logging
import pathlib
import re

FILE = pathlib.Path(__file__).with_name("katcp-python-0.9.3.json")
TABLE = json.loads(FILE.read_text(encoding="utf-8"))["modules"]

MISSING = "missing"
_NOTHING = object()


def cases():
    """Return (module, class or None) for each module and each class."""
    return [
        (module, name)
        for module, contents in TABLE.items()
        for name in [None, *contents.get("classes", {})]
    ]


def resolve(path):
    """Return the object called `path`, such as ``katcp.core.Message`` or ``dict``."""
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module or "builtins"), name)


def _evaluate(text):
    """Return the value that `text` shows, or `_NOTHING` if it shows no value."""
    if text is None or text == "...":
        return _NOTHING
    names = {"re": re, "logging": logging, "collections": collections}
    try:
        flags = resolve("katcp.core.ProtocolFlags")
        katcp = importlib.import_module("katcp")
        for module in set(re.findall(r"katcp\.(\w+)\.", text)):
            importlib.import_module("katcp." + module)
        return eval(text, {**names, "katcp": katcp, "ProtocolFlags": flags})
    except SyntaxError:
        return _NOTHING  # <object object> and the like


# -- signatures ------------------------------------------------------------------------------------


def _expected_parameters(text):
    """Return [(kind, name, text of the default or None)] of a signature as the table has it."""
    arguments = ast.parse("def f" + text + ": pass").body[0].args
    plain = arguments.posonlyargs + arguments.args
    defaults = [None] * (len(plain) - len(arguments.defaults)) + arguments.defaults
    parameters = [("plain", a.arg, d) for a, d in zip(plain, defaults)]  # noqa: B905  # Python 3.9
    if arguments.vararg:
        parameters.append(("args", arguments.vararg.arg, None))
    parameters += [
        ("keyword", a.arg, d)
        for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults)  # noqa: B905  # Python 3.9
    ]
    if arguments.kwarg:
        parameters.append(("kwargs", arguments.kwarg.arg, None))
    return [
        (kind, name, None if default is None else ast.unparse(default))
        for kind, name, default in parameters
    ]


def _same_default(text, parameter):
    if text is None:
        # A parameter that had to be given may be left out now.
        return True
    value = _evaluate(text)
    if value is _NOTHING:
        return parameter.default is not parameter.empty
    return type(value) is type(parameter.default) and value == parameter.default


def signature_difference(text, function, bound):
    """Return how the signature of `function` differs from `text`, or None.

    `bound` says whether the first parameter (`self`) is to be left out.
    """
    expected = _expected_parameters(text)
    if [kind for kind, _, _ in expected] == ["args", "kwargs"]:
        return None  # it passes on whatever it is given; the table says nothing of that
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return "has no signature"
    if bound and parameters and parameters[0].kind is not parameters[0].VAR_POSITIONAL:
        parameters = parameters[1:]
    actual = "(" + ", ".join(map(str, parameters)) + ")"
    kinds = inspect.Parameter
    plain = [
        p for p in parameters if p.kind in (kinds.POSITIONAL_OR_KEYWORD, kinds.POSITIONAL_ONLY)
    ]
    others = {p.name: p for p in parameters if p.kind is kinds.KEYWORD_ONLY}
    takes_args = any(p.kind is kinds.VAR_POSITIONAL for p in parameters)
    takes_kwargs = any(p.kind is kinds.VAR_KEYWORD for p in parameters)
    for kind, name, default in expected:
        if kind == "plain":
            if not plain:
                if takes_args and takes_kwargs:
                    continue
                return f"lacks {name}: {actual} for {text}"
            parameter = plain.pop(0)
            if parameter.name != name or parameter.kind is kinds.POSITIONAL_ONLY:
                return f"has {parameter} where {name} was: {actual} for {text}"
            if not _same_default(default, parameter):
                return f"has another default of {name}: {actual} for {text}"
        elif kind == "args":
            if not takes_args:
                return f"takes no *{name}: {actual} for {text}"
        elif kind == "keyword":
            parameter = others.pop(name, None) or next((p for p in plain if p.name == name), None)
            if parameter is None:
                if not takes_kwargs:
                    return f"lacks {name}: {actual} for {text}"
            elif not _same_default(default, parameter):
                return f"has another default of {name}: {actual} for {text}"
        elif not takes_kwargs and not others and not plain:
            return f"takes no **{name}: {actual} for {text}"
    needed = [p.name for p in [*plain, *others.values()] if p.default is p.empty]
    if needed:
        return f"needs {needed}: {actual} for {text}"
    return None


# -- modules and classes ---------------------------------------------------------------------------


def module_differences(module):
    """Yield (path, text) for what a module itself lacks, apart from its classes' contents."""
    contents = TABLE[module]
    try:
        actual = importlib.import_module(module)
    except ImportError as error:
        yield module, f"cannot be imported: {error}"
        return
    for name, origin in contents.get("re_exports", {}).items():
        value = getattr(actual, name, _NOTHING)
        if value is _NOTHING:
            yield f"{module}.{name}", MISSING
        elif value is not resolve(origin) and value != resolve(origin):
            yield f"{module}.{name}", f"is not {origin}"
    for name, text in contents.get("functions", {}).items():
        value = getattr(actual, name, _NOTHING)
        if value is _NOTHING:
            yield f"{module}.{name}", MISSING
        else:
            difference = signature_difference(text, value, bound=False)
            if difference:
                yield f"{module}.{name}", difference
    for name, text in contents.get("constants", {}).items():
        yield from _value_difference(f"{module}.{name}", getattr(actual, name, _NOTHING), text)
    for name, logger in contents.get("loggers", {}).items():
        if getattr(actual, name, _NOTHING) is not logging.getLogger(logger):
            yield f"{module}.{name}", f"is not the logger {logger}"
    for name in contents.get("classes", {}):
        if not isinstance(getattr(actual, name, None), type):
            yield f"{module}.{name}", MISSING
    # None of the modules had an ``__all__``.
    starred = getattr(actual, "__all__", None)
    if starred is not None:
        for section in ("re_exports", "functions", "constants", "loggers", "classes"):
            for name, text in contents.get(section, {}).items():
                if not name.startswith("_") and name not in starred and text is not None:
                    yield f"{module}.{name}", "is not imported by an asterisk"


def _value_difference(path, value, text):
    if value is _NOTHING:
        yield path, MISSING
        return
    expected = _evaluate(text)
    if expected is not _NOTHING and expected != value:
        yield path, f"is {value!r}, not {text}"


def _family(path):
    """Yield the entries of a class and of those it was derived from, nearest first."""
    module, _, name = path.rpartition(".")
    entry = TABLE.get(module, {}).get("classes", {}).get(name)
    if entry is not None:
        yield entry
        for base in entry["bases"]:
            yield from _family(base)


def _merged(path, section):
    """Return the members of a class and of its bases, without those that it has from a base.

    What a base has otherwise than it should is reported there, once.
    """
    merged = {}
    entry = next(_family(path))
    cls = resolve(path)
    for base in entry["bases"]:
        if next(_family(base), None) is None:
            continue
        try:
            base_cls = resolve(base)
        except (ImportError, AttributeError):
            continue
        for name, value in _merged(base, section).items():
            if _static(cls, name) is not _static(base_cls, name):
                merged.setdefault(name, value)
    merged.update(entry.get(section, {}))
    return merged


def class_differences(module, name, instance=None):
    """Yield (path, text) for what a class lacks; an `instance` helps where the class has no name.

    Only the names of the class and its bases in the table are looked at.
    """
    path = f"{module}.{name}"
    try:
        cls = resolve(path)
    except (ImportError, AttributeError):
        yield path, MISSING
        return
    entry = TABLE[module]["classes"][name]
    for base in entry["bases"]:
        try:
            if base.startswith("mock."):  # the package that became a part of Python
                if not any(f"{c.__module__}.{c.__name__}".endswith(base[5:]) for c in cls.__mro__):
                    yield path, f"is no {base}"
            elif not issubclass(cls, resolve(base)):
                yield path, f"is no {base}"
        except (ImportError, AttributeError):
            yield path, f"{base} is missing"
    if "metaclass" in entry and not isinstance(cls, resolve(entry["metaclass"])):
        yield path, f"is not made by {entry['metaclass']}"
    if "fields" in entry and list(getattr(cls, "_fields", ())) != entry["fields"]:
        yield path, f"does not have the fields {entry['fields']}"
    init = next((e["init"] for e in _family(path) if "init" in e), None)
    if init is not None:
        made_by_new = "fields" in entry
        difference = signature_difference(
            init, cls if made_by_new else cls.__init__, not made_by_new
        )
        if difference:
            yield f"{path}.__init__", difference
    for member, text in _merged(path, "methods").items():
        difference = _method_difference(cls, instance, member, text)
        if difference:
            yield f"{path}.{member}", difference
    for member, settable in _merged(path, "properties").items():
        difference = _property_difference(cls, instance, member, settable)
        if difference:
            yield f"{path}.{member}", difference
    for member, text in _merged(path, "attributes").items():
        yield from _value_difference(f"{path}.{member}", getattr(cls, member, _NOTHING), text)
    for member, names in entry.get("handlers", {}).items():
        handlers = set(getattr(cls, member, ()))
        if handlers != set(names):
            yield f"{path}.{member}", f"differs by {sorted(handlers ^ set(names))}"
    if instance is not None:
        for member in instance_attributes(path):
            if not _has(instance, member):
                yield f"{path}().{member}", MISSING


#: Methods that give an instance attributes which it does not have before.
_LATER = frozenset(["start", "_run_once", "set_ioloop", "sensor", "get_new_ioloop"])


def instance_attributes(path, later=False):
    """Return the attributes that instances have once made, or that they get `later`."""
    return [
        member
        for entry in _family(path)
        for method, members in entry.get("instance", {}).items()
        for member in members
        if (method in _LATER) == later
    ]


def _has(instance, member):
    try:
        getattr(instance, member)
    except AttributeError:
        return False
    except Exception:  # a property that is there, but not yet of use
        return True
    return True


def _static(cls, member):
    """Return what the classes have as `member`, without asking a descriptor."""
    return next((c.__dict__[member] for c in cls.__mro__ if member in c.__dict__), _NOTHING)


def _method_difference(cls, instance, member, text):
    kind, _, signature = text.rpartition("method ")
    static = _static(cls, member)
    if isinstance(static, property) and instance is None:
        return None
    if static is _NOTHING or isinstance(static, property):
        value = getattr(instance, member, _NOTHING)
        if value is _NOTHING:
            return MISSING
        return signature_difference(signature, value, bound=False)
    if member.startswith("__"):
        return None  # Python calls it, by position
    if kind and not isinstance(static, (classmethod, staticmethod)):
        return f"is no {kind}method"
    if isinstance(static, (classmethod, staticmethod)) or not inspect.isfunction(static):
        bound = not isinstance(static, (classmethod, staticmethod)) and inspect.isroutine(static)
        return signature_difference(signature, getattr(cls, member), bound=bound)
    return signature_difference(signature, static, bound=True)


def _property_difference(cls, instance, member, settable):
    static = _static(cls, member)
    if static is _NOTHING:
        if instance is None or _has(instance, member):
            return None if instance is not None else MISSING
        return MISSING
    if settable and isinstance(static, property) and static.fset is None:
        return "cannot be set"
    return None
