import pytest
from hypothesis import given
from hypothesis import strategies as st

from katcp.errors import FailReply, InvalidReply
from katcp.kattypes import (
    Bool,
    Discrete,
    Float,
    Int,
    KatcpType,
    Parameter,
    Str,
    Timestamp,
    pack_types,
    unpack_types,
)
from katcp.kattypes._packing import (
    Absent,
    Slot,
    compile_caller,
    compile_packer,
    compile_unpacker,
    make_slots,
)

NAMES = ["n", "unit", "flag", "x", "y"]


def values_of_call(server, req, *values):
    assert (server, req) == ("server", "req")
    return list(values)


def both_unpack(types, args, names=NAMES, major=5):
    """Unpack by the quick ways, one of which calls a handler, and the slow one; all agree."""
    outcomes = []
    slots = make_slots(types, names)
    for unpack in (
        lambda: unpack_types(types, args, names, major),
        lambda: compile_unpacker(slots, major)(args),
        lambda: compile_caller(values_of_call, slots, major)("server", "req", args),
    ):
        try:
            outcomes.append(unpack())
        except FailReply as error:
            outcomes.append(str(error))
    assert outcomes[0] == outcomes[1] == outcomes[2]
    if isinstance(outcomes[0], str):
        raise FailReply(outcomes[0])
    return outcomes[0]


@pytest.mark.parametrize("count", range(4))
def test_errors_of_a_handler_are_not_taken_for_those_of_arguments(count):
    calls = []

    def fails(server, req, *values):
        calls.append(values)
        raise ValueError("of the handler")

    slots = make_slots([Int()] * count, NAMES)
    with pytest.raises(ValueError, match="of the handler"):
        compile_caller(fails, slots, 5)(None, None, [b"1"] * count)
    assert calls == [(1,) * count]


def test_unpack_types():
    types = [Int(), Str(default="m"), Bool(optional=True)]
    assert both_unpack(types, [b"1", b"km", b"1"]) == [1, "km", True]
    assert both_unpack(types, [b"1", b"km"]) == [1, "km", None]
    assert both_unpack(types, [b"1"]) == [1, "m", None]
    assert both_unpack([], []) == []


@pytest.mark.parametrize("count", range(7))
def test_any_number_of_types(count):
    names = [f"p{i}" for i in range(count)]
    types = [Int() for _ in range(count)]
    args = [b"%d" % i for i in range(count)]
    assert both_unpack(types, args, names) == list(range(count))
    assert pack_types(types, range(count), 5) == args
    assert compile_packer(types, 5)(range(count)) == args
    with pytest.raises(FailReply, match=r"^Too many parameters given\.$"):
        both_unpack(types, [*args, b"0"], names)
    with pytest.raises(ValueError, match=r"^Too many arguments to pack\.$"):
        compile_packer(types, 5)(range(count + 1))
    if count:
        with pytest.raises(FailReply) as missing:
            both_unpack(types, args[:-1], names)
        assert str(missing.value) == (
            f"Error in parameter {count} (p{count - 1}): No value or default given"
        )
        with pytest.raises(
            FailReply, match=rf"^Error in parameter {count} \(p{count - 1}\): Could"
        ):
            both_unpack(types, [*args[:-1], b"x"], names)


def test_first_bad_argument_is_named():
    with pytest.raises(FailReply, match=r"^Error in parameter 1 \(n\): Could not parse"):
        both_unpack([Int(), Int()], [b"x", b"y"])
    with pytest.raises(FailReply, match=r"^Error in parameter 2 \(unit\): .*utf-8"):
        both_unpack([Int(), Str()], [b"1", b"\xff"])


def test_required_behind_optional_is_required():
    with pytest.raises(FailReply, match=r"^Error in parameter 2 \(unit\): No value"):
        both_unpack([Int(default=1), Str()], [b"1"])
    assert both_unpack([Int(default=1), Str()], [b"2", b"s"]) == [2, "s"]


