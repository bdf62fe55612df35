"""Verbs about sensors: list, get, watch, plot, and what the device logs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from katcp.apps.cli import _verbs as verbs
from katcp.apps.cli._completion import complete_sensors, complete_strategies
from katcp.apps.cli._grammar import STRATEGIES, Strategy, parse_pattern, parse_strategy
from katcp.apps.cli._group import Job, verb
from katcp.apps.cli._log import LEVELS, log
from katcp.apps.cli._screen import can_redraw
from katcp.apps.cli._watch import wants_table, watch

_F = TypeVar("_F", bound=Callable[..., Any])

count_option = click.option(
    "--count", type=click.IntRange(min=1), help="End after so many readings."
)
for_option = click.option(
    "--for",
    "duration",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="End after this time.",
)
strategy_option = click.option(
    "--strategy",
    default="event",
    show_default=True,
    metavar="'NAME [PARAMETERS]'",
    shell_complete=complete_strategies,
    help=f"When readings are sent: {', '.join(name for name in STRATEGIES if name != 'none')}; "
    "times in seconds, as in 'period 0.5' or 'event-rate 1 60'.",
)


def names_argument(required: bool = True) -> Callable[[_F], _F]:
    """Return a decorator that adds the names of sensors."""
    return click.argument(
        "names",
        metavar="NAME..." if required else "[NAME]...",
        nargs=-1,
        required=required,
        shell_complete=complete_sensors,
    )


def wanted_strategy(text: str) -> Strategy:
    """Return a strategy by which readings are sent."""
    plan = parse_strategy(text.split())
    if plan.name == "none":
        raise click.UsageError("with the strategy none, nothing is sent")
    return plan


@verb(name="list")
@click.argument("filter_text", metavar="[FILTER]", default="", shell_complete=complete_sensors)
@click.option("--requests", is_flag=True, help="Requests, with the first line of their help.")
@click.option("--values", is_flag=True, help="Present readings in place of descriptions.")
def list_verb(filter_text: str, requests: bool, values: bool) -> Job:
    """List the sensors of the device, or its requests.

    FILTER is a part of the names wanted, a glob such as 'pump.*', or a /regular expression/.

    JSON keys: name, type, units, description, params; with --values those of get; with
    --requests name, description.
    """
    if requests and values:
        raise click.UsageError("requests have no values: give --requests or --values")
    pattern = parse_pattern(filter_text, part=True)
    if requests:
        return lambda here: verbs.list_requests(here, pattern)
    return lambda here: verbs.list_sensors(here, pattern, values)


@verb(name="get")
@names_argument()
def get_verb(names: Sequence[str]) -> Job:
    r"""Print the present readings of sensors.

    NAME is the name of a sensor, a glob such as 'pump.*', or a /regular expression/; or the address
    of an endpoint, or a unique end of it, which is asked for its value then. A value in parentheses
    is one that does not count, because of the status.

    JSON keys: name, value, units, type, status, timestamp (seconds since 1970, UTC). Values are
    numbers for integer, float and timestamp sensors (but "nan", "inf" and "-inf" are strings),
    true or false for boolean, else strings. Bytes that are not UTF-8 are written as \xNN.
    """
    patterns = [parse_pattern(name) for name in names]
    return lambda here: verbs.get(here, patterns)


@verb(name="watch")
@names_argument()
@strategy_option
@count_option
@for_option
@click.option("--plain", is_flag=True, help="One line for each reading, not a table.")
def watch_verb(
    names: Sequence[str], strategy: str, count: int | None, duration: float | None, plain: bool
) -> Job:
    """Show readings of sensors as they come.

    On a terminal they are in a table that is kept up to date, with age and trend; elsewhere, and
    with --plain or --json, each is a line. Until interrupted. NAME is as for get, and so are the
    keys of JSON. Sensors that come up later and match are watched too.
    """
    plan = wanted_strategy(strategy)
    patterns = [parse_pattern(name) for name in names]
    return lambda here: watch(
        here, patterns, plan, count, duration, wants_table(here.screen, plain)
    )


@verb(name="plot")
@names_argument()
@strategy_option
@click.option(
    "--window",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="How much of the past is shown.",
)
@count_option
@for_option
def plot_verb(
    names: Sequence[str],
    strategy: str,
    window: float,
    count: int | None,
    duration: float | None,
) -> Job:
    """Draw sensors over time, while their readings come.

    Numbers, booleans and discrete values; up to six sensors in one picture. Without a terminal, the
    picture is printed in the end. With --json, it is as watch --json.
    """
    plan = wanted_strategy(strategy)
    patterns = [parse_pattern(name) for name in names]

    async def job(here: verbs.Here) -> int:
        if here.json:
            return await watch(here, patterns, plan, count, duration)
        from katcp.apps.cli._plot import plot  # takes a while to import

        return await plot(
            here, patterns, plan, window, count, duration, live=can_redraw(sys.stdout)
        )

    return job


@verb(name="log")
@click.option(
    "--level",
    type=click.Choice(LEVELS),
    default="all",
    help="Leave out what is below this level.",
)
@click.option(
    "--device-level",
    type=click.Choice(LEVELS),
    help="Have the device send lines from this level on, and in the end as before. It has one "
    "level for all its clients.",
)
@click.option("--count", type=click.IntRange(min=1), help="End after so many lines.")
@for_option
def log_verb(
    level: str, device_level: str | None, count: int | None, duration: float | None
) -> Job:
    """Print what the device logs, as it comes.

    JSON keys: level, timestamp (seconds since 1970, UTC), name, message.
    """
    return lambda here: log(here, level, device_level, count, duration)
