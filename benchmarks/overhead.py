"""Overhead of MDM: a whole call compared with bare forward and backward passes of one prepared network, in one run.

    python -m benchmarks.overhead [--images 8] [--batch-size 8] [--preset default] [--steps 25] [--clock wall]

Both do the same number of passes at the same batch size, memory format, precision and folding. The bare passes of a
step are run directly after it, so that a change of the machine's speed affects both alike. Prints the ratio, the number
of passes and the peak memory of the process.
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
from maskstack.masks.result import Progress
from maskstack.models import load_model
from maskstack.scoring.prepared import PreparedModel
from maskstack.scoring.untouched import untouched
from maskstack.speed import way_for


class BarePasses:
    """Runs a search's passes without the search: those of a step after each step, the others after the call.

    Attributes:
        seconds: What they took so far.
    """

    def __init__(
        self, network: PreparedModel, images: Tensor, *, batch_size: int, a_step: int, clock: Callable[[], float]
    ) -> None:
        self.network, self.images, self.batch_size, self.a_step, self.clock = network, images, batch_size, a_step, clock
        self.seconds = 0.0

    def __call__(self, progress: Progress) -> None:
        """Run the forward and backward passes of a step, for the images of the group at work."""
        groups = torch.split(self.images, self.batch_size)
        own = groups[(progress.step - 1) * len(groups) // progress.steps]
        started = self.clock()
        with torch.enable_grad():
            for _ in range(self.a_step):
                pass_seconds(self.network, own, self.clock)
        self.seconds += self.clock() - started

    @torch.no_grad()
    def forward(self, count: int) -> None:
        """Run forward passes of all images."""
        started = self.clock()
        for chunk in torch.split(self.images, self.batch_size):
            for _ in range(count):
                self.network(chunk)
        self.seconds += self.clock() - started


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
            bare = BarePasses(
                network, images, batch_size=arguments.batch_size, a_step=backward // settings.steps, clock=clock
            )
            started = clock()
            mdm(images, 0, progress=bare)
            calls.append(clock() - started - bare.seconds)
            bare.forward(forward - backward)
            bares.append(bare.seconds)
            ratios.append(calls[-1] / bares[-1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{arguments.model}, {network.how}; {torch.get_num_threads()} threads, {arguments.clock} time")
    print(f"passes an image: {forward} forward, {backward} backward; batch {arguments.batch_size}")
    call, passes = statistics.median(calls), statistics.median(bares)
    each = 1000 * passes / len(images) / backward
    print(f"MDM {call:.2f} s, bare passes {passes:.2f} s ({each:.1f} ms a step and image)")
    print(f"overhead: {statistics.median(ratios):.3f} x (from {min(ratios):.3f} to {max(ratios):.3f})")
    print(f"peak memory: {peak:.0f} MiB")


if __name__ == "__main__":
    main()
