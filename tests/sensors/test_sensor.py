"""Sensor: what users of katcp-python know of it."""

from __future__ import annotations

import gc
import logging
import threading
import time
import weakref
from typing import Any

import pytest

from katcp.errors import KatcpTypeError
from katcp.sensors import Reading, Sensor
from tests.sensors.test_types import MAKE, sensor_of


class Recorder:
    """An observer that writes down what it is told."""

    def __init__(self) -> None:
        self.seen: list[tuple[Sensor, Reading]] = []

    def update(self, sensor: Sensor, reading: Reading) -> None:
        self.seen.append((sensor, reading))


# -- making --------------------------------------------------------------------------------


def test_type_and_status_constants() -> None:
    assert list(range(8)) == [
        Sensor.INTEGER,
        Sensor.FLOAT,
        Sensor.BOOLEAN,
        Sensor.LRU,
        Sensor.DISCRETE,
        Sensor.STRING,
        Sensor.TIMESTAMP,
        Sensor.ADDRESS,
    ]
    assert list(range(7)) == [
        Sensor.UNKNOWN,
        Sensor.NOMINAL,
        Sensor.WARN,
        Sensor.ERROR,
        Sensor.FAILURE,
        Sensor.UNREACHABLE,
        Sensor.INACTIVE,
    ]


def test_tables_are_public() -> None:
    assert Sensor.STATUSES[Sensor.WARN] == "warn"
    assert Sensor.STATUS_NAMES["warn"] == Sensor.WARN
    assert Sensor.STATUSES_RAW[Sensor.WARN] == b"warn"
    assert Sensor.STATUS_NAMES_RAW[b"warn"] == Sensor.WARN
    assert Sensor.LRU_VALUES == {0: b"nominal", 1: b"error"}
    assert Sensor.LRU_CONSTANTS == {b"nominal": 0, b"error": 1}
    assert Sensor.SENSOR_TYPE_LOOKUP["timestamp"] == Sensor.TIMESTAMP
    assert {int: 0, float: 1, str: 5, bool: 2} == Sensor.SENSOR_SHORTCUTS
    assert Sensor.TIMESTAMP_TYPE.pack(1.5) == b"1.500000"
    kattype, default = Sensor.SENSOR_TYPES[Sensor.INTEGER]
    assert kattype().unpack(b"3") == 3
    assert default == 0


@pytest.mark.parametrize("kind", MAKE)
def test_one_constructor_a_type(kind: str) -> None:
    sensor = sensor_of(kind)
    assert sensor.type == sensor.stype == kind
    assert sensor.name == "a.sensor"
    assert sensor.units == ""
    assert sensor._sensor_type == Sensor.SENSOR_TYPE_LOOKUP[kind]


@pytest.mark.parametrize(
    ("python_type", "kind"),
    [(int, "integer"), (float, "float"), (str, "string"), (bool, "boolean")],
)
def test_python_types_are_accepted(python_type: type, kind: str) -> None:
    assert Sensor(python_type, "x").type == kind


def test_positional_arguments_in_the_order_that_users_give_them() -> None:
    sensor = Sensor(Sensor.INTEGER, "i", "An integer.", "counts", [-10, 10], 3, Sensor.WARN)
    assert (sensor.name, sensor.description, sensor.units) == ("i", "An integer.", "counts")
    assert sensor.params == [-10, 10]
    assert sensor.formatted_params == [b"-10", b"10"]
    assert (sensor.value(), sensor.status()) == (3, Sensor.WARN)


def test_class_methods_say_unit_and_the_constructor_says_units() -> None:
    assert Sensor.float("f", unit="V").units == "V"
    assert Sensor(Sensor.FLOAT, "f", units="V").units == "V"
    with pytest.raises(TypeError):
        Sensor.float("f", units="V")  # type: ignore[call-arg]


