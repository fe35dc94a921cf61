"""The table of ``docs/trust.md``: the trust measures of maps that deserve trust, and of maps that do not.

    python -m benchmarks.trust FOLDER [--images 12] [--half tuning]

The photographs are those that the bundled network classifies correctly, from a folder with ``annotations.csv`` and
``images/``. Each cell is the median over the photographs and, in brackets, the lowest and the highest value; ``low``
counts the maps whose trust is low.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.photographs import photographs
from maskstack import MDM, LoadedModel, load_model
from maskstack.explainers.table import make_explainer
from maskstack.metrics import cascade
from maskstack.scoring import scoring
from maskstack.trust.measure import measure
from maskstack.trust.verdict import Trust

MEASURES = ("kept", "removed", "fill", "sizes", "seeds", "randomization")


def row(name: str, found: Trust) -> str:
    """A line of the table."""
    cells = [_cell(found.tensors()[measure].flatten()) for measure in MEASURES]
    low = sum(bool(found.doubts(image)) for image in range(len(found)))
    return f"| {name} | {' | '.join(cells)} | {low} of {len(found)} |"


def _cell(values: Tensor) -> str:
    known = values[values.isfinite()]
    if not len(known):
        return "–"
    missing = f", {len(values) - len(known)} none" if len(known) < len(values) else ""
    return f"{known.quantile(0.5):.2f} ({known.min():.2f} to {known.max():.2f}{missing})"


def measured(net: LoadedModel, images: Tensor, targets: list[int], maps: Tensor) -> Trust:
    """Trust of any method's maps, B x 1 x H x W."""
    with scoring(net, images, targets) as scored:
        return measure(scored.scores, scored.images, maps[:, 0], scored.scores(scored.images))


def rows(folder: Path, *, half: str, count: int) -> Iterable[str]:
    """All lines; each is yielded as soon as it is measured."""
    net = load_model("bundled")
    shots = photographs(folder, net, half=half, count=count)
    images, targets = torch.stack([shot.image for shot in shots]), [shot.target for shot in shots]
    mdm = MDM(net)
    found = mdm(images, targets)
    checked = mdm.check(images, found, seeds=2, randomize=True)
    assert checked.trust is not None
    yield row("MDM", checked.trust)
    yield row("Grad-CAM", measured(net, images, targets, make_explainer("gradcam", net)(images, targets).saliency))
    yield row("a random map", measured(net, images, targets, make_explainer("random", net)(images, targets).saliency))
    yield row("MDM's map of another photograph", measured(net, images, targets, found.saliency.roll(1, 0)))
    for name, layers in (("last layer", 1), ("all layers", None)):
        with cascade(net.model) as depths:
            for number, _ in enumerate(depths, start=1):
                if number == layers:
                    break
            other = mdm(images).trust
        assert other is not None
        yield row(f"MDM on the network made random, {name}", other)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--half", choices=("tuning", "reporting"), default="tuning")
    parser.add_argument("--images", type=int, default=12)
    arguments = parser.parse_args()
    print(f"| map | {' | '.join(MEASURES)} | low |")
    print("|---" * (len(MEASURES) + 2) + "|", flush=True)
    for line in rows(arguments.folder, half=arguments.half, count=arguments.images):
        print(line, flush=True)


if __name__ == "__main__":
    main()
