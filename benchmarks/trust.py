"""The calibration of ``docs/trust.md``: how often the verdict calls right maps, and wrong maps, reliable.

    python -m benchmarks.trust FOLDER [--model SPEC] [--half reporting] [--images 60] [--out out/trust]

The photographs are those that the network classifies correctly, from a folder in any format of ``maskstack bench``. For
each there are a right map, which is MDM's of the network's answer, and wrong ones: MDM's map of another class (drawn at
random among those of a probability below 1%), MDM's maps of the same class on the network with random parameters in its
last layer, in half of its layers and in all of them, the right map of another photograph, and a smooth random map. All
are judged as maps of the network's answer. Grad-CAM's map is judged too. Maps are kept in ``--out``, so an interrupted
run goes on where it stopped. Intervals are Clopper-Pearson's of 95%.

The plot shows, for each verdict, how much of the score right and wrong maps keep as masks over a fill that nothing else
uses: the photograph turned upside down.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy.stats import binomtest
from torch import Tensor

from maskstack import MDM, LoadedModel, MaskstackError, load_model
from maskstack.allocator import keep_large_blocks
from maskstack.datasets import load_images
from maskstack.explainers.table import make_explainer
from maskstack.files import write_whole
from maskstack.metrics import cascade
from maskstack.reliability import Trust, measure
from maskstack.scoring import scoring
from maskstack.tensors import blend

KINDS: Mapping[str, str] = {
    "right": "MDM",
    "gradcam": "Grad-CAM",
    "wrong": "MDM, another class",
    "last": "MDM on the network with a random last layer",
    "half": "MDM on the network with half of its layers random",
    "all": "MDM on the network with all layers random",
    "other": "MDM's map of another photograph",
    "random": "a random map",
}
WORDS = ("reliable", "doubtful", "do not use")


def make_maps(net: LoadedModel, image: Tensor, target: int, number: int, kept: Path) -> dict[str, Any]:
    """The maps of one photograph by kind, with the agreement of their members; those of an earlier run are read."""
    found: dict[str, Any] = torch.load(kept, weights_only=True) if kept.is_file() else {}
    probabilities = net.model(image[None]).softmax(dim=1)[0]
    order = torch.randperm(len(probabilities), generator=torch.Generator().manual_seed(number)).tolist()
    other = next(index for index in order if probabilities[index] < 0.01)
    layers = _layers(net)
    plans = (
        ("right", 0, target, "default"),
        ("wrong", 0, other, "fast"),
        ("last", 1, target, "fast"),
        ("half", max(layers // 2, 1), target, "fast"),
        ("all", layers, target, "fast"),
    )
    for kind, depth, index, preset in plans:
        if kind not in found:
            found[kind] = _explained(net, image, index, depth, preset)
            kept.parent.mkdir(parents=True, exist_ok=True)
            write_whole(kept, lambda file: torch.save(found, file))
    return found


def _layers(net: LoadedModel) -> int:
    with cascade(net.model) as layers:
        return sum(1 for _ in layers)


def _explained(net: LoadedModel, image: Tensor, target: int, depth: int, preset: Any) -> dict[str, Any]:
    """MDM's map on the network with random parameters in this number of layers, counted from the last."""
    with cascade(net.model) as layers:
        for number, _ in enumerate(layers, start=1) if depth else ():
            if number == depth:
                break
        try:
            explanation = MDM(net, preset=preset)(image[None], target)
        except MaskstackError as error:  # a network of random parameters may give infinite values
            return {"error": str(error)}
    return {"map": explanation.stack[0, 0], "agreement": float(explanation.agreement[0])}


def judged(net: LoadedModel, image: Tensor, target: int, saliency: Tensor, agreement: float) -> tuple[Trust, float]:
    """The trust in one map, and the share of the score that it keeps over the photograph turned upside down."""
    turned = image.flip(1)[None]
    with scoring(net, image[None], target) as scored:
        before = scored.scores(scored.images)
        found = measure(scored.scores, scored.images, saliency[None], before, probability=before)
        kept = scored.scores(blend(saliency[None], scored.images, turned.to(scored.images)))
        nothing = scored.scores(turned.to(scored.images))
    agree = torch.full_like(found.agreement, agreement)
    gap = (before - nothing).clamp_min(1e-6)
    return Trust(**{**found.tensors(), "agreement": agree}, problems=found.problems), float((kept - nothing) / gap)


