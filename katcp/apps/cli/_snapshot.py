"""The verb ``snapshot``: a device's whole interface and its readings, to a file."""

from __future__ import annotations

from katcp.apps.cli._errors import DONE, Misuse, NoConnection, Refused, TimedOut
from katcp.apps.cli._escape import visible
from katcp.apps.cli._format import Piece
from katcp.apps.cli._verbs import Here
from katcp.errors import KatcpClientDisconnected
from katcp.snapshots import (
    SnapshotRefusedError,
    SnapshotTimeoutError,
    snapshot_text,
    take_snapshot,
    write_snapshot,
)

#: How long to wait for each of the long lists, unless the user says it [s].
_PATIENCE = 30.0


async def snapshot(here: Here, path: str) -> int:
    """Write a snapshot to a file; ``-``: to standard output.

    Raises
    ------
    Misuse
        If the file cannot be written.
    """
    asker = here.asker
    with asker.progress.step("asking the device for all that it has") as step:

        def tell(what: str, done: int, total: int | None) -> None:
            step.what, step.done, step.total = what, done, total
            step.advance(0)

        try:
            taken = await take_snapshot(
                asker.client, timeout=max(asker.limit, _PATIENCE), on_progress=tell
            )
        except SnapshotRefusedError as error:
            raise Refused(visible(str(error))) from None
        except SnapshotTimeoutError as error:
            raise TimedOut(visible(str(error))) from None
        except KatcpClientDisconnected:
            raise NoConnection(asker.lost_text()) from None
    if path == "-":
        here.screen.out.write(snapshot_text(taken))
        return DONE
    try:
        write_snapshot(taken, path)
    except OSError as error:
        raise Misuse(f"{visible(path)}: {error.strerror or error}") from None
    numbers = {"sensors": len(taken.sensors), "requests": len(taken.requests)}
    if here.json:
        here.screen.record({"file": path, **numbers, "taken": taken.taken})
    else:
        text = f"{numbers['sensors']} sensors, {numbers['requests']} requests"
        here.screen.line([Piece(visible(path), "name"), Piece(f": {text}, taken {taken.taken}")])
    return DONE
