import enum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from katcp.kattypes import Discrete, DiscreteEnum, DiscreteMulti, enum_word

WORDS = ["on", "off", "Stand-By"]


class Mode(enum.Enum):
    STAND_BY = 1
    ON = 2
    OFF = "powered-off"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Given(enum.Enum):
    A = 1

    @property
    def katcp_value(self):
        return b"the-a"


@given(st.sampled_from(WORDS))
def test_discrete_round_trip(word):
    kattype = Discrete(WORDS)
    assert kattype.unpack(kattype.pack(word)) == word
    assert kattype.decoder(5)(kattype.encoder(5)(word)) == word


def test_discrete_text_and_order():
    for refuse in (Discrete(["on", "off"]).unpack, Discrete(["on", "off"]).decoder(5)):
        with pytest.raises(ValueError) as error:
            refuse(b"up")
        assert str(error.value) == "Discrete value 'up' is not one of ['on', 'off']."


def test_discrete_takes_generators_and_bytes():
    kattype = Discrete(word for word in (b"a", "b"))
    assert [kattype.unpack(b"a"), kattype.unpack(b"b"), kattype.pack(b"a")] == ["a", "b", b"a"]
    with pytest.raises(TypeError):
        Discrete([1, 2])


def test_discrete_regardless_of_case():
    kattype = Discrete(["on", "Off"], case_insensitive=True)
    assert [kattype.unpack(b"ON"), kattype.decoder(5)(b"oFF"), kattype.pack("On")] == [
        "ON",
        "oFF",
        b"On",
    ]
    with pytest.raises(ValueError) as error:
        kattype.unpack(b"up")
    assert str(error.value) == (
        "Discrete value 'up' is not one of ['on', 'Off'] (case-insensitive)."
    )


def test_discrete_that_is_not_utf8():
    with pytest.raises(ValueError, match="utf-8"):
        Discrete(WORDS).unpack(b"\xff")


@given(st.lists(st.sampled_from(["a", "B", "c"]), min_size=1, unique=True))
def test_discrete_multi_round_trip(words):
    kattype = DiscreteMulti(["a", "B", "c"])
    assert kattype.unpack(kattype.pack(words)) == sorted(words, key=str.lower)
    assert kattype.decoder(5)(kattype.encoder(5)(words)) == sorted(words, key=str.lower)


def test_discrete_multi():
    kattype = DiscreteMulti(["a", "b", "c"])
    assert kattype.unpack(b"b,a") == ["a", "b"]
    assert kattype.unpack(b"all") == ["a", "b", "c"]
    assert kattype.pack(["c", b"a"]) == b"a,c"
    assert kattype.pack("all") == b"a,b,c"
    for refuse, value in ((kattype.unpack, b"a,d"), (kattype.pack, ["a", "d"])):
        with pytest.raises(ValueError) as error:
            refuse(value)
        assert str(error.value) == "Discrete value 'd' is not one of ['a', 'b', 'c']."
    with pytest.raises(ValueError, match="list of words"):
        kattype.pack(5)


def test_discrete_multi_options():
    kattype = DiscreteMulti(["a", "b"], all_keyword=None, separator="+")
    assert kattype.unpack(b"b+a") == ["a", "b"]
    assert (kattype.all_keyword, kattype.separator) == (None, "+")
    with pytest.raises(ValueError, match="'all' is not one of"):
        kattype.unpack(b"all")
    folded = DiscreteMulti(["a", "b"], case_insensitive=True)
    assert folded.unpack(b"ALL") == ["a", "b"]
    assert folded.unpack(b"B,a") == ["a", "B"]


@given(st.sampled_from(Mode))
def test_enum_round_trip(member):
    kattype = DiscreteEnum(Mode)
    assert kattype.unpack(kattype.pack(member)) is member
    assert kattype.decoder(5)(kattype.encoder(5)(member)) is member


def test_words_of_members():
    assert [enum_word(member) for member in Mode] == ["stand-by", "on", "powered-off"]
    assert enum_word(Level.HIGH) == "high"
    assert enum_word(Given.A) == "the-a"


def test_enum_takes_words_and_refuses_others():
    kattype = DiscreteEnum(Mode)
    assert kattype.pack("on") == kattype.pack(b"on") == b"on"
    assert kattype.describe() == "discrete(stand-by|on|powered-off)"
    for refuse, value in ((kattype.unpack, b"up"), (kattype.pack, "up")):
        with pytest.raises(ValueError, match="'up' is not one of"):
            refuse(value)
    with pytest.raises(ValueError, match="is not one of"):
        kattype.unpack(b"\xff")
    with pytest.raises(ValueError, match="is not one of"):
        kattype.pack(Level.LOW)


def test_enum_needs_an_enumeration_with_distinct_words():
    with pytest.raises(TypeError, match="not an enumeration"):
        DiscreteEnum(["a"])
    same = enum.Enum("same", {"a_b": 1, "A_B": 2})
    with pytest.raises(TypeError, match="same word"):
        DiscreteEnum(same)


def test_descriptions():
    assert Discrete(["on", "off"]).describe() == "discrete(on|off)"
    assert DiscreteMulti(["a", "b"]).describe() == "discretemulti(a,b)"
