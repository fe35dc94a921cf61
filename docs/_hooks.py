"""What the site writes by itself: the page of the command line, from the program that it describes."""

from __future__ import annotations

import inspect
from html import escape
from typing import Any

import typer.main

MARK = "<!-- every command -->"


def on_page_markdown(markdown: str, **_kwargs: Any) -> str:
    """Put every command where a page asks for them."""
    return markdown.replace(MARK, commands()) if MARK in markdown else markdown


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
    shown = f"`{each.metavar or each.name.upper()}`" if argument else ", ".join(f"`{one}`" for one in names)
    known = not (each.default in (None, "") or callable(each.default) or each.required)
    # Long lists may break after a comma, and only there.
    default = f"<code>{escape(str(each.default)).replace(',', ',<wbr>')}</code>" if known else ""
    if isinstance(each.default, bool):
        default = "yes" if each.default else ""
    help_text = (each.help or "").replace("|", "\\|")
    return f"| {shown} | {help_text} | {'required' if each.required else default} |"
