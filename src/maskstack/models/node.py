"""A layer of a network as its output, so that a unit of the layer can be explained like a class."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from maskstack.checks import did_you_mean
from maskstack.errors import InputError, ModelError
from maskstack.objectives.outputs import find_tensor


class Node(nn.Module):
    """A network that ends at one of its layers.

    A mask search needs one number that depends on the image, so anything computed from a layer's output can be
    explained: a hidden unit, a similarity to a prototype, a norm (arXiv 2210.08336 explains prototypes this way). The
    layers after it are not run.

    Args:
        model: The network, or the result of ``load_model``; it is not copied.
        layer: Name of the layer in ``model.named_modules()``.
        read: Function from the layer's output for B images to B numbers, or to B x N numbers, from which an integer
            target selects one; :func:`peaks` if not given.

    Raises:
        InputError: The network has no layer with this name.

    >>> import torch
    >>> from maskstack import MDM
    >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    >>> unit = MDM(Node(net, "1"), objective="logit", sizes=(2, 4), steps=3)
    >>> unit(torch.rand(1, 3, 16, 16), 3).saliency.shape
    torch.Size([1, 1, 16, 16])
    """

    def __init__(self, model: Any, layer: str, read: Callable[[Any], Tensor] | None = None) -> None:
        super().__init__()
        self.model: nn.Module = model if isinstance(model, nn.Module) else model.model
        self.prepare_photos = getattr(model, "prepare_photos", None)
        layers = dict(self.model.named_modules())
        if not layer or layer not in layers:
            guess = did_you_mean(layer, layers) or " model.named_modules() names all"
            raise InputError(f"the network has no layer {layer!r};{guess}")
        self.layer, self.read = layer, read or peaks
        self.train(self.model.training)

    def forward(self, images: Tensor) -> Tensor:
        """Run the network up to the layer and apply ``read`` to the layer's output for B x C x H x W images.

        Raises:
            ModelError: The network does not run the layer.
        """
        thread = threading.get_ident()

        def stop(_layer: nn.Module, _inputs: Any, output: Any) -> None:
            if threading.get_ident() == thread:  # another thread may use the network meanwhile
                raise _ReachedError(output)

        handle = self.model.get_submodule(self.layer).register_forward_hook(stop)
        try:
            self.model(images)
        except _ReachedError as reached:
            return self.read(reached.output)
        finally:
            handle.remove()
        raise ModelError(f"the network did not run its layer {self.layer}; choose one that it runs")


def peaks(output: Any) -> Tensor:
    """The greatest value of each unit: of a channel over all positions, of a feature over all tokens.

    Args:
        output: B x C x h x w, B x T x C, B x C, or an output that contains such a tensor.

    Returns:
        B x C.

    Raises:
        ModelError: The tensor has another shape.
    """
    values = find_tensor(output)
    if values.ndim == 2:
        return values
    if values.ndim == 3:
        return values.amax(dim=1)
    if values.ndim == 4:
        return values.amax(dim=(2, 3))
    raise ModelError(
        f"the layer gives {tuple(values.shape)}; give a function read= that computes one number per image from it"
    )


class _ReachedError(Exception):
    """Stops the network after the layer has run; not an error."""

    def __init__(self, output: Any) -> None:
        super().__init__()
        self.output = output
