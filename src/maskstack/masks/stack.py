"""How the masks of several sizes become one map."""

from __future__ import annotations

from torch import Tensor

STACKS = ("log_odds", "mean", "normalised", "geometric")


def stack_masks(masks: Tensor, rule: str = "log_odds") -> Tensor:
    """Stack masks over their sizes.

    Args:
        masks: B x S x H x W in [0, 1].
        rule: ``log_odds``, the mean in log-odds (the logarithmic opinion pool): a size that is sure outvotes those that
            are not, so that the stack is open or closed, not grey; ``mean``; ``normalised``, the mean of the masks each
            scaled to [0, 1]; ``geometric``, the S-th root of the product, open only where every size is.

    Returns:
        B x H x W in [0, 1].
    """
    if rule == "log_odds":
        return masks.logit(eps=1e-6).mean(dim=1).sigmoid()
    if rule == "normalised":
        masks = minmax(masks)
    elif rule == "geometric":
        return masks.clamp_min(1e-6).log().mean(dim=1).exp()
    return masks.mean(dim=1)


def minmax(maps: Tensor) -> Tensor:
    """Scale each map to [0, 1]; a map of one value becomes zero everywhere.

    Args:
        maps: ... x H x W.

    >>> import torch
    >>> minmax(torch.tensor([[2.0, 4.0], [3.0, 2.0]]))
    tensor([[0.0000, 1.0000], [0.5000, 0.0000]])
    """
    low = maps.amin(dim=(-2, -1), keepdim=True)
    spread = maps.amax(dim=(-2, -1), keepdim=True) - low
    # A spread of rounding errors is no contrast: scaling it up would draw noise.
    flat = spread <= 1e-6
    return ((maps - low) / spread.masked_fill(flat, 1)).masked_fill(flat, 0)
