"""The command line of ``katcp-cli``."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NoReturn, TypeVar

import click

from katcp._version import __version__
from katcp.apps.cli import _verbs as verbs
from katcp.apps.cli._asking import DEFAULT_TIMEOUT
from katcp.apps.cli._errors import DONE, INTERRUPTED, MISUSE, CommandError
from katcp.apps.cli._escape import quoted, visible
from katcp.apps.cli._grammar import (
    DEFAULT_HOST,
    DEFAULT_PORT,
    STRATEGIES,
    looks_like_address,
    parse_address,
    parse_pattern,
    parse_strategy,
    request_name,
)
from katcp.apps.cli._link import connected
from katcp.apps.cli._screen import PROGRAM, Screen, complain
from katcp.apps.cli._watch import watch

_F = TypeVar("_F", bound=Callable[..., Any])

#: What is to be done when the command line has been understood; returns the exit status.
Run = Callable[[], int]

#: Environment variable that names the device.
ADDRESS_VARIABLE = "KATCP_ADDRESS"


@dataclass(frozen=True)
class Settings:
    """What the options say, wherever they stood.

    Attributes
    ----------
    address : str or None
        As typed.
    timeout : float or None
        [s].
    json, verbose : bool
    """

    address: str | None = None
    timeout: float | None = None
    json: bool = False
    verbose: bool = False

    def with_options(self, **options: Any) -> Settings:
        """Return the settings with options that were given in addition."""
        return replace(self, **{name: value for name, value in options.items() if value})

    def where(self) -> tuple[str, int]:
        """Return (host, port) of the device."""
        if self.address is None:
            return DEFAULT_HOST, DEFAULT_PORT
        return parse_address(self.address)


def common_options(function: _F, *, short: Sequence[str] = ()) -> _F:
    """Add the options that may stand before the verb as well as behind it.

    `short` are further names of ``--address``: not behind verbs, whose arguments may begin with
    a dash.
    """
    options = (
        click.option(
            "--address",
            *short,
            metavar="HOST:PORT",
            help=f"The device.  [default: ${ADDRESS_VARIABLE}, else {DEFAULT_HOST}:{DEFAULT_PORT}]",
        ),
        click.option(
            "--timeout",
            type=click.FloatRange(min=0, min_open=True),
            metavar="SECONDS",
            help="How long to wait for the connection, and for each reply.  "
            f"[default: {DEFAULT_TIMEOUT:g}, or longer if the device says so]",
        ),
        click.option("--json", is_flag=True, help="Print one JSON object a line."),
        click.option("--verbose", is_flag=True, help="Tell more about the connection."),
    )
    for option in reversed(options):  # as decorators are applied
        function = option(function)
    return function


class DeviceGroup(click.Group):
    """A group of verbs that may have an address before the verb."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take out the address, then parse as usual."""
        index = self._first_word(args)
        if index is not None and looks_like_address(args[index]):
            ctx.meta[ADDRESS_VARIABLE] = args[index]
            args = [*args[:index], *args[index + 1 :]]
        return super().parse_args(ctx, args)

    def _first_word(self, args: Sequence[str]) -> int | None:
        """Return the index of the first argument that is no option, nor the value of one."""
        with_value = {
            name
            for parameter in self.params
            if isinstance(parameter, click.Option) and not parameter.is_flag
            for name in parameter.opts
        }
        index = 0
        while index < len(args):
            if not args[index].startswith("-"):
                return index
            index += 2 if args[index] in with_value else 1
        return None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb; what is none may have been meant as an address."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            raise click.UsageError(
                f"no verb {quoted(args[0])}: it is one of {', '.join(self.list_commands(ctx))} "
                "(an address has a port, as in host:7147)"
            ) from error


@click.group(
    name=PROGRAM,
    cls=DeviceGroup,
    invoke_without_command=True,
    subcommand_metavar="[HOST:PORT] [VERB [ARGUMENTS]]",
    epilog="Exit status: 0 done; 1 refused by the device, or no such sensor; 2 misuse; 3 no "
    "connection, or connection lost; 4 timed out; 130 interrupted.",
)
@partial(common_options, short=["-a"])
@click.version_option(__version__, prog_name=PROGRAM)
@click.pass_context
def command(ctx: click.Context, /, **options: Any) -> Run | None:
    """Talk to a KATCP device: from a prompt, or, with a verb, from scripts.

    Without a verb it is a shell on the device; if its input is no terminal, it does what the
    lines of that say, and its exit status is that of the last one that failed.
    """
    positional = ctx.meta.get(ADDRESS_VARIABLE)
    if positional and options["address"]:
        raise click.UsageError(f"two addresses: {positional} and {options['address']}")
    given = positional or options.pop("address") or os.environ.get(ADDRESS_VARIABLE) or None
    options.pop("address", None)
    ctx.obj = Settings().with_options(address=given, **options)
    if ctx.invoked_subcommand is not None:
        return None
    settings: Settings = ctx.obj
    if settings.json:
        raise click.UsageError("--json is for verbs")
    host, port = settings.where()

    def run() -> int:
        from katcp.apps.cli._shell import run_shell  # prompt_toolkit takes a while to import

        return run_shell(host, port, settings.timeout, settings.verbose)

    return run


