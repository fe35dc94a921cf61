"""The interface of both prototype networks, for the search, the pages and the metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from maskstack.prototypes.backbone import Backbone


@dataclass(frozen=True)
class Reading:
    """The result of one pass for B images.

    Attributes:
        logits: B x K.
        activations: Activation of each prototype, B x P.
        maps: The network's own maps, B x P x h x w: similarities (ProtoPNet) or occurrences (XProtoNet).
        distances: Least squared distance to each prototype, B x P (ProtoPNet).
        vectors: Features pooled by each prototype's occurrence, B x P x D (XProtoNet).
    """

    logits: Tensor
    activations: Tensor
    maps: Tensor
    distances: Tensor | None = None
    vectors: Tensor | None = None


class PrototypeNetwork(Protocol):
    """ProtoPNet and XProtoNet; both are ``nn.Module``.

    Attributes:
        kind: ``protopnet`` or ``xprotonet``.
        backbone: Computes the features.
        owners: Class of each prototype, P.
        prototypes: P x D.
    """

    kind: str
    backbone: Backbone
    owners: Tensor

    def __call__(self, images: Tensor) -> Tensor:
        """Logits, B x K."""

    def read(self, cut: Tensor) -> Reading:
        """The whole result, from the output of the backbone's stem."""

    def activations(self, images: Tensor, place: Tensor | None = None) -> Tensor:
        """Activation of each prototype, B x P; read at fixed places if given."""

    def nearness(self, images: Tensor) -> Tensor:
        """A number that orders images as the activation does, on a smooth scale: B x P."""

    def readings(self, images: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
        """Activations recomputed over the image and read at fixed positions, in one pass: two B x P."""

    def places(self, images: Tensor) -> Tensor:
        """Where each prototype is read: weights B x P x h x w."""

    def maps(self, images: Tensor) -> Tensor:
        """The network's own explanation, B x P x h x w, not negative."""

    @property
    def weights(self) -> Tensor:
        """Weight of each prototype's activation in each class's logit: P x K."""
