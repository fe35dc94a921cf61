"""The demonstration of ``make demo``: what did a real ImageNet network see in three real photographs?

Usage: python examples/demo.py [FOLDER]
"""

import sys
from pathlib import Path

from PIL import Image
from skimage import data

from maskstack.cli.main import main


def demo(out: str) -> int:
    """Explain scikit-image's cat, coffee and cameraman with the bundled network."""
    photos = {"cat": data.chelsea(), "coffee": data.coffee(), "cameraman": data.camera()}
    files = [Path(out) / "photos" / f"{name}.png" for name in photos]
    for file, pixels in zip(files, photos.values(), strict=True):
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(file)
    return main(["explain", *map(str, files), "--out", out])


if __name__ == "__main__":
    sys.exit(demo(sys.argv[1] if len(sys.argv) > 1 else "out/demo"))
