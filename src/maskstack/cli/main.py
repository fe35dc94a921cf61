"""The program: its commands, and its exit codes."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from maskstack.allocator import keep_large_blocks
from maskstack.cli.lazy import Verb, lazy_group
from maskstack.errors import MaskstackError, UncheckedWarning, visible
from maskstack.version import __version__

INTERRUPTED = 130
"""Exit code after Ctrl-C."""

VERBS = {
    "explain": Verb(
        "maskstack.cli.explain:explain", "Show which region of each photo made the network predict a class."
    ),
    "verify": Verb(
        "maskstack.cli.verify:verify",
        "Measure the numbers of a saved explanation again; exits with 1 where they differ.",
    ),
    "gallery": Verb(
        "maskstack.cli.gallery:gallery",
        "Explain the same photos under several networks or methods and draw the table.",
    ),
    "bench": Verb("maskstack.cli.bench:bench", "Measure every method on every image of every network."),
    "report": Verb(
        "maskstack.cli.report:report", "Compare the methods of one or more runs: tables, summary.csv and report.html."
    ),
    "methods": Verb(
        "maskstack.cli.methods:methods", "List the methods and groups of metrics that 'maskstack bench' knows."
    ),
    "models": Verb(
        "maskstack.cli.models:models", "List the kinds of networks that can be loaded, and what each needs."
    ),
    "app": Verb("maskstack.cli.app:app", "Serve a page that explains photos in the browser; Ctrl-C ends it."),
    "prototypes": Verb(
        "maskstack.cli.prototypes:app", "Train prototype networks and show what their prototypes stand for."
    ),
}
"""The commands; each is imported when it runs."""

app = typer.Typer(
    name="maskstack",
    cls=lazy_group(VERBS),
    help="Show which region of an image led to a network's prediction.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback(invoke_without_command=True)
def _main(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.", is_eager=True)] = False,
) -> None:
    if version:
        typer.echo(f"maskstack {__version__}")
        raise typer.Exit


def run() -> None:
    """Run the command line; exits with 0 when done, 2 and one sentence after an error of the user, 130 after Ctrl-C."""
    sys.exit(main(sys.argv[1:]))


def main(arguments: list[str]) -> int:
    """Run the command line on these arguments and return its exit code."""
    keep_large_blocks()
    with warnings.catch_warnings():
        # Each note once, as a sentence.
        warnings.simplefilter("default", UncheckedWarning)
        warnings.showwarning = _showing(warnings.showwarning)
        return _run(arguments)


def _run(arguments: list[str]) -> int:
    try:
        code = app(arguments, prog_name="maskstack", standalone_mode=False)
    except MaskstackError as error:
        return _fail(_in_options(str(error), arguments))
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except BrokenPipeError:
        _close_stdout()
        how = _continued(arguments)
        return _fail(f"stopped, because nothing reads the output any more; {how}", code=1) if how else 0
    except Exception as error:
        # Wrong usage: Typer's own exceptions; only these two methods of them are public.
        if hasattr(error, "format_message") and hasattr(error, "exit_code"):
            message = error.format_message().rstrip(".")
            if taken := _file_as_option(message, arguments):
                return _fail(f"the file {taken} was read as an option; write ./{taken}")
            see = f"{' See' if message.endswith('?') else '; see'} '{_command(arguments)} --help'"
            return _fail(message + see) if message else 2
        raise
    if code == INTERRUPTED:  # Typer turns Ctrl-C into this code by itself
        return _fail("; ".join(filter(None, ("stopped", _continued(arguments)))), code=INTERRUPTED)
    return code if isinstance(code, int) else 0


def _in_options(sentence: str, arguments: list[str]) -> str:
    """A sentence with the options of the command line, where the arguments in Python have the same names.

    >>> _in_options("choose one with output= (a, b); use objectives.custom", ["explain", "photo.jpg"])
    'choose one with --output (a, b); in Python, use objectives.custom'
    """
    if arguments[:1] == ["explain"]:  # elsewhere, output= is a key of the model spec
        sentence = re.sub(r"(?<![\w,])(output|objective)=\s?", r"--\1 ", sentence)
    return re.sub(r"\b(use|pass an objective that reads it:) objectives\.", r"in Python, \1 objectives.", sentence)


def _showing(otherwise: Callable[..., None]) -> Callable[..., None]:
    """How warnings are printed: those of this package as a note, all others as Python does."""

    def show(message: Warning | str, category: type[Warning], *place: Any) -> None:
        if issubclass(category, UncheckedWarning):
            sys.stderr.write(f"note: {message}\n")
        else:
            otherwise(message, category, *place)

    return show


def _command(arguments: list[str]) -> str:
    """The command that was called; if there is no such command, the part that exists.

    >>> _command(["prototypes", "train", "--epochs", "3"]), _command(["--nothing"])
    ('maskstack prototypes train', 'maskstack')
    """
    known: Any = typer.main.get_command(app)
    words = ["maskstack"]
    for argument in arguments:
        if argument not in getattr(known, "commands", {}):
            break
        words.append(argument)
        known = known.commands[argument]
    return " ".join(words)


def _file_as_option(message: str, arguments: list[str]) -> str:
    """The first argument that names a file and begins with a dash, if such a one was read as an option."""
    if not message.startswith(("No such option", "Option ", "Invalid value for '-")):
        return ""
    return next((each for each in arguments if each.startswith("-") and Path(each).is_file()), "")


def _continued(arguments: list[str]) -> str:
    """What is kept of interrupted work, and what continues it; empty for commands that only print or serve.

    >>> _continued(["explain", "photo.jpg"]), _continued(["models"])
    ('finished results are kept, and --resume continues from there', '')
    """
    command = _command(arguments).removeprefix("maskstack ")
    if command in ("explain", "gallery"):
        return "finished results are kept, and --resume continues from there"
    if command in ("bench", "prototypes train", "prototypes bench"):
        return "finished results are kept, and the same command continues from there"
    if command in ("prototypes explain", "prototypes gallery"):
        return "finished pages are kept, and the same command makes all of them again"
    return ""


def _close_stdout() -> None:
    """Send what is still in stdout's buffer nowhere, as Python would complain about it at its end."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(sentence: str, *, code: int = 2) -> int:
    from rich.console import Console  # imported here because most calls print no error
    from rich.text import Text

    one_line = visible(" ".join(sentence.split()))
    Console(stderr=True, soft_wrap=True).print(Text.assemble(("maskstack: ", "bold red"), one_line))
    return code
