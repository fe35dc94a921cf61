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


def area_and_contour(masks: Tensor) -> tuple[Tensor, Tensor]:
    """The :func:`mask_value` and the :func:`total_variation` of each mask, P each, with one gradient."""
    area, contour = _AreaAndContour.apply(masks)
    return area, contour


def total_variation(masks: Tensor) -> Tensor:
    """Mean absolute difference of neighbouring pixels, times the mean side: P x H x W (or P x D x H x W) to P.

    The factor makes it a length, the contour of the mask in units of the image's side, so that one weight is valid for
    every resolution. Differences below a thousandth count by their square. Otherwise, for a flat mask, the gradient of
    the absolute value would be the sign of rounding errors, and the result would depend on the rest of the batch.
    """
    return area_and_contour(masks)[1]


class _AreaAndContour(torch.autograd.Function):
    """Mean value and total variation in as few passes over the masks as torch's kernels allow."""

    @staticmethod
    def forward(ctx: Any, masks: Tensor) -> tuple[Tensor, Tensor]:
        """Both values of each mask, P."""
        ctx.save_for_backward(masks)
        total = masks.new_zeros(len(masks))
        for after, before, weight in _neighbours(masks):
            total += functional.smooth_l1_loss(after, before, reduction="none", beta=_SMALL).flatten(1).sum(1) * weight
        return mask_value(masks), total

    @staticmethod
    def backward(ctx: Any, area: Tensor, contour: Tensor) -> Tensor:
        """The gradient of the masks, P x H x W."""
        (masks,) = ctx.saved_tensors
        found: Tensor | None = None
        for axis, (after, before, weight) in enumerate(_neighbours(masks), start=1):
            pixels, shape = masks.shape[axis], list(masks.shape)
            shape[axis] += 1  # with zeros at both ends, each pixel has a difference on either side
            differences = masks.new_empty(shape)
            for end in (0, pixels):
                differences.select(axis, end).zero_()
            each = spread_over(contour * weight, masks).expand_as(after)
            inner = differences.narrow(axis, 1, pixels - 1)
            torch.ops.aten.smooth_l1_loss_backward(each, after, before, 0, _SMALL, grad_input=inner)
            own, following = differences.narrow(axis, 0, pixels), differences.narrow(axis, 1, pixels)
            found = own - following if found is None else found.add_(own).sub_(following)
        assert found is not None  # a mask has a spatial dimension
        return found.add_(spread_over(area / masks[0].numel(), masks))


def _neighbours(masks: Tensor) -> Iterator[tuple[Tensor, Tensor, float]]:
    """For each axis the pixels, the ones before them, and the weight of their difference."""
    axes = masks.ndim - 1
    for axis in range(1, masks.ndim):
        pixels = masks.shape[axis]
        weight = pixels / (masks[0].numel() * axes)
        yield masks.narrow(axis, 1, pixels - 1), masks.narrow(axis, 0, pixels - 1), weight
