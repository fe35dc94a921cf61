"""Overhead of the search: its time against bare forward and backward passes of the same network, in one run.

    python -m benchmarks.overhead [--images 8] [--batch-size 8] [--repeats 3] [--default-allocator]

Both do the same number of passes at the same batch size, memory format and precision. Prints the ratio, the number of
passes and the peak memory of the process.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time

import torch
from torch import Tensor, nn

from maskstack import MDM
from maskstack.cli.allocator import keep_large_blocks
from maskstack.models import load_model


def bare_passes(network: nn.Module, images: Tensor, *, batch_size: int, steps: int, forwards: int) -> float:
    """Seconds of ``steps`` forward and backward passes and ``forwards`` forward passes over all images."""
    started = time.perf_counter()
    for chunk in torch.split(images, batch_size):
        for _ in range(steps):
            leaf = chunk.clone(memory_format=torch.channels_last).requires_grad_(True)
            scores = network(leaf).softmax(dim=1)[:, 0]
            torch.autograd.grad(scores.sum(), leaf)
        with torch.no_grad():
            for _ in range(forwards):
                network(chunk.contiguous(memory_format=torch.channels_last))
    return time.perf_counter() - started


def main() -> None:
    """Measure search and bare passes in turn, and print their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--default-allocator", action="store_true", help="leave the C library's settings alone")
    arguments = parser.parse_args()
    if not arguments.default_allocator:
        keep_large_blocks()
    net = load_model("bundled")
    net.model.requires_grad_(False)
    images = torch.randn(arguments.images, 3, *net.input_size, generator=torch.Generator().manual_seed(0))
    # No problem may leave early, or the two would not do the same work.
    mdm = MDM(net, batch_size=arguments.batch_size, patience=0)
    cost = mdm.cost(1)
    forwards = cost["forward"] - cost["backward"]
    work = {"batch_size": arguments.batch_size, "steps": cost["backward"], "forwards": forwards}
    bare_passes(net.model, images, batch_size=arguments.batch_size, steps=2, forwards=1)
    found = mdm(images, 0)
    if found.backward_passes.tolist() != [work["steps"]] * len(images):
        raise SystemExit("the search did not take the passes it is compared with")
    ratios, searches, bares = [], [], []
    for _ in range(arguments.repeats):
        started = time.perf_counter()
        mdm(images, 0)
        searches.append(time.perf_counter() - started)
        bares.append(bare_passes(net.model, images, **work))
        ratios.append(searches[-1] / bares[-1])
    per_pass = 1000 * statistics.median(bares) / (len(images) * work["steps"])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"passes an image: {cost['forward']} forward, {cost['backward']} backward; batch {arguments.batch_size}")
    search, bare = statistics.median(searches), statistics.median(bares)
    print(f"search {search:.2f} s, bare passes {bare:.2f} s ({per_pass:.1f} ms a pass and image)")
    print(f"overhead: {statistics.median(ratios):.3f} x (from {min(ratios):.3f} to {max(ratios):.3f})")
    print(f"peak memory: {peak:.0f} MiB")


if __name__ == "__main__":
    main()
