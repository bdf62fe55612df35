import enum
import ipaddress
import sys
import typing
from typing import Annotated, Any, Literal, NewType, Optional, Union

import pytest

from katcp.kattypes import Address, Float, Int, Str, Timestamp, decode, encode, type_for
from katcp.kattypes._annotations import _evaluate_instance, resolve_annotations
from katcp.kattypes._base import is_multiple, is_optional


class Mode(enum.Enum):
    STAND_BY = 1
    ON = 2


Metres = NewType("Metres", float)


@pytest.mark.parametrize(
    ("annotation", "wire", "value"),
    [
        (int, b"-7", -7),
        (float, b"1.5", 1.5),
        (bool, b"1", True),
        (str, b"\xc3\xa9t\xc3\xa9", "été"),
        (bytes, b"\xff\x00", b"\xff\x00"),
        (Mode, b"stand-by", Mode.STAND_BY),
        (Literal["on", "off"], b"off", "off"),
        (Literal["on", None], b"on", "on"),
        (ipaddress.IPv4Address, b"10.0.0.1", ipaddress.IPv4Address("10.0.0.1")),
        (ipaddress.IPv6Address, b"[::1]", ipaddress.IPv6Address("::1")),
        (
            ipaddress.IPv4Address | ipaddress.IPv6Address,
            b"10.0.0.1",
            ipaddress.ip_address("10.0.0.1"),
        ),
        (Optional[int], b"3", 3),  # noqa: UP045  # the old spelling is what is tested
        (int | None, b"3", 3),
        (Union[None, Mode], b"on", Mode.ON),  # noqa: UP007  # as above
        (Int, b"3", 3),
        (Int(min=1), b"3", 3),
        (Address, b"host:80", ("host", 80)),
        (Annotated[int, "a remark"], b"3", 3),
        (Annotated[int, "a remark", Int(min=1)], b"3", 3),
        (Annotated[float, Timestamp], b"12.500000", 12.5),
        (Metres, b"2.5", 2.5),
    ],
)
def test_annotations(annotation, wire, value):
    kattype = type_for(annotation)
    assert kattype.unpack(wire) == value
    assert type(kattype.unpack(wire)) is type(value)
    assert kattype.pack(value) == wire


def test_what_may_be_none_is_optional():
    for annotation in (int | None, Annotated[float | None, Timestamp], Literal["a", None]):
        assert is_optional(type_for(annotation))
        assert type_for(annotation).unpack(None) is None
    for annotation in (int, Annotated[float, Timestamp], Literal["a"]):
        assert not is_optional(type_for(annotation))


def test_limits_of_annotated_types_count():
    with pytest.raises(ValueError, match="lower than minimum 1"):
        type_for(Annotated[int, Int(min=1)]).unpack(b"0")
    assert isinstance(type_for(Annotated[float | None, Float(min=0)]), Float)


def test_options_are_passed_on():
    assert is_multiple(type_for(float, multiple=True))
    assert type_for(Mode | None, default=Mode.ON).unpack(None) is Mode.ON


@pytest.mark.parametrize(
    "annotation",
    [
        list,
        dict[str, int],
        complex,
        int | str,
        Literal[1, 2],
        Literal[None],
        None,
        "int",
        5,
        {},
        Any,
    ],
)
def test_other_annotations_are_refused(annotation):
    with pytest.raises(TypeError, match="is not the annotation of any KATCP type"):
        type_for(annotation)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="`type` statements came with Python 3.12")
def test_type_aliases():
    names: dict[str, Any] = {}
    exec("type Count = int", names)
    assert type_for(names["Count"]).unpack(b"3") == 3


def test_decode_and_encode_single_values():
    assert decode(int, b"5") == 5
    assert decode(Mode, b"on") is Mode.ON
    assert decode(Timestamp, b"1500", major=4) == 1.5
    with pytest.raises(ValueError, match="as integer"):
        decode(int, b"x")
    with pytest.raises(TypeError):
        decode(object(), b"x")
    assert [encode(v) for v in (True, 5, 1.5, "é", b"\xff", None, Mode.STAND_BY)] == [
        b"1",
        b"5",
        b"1.5",
        b"\xc3\xa9",
        b"\xff",
        b"None",
        b"stand-by",
    ]
    assert encode(ipaddress.ip_address("::1")) == b"[::1]"
    assert encode(ipaddress.ip_address("10.0.0.1")) == b"10.0.0.1"


def test_strings_are_resolved_in_module_closure_and_namespace():
    class Local(enum.Enum):
        A = 1

    def function(x):
        return Local  # so that the name is among the variables of this function

    resolved = resolve_annotations(
        function,
        {"x": "Mode", "y": "Local", "z": "Inner | None", "i": int, "n": None},
        {"Inner": Str},
    )
    assert resolved == {
        "x": Mode,
        "y": Local,
        "z": Str | None,
        "i": int,
        "n": type(None),
    }


def test_instances_written_as_strings_are_resolved():
    def function(x):
        """Do nothing."""

    resolved = resolve_annotations(
        function, {"x": "Int(min=1)", "y": "Annotated[int, Int(min=2)]"}, {}
    )
    assert isinstance(resolved["x"], Int)
    assert typing.get_args(resolved["y"])[0] is int


def test_instances_are_evaluated_where_typing_refuses_them():
    # Python 3.10 does; later versions do not need it.
    assert isinstance(_evaluate_instance("Int(min=1)", globals(), {}), Int)
    assert _evaluate_instance("Mode", globals(), {}) is None
    assert _evaluate_instance("Nowhere", globals(), {}) is None
    assert _evaluate_instance(5, globals(), {}) is None


def test_instances_are_used_where_typing_refuses_them(monkeypatch):
    def function(x):
        """Do nothing."""

    def refuse(*args, **kwargs):
        raise TypeError("Forward references must evaluate to types")

    monkeypatch.setattr(typing, "get_type_hints", refuse)
    assert isinstance(resolve_annotations(function, {"x": "Int(min=1)"}, {})["x"], Int)


def test_names_that_have_no_value_yet_are_not_known():
    def function(x):
        return later

    with pytest.raises(
        TypeError, match=r"parameter 'x': the annotation 'later' cannot be resolved"
    ):
        resolve_annotations(function, {"x": "later"}, {})
    later = 1


@pytest.mark.parametrize("annotation", ["Unknown", "1 +", "Mode.MISSING"])
def test_strings_that_cannot_be_resolved(annotation):
    def function(x):
        """Do nothing."""

    with pytest.raises(
        TypeError, match=r"function\(\): parameter 'x': the annotation .* cannot be"
    ):
        resolve_annotations(function, {"x": annotation}, {})
