"""Where in an image is what a prototype stands for? One call for any method, the networks' own maps among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from maskstack.errors import InputError
from maskstack.explainers.base import Maps
from maskstack.explainers.rival import PREDICTIONS, Rival
from maskstack.scoring import ScoredModel
from maskstack.explainers.table import METHODS, CostedExplainer, make_explainer
from maskstack.explanation import Explanation
from maskstack.models.spec import did_you_mean
from maskstack.prototypes.network import PrototypeNetwork

NATIVE = "native"
"""The network's own map: upsampled similarities (ProtoPNet) or occurrences (XProtoNet)."""

SEARCH_METHODS = (NATIVE, *METHODS)
"""The methods there are; of those that need none of the network's layers, all work on a prototype's activation."""

SETTINGS: Mapping[str, Mapping[str, Any]] = {}
"""Options of methods that are other here than for classes, see ``docs/prototypes.md`` for why."""


class Activations(nn.Module):
    """The network with its prototypes' activations for output, so that any explainer can explain one like a class.

    Args:
        network: ProtoPNet or XProtoNet.
        nearness: Read how near the prototype is, rather than its activation.
    """

    def __init__(self, network: PrototypeNetwork, *, nearness: bool = False) -> None:
        super().__init__()
        self.network, self.nearness = network, nearness

    def forward(self, images: Tensor) -> Tensor:
        """Activation of each prototype, B x P."""
        return self.network.nearness(images) if self.nearness else self.network.activations(images)


def locate(
    network: PrototypeNetwork,
    image: Tensor,
    prototype: int | Sequence[int],
    method: str = "mdm",
    **options: Any,
) -> Explanation:
    """The region of an image that a prototype's activation rests on.

    Args:
        network: ProtoPNet or XProtoNet.
        image: C x H x W, as the network takes it; or B x C x H x W, one image for each prototype.
        prototype: Its number, or several: all of them are searched for in one batch.
        method: ``native``, or a method of ``maskstack methods`` with its options, as ``mdm:steps=40``.
        **options: Options for the method; those in its name stand over them.

    Returns:
        A row for each prototype: maps from 0 to 1, ``target`` the prototype, ``score_before`` its activation.

    Raises:
        InputError: The image cannot be used, there is no such prototype or method.
        MissingExtraError: A package is needed that is not installed.

    >>> from maskstack.prototypes.search import locate
    >>> locate(network, image, [3, 7], "native").saliency.shape  # doctest: +SKIP
    torch.Size([2, 1, 224, 224])
    """
    several = [prototype] if isinstance(prototype, int) else list(prototype)
    count = len(network.owners)
    wrong = [number for number in several if not 0 <= number < count]
    if wrong or not several:
        raise InputError(f"there is no prototype {wrong[0] if wrong else ''}; the network has 0 to {count - 1}")
    images = image.unsqueeze(0) if image.ndim == 3 else image
    if len(images) not in (1, len(several)):
        raise InputError(f"{len(images)} images for {len(several)} prototypes; give one, or one for each")
    images = images.expand(len(several), -1, -1, -1)
    return finder(network, method, **options)(images, several)


def finder(
    network: PrototypeNetwork, method: str = "mdm", *, nearness: bool = False, **options: Any
) -> CostedExplainer:
    """The explainer that searches for prototypes by a method: called with images and their prototypes' numbers.

    Args:
        network: ProtoPNet or XProtoNet.
        method: See :func:`locate`.
        nearness: Search by how near the prototype is, rather than by its activation: for the images that prototypes
            come from, where ProtoPNet's activation is at the peak of its logarithm and any mask ends it.
        **options: Options for the method.
    """
    name = method.partition(":")[0]
    if name not in SEARCH_METHODS:
        guess = did_you_mean(name, SEARCH_METHODS)
        raise InputError(
            f"there is no method {name!r} to search with;{guess} The methods are {', '.join(SEARCH_METHODS)}"
        )
    if name == NATIVE:
        if method != NATIVE:
            raise InputError(f"{NATIVE} has no options, but {method!r} gives some; write {NATIVE} alone")
        return Native(network, **options)
    options = {"objective": "logit", **SETTINGS.get(name, {}), **options}
    return make_explainer(method, Activations(network, nearness=nearness), **options)


class Native(Rival):
    """The network's own map of a prototype, upsampled as its authors do: bicubic for ProtoPNet, bilinear for XProtoNet.

    Args:
        network: ProtoPNet or XProtoNet.
        batch_size: Images in one pass at most.
    """

    def __init__(self, network: PrototypeNetwork, *, batch_size: int = 32) -> None:
        mode = "bicubic" if network.kind == "protopnet" else "bilinear"
        super().__init__(
            NATIVE,
            Activations(network),
            objective="logit",
            batch_size=batch_size,
            class_names=(),
            settings={"upsampling": mode},
        )
        self.network, self.mode = network, mode

    def cost(self, images: int, *, size: tuple[int, int] = (224, 224)) -> dict[str, int]:
        """Passes that so many images take at most."""
        del size
        return {"forward": images * (1 + PREDICTIONS), "backward": 0}

    def _maps(self, scored: ScoredNetwork, images: Tensor) -> Maps:
        targets = torch.tensor(scored.bound.targets)
        with torch.no_grad():
            chunks = [self.network.maps(chunk) for chunk in torch.split(images, self.batch_size)]
        scored.forward_passes += 1
        maps = torch.cat(chunks)[torch.arange(len(images)), targets]
        size = (images.shape[2], images.shape[3])
        values = functional.interpolate(maps.unsqueeze(1), size=size, mode=self.mode, align_corners=False).squeeze(1)
        # Bicubic weights overshoot below what any patch has.
        return Maps(values.clamp_min(0), grids=(maps,))
