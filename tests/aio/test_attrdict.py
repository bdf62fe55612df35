import copy
import pickle

import pytest

from katcp.aio import AttrDict, DefaultAttrDict


def test_keys_are_attributes() -> None:
    d = AttrDict(a=1)
    d.b = 2
    d["c"] = 3
    assert d == {"a": 1, "b": 2, "c": 3}
    assert (d.a, d.b, d.c) == (1, 2, 3)
    del d.a
    assert "a" not in d


def test_missing_ones_are_attribute_errors() -> None:
    d = AttrDict()
    with pytest.raises(AttributeError, match="nope"):
        d.nope  # noqa: B018
    with pytest.raises(AttributeError, match="nope"):
        del d.nope
    assert not hasattr(d, "nope")


def test_it_can_be_copied_and_pickled() -> None:
    d = AttrDict(a={1})
    assert copy.deepcopy(d) == d
    assert pickle.loads(pickle.dumps(d)) == d


def test_a_default_one_makes_what_is_missing() -> None:
    d = DefaultAttrDict(list)
    d.a.append(1)
    d["b"].append(2)
    d.c = 3
    assert d == {"a": [1], "b": [2], "c": 3}
    assert copy.copy(d) == d
    d.default_factory = None
    with pytest.raises(KeyError):
        d["x"]


def test_names_of_the_language_are_never_made() -> None:
    d = DefaultAttrDict(list)
    assert not hasattr(d, "__nothing__")
    assert d == {}
