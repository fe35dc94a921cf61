"""MDM in Quantus' calling convention."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from maskstack.explainers.mdm import MDM
from maskstack.masks.settings import SearchOptions

_OPTIONS = frozenset(("preset", "objective", *SearchOptions.__annotations__))


def explain_func(model: Any, inputs: Any, targets: Any, **options: Any) -> NDArray[np.float32]:
    """Explanation function for Quantus: ``metric(..., explain_func=maskstack.explain_func)``.

    Args:
        model: The network.
        inputs: B x C x H x W, array or tensor.
        targets: Class index of each image.
        **options: Settings of MDM; ``device`` moves the inputs; all other options that Quantus passes are ignored.

    Returns:
        Maps, B x 1 x H x W in [0, 1].
    """
    images = torch.as_tensor(np.asarray(inputs) if not isinstance(inputs, torch.Tensor) else inputs)
    images = images.to(options.get("device") or images.device)
    settings = {name: value for name, value in options.items() if name in _OPTIONS}
    classes = None if targets is None else torch.as_tensor(np.asarray(targets)).long()
    saliency: NDArray[np.float32] = MDM(model, **settings)(images, classes).saliency.cpu().numpy()
    return saliency
