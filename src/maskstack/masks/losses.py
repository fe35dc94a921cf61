"""Loss terms of a mask: consistency, removal, area, smoothness."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

from maskstack.tensors import score_scale, spread_over

Consistency = Literal["one_sided", "squared", "absolute"]
CONSISTENCIES: tuple[str, ...] = get_args(Consistency)
"""Which change of the score is penalised: a fall only, any change by its square, any change by its size."""

_SMALL = 1e-3  # Differences of neighbouring pixels below it count by their square.
_ROUNDING = 1e-4  # One-sided losses of score below it count as none.


@dataclass(frozen=True)
class Reference:
    """The scores that a search compares with.

    Attributes:
        before: Score of each image, B.
        hidden: Score of each image's fills alone, B x F.
        scale: The unit of a loss of score, B, see :func:`maskstack.tensors.score_scale`.
    """

    before: Tensor
    hidden: Tensor
    scale: Tensor

    @classmethod
    def of(cls, before: Tensor, hidden: Tensor) -> Reference:
        """The reference with its scale worked out."""
        return cls(before, hidden, score_scale(before, hidden.T))

    def select(self, rows: Tensor) -> Reference:
        """The reference of the images of these indices."""
        return Reference(self.before[rows], self.hidden[rows], self.scale[rows])


def consistency(scores: Tensor, reference: Tensor, scale: Tensor, kind: str = "one_sided") -> Tensor:
    """Relative loss of the score under a mask, one value per problem.

    A one-sided loss below a ten-thousandth counts as 0. A network that normalises its images gives a dimmed image the
    same score. The gradient would then depend on the sign of rounding errors, and the result on the rest of the batch.

    >>> import torch
    >>> consistency(torch.tensor([0.4, 0.9]), torch.tensor(0.8), torch.tensor(0.8))
    tensor([0.5000, 0.0000])
    """
    loss = (reference - scores) / scale
    if kind == "one_sided":
        return torch.where(loss > _ROUNDING, loss, 0)
    return loss.square() if kind == "squared" else loss.abs()


def removal(scores: Tensor, hidden: Tensor, scale: Tensor) -> Tensor:
    """Relative score of the hidden part shown alone, one value per problem; 0 if not above the fills' least score.

    Args:
        scores: Scores of the images with the mask's open part filled, P.
        hidden: Score of each fill alone, P x F; the loss is measured from the least of them.
        scale: See :func:`maskstack.tensors.score_scale`, P.

    >>> import torch
    >>> removal(torch.tensor([0.5, 0.1]), torch.tensor([[0.1], [0.1]]), torch.tensor(0.8))
    tensor([0.5000, 0.0000])
    """
    return ((scores - hidden.amin(dim=1)) / scale).clamp_min(0)


def mask_value(masks: Tensor) -> Tensor:
    """Mean of each mask, the share of the image it leaves open: P x H x W to P, for any number of dimensions."""
    return masks.mean(dim=tuple(range(1, masks.ndim)))


def total_variation(masks: Tensor) -> Tensor:
    """Mean absolute difference of neighbouring pixels, times the mean side: P x H x W (or P x D x H x W) to P.

    The factor makes it a length, the contour of the mask in units of the image's side, so that one weight is valid for
    every resolution. Differences below a thousandth count by their square. Otherwise, for a flat mask, the gradient of
    the absolute value would be the sign of rounding errors, and the result would depend on the rest of the batch.
    """
    found: Tensor = _TotalVariation.apply(masks)
    return found


class _TotalVariation(torch.autograd.Function):
    """Total variation in as few passes over the masks as torch's kernels allow."""

    @staticmethod
    def forward(ctx: Any, masks: Tensor) -> Tensor:
        """Value of each mask, P."""
        ctx.save_for_backward(masks)
        total = masks.new_zeros(len(masks))
        for after, before, weight in _neighbours(masks):
            total += functional.smooth_l1_loss(after, before, reduction="none", beta=_SMALL).flatten(1).sum(1) * weight
        return total

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        """The gradient of the masks, P x H x W."""
        (masks,) = ctx.saved_tensors
        found = torch.zeros_like(masks)
        for (after, before, weight), (own, other) in zip(_neighbours(masks), _pairs(found), strict=True):
            each = spread_over(slope * weight, masks).expand_as(after)
            difference = torch.empty_like(after, memory_format=torch.contiguous_format)
            torch.ops.aten.smooth_l1_loss_backward(each, after, before, 0, _SMALL, grad_input=difference)
            own.add_(difference)
            other.sub_(difference)
        return found


def _neighbours(masks: Tensor) -> Iterator[tuple[Tensor, Tensor, float]]:
    """For each axis the pixels, the ones before them, and the weight of their difference."""
    axes = masks.ndim - 1
    for axis, (after, before) in enumerate(_pairs(masks), start=1):
        yield after, before, masks.shape[axis] / (masks[0].numel() * axes)


def _pairs(values: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """For each axis the pixels, and the ones before them."""
    for axis in range(1, values.ndim):
        pixels = values.shape[axis] - 1
        yield values.narrow(axis, 1, pixels), values.narrow(axis, 0, pixels)
