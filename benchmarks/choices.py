"""The table of ``docs/choices.md``: what each setting of the mask search does to the quality of the map.

    python -m benchmarks.choices FOLDER [--half tuning] [--images 24] [--only NAME ...] [--out table.md]

FOLDER holds annotated photographs (``annotations.csv`` and ``images/``, see ``benchmarks/photographs.py``). Each
finished variant is stored next to the table as JSON, so an interrupted run can be resumed.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.photographs import Photograph, photographs
from benchmarks.variants import VARIANTS
from maskstack.allocator import keep_large_blocks
from maskstack.files import write_whole
from maskstack.masks.fills import make_fill
from maskstack.metrics import average_drop, average_increase, deletion, energy_in_box, gini, insertion, pointing_game
from maskstack.models import LoadedModel, load_model
from maskstack.tensors import gaussian_blur

COLUMNS = {
    "insertion": "insertion AUC onto a blur of sigma 10 px, up is better",
    "deletion": "deletion AUC to zero, down is better",
    "deletion_mean": "deletion AUC to the image's mean colour, a fill no variant trains with",
    "average_drop": "average drop of the probability under the map (share), down is better",
    "average_increase": "share of images whose probability rises under the map",
    "energy": "share of the map inside the boxes, up is better",
    "pointing": "share of images whose highest pixel is inside the boxes",
    "gini": "Gini index of the map, up is sparser",
    "hard": "probability kept when the map is cut to its most salient 20% of pixels over the blur (share)",
    "unseen": "probability kept under the stack over a fill of uniform noise, which no variant trains with (share)",
    "passes": "forward and backward passes an image",
}

Method = Callable[[LoadedModel, Photograph], tuple[Tensor, Tensor, int]]


def measure(net: LoadedModel, photo: Photograph, saliency: Tensor, stack: Tensor, passes: int) -> dict[str, float]:
    """The values of one map for all columns."""
    image = photo.image

    def score(batch: Tensor) -> Tensor:
        with torch.no_grad():
            output = net.model(batch.contiguous(memory_format=torch.channels_last))
        return output.softmax(dim=1)[:, photo.target]  # type: ignore[no-any-return]

    generator = torch.Generator().manual_seed(7)
    blurred = gaussian_blur(image.unsqueeze(0), 10)[0]
    mean = make_fill("mean", image.unsqueeze(0), generator=generator)[0]
    uniform = torch.rand(image.shape, generator=generator) * 2 - 1
    top = saliency >= saliency.flatten().quantile(0.8)
    images = [image, saliency * image, torch.where(top, image, blurred), torch.lerp(uniform, image, stack)]
    before, masked, hard, unseen = score(torch.stack(images)).unbind()
    values = {
        "insertion": insertion(score, image, saliency, blurred),
        "deletion": deletion(score, image, saliency, torch.zeros_like(image)),
        "deletion_mean": deletion(score, image, saliency, mean),
        "average_drop": average_drop(before, masked),
        "average_increase": average_increase(before, masked),
        "energy": energy_in_box(saliency, photo.inside),
        "pointing": pointing_game(saliency, photo.inside),
        "gini": gini(saliency),
        "hard": (hard / before).clamp(max=1),
        "unseen": (unseen / before).clamp(max=1),
    }
    return {name: float(value) for name, value in values.items()} | {"passes": float(passes)}


def run(
    name: str, method: Method, net: LoadedModel, photos: Sequence[Photograph], kept: Path
) -> list[dict[str, float]]:
    """Measure one variant on all photographs, or read the results of an earlier run."""
    if kept.is_file():
        found = json.loads(kept.read_text())
        if found["files"] == [photo.file for photo in photos]:
            return found["rows"]  # type: ignore[no-any-return]
    started, rows = time.perf_counter(), []
    for photo in photos:
        rows.append(measure(net, photo, *method(net, photo)))
    document = {"variant": name, "files": [photo.file for photo in photos], "rows": rows}
    write_whole(kept, lambda file: file.write_text(json.dumps(document)))
    print(f"{name}: {time.perf_counter() - started:.0f} s", flush=True)
    return rows


def interval(values: NDArray[np.float64], *, draws: int = 2000) -> tuple[float, float]:
    """Bootstrap 95% interval of the mean over images."""
    picks = np.random.default_rng(0).integers(0, len(values), (draws, len(values)))
    low, high = np.percentile(values[picks].mean(axis=1), [2.5, 97.5])
    return float(low), float(high)


def table(results: Mapping[str, list[dict[str, float]]]) -> str:
    """The table as Markdown: means, and for columns of quality half the width of the 95% interval."""
    lines = ["| variant | " + " | ".join(COLUMNS) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    for name, rows in results.items():
        cells = []
        for column in COLUMNS:
            values = np.array([row[column] for row in rows])
            if column == "passes":
                cells.append(f"{values.mean():.0f}")
            else:
                low, high = interval(values)
                cells.append(f"{values.mean():.3f} ±{(high - low) / 2:.3f}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the variants and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--half", choices=("tuning", "reporting"), default="tuning")
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--only", nargs="*", default=list(VARIANTS))
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--out", type=Path, default=Path("out/choices/table.md"))
    arguments = parser.parse_args()
    keep_large_blocks()
    net = load_model(arguments.model)
    photos = photographs(arguments.folder, net, half=arguments.half, count=arguments.images)
    print(f"{len(photos)} photographs of the {arguments.half} half, {len(arguments.only)} variants", flush=True)
    results = {}
    for name in arguments.only:
        kept = arguments.out.parent / f"{arguments.half}-{name.replace(' ', '_').replace('/', '-')}.json"
        results[name] = run(name, VARIANTS[name], net, photos, kept)
        write_whole(arguments.out, lambda file: file.write_text(table(results)))
    print(table(results))
    print("\n".join(f"- {column}: {meaning}" for column, meaning in COLUMNS.items()))


if __name__ == "__main__":
    main()
