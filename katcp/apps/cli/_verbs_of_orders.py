"""The verb about orders: what a device has to do, and what became of it."""

from __future__ import annotations

import json
import sys
import uuid
from pathlib import Path

import click

from katcp.apps.cli._errors import DONE, Misuse, Refused
from katcp.apps.cli._escape import visible
from katcp.apps.cli._format import Piece, columns, refusal_text
from katcp.apps.cli._group import Job, verb
from katcp.apps.cli._orders import HEAD, list_rows, order_rows, present
from katcp.apps.cli._orders_follow import follow
from katcp.apps.cli._verbs import Here
from katcp.apps.cli._watch import wants_table


@verb(name="orders")
@click.argument("section", metavar="[SECTION]", required=False)
@click.option("--follow", "following", is_flag=True, help="Show changes as they come.")
@click.option("--plain", is_flag=True, help="With --follow: one line for each change, not a table.")
@click.option(
    "--submit",
    metavar="FILE",
    help="Have the section carried out that a JSON file (or - for standard input) describes; its "
    "id is SECTION, if that is given.",
)
@click.option("--cancel", is_flag=True, help="Cancel SECTION, if it has not been started.")
@click.option(
    "--force", is_flag=True, help="With --cancel: also if it has been; no further order is begun."
)
def orders_verb(
    section: str | None,
    following: bool,
    plain: bool,
    submit: str | None,
    cancel: bool,
    force: bool,
) -> Job:
    """List the sections of a device that takes orders, or the orders of SECTION.

    With --follow it goes on, with a table on a terminal, or a line for each change; for one
    section until that has ended, and the exit status tells whether all of it was done. The file for
    --submit has an array of orders, or an object with orders, disposition (0: together with others,
    1: alone) and finish_by; "?help section-execute" tells more.

    JSON keys: section, state, joinable, orders, ended, good (numbers of orders), submitted,
    started, finished (seconds since 1970), origin. Of SECTION, an object for each order: section,
    index, type, target, outcome, attempts, timestamp, detail, value. With --follow, one for each
    change: section, timestamp, and state, or index, outcome, attempts, detail.
    """
    if submit is not None and cancel:
        raise click.UsageError("--submit and --cancel exclude each other")
    if cancel:
        if section is None:
            raise click.UsageError("cancel what? Name a section")
        if following:
            raise click.UsageError("--cancel and --follow exclude each other")
    if force and not cancel:
        raise click.UsageError("--force is for --cancel")
    if submit is not None:
        described = read_section(submit)
        return lambda here: _submit(here, described, section, following, plain)
    if cancel:
        assert section is not None  # looked at above
        name = section
        return lambda here: _cancel(here, name, force)
    if following:
        return lambda here: follow(here, section, wants_table(here.screen, plain))
    if section is not None:
        name = section
        return lambda here: _show(here, name)
    return _list


def read_section(file: str) -> tuple[int, str]:
    """Return disposition and JSON of the section that a file describes.

    Raises
    ------
    Misuse
        If it cannot be read, or is no JSON.
    """
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
        data = json.loads(text)
    except OSError as error:
        raise Misuse(f"cannot read {visible(file)}: {error.strerror}") from None
    except ValueError as error:
        raise Misuse(f"{visible(file)} is no JSON: {visible(str(error))}") from None
    if not isinstance(data, (list, dict)):
        raise Misuse(f"{visible(file)} has neither an array of orders nor an object")
    disposition = data.get("disposition", 0) if isinstance(data, dict) else 0
    if disposition not in (0, 1):
        raise Misuse(f"{visible(file)}: the disposition is 0 or 1")
    return int(disposition), json.dumps(data, separators=(",", ":"))


async def _list(here: Here) -> int:
    rows = await list_rows(here.asker)
    if here.json:
        for row in rows:
            here.screen.record(row.record())
    elif rows:
        now = present()
        here.screen.lines(columns([HEAD, *[row.line(now) for row in rows]]))
    else:
        here.screen.line([Piece("no sections", "dim")])
    return DONE


async def _show(here: Here, name: str) -> int:
    (row,) = await list_rows(here.asker, name)
    orders = await order_rows(here.asker, name)
    if here.json:
        for order in orders:
            here.screen.record(order.record())
    else:
        here.screen.lines(columns([HEAD, row.line(present())]))
        here.screen.lines(columns([order.line() for order in orders]))
    return DONE


async def _cancel(here: Here, name: str, force: bool) -> int:
    reply, _ = await here.asker.ask("section-cancel", name, *(["force"] if force else []))
    if not reply.reply_ok():
        raise Refused(refusal_text("section-cancel", reply.arguments[:2]))
    return await _list_one(here, name)


async def _list_one(here: Here, name: str) -> int:
    (row,) = await list_rows(here.asker, name)
    if here.json:
        here.screen.record(row.record())
    else:
        here.screen.lines(columns([HEAD, row.line(present())]))
    return DONE


async def _submit(
    here: Here, described: tuple[int, str], section: str | None, following: bool, plain: bool
) -> int:
    disposition, text = described
    # With an id from here, what is sent once more by hand is not done twice.
    name = section or uuid.uuid4().hex[:12]
    reply, _ = await here.asker.ask("section-execute", str(disposition), text, name)
    if not reply.reply_ok():
        raise Refused(refusal_text("section-execute", reply.arguments))
    if following:
        return await follow(here, name, wants_table(here.screen, plain))
    return await _list_one(here, name)
