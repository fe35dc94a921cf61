"""Draws the failures of docs/reading.md, and prints the verdict on each.

Usage: python docs/make_reading_figures.py FOLDER [--threads 1]

Each picture is a strip: what the network saw, the map over it, the photo under the map.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import skimage.data
import torch
from PIL import Image

from maskstack import MDM, Explanation, load_model
from maskstack.allocator import keep_large_blocks
from maskstack.draw import as_rgb
from maskstack.files import write_whole
from maskstack.metrics import cascade


def strip(picture: Image.Image, found: Explanation) -> Image.Image:
    """What the network saw, the map over it, the photo under the map."""
    masked = (as_rgb(picture) * found.stack[0, 0].numpy()[..., None] * 255).round().astype(np.uint8)
    parts = [picture, found.overlay(picture, badge=False), Image.fromarray(masked)]
    drawn = Image.new("RGB", (3 * picture.width + 16, picture.height), "white")
    for index, part in enumerate(parts):
        drawn.paste(part, (index * (picture.width + 8), 0))
    return drawn


def main() -> None:
    """Draw and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--threads", type=int, default=1, help="Number of threads; rounding depends on it, and some maps do."
    )
    arguments = parser.parse_args()
    folder = arguments.folder
    torch.set_num_threads(arguments.threads)
    keep_large_blocks()
    net = load_model("bundled")
    mdm = MDM(net)
    photos = {name: Image.fromarray(getattr(skimage.data, name)()) for name in ("chelsea", "coins", "astronaut")}
    horse = Image.fromarray(skimage.data.horse().astype(np.uint8) * 255)

    def tell(name: str, photo: Image.Image, found: Explanation) -> None:
        images = net.preprocess(photo)
        drawn = strip(net.picture(images), found)
        path = write_whole(folder / f"reading-{name}.webp", lambda file: drawn.save(file, quality=85))
        verdict, numbers = found.trust.verdict(0), found.trust.numbers(0)
        target = found.target_name[0] if found.target_name else ""
        print(f"{path.name}: {target} {float(found.score_before[0]):.1%}: {verdict.word}: {verdict.sentence}")
        print(*(f"  reason: {reason}\n" for reason in verdict.reasons), sep="", end="")
        print(f"  {numbers}", flush=True)

    def explained(photo: Image.Image, target: int | None = None) -> Explanation:
        return mdm(net.preprocess(photo).unsqueeze(0), target)

    tell("wrong", photos["astronaut"], explained(photos["astronaut"]))
    tell("everywhere", photos["coins"], explained(photos["coins"]))
    tell("not-alone", horse, explained(horse))
    tell("absent", photos["chelsea"], explained(photos["chelsea"], 967))  # espresso

    cat = net.preprocess(photos["chelsea"]).unsqueeze(0)
    found = mdm(cat, 282)
    tell("seed", photos["chelsea"], mdm.check(cat, found, seeds=2, randomize=True))
    tell("other-seed", photos["chelsea"], MDM(net, seed=1)(cat, 282))
    with cascade(net.model) as layers:
        list(layers)
        torch.manual_seed(0)
        tell("random", photos["chelsea"], MDM(net)(cat, 282))


if __name__ == "__main__":
    main()
