"""Overhead of MDM: a whole call compared with bare forward and backward passes of one prepared network, in one run.

    python -m benchmarks.overhead [--images 8] [--batch-size 8] [--preset default] [--steps 25] [--clock wall]

Both do the same number of passes at the same batch size, memory format, precision and folding. Prints the ratio, the
number of passes and the peak memory of the process.
"""

from __future__ import annotations

import argparse
import resource
import statistics
from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.passes import CLOCKS, pass_seconds
from maskstack import MDM
from maskstack.allocator import keep_large_blocks
from maskstack.models import load_model
from maskstack.scoring.prepared import PreparedModel
from maskstack.scoring.untouched import untouched
from maskstack.speed import way_for


def bare_passes(
    network: PreparedModel, images: Tensor, *, batch_size: int, steps: int, forwards: int, clock: Callable[[], float]
) -> float:
    """Seconds of ``steps`` forward and backward passes and ``forwards`` forward passes over all images."""
    started = clock()
    for chunk in torch.split(images, batch_size):
        for _ in range(steps):
            pass_seconds(network, chunk, clock)
        with torch.no_grad():
            for _ in range(forwards):
                network(chunk)
    return clock() - started


def main() -> None:
    """Measure MDM and bare passes in turn, and print their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--preset", default="default")
    parser.add_argument("--steps", type=int, default=25, help="of each member")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu needs OMP_NUM_THREADS=1")
    parser.add_argument("--default-allocator", action="store_true", help="leave the C library's settings alone")
    arguments = parser.parse_args()
    if not arguments.default_allocator:
        keep_large_blocks()
    clock = CLOCKS[arguments.clock]
    net = load_model(arguments.model)
    images = torch.randn(arguments.images, 3, *net.input_size, generator=torch.Generator().manual_seed(0))
    # No image may stop early, because both must do the same work.
    mdm = MDM(net, preset=arguments.preset, batch_size=arguments.batch_size, steps=arguments.steps, patience=0)
    found = mdm(images, 0)
    backward = int(found.backward_passes[0])
    forward = int(found.forward_passes[0])
    if found.backward_passes.tolist() != [backward] * len(images):
        raise SystemExit("the images did not take the same passes")
    settings = mdm.settings
    ratios, calls, bares = [], [], []
    with untouched(net.model):
        network = PreparedModel(net.model, way=way_for(settings.speed, "cpu"))
        with torch.no_grad():
            network.first(images[:1])
        pass_seconds(network, images[: arguments.batch_size], clock)
        for _ in range(arguments.repeats):
            started = clock()
            mdm(images, 0)
            calls.append(clock() - started)
            work = {"batch_size": arguments.batch_size, "steps": backward, "forwards": forward - backward}
            bares.append(bare_passes(network, images, **work, clock=clock))
            ratios.append(calls[-1] / bares[-1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{arguments.model}, {network.how}; {torch.get_num_threads()} threads, {arguments.clock} time")
    print(f"passes an image: {forward} forward, {backward} backward; batch {arguments.batch_size}")
    call, bare = statistics.median(calls), statistics.median(bares)
    print(
        f"MDM {call:.2f} s, bare passes {bare:.2f} s ({1000 * bare / len(images) / backward:.1f} ms a step and image)"
    )
    print(f"overhead: {statistics.median(ratios):.3f} x (from {min(ratios):.3f} to {max(ratios):.3f})")
    print(f"peak memory: {peak:.0f} MiB")


if __name__ == "__main__":
    main()
