"""The errors a user can cause: each says in one sentence what was wrong and what to do."""

from __future__ import annotations

import importlib
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class MaskstackError(Exception):
    """Something the caller can correct. The command line prints its sentence and exits with 2."""

    def __str__(self) -> str:
        """The sentence; the middle of a very long one is left out, as it quotes a text of a file."""
        text = super().__str__()
        return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 300]} ... {text[-280:]}"


class InputError(MaskstackError, ValueError):
    """An image, a target, a setting or a file that cannot be used as it is."""


class ModelError(MaskstackError, RuntimeError):
    """A network that cannot be loaded, or whose output cannot be explained."""


class OutputError(MaskstackError, OSError):
    """A result that could not be written."""


class MissingExtraError(MaskstackError, ImportError):
    """A package that only an optional extra installs is not installed."""


WRONG_VALUE = (LookupError, TypeError, ValueError, AttributeError, OverflowError, RecursionError)
"""What Python raises for a value of another type, size or depth than expected, as a damaged file has it."""

_LONGEST = 1200
"""Largest number of characters of an error's sentence, which may quote a text of a file."""


class UncheckedWarning(UserWarning):
    """A file was written by an older version and has no digest, so damage in it cannot be noticed."""


def a_type(value: object) -> str:
    """The type of a value with its article.

    >>> a_type(5), a_type({})
    ('an int', 'a dict')
    """
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' or name == 'ndarray' else 'a'} {name}"


def reason(error: BaseException, *, longest: int = 200) -> str:
    r"""The first line of another library's error message, or the error's type if it has no message.

    >>> reason(ValueError("no such operator\nat line 3")), reason(EOFError())
    ('no such operator', 'EOFError')
    """
    lines = str(error).strip().splitlines()
    return (lines or [type(error).__name__])[0].strip().rstrip(".")[:longest]


def require(package: str, *, extra: str) -> Any:
    """Import a package of an optional extra.

    Args:
        package: The name by which it is imported.
        extra: The extra of maskstack that installs it.

    Raises:
        MissingExtraError: It is not installed, or cannot be imported.
    """
    try:
        return importlib.import_module(package)
    # A torchvision built for another torch fails with RuntimeError, a missing shared library with OSError.
    except (ImportError, RuntimeError, OSError) as error:
        raise MissingExtraError(
            f"this needs the package {package}, which could not be imported ({reason(error)}); "
            f"run pip install 'maskstack[{extra}]'"
        ) from error


@contextmanager
def quiet(*names: str, level: int = logging.ERROR) -> Iterator[None]:
    """Inside the context, other libraries log only what is at least this serious.

    Args:
        *names: Names of their loggers.
        level: The least level that is logged.
    """
    loggers = [logging.getLogger(name) for name in names]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(level)
    try:
        yield
    finally:
        for logger, own in zip(loggers, before, strict=True):
            logger.setLevel(own)


_COMMANDS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    r"""A text without characters that command a terminal, reverse its direction or cannot be printed.

    >>> visible("cat\x1b]0;title\x07"), visible("Egyptian cat, é")
    ('cat\\x1b]0;title\\x07', 'Egyptian cat, é')
    """
    return _COMMANDS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def in_line(name: str) -> str:
    r"""A name within a line: as :func:`visible`, and without line breaks and tabs, which file names may have.

    >>> in_line("new\nline.jpg")
    'new\\nline.jpg'
    """
    return re.sub(r"[\t\n\u2028\u2029]", lambda found: found[0].encode("unicode_escape").decode(), visible(name))
