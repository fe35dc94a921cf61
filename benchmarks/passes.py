"""How fast a bare forward and backward pass can be on this processor: memory format, precision, folding, compilation.

    python -m benchmarks.passes [--batch-size 8] [--repeats 5]

Each way runs in a process of its own, with and without the allocator's setting of the command line, as both leave
traces in a process. Prints milliseconds an image, and each way's ratio to the plain one of the same run.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch.fx.experimental.optimization import fuse

from maskstack.cli.allocator import keep_large_blocks
from maskstack.models import load_model

WAYS = ("plain", "channels_last", "folded channels_last", "bf16", "bf16 channels_last", "bf16 folded channels_last",
        "compiled channels_last")  # fmt: skip


def time_way(way: str, batch_size: int, repeats: int) -> tuple[float, float]:
    """Seconds of the first pass, and the best of the others in milliseconds an image."""
    net = load_model("bundled")
    network = net.model.requires_grad_(False)
    if "folded" in way:
        network = fuse(copy.deepcopy(network))
    call: Callable[..., Any] = torch.compile(network, dynamic=False) if "compiled" in way else network
    layout = torch.channels_last if "channels_last" in way else torch.contiguous_format
    images = torch.randn(batch_size, 3, *net.input_size).contiguous(memory_format=layout)
    times = []
    for _ in range(repeats + 1):
        started = time.perf_counter()
        leaf = images.clone().requires_grad_(True)
        cast = torch.autocast("cpu", dtype=torch.bfloat16) if "bf16" in way else contextlib.nullcontext()
        with cast:
            output = call(leaf)
        torch.autograd.grad(output.float()[:, 0].sum(), leaf)
        times.append(time.perf_counter() - started)
    return times[0], 1000 * min(times[1:]) / batch_size


def main() -> None:
    """Time every way in a process of its own, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--keep", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        if arguments.keep:
            keep_large_blocks()
        print(*time_way(arguments.way, arguments.batch_size, arguments.repeats))
        return
    print(f"batch {arguments.batch_size}, {torch.get_num_threads()} threads")
    print("| way | allocator | first pass, s | ms an image | against plain |")
    print("|---|---|---|---|---|")
    plain = 0.0
    for way in WAYS:
        for keep in (False, True):
            options = ["--batch-size", str(arguments.batch_size), "--repeats", str(arguments.repeats), "--way", way]
            command = [sys.executable, "-m", "benchmarks.passes", *options, *(["--keep"] if keep else [])]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            kind = "keeps large blocks" if keep else "default"
            if done.returncode:
                print(f"| {way} | {kind} | failed: {done.stderr.strip().splitlines()[-1][:80]} | | |", flush=True)
                continue
            first, each = map(float, done.stdout.split()[-2:])
            plain = plain or each
            print(f"| {way} | {kind} | {first:.1f} | {each:.1f} | {each / plain:.2f} x |", flush=True)


if __name__ == "__main__":
    main()
