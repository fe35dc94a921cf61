"""``torchvision:NAME``: networks of torchvision for one image of a fixed size."""

from __future__ import annotations

import inspect
from typing import Any

from PIL import Image

from maskstack.checks import did_you_mean
from maskstack.errors import InputError, ModelError, reason, require
from maskstack.models.loaded import RANDOM, LoadedModel, loaded
from maskstack.models.own_transform import OwnTransform
from maskstack.models.preprocess import Preprocess
from maskstack.models.spec import PICTURE_KEYS, Spec, adjusted, whole_number
from maskstack.models.weights import load_weights


def load_torchvision(spec: Spec) -> LoadedModel:
    """Build a network of torchvision with the preprocessing of its default weights.

    Args:
        spec: Spec with the key ``num_classes`` and the flag ``pretrained``.

    Raises:
        InputError: torchvision has no network with this name.
        MissingExtraError: torchvision is not installed.
        ModelError: The network is not for single images, cannot be built, or its weights cannot be downloaded.
    """
    models = require("torchvision.models", extra="models")
    if spec.name not in models.list_models():
        guess = did_you_mean(spec.name, models.list_models()) or " torchvision.models.list_models() names all"
        raise InputError(f"torchvision has no network {spec.name!r};{guess}")
    preset = models.get_model_weights(spec.name).DEFAULT
    preprocess = torchvision_preprocess(spec, preset.transforms())
    model = _build(models, spec)
    weights = RANDOM
    if "pretrained" in spec.flags:
        load_weights(model, _download(preset), source=str(preset))
        weights = "pretrained"
    return loaded(model, preprocess, spec=spec.text, weights=weights)


def _build(models: Any, spec: Spec) -> Any:
    options: dict[str, Any] = {}
    if "num_classes" in spec.options:
        options["num_classes"] = whole_number("num_classes", spec.options["num_classes"])
    known = inspect.signature(models.get_model_builder(spec.name)).parameters
    # By default, segmentation networks download a pretrained backbone.
    if "weights_backbone" in known:
        options["weights_backbone"] = None
    # The published weights include the auxiliary head.
    if "aux_loss" in known:
        options["aux_loss"] = "pretrained" in spec.flags
    try:
        return models.get_model(spec.name, weights=None, **options)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ModelError(f"torchvision's {spec.name} could not be built ({error}); check its options") from error


def _download(preset: Any) -> Any:
    try:
        return preset.get_state_dict(progress=False, check_hash=True, weights_only=True)
    # If a proxy sends a web page instead of the file, checking the hash or unpickling fails here.
    except Exception as error:
        raise ModelError(
            f"the weights {preset.url} could not be downloaded ({reason(error)}); check the network connection"
        ) from error


def torchvision_preprocess(spec: Spec, transforms: Any) -> Preprocess | OwnTransform:
    """Our preprocessing with the settings of torchvision's; its own where it does not crop and no key changes it.

    Raises:
        ModelError: The network is not for single images.
    """
    ours = _preprocess(spec.name, transforms)
    if getattr(transforms, "crop_size", None) or spec.options.keys() & set(PICTURE_KEYS):
        return adjusted(ours, spec.options)
    return OwnTransform.measured(transforms, source=f"the preprocessing of torchvision's {spec.name}")


def _preprocess(name: str, transforms: Any) -> Preprocess:
    crop, resize = (getattr(transforms, key, None) or [] for key in ("crop_size", "resize_size"))
    single = type(transforms).__name__ in ("ImageClassification", "SemanticSegmentation")
    if not single or not (crop or resize):
        raise ModelError(
            f"torchvision's {name} is not a network for single images; write a function that returns it and use "
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
