"""What the verbs hang on: a command that may have an address before the verb."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

import click

from katcp._version import __version__
from katcp.apps.cli._asking import Asker
from katcp.apps.cli._devices import named_devices
from katcp.apps.cli._escape import quoted
from katcp.apps.cli._grammar import looks_like_address
from katcp.apps.cli._link import connected
from katcp.apps.cli._progress import Progress
from katcp.apps.cli._screen import PROGRAM, Screen
from katcp.apps.cli._settings import ADDRESS_VARIABLE, Settings, common_options
from katcp.apps.cli._tls import TLS_OPTIONS
from katcp.apps.cli._verbs import Here

#: What is to be done when the command line has been understood; returns the exit status.
Run = Callable[[], int]

#: What a verb does once there is a connection.
Job = Callable[[Here], Awaitable[int]]

#: What a verb does that needs no device.
LocalJob = Callable[[Screen], int]

_OPTIONS = ("address", "timeout", "json", "verbose", *TLS_OPTIONS)


class DeviceGroup(click.Group):
    """A group of verbs that may have an address, or a device's name, before the verb."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take out the address, then parse as usual."""
        index = self._first_word(args)
        if index is not None and self._is_address(ctx, args[index]):
            ctx.meta[ADDRESS_VARIABLE] = args[index]
            args = [*args[:index], *args[index + 1 :]]
        return super().parse_args(ctx, args)

    def _is_address(self, ctx: click.Context, word: str) -> bool:
        if looks_like_address(word):
            return True
        return self.get_command(ctx, word) is None and word in named_devices()

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
                "(an address has a port, as in host:7147, or a name in devices.toml)"
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
    return None if ctx.invoked_subcommand is not None else shell_run(ctx.obj)


def shell_run(settings: Settings) -> Run:
    """Return what runs the shell."""
    if settings.json:
        raise click.UsageError("--json is for verbs")
    target = settings.target()

    def run() -> int:
        from katcp.apps.cli._shell import run_shell  # prompt_toolkit takes a while to import

        return run_shell(target, settings)

    return run


def verb(**attributes: Any) -> Callable[[Callable[..., Job]], click.Command]:
    """Return a decorator that makes a verb of a function of its arguments.

    The function checks them, before anything is connected, and returns what is to be done then.
    """

    def decorate(function: Callable[..., Job]) -> click.Command:
        def run_of(settings: Settings, arguments: dict[str, Any]) -> Run:
            target = settings.target()
            job = function(**arguments)
            progress = Progress.on_terminal(settings.json)

            def connect() -> AbstractAsyncContextManager[Asker]:
                host, port, timeout, tls, _ = target
                return connected(host, port, timeout, settings.verbose, tls, progress)

            async def work() -> int:
                async with connect() as asker:
                    return await job(Here(asker, Screen(settings.json), connect))

            return lambda: asyncio.run(work())

        return _command(function, run_of, attributes)

    return decorate


def local_verb(**attributes: Any) -> Callable[[Callable[..., LocalJob]], click.Command]:
    """Return a decorator that makes a verb, one that talks to no device, of a function."""

    def decorate(function: Callable[..., LocalJob]) -> click.Command:
        def run_of(settings: Settings, arguments: dict[str, Any]) -> Run:
            job = function(**arguments)
            return lambda: job(Screen(settings.json))

        return _command(function, run_of, attributes)

    return decorate


def _command(
    function: Callable[..., object],
    run_of: Callable[[Settings, dict[str, Any]], Run],
    attributes: dict[str, Any],
) -> click.Command:
    @common_options
    @click.pass_context
    def parse(ctx: click.Context, /, **arguments: Any) -> Run:
        options = {name: arguments.pop(name) for name in _OPTIONS}
        return run_of(ctx.obj.with_options(**options), arguments)

    parse.__doc__ = function.__doc__
    parameters = getattr(function, "__click_params__", [])
    parse.__click_params__ += parameters  # type: ignore[attr-defined]  # click's own way
    return command.command(**attributes)(parse)
