"""What belongs to a container: resources, groups of them, and all that they have together."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from tornado.ioloop import IOLoop

from katcp.aio import AttrDict
from katcp.resource import KATCPResource, escape_name
from katcp.resource_client._group import ClientGroup
from katcp.resource_client._request import log
from katcp.resource_client._resource import KATCPClientResource

#: Sensors whose names begin so are of the whole, and get no name of a child in front.
AGGREGATE = "agg_"


class ResourceChildren(KATCPResource):
    """A resource that others belong to.

    Parameters
    ----------
    resources_spec : mapping
        See `KATCPClientResourceContainer`.
    logger : logging.Logger
    """

    def __init__(self, resources_spec: Mapping[str, Any], logger: logging.Logger = log) -> None:
        super().__init__()
        self._logger = logger
        self._name: str = resources_spec["name"]
        self._description: str = resources_spec.get("description", "")
        self._ssl_context = resources_spec.get("ssl_context")
        #: The loop to run on; None: the one that is current at `start`.
        self.ioloop: IOLoop | None = None
        self._children = AttrDict()
        self._groups = AttrDict()
        # The unions of what the children have, or nothing if that has changed. A change puts a
        # new list in place, so that another thread, which makes a union meanwhile, leaves it in
        # a list that nobody looks at any more.
        self._req_union: list[AttrDict] = []
        self._sensor_union: list[AttrDict] = []
        for name, spec in resources_spec["clients"].items():
            self._add_child(name, spec)
        for name, members in (resources_spec.get("groups") or {}).items():
            self.add_group(name, members)

    def __repr__(self) -> str:
        kind = type(self)
        return f"<{kind.__module__}.{kind.__name__}(name={self._name}) at {id(self):#x}>"

    # -- what it is ---------------------------------------------------------------------

    @property
    def name(self) -> str:
        """Name of the container."""
        return self._name

    @property
    def description(self) -> str:
        """One sentence for people."""
        return self._description

    @property
    def address(self) -> None:
        """None: it is no device."""
        return

    @property
    def parent(self) -> None:
        """None: it belongs to nothing."""
        return

    @property
    def children(self) -> Any:
        """The resources in it, as attributes and by key, by their names as Python identifiers."""
        return self._children

    @property
    def groups(self) -> Any:
        """Its `ClientGroup`s, as attributes and by key, by their names as Python identifiers."""
        return self._groups

    @property
    def req(self) -> Any:
        """The requests of all children, as attributes and by key: ``child_request``."""
        union = self._req_union
        if not union:
            union.append(self._unite("req"))
        return union[0]

    @property
    def sensor(self) -> Any:
        """The sensors of all children, as attributes and by key: ``child_sensor``.

        Names that begin with ``agg_`` stay as they are.
        """
        union = self._sensor_union
        if not union:
            union.append(self._unite("sensor"))
        return union[0]

    @property
    def sensors(self) -> Any:
        """The same as `sensor`."""
        return self.sensor

    @property
    def _sensor(self) -> Any:
        return self.sensor

    def _unite(self, part: str) -> AttrDict:
        union = AttrDict()
        # Other threads may look too: each dictionary is copied before it is gone through.
        for child_name, child in dict(self._children).items():
            for name, thing in dict(getattr(child, part)).items():
                union[name if name.startswith(AGGREGATE) else f"{child_name}_{name}"] = thing
        return union

    # -- what belongs to it -------------------------------------------------------------

    def client_resource_factory(
        self, res_spec: Mapping[str, Any], parent: Any, logger: logging.Logger
    ) -> Any:
        """Return a new child; overridden to have another kind of resource."""
        return KATCPClientResource(res_spec, parent=parent, logger=logger)

    def _add_child(self, name: str, spec: Mapping[str, Any]) -> Any:
        common = {} if self._ssl_context is None else {"ssl_context": self._ssl_context}
        child = self.client_resource_factory(
            {**common, **spec, "name": name}, parent=self, logger=self._logger
        )
        self._children[escape_name(name)] = child
        self._req_union, self._sensor_union = [], []
        return child

    def add_child_resource_client(self, res_name: str, res_spec: Mapping[str, Any]) -> Any:
        """Add a resource, and start it.

        Parameters
        ----------
        res_name : str
            Its name. A resource of that name is stopped, and replaced in the groups too.
        res_spec : mapping
            See `KATCPClientResource`.

        Returns
        -------
        KATCPClientResource
        """
        former = self._children.get(escape_name(res_name))
        child = self._add_child(res_name, res_spec)
        if former is not None:
            former.stop()
            for key, group in self._groups.items():
                if former in group.clients:
                    members = [child if c is former else c for c in group.clients]
                    self._groups[key] = ClientGroup(group.name, members)
        child.set_ioloop(self.ioloop)
        child.start()
        return child

    def add_group(self, group_name: str, group_client_names: Iterable[str]) -> None:
        """Add a group of children; one of that name is replaced.

        Raises
        ------
        KeyError
            If there is no child of one of the names.
        """
        members = [self._children[escape_name(name)] for name in group_client_names]
        self._groups[escape_name(group_name)] = ClientGroup(group_name, members)

    def _child_add_requests(self, child: Any, sensor_keys: Iterable[str]) -> None:
        """Hear from a child that it has got requests."""
        self._req_union = []
        for group in self._groups.values():
            group.client_updated(child)

    def _child_remove_requests(self, child: Any, sensor_keys: Iterable[str]) -> None:
        """Hear from a child that requests are gone."""
        self._child_add_requests(child, sensor_keys)

    def _child_add_sensors(self, child: Any, sensor_keys: Iterable[str]) -> None:
        """Hear from a child that it has got sensors."""
        self._sensor_union = []

    def _child_remove_sensors(self, child: Any, sensor_keys: Iterable[str]) -> None:
        """Hear from a child that sensors are gone."""
        self._sensor_union = []
