"""Where on the image the cells of a feature map and the tokens of a transformer lie."""

from __future__ import annotations

Size = tuple[int, int]
"""Height and width."""

# The usual ones first: none, the class token, a distillation token too, or four registers too.
_PREFIXES = (0, 1, 2, 5, 3, 4, *range(6, 10))
_USUAL_PREFIXES = _PREFIXES[:4]


def fits(grid: Size, image: Size) -> bool:
    """Whether one stride makes such a grid from such an image, give or take a cell of padding or rounding.

    >>> fits((7, 10), (224, 320)), fits((7, 768), (224, 224))
    (True, False)
    """
    strides = [
        (pixels / (cells + 1), pixels / (cells - 1) if cells > 1 else float("inf"))
        for cells, pixels in zip(grid, image, strict=True)
    ]
    return max(low for low, _ in strides) < min(high for _, high in strides)


def token_grid(tokens: int, *, image: Size, patches: Size | None = None) -> tuple[int, Size] | None:
    """Read a sequence of tokens as the cells of a grid, row by row, after some that belong to no place.

    Args:
        tokens: How many there are.
        image: Height and width of the image.
        patches: Height and width of what the network's patch embedding gave, where it is known.

    Returns:
        Number of tokens at the front that belong to no place (class and distillation tokens, registers), and height and
        width of the grid; or None if the tokens fit no grid.

    >>> token_grid(197, image=(224, 224)), token_grid(198, image=(224, 224)), token_grid(201, image=(224, 224))
    ((1, (14, 14)), (2, (14, 14)), (5, (14, 14)))
    >>> token_grid(7 * 10 + 1, image=(224, 320))
    (1, (7, 10))
    >>> token_grid(79, image=(32, 32)) is None
    True
    """
    if patches is not None and _counts(patches) > 1 and tokens - _counts(patches) in _PREFIXES:
        return tokens - _counts(patches), patches
    for prefix in _PREFIXES:
        for grid in _grids(tokens - prefix):
            if _square_patches(grid, image):
                return prefix, grid
    for prefix in _USUAL_PREFIXES:
        for grid in _grids(tokens - prefix):
            if fits(grid, image):
                return prefix, grid
    return None


def _counts(grid: Size) -> int:
    return grid[0] * grid[1]


def _grids(cells: int) -> list[Size]:
    if cells < 2:
        return []
    return [(height, cells // height) for height in range(1, cells + 1) if cells % height == 0]


def _square_patches(grid: Size, image: Size) -> bool:
    (rows, columns), (height, width) = grid, image
    return height % rows == 0 and width % columns == 0 and height // rows == width // columns
