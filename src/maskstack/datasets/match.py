"""Matching the classes of a data set to those of a network."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from maskstack.datasets.annotated import AnnotatedImage, AnnotatedImages
from maskstack.errors import InputError, require
from maskstack.models.classes import plain_name

IMAGENET_CLASSES = 1000

_SAME_ORDER = 0.9
"""Least share of equal names for two lists to be the same classes; different lists of ImageNet differ in some names."""


def match_classes(images: AnnotatedImages, class_names: Sequence[str]) -> AnnotatedImages:
    """Replace the labels of a data set by class indices of a network.

    Indices that the data set gives are kept, unless it has another number of classes. Otherwise classes are matched by
    name. Case does not matter, and spaces, underscores and hyphens are equivalent. If a class has several names,
    separated by commas or in brackets, one match is enough. A leading number is ignored, as in
    ``001.Black_footed_Albatross``.

    Args:
        images: Images with the data set's labels.
        class_names: The network's class names in the order of their indices.

    Returns:
        The images with the network's ``class_names``. Images whose class matches no class of the network, or several,
        have no label; ``unmatched`` lists the names of these classes.

    Raises:
        InputError: There are no class names, or an index is out of range.
        MissingExtraError: The classes are WordNet ids such as n01440764, and the package timm, which is needed to read
            them, is not installed.
    """
    names = tuple(class_names)
    if not names:
        raise InputError("there are no class names to match; give the names of the network's classes")
    if _keeps_labels(images, names):
        return replace(images, class_names=names, unmatched=())
    named = [(image, _name(image, images.class_names)) for image in images]
    wanted = {name for _, name in named if name is not None}
    found = _imagenet_index(wanted, len(names)) if are_wnids(wanted) else _found(wanted, names)
    matched = tuple(replace(image, label=found.get(name or ""), class_name=name) for image, name in named)
    unmatched = tuple(sorted(wanted - found.keys()))
    return replace(images, images=matched, class_names=names, indices_given=False, unmatched=unmatched)


def _keeps_labels(images: AnnotatedImages, names: tuple[str, ...]) -> bool:
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
    """The whole name and each of its synonyms, all in normalised form."""
    name = re.sub(r"^\d+\.", "", name)
    yield plain_name(name)
    for each in re.split(r"[,;()]", name):
        if plain := plain_name(each):
            yield plain


def are_wnids(names: Collection[str]) -> bool:
    """Whether all names are WordNet ids, as in the names of ImageNet's folders; False if there are none."""
    return bool(names) and all(re.fullmatch(r"n\d{8}", name) for name in names)


def _imagenet_index(wnids: Collection[str], classes: int) -> dict[str, int]:
    """Indices of WordNet ids in the standard order; empty if the network does not have ImageNet's 1000 classes.

    Raises:
        MissingExtraError: The package timm, which knows the order, is not installed.
    """
    if classes != IMAGENET_CLASSES:
        return {}
    order = require("timm.data", extra="models").ImageNetInfo("imagenet-1k").label_names()
    return {wnid: index for index, wnid in enumerate(order) if wnid in wnids}
