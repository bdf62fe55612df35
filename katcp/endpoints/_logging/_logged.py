"""Endpoints that report themselves, as those see them who configure them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from katcp.endpoints._codes import EndpointError, InvalidValueError
from katcp.endpoints._endpoint import Endpoint
from katcp.endpoints._logging._engine import DEFAULT_ROUTING_KEY, Logging, state_word
from katcp.endpoints._logging._rule import LoggingRule
from katcp.endpoints._remote import remote_command, remote_property
from katcp.endpoints._values import EndpointReading

if TYPE_CHECKING:
    from collections.abc import Iterator


class LoggedEndpoint(Endpoint):
    """An endpoint that reports itself: by schedule, on change, and when it is set.

    Parameters
    ----------
    name : str
    schedule_interval : float
        Between two checks [s]: 0, or at least 1 ms. 0: there are none. ``log_interval`` is the
        same; if both are given, that counts.
    schedule_status : str, bool or int
        Whether checks by schedule begin as soon as it is served: ``on`` or ``off``.
        ``logging_status`` is the same.
    delay_start : bool
        Whether the first check is one interval after checks are turned on; else at once.
    max_interval : float
        A check broadcasts if more time than this has passed since the last broadcast [s].
    max_fractional_change : float
        A check broadcasts if the value differs from that of the last broadcast by more than this
        share of it (0.1: a tenth). If all limits are 0, each check broadcasts.
    max_absolute_change : float
        The same, by more than this.
    check_field : {'value_raw', 'value_cal'}
        Which value is compared.
    log_on_set : bool
        Whether each successful set broadcasts; what it was set to is compared with then.
    alert_routing_key : str
        First part of the routing key of alerts; the name follows.
    **options
        Those of `Endpoint`.

    Attributes
    ----------
    logging : Logging
        What does that.

    Raises
    ------
    ValueError
        For a bad value of an option, or if checks are to be on without an interval.
    """

    def __init__(
        self,
        name: str,
        *,
        schedule_interval: float = 0.0,
        log_interval: float | None = None,
        schedule_status: Any = "off",
        logging_status: Any = None,
        delay_start: bool = False,
        max_interval: float = 0.0,
        max_fractional_change: float = 0.0,
        max_absolute_change: float = 0.0,
        check_field: str = "value_raw",
        log_on_set: bool = False,
        alert_routing_key: str = DEFAULT_ROUTING_KEY,
        **options: Any,
    ) -> None:
        super().__init__(name, **options)
        try:
            self.logging = Logging(
                self,
                LoggingRule(max_interval, max_fractional_change, max_absolute_change, check_field),
                interval=schedule_interval if log_interval is None else log_interval,
                delay_start=delay_start,
                log_on_set=log_on_set,
                routing_key=alert_routing_key,
            )
            self.logging.set_state(schedule_status if logging_status is None else logging_status)
        except (ValueError, EndpointError) as error:
            raise ValueError(f"{name}: {error}") from None

    # -- the schedule -------------------------------------------------------------------

    @remote_property
    def schedule_interval(self) -> float:
        """Time between two checks [s]; 0: none, which turns them off."""
        return self.logging.schedule.interval

    @schedule_interval.setter
    def schedule_interval(self, value: float) -> None:
        self.logging.set_interval(value)

    @remote_property
    def log_interval(self) -> float:
        """The same as `schedule_interval`."""
        return self.logging.schedule.interval

    @log_interval.setter
    def log_interval(self, value: float) -> None:
        self.logging.set_interval(value)

    @remote_property
    def schedule_status(self) -> str:
        """``on`` or ``off``: whether it is checked by schedule; can be set to ``restart`` too."""
        return self.logging.state

    @schedule_status.setter
    def schedule_status(self, word: str) -> None:
        self.logging.set_state(word)

    @remote_property
    def logging_status(self) -> str:
        """The same as `schedule_status`."""
        return self.logging.state

    @logging_status.setter
    def logging_status(self, word: str) -> None:
        self.logging.set_state(word)

    @property
    def is_logging(self) -> bool:
        """Whether it is checked by schedule."""
        return self.logging.schedule.is_on

    @remote_property
    def delay_start(self) -> bool:
        """Whether the first check is one interval after checks are turned on."""
        return self.logging.schedule.delay_start

    @delay_start.setter
    def delay_start(self, value: bool) -> None:
        self.logging.schedule.delay_start = bool(value)

    @remote_property
    def check_errors(self) -> int:
        """How many checks have failed."""
        return self.logging.errors

    @remote_command
    def single_schedule(self, delay: float) -> None:
        """Have one check made after a time [s]; the schedule is not changed."""
        try:
            self.logging.schedule.once(delay)
        except ValueError as error:
            raise InvalidValueError(f"{self.path}: {error}") from None

    def scheduled_action(self) -> Any:
        """Do what is done by schedule: read it, and broadcast that if the limits say so.

        To be defined by subclasses that do something else; it may be a coroutine.

        Returns
        -------
        bool
            Whether it was broadcast; to be awaited.
        """
        return self.logging.check()

    def take_remark(self) -> str:
        """Return, once, what whoever has set a property should be told; empty: nothing."""
        return self.logging.take_remark()

    # -- when to broadcast --------------------------------------------------------------

    @remote_property
    def max_interval(self) -> float:
        """A check broadcasts if more time has passed since the last broadcast [s]; 0: no limit."""
        return self.logging.rule.max_interval

    @max_interval.setter
    def max_interval(self, value: float) -> None:
        self.logging.change_rule(max_interval=value)

    @remote_property
    def max_fractional_change(self) -> float:
        """A check broadcasts if the value differs by more than this share; 0: no limit."""
        return self.logging.rule.max_fractional_change

    @max_fractional_change.setter
    def max_fractional_change(self, value: float) -> None:
        self.logging.change_rule(max_fractional_change=value)

    @remote_property
    def max_absolute_change(self) -> float:
        """A check broadcasts if the value differs by more than this; 0: no limit."""
        return self.logging.rule.max_absolute_change

    @max_absolute_change.setter
    def max_absolute_change(self, value: float) -> None:
        self.logging.change_rule(max_absolute_change=value)

    @remote_property
    def check_field(self) -> str:
        """Which value is compared: ``value_raw`` or ``value_cal``."""
        return self.logging.rule.check_field

    @check_field.setter
    def check_field(self, value: str) -> None:
        self.logging.change_rule(check_field=value)

    @remote_property
    def log_on_set(self) -> bool:
        """Whether each successful set broadcasts."""
        return self.logging.log_on_set

    @log_on_set.setter
    def log_on_set(self, value: bool) -> None:
        self.logging.log_on_set = bool(value)

    @remote_property
    def alert_routing_key(self) -> str:
        """First part of the routing key of alerts; the name follows."""
        return self.logging.routing_key

    @alert_routing_key.setter
    def alert_routing_key(self, value: str) -> None:
        self.logging.routing_key = value

    # -- alerts -------------------------------------------------------------------------

    def was_set(self, value: Any, reading: EndpointReading | None) -> None:
        """Broadcast it, if `log_on_set`."""
        self.logging.was_set(value, reading)

    def store_value(self, alert: Mapping[str, Any], severity: str | None = None) -> int:
        """Send an alert about it, whatever the limits say.

        Parameters
        ----------
        alert : mapping
            Values by name; its address is added as ``path``.
        severity : str, optional
            First part of the routing key, in place of `alert_routing_key`.

        Returns
        -------
        int
            How many took it.
        """
        return self.logging.send(alert, severity)


# -- those below a provider -------------------------------------------------------------

#: Stands for a key that opens everything, for programs that do not ask locks.
ANY_KEY = object()


class LoggingState(NamedTuple):
    """Whether one endpoint is checked by schedule.

    Attributes
    ----------
    path : str
    state : str
        ``on`` or ``off``.
    remark : str
        Why it was not changed; empty if it was, or nobody asked.
    """

    path: str
    state: str
    remark: str = ""


def logged_below(top: Endpoint) -> Iterator[LoggedEndpoint]:
    """Give those of an endpoint, and all below it, that report themselves."""
    for endpoint in top.walk():
        if isinstance(endpoint, LoggedEndpoint):
            yield endpoint


def logging_states(top: Endpoint) -> list[LoggingState]:
    """Return which of an endpoint, and all below it, are checked by schedule."""
    return [LoggingState(one.path, one.logging.state) for one in logged_below(top)]


def set_logging(top: Endpoint, word: Any, key: Any = ANY_KEY) -> list[LoggingState]:
    """Turn the schedules of an endpoint, and all below it, on or off, or have them begin anew.

    Those without an interval are left alone, and say so.

    Parameters
    ----------
    top : Endpoint
    word : str, bool or int
        See `state_word`.
    key : str or bytes, optional
        Those that are locked by another key are left alone, and say so. By default no lock is
        asked.

    Raises
    ------
    ValueError
        If it is none of the words of `state_word`.
    """
    state_word(word)
    states = []
    for endpoint in logged_below(top):
        remark = ""
        try:
            if key is not ANY_KEY:
                endpoint.lockout.check(key)
            endpoint.logging.set_state(word)
        except EndpointError as error:
            remark = str(error)
        states.append(LoggingState(endpoint.path, endpoint.logging.state, remark))
    return states
