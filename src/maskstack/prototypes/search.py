"""The search for the region of a prototype in an image, by any method or by the network's own map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import torch
from torch import Tensor, nn
from torch.nn import functional

from maskstack.checks import did_you_mean
from maskstack.errors import InputError, a_type
from maskstack.explainers.base import CostedExplainer, MapExplainer, MapOptions, Maps
from maskstack.explainers.table import METHODS, OWN, make_explainer
from maskstack.explanation import Explanation
from maskstack.prototypes.network import PrototypeNetwork
from maskstack.prototypes.protopnet import ProtoPNet
from maskstack.prototypes.xprotonet import XProtoNet
from maskstack.scoring import ScoredModel

NATIVE = "native"
"""The network's own map: upsampled similarities (ProtoPNet) or occurrences (XProtoNet)."""

SEARCH_METHODS = (NATIVE, *METHODS)
"""All methods; those that do not need the network's layers explain the activation of a prototype."""


class Activations(nn.Module):
    """The network with its prototypes' activations as output, so that explainers explain a prototype like a class.

    Args:
        network: ProtoPNet or XProtoNet.
        nearness: Whether the output is the nearness of the prototypes instead of their activations.
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
    prototype: int | Sequence[int] | Tensor,
    method: str = "mdm",
    **options: Any,
) -> Explanation:
    """The region of an image on which a prototype's activation depends.

    Args:
        network: ProtoPNet or XProtoNet.
        image: C x H x W, preprocessed for the network; or B x C x H x W, one image for each prototype.
        prototype: Its number, or several numbers, which are searched for in one batch.
        method: ``native``, or a method of ``maskstack methods`` with its options, as ``mdm:steps=40``.
        **options: Options of the method; options in its name have priority.

    Returns:
        A row for each prototype: maps from 0 to 1, ``target`` the prototype, ``score_before`` its activation.

    Raises:
        InputError: The network or the image cannot be used, or there is no such prototype, method or option.
        MissingExtraError: A package is needed that is not installed.

    >>> from maskstack.prototypes.search import locate
    >>> locate(network, image, [3, 7], "native").saliency.shape  # doctest: +SKIP
    torch.Size([2, 1, 224, 224])
    """
    if not isinstance(network, ProtoPNet | XProtoNet):
        raise InputError(
            f"the network is a {type(network).__name__}, not a ProtoPNet or XProtoNet of maskstack.prototypes; explain "
            "the similarities of a network of your own with MDM, see docs/prototypes.md"
        )
    if not isinstance(image, Tensor):
        raise InputError(
            f"image is {a_type(image)}; give a tensor C x H x W, as load(FOLDER).model.preprocess makes it"
        )
    several = _numbers(prototype, len(network.owners))
    images = image.unsqueeze(0) if image.ndim == 3 else image
    if images.ndim != 4:
        raise InputError(f"the image has shape {tuple(image.shape)}; it must be C x H x W, or B x C x H x W")
    if len(images) not in (1, len(several)):
        raise InputError(f"{len(images)} images for {len(several)} prototypes; give one, or one for each")
    images = images.expand(len(several), -1, -1, -1)
    return finder(network, method, **options)(images, several)


def _numbers(prototype: int | Sequence[int] | Tensor, count: int) -> list[int]:
    """The numbers of prototypes as a list.

    Raises:
        InputError: There are none, or one is not the number of a prototype.
    """
    try:
        numbers = torch.as_tensor(prototype)
    except (TypeError, ValueError, RuntimeError):
        numbers = torch.empty(0)
    if numbers.is_floating_point() or numbers.dtype == torch.bool or numbers.ndim > 1 or not numbers.numel():
        raise InputError(f"prototype is {prototype!r}; give the number of a prototype, or several numbers")
    found: list[int] = numbers.reshape(-1).tolist()
    for number in found:
        if not 0 <= number < count:
            raise InputError(f"there is no prototype {number}; the network has 0 to {count - 1}")
    return found


def finder(
    network: PrototypeNetwork, method: str = "mdm", *, nearness: bool = False, **options: Any
) -> CostedExplainer:
    """The explainer that searches for prototypes by a method: called with images and their prototypes' numbers.

    Args:
        network: ProtoPNet or XProtoNet.
        method: See :func:`locate`.
        nearness: Whether to explain the nearness of the prototype instead of its activation. This is for the images
            that prototypes come from, where the logarithm of ProtoPNet has its peak and any mask removes it.
        **options: Options of the method.

    Raises:
        InputError: There is no such method or option.
        MissingExtraError: A package is needed that is not installed.
    """
    name = method.partition(":")[0]
    if name not in (*SEARCH_METHODS, OWN):
        guess = did_you_mean(name, SEARCH_METHODS) or f" the methods are {', '.join(SEARCH_METHODS)}"
        raise InputError(f"there is no method {name!r} to search with;{guess}")
    if name == NATIVE:
        if method != NATIVE:
            raise InputError(f"{NATIVE} has no options, but {method!r} gives some; write {NATIVE} alone")
        return Native(network, **options)
    return make_explainer(method, Activations(network, nearness=nearness), **{"objective": "logit", **options})


class Native(MapExplainer):
    """The network's own map of a prototype, upsampled as its authors do: bicubic for ProtoPNet, bilinear for XProtoNet.

    Args:
        network: ProtoPNet or XProtoNet.
        **options: See :class:`maskstack.explainers.base.MapExplainer`.
    """

    def __init__(self, network: PrototypeNetwork, **options: Unpack[MapOptions]) -> None:
        mode = "bicubic" if network.kind == "protopnet" else "bilinear"
        super().__init__(NATIVE, Activations(network), {"upsampling": mode}, forward=1, meaning="logit", **options)
        self.network, self.mode = network, mode

    def _maps(self, scored: ScoredModel, images: Tensor) -> Maps:
        targets = torch.tensor(scored.objective.targets)
        with torch.no_grad():
            chunks = [self.network.maps(chunk) for chunk in torch.split(images, self.batch_size)]
        scored.forward_passes += 1
        maps = torch.cat(chunks)[torch.arange(len(images)), targets]
        size = (images.shape[2], images.shape[3])
        values = functional.interpolate(maps.unsqueeze(1), size=size, mode=self.mode, align_corners=False).squeeze(1)
        # Bicubic interpolation goes below the lowest value of any patch.
        return Maps(values.clamp_min(0), grids=(maps,))
