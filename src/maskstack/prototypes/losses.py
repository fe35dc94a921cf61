"""The losses of prototype networks: pure functions on tensors."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def cluster_cost(distances: Tensor, own: Tensor) -> Tensor:
    """Mean over images of the least distance to a prototype of their own class (Chen et al. 2019, eq. 3).

    Args:
        distances: Least squared distance to each prototype, B x P.
        own: Whether a prototype is of the image's class, B x P booleans, at least one in each row.
    """
    return distances.masked_fill(~own, torch.inf).amin(dim=1).mean()


def separation_cost(distances: Tensor, own: Tensor) -> Tensor:
    """Mean over images of the least distance to a prototype of another class; training makes it large.

    See :func:`cluster_cost`; if all prototypes are of one class, the cost is 0.
    """
    if own.all():
        return distances.new_zeros(())
    return distances.masked_fill(own, torch.inf).amin(dim=1).mean()


def foreign_weights(weights: Tensor, owners: Tensor) -> Tensor:
    """Sum of the absolute weights of prototypes in the logits of other classes: P x K to a scalar."""
    own = functional.one_hot(owners, weights.shape[1]).bool()
    return weights.masked_fill(own, 0).abs().sum()


def balanced_focal(logits: Tensor, labels: Tensor, *, gamma: float = 2.0) -> Tensor:
    """Focal loss with positives and negatives averaged apart, so that rare findings count (Kim et al. 2021, eq. 3).

    Args:
        logits: B x K.
        labels: B x K of 0 and 1.
        gamma: Exponent that reduces the loss of easy labels; 0 for a balanced cross-entropy.

    Returns:
        Mean over findings of the mean over positives plus the mean over negatives; a part that a batch lacks adds 0.
    """
    positive = labels > 0.5
    entropy = functional.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    # Through the logarithm, because the power of a sigmoid that is rounded to 0 has no gradient.
    hardness = torch.exp(gamma * functional.logsigmoid(torch.where(positive, -logits, logits)))
    cost = entropy * hardness
    return (_mean_where(cost, positive) + _mean_where(cost, ~positive)).mean()


def similarity_cluster(activations: Tensor, labels: Tensor, owners: Tensor) -> Tensor:
    """Minus the mean over positives of the greatest similarity to a prototype of their finding (eq. 5).

    Args:
        activations: B x P.
        labels: B x K of 0 and 1.
        owners: Finding of each prototype, P.
    """
    best = _best_of_each(activations, owners, labels.shape[1])
    return -_mean_where(best, labels > 0.5).mean()


def similarity_separation(activations: Tensor, labels: Tensor, owners: Tensor) -> Tensor:
    """Mean over negatives of the greatest similarity to a prototype of the finding (eq. 6).

    See :func:`similarity_cluster` for the arguments.
    """
    best = _best_of_each(activations, owners, labels.shape[1])
    return _mean_where(best, labels < 0.5).mean()


def affine_consistency(maps: Tensor, plain: Tensor, theta: Tensor) -> Tensor:
    """Mean difference between maps of warped images and warped maps of the images (eq. 8).

    Args:
        maps: Maps of the warped images, B x P x h x w.
        plain: Maps of the unchanged images, B x P x h x w.
        theta: The warps as ``affine_grid`` takes them, B x 2 x 3.

    Returns:
        A scalar; places outside of the unchanged image do not count.
    """
    grid = functional.affine_grid(theta, list(plain.shape), align_corners=False)
    warped = functional.grid_sample(plain, grid, mode="bilinear", padding_mode="border", align_corners=False)
    inside = (grid.abs() <= 1).all(dim=3).unsqueeze(1).to(maps)
    return ((maps - warped).abs() * inside).sum() / (inside.sum() * maps.shape[1]).clamp_min(1)


def _best_of_each(activations: Tensor, owners: Tensor, classes: int) -> Tensor:
    """Greatest similarity to a prototype of each finding: B x K."""
    best = activations.new_full((len(activations), classes), -torch.inf)
    return best.scatter_reduce(1, owners.expand(len(activations), -1), activations, reduce="amax")


def _mean_where(values: Tensor, where: Tensor) -> Tensor:
    """Mean of each column over the selected rows; 0 for a column without any."""
    return (values * where).sum(dim=0) / where.sum(dim=0).clamp_min(1)
