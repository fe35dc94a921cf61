"""What the site generates: every command with its options, and the table of the search settings."""

from __future__ import annotations

import dataclasses
import inspect
from html import escape
from typing import Any

import typer.main

COMMANDS = "<!-- every command -->"
SETTINGS = "<!-- every setting -->"


def on_page_markdown(markdown: str, **_kwargs: Any) -> str:
    """Replace each marker on a page by the text that is generated for it."""
    for marker, generated in ((COMMANDS, commands), (SETTINGS, settings)):
        if marker in markdown:
            markdown = markdown.replace(marker, generated())
    return markdown


def settings() -> str:
    """A table of the search settings: name, default and meaning, read from the class that defines them."""
    from maskstack import SearchSettings
    from maskstack.masks.settings import setting_help

    meanings = setting_help()
    rows = [
        f"| `{each.name}` | {_code(_plain(each.default))} | {meanings[each.name]} |"
        for each in dataclasses.fields(SearchSettings)
    ]
    return "\n".join(["| setting | default | meaning |", "|---|---|---|", *rows])


def commands() -> str:
    """Every command with its arguments and options, as Markdown."""
    from maskstack.cli.main import app

    return "\n".join(_command("maskstack", typer.main.get_command(app)))


def _command(name: str, command: Any) -> list[str]:
    own = getattr(command, "commands", None)
    if own is not None:
        return [line for verb, child in own.items() for line in _command(f"{name} {verb}", child)]
    lines = [f"## `{name}`", "", inspect.cleandoc(command.help or ""), ""]
    shown = [each for each in command.params if not getattr(each, "hidden", False)]
    arguments = [each for each in shown if each.param_type_name == "argument"]
    options = [each for each in shown if each.param_type_name == "option" and each.name != "help"]
    for what, found in (("argument", arguments), ("option", options)):
        if found:
            lines += [f"| {what} | | default |", "|---|---|---|", *map(_row, found), ""]
    return lines


def _row(each: Any) -> str:
    names = each.opts + each.secondary_opts
    argument = each.param_type_name == "argument"
    several = "..." if each.nargs == -1 else ""
    shown = f"`{each.metavar or each.name.upper()}{several}`" if argument else ", ".join(f"`{one}`" for one in names)
    known = not (each.default in (None, "") or callable(each.default) or each.required)
    default = _code(str(each.default)) if known else ""
    if isinstance(each.default, bool):
        default = "yes" if each.default else ""
    if isinstance(each.show_default, str):  # the default is what another option chooses
        default = f"<code>{escape(each.show_default).replace(',', ',<wbr>')}</code>"
    help_text = (each.help or "").replace("|", "\\|")
    return f"| {shown} | {help_text} | {'required' if each.required else default} |"


def _code(text: str) -> str:
    # Long lists may break after a comma, and only there.
    return f"<code>{escape(text, quote=False).replace(',', ',<wbr>')}</code>"


def _plain(value: Any) -> str:
    """A default as a user writes it: a square grid as one number, as ``sizes`` accepts it."""
    if isinstance(value, tuple):
        square = [each[0] if isinstance(each, tuple) and each[0] == each[1] else each for each in value]
        return f"({', '.join(map(repr, square))})"
    return repr(value) if isinstance(value, str) else str(value)
