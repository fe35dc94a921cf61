"""ROAD: does the score follow the map where removed pixels look like their surroundings?"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from maskstack.errors import InputError
from maskstack.metrics.faithfulness import Score
from maskstack.metrics.imputation import noisy_linear_imputation
from maskstack.metrics.order import check_map, ranks

FRACTIONS = (0.1, 0.3, 0.5, 0.7, 0.9)
ORDERS = ("morf", "lerf")
"""Most relevant first, least relevant first."""


def road_images(
    image: Tensor,
    saliency: Tensor,
    *,
    order: str = "morf",
    fractions: Sequence[float] = FRACTIONS,
    noise: float = 0.01,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Images whose most or least salient pixels are imputed from the others (Rong et al. 2022).

    Args:
        image: C x H x W, normalised.
        saliency: H x W; equal values are taken in reading order.
        order: Of :data:`ORDERS`: what is removed first.
        fractions: Shares of the pixels to remove, N of them, each for itself from the whole image.
        noise: See :func:`noisy_linear_imputation`.
        generator: Source of the noise, on the CPU; torch's own if None.

    Returns:
        N x C x H x W.

    Raises:
        InputError: An unknown order, a fraction that leaves no pixel, or a map that does not fit the image.
        MissingExtraError: scipy is not installed.
    """
    if order not in ORDERS:
        raise InputError(f"the order {order!r} is unknown; choose one of {', '.join(ORDERS)}")
    if not fractions or not all(0 <= fraction < 1 for fraction in fractions):
        raise InputError(f"the fractions to remove are {tuple(fractions)}; give numbers from 0 to below 1")
    check_map(saliency, image=image)
    rank = ranks(saliency, descending=order == "morf")
    return torch.stack(
        [
            noisy_linear_imputation(image, rank < round(fraction * rank.numel()), noise=noise, generator=generator)
            for fraction in fractions
        ]
    )


def road(
    score: Score,
    image: Tensor,
    saliency: Tensor,
    *,
    order: str = "morf",
    fractions: Sequence[float] = FRACTIONS,
    noise: float = 0.01,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Scores on the images of :func:`road_images`, N; low is good for ``morf``, high for ``lerf``.

    The paper's score is whether the class is still predicted; a probability works as well.
    """
    return score(road_images(image, saliency, order=order, fractions=fractions, noise=noise, generator=generator))
