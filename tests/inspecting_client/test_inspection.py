from __future__ import annotations

from typing import Any

import pytest

from katcp.errors import SyncError
from katcp.inspecting_client._agenda import EVERYTHING, Plan
from katcp.inspecting_client._inspection import Dialogue, inspect
from katcp.inspecting_client._model import Findings
from katcp.protocol import MessageParser

parse = MessageParser().parse


def hold(dialogue: Dialogue[Any], *answers: str) -> tuple[list[str], Any]:
    """Hold a dialogue; answers are lines, as many as belong to each round of questions.

    Return the questions and the result.
    """
    asked: list[str] = []
    lines = iter(answers)
    try:
        questions = next(dialogue)
        while True:
            asked += map(str, questions)
            replies = []
            for _ in questions:
                informs = []
                while (line := parse(next(lines).encode())).mtype != 1:
                    informs.append(tuple(line.arguments))
                replies.append((tuple(line.arguments), informs))
            questions = dialogue.send(replies)
    except StopIteration as end:
        assert not list(lines), "there were more answers than questions"
        return asked, end.value


def test_everything() -> None:
    problems: list[str] = []
    asked, findings = hold(
        inspect(EVERYTHING, False, problems),
        "#help add Add\\_two.",
        "#help help",
        "!help ok 2",
        "#sensor-list a.b An\\_int. V integer -1 5",
        "#sensor-list a.c Text. \\@ string",
        "!sensor-list ok 2",
    )
    assert asked == ["?help", "?sensor-list"]
    assert findings == Findings(
        sensors={
            "a.b": (b"a.b", b"An int.", b"V", b"integer", b"-1", b"5"),
            "a.c": (b"a.c", b"Text.", b"", b"string"),
        },
        requests={"add": (b"Add two.", None), "help": (b"", None)},
    )
    assert problems == []


def test_with_timeout_hints() -> None:
    problems: list[str] = []
    asked, findings = hold(
        inspect(EVERYTHING, True, problems),
        "#help add Add.",
        "#help slow Slow.",
        "#help quick Quick.",
        "!help ok 3",
        "#request-timeout-hint slow 30.0",
        "#request-timeout-hint quick 0",
        "#request-timeout-hint add soon",
        "#request-timeout-hint other 5",
        "#request-timeout-hint",
        "#request-timeout-hint slow",
        "!request-timeout-hint ok 4",
        "!sensor-list ok 0",
    )
    assert asked == ["?help", "?request-timeout-hint", "?sensor-list"]
    assert findings.requests == {
        "add": (b"Add.", None),
        "slow": (b"Slow.", b"30.0"),
        "quick": (b"Quick.", None),
    }
    assert problems == ["bad timeout hint of 'add': b'soon'", "a timeout hint without a name"]


def test_hints_that_are_refused_are_no_obstacle() -> None:
    problems: list[str] = []
    _, findings = hold(
        inspect(Plan(all_requests=True), True, problems),
        "#help add Add.",
        "!help ok 1",
        "!request-timeout-hint invalid Unknown\\_request.",
    )
    assert findings.requests == {"add": (b"Add.", None)}
    assert findings.sensors is None
    assert "?request-timeout-hint was answered" in problems[0]


@pytest.mark.parametrize(
    "reply", ["!help fail not\\_ready", "!help invalid", "!help", "!help partial"]
)
def test_a_refusal_ends_it(reply: str) -> None:
    with pytest.raises(SyncError, match=r"\?help was answered"):
        hold(inspect(EVERYTHING, False, []), reply)


def test_by_name() -> None:
    asked, findings = hold(
        inspect(Plan(sensors=("a", "gone"), requests=("go", "gone")), False, []),
        "#help go Go\\_there.\\nAnd\\_back.",
        "!help ok 1",
        "!help fail Unknown\\_request\\_method.",
        "#sensor-list a A. \\@ integer",
        "!sensor-list ok 1",
        "!sensor-list fail Unknown\\_sensor\\_name.",
    )
    assert asked == ["?help go", "?help gone", "?sensor-list a", "?sensor-list gone"]
    assert findings == Findings(
        some_sensors={"a": (b"a", b"A.", b"", b"integer"), "gone": None},
        some_requests={"go": (b"Go there.\nAnd back.", None), "gone": None},
    )


