"""The verb ``set``: a value for a sensor, by whatever request of the device sets it.

There is no request in the protocol for that; see `setting_requests` for those that are tried.
"""

from __future__ import annotations

from collections.abc import Sequence

from katcp.apps.cli import _verbs as verbs
from katcp.apps.cli._errors import DONE, Refused
from katcp.apps.cli._escape import quoted
from katcp.apps.cli._format import refusal_text
from katcp.apps.cli._grammar import parse_pattern
from katcp.apps.cli._sensors import all_sensors
from katcp.apps.cli._verbs import Here
from katcp.inspecting_client import setting_requests


async def set_value(here: Here, name: str, values: Sequence[bytes]) -> int:
    """Set a sensor, or call ``?set-NAME``; print the sensor's reading then, if there is one.

    Raises
    ------
    Refused
        If the device has no request for it.
    """
    sensors = await all_sensors(here.asker)
    requests = await verbs.all_requests(here.asker)
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
