"""Names with an underscore that code for katcp-python reaches into the inspecting client for.

None of them is used inside the package. The two indexes are views that are made when somebody
looks: changing them changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from katcp.aio import under_way
from katcp.inspecting_client._explorer import Explorer
from katcp.inspecting_client._model import RequestInfo, SensorInfo, sensor_arguments
from katcp.inspecting_client._states import VALID_STATES, InspectingClientStateType
from katcp.protocol import Message

#: Mark of an entry of an index that has changed since `_difference` looked.
_CHANGED = "_changed"


class SemiPublic(Explorer):
    """An explorer with the semi-public names of katcp-python 0.9.3."""

    # -- what the device does -----------------------------------------------------------

    def _cb_connection_state(self, connected: bool) -> None:
        """Take note that the connection was made or lost."""
        self._on_connection(connected)

    def _cb_inform_interface_change(self, msg: Message) -> None:
        """Take ``#interface-changed``."""
        self._on_interface_changed(msg.arguments)

    def _cb_inform_deprecated(self, msg: Message) -> None:
        """Take ``#device-changed``."""
        self._on_device_changed(msg.arguments)

    def _cb_inform_sensor_status(self, msg: Message) -> None:
        """Take ``#sensor-status`` or ``#sensor-value``."""
        self._on_readings(msg.arguments)

    # -- states -------------------------------------------------------------------------

    def _send_state(
        self,
        connected: bool,
        synced: bool,
        model_changed: bool,
        data_synced: bool,
        model_changes: Any = None,
    ) -> asyncio.Future[None]:
        """Enter a state and call the state callback; return a future that waits for it.

        Raises
        ------
        ValueError
            From the future, if it is not one of the five states.
        """
        state = InspectingClientStateType(connected, synced, model_changed, data_synced)
        return under_way(self._enter_and_tell(state, model_changes), self._ioloop)

    async def _enter_and_tell(self, state: InspectingClientStateType, changes: Any) -> None:
        if state not in VALID_STATES:
            raise ValueError(f"{state} is not a state of an inspecting client.")
        self._state.set_state(state)
        await self._tell(state, changes)

    # -- what is known ------------------------------------------------------------------

    @property
    def _requests_index(self) -> dict[str, dict[str, Any]]:
        """Requests by name: name, description, timeout_hint, and obj if there is one."""
        return {
            name: _request_entry(name, info, self._request_objects)
            for name, info in self._model.requests.items()
        }

    @property
    def _sensors_index(self) -> dict[str, dict[str, Any]]:
        """Sensors by name: description, units, sensor_type, params, and obj if there is one."""
        cache = self._sensor_object_cache
        return {
            name: _sensor_entry(name, info, cache) for name, info in self._model.sensors.items()
        }

    @property
    def _sensor_object_cache(self) -> dict[str, Any]:
        """Objects of sensors by name."""
        return self._sensors.objects

    def _update_index(self, index: dict[str, Any], name: str, data: dict[str, Any]) -> None:
        """Put `data` into the entry of `name`, and mark the entry if that changes it."""
        entry = index.get(name)
        if entry is None:
            index[name] = dict(data)
            return
        for key, value in data.items():
            if key not in entry or entry[key] != value:
                entry[_CHANGED] = True
            entry[key] = value

    def _difference(
        self,
        original_keys: Iterable[str],
        updated_keys: Iterable[str],
        name: str | None,
        item_index: dict[str, Any],
    ) -> tuple[set[str], set[str]]:
        """Return the names added to and removed from an index; marked ones are in both.

        Parameters
        ----------
        original_keys, updated_keys : iterable of str
            Names before and after an inspection.
        name : str or None
            The only one that was inspected; None if all were.
        item_index : dict
            What has been removed is deleted from it, and marks are taken off.
        """
        original, updated = set(original_keys), set(updated_keys)
        if name is not None:
            original &= {name}
            updated &= {name}
        added, removed = updated - original, original - updated
        for key in updated & original:
            entry = item_index.get(key)
            if entry and entry.get(_CHANGED):
                entry[_CHANGED] = False
                added.add(key)
                removed.add(key)
        for key in original - updated:
            item_index.pop(key, None)
        return added, removed


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")


def _request_entry(name: str, info: RequestInfo, objects: dict[str, Any]) -> dict[str, Any]:
    text, hint = info
    entry: dict[str, Any] = {
        "name": name,
        "description": _text(text),
        "timeout_hint": None if hint is None else float(hint),
    }
    if name in objects:
        entry["obj"] = objects[name]
    return entry


def _sensor_entry(name: str, info: SensorInfo, objects: dict[str, Any]) -> dict[str, Any]:
    _, description, units, sensor_type, *params = sensor_arguments(info)
    entry: dict[str, Any] = {
        "description": _text(description),
        "units": _text(units),
        "sensor_type": _text(sensor_type),
        "params": [_text(param) for param in params],
    }
    if name in objects:
        entry["obj"] = objects[name]
    return entry
