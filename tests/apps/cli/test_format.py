"""How things look."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from katcp.apps.cli import _format as fmt
from katcp.apps.cli._format import Piece, UpdateFormat, columns, message_line, plain
from katcp.apps.cli._model import Reading, SensorInfo

VOLTS = SensorInfo("psu.voltage", "Supply", "V", "float", (b"0", b"5"))


def reading(
    raw: bytes = b"1.5", status: str = "nominal", timestamp: float | None = 0.25
) -> Reading:
    return Reading("psu.voltage", timestamp, status, raw)


def texts(lines: list[list[Piece]]) -> list[str]:
    return [plain(line) for line in lines]


@pytest.mark.parametrize(
    ("timestamp", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1767225600.25, "2026-01-01T00:00:00.250Z"),
        (1767225599.9999, "2026-01-01T00:00:00.000Z"),
        (-0.25, "1969-12-31T23:59:59.750Z"),
        (None, "-"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        (1e300, "1e+300"),
        (-1e11, "-100000000000.0"),
    ],
)
def test_time(timestamp: float | None, text: str) -> None:
    assert fmt.time_text(timestamp) == text


@given(st.floats())
def test_any_time_has_a_text(timestamp: float) -> None:
    assert fmt.time_text(timestamp).isprintable()


def test_columns_are_aligned_by_cells_of_the_terminal() -> None:
    rows = [[Piece("a"), Piece("1"), Piece("x")], [Piece("中文"), Piece(""), Piece("y")]]
    assert texts(columns(rows)) == ["a     1  x", "中文     y"]
    assert columns([]) == []


def test_empty_column_takes_no_room() -> None:
    rows = [[Piece("a"), Piece(""), Piece("x")], [Piece("b"), Piece(""), Piece("y")]]
    assert texts(columns(rows)) == ["a  x", "b  y"]


def test_rows_of_different_length() -> None:
    assert texts(columns([[Piece("ab"), Piece("c")], [Piece("d")]])) == ["ab  c", "d"]


@pytest.mark.parametrize(
    ("raw", "status", "row"),
    [
        (b"1.5", "nominal", "psu.voltage  1.5 V  nominal  1970-01-01T00:00:00.250Z"),
        (b"1.5", "unknown", "psu.voltage  (1.5) V  unknown  1970-01-01T00:00:00.250Z"),
        (b"", "warn", 'psu.voltage  "" V  warn  1970-01-01T00:00:00.250Z'),
        (b"\x1b[2J", "o\x07dd", r"psu.voltage  (\x1b[2J) V  o\x07dd  1970-01-01T00:00:00.250Z"),
    ],
)
def test_reading(raw: bytes, status: str, row: str) -> None:
    assert texts(columns([fmt.reading_row(reading(raw, status), VOLTS, 5)])) == [row]


def test_value_of_a_timestamp_sensor_is_a_time() -> None:
    info = SensorInfo("t", type="timestamp")
    assert fmt.value_text(Reading("t", 0, "nominal", b"0.5"), info, 5) == "1970-01-01T00:00:00.500Z"
    assert fmt.value_text(Reading("t", 0, "nominal", b"500"), info, 4) == "1970-01-01T00:00:00.500Z"
    assert fmt.value_text(Reading("t", 0, "nominal", b"noon"), info, 5) == "noon"


def test_updates_stay_aligned() -> None:
    updates = UpdateFormat(5)
    updates.expect(["psu.voltage", "a"])
    one = updates.line(reading(), VOLTS)
    other = updates.line(Reading("fan", 0.25, "unreachable", b"1"), SensorInfo("fan"))
    assert texts([one, other]) == [
        "1970-01-01T00:00:00.250Z  psu.voltage  nominal      1.5 V",
        "1970-01-01T00:00:00.250Z  fan          unreachable  (1)",
    ]


@pytest.mark.parametrize(
    ("info", "row"),
    [
        (VOLTS, "psu.voltage  float(0, 5)  V  Supply"),
        (
            SensorInfo("m", "Mode", "", "discrete", (b"off", b"\xffon")),
            r"m  discrete(off|\xffon)  Mode",
        ),
        (SensorInfo("s", "a\nb", "", "string"), r"s  string  a\nb"),
    ],
)
def test_sensor(info: SensorInfo, row: str) -> None:
    assert texts(columns([fmt.sensor_row(info)])) == [row]


@pytest.mark.parametrize(
    ("kind", "arguments", "text"),
    [
        ("!", [b"ok", b"3"], "!add ok 3"),
        ("!", [], "!add"),
        ("!", [b"partial", b"x"], "!add partial x"),
        ("#", [b"a b", b"", b"it's", b'say "hi"'], """#add "a b" "" "it's" 'say "hi"'"""),
        ("#", [b"\x1b[31m", b"\n"], r"#add \x1b[31m \n"),
    ],
)
def test_message(kind: str, arguments: list[bytes], text: str) -> None:
    assert plain(message_line(kind, "add", arguments)) == text


@given(st.lists(st.binary()), st.sampled_from("!#"))
def test_message_of_any_bytes_is_one_line_that_prints(arguments: list[bytes], kind: str) -> None:
    assert plain(message_line(kind, "add", arguments)).isprintable()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([b"fail", b"Too hot."], "add fail: Too hot."),
        ([b"invalid"], "add invalid"),
        ([b"fail", b"a\nb", b"\xff"], r"add fail: a\nb \xff"),
        ([], "add no status"),
    ],
)
def test_refusal(arguments: list[bytes], text: str) -> None:
    assert fmt.refusal_text("add", arguments) == text


def test_help_is_indented_line_by_line() -> None:
    lines = fmt.help_lines("add", "Add.\n\n  More\x1b.\n")
    assert texts(lines) == ["?add", "  Add.", "", "    More\\x1b.", ""]


def test_first_line_says_something() -> None:
    assert fmt.first_line("\n  \n  Add two.\nMore.") == "Add two."
    assert fmt.first_line("") == ""


def test_styles_are_known() -> None:
    pieces = [
        *fmt.reading_row(reading(), VOLTS, 5),
        *fmt.reading_row(reading(status="bad\x1b"), VOLTS, 5),
        *fmt.sensor_row(VOLTS),
        *fmt.request_row("add", "Add."),
        *message_line("!", "add", [b"ok"]),
        *message_line("!", "add", [b"partial"]),
        *message_line("#", "add", [b"ok"]),
    ]
    assert {piece.style for piece in pieces} <= fmt.STYLES.keys()