def test_text_may_be_bytes() -> None:
    sensor = Sensor(Sensor.DISCRETE, b"d", b"Text.", b"u", [b"a", "b"], b"b")
    assert (sensor.name, sensor.description, sensor.units) == ("d", "Text.", "u")
    assert sensor.params == ["a", "b"]
    assert sensor.value() == "b"


def test_a_description_is_made_up_where_there_is_none() -> None:
    assert Sensor.integer("demo.fresh", unit="kelvin").description == (
        "Integer sensor 'demo.fresh' in unit kelvin"
    )
    assert Sensor.float("f").description == "Float sensor 'f' with no unit"
    assert Sensor.lru("f").description == "Lru sensor 'f' with no unit"


@pytest.mark.parametrize(
    ("kind", "value", "raw"),
    [
        ("integer", 0, b"0"),
        ("float", 0.0, b"0.0"),
        ("boolean", False, b"0"),
        ("lru", Sensor.LRU_NOMINAL, b"nominal"),
        ("discrete", "idle", b"idle"),
        ("string", "", b""),
        ("timestamp", 0.0, b"0.000000"),
        ("address", ("0.0.0.0", None), b"0.0.0.0"),
    ],
)
def test_the_first_reading(kind: str, value: Any, raw: bytes) -> None:
    before = time.time()
    sensor = sensor_of(kind)
    reading = sensor.read()
    assert reading.value == value
    assert reading.status == Sensor.UNKNOWN
    assert before <= reading.timestamp <= time.time()
    assert sensor.read_formatted()[1:] == (b"unknown", raw)


@pytest.mark.parametrize(
    ("params", "default", "expected"),
    [
        ([1, 5], None, 1),
        ([-5, -1], None, -5),
        ([-5, 5], None, 0),
        ([0, 5], None, 0),
        ([-5, 0], None, 0),
        ([1, 5], 3, 3),
        ([1, 5], 99, 99),
        ([1, 5, 0, 6], None, 1),
        ([1], None, 0),
        ([], None, 0),
    ],
)
def test_a_range_without_0_starts_at_its_minimum(
    params: list[int], default: int | None, expected: int
) -> None:
    assert Sensor.integer("i", params=params, default=default).value() == expected
    assert Sensor.float("f", params=params, default=default).value() == expected


def test_a_first_status_and_value_can_be_given() -> None:
    sensor = Sensor.string("s", default="text", initial_status=Sensor.NOMINAL)
    assert sensor.read()[1:] == (Sensor.NOMINAL, "text")
    assert Sensor.timestamp("t", default=5.5).value() == 5.5
    assert Sensor.address("a", default=("::1", 80)).value() == ("::1", 80)
    assert Sensor.boolean("b", default=True).value() is True
    assert Sensor.lru("l", default=Sensor.LRU_ERROR).value() == Sensor.LRU_ERROR


def test_a_timestamp_has_no_units() -> None:
    with pytest.raises(ValueError, match="cannot have units"):
        Sensor.timestamp("t", unit="s")
    with pytest.raises(ValueError, match="cannot have units"):
        Sensor(Sensor.TIMESTAMP, "t", units="s")
    assert Sensor(Sensor.TIMESTAMP, "t", units="").units == ""


@pytest.mark.parametrize("params", [None, [], ()])
def test_w12_a_discrete_sensor_needs_words(params: Any) -> None:
    with pytest.raises(ValueError, match="at least one"):
        Sensor.discrete("d", params=params)


@pytest.mark.parametrize("params", [[1, 2], ["a", None], [True]])
def test_the_words_are_text(params: Any) -> None:
    with pytest.raises(TypeError, match="must be text"):
        Sensor.discrete("d", params=params)


def test_w12_the_default_of_a_discrete_sensor_is_checked() -> None:
    with pytest.raises(ValueError, match="not one of"):
        Sensor.discrete("d", params=["a", "b"], default="c")


def test_an_unknown_type_is_an_error() -> None:
    with pytest.raises(ValueError, match="Unknown sensor type"):
        Sensor(99, "x")


# -- reading and setting -------------------------------------------------------------------


