"""How often hiding a contrast's region makes the second class the first: the table of ``docs/method.md``.

    python -m benchmarks.contrast FOLDER [--model SPEC] [--images 50] [--half reporting]

FOLDER holds annotated images, as for ``maskstack bench``; used are those on which the second class has a probability of
at least 5%, whatever their label. The map of ``MDM.contrast`` is compared with Grad-CAM's map of the first class minus
that of the second. Both are cut in the same way. Intervals are Clopper-Pearson's of 95%.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import torch
from scipy.stats import binomtest
from torch import Tensor

from maskstack import MDM, LoadedModel, load_model, objectives
from maskstack.allocator import keep_large_blocks
from maskstack.datasets import load_images
from maskstack.explainers.table import make_explainer
from maskstack.reliability.evidence import Contrast
from maskstack.scoring import class_probabilities, scoring
from maskstack.scoring.contrast import contrast_of

LEAST = 0.05
"""Least probability of the second class."""


def ambiguous(folder: Path, net: LoadedModel, half: str) -> Iterator[tuple[Tensor, int, int]]:
    """Images, 1 x C x H x W, with their first and second class."""
    for annotated in load_images(folder, class_names=net.class_names).half(half):
        image = net.preprocess(annotated.open()).unsqueeze(0)
        best = class_probabilities(net, image)[0].topk(2)
        if best.values[1] >= LEAST:
            yield image, int(best.indices[0]), int(best.indices[1])


def by_gradcam(net: LoadedModel, image: Tensor, own: int, other: int) -> Contrast:
    """The contrast that is cut from the difference of Grad-CAM's maps."""
    gradcam = make_explainer("gradcam", net)
    difference = gradcam(image, own).saliency[:, 0] - gradcam(image, other).saliency[:, 0]
    with scoring(net, image, objectives.contrast(own, other)) as scored:
        return contrast_of(scored, difference, torch.tensor([own]), torch.tensor([other]))


def line(name: str, found: list[Contrast]) -> str:
    """A line of the table."""
    turned = [bool(each.turned[0]) for each in found]
    away = [bool(each.first[0] != each.target[0]) for each in found]
    areas = torch.tensor([float(each.hiding[0].float().mean()) for each in found])[torch.tensor(turned)]
    span = binomtest(sum(turned), len(turned)).proportion_ci(method="exact")
    median = f"{float(areas.median()):.0%}" if len(areas) else "–"
    share = f"{sum(turned) / len(turned):.0%} | {span.low:.0%} to {span.high:.0%}"
    return f"| {name} | {len(found)} | {share} | {sum(away) / len(away):.0%} | {median} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--half", choices=("tuning", "reporting"), default="reporting")
    parser.add_argument("--images", type=int, default=50)
    arguments = parser.parse_args()
    keep_large_blocks()
    net = load_model(arguments.model)
    mdm, ours, theirs = MDM(net), list[Contrast](), list[Contrast]()
    for number, (image, own, other) in enumerate(ambiguous(arguments.folder, net, arguments.half), start=1):
        found = mdm.contrast(image, own, other).contrast
        assert found is not None
        ours.append(found)
        theirs.append(by_gradcam(net, image, own, other))
        print(f"{number} of {arguments.images}", flush=True)
        if number == arguments.images:
            break
    print("| map | n | second class is first | 95% interval | another class than the first is | median area |")
    print("|---" * 6 + "|")
    print(line("MDM's contrast", ours))
    print(line("Grad-CAM's difference", theirs))


if __name__ == "__main__":
    main()
