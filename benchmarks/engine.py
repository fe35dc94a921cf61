"""How many maps a second the leaderboard's local engine measures with a network that costs next to nothing.

    python -m benchmarks.engine [--images 1000] [--methods centre,random]

Images, the network and the run are made in a temporary folder. Prints maps a second, the time to the first map, how the
second half's pace compares with the first half's (1 if the engine does not slow down as the run grows), the time of a
resume with nothing left, and the growth of the peak memory over the second half.
"""

from __future__ import annotations

import argparse
import csv
import resource
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from maskstack.leaderboard.bench import bench, work_locally
from maskstack.leaderboard.request import BenchRequest
from maskstack.runs.folder import RunPlan
from maskstack.runs.rows import ResultRow


def network() -> nn.Module:
    """A linear network of 1000 classes on four colours."""
    torch.manual_seed(0)
    return nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, 1000)).eval()


class Watch:
    """Notes when each map was measured, and the peak memory then."""

    def __init__(self) -> None:
        self.begun = time.perf_counter()
        self.seconds: list[float] = []
        self.peaks: list[float] = []
        self.failures: list[str] = []

    def looking(self, network: str, images: int) -> None:
        """Nothing to note."""

    def damaged(self, shards: Sequence[Path]) -> None:
        """Nothing to note."""

    def planned(self, _plan: RunPlan) -> None:
        """Begin to count."""
        self.begun = time.perf_counter()

    def finished(self, maps: int, rows: Sequence[ResultRow]) -> None:
        """Note a map."""
        self.seconds += [time.perf_counter() - self.begun] * maps
        self.peaks += [resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024] * maps
        self.failures += [row.failure for row in rows if row.failure]


def made_images(folder: Path, count: int) -> Path:
    """Images of noise, 32 x 32, with classes of ImageNet in a CSV file."""
    (folder / "images").mkdir()
    draw = np.random.default_rng(0)
    with (folder / "annotations.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "class_index"])
        for number in range(count):
            pixels = draw.integers(0, 256, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "images" / f"{number:06}.png")
            writer.writerow([f"{number:06}.png", number % 1000])
    return folder


def main() -> None:
    """Measure a run and its resume, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--methods", default="centre,random")
    parser.add_argument("--smoke", action="store_true", help="eight images")
    arguments = parser.parse_args()
    count = 8 if arguments.smoke else arguments.images
    with tempfile.TemporaryDirectory() as folder:
        request = BenchRequest(
            models=("python:benchmarks.engine:network,size=32",),
            data=str(made_images(Path(folder), count)),
            methods=tuple(arguments.methods.split(",")),
            groups=("complexity",),
        )
        watch = Watch()
        outcome = bench(request, Path(folder) / "run", engine=work_locally, listener=watch)
        expected = count * len(request.methods)
        if outcome.maps != expected or outcome.failed or watch.failures:
            raise SystemExit(f"{outcome.maps} of {expected} maps, {outcome.failed} failed: {watch.failures[:1]}")
        started = time.perf_counter()
        again = bench(request, Path(folder) / "run", engine=work_locally, listener=Watch())
        resumed = time.perf_counter() - started
        if again.maps:
            raise SystemExit(f"the resume measured {again.maps} maps again")
    middle = expected // 2 - 1
    first, second = watch.seconds[middle], watch.seconds[-1] - watch.seconds[middle]
    print(f"{expected} maps: {expected / watch.seconds[-1]:.1f} a second; first after {watch.seconds[0]:.2f} s")
    print(f"second half relative to the first: {second / first:.2f} x the time")
    print(f"resume with nothing left: {resumed:.2f} s")
    print(
        f"peak memory: {watch.peaks[-1]:.0f} MiB, {watch.peaks[-1] / watch.peaks[middle]:.3f} x that of the first half"
    )


if __name__ == "__main__":
    main()
