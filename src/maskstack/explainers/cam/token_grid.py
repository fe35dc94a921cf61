"""Positions in the image of the cells of a feature map and of the tokens of a transformer."""

from __future__ import annotations

Size = tuple[int, int]
"""Height and width."""

# Most common first: none, the class token, also a distillation token, or also four registers.
_PREFIXES = (0, 1, 2, 5, 3, 4, *range(6, 10))
_USUAL_PREFIXES = _PREFIXES[:4]


def fits(grid: Size, image: Size) -> bool:
    """Whether a single stride gives this grid for this image, up to one cell of padding or rounding.

    >>> fits((7, 10), (224, 320)), fits((7, 768), (224, 224))
    (True, False)
    """
    strides = [
        (pixels / (cells + 1), pixels / (cells - 1) if cells > 1 else float("inf"))
        for cells, pixels in zip(grid, image, strict=True)
    ]
    return max(low for low, _ in strides) < min(high for _, high in strides)


def token_grid(tokens: int, *, image: Size, patches: Size | None = None) -> tuple[int, Size] | None:
    """Read a sequence of tokens as the cells of a grid, row by row, after tokens that do not have a position.

    Args:
        tokens: Number of tokens.
        image: Height and width of the image.
        patches: Height and width of the output of the network's patch embedding, if known.

    Returns:
        Number of tokens at the front without a position (class and distillation tokens, registers), and height and
        width of the grid; or None if the tokens do not fit a grid.

    >>> token_grid(197, image=(224, 224)), token_grid(198, image=(224, 224)), token_grid(201, image=(224, 224))
    ((1, (14, 14)), (2, (14, 14)), (5, (14, 14)))
    >>> token_grid(7 * 10 + 1, image=(224, 320))
    (1, (7, 10))
    >>> token_grid(79, image=(32, 32)) is None
    True
    """
    if patches is not None and _counts(patches) > 1 and tokens - _counts(patches) in _PREFIXES:
        return tokens - _counts(patches), patches
    for prefixes, is_likely in ((_PREFIXES, _square_patches), (_USUAL_PREFIXES, fits)):
        for prefix in prefixes:
            for grid in _grids(tokens - prefix):
                if is_likely(grid, image):
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