def test_set_checks_nothing() -> None:
    sensor = Sensor.integer("i", params=[0, 1])
    sensor.set(5.0, Sensor.ERROR, 99)
    assert sensor.read() == (5.0, Sensor.ERROR, 99)
    sensor.set(5.0, 42, "not a number")
    assert sensor.read() == (5.0, 42, "not a number")


def test_a_reading_is_one_object_under_three_names() -> None:
    sensor = Sensor.integer("i")
    sensor.set_value(4)
    assert isinstance(sensor.read(), Reading)
    assert sensor.read() is sensor.reading is sensor.read()
    assert sensor.value() == 4
    assert sensor.status() == Sensor.NOMINAL


def test_set_value_is_nominal_and_now_unless_told_otherwise() -> None:
    sensor = Sensor.integer("i")
    before = time.time()
    sensor.set_value(3)
    assert before <= sensor.read().timestamp <= time.time()
    assert sensor.read()[1:] == (Sensor.NOMINAL, 3)
    sensor.set_value(4, Sensor.WARN, 1234.5)
    assert sensor.read() == (1234.5, Sensor.WARN, 4)
    sensor.set_value(5, status=Sensor.ERROR, timestamp=0, major=4)
    assert sensor.read() == (0, Sensor.ERROR, 5)


def test_limits_are_informative_only() -> None:
    sensor = Sensor.integer("i", params=[0, 1])
    sensor.set_value(99)
    assert sensor.value() == 99


def test_a_discrete_value_is_one_of_the_words() -> None:
    sensor = Sensor.discrete("d", params=["x", "y z"])
    sensor.set_value(b"y z")
    assert sensor.value() == "y z"
    assert type(sensor.value()) is str
    with pytest.raises(ValueError) as caught:
        Sensor.discrete("d", params=["x"]).set_value("y")
    assert str(caught.value) == "Discrete value 'y' is not one of ['x']."


@pytest.mark.parametrize("status", [7, -1, "nominal", None])
def test_an_unknown_status_is_refused(status: Any) -> None:
    sensor = Sensor.integer("i")
    with pytest.raises(ValueError, match="is not a status"):
        sensor.set_value(1, status)
    assert sensor.status() == Sensor.UNKNOWN


def test_set_formatted_reads_all_three() -> None:
    sensor = Sensor.float("f")
    sensor.set_formatted(b"1600000000.25", b"warn", b"1e3")
    assert sensor.read() == (1600000000.25, Sensor.WARN, 1000.0)
    sensor.set_formatted(b"1600000000250", b"inactive", b"2", major=4)
    assert sensor.read() == (1600000000.25, Sensor.INACTIVE, 2.0)


def test_set_formatted_of_times_in_version_4() -> None:
    sensor = Sensor.timestamp("t")
    sensor.set_formatted(b"1000", b"nominal", b"1234500", major=4)
    assert sensor.read() == (1.0, Sensor.NOMINAL, 1234.5)


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        ((b"1", b"great", b"1"), KeyError),
        ((b"x", b"nominal", b"1"), ValueError),
        ((b"1", b"nominal", b"x"), ValueError),
        (("1", b"nominal", b"1"), Exception),
        ((b"1", b"nominal", "1"), KatcpTypeError),
    ],
)
def test_set_formatted_of_nonsense_changes_nothing(raw: Any, error: type[Exception]) -> None:
    sensor = Sensor.integer("i")
    before = sensor.read()
    with pytest.raises(error):
        sensor.set_formatted(*raw)
    assert sensor.read() is before


def test_parse_value_takes_bytes_only() -> None:
    with pytest.raises(KatcpTypeError):
        Sensor.integer("i").parse_value("3")  # type: ignore[arg-type]
    assert Sensor.integer("i").parse_value(b"3") == 3
    assert Sensor.timestamp("t").parse_value(b"1500", katcp_major=4) == 1.5


