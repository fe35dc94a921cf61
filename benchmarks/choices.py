"""The tables of ``docs/choices.md``: how faithful, readable and steady the maps of several settings are.

    python -m benchmarks.choices FOLDER --model SPEC [--half tuning] [--images 32] [--steady 8] [--only NAME ...]
        [--judge SPEC ...] [--out out/choices]

FOLDER holds annotated photographs (``annotations.csv`` and ``images/``, see ``benchmarks/photographs.py``). ``--judge``
names networks that were not searched, on which insertion and deletion of the same maps are measured too. Each
photograph's figures of each variant are kept in ``--out`` as they are found, so an interrupted run goes on where it
stopped. Prints the tables, and the first variant's paired differences from the others. The figures behind ± are half
the width of a 95% bootstrap interval over photographs.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy.stats import wilcoxon
from torch import Tensor

from benchmarks.photographs import Photograph, photographs
from benchmarks.variants import VARIANTS, explainer
from maskstack.allocator import keep_large_blocks
from maskstack.files import write_whole
from maskstack.metrics import (
    at_chosen_threshold,
    average_drop,
    average_increase,
    box_ious,
    deletion,
    energy_in_box,
    gini,
    insertion,
    pieces,
    rank_correlation,
    roughness,
)  # fmt: skip
from maskstack.models import LoadedModel, load_model
from maskstack.tensors import gaussian_blur

COLUMNS: Mapping[str, str] = {
    "insertion": "insertion AUC onto a blur of sigma 10 px",
    "deletion": "deletion AUC to zero",
    "deletion_mean": "deletion AUC to the image's mean colour",
    "average_drop": "average drop of the probability under the map, as a share",
    "average_increase": "share of photographs whose probability rises under the map",
    "kept": "share of photographs that keep at least half of their probability under the map",
    "energy": "share of the map inside the boxes",
    "pieces": "connected components above half the maximum (median)",
    "largest": "share of the largest of them (median)",
    "roughness": "mean difference of neighbouring pixels over the mean",
    "gini": "Gini index of the map",
    "seed": "rank correlation with the map of another seed",
    "millionth": "the same, of the image times 1.000001",
    "noise": "the same, of the image with noise of 0.02",
    "company": "the same, alone against in a batch",
    "company_top": "overlap (IoU) of the brightest tenth, alone against in a batch (lowest)",
    "speed": "rank correlation of the speeds auto and plain",
    "threads": "rank correlation of one thread and two",
    "passes": "forward and backward passes of an image",
}
PAIRED = (
    "insertion", "deletion", "deletion_mean", "average_drop", "average_increase", "energy", "boxes", "pieces",
    "roughness",
)  # fmt: skip
MEDIANS, LOWEST = ("pieces", "largest"), ("company_top",)
Score = Callable[[Tensor], Tensor]


def score_of(net: LoadedModel, target: int) -> Score:
    """The probability of a class, as a function of images."""

    @torch.no_grad()
    def score(images: Tensor) -> Tensor:
        output = net.model(images.contiguous(memory_format=torch.channels_last))
        return output.softmax(dim=1)[:, target]  # type: ignore[no-any-return]

    return score


def quality(score: Score, photo: Photograph, saliency: Tensor) -> dict[str, Any]:
    """What one map is worth to the network that was searched, and to a reader."""
    image = photo.image
    mean = image.mean(dim=(1, 2), keepdim=True).expand_as(image)
    before, masked = score(torch.stack([image, saliency * image])).unbind()
    count, largest = pieces(saliency)
    blurred = gaussian_blur(saliency[None, None], 0.05 * min(saliency.shape))[0, 0]
    return {
        "insertion": float(insertion(score, image, saliency, gaussian_blur(image[None], 10)[0], steps=14)),
        "deletion": float(deletion(score, image, saliency, torch.zeros_like(image), steps=14)),
        "deletion_mean": float(deletion(score, image, saliency, mean, steps=14)),
        "average_drop": float(average_drop(before, masked)),
        "average_increase": float(average_increase(before, masked)),
        "kept": float(masked >= before / 2),
        "energy": float(energy_in_box(saliency, photo.inside)),
        "pieces": count,
        "largest": largest,
        "roughness": float(roughness(saliency)),
        "gini": float(gini(saliency)),
        "ious": box_ious(saliency, photo.boxes).tolist(),
        "ious_blurred": box_ious(blurred, photo.boxes).tolist(),
    }


def transfer(judge: LoadedModel, net: LoadedModel, photo: Photograph, saliency: Tensor) -> float | None:
    """Insertion less deletion on another network; None where that network is not sure of the class."""
    mean, std = (torch.tensor(values)[:, None, None] for values in (net.mean, net.std))
    own_mean, own_std = (torch.tensor(values)[:, None, None] for values in (judge.mean, judge.std))
    image = (photo.image * std + mean - own_mean) / own_std
    score = score_of(judge, photo.target)
    if float(score(image[None])) <= 0.3:
        return None
    gained = insertion(score, image, saliency, gaussian_blur(image[None], 10)[0], steps=10)
    return float(gained - deletion(score, image, saliency, torch.zeros_like(image), steps=10))


def steadiness(
    net: LoadedModel, name: str, photos: Sequence[Photograph], alone: Sequence[Tensor]
) -> Iterator[dict[str, float]]:
    """How far each photograph's map depends on what should not matter, given its map alone."""
    images, targets = torch.stack([photo.image for photo in photos]), [photo.target for photo in photos]
    together = explainer(name, net)(images, targets).saliency[:, 0]
    for row, (image, target, own) in enumerate(zip(images, targets, alone, strict=True)):
        noise = 0.02 * torch.randn(image.shape, generator=torch.Generator().manual_seed(row))

        def likeness(image: Tensor, **changes: Any) -> float:
            return rank_correlation(explainer(name, net, **changes)(image[None], target).saliency[0, 0], own)  # noqa: B023

        found = {
            "seed": likeness(image, seed=1),
            "millionth": likeness(image * (1 + 1e-6)),
            "noise": likeness(image + noise),
            "company": rank_correlation(together[row], own),
            "speed": likeness(image, speed="plain"),
        }
        tops = [values >= values.flatten().quantile(0.9) for values in (together[row], own)]
        found["company_top"] = float((tops[0] & tops[1]).sum() / (tops[0] | tops[1]).sum())
        threads = torch.get_num_threads()
        torch.set_num_threads(2 if threads == 1 else 1)
        found["threads"] = likeness(image)
        torch.set_num_threads(threads)
        yield found


