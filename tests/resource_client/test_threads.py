"""Resources used from other threads than the loop's."""

from __future__ import annotations

import concurrent.futures
import gc
import threading
import unittest
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
import tornado.gen
from tornado import gen
from tornado.ioloop import IOLoop

from katcp.errors import KatcpClientError
from katcp.ioloop_manager import IOLoopManager, ThreadSafeMethodAttrWrapper
from katcp.kattypes import Float, request, return_reply
from katcp.resource import KATCPReply
from katcp.resource_client import (
    AttrMappingProxy,
    IOLoopThreadWrapper,
    KATCPClientResource,
    KATCPClientResourceContainer,
    MappingProxy,
    ThreadSafeKATCPClientGroupWrapper,
    ThreadSafeKATCPClientResourceRequestWrapper,
    ThreadSafeKATCPClientResourceWrapper,
    ThreadSafeKATCPSensorWrapper,
)
from katcp.sensors import Sensor
from katcp.server import DeviceServer
from tests.helpers.resources import PATIENCE
from tests.helpers.serving import serving_in_thread


class Pump(DeviceServer):
    """A pump with a loop and a handler thread of its own."""

    VERSION_INFO = ("pump-api", 1, 0)
    BUILD_INFO = ("pump", 1, 0, "")

    def __init__(self) -> None:
        super().__init__("127.0.0.1", 0)

    def setup_sensors(self) -> None:
        self.add_sensor(Sensor.integer("pump.speed", "Speed.", "rpm", [0, 100]))
        self.add_sensor(Sensor.integer("items", "Not a method.", "", [0, 100]))

    @request(Float(), Float())
    @return_reply(Float())
    def request_add(self, req: Any, x: float, y: float) -> Any:
        """Add two numbers."""
        return ("ok", x + y)

    @request()
    @return_reply()
    @gen.coroutine
    def request_block(self, req: Any) -> Any:
        """Take long."""
        yield gen.sleep(3600)


@pytest.fixture
def pump() -> Iterator[Pump]:
    with serving_in_thread(Pump()) as server:
        yield server


@pytest.fixture
def loop() -> Iterator[IOLoop]:
    """A loop that runs in a thread of its own."""
    manager = IOLoopManager()
    ioloop = manager.get_ioloop()
    manager.start(timeout=10)
    yield ioloop
    manager.stop().result(10)
    manager.join(10)


def spec(pump: Pump, **more: Any) -> dict[str, Any]:
    host, port = pump.bind_address[:2]
    return {"name": "pump-1", "address": (host, port), "controlled": True, **more}


def wrapped(subject: Any, loop: IOLoop) -> Any:
    """Start a resource or a container in the loop, and wrap it."""
    subject.set_ioloop(loop)
    loop.add_callback(subject.start)
    wrapper = ThreadSafeKATCPClientResourceWrapper(subject, IOLoopThreadWrapper(loop))
    wrapper.until_synced(timeout=PATIENCE)
    return wrapper


@pytest.fixture
def resource(pump: Pump, loop: IOLoop) -> Iterator[Any]:
    wrapper = wrapped(KATCPClientResource(spec(pump)), loop)
    yield wrapper
    wrapper.stop()
    wrapper.until_stopped(timeout=PATIENCE)


@pytest.fixture
def container(pump: Pump, loop: IOLoop) -> Iterator[Any]:
    clients = {"a-1": spec(pump), "b": spec(pump)}
    wrapper = wrapped(
        KATCPClientResourceContainer(
            {"name": "plant", "clients": clients, "groups": {"both": ["a-1", "b"]}}
        ),
        loop,
    )
    yield wrapper
    wrapper.stop()
    assert wrapper.until_stopped(timeout=PATIENCE) == {"a_1": True, "b": True}


def in_loop(wrapper: Any, function: Any) -> Any:
    return wrapper._ioloop_wrapper.call_in_ioloop(function, (), {})


# -- a resource ---------------------------------------------------------------------------


