"""Clients for tests that need no device: they have a fake one in themselves.

The client is real, and so is the server that answers it; there is no socket between them. Tests
say what requests and sensors the device has, and set the values of its sensors::

    client, manager = fake_inspecting_client_factory(InspectingClientAsync, {}, "fake", 1)
    manager.add_sensors({"speed": ("How fast it goes", "m/s", "float")}, values={"speed": 2.5})
    manager.add_request_handlers_object(Handlers())
    client.connect()
    await client.until_synced()
"""

from katcp.aio import AttrDict
from katcp.fake_clients._client import FakeAsyncClient
from katcp.fake_clients._inspecting import (
    FakeInspectingClientManager,
    fake_inspecting_client_factory,
)
from katcp.fake_clients._requests import (
    FakeClientRequestConnection,
    FakeKATCPServer,
    FakeKATCPServerError,
)
from katcp.fake_clients._resources import (
    FakeKATCPClientResourceContainerManager,
    FakeKATCPClientResourceManager,
    fake_KATCP_client_resource_container_factory,
    fake_KATCP_client_resource_factory,
)
from katcp.handlers import convert_method_name
from katcp.protocol import Message, ProtocolFlags
from katcp.sensors import Sensor

__all__ = [
    "AttrDict",
    "FakeAsyncClient",
    "FakeClientRequestConnection",
    "FakeInspectingClientManager",
    "FakeKATCPClientResourceContainerManager",
    "FakeKATCPClientResourceManager",
    "FakeKATCPServer",
    "FakeKATCPServerError",
    "Message",
    "ProtocolFlags",
    "Sensor",
    "convert_method_name",
    "fake_KATCP_client_resource_container_factory",
    "fake_KATCP_client_resource_factory",
    "fake_inspecting_client_factory",
]
