"""Whether faster passes give the same maps: rank correlation with the map of plain passes, photograph by photograph.

    python -m benchmarks.agreement FOLDER [--model bundled] [--count 6] [--half tuning] [--batch-size 8]

Plain passes run the network as it is, in fp32. Two plain maps are included for comparison: one of the
photographs changed by a millionth, which is the size of rounding errors, and one with another seed of the noise.
Prints the mean and the lowest Spearman correlation over the photographs, and how far the gradient with respect to the
photographs is from the gradient in double precision (mean distance, as a share of the gradient's length). FOLDER holds
``annotations.csv`` and ``images/``.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.photographs import photographs
from maskstack import MDM
from maskstack.allocator import keep_large_blocks
from maskstack.metrics import rank_correlation
from maskstack.models import LoadedModel, load_model
from maskstack.scoring.prepared import PreparedModel
from maskstack.scoring.untouched import untouched
from maskstack.speed import Speed, way_for

WAYS: Mapping[str, Mapping[str, Any]] = {
    "auto": {"speed": "auto"},
    "half": {"speed": "half"},
    "plain, changed by a millionth": {},
    "plain, another seed": {"seed": 1},
}


def gradient(net: LoadedModel, images: Tensor, targets: list[int], speed: Speed) -> Tensor:
    """Gradient of each target's probability with respect to half-masked images, flattened, B x (C H W)."""
    with untouched(net.model):
        network = PreparedModel(net.model, dtype=images.dtype, way=way_for(speed, "cpu"))
        with torch.no_grad():
            network.first(images[:1])
        leaf = (images / 2).requires_grad_(True)
        network(images[:1])
        score = network(leaf).to(images.dtype).softmax(dim=1)[range(len(targets)), targets]
        return torch.autograd.grad(score.sum(), leaf)[0].flatten(1)


def main() -> None:
    """Compare the maps of all variants, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--count", type=int, default=6)
    parser.add_argument("--half", choices=("tuning", "reporting"), default="tuning")
    parser.add_argument("--batch-size", type=int, default=8)
    arguments = parser.parse_args()
    keep_large_blocks()
    net = load_model(arguments.model)
    chosen = photographs(arguments.folder, net, half=arguments.half, count=arguments.count)
    images, targets = torch.stack([photo.image for photo in chosen]), [photo.target for photo in chosen]

    def maps(images: Tensor, changes: Mapping[str, Any]) -> Tensor:
        mdm = MDM(net, batch_size=arguments.batch_size, **{"speed": "plain", **changes})
        return mdm(images, targets).saliency[:, 0]

    plain = maps(images, {})
    net.model.double()
    exact = gradient(net, images.double(), targets, "plain")
    net.model.float()
    print(f"{arguments.model}, {len(chosen)} photographs, {arguments.half} half")
    print("| way | mean | least | gradient off by |")
    print("|---|---|---|---|")
    for name, changes in WAYS.items():
        found = [
            rank_correlation(*pair)
            for pair in zip(maps(images if changes else images * (1 + 1e-6), changes), plain, strict=True)
        ]
        off = (gradient(net, images, targets, changes.get("speed", "plain")) - exact).norm(dim=1) / exact.norm(dim=1)
        mean = sum(found) / len(found)
        print(f"| {name} | {mean:.3f} | {min(found):.3f} | {float(off.mean()):.0e} |", flush=True)


if __name__ == "__main__":
    main()
