"""The program: its verbs, and how errors end it."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from maskstack.allocator import keep_large_blocks
from maskstack.cli.app import app as page
from maskstack.cli.bench import bench
from maskstack.cli.explain import explain
from maskstack.cli.gallery import gallery
from maskstack.cli.methods import methods
from maskstack.cli.models import models
from maskstack.cli.prototypes import app as prototypes
from maskstack.cli.report import report
from maskstack.errors import MaskstackError
from maskstack.version import __version__

INTERRUPTED = 130
"""Exit code of a program that Ctrl-C ended."""

app = typer.Typer(
    name="maskstack",
    help="Which region of an image made a network answer as it did.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(explain)
app.command()(gallery)
app.command()(bench)
app.command()(report)
app.command()(methods)
app.command()(models)
app.command(name="app")(page)
app.add_typer(prototypes, name="prototypes")


@app.callback(invoke_without_command=True)
def _main(
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.", is_eager=True)] = False,
) -> None:
    if version:
        typer.echo(f"maskstack {__version__}")
        raise typer.Exit


def run() -> None:
    """Run the command line: exit 0 when done, 2 with one sentence when the caller can put it right, 130 on Ctrl-C."""
    sys.exit(main(sys.argv[1:]))


def main(arguments: list[str]) -> int:
    """Run the command line on these arguments and return its exit code."""
    keep_large_blocks()
    try:
        code = app(arguments, prog_name="maskstack", standalone_mode=False)
    except MaskstackError as error:
        return _fail(str(error))
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except BrokenPipeError:
        return 0
    except Exception as error:
        # Wrong usage: Typer's own exceptions, of which it makes only these two methods public.
        if hasattr(error, "format_message") and hasattr(error, "exit_code"):
            said = error.format_message().rstrip(".")
            return _fail(f"{said}; see '{_command(arguments)} --help'") if said else 2
        raise
    if code == INTERRUPTED:  # Typer turns Ctrl-C into this code by itself
        return _fail(
            f"stopped; what was finished is kept, and {_again(arguments)} goes on from there",
            code=INTERRUPTED,
        )
    return code if isinstance(code, int) else 0


def _command(arguments: list[str]) -> str:
    """The command that was called, as far as there is one.

    >>> _command(["prototypes", "train", "--epochs", "3"]), _command(["--nothing"])
    ('maskstack prototypes train', 'maskstack')
    """
    verbs = [argument for argument in arguments[:2] if argument.isalpha()]
    return " ".join(["maskstack", *verbs[: 2 if verbs[:1] == ["prototypes"] else 1]])


def _again(arguments: list[str]) -> str:
    """How stopped work is taken up."""
    return "--resume" if arguments[:1] in (["explain"], ["gallery"]) else "the same command"


def _fail(sentence: str, *, code: int = 2) -> int:
    one_line = " ".join(sentence.split())
    Console(stderr=True, soft_wrap=True).print(Text.assemble(("maskstack: ", "bold red"), one_line))
    return code
