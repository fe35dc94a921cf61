"""Accuracy of networks on annotated images, to state with each network of a gallery.

Usage: python -m benchmarks.accuracy --data FOLDER [--split test] [--common-names] --model NAME=SPEC [--model ...]

Classes are matched by name or index, as in ``maskstack bench``; images of classes that a network does not have are left
out. With ``--common-names``, a network's class such as ``Anas platyrhynchos (Mallard)`` is matched by the name in
brackets. Prints the accuracy with its 95% Wilson interval and the number of images.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import torch
from scipy.stats import binomtest

from maskstack.allocator import keep_large_blocks
from maskstack.datasets import load_images
from maskstack.models import load_model, named_spec
from maskstack.scoring.predict import class_probabilities

BATCH = 16


def common(name: str) -> str:
    """The common name in brackets at the end of a name; the whole name if there are no brackets.

    >>> common("Anas platyrhynchos (Mallard)"), common("tripod")
    ('Mallard', 'tripod')
    """
    found = re.fullmatch(r".*\((.+)\)", name.strip())
    return found.group(1) if found else name


def main() -> None:
    """Measure the accuracy of each network, and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split")
    parser.add_argument("--common-names", action="store_true")
    parser.add_argument("--model", action="append", required=True)
    given = parser.parse_args()
    keep_large_blocks()
    for text in given.model:
        name, spec = named_spec(text)
        net = load_model(spec)
        names = [common(each) for each in net.class_names] if given.common_names else net.class_names
        images = [
            image for image in load_images(given.data, split=given.split, class_names=names) if image.label is not None
        ]
        right = 0
        for first in range(0, len(images), BATCH):
            some = images[first : first + BATCH]
            batch = torch.stack([net.preprocess(image.open()) for image in some])
            best = class_probabilities(net, batch).argmax(dim=1).tolist()
            right += sum(index == image.label for index, image in zip(best, some, strict=True))
        low, high = binomtest(right, len(images)).proportion_ci(method="wilson")
        classes = len({image.label for image in images})
        print(
            f"{name}: {right / len(images):.1%} ({low:.1%} to {high:.1%}) of {len(images)} images of {classes} classes",
            flush=True,
        )


if __name__ == "__main__":
    main()
