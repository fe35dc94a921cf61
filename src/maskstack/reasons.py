"""Other libraries' errors, short enough to stand in a sentence."""

from __future__ import annotations


def reason(error: BaseException, *, longest: int = 200) -> str:
    r"""The first line of an error's message, or its type if it has none.

    >>> reason(ValueError("no such operator\nat line 3")), reason(EOFError())
    ('no such operator', 'EOFError')
    """
    lines = str(error).strip().splitlines()
    return (lines or [type(error).__name__])[0].strip().rstrip(".")[:longest]
