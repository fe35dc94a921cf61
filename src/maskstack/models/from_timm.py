"""``timm:NAME``: any network of timm."""

from __future__ import annotations

from typing import Any

from PIL import Image

from maskstack.checks import did_you_mean
from maskstack.errors import InputError, ModelError, reason, require
from maskstack.models.loaded import RANDOM, LoadedModel, loaded
from maskstack.models.own_transform import OwnTransform
from maskstack.models.preprocess import Preprocess, many_channels
from maskstack.models.spec import PICTURE_KEYS, Spec, adjusted, read_size, whole_number


def load_timm(spec: Spec) -> LoadedModel:
    """Build a network of timm with the preprocessing of its pretrained configuration.

    Args:
        spec: Spec whose name may have a tag, such as ``resnet18.a1_in1k``; keys ``num_classes`` and ``channels``; flag
            ``pretrained``.

    Raises:
        InputError: timm has no network with this name.
        MissingExtraError: timm is not installed.
        ModelError: The network cannot be built with these options, or its weights cannot be downloaded.
    """
    timm = require("timm", extra="models")
    pretrained = "pretrained" in spec.flags
    _check_name(timm, spec, pretrained=pretrained)
    options = _build_options(timm, spec)
    try:
        model = timm.create_model(spec.name, pretrained=pretrained, **options)
    # Downloads (urllib, httpx, huggingface_hub) and the networks' builders raise different types of error.
    except Exception as error:
        what = "built with its pretrained weights" if pretrained else "built"
        raise ModelError(
            f"timm's {spec.name} could not be {what} ({reason(error)}); check its options and the network connection"
        ) from error
    config = timm.data.resolve_model_data_config(model)
    weights = "pretrained" if pretrained else RANDOM
    return loaded(model, timm_preprocess(timm, spec, config), spec=spec.text, weights=weights)


def _check_name(timm: Any, spec: Spec, *, pretrained: bool) -> None:
    if spec.name.startswith(("hf-hub:", "hf_hub:")):
        # For such a name, the configuration is downloaded too.
        if not pretrained:
            raise InputError(f"{spec.name} is downloaded from the hub; add the flag: {spec.text},pretrained")
    elif not timm.is_model(spec.name):
        guess = did_you_mean(spec.name, timm.list_models()) or " timm.list_models() names all"
        raise InputError(f"timm has no network {spec.name!r};{guess}")


def _build_options(timm: Any, spec: Spec) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if "num_classes" in spec.options:
        options["num_classes"] = whole_number("num_classes", spec.options["num_classes"])
    if "channels" in spec.options:
        options["in_chans"] = whole_number("channels", spec.options["channels"])
    config = timm.get_pretrained_cfg(spec.name, allow_unregistered=True)
    # Transformers are built for one size; convolutional networks do not accept the argument.
    if "size" in spec.options and config is not None and config.fixed_input_size:
        options["img_size"] = read_size(spec.options["size"])
    return options


def timm_preprocess(timm: Any, spec: Spec, config: dict[str, Any]) -> Preprocess | OwnTransform:
    """Our preprocessing with the settings of timm's, or timm's own where it pads or enlarges.

    Args:
        timm: The package.
        spec: The spec; its keys change the preprocessing.
        config: The configuration of the network's data.

    Raises:
        InputError: A key was given, and ours differs from timm's.
    """
    if config["input_size"][0] not in (1, 3):
        height, width = config["input_size"][1:]
        return adjusted(many_channels(config["input_size"][0], (height, width)), spec.options)
    if config["crop_mode"] in ("center", "squash") and config["crop_pct"] <= 1:
        return adjusted(_preprocess(config), spec.options)
    source = f"timm's preprocessing of {spec.name}"
    if keys := sorted(spec.options.keys() & set(PICTURE_KEYS)):
        raise InputError(f"{source} does more than resize, crop and normalise; leave out {', '.join(keys)}")
    return OwnTransform.measured(timm.data.create_transform(**config, is_training=False), source=source)


def _preprocess(config: dict[str, Any]) -> Preprocess:
    channels, height, width = config["input_size"]
    return Preprocess(
        size=(height, width),
        share=config["crop_pct"],
        squash=config["crop_mode"] == "squash",
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        resampling=getattr(Image.Resampling, config["interpolation"].upper(), Image.Resampling.BICUBIC),
        channels=channels,
    )
