"""Calibrations: expressions, tables and functions; alone, and of the keys of a store."""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from katcp.endpoints import (
    AsyncEndpointServer,
    Calibration,
    InvalidValueError,
    KeyValueStore,
    StoreKey,
    times2,
)
from katcp.expressions import Expression, ExpressionError
from tests.helpers.serving import serving, talking
from tests.helpers.wire import WireClient


def apply(rule: Any, raw: Any, **options: Any) -> Any:
    return Calibration(rule, **options).apply(raw)


@contextlib.asynccontextmanager
async def a_store(*keys: StoreKey) -> AsyncIterator[WireClient]:
    """Connect to a device that has a store with these keys."""
    server = AsyncEndpointServer("127.0.0.1", 0, endpoints=[KeyValueStore("kv", endpoints=keys)])
    async with serving(server), talking(server) as client:
        yield client


async def ask(client: WireClient, request: bytes) -> list[bytes]:
    """Return the arguments of the reply."""
    *_, reply = await client.ask(request)
    return reply.split(b" ")[1:]


# -- alone --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "raw", "expected"),
    [
        ("times2({})", 1.5, 3.0),
        ("times3({})", 1.5, 4.5),
        ("2*{}", "1.5", 3.0),
        ("{}*1", b"7", 7),
        ("1.*{}", "7", 7.0),
        ("{0}*{0}", "1.1", 1.21),
        ("({}-32)/1.8", "212", 100.0),
    ],
)
def test_drip_cal_01_expressions_are_right(rule: str, raw: Any, expected: float) -> None:
    assert apply(rule, raw) == pytest.approx(expected, rel=1e-12, abs=0)


async def test_drip_cal_01_over_the_wire() -> None:
    async with a_store(StoreKey("foo", initial_value=1.5, calibration="times2({})")) as client:
        status, raw, cal, *_ = await ask(client, b"?get foo")
        assert (status, raw, float(cal)) == (b"ok", b"1.5", 3.0)


async def test_drip_cal_02_no_calibration_no_calibrated_value() -> None:
    async with a_store(StoreKey("foo", initial_value=1.5)) as client:
        status, raw, cal, *_ = await ask(client, b"?get foo")
        assert (status, raw, cal) == (b"ok", b"1.5", b"\\@")
    assert Calibration.of(None) is None


def test_drip_cal_03_texts_of_a_table() -> None:
    valve = Calibration({"CLOSE": "on", "OPEN": "off"})
    assert valve.apply("CLOSE") == valve.apply(b"CLOSE") == valve.apply("close") == "on"
    with pytest.raises(InvalidValueError, match="STUCK cannot be calibrated: it is not in the"):
        valve.apply("STUCK")


@pytest.mark.parametrize("raw", [1, "1", 1.0, b"1", "1.0", "+1", " 1 "])
def test_drip_cal_03_numbers_of_a_table(raw: Any) -> None:
    assert apply({1: "open"}, raw) == "open"
    assert apply({"1": "open"}, raw) == "open"
    assert apply({1.0: "open"}, raw) == "open"


@pytest.mark.parametrize("raw", [True, "True", 2, "one", math.nan, "nan", ""])
def test_drip_cal_03_what_is_not_in_a_table(raw: Any) -> None:
    with pytest.raises(InvalidValueError):
        apply({1: "open"}, raw)
    assert apply({1: "open", "default": "?"}, raw) == "?"
    assert apply({1: "open", "*": None}, raw) is None


async def test_drip_cal_03_over_the_wire() -> None:
    table = {"CLOSE": "on", 1: "one"}
    async with a_store(StoreKey("foo", initial_value="CLOSE", calibration=table)) as client:
        assert (await ask(client, b"?get foo"))[:3] == [b"ok", b"CLOSE", b"on"]
        assert (await ask(client, b"?set foo 1"))[0] == b"ok"
        assert (await ask(client, b"?get foo"))[:3] == [b"ok", b"1", b"one"]
        assert (await ask(client, b"?set foo STUCK"))[0] == b"ok"
        status, message, code, *_ = await ask(client, b"?get foo")
        assert (status, code) == (b"fail", b"304")
        assert b"STUCK" in message


REFUSED = [
    "open('/etc/passwd').read()",
    "__import__('os')",
    "().__class__",
    "{0.__class__}",
    "{0[0]}",
    "[x for x in (1,)]",
    "lambda: 1",
    'f"{1}"',
    "{}.real",
    "exec('1')",
    "(" * 10_000 + "1" + ")" * 10_000,
]


@pytest.mark.parametrize("rule", REFUSED, ids=lambda rule: rule[:20])
def test_drip_cal_04_refused_at_configuration(rule: str) -> None:
    for make in (Calibration, lambda rule: StoreKey("foo", calibration=rule)):
        with pytest.raises(ExpressionError) as caught:
            make(rule)
        assert caught.value.position >= 0
        assert "at character" in str(caught.value)


