"""What explaining a folder of photos takes beyond the searches themselves.

    python -m benchmarks.folder FOLDER [--photos 50] [--model bundled] [--preset fast]

The same photos are searched without files and pictures, and explained into a temporary folder, both in this process.
Prints wall and processor seconds for each photo, their ratios and the peak memory.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

from maskstack import MDM
from maskstack.cli.results import ResultReporter
from maskstack.jobs.explain import ExplainRequest, explain_photos
from maskstack.jobs.listing import photo_files
from maskstack.models import load_model, open_photo


def main() -> None:
    """Measure the searches, then the whole job, and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--photos", type=int, default=50)
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--preset", default="fast")
    parser.add_argument("--smoke", action="store_true", help="two photos and two steps")
    arguments = parser.parse_args()
    settings = {"steps": 2} if arguments.smoke else {}
    files = photo_files((arguments.folder,))[: 2 if arguments.smoke else arguments.photos]
    net = load_model(arguments.model)
    mdm = MDM(net, preset=arguments.preset, **settings)
    mdm(net.preprocess(open_photo(files[0])).unsqueeze(0))  # warm-up
    wall, processor = time.perf_counter(), time.process_time()
    for file in files:
        mdm(net.preprocess(open_photo(file)).unsqueeze(0))
    searched = time.perf_counter() - wall, time.process_time() - processor
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
    for name, alone, both in zip(("wall", "processor"), searched, whole, strict=True):
        print(
            f"{name} seconds for each photo: searches {alone / len(files):.2f}, whole job {both / len(files):.2f}; "
            f"ratio {both / alone:.2f} x"
        )
    print(f"peak memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB, {len(files)} photos")


if __name__ == "__main__":
    main()
