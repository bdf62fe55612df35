"""A provider: an endpoint that other endpoints belong to, such as an instrument or a bus."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from katcp.endpoints._blocking import begin
from katcp.endpoints._codes import EndpointError, InvalidMethodError
from katcp.endpoints._declared import declared_endpoints
from katcp.endpoints._endpoint import Endpoint
from katcp.endpoints._lanes import Lane
from katcp.endpoints._logging import logging_states, set_logging
from katcp.endpoints._placed import SENSOR_WORDS, check_endpoints, check_unplaced
from katcp.endpoints._remote import remote_property

if TYPE_CHECKING:
    from katcp.endpoints._host import EndpointHost


class Provider(Endpoint):
    """An endpoint that owns endpoints: an instrument, a bus, a store.

    What is asked of its endpoints, and of itself, is done one after the other, since a bus takes
    one command at a time; providers do not wait for each other. Subclasses that define `send` give
    clients a way to the device itself (``?send``), if `allow_send` says so.

    Parameters
    ----------
    name : str
    endpoints : iterable of Endpoint
        Those that it begins with, in order.
    allow_send : bool
        Whether clients may use `send`. What they send does whatever the device makes of it.
    **options
        Those of `Endpoint`.
    """

    kind: ClassVar[str] = "provider"

    #: Functions that make the endpoints that the class declares by `endpoint`, by name.
    _declared_endpoints: ClassVar[Mapping[str, Callable[[Any], Endpoint]]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._declared_endpoints = declared_endpoints(cls)

    def __init__(
        self,
        name: str,
        *,
        endpoints: Iterable[Endpoint] = (),
        allow_send: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(name, **options)
        self.allow_send = bool(allow_send)
        self._children: dict[str, Endpoint] = {}
        #: What clients take for a name -> the name.
        self._mapped: dict[str, str] = {}
        #: Where what is asked of its endpoints takes turns.
        self.own_lane = Lane()
        for make in self._declared_endpoints.values():
            self.add_endpoint(make(self))
        for endpoint in check_endpoints(endpoints):
            self.add_endpoint(endpoint)

    @property
    def lane(self) -> Lane:
        """Where what is asked of it takes its turns: its own, with its endpoints."""
        return self.own_lane

    # -- what belongs to it -------------------------------------------------------------

    def children(self) -> tuple[Endpoint, ...]:
        """Return the endpoints that belong to it, in order."""
        return tuple(self._children.values())

    @property
    def endpoints(self) -> dict[str, Endpoint]:
        """The endpoints that belong to it, by name and in order; a copy."""
        return dict(self._children)

    @property
    def endpoint_names(self) -> list[str]:
        """The names of the endpoints that belong to it, in order."""
        return list(self._children)

    def list_endpoints(self) -> list[str]:
        """Return the names of the endpoints that belong to it, in order."""
        return list(self._children)

    def endpoint(self, endpoint: str) -> Endpoint:
        """Return one that belongs to it, by name.

        Raises
        ------
        KeyError
            If there is none.
        """
        return self._children[endpoint]

    def add_endpoint(self, endpoint: Endpoint) -> None:
        """Have an endpoint belong to it; clients are told if it is served.

        Raises
        ------
        ValueError
            If the name is taken, or cannot be told from another, or it belongs elsewhere.
        """
        check_unplaced(endpoint)
        name = endpoint.name
        mapped = name.replace("-", "_")
        known = self._mapped.get(mapped)
        if known == name:
            raise ValueError(f"{self.name} has two endpoints named {name!r}")
        if known is not None:
            raise ValueError(
                f"{self.name}: the names {known!r} and {name!r} are one to clients, which take "
                "'-' for '_'"
            )
        if mapped in _RESERVED:
            raise ValueError(
                f"{self.name}: {name!r} cannot be the name of an endpoint, since it is that of a "
                "sensor of its provider"
            )
        endpoint._parent = self  # noqa: SLF001  # of this package
        self._children[name] = endpoint
        self._mapped[mapped] = name
        host = self.host
        if host is not None:
            try:
                host.adopt(endpoint)
            except BaseException:
                del self._children[name], self._mapped[mapped]
                endpoint._parent = None  # noqa: SLF001
                raise

    def remove_endpoint(self, endpoint: Endpoint | str) -> Endpoint:
        """Part with an endpoint, given itself or by name; clients are told if it is served.

        Raises
        ------
        KeyError
            If it does not belong to it.
        """
        name = endpoint if isinstance(endpoint, str) else endpoint.name
        gone = self._children[name]
        if gone is not endpoint and not isinstance(endpoint, str):
            raise KeyError(name)
        host = self.host
        if host is not None:
            host.abandon(gone)
        del self._children[name], self._mapped[name.replace("-", "_")]
        gone._parent = None  # noqa: SLF001
        return gone

    def sort_endpoints(self, names: Iterable[str]) -> None:
        """Put its endpoints into the order of `names`; those that are not among them come last."""
        places = {name: place for place, name in enumerate(names)}
        ordered = sorted(self._children, key=lambda name: places.get(name, len(places)))
        self._children = {name: self._children[name] for name in ordered}

    # -- schedules ----------------------------------------------------------------------

    @remote_property
    def schedule_status(self) -> str:
        """Which of its endpoints are checked by schedule: ``foo=on bar=off``; see `set_logging`."""
        return " ".join(f"{state.path}={state.state}" for state in logging_states(self))

    @schedule_status.setter
    def schedule_status(self, word: str) -> None:
        set_logging(self, word)

    @remote_property
    def logging_status(self) -> str:
        """The same as `schedule_status`."""
        return self.schedule_status

    @logging_status.setter
    def logging_status(self, word: str) -> None:
        set_logging(self, word)

    # -- asking others ------------------------------------------------------------------

    async def get(
        self, target: str, timeout: float | None = None, ignore_retcode: bool = False
    ) -> Any:
        """Read another endpoint, by its address; see `EndpointHost.get`."""
        return await self._asker().get(target, timeout=timeout, ignore_retcode=ignore_retcode)

    async def set(
        self,
        target: str,
        value: Any,
        lockout_key: str | bytes | bool | None = None,
        timeout: float | None = None,
        ignore_retcode: bool = False,
    ) -> Any:
        """Set another endpoint, by its address; see `EndpointHost.set`."""
        return await self._asker().set(
            target,
            value,
            lockout_key=_key(lockout_key),
            timeout=timeout,
            ignore_retcode=ignore_retcode,
        )

    async def cmd(
        self,
        target: str,
        method_name: str,
        value: Iterable[Any] = (),
        payload: Mapping[str, Any] | None = None,
        lockout_key: str | bytes | bool | None = None,
        timeout: float | None = None,
        ignore_retcode: bool = False,
    ) -> Any:
        """Call a command of another endpoint, by its address; see `EndpointHost.cmd`."""
        return await self._asker().cmd(
            target,
            method_name,
            value,
            payload,
            lockout_key=_key(lockout_key),
            timeout=timeout,
            ignore_retcode=ignore_retcode,
        )

    def _asker(self) -> EndpointHost:
        host = self.host
        if host is None:
            raise EndpointError(f"{self.path} is not served by anything")
        return host

    # -- the device itself --------------------------------------------------------------

    @property
    def can_send(self) -> bool:
        """Whether clients may send to the device: its class defines `send`, and it is allowed."""
        return self.allow_send and type(self).send is not Provider.send

    def send(self, to_send: Any) -> Any:
        """Send to the device, and return, or be awaited for, its answer; for subclasses.

        Raises
        ------
        InvalidMethodError
            In this class: there is no device.
        """
        raise InvalidMethodError(f"{self.path} has nothing to send to")

    def on_send(self, *commands: Any) -> Any:
        """Hand raw commands to `send`, as a list.

        Raises
        ------
        InvalidMethodError
            If clients may not.
        """
        if not self.can_send:
            raise InvalidMethodError(f"{self.path} takes no raw commands")
        return begin(self, self.send, list(commands))


def _key(key: str | bytes | bool | None) -> str | bytes | None:
    """Return a key; truth values, by which dragonfly says that there is none, are none."""
    return None if isinstance(key, bool) else key


_RESERVED = frozenset(word.replace("-", "_") for word in SENSOR_WORDS)
