"""Resources for other threads than the loop's: every call blocks until it is done in the loop.

The wrappers say only what is wrapped by what; `katcp.ioloop_manager` hops to the loop. What is
no call is read where it is asked for, so that a resource can be looked at after its loop has
ended.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from katcp.ioloop_manager import IOLoopThreadWrapper, ThreadSafeMethodAttrWrapper

_Wrap = Callable[[Any], Any]


class MappingProxy(Mapping[str, Any]):
    """A read-only view of `mapping` that hands out ``wrapper(value)`` in place of each value."""

    def __init__(self, mapping: Mapping[str, Any], wrapper: _Wrap) -> None:
        self._mapping = mapping
        self._wrapper = wrapper

    def __getitem__(self, key: str) -> Any:
        return self._wrapper(self._mapping[key])

    def __contains__(self, x: object) -> bool:
        return x in self._mapping

    def __iter__(self) -> Iterator[str]:
        # The loop may change it meanwhile.
        return iter(list(self._mapping))

    def __len__(self) -> int:
        return len(self._mapping)


class AttrMappingProxy(MappingProxy):
    """A `MappingProxy` whose keys are attributes too."""

    def __getattr__(self, attr: str) -> Any:
        if attr.startswith("__") or attr in ("_mapping", "_wrapper"):
            raise AttributeError(attr)
        try:
            value = self._mapping[attr]
        except KeyError:
            kind = type(self._mapping).__name__
            raise AttributeError(f"{kind!r} object has no attribute {attr!r}") from None
        return self._wrapper(value)

    def __dir__(self) -> list[str]:
        return list(self._mapping)


class ThreadSafeKATCPSensorWrapper(ThreadSafeMethodAttrWrapper):
    """A `KATCPSensor` for other threads."""

    @property
    def sampling_strategy(self) -> Any:
        """The present strategy, as a tuple of texts; read in the loop."""
        return self._getattr("sampling_strategy")


class ThreadSafeKATCPClientResourceRequestWrapper(ThreadSafeMethodAttrWrapper):
    """A request for other threads: calling it blocks until there is a `KATCPReply`.

    Its keyword argument ``timeout`` limits the wait for the reply of the device and this call
    alike; when it has passed, this call raises `concurrent.futures.TimeoutError`.
    """

    @property
    def __call__(self) -> Any:
        return self._ioloop_wrapper.decorate_callable(self.__subject__)


class ThreadSafeKATCPClientGroupWrapper(ThreadSafeMethodAttrWrapper):
    """A `ClientGroup` for other threads.

    Attributes
    ----------
    RequestWrapper, ResourceWrapper : callable
        Make of a request, or of a client of the group, the thing to be handed out.
    """

    __slots__ = ["RequestWrapper", "ResourceWrapper"]

    def __init__(self, subject: Any, ioloop_wrapper: IOLoopThreadWrapper) -> None:
        super().__init__(subject, ioloop_wrapper)
        self.RequestWrapper: _Wrap = functools.partial(
            ThreadSafeKATCPClientResourceRequestWrapper, ioloop_wrapper=ioloop_wrapper
        )
        self.ResourceWrapper: _Wrap = functools.partial(
            ThreadSafeKATCPClientResourceWrapper, ioloop_wrapper=ioloop_wrapper
        )

    def __getitem__(self, index: int | slice) -> Any:
        found = self.__subject__[index]
        if isinstance(index, slice):
            return [self.ResourceWrapper(client) for client in found]
        return self.ResourceWrapper(found)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.clients)

    @property
    def clients(self) -> list[Any]:
        """The clients, wrapped."""
        return [self.ResourceWrapper(client) for client in self.__subject__.clients]

    @property
    def req(self) -> AttrMappingProxy:
        """The requests, wrapped."""
        return AttrMappingProxy(self.__subject__.req, self.RequestWrapper)


class ThreadSafeKATCPClientResourceWrapper(ThreadSafeMethodAttrWrapper):
    """A resource, or a container of resources, for other threads.

    Parameters
    ----------
    subject : KATCPClientResource or KATCPClientResourceContainer
        What is wrapped, started in the loop; it stays at hand as ``__subject__``.
    ioloop_wrapper : IOLoopThreadWrapper
        How to reach the loop. Its `default_timeout` limits calls without a ``timeout``.

    Attributes
    ----------
    ResourceWrapper, SensorWrapper, RequestWrapper, GroupWrapper : callable
        Make of a resource, sensor, request or group the thing to be handed out.

    Raises
    ------
    concurrent.futures.TimeoutError
        From calls, if the keyword argument ``timeout`` or the default has passed.
    RuntimeError
        From calls in the loop itself.

    Examples
    --------
    ::

        manager = IOLoopManager()
        manager.daemon = True
        loop = manager.get_ioloop()
        manager.start()
        resource = KATCPClientResource(
            {"name": "pump", "address": ("localhost", 7147), "controlled": True}
        )
        resource.set_ioloop(loop)
        loop.add_callback(resource.start)
        pump = ThreadSafeKATCPClientResourceWrapper(resource, IOLoopThreadWrapper(loop))
        pump.until_synced(timeout=5)
        if not pump.req.set_speed(17, timeout=3).succeeded:
            print("too fast")
        print(pump.sensor.speed.get_value())
    """

    __slots__ = ["GroupWrapper", "RequestWrapper", "ResourceWrapper", "SensorWrapper"]

    def __init__(self, subject: Any, ioloop_wrapper: IOLoopThreadWrapper) -> None:
        super().__init__(subject, ioloop_wrapper)

        def wrap(wrapper: type[ThreadSafeMethodAttrWrapper]) -> _Wrap:
            return functools.partial(wrapper, ioloop_wrapper=ioloop_wrapper)

        self.ResourceWrapper = wrap(ThreadSafeKATCPClientResourceWrapper)
        self.SensorWrapper = wrap(ThreadSafeKATCPSensorWrapper)
        self.RequestWrapper = wrap(ThreadSafeKATCPClientResourceRequestWrapper)
        self.GroupWrapper = wrap(ThreadSafeKATCPClientGroupWrapper)

    @property
    def sensor(self) -> AttrMappingProxy:
        """The sensors, wrapped."""
        return AttrMappingProxy(self.__subject__.sensor, self.SensorWrapper)

    @property
    def sensors(self) -> AttrMappingProxy:
        """The same as `sensor`."""
        return self.sensor

    @property
    def req(self) -> AttrMappingProxy:
        """The requests, wrapped."""
        return AttrMappingProxy(self.__subject__.req, self.RequestWrapper)

    @property
    def children(self) -> AttrMappingProxy:
        """The resources that belong to this one, wrapped."""
        return AttrMappingProxy(self.__subject__.children, self.ResourceWrapper)

    @property
    def groups(self) -> AttrMappingProxy:
        """The groups of a container, wrapped."""
        return AttrMappingProxy(self.__subject__.groups, self.GroupWrapper)

    @property
    def parent(self) -> Any:
        """What this resource belongs to, wrapped, or None."""
        parent = self.__subject__.parent
        return None if parent is None else self.ResourceWrapper(parent)
