"""XProtoNet (Kim et al. 2021): findings by features that are pooled where a prototype occurs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from maskstack.prototypes.backbone import Backbone
from maskstack.prototypes.network import Reading


class XProtoNet(nn.Module):
    """An occurrence map per prototype, features pooled by it, cosine similarity, a weight per prototype.

    The paper does not say how maps are made positive, whether pooling divides by their size, or which range the
    similarity has. Public implementations differ, so these are options.

    Args:
        backbone: Computes the features, B x C x h x w.
        owners: Finding of each prototype, P.
        classes: K.
        dimension: D.
        occurrence: Function that makes maps positive: ``sigmoid`` or ``abs``.
        pooling: ``sum`` or ``mean`` over positions; the cosine is the same, but the stored vectors differ.
        similarity: ``cosine`` in [-1, 1], or ``shifted`` to [0, 1].

    Attributes:
        prototypes: P x D.
        weight: Weight of each prototype in its own finding's logit, P.
        bias: Bias of each finding, K. The paper has none; it does not change the ranking of images.
    """

    kind = "xprotonet"
    owners: Tensor

    def __init__(
        self,
        backbone: Backbone,
        owners: Sequence[int],
        *,
        classes: int,
        dimension: int = 64,
        occurrence: str = "sigmoid",
        pooling: str = "sum",
        similarity: str = "cosine",
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.occurrence, self.pooling, self.similarity = occurrence, pooling, similarity
        channels = backbone.channels
        self.add_on = nn.Sequential(nn.Conv2d(channels, dimension, 1), nn.ReLU(), nn.Conv2d(dimension, dimension, 1))
        self.occurring = nn.Sequential(
            nn.Conv2d(channels, dimension, 1), nn.ReLU(), nn.Conv2d(dimension, len(owners), 1, bias=False)
        )
        self.prototypes = nn.Parameter(torch.randn(len(owners), dimension))
        self.weight = nn.Parameter(torch.ones(len(owners)))
        self.bias = nn.Parameter(torch.zeros(classes))
        self.register_buffer("owners", torch.tensor(owners))

    def forward(self, images: Tensor) -> Tensor:
        """Logits, B x K."""
        return self.read(self.backbone.stem(images)).logits

    def read(self, cut: Tensor) -> Reading:
        """All inputs of the losses, from the output of the backbone's stem."""
        features = self.backbone.after(cut)
        maps = self._occurrence(features)
        vectors = self._pooled(features, maps)
        activations = self._similarity(vectors)
        return Reading(activations @ self.weights + self.bias, activations, maps, vectors=vectors)

    def maps(self, images: Tensor) -> Tensor:
        """The network's own explanation: where each prototype occurs, B x P x h x w."""
        return self._occurrence(self.backbone(images))

    def activations(self, images: Tensor, place: Tensor | None = None) -> Tensor:
        """Cosine of the pooled features with each prototype, B x P.

        Args:
            images: B x 3 x H x W.
            place: B x P x h x w, or with 1 for B, as :meth:`places` gives it: pool by these maps instead of those of
                the images.
        """
        features = self.backbone(images)
        maps = self._occurrence(features) if place is None else place.expand(len(images), -1, -1, -1)
        return self._similarity(self._pooled(features, maps))

    def nearness(self, images: Tensor) -> Tensor:
        """The activations, B x P: a cosine is already on a smooth scale."""
        return self.activations(images)

    def readings(self, images: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
        """Activations recomputed, and at fixed positions, in one pass: two B x P. See :meth:`activations`."""
        features = self.backbone(images)
        maps = (self._occurrence(features), place.expand(len(images), -1, -1, -1))
        anew, fixed = (self._similarity(self._pooled(features, each)) for each in maps)
        return anew, fixed

    def places(self, images: Tensor) -> Tensor:
        """Where each prototype is read: its occurrence map."""
        return self.maps(images)

    @property
    def weights(self) -> Tensor:
        """Weight of each prototype's activation in each finding's logit: P x K; 0 for other findings than its own."""
        return functional.one_hot(self.owners, len(self.bias)) * self.weight.unsqueeze(1)

    def _occurrence(self, features: Tensor) -> Tensor:
        maps: Tensor = self.occurring(features)
        return maps.sigmoid() if self.occurrence == "sigmoid" else maps.abs()

    def _pooled(self, features: Tensor, maps: Tensor) -> Tensor:
        vectors = torch.einsum("bphw,bdhw->bpd", maps, self.add_on(features))
        return vectors if self.pooling == "sum" else vectors / maps[0, 0].numel()

    def _similarity(self, vectors: Tensor) -> Tensor:
        cosine = functional.cosine_similarity(vectors, self.prototypes.unsqueeze(0), dim=2)
        return cosine if self.similarity == "cosine" else (cosine + 1) / 2
