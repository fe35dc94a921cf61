"""Loading a network by its spec, and a test run that finds out whether it can be explained."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

import torch
from PIL import Image
from torch import nn

from maskstack import checks
from maskstack.errors import InputError, MaskstackError, ModelError, reason
from maskstack.models.classes import imagenet_names, read_names
from maskstack.models.kinds import KINDS, ModelKind
from maskstack.models.loaded import RANDOM, LoadedModel
from maskstack.models.spec import Spec, parse_spec
from maskstack.models.volumes import VolumePreprocess
from maskstack.models.weights import load_weights, read_weights
from maskstack.objectives import Output, Reading, recognise
from maskstack.objectives.origins import Origins, can_observe, observed
from maskstack.objectives.outputs import select_tensor


def load_model(
    spec: str,
    *,
    weights: str | Path | None = None,
    class_names: Sequence[str] | None = None,
    output: int | str | None = None,
) -> LoadedModel:
    """Load a network with its preprocessing and class names.

    A spec is ``KIND[:NAME][,key=value|,flag...]``. The kinds are ``bundled``, ``timm``, ``torchvision``,
    ``hf``, ``onnx``, ``exported`` and ``python``, see :data:`maskstack.models.kinds.KINDS`. Nothing is
    downloaded unless the flag ``pretrained`` asks for it, and no file is unpickled.

    Args:
        spec: A spec such as ``timm:resnet18,pretrained`` or ``onnx:network.onnx,norm=half,classes=names.txt``.
        weights: File of weights; the same as the key ``weights``.
        class_names: One name per class; it replaces the key ``classes``.
        output: Which output is explained, and what it is, see :class:`maskstack.MDM`; it replaces the key ``output``.

    Returns:
        The network in eval mode, after a test run on one image.

    Raises:
        InputError: The spec, or a file that it names, cannot be used.
        MissingExtraError: A required package is not installed.
        ModelError: The network cannot be loaded, run or differentiated.
    """
    parsed = parse_spec(spec)
    if parsed.kind not in KINDS and (meant := meant_spec(parsed)):
        raise InputError(f"{spec!r} names no kind of network; {meant}")
    checks.one_of("the model kind", parsed.kind, tuple(KINDS))
    kind = KINDS[parsed.kind]
    if weights is not None:
        if "weights" in parsed.options:
            raise InputError(f"weights are given twice, in {spec!r} and separately; give them once")
        parsed = replace(parsed, options={**parsed.options, "weights": str(weights)})
    _check_spec(parsed, kind)
    # Read the names first, so that a file that cannot be read is reported before a large network is loaded.
    given = class_names if class_names is not None else parsed.options.get("classes")
    names = read_names(given) if isinstance(given, str) else tuple(given or ())
    # Parameters created in inference mode can never pass a gradient.
    with torch.inference_mode(mode=False), torch.enable_grad():
        model = _with_weights(_loaded(kind, parsed), parsed)
        model.model.eval()
        model = replace(model, output=_chosen(parsed, model) if output is None else output)
        classes = _class_count(model, len(names or model.class_names))
    return replace(model, class_names=_fit_names(names or model.class_names, classes, kind, model))


def meant_spec(spec: Spec) -> str:
    """What a spec without a known kind is likely meant to be; empty where a kind is only misspelt.

    >>> meant_spec(parse_spec("resnet50"))
    "write timm:resnet50 or torchvision:resnet50; 'maskstack models' lists the kinds"
    >>> meant_spec(parse_spec("tim:resnet50"))
    ''
    """
    if get_close_matches(spec.kind.lower(), KINDS, n=1, cutoff=0.7):
        return ""
    ending = Path(spec.kind).suffix.lower()
    if ending == ".py" or spec.name:
        function = spec.name or "FUNCTION"
        return f"write python:{spec.kind}:{function} for a function that returns the network"
    if ending in (".onnx", ".pt2"):
        return f"write {'onnx' if ending == '.onnx' else 'exported'}:{spec.kind}"
    if ending in (".pt", ".pth", ".ckpt", ".bin", ".safetensors"):
        return f"a file of weights needs its network: write timm:resnet18,weights={spec.kind}, with your network's name"
    if "/" in spec.kind:
        return f"write hf:{spec.kind} for a network of Hugging Face"
    return f"write timm:{spec.kind} or torchvision:{spec.kind}; 'maskstack models' lists the kinds"


def _check_spec(spec: Spec, kind: ModelKind) -> None:
    if kind.named and not spec.name:
        raise InputError(f"the model spec {spec.text!r} names no network; write it as {kind.example}")
    if spec.name and kind.choices:
        checks.one_of(f"the network of {spec.kind}", spec.name, kind.choices)
    elif spec.name and not kind.named:
        raise InputError(f"the model {spec.kind} has no name to choose; write {kind.example}")
    for key in spec.options:
        checks.one_of(f"the key for {spec.kind}", key, kind.keys)
    for flag in spec.flags:
        if not kind.flags:
            raise InputError(f"the model kind {spec.kind} has no flags; leave out {flag}")
        checks.one_of(f"the flag for {spec.kind}", flag, kind.flags)


def _loaded(kind: ModelKind, spec: Spec) -> LoadedModel:
    """Load the network of a spec.

    Raises:
        MaskstackError: As the loader says it.
        ModelError: A file is damaged in a way that only the library that reads it notices, by an error of its own.
    """
    if kind.runs_code:  # the traceback belongs to the user's own code
        return kind.load(spec)
    try:
        return kind.load(spec)
    except MaskstackError:
        raise
    except Exception as error:
        raise ModelError(
            f"the network {spec.text} cannot be loaded ({type(error).__name__}: {reason(error)}); get a complete copy"
        ) from error


def _with_weights(model: LoadedModel, spec: Spec) -> LoadedModel:
    if "weights" not in spec.options:
        return model
    path = Path(spec.options["weights"])
    load_weights(model.model, read_weights(path), source=str(path))
    return replace(model, weights=path.name)


def _chosen(spec: Spec, model: LoadedModel) -> int | str | None:
    text = spec.options.get("output")
    if text is None:
        return model.output
    return int(text) if re.fullmatch(r"-?[0-9]{1,9}", text) else text


def _class_count(model: LoadedModel, names: int) -> int | None:
    """Number of classes that the network distinguishes, found by a test run; None if it is not a classifier."""
    height, width = model.input_size
    shape: tuple[int, ...] = (len(model.mean), height, width)
    if isinstance(model.preprocess, VolumePreprocess):
        if model.preprocess.depth is None or model.preprocess.size is None:
            return None  # The size is that of each file.
        shape = (len(model.mean), model.preprocess.depth, height, width)
    elif len(model.mean) in (1, 3):
        shape = tuple(model.preprocess(Image.new("RGB", (width, height))).shape)
    if len(shape) != 3 and not isinstance(model.preprocess, VolumePreprocess):
        raise InputError(f"the preprocessing of {model.spec} gives a tensor of shape {shape}; it must be C x H x W")
    reading = try_out(model.model, shape, choice=model.output, names=names)
    return None if reading.kind in ("map", "embedding") else reading.classes


def try_out(model: nn.Module, shape: tuple[int, ...], *, choice: Output = None, names: int = 0) -> Reading:
    """Run a network on one image of noise and compute the gradient with respect to this image.

    Args:
        model: Network on any device.
        shape: C, H, W of its input.
        choice: Which output is explained, and what it is.
        names: Number of known class names.

    Returns:
        What the output is.

    Raises:
        InputError: The network does not have this output.
        ModelError: The network fails on the image, its output has no tensor, or no gradient reaches the image.
    """
    device = next((tensor.device for tensor in model.state_dict().values()), torch.device("cpu"))
    noise = torch.rand(1, *shape, generator=torch.Generator().manual_seed(0)).to(device).requires_grad_()
    try:
        origins = Origins() if can_observe(model) else None
        own = noise.clone()  # a network may change its images in place
        with observed(model, origins):
            raw = model(own)
        reading = recognise(
            [raw], origins=origins, model=model, modules=list(model.modules()), choice=choice, names=names
        )
        output = select_tensor(raw, reading.name)
        grad = torch.autograd.grad(output.float().sum(), noise, allow_unused=True)[0] if output.requires_grad else None
    except MaskstackError:
        raise
    # A network may raise any error for an input of the wrong shape.
    except Exception as error:
        what = f"{'an image' if len(shape) == 3 else 'a volume'} of {' x '.join(map(str, shape))}"
        raise ModelError(f"the network fails on {what} ({reason(error)}); {_advice(error, model, shape)}") from error
    if grad is None:
        raise ModelError(
            "no gradient reaches the network's input, so no mask can be learned; give a network that does not detach it"
        )
    return reading


def _advice(error: Exception, model: nn.Module, shape: tuple[int, ...]) -> str:
    """What to do about a network that fails on an image."""
    if missing := re.search(r"missing \d+ required .*?arguments?:? (.+)$", str(error)):
        return (
            f"it needs more than the images: give a function that returns a network of the images alone, or give "
            f"{missing[1]} in Python, by maskstack.with_arguments(model, ...)"
        )
    if len(shape) == 3 and any(type(each).__name__.endswith("3d") for each in model.modules()):
        return (
            "it has layers for volumes; if it takes them, add the flag volume to the spec: python:FILE:FUNCTION,volume"
        )
    return "give the size and channels of its input, such as size=224 or channels=1 in the spec"


def _fit_names(names: tuple[str, ...], classes: int | None, kind: ModelKind, model: LoadedModel) -> tuple[str, ...]:
    """Class names, one for each class; ImageNet's if none are given and the network is known to have its classes."""
    if names:
        if classes is not None and len(names) != classes:
            raise InputError(f"{len(names)} class names for the {classes} classes of {model.spec}; give one for each")
        return names
    imagenet = kind.imagenet and classes == 1000 and model.weights != RANDOM
    return imagenet_names() if imagenet else ()