async def test_drip_cal_04_what_would_take_long_ends_at_once() -> None:
    keys = [
        StoreKey("tower", initial_value="1", calibration="9**9**9"),
        StoreKey("power", initial_value="1000000", calibration="{}**{}"),
        StoreKey("changed", initial_value="1", calibration="{}", calibration_settable=True),
    ]
    async with a_store(*keys) as client:
        for name in (b"tower", b"power"):
            begin = time.monotonic()
            status, _, code, *_ = await ask(client, b"?get " + name)
            assert (status, code) == (b"fail", b"304")
            assert time.monotonic() - begin < 2
        for rule in REFUSED:
            argument = rule.encode().replace(b" ", b"\\_")
            reply = await ask(client, b"?configure changed calibration " + argument)
            assert reply[0] in (b"fail", b"invalid")
            assert reply[2] == b"304"
            assert (await ask(client, b"?ping"))[0] == b"ok"
        assert (await ask(client, b"?get changed"))[:3] == [b"ok", b"1", b"1"]


async def test_drip_cal_05_a_value_is_never_evaluated() -> None:
    text = rb"1)\_or\_open('x')\_or\_(1"
    key = StoreKey("foo", initial_value="1", calibration="2*({})")
    plain = StoreKey("bar", initial_value="1", calibration="{}")
    async with a_store(key, plain) as client:
        await ask(client, b"?set foo " + text)
        status, message, code, *_ = await ask(client, b"?get foo")
        assert (status, code) == (b"fail", b"304")
        assert text in message
        assert b"is\\_no\\_number" in message
        await ask(client, b"?set bar " + text)
        assert (await ask(client, b"?get bar"))[:3] == [b"ok", text, text]


def test_drip_cal_06_values_are_not_pasted_into_the_expression() -> None:
    assert apply("{}**2", "-3") == 9
    assert apply("2-{}", "-3") == 5


@pytest.mark.parametrize(
    ("rule", "raw", "reason"),
    [
        ("1/{}", "0", "0 cannot be calibrated: division by zero"),
        ("{}**{}", "1e308", "1e308 cannot be calibrated: the result is too large"),
        ("{}+1", "warm", "warm cannot be calibrated: the text 'warm' is no number"),
        (lambda raw: 1 / 0, 5, "5 cannot be calibrated: division by zero"),
        (lambda raw: [][1], 5, "5 cannot be calibrated: list index out of range"),
    ],
)
def test_drip_cal_07_what_cannot_be_computed(rule: Any, raw: Any, reason: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        apply(rule, raw)
    assert caught.value.code == 304
    assert str(caught.value) == reason
    assert caught.value.payload == (raw,)
    assert apply(rule, raw, errors="omit") is None
    with pytest.raises(InvalidValueError):
        Calibration(rule, errors="omit").calibrate(raw)


async def test_drip_cal_07_over_the_wire() -> None:
    options = {"initial_value": "1", "calibration": "1/{}"}
    keys = [
        StoreKey("strict", **options),
        StoreKey("lax", calibration_errors="omit", **options),
    ]
    async with a_store(*keys) as client:
        for name in (b"strict", b"lax"):
            assert (await ask(client, b"?set " + name + b" 0"))[0] == b"ok"
        status, message, code, *_ = await ask(client, b"?get strict")
        assert (status, code) == (b"fail", b"304")
        assert message.startswith(b"0\\_cannot")
        assert (await ask(client, b"?get lax"))[:3] == [b"ok", b"0", b"\\@"]
        for name in (b"strict", b"lax"):
            inform, _ = await client.ask(b"?sensor-value kv." + name)
            assert inform.split(b" ")[4] == b"error"
            inform, _ = await client.ask(b"?sensor-value kv." + name + b".raw")
            assert inform.split(b" ")[4:] == [b"nominal", b"0"]


async def test_drip_cal_08_a_calibration_can_be_set_only_if_declared() -> None:
    keys = [
        StoreKey("fixed", initial_value="2", calibration="2*{}"),
        StoreKey("free", initial_value="2", calibration="2*{}", calibration_settable=True),
    ]
    async with a_store(*keys) as client:
        for request in (b"?configure fixed calibration 3*{}", b"?set fixed 3*{} calibration"):
            status, _, code, *_ = await ask(client, request)
            assert (status, code) == (b"fail", b"310")
        assert float((await ask(client, b"?get fixed"))[2]) == 4
        assert (await ask(client, b"?configure free calibration 3*{}"))[0] == b"ok"
        assert float((await ask(client, b"?get free"))[2]) == 6
        for rule in (b"3*", b"{}.real", b"open('x')"):
            reply = await ask(client, b"?configure free calibration " + rule)
            assert reply[0] in (b"fail", b"invalid")
            assert reply[2] == b"304"
        assert (await ask(client, b"?configure free calibration"))[:2] == [b"ok", b"3*{}"]
        assert float((await ask(client, b"?get free"))[2]) == 6


def test_drip_cal_09_an_expression_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    short = Calibration("{}")
    long = Calibration("{}" + " " * 900 + "")
    keys = [StoreKey(f"k{number}", calibration="2*{}") for number in range(3)]

    def refuse(*args: Any) -> Any:
        raise AssertionError("it was parsed again")

    monkeypatch.setattr("katcp.expressions._parser.tokens", refuse)
    for key in keys:
        assert key.calibrated is not None
        assert [key.calibrated.apply(raw) for raw in range(100)] == list(range(0, 200, 2))
    times = []
    for calibration in (short, long):
        best = math.inf
        for _ in range(5):
            begin = time.thread_time()
            for raw in range(2000):
                calibration.apply(raw)
            best = min(best, time.thread_time() - begin)
        times.append(best)
    assert times[1] < 3 * times[0]


# -- more of tables -----------------------------------------------------------------------


def test_what_matches_best_comes_first() -> None:
    table = Calibration(
        {"0..10": "range", "AB": "upper", "ab": "lower", "5": "text", 5.0: "number", "*": "rest"}
    )
    assert table.apply(5.0) == "number"
    assert table.apply("5") == "text"
    assert table.apply(5) == "text"
    assert table.apply("5.00") == "text"
    assert table.apply(6) == "range"
    assert table.apply("AB") == "upper"
    assert table.apply("ab") == "lower"
    assert table.apply("Ab") == "rest"
    assert table.apply("*") == "rest"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [(-1, "cold"), ("-0.5", "cold"), (0, "low"), (5, "low"), (5.1, "mid"), ("1e2", "hot")],
)
def test_ranges(raw: Any, expected: str) -> None:
    table = {"0..5": "low", "5..10.5": "mid", "..-0.1": "cold", " 10.5 .. ": "hot", "..": "dots"}
    assert apply(table, raw) == expected
    assert apply(table, "..") == "dots"
    assert apply({"1e-1..2E1": 1}, "0.1") == 1