def test_what_it_is(resource: Any, loop: IOLoop) -> None:
    subject = resource.__subject__
    assert type(resource) is ThreadSafeKATCPClientResourceWrapper
    assert isinstance(resource, KATCPClientResource)
    assert (resource.name, resource.state, resource.synced) == ("pump-1", "synced", True)
    assert resource.is_connected()
    assert resource.ioloop is loop
    assert resource.parent is None
    assert resource.children == {}
    assert repr(resource) == repr(subject)
    assert not hasattr(resource, "groups")
    assert resource.versions["katcp-device"]
    assert in_loop(resource, subject.until_synced)


def test_requests_block(resource: Any) -> None:
    assert resource.req.help(timeout=PATIENCE).succeeded
    reply = resource.req.add(1, 2)
    assert isinstance(reply, KATCPReply)
    assert reply.reply.arguments[1] == b"3.0"
    assert not resource.req["add"]("x", 2, timeout=PATIENCE)
    add = resource.req.add
    assert type(add) is ThreadSafeKATCPClientResourceRequestWrapper
    assert (add.name, add.description) == ("add", "Add two numbers.")
    assert "Add two numbers." in add.__doc__
    with pytest.raises(AttributeError, match="'AttrDict' object has no attribute 'nope'"):
        resource.req.nope(1)
    with pytest.raises(concurrent.futures.TimeoutError):
        resource.req.block(timeout=0.01)


def test_sensors(resource: Any, pump: Pump) -> None:
    speed = resource.sensor.pump_speed
    assert type(speed) is ThreadSafeKATCPSensorWrapper
    assert speed.sampling_strategy == ("none",)
    pump.get_sensor("pump.speed").set_value(7)
    assert speed.get_value() == 7
    assert speed.get_reading().status == "nominal"
    assert (speed.value, speed.name) == (7, "pump.speed")
    assert speed.set_sampling_strategy("event") == (True, ("event",))
    assert speed.sampling_strategy == ("event",)
    assert speed.wait(7, timeout=PATIENCE)
    with pytest.raises(tornado.gen.TimeoutError):
        speed.wait(8, timeout=0.01)
    assert resource.wait("pump.speed", 7, timeout=PATIENCE)
    assert resource.wait("pump_speed", 8, 0.01) is False
    assert resource.sensors.pump_speed.value == 7


def test_listeners_are_called_in_the_loop(resource: Any, pump: Pump) -> None:
    heard: concurrent.futures.Future[Any] = concurrent.futures.Future()

    def listen(sensor: Any, reading: Any) -> None:
        if reading.value == 7 and not heard.done():
            heard.set_result(threading.current_thread())

    resource.sensor.pump_speed.register_listener(listen, reading=True)
    resource.set_sampling_strategy("pump.speed", "event")
    pump.get_sensor("pump.speed").set_value(7)
    assert heard.result(PATIENCE) is not threading.current_thread()
    resource.sensor.pump_speed.unregister_listener(listen)


def test_views_of_names(resource: Any) -> None:
    sensors = resource.sensor
    assert type(sensors) is AttrMappingProxy
    assert set(sensors) == set(dir(sensors)) == {"pump_speed", "items"}
    assert len(sensors) == 2
    assert "pump_speed" in sensors
    assert "nope" not in sensors
    assert sensors["items"].name == "items"
    assert sorted(name for name, _ in sensors.items()) == ["items", "pump_speed"]
    with pytest.raises(KeyError, match="nope"):
        sensors["nope"]
    with pytest.raises(TypeError):
        sensors["x"] = 1
    assert resource.req == resource.req


def test_limits_of_time(resource: Any) -> None:
    for error in (concurrent.futures.TimeoutError, tornado.gen.TimeoutError):
        with pytest.raises(error):
            resource.until_state("disconnected", timeout=0.01)
    resource._ioloop_wrapper.default_timeout = 0.01
    with pytest.raises(concurrent.futures.TimeoutError):
        resource.until_state("disconnected")
    resource._ioloop_wrapper.default_timeout = None


def test_in_the_loop_there_is_no_blocking(resource: Any) -> None:
    def inside() -> list[Any]:
        found: list[Any] = [resource.name, resource.sensor.pump_speed.name]
        for call in (
            resource.until_synced,
            resource.req.add,
            lambda: resource.sensor.pump_speed.sampling_strategy,
        ):
            with pytest.raises(RuntimeError, match="from the ioloop"):
                call()
        return found

    assert in_loop(resource, inside) == ["pump-1", "pump.speed"]