def measured(folder: Path, net: LoadedModel, half: str, count: int, out: Path) -> Iterator[tuple[str, str, float]]:
    """Kind, verdict and share kept over the unused fill of every map."""
    shots: list[tuple[Tensor, int, dict[str, Any]]] = []
    for annotated in load_images(folder, class_names=net.class_names).half(half):
        image = net.preprocess(annotated.open())
        with torch.no_grad():
            if int(net.model(image[None]).argmax()) != annotated.label or annotated.label is None:
                continue
        kept = out / half / f"{annotated.name.replace('/', '_')}.pt"
        with torch.no_grad():
            made = make_maps(net, image, annotated.label, len(shots) + 1, kept)
        print(f"{len(shots) + 1} of {count}: {annotated.name}", flush=True)
        shots.append((image, annotated.label, made))
        if len(shots) == count:
            break
    for number, (image, target, made) in enumerate(shots):
        maps = {kind: (each["map"], each["agreement"]) for kind, each in made.items() if "map" in each}
        other = shots[(number + 1) % len(shots)][2]["right"]
        maps["other"] = other["map"], other["agreement"]
        for kind in ("gradcam", "random"):
            try:
                found = make_explainer(kind, net)(image[None], target)
            except MaskstackError:  # Grad-CAM finds no layer to read in some networks
                continue
            maps[kind] = found.saliency[0, 0], float("nan")
        for kind in [kind for kind in KINDS if kind in maps]:
            trust, share = judged(net, image, target, *maps[kind])
            yield kind, trust.verdict(0).word, share
        for kind, each in made.items():
            if "error" in each:
                yield kind, "do not use", float("nan")


def table(rows: list[tuple[str, str, float]]) -> str:
    """Verdicts of each kind of map, as Markdown."""
    lines = ["| map | n | reliable | 95% interval | doubtful | do not use |", "|---" * 6 + "|"]
    for kind, name in KINDS.items():
        words = [word for own, word, _ in rows if own == kind]
        if words:
            count = {word: words.count(word) for word in WORDS}
            span = binomtest(count["reliable"], len(words)).proportion_ci(method="exact")
            shares = [f"{count[word] / len(words):.0%}" for word in WORDS]
            interval = f"{span.low:.0%} to {span.high:.0%}"
            lines.append(f"| {name} | {len(words)} | {shares[0]} | {interval} | {shares[1]} | {shares[2]} |")
    return "\n".join(lines) + "\n"


def plot(rows: list[tuple[str, str, float]], path: Path) -> None:
    """Draw, for each verdict, the share of the score that its maps keep over the unused fill."""
    figure, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
    generator = np.random.default_rng(0)
    for place, word in enumerate(WORDS):
        for right, colour, shift in ((True, "#0072B2", -0.15), (False, "#D55E00", 0.15)):
            kept = [share for kind, own, share in rows if own == word and (kind == "right") is right and share == share]
            kept = np.clip(kept, -0.1, 1.2).tolist()
            across = place + shift + generator.uniform(-0.1, 0.1, len(kept))
            label = ("MDM's maps of the answer" if right else "wrong maps and Grad-CAM") if place == 0 else None
            axes.scatter(across, kept, s=12, alpha=0.6, color=colour, label=label)
    axes.set_xticks(range(len(WORDS)), WORDS)
    axes.set_ylabel("share of the score kept\nover the photograph turned upside down")
    axes.legend(loc="upper right", fontsize=8)
    write_whole(path, lambda file: figure.savefig(file, format="png", dpi=100))
    plt.close(figure)


def main() -> None:
    """Make the maps, judge them, print the table and draw the plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--half", choices=("tuning", "reporting"), default="reporting")
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--out", type=Path, default=Path("out/trust"))
    arguments = parser.parse_args()
    keep_large_blocks()
    net = load_model(arguments.model)
    rows = list(measured(arguments.folder, net, arguments.half, arguments.images, arguments.out))
    print(table(rows))
    plot(rows, arguments.out / f"{arguments.half}.png")


if __name__ == "__main__":
    main()
