"""B1: every target over all its seeds, what has found something once, and made-up bytes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from katcp.client import DeviceClient
from katcp.expressions import Expression
from katcp.inspecting_client._watcher import SensorKeeper
from katcp.kattypes import Int
from katcp.protocol import MessageParser, StreamParser
from katcp.server import DeviceServerBase
from tests.fuzz import _ends, corpus
from tests.fuzz.targets import TARGETS, Case
from tests.helpers import figures

#: So many cases of each target are made of its seeds by changing some bytes.
CASES = 150


@pytest.fixture(params=TARGETS)
def target(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def case(target: str) -> Iterator[Case]:
    made = TARGETS[target].make()
    yield made
    close = getattr(made, "close", None)
    if close is not None:
        close()


@pytest.mark.slow
def test_b1_seeds_hold_the_invariant(target: str, case: Case) -> None:
    seeds = TARGETS[target].seeds()
    assert len(seeds) >= 10
    for seed in [*seeds, *corpus.found(target)]:
        case(seed)


@pytest.mark.slow
def test_b1_mutated_seeds_hold_the_invariant(target: str, case: Case) -> None:
    source = random.Random(f"{target} 1")
    seeds = TARGETS[target].seeds()
    figures.note("cases", CASES)
    for _ in range(CASES):
        case(mutated(source, source.choice(seeds), source.choice(seeds)))


def mutated(source: random.Random, seed: bytes, other: bytes) -> bytes:
    """Return a seed with bytes changed, taken out, doubled, and some of another seed put in."""
    data = bytearray(seed)
    for _ in range(source.randrange(1, 8)):
        at = source.randrange(len(data) + 1)
        size = source.randrange(1, 12)
        match source.randrange(5):
            case 0:
                data[at : at + 1] = source.randbytes(1)
            case 1:
                del data[at : at + size]
            case 2:
                data[at:at] = data[at : at + size] * source.randrange(1, 4)
            case 3:
                start = source.randrange(len(other) + 1)
                data[at:at] = other[start : start + 10 * size]
            case 4:
                data[at:at] = source.choice(INTERESTING)
    return bytes(data)


INTERESTING = [b"\\", b"\\@", b"\\_", b"\r", b"\n", b"\0", b"\x1b", b"[", b"]", b" ", b"\t"]
INTERESTING += [b"?", b"!", b"#", b"\xff", b"9" * 30, b"1e999", b"nan", b"-0", b",", b"/", b".*"]


# -- the targets notice ---------------------------------------------------------------------


def _raise(error: BaseException) -> Any:
    def broken(*args: Any, **kwargs: Any) -> Any:
        raise error

    return broken


def _lose_tail(feed: Any) -> Any:
    return lambda self, data: feed(self, data[:-1])


BROKEN: dict[str, tuple[Any, str, Any]] = {
    "framing": (StreamParser, "feed", _lose_tail(StreamParser.feed)),
    "message": (MessageParser, "parse", _raise(KeyError("x"))),
    "types": (Int, "decode", _raise(OverflowError("x"))),
    "expressions": (Expression, "evaluate", lambda *args: 7),
    "server": (DeviceServerBase, "_unknown", lambda *args: None),
    "client": (DeviceClient, "handle_inform", _raise(AttributeError("x"))),
    "inspecting": (SensorKeeper, "_objects_changed", _raise(AttributeError("x"))),
}


def try_all(case: Case, seeds: list[bytes]) -> None:
    for seed in seeds:
        case(seed)


@pytest.mark.slow
def test_b1_a_fault_is_noticed(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_ends, "PATIENCE", 0.3)
    case = TARGETS[target].make()
    owner, name, fault = BROKEN[target]
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, fault)
        with pytest.raises((AssertionError, ValueError, KeyError, ArithmeticError, TimeoutError)):
            try_all(case, TARGETS[target].seeds())
    if isinstance(case, _ends.Target):
        case.abandon()