#: What a verb does once there is a connection.
Job = Callable[[verbs.Here], Awaitable[int]]


def verb(**attributes: Any) -> Callable[[Callable[..., Job]], click.Command]:
    """Return a decorator that makes a verb of a function of its arguments.

    The function checks them, before anything is connected, and returns what is to be done then.
    """

    def decorate(function: Callable[..., Job]) -> click.Command:
        @common_options
        @click.pass_context
        def parse(ctx: click.Context, /, **arguments: Any) -> Run:
            names = ("address", "timeout", "json", "verbose")
            options = {name: arguments.pop(name) for name in names}
            settings: Settings = ctx.obj.with_options(**options)
            host, port = settings.where()
            job = function(**arguments)

            async def work() -> int:
                async with connected(host, port, settings.timeout, settings.verbose) as asker:
                    return await job(verbs.Here(asker, Screen(settings.json)))

            return lambda: asyncio.run(work())

        parse.__doc__ = function.__doc__
        parameters = getattr(function, "__click_params__", [])
        parse.__click_params__ += parameters  # type: ignore[attr-defined]  # click's own way
        return command.command(**attributes)(parse)

    return decorate


@verb(name="list")
@click.argument("filter_text", metavar="[FILTER]", default="")
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
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
def get_verb(names: Sequence[str]) -> Job:
    r"""Print the present readings of sensors.

    NAME is the name of a sensor, a glob such as 'pump.*', or a /regular expression/. A value in
    parentheses is one that does not count, because of the status.

    JSON keys: name, value, units, type, status, timestamp (seconds since 1970, UTC). Values are
    numbers for integer, float and timestamp sensors (but "nan", "inf" and "-inf" are strings),
    true or false for boolean, else strings. Bytes that are not UTF-8 are written as \xNN.
    """
    patterns = [parse_pattern(name) for name in names]
    return lambda here: verbs.get(here, patterns)


@verb(name="watch")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option(
    "--strategy",
    default="event",
    show_default=True,
    metavar="'NAME [PARAMETERS]'",
    help=f"When readings are sent: {', '.join(name for name in STRATEGIES if name != 'none')}; "
    "times in seconds, as in 'period 0.5' or 'event-rate 1 60'.",
)
@click.option("--count", type=click.IntRange(min=1), help="End after so many readings.")
@click.option(
    "--for",
    "duration",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="End after this time.",
)
def watch_verb(
    names: Sequence[str], strategy: str, count: int | None, duration: float | None
) -> Job:
    """Print readings of sensors as they come.

    One line each, until interrupted. NAME is as for get, and so are the keys of JSON. Sensors that
    come up later and match are watched too.
    """
    plan = parse_strategy(strategy.split())
    if plan.name == "none":
        raise click.UsageError("with the strategy none, nothing is sent")
    patterns = [parse_pattern(name) for name in names]
    return lambda here: watch(here, patterns, plan, count, duration)


@verb(name="call", context_settings={"ignore_unknown_options": True})
@click.argument("request")
@click.argument("arguments", metavar="[ARGUMENTS]...", nargs=-1, type=click.UNPROCESSED)
def call_verb(request: str, arguments: Sequence[str]) -> Job:
    r"""Send a request; print its informs and its reply.

    Informs are printed as they come. Arguments go to the device as they are, numbers such as -5
    too; behind -- also those that look like options of this program.

    JSON: an object {"inform": request, "arguments": [...]} for each inform, then {"reply":
    request, "status": "ok", "arguments": [...]}. Arguments are strings; bytes that are not UTF-8
    are written as \xNN.
    """
    name, raw = request_name(request), [os.fsencode(argument) for argument in arguments]
    return lambda here: verbs.call(here, name, raw)


@verb(name="help")
@click.argument("request", required=False)
def help_verb(request: str | None) -> Job:
    """Print the device's help on a REQUEST, or list them.

    JSON keys: name, description.
    """
    if request is None:
        return lambda here: verbs.list_requests(here, parse_pattern("", part=True))
    name = request_name(request)
    return lambda here: verbs.help_on(here, name)


@verb(name="info")
def info_verb() -> Job:
    """Print versions, clients, numbers of sensors and requests.

    JSON keys: address, protocol, versions (name: [version, build]), sensors, requests, clients.
    """
    return verbs.info


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the program; ends the process."""
    try:
        status = run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        status = DONE  # whoever reads has seen enough, as `head` does
        _give_up_stdout()
    except KeyboardInterrupt:
        status = INTERRUPTED
        if sys.stderr.isatty():
            sys.stderr.write("\n")  # the terminal has shown ^C
        with contextlib.suppress(BrokenPipeError):
            sys.stdout.flush()
    sys.exit(status)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the program; return the exit status."""
    try:
        # Only parsed in there: click has ideas of its own about interrupts and broken pipes.
        result = command.main(
            None if arguments is None else list(arguments), PROGRAM, standalone_mode=False
        )
        return result() if callable(result) else DONE
    except click.ClickException as error:
        text = visible(" ".join(error.format_message().split()))
        complain(f"{text} (see {PROGRAM} --help)")
        return MISUSE
    except CommandError as error:
        complain(str(error))
        return error.status


def _give_up_stdout() -> None:
    """Let what is still to be printed go nowhere, so that Python does not complain at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
