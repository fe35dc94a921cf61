"""A method of the user's own: a function from a network's score and an image to a map."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Unpack

import numpy as np
import torch
from torch import Tensor

from maskstack.errors import InputError, MaskstackError, ModelError, a_type
from maskstack.explainers.base import MapOptions, OneByOne
from maskstack.scoring import Model, ScoredModel


class OwnMethod(OneByOne):
    """Explains images one at a time by a function of the user's own.

    The function is called as ``function(score, image, **settings)`` and returns the image's map. ``score`` is a module
    from images, N x C x H x W, to the N scores that are explained, such as the probability of the class; its attribute
    ``inner`` is the network. ``image`` is 1 x C x H x W. The map is h x w, also as 1 x h x w or 1 x 1 x h x w, a tensor
    or an array, high where the evidence is. It is scaled to [0, 1], and upsampled if it is coarser than the image.
    The passes of ``score`` are counted; those of ``inner`` are not, and the cost that is named before the start has
    neither. Each image gets the same random numbers of torch, NumPy and Python. The network comes back as it was.

    Args:
        model: The network, or what ``load_model`` returned.
        function: The method.
        name: Its name, for the result; the function's own name by default.
        settings: Values of the function's other arguments, which JSON can hold.
        **options: See :class:`maskstack.explainers.base.MapExplainer`.

    Raises:
        InputError: The function does not take these settings, or an option is not allowed.

    >>> def brightness(score, image, power=1):
    ...     return image[0].mean(dim=0) ** power
    >>> network = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(3, 2))
    >>> OwnMethod(network, brightness, settings={"power": 2})(torch.rand(2, 3, 8, 8), 1).saliency.shape
    torch.Size([2, 1, 8, 8])
    """

    takes_volumes = True

    def __init__(
        self,
        model: Model,
        function: Callable[..., Any],
        *,
        name: str = "",
        settings: Mapping[str, Any] | None = None,
        **options: Unpack[MapOptions],
    ) -> None:
        self.function, self.own_settings = function, dict(settings or {})
        name = name or getattr(function, "__name__", "own")
        try:
            inspect.signature(function).bind(None, None, **self.own_settings)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"{name} is called as function(score, image, ...) with the settings "
                f"{', '.join(self.own_settings) or 'none'}, which it does not take: {error}"
            ) from error
        super().__init__(name, model, self.own_settings, **options)

    def _map(self, scored: ScoredModel, image: Tensor) -> Tensor:
        try:
            found = self.function(scored, image, **self.own_settings)
        except MaskstackError:
            raise
        # The user's own code may raise any error.
        except Exception as error:
            raise ModelError(f"{self.method} failed with {type(error).__name__}: {error}") from error
        values = torch.from_numpy(found) if isinstance(found, np.ndarray) else found
        if not isinstance(values, Tensor):
            raise InputError(f"{self.method} returned {a_type(found)}; return a tensor or an array, height x width")
        sides = image.ndim - 2
        extra = values.ndim - sides
        if extra < 0 or any(size != 1 for size in values.shape[:extra]) or not values.numel():
            shape = " x ".join(map(str, values.shape)) or "a number"
            wanted = "height x width" if sides == 2 else "depth x height x width"
            raise InputError(f"{self.method} returned a map of {shape} for one image; return {wanted}")
        return values.detach().reshape(values.shape[extra:]).to(image.device, torch.float32)
