"""Explanations from what a mask search found, and what further searches tell about them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from maskstack import checks
from maskstack.errors import InputError, ModelError, a_type
from maskstack.explanation import Explanation
from maskstack.masks.result import SearchResult
from maskstack.metrics.cascade import cascade
from maskstack.objectives import Objective
from maskstack.reliability.measure import likeness, measure
from maskstack.scoring import ScoredModel
from maskstack.scoring.trust import class_probability
from maskstack.scoring.untouched import untouched
from maskstack.tensors import minmax


def explanation_of(method: str, scored: ScoredModel, found: SearchResult, settings: Mapping[str, Any]) -> Explanation:
    """The explanation of what a mask search found, with the trust in its maps, on the network's device."""
    trust = measure(
        scored.scores,
        scored.images,
        found.stack,
        found.before,
        probability=class_probability(scored, found.before),
        members=found.members,
        problems=found.problems(
            settings["fill"],
            nothing=scored.objective.nothing,
            compares=scored.objective.compares,
            probability=scored.objective.name == "class_probability",
        ),
    )
    return Explanation(
        saliency=minmax(found.stack, dims=found.stack.ndim - 1).unsqueeze(1),
        stack=found.stack.unsqueeze(1),
        opening=found.opening,
        spread=found.spread.unsqueeze(1),
        masks=found.masks,
        grids=found.grids,
        method=method,
        score_before=found.before,
        score_hidden=found.hidden,
        score_under_masks=found.under_masks,
        score_under_stack=found.under_stack,
        steps=found.steps,
        settings=settings,
        trust=trust,
        **scored.record(),
    )


def checked(
    model: Callable[[Tensor], Any],
    images: Tensor,
    explanation: Explanation,
    goal: Objective,
    explained: Callable[[int], Explanation],
    *,
    seeds: int,
    randomize: bool,
) -> Explanation:
    """The explanation with ``trust.seeds`` and ``trust.randomization`` filled in, see :meth:`maskstack.MDM.check`.

    Args:
        model: The network.
        images: The images that were explained.
        explanation: Their explanation.
        goal: The objective that was explained.
        explained: Explains the images with another seed.
        seeds: Seeds to compare, the explanation's own included.
        randomize: Whether to compare with the network with random parameters.
    """
    if len(images) != len(explanation) or not goal.stands_for(explanation.objective):
        raise InputError(
            f"the explanation has {len(explanation)} images and the objective {explanation.objective}, but "
            f"{len(images)} images and {goal.name} were given; give the explained images and objective"
        )
    checks.whole("seeds", seeds, least=1)
    own = explanation.seed or 0
    others = [explained(own + number) for number in range(1, seeds)]
    changes: dict[str, Any] = {}
    if others:
        alike = [likeness(explanation.saliency, other.saliency) for other in others]
        changes["seeds"] = torch.stack(alike, dim=1)
    if randomize and (other := _randomised(model, explained, own)):
        changes["randomization"] = likeness(explanation.saliency, other.saliency)
        others.append(other)
    trust = dataclasses.replace(explanation.trust, **changes)
    return dataclasses.replace(
        explanation,
        trust=trust,
        forward_passes=explanation.forward_passes + sum(each.forward_passes for each in others),
        backward_passes=explanation.backward_passes + sum(each.backward_passes for each in others),
        seconds=explanation.seconds + sum(each.seconds for each in others),
    )


def _randomised(model: Any, explained: Callable[[int], Explanation], seed: int) -> Explanation | None:
    """The explanation by the network with random parameters, or None where its output is not finite."""
    if not isinstance(model, nn.Module):
        raise InputError(f"the model is {a_type(model)}; randomize needs an nn.Module, so leave it out")
    try:
        # No other thread may explain the network while its weights are random.
        with untouched(model), cascade(model, seed=seed) as layers:
            list(layers)
            return explained(seed)
    except ModelError:
        return None
