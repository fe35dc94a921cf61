"""Maps and networks with known correct results."""

import torch
from torch import Tensor, nn

SIDE = 24
SQUARE = torch.zeros(SIDE, SIDE, dtype=torch.bool)
SQUARE[6:14, 9:17] = True
MANY_SEEDS = range(5)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


class SquareNet(nn.Module):
    """Two classes; only the brightness inside the square is evidence for class 1."""

    def forward(self, images: Tensor) -> Tensor:
        evidence = images[:, :, SQUARE].mean(dim=(1, 2))
        return torch.stack([torch.zeros_like(evidence), 4 * evidence - 2], dim=1)


def square_score(images: Tensor) -> Tensor:
    return SquareNet()(images).softmax(dim=1)[:, 1]


def square_photo(seed: int = 0) -> Tensor:
    """Noise that is bright inside the square."""
    image = 0.2 * drawn(3, SIDE, SIDE, seed=seed)
    image[:, SQUARE] += 1
    return image


def ranked_maps(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """The correct map, a random map, and the inverse of the correct map."""
    right = SQUARE.float() + 0.01 * drawn(SIDE, SIDE, seed=seed)
    return right, drawn(SIDE, SIDE, seed=seed + 100), 1 - right
