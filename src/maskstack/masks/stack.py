"""How the masks of several sizes become one map."""

from __future__ import annotations

from typing import Literal, get_args

from torch import Tensor

from maskstack.tensors import minmax

Stack = Literal["log_odds", "mean", "normalised", "geometric"]
STACKS: tuple[str, ...] = get_args(Stack)


def stack_masks(masks: Tensor, rule: str = "log_odds") -> Tensor:
    """Stack masks over their sizes.

    Args:
        masks: B x S x H x W in [0, 1], or with any other number of spatial dimensions.
        rule: ``log_odds``, the mean of the log-odds (the logarithmic opinion pool): a mask with values near 0 or 1
            outweighs the others, so the stack is mostly open or closed; ``mean``; ``normalised``, the mean of the masks
            after each is scaled to [0, 1]; ``geometric``, the S-th root of the product, open only where every mask is.

    Returns:
        B x H x W in [0, 1].
    """
    if rule == "log_odds":
        return masks.logit(eps=1e-6).mean(dim=1).sigmoid()
    if rule == "normalised":
        masks = minmax(masks, dims=masks.ndim - 2)
    elif rule == "geometric":
        return masks.clamp_min(1e-6).log().mean(dim=1).exp()
    return masks.mean(dim=1)
