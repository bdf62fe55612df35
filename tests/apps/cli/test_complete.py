"""What may come next on a line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from katcp.apps.cli._complete import LOCAL, Vocabulary, complete, parse_parameters, usage
from katcp.apps.cli._model import SensorInfo

VOCABULARY = Vocabulary(
    requests={
        "help": "Help.",
        "log-level": "Level.",
        "mode": "Change it.\n\nParameters: [mode: discrete(off|warm-up)]",
        "move": "Move.\n\nParameters: axis: discrete(az|el), by: float(0..9, or so), "
        "fast: boolean = 0, [note: string]",
        "sensor-sampling": "Sample.",
        "sensor-value": "Read.",
        "set-gain": "Set it.",
        "bad\x1b": "Evil.",
    },
    sensors={
        "mode": SensorInfo("mode", "Mode", "", "discrete", (b"off", b"warm-up")),
        "rx.gain": SensorInfo("rx.gain", "Gain", "", "discrete", (b"low", b"very high")),
        "rx.power": SensorInfo("rx.power", "Power\x1b", "W", "float"),
    },
)


def texts(before: str) -> list[str]:
    return [candidate.text for candidate in complete(before, VOCABULARY)]


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("mo", ["mode", "move"]),
        ("?mo", ["?mode", "?move"]),
        ("  mo", ["mode", "move"]),
        ("he", ["help"]),
        ("qu", ["quit"]),
        ("?qu", []),
        ("zzz", []),
        ("get r", ["rx.gain", "rx.power"]),
        ("get rx.gain m", ["mode"]),
        ("list r", ["rx.gain", "rx.power"]),
        ("list r ", []),
        ("watch rx.power pe", ["period"]),
        ("watch rx.power r", ["rx.gain", "rx.power"]),
        ("watch pe", []),
        ("watch rx.power period ", []),
        ("requests mo", ["mode", "move"]),
        ("call mo", ["mode", "move"]),
        ("call mode ", ["off", "warm-up"]),
        ("help mo", ["mode", "move"]),
        ("?help mo", ["mode", "move"]),
        ("sensor-value rx.p", ["rx.power"]),
        ("?sensor-value rx.p", ["rx.power"]),
        ("sensor-value rx.power ", []),
        ("sensor-sampling rx.power diff", ["differential", "differential-rate"]),
        ("sensor-sampling mode,rx.p", ["rx.power"]),
        ("log-level w", ["warn"]),
        ("mode ", ["off", "warm-up"]),
        ("mode w", ["warm-up"]),
        ("move ", ["az", "el"]),
        ("move az 3 ", ["0", "1"]),
        ("move az ", []),
        ("move az 3 0 ", []),
        ("move az 3 0 x y ", []),
        ("set-gain ", ["low", '"very high"']),
        ("unknown ", []),
    ],
)
def test_candidates(before: str, expected: list[str]) -> None:
    assert texts(before) == expected


def test_at_the_beginning_all_is_possible_but_what_cannot_be_typed() -> None:
    assert set(texts("")) == LOCAL.keys() | VOCABULARY.requests.keys() - {"bad\x1b"}


def test_start_is_that_of_the_word() -> None:
    (candidate,) = complete("sensor-sampling mode,rx.p", VOCABULARY)
    assert candidate.start == -len("rx.p")
    assert complete("?mod", VOCABULARY)[0].start == -len("?mod")


def test_what_it_is_told_beside_is_safe() -> None:
    metas = [candidate.meta for candidate in complete("get ", VOCABULARY)]
    assert metas == ["Mode", "Gain", "Power\\x1b"]


def test_same_words_as_the_sensor_of_that_name_if_only_one_has_it() -> None:
    two = Vocabulary(
        requests={"set-gain": ""},
        sensors={
            name: SensorInfo(name, type="discrete", params=(b"x",)) for name in ("a.gain", "b.gain")
        },
    )
    assert complete("set-gain ", two) == []


@given(st.text())
def test_any_text_before_the_cursor(before: str) -> None:
    for candidate in complete(before, VOCABULARY):
        assert candidate.text.isprintable()
        assert -len(before) <= candidate.start <= 0
    assert usage(before, VOCABULARY).isprintable()


@pytest.mark.parametrize(
    ("text", "parameters"),
    [
        ("No line of that kind.", []),
        ("Move.\n\nParameters: x: integer", ["x: integer"]),
        (
            "Parameters: axis: discrete(a|b), by: float(0..9, or so), [note: string]",
            ["axis: discrete(a|b)", "by: float(0..9, or so)", "[note: string]"],
        ),
        ("Parameters: x: odd))), y: integer", ["x: odd))), y: integer"]),
    ],
)
def test_parameters(text: str, parameters: list[str]) -> None:
    assert parse_parameters(text) == parameters


@pytest.mark.parametrize(
    ("before", "text"),
    [
        ("mode", "?mode [mode: discrete(off|warm-up)]   Change it."),
        ("?mode off", "?mode [mode: discrete(off|warm-up)]   Change it."),
        ("call mode ", "?mode [mode: discrete(off|warm-up)]   Change it."),
        ("set-gain 1", "?set-gain   Set it."),
        ("get ", "get: " + LOCAL["get"]),
        ("?help", "?help   Help."),
        ("mod", ""),
        ("", ""),
    ],
)
def test_usage(before: str, text: str) -> None:
    assert usage(before, VOCABULARY) == text
