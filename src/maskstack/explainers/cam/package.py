"""Run the package grad-cam on a scored model: fulfil its assumptions, and remove its hooks afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from functools import cache
from types import FunctionType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from maskstack.errors import ModelError, require
from maskstack.explainers.cam.layers import FoundLayer, in_this_thread
from maskstack.scoring import ScoredModel
from maskstack.scoring.randomness import global_states_kept


def package() -> Any:
    """The package.

    Raises:
        MissingExtraError: It is not installed.
    """
    # What it imports seeds Python's random numbers.
    with global_states_kept():
        return require("pytorch_grad_cam", extra="rivals")


def cam_grids(
    method: str,
    scored: ScoredModel,
    images: Tensor,
    rows: Tensor,
    layer: FoundLayer,
    *,
    gradients: bool,
    batch_size: int,
) -> Tensor:
    """The method's own maps, before they are scaled and upsampled.

    Args:
        method: Name of the method's class in the package.
        scored: Model from images to scores.
        images: N x C x H x W.
        rows: Index of each image in the batch, N.
        layer: The layer to read.
        gradients: Whether the method needs gradients.
        batch_size: Maximum number of changed images in one pass, for methods that run one image for each channel.

    Returns:
        N x h x w, not negative.

    Raises:
        ModelError: No gradient reaches the layer.
    """
    network = _WithLayerOutput(scored, rows, layer, images.device, differentiated=gradients)
    with ExitStack() as cleared:
        # A network with a fixed batch size pads its batch; the padding rows are removed.
        cam = _quiet_class(method)(network, [network.layer_output], lambda output: layer.on_grid(output)[: len(images)])
        # Not as a context manager, which prints and swallows every IndexError of the network.
        cleared.callback(cam.activations_and_grads.release)
        cleared.callback((scored.inner or scored).register_forward_pre_hook(in_this_thread(network.begin)).remove)
        cleared.callback(layer.module.register_forward_hook(in_this_thread(network.replace_output)).remove)
        network.recorded = cam.activations_and_grads
        cam.batch_size = batch_size
        cam.ablation_layer = _Ablated(layer.channel_axis)
        cam(images, [_itself] * len(images))
        return torch.from_numpy(np.maximum(cam.grids, 0))


class _LayerOutput(nn.Module):
    """Module in which the package reads or replaces the layer's output."""

    def __init__(self, *, differentiated: bool) -> None:
        super().__init__()
        self.differentiated = differentiated

    def forward(self, output: Tensor) -> Tensor:
        # The graph begins here, so a frozen network has gradients too, and earlier layers need none.
        return output.detach().requires_grad_() if self.differentiated else output


class _WithLayerOutput(nn.Module):
    """A scored model that stores the rows of its images and passes a layer's output to a :class:`_LayerOutput`.

    The package hooks and replaces layers. Here it does so only with ``layer_output``: the network has a single hook.
    """

    def __init__(
        self, scored: ScoredModel, rows: Tensor, layer: FoundLayer, device: torch.device, *, differentiated: bool
    ) -> None:
        super().__init__()
        # Registered first, because the package searches in this order and fails at submodules that are None.
        self.layer_output = _LayerOutput(differentiated=differentiated)
        self.scored, self.rows, self.layer, self.differentiated = scored, rows, layer, differentiated
        # The package reads the device from the first parameter, but a network may not have parameters.
        self.place = nn.Parameter(torch.empty(0, device=device), requires_grad=False)
        self.recorded: Any = None
        self.calls = self.kept = 0

    def forward(self, images: Tensor) -> Tensor:
        self.kept = len(self.recorded.activations)
        scores: Tensor = self.scored(images, self.rows.expand(len(images)))
        if self.differentiated and torch.is_grad_enabled() and not scores.requires_grad:
            raise ModelError(no_gradient(self.layer.name))
        return scores

    def begin(self, _network: nn.Module, _inputs: Any) -> None:
        """The hook before the network: a pass that is run again, as for random numbers, replaces the first."""
        self.calls = 0
        del self.recorded.activations[self.kept :]

    def replace_output(self, _module: nn.Module, _inputs: Any, output: Tensor) -> Tensor | None:
        """The hook: pass the output through ``layer_output``, so that the package can read or replace it."""
        self.calls += 1
        if (self.calls - 1) % self.layer.calls != self.layer.call:
            return None
        # Score-CAM runs the network for every channel, but later uses only the activations of the first run.
        del self.recorded.activations[1:]
        # On the CPU the package keeps the tensor itself, which an in-place ReLU after the layer would overwrite.
        replaced: Tensor = self.layer_output(output)
        return replaced.clone()


