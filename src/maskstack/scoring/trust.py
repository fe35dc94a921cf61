"""Trust in maps that come from anywhere."""

from __future__ import annotations

from torch import Tensor

from maskstack.objectives import Meaning
from maskstack.reliability import Trust, measure
from maskstack.scoring.scored_model import ScoredModel
from maskstack.scoring.session import scoring
from maskstack.scoring.user_model import Goal, Model


def trust(
    model: Model,
    images: Tensor,
    maps: Tensor,
    objective: Goal = None,
    *,
    meaning: Meaning = "probability",
    batch_size: int = 32,
) -> Trust:
    """How far to trust any method's maps, in six passes an image and two for the prediction and the score.

    Args:
        model: The network, or what ``load_model`` returned. It comes back exactly as it was.
        images: B x C x H x W, or B x C x D x H x W, floating point, preprocessed for the network.
        maps: Maps of these images by any method, with one channel or without, in [0, 1].
        objective: What the maps explain: an objective, a function from the network's output to one number per image, a
            class index, one class index per image, or None for each image's predicted class.
        meaning: What an integer target means: ``probability``, ``log_probability``, ``logit`` or ``margin``.
        batch_size: Maximum number of images in one pass.

    Raises:
        InputError: The images, the maps or the target cannot be used.
        ModelError: The network's output cannot be read, or is not finite.

    >>> import torch
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    >>> trust(net, torch.rand(2, 3, 16, 24), torch.rand(2, 16, 24), 1).verdict(0).word
    'do not use'
    """
    with scoring(model, images, objective, meaning=meaning, batch_size=batch_size) as scored:
        before = scored.scores(scored.images)
        flat = maps.squeeze(1) if maps.ndim == images.ndim else maps
        found = measure(
            scored.scores, scored.images, flat.to(before), before, probability=class_probability(scored, before)
        )
    return found.to(images.device)


def class_probability(scored: ScoredModel, before: Tensor) -> Tensor | None:
    """The probability of the class that is explained, B, where the objective is one; otherwise None."""
    if scored.objective.name == "class_probability":
        return before
    return before.exp() if scored.objective.name == "log_probability" else None
