"""Animation of the masks during a search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from maskstack.draw.overlay import bounded, overlay
from maskstack.draw.pictures import encoded
from maskstack.errors import InputError
from maskstack.geometry import Geometry

FORMATS = ("gif", "webp")

MOST_FRAMES = 40
"""Largest number of frames; more make the file larger but not visibly smoother."""

FRAME, LAST = 120, 2000
"""Duration of a frame and of the last frame, in milliseconds."""

MOST_SIDE = 800
"""Largest number of pixels of a frame's longer side."""

MOST_BYTES = 2_000_000
"""Maximum size of the file in bytes. GIF hardly compresses photographs, so too large files get smaller frames."""

_BAR = 4  # Height of the progress bar in pixels.


def frame_steps(steps: int) -> list[int]:
    """The steps of a search to draw: at most :data:`MOST_FRAMES`, evenly spaced, with the first and the last.

    >>> frame_steps(3), len(frame_steps(200)), frame_steps(200)[-1]
    ([1, 2, 3], 40, 200)
    """
    count = min(steps, MOST_FRAMES)
    return sorted({round(1 + index * (steps - 1) / max(count - 1, 1)) for index in range(count)})


def animation(
    image: Any,
    stacks: Sequence[tuple[int, NDArray[np.float32]]],
    *,
    steps: int,
    kind: str,
    geometry: Geometry | None = None,
) -> bytes:
    """Draw a search as a repeating animation of the stacked masks over the photo, with a progress bar.

    Args:
        image: The photo, or the image that the network sees, see :func:`maskstack.draw.overlay.overlay`.
        stacks: Step and stacked masks, H x W in [0, 1], in the order of the steps.
        steps: Number of steps of the whole search.
        kind: ``gif`` or ``webp``.
        geometry: Where the network's input lies in the photo; None if it is the whole image at its own size.

    Returns:
        Content of the file, at most :data:`MOST_BYTES`; frames have the photo's size if it is at most
        :data:`MOST_SIDE` pixels and the file is small enough.

    Raises:
        InputError: The kind is unknown, there is no frame, or the masks do not have the photo's size.
    """
    if kind not in FORMATS:
        raise InputError(f"the kind of animation is {kind!r}; it must be gif or webp")
    if not stacks:
        raise InputError("there is no step to draw; run the search for at least one step")
    photo, place = bounded(image, stacks[0][1], geometry, MOST_SIDE)
    frames = [_frame(photo, stack, place, step / steps) for step, stack in stacks]
    frames[-1] = _frame(photo, stacks[-1][1], place, 1.0)
    drawn = _file(frames, kind)
    while len(drawn) > MOST_BYTES:
        share = 0.95 * (MOST_BYTES / len(drawn)) ** 0.5
        width, height = (max(round(share * side), 1) for side in frames[0].size)
        frames = [frame.resize((width, height)) for frame in frames]
        drawn = _file(frames, kind)
    return drawn


def _file(frames: Sequence[Image.Image], kind: str) -> bytes:
    options: dict[str, Any] = {"quality": 80} if kind == "webp" else {"optimize": True}
    times = [FRAME] * (len(frames) - 1) + [LAST]
    return encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=times, loop=0, **options)


def _frame(photo: Image.Image, stack: NDArray[np.float32], place: Geometry, done: float) -> Image.Image:
    shown = overlay(photo, stack, geometry=place)
    frame = Image.new("RGB", (shown.width, shown.height + _BAR), (40, 40, 40))
    frame.paste(shown)
    bar = ImageDraw.Draw(frame)
    bar.rectangle((0, shown.height, round(done * shown.width), shown.height + _BAR), fill=(86, 180, 233))
    return frame
