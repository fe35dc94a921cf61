"""A network together with its preprocessing and class names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image
from torch import Tensor, nn

from maskstack.geometry import Geometry
from maskstack.models.inputs import Photo, geometry_of, prepared
from maskstack.models.own_transform import OwnTransform
from maskstack.models.preprocess import Preprocess, to_picture
from maskstack.models.volumes import VolumePreprocess
from maskstack.objectives.classification import class_name

RANDOM = "random"
"""Value of :attr:`LoadedModel.weights` for an untrained network."""


@dataclass(frozen=True)
class LoadedModel:
    """A network with its preprocessing and class names.

    Attributes:
        model: The network, in eval mode.
        preprocess: Converts a PIL image of any mode to the network's input, C x H x W, float32; for networks that take
            volumes, a :class:`maskstack.models.volumes.Volume` to C x D x H x W.
        class_names: Names in the order of the class indices; empty if unknown.
        input_size: Height and width of the network's input.
        mean: Mean that the preprocessing subtracts from the 0..1 values of each channel.
        std: Standard deviation by which the preprocessing then divides them.
        spec: The spec that was given to load the network.
        weights: Source of its weights: ``bundled``, ``pretrained``, ``random``, or the name of a file, folder or
            function.
        output: Which output is explained, and what it is, see :class:`maskstack.MDM`; None to find out.
        order: For red, green and blue, the channel of the input.
        assumed: What was assumed about its input and should be checked, as a sentence; empty if nothing was.
    """

    model: nn.Module
    preprocess: Callable[[Any], Tensor]
    class_names: tuple[str, ...]
    input_size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    spec: str
    weights: str
    output: int | str | None = None
    order: tuple[int, ...] = (0, 1, 2)
    assumed: str = ""

    def __repr__(self) -> str:
        """One line; the network itself is ``model``."""
        classes = f"{len(self.class_names)} named classes" if self.class_names else "classes without names"
        volumes = isinstance(self.preprocess, VolumePreprocess)
        takes = "volumes" if volumes else " x ".join(map(str, self.input_size))
        return f"LoadedModel({self.spec}: {classes}, input: {takes}, weights: {self.weights})"

    def class_name(self, index: int) -> str:
        """Name of a class, or ``class`` and its index if the name is unknown.

        Args:
            index: Index of the class, from 0.
        """
        return class_name(self.class_names, index)

    def prepare_photos(self, photos: Photo | Sequence[Photo]) -> tuple[Tensor, tuple[Geometry | None, ...]]:
        """The network's input for photos, on the network's device, and where it lies in each photo.

        Args:
            photos: A PIL image, the name of an image file, or a list of them.

        Returns:
            The images, B x C x H x W, and the geometry of each; None where the preprocessing turns or bends a photo.

        Raises:
            InputError: There is no photo, or one cannot be read.
        """
        images, places = prepared(photos, self.preprocess)
        device = next((tensor.device for tensor in self.model.state_dict().values()), images.device)
        return images.to(device), places

    def geometry(self, photo: Image.Image) -> Geometry | None:
        """Where the network's input lies in a photo; None if the preprocessing turns or bends it.

        Args:
            photo: Upright photo, as :func:`maskstack.models.open_photo` gives it.
        """
        return geometry_of(self.preprocess, photo.size, self.input_size)

    def picture(self, tensor: Tensor) -> Image.Image:
        """Convert a normalised tensor back to the image that the network sees.

        Args:
            tensor: Normalised image, C x H x W.

        Returns:
            RGB image of W x H.

        Raises:
            InputError: The tensor does not have the network's number of channels.
        """
        return to_picture(tensor, mean=self.mean, std=self.std, order=self.order)


def loaded(
    model: nn.Module,
    preprocess: Preprocess | OwnTransform,
    *,
    spec: str,
    weights: str,
    class_names: tuple[str, ...] = (),
    output: int | str | None = None,
    assumed: str = "",
) -> LoadedModel:
    """Make a :class:`LoadedModel` with the size, mean and std of its preprocessing."""
    return LoadedModel(
        model,
        preprocess,
        class_names,
        preprocess.size,
        preprocess.mean,
        preprocess.std,
        spec,
        weights,
        output,
        preprocess.order if isinstance(preprocess, OwnTransform) else (0, 1, 2),
        assumed,
    )


def loaded_for_volumes(model: nn.Module, preprocess: VolumePreprocess, *, spec: str, weights: str) -> LoadedModel:
    """Make a :class:`LoadedModel` of a network that takes volumes; its preprocessing takes a ``Volume``."""
    normalised = (preprocess.mean or 0.0,) * preprocess.channels, (preprocess.std or 1.0,) * preprocess.channels
    return LoadedModel(model, preprocess, (), preprocess.size or (1, 1), *normalised, spec, weights)
