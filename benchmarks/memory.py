"""How much the peak memory of one call grows with the number of images.

    python -m benchmarks.memory [--model bundled] [--few 8] [--many 128] [--batch-size 8] [--steps 4]

Each number of images runs in a process of its own, because the peak memory of a process never decreases. Prints both
peaks, their ratio, and the MiB of each further image beside those that its tensors and its result take.
"""

from __future__ import annotations

import argparse
import dataclasses
import resource
import subprocess
import sys
from typing import Any

import torch
from torch import Tensor

from maskstack import MDM
from maskstack.allocator import keep_large_blocks
from maskstack.models import load_model

MIB = 2**20


def one(arguments: argparse.Namespace, count: int) -> tuple[float, float]:
    """Peak memory of the process in MiB, and the MiB of an image with its explanation."""
    keep_large_blocks()
    net = load_model(arguments.model)
    images = torch.randn(count, 3, *net.input_size, generator=torch.Generator().manual_seed(0))
    mdm = MDM(net, batch_size=arguments.batch_size, steps=arguments.steps, patience=0)
    found = mdm(images, 0)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return peak, (held(images) + held(found)) / count / MIB


def held(value: Any) -> int:
    """Bytes of the tensors in a tensor, a tuple or a dataclass."""
    if isinstance(value, Tensor):
        return value.numel() * value.element_size()
    if isinstance(value, tuple):
        return sum(map(held, value))
    if dataclasses.is_dataclass(value):
        return sum(held(getattr(value, field.name)) for field in dataclasses.fields(value))
    return 0


def main() -> None:
    """Measure both numbers of images, and print the ratio of their peaks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--few", type=int, default=8)
    parser.add_argument("--many", type=int, default=128)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--smoke", action="store_true", help="compare one image with two, in one step")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.smoke:
        arguments.few, arguments.many, arguments.steps = 1, 2, 1
    if not 0 < arguments.few < arguments.many:
        raise SystemExit(f"--few {arguments.few} has to be below --many {arguments.many}, and above 0")
    if arguments.one:
        print(*one(arguments, arguments.one))
        return
    peaks = []
    for count in (arguments.few, arguments.many):
        command = [sys.executable, "-m", "benchmarks.memory", *sys.argv[1:], "--one", str(count)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"the process with {count} images failed, so it was not measured: {done.stderr[-500:]}")
        peak, own = map(float, done.stdout.split()[-2:])
        peaks.append(peak)
        print(f"{count} images: peak {peak:.0f} MiB", flush=True)
    each = (peaks[1] - peaks[0]) / (arguments.many - arguments.few)
    print(f"each further image: {each:.2f} MiB, of which its tensors and its explanation are {own:.2f} MiB")
    print(f"ratio of the peaks: {peaks[1] / peaks[0]:.3f} x")


if __name__ == "__main__":
    main()
