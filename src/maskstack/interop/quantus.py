"""MDM in Quantus' calling convention."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from maskstack.checks import did_you_mean
from maskstack.explainers.mdm import MDM
from maskstack.masks.settings import SearchOptions

_OPTIONS = frozenset(("preset", "objective", *SearchOptions.__annotations__))
_OF_QUANTUS = frozenset((
    "abs", "attributor", "attributor_kwargs", "canonizer", "canonizer_kwargs", "channel_first", "composite",
    "composite_kwargs", "device", "keepdims", "method", "n_steps", "noise", "normalise", "normalise_func",
    "normalise_func_kwargs", "num_samples", "reduce_axes", "return_shape", "softmax", "window", "xai_lib",
    "xai_lib_kwargs",
))  # fmt: skip
"""Options of Quantus' own explanation functions."""


def explain_func(model: Any, inputs: Any, targets: Any, **options: Any) -> NDArray[np.float32]:
    """Explanation function for Quantus: ``metric(..., explain_func=maskstack.explain_func)``.

    Args:
        model: The network.
        inputs: B x C x H x W, tensor, or array of any type, which is converted to the type of the network's weights.
        targets: Class index of each image.
        **options: Settings of MDM; ``device`` moves the inputs; other options of Quantus are ignored, and unknown ones
            are ignored with a warning.

    Returns:
        Maps, B x 1 x H x W in [0, 1].
    """
    # Quantus' metrics compute in double precision, and its own functions convert their arrays to single.
    images = inputs if isinstance(inputs, Tensor) else torch.as_tensor(np.asarray(inputs)).to(_type_of(model))
    images = images.to(options.get("device") or images.device)
    for name in sorted(options.keys() - _OPTIONS - _OF_QUANTUS):
        guess = did_you_mean(name, _OPTIONS)
        warnings.warn(f"explain_func ignores {name}, which MDM does not have;{guess}".strip(";"), stacklevel=2)
    settings = {name: value for name, value in options.items() if name in _OPTIONS}
    classes = None if targets is None else torch.as_tensor(np.asarray(targets)).long()
    saliency: NDArray[np.float32] = MDM(model, **settings)(images, classes).saliency.cpu().numpy()
    return saliency


def _type_of(model: Any) -> torch.dtype:
    """The type of a network's weights; float32 where there are none."""
    weights = model.parameters() if isinstance(model, nn.Module) else ()
    return next((each.dtype for each in weights if each.is_floating_point()), torch.float32)