def test_wrappers_can_be_replaced(resource: Any) -> None:
    class Loud(ThreadSafeKATCPSensorWrapper):
        @property
        def shout(self) -> str:
            return str(self.name).upper()

    resource.SensorWrapper = lambda sensor: Loud(sensor, resource._ioloop_wrapper)
    assert resource.sensor.pump_speed.shout == "PUMP.SPEED"
    assert not hasattr(resource.__subject__, "SensorWrapper")


def test_it_can_be_read_when_all_is_over(pump: Pump) -> None:
    manager = IOLoopManager()
    loop = manager.get_ioloop()
    manager.start(timeout=10)
    resource = wrapped(KATCPClientResource(spec(pump)), loop)
    resource.sensor.pump_speed.get_value()
    resource.stop()
    resource.until_stopped(timeout=PATIENCE)
    manager.stop().result(10)
    manager.join(10)
    assert resource.state == "disconnected"
    assert resource.sensor.pump_speed.value == 0
    with pytest.raises(RuntimeError, match="closed"):
        resource.until_synced(timeout=PATIENCE)


def test_who_waits_for_a_stopped_resource_is_told(pump: Pump, loop: IOLoop) -> None:
    resource = wrapped(KATCPClientResource(spec(pump)), loop)
    begun: concurrent.futures.Future[Any] = concurrent.futures.Future()

    def wait() -> None:
        try:
            begun.set_result(resource.until_state("syncing"))
        except Exception as error:
            begun.set_exception(error)

    thread = threading.Thread(target=wait)
    thread.start()
    resource.stop()
    with pytest.raises(KatcpClientError, match="stopped"):
        begun.result(PATIENCE)
    thread.join(PATIENCE)
    resource.until_stopped(timeout=PATIENCE)


def test_a_stopped_resource_is_collected(pump: Pump, loop: IOLoop) -> None:
    resource = wrapped(KATCPClientResource(spec(pump)), loop)
    resource.req.add(1, 2)
    resource.sensor.pump_speed.get_value()
    resource.stop()
    resource.until_stopped(timeout=PATIENCE)
    gone = weakref.ref(resource.__subject__)
    del resource
    settled = threading.Event()
    loop.add_callback(settled.set)
    assert settled.wait(PATIENCE)
    gc.collect()
    assert gone() is None


