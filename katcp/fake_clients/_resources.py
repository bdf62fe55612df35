"""Fake client resources and containers of them, and who manages what their devices offer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from katcp.aio import AttrDict
from katcp.fake_clients._client import FakeAsyncClient
from katcp.fake_clients._device import Handler
from katcp.fake_clients._inspecting import FakeInspectingClientManager, fake_inspecting_class
from katcp.fake_clients._sensors import SensorInfo
from katcp.resource import escape_name
from katcp.sensors import Sensor

_T = TypeVar("_T")


class FakeKATCPClientResourceManager:
    """Manages what the device of a fake client resource offers.

    All its methods need the resource to have been started: `RuntimeError` before that.

    Parameters
    ----------
    fake_katcp_resource_client : KATCPClientResource
        From `fake_KATCP_client_resource_factory`.
    """

    def __init__(self, fake_katcp_resource_client: Any) -> None:
        self._fkrc = fake_katcp_resource_client

    @property
    def _fic_manager(self) -> FakeInspectingClientManager:
        manager: FakeInspectingClientManager | None = self._fkrc.fake_inspecting_client_manager
        if manager is None:
            raise RuntimeError(
                f"Fake resource {self._fkrc.name!r} cannot be managed yet: start() it first."
            )
        return manager

    @property
    def fake_sensor_infos(self) -> dict[str, SensorInfo]:
        """What `add_sensors` was given."""
        infos: dict[str, SensorInfo] = self._fic_manager.fake_sensor_infos
        return infos

    @property
    def sensors(self) -> dict[str, Sensor]:
        """See `FakeInspectingClientManager.sensors`."""
        return self._fic_manager.sensors

    def add_sensors(
        self,
        sensor_infos: Mapping[str, SensorInfo],
        *,
        values: Mapping[str, Any] | None = None,
    ) -> None:
        """See `FakeInspectingClientManager.add_sensors`."""
        self._fic_manager.add_sensors(sensor_infos, values=values)

    def remove_sensors(self, *names: str) -> None:
        """See `FakeInspectingClientManager.remove_sensors`."""
        self._fic_manager.remove_sensors(*names)

    def set_sensor_value(
        self,
        name: str,
        value: Any,
        status: int = Sensor.NOMINAL,
        timestamp: float | None = None,
    ) -> None:
        """See `FakeInspectingClientManager.set_sensor_value`; `name` is the device's own."""
        self._fic_manager.set_sensor_value(name, value, status, timestamp)

    def add_request_handlers_dict(self, rh_dict: Mapping[str, Handler]) -> None:
        """See `FakeInspectingClientManager.add_request_handlers_dict`."""
        self._fic_manager.add_request_handlers_dict(rh_dict)

    def add_request_handlers_object(self, rh_obj: Any) -> None:
        """See `FakeInspectingClientManager.add_request_handlers_object`."""
        self._fic_manager.add_request_handlers_object(rh_obj)

    def remove_requests(self, *names: str) -> None:
        """See `FakeInspectingClientManager.remove_requests`."""
        self._fic_manager.remove_requests(*names)


class FakeKATCPClientResourceContainerManager:
    """Manages what the devices of a fake container offer; each method takes the child's name first.

    Parameters
    ----------
    fake_katcp_resource_container : KATCPClientResourceContainer
        From `fake_KATCP_client_resource_container_factory`.
    """

    def __init__(self, fake_katcp_resource_container: Any) -> None:
        self._fkcrc = fake_katcp_resource_container

    @property
    def child_managers(self) -> AttrDict:
        """A `FakeKATCPClientResourceManager` for each child, by escaped name."""
        managers: AttrDict = self._fkcrc.fake_child_managers
        return managers

    def _child(self, child_name: str) -> FakeKATCPClientResourceManager:
        manager: FakeKATCPClientResourceManager = self.child_managers[escape_name(child_name)]
        return manager

    def add_sensors(
        self,
        child_name: str,
        sensor_infos: Mapping[str, SensorInfo],
        *,
        values: Mapping[str, Any] | None = None,
    ) -> None:
        """See `FakeInspectingClientManager.add_sensors`."""
        self._child(child_name).add_sensors(sensor_infos, values=values)

    def remove_sensors(self, child_name: str, *names: str) -> None:
        """See `FakeInspectingClientManager.remove_sensors`."""
        self._child(child_name).remove_sensors(*names)

    def set_sensor_value(
        self,
        child_name: str,
        name: str,
        value: Any,
        status: int = Sensor.NOMINAL,
        timestamp: float | None = None,
    ) -> None:
        """See `FakeInspectingClientManager.set_sensor_value`."""
        self._child(child_name).set_sensor_value(name, value, status, timestamp)

    def add_request_handlers_dict(self, child_name: str, rh_dict: Mapping[str, Handler]) -> None:
        """See `FakeInspectingClientManager.add_request_handlers_dict`."""
        self._child(child_name).add_request_handlers_dict(rh_dict)

    def add_request_handlers_object(self, child_name: str, rh_obj: Any) -> None:
        """See `FakeInspectingClientManager.add_request_handlers_object`."""
        self._child(child_name).add_request_handlers_object(rh_obj)

    def remove_requests(self, child_name: str, *names: str) -> None:
        """See `FakeInspectingClientManager.remove_requests`."""
        self._child(child_name).remove_requests(*names)