def test_true_and_false_of_a_table() -> None:
    table = Calibration({True: "yes", False: "no"})
    assert table.apply(True) == table.apply("true") == table.apply("True") == "yes"
    assert table.apply(False) == table.apply(b"FALSE") == "no"
    with pytest.raises(InvalidValueError):
        table.apply(1)
    assert apply({math.nan: "none"}, "nan") == "none"


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ({}, "no entries"),
        ({None: 1}, "A key of a calibration"),
        ({(1, 2): 1}, "A key of a calibration"),
        ({1: [1]}, "The calibration of 1"),
        ({"5..1": 1}, "from more to less"),
        ({"default": 1, "*": 2}, "both 'default' and"),
    ],
)
def test_bad_tables_are_refused(table: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Calibration(table)


@pytest.mark.parametrize("raw", [[1], {}, object(), 2**5000], ids=["list", "dict", "object", "big"])
def test_raw_values_of_other_kinds(raw: Any) -> None:
    for rule in ("{}", {1: 2}):
        with pytest.raises(InvalidValueError) as caught:
            apply(rule, raw)
        assert len(str(caught.value)) < 400
        assert caught.value.payload == ()


def test_a_long_raw_value_is_cut_in_the_message() -> None:
    with pytest.raises(InvalidValueError) as caught:
        apply("1*{}", b"x" * 1_000_000)
    assert len(str(caught.value)) < 300


# -- as objects ---------------------------------------------------------------------------


def test_functions_of_programs() -> None:
    def halved(value: Any) -> float:
        return value / 2

    assert apply(halved, 5) == 2.5
    assert apply("halved({})", "5", functions=[halved]) == 2.5
    assert apply(times2, "1.5") == 3.0
    assert apply(Expression("{}+1"), 5) == 6
    assert str(Calibration(halved)) == "halved"
    assert apply(lambda raw: {"any": raw}, 5) == {"any": 5}


def test_nothing_has_no_calibrated_value() -> None:
    for rule in ("{}", {"*": 1}, lambda raw: 5):
        assert apply(rule, None) is None
    assert apply("None", 5) is None


def test_of() -> None:
    calibration = Calibration("{}", units="K")
    assert Calibration.of(calibration) is calibration
    made = Calibration.of("2*{}", units="m", errors="omit")
    assert made == Calibration("2*{}", units="m", errors="omit")
    assert made != calibration
    assert made != "2*{}"
    assert made is not None
    assert (made.units, made.errors, made.rule) == ("m", "omit", "2*{}")


def test_how_it_is_shown() -> None:
    assert str(Calibration("2*{}")) == "2*{}"
    assert str(Calibration({1: "é", "x": None})) == '{"1": "é", "x": null}'
    assert repr(Calibration("2*{}", units="K")) == "Calibration('2*{}', units='K')"
    assert repr(Calibration("2*{}")) == "Calibration('2*{}')"


@pytest.mark.parametrize("rule", [5, None, [1], b"{}"])
def test_other_rules_are_refused(rule: Any) -> None:
    with pytest.raises(TypeError, match="an expression, a table or a function"):
        Calibration(rule)

    async def late(raw: Any) -> Any:
        return raw

    with pytest.raises(TypeError, match="coroutine"):
        Calibration(late)
    with pytest.raises(ValueError, match="'fail' or 'omit'"):
        Calibration("{}", errors="maybe")  # type: ignore[arg-type]


def test_nothing_of_a_failure_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(InvalidValueError):
        apply("1/{}", 0)
    assert not caplog.records
