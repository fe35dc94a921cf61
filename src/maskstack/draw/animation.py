"""Masks while they are learned, as an animation."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from maskstack.draw.overlay import as_rgb, overlay
from maskstack.errors import InputError

FORMATS = ("gif", "webp")

MOST_FRAMES = 40
"""More would make a large file, and are no smoother to the eye."""

FRAME, LAST = 120, 2000
"""Milliseconds that a frame stays, and the last one."""

MOST_BYTES = 2_000_000
"""Larger files are drawn again with smaller frames: photographs hardly compress as GIF."""

_BAR = 4


def frame_steps(steps: int) -> list[int]:
    """The steps of a search that are shown: all of few, evenly chosen ones of many, always the first and the last.

    >>> frame_steps(3), len(frame_steps(200)), frame_steps(200)[-1]
    ([1, 2, 3], 40, 200)
    """
    count = min(steps, MOST_FRAMES)
    return sorted({round(1 + index * (steps - 1) / max(count - 1, 1)) for index in range(count)})


def animation(image: Any, stacks: Sequence[tuple[int, NDArray[np.float32]]], *, steps: int, kind: str) -> bytes:
    """Draw a search as an animation that repeats: the stacked masks over the photo, and a bar that says how far it is.

    Args:
        image: What the network saw, see :func:`maskstack.draw.overlay.as_rgb`.
        stacks: Step and stacked masks, H x W in [0, 1], from the first step to the last.
        steps: Steps of a whole search.
        kind: ``gif`` or ``webp``.

    Returns:
        The file, of at most :data:`MOST_BYTES`; frames have the photo's size where that is kept.

    Raises:
        InputError: There is no such kind, no frame, or masks are not of the photo's size.
    """
    if kind not in FORMATS:
        raise InputError(f"there is no animation of kind {kind!r}; write gif or webp")
    if not stacks:
        raise InputError("there is no step to draw; let the search take one at least")
    photo = as_rgb(image)
    frames = [_frame(photo, stack, step / steps) for step, stack in stacks]
    frames[-1] = _frame(photo, stacks[-1][1], 1.0)
    drawn = _file(frames, kind)
    while len(drawn) > MOST_BYTES:
        share = 0.95 * (MOST_BYTES / len(drawn)) ** 0.5
        width, height = (max(round(share * side), 1) for side in frames[0].size)
        frames = [frame.resize((width, height)) for frame in frames]
        drawn = _file(frames, kind)
    return drawn


def _file(frames: Sequence[Image.Image], kind: str) -> bytes:
    options: dict[str, Any] = {"quality": 80} if kind == "webp" else {"optimize": True}
    file = io.BytesIO()
    frames[0].save(
        file,
        format=kind,
        save_all=True,
        append_images=frames[1:],
        duration=[FRAME] * (len(frames) - 1) + [LAST],
        loop=0,
        **options,
    )
    return file.getvalue()


def _frame(photo: NDArray[np.float32], stack: NDArray[np.float32], done: float) -> Image.Image:
    shown = overlay(photo, stack)
    frame = Image.new("RGB", (shown.width, shown.height + _BAR), (40, 40, 40))
    frame.paste(shown)
    bar = ImageDraw.Draw(frame)
    bar.rectangle((0, shown.height, round(done * shown.width), shown.height + _BAR), fill=(86, 180, 233))
    return frame
