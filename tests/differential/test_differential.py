"""B2: other codecs make the same of the same bytes, but for what is listed with its reason."""

from __future__ import annotations

import ast
import configparser
import itertools
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.differential import _messages, _peers
from tests.differential._messages import Fields
from tests.helpers import figures
from tests.helpers.sizes import sizes

FILE = Path(__file__).with_name("DIFFERENCES.ini")
NAMES = ["aiokatcp", "katcp-codec", "katcp-python"]


class Difference:
    """A section of the file."""

    def __init__(self, title: str, section: Any) -> None:
        self.title = title
        self.what = section["what"]
        self.peers = section["peers"].split()
        self.when = compile(section["when"], title, "eval")
        self.kinds = section["ours"], section["theirs"]
        self.example = _value(section["example"])
        self.why = section["why"]
        assert set(section) == {"what", "peers", "when", "ours", "theirs", "example", "why"}

    def explains(self, peer: str, what: str, given: Any, ours: Any, theirs: Any) -> bool:
        """Tell whether this is the difference, or one like it."""
        return (
            self.what == what
            and peer in self.peers
            and self.kinds == (_kind(ours), _kind(theirs))
            and bool(eval(self.when, {"re": re}, _names(given)))
        )


def _value(text: str) -> Any:
    if not text.startswith("("):
        return ast.literal_eval(text)
    return Fields(*eval(text, {}, {}))  # which may have 2**31 in it


def _names(given: Any) -> dict[str, Any]:
    return given._asdict() if isinstance(given, Fields) else {"line": given}


def _kind(outcome: Any) -> str:
    if isinstance(outcome, tuple):
        return "message"
    return "line" if isinstance(outcome, bytes) else str(outcome.value)


def differences() -> list[Difference]:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(FILE, "ascii")
    return [Difference(title, parser[title]) for title in parser.sections()]


LISTED = differences()


@pytest.fixture(params=NAMES)
def peer(request: pytest.FixtureRequest) -> Iterator[Any]:
    with _made(request.param) as made:
        yield made


class _made:  # noqa: N801  # used as a function
    """A peer by its name, for the length of a block."""

    def __init__(self, name: str) -> None:
        self._old: _peers.Old | None = None
        self._peer: Any
        if name == "katcp-python":
            if not _peers.OLD:
                pytest.skip("KATCP_OLD_PYTHON does not name a Python that has katcp-python 0.9.3")
            self._peer = self._old = _peers.Old(_peers.OLD)
        else:
            self._peer = _peers.Aiokatcp() if name == "aiokatcp" else _peers.Codec()

    def __enter__(self) -> Any:
        return self._peer

    def __exit__(self, *exc_info: Any) -> None:
        if self._old is not None:
            self._old.close()


def compare(peer: Any, what: str, given: list[Any]) -> Counter[str]:
    """Compare what comes of lines or messages; return how often which difference was met."""
    ours: Any = _peers.Ours()
    met: Counter[str] = Counter()
    for one, theirs in zip(given, getattr(peer, what)(given), strict=True):
        mine = getattr(ours, what)(one)
        if theirs is None or mine == theirs:
            continue
        for listed in LISTED:
            if listed.explains(peer.name, what, one, mine, theirs):
                met[listed.title] += 1
                break
        else:
            pytest.fail(f"{what} {one!r}: {mine!r}, and by {peer.name} {theirs!r}")
    return met


@pytest.mark.parametrize("what", ["parse", "format"])
@sizes("compared_messages", 1000, 1_000_000)
def test_b2_others_make_the_same_of_it(peer: Any, what: str, compared_messages: int) -> None:
    met: Counter[str] = Counter()
    make: Any = _messages.lines if what == "parse" else _messages.fields
    for seed in range(0, compared_messages, 1000):
        met += compare(peer, what, list(make(seed, min(1000, compared_messages - seed))))
    figures.note("differences, all of them listed", sum(met.values()))
    # Most are alike, or there would be nothing to compare.
    assert sum(met.values()) < compared_messages / 4


@pytest.mark.parametrize(
    ("listed", "name"),
    [(listed, name) for listed in LISTED for name in listed.peers],
    ids=lambda value: value.title if isinstance(value, Difference) else value,
)
def test_b2_each_difference_that_is_listed_is_one(listed: Difference, name: str) -> None:
    with _made(name) as peer:
        assert compare(peer, listed.what, [listed.example])[listed.title] == 1
    assert len(listed.why) > 40


def test_b2_a_message_survives_both_ways() -> None:
    ours = _peers.Ours()
    survived = 0
    for fields in itertools.chain(*(_messages.fields(seed, 500) for seed in (1, 2))):
        line = ours.format(fields)
        if line is _peers.ERROR or (fields.mid or 0) >= 10**20:
            continue
        mtype, name, mid, arguments = ours.parse(line)
        assert (mtype, name, None if mid is None else int(mid)) == fields[:3]
        if _peers.plain(fields):
            assert arguments == fields.arguments
        survived += 1
    assert survived > 700