@pytest.mark.parametrize("status", range(7))
def test_statuses_on_the_wire(status: int) -> None:
    sensor = Sensor.integer("i")
    sensor.set_value(1, status)
    name = Sensor.STATUSES_RAW[status]
    assert sensor.read_formatted()[1] == name
    expected = b"unknown" if status in (Sensor.UNREACHABLE, Sensor.INACTIVE) else name
    assert sensor.read_formatted(4)[1] == expected


def test_format_reading_takes_any_reading() -> None:
    sensor = Sensor.timestamp("t")
    reading = Reading(0.0015, Sensor.NOMINAL, 1.5)
    assert sensor.format_reading(reading) == (b"0.001500", b"nominal", b"1.500000")
    assert sensor.format_reading((0.0016, 1, 1.5), major=4) == (b"2", b"nominal", b"1500")


def test_old_attribute_names_work_and_warn() -> None:
    sensor = Sensor.integer("i", default=4)
    for name, expected in zip(("timestamp", "status", "value"), sensor.read(), strict=True):
        with pytest.warns(DeprecationWarning, match=f"use read\\(\\).{name}"):
            assert getattr(sensor, f"_{name}") == expected


def test_repr_says_what_it_is() -> None:
    sensor = Sensor.float("a.b", default=1.5)
    assert repr(sensor) == "<Sensor float a.b unknown 1.5>"
    sensor.set(0, 42, 1.5)
    assert repr(sensor) == "<Sensor float a.b 42 1.5>"


def test_other_threads_never_see_parts_of_two_readings() -> None:
    sensor = Sensor.integer("i")
    sensor.set(0.0, 0, 0)
    wrong: list[Reading] = []
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            reading = sensor.read()
            if len(set(reading)) != 1:
                wrong.append(reading)

    thread = threading.Thread(target=watch)
    thread.start()
    for number in range(5000):
        sensor.set(float(number), number, number)
    done.set()
    thread.join()
    assert wrong == []


# -- the lines that are sent ---------------------------------------------------------------


def test_the_line_of_a_reading_is_made_once() -> None:
    sensor = Sensor.string("a.b")
    sensor.set_value("x y", timestamp=1600000000.25)
    line = sensor.wire_reading()
    assert line == b" 1600000000.250000 1 a.b nominal x\\_y\n"
    assert sensor.wire_reading() is line
    old = sensor.wire_reading(4)
    assert old == b" 1600000000250 1 a.b nominal x\\_y\n"
    assert sensor.wire_reading(4) is old
    assert sensor.wire_reading(5) is line
    sensor.set_value("x y", timestamp=1600000000.25)
    assert sensor.wire_reading() == line
    assert sensor.wire_reading() is not line


def test_the_line_of_an_earlier_reading() -> None:
    sensor = Sensor.integer("i")
    sensor.set_value(1, timestamp=1.0)
    earlier = sensor.read()
    sensor.set_value(2, timestamp=2.0)
    assert sensor.wire_text(earlier) == b" 1.000000 1 i nominal 1\n"
    assert sensor.wire_text(earlier, 4) == b" 1000 1 i nominal 1\n"


