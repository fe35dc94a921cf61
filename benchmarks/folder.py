"""What explaining a folder of photos takes: each photo alone, a few together, and the whole job with its files.

    python -m benchmarks.folder FOLDER [--photos 50] [--model bundled] [--preset fast]

The same photos are searched for one at a time, then in groups as large as ``maskstack explain`` makes them, both
without files and pictures, and then explained into a temporary folder, all in this process. Prints wall and processor
seconds for each photo, their ratios, the rank correlation of the maps of the first two, and the peak memory.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import torch
from torch import Tensor

from maskstack import MDM
from maskstack.allocator import keep_large_blocks
from maskstack.cli.results import ResultReporter
from maskstack.jobs.explain import ExplainRequest, explain_photos
from maskstack.jobs.listing import photo_files
from maskstack.jobs.photo_group import together
from maskstack.masks.settings import SearchOptions
from maskstack.models import load_model, open_photo
from maskstack.reliability.measure import likeness


def main() -> None:
    """Measure the searches, then the whole job, and print the ratios."""
    keep_large_blocks()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--photos", type=int, default=50)
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--preset", default="fast")
    parser.add_argument("--smoke", action="store_true", help="two photos and two steps")
    arguments = parser.parse_args()
    settings: SearchOptions = {"steps": 2} if arguments.smoke else {}
    files = photo_files((arguments.folder,))[: 2 if arguments.smoke else arguments.photos]
    net = load_model(arguments.model)
    mdm = MDM(net, preset=arguments.preset, **settings)
    images = torch.stack([net.preprocess(open_photo(file)) for file in files])
    size = together(mdm.settings, images.device)
    if size == 1:
        raise SystemExit(f"with the preset {arguments.preset} each photo is searched for alone; nothing is compared")
    mdm(images[:size])  # warm-up
    alone, alone_took = searched(mdm, images, 1)
    grouped, searches_took = searched(mdm, images, size)
    alike = likeness(alone, grouped)
    print(
        f"one at a time and {size} together: rank correlation of the maps at least {float(alike.min()):.4f}, "
        f"mean {float(alike.mean()):.4f}, {len(files)} photos"
    )
    with tempfile.TemporaryDirectory() as out:
        request = ExplainRequest(
            photos=files, model=arguments.model, preset=arguments.preset, settings=settings, out=Path(out)
        )
        reporter = ResultReporter(as_json=True)
        wall, processor = time.perf_counter(), time.process_time()
        explain_photos(request, reporter)
        whole = time.perf_counter() - wall, time.process_time() - processor
    if len(reporter.document["results"]) != len(files):
        raise SystemExit(
            f"{len(reporter.document['results'])} of {len(files)} photos were explained; nothing is compared"
        )
    for name, *took in zip(("wall", "processor"), alone_took, searches_took, whole, strict=True):
        one, several, job = (seconds / len(files) for seconds in took)
        print(
            f"{name} seconds for each photo: searches alone {one:.2f}, {size} together {several:.2f}, ratio "
            f"{one / several:.2f} x; whole job {job:.2f}, ratio {job / several:.2f} x"
        )
    print(f"peak memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB, {len(files)} photos")


def searched(mdm: MDM, images: Tensor, size: int) -> tuple[Tensor, tuple[float, float]]:
    """The maps of groups of this size, B x 1 x H x W, and the wall and processor seconds of all."""
    wall, processor = time.perf_counter(), time.process_time()
    maps = [mdm(images[first : first + size]).saliency for first in range(0, len(images), size)]
    return torch.cat(maps), (time.perf_counter() - wall, time.process_time() - processor)


if __name__ == "__main__":
    main()