def fake_KATCP_client_resource_factory(  # noqa: N802  # name of old
    KATCPClientResourceClass: Callable[..., _T],  # noqa: N803  # name of old
    fake_options: Mapping[str, Any],
    resource_spec: Mapping[str, Any],
    *args: Any,
    **kwargs: Any,
) -> tuple[_T, FakeKATCPClientResourceManager]:
    """Return a client resource that needs no device, and the manager of what it finds.

    Parameters
    ----------
    KATCPClientResourceClass : type
        `KATCPClientResource`, or a subclass; the resource is an instance of it.
    fake_options : dict
        Not used.
    resource_spec, *args, **kwargs
        For `KATCPClientResourceClass`. The address is only shown.

    Returns
    -------
    resource : KATCPClientResource
        To be started before it can be managed.
    manager : FakeKATCPClientResourceManager

    Examples
    --------
    ::

        spec = {"name": "pump", "address": ("fake", 1), "controlled": True}
        resource, manager = fake_KATCP_client_resource_factory(KATCPClientResource, {}, spec)
        resource.start()
        manager.add_sensors({"speed": ("", "m/s", "float")}, values={"speed": 2.5})
        await resource.until_synced()
        reading = await resource.sensor.speed.get_reading()
    """
    resource = _fake_resource_class(KATCPClientResourceClass)(resource_spec, *args, **kwargs)
    return resource, FakeKATCPClientResourceManager(resource)


def _fake_resource_class(resource_class: Any) -> Any:
    """Return a subclass of a client resource class whose instances are fake."""

    class FakeKATCPClientResource(resource_class):  # type: ignore[misc]  # not known here
        """A client resource that has its device in itself."""

        #: Manager of the client below; None before `start`.
        fake_inspecting_client_manager: FakeInspectingClientManager | None = None
        _fake_client: FakeAsyncClient | None = None

        def inspecting_client_factory(self, host: str, port: int, ioloop_set_to: Any) -> Any:
            """Return a fake inspecting client of the class that is used otherwise."""
            real = super().inspecting_client_factory(host, port, ioloop_set_to)
            client = fake_inspecting_class(type(real))(
                host, port, ioloop=ioloop_set_to, auto_reconnect=self.auto_reconnect
            )
            if self._fake_client is not None:
                client.katcp_client.take_over(self._fake_client)  # it is the same device
            self._fake_client = client.katcp_client
            self.fake_inspecting_client_manager = FakeInspectingClientManager(client)
            return client

    return FakeKATCPClientResource


def fake_KATCP_client_resource_container_factory(  # noqa: N802  # name of old
    KATCPClientResourceContainerClass: Callable[..., _T],  # noqa: N803  # name of old
    fake_options: Mapping[str, Any],
    resources_spec: Mapping[str, Any],
    *args: Any,
    **kwargs: Any,
) -> tuple[_T, FakeKATCPClientResourceContainerManager]:
    """Return a container whose resources need no devices, and the manager of what they find.

    Parameters
    ----------
    KATCPClientResourceContainerClass : type
        `KATCPClientResourceContainer`, or a subclass; the container is an instance of it.
    fake_options : dict
        Not used.
    resources_spec, *args, **kwargs
        For `KATCPClientResourceContainerClass`.

    Returns
    -------
    container : KATCPClientResourceContainer
        To be started before its children can be managed.
    manager : FakeKATCPClientResourceContainerManager
    """

    class FakeKATCPClientResourceContainer(
        KATCPClientResourceContainerClass  # type: ignore[misc,valid-type]  # not known here
    ):
        """A container of fake client resources."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            # Filled by the constructor.
            self.fake_child_managers = AttrDict()
            super().__init__(*args, **kwargs)

        def client_resource_factory(self, res_spec: Any, parent: Any, logger: Any) -> Any:
            """Return a fake resource of the class that is used otherwise."""
            real = super().client_resource_factory(res_spec, parent, logger)
            resource, manager = fake_KATCP_client_resource_factory(
                type(real), fake_options, res_spec, parent=parent, logger=logger
            )
            self.fake_child_managers[escape_name(resource.name)] = manager
            return resource

    container: Any = FakeKATCPClientResourceContainer(resources_spec, *args, **kwargs)
    return container, FakeKATCPClientResourceContainerManager(container)