def test_many_threads_use_one_resource(resource: Any) -> None:
    sums: list[float] = []

    def add(number: int) -> None:
        for i in range(20):
            reply = resource.req.add(number, i, timeout=PATIENCE)
            sums.append(float(reply.reply.arguments[1]) - number - i)

    threads = [threading.Thread(target=add, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sums == [0.0] * 80


# -- a container --------------------------------------------------------------------------


def test_a_container(container: Any) -> None:
    assert container.is_connected()
    assert isinstance(container.__subject__, KATCPClientResourceContainer)
    assert set(container.children) == {"a_1", "b"}
    child = container.children.a_1
    assert type(child) is ThreadSafeKATCPClientResourceWrapper
    assert child.req.add(1, 2).succeeded
    assert type(child.parent) is ThreadSafeKATCPClientResourceWrapper
    assert child.parent.__subject__ is container.__subject__
    assert container.req.b_add(1, 2, timeout=PATIENCE).succeeded
    assert container.sensor.a_1_pump_speed.get_value() == 0
    assert container.sensors["b_pump_speed"].get_value() == 0
    assert container.set_sampling_strategies("speed", "event") == {
        "a-1": {"pump_speed": "event"},
        "b": {"pump_speed": "event"},
    }
    assert len(container.list_sensors("speed")) == 2
    with pytest.raises(NotImplementedError):
        container.wait("a_1_pump_speed", 7)
    with pytest.raises(concurrent.futures.TimeoutError):
        container.until_not_synced(timeout=0.01)


def test_groups(container: Any) -> None:
    both = container.groups.both
    assert type(both) is ThreadSafeKATCPClientGroupWrapper
    assert type(container.groups["both"]) is ThreadSafeKATCPClientGroupWrapper
    assert (both.name, len(both)) == ("both", 2)
    assert both.is_connected()
    assert type(both.req.add) is ThreadSafeKATCPClientResourceRequestWrapper
    results = both.req.add(1, 2, timeout=PATIENCE)
    assert results.succeeded
    assert set(results) == {"a-1", "b"}
    assert both.set_sampling_strategy("pump_speed", "event")["b"] == {"pump_speed": "event"}
    assert both.wait("pump_speed", 0, timeout=PATIENCE)
    assert not both.wait("pump_speed", 8, 0.01)
    for clients in (both.clients, list(both), both[:], [both[0], both[-1]]):
        assert isinstance(clients, list)
        assert [client.name for client in clients] == ["a-1", "b"]
        assert all(type(c) is ThreadSafeKATCPClientResourceWrapper for c in clients)
        assert clients[1].req.add(1, 2).succeeded


# -- views --------------------------------------------------------------------------------


def test_a_view_of_a_mapping() -> None:
    numbers = {"one": 1, "two": 2}
    view = MappingProxy(numbers, str)
    assert view["one"] == "1"
    assert dict(view) == {"one": "1", "two": "2"}
    assert ("one" in view, "three" in view, len(view)) == (True, False, 2)
    numbers["three"] = 3
    assert list(view.values()) == ["1", "2", "3"]
    assert not hasattr(view, "one")
    attributes = AttrMappingProxy(numbers, str)
    assert attributes.one == "1"
    assert dir(attributes) == ["one", "three", "two"]
    for missing in ("four", "__missing__", "_private"):
        assert not hasattr(attributes, missing)
    assert not hasattr(AttrMappingProxy.__new__(AttrMappingProxy), "one")


def test_a_view_may_be_iterated_while_it_changes() -> None:
    numbers = {"one": 1, "two": 2}
    for name in MappingProxy(numbers, str):
        numbers[f"{name}_more"] = 3
    assert len(numbers) == 4


# -- as scripts and suites for katcp-python are written -----------------------------------


class TestAsQualificationTestsUseIt(unittest.TestCase):
    # ruff: noqa: PT009, PT027 - such suites are written so

    def setUp(self) -> None:
        self.server = Pump()
        self.server.start(timeout=PATIENCE)
        self.addCleanup(self.server.join)
        self.addCleanup(self.server.stop)
        host, port = self.server.bind_address[:2]
        self.manager = IOLoopManager()
        self.manager.setDaemon(True)
        self.io_loop = self.manager.get_ioloop()
        self.manager.start()
        self.addCleanup(self.manager.join)
        self.addCleanup(self.manager.stop)
        self.client_resource = KATCPClientResource(
            {"name": "correlator", "address": (host, port), "controlled": True}
        )
        self.client_resource.set_ioloop(self.io_loop)
        self.io_loop.add_callback(self.client_resource.start)
        self.ioloop_wrapper = IOLoopThreadWrapper(self.io_loop)
        self.ioloop_wrapper.default_timeout = PATIENCE
        self.client = ThreadSafeKATCPClientResourceWrapper(
            self.client_resource, self.ioloop_wrapper
        )
        self.client.until_synced(timeout=PATIENCE)
        self.addCleanup(self._stop)

    def _stop(self) -> None:
        self.client.stop()
        self.client.until_stopped()

    def test_requests(self) -> None:
        reply, informs = self.client.req.sensor_value("pump.speed", timeout=10)
        self.assertTrue(reply.reply_ok())
        self.assertEqual(informs[0].arguments[2], b"pump.speed")
        self.assertTrue(self.client.req.watchdog().succeeded)

    def test_sensors(self) -> None:
        for name in self.client.sensor:
            sensor = getattr(self.client.sensor, name, None) or self.client.sensor[name]
            self.assertTrue(callable(sensor) or sensor.get_status())
        self.assertEqual(self.client.sensor.pump_speed.get_value(), 0)

    def test_threads(self) -> None:
        self.assertIsInstance(self.client, ThreadSafeMethodAttrWrapper)
        self.ioloop_wrapper.default_timeout = 0.001
        with self.assertRaises(concurrent.futures.TimeoutError):
            self.client.until_state("disconnected")
        self.ioloop_wrapper.default_timeout = PATIENCE
