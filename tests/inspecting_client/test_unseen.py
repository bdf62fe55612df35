"""Sensors that nobody has looked at are like all others, and so are their readings in bulk."""

from __future__ import annotations

import copy
import logging
import pickle
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from katcp.client import arguments_in
from katcp.inspecting_client._sensors import SensorBook, reading_of
from katcp.inspecting_client._unseen import UnseenSensor
from katcp.protocol import escape
from katcp.sensors import Reading, Sensor

logger = logging.getLogger("test.unseen")

INFOS = [
    b"a D\\_d V integer",
    b"a D V integer -1 5",
    b"a D V float 1 5",
    b"a \\@ \\@ float",
    b"a D V boolean",
    b"a D V lru",
    b"a D V discrete on off\\_now",
    b"a \xff \xb5V string",
    b"a D s timestamp",
    b"a D V address",
    b"a D V quaternion 1",
    b"a D V discrete",
    b"a D V integer low high",
]
#: What can be asked of a sensor, each in its own way.
QUESTIONS = [
    "name",
    "description",
    "units",
    "type",
    "stype",
    "params",
    "formatted_params",
    "sensor_type",
    "reading",
    "value()",
    "status()",
    "parse_value(b'1', 5)",
    "nothing_of_the_sort",
]


def make(info: bytes) -> tuple[Any, Any]:
    """Return a sensor that is unseen, and the same as a plain one."""
    unseen = SensorBook(logger, lambda name, sensor: None).make("a", info, Sensor)
    plain = SensorBook(logger, lambda name, sensor: None).make(
        "a", arguments_in(info), lambda **known: Sensor(**known)
    )
    assert (type(unseen), type(plain)) == (UnseenSensor, Sensor)
    return unseen, plain


def ask(sensor: Any, question: str) -> Any:
    try:
        answer = eval(f"sensor.{question}", {"sensor": sensor})
    except Exception as error:
        return type(error), str(error)
    return answer[1:] if isinstance(answer, Reading) else answer  # the times differ


@given(st.sampled_from(INFOS), st.lists(st.sampled_from(QUESTIONS), min_size=1))
def test_they_answer_as_others_do(info: bytes, questions: list[str]) -> None:
    unseen, plain = make(info)
    for question in questions:
        assert ask(unseen, question) == ask(plain, question), question
        assert isinstance(unseen, Sensor)
    assert repr(unseen) == repr(plain)
    assert type(unseen) is Sensor
    assert vars(unseen).keys() == vars(plain).keys()


@pytest.mark.parametrize("info", INFOS)
def test_names_and_texts_can_be_read_without_making_a_sensor(info: bytes) -> None:
    unseen, plain = make(info)
    for _ in range(2):
        assert (unseen.name, unseen.description, unseen.units) == (
            plain.name,
            plain.description,
            plain.units,
        )
    assert type(unseen) is UnseenSensor


def test_what_is_set_stays_and_makes_a_sensor() -> None:
    told: list[Any] = []

    class Observer:
        def update(self, sensor: Any, reading: Any) -> None:
            told.append(reading)

    unseen, _ = make(INFOS[0])
    unseen.set(1.5, Sensor.WARN, 3)
    assert type(unseen) is Sensor
    assert unseen.read() == (1.5, Sensor.WARN, 3)
    unseen, _ = make(INFOS[0])
    unseen.description = "Mine"
    unseen.mine = 5
    assert (unseen.name, unseen.description, unseen.mine) == ("a", "Mine", 5)
    unseen, _ = make(INFOS[0])
    unseen.attach(Observer())
    unseen.set_value(4, timestamp=2.5)
    assert told == [(2.5, Sensor.NOMINAL, 4)]
    unseen, _ = make(INFOS[0])
    with pytest.raises(ValueError, match="not a status"):
        unseen.set_value(4, status=77)


def test_they_can_be_copied_and_pickled() -> None:
    for clone in (copy.copy, copy.deepcopy, lambda sensor: pickle.loads(pickle.dumps(sensor))):
        unseen, plain = make(INFOS[1])
        assert repr(clone(unseen)) == repr(plain)
        assert type(clone(unseen)) is Sensor


