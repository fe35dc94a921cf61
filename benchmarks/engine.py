"""How many maps a second the leaderboard's engines measure with a network that costs next to nothing.

    python -m benchmarks.engine [--images 1000] [--methods centre,random] [--nodes 2 [--lose-node]]

Images, the network and the run are made in a temporary folder. Prints maps a second, the time to the first map, how the
second half's pace compares with the first half's (1 if the engine does not slow down as the run grows), the time of a
resume with nothing left, and the growth of the peak memory of this process over the second half.

With ``--nodes``, the run is then repeated on that many Ray nodes on this machine, with one actor each, and its rows are
compared with those of the first run. ``--lose-node`` removes a node after a quarter of the maps.
"""

from __future__ import annotations

import argparse
import csv
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from maskstack.leaderboard.bench import Engine, bench, work_locally
from maskstack.leaderboard.on_ray import Cluster, work_on_ray
from maskstack.leaderboard.request import BenchRequest
from maskstack.leaderboard.work import ImageTask, MeasuredMap, Worker
from maskstack.runs.folder import RunPlan
from maskstack.runs.rows import ResultRow
from maskstack.runs.store import Store


def network() -> nn.Module:
    """A linear network of 1000 classes on four colours."""
    torch.manual_seed(0)
    return nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, 1000)).eval()


class Watch:
    """Notes when each map was measured, and the peak memory then; rows of quick maps are written together later."""

    def __init__(self) -> None:
        self.begun = time.perf_counter()
        self.seconds: list[float] = []
        self.peaks: list[float] = []
        self.failures: list[str] = []

    def looking(self, network: str, images: int) -> None:
        """Nothing to note."""

    def damaged(self, shards: Sequence[Path]) -> None:
        """Nothing to note."""

    def warn(self, sentence: str) -> None:
        """Nothing to note."""

    def planned(self, _plan: RunPlan) -> None:
        """Begin to count."""
        self.begun = time.perf_counter()

    def finished(self, _maps: int, rows: Sequence[ResultRow]) -> None:
        """Note failures."""
        self.failures += [row.failure for row in rows if row.failure]

    def watched(self, engine: Engine) -> Engine:
        """An engine whose maps are noted."""

        def work(tasks: Sequence[ImageTask], worker: Worker) -> Iterator[MeasuredMap]:
            for found in engine(tasks, worker):
                self.seconds.append(time.perf_counter() - self.begun)
                self.peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
                yield found

        return work


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


@contextmanager
def ray_nodes(count: int) -> Iterator[Callable[[], None]]:
    """Ray nodes of one processor on this machine; inside the context, a function that removes the last one."""
    import ray
    from ray.cluster_utils import Cluster as Nodes

    nodes = Nodes(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    added = [nodes.add_node(num_cpus=1) for _ in range(count - 1)]
    ray.init(address=nodes.address, log_to_driver=False)
    try:
        yield lambda: nodes.remove_node(added.pop(), allow_graceful=False)
    finally:
        ray.shutdown()
        nodes.shutdown()


def measure(request: BenchRequest, run: Path, engine: Engine, expected: int) -> None:
    """Measure a run and its resume, and print the figures."""
    watch = Watch()
    outcome = bench(request, run, engine=watch.watched(engine), listener=watch)
    last = time.perf_counter() - watch.begun  # all rows are written
    if outcome.maps != expected or outcome.failed or watch.failures:
        raise SystemExit(f"{outcome.maps} of {expected} maps, {outcome.failed} failed: {watch.failures[:1]}")
    started = time.perf_counter()
    again = bench(request, run, engine=work_locally, listener=Watch())
    resumed = time.perf_counter() - started
    if again.maps:
        raise SystemExit(f"the resume measured {again.maps} maps again")
    middle = expected // 2 - 1
    first = watch.seconds[0]
    half, rest = watch.seconds[middle], last - watch.seconds[middle]
    print(f"{expected} maps: {expected / last:.1f} a second, {(expected - 1) / (last - first):.1f} after the first map")
    print(f"first map after {first:.2f} s")
    print(f"second half relative to the first: {rest / (half - first):.2f} x the time")
    print(f"resume with nothing left: {resumed:.2f} s")
    print(
        f"peak memory: {watch.peaks[-1]:.0f} MiB, {watch.peaks[-1] / watch.peaks[middle]:.3f} x that of the first half",
        flush=True,
    )


def table(run: Path) -> dict[tuple[str, ...], tuple[object, ...]]:
    """The rows of a run but for their seconds."""
    return {
        (row.model, row.method, row.image, row.group, row.metric): (row.value, row.curve, row.forward, row.failure)
        for row in Store.open(run).rows()
    }


def main() -> None:
    """Measure a run of each engine, and compare their rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--methods", default="centre,random")
    parser.add_argument("--nodes", type=int, default=0, help="Ray nodes on this machine; 0 for none")
    parser.add_argument("--lose-node", action="store_true", help="remove a node after a quarter of the maps")
    parser.add_argument("--smoke", action="store_true", help="eight images")
    arguments = parser.parse_args()
    if arguments.lose_node and arguments.nodes < 2:
        raise SystemExit("--lose-node needs at least two --nodes")
    count = 8 if arguments.smoke else arguments.images
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        request = BenchRequest(
            models=("python:benchmarks.engine:network,size=32",),
            data=str(made_images(folder, count)),
            methods=tuple(arguments.methods.split(",")),
            groups=("complexity",),
        )
        expected = count * len(request.methods)
        print("this process:")
        measure(request, folder / "local", work_locally, expected)
        if not arguments.nodes:
            return
        with ray_nodes(arguments.nodes) as remove:
            cluster = Cluster(workers=arguments.nodes)

            def engine(tasks: Sequence[ImageTask], worker: Worker) -> Iterator[MeasuredMap]:
                for number, found in enumerate(work_on_ray(tasks, worker, cluster=cluster), start=1):
                    if arguments.lose_node and number == expected // 4:
                        remove()
                    yield found

            print(f"{arguments.nodes} Ray nodes{', one of them lost' if arguments.lose_node else ''}:")
            measure(request, folder / "ray", engine, expected)
        one, other = table(folder / "local"), table(folder / "ray")
        if one != other:
            differing = sum(one.get(key) != other.get(key) for key in one.keys() | other.keys())
            raise SystemExit(f"{differing} of {len(one)} rows differ between the two runs")
        print(f"the rows of both runs are the same, {len(one)} of them")


if __name__ == "__main__":
    main()
