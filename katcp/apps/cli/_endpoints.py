"""Endpoints of a device: which one is meant by a name, and what it says when it is asked.

Devices that have endpoints have ``?list-endpoints``, ``?get`` and ``?set``. Each endpoint has a
sensor by its path; a name that people type may be a unique end of the path, or begin with the node.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from katcp.apps.cli._asking import Asker, texts
from katcp.apps.cli._errors import CommandError, Refused
from katcp.apps.cli._escape import quoted, visible
from katcp.apps.cli._format import refusal_text
from katcp.apps.cli._grammar import Pattern, parse_pattern
from katcp.apps.cli._sensors import all_sensors, in_turns

#: The request by which a device shows that it has endpoints.
LIST = "list-endpoints"

#: Kinds of endpoints whose sensors always show what they hold, or that have no value.
_KEEPS = ("key", "store", "provider")
#: The code of an endpoint that has no value.
_NO_VALUE = b"306"


async def endpoint_kinds(asker: Asker) -> dict[str, str]:
    """Return the paths of all endpoints of the device, with their kinds; empty if it has none."""
    reply, _ = await asker.ask("help", LIST)
    if not reply.reply_ok():
        return {}
    informs = await asker.ask_ok(LIST)
    listed = [(*texts(inform.arguments[:2]), "", "")[:2] for inform in informs]
    return {path: kind for path, kind in listed if path}


def find_endpoint(kinds: Mapping[str, str], name: str) -> str | None:
    """Return the path of the endpoint that a name means; None if there is none.

    Raises
    ------
    Refused
        If there are several.
    """
    if name in kinds:
        return name
    found = [path for path in kinds if path.endswith(f".{name}")]
    # With the node, whose name only the device knows.
    found = found or [path for path in kinds if name.partition(".")[2] == path]
    if len(found) > 1:
        raise Refused(f"{quoted(name)} may be {' or '.join(visible(path) for path in found)}")
    return found[0] if found else None


async def look(asker: Asker, path: str) -> CommandError | None:
    """Have an endpoint look at its value, so that its sensor has it; return why it cannot."""
    reply, _ = await asker.ask("get", path, hinted=True)
    if reply.reply_ok() or reply.arguments[2:3] == [_NO_VALUE]:
        return None
    return Refused(refusal_text("get", reply.arguments))


async def looked_at(
    asker: Asker, kinds: Mapping[str, str], patterns: Sequence[Pattern]
) -> tuple[list[Pattern], list[CommandError]]:
    """Have endpoints that are named look at their values.

    Parameters
    ----------
    asker : Asker
    kinds : mapping
        Of all endpoints; see `endpoint_kinds`.
    patterns : sequence of Pattern

    Returns
    -------
    patterns : list of Pattern
        Those given, with the names of sensors in place of those of endpoints.
    errors : list of CommandError
        Of those that could not.
    """
    sensors = await all_sensors(asker)
    meant: list[Pattern] = []
    errors: list[CommandError] = []
    paths: list[str] = []
    for pattern in patterns:
        path = None
        if pattern.exact and (pattern.text in kinds or pattern.text not in sensors):
            try:
                path = find_endpoint(kinds, pattern.text)
            except Refused as error:
                errors.append(error)
                continue
        if path is None:
            meant.append(pattern)
        else:
            meant.append(parse_pattern(path))
            if kinds[path] not in _KEEPS:
                paths.append(path)
    results = await in_turns([look(asker, path) for path in dict.fromkeys(paths)])
    return meant, errors + [error for error in results if error is not None]
