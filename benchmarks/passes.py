"""Speed of a forward and backward pass on this machine: memory format, precision, folding, compilation.

    python -m benchmarks.passes [--model bundled] [--batch-size 8] [--repeats 5] [--clock wall] [--compile]

All variants run in turn in one process, so other load on the machine affects all of them equally. Prints for each
variant the median of the milliseconds per image, the median of its ratio to the plain variant in the same turn, and the
time of its first pass.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from maskstack.allocator import keep_large_blocks
from maskstack.models import load_model
from maskstack.scoring.prepared import PreparedModel
from maskstack.scoring.untouched import untouched
from maskstack.speed import PLAIN, Way

CLOCKS: Mapping[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}
"""The two clocks; with one thread, processor time can be measured while other processes run."""

WAYS: Mapping[str, Way] = {
    "plain": PLAIN,
    "channels last": Way(channels_last=True),
    "folded": Way(fold=True),
    "channels last, folded": Way(channels_last=True, fold=True),
    "bf16": Way(half=True),
    "bf16, channels last": Way(half=True, channels_last=True),
    "bf16, channels last, folded": Way(half=True, channels_last=True, fold=True),
}
COMPILED: Mapping[str, Way] = {"channels last, compiled": Way(channels_last=True, compile=True)}


def pass_seconds(network: PreparedModel, images: Tensor, clock: Callable[[], float]) -> float:
    """Seconds of one forward pass and one backward pass, which computes the gradient with respect to the images."""
    started = clock()
    leaf = images.clone().requires_grad_(True)
    torch.autograd.grad(network(leaf).float()[:, 0].sum(), leaf)
    return clock() - started


def main() -> None:
    """Time all variants in turn, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu needs OMP_NUM_THREADS=1")
    parser.add_argument("--compile", action="store_true", help="compiled passes as well")
    parser.add_argument("--default-allocator", action="store_true", help="leave the C library's settings alone")
    arguments = parser.parse_args()
    if not arguments.default_allocator:
        keep_large_blocks()
    clock = CLOCKS[arguments.clock]
    net = load_model(arguments.model)
    images = torch.randn(arguments.batch_size, 3, *net.input_size, generator=torch.Generator().manual_seed(0))
    ways = {**WAYS, **(COMPILED if arguments.compile else {})}
    with untouched(net.model):
        networks, first = {}, {}
        for name, way in ways.items():
            started = clock()
            networks[name] = PreparedModel(net.model, way=way)
            with torch.no_grad():
                networks[name].first(images[:1])
            pass_seconds(networks[name], images, clock)
            first[name] = clock() - started
        times: dict[str, list[float]] = {name: [] for name in networks}
        for _ in range(arguments.repeats):
            for name, network in networks.items():
                times[name].append(pass_seconds(network, images, clock))
    print(f"{arguments.model}, batch {len(images)}, {torch.get_num_threads()} threads, {arguments.clock} time")
    print("| way | first pass, s | ms an image | against plain |")
    print("|---|---|---|---|")
    for name, own in times.items():
        ratio = statistics.median(one / plain for one, plain in zip(own, times["plain"], strict=True))
        each = 1000 * statistics.median(own) / len(images)
        print(f"| {name} ({networks[name].folded} folded) | {first[name]:.1f} | {each:.1f} | {ratio:.2f} x |")


if __name__ == "__main__":
    main()
