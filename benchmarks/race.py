"""Seconds, passes and quality of MDM and other methods, in one run on the same photographs and network.

    python -m benchmarks.race FOLDER [--model SPEC] [--images N] [--only mdm,gradcam] [--out race.md]

FOLDER holds annotated photographs in any format that :func:`maskstack.datasets.load_images` reads. The benchmark uses
those of the reporting half that the network classifies correctly. The methods take turns on every photograph, so that
other load on the machine affects all of them equally. Each method is warmed up before its first photograph is timed.
Finished results are stored as JSON lines next to the table, so an interrupted run can be resumed; delete that file
after a change of the code.

Insertion starts from a blur of 10 px, and deletion ends at zero. Both measure softmax probabilities and change the most
salient pixels first.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from maskstack import metrics
from maskstack.allocator import keep_large_blocks
from maskstack.datasets import load_images
from maskstack.explainers.base import CostedExplainer
from maskstack.explainers.table import make_explainer
from maskstack.files import write_whole
from maskstack.leaderboard.case import Case, Cases
from maskstack.masks.presets import PRESETS
from maskstack.models import LoadedModel, load_model
from maskstack.runs.statistics import Bootstrap

CURVE_STEPS = 20
BLUR = 10.0


@dataclass(frozen=True)
class Racer:
    """A method in the race.

    Attributes:
        label: Its name in the table.
        spec: Spec of the method, see :func:`maskstack.explainers.table.make_explainer`.
        warm: A cheap spec that runs the same code and kernels.
    """

    label: str
    spec: str
    warm: str


REFERENCE = "mdm"
RACERS: Mapping[str, Racer] = {
    "mdm": Racer("MDM, default", "mdm", "mdm:steps=2"),
    "mdm-fast": Racer("MDM, `fast`", "mdm:preset=fast", "mdm:preset=fast:steps=2"),
    "mdm-fine": Racer("MDM, `fine`", "mdm:preset=fine", "mdm:preset=fine:steps=2"),
    "gradcam": Racer("Grad-CAM", "gradcam", "gradcam"),
    "ig": Racer("integrated gradients", "ig", "ig"),
    # One pass per channel cannot be reduced; a run of Grad-CAM loads the same package and finds the same layer.
    "scorecam": Racer("Score-CAM", "scorecam", "gradcam"),
    "rise": Racer("RISE, 4000 masks", "rise:masks=4000", "rise:masks=32"),
    "extremal": Racer("extremal perturbation, 800 steps", "extremal:steps=800", "extremal:steps=2"),
}
"""The methods by the names that ``--only`` takes, in the order of the table."""

CLOCK = "processor"
"""The clock that decides how much faster a method is: processor time, because wall time depends on other load."""

TARGETS = {"rise": 10.0, "extremal": 10.0, "scorecam": 2.0}
"""Required speed-up of default MDM over each of these methods, with better insertion minus deletion."""


@dataclass(frozen=True)
class Result:
    """The result of a method on a photograph.

    Attributes:
        model: Spec of the network.
        method: Spec of the method.
        image: Name of the photograph.
        seconds: Wall time from the call to the map.
        processor: Processor time of all cores in that period; other load on the machine does not increase it.
        forward: Number of forward passes.
        backward: Number of backward passes.
        insertion: Area under the insertion curve.
        deletion: Area under the deletion curve.
    """

    model: str
    method: str
    image: str
    seconds: float
    processor: float
    forward: int
    backward: int
    insertion: float
    deletion: float

    @property
    def passes(self) -> int:
        """Number of forward and backward passes together."""
        return self.forward + self.backward

    @property
    def quality(self) -> float:
        """Insertion minus deletion."""
        return self.insertion - self.deletion


Results = dict[tuple[str, str, str], Result]
"""Results by network, method and photograph."""


def read(path: Path) -> Results:
    """The results of earlier runs."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    found = [Result(**json.loads(line)) for line in lines]
    return {(result.model, result.method, result.image): result for result in found}


def keep(path: Path, results: Results) -> None:
    """Write all finished results; the file is written completely or not at all."""
    text = "".join(json.dumps(asdict(result)) + "\n" for result in results.values())
    write_whole(path, lambda file: file.write_text(text, encoding="utf-8"))


def photographs(folder: Path, net: LoadedModel, count: int) -> Iterator[tuple[str, Case]]:
    """The first correctly classified photographs of the reporting half, in the order of their names."""
    cases, found = Cases(net), 0
    for annotated in load_images(folder, class_names=net.class_names).half("reporting"):
        if found == count:
            return
        if annotated.label is not None and (case := cases(annotated)).predicted == annotated.label:
            found += 1
            yield annotated.name, case


def measure(explainer: CostedExplainer, case: Case) -> dict[str, float]:
    """Time one map and measure its quality."""
    images = case.image.unsqueeze(0)
    started, worked = time.perf_counter(), time.process_time()
    found = explainer(images, case.target)
    saliency = found.saliency[0, 0].cpu()  # waits for an accelerator to finish
    seconds, processor = time.perf_counter() - started, time.process_time() - worked
    blurred = metrics.blur(case.image, sigma=BLUR)
    black = torch.zeros_like(case.image)
    return {
        "seconds": seconds,
        "processor": processor,
        "forward": int(found.forward_passes[0]),
        "backward": int(found.backward_passes[0]),
        "insertion": float(metrics.insertion(case.score, case.image, saliency, blurred, steps=CURVE_STEPS)),
        "deletion": float(metrics.deletion(case.score, case.image, saliency, black, steps=CURVE_STEPS)),
    }


