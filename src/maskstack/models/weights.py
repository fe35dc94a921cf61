"""Reading weights from a file and loading them into a network, without unpickling objects."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from maskstack.errors import InputError, ModelError, a_type
from maskstack.models.pt2_archive import check_unpacked
from maskstack.tensor_files import check_digest, digest_of, read_tensors

_TORCH_SUFFIXES = (".pt", ".pth", ".bin", ".ckpt", ".tar")
_NESTED_UNDER = ("state_dict", "model_state_dict", "model")
# Prefixes from DistributedDataParallel, torch.compile, and wrappers with the network as .model or .net.
_WRAPPERS = ("module.", "_orig_mod.", "model.", "net.")


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Read the tensors of a checkpoint by name.

    Args:
        path: A ``.safetensors`` file, or a file of ``torch.save``, which is read with ``weights_only=True``. The state
            dict may be stored under the key ``state_dict``, ``model_state_dict`` or ``model``.

    Raises:
        InputError: The file is missing or has another suffix.
        ModelError: The file is damaged, contains more than tensors, or has no state dict.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"the weights {path} do not exist or are not a file; check the path")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if path.suffix not in _TORCH_SUFFIXES:
        raise InputError(
            f"the weights {path} have an unknown suffix; give .safetensors or one of {', '.join(_TORCH_SUFFIXES)}"
        )
    return _state_dict(path, _read_torch(path))


def load_weights(model: nn.Module, state: Mapping[str, Tensor], *, source: str) -> None:
    """Load tensors into a network; there must be one for each parameter and buffer, and no others.

    Args:
        model: Network that is changed in place.
        state: Tensors by name; a prefix that a wrapper has added to all names, such as ``module.``, is removed.
        source: Name of the weights in messages.

    Raises:
        ModelError: Names or shapes differ; the message lists the first few.
    """
    own = model.state_dict()
    state = _without_wrappers(state, own)
    # Checkpoints from before torch 0.4.1 lack these counters, which eval mode does not use.
    missing = [name for name in own if name not in state and not name.endswith("num_batches_tracked")]
    unexpected = [name for name in state if name not in own]
    shapes = [
        f"{name} ({_shape(state[name])} in the file, {_shape(own[name])} in the network)"
        for name in own
        if name in state and state[name].shape != own[name].shape
    ]
    wrong = {"missing": missing, "unexpected": unexpected, "of another shape": shapes}
    found = "; ".join(f"{what}: {_first_few(names)}" for what, names in wrong.items() if names)
    if found:
        raise ModelError(f"the weights {source} do not fit this network: {found}; give weights of the same network")
    model.load_state_dict(state, strict=False)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        tensors, about = read_tensors(path)
        check_digest(path, tensors, about, required=False)
    except InputError as error:
        raise ModelError(f"the weights {path} are damaged or not a safetensors file; get a complete copy") from error
    return tensors


def _read_torch(path: Path) -> Any:
    try:
        _check_archive(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except ModelError:
        raise
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"the weights {path} are damaged or contain more than tensors, which is refused because loading "
            "such a file can run code; save the network's state_dict() as safetensors"
        ) from error
    # For a damaged file, torch.load raises many types of error, from EOFError to RuntimeError; no code was run.
    except Exception as error:
        raise ModelError(
            f"the weights {path} are damaged or not a checkpoint of torch.save; get a complete copy"
        ) from error


def _check_archive(path: Path) -> None:
    """Compare the checksums of an archive with its content, which torch does not do, after a check of its size."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            check_unpacked(path, archive)
            if archive.testzip() is not None:
                raise zipfile.BadZipFile


def _state_dict(path: Path, content: Any) -> dict[str, Tensor]:
    for key in _NESTED_UNDER:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
            break
    if not isinstance(content, Mapping):
        raise ModelError(f"the weights {path} contain {a_type(content)}; save the network's state_dict()")
    strange = [str(name) for name, value in content.items() if not isinstance(value, Tensor)]
    if strange or not content:
        content = f"values that are not tensors: {_first_few(strange)}" if strange else "no tensors"
        raise ModelError(f"the weights {path} contain {content}; save the network's state_dict()")
    return dict(content)


def _without_wrappers(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    for prefix in _WRAPPERS:
        if all(name.startswith(prefix) for name in state) and not any(name.startswith(prefix) for name in own):
            state = {name.removeprefix(prefix): value for name, value in state.items()}
    return state


def _shape(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "a number"


def _first_few(names: list[str], *, few: int = 3) -> str:
    more = f" and {len(names) - few} more" if len(names) > few else ""
    return ", ".join(names[:few]) + more


def weights_digest(model: nn.Module) -> str:
    """SHA-256 of the parameters and buffers of a network, by which other weights under the same name are recognised.

    >>> net = nn.Linear(2, 1)
    >>> before = weights_digest(net)
    >>> with torch.no_grad():
    ...     _ = net.bias.add_(1)
    >>> weights_digest(net) == before
    False
    """
    held = model.state_dict()
    # Quantised and sparse tensors have no plain bytes.
    plain = {name: each for name, each in held.items() if type(each) is Tensor and each.layout is torch.strided}
    return digest_of({name: each for name, each in plain.items() if not each.is_quantized}, {})
