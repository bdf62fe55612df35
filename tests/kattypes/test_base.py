import pytest

from katcp.kattypes import Float, Int, KatcpType, Str, logger
from katcp.kattypes._base import as_types, is_multiple, is_optional, quoted, unparsable


class Hex(KatcpType):
    """A type as users write them."""

    name = "hex"

    def encode(self, value, major):
        return b"%x" % value

    def decode(self, value, major):
        return int(value, 16)


class EvenHex(Hex):
    def check(self, value, major):
        if value % 2:
            raise ValueError(f"{value} is odd in version {major}.")


def test_type_of_a_user_packs_and_unpacks():
    assert Hex().pack(255) == b"ff"
    assert Hex().unpack(b"ff") == 255
    assert Hex().decoder(5)(b"ff") == 255
    assert Hex().encoder(5)(255) == b"ff"
    assert repr(Hex()) == "<Hex: hex>"


def test_both_ways_are_checked():
    even = EvenHex()
    for refuse in (even.pack, even.encoder(5)):
        with pytest.raises(ValueError, match="3 is odd in version 5"):
            refuse(3)
    for refuse in (even.unpack, even.decoder(5)):
        with pytest.raises(ValueError, match="3 is odd in version 5"):
            refuse(b"3")
    assert even.decoder(5)(b"4") == 4
    assert even.pack(3, nocheck=True) == b"3"
    assert even.pack(3, True) == b"3"


def test_version_reaches_the_type():
    with pytest.raises(ValueError, match="version 4"):
        EvenHex().pack(3, major=4)
    with pytest.raises(ValueError, match="version 4"):
        EvenHex().unpack(b"3", major=4)


def test_decoder_respects_an_overridden_unpack():
    class Lenient(Int):
        def unpack(self, packed_value, major=5):
            try:
                return super().unpack(packed_value, major)
            except ValueError:
                return -1

    assert Lenient().decoder(5)(b"x") == -1


def test_decoder_does_not_check_a_value_of_none():
    class Maybe(EvenHex):
        def decode(self, value, major):
            return None if value == b"-" else super().decode(value, major)

    assert Maybe().decoder(5)(b"-") is None


def test_missing_value_needs_default_or_optional():
    with pytest.raises(ValueError, match=r"^No value or default given$"):
        Int().unpack(None)
    assert Int(optional=True).unpack(None) is None
    assert Int(default=7).unpack(None) == 7
    assert Int(default=7, optional=True).unpack(None) == 7
    assert Int(default=0).unpack(None) == 0


def test_none_packs_as_default_or_not_at_all():
    assert Int(default=7).pack(None) == b"7"
    for kattype in (Int(), Int(optional=True), Str(), Str(optional=True)):
        with pytest.raises(ValueError, match=r"^No value or default given$"):
            kattype.pack(None)


def test_default_is_checked_when_it_is_used():
    kattype = Int(max=5, default=6)
    with pytest.raises(ValueError, match="higher than maximum 5"):
        kattype.unpack(None)
    with pytest.raises(ValueError, match="higher than maximum 5"):
        kattype.pack(None)


def test_default_may_be_made_when_it_is_asked_for():
    class Counting(Int):
        count = 0

        def get_default(self):
            self.count += 1
            return self.count

    kattype = Counting()
    assert [kattype.unpack(None), kattype.unpack(None)] == [1, 2]


def test_constructor_of_a_subclass_need_not_call_ours():
    class Bare(Hex):
        def __init__(self):
            self.factor = 2

    bare = Bare()
    assert bare.unpack(b"a") == 10
    assert not is_multiple(bare)
    assert not is_optional(bare)
    with pytest.raises(ValueError, match="No value or default given"):
        bare.unpack(None)


def test_base_has_neither_encode_nor_decode():
    with pytest.raises(NotImplementedError, match=r"KatcpType does not define encode"):
        KatcpType().pack(1)
    with pytest.raises(NotImplementedError, match=r"KatcpType does not define decode"):
        KatcpType().unpack(b"1")


def test_options_are_kept_under_the_names_that_subclasses_use():
    kattype = Float(default=1.5, optional=True, multiple=True)
    assert (kattype._default, kattype._optional, kattype._multiple) == (1.5, True, True)


def test_types_may_be_given_as_classes():
    first, second = as_types([Int, Str(default="m")])
    assert type(first) is Int
    assert second.get_default() == "m"


@pytest.mark.parametrize("not_a_type", [int, 5, "Int", len])
def test_what_is_no_type_is_refused(not_a_type):
    with pytest.raises(TypeError, match="is not a KATCP type"):
        as_types([not_a_type])


def test_only_the_last_type_may_take_several():
    text = r"^Only the last parameter type can accept multiple arguments\.$"
    with pytest.raises(TypeError, match=text):
        as_types([Int(multiple=True), Str()])
    assert len(as_types([Int(), Str(multiple=True)])) == 2


def test_errors_do_not_repeat_megabytes():
    assert quoted(b"x" * 1000) == repr(b"x" * 1000)
    text = str(unparsable(b"x" * 3_000_000, "integer"))
    assert len(text) < 1100
    assert text.endswith("...' as integer.")


def test_logger_name():
    assert logger.name == "katcp.kattypes"
