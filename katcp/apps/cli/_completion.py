"""Completion in the user's shell: verbs, options, and names that the device is quick to tell."""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence

import click
from click.shell_completion import (
    BashComplete,
    add_completion_class,
    get_completion_class,
    split_arg_string,
)

from katcp.apps.cli._asking import Asker
from katcp.apps.cli._devices import named_devices
from katcp.apps.cli._errors import CommandError, Misuse
from katcp.apps.cli._grammar import STRATEGIES
from katcp.apps.cli._link import connected
from katcp.apps.cli._screen import PROGRAM
from katcp.apps.cli._sensors import all_sensors
from katcp.apps.cli._settings import ADDRESS_VARIABLE, Settings
from katcp.apps.cli._tls import TLS_OPTIONS
from katcp.apps.cli._verbs import all_requests

#: For how long the user's shell is kept waiting for a device [s].
_PATIENCE = 1.0
#: Names that mean nothing to a shell: others are not completed.
_HARMLESS = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.,:/@+-]*", re.ASCII)

SHELLS = ("bash", "zsh", "fish")


@add_completion_class
class WholeWordsBashComplete(BashComplete):
    """Puts together what bash takes for several words: ``127.0.0.1:7147`` is three to it."""

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the one at the cursor, and that."""
        words = split_arg_string(os.environ["COMP_WORDS"])
        cursor = int(os.environ["COMP_CWORD"])
        *before, current = joined([*words[:cursor], *(words[cursor : cursor + 1] or [""])])
        return before[1:], current


def joined(words: Sequence[str]) -> list[str]:
    """Return words with those put together that a colon stands between."""
    whole: list[str] = []
    glue = False
    for index, word in enumerate(words):
        colon = word == ":" and index > 0
        if (glue or colon) and whole:
            whole[-1] += word
        else:
            whole.append(word)
        glue = colon
    return whole


def completion_script(shell: str) -> str:
    """Return the script that has a shell complete the program's command lines.

    Raises
    ------
    Misuse
        For a shell that there is none for.
    """
    from katcp.apps.cli._group import command

    kind = get_completion_class(shell)
    if kind is None:
        raise Misuse(f"there is completion for {', '.join(SHELLS)}")
    variable = f"_{PROGRAM.replace('-', '_')}_COMPLETE".upper()
    made = kind(command, {}, PROGRAM, variable)
    return made.source_template % made.source_vars()


def complete_sensors(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return names of sensors that begin so."""
    return _ask(ctx, all_sensors, incomplete)


def complete_requests(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return names of requests that begin so."""
    return _ask(ctx, all_requests, incomplete)


def complete_strategies(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return strategies that begin so."""
    return [name for name in STRATEGIES if name != "none" and name.startswith(incomplete)]


def complete_devices(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return names of the user's devices that begin so."""
    return [name for name in named_devices() if name.startswith(incomplete)]


def _ask(
    ctx: click.Context, names: Callable[[Asker], Awaitable[Iterable[str]]], incomplete: str
) -> list[str]:
    async def ask() -> Iterable[str]:
        host, port, _, tls, _ = _settings(ctx).target()
        async with connected(host, port, _PATIENCE, False, tls) as asker:
            return await names(asker)

    async def ask_quickly() -> Iterable[str]:
        return await asyncio.wait_for(ask(), _PATIENCE)

    log = logging.getLogger("katcp")
    level = log.level
    log.setLevel(logging.CRITICAL)  # the command line is not for that
    try:
        found = asyncio.run(ask_quickly())
    except (CommandError, asyncio.TimeoutError, OSError):
        return []
    finally:
        log.setLevel(level)
    return [n for n in found if n.startswith(incomplete) and _HARMLESS.fullmatch(n)]


def _settings(ctx: click.Context) -> Settings:
    """Return what stands on the line so far; nothing of it has been done."""
    outer = ctx.find_root()
    address = outer.meta.get(ADDRESS_VARIABLE) or os.environ.get(ADDRESS_VARIABLE)
    settings = Settings().with_options(address=address)
    for each in (outer, ctx):
        given = {name: each.params.get(name) for name in ("address", *TLS_OPTIONS)}
        settings = settings.with_options(**given)
    return settings
