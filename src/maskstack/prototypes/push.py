"""Push: each prototype becomes the nearest part of a training image. Prune: poor prototypes are removed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from maskstack.errors import InputError
from maskstack.prototypes.features import Features
from maskstack.prototypes.protopnet import ProtoPNet, patch_distances
from maskstack.prototypes.xprotonet import XProtoNet

BATCH = 64
SAME = 1e-6
"""Squared distance, relative to the prototype's own size, below which two prototypes are the same."""


@dataclass(frozen=True)
class Source:
    """Where a prototype comes from.

    Attributes:
        image: Name of the training image.
        row: Row of the patch in the feature map; None if the whole image was pooled (XProtoNet).
        column: Column of the patch.
        activation: Activation of the prototype on that image after the push.
    """

    image: str
    row: int | None
    column: int | None
    activation: float


@torch.no_grad()
def push(network: ProtoPNet | XProtoNet, features: Features, names: Sequence[str]) -> tuple[Source, ...]:
    """Replace each prototype, in place, by the nearest vector in the training images of its class.

    The vector is a patch for ProtoPNet (Chen et al. 2019, eq. 4), and the pooled vector of an image for XProtoNet
    (Kim et al. 2021, section 3.3). If several vectors are equally near, the first is used.

    Args:
        network: Its prototypes are replaced.
        features: Features of the training images, in the order of ``names``.
        names: Names of the images.

    Returns:
        Where each prototype comes from, P.
    """
    several = len(network.owners)
    nearest = torch.full((several,), torch.inf)
    found = network.prototypes.detach().clone()
    place = torch.zeros(several, 3, dtype=torch.long)  # image, row, column
    start = 0
    for cut in plain_cuts(features):
        labels = features.labels[start : start + len(cut)]
        values, vectors, width = _distances(network, cut)  # B x P x L, B x P x L x D or B x L x D
        values = values.masked_fill(~(labels[:, network.owners] > 0.5).unsqueeze(2), torch.inf)
        best, at = values.transpose(0, 1).flatten(1).min(dim=1)  # over images and places
        image, position = at // values.shape[2], at % values.shape[2]
        for prototype in torch.nonzero(best < nearest).flatten().tolist():
            row, spot = int(image[prototype]), int(position[prototype])
            nearest[prototype] = best[prototype]
            found[prototype] = vectors[row, spot] if vectors.ndim == 3 else vectors[row, prototype, spot]
            place[prototype] = torch.tensor([start + row, spot // width, spot % width])
        start += len(cut)
    if nearest.isinf().any():
        owner = int(network.owners[int(nearest.isinf().nonzero()[0])])
        raise InputError(f"class {owner} has no training image, so its prototypes cannot be replaced; add images of it")
    network.prototypes.data.copy_(found)
    return tuple(
        _source(network, features, names, prototype, *place[prototype].tolist()) for prototype in range(several)
    )


def duplicates(network: ProtoPNet | XProtoNet) -> dict[int, int]:
    """Prototypes that equal an earlier one of their class, each with that earlier one."""
    prototypes, owners = network.prototypes.detach(), network.owners
    same: dict[int, int] = {}
    for later in range(len(owners)):
        for earlier in range(later):
            close = (prototypes[later] - prototypes[earlier]).square().sum() <= SAME * prototypes[later].square().sum()
            if owners[later] == owners[earlier] and bool(close) and earlier not in same:
                same[later] = earlier
                break
    return same


@torch.no_grad()
def prunable(network: ProtoPNet, features: Features, *, nearest: int = 6, least: int = 3) -> Tensor:
    """Which prototypes to keep (Chen et al. 2019, supplement): those whose nearest patches belong to their own class.

    Args:
        network: The network with the prototypes.
        features: Features of the training images.
        nearest: Number of training images with the nearest patches that are considered.
        least: Minimum number of these that must be of the prototype's class.

    Returns:
        Indices of the prototypes to keep, in order; each class keeps at least its best one.
    """
    distances = torch.cat([_distances(network, cut)[0].amin(dim=2) for cut in plain_cuts(features)])
    near = distances.argsort(dim=0, stable=True)[:nearest]  # nearest x P
    own = features.labels[near, network.owners] > 0.5
    hits = own.sum(dim=0)
    keep = hits >= least
    for owner in torch.unique(network.owners):
        mine = torch.nonzero(network.owners == owner).flatten()
        keep[mine[hits[mine].argmax()]] = True
    return torch.nonzero(keep).flatten()


def plain(features: Features) -> Features:
    """The features of the unchanged images, without the augmented views."""
    return Features(features.values, features.warps, features.labels, plain_only=True)


def plain_cuts(features: Features) -> Iterator[Tensor]:
    """Batches of what the images without augmentation give at the cut, in the order of the images."""
    images = plain(features)
    for start in range(0, len(images), BATCH):
        yield images.__getitems__(range(start, min(start + BATCH, len(images))))[0]


def _distances(network: ProtoPNet | XProtoNet, cut: Tensor) -> tuple[Tensor, Tensor, int]:
    """Distances B x P x L at L places, the vectors there, and the number of places in a row."""
    if isinstance(network, ProtoPNet):
        vectors = network.embed(cut)
        values = patch_distances(vectors, network.prototypes).flatten(2)
        return values, vectors.flatten(2).transpose(1, 2), vectors.shape[3]
    reading = network.read(cut)
    assert reading.vectors is not None
    return -reading.activations.unsqueeze(2), reading.vectors.unsqueeze(2), 1


def _source(
    network: ProtoPNet | XProtoNet, features: Features, names: Sequence[str], prototype: int, *place: int
) -> Source:
    image, row, column = place
    cut = plain(features).__getitems__([image])[0]
    activation = float(network.read(cut).activations[0, prototype])
    if isinstance(network, ProtoPNet):
        return Source(names[image], row, column, activation)
    return Source(names[image], None, None, activation)
