"""Weights from a file into a network, without unpickling anything."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from maskstack.errors import InputError, ModelError

_TORCH_SUFFIXES = (".pt", ".pth", ".bin", ".ckpt", ".tar")
_NESTED_UNDER = ("state_dict", "model_state_dict", "model")
# Left by DistributedDataParallel, torch.compile, and wrappers that hold the network as .model or .net.
_WRAPPERS = ("module.", "_orig_mod.", "model.", "net.")


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Tensors by name from a checkpoint.

    Args:
        path: A ``.safetensors`` file, or one of ``torch.save``, which is read with ``weights_only=True``. The
            state dict may lie under ``state_dict``, ``model_state_dict`` or ``model``.

    Raises:
        InputError: The file is missing or has another suffix.
        ModelError: It is damaged, holds more than tensors, or no state dict.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"the weights {path} do not exist or are no file; check the path")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if path.suffix not in _TORCH_SUFFIXES:
        raise InputError(
            f"the weights {path} have an unknown suffix; give .safetensors or one of {', '.join(_TORCH_SUFFIXES)}"
        )
    return _state_dict(path, _read_torch(path))


def load_weights(model: nn.Module, state: Mapping[str, Tensor], *, source: str) -> None:
    """Put tensors into a network; every one of its parameters and buffers must be there, and nothing else.

    Args:
        model: Changed in place.
        state: By name; a prefix that wrappers leave on all names, as ``module.``, is taken off.
        source: What messages call it.

    Raises:
        ModelError: Names or shapes differ; the message gives the first few.
    """
    own = model.state_dict()
    state = _without_wrappers(state, own)
    # Checkpoints from before torch 0.4.1 lack these counters, which eval mode never reads.
    missing = [name for name in own if name not in state and not name.endswith("num_batches_tracked")]
    unexpected = [name for name in state if name not in own]
    shapes = [
        f"{name} ({_shape(state[name])} in the file, {_shape(own[name])} in the network)"
        for name in own
        if name in state and state[name].shape != own[name].shape
    ]
    wrong = {"missing": missing, "unexpected": unexpected, "of another shape": shapes}
    said = "; ".join(f"{what}: {_first_few(names)}" for what, names in wrong.items() if names)
    if said:
        raise ModelError(f"the weights {source} are not of this network: {said}; give weights of the same network")
    model.load_state_dict(state, strict=False)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(f"the weights {path} are damaged or no safetensors file; get a whole copy") from error


def _read_torch(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"the weights {path} are damaged, or hold more than tensors, which is refused because loading "
            "such a file can "
            "run code; save the network's state_dict() as safetensors"
        ) from error
    # torch.load meets damage with anything from EOFError to RuntimeError; nothing was executed.
    except Exception as error:
        raise ModelError(f"the weights {path} are damaged or no checkpoint of torch.save; get a whole copy") from error


def _state_dict(path: Path, content: Any) -> dict[str, Tensor]:
    for key in _NESTED_UNDER:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
            break
    if not isinstance(content, Mapping):
        raise ModelError(f"the weights {path} hold a {type(content).__name__}; save the network's state_dict()")
    strange = [str(name) for name, value in content.items() if not isinstance(value, Tensor)]
    if strange or not content:
        held = f"things that are no tensors: {_first_few(strange)}" if strange else "nothing"
        raise ModelError(f"the weights {path} hold {held}; save the network's state_dict()")
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