def test_type_that_takes_several():
    types = [Str(), Float(multiple=True)]
    assert both_unpack(types, [b"a", b"1", b"2", b"3"], ["label", "values"]) == ["a", 1, 2, 3]
    assert both_unpack(types, [b"a", b"1"], ["label", "values"]) == ["a", 1]


def test_w19_values_of_a_multiple_parameter_are_named():
    types, names = [Str(), Float(multiple=True)], ["label", "values"]
    with pytest.raises(FailReply) as bad:
        both_unpack(types, [b"label", b"1", b"x"], names)
    assert str(bad.value) == (
        "Error in parameter 3 (values): Could not parse value 'b'x'' as float."
    )
    with pytest.raises(FailReply) as missing:
        both_unpack(types, [b"label"], names)
    assert str(missing.value) == "Error in parameter 2 (values): No value or default given"


def test_first_of_several_may_be_optional_or_have_a_default():
    assert both_unpack([Float(multiple=True, optional=True)], []) == [None]
    assert both_unpack([Float(multiple=True, default=2.5)], []) == [2.5]
    assert both_unpack([Float(multiple=True, default=2.5)], [b"1", b"2"]) == [1.0, 2.0]


def test_type_that_takes_several_has_to_be_the_last():
    types = [Int(multiple=True), Int()]
    for use in (
        lambda: unpack_types(types, [b"1", b"2"], NAMES, 5),
        lambda: pack_types(types, [1, 2], 5),
        lambda: make_slots(types, NAMES),
    ):
        with pytest.raises(TypeError, match="Only the last parameter type can accept"):
            use()


def test_names_may_be_too_few():
    with pytest.raises(FailReply, match=r"^Error in parameter 1 \(\): "):
        both_unpack([Int()], [b"x"], [])
    with pytest.raises(FailReply, match=r"^Error in parameter 2 \(args\): "):
        both_unpack([Int(), Int()], [b"1", b"x"], ["args"])


def test_defaults_are_checked():
    with pytest.raises(FailReply, match=r"Integer 9 is higher than maximum 5\."):
        both_unpack([Int(max=5, default=9)], [])


def test_changing_defaults_are_asked_for_each_time():
    class Counting(Int):
        count = 0

        def get_default(self):
            self.count += 1
            return self.count

    unpack = compile_unpacker(make_slots([Counting()], ["n"]), 5)
    assert [unpack([]), unpack([]), unpack([b"7"])] == [[1], [2], [7]]


def test_changing_defaults_behind_others():
    class Fixed(Int):
        def get_default(self):
            return 9

    slots = [Slot("x", Int(), 3), Slot("y", Fixed())]
    assert compile_unpacker(slots, 5)([]) == [3, 9]
    assert compile_unpacker(slots, 5)([b"1"]) == [1, 9]


def test_version_is_passed_on():
    assert both_unpack([Timestamp()], [b"1500"], major=4) == [1.5]
    assert pack_types([Timestamp()], [1.5], 4) == [b"1500"]
    assert compile_packer([Timestamp()], 4)([1.5]) == [b"1500"]


def test_other_errors_are_not_hidden():
    class Broken(KatcpType):
        def decode(self, value, major):
            raise RuntimeError("bug")

    class Strict(KatcpType):
        def decode(self, value, major):
            raise InvalidReply("not so")

    for kattype, error in ((Broken(), RuntimeError), (Strict(), InvalidReply)):
        with pytest.raises(error):
            compile_unpacker(make_slots([kattype], ["x"]), 5)([b"1"])
        with pytest.raises(error):
            unpack_types([kattype], [b"1"], ["x"], 5)


def test_slots_with_defaults_of_python():
    unpack = compile_unpacker(
        [Slot("x", Int()), Slot("y", Int(), None), Slot("z", Int(), "any object")], 5
    )
    assert unpack([b"1"]) == [1, None, "any object"]
    assert unpack([b"1", b"2"]) == [1, 2, "any object"]
    assert unpack([b"1", b"2", b"3"]) == [1, 2, 3]
    with pytest.raises(FailReply, match=r"^Error in parameter 1 \(x\)"):
        unpack([])


