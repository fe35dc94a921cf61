"""Class activation maps, through the package grad-cam: Grad-CAM and related methods."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, Unpack

import torch
from torch import Tensor, nn

from maskstack import checks
from maskstack.batches import Batches
from maskstack.defaults import with_usual_defaults
from maskstack.errors import ModelError
from maskstack.explainers.base import PREDICTIONS, MapExplainer, MapOptions, Maps
from maskstack.explainers.cam import package
from maskstack.explainers.cam.layers import NO_LAYERS, FoundLayer, find_layer, layer_name
from maskstack.models.frozen import FixedBatch
from maskstack.scoring import Model, ScoredModel
from maskstack.scoring.failures import readable
from maskstack.scoring.prepared import PreparedModel
from maskstack.scoring.untouched import untouched

CAMKind = Literal["gradcam", "gradcam++", "xgradcam", "hirescam", "layercam", "eigencam", "scorecam", "ablationcam"]


@dataclass(frozen=True)
class Kind:
    """A method of the family.

    Attributes:
        name: Name of its class in the package.
        backward: Backward passes for each image.
        forward: Forward passes for each image, besides one for each channel.
        channels: Whether it runs the image once for each channel of the layer. Such a method explains one image at a
            time.
    """

    name: str
    backward: int = 1
    forward: int = 1
    channels: bool = False


KINDS: Mapping[str, Kind] = {
    "gradcam": Kind("GradCAM"),
    "gradcam++": Kind("GradCAMPlusPlus"),
    "xgradcam": Kind("XGradCAM"),
    "hirescam": Kind("HiResCAM"),
    "layercam": Kind("LayerCAM"),
    "eigencam": Kind("EigenCAM", backward=0),
    "scorecam": Kind("ScoreCAM", backward=0, channels=True),
    "ablationcam": Kind("AblationCAM", backward=0, forward=2, channels=True),
}
"""The family by name."""


class CAM(MapExplainer):
    """Explains a network's outputs by the weighted activations of one of its layers.

    The map has the resolution of that layer. :attr:`maskstack.Explanation.grids` holds it before upsampling, and the
    notes name the layer and its grid. Two methods differ from the package, whose results are not comparable there. The
    sign of Eigen-CAM's map follows the strength of the activations, because the sign of an SVD is arbitrary.
    Ablation-CAM sets channels to zero, as in its paper, even if activations can be negative.

    Score-CAM keeps an image for each channel of the layer in memory, about 1 GB for 1280 channels at 224 x 224.

    Args:
        model: An ``nn.Module``, or what ``load_model`` returned. It comes back exactly as it was.
        kind: A name of :data:`KINDS`.
        layer: The layer to read, as a submodule or its dotted name. None selects the last one that keeps the spatial
            positions, see :func:`maskstack.explainers.cam.layers.find_layer`.
        **options: See :class:`maskstack.explainers.base.MapExplainer`; the papers of the family explain the logit.

    Raises:
        InputError: There is no such kind or layer.
        MissingExtraError: grad-cam is not installed.
        ModelError: The network has no layers that could be read.
    """

    def __init__(
        self,
        model: Model,
        *,
        kind: CAMKind = "gradcam",
        layer: str | int | nn.Module | None = None,
        **options: Unpack[MapOptions],
    ) -> None:
        checks.one_of("kind", kind, KINDS)
        super().__init__(kind, model, {}, meaning="logit", **options)
        # A compiled network does not call its layers, so their hooks do not run.
        network = getattr(self.user_model.model, "_orig_mod", self.user_model.model)
        if not isinstance(network, nn.Module):
            raise ModelError(NO_LAYERS)
        if any(isinstance(module, torch.jit.ScriptModule) for module in network.modules()):
            raise ModelError(
                "the layers of a TorchScript network cannot be read; give the network that was scripted or traced, or "
                "use a method that needs no layer, such as MDM or RISE"
            )
        self.user_model, self.model, self.kind = replace(self.user_model, model=network), network, kind
        self.layer = None if layer is None else layer_name(network, layer)
        meaning = self.user_model.meaning
        self.settings = {"kind": kind, "layer": self.layer, "objective": meaning, "batch_size": self.batch_size}
        self._size: tuple[int, int] = getattr(model, "input_size", (224, 224))
        self._colours = len(getattr(model, "mean", ())) or _colours(network)
        self._channels: dict[tuple[int, int], int] = {}
        package.package()

    def cost(self, images: int, *, size: tuple[int, int] | None = None) -> dict[str, int]:
        """Forward and backward passes that a batch takes.

        Args:
            images: Number of images.
            size: Their height and width, by default the input size from ``load_model``, or 224 x 224. Methods with a
                pass for each channel run the network once at this size, to count the channels.

        Raises:
            InputError: The layer's output is not a spatial grid.
            ModelError: The network does not take images of this size.
        """
        kind = KINDS[self.kind]
        channels = self._channels_at(size or self._size) if kind.channels else 0
        # Prediction, score and the method's passes for each image, and one pass of one image to find the layer.
        return {"forward": images * (PREDICTIONS + kind.forward + channels) + 1, "backward": images * kind.backward}

    def _maps(self, scored: ScoredModel, images: Tensor) -> Maps:
        kind = KINDS[self.kind]
        first = torch.zeros(1, dtype=torch.int64, device=images.device)
        layer = find_layer(self.model, self.layer, image=images[:1], call=lambda image: scored.output(image, first))

        def work(rows: Tensor) -> Tensor:
            return package.cam_grids(
                kind.name, scored, images[rows], rows, layer, gradients=kind.backward > 0, batch_size=self.batch_size
            )

        # A network that slices its batches runs its layers once for each slice.
        alone = kind.channels or any(isinstance(module, FixedBatch) for module in self.model.modules())
        every = torch.arange(len(images))
        grids = torch.cat(Batches(1 if alone else self.batch_size).run(every, work))
        return Maps(grids, (grids,), layer.notes())

    def _channels_at(self, size: tuple[int, int]) -> int:
        if size not in self._channels:
            self._channels[size] = self._look(size).channels
        return self._channels[size]

    @with_usual_defaults
    def _look(self, size: tuple[int, int]) -> FoundLayer:
        first = next(self.model.parameters(), torch.empty(0))
        image = torch.zeros(1, self._colours, *size, device=first.device)
        dtype = first.dtype if first.dtype.is_floating_point else torch.float32
        # The rows of the first image; a cost is asked for before the images are known.
        arguments = self.user_model.arguments.select(torch.tensor([0])).bind(1, first.device)
        prepared = PreparedModel(self.model, arguments=arguments, dtype=dtype)
        with untouched(self.model), readable():
            return find_layer(self.model, self.layer, image=image, call=prepared.first)


def _colours(network: nn.Module) -> int:
    """Number of channels of the network's input, read from its first convolution."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            return module.in_channels
    return 3
