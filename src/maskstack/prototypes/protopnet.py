"""ProtoPNet (Chen et al. 2019, "This Looks Like That"): classes by the distances of patches to learned prototypes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from maskstack.prototypes.backbone import Backbone
from maskstack.prototypes.network import Reading

EPSILON = 1e-4
"""Bounds the similarity of an identical patch: log(1 / EPSILON) = 9.2."""


class ProtoPNet(nn.Module):
    """Prototypes of 1 x 1 patches, squared distances, log similarities, a linear layer.

    Args:
        backbone: Computes the features, B x C x h x w.
        owners: Class of each prototype, P.
        classes: K.
        dimension: D, the dimension of a prototype.

    Attributes:
        prototypes: P x D, in [0, 1] like the output of the add-on layers.
        last: From P similarities to K logits, without bias.
    """

    kind = "protopnet"
    owners: Tensor

    def __init__(self, backbone: Backbone, owners: Sequence[int], *, classes: int, dimension: int = 64) -> None:
        super().__init__()
        self.backbone = backbone
        self.add_on = nn.Sequential(
            nn.Conv2d(backbone.channels, dimension, 1), nn.ReLU(), nn.Conv2d(dimension, dimension, 1), nn.Sigmoid()
        )
        for layer in self.add_on:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        self.prototypes = nn.Parameter(torch.rand(len(owners), dimension))
        self.last = nn.Linear(len(owners), classes, bias=False)
        self.register_buffer("owners", torch.tensor(owners))
        self.last.weight.data.copy_(self._own() * 1.5 - 0.5)

    def forward(self, images: Tensor) -> Tensor:
        """Logits, B x K."""
        return self.read(self.backbone.stem(images)).logits

    def read(self, cut: Tensor) -> Reading:
        """All inputs of the losses, from the output of the backbone's stem."""
        vectors = self.embed(cut)
        distances = patch_distances(vectors, self.prototypes)
        maps = similarity(distances)
        activations = maps.amax(dim=(2, 3))
        return Reading(self.last(activations), activations, maps, distances=distances.amin(dim=(2, 3)))

    def embed(self, cut: Tensor) -> Tensor:
        """Vectors in the space of the prototypes: B x D x h x w."""
        vectors: Tensor = self.add_on(self.backbone.after(cut))
        return vectors

    def maps(self, images: Tensor) -> Tensor:
        """The network's own explanation: the similarity of every patch to every prototype, B x P x h x w."""
        return self.read(self.backbone.stem(images)).maps

    def activations(self, images: Tensor, place: Tensor | None = None) -> Tensor:
        """Similarity of the nearest patch to each prototype, B x P.

        Args:
            images: B x 3 x H x W.
            place: B x P x h x w, or with 1 for B, as :meth:`places` gives it: read the similarity there rather than
                where it is greatest.
        """
        maps = self.maps(images)
        return maps.amax(dim=(2, 3)) if place is None else (maps * place).sum(dim=(2, 3))

    def nearness(self, images: Tensor) -> Tensor:
        """Minus the squared distance of the nearest patch to each prototype, B x P.

        It orders images as the activation does, but on a smooth scale: the logarithm has a sharp peak at distance 0, so
        the activation depends almost only on very small distances.
        """
        distances = self.read(self.backbone.stem(images)).distances
        assert distances is not None
        return -distances

    def readings(self, images: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
        """Activations recomputed, and at fixed positions, in one pass: two B x P. See :meth:`activations`."""
        maps = self.maps(images)
        return maps.amax(dim=(2, 3)), (maps * place).sum(dim=(2, 3))

    def places(self, images: Tensor) -> Tensor:
        """Where each prototype is found: B x P x h x w, 1 at the first of the most similar patches, otherwise 0."""
        maps = self.maps(images)
        return functional.one_hot(maps.flatten(2).argmax(dim=2), maps[0, 0].numel()).to(maps).view(maps.shape)

    @property
    def weights(self) -> Tensor:
        """Weight of each prototype's activation in each class's logit: P x K."""
        return self.last.weight.t()

    def keep(self, prototypes: Tensor) -> None:
        """Remove all prototypes but these, in their order."""
        self.prototypes = nn.Parameter(self.prototypes.data[prototypes].clone())
        self.owners = self.owners[prototypes]
        weight = self.last.weight.data[:, prototypes].clone()
        self.last = nn.Linear(len(prototypes), weight.shape[0], bias=False)
        self.last.weight = nn.Parameter(weight)

    def _own(self) -> Tensor:
        """K x P: 1 if the prototype belongs to the class, otherwise 0."""
        return functional.one_hot(self.owners, self.last.out_features).t().float()


def patch_distances(vectors: Tensor, prototypes: Tensor) -> Tensor:
    """Squared Euclidean distances of patches to prototypes, by the expansion |x|^2 - 2 x p + |p|^2.

    Args:
        vectors: B x D x h x w.
        prototypes: P x D.

    Returns:
        B x P x h x w, not negative.
    """
    # Both are in [0, 1]. Centred values make the terms, and so the rounding error of their difference, smaller.
    vectors, prototypes = vectors - 0.5, prototypes - 0.5
    mixed = functional.conv2d(vectors, prototypes[:, :, None, None])
    own = vectors.square().sum(dim=1, keepdim=True)
    return functional.relu(own - 2 * mixed + prototypes.square().sum(dim=1).view(-1, 1, 1))


def similarity(distances: Tensor) -> Tensor:
    """log((d + 1) / (d + EPSILON)), from log(1 / EPSILON) at distance 0 down to 0 (Chen et al. 2019, eq. 1).

    >>> similarity(torch.tensor([0.0, 1.0]))
    tensor([9.2103, 0.6930])
    """
    return torch.log((distances + 1) / (distances + EPSILON))
