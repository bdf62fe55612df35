"""Regular expressions from strangers: the same answers as `re` gives, or none."""

from __future__ import annotations

import re
import sys
import time

import pytest

from katcp.server._patterns import Search

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
    r".*rsc.*rxl.*lna.*temp.*",
    r"^m0+\..*temperature-\d+$",
    r"\brsc\b.*\blna\b.*1\b",
    r"^(?!.*lna).*e",
    r"(?<=rsc\.)rxl",
    r"(.)\1",
    r"(?s).*v",
    r"\A.*e.*\Z",
    r"^$",
    r"[^\W\d_]+?\d",
    r"(x{3}){5,}$",
    r"(?:(?#comment)x)*?",
    r"x{2,3}(?:)x{0,2}",
    r"(?x) rsc  # spaces mean nothing here",
    r".*",
    r".*?a",
    r".*+" if sys.version_info >= (3, 11) else ".+",
]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_what_is_found_is_what_re_finds(expression: str) -> None:
    search = Search(expression)
    for name in NAMES:
        assert search.found_in(name) == bool(re.search(expression, name)), name


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
    r"a*a*a*a*a*a*b",
    r"(a.*)(a.*)(a.*)(a.*)(a.*)(a.*)b",
    r"(?:.*|x)(?:.*|x)(?:.*|x)(?:.*|x)(?:.*|x)(?:.*|x)b",
    r".*a.*a.*a.*a.*a.*b",
]


@pytest.mark.parametrize("expression", HOSTILE, ids=[repr(text[:20]) for text in HOSTILE])
@pytest.mark.parametrize("name", ["a" * 30 + "!", "a" * 64, "ab" * 60, "a" * 2000], ids=len)
def test_a_hostile_expression_is_refused_or_quick(expression: str, name: str) -> None:
    # For some of them `re` would take years; the limit only tells years from a busy machine.
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
        ("(a+)+b", "it may take too long to look for."),
        (r"(a*)*\1b", "it may take too long to look for."),
    ],
)
def test_what_cannot_be_looked_for_is_refused(expression: str, text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        Search(expression)


def test_what_takes_long_in_long_names_only_is_refused_there() -> None:
    search = Search("a.*a.*a.*b")
    assert search.found_in("aaaab")
    assert not search.found_in("x" * 60)
    with pytest.raises(ValueError, match="may take too long"):
        search.found_in("a" * 1000)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="came with Python 3.11")
@pytest.mark.parametrize("expression", ["(?>a+)b", "a*+b", "(?:ab)++c"])
def test_groups_that_give_nothing_back(expression: str) -> None:
    for name in ("aab", "aaa", "a" * 40):
        assert Search(expression).found_in(name) == bool(re.search(expression, name))
