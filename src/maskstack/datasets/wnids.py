"""ImageNet's classes by their WordNet ids, as its folders are called."""

from __future__ import annotations

import re
from collections.abc import Collection

from maskstack.errors import require

_IMAGENET_CLASSES = 1000


def are_wnids(names: Collection[str]) -> bool:
    """Whether all are WordNet ids.

    >>> are_wnids(["n01440764"]), are_wnids([])
    (True, False)
    """
    return bool(names) and all(re.fullmatch(r"n\d{8}", name) for name in names)


def imagenet_index(wnids: Collection[str], classes: int) -> dict[str, int]:
    """Their indices in the standard order; nothing for a network that has not ImageNet's 1000 classes.

    Raises:
        MissingExtraError: The package timm is not installed, which knows the order.
    """
    if classes != _IMAGENET_CLASSES:
        return {}
    order = require("timm.data", extra="models").ImageNetInfo("imagenet-1k").label_names()
    return {wnid: index for index, wnid in enumerate(order) if wnid in wnids}