def race(net: LoadedModel, folder: Path, racers: Sequence[Racer], *, count: int, kept: Path) -> Results:
    """Make and measure the missing maps, photograph by photograph.

    Args:
        net: The network.
        folder: The annotated photographs.
        racers: The methods, which take turns.
        count: Number of photographs.
        kept: File of the finished results.

    Returns:
        The results of these methods on these photographs, including those of earlier runs.
    """
    results, shown = read(kept), {}
    ready: dict[str, CostedExplainer] = {}
    for name, case in photographs(folder, net, count):
        for racer in racers:
            key = (net.spec, racer.spec, name)
            if key not in results:
                if racer.spec not in ready:
                    ready[racer.spec] = make_explainer(racer.spec, net)
                    make_explainer(racer.warm, net)(case.image.unsqueeze(0), case.target)
                results[key] = Result(*key, **measure(ready[racer.spec], case))  # type: ignore[arg-type]
                keep(kept, results)
                print(f"{name}  {racer.label}: {results[key].seconds:.1f} s", flush=True)
            shown[key] = results[key]
    if not shown:
        raise SystemExit(f"the network gets no photograph of {folder} right; check its labels")
    return shown


def of_method(results: Results, racer: Racer) -> dict[str, Result]:
    """A method's results by photograph."""
    return {result.image: result for result in results.values() if result.method == racer.spec}


def mean(values: Sequence[float]) -> str:
    """The mean ± half of its 95% bootstrap interval over photographs."""
    low, high = Bootstrap().intervals(np.array([values]))[0]
    return f"{statistics.fmean(values):.3f} ±{(high - low) / 2:.3f}"


def table(results: Results, racers: Sequence[Racer]) -> str:
    """The table as Markdown; ratios use the photographs that both the method and default MDM have."""
    reference = of_method(results, RACERS[REFERENCE])
    heads = ("method", "n", "seconds", "processor seconds", "forward", "backward", "insertion ↑", "deletion ↓",
             "insertion − deletion ↑", "processor seconds, of MDM's", "passes, of MDM's")  # fmt: skip
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for racer in racers:
        own = of_method(results, racer)
        rows = list(own.values())
        if not rows:
            continue
        plain = [f"{statistics.fmean(getattr(row, name) for row in rows):.2f}" for name in ("seconds", "processor")]
        plain += [f"{statistics.fmean(getattr(row, name) for row in rows):.0f}" for name in ("forward", "backward")]
        judged = [mean([getattr(row, name) for row in rows]) for name in ("insertion", "deletion", "quality")]
        both = [image for image in own if image in reference]
        ratios = [f"{ratio(own, reference, both, what):.2f} x" if both else "–" for what in (CLOCK, "passes")]
        lines.append("| " + " | ".join([racer.label, str(len(rows)), *plain, *judged, *ratios]) + " |")
    return "\n".join(lines) + "\n"


def ratio(own: Mapping[str, Result], other: Mapping[str, Result], images: Sequence[str], what: str) -> float:
    """Ratio of the cost of one method to that of another on the same photographs."""
    mine, theirs = (sum(getattr(results[image], what) for image in images) for results in (own, other))
    return float(mine / theirs)


def verdicts(results: Results) -> str:
    """A line for each target: that it is met, or how far the result is from it."""
    reference, lines = of_method(results, RACERS[REFERENCE]), []
    for name, times in TARGETS.items():
        other = of_method(results, RACERS[name])
        both = [image for image in other if image in reference]
        asked = f"default MDM at least {times:g} x faster than {RACERS[name].label}, at better insertion − deletion"
        if not both:
            lines.append(f"- not measured: {asked}")
            continue
        faster = ratio(other, reference, both, CLOCK)
        better = [reference[image].quality - other[image].quality for image in both]
        missing = [f"speed is short by {times / faster:.2f} x"] if faster < times else []
        if statistics.fmean(better) <= 0:
            missing.append(f"quality is short by {-statistics.fmean(better):.3f}")
        verdict = f"**not met** ({', '.join(missing)})" if missing else "**met**"
        lines.append(f"- {verdict}: {asked}; it is {faster:.1f} x faster and {mean(better)} better, n {len(both)}")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the benchmark and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--only", default=",".join(RACERS))
    parser.add_argument("--out", type=Path, default=Path("out/race/race.md"))
    arguments = parser.parse_args()
    only = arguments.only.split(",")
    if unknown := set(only) - set(RACERS):
        parser.error(f"there is no {', '.join(sorted(unknown))}; the methods are {', '.join(RACERS)}")
    presets = {"mdm-fast": "fast", "mdm-fine": "fine"}
    racers = [RACERS[name] for name in RACERS if name in only and presets.get(name, "default") in PRESETS]
    keep_large_blocks()
    kept = arguments.out.with_suffix(".jsonl")
    results = race(load_model(arguments.model), arguments.folder, racers, count=arguments.images, kept=kept)
    text = f"{table(results, racers)}\n{verdicts(results)}\n{torch.get_num_threads()} threads.\n"
    write_whole(arguments.out, lambda file: file.write_text(text, encoding="utf-8"))
    print(text)


if __name__ == "__main__":
    main()
