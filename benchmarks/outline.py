"""What the outlined part of a map keeps alone, and how large a cut of it has to be to suffice: ``docs/pictures.md``.

    python -m benchmarks.outline FOLDER [--model SPEC] [--images 40] [--half reporting]

FOLDER holds annotated images, as for ``maskstack bench``; each one's predicted class is explained. Everything but the
outlined part, or a cut of the map, is replaced once by each of the two fills that no search uses; the lower share of
the score counts. Printed are medians with their quartiles.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor

from maskstack import MDM, load_model
from maskstack.allocator import keep_large_blocks
from maskstack.datasets import load_images
from maskstack.explainers.table import make_explainer
from maskstack.explanation.view import REGION_VALUE
from maskstack.models import LoadedModel
from maskstack.reliability.cuts import AREAS, cuts, scores_over_fills, shares
from maskstack.scoring import scoring

SUFFICES = 0.5
"""Share of the score that a region has to keep."""

LARGER = 1.0
"""Area that is counted where no cut suffices: it would have to be larger than the largest of them."""


def kept(net: LoadedModel, image: Tensor, target: int, shown: Tensor) -> Tensor:
    """Share of the score that each region keeps alone: N, of N x H x W booleans."""
    with scoring(net, image, target) as scored:
        nothing = torch.zeros_like(shown[:1])
        each = scores_over_fills(scored.scores, image[0], torch.cat([nothing, shown]), 0)
        return shares(each[1:], scored.scores(image)[0], each[0]).amin(dim=1)


def spread(values: list[float]) -> str:
    """Median and quartiles."""
    low, middle, high = torch.tensor(values).quantile(torch.tensor([0.25, 0.5, 0.75])).tolist()
    return f"{middle:.0%} ({low:.0%} to {high:.0%})"


def main() -> None:
    """Measure MDM's maps and Grad-CAM's, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--preset", default="default")
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--half", choices=("tuning", "reporting"), default="reporting")
    arguments = parser.parse_args()
    keep_large_blocks()
    net = load_model(arguments.model)
    explainers = {"MDM": MDM(net, preset=arguments.preset), "Grad-CAM": make_explainer("gradcam", net)}
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in explainers}
    for annotated in list(load_images(arguments.folder, class_names=net.class_names).half(arguments.half))[
        : arguments.images
    ]:
        image = net.preprocess(annotated.open()).unsqueeze(0)
        for name, explainer in explainers.items():
            explanation = explainer(image)
            assert explanation.target is not None  # a class is explained
            saliency = explanation.saliency[0, 0]
            outlined = saliency >= REGION_VALUE
            alone, *rest = kept(net, image, explanation.target[0], torch.cat([outlined[None], cuts(saliency)])).tolist()
            enough = next((area for area, share in zip(AREAS, rest, strict=True) if share >= SUFFICES), LARGER)
            found[name].append((float(outlined.float().mean()), alone, enough))
    print("| map | n | outlined | alone it keeps | it suffices | smallest cut that suffices | no cut does |")
    print("|---|---|---|---|---|---|---|")
    for name, rows in found.items():
        areas, keeps, cut = ([row[column] for row in rows] for column in range(3))
        suffices, none = sum(share >= SUFFICES for share in keeps), sum(area == LARGER for area in cut)
        print(f"| {name} | {len(rows)} | {spread(areas)} | {spread(keeps)} | {suffices} | {spread(cut)} | {none} |")


if __name__ == "__main__":
    main()
