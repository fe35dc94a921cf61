import io
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image, ImageChops

from maskstack import InputError
from maskstack.draw.animation import MOST_BYTES, MOST_FRAMES, animation, frame_steps

PHOTO = np.linspace(0, 1, 48 * 64 * 3, dtype=np.float32).reshape(48, 64, 3)


def stacks(count, seed=0):
    chance = np.random.default_rng(seed)
    return [(step, chance.random((48, 64), dtype=np.float32)) for step in range(1, count + 1)]


@pytest.mark.parametrize("kind", ["gif", "webp"])
def test_it_moves_and_repeats(kind):
    film = Image.open(io.BytesIO(animation(PHOTO, stacks(5), steps=10, kind=kind)))
    assert film.format.lower() == kind
    assert film.n_frames == 5
    assert film.info["loop"] == 0
    frames = []
    for index in range(5):
        film.seek(index)
        frames.append(film.convert("RGB"))
    assert all(ImageChops.difference(one, two).getbbox() for one, two in pairwise(frames))
    # The progress bar is short in the first frame and full in the last one, also if the search ended early.
    bars = [np.asarray(frame)[-2, :, 2] > 128 for frame in (frames[0], frames[-1])]
    assert bars[0].mean() < 0.2
    assert bars[1].mean() > 0.95


@pytest.mark.slow
def test_a_large_one_is_drawn_smaller():
    chance = np.random.default_rng(0)
    found = [(step, chance.random((400, 600), dtype=np.float32)) for step in range(1, 13)]
    drawn = animation(chance.random((400, 600, 3), dtype=np.float32), found, steps=12, kind="gif")
    assert MOST_BYTES / 2 < len(drawn) <= MOST_BYTES
    film = Image.open(io.BytesIO(drawn))
    assert film.n_frames == 12
    assert film.width / film.height == pytest.approx(600 / 404, rel=0.02)


@pytest.mark.parametrize("steps", [1, 2, 39, 40, 41, 80, 200, 1000])
def test_the_steps_shown_are_few_and_whole(steps):
    shown = frame_steps(steps)
    assert (shown[0], shown[-1]) == (1, steps)
    assert len(shown) == min(steps, MOST_FRAMES)
    assert shown == sorted(set(shown))


@pytest.mark.parametrize(
    ("found", "kind", "match"),
    [(stacks(2), "mp4", "gif or webp"), ([], "gif", "no step"), ([(1, np.zeros((8, 8)))], "gif", "same size")],
)
def test_bad_input(found, kind, match):
    with pytest.raises(InputError, match=match):
        animation(PHOTO, found, steps=2, kind=kind)
