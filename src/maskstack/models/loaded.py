"""A network together with what it takes to show it a picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image
from torch import Tensor, nn

from maskstack.models.preprocess import Preprocess, to_picture

RANDOM = "random"
"""What :attr:`LoadedModel.weights` says of a network nobody trained."""


@dataclass(frozen=True)
class LoadedModel:
    """A network with its preprocessing.

    Attributes:
        model: The network, in eval mode.
        preprocess: From a picture of any mode to C x H x W, float32, as the network takes it.
        class_names: Names in the order of the class indices; empty if unknown.
        input_size: Height and width of what the network takes.
        mean: What the preprocessing subtracts from the 0..1 values of each channel.
        std: What it then divides by.
        spec: The spec the network was asked for with.
        weights: Where its weights come from: ``bundled``, ``pretrained``, ``random``, or the name of a file,
            folder
            or function.
    """

    model: nn.Module
    preprocess: Callable[[Image.Image], Tensor]
    class_names: tuple[str, ...]
    input_size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    spec: str
    weights: str

    def picture(self, tensor: Tensor) -> Image.Image:
        """The picture the network saw: an RGB image from a normalised tensor, C x H x W.

        Raises:
            InputError: The tensor has not the network's number of channels.
        """
        return to_picture(tensor, mean=self.mean, std=self.std)


def loaded(
    model: nn.Module,
    preprocess: Preprocess,
    *,
    spec: str,
    weights: str,
    class_names: tuple[str, ...] = (),
) -> LoadedModel:
    """A :class:`LoadedModel` whose size, mean and std are those of its preprocessing."""
    return LoadedModel(model, preprocess, class_names, preprocess.size, preprocess.mean, preprocess.std, spec, weights)
