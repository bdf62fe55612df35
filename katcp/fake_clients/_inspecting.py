"""Fake inspecting clients, and who manages what their device offers."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from katcp.fake_clients._client import FakeAsyncClient
from katcp.fake_clients._device import FakeDevice, Handler
from katcp.fake_clients._sensors import SensorInfo, sensor_of
from katcp.handlers import convert_method_name
from katcp.inspecting_client import InspectingClientAsync
from katcp.protocol import Message
from katcp.sensors import Sensor

_T = TypeVar("_T", bound=InspectingClientAsync)


class FakeInspectingClientManager:
    """Manages what the device of a fake inspecting client offers.

    Each change acts like an ``#interface-changed`` of the device: the client is not synced from
    that moment on, until it has inspected the device again.

    Parameters
    ----------
    fake_inspecting_client : InspectingClientAsync
        From `fake_inspecting_client_factory`.

    Attributes
    ----------
    fake_sensor_infos : dict of str to tuple
        What `add_sensors` was given.
    """

    def __init__(self, fake_inspecting_client: Any) -> None:
        self._fic = fake_inspecting_client
        self._fkc: FakeAsyncClient = fake_inspecting_client.katcp_client
        self.fake_sensor_infos = self._fkc.fake_sensor_infos
        for name, handler in (
            ("help", self.request_help),
            ("sensor-list", self.request_sensor_list),
        ):
            present = self._request_handlers.get(name)
            if present is None or isinstance(
                getattr(present, "__self__", None), FakeInspectingClientManager
            ):
                self._request_handlers[name] = handler

    @property
    def _request_handlers(self) -> dict[str, Handler]:
        return self._fkc.request_handlers

    # -- sensors ------------------------------------------------------------------------

    def add_sensors(
        self,
        sensor_infos: Mapping[str, SensorInfo],
        *,
        values: Mapping[str, Any] | None = None,
    ) -> None:
        """Add sensors to the device, or replace those of the same names.

        Parameters
        ----------
        sensor_infos : dict of str to tuple
            By name: description, units, type, and parameters, as in ``#sensor-list``. Or a
            `Sensor`, which is served itself.
        values : dict of str to object, optional
            First values of some of them, with status nominal. Without one a sensor's status
            is unknown.

        Raises
        ------
        KatcpSyntaxError
            If there is no such type.
        ValueError
            If something is missing, or parameters or a value do not fit the type.
        KeyError
            If there is a value for a sensor that is not among these.

        Examples
        --------
        ::

            manager.add_sensors(
                {
                    "wind.speed": ("Speed of the wind", "m/s", "float", 0.0, 60.0),
                    "mode": ("What it does", "", "discrete", "idle", "busy"),
                },
                values={"wind.speed": 3.5},
            )
        """
        first = values or {}
        for name, value in first.items():
            # One of its own, to complain before anything is changed.
            sensor_of(name, sensor_infos[name]).set_value(value)
        self._fkc.update_fake({}, sensor_infos)
        for name, value in first.items():
            self.set_sensor_value(name, value)

    def remove_sensors(self, *names: str) -> None:
        """Take sensors from the device.

        Raises
        ------
        KeyError
            If it has not all of them.
        """
        _check_there(names, self.fake_sensor_infos)
        self._fkc.update_fake({}, dict.fromkeys(names))

    @property
    def sensors(self) -> dict[str, Sensor]:
        """The device's own sensors, by name.

        What is set here is what the client gets to know: by asking, or by its sampling strategy.
        """
        return dict(self._fkc.fake_sensors)

    def set_sensor_value(
        self,
        name: str,
        value: Any,
        status: int = Sensor.NOMINAL,
        timestamp: float | None = None,
    ) -> None:
        """Set the value of a sensor of the device.

        Parameters
        ----------
        name : str
        value : object
            A Python value of the sensor's type.
        status : int
            One of the constants of `Sensor`.
        timestamp : float, optional
            Seconds since 1970; now if not given.

        Raises
        ------
        KeyError
            If there is no such sensor.
        ValueError, TypeError
            If it cannot have that value, or there is no such status.
        """
        self._fkc.fake_sensors[name].set_value(value, status, timestamp)

    # -- requests -----------------------------------------------------------------------

    def add_request_handlers_dict(self, rh_dict: Mapping[str, Handler]) -> None:
        """Add requests to the device, or replace those of the same names.

        Parameters
        ----------
        rh_dict : dict of str to callable
            By name; called as ``handler(req, msg)``, or as the decorators of `katcp.kattypes`
            have it. They may do what handlers of servers may: return a reply, raise `FailReply`
            or `AsyncReply`, be coroutines. Their docstrings are what ``?help`` says.

        Raises
        ------
        AssertionError
            If one has no docstring.
        """
        self._fkc.update_fake(rh_dict, {})

    def add_request_handlers_object(self, rh_obj: Any) -> None:
        """Add the ``request_*`` methods of an object; see `add_request_handlers_dict`."""
        self.add_request_handlers_dict(
            {
                convert_method_name("request_", name): member
                for name, member in inspect.getmembers(rh_obj, callable)
                if name.startswith("request_")
            }
        )

    def remove_requests(self, *names: str) -> None:
        """Take requests from the device; they then succeed as unknown ones do.

        Raises
        ------
        KeyError
            If it has not all of them.
        """
        _check_there(names, self._request_handlers)
        self._fkc.update_fake(dict.fromkeys(names), {})

    # -- what every device answers ------------------------------------------------------

    def request_help(self, req: Any, msg: Message) -> Any:
        """Describe the requests that this device has."""
        return FakeDevice.request_help(self._device(), req, msg)

    def request_sensor_list(self, req: Any, msg: Message) -> Any:
        """List sensors."""
        return FakeDevice.request_sensor_list(self._device(), req, msg)

    def _device(self) -> FakeDevice:
        return self._fkc.fake_device()


def _check_there(names: Iterable[str], table: Mapping[str, object]) -> None:
    for name in names:
        if name not in table:
            raise KeyError(name)


def fake_inspecting_client_factory(
    InspectingClass: Callable[..., _T],  # noqa: N803  # name of old
    fake_options: Mapping[str, Any],
    host: str,
    port: int,
    *args: Any,
    **kwargs: Any,
) -> tuple[_T, FakeInspectingClientManager]:
    """Return an inspecting client that needs no device, and the manager of what it finds.

    Parameters
    ----------
    InspectingClass : type
        `InspectingClientAsync`, or a subclass; the client is an instance of it.
    fake_options : dict
        Not used.
    host, port, *args, **kwargs
        For `InspectingClass`.

    Returns
    -------
    client : InspectingClientAsync
    manager : FakeInspectingClientManager

    Examples
    --------
    ::

        client, manager = fake_inspecting_client_factory(InspectingClientAsync, {}, "fake", 1)
        manager.add_sensors({"speed": ("How fast it goes", "m/s", "float")})
        client.connect()
        await client.until_synced()
    """
    client = fake_inspecting_class(InspectingClass)(host, port, *args, **kwargs)
    return client, FakeInspectingClientManager(client)


def fake_inspecting_class(inspecting_class: Any) -> Any:
    """Return a subclass of an inspecting client class whose instances are fake."""

    class FakeInspectingClass(inspecting_class):  # type: ignore[misc]  # not known here
        """An inspecting client that has its device in itself."""

        #: There is no device to be spared, and tests may own the clock.
        max_resync_rate = 1e12

        def inform_hook_client_factory(
            self, host: str, port: int, *args: Any, **kwargs: Any
        ) -> FakeAsyncClient:
            """Return the fake client below."""
            return FakeAsyncClient(host, port, *args, **kwargs)

    return FakeInspectingClass
