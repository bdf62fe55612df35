"""Regular expressions from strangers: the same answers as `re` gives, at a bounded cost."""

from __future__ import annotations

import re
import sys
import time
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from katcp.server import _patterns
from katcp.server._patterns import Search, _Automaton

NAMES = [
    "a",
    "m000.rsc.rxl.lna.temperature-1",
    "stage1.valve",
    "Stage_2.Valve-3",
    "x" * 40,
    "äöü.µm",
    "0.1.2",
    "_",
]

EXPRESSIONS = [
    "",
    "temp",
    "^stage",
    "valve$",
    r"^a$",
    r"\.",
    r"[.-]\d",
    r"(?i)STAGE",
    r"(?i:VALVE)-3$",
    r"(?i)[^a-z]+$",
    r"(?a)\w+$",
    r"\W",
    r"\s|\S{5}",
    r"(lna|he).*temp",
    r"(?:(\w+)\.)+temp",
    r".*rsc.*rxl.*lna.*temp.*",
    r"\brsc\b.*\brxl\b.*\blna\b.*1\b",
    r"\B.\B.*.\B.*x",
    r"^(?!.*lna).*e",
    r"(?<=rsc\.)rxl",
    r"(.)\1",
    r"(?m)^a$|^m.*.*.*1$",
    r"(?s).*.*.*.*v",
    r"\A.*.*.*.*\Z",
    r"^$",
    r"[^\W\d_]+?\d",
    r"(x{3}){5,}$",
    r"(?:x|xx)+$",
    r"(?:a|b|m|)*0",
    r"(?:(?#comment)x)*?",
    r"x{2,3}(?:)x{0,2}",
    r"(?x) rsc  # spaces mean nothing here",
]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_what_is_found_is_what_re_finds(expression: str) -> None:
    search = Search(expression)
    for name in NAMES:
        assert search.found_in(name) == bool(re.search(expression, name)), name


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_the_automaton_finds_the_same(expression: str) -> None:
    tree = _patterns.reader.parse(expression)
    if any(word in expression for word in ("(?!", "(?<=", r"\1")):
        with pytest.raises(re.error, match="looks around or refers to a group"):
            _Automaton(tree)
        return
    automaton = _Automaton(tree)
    for _ in range(2):  # the second time by what is remembered
        for name in NAMES:
            assert automaton.found_in(name) == bool(re.search(expression, name)), name


pieces = st.deferred(
    lambda: st.one_of(
        st.sampled_from(
            [*"abA.1-_^$", r"\d", r"\w", r"\W", r"\S", "[ab]", "[^a.]", "[a-c-]", r"\b", r"\B"]
        ),
        st.tuples(pieces, pieces).map("".join),
        st.tuples(pieces, pieces).map(lambda pair: f"(?:{pair[0]}|{pair[1]})"),
        st.tuples(
            pieces, st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "*?", "+?", "{0,2}"])
        ).map(lambda pair: f"({pair[0]}){pair[1]}"),
        pieces.map(lambda piece: f"(?i:{piece})"),
    )
)


@settings(max_examples=100, deadline=None)
@given(pieces, st.lists(st.text("abAB.1-_", min_size=1, max_size=8), max_size=5))
@example("(a|^)*$", ["b"])
@example("(?i:[^A])", ["a", "A"])
def test_any_expression_gives_the_answer_of_re(expression: str, names: list[str]) -> None:
    compiled = re.compile(expression)
    try:
        automaton = _Automaton(_patterns.reader.parse(expression))
    except re.error:
        return  # too complex: the other tests have those
    search = Search(expression)
    for name in names:
        expected = compiled.search(name) is not None
        assert automaton.found_in(name) == expected
        assert search.found_in(name) == expected