def test_slot_that_may_stay_empty():
    unpack = compile_unpacker([Slot("x", Int()), Slot("rest", Int(), Absent.NOTHING, many=True)], 5)
    assert unpack([b"1"]) == [1]
    assert unpack([b"1", b"2", b"3"]) == [1, 2, 3]
    with pytest.raises(FailReply, match=r"^Error in parameter 3 \(rest\)"):
        unpack([b"1", b"2", b"x"])


def test_parameter():
    parameter = Parameter(2, "y", Timestamp(), 4)
    assert (parameter.position, parameter.name, parameter.major) == (2, "y", 4)
    assert parameter.unpack(b"1500") == 1.5
    assert parameter.pack(1.5) == b"1500"
    with pytest.raises(FailReply) as error:
        parameter.unpack(b"x")
    assert str(error.value) == ("Error in parameter 2 (y): Could not parse value 'x' as timestamp.")
    with pytest.raises(FailReply, match="No value or default given"):
        parameter.unpack(None)


def test_w14_parameters_are_checked_when_packed():
    with pytest.raises(ValueError, match="Integer 6 is higher than maximum 5"):
        Parameter(1, "n", Int(max=5), 5).pack(6)


def test_pack_types():
    types = [Int(), Str(default="m"), Discrete(["on", "off"], default="off")]
    assert pack_types(types, [1, "km", "on"], 5) == [b"1", b"km", b"on"]
    assert pack_types(types, (1,), 5) == [b"1", b"m", b"off"]
    assert pack_types(types, (1, None, "on"), 5) == [b"1", b"m", b"on"]
    assert compile_packer(types, 5)((1, None)) == [b"1", b"m", b"off"]


def test_pack_types_errors():
    with pytest.raises(ValueError, match=r"^Too many arguments to pack\.$"):
        pack_types([Int()], [1, 2], 5)
    for pack in (lambda v: pack_types([Int(), Str()], v, 5), compile_packer([Int(), Str()], 5)):
        with pytest.raises(ValueError, match=r"^No value or default given$"):
            pack([1])
        with pytest.raises(ValueError, match=r"^No value or default given$"):
            pack([1, None])
        with pytest.raises(TypeError):
            pack(["x", "y"])


def test_pack_several():
    for pack in (
        lambda v: pack_types([Str(), Float(multiple=True)], v, 5),
        compile_packer([Str(), Float(multiple=True)], 5),
    ):
        assert pack(["a", 1, 2.5]) == [b"a", b"1.0", b"2.5"]
        with pytest.raises(ValueError, match="No value or default given"):
            pack(["a"])
    assert pack_types([Float(multiple=True, default=1)], [], 5) == [b"1.0"]
    assert pack_types([Str(), Float(multiple=True, optional=True)], ["a"], 5) == [b"a"]


@given(
    st.lists(
        st.one_of(
            st.integers().map(lambda value: (Int(), value)),
            st.floats(allow_nan=False).map(lambda value: (Float(), value)),
            st.text(st.characters(exclude_categories=["Cs"])).map(lambda value: (Str(), value)),
            st.booleans().map(lambda value: (Bool(), value)),
        ),
        max_size=6,
    )
)
def test_round_trip(pairs):
    types, values = [kattype for kattype, _ in pairs], [value for _, value in pairs]
    assert both_unpack(types, pack_types(types, values, 5)) == values
    assert both_unpack(types, compile_packer(types, 5)(values)) == values


@given(st.lists(st.binary(max_size=4), max_size=6))
def test_any_arguments_are_values_or_a_fail_reply(args):
    types = [Int(), Float(default=1.5), Discrete(["a", "b"], optional=True), Str(multiple=True)]
    try:
        values = both_unpack(types, args)
    except FailReply as error:
        text = str(error)
    else:
        assert len(values) == max(4, len(args))
        return
    assert text.startswith("Error in parameter ")
