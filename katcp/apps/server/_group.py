"""A group of commands of which one need not be named, and options that may stand before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click
from click.shell_completion import CompletionItem


class DefaultGroup(click.Group):
    """A group whose command `default` is meant where none is named.

    Options may stand before the name of the command: ``--port 0 simulate FILE``.
    """

    def __init__(self, *args: Any, default: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.default = default

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the name of the command first, then parse as usual."""
        index = self._first_word(args)
        if index is not None and args[index] in self.commands:
            args = [args[index], *args[:index], *args[index + 1 :]]
        elif not self._is_for_the_group(ctx, args):
            args = [self.default, *args]
        return super().parse_args(ctx, args)

    def _is_for_the_group(self, ctx: click.Context, args: Sequence[str]) -> bool:
        if ctx.resilient_parsing and not args:  # the user's shell completes the first word
            return True
        own = {name for parameter in self.get_params(ctx) for name in parameter.opts}
        return any(arg in own for arg in args)

    def _first_word(self, args: Sequence[str]) -> int | None:
        """Return the index of the first argument that is no option, nor the value of one."""
        values = {
            name: parameter.nargs
            for command in self.commands.values()
            for parameter in command.params
            if isinstance(parameter, click.Option) and not parameter.is_flag
            for name in parameter.opts
        }
        index = 0
        while index < len(args):
            if args[index] == "--":
                return index + 1 if index + 1 < len(args) else None
            if not args[index].startswith("-"):
                return index
            index += 1 + values.get(args[index], 0)
        return None

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Offer the commands, and what the default one has."""
        default = self.commands[self.default]
        inner = default.make_context(self.default, [], parent=ctx, resilient_parsing=True)
        found = [*super().shell_complete(ctx, incomplete)]
        for param in default.get_params(inner):
            if isinstance(param, click.Argument) and not incomplete.startswith("-"):
                found += param.shell_complete(inner, incomplete)
        if incomplete.startswith("-"):
            known = {item.value for item in found}
            found += [i for i in default.shell_complete(inner, incomplete) if i.value not in known]
        return found

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, then the options of the default one."""
        self.format_commands(ctx, formatter)
        default = self.commands[self.default]
        inner = default.make_context(self.default, [], parent=ctx, resilient_parsing=True)
        records = [
            record
            for parameter in [*default.get_params(inner), *self.get_params(ctx)]
            if isinstance(parameter, click.Option)
            and parameter.name not in ("help", "version")
            and (record := parameter.get_help_record(inner)) is not None
        ]
        records += [
            record for p in self.get_params(ctx) if (record := p.get_help_record(ctx)) is not None
        ]
        with formatter.section("Options"):
            formatter.write_dl(records)
