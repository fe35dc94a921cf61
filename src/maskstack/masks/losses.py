"""What a mask pays: for the activation it loses, for that which it hides, for what it leaves open, for being rough."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

CONSISTENCIES = ("one_sided", "squared", "absolute")
"""How a change of the activation is paid: only a fall, its square, its size."""

TINY = 1e-6
"""An activation that moves by less than this between the image and nothing is no reference to hold on to."""


def reference_scale(reference: Tensor, hidden: Tensor) -> Tensor:
    """The unit in which a loss of activation is counted.

    The larger of the reference's own size and its distance from the activation of the wholly hidden image. The first
    alone would divide by nearly zero for a small reference; with both, at most a unit is lost when the activation falls
    from the image's to nothing's, whatever its sign.

    Args:
        reference: Activation of each image, B.
        hidden: Activation of each image's fill alone, B (or several fills, F x B).

    Returns:
        Positive scale, B.
    """
    distance = (reference - hidden).abs()
    if distance.ndim > 1:
        distance = distance.amax(dim=0)
    return torch.maximum(reference.abs(), distance).clamp_min(TINY)


def consistency(activation: Tensor, reference: Tensor, scale: Tensor, kind: str = "one_sided") -> Tensor:
    """Relative loss of the activation under a mask, one value per problem.

    >>> import torch
    >>> consistency(torch.tensor([0.4, 0.9]), torch.tensor(0.8), torch.tensor(0.8))
    tensor([0.5000, 0.0000])
    """
    loss = (reference - activation) / scale
    if kind == "one_sided":
        return loss.clamp_min(0)
    return loss.square() if kind == "squared" else loss.abs()


def removal(activation: Tensor, nothing: Tensor, scale: Tensor) -> Tensor:
    """Relative activation that what a mask hides would have by itself, one value per problem; at most 0 is no loss.

    Args:
        activation: Of the image with the mask's open part filled, P.
        nothing: Activation of each fill alone, F x P; the least of them is what nothing has.
        scale: See :func:`reference_scale`, P.

    >>> import torch
    >>> removal(torch.tensor([0.5, 0.1]), torch.tensor([[0.1, 0.1]]), torch.tensor(0.8))
    tensor([0.5000, 0.0000])
    """
    return ((activation - nothing.amin(dim=0)) / scale).clamp_min(0)


def mask_value(masks: Tensor) -> Tensor:
    """Mean of each mask, the share of the image it leaves open: P x H x W to P."""
    return masks.mean(dim=(-2, -1))


def total_variation(masks: Tensor) -> Tensor:
    """Mean absolute difference of neighbouring pixels, times the mean side: P x H x W to P.

    The factor makes it a length, the contour of the mask in units of the image's side, so that one weight serves every
    resolution. Differences below a thousandth count by their square: at a flat mask the size itself would have the
    sign of rounding errors for a gradient, and no two runs in different company would take the same way.
    """
    height, width = masks.shape[-2:]
    down = _size(masks.diff(dim=-2)).sum(dim=(-2, -1)) / width
    across = _size(masks.diff(dim=-1)).sum(dim=(-2, -1)) / height
    return (down + across) / 2


def _size(differences: Tensor) -> Tensor:
    return functional.huber_loss(differences, torch.zeros_like(differences), reduction="none", delta=1e-3) / 1e-3
