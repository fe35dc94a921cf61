"""Points of an image in the coordinates of the network's input."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from maskstack.datasets.annotated import Point
from maskstack.models.tracing import SourceCoordinates, Tracer

__all__ = ["SourceCoordinates", "Tracer", "nearest_pixel", "transform_point"]

_NEIGHBOURS = 3  # Pixels to each side that determine the exact position of a point.


def nearest_pixel(point: Point, sources: SourceCoordinates) -> tuple[int, int] | None:
    """Row and column of the input pixel that shows a point of the image; None if the point is cropped away."""
    distance: NDArray[np.float32] = np.hypot(sources.x - point[0], sources.y - point[1])
    row, column = divmod(int(distance.argmin()), distance.shape[1])
    # A point is at most half a step from the centre of its pixel, and half an image pixel more where nearest-neighbour
    # resizing makes the steps uneven.
    across, down = ((step + 1) / 2 + off for step, off in zip(sources.step, sources.rounding, strict=True))
    if distance[row, column] > np.hypot(across, down):
        return None
    return row, column


def transform_point(point: Point, sources: SourceCoordinates) -> Point | None:
    """Position in the network's input of a point of the image; None if the point is cropped away.

    Args:
        point: x and y in pixels of the image.
        sources: Source coordinates of the input's pixels.

    Returns:
        x and y in pixels of the input, whose top left corner is 0, 0; rounded down, they index a pixel of the input.
    """
    nearest = nearest_pixel(point, sources)
    if nearest is None:
        return None
    row, column = nearest
    rows, columns = (slice(max(at - _NEIGHBOURS, 0), at + _NEIGHBOURS + 1) for at in nearest)
    down, across = (grid[rows, columns].ravel() for grid in np.mgrid[: sources.x.shape[0], : sources.x.shape[1]])
    x, y = sources.x[rows, columns].ravel(), sources.y[rows, columns].ravel()
    seen = np.isfinite(x)
    # A plane fitted to the neighbours' source coordinates averages out their rounding errors.
    here = np.stack([across - column, down - row, np.ones_like(down)], axis=1)[seen]
    plane, _, rank, _ = np.linalg.lstsq(here, np.stack([x, y], axis=1)[seen], rcond=None)
    shift = np.zeros(2)
    if rank == 3 and abs(np.linalg.det(plane[:2])) > 1e-9:
        shift = np.linalg.solve(plane[:2].T, np.array(point) - plane[2])
    # The nearest centre is about half a pixel away; farther away, the fitted plane is not reliable.
    height, width = sources.x.shape
    margin = max(1, 0.5 / max(min(sources.step), 1e-6))
    if not (_in_range(column + 0.5 + shift[0], width, margin) and _in_range(row + 0.5 + shift[1], height, margin)):
        return None
    shift = shift.clip(-1, 1)
    return _clamped(column + 0.5 + shift[0], width), _clamped(row + 0.5 + shift[1], height)


def _in_range(place: float, length: int, margin: float) -> bool:
    """Whether a position is within a side of ``length`` pixels, or at most ``margin`` outside of it."""
    return -margin <= place <= length + margin


def _clamped(place: float, length: int) -> float:
    """The nearest position that, rounded down, is one of ``length`` pixels."""
    return float(min(max(place, 0.0), length - 0.01))