@pytest.mark.parametrize(
    "text",
    [
        "Unknown\\_sensor\\_name.",
        "Unknown\\_sensor\\_'X'",
        "not-found",
        "sensor\\_X\\_is\\_not\\_known",
        "No\\_such\\_sensor",
        "X\\_does\\_not\\_exist",
    ],
)
def test_how_devices_say_that_they_have_no_such_thing(text: str) -> None:
    _, findings = hold(inspect(Plan(sensors=("X",)), False, []), f"!sensor-list fail {text}")
    assert findings.some_sensors == {"X": None}


@pytest.mark.parametrize("reply", ["fail Try\\_again\\_later.", "invalid Unknown\\_request."])
def test_other_refusals_by_name_do_not_say_that(reply: str) -> None:
    with pytest.raises(SyncError):
        hold(inspect(Plan(requests=("X",)), False, []), f"!help {reply}")
    with pytest.raises(SyncError):
        hold(inspect(Plan(sensors=("X",)), False, []), f"!sensor-list {reply}")


def test_an_answer_about_something_else_counts_as_none() -> None:
    _, findings = hold(
        inspect(Plan(sensors=("X",), requests=("Y",)), False, []),
        "#help Z Text.",
        "!help ok 1",
        "!sensor-list ok 0",
    )
    assert findings.some_sensors == {"X": None}
    assert findings.some_requests == {"Y": None}


def test_w58_no_hint_is_asked_for_what_is_not_there() -> None:
    asked, findings = hold(
        inspect(Plan(requests=("nope",)), True, []), "!help fail Unknown\\_request\\_method."
    )
    assert asked == ["?help nope"]
    assert findings.some_requests == {"nope": None}


def test_hints_by_name() -> None:
    asked, findings = hold(
        inspect(Plan(requests=("slow", "gone", "odd")), True, []),
        "#help slow Slow.",
        "!help ok 1",
        "!help fail Unknown\\_request",
        "#help odd Odd.",
        "!help ok 1",
        "#request-timeout-hint slow 30",
        "!request-timeout-hint ok 1",
        "!request-timeout-hint fail",
    )
    assert asked[3:] == ["?request-timeout-hint slow", "?request-timeout-hint odd"]
    assert findings.some_requests == {
        "slow": (b"Slow.", b"30"),
        "gone": None,
        "odd": (b"Odd.", None),
    }


def test_bad_items_are_noted_and_good_ones_used() -> None:
    problems: list[str] = []
    _, findings = hold(
        inspect(Plan(all_sensors=True), False, problems),
        "#sensor-list good Text. V float",
        "#sensor-list",
        "#sensor-list \\@ Nameless. V float",
        "#sensor-list only-a-name",
        "#sensor-list no-type Text. V",
        "#sensor-list odd Text. V quaternion 1 2 3",
        "!sensor-list ok 17",
    )
    assert findings.sensors == {
        "good": (b"good", b"Text.", b"V", b"float"),
        "only-a-name": (b"only-a-name", b"", b"", b"string"),
        "no-type": (b"no-type", b"Text.", b"V", b"string"),
        "odd": (b"odd", b"Text.", b"V", b"quaternion", b"1", b"2", b"3"),
    }
    assert problems == [
        "a sensor without a name",
        "a sensor without a name",
        "sensor 'only-a-name' without a type",
        "sensor 'no-type' without a type",
    ]


def test_names_that_are_no_text() -> None:
    problems: list[str] = []
    dialogue = inspect(EVERYTHING, False, problems)
    next(dialogue)
    dialogue.send([((b"ok",), [(b"\xff", b"text"), (b"ok", b"\xff")])])
    with pytest.raises(StopIteration) as end:
        dialogue.send([((b"ok",), [(b"\xff", b"a", b"b", b"integer"), (b"\xff",)])])
    findings = end.value.value
    assert findings.sensors == {}
    assert findings.requests == {"ok": (b"\xff", None)}
    assert len(problems) == 3
    assert all("not UTF-8" in problem for problem in problems)


def test_a_sensor_that_is_listed_twice() -> None:
    problems: list[str] = []
    hold(
        inspect(Plan(all_sensors=True), False, problems),
        "#sensor-list a Text. V float",
        "#sensor-list a Text. V integer",
        "!sensor-list ok 2",
    )
    assert problems == ["1 sensors are listed twice"]


def test_nothing_to_be_asked() -> None:
    assert hold(inspect(Plan(), True, [])) == ([], Findings())
