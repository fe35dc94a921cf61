"""What the tests of the mask search share: settings, images, and comparisons."""

from collections.abc import Callable

import torch
from torch import Tensor

from maskstack.masks.presets import SINGLE
from maskstack.masks.result import SearchResult
from maskstack.masks.settings import SearchSettings

IMAGES = torch.randn(4, 3, 16, 20, generator=torch.Generator().manual_seed(0))


def two_sizes(**changes) -> SearchSettings:
    """Six steps for each of two sizes, over two fills."""
    usual = {
        "sizes": (2, 5), "joint": False, "steps": 6, "learning_rate": 0.2, "mask_weight": 1.0, "fill": ("zero", "blur"),
        "patience": 0, "batch_size": 32,
    }  # fmt: skip
    return SINGLE.with_(**{**usual, **changes})


def assert_same(one: SearchResult, other: SearchResult, rows: slice = slice(None)) -> None:
    for name in ("masks", "stack", "before", "under_masks", "under_stack"):
        torch.testing.assert_close(getattr(one, name)[rows], getattr(other, name)[rows], atol=1e-4, rtol=0)
    for name in ("steps", "failed"):
        assert torch.equal(getattr(one, name)[rows], getattr(other, name)[rows]), name


class Counted:
    """A score that counts the images sent forward for each original image, and those with a gradient to come."""

    def __init__(self, score: Callable[[Tensor, Tensor], Tensor]) -> None:
        self.score = score
        self.forward, self.backward = torch.zeros(2, 8, dtype=torch.long)

    def __call__(self, images: Tensor, rows: Tensor) -> Tensor:
        count = rows.bincount(minlength=8)
        self.forward += count
        self.backward += count if torch.is_grad_enabled() else 0
        return self.score(images, rows)
