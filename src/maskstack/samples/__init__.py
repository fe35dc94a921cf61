"""Three photographs that come with the package, all dedicated to the public domain; see ``LICENSES.md`` beside them."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from PIL import Image

NAMES = ("cat", "coffee", "cameraman")
"""Names of the photographs: a tabby cat, a cup of espresso and a photographer with a tripod."""


def sample_photos() -> list[Image.Image]:
    """The photographs as RGB images, in the order of :data:`NAMES`.

    >>> [photo.size for photo in sample_photos()]
    [(451, 300), (600, 400), (512, 512)]
    """
    photos = []
    for file in sample_files():
        with Image.open(file) as photo:
            photos.append(photo.convert("RGB"))
    return photos


def sample_files() -> list[Path]:
    """Paths of the photographs' JPEG files, in the order of :data:`NAMES`."""
    return [Path(str(resources.files(__package__))) / f"{name}.jpg" for name in NAMES]
