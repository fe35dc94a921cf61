"""How time and memory grow with the number of images in a call.

    python -m benchmarks.scaling [--model bundled] [--images 1,2,4,8,16,32,64] [--batch-size 8] [--steps 10]

Each number of images runs in a process of its own, because the peak memory of a process never decreases. The first call
(one batch) is for warm-up, the second is timed. Prints seconds, seconds per image and peak memory.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys

import torch

from benchmarks.passes import CLOCKS
from maskstack import MDM
from maskstack.allocator import keep_large_blocks
from maskstack.models import load_model


def one(arguments: argparse.Namespace, count: int) -> tuple[float, float]:
    """Seconds of a call with this number of images, and the peak memory of the process in MiB."""
    keep_large_blocks()
    clock = CLOCKS[arguments.clock]
    net = load_model(arguments.model)
    images = torch.randn(count, 3, *net.input_size, generator=torch.Generator().manual_seed(0))
    mdm = MDM(net, batch_size=arguments.batch_size, steps=arguments.steps, patience=0)
    MDM(net, batch_size=arguments.batch_size, steps=1)(images[: arguments.batch_size], 0)
    started = clock()
    mdm(images, 0)
    return clock() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Measure each number of images in a process of its own, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--images", default="1,2,4,8,16,32,64")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu needs OMP_NUM_THREADS=1")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(*one(arguments, arguments.one))
        return
    print(f"{arguments.model}, batch {arguments.batch_size}, {arguments.steps} steps, {arguments.clock} time")
    print("| images | s | s an image | peak, MiB |")
    print("|---|---|---|---|")
    for count in map(int, arguments.images.split(",")):
        command = [sys.executable, "-m", "benchmarks.scaling", *sys.argv[1:], "--one", str(count)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        seconds, peak = map(float, done.stdout.split()[-2:])
        print(f"| {count} | {seconds:.2f} | {seconds / count:.3f} | {peak:.0f} |", flush=True)


if __name__ == "__main__":
    main()
