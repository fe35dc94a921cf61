"""Safetensors files with a digest of all that they hold, so that damage is noticed when they are read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from maskstack.errors import WRONG_VALUE, InputError
from maskstack.files import write_whole

DIGEST = "digest"
"""Key of the digest in the header of a file."""


def write_tensors(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, str]) -> str:
    """Write tensors and texts as one safetensors file, whole or not at all.

    Args:
        path: Path of the file.
        tensors: Tensors by name, on any device.
        about: Texts by name, for the header.

    Returns:
        The digest of the content.

    Raises:
        OutputError: The file cannot be written.
    """
    # Copied, as safetensors refuses tensors that share memory.
    copied = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()
    }
    digest = digest_of(copied, about)
    content = safetensors.torch.save(copied, {**about, DIGEST: digest})
    write_whole(path, lambda file: file.write_bytes(content))
    return digest


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a safetensors file; its digest is not checked yet, see :func:`check_digest`.

    Returns:
        The tensors and the texts of the header; the digest is among them if the file has one.

    Raises:
        InputError: The file is damaged, or not a safetensors file.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            about = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    # A header that is damaged may name a type that torch does not have, or a tensor of any size.
    except (safetensors.SafetensorError, OSError, RuntimeError, *WRONG_VALUE) as error:
        raise InputError(f"{path} is damaged or not a safetensors file ({error}); get a complete copy") from error
    return tensors, about


def check_digest(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, str], *, required: bool) -> None:
    """Compare the content of a file with the digest in its header.

    Args:
        path: The file.
        tensors: Its tensors.
        about: The texts of its header.
        required: Whether files of this format always have a digest.

    Raises:
        InputError: They differ, or a required digest is missing.
    """
    if required if DIGEST not in about else about[DIGEST] != digest_of(tensors, about):
        raise InputError(f"{path} is damaged: its content does not fit its digest; get a complete copy")


def header_of(path: Path) -> dict[str, str]:
    """The texts of a file's header, without a check of the tensors; empty if the file cannot be read."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except (safetensors.SafetensorError, OSError, ValueError, RuntimeError):
        return {}


def digest_of(tensors: Mapping[str, Tensor], about: Mapping[str, str]) -> str:
    """SHA-256 of the tensors' names, types, shapes and values, and of the texts, except the digest itself.

    >>> digest_of({"a": torch.zeros(2)}, {}) == digest_of({"a": torch.zeros(2, 1)}, {})
    False
    """
    found = hashlib.sha256()
    texts = {name: text for name, text in about.items() if name != DIGEST}
    found.update(json.dumps(texts, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        found.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        found.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return found.hexdigest()
