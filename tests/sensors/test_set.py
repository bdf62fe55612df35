"""Sets of sensors."""

from __future__ import annotations

import threading

import pytest

from katcp.sensors import Sensor, SensorSet


def sensors(*names: str) -> list[Sensor]:
    return [Sensor.integer(name) for name in names]


def told(target: SensorSet) -> list[str]:
    news: list[str] = []
    target.add_add_callback(lambda sensor: news.append(f"+{sensor.name}"))
    target.add_remove_callback(lambda sensor: news.append(f"-{sensor.name}"))
    target.add_batch_callback(lambda: news.append("."))
    return news


def test_mapping_in_order() -> None:
    b, a = sensors("b", "a")
    it = SensorSet([b])
    it.add(a)
    assert list(it) == list(it.keys()) == ["b", "a"]
    assert list(it.values()) == [b, a]
    assert list(it.items()) == [("b", b), ("a", a)]
    assert it["a"] is a
    assert it.get("c") is None
    assert len(it) == 2
    assert it.copy() == {"b": b, "a": a}
    with pytest.raises(KeyError):
        it["c"]
    assert repr(it) == "<SensorSet of 2 sensors>"


def test_contains_names_and_the_very_sensors() -> None:
    a, other = sensors("a", "a")
    it = SensorSet([a])
    assert "a" in it
    assert a in it
    assert other not in it
    assert 3 not in it


def test_two_sets_are_two() -> None:
    assert SensorSet() != SensorSet()
    assert len({SensorSet(), SensorSet()}) == 2


def test_who_wants_to_know_is_told() -> None:
    it = SensorSet()
    news = told(it)
    a, b = sensors("a", "b")
    it.add(a)
    it.add(a)  # is there
    it.add(b)
    it.remove(a)
    it.remove("b")
    assert news == ["+a", "+b", "-a", "-b"]


def test_a_sensor_replaces_another_of_its_name() -> None:
    it = SensorSet()
    news = told(it)
    a, other, last = sensors("a", "a", "b")
    it.update([a, last])
    it.add(other)
    assert it["a"] is other
    assert news == ["+a", "+b", ".", "-a", "+a"]


def test_remove_discard_pop_clear() -> None:
    a, other, b, c = sensors("a", "a", "b", "c")
    it = SensorSet([a, b, c])
    for item in (other, "z"):
        with pytest.raises(KeyError):
            it.remove(item)
        it.discard(item)
    assert len(it) == 3
    it.discard(a)
    assert it.pop("b") is b
    assert it.pop("b", None) is None
    with pytest.raises(KeyError):
        it.pop("b")
    news = told(it)
    it.clear()
    assert len(it) == 0
    assert news == ["-c", "."]


def test_callbacks_can_be_taken_back() -> None:
    it = SensorSet()
    news: list[object] = []

    def batch() -> None:
        news.append("batch")

    it.add_add_callback(news.append)
    it.remove_add_callback(news.append)
    it.add_remove_callback(news.append)
    it.remove_remove_callback(news.append)
    it.add_batch_callback(batch)
    it.remove_batch_callback(batch)
    it.update(sensors("a"))
    it.clear()
    assert news == []


def test_callback_that_raises_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    it = SensorSet()

    def bad(sensor: Sensor) -> None:
        raise RuntimeError("bad callback")

    it.add_add_callback(bad)
    news = told(it)
    it.add(sensors("a")[0])
    assert news == ["+a"]
    assert "bad callback" in caplog.text


def test_batches_nest() -> None:
    it = SensorSet()
    news = told(it)
    with it.batch(), it.batch():
        it.update(sensors("a", "b"))
        assert it.in_batch
    assert not it.in_batch
    assert news == ["+a", "+b", "."]


def test_set_may_change_while_it_is_walked_over() -> None:
    it = SensorSet(sensors("a", "b"))
    for name in it:
        it.remove(name)
    it.update(sensors("c", "d"))
    for sensor in it.values():
        it.remove(sensor)
        it.add(Sensor.integer(sensor.name * 2))
    assert list(it) == ["cc", "dd"]


def test_set_may_change_in_another_thread() -> None:
    it = SensorSet(sensors(*(f"s{i}" for i in range(100))))
    stop = threading.Event()

    def change() -> None:
        while not stop.is_set():
            it.update(sensors("x", "y"))
            it.pop("x")

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(500):
            assert len(list(it.items())) >= 100
    finally:
        stop.set()
        thread.join()
