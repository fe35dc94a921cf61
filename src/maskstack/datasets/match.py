"""A data set's classes as the network's."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

from maskstack.datasets.annotated import AnnotatedImage, AnnotatedImages
from maskstack.datasets.wnids import are_wnids, imagenet_index
from maskstack.errors import InputError

_SAME_ORDER = 0.9
"""Share of names at the same place that shows two lists to be of the same classes; ImageNet's lists differ in some."""


def match_classes(images: AnnotatedImages, class_names: Sequence[str]) -> AnnotatedImages:
    """Make the labels the network's class indices.

    Indices that the data set gave itself stand, unless it has another number of classes. Else a class is found by
    its name in any case, with spaces, underscores or hyphens, also by one of several names between commas or in
    brackets, and without a number before it as in ``001.Black_footed_Albatross``.

    Args:
        images: With the data set's labels.
        class_names: The network's, in the order of its indices.

    Returns:
        The images with the network's ``class_names``. Images of classes it does not have, or has several of, have no
        label; ``unmatched`` names these classes.

    Raises:
        InputError: There are no class names, or a given index is out of their range.
        MissingExtraError: The classes are WordNet ids such as n01440764, which needs the package timm to read.
    """
    names = tuple(class_names)
    if not names:
        raise InputError("there are no class names to match; give those of the network")
    if _stands(images, names):
        return replace(images, class_names=names, unmatched=())
    wanted = {name for image in images if (name := _name(image, images.class_names)) is not None}
    found = imagenet_index(wanted, len(names)) if are_wnids(wanted) else _found(wanted, names)
    matched = tuple(
        replace(
            image, label=found.get(_name(image, images.class_names) or ""), class_name=_name(image, images.class_names)
        )
        for image in images
    )
    unmatched = tuple(sorted(wanted - found.keys()))
    return replace(images, images=matched, class_names=names, indices_given=False, unmatched=unmatched)


def _stands(images: AnnotatedImages, names: tuple[str, ...]) -> bool:
    theirs = images.class_names
    if images.indices_given:
        return len(theirs) in (0, len(names))
    same = sum(bool(set(_names(one)) & set(_names(other))) for one, other in zip(theirs, names, strict=False))
    return len(theirs) == len(names) and not images.unmatched and same >= _SAME_ORDER * len(names)


def _name(image: AnnotatedImage, names: tuple[str, ...]) -> str | None:
    if image.class_name is not None or image.label is None or not names:
        return image.class_name
    return names[image.label]


def _found(wanted: set[str], names: tuple[str, ...]) -> dict[str, int]:
    indices: dict[str, set[int]] = defaultdict(set)
    for index, name in enumerate(names):
        for each in _names(name):
            indices[each].add(index)
    found = {}
    for name in wanted:
        only = next((indices[each] for each in _names(name) if len(indices.get(each, ())) == 1), None)
        if only:
            found[name] = min(only)
    return found


def _names(name: str) -> Iterator[str]:
    """The whole name, then each of its synonyms, all in plain form."""
    name = re.sub(r"^\d+\.", "", name)
    yield _plain(name)
    for each in re.split(r"[,;()]", name):
        if plain := _plain(each):
            yield plain


def _plain(name: str) -> str:
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").split())
