"""What is worth a further search: does another seed give the same map, and does a network made random?"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from maskstack.errors import InputError, ModelError
from maskstack.explainers.rival import check_whole
from maskstack.explainers.trust import with_doubts
from maskstack.explanation import Explanation
from maskstack.metrics.agreement import rank_agreement
from maskstack.metrics.cascade import cascade


def checked(
    explanation: Explanation,
    explain: Callable[[int], Explanation],
    model: Any,
    *,
    seeds: int = 1,
    randomize: bool = False,
) -> Explanation:
    """The explanation, compared with those of further seeds and with that of the network made random.

    Each further seed, and the random network, costs as much as the explanation itself; the passes and seconds are
    added to its own. The network comes back as it was.

    Args:
        explanation: With its trust measured.
        explain: Makes the explanation of the same images and the same targets with this seed.
        model: The network; a module where it is to be made random.
        seeds: Seeds to compare, the explanation's own included; 1 leaves them out.
        randomize: Whether to compare with the network made random, all layers (Adebayo et al. 2018). Where its answers
            are NaN or infinite there is nothing to compare, and the value stays NaN.

    Raises:
        InputError: No trust was measured yet, the seeds are none, or the model has no parameters of its own.
    """
    check_whole("seeds", seeds, least=1)
    if explanation.trust is None:
        raise InputError("the explanation carries no trust yet; explain the images again with this version")
    if randomize and not isinstance(model, nn.Module):
        raise InputError(
            f"only the parameters of an nn.Module can be made random, not those of a {type(model).__name__}"
        )
    own = explanation.seed or 0
    changes: dict[str, Tensor] = {}
    spent: list[Explanation] = []
    if seeds > 1:
        others = [explain(own + number) for number in range(1, seeds)]
        changes["seeds"] = torch.stack([_alike(explanation, other) for other in others], dim=1)
        spent += others
    if randomize:
        try:
            with cascade(model, seed=own) as layers:
                list(layers)
                other = explain(own)
        except ModelError:
            pass
        else:
            changes["randomization"] = _alike(explanation, other)
            spent.append(other)
    found = dataclasses.replace(explanation.trust, **changes)
    return dataclasses.replace(
        explanation,
        trust=found,
        degenerate=with_doubts(explanation.degenerate, found),
        forward_passes=explanation.forward_passes + sum(each.forward_passes for each in spent),
        backward_passes=explanation.backward_passes + sum(each.backward_passes for each in spent),
        seconds=explanation.seconds + sum(each.seconds for each in spent),
    )


def _alike(one: Explanation, other: Explanation) -> Tensor:
    """Rank correlation of each image's two maps, B."""
    pairs = torch.stack([one.saliency[:, 0], other.saliency[:, 0]], dim=1)
    return torch.stack([rank_agreement(pair)[0, 1] for pair in pairs]).float()
