"""Names of classes: ImageNet's, or one per line of a file."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from maskstack.errors import InputError


def imagenet_names() -> tuple[str, ...]:
    """The 1000 class names of ImageNet in the order of their indices.

    They are torchvision's (BSD-3-Clause, see ``imagenet_classes.NOTICE.txt``); no two are alike.

    >>> imagenet_names()[285], len(set(imagenet_names()))
    ('Egyptian cat', 1000)
    """
    return tuple((resources.files(__package__) / "imagenet_classes.txt").read_text(encoding="utf-8").splitlines())


def read_names(source: str | Path) -> tuple[str, ...]:
    """Class names from a file, one per line; the word ``imagenet`` gives ImageNet's.

    Raises:
        InputError: The file cannot be read, is no text, or holds an empty line between names.
    """
    if str(source) == "imagenet":
        return imagenet_names()
    try:
        lines = Path(source).read_text(encoding="utf-8-sig").rstrip().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"the class names {source} cannot be read as text ({error}); give one name per line"
        ) from error
    names = tuple(line.strip() for line in lines)
    if not names or not all(names):
        raise InputError(f"the class names {source} hold an empty line or nothing; give one name per line, in order")
    return names
