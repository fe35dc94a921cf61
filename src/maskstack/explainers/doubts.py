"""When a map should not be trusted."""

from __future__ import annotations

from maskstack.masks.losses import reference_scale
from maskstack.masks.result import SearchResult


def doubts(found: SearchResult) -> list[str | None]:
    """For each image of a search, None or the reason why its map says nothing."""
    scale = reference_scale(found.before, found.hidden)
    loss_hidden = ((found.before - found.hidden) / scale).amin(dim=0)
    loss_kept = (found.before - found.under_stack) / scale
    spread = found.stack.amax(dim=(1, 2)) - found.stack.amin(dim=(1, 2))
    reasons: list[str | None] = []
    for row in range(len(found.before)):
        if found.failed[row]:
            reasons.append("the network's answer became NaN or infinite during the search")
        elif loss_hidden[row] < 0.05:
            reasons.append("the activation is as high with the whole image hidden, so no region carries it")
        elif spread[row] < 0.01:
            reasons.append("the mask is the same everywhere; the search found no region")
        elif loss_kept[row] > 0.5:
            reasons.append(
                "the region found keeps less than half of the activation; try the objective log_probability, "
                "or the preset fine"
            )
        else:
            reasons.append(None)
    return reasons