@pytest.mark.parametrize("kind", MAKE)
def test_w11_a_reading_that_cannot_be_sent_is_a_failure_and_logged(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    class Unspeakable:
        def __str__(self) -> str:
            raise RuntimeError("no text")

        __bool__ = __str__  # type: ignore[assignment]

    sensor = sensor_of(kind)
    sensor.set(1.0, Sensor.NOMINAL, Unspeakable())
    for major in (5, 4):
        words = sensor.wire_reading(major).split()
        assert words[2:4] == [b"a.sensor", b"failure"]
        assert len(words) == 5
    assert [(r.name, r.levelno) for r in caplog.records] == [("katcp.core", logging.ERROR)] * 2


def test_the_line_that_describes_a_sensor() -> None:
    assert Sensor.float("f", "A float.", "V", [-1.5, 2.5]).wire_description() == (
        b" f A\\_float. V float -1.5 2.5\n"
    )
    assert Sensor.integer("i", "An integer.").wire_description() == (
        b" i An\\_integer. \\@ integer\n"
    )
    assert Sensor.discrete("d", "Words.", params=["idle", "busy now"]).wire_description() == (
        b" d Words. \\@ discrete idle busy\\_now\n"
    )


# -- observers -----------------------------------------------------------------------------


def test_observers_are_told_of_each_reading_after_it_is_in_place() -> None:
    sensor = Sensor.integer("i")
    seen: list[tuple[int, int]] = []

    class Looker:
        def update(self, sensor: Sensor, reading: Reading) -> None:
            seen.append((reading.value, sensor.value()))

    recorder, looker = Recorder(), Looker()
    sensor.attach(recorder)
    sensor.attach(looker)
    sensor.attach(looker)
    sensor.set_value(3)
    sensor.set(5.0, Sensor.WARN, 4)
    sensor.set_formatted(b"1", b"nominal", b"5")
    assert seen == [(3, 3), (4, 4), (5, 5)]
    assert [reading.value for _, reading in recorder.seen] == [3, 4, 5]
    assert recorder.seen[1] == (sensor, (5.0, Sensor.WARN, 4))
    assert sensor._observers == {recorder, looker}


def test_a_detached_observer_is_told_nothing() -> None:
    sensor = Sensor.integer("i")
    recorder = Recorder()
    sensor.detach(recorder)
    sensor.attach(recorder)
    sensor.detach(recorder)
    sensor.set_value(3)
    assert recorder.seen == []
    assert sensor._observers == set()


def test_notify_tells_of_a_reading_without_setting_it() -> None:
    sensor = Sensor.integer("i")
    recorder = Recorder()
    sensor.attach(recorder)
    before = sensor.read()
    sensor.notify(Reading(1.0, Sensor.NOMINAL, 9))
    assert recorder.seen == [(sensor, (1.0, Sensor.NOMINAL, 9))]
    assert sensor.read() is before


def test_observers_may_come_and_go_during_the_call() -> None:
    sensor = Sensor.integer("i")
    late = Recorder()

    class Swap:
        def update(self, sensor: Sensor, reading: Reading) -> None:
            sensor.detach(self)
            sensor.attach(late)

    sensor.attach(Swap())
    sensor.set_value(1)
    assert late.seen == []
    sensor.set_value(2)
    assert [reading.value for _, reading in late.seen] == [2]


@pytest.mark.parametrize("tell", ["set", "set_value", "notify"])
def test_w10_an_observer_that_raises_is_logged_and_harms_nobody(
    tell: str, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        def update(self, sensor: Sensor, reading: Reading) -> None:
            raise RuntimeError("out of order")

    sensor = Sensor.integer("i")
    recorders = [Recorder() for _ in range(5)]
    for recorder in recorders:
        sensor.attach(Broken())
        sensor.attach(recorder)
    if tell == "set":
        sensor.set(1.0, Sensor.NOMINAL, 1)
    elif tell == "set_value":
        sensor.set_value(1)
    else:
        sensor.notify(Reading(1.0, Sensor.NOMINAL, 1))
    assert [len(recorder.seen) for recorder in recorders] == [1] * 5
    assert len(caplog.records) == 5
    assert "out of order" in caplog.text


def test_observers_are_called_in_the_thread_that_sets() -> None:
    sensor = Sensor.integer("i")
    threads: list[threading.Thread] = []

    class Where:
        def update(self, sensor: Sensor, reading: Reading) -> None:
            threads.append(threading.current_thread())

    sensor.attach(Where())
    thread = threading.Thread(target=sensor.set_value, args=(1,))
    thread.start()
    thread.join()
    assert threads == [thread]


def test_a_detached_observer_is_not_kept_alive() -> None:
    sensor = Sensor.integer("i")
    recorder = Recorder()
    sensor.attach(recorder)
    sensor.set_value(1)
    sensor.detach(recorder)
    reference = weakref.ref(recorder)
    del recorder
    gc.collect()
    assert reference() is None
