"""Keeping what the shell knows of a device in step with it, and telling of changes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from katcp.apps.cli._complete import Vocabulary
from katcp.apps.cli._errors import CommandError, Misuse, Refused
from katcp.apps.cli._escape import visible
from katcp.apps.cli._format import Line, log_line, message_line, refusal_text
from katcp.apps.cli._grammar import Strategy
from katcp.apps.cli._link import readable_reason
from katcp.apps.cli._live import LiveScreen
from katcp.apps.cli._model import SensorInfo
from katcp.inspecting_client import InspectingClientAsync, InspectingClientStateType
from katcp.protocol import Message

#: So many names are told of a change; of more, the number.
_FEW = 6

#: Informs that the shell makes something else of.
_NOT_SHOWN = frozenset(["sensor-status", "disconnect"])


class Notes(Protocol):
    """Where remarks and lines are printed."""

    def line(self, line: Line) -> None:
        """Print a line."""

    def notice(self, text: str, style: str = ...) -> None:
        """Print a remark."""

    def flush(self) -> None:
        """Let out what was printed."""


class Follower:
    """Follows a device: its connection, its interface, and what it says unasked.

    Parameters
    ----------
    client : InspectingClientAsync
    screen : LiveScreen or TaggedScreen
    """

    def __init__(self, client: InspectingClientAsync, screen: Notes) -> None:
        self._client = client
        self._screen = screen
        #: What is known of the device.
        self.vocabulary = Vocabulary()
        #: Called when something has changed that the prompt shows.
        self.on_change: Callable[[], object] = lambda: None
        self._was_synced = False
        self._announced = False  # whether this connection has been told of
        #: Set when something has been said of the connection, good or bad.
        self.spoken = asyncio.Event()
        client.set_state_callback(self._state)
        client.katcp_client.unhandled_inform = self._show_inform  # type: ignore[method-assign]

    def leave(self) -> None:
        """Tell nothing more: the user is leaving."""
        self._client.set_state_callback(None)
        self.on_change = lambda: None

    @property
    def connected(self) -> bool:
        """Whether the device is there and has been learned, be it that it is learned anew now."""
        return self._announced

    @property
    def state(self) -> str:
        """How things stand, for the prompt."""
        if self._announced:
            return "connected"
        return "learning" if self._client.connected else "not connected"

    # -- the connection and the interface -----------------------------------------------

    async def _state(self, state: InspectingClientStateType, changes: Any) -> None:
        if not state.connected and self._announced:
            self._announced = False
            reason = self._client.katcp_client.disconnect_reason
            why = f" ({visible(reason).rstrip('.')})" if reason else ""
            self._screen.notice(f"connection to {self._address} lost{why}; trying again", "error")
        if state.model_changed and changes is not None:
            await self._learn(changes)
            if self._was_synced:
                self._tell_changes("sensor", changes.get("sensors"))
                self._tell_changes("request", changes.get("requests"))
        if state.synced:
            self._was_synced = True
            if not self._announced:
                self._announced = True
                self._screen.notice(self._greeting(), "ok")
                self.spoken.set()
        self.on_change()

    @property
    def _address(self) -> str:
        return visible(self._client.bind_address_string)

    def _greeting(self) -> str:
        versions = self._client.katcp_client.versions
        device = " ".join(str(part) for part in versions.get("katcp-device", ())[:1])
        known = self.vocabulary
        what = f"{len(known.sensors)} sensors, {len(known.requests)} requests"
        return f"connected to {self._address}: {visible(device) + ', ' if device else ''}{what}"

    async def _learn(self, changes: Any) -> None:
        """Take over what has changed of the inspected model."""
        sensors, requests = dict(self.vocabulary.sensors), dict(self.vocabulary.requests)
        if "sensors" in changes:
            for name in changes.sensors.removed:
                sensors.pop(name, None)
            for name in changes.sensors.added:
                sensor = await self._client.future_get_sensor(name, update=False)
                if sensor is not None:
                    sensors[name] = SensorInfo(
                        name,
                        sensor.description,
                        sensor.units,
                        sensor.type,
                        tuple(sensor.formatted_params),
                    )
        if "requests" in changes:
            for name in changes.requests.removed:
                requests.pop(name, None)
            for name in changes.requests.added:
                request = await self._client.future_get_request(name, update=False)
                if request is not None:
                    requests[name] = request.description
        self.vocabulary = Vocabulary(requests, sensors)

    def _tell_changes(self, kind: str, changes: Any) -> None:
        if changes is None:
            return
        modified = changes.added & changes.removed
        for how, names in (
            ("new", changes.added - modified),
            ("gone", changes.removed - modified),
            ("changed", modified),
        ):
            if names:
                self._screen.notice(f"{kind}s {how}: {few(names)}")

    # -- informs ------------------------------------------------------------------------

    def _show_inform(self, msg: Message) -> None:
        if msg.name in _NOT_SHOWN:
            return
        if msg.name == "log":
            flags = self._client.katcp_client.protocol_flags
            self._screen.line(log_line(msg.arguments, 5 if flags is None else flags.major))
        else:
            self._screen.line(message_line("#", msg.name, msg.arguments))
        self._screen.flush()


def few(names: Iterable[str]) -> str:
    """Return names, if there are only a few, else their number."""
    listed = sorted(names)
    if len(listed) > _FEW:
        return str(len(listed))
    return ", ".join(visible(name) for name in listed)


class KeptSampler:
    """Sets strategies that are set again when the device comes back."""

    def __init__(self, client: InspectingClientAsync) -> None:
        self._client = client

    async def set(self, names: Sequence[str], strategy: Strategy) -> list[CommandError]:
        """Set a strategy on sensors; return what went wrong."""
        if not names:
            return []
        try:
            asked = self._client.set_sampling(list(names), strategy.name, *strategy.params)
        except ValueError as error:
            raise Misuse(visible(str(error))) from None
        errors: list[CommandError] = []
        refused = []
        for name, reply in (await asked).items():
            if reply is not None and not reply.reply_ok():
                refused.append(name)
                reason = refusal_text("sensor-sampling", reply.arguments)
                errors.append(Refused(f"{visible(name)}: {reason}"))
        if refused and strategy.name != "none":
            await self._client.set_sampling(refused, "none")  # not to be tried for ever
        return errors


class Notices(logging.Handler):
    """Tells why there is no connection; with `verbose`, all that the client logs.

    Parameters
    ----------
    screen : LiveScreen
    verbose : bool
    """

    #: Called when there is no connection.
    on_trouble: Callable[[], object] = staticmethod(lambda: None)

    def __init__(self, screen: LiveScreen, verbose: bool) -> None:
        super().__init__(logging.DEBUG if verbose else logging.WARNING)
        self._screen = screen
        self._verbose = verbose

    def emit(self, record: logging.LogRecord) -> None:
        """Tell of a record."""
        text = record.getMessage()
        if text.startswith("Cannot connect to ") and record.levelno >= logging.WARNING:
            address = visible(text.removeprefix("Cannot connect to ").partition(": ")[0])
            self._screen.notice(
                f"cannot connect to {address}: {readable_reason(text)}; trying again", "error"
            )
            self.on_trouble()
        elif self._verbose:
            self._screen.notice(visible(text), "dim")