HOSTILE = [
    r"(a+)+$",
    r"(a+)+b",
    r"(a|a)*$",
    r"(a|aa)+b",
    r"(?:a*)*b",
    r"(a*a*)*b",
    r"((((((((((a*)*)*)*)*)*)*)*)*)*)*b",
    r"(.*a){20}b",
    r"(a?){30}a{30}b",
    r".*.*.*.*.*.*.*.*.*.*x",
    r"(?:\w|a|[a-z]|.)*(?:\w|a|[a-z]|.)*!",
    r"((a{1,30}){1,30}){1,30}b",
    r"(?:a|b){0,400}(?:a|b){0,400}!",
    r"(a*)*\1b",
    r"(?=(a+)+b)",
    r"(?!(a+)+b)c",
    r"(?:){1000000000}",
    r"(?:(?:){1000}){1000}",
    r"(?:(?:)|){1000000000}b",
    r"a{0,1000000}b",
    r"(?:(?:a+)+)+$" * 70,
    "(" * 400 + "a" + ")*" * 400,
    "[\0-\U0010ffff]" * 300,
    "(?i)" + "[\x00-\U000fffff]" * 150,
    "(?i)" + "(?:a|b|[^x])*" * 60 + "!",
    r"\b(a+)+\b!",
]


@pytest.mark.parametrize("expression", HOSTILE, ids=[repr(text[:20]) for text in HOSTILE])
@pytest.mark.parametrize("name", ["a" * 30 + "!", "a" * 64, "ab" * 60, "a" * 2000], ids=len)
def test_a_hostile_expression_is_refused_or_quick(expression: str, name: str) -> None:
    # No bound on time is asserted that a busy machine might not keep; `re` would take years.
    began = time.process_time()
    refused = ""
    try:
        assert Search(expression[:1000]).found_in(name) in (True, False)
    except ValueError as error:
        refused = str(error)
    assert refused[-1:] in ("", ".")
    assert len(refused) < 200
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("(", "missing ), unterminated subpattern"),
        ("[a", "unterminated character set"),
        ("*", "nothing to repeat"),
        ("a{9999999999999999999}", "the repetition number is too large"),
        ("(a+)+(?<!b)b", "looks around or refers to a group"),
        ("(a{1,99}){1,99}b", "too complex"),
    ],
)
def test_what_cannot_be_looked_for_is_refused(expression: str, text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        Search(expression)


def test_what_is_too_complex_only_for_long_names_is_refused_there() -> None:
    search = Search("a{0,3000}b")
    assert search.found_in("aab")
    with pytest.raises(ValueError, match="too complex"):
        search.found_in("a" * 5000)


#: Needs a new state for nearly each character, whatever came before.
FORGETFUL = "(a|b)*a(a|b){14}(a|b)*(a|b)*(a|b)*!"


def test_an_expression_has_so_much_time_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_patterns, "_MAX_VISITS", 50_000)
    search = Search(FORGETFUL)
    names = (f"{n * 7919:040b}".replace("1", "a").replace("0", "b") for n in range(100_000))
    with pytest.raises(ValueError, match="takes too long"):
        any(map(search.found_in, names))


def test_a_name_takes_so_much_time_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_patterns, "_MAX_VISITS_A_NAME", 100)
    search = Search(FORGETFUL)
    assert not search.found_in("aba")
    with pytest.raises(ValueError, match="takes too long"):
        search.found_in("aababbabbababbabbbabab")


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_patterns, "_MAX_KNOWN", 8)
    expression = "(?:a.{5})+(?:b.{4})+$"
    automaton = _Automaton(_patterns.reader.parse(expression))
    names = [f"{number:b}".replace("1", "a").replace("0", "b") for number in range(300)]
    for name in names:
        assert automaton.found_in(name) == bool(re.search(expression, name))
        assert len(automaton._known) <= 8


@pytest.mark.skipif(sys.version_info < (3, 11), reason="came with Python 3.11")
@pytest.mark.parametrize("expression", ["(?>a+)b", "a*+b", "(?>a*)*b", "(?:a+)++b"])
def test_groups_that_give_nothing_back(expression: str) -> None:
    for name in ("aab", "aaa", "a" * 40):
        found: Any
        try:
            found = Search(expression).found_in(name)
        except ValueError:
            continue
        assert found == bool(re.search(expression, name))
