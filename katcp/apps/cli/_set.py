"""The verb ``set``: a value for a sensor, by whatever request of the device sets it.

Devices with endpoints have ``?set`` for these. For other sensors there is no request in the
protocol; see `setting_requests` for those that are tried.
"""

from __future__ import annotations

from collections.abc import Sequence

from katcp.apps.cli import _verbs as verbs
from katcp.apps.cli._endpoints import LIST, endpoint_kinds, find_endpoint
from katcp.apps.cli._errors import DONE, Refused
from katcp.apps.cli._escape import quoted
from katcp.apps.cli._format import refusal_text
from katcp.apps.cli._grammar import parse_pattern
from katcp.apps.cli._sensors import all_sensors
from katcp.apps.cli._verbs import Here
from katcp.inspecting_client import setting_requests


async def set_value(here: Here, name: str, values: Sequence[bytes]) -> int:
    """Set a sensor, or an endpoint; print its reading then, if it has one.

    Raises
    ------
    Refused
        If the device has no request for it, or does not take the value.
    """
    sensors = await all_sensors(here.asker)
    requests = await verbs.all_requests(here.asker)
    if LIST in requests and "set" in requests:
        path = find_endpoint(await endpoint_kinds(here.asker), name)
        if path is not None:
            if path not in sensors:  # it cannot be read
                return await verbs.call(here, "set", [path.encode(), *values])
            return await _set_endpoint(here, path, values)
    tried = list(dict.fromkeys(setting_requests(name, sensors)))
    request = next((candidate for candidate in tried if candidate in requests), None)
    if request is None:
        what = "" if name in sensors else f"there is no sensor {quoted(name)}, and "
        listed = ", ".join(f"?{candidate}" for candidate in tried)
        raise Refused(f"{what}no request sets {quoted(name)}: none of {listed}")
    if name not in sensors:
        return await verbs.call(here, request, values)
    reply, _ = await here.asker.ask(request, *values, hinted=True)
    if not reply.reply_ok():
        raise Refused(refusal_text(request, reply.arguments))
    return await verbs.get(here, [parse_pattern(name)]) or DONE


async def _set_endpoint(here: Here, path: str, values: Sequence[bytes]) -> int:
    reply, _ = await here.asker.ask("set", path, *values, hinted=True)
    if not reply.reply_ok():
        raise Refused(refusal_text("set", reply.arguments))
    return await verbs.get(here, [parse_pattern(path)]) or DONE
