"""Names of classes: ImageNet's or those of a file."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from maskstack.class_names import find_class, plain_name
from maskstack.errors import InputError

__all__ = ["find_class", "imagenet_names", "plain_name", "read_names"]


def imagenet_names() -> tuple[str, ...]:
    """The 1000 class names of ImageNet in the order of their indices.

    The names are torchvision's (BSD-3-Clause, see ``imagenet_classes.NOTICE.txt``); all of them differ.

    >>> imagenet_names()[285], len(set(imagenet_names()))
    ('Egyptian cat', 1000)
    """
    return tuple((resources.files(__package__) / "imagenet_classes.txt").read_text(encoding="utf-8").splitlines())


def read_names(source: str | Path) -> tuple[str, ...]:
    """Class names from a file, one per line; the word ``imagenet`` gives ImageNet's.

    Raises:
        InputError: The file cannot be read as text, is empty, or has an empty line between names.
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
        raise InputError(
            f"the class names {source} have an empty line or none at all; give one name per line, in order"
        )
    return names
