"""What suites written for katcp-python 0.9.3 reach into, with stand-ins for the client below."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest
import tornado.testing
from tornado.concurrent import Future

from katcp import resource_client
from katcp.core import AsyncCallbackEvent, AsyncState, Message, Sensor
from katcp.resource import (
    KATCPReply,
    KATCPRequest,
    KATCPSensor,
    KATCPSensorsManager,
    logger,
)
from katcp.resource_client import KATCPClientResource, KATCPClientResourceSensorsManager

SPEC = {
    "name": "dev",
    "address": ("testhost", 12345),
    "controlled": True,
    "always_allowed_requests": ["watchdog", "sensor-list"],
    "always_excluded_requests": ["halt", "sensor-value"],
}
REQUESTS = ["watchdog", "halt", "sensor-value", "a-b", "sensor-list"]


def done(result: Any) -> Any:
    future: Any = Future()
    future.set_result(result)
    return future


class Stub(KATCPRequest):
    def issue_request(self, *args: Any, **kwargs: Any) -> Any:
        return done((args, kwargs))


def stand_in(manager: Any) -> Any:
    client = mock.Mock()
    client.future_get_request.side_effect = lambda name: done(
        Stub({"name": name, "description": "", "timeout_hint": None})
    )
    client.future_get_sensor.side_effect = lambda name: done(
        KATCPSensor(
            {"name": name, "sensor_type": Sensor.INTEGER, "description": "", "units": ""}, manager
        )
    )
    return client


class TestContents(tornado.testing.AsyncTestCase):
    @tornado.testing.gen_test
    def test_requests(self) -> Any:
        for controlled, offered in ((True, {"a_b", "watchdog", "sensor_list"}), (False, None)):
            resource = KATCPClientResource({**SPEC, "controlled": controlled})
            resource._inspecting_client = stand_in(None)
            yield resource._add_requests(REQUESTS)
            assert set(resource.req) == (offered or {"watchdog", "sensor_list"})
            result = yield resource.req.watchdog(1, mid=2)
            assert result == ((1,), {"mid": 2})
            yield resource._remove_requests(["watchdog", "nope"])
            assert "watchdog" not in resource.req

    @tornado.testing.gen_test
    def test_sensors(self) -> Any:
        manager = mock.Mock()
        manager.set_sampling_strategy.side_effect = lambda name, strategy: done((True, strategy))
        resource = KATCPClientResource(SPEC)
        resource._inspecting_client = stand_in(manager)
        result = yield resource.set_sampling_strategy("a.b", "event-rate 1 2")
        assert result == {}
        assert resource._sensor_strategy_cache == {"a_b": "event-rate 1 2"}
        result = yield resource.set_sensor_listener("a.b", print)
        assert result == {}
        assert resource._sensor_listener_cache == {"a_b": [print]}
        yield resource._add_sensors({"a.b", "c-d"})
        assert set(resource._sensor) == {"a_b", "c_d"}
        assert resource._sensor is resource.sensor
        assert resource.sensor.a_b.is_listener(print)
        manager.set_sampling_strategy.assert_called_once_with("a.b", "event-rate 1 2")
        result = yield resource.set_sampling_strategies("d", "event")
        assert result == {"c_d": "event"}
        assert resource._sensor_strategy_cache == {"a_b": "event-rate 1 2", "c_d": "event"}
        yield resource._remove_sensors(["a.b", "nope"])
        assert set(resource.sensor) == {"c_d"}
        resource.drop_sampling_strategy("c-d")
        assert resource._sensor_strategy_cache == {"a_b": "event-rate 1 2"}


def test_the_state_follows_the_events() -> None:
    resource = KATCPClientResource(SPEC)
    assert isinstance(resource._state, AsyncState)
    assert isinstance(resource._connected, AsyncCallbackEvent)
    states = []
    for event, method in (
        (resource._connected, "set"),
        (resource._sensors_synced, "set"),
        (resource._requests_synced, "set"),
        (resource._sensors_synced, "clear"),
        (resource._connected, "clear"),
    ):
        getattr(event, method)()
        states.append(resource.state)
    assert states == ["syncing", "syncing", "synced", "syncing", "disconnected"]
    resource._update_state()
    resource._update_state(True)
    assert resource.state == "disconnected"


async def test_a_started_resource_has_its_parts() -> None:
    resource = KATCPClientResource({**SPEC, "address": ("127.0.0.1", 1)})
    resource.start()
    client, manager = resource._inspecting_client, resource._sensor_manager
    assert isinstance(client, resource_client.ReplyWrappedInspectingClientAsync)
    assert isinstance(manager, KATCPClientResourceSensorsManager)
    assert isinstance(manager, KATCPSensorsManager)
    assert manager._inspecting_client is client
    assert (manager.resource_name, manager._strategy_cache) == ("dev", {})
    assert resource.reapply_sampling_strategies == manager.reapply_sampling_strategies
    assert resource.ioloop is client.ioloop
    assert client.katcp_client.auto_reconnect_delay == 0.5
    resource.stop()
    await resource.until_stopped(timeout=5)


class TestManager(tornado.testing.AsyncTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.answer = ["ok"]
        self.client = mock.MagicMock()
        self.client.wrapped_request.side_effect = lambda name, *args: done(
            KATCPReply(Message.reply(name, *self.answer), [])
        )
        self.client.future_check_sensor.side_effect = lambda name, update=None: done(True)
        self.manager = KATCPClientResourceSensorsManager(self.client, "dev")

    @tornado.testing.gen_test
    def test_strategies(self) -> Any:
        manager, request = self.manager, self.client.wrapped_request
        assert manager.time is self.client.ioloop.time
        result = yield manager.set_sampling_strategy("a.b", "event-rate 1 2.5")
        assert result == (True, ("event-rate", "1", "2.5"))
        request.assert_called_once_with("sensor-sampling", "a.b", "event-rate", "1", "2.5")
        assert manager.get_sampling_strategy("a.b") == ("event-rate", "1", "2.5")
        assert manager.get_sampling_strategy("zz") == ("none",)
        self.answer = ["fail", "no such thing"]
        success, text = yield manager.set_sampling_strategy("a.b", "event")
        assert success is False
        assert "no\\_such\\_thing" in text
        assert manager._strategy_cache == {"a.b": ("event",)}
        request.reset_mock()
        yield manager.reapply_sampling_strategies()
        request.assert_called_once_with("sensor-sampling", "a.b", "event")
        manager.drop_sampling_strategy("a.b")
        manager.drop_sampling_strategy("a.b")
        assert manager._strategy_cache == {}

    @tornado.testing.gen_test
    def test_one_sensor_that_cannot_be_looked_for_harms_no_other(self) -> Any:
        def check(name: str, update: Any = None) -> Any:
            if name == "a":
                raise RuntimeError("no idea")
            return done(name != "gone")

        self.client.future_check_sensor.side_effect = check
        for name in ("a", "gone", "b"):
            self.manager.remember(name, "event")
        yield self.manager.reapply_sampling_strategies()
        self.client.wrapped_request.assert_called_once_with("sensor-sampling", "b", "event")

    @tornado.testing.gen_test
    def test_polling(self) -> Any:
        yield self.manager.poll_sensor("a.b")
        self.client.wrapped_request.assert_called_once_with("sensor-value", "a.b")
        self.answer = ["fail", "no"]
        with pytest.raises(resource_client.KATCPSensorError, match=r"a\.b"):
            yield self.manager.poll_sensor("a.b")

    def test_making_sensors(self) -> None:
        sensor = self.manager.sensor_factory(
            name="x.y", sensor_type=Sensor.INTEGER, description="D.", units="u", params=[1, 2]
        )
        assert isinstance(sensor, KATCPSensor)
        assert (sensor.parent_name, sensor.name, sensor._sensor.params) == ("dev", "x.y", [1, 2])
        self.client.ioloop.time.return_value = 77
        sensor.set_formatted(b"1", b"nominal", b"2", 5)
        assert sensor._reading == (77, 1, Sensor.NOMINAL, 2)
        assert sensor._listeners == {}

    def test_parsing_by_a_client_whose_protocol_is_a_stand_in(self) -> None:
        sensor = self.manager.sensor_factory(
            name="t", sensor_type=Sensor.TIMESTAMP, description="", units="", params=[]
        )
        assert sensor.parse_value(b"1.5") == 1.5


def test_names_that_come_along() -> None:
    for name in (
        "AsyncCallbackEvent",
        "AsyncEvent",
        "AsyncState",
        "AttrDict",
        "DefaultAttrDict",
        "KATCPReply",
        "KATCPSensorError",
        "LatencyTimer",
        "Message",
        "log_future_exceptions",
        "steal_docstring_from",
        "until_any",
        "until_some",
    ):
        assert hasattr(resource_client, name)
    assert resource_client.log.name == "katcp.resource_client"
    assert logger.name == "katcp.resource"
