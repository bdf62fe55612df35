"""Items that probes see, and the sensors that follow them."""

import pytest

from katcp.apps.server._items import Item, SensorBoard, judge
from katcp.sensors import Sensor


class Bench:
    """Takes sensors, as a device does, and notes what happens."""

    def __init__(self) -> None:
        self.sensors: dict[str, Sensor] = {}
        self.notes: list[str] = []

    def add_sensor(self, sensor: Sensor) -> None:
        self.sensors[sensor.name] = sensor
        self.notes.append(f"+{sensor.name}")

    def remove_sensor(self, sensor: Sensor | str) -> None:
        assert isinstance(sensor, str)
        del self.sensors[sensor]
        self.notes.append(f"-{sensor}")


def heat(value: float | None, status: int | None = None, limits: object = (0, 50, 0, 80)) -> Item:
    return Item("heat", Sensor.float, value, "Heat", "degC", limits, status)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "status"),
    [
        (0, Sensor.NOMINAL),
        (50, Sensor.NOMINAL),
        (50.1, Sensor.WARN),
        (80, Sensor.WARN),
        (80.1, Sensor.ERROR),
        (-0.1, Sensor.ERROR),
        (float("nan"), Sensor.ERROR),
    ],
)
def test_status_goes_by_the_limits(value: float, status: int) -> None:
    assert judge(value, (0, 50, 0, 80)) == status


def test_without_limits_all_is_nominal() -> None:
    assert judge(1e300, ()) == Sensor.NOMINAL


def test_item_becomes_a_sensor_with_its_limits() -> None:
    bench = Bench()
    SensorBoard(bench).show("g", [heat(60.0)], 1000.0)
    sensor = bench.sensors["heat"]
    assert sensor.wire_description() == b" heat Heat degC float 0.0 50.0 0.0 80.0\n"
    assert sensor.read() == (1000.0, Sensor.WARN, 60.0)


def test_known_item_gets_a_new_reading_only() -> None:
    bench = Bench()
    board = SensorBoard(bench)
    board.show("g", [heat(1.0)], 1000.0)
    sensor = bench.sensors["heat"]
    board.show("g", [heat(2.0)], 1001.0)
    assert bench.sensors["heat"] is sensor
    assert sensor.read() == (1001.0, Sensor.NOMINAL, 2.0)
    assert bench.notes == ["+heat"]


def test_items_come_and_go() -> None:
    bench = Bench()
    board = SensorBoard(bench)
    fan = Item("fan", Sensor.integer, 900, "Fan", "rpm")
    board.show("g", [heat(1.0), fan], 1000.0)
    board.show("other", [Item("rain", Sensor.boolean, False, "Rain")], 1000.0)
    board.show("g", [fan], 1001.0)
    assert sorted(bench.sensors) == ["fan", "rain"]
    assert bench.notes == ["+heat", "+fan", "+rain", "-heat"]


def test_item_of_another_kind_replaces_the_sensor() -> None:
    bench = Bench()
    board = SensorBoard(bench)
    board.show("g", [heat(60.0)], 1000.0)
    board.show("g", [heat(60.0, limits=(0, 70, 0, 90))], 1001.0)
    assert bench.notes == ["+heat", "+heat"]
    assert bench.sensors["heat"].status() == Sensor.NOMINAL


def test_no_value_is_unknown_and_keeps_the_last_one() -> None:
    bench = Bench()
    board = SensorBoard(bench)
    board.show("g", [heat(None)], 1000.0)
    assert bench.sensors["heat"].read() == (1000.0, Sensor.UNKNOWN, 0.0)
    board.show("g", [heat(4.0)], 1001.0)
    board.show("g", [heat(None)], 1002.0)
    assert bench.sensors["heat"].read() == (1002.0, Sensor.UNKNOWN, 4.0)


def test_status_that_is_given_wins() -> None:
    bench = Bench()
    SensorBoard(bench).show("g", [heat(99.0, Sensor.INACTIVE)], 1000.0)
    assert bench.sensors["heat"].read() == (1000.0, Sensor.INACTIVE, 99.0)


def test_group_that_cannot_be_read_fails_and_recovers() -> None:
    bench = Bench()
    board = SensorBoard(bench)
    board.failed("g", 999.0)  # nothing is known of it yet
    board.show("g", [heat(4.0)], 1000.0)
    board.failed("g", 1001.0)
    assert bench.sensors["heat"].read() == (1001.0, Sensor.FAILURE, 4.0)
    assert board.by_status() == {Sensor.FAILURE: ["heat"]}
    board.show("g", [heat(5.0)], 1002.0)
    assert board.by_status() == {Sensor.NOMINAL: ["heat"]}
