"""``torchvision:NAME``: networks of torchvision that take one image of a fixed size."""

from __future__ import annotations

import inspect
from typing import Any

from PIL import Image

from maskstack.errors import InputError, ModelError
from maskstack.errors import require
from maskstack.models.loaded import RANDOM, LoadedModel, loaded
from maskstack.models.options import adjusted, whole_number
from maskstack.models.preprocess import Preprocess
from maskstack.models.spec import Spec, did_you_mean
from maskstack.models.weights import load_weights
from maskstack.errors import reason


def load_torchvision(spec: Spec) -> LoadedModel:
    """A network of torchvision, with the preprocessing of its default weights.

    Args:
        spec: Key ``num_classes``; flag ``pretrained``.

    Raises:
        InputError: torchvision has no network of this name.
        MissingExtraError: torchvision is not installed.
        ModelError: The network takes no single image, or its weights cannot be downloaded.
    """
    models = require("torchvision.models", extra="models")
    if spec.name not in models.list_models():
        guess = did_you_mean(spec.name, models.list_models())
        raise InputError(f"torchvision has no network {spec.name!r};{guess} See torchvision.models.list_models()")
    preset = models.get_model_weights(spec.name).DEFAULT
    preprocess = _preprocess(spec.name, preset.transforms())
    model = _build(models, spec)
    weights = RANDOM
    if "pretrained" in spec.flags:
        load_weights(model, _download(preset), source=str(preset))
        weights = "pretrained"
    return loaded(model, adjusted(preprocess, spec.options), spec=spec.text, weights=weights)


def _build(models: Any, spec: Spec) -> Any:
    options: dict[str, Any] = {}
    if "num_classes" in spec.options:
        options["num_classes"] = whole_number("num_classes", spec.options["num_classes"])
    known = inspect.signature(models.get_model_builder(spec.name)).parameters
    # Segmentation networks would download a pretrained backbone unasked.
    if "weights_backbone" in known:
        options["weights_backbone"] = None
    # Their published weights hold the auxiliary head too.
    if "aux_loss" in known:
        options["aux_loss"] = "pretrained" in spec.flags
    try:
        return models.get_model(spec.name, weights=None, **options)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ModelError(f"torchvision's {spec.name} could not be built ({error}); check its options") from error


def _download(preset: Any) -> Any:
    try:
        return preset.get_state_dict(progress=False, check_hash=True, weights_only=True)
    # Also a proxy's page instead of the file ends here, as a hash or an unpickling that fails.
    except Exception as error:
        raise ModelError(
            f"the weights {preset.url} could not be downloaded ({reason(error)}); check the network"
        ) from error


def _preprocess(name: str, transforms: Any) -> Preprocess:
    crop, resize = (getattr(transforms, key, None) or [] for key in ("crop_size", "resize_size"))
    if not hasattr(transforms, "mean") or not (crop or resize):
        raise ModelError(
            f"torchvision's {name} is no network for single images; write a function that returns it: "
            "python:module:function"
        )
    side = (crop or resize)[0]
    return Preprocess(
        size=(side, side),
        share=min(1.0, side / (resize or crop)[0]),
        mean=tuple(transforms.mean),
        std=tuple(transforms.std),
        resampling=getattr(Image.Resampling, transforms.interpolation.name),
    )