def no_gradient(layer: str) -> str:
    """The error message for a method that needs a gradient."""
    return f"the score has no gradient at the layer {layer}; choose another layer, or a method without gradients"


class _Ablated(nn.Module):
    """Replaces a layer: returns its output for one image, with another channel set to zero in each row of the batch.

    It replaces the package's class, which does not set channels to zero, as the paper does, if activations can be
    negative: it subtracts 1e7, and again for each further image of the batch. The network's batch may be run in slices;
    each call returns the next slice.
    """

    def __init__(self, channel_axis: int) -> None:
        super().__init__()
        self.channel_axis = channel_axis
        self.indices: Sequence[int] = ()

    def activations_to_be_ablated(self, activations: Any, _share: float) -> Any:
        """Return and store all channels; the caller removes those that are done."""
        self.indices = np.arange(len(activations))  # type: ignore[assignment]
        return self.indices

    def set_next_batch(self, input_batch_index: int, activations: Tensor, num_channels_to_ablate: int) -> None:
        """Start a batch."""
        self.whole = activations[input_batch_index]
        self.next = 0
        self.last = num_channels_to_ablate - 1

    def forward(self, inputs: Tensor) -> Tensor:
        several = self.whole.unsqueeze(0).repeat(len(inputs), *[1] * self.whole.ndim)
        by_channel = several.movedim(self.channel_axis, 1)
        for row in range(len(inputs)):
            by_channel[row, self.indices[min(self.next + row, self.last)]] = 0
        self.next += len(inputs)
        return several


def _itself(score: Tensor) -> Tensor:
    return score


@cache
def _quiet_class(method: str) -> Any:
    """The package's class for a method, changed to keep its grids and not to print progress bars."""
    base: Any = getattr(package(), method)

    def get_cam_image(self: Any, *arguments: Any) -> Any:
        activations, found = arguments[3], arguments[4]
        if found is None and self.uses_gradients:
            raise ModelError(no_gradient(self.model.layer.name))
        grids = base.get_cam_image(self, *arguments)
        if method == "EigenCAM":
            grids = grids * _sign(grids, activations)
        self.grids = grids
        return grids

    weights = base.get_cam_weights
    return type(base)(
        f"Quiet{method}",
        (base,),
        {
            "get_cam_image": get_cam_image,
            # The same code with another tqdm, so that the package's modules are unchanged and nothing is printed.
            "get_cam_weights": FunctionType(
                weights.__code__,
                {**weights.__globals__, "tqdm": _NoBar},
                weights.__name__,
                weights.__defaults__,
                weights.__closure__,
            ),
        },
    )


def _sign(grids: Any, activations: Any) -> Any:
    """1 or -1 for each map: the sign of an eigenvector is arbitrary, but decides which part of the map is cut off."""
    strength = activations.mean(axis=1)
    strength = strength - strength.mean(axis=(1, 2), keepdims=True)
    return np.where((grids * strength).sum(axis=(1, 2), keepdims=True) < 0, -1, 1).astype(grids.dtype)


class _NoBar:
    """Replacement of the module tqdm."""

    @staticmethod
    def tqdm(each: Iterable[int]) -> Iterable[int]:
        return each
