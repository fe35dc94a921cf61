"""The drawing looks as it did: three photos against stored pictures.

If the drawing is changed on purpose, look at the new pictures that ``MASKSTACK_NEW_PICTURES=1 pytest`` stores.
"""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskstack.draw.overlay import overlay
from maskstack.geometry import Geometry
from maskstack.models import Preprocess
from maskstack.samples import NAMES, sample_photos

FOLDER = Path(__file__).parent / "golden"
CASES = [
    ("cat", {"style": "contour", "word": "reliable", "lines": ["tiger cat 60%"]}),
    ("coffee", {"style": "heat", "word": "doubtful", "lines": ["espresso 95%"]}),
    ("coffee", {"style": "contour", "word": "reliable", "lines": ["espresso 95%"]}),
    ("cameraman", {"style": "masked", "word": "do not use", "lines": ["tripod 94%"]}),
    ("cameraman", {"style": "contour", "word": "do not use", "lines": ["tripod 94%"]}),
]


def hills() -> np.ndarray:
    """A map of two hills that does not depend on random numbers."""
    rows, columns = np.mgrid[:56, :56] / 56
    near = np.exp(-((rows - 0.4) ** 2 + (columns - 0.55) ** 2) / 0.03)
    far = 0.7 * np.exp(-((rows - 0.75) ** 2 + (columns - 0.2) ** 2) / 0.008)
    return np.maximum(near, far).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "options"), CASES, ids=lambda value: value if isinstance(value, str) else value["style"]
)
def test_a_photo_is_drawn_as_before(name: str, options: dict) -> None:
    photo = sample_photos()[NAMES.index(name)]
    photo.thumbnail((320, 320))
    place = Geometry((photo.height, photo.width), (56, 56), Preprocess(size=(56, 56)).box(photo.size))
    saliency = hills()
    drawn = overlay(photo, saliency, geometry=place, region=saliency > 0.45, core=saliency > 0.85, **options)
    file = FOLDER / f"{name}.{options['style']}.webp"
    if "MASKSTACK_NEW_PICTURES" in os.environ:
        FOLDER.mkdir(exist_ok=True)
        drawn.save(file, quality=92)
    with Image.open(file) as stored:
        before = np.asarray(stored.convert("RGB")).astype(int)
    now = np.asarray(drawn).astype(int)
    assert now.shape == before.shape
    # The stored pictures are compressed with losses, and fonts and resizing may differ a little between versions.
    assert np.abs(now - before).mean() < 4
    assert (np.abs(now - before).max(axis=2) > 60).mean() < 0.005
