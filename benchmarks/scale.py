"""How the time and memory of the leaderboard's store and report grow with the number of images.

    python -m benchmarks.scale [--images 30000,100000,300000] [--extrapolate 10000000]

Results of two methods on made-up images, with the metrics of the default groups, are written as shards of 1000 maps.
Each part then runs in a process of its own: writing a map as the engine does (of 200 maps), opening the store, asking
what is measured, merging, and the report. Prints seconds of wall time and of processor time and the peak memory of
each, the exponent of growth from the least to the largest number, and what follows for the number to extrapolate to:
time in proportion to the images, memory along the straight line through the last two numbers.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet  # a forked process needs no imports, and their time and memory are not measured
import scipy.stats  # noqa: F401

from maskstack.leaderboard.record import settle
from maskstack.leaderboard.report import make_report
from maskstack.leaderboard.request import BenchRequest
from maskstack.runs.rows import ResultRow
from maskstack.runs.shards import schema, write_shard
from maskstack.runs.store import Store

METHODS = ("mdm", "gradcam")
METRICS: dict[str, tuple[str, ...]] = {
    "faithfulness": (
        "insertion_wide", "insertion_narrow", "deletion_zero", "deletion_mean", "deletion_blur", "average_drop",
        "average_increase", "average_drop_top", "average_increase_top",
    ),
    "road": ("road_morf", "road_lerf", "road", "road_probability"),
    "localization": ("pointing_game", "energy_pointing_game", "box_ious"),
    "complexity": ("entropy", "gini"),
}  # fmt: skip
POINTS = {"insertion_wide": 21, "insertion_narrow": 21, "deletion_zero": 21, "deletion_mean": 21, "deletion_blur": 21,
          "road_morf": 4, "road_lerf": 4, "box_ious": 100}  # fmt: skip
MAPS = 1000
"""Maps in a shard as it is written here."""


def image_name(number: int) -> str:
    """Name of a made-up image."""
    return f"images/made_up_{number:08}.jpg"


def made_table(images: Sequence[int], method: str, draw: np.random.Generator) -> Any:
    """The rows of a method on some images, as a table of pyarrow."""
    kinds = [(group, metric) for group, metrics in METRICS.items() for metric in metrics]
    count, rows = len(images), len(images) * len(kinds)
    names = pa.array([image_name(number) for number in images])
    of_kind = np.tile(np.arange(len(kinds)), count)
    points = np.array([POINTS.get(metric, 0) for _, metric in kinds])
    lengths = points[of_kind]
    ends = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    curves = draw.random(ends[-1], dtype=np.float32)
    nulls = pa.array(lengths == 0)
    protocols = [json.dumps({"fill": "blur", "steps": 20, "score": "softmax", "metric": metric}) for _, metric in kinds]

    def text(values: Sequence[str], at: Any) -> Any:
        return pa.array(values).take(pa.array(at))

    columns = {
        "model": text(["net"], np.zeros(rows, int)), "method": text([method], np.zeros(rows, int)),
        "image": names.take(pa.array(np.repeat(np.arange(count), len(kinds)))),
        "group": text([group for group, _ in kinds], of_kind), "metric": text([metric for _, metric in kinds], of_kind),
        "value": pa.array(draw.random(rows) + (method == "mdm") * 0.01), "protocol": text(protocols, of_kind),
        "target": pa.array(np.repeat(np.asarray(images) % 1000, len(kinds))),
        "curve": pa.ListArray.from_arrays(pa.array(ends), pa.array(curves), mask=nulls),
        "forward": pa.array(np.full(rows, 161)), "backward": pa.array(np.full(rows, 160)),
        "seconds": pa.array(np.full(rows, 2.5)), "failure": pa.nulls(rows, pa.string()),
    }  # fmt: skip
    return pa.table(list(columns.values()), schema=schema())


def make(run: Path, images: int) -> None:
    """Write a run of made-up results."""
    request = BenchRequest(models=("net=bundled",), data="made-up", methods=METHODS, groups=tuple(METRICS))
    settle(run, request, versions={"maskstack": "made-up"})
    store, draw = Store.open(run), np.random.default_rng(0)
    for number, first in enumerate(range(0, images, MAPS)):
        for method in METHODS:
            table = made_table(range(first, min(first + MAPS, images)), method, draw)
            write_shard(store.folder / f"pair-{number:019x}{METHODS.index(method)}.parquet", table, holds=())


def write_maps(run: Path, images: int) -> None:
    """Write 200 maps one by one, as the engine does."""
    table = made_table(range(images, images + 200), "edges", np.random.default_rng(1))
    each = len(table) // 200
    rows = [ResultRow(**row) for row in table.to_pylist()]
    store = Store(run.with_name("maps") / "rows")
    for first in range(0, len(rows), each):
        store.write(rows[first : first + each])


def merge(run: Path, _images: int) -> None:
    """Merge as a run does, a few shards at a time."""
    store = Store(run / "rows")
    held = run / "held"
    held.mkdir()
    for shard in store.shards():
        shard.rename(held / shard.name)
    waiting = sorted(held.iterdir())
    for first in range(0, len(waiting), 2):
        for shard in waiting[first : first + 2]:
            shard.rename(store.folder / shard.name)
        store.merge()


def measured(run: Path, images: int) -> None:
    """Ask what is measured of a plan with all images."""
    found = Store(run / "rows").measured("net", [image_name(number) for number in range(images)])
    if sum(int(each.sum()) for each in found.values()) != images * len(METHODS) * len(METRICS):
        raise SystemExit("not all results were found")


def report(run: Path, images: int) -> None:
    """Write the report."""
    written = make_report([run])
    if len(written.comparisons[0].network.images) != images:
        raise SystemExit("the report does not have all images")


PARTS: dict[str, Callable[[Path, int], object]] = {
    "make": make,
    "write 200 maps": write_maps,
    "merge": merge,
    "open": lambda run, _images: Store.open(run),
    "measured": measured,
    "report": report,
}


def run_part(part: str, run: Path, images: int) -> dict[str, float]:
    """Run one part in a process of its own: seconds, processor seconds, and MiB above those of the imports."""
    # The server has made the imports, so a process that it forks need not; and it has no threads, as this one may have.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["benchmarks.scale"])
    with ProcessPoolExecutor(1, mp_context=context) as processes:
        return processes.submit(in_process, part, run, images).result()


def in_process(part: str, run: Path, images: int) -> dict[str, float]:
    """Run one part here and return its figures."""
    before, started, used = peak(), time.perf_counter(), time.process_time()
    PARTS[part](run, images)
    seconds, processor = time.perf_counter() - started, time.process_time() - used
    return {"seconds": seconds, "processor": processor, "mib": peak() - before}


def peak() -> float:
    """Peak memory of this process so far, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Measure each part at each number of images, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", default="30000,100000,300000")
    parser.add_argument("--extrapolate", type=int, default=10_000_000)
    parser.add_argument("--smoke", action="store_true", help="measure a few images only")
    arguments = parser.parse_args()
    counts = [60, 240] if arguments.smoke else [int(count) for count in arguments.images.split(",")]
    if len(counts) < 2 or counts != sorted(set(counts)):
        raise SystemExit("growth is measured over two or more numbers of images, in ascending order")
    found: dict[str, list[dict[str, float]]] = {part: [] for part in PARTS}
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            for part in PARTS:
                found[part].append(run_part(part, Path(folder) / "run", count))
                print(f"{count} images, {part}: {found[part][-1]}", file=sys.stderr, flush=True)
            shards = list((Path(folder) / "run" / "rows").glob("*.parquet"))
            print(f"{count} images: {len(shards)} shards, {sum(map(size, shards)) / 2**20:.0f} MiB")
    print(f"| part | {' | '.join(f'{count:,}' for count in counts)} | exponent | {arguments.extrapolate:,} |")
    print("|---" * (len(counts) + 3) + "|")
    for part, figures in found.items():
        for name, unit in (("processor", "s"), ("mib", "MiB")):
            values = [max(figure[name], 1e-3) for figure in figures]
            exponent = np.log(values[-1] / values[0]) / np.log(counts[-1] / counts[0])
            there = continued(unit, counts, values, arguments.extrapolate)
            print(
                f"| {part}, {unit} | {' | '.join(f'{value:.1f}' for value in values)} | {exponent:.2f} | {there:,.0f} |"
            )


def continued(unit: str, counts: Sequence[int], values: Sequence[float], there: int) -> float:
    """The figure for another number of images: time in proportion, memory along the line of the last two."""
    if unit == "s":
        return values[-1] * there / counts[-1]
    slope = (values[-1] - values[-2]) / (counts[-1] - counts[-2])
    return values[-1] + max(slope, 0) * (there - counts[-1])


def size(path: Path) -> int:
    """Number of bytes of a file."""
    return path.stat().st_size


if __name__ == "__main__":
    main()
