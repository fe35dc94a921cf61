"""Groups of commands whose modules are imported only when a command runs, so that ``--help`` answers at once."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Mapping
from importlib import import_module
from typing import Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup


class Verb(NamedTuple):
    """A command that is not imported yet.

    Attributes:
        place: Its import path, ``module:name``: a function, or a ``typer.Typer`` with its own commands.
        help: Its line in the help of the group, which is the first line of its docstring.
    """

    place: str
    help: str

    def load(self, name: str) -> Any:
        """Import the command."""
        module, _, own_name = self.place.partition(":")
        found = getattr(import_module(module), own_name)
        if not isinstance(found, typer.Typer):
            alone = typer.Typer(add_completion=False)
            alone.command(name)(found)
            found = alone
        command = typer.main.get_command(found)
        command.name = name
        return command


class Commands(UserDict[str, Any]):
    """Commands by name; each is imported when it is used."""

    def __getitem__(self, name: str) -> Any:
        found = super().__getitem__(name)
        if isinstance(found, Verb):
            found = self[name] = found.load(name)
        return found


def lazy_group(verbs: Mapping[str, Verb]) -> type[TyperGroup]:
    """A subclass of ``TyperGroup`` with these commands, for ``typer.Typer(cls=...)``."""

    class LazyGroup(TyperGroup):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.commands: Any = Commands(verbs)

        def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
            return list(verbs)

        def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
            """A placeholder for a command, which holds only its line for the help."""
            return TyperCommand(cmd_name, help=verbs[cmd_name].help) if cmd_name in verbs else None

        def resolve_command(self, ctx: Any, args: list[str]) -> Any:
            """Import the command that is called."""
            name, command, rest = super().resolve_command(ctx, args)
            return name, command if name is None else self.commands[name], rest

    return LazyGroup