def interval(values: Sequence[float]) -> str:
    """Mean and half the width of its bootstrap 95% interval."""
    array = np.asarray(values, dtype=np.float64)
    picks = np.random.default_rng(0).integers(0, len(array), (2000, len(array)))
    low, high = np.percentile(array[picks].mean(axis=1), [2.5, 97.5])
    return f"{array.mean():.3f} ±{(high - low) / 2:.3f}"


def table(results: Mapping[str, list[dict[str, Any]]], columns: Sequence[str]) -> str:
    """The figures of all variants as Markdown."""
    lines = ["| variant | n | " + " | ".join(columns) + " |", "|---" * (len(columns) + 2) + "|"]
    for name, rows in results.items():
        cells = []
        for column in columns:
            values = [row[column] for row in rows if row.get(column) is not None]
            if column in ("box", "box blurred"):
                ious = torch.tensor([row["ious" if column == "box" else "ious_blurred"] for row in rows])
                best = max(
                    float(np.mean([_accuracy(ious, at, level) for level in (0.3, 0.5, 0.7)]))
                    for at in range(ious.shape[1])
                )
                cells.append(f"{best:.3f}")
            elif not values:
                cells.append("")
            elif column in MEDIANS:
                cells.append(f"{np.median(values):.2f}")
            else:
                cells.append(f"{min(values):.3f}" if column in LOWEST else interval(values))
        lines.append(f"| {name} | {len(rows)} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _accuracy(ious: Tensor, at: int, level: float) -> float:
    return float((ious[:, at] >= level).double().mean())


def measure(
    name: str, net: LoadedModel, judges: Mapping[str, LoadedModel], photo: Photograph, folder: Path
) -> tuple[dict[str, Any], Tensor]:
    """The figures and the map of one variant on one photograph; those of an earlier run are read."""
    kept, drawn = folder / f"{photo.file}.json", folder / f"{photo.file}.pt"
    if not (kept.is_file() and drawn.is_file()):
        found = explainer(name, net)(photo.image[None], photo.target)
        saliency = found.saliency[0, 0]
        row = quality(score_of(net, photo.target), photo, saliency)
        row["passes"] = int(found.forward_passes[0] + found.backward_passes[0])
        for other, judge in judges.items():
            row[f"on {other}"] = transfer(judge, net, photo, saliency)
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(drawn, lambda file: torch.save(saliency, file))
        write_whole(kept, lambda file: file.write_text(json.dumps(row)))
    return json.loads(kept.read_text()), torch.load(drawn, weights_only=True)


def add_steadiness(
    rows: list[dict[str, Any]],
    name: str,
    net: LoadedModel,
    photos: Sequence[Photograph],
    maps: Sequence[Tensor],
    kept: Path,
) -> None:
    """Add how steady the maps of these photographs are to their figures."""
    if not kept.is_file():
        found = list(steadiness(net, name, photos, maps))
        write_whole(kept, lambda file: file.write_text(json.dumps(found)))
    for row, values in zip(rows, json.loads(kept.read_text()), strict=False):
        row.update(values)


def paired(results: Mapping[str, list[dict[str, Any]]], reference: str) -> str:
    """How far each variant is above another one on the same photographs, with the p of Wilcoxon's signed-rank test."""
    lines = [f"| {reference} less | measure | n | difference | 95% interval | p |", "|---" * 6 + "|"]
    boxes = {name: _boxes([row["ious"] for row in rows]) for name, rows in results.items()}
    results = {
        name: [{**row, "boxes": box} for row, box in zip(rows, boxes[name], strict=True)]
        for name, rows in results.items()
    }
    for name, rows in results.items():
        for column in () if name == reference else PAIRED:
            pairs = [
                (own[column], other[column])
                for own, other in zip(results[reference], rows, strict=True)
                if own.get(column) is not None and other.get(column) is not None
            ]
            less = np.array([own - other for own, other in pairs])
            if not less.any():
                continue
            picks = np.random.default_rng(0).integers(0, len(less), (2000, len(less)))
            low, high = np.percentile(less[picks].mean(axis=1), [2.5, 97.5])
            p = wilcoxon(less).pvalue
            lines.append(
                f"| {name} | {column} | {len(less)} | {less.mean():+.3f} | {low:+.3f} to {high:+.3f} | {p:.3f} |"
            )
    return "\n".join(lines) + "\n"


def _boxes(ious: list[list[float]]) -> list[float]:
    """Mean success of each box at IoU .3, .5 and .7, at the threshold that is best on the other half of the images."""
    table = torch.tensor(ious, dtype=torch.float64)
    success = torch.stack([(table >= level).double() for level in (0.3, 0.5, 0.7)]).mean(dim=0)
    found: list[float] = at_chosen_threshold(success).tolist()
    return found


def plot(results: Mapping[str, list[dict[str, Any]]], path: Path) -> None:
    """Draw how faithful each variant's maps are against how rough and how broken up they are."""
    figure, panels = plt.subplots(1, 2, figsize=(11, 4), sharey=True, layout="constrained")
    markers = {column: cycle("os^vD*PX") for column in ("roughness", "pieces")}
    for axes, column in zip(panels, markers, strict=True):
        for name, rows in results.items():
            values = [row[column] for row in rows]
            across = np.median(values) if column in MEDIANS else np.mean(values)
            up = np.mean([row["insertion"] - row["deletion"] for row in rows])
            axes.plot(across, up, next(markers[column]), label=name, markersize=8)
        axes.set_xlabel(COLUMNS[column])
    panels[0].set_ylabel("insertion less deletion")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right center")
    write_whole(path, lambda file: figure.savefig(file, format="png", dpi=100))
    plt.close(figure)


def main() -> None:
    """Measure the variants, photograph by photograph, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--judge", action="append", default=[], help="NAME=SPEC of a network that was not searched")
    parser.add_argument("--half", choices=("tuning", "reporting"), default="tuning")
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--steady", type=int, default=0, help="photographs whose steadiness is measured")
    parser.add_argument("--only", nargs="*", default=list(VARIANTS))
    parser.add_argument("--out", type=Path, default=Path("out/choices"))
    arguments = parser.parse_args()
    keep_large_blocks()
    net = load_model(arguments.model)
    judges = {name: load_model(spec) for name, _, spec in (each.partition("=") for each in arguments.judge)}
    photos = photographs(arguments.folder, net, half=arguments.half, count=arguments.images)
    print(f"{len(photos)} photographs of the {arguments.half} half", flush=True)
    folders = {name: arguments.out / arguments.half / name.replace(" ", "_") for name in arguments.only}
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in arguments.only}
    maps: dict[str, list[Tensor]] = {name: [] for name in arguments.only}
    for photo in photos:
        print(photo.file, flush=True)
        for name, folder in folders.items():
            row, saliency = measure(name, net, judges, photo, folder)
            results[name].append(row)
            maps[name].append(saliency)
    for name, folder in folders.items():
        if arguments.steady and name in VARIANTS:
            count = arguments.steady
            add_steadiness(
                results[name], name, net, photos[:count], maps[name][:count], folder / f"steady-{count}.json"
            )
    plot(results, arguments.out / f"{arguments.half}.png")
    print(table(results, [*COLUMNS, "box", "box blurred", *(f"on {other}" for other in judges)]))
    print(paired(results, arguments.only[0]))


if __name__ == "__main__":
    main()
