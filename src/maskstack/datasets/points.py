"""Points of a picture carried to the network's input."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from maskstack.datasets.annotated import Point
from maskstack.datasets.coordinates import Origins

_NEIGHBOURS = 3  # Pixels to each side from which a point's exact place is worked out.


def nearest_pixel(point: Point, origins: Origins) -> tuple[int, int] | None:
    """Row and column of the pixel in which a point of the picture comes out; None if it is cut away."""
    distance: NDArray[np.float32] = np.hypot(origins.x - point[0], origins.y - point[1])
    row, column = divmod(int(distance.argmin()), distance.shape[1])
    # Half a step is the farthest a point can be from the centre of its pixel; half a pixel of the picture more where
    # pixels are picked rather than mixed, which makes the steps uneven.
    across, down = ((step + 1) / 2 + off for step, off in zip(origins.step, origins.rounding, strict=True))
    if distance[row, column] > np.hypot(across, down):
        return None
    return row, column


def carried_point(point: Point, origins: Origins) -> Point | None:
    """Where in the network's input a point of the picture comes out; None if it is cut away.

    Args:
        point: Across and down, in pixels of the picture.
        origins: Of the input's pixels.

    Returns:
        Across and down in pixels of the input, whose top left corner is 0, 0; truncated they are a pixel of it.
    """
    nearest = nearest_pixel(point, origins)
    if nearest is None:
        return None
    row, column = nearest
    rows, columns = (slice(max(at - _NEIGHBOURS, 0), at + _NEIGHBOURS + 1) for at in nearest)
    down, across = (grid[rows, columns].ravel() for grid in np.mgrid[: origins.x.shape[0], : origins.x.shape[1]])
    x, y = origins.x[rows, columns].ravel(), origins.y[rows, columns].ravel()
    seen = np.isfinite(x)
    # The plane through the neighbours' origins evens out the rounding of their values.
    here = np.stack([across - column, down - row, np.ones_like(down)], axis=1)[seen]
    plane, _, rank, _ = np.linalg.lstsq(here, np.stack([x, y], axis=1)[seen], rcond=None)
    shift = np.zeros(2)
    if rank == 3 and abs(np.linalg.det(plane[:2])) > 1e-9:
        shift = np.linalg.solve(plane[:2].T, np.array(point) - plane[2])
    # The nearest centre is half a pixel away, or a little more; beyond, the plane is not to be believed.
    height, width = origins.x.shape
    beside = max(1, 0.5 / max(min(origins.step), 1e-6))
    if not (_lies(column + 0.5 + shift[0], width, beside) and _lies(row + 0.5 + shift[1], height, beside)):
        return None
    shift = shift.clip(-1, 1)
    return _within(column + 0.5 + shift[0], width), _within(row + 0.5 + shift[1], height)


def _lies(place: float, length: int, beside: float) -> bool:
    """Whether a place is one of so many pixels, or no farther beside them: a pixel, or half of one of the picture."""
    return -beside <= place <= length + beside


def _within(place: float, length: int) -> float:
    """A place that truncates to one of so many pixels."""
    return float(min(max(place, 0.0), length - 0.01))
