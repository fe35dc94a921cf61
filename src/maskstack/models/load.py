"""From a spec to a network that is ready to be explained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image

from maskstack.errors import InputError
from maskstack.models.check import try_out
from maskstack.models.kinds import KINDS, Kind
from maskstack.models.loaded import RANDOM, LoadedModel
from maskstack.models.names import imagenet_names, read_names
from maskstack.models.spec import Spec, check_word, parse_spec
from maskstack.models.weights import load_weights, read_weights


def load_model(
    spec: str, *, weights: str | Path | None = None, class_names: Sequence[str] | None = None
) -> LoadedModel:
    """Load a network with its preprocessing and class names.

    A spec is ``KIND[:NAME][,key=value|,flag...]``. The kinds are ``bundled``, ``timm``, ``torchvision``,
    ``hf``, ``onnx``, ``exported`` and ``python``, see :data:`maskstack.models.kinds.KINDS`. Nothing is
    downloaded unless the flag ``pretrained`` asks for it, and no file is unpickled.

    Args:
        spec: As ``timm:resnet18,pretrained`` or ``onnx:network.onnx,norm=half,classes=names.txt``.
        weights: A file of weights; the same as the key ``weights``.
        class_names: One per class; instead of the key ``classes``.

    Returns:
        The network in eval mode, tried out on one image.

    Raises:
        InputError: The spec, or a file it names, cannot be used.
        MissingExtraError: A package is needed that is not installed.
        ModelError: The network cannot be loaded, run, or differentiated.
    """
    parsed = parse_spec(spec)
    check_word("kind of model", parsed.kind, tuple(KINDS))
    kind = KINDS[parsed.kind]
    if weights is not None:
        if "weights" in parsed.options:
            raise InputError(f"weights are given twice, in {spec!r} and beside it; give them once")
        parsed = replace(parsed, options={**parsed.options, "weights": str(weights)})
    _check_spec(parsed, kind)
    # Names first: a file that cannot be read shall not wait for a large network.
    given = class_names if class_names is not None else parsed.options.get("classes")
    names = read_names(given) if isinstance(given, str) else tuple(given or ())
    # A network made under inference mode could never pass a gradient.
    with torch.inference_mode(mode=False), torch.enable_grad():
        model = _with_weights(kind.load(parsed), parsed)
        model.model.eval()
        outputs = _try_out(model)
    return replace(model, class_names=_fit_names(names or model.class_names, outputs, kind, model))


def _check_spec(spec: Spec, kind: Kind) -> None:
    if kind.named and not spec.name:
        raise InputError(f"the model spec {spec.text!r} names no network; write it as {kind.example}")
    if spec.name and kind.choices:
        check_word(f"network of {spec.kind}", spec.name, kind.choices)
    elif spec.name and not kind.named:
        raise InputError(f"the model {spec.kind} takes no name; write {kind.example}")
    for key in spec.options:
        check_word(f"key of {spec.kind}", key, kind.keys)
    for flag in spec.flags:
        check_word(f"flag of {spec.kind}", flag, kind.flags)


def _with_weights(model: LoadedModel, spec: Spec) -> LoadedModel:
    if "weights" not in spec.options:
        return model
    path = Path(spec.options["weights"])
    load_weights(model.model, read_weights(path), source=str(path))
    return replace(model, weights=path.name)


def _try_out(model: LoadedModel) -> int | None:
    """Number of classes the network tells apart; None if it is no classifier."""
    height, width = model.input_size
    page = Image.new("RGB", (width, height))
    shape = tuple(model.preprocess(page).shape)
    if len(shape) != 3:
        raise InputError(f"the preprocessing of {model.spec} makes a tensor of shape {shape}; it must be C x H x W")
    output = try_out(model.model, shape)
    return output[0] if len(output) == 1 else None


def _fit_names(names: tuple[str, ...], outputs: int | None, kind: Kind, model: LoadedModel) -> tuple[str, ...]:
    """The class names if there is one for each output, ImageNet's if these must be meant."""
    if names:
        if outputs is not None and len(names) != outputs:
            raise InputError(f"{len(names)} class names for the {outputs} classes of {model.spec}; give one for each")
        return names
    imagenet = kind.imagenet and outputs == 1000 and model.weights != RANDOM
    return imagenet_names() if imagenet else ()
