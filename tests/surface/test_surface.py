"""The package has every name of katcp-python 0.9.3, with the same parameters and defaults."""

import pytest

from tests.surface import instances, surface
from tests.surface.differences import DIFFERENCES


def _case_id(case):
    module, name = case
    return module if name is None else f"{module}.{name}"


def _owner(path):
    """Return the case that a difference belongs to."""
    for module in sorted(surface.TABLE, key=len, reverse=True):
        for name in surface.TABLE[module].get("classes", {}):
            if path.startswith((f"{module}.{name}.", f"{module}.{name}().")):
                return (module, name)
        if path == module or path.startswith(module + "."):
            return (module, None)
    return None


@pytest.mark.parametrize("case", surface.cases(), ids=_case_id)
def test_names_and_signatures(case):
    module, name = case
    if name is None:
        found = dict(surface.module_differences(module))
    else:
        with instances.made(f"{module}.{name}") as instance:
            found = dict(surface.class_differences(module, name, instance))
    meant = {path for path in DIFFERENCES if _owner(path) == case}
    new = {path: text for path, text in found.items() if path not in meant}
    assert not new, "\n".join(f"{path}: {text}" for path, text in new.items())
    assert meant <= set(found), f"no longer different: {sorted(meant - set(found))}"


@pytest.mark.parametrize("path", list(DIFFERENCES))
def test_differences_are_of_something(path):
    assert _owner(path) is not None
    assert DIFFERENCES[path]