def test_several_threads_may_look_at_one_at_the_same_time() -> None:
    for _ in range(50):
        unseen, plain = make(INFOS[6])
        vars(unseen)["_reading"] = reading = Reading(1.5, Sensor.NOMINAL, "on")
        seen: list[Any] = []
        ready = threading.Barrier(4)

        def look(
            unseen: Any = unseen, seen: list[Any] = seen, ready: threading.Barrier = ready
        ) -> None:
            ready.wait()
            seen.append((unseen.params, unseen.stype, unseen.units, unseen.reading))

        threads = [threading.Thread(target=look) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert seen == [(plain.params, plain.stype, plain.units, reading)] * 4


# -- readings ----------------------------------------------------------------------------


class Book(SensorBook):
    """A book that remembers what it told, and logs to nobody else."""

    def __init__(self, major: int) -> None:
        self.told: list[Any] = []
        super().__init__(self, self._tell)  # type: ignore[arg-type]
        self.major = major

    def _tell(self, name: str, sensor: Any) -> None:
        self.told.append((name, reading_of(sensor)))

    def warning(self, text: str, *args: Any) -> None:
        """Stand in for the logger."""
        self.told.append(text % args)

    error = warning

    def make_one(self, name: str) -> Any:
        number = NAMES.index(name)
        if number >= len(INFOS):
            return None
        info = name.encode() + INFOS[number][1:]
        return self.make(name, info, Sensor)


NAMES = [f"s{i}" for i in range(len(INFOS) + 1)]

values = st.sampled_from(
    [
        *(b"1", b"-2.5", b"1e3", b"nan", b"inf", b"1_0", b"", b"on", b"off now", b"\x0b1", b"0"),
        *(b"1.2.3.4:5", b"nominal", b"\\", b"\xff", b"1" * 5000),
    ]
)
readings = st.lists(
    st.tuples(
        st.sampled_from([b"1600000000.25", b"1600000001", b"soon", b"1_0", b"-1"]),
        st.sampled_from([b"1"] * 20 + [b"2", b"01"]),
        st.sampled_from(NAMES).map(str.encode),
        st.sampled_from([b"nominal", b"warn", b"unknown", b"odd"]),
        values | st.integers(-5, 5).map(b"%d".__mod__),
    ),
    min_size=1,
    max_size=30,
)


@given(readings, st.sampled_from([4, 5]), st.lists(st.sampled_from(NAMES[:-1])))
def test_many_readings_at_once_do_what_they_do_one_by_one(
    rows: list[tuple[bytes, ...]], major: int, looked_at: list[str]
) -> None:
    one, other = Book(major), Book(major)
    for book in (one, other):
        for name in dict.fromkeys(looked_at):
            assert book.make_one(name).stype
    tails = [b" ".join(map(escape, row)) for row in rows]
    # In such as these, the times before the first reading do not show.
    done = one.take_run(tails, one.make_one, "listeners")
    assert done == all(row[1] == b"1" for row in rows)
    if not done:
        assert not [told for told in one.told if isinstance(told, tuple)]
        return
    for timestamp, _, raw_name, status, value in rows:
        name = raw_name.decode()
        sensor = other.get(name) or other.make_one(name)
        if sensor is not None:
            other.set_reading(name, sensor, timestamp, status, value)
    assert repr(one.told) == repr(other.told)  # nan is not equal to itself


def test_readings_that_are_not_one_each_are_left_to_the_long_way() -> None:
    book = Book(5)
    plain = b"1.5 1 s0 nominal 3"
    for odd in (
        b"1.5 2 s0 nominal 3 s1 nominal 4",
        b"1.5 1 s0 nominal",
        b"1.5 1 s0 nominal 3 4",
        b"1.5 1 s\\_0 nominal 3",
        b"1.5 1 \xff nominal 3",
        b"x",
    ):
        assert not book.take_run([plain, odd, plain], book.make_one, ())
    assert not book.objects
    assert book.take_run([plain, plain], book.make_one, ())
    assert book.told == []  # since nobody listens
    assert book.objects["s0"].reading == (1.5, Sensor.NOMINAL, 3)
    # Lines that make up for each other: eight arguments and two.
    assert not book.take_run([b"1 1 s0 nominal 3 1 1 s0", b"nominal 3"], book.make_one, ())
