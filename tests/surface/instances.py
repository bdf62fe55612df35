"""An instance of each class that can be made by itself, for a look at its attributes."""

import contextlib
import importlib
import unittest


def _get(path):
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module("katcp." + module), name)


def _device(base, **attributes):
    cls = _get(base)
    body = {"setup_sensors": lambda self: None, **attributes}
    return type(cls)("Device", (cls,), body)("127.0.0.1", 0)


class _Case(unittest.TestCase):
    def runTest(self):  # noqa: N802  # the name of unittest
        pass


def _connection():
    return _get("server.ClientConnection")(_device("server.DeviceServer")._server, object())


def _resource(**kwargs):
    return _get("resource_client.KATCPClientResource")(
        {"name": "r", "address": ("127.0.0.1", 1), **kwargs}
    )


def _container():
    return _get("resource_client.KATCPClientResourceContainer")(
        {"name": "c", "description": "", "clients": {"r": {"address": ("127.0.0.1", 1)}}}
    )


def _inspecting():
    return _get("inspecting_client.InspectingClientAsync")("127.0.0.1", 1)


def _sensors_manager():
    return _get("resource_client.KATCPClientResourceSensorsManager")(_inspecting(), "r")


def _sensor_with_manager():
    description = {
        "name": "s",
        "description": "",
        "units": "",
        "sensor_type": _get("core.Sensor").INTEGER,
        "params": [],
    }
    return _get("resource.KATCPSensor")(description, _sensors_manager())


def _integer():
    return _get("core.Sensor").integer("s")


def _strategy(name, *params):
    return lambda: _get("sampling." + name)(lambda *_: None, _integer(), *params)


def _request_connection():
    return _get("server.ClientRequestConnection")(_connection(), _get("core.Message").request("x"))


def _message_handler_thread():
    return _get("server.MessageHandlerThread")(lambda *_: None, lambda *_: None)


MAKERS = {
    "core.AsyncEvent": lambda: _get("core.AsyncEvent")(),
    "core.AsyncCallbackEvent": lambda: _get("core.AsyncCallbackEvent")(),
    "core.AsyncState": lambda: _get("core.AsyncState")(["a"]),
    "core.LatencyTimer": lambda: _get("core.LatencyTimer")(1),
    "core.ProtocolFlags": lambda: _get("core.ProtocolFlags")(5, 0, []),
    "core.Message": lambda: _get("core.Message").request("x"),
    "core.Sensor": _integer,
    "kattypes.Discrete": lambda: _get("kattypes.Discrete")(["a"]),
    "kattypes.DiscreteMulti": lambda: _get("kattypes.DiscreteMulti")(["a"]),
    "kattypes.Float": lambda: _get("kattypes.Float")(),
    "kattypes.Int": lambda: _get("kattypes.Int")(),
    "kattypes.KatcpType": lambda: _get("kattypes.KatcpType")(),
    "kattypes.Parameter": lambda: _get("kattypes.Parameter")(1, "x", _get("kattypes.Int")(), 5),
    "server.ClientConnection": _connection,
    "server.ClientRequestConnection": _request_connection,
    "server.ThreadsafeClientConnection": lambda: _get("server.ThreadsafeClientConnection")(
        _device("server.DeviceServer")._server, object()
    ),
    "server.DeviceServerBase": lambda: _get("server.DeviceServerBase")("127.0.0.1", 0),
    "server.DeviceServer": lambda: _device("server.DeviceServer"),
    "server.AsyncDeviceServer": lambda: _device("server.AsyncDeviceServer"),
    "server.DeviceLogger": lambda: _device("server.DeviceServer").log,
    "server.KATCPServer": lambda: _device("server.DeviceServer")._server,
    "server.MessageHandlerThread": _message_handler_thread,
    "client.DeviceClient": lambda: _get("client.DeviceClient")("127.0.0.1", 1),
    "client.AsyncClient": lambda: _get("client.AsyncClient")("127.0.0.1", 1),
    "client.CallbackClient": lambda: _get("client.CallbackClient")("127.0.0.1", 1),
    "client.BlockingClient": lambda: _get("client.BlockingClient")("127.0.0.1", 1),
    "inspecting_client.ExponentialRandomBackoff": lambda: _get(
        "inspecting_client.ExponentialRandomBackoff"
    )(),
    "inspecting_client.InspectingClientAsync": _inspecting,
    "inspecting_client._InformHookDeviceClient": lambda: _inspecting().katcp_client,
    "resource.KATCPSensor": _sensor_with_manager,
    "resource_client.ClientGroup": lambda: _get("resource_client.ClientGroup")("g", []),
    "resource_client.GroupRequest": lambda: _get("resource_client.GroupRequest")(
        _get("resource_client.ClientGroup")("g", []), "x", ""
    ),
    "resource_client.KATCPClientResource": _resource,
    "resource_client.KATCPClientResourceContainer": _container,
    "resource_client.KATCPClientResourceSensorsManager": _sensors_manager,
    "sampling.SampleNone": _strategy("SampleNone"),
    "sampling.SampleAuto": _strategy("SampleAuto"),
    "sampling.SampleEvent": _strategy("SampleEvent"),
    "sampling.SamplePeriod": _strategy("SamplePeriod", b"1"),
    "sampling.SampleDifferential": _strategy("SampleDifferential", b"1"),
    "sampling.SampleEventRate": _strategy("SampleEventRate", b"1", b"2"),
    "sampling.SampleDifferentialRate": _strategy("SampleDifferentialRate", b"1", b"1", b"2"),
    "fake_clients.FakeInspectingClientManager": lambda: _get(
        "fake_clients.fake_inspecting_client_factory"
    )(_get("inspecting_client.InspectingClientAsync"), {}, "127.0.0.1", 1)[1],
    "testutils.AsyncWaitingMock": lambda: _get("testutils.AsyncWaitingMock")(),
    "testutils.BlockingTestClient": lambda: _get("testutils.BlockingTestClient")(
        _Case(), "127.0.0.1", 1
    ),
    "testutils.ClientConnectionTest": lambda: _get("testutils.ClientConnectionTest")(),
    "testutils.DeviceTestServer": lambda: _get("testutils.DeviceTestServer")("127.0.0.1", 0),
    "testutils.DeviceTestServerWithTimeoutHints": lambda: _get(
        "testutils.DeviceTestServerWithTimeoutHints"
    )("127.0.0.1", 0),
    "testutils.AsyncDeviceTestServer": lambda: _get("testutils.AsyncDeviceTestServer")(
        "127.0.0.1", 0
    ),
    "testutils.MessageRecorder": lambda: _get("testutils.MessageRecorder")([2], [], None, []),
    "testutils.SensorTransitionWaiter": lambda: _get("testutils.SensorTransitionWaiter")(
        _integer(), [0]
    ),
    "testutils.WaitingMock": lambda: _get("testutils.WaitingMock")(),
    "ioloop_manager.IOLoopManager": lambda: _get("ioloop_manager.IOLoopManager")(),
    "ioloop_manager.IOLoopThreadWrapper": lambda: _get("ioloop_manager.IOLoopThreadWrapper")(
        object()
    ),
}


@contextlib.contextmanager
def made(path):
    """Provide an instance of the class called `path`; None if there is no way to make one."""
    maker = MAKERS.get(path.partition(".")[2])
    if maker is None:
        yield None
        return
    try:
        instance = maker()
    except (ImportError, AttributeError):
        yield None  # the names that are missing are reported anyway
        return
    try:
        yield instance
    finally:
        close = getattr(instance, "teardown", None)
        if close is not None:
            close()
